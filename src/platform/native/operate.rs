//! `handset enrol`, `lock`, `unlock` and `knocking`: the operator's endpoints, asked of a running server, or
//! answered here over the state that lies beside a fleet directory. A server over the same state sees it at once.

pub mod remote;

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header;
use serde_json::Value;

use crate::access::Uncounted;
use crate::client::Client;
use crate::date;
use crate::fleet;
use crate::fleet::Fleet;
use crate::fleet::Hashes;
use crate::fleet::server;
use crate::fleet::server::ABSENT;
use crate::fleet::server::Answer;
use crate::fleet::server::Lost;
use crate::fleet::server::Request;
use crate::fleet::server::Sent;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::mac::MacAddress;
use crate::platform::native::operate::remote::Remote;
use crate::respond;
use crate::respond::Payload;
use crate::respond::respond;
use crate::store::directory::DirectoryStore;
use crate::store::directory::Upload;

/// Where devices and their states are.
#[derive(Debug)]
pub enum Place {
    /// A fleet directory and the state beside it.
    Directory(Box<Beside>),
    /// A running server.
    Server(Remote),
}

/// A fleet directory and the state beside it, which answer without a server.
#[derive(Debug)]
pub struct Beside {
    /// The fleet, but for its snapshot, which the store has.
    sites: Vec<(MacAddress, String)>,
    store: DirectoryStore,
}

/// What is to become of devices.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Nothing opens their files.
    Lock,
    /// The site's key opens their files for a while: the window as JSON.
    Open(String),
    /// As before they were locked.
    Unlock,
}

impl Place {
    /// Opens a place: what has `://` in it is a server, anything else a directory. A server takes a token, and may have
    /// a certificate of authorities of its own.
    pub fn open(
        place: &str,
        state: Option<&Path>,
        token: Option<String>,
        authorities: Option<&Path>,
    ) -> Result<Self, String> {
        if place.contains("://") {
            let remedy = "a token is needed: set HANDSET_TOKEN to what `handset token` prints";
            let token = token.ok_or(remedy)?;
            return Remote::new(place, &token, authorities).map(Self::Server);
        }
        let directory = PathBuf::from(place);
        let state = state.map_or_else(|| directory.join("state"), Path::to_owned);
        let fleet = fleet::compile(&directory, &mut Hashes::default()).map_err(|found| {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            found.join("\n")
        })?;
        Beside::new(fleet, &state).map(|beside| Self::Directory(Box::new(beside)))
    }

    /// Brings a device to another state; gives what it is then.
    pub fn change(
        &self,
        mac: MacAddress,
        site: Option<&str>,
        wish: &Wish,
    ) -> Result<String, String> {
        let site = self.site_of(mac, site)?;
        let device = format!("sites/{site}/devices/{mac}");
        let (method, end, body) = match wish {
            Wish::Lock => (Method::POST, "lock", Sent::Nothing),
            Wish::Open(window) => (
                Method::PUT,
                "enrolment",
                Sent::Json(window.clone().into_bytes()),
            ),
            Wish::Unlock => (Method::POST, "unlock", Sent::Nothing),
        };
        let request = Request {
            body,
            ..Request::new(method, format!("{device}/{end}"))
        };
        let shown: Result<Value, Trouble> = server::read(self, &request);
        let shown = shown.map_err(|problem| format!("{mac}: {problem}"))?;
        Ok(format!("{mac} of {site}: {}", describe(&shown)))
    }

    /// The devices that were refused though their site's key is good, a line each.
    pub fn knocking(&self, site: &str) -> Result<Vec<String>, String> {
        let knocks = self.list(site, "knocking")?;
        Ok(knocks.iter().map(knock).collect())
    }

    /// The devices whose last boot began with a key of a generation before this one, a line each.
    pub fn last_seen_before(&self, site: &str, generation: u8) -> Result<Vec<String>, String> {
        let contacts = self.list(site, "contacts")?;
        let old = contacts.iter().filter(|contact| {
            let came = contact.get("generation").and_then(Value::as_u64);
            came.is_some_and(|came| came < u64::from(generation))
        });
        Ok(old.map(seen).collect())
    }

    /// All pages of a list of a site's devices.
    fn list(&self, site: &str, what: &str) -> Result<Vec<Value>, String> {
        let rows = server::pages(self, &format!("sites/{site}/{what}"), |page: Value| {
            let rows = page.get(what).and_then(Value::as_array);
            let rows = rows.into_iter().flatten().cloned().collect();
            (rows, text(&page, "next").map(str::to_owned))
        });
        rows.map_err(|trouble| trouble.to_string())
    }

    /// Which site a device is of: the one that is said, or the one that has it.
    pub fn site_of(&self, mac: MacAddress, site: Option<&str>) -> Result<String, String> {
        if let Some(site) = site {
            return Ok(site.to_owned());
        }
        let Self::Directory(beside) = self else {
            return Err("a server is not asked whose a device is: say --site SITE".to_owned());
        };
        let found = beside.sites.iter().find(|(of, _)| *of == mac);
        let found = found.map(|(_, site)| site.clone());
        found.ok_or_else(|| format!("no site has a device {mac}: add it under devices/"))
    }
}

impl Server for Place {
    fn send(&self, request: &Request<'_>) -> Result<Answer, Lost> {
        match self {
            Self::Directory(beside) => {
                let mut body = Vec::new();
                let answer = beside.answer(request, &mut body)?;
                Ok(Answer { body, ..answer })
            }
            Self::Server(remote) => remote.send(request),
        }
    }

    fn receive(&self, request: &Request<'_>, out: &mut dyn Write) -> Result<Answer, Lost> {
        match self {
            Self::Directory(_) => {
                let answer = self.send(request)?;
                if answer.status < 300 {
                    out.write_all(&answer.body)
                        .map_err(|error| Lost(error.to_string()))?;
                }
                Ok(answer)
            }
            Self::Server(remote) => remote.receive(request, out),
        }
    }

    fn pause(&self, milliseconds: u64) {
        if let Self::Server(remote) = self {
            remote.pause(milliseconds);
        }
    }
}

impl Beside {
    /// A compiled fleet, and its state.
    pub fn new(fleet: Fleet, state: &Path) -> Result<Self, String> {
        let sites = fleet.devices.into_iter();
        let store = DirectoryStore::open(state, fleet.snapshot);
        Ok(Self {
            sites: sites.map(|(mac, (site, _))| (mac, site)).collect(),
            store: store.map_err(|error| format!("{}: {error}", state.display()))?,
        })
    }

    /// The handler's own answer, without a server.
    fn answer(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<Answer, Lost> {
        let lost = |error: io::Error| Lost(error.to_string());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let body = match &request.body {
            Sent::Nothing => Vec::new(),
            Sent::Json(bytes) => bytes.clone(),
            Sent::File { path, .. } => std::fs::read(path).map_err(lost)?,
        };
        let target = format!("/-/v1/{}", request.target);
        let headers = headers(request, body.len());
        let asked = respond::Request {
            method: &request.method,
            target: &target,
            host: None,
            headers: &headers,
            now: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            id: 0,
            fallback_site: None,
            client: Client::default(),
            secrets: None,
            replays: &Uncounted,
            operator: true,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let response = respond(&self.store, asked, Upload::from(body));
        let response = runtime.map_err(lost)?.block_on(response);
        match response.body {
            Payload::Bytes(bytes) => *out = bytes,
            Payload::Stored(bodies) => {
                for body in bodies {
                    body.copy(out).map_err(lost)?;
                }
            }
        }
        let etag = response.headers.get(header::ETAG);
        Ok(Answer {
            status: response.status.as_u16(),
            etag: etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
            body: Vec::new(),
        })
    }
}

fn headers(request: &Request<'_>, length: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let (name, value) = match request.condition {
        Some(ABSENT) => (header::IF_NONE_MATCH, "*"),
        Some(etag) => (header::IF_MATCH, etag),
        None => return headers,
    };
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
    headers
}

/// A device's state as a sentence.
fn describe(shown: &Value) -> String {
    let state = text(shown, "state").unwrap_or("unknown");
    let bind = shown.get("bind").and_then(Value::as_bool);
    let whose = match (bind, text(shown, "network")) {
        (Some(true), None) => ", for whoever comes first",
        (Some(false), _) => ", for anybody",
        _ => "",
    };
    match (state, date(shown, "until"), date(shown, "since")) {
        ("enrolling", Some(until), _) => format!("enrolling until {until}{whose}"),
        ("enrolling", None, _) => format!("enrolling from its first boot on{whose}"),
        (_, _, Some(since)) => format!("{state}; it has a credential of its own since {since}"),
        _ => state.to_owned(),
    }
}

fn knock(knock: &Value) -> String {
    let words = ["mac", "reason", "user-agent"].map(|name| text(knock, name).unwrap_or("-"));
    let [mac, reason, agent] = words;
    let at = date(knock, "at").unwrap_or_default();
    format!("{mac}  {at}  {reason}  {agent}")
}

fn seen(contact: &Value) -> String {
    let [mac, agent] = ["mac", "user_agent"].map(|name| text(contact, name).unwrap_or("-"));
    let at = date(contact, "at").unwrap_or_default();
    format!("{mac}  {at}  {agent}")
}

fn text<'j>(json: &'j Value, name: &str) -> Option<&'j str> {
    json.get(name)?.as_str()
}

fn date(json: &Value, name: &str) -> Option<String> {
    date::format(json.get(name)?.as_u64()? / 1000)
}

/// A window as the endpoint takes it: so many minutes, or from the first boot on.
pub fn window(minutes: Option<u32>, anyone: bool) -> String {
    let end = match minutes {
        Some(minutes) => format!("\"until-minutes\": {minutes}"),
        None => "\"until-first-boot\": true".to_owned(),
    };
    format!("{{{end}, \"bind\": {}}}", !anyone)
}

/// Reads how long a window is open: `45`, `45m`, `2h` or `1d`; gives minutes.
pub fn minutes(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "m"),
    };
    let factor = match unit {
        "m" => Some(1),
        "h" => Some(60),
        "d" => Some(24 * 60),
        _ => None,
    };
    let number = digits.parse::<u32>().ok().zip(factor);
    let minutes = number.and_then(|(number, factor)| number.checked_mul(factor));
    minutes.ok_or_else(|| "say so many minutes, hours or days: 30m, 2h, 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn how_long_a_window_is_open() {
        for (text, expected) in [
            ("30m", Some(30)),
            ("45", Some(45)),
            ("2h", Some(120)),
            ("1d", Some(1440)),
            ("", None),
            ("m", None),
            ("1w", None),
            ("-1m", None),
            ("99999999d", None),
        ] {
            assert_eq!(minutes(text).ok(), expected, "{text}");
        }
    }
}
