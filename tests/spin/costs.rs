//! What a request costs in calls of the key-value store and of S3.

use std::collections::BTreeMap;

use crate::client;
use crate::host::Deployment;
use crate::host::Host;

/// Calls by name, `read` being a value read and the others requests of S3.
pub(crate) type Calls = BTreeMap<String, u64>;

/// In an instance that has the site's records.
#[test]
fn calls_are_as_few_as_promised() {
    let deployment = Deployment::of_fixture("office");
    let address = deployment.address();
    client::ask(address, "GET", "/hq/~0004f2000500/0004f2000500.cfg", "");
    wait_for_contact(&deployment.host, &Calls::default());
    for (method, target, more, calls) in [
        (
            "GET",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
            &[("GET", 1)][..],
        ),
        (
            "HEAD",
            "/hq/~0004f2000500/0004f2000500-device.cfg",
            "",
            &[("GET", 1)],
        ),
        ("GET", "/hq/~/000000000000.cfg", "", &[]),
        ("GET", "/hq/~/3111-44500-001.sip.ld", "", &[("GET", 1)]),
        ("HEAD", "/hq/~/3111-44500-001.sip.ld", "", &[]),
        (
            "GET",
            "/hq/~/3111-44500-001.sip.ld",
            "Range: bytes=0-99\r\n",
            &[("GET", 1)],
        ),
        (
            "GET",
            "/hq/~/3111-44500-001.sip.ld",
            "If-None-Match: *\r\n",
            &[],
        ),
        ("GET", "/hq/~/wp-login.php", "", &[]),
        ("GET", "/elsewhere/0004f2000500.cfg", "", &[]),
        (
            "GET",
            "/hq/~0004f2999999/0004f2999999.cfg",
            "",
            &[("GET", 1)],
        ),
        (
            "GET",
            "/hq/~0004f2000500/0004f2000500-phone.cfg",
            "",
            &[("GET", 1)],
        ),
    ] {
        let before = calls_of(&deployment.host);
        client::ask(address, method, target, more);
        let spent = since(&before, &calls_of(&deployment.host));
        assert_eq!(spent, counted(calls), "{method} {target} {more}");
    }
}

/// An upload is one put of its bytes, and for the bookkeeping of versions one get of the device's record
/// to route by, one to add to and one conditional put of it.
#[test]
fn an_upload_is_two_puts_and_two_gets() {
    let deployment = Deployment::of_fixture("office");
    let name = "/hq/~0004f2000500/0004f2000500-phone.cfg";
    client::put(deployment.address(), name, "", b"<a/>");
    let before = calls_of(&deployment.host);
    client::put(deployment.address(), name, "", b"<b/>");
    let spent = since(&before, &calls_of(&deployment.host));
    assert_eq!(spent, counted(&[("GET", 2), ("PUT", 2)]));
}

/// One put a boot, after the response.
#[test]
fn the_last_contact_is_one_put() {
    let deployment = Deployment::of_fixture("office");
    let boot = |before: &Calls| {
        client::ask(
            deployment.address(),
            "GET",
            "/hq/~0004f2000500/0004f2000500.cfg",
            "",
        );
        wait_for_contact(&deployment.host, before)
    };
    let first = "/hq/~0004f2000500/0004f2000500-device.cfg";
    client::ask(deployment.address(), "GET", first, "");
    let fresh = calls_of(&deployment.host);
    let calls = [("GET", 1), ("PUT", 1), ("read", 3)];
    let what = "in a fresh instance, by a device that is enrolled with it";
    assert_eq!(fresh, counted(&calls), "{what}");
    let warm = since(&fresh, &boot(&fresh));
    assert_eq!(warm, counted(&[("GET", 1), ("PUT", 1)]), "in a warm one");
}

/// A vault is not asked at each request.
#[test]
fn variables_are_read_once_a_minute() {
    let deployment = Deployment::of_fixture("office");
    let read = || {
        client::ask(deployment.address(), "GET", "/-/health", "");
        deployment.host.counts()["variables"].as_u64().unwrap()
    };
    assert_eq!((read(), read()), (13, 13));
}

/// Calls since the host started.
pub(crate) fn calls_of(host: &Host) -> Calls {
    let counts = host.counts();
    let mut calls: Calls = serde_json::from_value(counts["outbound"].clone()).unwrap();
    if let Some(read) = counts["key_value"]["get"].as_u64() {
        calls.insert("read".to_owned(), read);
    }
    calls
}

fn since(before: &Calls, now: &Calls) -> Calls {
    let spent = |(call, count): (&String, &u64)| {
        let spent = count - before.get(call).copied().unwrap_or_default();
        (spent > 0).then(|| (call.clone(), spent))
    };
    now.iter().filter_map(spent).collect()
}

/// The calls up to the one that writes the contact, which comes after the response.
fn wait_for_contact(host: &Host, before: &Calls) -> Calls {
    for _ in 0..10_000 {
        let now = calls_of(host);
        if since(before, &now).contains_key("PUT") {
            return now;
        }
    }
    panic!("no contact was written");
}

fn counted(calls: &[(&str, u64)]) -> Calls {
    let calls = calls.iter();
    calls
        .map(|(call, count)| ((*call).to_owned(), *count))
        .collect()
}
