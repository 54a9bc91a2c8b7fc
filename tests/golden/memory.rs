//! The core alone, over the reference store.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use ::http::HeaderMap;
use ::http::HeaderName;
use ::http::HeaderValue;
use ::http::Method;
use handset::access::Uncounted;
use handset::client::Client;
use handset::device::DeviceRecord;
use handset::device::publication_key;
use handset::fleet;
use handset::fleet::Hashes;
use handset::respond::Payload;
use handset::respond::Request;
use handset::respond::respond;
use handset::store::BlobKey;
use handset::store::memory::MemoryStore;

use crate::case::Answer;
use crate::case::Step;
use crate::client::secret::secrets;
use crate::client::secret::with_keys;
use crate::replay::Platform;

pub(crate) struct Memory {
    pub(crate) store: MemoryStore,
    id: u128,
}

impl Memory {
    /// A fleet directory of `fixtures/`, compiled into a fresh store.
    pub(crate) fn of_fixture(name: &str) -> Self {
        Self::of_directory(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fixtures")
                .join(name),
        )
    }

    pub(crate) fn of_directory(directory: &Path) -> Self {
        let fleet = fleet::compile(directory, &mut Hashes::default()).unwrap();
        let store = MemoryStore::default();
        let snapshot = fleet.snapshot;
        for (site, devices) in &snapshot.devices {
            let publication = publication_key(snapshot.sites[site].publication);
            for (mac, settings) in devices {
                let mut record = DeviceRecord::default();
                let settings = serde_json::from_slice(settings).unwrap();
                record.settings.insert(publication.clone(), settings);
                store.set_device(site, *mac, record);
            }
        }
        for (sha256, file) in &snapshot.files {
            store.set_blob(BlobKey::content(sha256), std::fs::read(&file.path).unwrap());
        }
        store.set_deployment((*snapshot.deployment).clone());
        snapshot
            .sites
            .values()
            .for_each(|site| store.set_site((**site).clone()));
        snapshot
            .releases
            .values()
            .for_each(|release| store.set_release(release.clone()));
        Self { store, id: 0 }
    }
}

impl Platform for Memory {
    fn answer(&mut self, step: &Step) -> Answer {
        let header = |(name, value): &(String, String)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let headers: HeaderMap = step.headers.iter().map(header).collect();
        self.id += 1;
        let method: Method = step.method.parse().unwrap();
        let request = Request {
            method: &method,
            target: &with_keys(&step.target),
            host: headers.get("host").and_then(|host| host.to_str().ok()),
            headers: &headers,
            now: 1_700_000_000_000,
            id: self.id,
            fallback_site: None,
            client: Client::default(),
            secrets: Some(&secrets()),
            replays: &Uncounted,
            operator: false,
        };
        let response = ready(respond(&self.store, request, step.body.clone()));
        let body = match response.body {
            Payload::Bytes(bytes) => bytes,
            Payload::Stored(parts) => parts.concat(),
        };
        let headers = response
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        Answer::new(response.status.as_u16(), headers, body)
    }
}

/// The reference store never waits.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the reference store never waits"),
    }
}
