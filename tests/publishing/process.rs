//! A process in memory, what phones and operators hear of it, and a store with a first publication.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use handset::access::Uncounted;
use handset::client::Client;
use handset::publish::SiteState;
use handset::respond::Payload;
use handset::respond::Request;
use handset::respond::Response;
use handset::respond::respond;
use handset::seal::aes::Aes;
use handset::secret::DeploymentSecrets;
use handset::site::Access;
use handset::store::keyed::Kept;
use handset::store::keyed::KeyedStore;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;

use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::pushing::Api;
use crate::pushing::DEVICES;
use crate::pushing::Heard;
use crate::pushing::Pusher;
use crate::pushing::SITE;
use crate::pushing::Version;
use crate::pushing::badge;
use crate::pushing::documented;
use crate::pushing::shared;
use crate::shelf::Shelf;

pub(crate) const SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";

pub(crate) fn secrets() -> DeploymentSecrets {
    DeploymentSecrets::parse(SECRET).unwrap()
}

/// Nothing here waits for anything.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}

/// A process: a store, and what it has in memory.
pub(crate) struct Process<'s> {
    pub(crate) store: &'s Faulty<'s>,
    kept: Kept,
    secrets: DeploymentSecrets,
    serial: Cell<u128>,
}

impl<'s> Process<'s> {
    pub(crate) fn new(store: &'s Faulty<'s>) -> Self {
        Self {
            store,
            kept: Kept::default(),
            secrets: secrets(),
            serial: Cell::new(0),
        }
    }

    pub(crate) fn respond(
        &self,
        method: &str,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
        operator: bool,
    ) -> Response<Vec<u8>> {
        let store = KeyedStore {
            values: self.store,
            objects: self.store,
            cipher: Aes,
            secrets: Some(&self.secrets),
            kept: &self.kept,
            now: NOW,
        };
        let request = Request {
            method: &Method::from_bytes(method.as_bytes()).unwrap(),
            target,
            host: None,
            headers,
            now: NOW,
            id: self.serial.replace(self.serial.get() + 1),
            fallback_site: None,
            client: Client::default(),
            secrets: Some(&self.secrets),
            replays: &Uncounted,
            operator,
        };
        ready(respond(&store, request, body.to_vec()))
    }

    /// A phone's request.
    pub(crate) fn phone(&self, name: &str, agent: &str) -> (u16, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_str(agent).unwrap());
        let response = self.respond("GET", &format!("/{SITE}/{name}"), &headers, b"", false);
        let body = String::from_utf8(collected(response.body)).unwrap();
        (response.status.as_u16(), body.trim().to_owned())
    }
}

pub(crate) const NOW: u64 = 1_700_000_000_000;

pub(crate) fn collected(body: Payload<Vec<u8>>) -> Vec<u8> {
    match body {
        Payload::Bytes(bytes) => bytes,
        Payload::Stored(parts) => parts.concat(),
    }
}

impl Api for Process<'_> {
    fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Heard {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        for (name, value) in more {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let response = self.respond(method, &format!("/-/v1/{path}"), &headers, body, true);
        let etag = response.headers.get(header::ETAG);
        documented(method, path, response.status.as_u16());
        Heard {
            status: response.status.as_u16(),
            etag: etag.map(|etag| etag.to_str().unwrap().to_owned()),
            body: collected(response.body),
        }
    }
}

pub(crate) fn version(number: u8) -> Version {
    // Compiled once: a hundred pushes are tried of each.
    static VERSIONS: LazyLock<[Version; 3]> =
        LazyLock::new(|| [1, 2, 3].map(|number| Version::of(number, &Access::Open)));
    VERSIONS[usize::from(number - 1)].clone()
}

pub(crate) const POLYCOM: &str = "FileTransport PolycomVVX-VVX_400-UA/5.9.7.1";

/// Every phone gets this version of all its files, whole. One that the version does not have may be told to come again,
/// if it is in another.
pub(crate) fn gets(process: &Process<'_>, number: u8, when: &str) {
    for (mac, _) in DEVICES {
        let found = process.phone(&format!("{mac}-badge.cfg"), POLYCOM);
        match badge(number, mac) {
            Some(badge) => assert_eq!(found, (200, badge), "{when}: {mac} of version {number}"),
            None => assert!(matches!(found.0, 404 | 503), "{when}: {mac}: {found:?}"),
        }
    }
    assert_eq!(
        process.phone("badge.cfg", POLYCOM),
        (200, shared(number)),
        "{when}"
    );
    let (status, ring) = process.phone("ring.wav", POLYCOM);
    assert_eq!(
        (status, ring),
        (200, format!("RIFF of version {number}")),
        "{when}"
    );
}

/// Which of two versions a new process serves; it must be one of them.
pub(crate) fn served(shelf: &Shelf, versions: [u8; 2], when: &str) -> u8 {
    let store = Faulty::new(shelf, Fault::None);
    let process = Process::new(&store);
    let (_, found) = process.phone("badge.cfg", POLYCOM);
    let number = versions.into_iter().find(|it| shared(*it) == found);
    let number = number.unwrap_or_else(|| panic!("{when}: {found}"));
    gets(&process, number, when);
    number
}

/// A store with version 1, with an upload of its first device.
pub(crate) fn first() -> Shelf {
    let shelf = Shelf::default();
    {
        let store = Faulty::new(&shelf, Fault::None);
        let process = Process::new(&store);
        Pusher::new(&version(1)).push(&process).unwrap();
        let target = format!("/{SITE}/{UPLOADED}");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(3));
        let stored = process.respond("PUT", &target, &headers, b"log", false);
        assert_eq!(stored.status, 201, "{:?}", stored.explanation);
        gets(&process, 1, "at first");
    }
    shelf
}

pub(crate) const UPLOADED: &str = "0004f2000001-app.log";

pub(crate) fn site(process: &Process<'_>) -> (SiteState, String) {
    let heard = process.call("GET", &format!("sites/{SITE}"), &[], b"");
    assert_eq!(heard.status, 200);
    (
        serde_json::from_slice(&heard.body).unwrap(),
        heard.etag.unwrap(),
    )
}

pub(crate) fn steps(version: &Version) -> usize {
    let shelf = first();
    let store = Faulty::new(&shelf, Fault::None);
    let process = Process::new(&store);
    let mut pusher = Pusher::new(version);
    let mut steps = 0;
    while pusher.step(&process).unwrap() {
        steps += 1;
    }
    steps
}

pub(crate) fn advance(pusher: &mut Pusher<'_>, api: &impl Api, steps: usize) -> Result<(), Heard> {
    for _ in 0..steps {
        pusher.step(api)?;
    }
    Ok(())
}

/// A new process serves some version, whole.
pub(crate) fn served_one(shelf: &Shelf, when: &str) {
    let store = Faulty::new(shelf, Fault::None);
    let process = Process::new(&store);
    let (_, found) = process.phone("badge.cfg", POLYCOM);
    let number = (1..=3).find(|it| shared(*it) == found);
    gets(
        &process,
        number.unwrap_or_else(|| panic!("{when}: {found}")),
        when,
    );
}
