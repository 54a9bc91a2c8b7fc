//! Brings a compiled fleet directory into the stores: values into one, devices' records and files into the
//! other. Where a bucket holds everything, both are the bucket.
//!
//! It is safe while servers run over the same store: what others name is there before what names it, and
//! a device keeps its state, and its settings under the release that its site names until now.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::device::DeviceRecord;
use crate::fleet::entries::Content;
use crate::fleet::entries::Entry;
use crate::fleet::entries::Place;
use crate::mac::MacAddress;
use crate::release::ReleaseId;
use crate::seal::aes::Aes;
use crate::secret::DeploymentSecrets;
use crate::site::SiteRecord;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed;
use crate::store::keyed::Condition;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;

/// Writes entries in their order. What devices' records have of secrets is sealed with the deployment's, where there
/// is one. `open` gives an operator's file as an upload, and its length.
pub async fn fill<V: WritableValues, O: Objects>(
    values: &V,
    objects: &O,
    secrets: Option<&DeploymentSecrets>,
    entries: &[Entry],
    open: impl Fn(&Path) -> io::Result<(O::Upload, u64)>,
) -> Result<(), StoreError> {
    let mut current = HashMap::new();
    for Entry {
        key,
        place,
        content,
    } in entries
    {
        match (place, content) {
            (Place::Devices, Content::Record(json)) => {
                let (site, mac) = keyed::device_of(key).ok_or_else(|| not_a_device(key))?;
                if !current.contains_key(site) {
                    current.insert(site.to_owned(), current_release(values, site).await?);
                }
                let release = current.get(site).and_then(Option::as_ref);
                let record = keyed::parse(key, json.as_bytes())?;
                let write = Write {
                    objects,
                    secrets,
                    key,
                    site,
                    mac,
                };
                write.device(record, release).await?;
            }
            (Place::Values, Content::Record(json)) => {
                values.set(key, json.clone().into_bytes()).await?;
            }
            (Place::Objects, Content::Record(json)) => {
                let bytes = json.clone().into_bytes();
                objects.write(key, bytes, Condition::Always).await?;
            }
            (_, Content::File(path)) => {
                let failed =
                    |error| StoreError::new(StoreErrorKind::Damaged, path.display(), error);
                let (upload, length) = open(path).map_err(failed)?;
                write_file(objects, key, upload, length).await?;
            }
        }
    }
    Ok(())
}

/// A file lies under the hash of its bytes: one that is there whole need not be sent again.
async fn write_file<O: Objects>(
    objects: &O,
    key: &str,
    upload: O::Upload,
    length: u64,
) -> Result<(), StoreError> {
    let last = length.saturating_sub(1)..length;
    match objects.get(key, last).await {
        Ok(Some(_)) => Ok(()),
        Err(error) if error.kind != StoreErrorKind::Damaged => Err(error),
        Ok(None) | Err(_) => objects.put(key, upload, length).await,
    }
}

/// The release that a site names in the store, if it is there already.
async fn current_release<V: WritableValues>(
    values: &V,
    site: &str,
) -> Result<Option<ReleaseId>, StoreError> {
    let key = keyed::site_key(site);
    let Some(bytes) = values.read(&key).await? else {
        return Ok(None);
    };
    Ok(Some(keyed::parse::<SiteRecord>(&key, &bytes)?.release))
}

/// A device's record on its way into a store.
struct Write<'a, O> {
    objects: &'a O,
    secrets: Option<&'a DeploymentSecrets>,
    key: &'a str,
    site: &'a str,
    mac: MacAddress,
}

impl<O: Objects> Write<'_, O> {
    /// Replaces a device's settings, and nothing else; again, if an upload changes the record meanwhile.
    async fn device(
        &self,
        new: DeviceRecord,
        current: Option<&ReleaseId>,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let written = match self.objects.read(self.key).await? {
                None => {
                    let bytes = self.sealed(&new).await?;
                    let condition = Condition::Absent;
                    self.objects.write(self.key, bytes, condition).await?
                }
                Some((old, revision)) => {
                    let record = merged(keyed::parse(self.key, &old)?, &new, current);
                    // What is sealed again is the same box.
                    let bytes = self.sealed(&record).await?;
                    if bytes == old {
                        return Ok(());
                    }
                    let condition = Condition::At(&revision);
                    self.objects.write(self.key, bytes, condition).await?
                }
            };
            if written {
                return Ok(());
            }
        }
        let problem = "the record changes faster than it can be written";
        Err(StoreError::new(StoreErrorKind::Down, self.key, problem))
    }

    async fn sealed(&self, record: &DeviceRecord) -> Result<Vec<u8>, StoreError> {
        let device = (self.site, self.mac);
        keyed::sealed(&Aes, self.secrets, self.key, device, record).await
    }
}

/// A record with new settings, beside those of the release that its site names until now.
fn merged(
    mut record: DeviceRecord,
    new: &DeviceRecord,
    current: Option<&ReleaseId>,
) -> DeviceRecord {
    let kept = current.and_then(|id| Some((id.0.clone(), record.settings.remove(&id.0)?)));
    record.settings = kept.into_iter().collect();
    record.settings.extend(new.settings.clone());
    record
}

fn not_a_device(key: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Damaged, key, "not the key of a device")
}

/// How often a device's record is tried when devices upload meanwhile.
const TRIES: usize = 32;
