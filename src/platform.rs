//! The platforms: each translates its own types to those of the handler, and nothing else.
//!
//! What they deliberately do not do: no routing, no header rules, no decision that another platform would
//! have to make again.

#[cfg(not(target_family = "wasm"))]
pub mod native;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod spin;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod workers;
