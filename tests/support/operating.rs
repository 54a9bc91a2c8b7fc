//! The operator's endpoints and the states of a device, over HTTP: rows of requests, one after the other, on any platform.

use std::net::SocketAddr;

use handset::token::Scope;
use handset::token::Token;
use serde_json::Value;

use crate::client::Answer;
use crate::client::ask;
use crate::client::exchange;
use crate::client::secret::secrets;

/// Where the fixture `office` is served.
pub(crate) trait Ground {
    fn address(&self) -> SocketAddr;

    /// Brings it back to what it was before anybody asked.
    fn renew(&mut self);
}

pub(crate) const SITE_KEY: &str = "/hq/~/0004f2000500-device.cfg";

const VVX: &str = "/-/v1/sites/hq/devices/0004f2000500/enrolment";
const OWN: &str = "/hq/~0004f2000500/0004f2000500-device.cfg";

/// All of it.
pub(crate) fn operate<G: Ground>(ground: &mut G) {
    the_states_of_a_device(ground);
    let suites: [fn(&G); 3] = [
        who_knocks_is_listed_and_admitted,
        who_may_operate,
        changes_hold_to_what_was_looked_at,
    ];
    for suite in suites {
        ground.renew();
        suite(ground);
    }
}

/// A phone's request.
pub(crate) fn phone(ground: &impl Ground, target: &str, agent: &str) -> u16 {
    let agent = format!("User-Agent: {agent}\r\n");
    ask(ground.address(), "GET", target, &agent).status
}

/// An operator's request: more headers, and a body.
fn operator(ground: &impl Ground, method: &str, target: &str, more: &str, body: &str) -> Answer {
    let length = body.len();
    // Natively nobody believes what Spin is told by its proxy.
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\
         Content-Length: {length}\r\n{more}\r\n{body}"
    );
    exchange(ground.address(), request.as_bytes(), method)
}

fn may(ground: &impl Ground, method: &str, target: &str, body: &str) -> (u16, Value) {
    let answer = operator(ground, method, target, &bearer(Scope::Write, None), body);
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, json)
}

fn bearer(scope: Scope, tenant: Option<&str>) -> String {
    let tenant = tenant.map(str::to_owned);
    let token = Token { scope, tenant }.text(&secrets());
    format!("Authorization: Bearer {}\r\n", token.expose_text().unwrap())
}

pub(crate) const POLYCOM: &str = "FileTransport PolycomVVX-VVX_500-UA/5.9.7.1";
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

fn the_states_of_a_device(ground: &mut impl Ground) {
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
        ground.renew();
        for (number, step) in steps.iter().enumerate() {
            let at = format!("{name}: step {}", number + 1);
            match *step {
                Operator(method, end, body, status, state) => {
                    let target = VVX.replace("enrolment", end);
                    let (given, json) = may(ground, method, &target, body);
                    let given = (given, json["state"].as_str().unwrap_or_default());
                    assert_eq!(given, (status, state), "{at}: {json}");
                }
                Phone(target, agent, status) => {
                    assert_eq!(phone(ground, target, agent), status, "{at}");
                }
            }
        }
    }
}

const AUDIOCODES: &str = "AUDC-IPPhone/2.2.2 (420HD; 00908F000420)";
const PANASONIC: &str = "Panasonic_KX-UT136/01.025 (0080f0000136)";

/// Those that knock are listed with the reason, whatever file they begin with, and one request admits each.
fn who_knocks_is_listed_and_admitted(ground: &impl Ground) {
    let knocking = |more: &str| {
        let (status, json) = may(ground, "GET", &format!("/-/v1/sites/hq/knocking{more}"), "");
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
        assert_eq!(phone(ground, target, agent), status, "{target}");
    }
    let row = |mac: &str, file: &str| (mac.to_owned(), file.to_owned());
    let listed = [
        row("0004f2000331", "0004f2000331.cfg"),
        row("0080f0000136", "Config0080F0000136.cfg"),
        row("00908f000420", "00908f000420.cfg"),
    ];
    // Contacts are written after the response, and nobody says when.
    let settled = |expected: &[(String, String)]| {
        let mut tries = 0..1000;
        while knocking("") != expected && tries.next().is_some() {}
        assert_eq!(knocking(""), expected);
    };
    settled(&listed);
    assert_eq!(knocking("?after=0004f2000331"), listed[1..]);
    let (status, _) = may(ground, "GET", "/-/v1/sites/hq/knocking?after=x", "");
    assert_eq!(status, 400);
    let open = "/-/v1/sites/hq/devices/00908f000420/enrolment";
    assert_eq!(
        may(ground, "PUT", open, r#"{"until-first-boot": true}"#).0,
        200
    );
    assert_eq!(phone(ground, "/hq/~/00908f000420.cfg", AUDIOCODES), 200);
    settled(&listed[..2]);
}

fn who_may_operate(ground: &impl Ground) {
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
        let answer = operator(ground, method, target, &token, "");
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
fn changes_hold_to_what_was_looked_at(ground: &impl Ground) {
    let token = bearer(Scope::Write, None);
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let looked = tag(&operator(ground, "GET", VVX, &token, ""));
    let same = format!("{token}If-None-Match: {looked}\r\n");
    assert_eq!(operator(ground, "GET", VVX, &same, "").status, 304);
    let held = format!("{token}If-Match: {looked}\r\n");
    let minutes = |minutes: u32| format!("{{\"until-minutes\": {minutes}}}");
    let opened = operator(ground, "PUT", VVX, &held, &minutes(5));
    assert_eq!(opened.status, 200);
    assert_eq!(operator(ground, "PUT", VVX, &held, &minutes(6)).status, 412);
    let lock = VVX.replace("enrolment", "lock");
    assert_eq!(operator(ground, "POST", &lock, &held, "").status, 412);
    let held = format!("{token}If-Match: {}\r\n", tag(&opened));
    assert_eq!(operator(ground, "POST", &lock, &held, "").status, 200);
}
