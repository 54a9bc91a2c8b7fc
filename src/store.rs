//! The stores: two small traits that every platform implements and the handler speaks to.
//!
//! `Ok(None)` is a missing object; an error is an error. What they deliberately do not do: no listing on
//! the way of a phone's request, no retry, no idea of HTTP. Futures are not `Send`: those of Workers are not.

#[cfg(not(target_family = "wasm"))]
pub mod directory;
#[cfg(not(target_family = "wasm"))]
pub mod files;
pub mod keyed;
pub mod memory;
mod publishing;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod s3;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod single;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::seal::Place;
use crate::settings::Settings;
use crate::site::Deployment;
use crate::site::SiteRecord;
pub use crate::store::publishing::Publishing;

/// The records: what the deployment, its sites and its devices are.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Records {
    /// The deployment's own record; implementations keep it in memory.
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError>;

    /// A site's record; implementations may keep it for 60 seconds.
    async fn site(&self, name: &str) -> Result<Option<Arc<SiteRecord>>, StoreError>;

    /// A release, parsed; implementations keep it by its name. A release that a site names but that is
    /// not there is an error, for the device must not take it for a missing file.
    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError>;

    /// A device's record and its revision: one strongly consistent read.
    async fn device(
        &self,
        site: &str,
        mac: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError>;

    /// What lies sealed of a device's settings: for a file that is rendered for the device, and no other. What does
    /// not open is damaged, for a file without its passwords would be taken for whole.
    async fn open_sealed(&self, place: &Place<'_>, _: &str) -> Result<Settings, StoreError> {
        let problem = "a store that seals nothing cannot open it";
        Err(StoreError::new(StoreErrorKind::Damaged, place.mac, problem))
    }

    /// Writes a device's record, as it was read and with another state, if it is still at `revision`;
    /// `false` if it is not.
    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        revision: &Revision,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError>;

    /// Writes a device's last contact, whatever stood there before.
    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError>;

    /// The last contacts of a site's devices whose addresses come after `after`, in the order of those and at
    /// most [`PAGE`] of them: for the operator, never on the way of a phone's request.
    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError>;
}

/// Contacts that are listed at once.
pub const PAGE: usize = 100;

/// The blobs: images, resources and uploads.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Blobs {
    /// A body on its way to a device.
    type Body;
    /// A body on its way from a device.
    type Upload;

    /// Some bytes of a blob; `range` lies within the blob and is empty only if the blob is.
    async fn get(&self, key: &BlobKey, range: Range<u64>)
    -> Result<Option<Self::Body>, StoreError>;

    /// Some bytes of a blob that follow others in the same response. A store whose open bodies cost something
    /// may open this one when its turn comes, and break the response off if it is not there.
    async fn follow(
        &self,
        key: &BlobKey,
        range: Range<u64>,
    ) -> Result<Option<Self::Body>, StoreError> {
        self.get(key, range).await
    }

    /// Stores a new blob of exactly `length` bytes, durably, before it returns; or nothing.
    async fn put(&self, key: &BlobKey, body: Self::Upload, length: u64) -> Result<(), StoreError>;

    /// The same for bytes that are in memory already.
    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// A small body whole, if it has at most `most` bytes.
    async fn collect(&self, body: Self::Upload, most: usize) -> Result<Vec<u8>, StoreError>;

    /// A URL by which anybody can read a blob for some seconds, or `None` where blobs have none.
    fn presigned(&self, _: &BlobKey, _: u64) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Takes a blob away, if it is there.
    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError>;
}

/// The state of a record that a conditional write names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Revision(pub String);

/// Where a blob lies.
///
/// Invariants: segments joined by single slashes, none empty, `.` or `..`; at most 1,024 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BlobKey(String);

impl BlobKey {
    /// An image or a resource, by the SHA-256 of its bytes.
    pub fn content(sha256: &str) -> Self {
        Self(format!("blobs/{sha256}"))
    }

    /// A part of an upload. Site and name are clean by their types and rules; the id is ours.
    pub fn upload(site: &str, mac: MacAddress, name: &str, id: &str) -> Self {
        Self(format!("uploads/{site}/{mac}/{name}/{id}"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last time that a device began a boot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contact {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The file that it began with.
    pub file: String,
    /// What it said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The generation of the key that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u8>,
    /// Why it got nothing though its site's key is good: it knocks, and may be admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The publication that it was served from.
    #[serde(default)]
    pub publication: u64,
}

/// A store that failed. The device sees 503 with Retry-After, never 404: a phone that sees 404 falls
/// back to other files.
#[derive(Debug)]
pub struct StoreError {
    /// What is at fault.
    pub kind: StoreErrorKind,
    /// What was asked for.
    pub key: String,
    /// What the store said.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is at fault when a store fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreErrorKind {
    /// What lies there is not what was written. 503.
    Damaged,
    /// The store cannot be reached, or is not what it was when its files were compiled. 503.
    Down,
    /// The device broke off or sent another number of bytes than it said. 400.
    Incomplete,
}

impl StoreError {
    /// An error with its cause.
    pub fn new(
        kind: StoreErrorKind,
        key: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            key: key.to_string(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.kind {
            StoreErrorKind::Damaged => "the store holds something damaged",
            StoreErrorKind::Down => "the store does not answer",
            StoreErrorKind::Incomplete => "the device broke off its upload",
        };
        write!(f, "{problem} ({})", self.key)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
