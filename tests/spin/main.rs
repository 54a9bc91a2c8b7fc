//! The Spin component: the same cases as natively, what it costs in calls, and what it does when things fail.
//!
//! Run by `cargo xtask test spin`, which builds the component and its host first.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/attacks.rs"]
mod attacks;
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
#[path = "../support/proof.rs"]
mod proof;
#[path = "../golden/replay.rs"]
mod replay;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../golden/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use attacks::Calls;
use attacks::Fleet;
use attacks::Target;
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

/// A deployment, and the calls that were counted when they were asked for last.
struct Attacked(Deployment, Calls);

impl Attacked {
    fn of_fixture(name: &str) -> Self {
        Self(Deployment::of_fixture(name), Calls::default())
    }
}

impl Target for Attacked {
    const REMEMBERS: bool = false;

    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn calls(&mut self) -> Calls {
        let mut now = Calls::default();
        for (call, count) in costs::calls_of(&self.0.host) {
            now.reads += count * u64::from(call == "GET" || call == "read");
            now.all += count;
        }
        let before = std::mem::replace(&mut self.1, now);
        Calls {
            reads: self.1.reads - before.reads,
            all: self.1.all - before.all,
        }
    }

    fn logged(&self) -> String {
        self.0.host.said()
    }
}

#[test]
fn nobody_gets_what_is_not_theirs() {
    for fixture in ["office", "guarded"] {
        Fleet::of_fixture(fixture).attack(&mut Attacked::of_fixture(fixture));
    }
}

#[test]
fn a_used_proof_ends_with_its_nonce() {
    Fleet::of_fixture("guarded").replay(&mut Attacked::of_fixture("guarded"));
}

#[test]
fn tenants_operate_their_own() {
    Fleet::of_fixture("guarded").operate(&mut Attacked::of_fixture("guarded"));
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
