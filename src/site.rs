//! What is known of the deployment and of a site: the small records that are read first.

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::mac::MacAddress;
use crate::map::Map;
use crate::release::ReleaseId;
use crate::settings::Settings;

/// What the deployment itself knows: kept in memory, so that requests for any other name cost no read.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deployment {
    /// Host names (lower case, without a port) that have one site at their root.
    pub hosts: Map<String>,
    /// Every site and who may read from it.
    pub sites: Map<Access>,
    /// What those hear who may not.
    #[serde(default, skip_serializing_if = "Refusal::is_not_found")]
    pub refusal: Refusal,
}

/// Who may read from a site: known to the deployment, so that whoever may not costs no read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Whoever has a key or a password; a device's own files, whoever has the device's.
    Keys(Terms),
    /// Anybody who reaches the server: a laboratory, a demonstration, a local network.
    Open,
}

/// What a site takes besides its keys, and which of those.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Terms {
    /// The generation that keys are made of.
    pub generation: u8,
    /// The oldest one that is not retired.
    pub oldest: u8,
    /// Whether its record holds passwords.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passwords: bool,
    /// Whether passwords that every phone of a make has from its maker open shared files.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub factory_passwords: bool,
    /// Whether client certificates of its devices count; the platform verifies them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub certificates: bool,
    /// Whether device files and passwords may go over plain HTTP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
    /// Relays by name; a key that was made for another opens nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relays: Vec<String>,
}

/// The one answer to those who may not.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// 401, with a question for a password.
    Challenge,
    /// 404, as for what is not there.
    #[default]
    NotFound,
}

impl Refusal {
    fn is_not_found(&self) -> bool {
        *self == Self::NotFound
    }
}

/// A site's record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SiteRecord {
    /// Its name, unique in the deployment: letters, digits, `-` and `_`.
    pub name: String,
    /// Who pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Scheme and host that its phones reach the server by, without a trailing slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The release that its phones get.
    pub release: ReleaseId,
    /// Its settings and pins.
    #[serde(default)]
    pub layer: Layer,
    /// What its devices may upload.
    pub uploads: UploadLimits,
    /// How its images are sent.
    #[serde(default, skip_serializing_if = "Images::is_default")]
    pub images: Images,
    /// What verifies the site's passwords, by user; see [`crate::credential::StoredPassword`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub passwords: Map<String>,
    /// Whether its relays may keep device files, to serve them while the deployment is out of reach.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay_cache: bool,
    /// The publication that this is; devices' settings lie under such numbers.
    #[serde(default)]
    pub publication: u64,
    /// The publication that a rollback goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// Publications that never count: given up, or rolled back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<u64>,
    /// What some devices get instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// A publication that only some of a site's devices get.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Canary {
    /// What the site is to them, but for who may have what.
    pub record: Box<SiteRecord>,
    /// Who they are.
    pub chosen: Chosen,
}

/// Which of a site's devices.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// These.
    Devices(Vec<MacAddress>),
    /// So many of a hundred: the same ones each time, and more of them if it grows.
    Percent(u8),
}

impl Chosen {
    /// Whether a device of this site is one of them.
    pub fn takes(&self, site: &str, mac: MacAddress) -> bool {
        match self {
            Self::Devices(devices) => devices.contains(&mac),
            Self::Percent(percent) => {
                let hash = Sha256::digest(format!("{site}/{mac}").as_bytes());
                let [one, two, three, four, ..]: [u8; 32] = hash.into();
                let draw = u32::from_be_bytes([one, two, three, four]) % 100;
                draw < u32::from(*percent)
            }
        }
    }
}

/// The settings and firmware pins that one layer gives.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Layer {
    /// Settings by name.
    #[serde(default)]
    pub settings: Settings,
    /// Pinned versions, by model or vendor.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub firmware: Map<String>,
}

/// How images and other large files that devices share are sent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Images {
    /// Files of more bytes than this are answered with a redirect to the store, where the store has addresses
    /// of its own; `None` where all are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_over: Option<u64>,
}

impl Images {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Bounds on what a device uploads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct UploadLimits {
    /// Bytes of one upload; a larger one is answered with 413.
    pub largest: u64,
    /// Versions kept of each file.
    pub versions: usize,
    /// Bytes kept of one device.
    pub bytes: u64,
    /// Uploads of one device: so many at once, and then as many a minute; one too many is answered with 429.
    /// 0 is no bound.
    pub per_minute: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            largest: 16 << 20,
            versions: 10,
            bytes: 64 << 20,
            // A phone that boots sends some six files, and then a piece of its log every few minutes.
            per_minute: 60,
        }
    }
}

impl SiteRecord {
    /// What the site is to a device: the canary's record where it is chosen.
    pub fn content_for(&self, device: Option<MacAddress>) -> &Self {
        let canary = self.canary.as_ref().zip(device);
        match canary.filter(|(canary, mac)| canary.chosen.takes(&self.name, *mac)) {
            Some((canary, _)) => &canary.record,
            None => self,
        }
    }

    /// The absolute address of the site's root, or `None` where the site has no `public_url`.
    pub fn base(&self) -> Option<String> {
        Some(format!("{}/{}", self.public_url.as_deref()?, self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::Canary;
    use super::Chosen;
    use super::SiteRecord;
    use crate::mac::MacAddress;

    fn site(publication: u64) -> SiteRecord {
        let json = serde_json::json!({
            "name": "hq", "release": "", "uploads": {}, "publication": publication,
        });
        serde_json::from_value(json).unwrap()
    }

    fn devices() -> impl Iterator<Item = MacAddress> {
        (0..1000).map(|number| format!("0004f2{number:06x}").parse().unwrap())
    }

    #[test]
    fn a_larger_percentage_only_adds() {
        let taken = |percent, site| -> Vec<MacAddress> {
            let chosen = Chosen::Percent(percent);
            devices().filter(|mac| chosen.takes(site, *mac)).collect()
        };
        assert_eq!(taken(0, "hq"), []);
        assert_eq!(taken(100, "hq").len(), 1000);
        let (some, more) = (taken(10, "hq"), taken(25, "hq"));
        assert!((60..140).contains(&some.len()), "{}", some.len());
        assert!((200..300).contains(&more.len()), "{}", more.len());
        assert!(some.iter().all(|mac| more.contains(mac)));
        assert_ne!(some, taken(10, "branch"), "another site has others");
    }

    #[test]
    fn a_canary_is_for_the_chosen_and_for_those_who_say_who_they_are() {
        let (one, other) = (
            "0004f2000500".parse().unwrap(),
            "0004f2000501".parse().unwrap(),
        );
        let site = SiteRecord {
            canary: Some(Canary {
                record: Box::new(site(2)),
                chosen: Chosen::Devices(vec![one]),
            }),
            ..site(1)
        };
        for (device, expected) in [(None, 1), (Some(one), 2), (Some(other), 1)] {
            assert_eq!(site.content_for(device).publication, expected, "{device:?}");
        }
    }
}
