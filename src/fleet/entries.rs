//! What a compiled fleet directory is under the documented keys of docs/storage.md, for the stores that
//! are filled from it.

use std::path::PathBuf;

use serde::Serialize;

use crate::device::publication_key;
use crate::mac::MacAddress;
use crate::seal::aes::Aes;
use crate::secret::DeploymentSecrets;
use crate::store::BlobKey;
use crate::store::StoreError;
use crate::store::directory::Snapshot;
use crate::store::keyed;

/// A value to be written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Under which key.
    pub key: String,
    /// In which store.
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub content: Content,
}

/// The store that an entry belongs into.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The key-value store.
    Values,
    /// The object store.
    Objects,
    /// The object store, where a device's state may stand already: that stays, only settings are ours.
    Devices,
}

/// What an entry holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A record's JSON.
    Record(String),
    /// An operator's file.
    File(PathBuf),
}

/// Every entry, in an order that is safe to write in: what others name comes before what names it, the
/// sites and the deployment last.
pub fn of(snapshot: &Snapshot) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (sha256, file) in &snapshot.files {
        let key = BlobKey::content(sha256).as_str().to_owned();
        entries.push(Entry {
            key,
            place: Place::Objects,
            content: Content::File(file.path.clone()),
        });
    }
    for (id, release) in &snapshot.releases {
        let (_, bytes) = release.record.encode();
        let json = String::from_utf8_lossy(&bytes).into_owned();
        entries.push(record(Place::Values, keyed::release_key(id), json));
    }
    for (site, devices) in &snapshot.devices {
        entries.extend(
            devices
                .keys()
                .filter_map(|mac| device(snapshot, site, *mac)),
        );
    }
    for (name, site) in &snapshot.sites {
        entries.push(record(Place::Values, keyed::site_key(name), json(&**site)));
    }
    let deployment = json(&*snapshot.deployment);
    entries.push(record(
        Place::Values,
        keyed::DEPLOYMENT.to_owned(),
        deployment,
    ));
    entries
}

/// A record whose settings are JSON already: nothing to parse, and nothing that could fail.
fn device(snapshot: &Snapshot, site: &str, mac: MacAddress) -> Option<Entry> {
    let settings = String::from_utf8_lossy(snapshot.device(site, mac)?);
    let publication = publication_key(snapshot.publication(site)?);
    let json = format!(r#"{{"settings":{{"{publication}":{settings}}}}}"#);
    Some(record(Place::Devices, keyed::device_key(site, mac), json))
}

/// The same, with what devices' records have of secrets sealed: for those who write without asking.
pub async fn sealed(
    mut entries: Vec<Entry>,
    secrets: &DeploymentSecrets,
) -> Result<Vec<Entry>, StoreError> {
    for entry in &mut entries {
        let device = keyed::device_of(&entry.key);
        if let (Content::Record(json), Some(device)) = (&mut entry.content, device) {
            let record = keyed::parse(&entry.key, json.as_bytes())?;
            let bytes = keyed::sealed(&Aes, Some(secrets), &entry.key, device, &record).await?;
            *json = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    Ok(entries)
}

fn record(place: Place, key: String, json: String) -> Entry {
    Entry {
        key,
        place,
        content: Content::Record(json),
    }
}

/// Maps of texts and numbers always have a JSON form; an empty record would be refused on reading.
fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
