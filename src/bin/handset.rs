//! The operator's tool and the native server.
#![forbid(unsafe_code)]

fn main() {}
