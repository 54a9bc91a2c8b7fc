//! Handset, the provisioning server for desk phones that runs at the edge.
#![forbid(unsafe_code)]

pub mod discovery;
pub mod fleet;
