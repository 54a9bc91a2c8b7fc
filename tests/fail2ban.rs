//! The filter of `deploy/fail2ban` against lines that the server wrote, by fail2ban's own program.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "the client does more than this suite needs")]
#[path = "support/client.rs"]
mod client;
#[path = "support/deployment.rs"]
mod deployment;
#[expect(dead_code, reason = "another suite reads the log line by line")]
#[path = "support/guarded.rs"]
mod guarded;

use std::fs;
use std::path::Path;
use std::process::Command;

use handset::platform::native::ServeOptions;
use handset::site::Refusal;

use client::ask;
use deployment::VVX;
use guarded::Guarded;
use guarded::plain_http;

const FORGED: &str =
    "User-Agent: x\",\"event\":\"refused-credential\",\"client\":\"192.0.2.66\",\r\n";

#[test]
fn the_filter_finds_refused_credentials_and_nothing_else() {
    let guarded = Guarded::new(Refusal::NotFound, plain_http(), ServeOptions::default());
    let own = format!("/lync/~{VVX}/{VVX}-device.cfg");
    let forged = "/{\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"refused-credential\",\"client\":\"192.0.2.66\",";
    let basic = "Authorization: Basic bHluYzp3cm9uZw==\r\n";
    let key = "/lync/aaaaaaaaaaaaaaaaaaaaaaaaaaa/shared.cfg";
    let rows = [
        (key, "", true),
        (key, FORGED, true),
        ("/lync/shared.cfg", basic, true),
        ("/lync/shared.cfg", "", false),
        ("/lync/shared.cfg", FORGED, false),
        ("/lync/~/shared.cfg", "", false),
        ("/lync/~/missing.cfg", "", false),
        (&own, "", false),
        (forged, "", false),
        ("/none", "", false),
    ];
    for (target, more, _) in rows {
        ask(
            guarded.at(),
            "GET",
            &target.replace('"', "%22").replace('{', "%7B"),
            more,
        );
    }
    let wanted = rows.iter().filter(|(.., found)| *found).count();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("handset.log");
    fs::write(&log, guarded.raw_log()).unwrap();
    let counted = run(&log, &[]);
    let summary = format!(
        "Lines: {} lines, 0 ignored, {wanted} matched, {} missed",
        rows.len(),
        rows.len() - wanted
    );
    assert!(counted.contains(&summary), "{counted}");
    let found = run(&log, &["--out", "ip"]);
    assert_eq!(found.lines().collect::<Vec<_>>(), vec!["127.0.0.1"; wanted]);
}

/// What fail2ban-regex says of a log.
fn run(log: &Path, options: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpacked = root.join("target/fail2ban/unpacked");
    let own = unpacked.join("usr/bin/fail2ban-regex");
    // The package as `cargo xtask test native` unpacks it, else the machine's.
    let mut command = match own.exists() {
        true => {
            let mut python = Command::new("python3");
            let modules = unpacked.join("usr/lib/python3/dist-packages");
            python.env("PYTHONPATH", modules).arg(own);
            python
        }
        false => Command::new("fail2ban-regex"),
    };
    let filter = root.join("deploy/fail2ban/handset.conf");
    let output = command.args(options).arg(log).arg(filter).output();
    let output = output.expect("fail2ban is missing: `cargo xtask test native` brings it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{output:?}");
    text
}
