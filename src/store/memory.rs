//! The reference store: everything in memory, for tests, previews and as the meaning of the traits.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::BlobKey;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::PAGE;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

/// What a [`MemoryStore`] holds.
#[derive(Debug, Default)]
struct Inner {
    deployment: Arc<Deployment>,
    sites: HashMap<String, Arc<SiteRecord>>,
    releases: HashMap<ReleaseId, Arc<Release>>,
    devices: HashMap<(String, MacAddress), (DeviceRecord, u64)>,
    contacts: BTreeMap<(String, MacAddress), Contact>,
    blobs: HashMap<BlobKey, Vec<u8>>,
    reads: u64,
    down: bool,
}

impl MemoryStore {
    /// Replaces the deployment's record.
    pub fn set_deployment(&self, deployment: Deployment) {
        self.lock().deployment = Arc::new(deployment);
    }

    /// Adds or replaces a site.
    pub fn set_site(&self, site: SiteRecord) {
        self.lock().sites.insert(site.name.clone(), Arc::new(site));
    }

    /// Adds a release.
    pub fn set_release(&self, release: Arc<Release>) {
        self.lock().releases.insert(release.id.clone(), release);
    }

    /// Adds or replaces a device.
    pub fn set_device(&self, site: &str, mac: MacAddress, record: DeviceRecord) {
        self.lock()
            .devices
            .insert((site.to_owned(), mac), (record, 0));
    }

    /// Adds or replaces a blob.
    pub fn set_blob(&self, key: BlobKey, bytes: Vec<u8>) {
        self.lock().blobs.insert(key, bytes);
    }

    /// The last contact of a device.
    pub fn contact(&self, site: &str, mac: MacAddress) -> Option<Contact> {
        self.lock().contacts.get(&(site.to_owned(), mac)).cloned()
    }

    /// How many blobs there are.
    pub fn blob_count(&self) -> usize {
        self.lock().blobs.len()
    }

    /// How many devices and blobs were read so far.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// From now on every call fails, or none does.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self, key: &str) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        if inner.down {
            return Err(StoreError {
                kind: StoreErrorKind::Down,
                key: key.to_owned(),
                source: None,
            });
        }
        Ok(inner)
    }
}

impl Records for MemoryStore {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        Ok(self.lock().deployment.clone())
    }

    async fn site(&self, name: &str) -> Result<Option<Arc<SiteRecord>>, StoreError> {
        Ok(self.up(name)?.sites.get(name).cloned())
    }

    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        let release = self.up(&id.0)?.releases.get(id).cloned();
        release.ok_or_else(|| StoreError {
            kind: StoreErrorKind::Damaged,
            key: id.0.clone(),
            source: None,
        })
    }

    async fn device(
        &self,
        site: &str,
        mac: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError> {
        let mut inner = self.up(site)?;
        inner.reads += 1;
        let found = inner.devices.get(&(site.to_owned(), mac)).cloned();
        Ok(found.map(|(record, revision)| (record, Revision(revision.to_string()))))
    }

    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        revision: &Revision,
        changed: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        let mut inner = self.up(site)?;
        let Some((record, current)) = inner.devices.get_mut(&(site.to_owned(), mac)) else {
            return Ok(false);
        };
        if current.to_string() != revision.0 {
            return Ok(false);
        }
        *current += 1;
        record.clone_from(changed);
        Ok(true)
    }

    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        self.up(site)?
            .contacts
            .insert((site.to_owned(), mac), contact.clone());
        Ok(())
    }

    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        let inner = self.up(site)?;
        let all = inner.contacts.iter();
        let wanted = all.filter(|((of, mac), _)| of == site && after.is_none_or(|it| *mac > it));
        let page = wanted.take(PAGE);
        Ok(page.map(|((_, mac), it)| (*mac, it.clone())).collect())
    }
}

impl Blobs for MemoryStore {
    type Body = Vec<u8>;
    type Upload = Vec<u8>;

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        let mut inner = self.up(key.as_str())?;
        inner.reads += 1;
        let Some(bytes) = inner.blobs.get(key) else {
            return Ok(None);
        };
        let bounds = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        match bytes.get(bounds(range.start)..bounds(range.end)) {
            Some(part) => Ok(Some(part.to_vec())),
            None => Err(StoreError::new(
                StoreErrorKind::Damaged,
                key,
                "shorter than its record says",
            )),
        }
    }

    async fn put(&self, key: &BlobKey, body: Vec<u8>, length: u64) -> Result<(), StoreError> {
        if u64::try_from(body.len()) != Ok(length) {
            return Err(StoreError::new(
                StoreErrorKind::Incomplete,
                key,
                "another length than was said",
            ));
        }
        self.up(key.as_str())?.blobs.insert(key.clone(), body);
        Ok(())
    }

    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.up(key.as_str())?.blobs.insert(key.clone(), bytes);
        Ok(())
    }

    async fn collect(&self, body: Vec<u8>, most: usize) -> Result<Vec<u8>, StoreError> {
        if body.len() > most {
            let kind = StoreErrorKind::Incomplete;
            return Err(StoreError::new(
                kind,
                "a body",
                "more than there is room for",
            ));
        }
        Ok(body)
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.up(key.as_str())?.blobs.remove(key);
        Ok(())
    }
}

/// What stands in it is set by whoever made it.
impl Publishing for MemoryStore {}
