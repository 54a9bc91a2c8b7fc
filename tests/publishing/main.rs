//! Publishing, stopped at every step: no file mixes publications, nothing is lost, and the next push finishes.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod canary;
mod crash;
#[path = "../support/faulty.rs"]
mod faulty;
mod process;
#[path = "../support/pushing.rs"]
mod pushing;
#[path = "../support/shelf.rs"]
#[expect(dead_code, reason = "other suites fill it")]
mod shelf;
mod shown;
