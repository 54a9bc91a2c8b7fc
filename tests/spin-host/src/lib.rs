//! A host for Spin components, for tests: what Spin 4.1 gives a component, on a port of its own, with counters.
//!
//! It is not a Spin: there is one component and no routing, and outbound requests are plain HTTP. README.md
//! says what else differs.
#![forbid(unsafe_code)]

mod control;
mod counts;
mod imports;
mod instance;
mod outbound;
mod server;
mod settings;
mod values;

pub use control::control;
pub use server::Server;
pub use settings::Settings;
pub use settings::SettingsError;
