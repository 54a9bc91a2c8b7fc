//! The tool's own story of a fleet, from `init` to `rollback`, on the native server over a directory.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/boots.rs"]
#[expect(dead_code, reason = "boots are more than this suite needs")]
mod boots;
#[path = "support/fleet_story.rs"]
mod fleet_story;
#[path = "support/published.rs"]
#[expect(dead_code, reason = "nothing is counted here")]
mod published;
#[path = "support/scene.rs"]
mod scene;

use std::net::SocketAddr;

use fleet_story::story;
use published::Published;
use scene::Scene;

/// Who publishes by a process sees it there at once.
struct Same(Published);

/// Another process sees it after a minute, as one that has just begun does.
struct Anew(Published);

impl Scene for Same {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn later(&mut self) {}
}

impl Scene for Anew {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn later(&mut self) {
        self.0.renew();
    }
}

#[test]
fn a_fleet_is_described_published_tried_and_taken_back() {
    let server = Published::open();
    story(&mut Same(server));
}

#[test]
fn and_so_it_is_to_another_process() {
    let server = Published::open();
    story(&mut Anew(server));
}
