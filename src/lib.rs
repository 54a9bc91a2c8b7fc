//! Handset, the provisioning server for desk phones that runs at the edge.
#![forbid(unsafe_code)]

pub mod access;
#[cfg(not(target_family = "wasm"))]
pub mod boot;
pub mod client;
pub mod credential;
pub mod device;
pub mod discovery;
pub mod encoding;
pub mod enrolment;
#[cfg(not(target_family = "wasm"))]
pub mod fleet;
pub mod key;
pub mod mac;
pub mod map;
pub mod path;
pub mod pattern;
pub mod platform;
pub mod precondition;
pub mod range;
#[cfg(not(target_family = "wasm"))]
pub mod relay;
pub mod release;
pub mod render;
pub mod respond;
pub mod route;
pub mod secret;
pub mod settings;
pub mod site;
pub mod store;
#[cfg(not(target_family = "wasm"))]
pub mod tftp;
pub mod token;
pub mod user_agent;
pub mod variables;
pub mod vendor;
