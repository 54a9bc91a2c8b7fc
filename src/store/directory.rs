//! The embedded default: records compiled from a fleet directory, and a state directory for what runs write.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::site::Deployment;
use crate::site::SiteRecord;

/// A fleet directory, compiled: immutable, replaced as a whole when the directory changes.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The deployment's record.
    pub deployment: Arc<Deployment>,
    /// Sites by name.
    pub sites: HashMap<String, Arc<SiteRecord>>,
    /// Releases by name.
    pub releases: HashMap<ReleaseId, Arc<Release>>,
    /// Devices by site: the JSON of a `DeviceSettings` each, under the release of the site.
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
