//! The Worker: the same cases as natively, what it costs in calls, and what it does when things fail.
//!
//! Run by `cargo xtask test worker`, which builds the bundle first.
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
#[path = "../golden/case.rs"]
mod case;
#[path = "../support/certified.rs"]
mod certified;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/conformance.rs"]
mod conformance;
#[path = "../support/fleet_story.rs"]
mod fleet_story;
#[path = "../support/hostile.rs"]
mod hostile;
mod local;
#[path = "../support/operating.rs"]
mod operating;
#[path = "../support/proof.rs"]
mod proof;
#[path = "../support/pushing.rs"]
#[expect(dead_code, reason = "other suites stop on the way")]
mod pushing;
#[path = "../golden/replay.rs"]
mod replay;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/story.rs"]
mod story;
#[path = "../golden/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use attacks::Calls;
use attacks::Fleet;
use attacks::Target;
use case::Answer;
use case::Step;
use local::Local;
use local::fixture;
use operating::Ground;
use operating::operate;
use replay::Platform;
use replay::case_files;
use replay::check;
use replay::hold;
use scene::Scene;
use wire::over_the_wire;

impl Platform for Local {
    fn answer(&mut self, step: &Step) -> Answer {
        over_the_wire(self.address(), step)
    }
}

impl Target for Local {
    const REMEMBERS: bool = false;

    fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    fn calls(&mut self) -> Calls {
        let mut calls = Calls::default();
        for (call, count) in self.counts() {
            calls.reads += count * u64::from(call.ends_with(".get"));
            calls.all += count;
        }
        calls
    }

    fn logged(&self) -> String {
        self.said()
    }
}

#[test]
fn nobody_gets_what_is_not_theirs() {
    for (fixture, own) in [
        ("office", "/hq/~0004f2000500/0004f2000500-device.cfg"),
        ("guarded", "/hotel/~0004f2000600/0004f2000600-device.cfg"),
    ] {
        let mut local = Local::of_fixture(fixture);
        // A Worker logs what it could not answer, and that is then looked through as well.
        local.fail(&[("R2.get", "down")]);
        assert_eq!(client::ask(local.address(), "GET", own, "").status, 503);
        local.fail(&[]);
        Fleet::of_fixture(fixture).attack(&mut local);
        assert!(local.said().contains("0004f2000"), "{}", local.said());
    }
}

#[test]
fn a_used_proof_ends_with_its_nonce() {
    Fleet::of_fixture("guarded").replay(&mut Local::of_fixture("guarded"));
}

#[test]
fn tenants_operate_their_own() {
    Fleet::of_fixture("guarded").operate(&mut Local::of_fixture("guarded"));
}

#[test]
fn every_case_is_answered_as_natively() {
    let mut locals: BTreeMap<String, Local> = BTreeMap::new();
    let mut replayed = Vec::new();
    for (fleet, path) in case_files() {
        let local = locals.entry(fleet.clone());
        let local = local.or_insert_with(|| Local::of_fixture(&fleet));
        local.reset();
        replayed.push(check(&path, local));
    }
    hold("Workers, KV and R2", &replayed);
}

impl Ground for Local {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn renew(&mut self) {
        self.reset();
    }
}

/// The operators' Worker seals what it writes, by the runtime's AES; the phones' opens it, and so does every platform, for
/// the box is the one that RustCrypto makes.
#[test]
fn what_the_operators_worker_writes_is_sealed() {
    const KEY: &str = "device/hq/0004f2000500";
    const FILE: &str = "/hq/~0004f2000500/0004f2000500-device.cfg";
    let mut local = Local::in_the_clear("office");
    let before = client::ask(local.address(), "GET", FILE, "");
    assert_eq!(before.status, 200);
    assert!(local.object(KEY).contains("lines"), "in the clear");
    for action in ["lock", "unlock"] {
        let target = format!("/-/v1/sites/hq/devices/0004f2000500/{action}");
        assert_eq!(
            operating::may(&local, "POST", &target, "").0,
            200,
            "{action}"
        );
    }
    let sealed = |record: &str| {
        let (_, after) = record.split_once(r#""sealed":""#).unwrap();
        after.split('"').next().unwrap().to_owned()
    };
    let record = local.object(KEY);
    assert!(!record.contains("lines"), "{record}");
    assert_eq!(
        client::ask(local.address(), "GET", FILE, "").body,
        before.body
    );
    let ours = Local::of_fixture("office").object(KEY);
    assert_eq!(sealed(&record), sealed(&ours));
}

#[test]
fn operators_are_answered_by_their_own_worker() {
    operate(&mut Local::of_fixture("office"));
}

/// Workers whose stores outlive them: a minute is a new isolate.
struct Reborn {
    local: Option<Local>,
    stores: tempfile::TempDir,
}

impl Scene for Reborn {
    fn address(&self) -> SocketAddr {
        self.local.as_ref().unwrap().address()
    }

    fn later(&mut self) {
        // The one lets go of the stores before the other takes them.
        self.local = None;
        self.local = Some(Local::over_what_lies_in(self.stores.path()));
    }
}

#[test]
fn what_is_published_to_workers_is_what_phones_get() {
    let stores = tempfile::tempdir().unwrap();
    let local = Some(Local::over_what_lies_in(stores.path()));
    story::publish(&mut Reborn { local, stores });
}

#[test]
fn the_story_of_a_fleet() {
    let stores = tempfile::tempdir().unwrap();
    let local = Some(Local::over_what_lies_in(stores.path()));
    fleet_story::story(&mut Reborn { local, stores });
}

#[test]
fn phones_of_the_article_boot() {
    boots::the_article(Local::of_fixture("lync").address());
}

#[test]
fn phones_of_the_office_boot() {
    boots::the_office(Local::of_fixture("office").address());
}

#[test]
fn a_certificate_that_cloudflare_has_verified_opens_its_devices_files() {
    let local = Local::start(certified::fleet(true).path(), 1, None);
    for (verified, subject, status) in [
        ("SUCCESS", "CN=0004F2000500,O=Polycom Inc.", 200),
        ("SUCCESS", "CN=0004F2000501,O=Polycom Inc.", 404),
        ("FAILED:certificate has expired", "CN=0004F2000500", 404),
        ("NONE", "", 404),
    ] {
        let certificate = serde_json::json!({
            "certVerified": verified,
            "certSubjectDNRFC2253": subject,
        });
        let headers = format!("Observed-Certificate: {certificate}\r\n");
        let file = certified::file(local.address(), &headers);
        assert_eq!(file, status, "{certificate}");
    }
}

/// What a request costs in calls of KV and R2, in an isolate that has the site's records.
#[test]
fn calls_are_as_few_as_promised() {
    let local = Local::of_fixture("office");
    client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500.cfg",
        "",
    );
    wait_for_contact(&local);
    for (method, target, more, calls) in [
        (
            "GET",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
            &[("R2.get", 1)][..],
        ),
        (
            "HEAD",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
            &[("R2.get", 1)],
        ),
        ("GET", "/hq/~/000000000000.cfg", "", &[]),
        ("GET", "/hq/~/3111-44500-001.sip.ld", "", &[("R2.get", 1)]),
        ("HEAD", "/hq/~/3111-44500-001.sip.ld", "", &[]),
        (
            "GET",
            "/hq/~/3111-44500-001.sip.ld",
            "Range: bytes=0-99\r\n",
            &[("R2.get", 1)],
        ),
        (
            "GET",
            "/hq/~/3111-44500-001.sip.ld",
            "If-None-Match: *\r\n",
            &[],
        ),
        ("GET", "/hq/~/wp-login.php", "", &[]),
        ("GET", "/elsewhere/0004f2000500.cfg", "", &[]),
        ("GET", "/hq/~0004f2000500/backup-0004f2000500.zip", "", &[]),
        (
            "GET",
            "/hq/~0004f2999999/0004f2999999.cfg",
            "",
            &[("R2.get", 1)],
        ),
        (
            "GET",
            "/hq/~0004f2000500/0004f2000500-phone.cfg",
            "",
            &[("R2.get", 1)],
        ),
    ] {
        local.counts();
        client::ask(local.address(), method, target, more);
        assert_eq!(local.counts(), counted(calls), "{method} {target} {more}");
    }
}

/// An upload is one put of its bytes, and for the bookkeeping of versions one get of the device's record
/// to route by, one to add to and one conditional put of it.
#[test]
fn an_upload_is_two_puts_and_two_gets() {
    let local = Local::of_fixture("office");
    client::put(
        local.address(),
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
        b"<a/>",
    );
    local.counts();
    client::put(
        local.address(),
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
        b"<b/>",
    );
    assert_eq!(local.counts(), counted(&[("R2.get", 2), ("R2.put", 2)]));
}

/// One statement a boot, after the response.
#[test]
fn the_last_contact_is_one_statement() {
    let local = Local::of_fixture("office");
    client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500.cfg",
        "",
    );
    let calls = wait_for_contact(&local);
    let first = [
        ("D1.prepare", 1),
        ("KV.get", 3),
        ("R2.get", 1),
        ("R2.put", 1),
    ];
    let what = "in a fresh isolate, by a device that is enrolled with it";
    assert_eq!(calls, counted(&first), "{what}");
    client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500.cfg",
        "",
    );
    let warm = [("D1.prepare", 1), ("R2.get", 1)];
    assert_eq!(wait_for_contact(&local), counted(&warm), "in a warm one");
}

#[test]
fn a_store_that_is_down_is_503_and_nothing_else() {
    for call in ["KV.get", "R2.get"] {
        let local = Local::of_fixture("office");
        local.fail(&[(call, "down")]);
        for target in [
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "/hq/~/3111-44500-001.sip.ld",
        ] {
            let answer = client::ask(local.address(), "GET", target, "");
            assert_eq!(answer.status, 503, "{call} {target}");
            assert_eq!(answer.header("retry-after"), Some("30"), "{call} {target}");
        }
        local.fail(&[]);
        let answer = client::ask(
            local.address(),
            "GET",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
        );
        assert_eq!(answer.status, 200, "{call} works again");
    }
    let local = Local::of_fixture("office");
    local.fail(&[("R2.put", "down")]);
    let answer = client::put(
        local.address(),
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
        b"<a/>",
    );
    assert_eq!(answer.status, 503);
    local.fail(&[]);
    let answer = client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
    );
    assert_eq!(answer.status, 404, "what was not acknowledged is not there");
}

/// R2 takes one write a second of an object: a phone that uploads three files at once writes its record
/// three times.
#[test]
fn a_record_written_too_soon_is_written_again() {
    let local = Local::of_fixture("office");
    local.fail(&[("R2.put", "soon")]);
    let answer = client::put(
        local.address(),
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
        b"<a/>",
    );
    assert_eq!(answer.status, 201);
    let answer = client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500-phone.cfg",
        "",
    );
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"<a/>"[..]));
}

/// A write that took place though R2 said otherwise: nothing is taken away that the record names.
#[test]
fn a_record_written_though_the_store_failed_is_found_so() {
    let local = Local::of_fixture("office");
    for (body, status) in [(&b"<a/>"[..], 201), (b"<b/>", 200)] {
        local.fail(&[("R2.put", "late")]);
        let answer = client::put(
            local.address(),
            "/hq/~0004f2000500/0004f2000500-phone.cfg",
            "",
            body,
        );
        assert_eq!(answer.status, status);
        let answer = client::ask(
            local.address(),
            "GET",
            "/hq/~0004f2000500/0004f2000500-phone.cfg",
            "",
        );
        assert_eq!((answer.status, answer.body.as_slice()), (200, body));
    }
}

/// More parts than the runtime lets be open at once.
#[test]
fn many_parts_of_an_upload_come_back_as_one() {
    let local = Local::of_fixture("office");
    let name = "/hq/~0004f2000500/0004f2000500-app.log";
    let mut whole = Vec::new();
    for part in 0..20_usize {
        let more = format!("Handset-Append: {}\r\n", whole.len());
        let bytes = vec![b'a' + part as u8; 40_000 + part];
        client::put(local.address(), name, &more, &bytes);
        whole.extend(bytes);
    }
    let answer = client::ask(local.address(), "GET", name, "");
    assert!(answer.status == 200 && answer.body == whole);
    let range = "Range: bytes=39990-200000\r\n";
    let answer = client::ask(local.address(), "GET", name, range);
    assert!(answer.status == 206 && answer.body == whole[39_990..=200_000]);
}

#[test]
fn an_abort_in_one_request_leaves_the_next_one_whole() {
    let local = Local::of_fixture("office");
    let good = client::ask(
        local.address(),
        "GET",
        "/hq/~0004f2000500/0004f2000500-device.cfg",
        "",
    );
    assert_eq!(good.status, 200);
    for _ in 0..3 {
        local.fail(&[("R2.get", "abort")]);
        let answer = client::ask(
            local.address(),
            "GET",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
        );
        assert_eq!(answer.status, 500);
        local.fail(&[]);
        let answer = client::ask(
            local.address(),
            "GET",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
        );
        assert_eq!((answer.status, answer.body), (200, good.body.clone()));
    }
}

#[test]
fn uploads_up_to_a_hundred_megabytes_come_back() {
    let fleet = tempfile::tempdir().unwrap();
    let settings = "[uploads]\nlargest = 104857600\nbytes = 1073741824\n";
    std::fs::write(fleet.path().join("handset.toml"), settings).unwrap();
    for (file, text) in [
        ("sites/a.toml", "access = \"open\"\n"),
        ("devices/a.csv", "mac,site,model\n0004f2000500,a,VVX 500\n"),
    ] {
        std::fs::create_dir_all(fleet.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(fleet.path().join(file), text).unwrap();
    }
    let local = Local::start(fleet.path(), 1, None);
    let name = "/a/0004f2000500-app.log";
    for length in [0, 1, 65_536, 100 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        let answer = client::put(local.address(), name, "", &bytes);
        assert!([200, 201].contains(&answer.status), "{length}: {answer:?}");
        let answer = client::ask(local.address(), "GET", name, "");
        assert!(answer.status == 200 && answer.body == bytes, "{length}");
    }
    let length = (100 << 20) + 1;
    let answer = client::exchange(
        local.address(),
        format!("PUT {name} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        "PUT",
    );
    assert_eq!(answer.status, 413);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = client::exchange(
        local.address(),
        format!("PUT {name} HTTP/1.1\r\nHost: x\r\n{chunked}").as_bytes(),
        "PUT",
    );
    assert_eq!(answer.status, 411);
}

/// Whoever comes with wrong keys again and again is told to stop; the phones behind the same address are not,
/// whatever is missing, and nor is who has no key at all.
#[test]
fn wrong_keys_are_limited_and_phones_are_not() {
    let local = Local::of_fixture("office");
    let ask = |target: &str| {
        let more = "CF-Connecting-IP: 192.0.2.1\r\n";
        client::ask(local.address(), "GET", target, more)
    };
    let wrong = format!("/hq/{}/000000000000.cfg", "a".repeat(27));
    for _ in 0..2 * Local::FAILURES {
        assert_eq!(ask("/hq/000000000000.cfg").status, 404);
    }
    for _ in 0..Local::FAILURES {
        assert_eq!(ask(&wrong).status, 404);
    }
    for _ in 0..3 {
        let answer = ask(&wrong);
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, Some("60"))
        );
    }
    for _ in 0..2 * Local::FAILURES {
        let target = "/hq/~0004f2000500/0004f2000500-none.cfg";
        assert_eq!(ask(target).status, 404);
    }
    let target = "/hq/~0004f2000500/0004f2000500-device.cfg";
    assert_eq!(ask(target).status, 200);
    local.counts();
    assert_eq!(ask(&wrong).status, 429);
    assert_eq!(local.counts(), counted(&[]), "a wrong key costs no read");
}

/// The runtime itself refuses much of it, and cleans addresses; what it lets through is no more than a
/// miss, and is answered without an error of ours.
#[test]
fn hostile_requests_get_nothing_and_break_nothing() {
    let local = Local::of_fixture("lync");
    let mut wrong = String::new();
    // Whatever is no HTTP/1.1 or asks for no path is for the edge to answer.
    let arrives = |line: &str| {
        let parts: Vec<_> = line.split(' ').collect();
        matches!(parts.as_slice(), [_, path, "HTTP/1.1"] if path.starts_with('/'))
    };
    let rows = hostile::requests().into_iter();
    for (natively, line, request) in rows.filter(|(_, line, _)| arrives(line)) {
        let received = client::send(local.address(), &request);
        let status = received.get(9..12).map(String::from_utf8_lossy);
        // Nothing at all is the runtime's answer to what it takes for no HTTP.
        let status = status.as_deref().unwrap_or("closed");
        // A path that climbs and comes back is clean when it arrives.
        let found = status == "200" && (natively == "200" || line.contains("/../"));
        // 501 is the runtime's word for a method that it does not know; CONNECT never arrives.
        let refused = status.starts_with('4') || status == "501" || line.starts_with("CONNECT ");
        if !found && !refused && status != "closed" {
            wrong.push_str(&format!("{status} {line}\n"));
        }
    }
    assert_eq!(wrong, "", "rows with another status");
    let answer = client::ask(local.address(), "GET", "/lync/shared.cfg", "");
    assert_eq!(answer.status, 200);
}

#[test]
fn what_was_acknowledged_outlives_a_restart() {
    let persist = tempfile::tempdir().unwrap();
    let start = || Local::start(&fixture("office"), 1, Some(persist.path()));
    let name = "/hq/~0004f2000500/0004f2000500-phone.cfg";
    let local = start();
    assert_eq!(client::put(local.address(), name, "", b"<a/>").status, 201);
    drop(local);
    let answer = client::ask(start().address(), "GET", name, "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"<a/>"[..]));
}

/// Two isolates write one device's record at once, and no upload is lost or mixed.
#[test]
fn two_isolates_are_one_deployment() {
    const UPLOADS: usize = 6;
    let local = Local::start(&fixture("office"), 2, None);
    thread::scope(|scope| {
        for (number, address) in local.addresses.iter().enumerate() {
            scope.spawn(move || {
                for upload in 0..UPLOADS {
                    let name = format!(
                        "/hq/~0004f2000500/0004f2000500-{}.cfg",
                        ["phone", "web"][number]
                    );
                    let body = format!("<a b=\"{number} {upload}\"/>");
                    let answer = client::put(*address, &name, "", body.as_bytes());
                    assert!([200, 201].contains(&answer.status), "{answer:?}");
                }
            });
        }
    });
    for (number, name) in ["phone", "web"].iter().enumerate() {
        let other = local.addresses[1 - number];
        let answer = client::ask(
            other,
            "GET",
            &format!("/hq/~0004f2000500/0004f2000500-{name}.cfg"),
            "",
        );
        let newest = format!("<a b=\"{number} {}\"/>", UPLOADS - 1);
        assert_eq!(String::from_utf8(answer.body).unwrap(), newest);
    }
}

/// The calls up to the one that writes the contact, which comes after the response.
fn wait_for_contact(local: &Local) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..1000 {
        for (call, count) in local.counts() {
            *all.entry(call).or_default() += count;
        }
        if all.contains_key("D1.prepare") {
            return all;
        }
    }
    panic!("no contact was written: {all:?}");
}

fn counted(calls: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let calls = calls.iter();
    calls
        .map(|(call, count)| ((*call).to_owned(), *count))
        .collect()
}
