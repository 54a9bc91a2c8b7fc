//! Whose files phones get, and what the server hears of them.

use handset::relay::carrier::failure::FailureKind;

use crate::branch::Branch;
use crate::branch::PHONES;
use crate::branch::block_on;
use crate::branch::failure;
use crate::branch::fetch;
use crate::branch::store;
use crate::programs::Program;
use crate::site::Site;

/// Refused before anything is asked, for reading and for writing.
#[test]
fn a_phone_gets_its_own() {
    let branch = Branch::new();
    let site = branch.site.clone();
    for name in ["0004f2000500.cfg", "0004f2000501.cfg", "shared.cfg"] {
        site.put(name, "no-cache", name.as_bytes());
    }
    block_on(async {
        let carrier = branch.carrier();
        for (peer, name, allowed) in [
            ("192.0.2.7", "0004f2000500.cfg", true),
            ("192.0.2.7", "0004F2000500.cfg", true),
            ("192.0.2.7", "0004f2000501.cfg", false),
            ("192.0.2.7", "0004f2000500/0004f2000501.cfg", false),
            ("192.0.2.7", "shared.cfg", true),
            ("192.0.2.99", "shared.cfg", true),
            ("192.0.2.99", "0004f2000500.cfg", false),
            ("::ffff:192.0.2.7", "0004f2000500.cfg", true),
            ("2001:db8::9", "0004f2000502.cfg", true),
            ("2001:db8::9", "0004f2000500.cfg", false),
        ] {
            // What was asked a moment ago need not be asked again.
            let before = carrier.metrics().refusals.total();
            let kind = fetch(&carrier, peer, name).await.err().map(|it| it.kind);
            let refused = carrier.metrics().refusals.total() > before;
            assert_eq!(refused, !allowed, "{peer} {name}");
            assert!(allowed || kind == Some(FailureKind::Missing));
            let log = name.replace(".cfg", "-app.log");
            let stored = store(&carrier, peer, &log, None, b"line\n").await;
            assert_eq!(stored.is_ok(), allowed, "{peer} {log}");
        }
        let asked = site.requests();
        let foreign = asked.iter().filter(|it| it.path.contains("0004f2000501"));
        assert_eq!(foreign.count(), 0);
    });
    let logged = branch.logged();
    assert!(
        logged.contains("routed clients") && logged.contains("--identity"),
        "{logged}"
    );
}

/// What the server hears.
#[test]
fn evidence() {
    for (policy, peer, name, word) in [
        (
            "own-mac",
            "192.0.2.7",
            "0004f2000500.cfg",
            "mac=0004f2000500, by=file, address=192.0.2.7",
        ),
        (
            "own-mac",
            "192.0.2.7",
            "shared.cfg",
            "mac=0004f2000500, by=file, address=192.0.2.7",
        ),
        ("own-mac", "192.0.2.99", "shared.cfg", "address=192.0.2.99"),
        (
            "any",
            "192.0.2.99",
            "0004f2000501.cfg",
            "mac=0004f2000501, by=name, address=192.0.2.99",
        ),
        (
            "192.0.2.0/24",
            "192.0.2.7",
            "0004f2000501.cfg",
            "mac=0004f2000501, by=name, address=192.0.2.7",
        ),
    ] {
        let branch = Branch {
            policy,
            ..Branch::new()
        };
        block_on(async {
            let kind = failure(&branch.carrier(), peer, name).await;
            assert_eq!(kind, FailureKind::Missing);
        });
        let requests = branch.site.requests();
        let said = [
            "handset-relay",
            "handset-relay-device",
            "handset-relay-base",
            "accept-encoding",
        ]
        .map(|header| requests[0].header(header));
        assert_eq!(
            said,
            [
                Some("closet"),
                Some(word),
                Some("tftp://192.0.2.1"),
                Some("identity")
            ],
            "{policy} {peer} {name}"
        );
    }
}

/// The program: error 1 for another's file, and the list is read again when it changes.
#[test]
fn over_tftp() {
    let site = Site::start();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("neighbours");
    let mac = PHONES[0].1;
    std::fs::write(&list, "127.0.0.1 0004f2000501\n").unwrap();
    site.put(&format!("{mac}.cfg"), "private, no-store", b"own");
    let list = list.to_str().unwrap();
    let (relay, client) = Program::relay(&site.base(), &["--neighbours", list, "--name", "attic"]);
    let read = |name: &str| block_on(client.read(name.as_bytes()));
    let error = read(&format!("{mac}.cfg")).unwrap_err().to_string();
    assert!(error.contains("error 1: file not found"), "{error}");
    assert!(site.requests().is_empty());
    let beside = directory.path().join("beside");
    std::fs::write(&beside, format!("127.0.0.1 {mac}\n")).unwrap();
    std::fs::rename(&beside, list).unwrap();
    assert_eq!(read(&format!("{mac}.cfg")).unwrap(), b"own");
    let requests = site.requests();
    let said = ["handset-relay", "handset-relay-base"].map(|header| requests[0].header(header));
    assert_eq!(said, [Some("attic"), Some(relay.addresses[0].as_str())]);
}
