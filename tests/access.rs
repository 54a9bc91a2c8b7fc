//! Who gets what from sites that ask for keys: attacks as rows, over the reference store, which counts reads.
//!
//! Whoever proves nothing hears one answer and costs no read; whoever has a site's key and may not have a
//! device's files hears one answer and costs that device's record. No secret stands in any byte of either.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "nothing here goes over a socket")]
mod client;
#[path = "support/office.rs"]
mod office;
#[path = "support/proof.rs"]
mod proof;

use handset::enrolment::Enrolment;
use handset::enrolment::Window;
use handset::secret::Secret;
use handset::site::Access;
use handset::site::Refusal;
use handset::site::Terms;

use office::Asked;
use office::Heard;
use office::NOW;
use office::Office;

/// A key's shape, and nobody's key.
const WRONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Requests that prove nothing: target and headers.
fn strangers() -> Vec<(String, Vec<(&'static str, String)>)> {
    let row = |target: &str| (target.to_owned(), Vec::new());
    let with =
        |target: &str, name, value: &str| (target.to_owned(), vec![(name, value.to_owned())]);
    vec![
        row("/hq/000000000000.cfg"),
        row("/hq/0004f2000500-device.cfg"),
        row("/hq/0004f2999999-device.cfg"),
        row("/hq/3111-44500-001.sip.ld"),
        row("/hq/nothing-of-the-kind"),
        row(&format!("/hq/{WRONG}/000000000000.cfg")),
        row(&format!("/hq/{WRONG}/0004f2000500-device.cfg")),
        row(&format!("/hq/{WRONG}/{WRONG}/000000000000.cfg")),
        row("/elsewhere/000000000000.cfg"),
        row(&format!("/elsewhere/{WRONG}/000000000000.cfg")),
        row("/wp-login.php"),
        row("/../../etc/passwd"),
        row("/hq/%2e%2e/branch/000000000000.cfg"),
        row("/hq/%00"),
        row("/"),
        // A key of one site opens no other, wherever a name of the other stands.
        row("/branch/~hq/000000000000.cfg"),
        row("/branch/~hq/hq/000000000000.cfg"),
        row("/hq/~branch/0004f2000501-device.cfg"),
        with("/~branch/000000000000.cfg", "host", "hq.prov.example.net"),
        // A device's key opens nothing where another device, or none, is named.
        row("/hq/~!0004f2000500/0004f2000331-device.cfg"),
        row("/hq/~!0004f2000500/000000000000.cfg"),
        row("/hq/~!0004f2000500/0004f2000331/0004f2000500-device.cfg"),
        // Passwords.
        with(
            "/hq/0004f2000500-device.cfg",
            "authorization",
            "Basic aHE6aHE=",
        ),
        with(
            "/hq/0004f2000500-device.cfg",
            "authorization",
            "Basic UGxjbVNwSXA6UGxjbVNwSXA=",
        ),
        with("/hq/000000000000.cfg", "authorization", "Basic"),
        with("/hq/000000000000.cfg", "authorization", "Bearer abc"),
        with(
            "/hq/000000000000.cfg",
            "authorization",
            "Digest username=\"hq\", realm=\"handset\", nonce=\"00\", uri=\"/hq/000000000000.cfg\", \
             response=\"00000000000000000000000000000000\", qop=auth, nc=00000001, cnonce=\"a\"",
        ),
        // A relay's word without a relay's key.
        with("/hq/0004f2000500-device.cfg", "handset-relay", "closet"),
        row(&format!(
            "/hq/{WRONG}/0004f2000500-device.cfg?mac=0004f2000500"
        )),
    ]
}

#[test]
fn whoever_proves_nothing_hears_one_answer_and_costs_no_read() {
    for refusal in [Refusal::NotFound, Refusal::Challenge] {
        let office = Office::new(|deployment| deployment.refusal = refusal);
        let mut answers = Vec::new();
        for (target, headers) in strangers() {
            for method in ["GET", "PUT", "POST"] {
                let heard = office.ask(&Asked {
                    method,
                    target: &target,
                    headers: &headers,
                    ..Asked::default()
                });
                assert_eq!(heard.reads, [""; 0], "{method} {target}");
                office.assert_silent(&heard, &target);
                answers.push((format!("{method} {target}"), heard.without_nonce()));
            }
        }
        let status = match refusal {
            Refusal::NotFound => 404,
            Refusal::Challenge => 401,
        };
        assert_eq!(answers[0].1.0, status);
        for (what, answer) in &answers {
            assert_eq!(answer, &answers[0].1, "{what}");
        }
    }
}

#[test]
fn whoever_has_the_sites_key_alone_costs_the_devices_record_and_hears_one_answer() {
    for refusal in [Refusal::NotFound, Refusal::Challenge] {
        let office = Office::new(|deployment| deployment.refusal = refusal);
        office.enrol("0004f2000331", Enrolment::Enrolled { since: 1 });
        office.enrol("00908f000420", Enrolment::Locked { enrolled: None });
        office.enrol(
            "00908f000440",
            Enrolment::Enrolling(Window {
                until: Some(NOW),
                ..Window::default()
            }),
        );
        let agent = "FileTransport PolycomVVX-VVX_500-UA/5.9.7 (SN:0004f2000331) Type/Application";
        let agent = [("user-agent", agent.to_owned())];
        let mut answers = Vec::new();
        for (what, target, headers) in [
            ("staged", "/hq/~/0004f2000500-device.cfg", &[][..]),
            ("unknown", "/hq/~/0004f2999999-device.cfg", &[]),
            ("enrolled", "/hq/~/0004f2000331-device.cfg", &[]),
            ("locked", "/hq/~/00908f000420.cfg", &[]),
            (
                "locked, with its own key",
                "/hq/~00908f000420/00908f000420.cfg",
                &[],
            ),
            ("its window is over", "/hq/~/00908f000440.cfg", &[]),
            ("another site's", "/hq/~/0004f2000501-device.cfg", &[]),
            ("an upload", "/hq/~/0004f2000500-phone.cfg", &[]),
            (
                "two in the path",
                "/hq/~/0004f2000331/0004f2000500-device.cfg",
                &[],
            ),
            (
                "another in the query",
                "/hq/~/0004f2000500-device.cfg?mac=0004f2000331",
                &[],
            ),
            (
                "another in the User-Agent",
                "/hq/~/0004f2000500-device.cfg",
                &agent,
            ),
            (
                "another in the query of a shared file",
                "/hq/~0004f2000331/shared.cfg?mac=0004f2000500",
                &[],
            ),
        ] {
            let heard = office.ask(&Asked {
                target,
                headers,
                ..Asked::default()
            });
            let [site, release] = office::KNOWING_THE_RELEASE;
            assert_eq!(heard.reads, [site, release, "device"], "{what}");
            office.assert_silent(&heard, what);
            answers.push((what, heard.without_nonce()));
        }
        for (what, answer) in &answers {
            assert_eq!(answer, &answers[0].1, "{what}");
        }
    }
}

#[test]
fn what_a_credential_opens() {
    let office = Office::new(|deployment| {
        let terms = Terms {
            generation: 1,
            oldest: 0,
            passwords: true,
            factory_passwords: true,
            plain_http: true,
            relays: vec!["closet".to_owned()],
            certificates: true,
        };
        deployment
            .sites
            .insert("hq".to_owned(), Access::Keys(terms));
        deployment.refusal = Refusal::Challenge;
    });
    let password = Secret::new("correct horse");
    office.set_passwords(&["staff", "0004f2000500"], &password);
    let (shared, device) = ("000000000000.cfg", "0004f2000500-device.cfg");
    for (what, address, header, opens) in [
        ("the site's key", "/hq/~/", None, (200, 401)),
        ("the site's key, shouted", "/hq/~^/", None, (200, 401)),
        ("the site's key, twice", "/hq/~/hq/~/", None, (200, 401)),
        ("the device's key", "/hq/~0004f2000500/", None, (200, 200)),
        (
            "the device's key, twice",
            "/hq/~0004f2000500/hq/~0004f2000500/",
            None,
            (200, 200),
        ),
        (
            "the site's key as a password",
            "/hq/",
            Some("Basic hq:~"),
            (200, 401),
        ),
        (
            "the device's key as a password",
            "/hq/",
            Some("Basic 0004f2000500:~"),
            (200, 200),
        ),
        (
            "the same for another device",
            "/hq/",
            Some("Basic 0004f2000331:~"),
            (200, 401),
        ),
        (
            "a password",
            "/hq/",
            Some("Basic staff:correct horse"),
            (200, 401),
        ),
        (
            "a device's password",
            "/hq/",
            Some("Basic 0004f2000500:correct horse"),
            (200, 200),
        ),
        (
            "a device's password, wrong",
            "/hq/",
            Some("Basic 0004f2000500:wrong"),
            (401, 401),
        ),
        (
            "a device's password for another",
            "/hq/",
            Some("Basic 0004f2000331:correct horse"),
            (401, 401),
        ),
        (
            "Digest, a device's password",
            "/hq/",
            Some("Digest 0004f2000500:correct horse"),
            (200, 200),
        ),
        (
            "Digest, a device's password, wrong",
            "/hq/",
            Some("Digest 0004f2000500:wrong"),
            (401, 401),
        ),
        (
            "a wrong password",
            "/hq/",
            Some("Basic staff:wrong"),
            (401, 401),
        ),
        (
            "nobody's password",
            "/hq/",
            Some("Basic nobody:correct horse"),
            (401, 401),
        ),
        (
            "a password from the factory",
            "/hq/",
            Some("Basic PlcmSpIp:PlcmSpIp"),
            (200, 404),
        ),
        (
            "the same with the site's key",
            "/hq/~/",
            Some("Basic PlcmSpIp:PlcmSpIp"),
            (200, 404),
        ),
        (
            "Digest, a password",
            "/hq/",
            Some("Digest staff:correct horse"),
            (200, 401),
        ),
        (
            "Digest, a wrong password",
            "/hq/",
            Some("Digest staff:wrong"),
            (401, 401),
        ),
        (
            "Digest, the site's key",
            "/hq/",
            Some("Digest hq:~"),
            (200, 401),
        ),
        (
            "Digest, the device's key",
            "/hq/",
            Some("Digest 0004f2000500:~"),
            (200, 200),
        ),
        (
            "a certificate",
            "/hq/",
            Some("Certificate 0004f2000500"),
            (200, 200),
        ),
        (
            "another's certificate",
            "/hq/",
            Some("Certificate 0004f2000331"),
            (200, 401),
        ),
        (
            "a relay that vouches",
            "/hq/~@closet/",
            Some("Relay closet 0004f2000500"),
            (200, 200),
        ),
        (
            "a relay that vouches for another",
            "/hq/~@closet/",
            Some("Relay closet 0004f2000331"),
            (200, 401),
        ),
        (
            "a relay that says nothing",
            "/hq/~@closet/",
            Some("Relay closet -"),
            (200, 401),
        ),
        (
            "a relay that was revoked",
            "/hq/~@shed/",
            Some("Relay shed 0004f2000500"),
            (401, 401),
        ),
        (
            "a relay with the site's key",
            "/hq/~/",
            Some("Relay closet 0004f2000500"),
            (200, 401),
        ),
    ] {
        let found = [shared, device].map(|name| {
            office.reset();
            office.ask_as(&format!("{address}{name}"), header).status
        });
        assert_eq!((found[0], found[1]), opens, "{what}");
    }
}

/// Device files and Basic do not go over plain HTTP unless the site says so.
#[test]
fn the_scheme_counts() {
    for (secure, plain_http, opens) in [(true, false, 200), (false, true, 200), (false, false, 404)]
    {
        let office = Office::new(|deployment| {
            let terms = Terms {
                plain_http,
                ..Terms::default()
            };
            deployment
                .sites
                .insert("hq".to_owned(), Access::Keys(terms));
        });
        for (target, header) in [
            ("/hq/~0004f2000500/0004f2000500-device.cfg", None),
            ("/hq/000000000000.cfg", Some("Basic hq:~")),
        ] {
            let heard = office.ask_over(secure, target, header);
            assert_eq!(heard.status, opens, "{target} {secure} {plain_http}");
        }
        let heard = office.ask_over(secure, "/hq/~/000000000000.cfg", None);
        assert_eq!(heard.status, 200, "shared files go either way");
    }
}

/// A proof is good for its nonce's life; one that is too old is asked for again without a word of blame.
#[test]
fn a_late_proof_is_stale_and_no_failure() {
    let office = Office::new(|deployment| deployment.refusal = Refusal::Challenge);
    for (age, status, stale) in [(0, 200, false), (299, 200, false), (302, 401, true)] {
        let heard = office.digest_of_age(age, "hq", "/hq/000000000000.cfg");
        assert_eq!(heard.status, status, "{age}");
        assert!(!heard.failed, "{age}");
        assert_eq!(heard.challenges().contains("stale=true"), stale, "{age}");
    }
}

/// Only what is wrong counts, and not what is missing.
#[test]
fn what_counts_as_a_failure() {
    let office = Office::new(|deployment| deployment.refusal = Refusal::Challenge);
    for (target, header, failed) in [
        ("/hq/000000000000.cfg", None, false),
        ("/elsewhere/000000000000.cfg", None, false),
        ("/hq/~/nothing.cfg", None, false),
        ("/hq/~/0004f2000500-device.cfg", None, false),
        (
            "/hq/aaaaaaaaaaaaaaaaaaaaaaaaaaa/000000000000.cfg",
            None,
            true,
        ),
        ("/elsewhere/aaaaaaaaaaaaaaaaaaaaaaaaaaa/x.cfg", None, true),
        ("/hq/000000000000.cfg", Some("Basic hq:wrong"), true),
        (
            "/hq/~/0004f2000500-device.cfg",
            Some("Basic hq:wrong"),
            true,
        ),
        (
            "/hq/000000000000.cfg",
            Some("Basic PlcmSpIp:PlcmSpIp"),
            false,
        ),
    ] {
        let heard: Heard = office.ask_as(target, header);
        assert_eq!(heard.failed, failed, "{target} {header:?}");
    }
}

/// The first request with its own credential makes a device enrolled, and no other does.
#[test]
fn a_device_is_enrolled_when_it_comes_with_its_own() {
    let office = Office::new(|_| {});
    let window = Window {
        until: Some(NOW + 60_000),
        binds: true,
        ..Window::default()
    };
    office.enrol("0004f2000500", Enrolment::Enrolling(window));
    let file = "/hq/~/0004f2000500-device.cfg";
    let first = office.ask_as(file, None);
    assert_eq!((first.status, office.ask_as(file, None).status), (200, 200));
    assert!(matches!(
        office.enrolment("0004f2000500"),
        Enrolment::Enrolling(_)
    ));
    let own = office.ask_as("/hq/~0004f2000500/0004f2000500-device.cfg", None);
    assert_eq!(
        (own.status, &own.body),
        (200, &first.body),
        "the same, whoever asked how"
    );
    assert_eq!(
        office.enrolment("0004f2000500"),
        Enrolment::Enrolled { since: NOW }
    );
    assert_eq!(
        office.ask_as(file, None).status,
        404,
        "the window is closed"
    );
}

/// Nobody keeps a device's own file but a relay that vouches for it, where the site says so; with either, the bytes are the same.
#[test]
fn who_may_keep_a_file() {
    const NEVER: &str = "private, no-store";
    const AWHILE: &str = "private, no-cache, stale-if-error=604800";
    for keeps in [false, true] {
        let office = Office::new(|deployment| {
            let terms = Terms {
                relays: vec!["closet".to_owned()],
                ..Terms::default()
            };
            deployment
                .sites
                .insert("hq".to_owned(), Access::Keys(terms));
        });
        if keeps {
            office.let_relays_keep_files();
        }
        let vouched = if keeps { AWHILE } else { NEVER };
        for (target, credential, expected) in [
            (
                "/hq/~@closet/0004f2000500-device.cfg",
                Some("Relay closet 0004f2000500"),
                vouched,
            ),
            ("/hq/~0004f2000500/0004f2000500-device.cfg", None, NEVER),
            (
                "/hq/~0004f2000500/0004f2000500-device.cfg",
                Some("Relay attic 0004f2000500"),
                NEVER,
            ),
            (
                "/hq/~@closet/000000000000.cfg",
                Some("Relay closet 0004f2000500"),
                "no-cache",
            ),
        ] {
            let heard = office.ask_as(target, credential);
            assert_eq!(heard.status, 200, "{target} {credential:?}");
            let mut headers = heard.headers.iter();
            let control = headers.find(|(name, _)| name == "cache-control");
            assert_eq!(control.unwrap().1, expected, "{target} {credential:?}");
        }
    }
}
