//! Nonces of Digest authentication (RFC 7616 section 5.4) that need no memory: time, randomness, signature.

use crate::encoding::from_hex;
use crate::encoding::hex;
use crate::secret::DeploymentSecrets;
use crate::secret::same;

/// A nonce of ours: 60 hexadecimal digits, of six bytes of time, eight random ones, and sixteen of
/// HMAC-SHA256 over both and the site.
#[derive(Clone, Debug)]
pub struct Nonce(String);

/// Whether a nonce may be answered to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// Ours, and of this site, and young enough.
    Fresh,
    /// Not ours, or another site's.
    Forged,
    /// Ours, but too old, or from a clock that is ahead by more than [`Nonce::SKEW`].
    Stale,
}

const PURPOSE: &[u8] = b"handset digest nonce 1";
const TIME: usize = 6;
const SIGNED: usize = 14;
const LENGTH: usize = 30;

impl Nonce {
    /// Seconds that the clocks of two servers of one deployment may be apart.
    pub const SKEW: u64 = 60;

    /// A nonce of this moment, in seconds since 1970. Each takes random bytes of its own.
    pub fn make(secrets: &DeploymentSecrets, site: &str, now: u64, random: [u8; 8]) -> Self {
        let [_, _, time @ ..] = now.to_be_bytes();
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&time);
        bytes.extend_from_slice(&random);
        let tag = secrets.tag(&[PURPOSE, site.as_bytes(), &bytes]);
        bytes.extend_from_slice(tag.split_at(LENGTH - SIGNED).0);
        Self(hex(&bytes))
    }

    /// As it stands in a challenge.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Judges a nonce that came back.
    pub fn age(
        secrets: &DeploymentSecrets,
        site: &str,
        text: &[u8],
        now: u64,
        lifetime: u64,
    ) -> Age {
        let bytes = from_hex(text).filter(|bytes| bytes.len() == LENGTH);
        let Some((signed, tag)) = bytes.as_deref().and_then(|it| it.split_at_checked(SIGNED))
        else {
            return Age::Forged;
        };
        let mut genuine = false;
        for (_, expected) in secrets.tags(&[PURPOSE, site.as_bytes(), signed]) {
            genuine |= same(expected.split_at(LENGTH - SIGNED).0, tag);
        }
        if !genuine {
            return Age::Forged;
        }
        let mut time = 0;
        for byte in signed.iter().take(TIME) {
            time = time << 8 | u64::from(*byte);
        }
        let too_old = time.saturating_add(lifetime) < now;
        if too_old || now.saturating_add(Self::SKEW) < time {
            return Age::Stale;
        }
        Age::Fresh
    }
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Age;
    use super::Nonce;
    use crate::secret::DeploymentSecrets;

    const NOW: u64 = 1_700_000_000;
    const OLD: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const NEW: &str = "q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=";

    fn secrets(text: &str) -> DeploymentSecrets {
        DeploymentSecrets::parse(text).unwrap()
    }

    #[test]
    fn a_nonce_ages() {
        let nonce = Nonce::make(&secrets(OLD), "office", NOW, [1; 8]);
        assert_eq!(nonce.text().len(), 60);
        for (site, now, age) in [
            ("office", NOW, Age::Fresh),
            ("office", NOW + 300, Age::Fresh),
            ("office", NOW + 301, Age::Stale),
            ("office", NOW - 60, Age::Fresh),
            ("office", NOW - 61, Age::Stale),
            ("office", u64::MAX, Age::Stale),
            ("lync", NOW, Age::Forged),
        ] {
            let found = Nonce::age(&secrets(OLD), site, nonce.text().as_bytes(), now, 300);
            assert_eq!(found, age, "{site} at {now}");
        }
        let age = |secret: &str| {
            Nonce::age(
                &secrets(secret),
                "office",
                nonce.text().as_bytes(),
                NOW,
                300,
            )
        };
        assert_eq!(age(&format!("{NEW} {OLD}")), Age::Fresh);
        assert_eq!(age(NEW), Age::Forged);
    }

    proptest! {
        #[test]
        fn any_other_digit_is_forged(place in 0..60_usize, digit in "[0-9a-f]", random: [u8; 8]) {
            let good = Nonce::make(&secrets(OLD), "office", NOW, random);
            let mut bad = good.text().to_owned();
            bad.replace_range(place..=place, &digit);
            let age = Nonce::age(&secrets(OLD), "office", bad.as_bytes(), NOW, 300);
            assert_eq!(age == Age::Forged, bad != good.text(), "{bad}");
        }

        #[test]
        fn other_text_is_forged(text: Vec<u8>) {
            assert_eq!(Nonce::age(&secrets(OLD), "office", &text, NOW, 300), Age::Forged);
        }
    }
}
