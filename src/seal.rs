//! Boxes: small secret texts sealed with AES-256-GCM (NIST SP 800-38D), as they lie in devices' records and in
//! fleet directories.
//!
//! A box is `sealed:1:<key id>:<base64>`: eight hexadecimal digits that tell the secret it was made with, then
//! nonce, ciphertext and tag. The key of a box is made over the place that it belongs to, so that one that is
//! copied to another place does not open there. What this deliberately does not do: no randomness, and no AES,
//! which the Worker's runtime has and other platforms bring. Making boxes (`making.rs`) goes with the operator's
//! endpoints, by which records come in.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod aes;
mod making;

use std::fmt;

use crate::encoding::from_base64;
use crate::encoding::hex;
use crate::mac::MacAddress;
use crate::secret::DeploymentSecrets;

pub use making::seal;
pub use making::seal_record;

/// What every box begins with.
pub const PREFIX: &str = "sealed:1:";

/// AES-256-GCM, as a platform has it.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Cipher {
    /// Seals a text, or opens what was sealed; `None` for what does not open.
    async fn apply(&self, way: Way, message: &Message) -> Option<Vec<u8>>;
}

/// What is to become of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Ciphertext and tag become the text.
    Open,
    /// A text becomes ciphertext and tag.
    Seal,
}

/// What a cipher works on, one after the other: the key of a place, a nonce that no other text under that key has, and
/// the text or what became of it. It is one piece so that it crosses into a runtime in one call.
pub struct Message(Vec<u8>);

impl Message {
    /// A text that is to be sealed.
    pub fn new(key: [u8; 32], nonce: [u8; 12], text: &[u8]) -> Self {
        Self([&key[..], &nonce, text].concat())
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Key, nonce and bytes.
    pub fn parts(&self) -> Option<(&[u8; 32], &[u8; 12], &[u8])> {
        let (key, rest) = self.0.split_first_chunk()?;
        let (nonce, bytes) = rest.split_first_chunk()?;
        Some((key, nonce, bytes))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message(hidden)")
    }
}

/// Which of a device's settings a box belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The device's site.
    pub site: &'a str,
    /// The device.
    pub mac: MacAddress,
    /// The publication that its settings are of, as their entry is named.
    pub publication: &'a str,
}

/// The first field of what keys of devices' settings are made over.
const SETTINGS_KEY: &[u8] = b"handset sealed settings 1";
/// The only field of what key ids are made over.
const KEY_ID: &[u8] = b"handset seal key id 1";

/// Whether a text has the form of a box.
pub fn is_sealed(text: &str) -> bool {
    parts(text).is_some()
}

/// Opens a box whose key is made over `fields`; `None` for one that neither secret made, or not for this place, or
/// that is damaged.
pub async fn open(
    cipher: &impl Cipher,
    secrets: &DeploymentSecrets,
    fields: &[&[u8]],
    sealed: &str,
) -> Option<Vec<u8>> {
    cipher
        .apply(Way::Open, &opening(secrets, fields, sealed)?)
        .await
}

/// What opens the box of a device's settings.
pub fn opening_settings(
    secrets: &DeploymentSecrets,
    place: &Place<'_>,
    sealed: &str,
) -> Option<Message> {
    let mac = place.mac.bytes();
    opening(secrets, &place.fields(SETTINGS_KEY, &mac), sealed)
}

/// What opens a box. Its bytes are nonce and ciphertext, to which the key comes.
fn opening(secrets: &DeploymentSecrets, fields: &[&[u8]], sealed: &str) -> Option<Message> {
    let (made_by, mut bytes) = parts(sealed)?;
    let ids = secrets.tags(&[KEY_ID]);
    let at = ids.iter().position(|(_, id)| id_of(id) == made_by)?;
    let mut message = secrets.tags(fields).get(at)?.1.to_vec();
    message.append(&mut bytes);
    Some(Message(message))
}

/// The key id of a box, and the rest as bytes.
fn parts(sealed: &str) -> Option<(&str, Vec<u8>)> {
    let (id, rest) = sealed.strip_prefix(PREFIX)?.split_once(':')?;
    let bytes = from_base64(rest.as_bytes())?;
    (bytes.len() >= SHORTEST).then_some((id, bytes))
}

/// Nonce and tag.
const SHORTEST: usize = 12 + 16;

/// The first four bytes: enough to tell two secrets apart, and nothing to go by for whoever has neither.
fn id_of(tag: &[u8; 32]) -> String {
    let [one, two, three, four, ..] = *tag;
    hex(&[one, two, three, four])
}

impl<'a> Place<'a> {
    fn fields(&self, purpose: &'a [u8], mac: &'a [u8; 6]) -> [&'a [u8]; 4] {
        [
            purpose,
            self.site.as_bytes(),
            mac,
            self.publication.as_bytes(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Cipher;
    use super::Message;
    use super::Place;
    use super::Way;
    use super::aes::Aes;
    use super::aes::at_once;
    use super::is_sealed;
    use super::opening_settings;
    use super::seal;
    use super::seal_record;
    use crate::device::DeviceRecord;
    use crate::device::DeviceSettings;
    use crate::encoding::from_hex;
    use crate::encoding::hex;
    use crate::secret::DeploymentSecrets;

    const OLD: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const NEW: &str = "q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=";
    const PUBLICATION: &str = "0000000012";

    fn secrets(text: &str) -> DeploymentSecrets {
        DeploymentSecrets::parse(text).unwrap()
    }

    fn place<'a>(site: &'a str, mac: &str, publication: &'a str) -> Place<'a> {
        let mac = mac.parse().unwrap();
        Place {
            site,
            mac,
            publication,
        }
    }

    fn record(settings: serde_json::Value) -> DeviceRecord {
        let settings = DeviceSettings {
            model: "VVX 400".to_owned(),
            settings: settings.as_object().unwrap().clone(),
            ..DeviceSettings::default()
        };
        DeviceRecord {
            settings: [(PUBLICATION.to_owned(), Some(settings))].into(),
            ..DeviceRecord::default()
        }
    }

    fn office() -> DeviceRecord {
        record(json!({
            "admin_password": "hunter2",
            "language": "de-DE",
            "lines": [{"password": "s3cret", "user": "1001"}],
            "parameters": {"polycom": {"dir.corp.password": "ldap-pass"}},
        }))
    }

    fn settings_of(record: &DeviceRecord) -> &DeviceSettings {
        record.settings.get(PUBLICATION).unwrap().as_ref().unwrap()
    }

    fn sealed_with(text: &str, record: &mut DeviceRecord) -> String {
        let mac = "0004f2000500".parse().unwrap();
        let secrets = secrets(text);
        let done = seal_record(&Aes, &secrets, "office", mac, record);
        at_once(done).flatten().unwrap();
        let settings = settings_of(record);
        settings.sealed.clone().unwrap()
    }

    fn opened(text: &str, place: &Place<'_>, sealed: &str) -> Option<String> {
        let secrets = secrets(text);
        let message = opening_settings(&secrets, place, sealed)?;
        at_once(Aes.apply(Way::Open, &message))
            .flatten()
            .map(|json| String::from_utf8(json).unwrap())
    }

    /// Test case 14 of the specification of GCM (McGrew and Viega), which NIST refers to.
    #[test]
    fn the_cipher_is_aes_256_in_gcm() {
        let message = |bytes: &[u8]| Message::new([0; 32], [0; 12], bytes);
        let text = message(&[0; 16]);
        let sealed = at_once(Aes.apply(Way::Seal, &text)).flatten().unwrap();
        let expected = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
        assert_eq!(hex(&sealed), expected);
        let ours = from_hex(expected.as_bytes()).unwrap();
        let opened = at_once(Aes.apply(Way::Open, &message(&ours))).flatten();
        assert_eq!(opened.unwrap(), [0; 16]);
        for at in 0..ours.len() {
            let mut damaged = ours.clone();
            damaged[at] ^= 1;
            let opened = at_once(Aes.apply(Way::Open, &message(&damaged))).flatten();
            assert_eq!(opened, None, "byte {at}");
        }
        assert_eq!(format!("{text:?}"), "Message(hidden)");
    }

    /// Boxes lie in buckets for years: what they are made of must not change by accident.
    #[test]
    fn a_box_stays_what_it_is() {
        let mut record = office();
        let sealed = sealed_with(OLD, &mut record);
        assert_eq!(sealed, VECTOR);
        let settings = settings_of(&record);
        let kept: Vec<&String> = settings.settings.keys().collect();
        assert_eq!(kept, ["language"]);
        let whole = opened(OLD, &place("office", "0004f2000500", PUBLICATION), VECTOR);
        assert_eq!(
            whole.unwrap(),
            r#"{"admin_password":"hunter2","lines":[{"password":"s3cret","user":"1001"}],"parameters":{"polycom":{"dir.corp.password":"ldap-pass"}}}"#
        );
        let written = serde_json::to_string(&record).unwrap();
        let shown = format!("{:?}", office());
        for secret in ["hunter2", "s3cret", "ldap-pass", "1001"] {
            assert!(!written.contains(secret), "{written}");
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_box_opens_in_its_place_alone() {
        let own = place("office", "0004f2000500", PUBLICATION);
        assert!(opened(OLD, &own, VECTOR).is_some());
        assert!(opened(&format!("{NEW} {OLD}"), &own, VECTOR).is_some());
        assert!(opened(NEW, &own, VECTOR).is_none(), "another secret");
        for other in [
            place("office2", "0004f2000500", PUBLICATION),
            place("office", "0004f2000501", PUBLICATION),
            place("office", "0004f2000500", "0000000013"),
        ] {
            assert!(opened(OLD, &other, VECTOR).is_none(), "{other:?}");
        }
    }

    #[test]
    fn what_is_damaged_opens_nothing_and_is_no_box() {
        let own = place("office", "0004f2000500", PUBLICATION);
        for (text, form) in [
            ("", false),
            ("sealed:1:", false),
            ("sealed:1:11678b1d:", false),
            ("sealed:1:11678b1d:AAAA", false),
            ("sealed:1:11678b1d:?AAAAAAAAAAAAAAAAAAAAAAA", false),
            (&VECTOR.replace("sealed:1:", "sealed:2:"), false),
            (&VECTOR[..VECTOR.len() - 3], true),
            (&VECTOR[..VECTOR.len() - 40], true),
            (&VECTOR.replacen(':', ":0", 2), false),
            (&format!("{VECTOR}AAAA"), true),
        ] {
            assert_eq!(is_sealed(text), form, "{text}");
            assert_eq!(opened(OLD, &own, text), None, "{text}");
        }
    }

    #[test]
    fn sealing_again_changes_nothing_and_a_new_secret_seals_anew() {
        let mut record = office();
        let first = sealed_with(OLD, &mut record);
        assert_eq!(sealed_with(OLD, &mut record), first);
        assert_eq!(sealed_with(OLD, &mut office()), first, "published again");
        let second = sealed_with(&format!("{NEW} {OLD}"), &mut record);
        assert_ne!(first, second);
        let own = place("office", "0004f2000500", PUBLICATION);
        assert_eq!(opened(NEW, &own, &second), opened(OLD, &own, &first));
        assert_eq!(sealed_with(NEW, &mut record), second);
        // One that nobody can open any more stays, and keeps nobody from writing the rest.
        assert_eq!(sealed_with(OLD, &mut record), second);
    }

    #[test]
    fn other_texts_have_other_nonces() {
        let mut other = office();
        let settings = other.settings.get_mut(PUBLICATION).unwrap();
        let settings = settings.as_mut().unwrap();
        settings
            .settings
            .insert("admin_password".to_owned(), json!("hunter3"));
        let nonce = |sealed: &str| sealed[PREFIX_AND_ID..][..16].to_owned();
        let (one, two) = (VECTOR, sealed_with(OLD, &mut other));
        assert_ne!(nonce(one), nonce(&two));
    }

    const PREFIX_AND_ID: usize = "sealed:1:01234567:".len();

    #[test]
    fn what_holds_no_secret_has_no_box() {
        let mut plain = record(json!({"language": "de-DE"}));
        let before = plain.clone();
        let mac = "0004f2000500".parse().unwrap();
        let secrets = secrets(OLD);
        let done = seal_record(&Aes, &secrets, "office", mac, &mut plain);
        assert!(at_once(done).flatten().is_some());
        assert_eq!(plain, before);
    }

    #[test]
    fn a_nonce_is_the_callers() {
        let sealed = |nonce| {
            let secrets = secrets(OLD);
            let sealed = seal(&Aes, &secrets, &[b"x"], nonce, b"y");
            at_once(sealed).flatten().unwrap()
        };
        assert_eq!(sealed([1; 12]), sealed([1; 12]));
        assert_ne!(sealed([1; 12]), sealed([2; 12]));
    }

    /// Computed by another implementation of HMAC and AES, from docs/secrets.md.
    const VECTOR: &str = "sealed:1:11678b1d:OdR3Lg1eW_q7lGLcrH-EXcwPUMy3Zca8Y8Q_ZQcMUDvew_Kc3BEabT4C2XgXHhxBgIoPlNHy-Oyp33kUl4_bCr8SAiADI2jSTMQ_CFOs2M-mXiqAS2hn_oumtWdzHnXwNp4BHFRtEoFerVnz8V76_DLwb4YiVWkhX2HcyyZOaoH7mh6Zy_o9eidw48oau2kaE9dgwKDarNe2ZEGaBGmdeLc";
}
