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
#[path = "../support/certified.rs"]
mod certified;
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "../support/conformance.rs"]
mod conformance;
mod costs;
mod faults;
#[path = "../support/fleet_story.rs"]
mod fleet_story;
mod host;
mod large;
#[path = "../support/operating.rs"]
mod operating;
#[path = "../support/proof.rs"]
mod proof;
mod proxy;
#[path = "../support/pushing.rs"]
#[expect(dead_code, reason = "other suites stop on the way")]
mod pushing;
#[path = "../golden/replay.rs"]
mod replay;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/story.rs"]
mod story;
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
use host::Host;
use operating::Ground;
use operating::operate;
use replay::Platform;
use replay::case_files;
use replay::check;
use replay::hold;
use scene::Scene;
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

/// A host whose key-value store lies in a file: a minute is a new one.
struct Reborn {
    host: Option<Host>,
    service: bucket::Service,
    values: tempfile::TempDir,
}

impl Reborn {
    fn new() -> Self {
        Self {
            host: None,
            service: bucket::Service::start(),
            values: tempfile::tempdir().unwrap(),
        }
    }

    fn born(&mut self) {
        self.host = None;
        let file = self.values.path().join("values");
        let variables = host::variables(self.service.address);
        self.host = Some(Host::start(&variables, Some(&file)));
    }
}

impl Scene for Reborn {
    fn address(&self) -> SocketAddr {
        self.host.as_ref().unwrap().address
    }

    fn later(&mut self) {
        self.born();
    }
}

#[test]
fn what_is_published_to_spin_is_what_phones_get() {
    let mut reborn = Reborn::new();
    reborn.born();
    story::publish(&mut reborn);
}

/// A host behind a proxy, which speaks of TLS.
struct Proxied(Reborn, SocketAddr);

impl Scene for Proxied {
    fn address(&self) -> SocketAddr {
        self.1
    }

    fn later(&mut self) {
        self.0.born();
        self.1 = proxy::before(self.0.address());
    }
}

#[test]
fn the_story_of_a_fleet() {
    let mut reborn = Reborn::new();
    reborn.born();
    let proxy = proxy::before(reborn.address());
    fleet_story::story(&mut Proxied(reborn, proxy));
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

impl Ground for Deployment {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn renew(&mut self) {
        self.reset();
    }
}

#[test]
fn operators_are_answered_as_natively() {
    operate(&mut Deployment::of_fixture("office"));
}

#[test]
fn phones_of_the_article_boot() {
    boots::the_article(Deployment::of_fixture("lync").address());
}

#[test]
fn phones_of_the_office_boot() {
    boots::the_office(Deployment::of_fixture("office").address());
}

/// What a proxy says counts where it was said that there is one.
#[test]
fn a_proxy_vouches_for_certificates_and_tls() {
    let fleet = certified::fleet(false);
    let deployment = Deployment::start(fleet.path(), None);
    let mut bare = host::variables(deployment.service.address);
    bare.insert("behind_proxy".to_owned(), "false".to_owned());
    let bare = deployment.misled(&bare);
    let own = "X-Client-Subject: CN=0004F2000500,O=Polycom Inc.\r\n";
    let other = "X-Client-Subject: CN=0004F2000501,O=Polycom Inc.\r\n";
    let tls = "X-Forwarded-Proto: https\r\n";
    for (headers, status) in [
        (String::new(), 404),
        (own.to_owned(), 404),
        (tls.to_owned(), 404),
        (format!("{own}{tls}"), 200),
        (format!("{own}X-Forwarded-Proto: https, http\r\n"), 404),
        (format!("{other}{tls}"), 404),
        (format!("{own}{own}{tls}"), 404),
    ] {
        let file = certified::file(deployment.address(), &headers);
        assert_eq!(file, status, "{headers}");
        assert_eq!(certified::file(bare.address, &headers), 404, "{headers}");
    }
}
