//! What a push would publish of a fleet: records, hashes, and the images that they name. Pure: nothing is sent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use crate::fleet::Fleet;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::publish::SHARDS;
use crate::publish::Shard;
use crate::publish::shard_of;
use crate::release::BlobRecord;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::release::sha256_hex;
use crate::site::Access;
use crate::site::SiteRecord;
use crate::store::directory::SourceFile;

/// What a push would publish.
#[derive(Debug)]
pub struct Plan<'f> {
    /// The sites, by name.
    pub sites: Vec<SitePlan<'f>>,
    /// The releases that they name.
    pub releases: BTreeMap<&'f ReleaseId, &'f Arc<Release>>,
    /// The operator's files by the hash of their bytes.
    files: &'f HashMap<String, SourceFile>,
}

/// What a push would publish of one site.
#[derive(Debug)]
pub struct SitePlan<'f> {
    /// What the site becomes.
    pub record: &'f SiteRecord,
    /// Who may read from it.
    pub access: &'f Access,
    /// The hashes of its devices' settings, by shard.
    pub shards: Vec<(&'static str, Shard)>,
    /// The settings, as JSON.
    devices: BTreeMap<MacAddress, &'f [u8]>,
    /// What tells this plan of the site from any other: SHA-256 over all of the above.
    pub digest: String,
}

/// An operator's file that a release names.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'f> {
    /// The hash of its bytes.
    pub sha256: &'f str,
    /// Where it lies.
    pub file: &'f SourceFile,
}

impl<'f> Plan<'f> {
    /// The plan for these sites; for all without any. Names one that the fleet does not have.
    pub fn of(fleet: &'f Fleet, sites: &[String]) -> Result<Self, String> {
        let snapshot = &fleet.snapshot;
        if let Some(unknown) = sites.iter().find(|it| !snapshot.sites.contains_key(*it)) {
            let known: BTreeSet<&str> = snapshot.sites.keys().map(String::as_str).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Err(format!(
                "the fleet directory has no site {unknown:?}: it has {}",
                known.join(", ")
            ));
        }
        let mut plans = Vec::new();
        for (name, record) in &snapshot.sites {
            let wanted = sites.is_empty() || sites.contains(name);
            if let Some(access) = snapshot.deployment.sites.get(name).filter(|_| wanted) {
                let devices = snapshot.devices.get(name).into_iter().flatten();
                let devices = devices.map(|(mac, json)| (*mac, &**json)).collect();
                plans.push(SitePlan::of(record, access, devices));
            }
        }
        plans.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        let releases = plans.iter().filter_map(|site| {
            let id = &site.record.release;
            Some((id, snapshot.releases.get(id)?))
        });
        Ok(Self {
            releases: releases.collect(),
            sites: plans,
            files: &snapshot.files,
        })
    }

    /// The files that these releases name, each once, by hash.
    pub fn blobs<'r>(&self, releases: impl IntoIterator<Item = &'r ReleaseId>) -> Vec<Blob<'f>> {
        let releases = releases.into_iter().filter_map(|id| self.releases.get(id));
        let records = releases.flat_map(|release| blobs_of(&release.record));
        let hashes: BTreeSet<&str> = records.map(|blob| blob.sha256.as_str()).collect();
        let found = hashes
            .into_iter()
            .filter_map(|sha256| self.files.get_key_value(sha256));
        found.map(|(sha256, file)| Blob { sha256, file }).collect()
    }

    /// A release, to be kept by another as well.
    pub fn shared_release(&self, id: &ReleaseId) -> Option<Arc<Release>> {
        self.releases.get(id).map(|release| Arc::clone(release))
    }

    /// A device's settings as JSON, wherever it stands.
    pub fn device(&self, mac: MacAddress) -> Option<&'f [u8]> {
        let mut found = self.sites.iter().filter_map(|site| site.devices.get(&mac));
        found.next().copied()
    }

    /// Devices over all sites.
    pub fn devices(&self) -> usize {
        self.sites.iter().map(|site| site.devices.len()).sum()
    }
}

impl<'f> SitePlan<'f> {
    fn of(
        record: &'f SiteRecord,
        access: &'f Access,
        devices: BTreeMap<MacAddress, &'f [u8]>,
    ) -> Self {
        let mut shards: BTreeMap<&'static str, Shard> = SHARDS
            .iter()
            .map(|name| (*name, Shard::default()))
            .collect();
        for (mac, json) in &devices {
            let shard = shards.entry(shard_of(*mac)).or_default();
            shard.insert(mac.to_string(), sha256_hex(json));
        }
        let shards: Vec<(&'static str, Shard)> = shards.into_iter().collect();
        Self {
            digest: digest(record, &shards),
            record,
            access,
            shards,
            devices,
        }
    }

    /// The site's name.
    pub fn name(&self) -> &'f str {
        &self.record.name
    }

    /// How many devices it has.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// Its devices and their settings as JSON, by address.
    pub fn devices(&self) -> impl Iterator<Item = (MacAddress, &'f [u8])> {
        self.devices.iter().map(|(mac, json)| (*mac, *json))
    }

    /// Whether it has this device.
    pub fn has(&self, mac: MacAddress) -> bool {
        self.devices.contains_key(&mac)
    }

    /// Devices' settings as JSON, `null` for those that it has not.
    pub fn batch(&self, macs: &[MacAddress]) -> Vec<u8> {
        let mut json = b"{".to_vec();
        for (number, mac) in macs.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            json.extend_from_slice(format!("{comma}\"{mac}\":").as_bytes());
            json.extend_from_slice(self.devices.get(mac).copied().unwrap_or(b"null"));
        }
        json.push(b'}');
        json
    }
}

/// Every image and resource of a release.
fn blobs_of(record: &ReleaseRecord) -> impl Iterator<Item = &BlobRecord> {
    let images = record.firmware.values().flat_map(Map::values);
    images
        .flat_map(Map::values)
        .chain(record.resources.values())
}

fn digest(record: &SiteRecord, shards: &[(&'static str, Shard)]) -> String {
    // Maps of texts and numbers always have a JSON form.
    let mut text = serde_json::to_vec(&(record, shards)).unwrap_or_default();
    text.push(b'\n');
    sha256_hex(&text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Plan;
    use crate::device::DeviceSettings;
    use crate::fleet;
    use crate::fleet::Fleet;
    use crate::fleet::Hashes;
    use crate::publish::hash_of;
    use crate::publish::shard_of;

    fn compile(directory: &Path) -> Fleet {
        fleet::compile(directory, &mut Hashes::default()).unwrap()
    }

    fn office() -> Fleet {
        compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office"))
    }

    #[test]
    fn every_device_stands_in_its_shard_with_the_hash_of_its_settings() {
        let fleet = office();
        let plan = Plan::of(&fleet, &[]).unwrap();
        assert_eq!(plan.devices(), fleet.devices.len());
        for site in &plan.sites {
            let mut count = 0;
            for (name, shard) in &site.shards {
                for (mac, hash) in shard {
                    let mac = mac.parse().unwrap();
                    let json = &fleet.snapshot.devices[site.name()][&mac];
                    let settings: DeviceSettings = serde_json::from_slice(json).unwrap();
                    assert_eq!((*hash == hash_of(&settings), *name), (true, shard_of(mac)));
                    count += 1;
                }
            }
            assert_eq!((count, site.shards.len()), (site.count(), 16));
        }
    }

    #[test]
    fn every_image_that_a_release_names_has_a_file() {
        let fleet = office();
        let plan = Plan::of(&fleet, &[]).unwrap();
        let blobs = plan.blobs(plan.releases.keys().copied());
        let names: std::collections::BTreeSet<&str> = plan
            .releases
            .values()
            .flat_map(|release| super::blobs_of(&release.record))
            .map(|blob| blob.sha256.as_str())
            .collect();
        assert!(!names.is_empty());
        let found: Vec<&str> = blobs.iter().map(|blob| blob.sha256).collect();
        assert_eq!(found, names.into_iter().collect::<Vec<_>>());
        for blob in blobs {
            let bytes = fs::read(&blob.file.path).unwrap();
            assert_eq!(crate::release::sha256_hex(&bytes), blob.sha256);
        }
    }

    #[test]
    fn a_batch_is_what_the_wire_takes() {
        let fleet = office();
        let plan = Plan::of(&fleet, &["hq".to_owned()]).unwrap();
        let site = &plan.sites[0];
        let mac = "0004f2000500".parse().unwrap();
        let absent = "0004f2ffffff".parse().unwrap();
        let batch: crate::publish::Batch =
            serde_json::from_slice(&site.batch(&[mac, absent])).unwrap();
        assert_eq!(batch.get("0004f2ffffff"), Some(&None));
        let settings = batch.get("0004f2000500").unwrap().as_ref().unwrap();
        let (_, shard) = site.shards.iter().find(|it| it.0 == shard_of(mac)).unwrap();
        assert_eq!(shard.get("0004f2000500"), Some(&hash_of(settings)));
    }

    #[test]
    fn a_plan_is_told_from_another_by_its_digest() {
        let digest = |edit: &dyn Fn(&Path)| {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir_all(directory.path().join("devices")).unwrap();
            fs::create_dir_all(directory.path().join("sites")).unwrap();
            let put =
                |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
            put("handset.toml", "");
            put("sites/hq.toml", "access = \"open\"\n");
            put(
                "devices/a.csv",
                "mac,site,model,line1.user\n0004f2000500,hq,VVX 400,a\n",
            );
            edit(directory.path());
            let fleet = compile(directory.path());
            Plan::of(&fleet, &[]).unwrap().sites[0].digest.clone()
        };
        let same = digest(&|_| {});
        assert_eq!(digest(&|_| {}), same);
        let edits: [(&str, &str); 4] = [
            (
                "devices/a.csv",
                "mac,site,model,line1.user\n0004f2000500,hq,VVX 400,b\n",
            ),
            (
                "devices/a.csv",
                "mac,site,model,line1.user\n0004f2000501,hq,VVX 400,a\n",
            ),
            ("sites/hq.toml", "access = \"open\"\nrelay_cache = true\n"),
            ("handset.toml", "[settings]\nlanguage = \"de-DE\"\n"),
        ];
        for (name, text) in edits {
            let other = digest(&|directory| fs::write(directory.join(name), text).unwrap());
            assert_ne!(other, same, "{name}: {text}");
        }
        assert!(
            Plan::of(&office(), &["hqq".to_owned()])
                .unwrap_err()
                .contains("hq")
        );
    }
}
