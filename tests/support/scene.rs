//! Where something is published to: what the stories of publishing run on.

use std::net::SocketAddr;

/// Where phones and operators ask, and how what was published comes to be seen there.
pub(crate) trait Scene {
    fn address(&self) -> SocketAddr;

    /// Lets go of what processes may keep in memory of a site: a minute passes.
    fn later(&mut self);
}
