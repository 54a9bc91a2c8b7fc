//! What is known of one phone: the record that the stores keep of it.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::enrolment::Enrolment;
use crate::map::Map;
use crate::settings::SETTINGS;
use crate::settings::Settings;
use crate::site::SiteRecord;
use crate::site::UploadLimits;

/// A device's record: its live state, and its settings by the publications that changed them, so that one read is
/// enough and a response never mixes publications.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceRecord {
    /// What runs writes.
    #[serde(default)]
    pub state: DeviceState,
    /// What the operator says of it, by the publication that says so ([`publication_key`]); nothing from one on that
    /// does not have it.
    pub settings: Map<Option<DeviceSettings>>,
}

/// A publication's number as the name of an entry: in the order of the numbers.
pub fn publication_key(number: u64) -> String {
    format!("{number:010}")
}

/// An entry that a site's record does not reach: it is newer than what this process has in memory of the site.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Later;

impl DeviceRecord {
    /// What a site's record says of the device: the entry of the greatest publication that is not above the site's
    /// and not void, with its name. `None` where the device is not in the fleet.
    pub fn at(&self, site: &SiteRecord) -> Result<Option<(&str, &DeviceSettings)>, Later> {
        let mut later = false;
        for (key, settings) in self.settings.iter().rev() {
            match key.parse::<u64>() {
                Ok(number) if site.void.contains(&number) => {}
                Ok(number) if number > site.publication => later = true,
                Ok(_) => return Ok(settings.as_ref().map(|settings| (key.as_str(), settings))),
                Err(_) => {}
            }
        }
        if later { Err(Later) } else { Ok(None) }
    }
}

/// What the operator says of a device.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceSettings {
    /// The model, as spelled in the vendor's table or in `models/`.
    pub model: String,
    /// A firmware version of its own, instead of the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The device's layer of settings, but for what is sealed.
    #[serde(default)]
    pub settings: Settings,
    /// The settings that are or may hold secrets, as JSON in one box (`seal.rs`): a request opens it once or not
    /// at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

/// Passwords are among them: what is shown is the names.
impl fmt::Debug for DeviceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceSettings")
            .field("model", &self.model)
            .field("firmware", &self.firmware)
            .field("settings", &self.settings.keys())
            .field("sealed", &self.sealed.is_some())
            .finish()
    }
}

impl DeviceSettings {
    /// Takes the settings out that are or may hold secrets. They go whole, the users of lines with their
    /// passwords: there is nothing then that has to fit together again.
    pub fn take_secret(&mut self) -> Settings {
        let mut taken = Settings::new();
        for setting in SETTINGS.iter().filter(|setting| setting.holds_secrets()) {
            if let Some((name, value)) = self.settings.remove_entry(setting.name) {
                taken.insert(name, value);
            }
        }
        taken
    }

    /// Puts back what was taken out and sealed.
    pub fn put_back(&mut self, secret: Settings) {
        self.settings.extend(secret);
        self.sealed = None;
    }
}

/// What a device's requests change.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceState {
    /// How far it is on the way to a credential of its own.
    #[serde(default, skip_serializing_if = "Enrolment::is_staged")]
    pub enrolment: Enrolment,
    /// Uploads by canonical name, each with its versions, oldest first.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub uploads: Map<Vec<UploadVersion>>,
    /// The time at which the uploads so far would have come at the pace of its site, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paced: u64,
}

const MINUTE: u64 = 60_000;

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One version of an uploaded file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UploadVersion {
    /// When the last part came, in milliseconds since 1970.
    pub at: u64,
    /// Its parts in order: an upload, and what was appended to it.
    pub segments: Vec<Segment>,
}

/// An upload that comes in.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// Its canonical name.
    pub name: &'a str,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// A stored part of an upload.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Segment {
    /// The last part of its blob's key; unique in the deployment.
    pub id: String,
    /// Bytes.
    pub length: u64,
}

impl UploadVersion {
    /// Bytes.
    pub fn length(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// A name that no other version and no shorter form of this one has.
    pub fn id(&self) -> &str {
        self.segments
            .last()
            .map(|segment| segment.id.as_str())
            .unwrap_or_default()
    }
}

impl DeviceState {
    /// The newest version of an upload.
    pub fn newest(&self, name: &str) -> Option<&UploadVersion> {
        self.uploads.get(name)?.last()
    }

    /// What [`Self::paced`] is after one more upload; `None` if it comes too soon.
    ///
    /// The generic cell rate algorithm: one number, however many uploads there were.
    pub fn pace(&self, limits: &UploadLimits, now: u64) -> Option<u64> {
        let Some(apart) = MINUTE.checked_div(limits.per_minute) else {
            return Some(0);
        };
        // A clock that was wrong when it was written must not keep the device out until then.
        let credible = self.paced < now.saturating_add(2 * MINUTE);
        let paced = if credible { self.paced.max(now) } else { now };
        let next = paced.saturating_add(apart);
        (next <= now.saturating_add(MINUTE)).then_some(next)
    }

    /// Whether some version of an upload has this segment.
    pub fn holds(&self, name: &str, id: &str) -> bool {
        let versions = self.uploads.get(name).into_iter().flatten();
        versions
            .flat_map(|version| &version.segments)
            .any(|segment| segment.id == id)
    }

    /// Takes in an upload and gives back the segments (with their file's name) that fell off the end.
    ///
    /// With `append` equal to the length of the newest version the segment extends that; otherwise it is
    /// a version of its own. Versions over the limit go, oldest first, and so do the oldest of all files
    /// while the device's bytes are over the limit; the newest version of each file stays. Only where
    /// one rule takes files of many names (`kin` says which) do the oldest of those go as well: else a
    /// device could fill the store with names.
    pub fn accept(
        &mut self,
        upload: &Upload<'_>,
        segment: Segment,
        append: Option<u64>,
        limits: &UploadLimits,
        kin: impl Fn(&str) -> bool,
    ) -> Vec<(String, Segment)> {
        let name = upload.name;
        let versions = self.uploads.get_or_default(name);
        match versions.last_mut() {
            Some(newest) if append == Some(newest.length()) && newest.has_room() => {
                newest.at = upload.at;
                newest.segments.push(segment);
            }
            _ => versions.push(UploadVersion {
                at: upload.at,
                segments: vec![segment],
            }),
        }
        let most = limits.versions.max(1);
        let mut dropped = Vec::new();
        while versions.len() > most {
            dropped.push((name.to_owned(), versions.remove(0)));
        }
        while self.uploads.keys().filter(|other| kin(other)).count() > most {
            dropped.extend(self.drop_kin(name, &kin));
        }
        while self.bytes() > limits.bytes {
            let Some(oldest) = self.drop_oldest().or_else(|| self.drop_kin(name, &kin)) else {
                break;
            };
            dropped.push(oldest);
        }
        let parts = dropped.into_iter().flat_map(|(name, version)| {
            version
                .segments
                .into_iter()
                .map(move |segment| (name.clone(), segment))
        });
        parts.collect()
    }

    /// Bytes over all files and versions.
    pub fn bytes(&self) -> u64 {
        self.uploads
            .values()
            .flatten()
            .map(UploadVersion::length)
            .sum()
    }

    /// Takes away the oldest version of the file among its kin that has been left alone the longest.
    fn drop_kin(
        &mut self,
        but: &str,
        kin: &impl Fn(&str) -> bool,
    ) -> Option<(String, UploadVersion)> {
        let others = self
            .uploads
            .iter()
            .filter(|(name, _)| *name != but && kin(name));
        let (name, _) =
            others.min_by_key(|(_, versions)| versions.last().map(|version| version.at))?;
        let name = name.clone();
        let versions = self.uploads.get_mut(&name)?;
        let version = (!versions.is_empty()).then(|| versions.remove(0));
        if versions.is_empty() {
            self.uploads.remove(&name);
        }
        version.map(|version| (name, version))
    }

    /// Takes away the oldest version that is not the newest of its file.
    fn drop_oldest(&mut self) -> Option<(String, UploadVersion)> {
        let spare = self
            .uploads
            .iter_mut()
            .filter(|(_, versions)| versions.len() > 1);
        let (name, versions) = spare.min_by_key(|(_, versions)| versions.first().map(|v| v.at))?;
        Some((name.clone(), versions.remove(0)))
    }
}

impl UploadVersion {
    /// A log that is appended to in tiny pieces starts anew some day, or its record grows without bound,
    /// and so do the reads that it takes to send it.
    fn has_room(&self) -> bool {
        self.segments.len() < 32
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceRecord;
    use super::DeviceSettings;
    use super::DeviceState;
    use super::Later;
    use super::Segment;
    use super::Upload;
    use super::publication_key;
    use crate::site::SiteRecord;
    use crate::site::UploadLimits;

    /// A site's publication, what is void, the entries of a device (a minus before those that have nothing), and the
    /// one that counts: 0 for a device that is not in the fleet.
    #[test]
    fn the_entry_that_counts_is_the_newest_that_the_site_reaches() {
        type Row<'r> = (u64, &'r [u64], &'r [i64], Result<u64, Later>);
        let rows: &[Row<'_>] = &[
            (1, &[], &[], Ok(0)),
            (1, &[], &[1], Ok(1)),
            (9, &[], &[1], Ok(1)),
            (9, &[], &[1, 8, 9], Ok(9)),
            (8, &[], &[1, 8, 9], Ok(8)),
            (7, &[], &[1, 8, 9], Ok(1)),
            (10, &[], &[2, 9, 10], Ok(10)),
            // Taken out of the fleet, and put back.
            (9, &[], &[1, -9], Ok(0)),
            (8, &[], &[1, -9], Ok(1)),
            (12, &[], &[1, -9, 12], Ok(12)),
            // Given up, or rolled back: as if it had never been written.
            (9, &[9], &[1, 8, 9], Ok(8)),
            (9, &[8], &[1, 8], Ok(1)),
            (9, &[8, 9], &[-1, 8, 9], Ok(0)),
            (8, &[9], &[9], Ok(0)),
            (8, &[9], &[9, 10], Err(Later)),
            // A push is under way, or this process has not heard that it is done.
            (8, &[], &[9], Err(Later)),
            (8, &[], &[-9], Err(Later)),
            (8, &[], &[7, 9], Ok(7)),
        ];
        for (publication, void, entries, expected) in rows {
            let mut record = DeviceRecord::default();
            for entry in *entries {
                let settings = (*entry > 0).then(DeviceSettings::default);
                let name = publication_key(entry.unsigned_abs());
                record.settings.insert(name, settings);
            }
            let site = site(*publication, void);
            let found = record.at(&site).map(|found| {
                let number = found.and_then(|(name, _)| name.parse().ok());
                number.unwrap_or_default()
            });
            assert_eq!(
                found, *expected,
                "{publication}, void {void:?}: {entries:?}"
            );
        }
    }

    fn site(publication: u64, void: &[u64]) -> SiteRecord {
        let json = serde_json::json!({
            "name": "hq", "release": "", "uploads": {}, "publication": publication, "void": void,
        });
        serde_json::from_value(json).unwrap()
    }

    const LIMITS: UploadLimits = UploadLimits {
        largest: 100,
        versions: 3,
        bytes: 250,
        per_minute: 3,
    };

    fn accept(
        state: &mut DeviceState,
        name: &str,
        length: u64,
        at: u64,
        append: Option<u64>,
    ) -> Vec<String> {
        let segment = Segment {
            id: format!("{at}"),
            length,
        };
        let upload = Upload { name, at };
        let dropped = state.accept(&upload, segment, append, &LIMITS, |other| {
            other.starts_with("core")
        });
        dropped
            .into_iter()
            .map(|(name, segment)| format!("{name}/{}", segment.id))
            .collect()
    }

    #[test]
    fn versions_fall_off_the_end() {
        let mut state = DeviceState::default();
        for at in 1..=3 {
            assert_eq!(accept(&mut state, "a", 10, at, None), [""; 0]);
        }
        assert_eq!(accept(&mut state, "a", 10, 4, None), ["a/1"]);
        assert_eq!(state.newest("a").unwrap().id(), "4");
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_of_each_file_stays() {
        let mut state = DeviceState::default();
        accept(&mut state, "a", 100, 1, None);
        accept(&mut state, "b", 100, 2, None);
        assert_eq!(accept(&mut state, "b", 100, 3, None), ["b/2"]);
        assert_eq!(accept(&mut state, "c", 100, 4, None), [""; 0]);
        assert_eq!(state.bytes(), 300);
    }

    #[test]
    fn an_append_extends_where_the_offset_matches() {
        let mut state = DeviceState::default();
        accept(&mut state, "a", 10, 1, Some(0));
        accept(&mut state, "a", 5, 2, Some(10));
        assert_eq!(state.newest("a").unwrap().length(), 15);
        accept(&mut state, "a", 5, 3, Some(10));
        assert_eq!(state.newest("a").unwrap().length(), 5);
        assert_eq!(state.uploads.get("a").unwrap().len(), 2);
    }

    /// Times of uploads, and whether each is taken, where three a minute are.
    #[test]
    fn uploads_are_paced() {
        const T: u64 = 1_700_000_000_000;
        let rows: [&[(u64, bool)]; 3] = [
            &[
                (T, true),
                (T, true),
                (T, true),
                (T, false),
                (T + 19_999, false),
            ],
            &[
                (T, true),
                (T, true),
                (T, true),
                (T + 20_000, true),
                (T + 20_001, false),
                (T + 60_000, true),
            ],
            // Clocks differ between replicas, and one may have been wrong by years.
            &[
                (T, true),
                (T - 5_000, true),
                (T + 1, true),
                (T - 5_000, false),
                (T + (1 << 40), true),
                (T, true),
            ],
        ];
        for row in rows {
            let mut state = DeviceState::default();
            for (number, (at, taken)) in row.iter().enumerate() {
                let paced = state.pace(&LIMITS, *at);
                assert_eq!(paced.is_some(), *taken, "{number} of {row:?}");
                state.paced = paced.unwrap_or(state.paced);
            }
        }
        let none = UploadLimits {
            per_minute: 0,
            ..LIMITS
        };
        let state = DeviceState {
            paced: u64::MAX,
            ..DeviceState::default()
        };
        assert_eq!(state.pace(&none, T), Some(0));
    }

    #[test]
    fn a_rule_of_many_names_keeps_few_files() {
        let mut state = DeviceState::default();
        accept(&mut state, "phone", 10, 1, None);
        for at in 2..=4 {
            assert_eq!(
                accept(&mut state, &format!("core{at}"), 10, at, None),
                [""; 0]
            );
        }
        assert_eq!(accept(&mut state, "core5", 10, 5, None), ["core2/2"]);
        assert_eq!(accept(&mut state, "core6", 100, 6, None), ["core3/3"]);
        assert_eq!(accept(&mut state, "core7", 100, 7, None), ["core4/4"]);
        assert_eq!(
            accept(&mut state, "core8", 100, 8, None),
            ["core5/5", "core6/6"]
        );
        assert!(state.newest("phone").is_some());
    }
}
