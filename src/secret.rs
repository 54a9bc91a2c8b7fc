//! Secrets: texts that cannot be printed, and the deployment's own, which path keys and nonces are made
//! with (HMAC, RFC 2104; SHA-256, FIPS 180-4).

use std::fmt;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::encoding::from_base64;
use crate::encoding::from_hex;

/// Bytes that may not stand in a log, a page or an error.
///
/// `Debug` hides them, there is no `Display`, and what is to be written down is asked for by name:
/// [`Secret::expose`], [`Secret::serialize_exposed`]. Two are compared in a time that depends on their
/// lengths alone.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps bytes or a text secret from here on.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text, where it is one.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether it is these bytes. Their length may be learned from the time this takes, no more.
    pub fn equals(&self, other: &[u8]) -> bool {
        same(&self.0, other)
    }

    /// Writes it into a record: for `#[serde(serialize_with = "Secret::serialize_exposed")]`.
    pub fn serialize_exposed<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.expose_text();
        serializer.serialize_str(text.ok_or_else(|| {
            serde::ser::Error::custom("a secret that is no text cannot stand in a record")
        })?)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.equals(&other.0)
    }
}

impl Eq for Secret {}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The secrets that only the deployment holds: one, or two while it is changed.
///
/// Invariants: each has at least [`DeploymentSecrets::SHORTEST`] bytes and is not obviously weak; two are
/// not the same. The first makes, both verify.
#[derive(Clone, Debug)]
pub struct DeploymentSecrets {
    first: Secret,
    second: Option<Secret>,
}

/// Which of the deployment's secrets something was made with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhichSecret {
    /// The one that makes.
    First,
    /// The one that is on its way out.
    Second,
}

impl DeploymentSecrets {
    /// 256 bits: what HMAC-SHA256 can make use of.
    pub const SHORTEST: usize = 32;
    const LONGEST_TEXT: usize = 1024;

    /// Reads one secret, or two with white space or a comma between, the one that makes first.
    ///
    /// Each is base64 in either alphabet, or hexadecimal. What could be both is hexadecimal: read the
    /// other way, 44 digits would pass for 33 bytes and hold 22.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.len() > Self::LONGEST_TEXT {
            return Err(SecretError::TooLong);
        }
        let mut words = text
            .split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let first = parse_secret(words.next().ok_or(SecretError::Absent)?)?;
        let second = words.next().map(parse_secret).transpose()?;
        if words.next().is_some() {
            return Err(SecretError::TooMany);
        }
        if second.as_ref() == Some(&first) {
            return Err(SecretError::Twice);
        }
        Ok(Self { first, second })
    }

    /// HMAC-SHA256 over a list of fields under the secret that makes. The first field is the purpose, so
    /// that what was made for one can never serve for another.
    pub fn tag(&self, fields: &[&[u8]]) -> [u8; 32] {
        tag(&self.first, fields)
    }

    /// The same under each of the secrets, for verifying.
    pub fn tags(&self, fields: &[&[u8]]) -> Vec<(WhichSecret, [u8; 32])> {
        let mut tags = vec![(WhichSecret::First, self.tag(fields))];
        if let Some(second) = &self.second {
            tags.push((WhichSecret::Second, tag(second, fields)));
        }
        tags
    }
}

/// Why a text is no secret of a deployment. The server does not start; the text itself is never shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretError {
    /// Nothing in it.
    Absent,
    /// Neither base64 nor hexadecimal.
    Encoding,
    /// Longer than any two secrets.
    TooLong,
    /// More than two.
    TooMany,
    /// So many bytes; it takes [`DeploymentSecrets::SHORTEST`].
    TooShort(usize),
    /// Both are the same.
    Twice,
    /// One that nobody drew at random: bytes all alike, counting up or down, or repeating.
    Weak,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "the deployment's secret is empty",
            Self::Encoding => "the deployment's secret is neither base64 nor hexadecimal",
            Self::TooLong => "the deployment's secret is longer than two secrets can be",
            Self::TooMany => "the deployment has more than two secrets",
            Self::TooShort(_) => "the deployment's secret has less than 32 bytes (256 bits)",
            Self::Twice => "the deployment's two secrets are the same",
            Self::Weak => {
                "the deployment's secret is not random: make one with `openssl rand -base64 32`"
            }
        })
    }
}

impl std::error::Error for SecretError {}

/// Whether two texts are the same, in a time that depends on their lengths alone.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// HMAC-SHA256, ready to take a message.
#[expect(
    clippy::expect_used,
    reason = "HMAC takes keys of any length (RFC 2104 section 2)"
)]
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

/// Each field goes after its length, so that no two lists of fields are one message.
fn tag(secret: &Secret, fields: &[&[u8]]) -> [u8; 32] {
    let mut message = Vec::with_capacity(128);
    for field in fields {
        message.extend_from_slice(&(field.len() as u64).to_be_bytes());
        message.extend_from_slice(field);
    }
    let mut hmac = keyed(&secret.0);
    hmac.update(&message);
    hmac.finalize().into_bytes().into()
}

fn parse_secret(text: &str) -> Result<Secret, SecretError> {
    let text = text.as_bytes();
    let bytes = if text.iter().all(u8::is_ascii_hexdigit) {
        from_hex(text)
    } else {
        from_base64(text)
    };
    let bytes = bytes.ok_or(SecretError::Encoding)?;
    if bytes.len() < DeploymentSecrets::SHORTEST {
        return Err(SecretError::TooShort(bytes.len()));
    }
    if is_weak(&bytes) {
        return Err(SecretError::Weak);
    }
    Ok(Secret(bytes))
}

/// Whether it is a placeholder. 32 random bytes have about 30 different values, and fewer than eight of
/// them less often than a machine fails.
fn is_weak(bytes: &[u8]) -> bool {
    let mut different = 0;
    let mut even_steps = true;
    let mut step = None;
    let mut last = None;
    for (place, byte) in bytes.iter().enumerate() {
        let (before, _) = bytes.split_at(place);
        different += usize::from(!before.contains(byte));
        let this = last.map(|last| byte.wrapping_sub(last));
        even_steps &= step.is_none() || this == step;
        step = this;
        last = Some(*byte);
    }
    let repeats = |period: usize| {
        bytes
            .get(period..)
            .is_some_and(|later| bytes.starts_with(later))
    };
    different < 8 || even_steps || (1..=bytes.len() / 2).any(repeats)
}

#[cfg(test)]
mod tests {
    use super::DeploymentSecrets;
    use super::Secret;
    use super::SecretError;
    use super::WhichSecret;
    use super::keyed;
    use crate::encoding::hex;
    use hmac::Mac;

    const HEX: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const BASE64: &str = "q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=";

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {secret:#?}"),
            "Secret(hidden) Secret(hidden)"
        );
        assert!(secret.equals(b"hunter2") && !secret.equals(b"hunter3") && !secret.equals(b""));
        let secrets = DeploymentSecrets::parse(HEX).unwrap();
        assert!(!format!("{secrets:?}").contains("8f1d"));
    }

    #[test]
    fn a_record_holds_it_only_where_asked() {
        let mut written = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut written);
        Secret::new("hunter2")
            .serialize_exposed(&mut serializer)
            .unwrap();
        assert_eq!(written, b"\"hunter2\"");
        let read: Secret = serde_json::from_slice(&written).unwrap();
        assert_eq!(read, Secret::new("hunter2"));
        let mut serializer = serde_json::Serializer::new(&mut written);
        assert!(
            Secret::new([0xff])
                .serialize_exposed(&mut serializer)
                .is_err()
        );
    }

    #[test]
    fn deployment_secrets() {
        let unpadded = BASE64.trim_end_matches('=');
        let other = BASE64.replace('A', "-");
        let two = format!("  {HEX},\n{BASE64}\n");
        let upper = HEX.to_uppercase();
        let long = "ab".repeat(600);
        let counting: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        let down: String = (0..32)
            .map(|byte| format!("{:02x}", 255 - byte * 3))
            .collect();
        let repeating = HEX[..32].repeat(2);
        for (text, expected) in [
            (HEX, None),
            (&upper, None),
            (BASE64, None),
            (unpadded, None),
            (&other, None),
            (&two, None),
            ("", Some(SecretError::Absent)),
            (" \n", Some(SecretError::Absent)),
            (&HEX[..62], Some(SecretError::TooShort(31))),
            (&HEX[..44], Some(SecretError::TooShort(22))),
            (&HEX[..63], Some(SecretError::Encoding)),
            (&BASE64[..40], Some(SecretError::TooShort(30))),
            ("correct.horse", Some(SecretError::Encoding)),
            ("p\u{e4}ssword", Some(SecretError::Encoding)),
            (&format!("{HEX} {HEX}"), Some(SecretError::Twice)),
            (&format!("{HEX} {upper}"), Some(SecretError::Twice)),
            (&format!("{HEX} {BASE64} {HEX}"), Some(SecretError::TooMany)),
            (&long, Some(SecretError::TooLong)),
            (&"00".repeat(32), Some(SecretError::Weak)),
            (&"Z".repeat(43), Some(SecretError::Weak)),
            (&"aabb".repeat(16), Some(SecretError::Weak)),
            (&counting, Some(SecretError::Weak)),
            (&down, Some(SecretError::Weak)),
            (&repeating, Some(SecretError::Weak)),
        ] {
            let result = DeploymentSecrets::parse(text);
            assert_eq!(result.err(), expected, "{text:?}");
            let shown = expected.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.trim().len() < 10 || !shown.contains(text), "{shown}");
        }
    }

    #[test]
    fn the_first_makes_and_both_verify() {
        let old = DeploymentSecrets::parse(HEX).unwrap();
        let both = DeploymentSecrets::parse(&format!("{BASE64} {HEX}")).unwrap();
        let fields: &[&[u8]] = &[b"purpose", b"site"];
        let tags = both.tags(fields);
        assert_eq!(tags[0], (WhichSecret::First, both.tag(fields)));
        assert_eq!(tags[1], (WhichSecret::Second, old.tag(fields)));
        assert_eq!(old.tags(fields).len(), 1);
    }

    #[test]
    fn fields_do_not_run_together() {
        let secrets = DeploymentSecrets::parse(HEX).unwrap();
        let lists: [&[&[u8]]; 6] = [
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
            &[b"", b"abc"],
            &[],
        ];
        for (index, one) in lists.iter().enumerate() {
            for other in &lists[..index] {
                assert_ne!(secrets.tag(one), secrets.tag(other));
            }
        }
    }

    #[test]
    fn the_second_vector_of_rfc_4231() {
        let mut hmac = keyed(b"Jefe");
        hmac.update(b"what do ya want for nothing?");
        assert_eq!(
            hex(&hmac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
