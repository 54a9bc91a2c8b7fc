//! The relay of a branch network: what phones speak that cannot speak today's HTTPS, on sockets.
//!
//! What it deliberately does not do: it knows no vendor but by the tables, renders nothing, and decides nothing about who may have what but
//! for what the server told it, and what is behind an address of its network.

mod cache;
pub mod carrier;
#[cfg(feature = "ftp")]
pub mod ftp;
pub mod http;
pub mod identity;
pub mod journal;
pub mod metrics;
pub mod monitor;
pub mod neighbours;
pub mod pnp;
mod sealed;
mod spool;
pub mod tftp;
pub mod upstream;
