//! A server and a line that fail in every way: no part of a file is taken for all of it, and nothing that was told stored is lost.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use handset::relay::carrier::Carrier;
use handset::relay::carrier::failure::FailureKind;
use handset::relay::upstream::Deadlines;
use tokio::task::JoinSet;

use crate::branch::Branch;
use crate::branch::PHONES;
use crate::branch::block_on;
use crate::branch::failure;
use crate::branch::fetch;
use crate::branch::kept;
use crate::branch::store;
use crate::branch::until;
use crate::programs::Program;
use crate::site::Fault;

const SHARED: &str = "no-cache";
const OWN: &str = "private, no-cache, stale-if-error=604800";
const NOT_KEPT: &str = "private, no-store";

/// Faults that break an answer off, and one that makes none of it.
const FAULTS: [Fault; 7] = [
    Fault::Cut,
    Fault::CutChunk,
    Fault::Endless,
    Fault::Garbage,
    Fault::Head,
    Fault::Reset,
    Fault::Stall,
];

/// A branch that does not wait for long.
fn branch() -> Branch {
    Branch {
        deadlines: Deadlines {
            first_byte: Duration::from_millis(500),
            stall: Duration::from_millis(500),
            ..Deadlines::default()
        },
        ..Branch::new()
    }
}

/// Each of its own length, and so of its own entity tag.
fn content(seed: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(u32::to_be_bytes);
    words.take(300_000 + seed).collect()
}

/// Own, so that the server is asked each time.
fn own() -> String {
    format!("{}.cfg", PHONES[0].1)
}

#[test]
fn no_part_of_a_file_is_taken_for_all_of_it() {
    for fault in FAULTS {
        for control in [SHARED, OWN, NOT_KEPT] {
            for phones in [1, 4] {
                cold(fault, control, phones);
            }
        }
        warm(fault);
    }
}

/// Phones that ask for what was never here: all of it, or a failure; and all of it once the line is good.
fn cold(fault: Fault, control: &'static str, phones: usize) {
    let branch = branch();
    let (site, name, bytes) = (branch.site.clone(), own(), content(1));
    let when = format!("{fault:?}, {control}, {phones} phones");
    site.put(&name, control, &bytes);
    site.set_fault(Some(fault));
    block_on(async {
        let carrier = branch.carrier();
        for answer in all_at_once(&carrier, &name, phones).await {
            assert!(answer.is_none(), "{when}: a file came");
        }
        assert!(branch.cache().is_empty(), "{when}: something was kept");
        mend(&branch);
        for answer in all_at_once(&carrier, &name, phones).await {
            assert!(
                answer.is_some_and(|it| it == bytes),
                "{when}: it does not come afterwards"
            );
        }
    });
}

/// A phone that asks for what was here in an older version: that, the newer or a failure.
fn warm(fault: Fault) {
    let branch = branch();
    let (site, name) = (branch.site.clone(), own());
    let (older, newer) = (content(1), content(2));
    block_on(async {
        let carrier = branch.carrier();
        site.put(&name, OWN, &older);
        assert!(fetch(&carrier, PHONES[0].0, &name).await.unwrap() == older);
        kept(&carrier, 1).await;
        site.put(&name, OWN, &newer);
        site.set_fault(Some(fault));
        let answer = fetch(&carrier, PHONES[0].0, &name).await;
        assert!(
            answer.is_err() || answer.is_ok_and(|it| it == older),
            "{fault:?}"
        );
        site.set_away(true);
        let answer = fetch(&carrier, PHONES[0].0, &name).await;
        assert!(
            answer.is_ok_and(|it| it == older),
            "{fault:?}: the older version is gone"
        );
        site.set_away(false);
        mend(&branch);
        // A server that was silent a moment ago is not asked by who has something.
        while fetch(&carrier, PHONES[0].0, &name).await.unwrap() != newer {
            tokio::task::yield_now().await;
        }
    });
}

fn mend(branch: &Branch) {
    branch.site.set_fault(None);
    branch.site.set_held(false);
}

/// What each of so many phones gets that ask at once.
async fn all_at_once(carrier: &Carrier, name: &str, phones: usize) -> Vec<Option<Vec<u8>>> {
    let mut asking = JoinSet::new();
    for _ in 0..phones {
        let (carrier, name) = (carrier.clone(), name.to_owned());
        asking.spawn_local(async move { fetch(&carrier, PHONES[0].0, &name).await.ok() });
    }
    asking.join_all().await
}

/// A line on which a file takes longer than any deadline, but which goes on.
#[test]
fn slow_is_not_silent() {
    let branch = branch();
    let bytes = content(1);
    branch.site.put("image.ld", SHARED, &bytes);
    let slow = Fault::Slow(40, Duration::from_millis(20));
    branch.site.set_fault(Some(slow));
    block_on(async {
        let carrier = branch.carrier();
        let begun = Instant::now();
        for answer in all_at_once(&carrier, "image.ld", 4).await {
            assert!(answer.is_some_and(|it| it == bytes));
        }
        assert!(begun.elapsed() > branch.deadlines.stall);
    });
    assert_eq!(branch.site.requests().len(), 1);
}

/// A server that takes connections and says nothing.
#[test]
fn silent() {
    let mut branch = branch();
    // As long as it takes to be taken for silent.
    branch.deadlines.first_byte = Duration::from_millis(1200);
    let name = own();
    block_on(async {
        let carrier = branch.carrier();
        branch.site.put(&name, OWN, b"kept");
        fetch(&carrier, PHONES[0].0, &name).await.unwrap();
        kept(&carrier, 1).await;
        branch.site.set_held(true);
        let never = failure(&carrier, PHONES[0].0, "never.cfg").await;
        assert_eq!(never, FailureKind::Unreachable);
        let asked = branch.site.requests().len();
        assert_eq!(fetch(&carrier, PHONES[0].0, &name).await.unwrap(), b"kept");
        assert_eq!(
            branch.site.requests().len(),
            asked,
            "a phone waited for a server that is known to be silent"
        );
    });
}

/// An answer to an upload that does not come whole is none: it is sent again.
#[test]
fn uploads_outlast_faults() {
    for fault in [Fault::Garbage, Fault::Head, Fault::Stall] {
        let branch = branch();
        let name = format!("{}-app.log", PHONES[0].1);
        match fault {
            Fault::Stall => branch.site.set_held(true),
            other => branch.site.set_fault(Some(other)),
        }
        block_on(async {
            let carrier = branch.carrier();
            let sender = carrier.clone();
            tokio::task::spawn_local(async move { sender.run().await });
            store(&carrier, PHONES[0].0, &name, None, b"a log")
                .await
                .unwrap();
            until(|| branch.site.requests().len() >= 2).await;
            mend(&branch);
            let delivered = || carrier.metrics().delivered.total() == 1;
            until(delivered).await;
        });
        let uploads = branch.site.uploads();
        assert!(
            uploads
                .iter()
                .all(|it| it == &(name.clone(), b"a log".to_vec())),
            "{fault:?}"
        );
    }
}

/// Phones that begin a request and do not end it, or do not read their answer, are in nobody's way.
#[test]
fn slow_phones() {
    let branch = Branch::new();
    let image: Vec<u8> = content(1).repeat(10);
    branch.site.put("image.ld", SHARED, &image);
    let state = branch.state.path().join("relay");
    let more = ["--identity", "any", "--http", "127.0.0.1:0", "--state"];
    let more = [&more[..], &[state.to_str().unwrap()]].concat();
    let (relay, client) = Program::relay(&branch.site.base(), &more);
    let address = relay.addresses[1].strip_prefix("http://").unwrap();
    let begun: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = "GET /image.ld HTTP/1.1\r\nHost: relay\r\n";
            let all = format!("{head}\r\n");
            // One half never ends its request, the other one never reads the answer.
            let sent = if number % 2 == 0 { head } else { &all };
            stream.write_all(sent.as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /image.ld HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&image));
    assert!(block_on(client.read(b"image.ld")).unwrap() == image);
    // Generous for a machine that is busy, and far less than any time that the others have.
    assert!(begin.elapsed() < Duration::from_secs(20));
    let memory = resident(relay.id());
    assert!(
        memory < 120 << 20,
        "{memory} bytes with {} phones",
        begun.len()
    );
}

/// Bytes of a process's memory (proc(5)).
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() << 10
}

/// A machine without a clock of its own: time jumps by years, both ways, and nothing is lost or forgotten by that.
#[test]
fn clock_jumps() {
    let Some(library) = faketime() else {
        return println!("skipped: libfaketime is not installed (apt-get install faketime)");
    };
    let branch = Branch::new();
    let (site, state) = (branch.site.clone(), branch.state.path().join("relay"));
    let clock = branch.state.path().join("clock");
    let set = |jump: &str| std::fs::write(&clock, jump).unwrap();
    set("+0");
    let more = ["--identity", "any", "--state", state.to_str().unwrap()];
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let (_relay, client) = Program::relay_in(&site.base(), &more, &environment);
    let log = format!("{}-app.log", PHONES[0].1);
    // Its own, for what phones share is taken to be the newest for a moment.
    let name = own();
    site.put(&name, OWN, b"own");
    let mut sent = Vec::new();
    assert_eq!(block_on(client.read(name.as_bytes())).unwrap(), b"own");
    for (jump, is_served) in [
        ("-3650d", true),
        ("+0", true),
        // It may be older than what may be served.
        ("+3650d", false),
        ("+0", true),
        ("-20d", true),
    ] {
        site.set_away(true);
        set(jump);
        let served = block_on(client.read(name.as_bytes()));
        assert_eq!(served.is_ok(), is_served, "{jump}: {served:?}");
        for part in 0..3 {
            let bytes = format!("{jump} {part}\n").into_bytes();
            block_on(client.write(log.as_bytes(), &bytes)).unwrap();
            sent.push(bytes);
        }
        site.set_away(false);
        site.wait(|requests| {
            sent.iter()
                .all(|it| requests.iter().any(|asked| asked.body == *it))
        });
    }
    let mut came: Vec<Vec<u8>> = site.uploads().into_iter().map(|it| it.1).collect();
    came.dedup();
    assert_eq!(came, sent);
}

/// What sets a program's clock, where Debian's package is installed.
fn faketime() -> Option<String> {
    let script = "faketime -f +0 printenv LD_PRELOAD";
    let mut command = Command::new("sh");
    let output = command.args(["-c", script]).stderr(Stdio::null()).output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let library = text.trim().rsplit(':').next().unwrap_or_default();
    (!library.is_empty()).then(|| library.to_owned())
}
