//! The embedded default: records compiled from a fleet directory, and a state directory for what runs write.

pub(in crate::store) mod state;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::SystemTime;

use crate::device::DeviceRecord;
use crate::device::DeviceSettings;
use crate::device::publication_key;
use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::sha256_hex;
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
use crate::store::directory::state::State;
pub use crate::store::directory::stream::Body;
pub use crate::store::directory::stream::Upload;

/// A fleet directory, compiled: immutable, replaced as a whole when the directory changes.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The deployment's record.
    pub deployment: Arc<Deployment>,
    /// Sites by name.
    pub sites: HashMap<String, Arc<SiteRecord>>,
    /// Releases by name.
    pub releases: HashMap<ReleaseId, Arc<Release>>,
    /// Devices by site: the JSON of a `DeviceSettings` each.
    pub devices: HashMap<String, HashMap<MacAddress, Box<[u8]>>>,
    /// Images and resources by SHA-256.
    pub files: HashMap<String, SourceFile>,
}

/// An operator's file as it was when it was compiled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub length: u64,
    /// When it was last changed; another time means that it is no longer what was compiled.
    pub modified: SystemTime,
}

/// A snapshot, and the state directory beside it.
#[derive(Debug)]
pub struct DirectoryStore {
    snapshots: RwLock<Snapshots>,
    state: Arc<State>,
}

/// The current snapshot, and the one before it for the requests that began under that.
#[derive(Clone, Debug)]
struct Snapshots {
    current: Arc<Snapshot>,
    previous: Option<Arc<Snapshot>>,
}

impl DirectoryStore {
    /// Opens a state directory, which is made if it is not there, beside a first snapshot.
    pub fn open(state: &Path, snapshot: Snapshot) -> io::Result<Self> {
        let snapshots = Snapshots {
            current: Arc::new(snapshot),
            previous: None,
        };
        Ok(Self {
            snapshots: RwLock::new(snapshots),
            state: Arc::new(State::open(state)?),
        })
    }

    /// Puts another snapshot in place of the current one, which stays for the requests under way: one
    /// that has read a site's record still finds the release that the record names, and devices' settings by the
    /// publication's number. Each snapshot has the next number, for all of its sites.
    pub fn replace(&self, mut snapshot: Snapshot) {
        let mut snapshots = self
            .snapshots
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let numbers = snapshots
            .current
            .sites
            .values()
            .map(|site| site.publication);
        let next = numbers.max().unwrap_or_default() + 1;
        for site in snapshot.sites.values_mut() {
            Arc::make_mut(site).publication = next;
        }
        let replaced = std::mem::replace(&mut snapshots.current, Arc::new(snapshot));
        let dropped = snapshots.previous.replace(replaced);
        drop(snapshots);
        // A million devices take a while to free: not under the lock.
        drop(dropped);
    }

    /// Lets go of the snapshot before the current one, once no request can be under way with it.
    pub fn forget_previous(&self) {
        let mut snapshots = self
            .snapshots
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let dropped = snapshots.previous.take();
        drop(snapshots);
        drop(dropped);
    }

    fn snapshots(&self) -> Snapshots {
        self.snapshots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The body of an operator's file, if that is still what was compiled.
    fn source_file(&self, key: &BlobKey, sha256: &str, range: Range<u64>) -> Found<Body> {
        let snapshots = self.snapshots();
        let Some(source) = snapshots.iter().find_map(|it| it.files.get(sha256)) else {
            return Ok(None);
        };
        let file = File::open(&source.path).map_err(|error| down(key, error))?;
        Body::of_source(key, file, source, range).map(Some)
    }

    fn uploaded(&self, key: &BlobKey, range: Range<u64>) -> Found<Body> {
        let place = place(key)?;
        match self.state.open_file(place) {
            Ok(Some(file)) => Body::of_upload(key, file, range).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(down(key, error)),
        }
    }
}

impl Snapshots {
    /// Newest first.
    fn iter(&self) -> impl Iterator<Item = &Snapshot> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .map(Arc::as_ref)
    }

    /// A device's settings under the publication of each snapshot that knows its site, if one knows the device.
    fn record(&self, site: &str, mac: MacAddress) -> Found<DeviceRecord> {
        let mut record = DeviceRecord::default();
        for snapshot in self.iter() {
            if let Some(publication) = snapshot.publication(site) {
                let json = snapshot.device(site, mac);
                let settings = json.map(|json| parse_settings(mac, json)).transpose()?;
                record
                    .settings
                    .insert(publication_key(publication), settings);
            }
        }
        let known = record.settings.values().any(Option::is_some);
        Ok(Some(record).filter(|_| known))
    }

    fn knows(&self, site: &str, mac: MacAddress) -> bool {
        self.iter().any(|it| it.device(site, mac).is_some())
    }
}

impl Snapshot {
    /// A device's settings, as JSON.
    pub(crate) fn device(&self, site: &str, mac: MacAddress) -> Option<&[u8]> {
        let json = self.devices.get(site)?.get(&mac)?;
        Some(json)
    }

    /// The number of a site's publication.
    pub(crate) fn publication(&self, site: &str) -> Option<u64> {
        self.sites.get(site).map(|site| site.publication)
    }
}

impl Records for DirectoryStore {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        Ok(self.snapshots().current.deployment.clone())
    }

    async fn site(&self, name: &str) -> Found<Arc<SiteRecord>> {
        Ok(self.snapshots().current.sites.get(name).cloned())
    }

    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        let snapshots = self.snapshots();
        let found = snapshots.iter().find_map(|it| it.releases.get(id));
        found.cloned().ok_or_else(|| StoreError {
            kind: StoreErrorKind::Damaged,
            key: id.0.clone(),
            source: None,
        })
    }

    async fn device(&self, site: &str, mac: MacAddress) -> Found<(DeviceRecord, Revision)> {
        let Some(mut record) = self.snapshots().record(site, mac)? else {
            return Ok(None);
        };
        let place = state_place(site, mac)?;
        let written = self.state.read(&place).map_err(|error| down(mac, error))?;
        if let Some(json) = &written {
            record.state = serde_json::from_slice(json).map_err(|error| damaged(mac, error))?;
        }
        Ok(Some((record, revision(written.as_deref()))))
    }

    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        expected: &Revision,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        if !self.snapshots().knows(site, mac) {
            return Ok(false);
        }
        let place = state_place(site, mac)?;
        let json = serde_json::to_vec(&record.state).map_err(|error| damaged(mac, error))?;
        let (directory, expected) = (self.state.clone(), expected.clone());
        off_thread(move || {
            let _locked = directory.lock(mac)?;
            if revision(directory.read(&place)?.as_deref()) != expected {
                return Ok(false);
            }
            directory.write(&place, &json)?;
            Ok(true)
        })
        .await
        .map_err(|error| down(mac, error))
    }

    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        let place = format!("contacts/{}/{mac}.json", clean(site)?);
        let json = serde_json::to_vec(contact).map_err(|error| damaged(mac, error))?;
        // Not synced: a contact that a power cut takes is made good by the next boot.
        self.state
            .write_soon(&place, &json)
            .map_err(|error| down(mac, error))
    }

    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        let folder = format!("contacts/{}", clean(site)?);
        let names = self.state.names(&folder);
        let names = names.map_err(|error| down(site, error))?;
        let macs = names.iter().filter_map(|name| {
            let mac: MacAddress = name.strip_suffix(".json")?.parse().ok()?;
            after.is_none_or(|after| mac > after).then_some(mac)
        });
        let mut macs: Vec<MacAddress> = macs.collect();
        macs.sort_unstable();
        let mut page = Vec::new();
        for mac in macs.into_iter().take(PAGE) {
            let json = self.state.read(&format!("{folder}/{mac}.json"));
            if let Some(json) = json.map_err(|error| down(mac, error))? {
                let contact = serde_json::from_slice(&json);
                page.push((mac, contact.map_err(|error| damaged(mac, error))?));
            }
        }
        Ok(page)
    }
}

impl Blobs for DirectoryStore {
    type Body = Body;
    type Upload = Upload;

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Found<Body> {
        match key.as_str().strip_prefix("blobs/") {
            Some(sha256) => self.source_file(key, sha256, range),
            None => self.uploaded(key, range),
        }
    }

    async fn put(&self, key: &BlobKey, body: Upload, length: u64) -> Result<(), StoreError> {
        let place = place(key)?.to_owned();
        let mut temporary = self.state.temporary().map_err(|error| down(key, error))?;
        body.receive(key, temporary.file(), length).await?;
        let state = self.state.clone();
        off_thread(move || temporary.keep(&state, &place))
            .await
            .map_err(|error| down(key, error))
    }

    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.put(key, bytes.into(), length).await
    }

    async fn collect(&self, body: Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        body.collect(most)
            .await
            .map_err(|error| StoreError::new(StoreErrorKind::Incomplete, "a body", error))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.state
            .remove(place(key)?)
            .map_err(|error| down(key, error))
    }
}

/// What is published is the fleet directory.
impl Publishing for DirectoryStore {}

/// Syncing a disk takes milliseconds, in which a server's thread has other phones to answer. Without a
/// runtime, in the operator's tool, there is nobody to wait.
pub(in crate::store) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await?,
        Err(_) => work(),
    }
}

fn parse_settings(mac: MacAddress, json: &[u8]) -> Result<DeviceSettings, StoreError> {
    serde_json::from_slice(json).map_err(|error| damaged(mac, error))
}

/// The content of a state file names its revision; no file is a revision too.
pub(in crate::store) fn revision(written: Option<&[u8]>) -> Revision {
    Revision(written.map(sha256_hex).unwrap_or_default())
}

fn state_place(site: &str, mac: MacAddress) -> Result<String, StoreError> {
    Ok(format!("devices/{}/{mac}.json", clean(site)?))
}

/// Where an uploaded blob lies. Keys are clean by their type; this is the last door before the disk.
pub(in crate::store) fn place(key: &BlobKey) -> Result<&str, StoreError> {
    key.as_str().split('/').try_for_each(|segment| {
        clean(segment)?;
        Ok(())
    })?;
    Ok(key.as_str())
}

fn clean(segment: &str) -> Result<&str, StoreError> {
    if matches!(segment, "" | "." | "..") || segment.contains(['/', '\\', '\0']) {
        return Err(damaged(segment, "not the name of a file"));
    }
    Ok(segment)
}

pub(in crate::store) fn down(key: impl fmt::Display, error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Down, key, error)
}

fn damaged(
    key: impl fmt::Display,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(StoreErrorKind::Damaged, key, source)
}

/// What a read gives: `None` where nothing lies.
type Found<T> = Result<Option<T>, StoreError>;
