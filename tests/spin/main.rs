//! The Spin component: the same cases as natively, what it costs in calls, and what it does when things fail.
//!
//! Run by `cargo xtask test spin`, which builds the component and its host first.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/boots.rs"]
mod boots;
#[path = "../support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "../golden/case.rs"]
mod case;
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "../support/conformance.rs"]
mod conformance;
mod costs;
mod faults;
mod host;
mod large;
#[path = "../golden/replay.rs"]
mod replay;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../golden/wire.rs"]
mod wire;

use std::collections::BTreeMap;

use case::Answer;
use case::Step;
use host::Deployment;
use replay::Platform;
use replay::case_files;
use replay::check;
use replay::hold;
use wire::over_the_wire;

impl Platform for &Deployment {
    fn answer(&mut self, step: &Step) -> Answer {
        over_the_wire(self.address(), step)
    }
}

#[test]
fn every_case_is_answered_as_natively() {
    let mut deployments: BTreeMap<String, Deployment> = BTreeMap::new();
    let mut replayed = Vec::new();
    for (fleet, path) in case_files() {
        let deployment = deployments.entry(fleet.clone());
        let deployment = deployment.or_insert_with(|| Deployment::of_fixture(&fleet));
        deployment.reset();
        replayed.push(check(&path, &mut &*deployment));
    }
    hold("Spin, key-value store and S3", &replayed);
}

#[test]
fn phones_of_the_article_boot() {
    boots::the_article(Deployment::of_fixture("lync").address());
}

#[test]
fn phones_of_the_office_boot() {
    boots::the_office(Deployment::of_fixture("office").address());
}
