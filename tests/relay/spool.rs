//! Uploads: on the disk when the phone hears so, with the server in order and once, or put aside with the reason.

use std::fs;

use handset::relay::carrier::Limits;
use handset::relay::carrier::failure::FailureKind;
use tokio::task;

use crate::branch::Branch;
use crate::branch::PHONES;
use crate::branch::block_on;
use crate::branch::fetch;
use crate::branch::files;
use crate::branch::store;
use crate::branch::until;

/// The server is away for two runs of the relay; then it has everything, each file's uploads in order.
#[test]
fn delivered_in_order() {
    let branch = Branch::new();
    let (site, [one, two, _]) = (branch.site.clone(), PHONES);
    let log = |mac: &str| format!("{mac}-app.log");
    site.set_away(true);
    let mut expected = Vec::new();
    for run in 0..2 {
        block_on(async {
            let carrier = branch.carrier();
            let sender = carrier.clone();
            task::spawn_local(async move { sender.run().await });
            for number in 0..5 {
                for (peer, mac) in [one, two] {
                    let bytes = format!("{mac} {run} {number}").repeat(500);
                    store(&carrier, peer, &log(mac), None, bytes.as_bytes())
                        .await
                        .unwrap();
                    // The phone reads what it wrote, wherever it is.
                    assert_eq!(
                        fetch(&carrier, peer, &log(mac)).await.unwrap(),
                        bytes.as_bytes()
                    );
                    expected.push((log(mac), bytes.into_bytes()));
                }
            }
        });
    }
    site.set_away(false);
    block_on(async {
        let carrier = branch.carrier();
        assert_eq!(carrier.metrics().spool_depth.value(), 20);
        let sender = carrier.clone();
        task::spawn_local(async move { sender.run().await });
        let waiting = site.clone();
        let all = task::spawn_blocking(move || waiting.wait(|requests| requests.len() == 20));
        all.await.unwrap();
    });
    for (_, mac) in [one, two] {
        let of = |all: Vec<(String, Vec<u8>)>| {
            let of = all.into_iter().filter(|(name, _)| *name == log(mac));
            of.collect::<Vec<_>>()
        };
        assert!(of(site.uploads()) == of(expected.clone()), "{mac}");
    }
    let first = &site.requests()[0];
    assert_eq!(first.header("handset-relay"), Some("closet"));
    assert!(
        first
            .header("handset-relay-device")
            .unwrap()
            .starts_with("mac=0004f200050")
    );
}

/// An append says where it continues; a file of nothing is one, too.
#[test]
fn appends_and_empty_files() {
    let branch = Branch::new();
    let (peer, mac) = PHONES[0];
    let name = format!("{mac}-boot.log");
    block_on(async {
        let carrier = branch.carrier();
        store(&carrier, peer, &name, None, b"").await.unwrap();
        store(&carrier, peer, &name, Some(0), b"one").await.unwrap();
        store(&carrier, peer, &name, Some(3), b"two").await.unwrap();
        assert_eq!(fetch(&carrier, peer, &name).await.unwrap(), b"onetwo");
        let sender = carrier.clone();
        task::spawn_local(async move { sender.run().await });
        let waiting = branch.site.clone();
        let all = task::spawn_blocking(move || waiting.wait(|requests| requests.len() == 3));
        all.await.unwrap();
        let requests = branch.site.requests();
        let said = requests
            .iter()
            .map(|it| (it.header("handset-append"), it.header("content-length")));
        let said: Vec<_> = said.collect();
        assert_eq!(
            said,
            [
                (None, Some("0")),
                (Some("0"), Some("3")),
                (Some("3"), Some("3"))
            ]
        );
    });
}

/// What the server will never take is kept with the reason, and does not stop what comes after it.
#[test]
fn rejected() {
    let branch = Branch::new();
    let (peer, mac) = PHONES[0];
    let refused = [400, 403, 404, 413];
    for status in refused {
        branch.site.refuse(&format!("{mac}-{status}.log"), status);
    }
    block_on(async {
        let carrier = branch.carrier();
        let sender = carrier.clone();
        task::spawn_local(async move { sender.run().await });
        for status in refused {
            let name = format!("{mac}-{status}.log");
            store(&carrier, peer, &name, None, b"bytes").await.unwrap();
        }
        let name = format!("{mac}-fine.log");
        store(&carrier, peer, &name, None, b"fine").await.unwrap();
        let metrics = carrier.metrics();
        until(|| metrics.delivered.total() == 1 && metrics.rejected.total() == 4).await;
        // What is delivered is counted before it is removed.
        until(|| files(&branch.state.path().join("spool")).is_empty()).await;
    });
    let aside = files(&branch.state.path().join("rejected"));
    assert_eq!(aside.len(), 8, "{aside:?}");
    let reasons: String = aside
        .iter()
        .filter(|path| path.extension().is_some())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for status in refused {
        let (reason, name) = (
            format!("the server answered {status}"),
            format!("{mac}-{status}.log"),
        );
        assert!(
            reasons.contains(&reason) && reasons.contains(&name),
            "{reasons}"
        );
    }
    assert!(branch.logged().contains("upload-rejected"));
}

/// A server that takes nothing now, or fails, gets it later.
#[test]
fn tried_again() {
    let branch = Branch::new();
    let (peer, mac) = PHONES[0];
    for status in [429, 500, 503] {
        let name = format!("{mac}-{status}.log");
        branch.site.refuse(&name, status);
        block_on(async {
            let carrier = branch.carrier();
            let sender = carrier.clone();
            task::spawn_local(async move { sender.run().await });
            store(&carrier, peer, &name, None, b"bytes").await.unwrap();
            let waiting = branch.site.clone();
            task::spawn_blocking(move || {
                let before = waiting.requests().len();
                waiting.wait(|requests| requests.len() > before);
            })
            .await
            .unwrap();
            branch.site.refuse(&name, 201);
            until(|| carrier.metrics().delivered.total() == 1).await;
        });
    }
}

/// There is a limit, and a warning before it.
#[test]
fn bounded() {
    let branch = Branch {
        limits: Limits {
            cache: 1 << 20,
            spool: 100_000,
        },
        ..Branch::new()
    };
    let (peer, mac) = PHONES[0];
    branch.site.set_away(true);
    block_on(async {
        let carrier = branch.carrier();
        let mut taken = 0;
        let failure = loop {
            let name = format!("{mac}-{taken}.log");
            match store(&carrier, peer, &name, None, &[b'x'; 20_000]).await {
                Ok(()) => taken += 1,
                Err(failure) => break failure,
            }
        };
        assert_eq!(
            (failure.kind, failure.code().0, taken),
            (FailureKind::Full, 3, 4)
        );
        let left = files(&branch.state.path().join("spool/new"));
        assert!(left.is_empty());
    });
    let logged = branch.logged();
    let warned = logged.find("spool-filling").unwrap();
    assert!(warned < logged.find("spool-full").unwrap(), "{logged}");
}

/// An upload that was damaged on the disk is put aside at the next start, and the others go.
#[test]
fn damaged() {
    let branch = Branch::new();
    let (peer, mac) = PHONES[0];
    branch.site.set_away(true);
    block_on(async {
        let carrier = branch.carrier();
        for number in 0..3 {
            let name = format!("{mac}-{number}.log");
            store(&carrier, peer, &name, None, b"some bytes")
                .await
                .unwrap();
        }
    });
    let waiting = files(&branch.state.path().join("spool"));
    let mut bytes = fs::read(&waiting[1]).unwrap();
    bytes[3] ^= 1;
    fs::write(&waiting[1], bytes).unwrap();
    branch.site.set_away(false);
    block_on(async {
        let carrier = branch.carrier();
        assert_eq!(carrier.metrics().spool_depth.value(), 2);
        let sender = carrier.clone();
        task::spawn_local(async move { sender.run().await });
        until(|| carrier.metrics().delivered.total() == 2).await;
    });
    let aside = files(&branch.state.path().join("rejected"));
    assert_eq!(aside.len(), 2, "{aside:?}");
}

/// A file that the server has, and that cannot be removed, takes room until it can; it is not sent again meanwhile.
#[test]
fn what_cannot_be_removed_takes_room() {
    let branch = Branch::new();
    let (peer, mac) = PHONES[0];
    let name = format!("{mac}-app.log");
    let (site, state) = (branch.site.clone(), branch.state.path());
    block_on(async {
        let carrier = branch.carrier();
        let metrics = carrier.metrics();
        site.set_held(true);
        let sender = carrier.clone();
        task::spawn_local(async move { sender.run().await });
        store(&carrier, peer, &name, None, &[b'x'; 5000])
            .await
            .unwrap();
        let waiting = site.clone();
        let sent = task::spawn_blocking(move || waiting.wait(|requests| requests.len() == 1));
        sent.await.unwrap();
        // While it is under way: what stands in its place now is no file.
        let [file] = files(&state.join("spool")).try_into().unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("x")).unwrap();
        let taken = metrics.spool_bytes.value();
        site.set_held(false);
        until(|| metrics.delivered.total() == 1 && metrics.spool_depth.value() == 0).await;
        assert!(taken > 5000 && metrics.spool_bytes.value() == taken);
        fs::remove_dir_all(&file).unwrap();
        // Whatever else happens, it is tried again.
        store(&carrier, peer, "other.log", None, b"y")
            .await
            .unwrap();
        until(|| metrics.delivered.total() == 2 && metrics.spool_bytes.value() == 0).await;
    });
    assert_eq!(site.uploads().len(), 2);
    let log = branch.logged();
    assert!(
        log.contains("need not wait any more and is still there"),
        "{log}"
    );
}
