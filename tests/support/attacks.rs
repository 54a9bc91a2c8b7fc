//! Attacks as rows, made from a fleet's own records, and what must come of each, over HTTP on every platform.
//!
//! Strangers prove nothing: one answer, no call of a store. Insiders have a credential of the site and ask for
//! another's files: one answer, one read. No secret of the fleet stands in a byte that either hears, nor in a log.

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use handset::access::NONCE_LIFETIME;
use handset::credential::Nonce;
use handset::fleet;
use handset::fleet::Hashes;
use handset::key::Holder;
use handset::key::Key;
use handset::mac::MacAddress;
use handset::secret::DeploymentSecrets;
use handset::settings::KEY_FIELDS;
use handset::settings::LINE_FIELDS;
use handset::settings::SETTINGS;
use handset::site::Access;
use handset::site::Refusal;
use handset::store::directory::Snapshot;
use handset::token::Scope;
use handset::token::Token;
use handset::vendor::Vendor;
use serde_json::Value;

use crate::client;
use crate::client::Answer;
use crate::client::secret::SECRET;
use crate::client::secret::key;
use crate::client::secret::secrets;
use crate::proof::basic;
use crate::proof::digest;

/// Whatever is attacked.
pub(crate) trait Target {
    /// Whether it remembers which proofs were used.
    const REMEMBERS: bool;

    fn address(&self) -> SocketAddr;

    /// Calls of its stores since this was asked last.
    fn calls(&mut self) -> Calls;

    /// Everything that it has logged.
    fn logged(&self) -> String;
}

/// Calls of stores.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Calls {
    pub(crate) reads: u64,
    pub(crate) all: u64,
}

/// A request; headers end their lines.
#[derive(Clone, Debug)]
struct Attack {
    method: &'static str,
    target: String,
    headers: String,
}

/// Requests that try one thing, and what that is.
type Tried = (String, Vec<Attack>);

/// A fleet that is attacked.
pub(crate) struct Fleet {
    snapshot: Snapshot,
    secrets: Vec<String>,
}

/// The relay of every site that has one.
const RELAY: &str = "closet";
/// Nobody's key, by its shape.
const NOBODYS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Requests whose calls are counted together: far fewer than an instance answers.
const AT_ONCE: usize = 40;
/// The operator's endpoints below a site: method, path, body.
const ENDPOINTS: [(&str, &str, &str); 22] = [
    ("GET", "", ""),
    ("POST", "compare", "{}"),
    ("GET", "contacts", ""),
    ("GET", "devices", ""),
    ("POST", "devices/changed/0", "{}"),
    ("POST", "devices/compare", r#"{"{mac}": null}"#),
    ("GET", "devices/{mac}", ""),
    ("GET", "devices/{mac}/enrolment", ""),
    (
        "PUT",
        "devices/{mac}/enrolment",
        r#"{"until-first-boot": true}"#,
    ),
    ("POST", "devices/{mac}/lock", ""),
    ("POST", "devices/{mac}/unlock", ""),
    ("GET", "devices/{mac}/uploads", ""),
    ("GET", "devices/{mac}/uploads/{mac}-app.log", ""),
    ("DELETE", "devices/{mac}/uploads/{mac}-app.log", ""),
    ("GET", "knocking", ""),
    ("GET", "publications", ""),
    ("POST", "publications", r#"{"take-over": true}"#),
    ("PUT", "publications/1", "{}"),
    ("DELETE", "publications/1", ""),
    ("PUT", "publications/1/devices/0/batch", "{}"),
    ("POST", "publications/1/publish", ""),
    ("POST", "rollback", ""),
];
/// Another deployment's secret.
const OTHER_SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";

impl Fleet {
    /// A fleet directory of `fixtures/`.
    pub(crate) fn of_fixture(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let fleet = fleet::compile(&fixtures.join(name), &mut Hashes::default()).unwrap();
        let mut fleet = Self {
            snapshot: fleet.snapshot,
            secrets: Vec::new(),
        };
        fleet.secrets = fleet.collect_secrets();
        fleet
    }

    /// Attacks it; every phone boots before, so that there is something to leak.
    pub(crate) fn attack(&self, target: &mut impl Target) {
        self.serve_everybody(target);
        let refused = match self.snapshot.deployment.refusal {
            Refusal::Challenge => 401,
            Refusal::NotFound => 404,
        };
        for (rows, reads) in [(self.strangers(), 0), (self.insiders(), 1)] {
            let mut answers = Vec::new();
            for (what, attacks) in &rows {
                for some in attacks.chunks(AT_ONCE) {
                    answers.extend(batch(target, what, some, reads));
                }
            }
            assert!(answers.len() > 300, "only {}", answers.len());
            for (attack, heard) in &answers {
                assert_eq!(heard.status, refused, "{attack:?}");
                assert_eq!(
                    heard.without_nonce(),
                    answers[0].1.without_nonce(),
                    "{attack:?}"
                );
                self.assert_silent(&format!("{attack:?}"), &heard.head, &heard.body);
            }
        }
        self.assert_silent("the log", &target.logged(), b"");
    }

    /// No secret of the fleet stands there.
    pub(crate) fn assert_silent(&self, what: &str, text: &str, bytes: &[u8]) {
        let said = format!("{text} {}", String::from_utf8_lossy(bytes));
        for secret in &self.secrets {
            let line = said.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what} holds {secret}");
        }
    }

    fn sites(&self) -> impl Iterator<Item = &str> {
        self.snapshot.deployment.sites.keys().map(String::as_str)
    }

    fn devices(&self, site: &str) -> Vec<MacAddress> {
        let devices = self.snapshot.devices.get(site).into_iter().flatten();
        devices.map(|(mac, _)| *mac).collect()
    }

    fn has_relay(&self, site: &str) -> bool {
        let access = self.snapshot.deployment.sites.get(site);
        matches!(access, Some(Access::Keys(terms)) if terms.relays.contains(&RELAY.to_owned()))
    }

    /// Every password, stored form and key, as records hold them and as files and logs write them.
    fn collect_secrets(&self) -> Vec<String> {
        let mut found = vec![SECRET.to_owned()];
        for site in self.snapshot.sites.values() {
            found.extend(site.passwords.values().cloned());
            passwords_in(&serde_json::to_value(&**site).unwrap(), &mut found);
        }
        for release in self.snapshot.releases.values() {
            passwords_in(&serde_json::to_value(&release.record).unwrap(), &mut found);
        }
        for (_, settings) in self.snapshot.devices.values().flatten() {
            passwords_in(&serde_json::from_slice(settings).unwrap(), &mut found);
        }
        for site in self.sites() {
            let of_site = key(&holder(site, None));
            found.push(basic(site, &of_site).split_off(6));
            found.extend([of_site, key(&relay(site))]);
            for mac in self.devices(site) {
                let own = key(&holder(site, Some(mac)));
                found.push(basic(&mac.to_string(), &own).split_off(6));
                found.extend([own.to_uppercase(), own]);
            }
        }
        let escaped = found.clone().into_iter().flat_map(|secret| {
            let xml = quick_xml::escape::escape(secret.as_str()).into_owned();
            let json = Value::from(secret.as_str()).to_string();
            [xml, json[1..json.len() - 1].to_owned()]
        });
        found.extend(escaped);
        assert!(found.len() > 60, "only {}", found.len());
        found
    }

    /// Each phone asks for each of its files by its key and by a password, and uploads what it knows.
    fn serve_everybody(&self, target: &mut impl Target) {
        let mut served = 0;
        for site in self.sites() {
            let of_site = key(&holder(site, None));
            ask(target, &get(format!("/{site}/{of_site}/shared.cfg"), ""));
            for mac in self.devices(site) {
                let own = key(&holder(site, Some(mac)));
                let header = authorization(&basic(&mac.to_string(), &own));
                for name in names(mac) {
                    let heard = ask(target, &get(format!("/{site}/{own}/{mac}/{name}"), ""));
                    served += usize::from(heard.status == 200);
                    ask(target, &get(format!("/{site}/{name}"), &header));
                }
                let log = format!("/{site}/{own}/{mac}/{mac}-app.log");
                let said = self.secrets.join("\n");
                client::put(target.address(), &log, "", said.as_bytes());
            }
        }
        assert!(served >= self.snapshot.devices.values().flatten().count());
    }

    /// Requests that prove nothing.
    fn strangers(&self) -> Vec<Tried> {
        let mut rows = vec![("what scanners ask for".to_owned(), scanned())];
        for site in self.sites() {
            let devices = self.devices(site);
            rows.push((
                format!("{site}: one address after the other"),
                enumerated(&format!("/{site}"), &devices),
            ));
            rows.push((format!("{site}: keys by chance"), guessed(site, devices[0])));
            for mac in devices {
                rows.push((format!("{site}: keys for {mac}"), self.keyed(site, mac)));
                rows.push((
                    format!("{site}: passwords for {mac}"),
                    self.passwords(site, mac),
                ));
                rows.push((format!("{site}: words on {mac}"), self.words(site, mac)));
            }
        }
        rows
    }

    /// Keys that open nothing at this site, before names of the device's files and of shared ones.
    fn keyed(&self, site: &str, mac: MacAddress) -> Vec<Attack> {
        let mut keys = vec![String::new(), NOBODYS.to_owned(), key(&relay(site))];
        for other in self.sites().filter(|other| *other != site) {
            keys.extend([None, Some(mac)].map(|mac| key(&holder(other, mac))));
            keys.push(key(&holder(other, self.devices(other).first().copied())));
            keys.push(key(&relay(other)));
        }
        for good in [holder(site, None), holder(site, Some(mac))] {
            let text = key(&good);
            keys.extend([0, 13, 26].map(|place| changed(&text, place)));
            keys.extend([text[1..].to_owned(), format!("{text}a")]);
            keys.push(made(&secrets(), 1, &good));
            keys.push(made(
                &DeploymentSecrets::parse(OTHER_SECRET).unwrap(),
                0,
                &good,
            ));
        }
        let mut attacks = Vec::new();
        for key in keys {
            for name in names(mac).into_iter().take(2) {
                attacks.push(get(format!("/{site}/{key}/{name}"), ""));
            }
            attacks.push(get(format!("/{site}/{key}/{mac}/shared.cfg"), ""));
            attacks.push(get(format!("/{key}/{site}/shared.cfg"), ""));
            attacks.push(put(format!("/{site}/{key}/{mac}-phone.cfg")));
        }
        // Its own key is good for nobody who does not say whose it is.
        let own = key(&holder(site, Some(mac)));
        attacks.push(get(format!("/{site}/{own}/shared.cfg"), ""));
        attacks.push(get(format!("/{own}/{mac}/shared.cfg"), ""));
        attacks
    }

    /// Passwords that are none here: of other sites, in another's name, of another request.
    fn passwords(&self, site: &str, mac: MacAddress) -> Vec<Attack> {
        let target = format!("/{site}/{mac}-device.cfg");
        let (of_site, own) = (key(&holder(site, None)), key(&holder(site, Some(mac))));
        let user = mac.to_string();
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        let mut pairs = vec![
            pair(site, "password"),
            pair(site, NOBODYS),
            pair(site, &own),
            pair(&user, &of_site),
            pair("", ""),
            pair("admin", &of_site),
        ];
        for other in self.sites().filter(|other| *other != site) {
            let theirs = key(&holder(other, None));
            pairs.push(pair(other, &theirs));
            pairs.push(pair(site, &theirs));
            pairs.push(pair(other, &of_site));
            pairs.push(pair(&user, &key(&holder(other, Some(mac)))));
        }
        let mut headers = ["Basic", "Basic ====", "Bearer x", "Digest"]
            .map(str::to_owned)
            .to_vec();
        let fresh = nonce(site, 0);
        for (user, password) in &pairs {
            headers.push(basic(user, password));
            headers.push(digest((user, password), &fresh, ("GET", &target)));
        }
        // Right in all but one: the site of the nonce, the nonce, the address, the method.
        let good = (user.as_str(), own.as_str());
        headers.push(digest(good, &nonce("elsewhere", 0), ("GET", &target)));
        headers.push(digest(good, &"0".repeat(60), ("GET", &target)));
        headers.push(digest(good, &fresh, ("GET", &format!("{target}?a"))));
        headers.push(digest(good, &fresh, ("PUT", &target)));
        let headers = headers.iter();
        headers
            .map(|header| get(target.clone(), &authorization(header)))
            .collect()
    }

    /// Names of sites and tenants wherever a request has room for one, and a relay's word from nobody.
    fn words(&self, site: &str, mac: MacAddress) -> Vec<Attack> {
        let tenants = self.snapshot.sites.values();
        let tenants = tenants.filter_map(|site| site.tenant.as_deref());
        let file = format!("{mac}-device.cfg");
        let mut attacks = Vec::new();
        for name in self.sites().filter(|other| *other != site).chain(tenants) {
            let theirs = key(&holder(name, None));
            for target in [
                format!("/{site}/{name}/{file}"),
                format!("/{name}/{site}/{file}"),
                format!("/{site}/{theirs}/{name}/{file}"),
                format!("/{site}/../{name}/{file}"),
                format!("/{site}/%2e%2e/{name}/{file}"),
                format!("/{site}//{name}%5C{file}"),
                format!("/{site}/{file}?site={name}&tenant={name}&mac={mac}"),
            ] {
                attacks.push(get(target, ""));
            }
            attacks.push(put(format!("/{site}/{name}-phone.cfg")));
            attacks.push(put(format!("/{site}/{name}/{mac}-phone.cfg")));
            attacks.push(put(format!("/{site}/..%2F{name}%2F{mac}-phone.cfg")));
            for header in ["X-Site", "X-Tenant", "X-Forwarded-Host", "Handset-Relay"] {
                attacks.push(get(
                    format!("/{site}/{file}"),
                    &format!("{header}: {name}\r\n"),
                ));
            }
        }
        for host in self.snapshot.deployment.hosts.keys() {
            attacks.push(get(format!("/{file}"), &format!("Host: {host}\r\n")));
        }
        let word = relay_word(mac);
        let agent = agent(mac);
        for headers in [
            word.clone(),
            format!("{word}Handset-Relay-Base: http://192.0.2.1\r\n"),
            format!("{word}X-Forwarded-For: 127.0.0.1\r\n{agent}"),
            format!("{agent}Client-Cert: {mac}\r\n"),
        ] {
            attacks.push(get(format!("/{site}/{file}"), &headers));
            attacks.push(get(format!("/{site}/shared.cfg?mac={mac}"), &headers));
        }
        attacks
    }

    /// Requests with a credential that is good at the site, for files that it does not open.
    fn insiders(&self) -> Vec<Tried> {
        let mut rows = Vec::new();
        for site in self.sites() {
            let devices = self.devices(site);
            let place = format!("/{site}/{}", key(&holder(site, None)));
            rows.push((
                format!("{site}: one address after the other, with the site's key"),
                enumerated(&place, &devices),
            ));
            for (index, mac) in devices.iter().enumerate() {
                let other = devices[(index + 1) % devices.len()];
                let what = format!("{site}: {mac} by {other} and by the site");
                rows.push((what, self.inside(site, *mac, other)));
            }
        }
        rows
    }

    fn inside(&self, site: &str, mac: MacAddress, other: MacAddress) -> Vec<Attack> {
        let (of_site, own) = (key(&holder(site, None)), key(&holder(site, Some(mac))));
        let (theirs, of_relay) = (key(&holder(site, Some(other))), key(&relay(site)));
        let passwords = [basic(site, &of_site), basic(&other.to_string(), &theirs)];
        let mut attacks = Vec::new();
        for name in names(mac) {
            attacks.push(get(format!("/{site}/{of_site}/{name}"), ""));
            attacks.push(get(format!("/{site}/{theirs}/{other}/{name}"), ""));
            attacks.push(get(format!("/{site}/{own}/{mac}/{name}?mac={other}"), ""));
            attacks.push(get(format!("/{site}/{own}/{mac}/{name}"), &agent(other)));
            attacks.push(get(format!("/{site}/{of_site}/{name}"), &relay_word(mac)));
            for password in &passwords {
                attacks.push(get(format!("/{site}/{name}"), &authorization(password)));
            }
            if self.has_relay(site) {
                attacks.push(get(
                    format!("/{site}/{of_relay}/{name}"),
                    &relay_word(other),
                ));
                let silent = format!("Handset-Relay: {RELAY}\r\n");
                attacks.push(get(format!("/{site}/{of_relay}/{name}"), &silent));
            }
            attacks.push(put(format!("/{site}/{of_site}/{name}")));
            attacks.push(put(format!("/{site}/{theirs}/{other}/{name}")));
        }
        attacks
    }

    /// Proofs that were used, or made for something else; on every platform they end with their nonce, and where
    /// it remembers, with their first use.
    pub(crate) fn replay<T: Target>(&self, target: &mut T) {
        let site = self.sites().next().unwrap();
        let own_file = |mac: &MacAddress| names(*mac).contains(&format!("{mac}-device.cfg"));
        let mac = self.devices(site).into_iter().find(own_file).unwrap();
        let (path, own) = (
            format!("/{site}/{mac}-device.cfg"),
            key(&holder(site, Some(mac))),
        );
        let user = mac.to_string();
        let first = ask(target, &get(path.clone(), ""));
        let challenge = first.head.split_once("nonce=\"").unwrap().1;
        let (given, _) = challenge.split_once('"').unwrap();
        let proof = |nonce: &str| authorization(&digest((&user, &own), nonce, ("GET", &path)));
        let seen = proof(given);
        let again = if T::REMEMBERS { 401 } else { 200 };
        let late = proof(&nonce(site, NONCE_LIFETIME + 2));
        for (what, attack, status, stale) in [
            ("the phone itself", get(path.clone(), &seen), 200, false),
            (
                "whoever saw it",
                get(path.clone(), &seen),
                again,
                T::REMEMBERS,
            ),
            (
                "another file",
                get(path.replace("device", "lync"), &seen),
                401,
                false,
            ),
            (
                "another phone",
                get(path.replace(&user, "0004f2999999"), &seen),
                401,
                false,
            ),
            (
                "another site",
                get(path.replace(site, "elsewhere"), &seen),
                401,
                false,
            ),
            ("a query", get(format!("{path}?a"), &seen), 401, false),
            (
                "an upload",
                Attack {
                    method: "PUT",
                    ..get(path.clone(), &seen)
                },
                401,
                false,
            ),
            ("too late", get(path.clone(), &late), 401, true),
        ] {
            let heard = ask(target, &attack);
            assert_eq!(heard.status, status, "{what}: {}", heard.head);
            assert_eq!(
                heard.head.contains("stale=true"),
                stale,
                "{what}: {}",
                heard.head
            );
        }
        self.assert_silent("the log", &target.logged(), b"");
    }

    /// A tenant's token at another tenant's sites, and none at all: other sites are like none, and nothing changes.
    pub(crate) fn operate(&self, target: &mut impl Target) {
        let mine = |site: &str| self.snapshot.sites[site].tenant.clone();
        for site in self.sites() {
            let mac = self.devices(site)[0];
            for other in self.sites().filter(|other| mine(other) != mine(site)) {
                let theirs = bearer(Scope::Write, mine(other));
                for (method, end, body) in ENDPOINTS {
                    let end = end.replace("{mac}", &mac.to_string());
                    let path = |site: &str| {
                        let path = format!("/-/v1/sites/{site}/{end}");
                        path.trim_end_matches('/').to_owned()
                    };
                    let heard = operate(target, method, &path(site), &theirs, body);
                    // A server over a fleet directory takes no publications, whoever asks.
                    let refused = matches!(heard.status, 404 | 409);
                    assert!(
                        refused,
                        "{other} at {site}: {method} {end}: {}",
                        heard.status
                    );
                    let nowhere = operate(target, method, &path("nowhere"), &theirs, body);
                    assert_eq!(
                        heard.without_nonce(),
                        nowhere.without_nonce(),
                        "{method} {end}"
                    );
                    let liar = theirs.replace(&mine(other).unwrap(), &mine(site).unwrap());
                    target.calls();
                    for token in [String::new(), liar, authorization("Bearer x")] {
                        let heard = operate(target, method, &path(site), &token, body);
                        // So many wrong ones may be too many, where a platform counts them.
                        let refused = matches!(heard.status, 401 | 429);
                        assert!(refused, "{method} {end}: {}", heard.status);
                    }
                    assert_eq!(target.calls(), Calls::default(), "{method} {end}");
                    self.assert_silent(&end, &heard.head, &heard.body);
                }
            }
            let own = bearer(Scope::Read, mine(site));
            let path = format!("/-/v1/sites/{site}/devices/{mac}/enrolment");
            let state = operate(target, "GET", &path, &own, "");
            let state = String::from_utf8(state.body).unwrap();
            assert!(state.contains("staged"), "{site}: {state}");
        }
    }
}

impl Answer {
    /// Status, headers and body; a challenge's nonce is another each time, and so may the date be.
    fn without_nonce(&self) -> (String, Vec<u8>) {
        let lines = self.head.lines().map(|line| {
            let line = line
                .split_once("nonce=\"")
                .map_or(line, |(before, _)| before);
            line.to_ascii_lowercase()
        });
        let mut lines: Vec<_> = lines.filter(|line| !line.starts_with("date:")).collect();
        lines.sort();
        (lines.join("\n"), self.body.clone())
    }
}

/// Sends requests that try one thing, each of which may cost so many reads; nothing else may be called where
/// they cost none.
fn batch(
    target: &mut impl Target,
    what: &str,
    attacks: &[Attack],
    reads: u64,
) -> Vec<(Attack, Answer)> {
    for last in [false, false, false, true] {
        target.calls();
        let heard: Vec<_> = attacks.iter().map(|attack| ask(target, attack)).collect();
        let calls = target.calls();
        let expected = reads * attacks.len() as u64;
        if calls.reads == expected && (reads > 0 || calls.all == 0) {
            return attacks.iter().cloned().zip(heard).collect();
        }
        // What is kept of records is kept for a minute, and by the component for the 128 requests that an
        // instance answers: either may have ended just then, but not each time.
        assert!(!last, "{what}: {calls:?} for {} requests", attacks.len());
    }
    Vec::new()
}

fn ask(target: &impl Target, attack: &Attack) -> Answer {
    let Attack {
        method,
        target: path,
        headers,
    } = attack;
    let host = if headers.starts_with("Host: ") {
        ""
    } else {
        "Host: x\r\n"
    };
    let (length, body) = match *method {
        "PUT" => ("Content-Length: 4\r\n", "<a/>"),
        _ => ("", ""),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\n{host}{length}{headers}\r\n{body}"
    );
    client::exchange(target.address(), request.as_bytes(), method)
}

fn get(target: String, headers: &str) -> Attack {
    Attack {
        method: "GET",
        target,
        headers: headers.to_owned(),
    }
}

fn put(target: String) -> Attack {
    Attack {
        method: "PUT",
        ..get(target, "")
    }
}

/// What is asked of every server on the internet.
fn scanned() -> Vec<Attack> {
    let targets = [
        "/",
        "/robots.txt",
        "/wp-login.php",
        "/.env",
        "/.git/config",
        "/cgi-bin/",
        "/admin",
        "/provisioning/",
        "/polycom/000000000000.cfg",
        "/000000000000.cfg",
        "/cfg/y000000000000.boot",
        "/0004f2000500.cfg",
        "/..%2f..%2fetc/passwd",
        "/%00",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/a/b/c/d/e/f/g.cfg",
    ];
    targets.map(|target| get(target.to_owned(), "")).to_vec()
}

/// Addresses before and behind those of devices, which are among them.
fn enumerated(place: &str, devices: &[MacAddress]) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for device in devices {
        let [.., last] = device.bytes();
        for next in 0..16_u8 {
            let mut bytes = device.bytes();
            bytes[5] = last.wrapping_sub(8).wrapping_add(next);
            for name in names(MacAddress::new(bytes).unwrap()).into_iter().take(2) {
                attacks.push(get(format!("{place}/{name}"), ""));
            }
        }
    }
    attacks
}

/// Keys by chance, or by a generator that anybody has.
fn guessed(site: &str, mac: MacAddress) -> Vec<Attack> {
    let mut state = 1_u64;
    let mut digit = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(state >> 59) as usize])
    };
    let keys = (0..64).map(|_| (0..27).map(|_| digit()).collect::<String>());
    let targets = keys.map(|key| format!("/{site}/{key}/{mac}/{mac}-device.cfg"));
    targets.map(|target| get(target, "")).collect()
}

/// The names of files that are this device's own.
fn names(mac: MacAddress) -> Vec<String> {
    let rules = Vendor::of_mac(mac).unwrap().rules.iter();
    let own = rules.filter(|rule| rule.pattern.contains("{mac}"));
    own.map(|rule| {
        rule.pattern
            .replace("{mac}", &mac.to_string())
            .replace("{name}", "x")
            .replace("{model}", "420HD")
    })
    .collect()
}

fn holder(site: &str, mac: Option<MacAddress>) -> Holder<'_> {
    Holder {
        site,
        mac,
        relay: None,
    }
}

fn relay(site: &str) -> Holder<'_> {
    Holder {
        site,
        mac: None,
        relay: Some(RELAY),
    }
}

/// A key that other secrets made, or for another generation.
fn made(secrets: &DeploymentSecrets, generation: u8, holder: &Holder<'_>) -> String {
    let key = Key::make(secrets, generation, holder).unwrap().text();
    key.expose_text().unwrap().to_owned()
}

/// A key with one digit changed.
fn changed(key: &str, place: usize) -> String {
    let digit = if key[place..].starts_with('a') {
        "b"
    } else {
        "a"
    };
    format!("{}{digit}{}", &key[..place], &key[place + 1..])
}

/// A nonce of so many seconds ago.
fn nonce(site: &str, age: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    Nonce::make(&secrets(), site, now - age, [7; 8])
        .text()
        .to_owned()
}

fn authorization(value: &str) -> String {
    format!("Authorization: {value}\r\n")
}

fn agent(mac: MacAddress) -> String {
    format!("User-Agent: FileTransport PolycomVVX-VVX_500-UA/5.9.7 (SN:{mac})\r\n")
}

fn relay_word(mac: MacAddress) -> String {
    format!(
        "Handset-Relay: {RELAY}\r\nHandset-Relay-Device: mac={mac}, by=neighbour, address=192.0.2.7\r\n"
    )
}

/// Every text under a name that a secret setting has.
fn passwords_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| passwords_in(value, found)),
        Value::Object(entries) => {
            for (name, value) in entries {
                let settings = [SETTINGS, LINE_FIELDS, KEY_FIELDS].into_iter().flatten();
                let secret = settings
                    .into_iter()
                    .any(|row| row.secret && row.name == name);
                match value.as_str() {
                    Some(text) if secret => found.push(text.to_owned()),
                    _ => passwords_in(value, found),
                }
            }
        }
        _ => {}
    }
}

fn bearer(scope: Scope, tenant: Option<String>) -> String {
    let token = Token { scope, tenant }.text(&secrets());
    authorization(&format!("Bearer {}", token.expose_text().unwrap()))
}

fn operate(target: &impl Target, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let length = body.len();
    // Spin is told so by its proxy; natively nobody believes it, and the connection stays on this machine.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\
         Content-Length: {length}\r\n{token}\r\n{body}"
    );
    client::exchange(target.address(), request.as_bytes(), method)
}
