//! Builds, tests and measures Handset: `cargo xtask test [PART]`.

fn main() {}
