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

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
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

/// Begins to watch; gives the connection once the server says that it is watched.
fn watch(office: &Office, tenant: Option<&str>) -> BufReader<TcpStream> {
    let token = Token {
        scope: Scope::Read,
        tenant: tenant.map(str::to_owned),
    };
    let token = token.text(&secrets());
    let mut stream = client::connect(office.server.address());
    let bearer = token.expose_text().unwrap();
    let request = format!(
        "GET /-/v1/watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    let head = until(&mut lines, ": nothing new");
    assert!(head.contains("text/event-stream"), "{head}");
    lines
}

/// Reads up to the line that begins so.
fn until(lines: &mut impl BufRead, beginning: &str) -> String {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ends after {text}");
        text.push_str(&line);
        if line.starts_with(beginning) {
            return text;
        }
    }
}

#[test]
fn requests_are_watched_as_they_happen_by_whom_they_concern() {
    let office = Office::open();
    let mut everybody = watch(&office, None);
    let mut mine = watch(&office, Some("acme"));
    let mut others = watch(&office, Some("zenith"));
    phone(&office, OWN_FILE, POLYCOM);
    for lines in [&mut everybody, &mut mine] {
        let event = until(lines, "data: ");
        let json = event.rsplit_once("data: ").unwrap().1;
        let event: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            (
                &event["site"],
                &event["mac"],
                &event["status"],
                &event["path"]
            ),
            (
                &"hq".into(),
                &"0004f2000500".into(),
                &200.into(),
                &"/hq/-/0004f2000500/0004f2000500-device.cfg".into()
            ),
            "{json}"
        );
    }
    // A server that stops does not wait for those who watch.
    drop(office);
    let mut rest = String::new();
    others.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("data:"), "{rest}");
}

const OWN_FILE: &str = "/hq/~0004f2000500/0004f2000500-device.cfg";

#[test]
fn nobody_watches_without_a_token() {
    let office = Office::open();
    let address = office.server.address();
    for (method, headers, status) in [
        ("GET", "", 401),
        ("GET", "Authorization: Bearer read.0000\r\n", 401),
        ("PUT", "", 401),
    ] {
        let answer = client::ask(address, method, "/-/v1/watch", headers);
        assert_eq!(answer.status, status, "{method} {headers}");
    }
}

#[test]
fn the_tool_shows_what_it_watches() {
    let office = Office::open();
    let token = Token {
        scope: Scope::Read,
        tenant: None,
    };
    let token = token.text(&secrets());
    let mut tool = Command::new(env!("CARGO_BIN_EXE_handset"))
        .args(["watch", "--site", "hq", "--url", &office.server.url()])
        .env("HANDSET_TOKEN", token.expose_text().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tool.stderr.take().unwrap());
    let mut shown = BufReader::new(tool.stdout.take().unwrap());
    until(&mut said, "handset: watching http://127.0.0.1:");
    phone(&office, "/branch/~/shared.cfg", POLYCOM);
    phone(&office, OWN_FILE, POLYCOM);
    let mut line = String::new();
    shown.read_line(&mut line).unwrap();
    assert!(
        line.contains(
            "  hq           0004f2000500 200  GET  /hq/-/0004f2000500/0004f2000500-device.cfg  "
        ),
        "{line}"
    );
    tool.kill().unwrap();
    tool.wait().unwrap();
}
