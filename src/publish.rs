//! What publishing says over the wire: the bodies of requests and answers under `/-/v1/`, as JSON (RFC 8259), one
//! set of types for the server and for the tool that pushes.
//!
//! What this deliberately does not do: no requests, no stores. What the endpoints do with them is in
//! docs/publishing.md.

pub mod redaction;

use serde::Deserialize;
use serde::Serialize;

use crate::device::DeviceSettings;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::release::ReleaseId;
use crate::release::sha256_hex;
use crate::settings::Settings;
use crate::site::Chosen;
use crate::site::SiteRecord;

/// Devices that are written by one request at most: a read and a write each have to fit into what a platform allows
/// one request.
pub const BATCH: usize = 20;

/// The shards of a site's devices, by name: the digits that [`shard_of`] gives.
pub const SHARDS: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f",
];

/// The shard of a site's devices that one belongs to: the first hexadecimal digit of the SHA-256 of its address.
pub fn shard_of(mac: MacAddress) -> &'static str {
    let hash = sha256_hex(mac.to_string().as_bytes());
    let found = SHARDS.iter().find(|digit| hash.starts_with(**digit));
    found.copied().unwrap_or_default()
}

/// The SHA-256 of a device's settings as a publication has them, in the clear: two that differ are two settings.
pub fn hash_of(settings: &DeviceSettings) -> String {
    // Maps of texts and numbers always have a JSON form.
    sha256_hex(&serde_json::to_vec(settings).unwrap_or_default())
}

/// `POST sites/{site}/publications`: begins a push.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Begin {
    /// The number of a push that was interrupted, to go on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<u64>,
    /// Whether another push that is under way is given up for this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
    /// What tells what is to be published from anything else: a hash over all of it. A push that was interrupted goes
    /// on if it is of the same plan, whoever asks, for it writes the same bytes under the same number; and there is
    /// nothing to push where the site's publication is of this plan already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// The answer: 201, or 200 for one that goes on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Begun {
    /// The publication's number.
    pub number: u64,
    /// The publication that it is compared with, 0 for a site's first.
    pub base: u64,
    /// The site's entity tag, which publishing sends as `If-Match`.
    pub etag: String,
    /// Whether there is nothing to push: `number` is the site's publication, and of the same plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// Whether `number` is the site's canary, and of the same plan: all of it is there, and what is left is to choose
    /// its devices or to make it everybody's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// A push that has begun and is not published yet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Staging {
    /// The publication's number.
    pub number: u64,
    /// The publication that it is compared with.
    pub base: u64,
    /// Whose token began it: the tenant's name, or nothing for the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// `PUT sites/{site}/publications/{number}/devices/{shard}`, and `POST sites/{site}/devices/changed/{shard}`: every
/// device of the shard, with [`hash_of`] its settings.
pub type Shard = Map<String>;

/// The answer: which devices have to be written.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// Those that are new or have other settings.
    pub write: Vec<MacAddress>,
    /// Those that are not in the fleet any more.
    pub gone: Vec<MacAddress>,
}

/// `PUT sites/{site}/publications/{number}/devices/{shard}/batch`: settings by device, `null` for one that is gone; at
/// most [`BATCH`], all of the shard, as the shard's list says.
pub type Batch = Map<Option<DeviceSettings>>;

/// The answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Written {
    /// How many devices.
    pub written: usize,
}

/// `PUT sites/{site}/publications/{number}`: publishes, or makes it a canary.
///
/// The numbers in the site's record (`publication`, `previous`, `void`) and its canary are the server's: what stands
/// there is not looked at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// What the site becomes.
    pub record: SiteRecord,
    /// Which devices get it first; without it, all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Chosen>,
}

/// What a site is: `GET sites/{site}`, and the answer of whatever changes it. The entity tag is in the header.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SiteState {
    /// Its name.
    pub site: String,
    /// The publication that its phones get, 0 before the first.
    pub publication: u64,
    /// The one that a rollback goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The push that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<Staging>,
    /// The publication that only some devices get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryState>,
    /// The record that its phones get, secrets as [`SECRET`]; nothing before the first publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<SiteRecord>,
}

/// What stands where a secret would.
pub const SECRET: &str = "(secret)";
/// The same in a comparison, for one that is not the one that was sent.
pub const OTHER_SECRET: &str = "(other secret)";

/// A publication that only some devices get.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CanaryState {
    /// Its number.
    pub number: u64,
    /// Its release.
    pub release: ReleaseId,
    /// Who gets it.
    pub chosen: Chosen,
}

/// `GET sites`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sites {
    /// In the order of their names.
    pub sites: Vec<SiteLine>,
    /// The name that the next page comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One site of a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SiteLine {
    /// Its name.
    pub name: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The publication that its phones get.
    pub publication: u64,
    /// The release of that; nothing before the first publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
}

/// `GET sites/{site}/publications`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Publications {
    /// In the order of their numbers, the newest first.
    pub publications: Vec<PublicationLine>,
    /// The number that the next page comes below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One publication of a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PublicationLine {
    /// Its number.
    pub number: u64,
    /// When it was published, in milliseconds since 1970.
    pub at: u64,
    /// By whose token: a tenant's name, or nothing for the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Its release.
    pub release: ReleaseId,
    /// What it is now: `current`, `previous`, `canary`, `void` or `past`.
    pub state: String,
}

/// `GET sites/{site}/devices`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Devices {
    /// In the order of their addresses. Those that are not in the fleet any more have no model.
    pub devices: Vec<DeviceLine>,
    /// The address that the next page comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<MacAddress>,
}

/// One device; `GET sites/{site}/devices/{mac}` says its settings too, secrets as [`SECRET`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceLine {
    /// The device.
    pub mac: MacAddress,
    /// Its model, nothing for one that is in the store and not in the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A firmware version of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// `staged`, `enrolling`, `enrolled` or `locked`.
    pub enrolment: String,
    /// The publications that wrote it, as far as the record has them.
    pub publications: Vec<u64>,
    /// Its settings: not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

/// `POST sites/{site}/devices/compare`: settings by device, at most [`BATCH`]. The answer is the published ones in the
/// same form, secrets as [`SECRET`] where they equal the ones sent and as [`OTHER_SECRET`] where not; `null` for a
/// device that has none.
pub type Compared = Map<Option<DeviceSettings>>;

/// `GET sites/{site}/devices/{mac}/uploads`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Uploads {
    /// In the order of their names, the newest version of each first.
    pub uploads: Vec<UploadLine>,
}

/// One version of an uploaded file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UploadLine {
    /// The file's name.
    pub name: String,
    /// The version: `?version=` of reading and deleting it.
    pub version: String,
    /// When its last part came, in milliseconds since 1970.
    pub at: u64,
    /// Bytes.
    pub length: u64,
}

/// `GET audit`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Audit {
    /// In the order of time, the oldest first.
    pub entries: Vec<AuditEntry>,
    /// The entry that the next page comes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One request that changed something, or tried to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The tenant of the token, nothing for the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The tenant whose site it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The network that it came from, where the platform says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The site that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The method.
    pub method: String,
    /// The path below `/-/v1/`, without its query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// A problem document (RFC 9457).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What the status says.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong and what helps.
    pub detail: String,
    /// The devices that it is about, where it is about some: those that cannot be canaries, those that a batch has
    /// wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<MacAddress>,
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;
    use serde_json::json;

    use super::Audit;
    use super::Batch;
    use super::Begin;
    use super::Begun;
    use super::Compared;
    use super::Devices;
    use super::Difference;
    use super::Problem;
    use super::Publications;
    use super::Publish;
    use super::SHARDS;
    use super::Shard;
    use super::SiteState;
    use super::Sites;
    use super::Uploads;
    use super::Written;
    use super::hash_of;
    use super::shard_of;
    use crate::device::DeviceSettings;
    use crate::mac::MacAddress;

    /// What is written is what was read: an example of the wire is all that the type says.
    fn check<T: DeserializeOwned + Serialize>(example: Value) {
        let read: T = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), example);
    }

    fn site() -> Value {
        json!({
            "name": "hq", "tenant": "acme", "publication": 12, "previous": 11, "void": [9],
            "public_url": "https://prov.example.net", "release": "00112233445566778899aabbccddeeff",
            "layer": {"settings": {"language": "de-DE"}, "firmware": {"VVX 400": "5.9.7"}},
            "uploads": {"largest": 1, "versions": 2, "bytes": 3, "per_minute": 4},
            "images": {"redirect_over": 1048576}, "passwords": {"0004f2000500": "(secret)"}, "relay_cache": true,
        })
    }

    #[test]
    fn a_push_is_said_so() {
        check::<Begin>(json!({}));
        check::<Begin>(json!({"take-over": true}));
        check::<Begin>(json!({"resume": 12}));
        check::<Begin>(json!({"plan": "ab".repeat(32)}));
        check::<Begun>(json!({"number": 12, "base": 12, "etag": "\"5f0a\"", "unchanged": true}));
        check::<Begun>(json!({"number": 12, "base": 11, "etag": "\"5f0a\""}));
        check::<Shard>(json!({"0004f2000500": "ab".repeat(32), "0004f2000501": "cd".repeat(32)}));
        check::<Difference>(json!({"write": ["0004f2000500"], "gone": ["0004f2000501"]}));
        check::<Batch>(json!({
            "0004f2000500": {"model": "VVX 400", "settings": {"label": "Reception"}},
            "0004f2000501": null,
        }));
        check::<Written>(json!({"written": 2}));
        check::<Publish>(json!({"record": site()}));
        check::<Publish>(json!({"record": site(), "canary": {"devices": ["0004f2000500"]}}));
        check::<Publish>(json!({"record": site(), "canary": {"percent": 10}}));
    }

    #[test]
    fn what_is_there_is_said_so() {
        check::<SiteState>(json!({"site": "hq", "publication": 0}));
        check::<SiteState>(json!({
            "site": "hq", "publication": 12, "previous": 11,
            "staging": {"number": 14, "base": 12, "by": "acme", "at": 1_700_000_000_000_u64},
            "canary": {"number": 13, "release": "00112233445566778899aabbccddeeff", "chosen": {"percent": 10}},
            "record": site(),
        }));
        check::<Sites>(json!({
            "sites": [{"name": "hq", "tenant": "acme", "publication": 12, "release": "0011"}, {"name": "new", "publication": 0}],
            "next": "new",
        }));
        check::<Publications>(json!({
            "publications": [{"number": 12, "at": 1, "by": "acme", "release": "0011", "state": "current"}],
            "next": 12,
        }));
        check::<Devices>(json!({
            "devices": [
                {"mac": "0004f2000500", "model": "VVX 400", "firmware": "5.9.7", "enrolment": "enrolled",
                 "publications": [3, 12], "settings": {"label": "Reception", "lines": "(secret)"}},
                {"mac": "0004f2000501", "enrolment": "staged", "publications": [12]},
            ],
            "next": "0004f2000501",
        }));
        check::<Compared>(
            json!({"0004f2000500": {"model": "VVX 400", "settings": {"admin_password": "(other secret)"}}}),
        );
        check::<Uploads>(json!({
            "uploads": [{"name": "0004f2000500-phone.cfg", "version": "1700000000000-1", "at": 1, "length": 2}],
        }));
        check::<Audit>(json!({
            "entries": [{"at": 1, "tenant": "acme", "network": "192.0.2.7", "site": "hq", "method": "POST",
                         "path": "sites/hq/rollback", "status": 200}],
            "next": "0000000000001-1",
        }));
        check::<Problem>(
            json!({"title": "Conflict", "status": 409, "detail": "why", "devices": ["0004f2000500"]}),
        );
    }

    #[test]
    fn every_device_is_in_a_shard_and_every_shard_has_some() {
        let mut met = Vec::new();
        for number in 0..500_u64 {
            let mac: MacAddress = format!("0004f2{number:06x}").parse().unwrap();
            let shard = shard_of(mac);
            assert!(SHARDS.contains(&shard), "{mac}: {shard:?}");
            met.push(shard);
        }
        met.sort_unstable();
        met.dedup();
        assert_eq!(met, SHARDS);
        // Of `printf 0004f2000500 | sha256sum`: lists lie in stores for years.
        assert_eq!(shard_of("0004f2000500".parse().unwrap()), FIRST);
    }

    const FIRST: &str = "0";

    #[test]
    fn the_hash_is_of_the_settings_in_the_order_of_their_names() {
        let settings = json!({"model": "VVX 400", "settings": {"b": 1, "a": [true, "x"]}});
        let settings: DeviceSettings = serde_json::from_value(settings).unwrap();
        let text = br#"{"model":"VVX 400","settings":{"a":[true,"x"],"b":1}}"#;
        assert_eq!(hash_of(&settings), crate::release::sha256_hex(text));
    }
}
