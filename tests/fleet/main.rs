//! Fleet directories: what is wrong with them is said with file, line and remedy, all at once.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod broken;
mod dhcp;
mod diff;
mod firmware;
mod hostile;
mod import;
mod reports;
#[path = "../support/tree.rs"]
mod tree;
