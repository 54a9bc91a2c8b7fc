//! The operator's endpoints and the states of a device, over HTTP: rows of requests, one after the other.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;

use std::path::Path;
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
use serde_json::Value;

use client::Answer;
use client::ask;
use client::exchange;
use client::secret::secrets;

const VVX: &str = "/-/v1/sites/hq/devices/0004f2000500/enrolment";
const OWN: &str = "/hq/~0004f2000500/0004f2000500-device.cfg";
const SITE_KEY: &str = "/hq/~/0004f2000500-device.cfg";

/// The office, with a state directory of its own.
struct Office {
    server: Server,
    state: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
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
            server: Server::start(store, &options, Log::to(std::io::sink())).unwrap(),
            state,
        }
    }

    /// A phone's request.
    fn phone(&self, target: &str, agent: &str) -> u16 {
        let agent = format!("User-Agent: {agent}\r\n");
        ask(self.server.address(), "GET", target, &agent).status
    }

    /// An operator's request: more headers, and a body.
    fn operate(&self, method: &str, target: &str, more: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        );
        exchange(self.server.address(), request.as_bytes(), method)
    }

    fn may(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let answer = self.operate(method, target, &bearer(Scope::Write, None), body);
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, json)
    }
}

fn bearer(scope: Scope, tenant: Option<&str>) -> String {
    let tenant = tenant.map(str::to_owned);
    let token = Token { scope, tenant }.text(&secrets());
    format!("Authorization: Bearer {}\r\n", token.expose_text().unwrap())
}

const POLYCOM: &str = "FileTransport PolycomVVX-VVX_500-UA/5.9.7.1";
const CURL: &str = "curl/8.5.0";

/// Who does what.
enum Step {
    /// Method, the end of the path, the body; status and state.
    Operator(&'static str, &'static str, &'static str, u16, &'static str),
    /// Target, User-Agent; status.
    Phone(&'static str, &'static str, u16),
}

use Step::Operator;
use Step::Phone;

#[test]
fn the_states_of_a_device() {
    let rows: [(&str, &[Step]); 6] = [
        (
            "a staged device has its own key, and the site's opens what is shared",
            &[
                Operator("GET", "enrolment", "", 200, "staged"),
                Phone(SITE_KEY, POLYCOM, 404),
                Phone("/hq/~/shared.cfg", POLYCOM, 200),
                Phone(OWN, POLYCOM, 200),
                Operator("GET", "enrolment", "", 200, "enrolled"),
                Phone(SITE_KEY, POLYCOM, 404),
            ],
        ),
        (
            "a window belongs to the first kind of phone that comes",
            &[
                Operator(
                    "PUT",
                    "enrolment",
                    r#"{"until-minutes": 30}"#,
                    200,
                    "enrolling",
                ),
                Phone(SITE_KEY, POLYCOM, 200),
                Phone(SITE_KEY, CURL, 404),
                Phone(SITE_KEY, POLYCOM, 200),
                Phone(OWN, POLYCOM, 200),
                Operator("GET", "enrolment", "", 200, "enrolled"),
                Phone(SITE_KEY, POLYCOM, 404),
            ],
        ),
        (
            "or to anybody",
            &[
                Operator(
                    "PUT",
                    "enrolment",
                    r#"{"until-first-boot": true, "bind": false}"#,
                    200,
                    "enrolling",
                ),
                Phone(SITE_KEY, CURL, 200),
                Phone(SITE_KEY, POLYCOM, 200),
            ],
        ),
        (
            "nothing opens a locked device",
            &[
                Phone(OWN, POLYCOM, 200),
                Operator("POST", "lock", "", 200, "locked"),
                Operator("POST", "lock", "", 200, "locked"),
                Phone(OWN, POLYCOM, 404),
                Operator("PUT", "enrolment", r#"{"until-minutes": 30}"#, 409, ""),
                Operator("POST", "unlock", "", 200, "enrolled"),
                Phone(OWN, POLYCOM, 200),
            ],
        ),
        (
            "unlocking opens no window",
            &[
                Operator(
                    "PUT",
                    "enrolment",
                    r#"{"until-minutes": 30}"#,
                    200,
                    "enrolling",
                ),
                Operator("POST", "lock", "", 200, "locked"),
                Operator("POST", "unlock", "", 200, "staged"),
                Phone(SITE_KEY, POLYCOM, 404),
            ],
        ),
        (
            "a window has one end",
            &[
                Operator("PUT", "enrolment", "", 400, ""),
                Operator("PUT", "enrolment", "{}", 400, ""),
                Operator("PUT", "enrolment", r#"{"until-minutes": 0}"#, 400, ""),
                Operator("PUT", "enrolment", r#"{"until-minutes": 10081}"#, 400, ""),
                Operator(
                    "PUT",
                    "enrolment",
                    r#"{"until-minutes": 9, "x": 1}"#,
                    400,
                    "",
                ),
                Operator(
                    "PUT",
                    "enrolment",
                    r#"{"until-minutes": 9, "until-first-boot": true}"#,
                    400,
                    "",
                ),
                Operator("GET", "enrolment", "", 200, "staged"),
            ],
        ),
    ];
    for (name, steps) in rows {
        let office = Office::open();
        for (number, step) in steps.iter().enumerate() {
            let at = format!("{name}: step {}", number + 1);
            match *step {
                Operator(method, end, body, status, state) => {
                    let target = VVX.replace("enrolment", end);
                    let (given, json) = office.may(method, &target, body);
                    let given = (given, json["state"].as_str().unwrap_or_default());
                    assert_eq!(given, (status, state), "{at}: {json}");
                }
                Phone(target, agent, status) => {
                    assert_eq!(office.phone(target, agent), status, "{at}");
                }
            }
        }
    }
}

const AUDIOCODES: &str = "AUDC-IPPhone/2.2.2 (420HD; 00908F000420)";
const PANASONIC: &str = "Panasonic_KX-UT136/01.025 (0080f0000136)";

/// Those that knock are listed with the reason, whatever file they begin with, and one request admits each.
#[test]
fn who_knocks_is_listed_and_admitted() {
    let office = Office::open();
    let knocking = |more: &str| {
        let (status, json) = office.may("GET", &format!("/-/v1/sites/hq/knocking{more}"), "");
        assert_eq!(status, 200, "{json}");
        let knocks = json["knocking"].as_array().unwrap();
        let text = |knock: &Value, name: &str| knock[name].as_str().unwrap().to_owned();
        let row = |knock| {
            assert_eq!(text(knock, "reason"), "no window is open for it");
            (text(knock, "mac"), text(knock, "file"))
        };
        knocks.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(knocking(""), []);
    for (target, agent, status) in [
        ("/hq/~/00908f000420.cfg", AUDIOCODES, 404),
        ("/hq/~/0004f2000331.cfg", POLYCOM, 404),
        ("/hq/~/000000000000.cfg", POLYCOM, 200),
        ("/hq/~/KX-UT136.cfg", PANASONIC, 200),
        ("/hq/~/ut/Config0080F0000136.cfg", PANASONIC, 404),
        ("/hq/~/0004f2ffffff.cfg", POLYCOM, 404),
    ] {
        assert_eq!(office.phone(target, agent), status, "{target}");
    }
    let row = |mac: &str, file: &str| (mac.to_owned(), file.to_owned());
    let listed = [
        row("0004f2000331", "0004f2000331.cfg"),
        row("0080f0000136", "Config0080F0000136.cfg"),
        row("00908f000420", "00908f000420.cfg"),
    ];
    assert_eq!(knocking(""), listed);
    assert_eq!(knocking("?after=0004f2000331"), listed[1..]);
    let (status, _) = office.may("GET", "/-/v1/sites/hq/knocking?after=x", "");
    assert_eq!(status, 400);
    let open = "/-/v1/sites/hq/devices/00908f000420/enrolment";
    assert_eq!(
        office.may("PUT", open, r#"{"until-first-boot": true}"#).0,
        200
    );
    assert_eq!(office.phone("/hq/~/00908f000420.cfg", AUDIOCODES), 200);
    assert_eq!(knocking(""), listed[..2]);
}

#[test]
fn who_may_operate() {
    let office = Office::open();
    let basic = "Authorization: Basic aHE6aHE=\r\n".to_owned();
    let forged = bearer(Scope::Read, None).replace("read", "write");
    for (name, token, method, target, status) in [
        ("nobody", String::new(), "GET", VVX, 401),
        ("a phone", basic, "GET", VVX, 401),
        ("a liar", forged, "GET", VVX, 401),
        ("a reader", bearer(Scope::Read, None), "GET", VVX, 200),
        ("a reader", bearer(Scope::Read, None), "HEAD", VVX, 200),
        ("a reader", bearer(Scope::Read, None), "PUT", VVX, 403),
        (
            "its tenant",
            bearer(Scope::Read, Some("acme")),
            "GET",
            VVX,
            200,
        ),
        (
            "another tenant",
            bearer(Scope::Write, Some("bolt")),
            "GET",
            VVX,
            404,
        ),
        ("a writer", bearer(Scope::Write, None), "DELETE", VVX, 405),
        ("a writer", bearer(Scope::Write, None), "GET", "/-/v1/", 404),
        (
            "a writer",
            bearer(Scope::Write, None),
            "GET",
            "/-/v1/sites/nowhere/knocking",
            404,
        ),
        (
            "a writer",
            bearer(Scope::Write, None),
            "GET",
            "/-/v1/sites/branch/devices/0004f2000500/enrolment",
            404,
        ),
        (
            "a writer",
            bearer(Scope::Write, None),
            "GET",
            "/-/v1/sites/hq/devices/x/enrolment",
            404,
        ),
    ] {
        let answer = office.operate(method, target, &token, "");
        assert_eq!(answer.status, status, "{name}: {method} {target}");
        let media_type = answer.header("content-type").unwrap();
        let problem = media_type == "application/problem+json";
        assert_eq!(
            problem,
            status >= 400,
            "{name}: {method} {target}: {media_type}"
        );
        if status >= 400 {
            let json: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(json["status"], status, "{json}");
            assert!(
                json["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty())
            );
        }
    }
}

/// Who looked first may say so, and nobody's change is lost.
#[test]
fn changes_hold_to_what_was_looked_at() {
    let office = Office::open();
    let token = bearer(Scope::Write, None);
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let looked = tag(&office.operate("GET", VVX, &token, ""));
    let same = format!("{token}If-None-Match: {looked}\r\n");
    assert_eq!(office.operate("GET", VVX, &same, "").status, 304);
    let held = format!("{token}If-Match: {looked}\r\n");
    let minutes = |minutes: u32| format!("{{\"until-minutes\": {minutes}}}");
    let opened = office.operate("PUT", VVX, &held, &minutes(5));
    assert_eq!(opened.status, 200);
    assert_eq!(office.operate("PUT", VVX, &held, &minutes(6)).status, 412);
    let lock = VVX.replace("enrolment", "lock");
    assert_eq!(office.operate("POST", &lock, &held, "").status, 412);
    let held = format!("{token}If-Match: {}\r\n", tag(&opened));
    assert_eq!(office.operate("POST", &lock, &held, "").status, 200);
}

/// The tool over the same state directory; gives its exit code and what it says.
fn handset(office: &Office, line: &str) -> (i32, String) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    let state = office.state.path().to_string_lossy().into_owned();
    let words = line.split(' ').map(|word| match word {
        "DIR" => directory.to_string_lossy().into_owned(),
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
        assert_eq!(office.phone(SITE_KEY, POLYCOM), status, "after {line}");
    }
}
