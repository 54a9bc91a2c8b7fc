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

use published::Published;

#[test]
fn a_fleet_is_described_published_tried_and_taken_back() {
    let server = Published::open();
    fleet_story::story(&server.url(), &server.token());
}
