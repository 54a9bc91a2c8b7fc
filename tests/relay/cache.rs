//! What the relay keeps, and what it does not.

use std::fs;

use handset::relay::carrier::Limits;
use handset::relay::carrier::failure::FailureKind;
use handset::tftp::name::FileName;
use tokio::task;

use crate::branch::Branch;
use crate::branch::PHONES;
use crate::branch::block_on;
use crate::branch::failure;
use crate::branch::fetch;
use crate::branch::kept;
use crate::branch::visitor;

const KEPT: &str = "private, no-cache, stale-if-error=604800";

fn content(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// A device's own file is asked for each time, comes from the disk when it is the newest, and while the server is away.
#[test]
fn revalidated_and_stale() {
    let branch = Branch::new();
    let (site, peer) = (branch.site.clone(), PHONES[0].0);
    let own = format!("{}.cfg", PHONES[0].1);
    site.put(&own, KEPT, b"one");
    site.put("secret.cfg", "private, no-store", b"two");
    site.put("shared.cfg", "no-cache", &content(100_000));
    block_on(async {
        let carrier = branch.carrier();
        for _ in 0..2 {
            assert_eq!(fetch(&carrier, peer, &own).await.unwrap(), b"one");
            kept(&carrier, 1).await;
        }
        let requests = site.requests();
        let [first, second] = requests.as_slice() else {
            panic!("{requests:#?}");
        };
        assert_eq!(first.header("if-none-match"), None);
        assert!(second.header("if-none-match").is_some());
        let metrics = carrier.metrics();
        assert_eq!(
            (metrics.cache_misses.total(), metrics.cache_hits.total()),
            (1, 1)
        );
        site.put(&own, KEPT, b"newer");
        assert_eq!(fetch(&carrier, peer, &own).await.unwrap(), b"newer");
        kept(&carrier, 2).await;
        assert_eq!(fetch(&carrier, peer, "secret.cfg").await.unwrap(), b"two");
        assert_eq!(
            fetch(&carrier, peer, "shared.cfg").await.unwrap(),
            content(100_000)
        );
        assert_eq!(
            failure(&carrier, peer, "none.cfg").await,
            FailureKind::Missing
        );
        kept(&carrier, 4).await;
    });
    // Another run, after a power cut, say.
    site.set_away(true);
    block_on(async {
        let carrier = branch.carrier();
        assert_eq!(fetch(&carrier, peer, &own).await.unwrap(), b"newer");
        assert_eq!(
            fetch(&carrier, peer, "shared.cfg").await.unwrap(),
            content(100_000)
        );
        assert_eq!(
            failure(&carrier, peer, "none.cfg").await,
            FailureKind::Missing
        );
        assert_eq!(
            failure(&carrier, peer, "secret.cfg").await,
            FailureKind::Unreachable
        );
        assert_eq!(
            failure(&carrier, peer, "never.cfg").await,
            FailureKind::Unreachable
        );
        assert_eq!(carrier.metrics().stale_serves.total(), 3);
        site.set_away(false);
        site.put(&own, KEPT, b"newest");
        assert_eq!(fetch(&carrier, peer, &own).await.unwrap(), b"newest");
    });
    for path in branch.cache() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let text = fs::read(&path).unwrap();
        assert!(
            !text.windows(3).any(|it| it == b"two"),
            "a file that nobody may keep is kept"
        );
    }
}

/// A server that fails is away; one that says that there is no file any more is not, and then nothing is kept.
#[test]
fn what_the_server_says_counts() {
    let branch = Branch::new();
    let (site, peer) = (branch.site.clone(), PHONES[0].0);
    let own = format!("{}.cfg", PHONES[0].1);
    block_on(async {
        for (status, remains) in [
            (500, true),
            (503, true),
            (429, true),
            (404, false),
            (403, false),
        ] {
            site.set_away(false);
            let bytes = format!("before {status}");
            site.put(&own, KEPT, bytes.as_bytes());
            let carrier = branch.carrier();
            assert_eq!(
                fetch(&carrier, peer, &own).await.unwrap(),
                bytes.as_bytes(),
                "{status}"
            );
            kept(&carrier, 1).await;
            let file = crate::site::File {
                status,
                ..Default::default()
            };
            site.put_file(&own, file);
            assert_eq!(
                fetch(&carrier, peer, &own).await.is_ok(),
                remains,
                "{status}"
            );
            site.set_away(true);
            assert_eq!(
                fetch(&carrier, peer, &own).await.is_ok(),
                remains,
                "{status}, away"
            );
        }
    });
}

/// Missing files that phones share are known for a moment without asking.
#[test]
fn negative() {
    let branch = Branch::new();
    block_on(async {
        let carrier = branch.carrier();
        for (peer, _) in PHONES {
            let kind = failure(&carrier, peer, "000000000000-license.cfg").await;
            assert_eq!(kind, FailureKind::Missing);
            kept(&carrier, 1).await;
        }
        assert_eq!(branch.site.requests().len(), 1);
        assert_eq!(carrier.metrics().negative_hits.total(), 2);
    });
}

/// Fifty phones that ask for one image at once cost one request, and each gets it as it arrives.
#[test]
fn one_request_for_many_phones() {
    let branch = Branch::new();
    let (site, image) = (branch.site.clone(), content(700_000));
    site.put("image.ld", "no-cache", &image);
    site.set_held(true);
    block_on(async {
        let carrier = branch.carrier();
        let phones: Vec<_> = (0..50)
            .map(|number| {
                let carrier = carrier.clone();
                let peer = format!("192.0.2.{number}");
                task::spawn_local(async move { fetch(&carrier, &peer, "image.ld").await })
            })
            .collect();
        let asked = site.clone();
        let begun = task::spawn_blocking(move || asked.wait(|requests| !requests.is_empty()));
        begun.await.unwrap();
        site.set_held(false);
        for phone in phones {
            assert!(phone.await.unwrap().unwrap() == image);
        }
        assert_eq!(site.requests().len(), 1);
        // Who comes a moment later has it from the disk.
        assert!(fetch(&carrier, PHONES[0].0, "image.ld").await.unwrap() == image);
        assert_eq!(site.requests().len(), 1);
    });
}

/// The server is not asked any more when the last phone has given up.
#[test]
fn a_fetch_ends_with_its_phones() {
    let branch = Branch::new();
    let site = branch.site.clone();
    site.put("image.ld", "no-cache", &content(50 << 20));
    block_on(async {
        let carrier = branch.carrier();
        let name = FileName::parse(b"image.ld").unwrap();
        let mut body = carrier
            .fetch(&visitor(PHONES[0].0), &name, 0)
            .await
            .unwrap();
        body.next(&mut [0; 100]).await.unwrap();
        drop(body);
        let waiting = site.clone();
        task::spawn_blocking(move || waiting.wait_broken())
            .await
            .unwrap();
        assert!(branch.cache().is_empty());
        let left = crate::branch::files(&branch.state.path().join("cache/new"));
        assert!(left.is_empty(), "{left:?}");
    });
}

/// What was damaged on the disk, or lies under another name, is asked for again.
#[test]
fn damage_is_a_miss() {
    let branch = Branch::new();
    let (site, peer) = (branch.site.clone(), PHONES[0].0);
    let own = format!("{}.cfg", PHONES[0].1);
    site.put(&own, KEPT, &content(400_000));
    block_on(async {
        let carrier = branch.carrier();
        fetch(&carrier, peer, &own).await.unwrap();
        for (number, at) in (1..).zip([0, 200_000, 399_999, 400_010, 400_300]) {
            kept(&carrier, number).await;
            let paths = branch.cache();
            let [path] = paths.as_slice() else {
                panic!("{paths:?}");
            };
            let mut bytes = fs::read(path).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
            fs::write(path, &bytes).unwrap();
            let before = site.requests().len();
            assert!(fetch(&carrier, peer, &own).await.unwrap() == content(400_000));
            let requests = site.requests();
            assert_eq!(requests[before].header("if-none-match"), None, "byte {at}");
        }
        assert_eq!(carrier.metrics().damaged.total(), 5);
    });
}

/// No phone gets another's file, whatever lies in the cache and under which name.
#[test]
fn never_across_hardware_addresses() {
    let branch = Branch::new();
    let site = branch.site.clone();
    let [one, two, _] = PHONES;
    for (_, mac) in [one, two] {
        site.put(&format!("{mac}.cfg"), KEPT, format!("of {mac}").as_bytes());
    }
    // A device's own, under a name that does not say so.
    site.put("mine.cfg", KEPT, b"of nobody knows");
    block_on(async {
        let carrier = branch.carrier();
        for (peer, mac) in [one, two] {
            let name = format!("{mac}.cfg");
            fetch(&carrier, peer, &name).await.unwrap();
        }
        fetch(&carrier, one.0, "mine.cfg").await.unwrap();
        kept(&carrier, 2).await;
        let paths = branch.cache();
        assert_eq!(paths.len(), 2, "{paths:?}");
        site.set_away(true);
        assert_eq!(
            failure(&carrier, two.0, "mine.cfg").await,
            FailureKind::Unreachable
        );
        assert_eq!(
            failure(&carrier, one.0, "mine.cfg").await,
            FailureKind::Unreachable
        );
        let before = site.requests().len();
        let others = format!("{}.cfg", one.1);
        assert_eq!(
            failure(&carrier, two.0, &others).await,
            FailureKind::Missing
        );
        assert_eq!(
            failure(&carrier, "192.0.2.99", &others).await,
            FailureKind::Missing
        );
        assert_eq!(
            site.requests().len(),
            before,
            "refused before anything is asked"
        );
        // Exchanged on the disk, neither is the other.
        let [first, second] = [&paths[0], &paths[1]].map(|path| fs::read(path).unwrap());
        fs::write(&paths[0], second).unwrap();
        fs::write(&paths[1], first).unwrap();
        for (peer, mac) in [one, two] {
            let kind = failure(&carrier, peer, &format!("{mac}.cfg")).await;
            assert_eq!(kind, FailureKind::Unreachable);
        }
    });
}

/// The cache stays within its bytes: what was not used for longest goes.
#[test]
fn eviction() {
    let branch = Branch {
        limits: Limits {
            cache: 100_000,
            spool: 1 << 20,
        },
        ..Branch::new()
    };
    let (site, peer) = (branch.site.clone(), PHONES[0].0);
    for name in ["a", "b", "c"] {
        site.put(name, "no-cache", &content(40_000));
    }
    // What has no room at all goes by without being kept.
    site.put("large", "no-cache", &content(300_000));
    block_on(async {
        let carrier = branch.carrier();
        for (name, writes) in [("a", 1), ("b", 2), ("a", 2), ("c", 3)] {
            assert!(fetch(&carrier, peer, name).await.unwrap() == content(40_000));
            kept(&carrier, writes).await;
        }
        let kept: u64 = branch
            .cache()
            .iter()
            .map(|it| fs::metadata(it).unwrap().len())
            .sum();
        assert!(kept <= 100_000, "{kept}");
        assert_eq!(carrier.metrics().cache_bytes.value(), kept);
        site.set_away(true);
        assert_eq!(failure(&carrier, peer, "b").await, FailureKind::Unreachable);
        for name in ["a", "c"] {
            assert!(fetch(&carrier, peer, name).await.is_ok(), "{name}");
        }
        site.set_away(false);
        assert!(fetch(&carrier, peer, "large").await.unwrap() == content(300_000));
    });
}

/// What a phone asks of the middle of a file is that.
#[test]
fn from_an_offset() {
    let branch = Branch::new();
    branch.site.put("a", "no-cache", &content(10_000));
    branch.site.put("b", "no-store", &content(10_000));
    block_on(async {
        let carrier = branch.carrier();
        for name in ["a", "a", "b"] {
            let file = FileName::parse(name.as_bytes()).unwrap();
            let mut body = carrier
                .fetch(&visitor(PHONES[0].0), &file, 6000)
                .await
                .unwrap();
            assert_eq!(body.length(), Some(4000));
            let mut bytes = vec![0; 5000];
            let mut read = 0;
            while read < 4000 {
                read += body.next(&mut bytes[read..]).await.unwrap();
            }
            assert!(bytes[..read] == content(10_000)[6000..], "{name}");
        }
    });
}
