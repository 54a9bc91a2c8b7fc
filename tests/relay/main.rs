//! The relay: what phones get by it, what it asks of the server, and what it keeps.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "../support/authority.rs"]
mod authority;
#[expect(dead_code, reason = "boots that need no relay")]
#[path = "../support/boots.rs"]
mod boots;
mod branch;
mod cache;
mod crash;
mod faults;
#[cfg(feature = "ftp")]
mod ftp;
mod identity;
mod lan;
mod monitor;
mod office;
mod pnp;
mod programs;
mod redirect;
mod secure;
mod service;
mod settings;
mod site;
mod spool;
mod storm;
