//! The operator's endpoints and the states of a device, over HTTP: rows of requests, one after the other.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "support/operating.rs"]
mod operating;
#[path = "support/tree.rs"]
mod tree;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::store::directory::DirectoryStore;
use handset::token::Scope;
use handset::token::Token;

use client::secret::secrets;
use operating::Ground;
use operating::POLYCOM;
use operating::SITE_KEY;
use operating::operate;
use operating::phone;

/// The office, with a state directory of its own.
struct Office {
    directory: PathBuf,
    server: Server,
    state: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        Self::of(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office"))
    }

    fn of(directory: PathBuf) -> Self {
        let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::open(state.path(), fleet.snapshot).unwrap());
        let options = ServeOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            site: None,
            secrets: Some(secrets()),
            tls: None,
            ..ServeOptions::default()
        };
        Self {
            directory,
            server: Server::start(store, &options, Log::to(std::io::sink())).unwrap(),
            state,
        }
    }
}

impl Ground for Office {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn renew(&mut self) {
        *self = Self::open();
    }
}

#[test]
fn operators_natively() {
    operate(&mut Office::open());
}

/// The tool over the same state directory; gives its exit code and what it says.
fn handset(office: &Office, line: &str) -> (i32, String) {
    let directory = office.directory.to_string_lossy().into_owned();
    let state = office.state.path().to_string_lossy().into_owned();
    let words = line.split(' ').map(|word| match word {
        "DIR" => directory.clone(),
        "STATE" => state.clone(),
        "URL" => office.server.url(),
        word => word.to_owned(),
    });
    let token = Token {
        scope: Scope::Write,
        tenant: None,
    };
    let token = token.text(&secrets());
    let output = Command::new(env!("CARGO_BIN_EXE_handset"))
        .args(words)
        .env("HANDSET_SECRET", client::secret::SECRET)
        .env("HANDSET_TOKEN", token.expose_text().unwrap())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

/// What the tool says, and that a server over the same state sees it at once.
#[test]
fn the_tool_operates_beside_the_server_and_through_it() {
    let office = Office::open();
    for (line, code, said, status) in [
        ("knocking DIR hq --state STATE", 0, "", 404),
        (
            "enrol DIR 0004f2000500 --for 30m --state STATE",
            0,
            "enrolling until",
            200,
        ),
        (
            "lock DIR 0004f2000500 --state STATE",
            0,
            "0004f2000500 of hq: locked",
            404,
        ),
        (
            "enrol DIR 0004f2000500 --for 1h --state STATE",
            2,
            "unlock it first",
            404,
        ),
        ("unlock DIR 0004f2000500 --state STATE", 0, "staged", 404),
        (
            "enrol DIR 0004f2ffffff --for 1h --state STATE",
            2,
            "add it under devices/",
            404,
        ),
        ("enrol DIR 0004f2000500 --state STATE", 2, "--for", 404),
        (
            "enrol URL 0004f2000500 --until-first-boot",
            2,
            "--site SITE",
            404,
        ),
        (
            "enrol URL 0004f2000500 --site hq --until-first-boot --anyone",
            0,
            "enrolling from its first boot on, for anybody",
            200,
        ),
        (
            "lock URL 0004f2000500 --site branch",
            2,
            "no such device",
            200,
        ),
        ("lock URL 0004f2000500 --site hq", 0, "locked", 404),
        ("knocking URL nowhere", 2, "no site of this name", 404),
        ("knocking URL hq", 0, "0004f2000500  ", 404),
        ("token --read --tenant acme", 0, "read.acme.", 404),
        ("password office", 0, "\"office\" = \"digest-md5:", 404),
        ("key DIR hq", 0, "http://prov.example.net/hq/", 404),
        (
            "key retire DIR nowhere --state STATE",
            2,
            "nowhere.toml",
            404,
        ),
    ] {
        let (given, text) = handset(&office, line);
        assert_eq!(given, code, "{line}: {text}");
        assert!(text.contains(said), "{line}: {text}");
        assert_eq!(phone(&office, SITE_KEY, POLYCOM), status, "after {line}");
    }
}

/// Keys that a phone came with last are not retired unasked, whoever saw it.
#[test]
fn old_keys_stay_while_devices_come_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    tree::copy(&fixture, directory.path(), &["state"]);
    let office = Office::of(directory.path().to_owned());
    // A boot begins with a name that there is nothing for.
    phone(&office, "/hq/~0004f2000500/0004f2000500.cfg", POLYCOM);
    for (line, code, said) in [
        (
            "key retire DIR hq --state STATE",
            0,
            "makes keys of generation 0",
        ),
        (
            "key rotate DIR hq",
            0,
            "makes keys of generation 1 and takes those from 0 on",
        ),
        ("key retire DIR hq --state STATE", 1, "0004f2000500"),
        ("key retire DIR hq --url URL", 1, "0004f2000500"),
        (
            "key retire DIR branch --url URL",
            0,
            "makes keys of generation 0",
        ),
        (
            "key retire DIR hq --url URL --force",
            0,
            "takes those from 1 on",
        ),
    ] {
        let (given, text) = handset(&office, line);
        assert_eq!(given, code, "{line}: {text}");
        assert!(text.contains(said), "{line}: {text}");
    }
}
