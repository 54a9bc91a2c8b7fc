//! Brings a compiled fleet directory into the stores: values into one, devices' records and files into the
//! other. Where a bucket holds everything, both are the bucket.
//!
//! It is safe while servers run over the same store: what others name is there before what names it, and
//! a device keeps its state, and its settings under the publication that its site is until now.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::device::DeviceRecord;
use crate::device::publication_key;
use crate::fleet::entries::Content;
use crate::fleet::entries::Entry;
use crate::fleet::entries::Place;
use crate::mac::MacAddress;
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
    let mut steps: HashMap<String, Step> = HashMap::new();
    for entry in entries {
        if let (Some(site), Content::Record(json)) = (site_of(&entry.key), &entry.content) {
            steps.insert(site.to_owned(), Step::of(values, &entry.key, json).await?);
        }
    }
    for Entry {
        key,
        place,
        content,
    } in entries
    {
        match (place, content) {
            (Place::Devices, Content::Record(json)) => {
                let (site, mac) = keyed::device_of(key).ok_or_else(|| not_a_device(key))?;
                let record = keyed::parse(key, json.as_bytes())?;
                let write = Write {
                    objects,
                    secrets,
                    key,
                    site,
                    mac,
                };
                if !steps.contains_key(site) {
                    steps.insert(site.to_owned(), Step::none(values, site).await?);
                }
                let step = steps.get(site).ok_or_else(|| not_a_device(key))?;
                write.device(record, step).await?;
            }
            (Place::Values, Content::Record(json)) => {
                let bytes = match site_of(key).and_then(|site| steps.get(site)) {
                    Some(step) => keyed::encode(key, &step.site)?,
                    None => json.clone().into_bytes(),
                };
                values.set(key, bytes).await?;
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

fn site_of(key: &str) -> Option<&str> {
    key.strip_prefix("site/")
}

/// A site's record in the store, and the one that is to lie there.
struct Step {
    before: Option<SiteRecord>,
    /// It has the number after, unless it is the same record.
    site: SiteRecord,
}

impl Step {
    /// Devices alone are filled: the site's record is there, and stays.
    async fn none<V: WritableValues>(values: &V, site: &str) -> Result<Self, StoreError> {
        let key = keyed::site_key(site);
        let bytes = values.read(&key).await?;
        let missing = || StoreError::new(StoreErrorKind::Damaged, &key, "devices without a site");
        let site: SiteRecord = keyed::parse(&key, &bytes.ok_or_else(missing)?)?;
        Ok(Self {
            before: Some(site.clone()),
            site,
        })
    }

    async fn of<V: WritableValues>(values: &V, key: &str, json: &str) -> Result<Self, StoreError> {
        let bytes = values.read(key).await?;
        let before: Option<SiteRecord> = bytes.map(|it| keyed::parse(key, &it)).transpose()?;
        let mut site: SiteRecord = keyed::parse(key, json.as_bytes())?;
        site.publication = 1;
        if let Some(before) = &before {
            site.publication = before.publication;
            site.previous = before.previous;
            site.void.clone_from(&before.void);
            site.canary.clone_from(&before.canary);
            if site != *before {
                site.publication += 1;
                site.previous = Some(before.publication);
                site.canary = None;
            }
        }
        Ok(Self { before, site })
    }
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
    async fn device(&self, new: DeviceRecord, step: &Step) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let written = match self.objects.read(self.key).await? {
                None => {
                    let bytes = self.sealed(&merged(None, &new, step)).await?;
                    let condition = Condition::Absent;
                    self.objects.write(self.key, bytes, condition).await?
                }
                Some((old, revision)) => {
                    let record = merged(Some(keyed::parse(self.key, &old)?), &new, step);
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

/// A record with new settings, beside those of the publication that its site is until now.
fn merged(old: Option<DeviceRecord>, new: &DeviceRecord, step: &Step) -> DeviceRecord {
    let mut record = old.unwrap_or_default();
    let before = step.before.as_ref();
    let counts = before.and_then(|site| record.at(site).ok().flatten());
    let kept = counts.map(|(key, settings)| (key.to_owned(), Some(settings.clone())));
    record.settings = kept.into_iter().collect();
    for settings in new.settings.values() {
        let name = publication_key(step.site.publication);
        record.settings.insert(name, settings.clone());
    }
    record
}

fn not_a_device(key: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Damaged, key, "not the key of a device")
}

/// How often a device's record is tried when devices upload meanwhile.
const TRIES: usize = 32;
