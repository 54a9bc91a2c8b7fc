//! `fixtures/office` in memory, with its reads counted and its answers searched for secrets.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use handset::access::REALM;
use handset::access::Uncounted;
use handset::client::Client;
use handset::credential::Algorithm;
use handset::credential::Nonce;
use handset::credential::StoredPassword;
use handset::device::DeviceRecord;
use handset::device::publication_key;
use handset::enrolment::Enrolment;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::key::Holder;
use handset::mac::MacAddress;
use handset::release::Release;
use handset::release::ReleaseId;
use handset::respond::Payload;
use handset::respond::Request;
use handset::respond::respond;
use handset::secret::Secret;
use handset::site::Deployment;
use handset::site::SiteRecord;
use handset::store::BlobKey;
use handset::store::Blobs;
use handset::store::Contact;
use handset::store::Publishing;
use handset::store::Records;
use handset::store::Revision;
use handset::store::StoreError;
use handset::store::memory::MemoryStore;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;

use crate::client::secret::key;
use crate::client::secret::secrets;
use crate::client::secret::with_keys;
use crate::proof;

/// The time, in milliseconds since 1970.
pub(crate) const NOW: u64 = 1_700_000_000_000;

/// What is read before the device's record.
pub(crate) const KNOWING_THE_RELEASE: [&str; 2] = ["site", "release"];

pub(crate) struct Office {
    fleet: Fleet,
    store: MemoryStore,
}

/// A request.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, String)],
    pub(crate) secure: bool,
    pub(crate) certificate: Option<MacAddress>,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            target: "/",
            headers: &[],
            secure: true,
            certificate: None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) failed: bool,
    pub(crate) reads: Vec<&'static str>,
    logged: String,
}

impl Heard {
    /// Status, headers and body; a challenge's nonce is another each time.
    pub(crate) fn without_nonce(&self) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let headers = self.headers.iter().map(|(name, value)| {
            let value = match value.split_once("nonce=\"") {
                Some((before, _)) => before.to_owned(),
                None => value.clone(),
            };
            (name.clone(), value)
        });
        (self.status, headers.collect(), self.body.clone())
    }

    pub(crate) fn challenges(&self) -> String {
        let challenges = self
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate");
        challenges.map(|(_, value)| value.as_str()).collect()
    }
}

impl Office {
    /// The fixture, its deployment's record changed.
    pub(crate) fn new(change: impl FnOnce(&mut Deployment)) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
        let mut fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
        let mut deployment = (*fleet.snapshot.deployment).clone();
        for access in ["hq", "branch"] {
            deployment.sites.insert(access.to_owned(), keys());
        }
        change(&mut deployment);
        fleet.snapshot.deployment = Arc::new(deployment);
        let store = MemoryStore::default();
        store.set_deployment((*fleet.snapshot.deployment).clone());
        for site in fleet.snapshot.sites.values() {
            store.set_site((**site).clone());
        }
        for release in fleet.snapshot.releases.values() {
            store.set_release(release.clone());
        }
        for (sha256, file) in &fleet.snapshot.files {
            store.set_blob(BlobKey::content(sha256), std::fs::read(&file.path).unwrap());
        }
        let office = Self { fleet, store };
        office.reset();
        office
    }

    /// Every device staged.
    pub(crate) fn reset(&self) {
        for (mac, (site, _)) in &self.fleet.devices {
            self.store.set_device(site, *mac, self.record(site, *mac));
        }
    }

    fn record(&self, site: &str, mac: MacAddress) -> DeviceRecord {
        let publication = self.fleet.snapshot.sites[site].publication;
        let settings = &self.fleet.snapshot.devices[site][&mac];
        let mut record = DeviceRecord::default();
        let settings = serde_json::from_slice(settings).unwrap();
        let entry = (publication_key(publication), Some(settings));
        record.settings.extend([entry]);
        record
    }

    pub(crate) fn enrol(&self, mac: &str, enrolment: Enrolment) {
        let mac: MacAddress = mac.parse().unwrap();
        let mut record = self.record("hq", mac);
        record.state.enrolment = enrolment;
        self.store.set_device("hq", mac, record);
    }

    pub(crate) fn enrolment(&self, mac: &str) -> Enrolment {
        let found = ready(self.store.device("hq", mac.parse().unwrap()));
        found.unwrap().unwrap().0.state.enrolment
    }

    /// The same password for each of these users.
    pub(crate) fn set_passwords(&self, users: &[&str], password: &Secret) {
        let mut site = (*self.fleet.snapshot.sites["hq"]).clone();
        for user in users {
            let stored = StoredPassword::digest(Algorithm::Md5, user, REALM, password).text();
            let stored = stored.expose_text().unwrap().to_owned();
            site.passwords.insert((*user).to_owned(), stored);
        }
        self.store.set_site(site);
    }

    pub(crate) fn let_relays_keep_files(&self) {
        let mut site = (*self.fleet.snapshot.sites["hq"]).clone();
        site.relay_cache = true;
        self.store.set_site(site);
    }

    /// Asks with a credential in words: `Basic user:password`, `Digest user:password`, `Certificate MAC`,
    /// `Relay NAME MAC`; a password `~` is the user's key.
    pub(crate) fn ask_as(&self, target: &str, credential: Option<&str>) -> Heard {
        self.ask_so(true, target, credential)
    }

    pub(crate) fn ask_over(&self, secure: bool, target: &str, credential: Option<&str>) -> Heard {
        self.ask_so(secure, target, credential)
    }

    fn ask_so(&self, secure: bool, target: &str, credential: Option<&str>) -> Heard {
        let mut asked = Asked {
            target,
            secure,
            ..Asked::default()
        };
        let (kind, words) = credential
            .and_then(|it| it.split_once(' '))
            .unwrap_or_default();
        let mut headers = Vec::new();
        match kind {
            "Basic" => headers.push(("authorization", basic(words))),
            "Digest" => headers.push(("authorization", digest(words, target, 0))),
            "Certificate" => asked.certificate = words.parse().ok(),
            "Relay" => {
                let (name, mac) = words.split_once(' ').unwrap();
                headers.push(("handset-relay", name.to_owned()));
                if mac != "-" {
                    headers.push(("handset-relay-device", format!("mac={mac}, by=neighbour")));
                }
            }
            _ => {}
        }
        asked.headers = &headers;
        self.ask(&asked)
    }

    /// A proof of the site's key, made so many seconds ago.
    pub(crate) fn digest_of_age(&self, age: u64, user: &str, target: &str) -> Heard {
        let headers = [("authorization", digest(&format!("{user}:~"), target, age))];
        self.ask(&Asked {
            target,
            headers: &headers,
            ..Asked::default()
        })
    }

    pub(crate) fn ask(&self, asked: &Asked<'_>) -> Heard {
        let counted = Counted {
            store: &self.store,
            reads: RefCell::default(),
        };
        let headers = asked.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let headers: HeaderMap = headers.collect();
        let method: Method = asked.method.parse().unwrap();
        let request = Request {
            method: &method,
            target: &with_keys(asked.target),
            host: headers.get("host").and_then(|host| host.to_str().ok()),
            headers: &headers,
            now: NOW,
            id: 7,
            fallback_site: None,
            client: Client {
                network: Some("192.0.2.1"),
                secure: asked.secure,
                certificate: asked.certificate,
            },
            secrets: Some(&secrets()),
            replays: &Uncounted,
            operator: false,
        };
        let response = ready(respond(&counted, request, Vec::new()));
        let headers = response
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Heard {
            status: response.status.as_u16(),
            headers: headers.collect(),
            body: match response.body {
                Payload::Bytes(bytes) => bytes,
                Payload::Stored(parts) => parts.concat(),
            },
            failed: response.failed,
            reads: counted.reads.take(),
            logged: serde_json::to_string(&response.explanation.logged()).unwrap(),
        }
    }

    /// No secret of the fleet, no key and no part of one stands in what was heard or logged.
    pub(crate) fn assert_silent(&self, heard: &Heard, what: &str) {
        let said = format!(
            "{:?} {} {}",
            heard.headers,
            String::from_utf8_lossy(&heard.body),
            heard.logged
        );
        for secret in self.secrets() {
            assert!(!said.contains(&secret), "{what}: {secret} in {said}");
        }
    }

    /// Every password of the fixture, and the keys of its sites and devices.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        let sites = self.fleet.snapshot.sites.keys();
        secrets.extend(sites.map(|site| key(&holder(site, None))));
        for (mac, (site, _)) in &self.fleet.devices {
            secrets.push(key(&holder(site, Some(*mac))));
        }
        let office = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
        for file in [
            "tenants/acme.toml",
            "devices/phones.csv",
            "devices/reception.toml",
        ] {
            let text = std::fs::read_to_string(office.join(file)).unwrap();
            let words = text.split([',', '"', '\n', ' ']);
            let secret = |word: &&str| {
                word.starts_with("s3cret") || word.contains("-admin-") || word.contains("-user-")
            };
            secrets.extend(words.filter(secret).map(str::to_owned));
        }
        assert!(secrets.len() > 25, "only {}", secrets.len());
        secrets
    }
}

fn keys() -> handset::site::Access {
    handset::site::Access::Keys(handset::site::Terms::default())
}

fn holder(site: &str, mac: Option<MacAddress>) -> Holder<'_> {
    Holder {
        site,
        mac,
        relay: None,
    }
}

/// User and password; the password `~` is the user's key.
fn pair(words: &str) -> (&str, String) {
    let (user, password) = words.split_once(':').unwrap();
    let password = match password {
        "~" => key(&holder("hq", user.parse().ok())),
        other => other.to_owned(),
    };
    (user, password)
}

fn basic(words: &str) -> String {
    let (user, password) = pair(words);
    proof::basic(user, &password)
}

/// To a nonce made so many seconds ago.
fn digest(words: &str, target: &str, age: u64) -> String {
    let (user, password) = pair(words);
    let nonce = Nonce::make(&secrets(), "hq", NOW / 1000 - age, [1; 8]);
    proof::digest((user, &password), nonce.text(), ("GET", &with_keys(target)))
}

/// A store that says what it was asked for.
struct Counted<'s> {
    store: &'s MemoryStore,
    reads: RefCell<Vec<&'static str>>,
}

impl Counted<'_> {
    fn count(&self, what: &'static str) -> &MemoryStore {
        self.reads.borrow_mut().push(what);
        self.store
    }
}

impl Records for Counted<'_> {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        // It is kept in memory.
        self.store.deployment().await
    }

    async fn site(&self, name: &str) -> Result<Option<Arc<SiteRecord>>, StoreError> {
        self.count("site").site(name).await
    }

    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        self.count("release").release(id).await
    }

    async fn device(
        &self,
        site: &str,
        mac: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError> {
        self.count("device").device(site, mac).await
    }

    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        revision: &Revision,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        let store = self.count("update");
        store.update_device(site, mac, revision, record).await
    }

    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        self.count("contact")
            .record_contact(site, mac, contact)
            .await
    }

    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        self.count("contacts").contacts(site, after).await
    }
}

impl Publishing for Counted<'_> {}

impl Blobs for Counted<'_> {
    type Body = Vec<u8>;
    type Upload = Vec<u8>;

    async fn collect(&self, body: Vec<u8>, most: usize) -> Result<Vec<u8>, StoreError> {
        self.store.collect(body, most).await
    }

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        self.count("blob").get(key, range).await
    }

    async fn put(&self, key: &BlobKey, body: Vec<u8>, length: u64) -> Result<(), StoreError> {
        self.count("put").put(key, body, length).await
    }

    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.count("put").keep(key, bytes).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.count("delete").delete(key).await
    }
}

/// The reference store never waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the reference store never waits"),
    }
}
