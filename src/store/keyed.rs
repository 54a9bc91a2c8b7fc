//! The records and blobs of a deployment by their documented keys (docs/storage.md), over a key-value
//! store and an object store.
//!
//! A platform brings the two primitive stores; what lies under which key, what is kept in memory and for
//! how long, and what a missing record means is decided here, once.

mod kept;
mod primitive;
mod publishing;

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::seal;
use crate::seal::Cipher;
use crate::seal::Way;
use crate::secret::DeploymentSecrets;
use crate::settings::Settings;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::BlobKey;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::PAGE;
use crate::store::Records;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
pub use crate::store::keyed::kept::Kept;
pub use crate::store::keyed::primitive::Condition;
pub use crate::store::keyed::primitive::KeyValue;
pub use crate::store::keyed::primitive::Objects;
pub use crate::store::keyed::primitive::WritableValues;

/// The key of the deployment's record.
pub const DEPLOYMENT: &str = "deployment";

/// The key of a site's record.
pub fn site_key(site: &str) -> String {
    format!("site/{site}")
}

/// The key of a release.
pub fn release_key(id: &ReleaseId) -> String {
    format!("release/{id}")
}

/// The key of a device's record.
pub fn device_key(site: &str, mac: MacAddress) -> String {
    format!("device/{site}/{mac}")
}

/// Whose record lies under a key.
pub fn device_of(key: &str) -> Option<(&str, MacAddress)> {
    let (site, mac) = key.strip_prefix("device/")?.split_once('/')?;
    Some((site, mac.parse().ok()?))
}

/// The key of a device's last contact.
pub fn contact_key(site: &str, mac: MacAddress) -> String {
    format!("contacts/{site}/{mac}")
}

/// Where the keys of a site's contacts begin.
fn contacts_of(site: &str) -> String {
    format!("contacts/{site}/")
}

/// A deployment's store, for one request.
#[derive(Debug)]
pub struct KeyedStore<'a, V, O, C> {
    /// Records that publishing writes.
    pub values: V,
    /// Devices, blobs and contacts.
    pub objects: O,
    /// What seals what devices' records have of secrets.
    pub cipher: C,
    /// What that is done with; without it, they are kept in the clear.
    pub secrets: Option<&'a DeploymentSecrets>,
    /// What this process has in memory from earlier requests.
    pub kept: &'a Kept,
    /// Milliseconds since 1970.
    pub now: u64,
}

impl<V: KeyValue, O: Objects, C: Cipher> Records for KeyedStore<'_, V, O, C> {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        if let Some(deployment) = self.kept.deployment(self.now) {
            return Ok(deployment);
        }
        let bytes = self.values.read(DEPLOYMENT).await?;
        let bytes = bytes.ok_or_else(|| damaged(DEPLOYMENT, "nothing was published yet"))?;
        let deployment = Arc::new(parse(DEPLOYMENT, &bytes)?);
        self.kept.keep_deployment(self.now, &deployment);
        Ok(deployment)
    }

    async fn site(&self, name: &str) -> Result<Option<Arc<SiteRecord>>, StoreError> {
        if let Some(site) = self.kept.site(name, self.now) {
            return Ok(Some(site));
        }
        let key = site_key(name);
        let Some(bytes) = self.values.read(&key).await? else {
            return Ok(None);
        };
        let site: Arc<SiteRecord> = Arc::new(parse(&key, &bytes)?);
        self.kept.keep_site(name, self.now, &site);
        Ok(Some(site))
    }

    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        if let Some(release) = self.kept.release(id) {
            return Ok(release);
        }
        let key = release_key(id);
        let bytes = self.values.read(&key).await?;
        let bytes = bytes.ok_or_else(|| damaged(&key, "a site names it, but it is not there"))?;
        if ReleaseId::of(&bytes) != *id {
            return Err(damaged(&key, "its bytes are not those it is named after"));
        }
        let record: ReleaseRecord = parse(&key, &bytes)?;
        let release = Release::parse(id.clone(), record);
        let release = Arc::new(release.map_err(|error| damaged(&key, error))?);
        self.kept.keep_release(&release);
        Ok(release)
    }

    async fn device(
        &self,
        site: &str,
        mac: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError> {
        let key = device_key(site, mac);
        let Some((bytes, revision)) = self.objects.read(&key).await? else {
            return Ok(None);
        };
        Ok(Some((parse(&key, &bytes)?, revision)))
    }

    async fn open_sealed(
        &self,
        place: &seal::Place<'_>,
        sealed: &str,
    ) -> Result<Settings, StoreError> {
        let secrets = self.secrets;
        let message = secrets.and_then(|it| seal::opening_settings(it, place, sealed));
        let opened = match message {
            Some(message) => self.cipher.apply(Way::Open, &message).await,
            None => None,
        };
        let key = device_key(place.site, place.mac);
        parse(&key, &opened.ok_or_else(|| damaged(&key, DOES_NOT_OPEN))?)
    }

    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        revision: &Revision,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        let key = device_key(site, mac);
        #[cfg(feature = "operator")]
        let bytes = sealed(&self.cipher, self.secrets, &key, (site, mac), record).await?;
        // What lies there does not change: no record comes in here that was not in the store before.
        #[cfg(not(feature = "operator"))]
        let bytes = encode(&key, record)?;
        let condition = Condition::At(revision);
        self.objects.write(&key, bytes, condition).await
    }

    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        let key = contact_key(site, mac);
        let bytes = encode(&key, contact)?;
        let written = self.objects.write(&key, bytes, Condition::Always);
        written.await.map(drop)
    }

    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        let beginning = contacts_of(site);
        let after = after.map_or_else(|| beginning.clone(), |mac| contact_key(site, mac));
        let mut contacts = Vec::new();
        for (key, bytes) in self.objects.list(&beginning, &after, PAGE).await? {
            if let Some(Ok(mac)) = key.strip_prefix(&beginning).map(str::parse) {
                contacts.push((mac, parse(&key, &bytes)?));
            }
        }
        Ok(contacts)
    }
}

impl<V: KeyValue, O: Objects, C: Cipher> Blobs for KeyedStore<'_, V, O, C> {
    type Body = O::Body;
    type Upload = O::Upload;

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Option<O::Body>, StoreError> {
        self.objects.get(key.as_str(), range).await
    }

    async fn follow(
        &self,
        key: &BlobKey,
        range: Range<u64>,
    ) -> Result<Option<O::Body>, StoreError> {
        self.objects.follow(key.as_str(), range).await
    }

    async fn put(&self, key: &BlobKey, body: O::Upload, length: u64) -> Result<(), StoreError> {
        self.objects.put(key.as_str(), body, length).await
    }

    fn presigned(&self, key: &BlobKey, seconds: u64) -> Result<Option<String>, StoreError> {
        self.objects.presigned(key.as_str(), seconds)
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.objects.delete(key.as_str()).await
    }

    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        let written = self.objects.write(key.as_str(), bytes, Condition::Always);
        written.await.map(drop)
    }

    async fn collect(&self, body: O::Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        self.objects.collect(body, most).await
    }
}

/// A device's record as it is written: the one way in which one comes into a store.
pub async fn sealed(
    cipher: &impl Cipher,
    secrets: Option<&DeploymentSecrets>,
    key: &str,
    (site, mac): (&str, MacAddress),
    record: &DeviceRecord,
) -> Result<Vec<u8>, StoreError> {
    let mut record = record.clone();
    if let Some(secrets) = secrets {
        let done = seal::seal_record(cipher, secrets, site, mac, &mut record).await;
        done.ok_or_else(|| damaged(key, "it cannot be sealed"))?;
    }
    encode(key, &record)
}

/// Reads a record.
pub(crate) fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(key, place(&error)))
}

/// Where a record is wrong, and not what stands there: that may be a password.
fn place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!(
        "{:?} error in line {line}, column {column}",
        error.classify()
    )
}

/// Writes a record.
pub(crate) fn encode<T: serde::Serialize>(key: &str, record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|error| damaged(key, place(&error)))
}

const DOES_NOT_OPEN: &str = "what is sealed in it does not open with the deployment's secret";

fn damaged(key: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Damaged, key, source)
}
