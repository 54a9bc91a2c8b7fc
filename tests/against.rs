//! What the tool reads of a running server: `diff --against`, `status` and `logs`; and the same beside a directory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/published.rs"]
#[expect(dead_code, reason = "nothing is counted here")]
mod published;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diff::Difference;
use handset::fleet::diff::diff;
use handset::fleet::published::beside;
use handset::fleet::push::Progress;
use handset::fleet::push::Step;
use handset::fleet::push::Wish;
use handset::fleet::push::push;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::platform::native::operate::remote::Remote;
use handset::store::directory::DirectoryStore;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use published::Published;

/// File, what stands there, and what takes its place.
type Edit = (&'static str, &'static str, &'static str);

/// What is done to the fixture, and how many phones change, come and go.
const EDITS: &[(&[Edit], [usize; 3])] = &[
    (&[], [0, 0, 0]),
    (
        &[("sites/hq.toml", "America/Chicago", "America/New_York")],
        [8, 0, 0],
    ),
    (
        &[
            ("devices/phones.csv", "Ann Ångström", "Ann"),
            ("devices/phones.csv", "s3cret-two", "n3w-secret"),
        ],
        [2, 0, 0],
    ),
    (
        &[(
            "devices/phones.csv",
            "0080f0000113,branch,KX-UT113",
            "0080f0000114,branch,KX-UT113",
        )],
        [0, 1, 1],
    ),
    (
        &[(
            "sites/branch.toml",
            "[settings]\n",
            "[settings]\nadmin_password = \"n3w-secret\"\n",
        )],
        [3, 0, 0],
    ),
    (
        &[(
            "templates/polycom/{mac}-badge.cfg",
            "badge up",
            "badge x.y=\"1\" up",
        )],
        [5, 0, 0],
    ),
];

struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: u64) {}
    fn advance(&self, _: u64) {}
}

fn office() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office")
}

fn compile(directory: &Path) -> Fleet {
    let compiled = fleet::compile(directory, &mut Hashes::default());
    compiled.unwrap_or_else(|found| panic!("{found:?}"))
}

fn edited(edits: &[Edit]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    tree::copy(&office(), directory.path(), &["state"]);
    for (file, from, to) in edits {
        let path = directory.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
    directory
}

fn shown(difference: &Difference) -> String {
    let changes: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    format!("{}\n{}", difference.table(), changes.join("\n"))
}

/// Against a server as against the directory that was pushed to it, and without a secret on the way.
#[test]
fn a_server_is_as_good_to_compare_with_as_a_directory() {
    let server = Published::open();
    let remote = Remote::new(&server.url(), &server.token(), None).unwrap();
    let before = compile(&office());
    push(&remote, &before, &Wish::default(), &Silent).unwrap();
    for (edits, expected) in EDITS {
        let directory = edited(edits);
        let after = compile(directory.path());
        let published = beside(&remote, &after, &[], None).unwrap();
        let found = diff(&published, &after);
        let sum = |count: fn(&fleet::diff::Tally) -> usize| -> usize {
            found.summary.values().map(count).sum()
        };
        let sums = [
            sum(|it| it.changed),
            sum(|it| it.added),
            sum(|it| it.removed),
        ];
        assert_eq!(sums, *expected, "{edits:?}\n{}", shown(&found));
        assert_eq!(shown(&found), shown(&diff(&before, &after)), "{edits:?}");
        for secret in ["s3cret", "n3w-secret", "reception-admin"] {
            assert!(!shown(&found).contains(secret), "{secret} shows");
        }
    }
}

/// What was published before, and what only some devices get, can be looked at as well; nothing older.
#[test]
fn a_publication_before_is_compared_with() {
    let server = Published::open();
    let remote = Remote::new(&server.url(), &server.token(), None).unwrap();
    let versions = [edited(&[]), edited(EDITS[1].0), edited(EDITS[2].0)];
    let fleets = versions.each_ref().map(|it| compile(it.path()));
    for fleet in &fleets[..2] {
        push(&remote, fleet, &Wish::default(), &Silent).unwrap();
    }
    let site = ["hq".to_owned()];
    for (local, publication, against) in [
        (0, Some(1), 0),
        (0, Some(2), 1),
        (0, None, 1),
        (1, Some(1), 0),
        (2, Some(1), 0),
    ] {
        let fleet = &fleets[local];
        let published = beside(&remote, fleet, &site, publication).unwrap();
        let mut sides = [against, local].map(|it| compile(versions[it].path()));
        for side in &mut sides {
            side.retain_sites(&site);
        }
        let [old, new] = &sides;
        let found = shown(&diff(&published, new));
        assert_eq!(found, shown(&diff(old, new)), "{local} {publication:?}");
    }
    push(&remote, &fleets[2], &Wish::default(), &Silent).unwrap();
    let trouble = beside(&remote, &fleets[2], &site, Some(1)).unwrap_err();
    assert_eq!(trouble.status(), Some(409), "{trouble}");
}

/// A site with one phone of each kind, open, and the tool beside and before it.
struct Shop {
    directory: TempDir,
    server: Server,
}

const OVERRIDES: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_CONFIG>\n\
    \t<OVERRIDES np.normal.ringing.calls.tonePattern=\"ringer10\" tcpIpApp.sntp.address=\"time.example.org\"/>\n</PHONE_CONFIG>\n";

impl Shop {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("handset.toml", "");
        put(
            "sites/hq.toml",
            "access = \"open\"\n[settings]\nntp_server = \"pool.example.net\"\nlog_upload = true\n",
        );
        put(
            "devices/phones.csv",
            "mac,site,model\n0004f2000500,hq,VVX 500\n0004f2000501,hq,VVX 500\n0004f2000502,hq,VVX 500\n",
        );
        let state = directory.path().join("state");
        let store = DirectoryStore::open(&state, compile(directory.path()).snapshot).unwrap();
        let options = ServeOptions::default();
        let log = Log::to(std::io::sink());
        let server = Server::start(Arc::new(store), &options, log).unwrap();
        Self { directory, server }
    }

    /// Two of the phones boot, one of them with settings of its own; both upload a log.
    fn boot(url: &str) {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = ureq::Agent::new_with_config(config.build());
        let get = |name: &str, version: &str| {
            let said = format!("FileTransport PolycomVVX-VVX_{version}");
            let request = agent.get(format!("{url}/hq/{name}"));
            request.header("user-agent", said).call().unwrap();
        };
        let put = |name: &str, text: &str| {
            let answer = agent.put(format!("{url}/hq/{name}")).send(text).unwrap();
            assert!(answer.status().is_success(), "{name}: {}", answer.status());
        };
        get("0004f2000500.cfg", "500-UA/5.9.7.1");
        get("0004f2000501.cfg", "400-UA/5.9.5.2");
        put("0004f2000500-phone.cfg", OVERRIDES);
        put("0004f2000500-app.log", "first\n");
        put("0004f2000500-app.log", "second\n");
        put("0004f2000500-boot.log", "booted\n");
    }

    fn handset(&self, line: &str, place: &[&str], token: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_handset"))
            .args(line.split(' '))
            .args(place)
            .env("HANDSET_TOKEN", token)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    }
}

/// The same rows by the state beside a directory and by a server that it was pushed to.
#[test]
fn status_and_logs_beside_a_directory_and_of_a_server() {
    let shop = Shop::open();
    let server = Published::open();
    let remote = Remote::new(&server.url(), &server.token(), None).unwrap();
    let fleet = compile(shop.directory.path());
    push(&remote, &fleet, &Wish::default(), &Silent).unwrap();
    let (url, directory) = (server.url(), shop.directory.path().to_string_lossy());
    for (base, place, fetched, site) in [
        (shop.server.url(), ["--dir", &*directory], Value::Null, ""),
        (url.clone(), ["--url", &*url], json!(1), " --site hq"),
    ] {
        Shop::boot(&base);
        let token = server.token();
        let told = |line: &str| {
            let (code, out, problem) = shop.handset(line, &place, &token);
            assert_eq!(code, 0, "{line} {place:?}: {problem}");
            out
        };
        let rows: Value = serde_json::from_str(&told("status --drift --json")).unwrap();
        let row = |number: usize| rows[number].as_object().unwrap().clone();
        let (never, drifts, other) = (row(0), row(1), row(2));
        assert_eq!(never["seen"], "never");
        assert_eq!(never["mac"], "0004f2000502");
        assert_eq!(drifts["seen"], "lately");
        assert_eq!(drifts["firmware"], "5.9.7.1");
        assert_eq!(drifts.get("fetched").cloned().unwrap_or_default(), fetched);
        assert_eq!(drifts["enrolment"], "staged");
        assert_eq!(
            drifts["drift"],
            json!([
                {"parameter": "tcpIpApp.sntp.address", "file": "0004f2000500-phone.cfg",
                 "local": "time.example.org", "given": "pool.example.net", "effect": "defeats"},
                {"parameter": "np.normal.ringing.calls.tonePattern", "file": "0004f2000500-phone.cfg",
                 "local": "ringer10", "effect": "adds"},
            ])
        );
        assert_eq!(other["says-model"], "VVX 400");
        let text = told("status --drift");
        assert!(
            text.contains("tcpIpApp.sntp.address=time.example.org defeats pool.example.net"),
            "{text}"
        );
        assert!(
            text.ends_with("3 devices: 1 never seen, 2 seen\n"),
            "{text}"
        );
        let table = told("status --drift --csv");
        let line = table
            .lines()
            .find(|line| line.contains("0004f2000500"))
            .unwrap();
        assert!(line.ends_with(",tcpIpApp.sntp.address"), "{line}");
        let logs = |more: &str| told(&format!("logs 0004f2000500{site}{more}"));
        let (list, all) = (logs(" --list"), logs(" --all"));
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(
            logs("").contains("second\n") && !logs("").contains("first\n"),
            "{}",
            logs("")
        );
        assert!(
            all.find("first").unwrap() < all.find("second").unwrap(),
            "{all}"
        );
        assert_eq!(logs(" --name boot"), "booted\n");
        let (code, _, problem) = shop.handset(&format!("logs 0004f2000501{site}"), &place, &token);
        assert_eq!(
            (code, problem.contains("no such log")),
            (1, true),
            "{problem}"
        );
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let shop = Shop::open();
    let server = Published::open();
    let url = server.url();
    let directory = shop.directory.path().to_string_lossy().into_owned();
    let diff = format!("diff {directory} --against");
    let push = format!("push {directory} --to");
    for (line, place, token, code, said) in [
        (
            "status",
            ["--url", &url],
            "read.0000",
            1,
            "a token is needed",
        ),
        (
            "status --site nowhere",
            ["--url", &url],
            &server.token(),
            1,
            "no site of this name",
        ),
        (
            "status --site nowhere",
            ["--dir", &directory],
            "",
            1,
            "no site \"nowhere\"",
        ),
        (
            "status --stale-after 1x",
            ["--dir", &directory],
            "",
            2,
            "30m, 2h, 1d",
        ),
        (
            &diff,
            [&url, "--summary"],
            "read.0000",
            2,
            "a token is needed",
        ),
        (&push, [&url, "--json"], "read.0000", 1, "a token is needed"),
        (
            &push,
            ["http://127.0.0.1:1", "--json"],
            "x",
            2,
            "http://127.0.0.1:1: ",
        ),
        (
            &push,
            [&shop.server.url(), "--json"],
            "x",
            1,
            "has no secret",
        ),
        (
            "rollback",
            [&url, "hq"],
            &server.token(),
            1,
            "no site of this name",
        ),
        (
            "canary promote",
            [&url, "hq"],
            &server.token(),
            1,
            "no site of this name",
        ),
        (
            "watch",
            ["--url", &url],
            "read.0000",
            1,
            "a token is needed",
        ),
    ] {
        let (given, out, problem) = shop.handset(line, &place, token);
        let text = out + &problem;
        assert_eq!(given, code, "{line}: {text}");
        assert!(text.contains(said), "{line}: {text}");
    }
}
