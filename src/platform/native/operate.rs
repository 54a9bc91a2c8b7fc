//! `handset enrol`, `lock`, `unlock` and `knocking`: the operator's endpoints, asked of a running server, or
//! answered here over the state that lies beside a fleet directory. A server over the same state sees it at once.

use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::Method;
use serde_json::Value;
use ureq::Agent;

use crate::access::Uncounted;
use crate::client::Client;
use crate::date::Date;
use crate::fleet;
use crate::fleet::Hashes;
use crate::mac::MacAddress;
use crate::respond::Payload;
use crate::respond::Request;
use crate::respond::respond;
use crate::store::directory::DirectoryStore;
use crate::store::directory::Upload;

/// Where devices and their states are.
#[derive(Debug)]
pub enum Place {
    /// A fleet directory and the state beside it.
    Directory {
        /// Which site each device is of.
        sites: Vec<(MacAddress, String)>,
        /// The store over both.
        store: Box<DirectoryStore>,
    },
    /// A running server.
    Server {
        /// Its address, without a slash at its end.
        url: String,
        /// What `handset token` made.
        token: String,
    },
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
    /// Opens a place: what has `://` in it is a server, anything else a directory.
    pub fn open(place: &str, state: Option<&Path>, token: Option<String>) -> Result<Self, String> {
        if place.contains("://") {
            let remedy = "a token is needed: set HANDSET_TOKEN to what `handset token` prints";
            return Ok(Self::Server {
                url: place.trim_end_matches('/').to_owned(),
                token: token.ok_or(remedy)?,
            });
        }
        let directory = PathBuf::from(place);
        let state = state.map_or_else(|| directory.join("state"), Path::to_owned);
        let fleet = fleet::compile(&directory, &mut Hashes::default()).map_err(|found| {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            found.join("\n")
        })?;
        let sites = fleet.devices.into_iter();
        let store = DirectoryStore::open(&state, fleet.snapshot);
        let store = store.map_err(|error| format!("{}: {error}", state.display()))?;
        Ok(Self::Directory {
            sites: sites.map(|(mac, (site, _))| (mac, site)).collect(),
            store: Box::new(store),
        })
    }

    /// Brings a device to another state; gives what it is then.
    pub fn change(
        &self,
        mac: MacAddress,
        site: Option<&str>,
        wish: &Wish,
    ) -> Result<String, String> {
        let site = self.site_of(mac, site)?;
        let device = format!("/-/v1/sites/{site}/devices/{mac}");
        let (method, end, body) = match wish {
            Wish::Lock => (Method::POST, "lock", ""),
            Wish::Open(window) => (Method::PUT, "enrolment", window.as_str()),
            Wish::Unlock => (Method::POST, "unlock", ""),
        };
        let shown = self.ask(&method, &format!("{device}/{end}"), body);
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
        let list = format!("/-/v1/sites/{site}/{what}");
        let mut found = Vec::new();
        let mut target = list.clone();
        loop {
            let page = self.ask(&Method::GET, &target, "")?;
            let rows = page.get(what).and_then(Value::as_array);
            found.extend(rows.into_iter().flatten().cloned());
            match text(&page, "next") {
                Some(next) => target = format!("{list}?after={next}"),
                None => return Ok(found),
            }
        }
    }

    fn site_of(&self, mac: MacAddress, site: Option<&str>) -> Result<String, String> {
        if let Some(site) = site {
            return Ok(site.to_owned());
        }
        let Self::Directory { sites, .. } = self else {
            return Err("a server is not asked whose a device is: say --site SITE".to_owned());
        };
        let found = sites.iter().find(|(of, _)| *of == mac);
        let found = found.map(|(_, site)| site.clone());
        found.ok_or_else(|| format!("no site has a device {mac}: add it under devices/"))
    }

    fn ask(&self, method: &Method, target: &str, body: &str) -> Result<Value, String> {
        let (status, bytes) = match self {
            Self::Directory { store, .. } => answer(store, method, target, body)?,
            Self::Server { url, token } => send(method, &format!("{url}{target}"), token, body)?,
        };
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status < 300 {
            return Ok(json);
        }
        Err(match text(&json, "detail") {
            Some(detail) => detail.to_owned(),
            None => format!("the server says {status}: is this the address of a Handset server?"),
        })
    }
}

/// The handler's own answer, without a server.
fn answer(
    store: &DirectoryStore,
    method: &Method,
    target: &str,
    body: &str,
) -> Result<(u16, Vec<u8>), String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let request = Request {
        method,
        target,
        host: None,
        headers: &HeaderMap::new(),
        now: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        id: 0,
        fallback_site: None,
        client: Client::default(),
        secrets: None,
        replays: &Uncounted,
        operator: true,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let response = respond(store, request, Upload::from(body.as_bytes().to_vec()));
    let response = runtime.block_on(response);
    let bytes = match response.body {
        Payload::Bytes(bytes) => bytes,
        Payload::Stored(_) => Vec::new(),
    };
    Ok((response.status.as_u16(), bytes))
}

fn send(method: &Method, url: &str, token: &str, body: &str) -> Result<(u16, Vec<u8>), String> {
    let failed = |error: String| format!("{url}: {error}");
    let config = Agent::config_builder().http_status_as_error(false);
    let agent = Agent::new_with_config(config.max_redirects(0).build());
    let request = http::Request::builder().method(method).uri(url);
    let request = request.header("authorization", format!("Bearer {token}"));
    let answer = match *method {
        Method::GET => request.body(()).map(|request| agent.run(request)),
        _ => request
            .body(body.to_owned())
            .map(|request| agent.run(request)),
    };
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let mut answer = answer.map_err(|error| failed(error.to_string()))?;
    let bytes = answer.body_mut().read_to_vec();
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    Ok((answer.status().as_u16(), bytes))
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
    Some(Date::new(json.get(name)?.as_u64()? / 1000)?.to_string())
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
