//! Path keys: the segment of an address that says who may read, checked before anything is looked up.
//!
//! A key is 27 base32 digits (RFC 4648 section 6, lower case, read in either case), 135 bits: a generation of
//! 7, then 128 of HMAC-SHA256 (RFC 2104) over what the key is for. Every text of that shape is one key and
//! every key one text, so that there is nothing to vary in a key that still verifies.
//!
//! **Not to be mistaken.** A hardware address has 12, 14 or 17 characters, a key 27. A key has no dot, and
//! the last segment of every vendor's file rule holds one; a directory of a rule is a word that is no
//! key, or stands behind one. The tests at the foot hold all tables to that.

use std::fmt;
use std::ops::RangeInclusive;

use subtle::ConditionallySelectable;
use subtle::ConstantTimeEq;

use crate::encoding::base32;
use crate::encoding::from_base32;
use crate::mac::MacAddress;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::secret::WhichSecret;

/// A path key. Its parts are known without a secret, whether it is genuine is not: see [`Key::verify`].
///
/// Invariant: the generation is at most [`Key::LAST_GENERATION`].
#[derive(Clone, Copy)]
pub struct Key {
    generation: u8,
    tag: u128,
}

/// Whom a key is made for, or who presents one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holder<'a> {
    /// The site, as the deployment names it.
    pub site: &'a str,
    /// The device, where there is one: of a key that is made, it makes a device key; of a request, it is
    /// the device that the request names.
    pub mac: Option<MacAddress>,
    /// The relay that the key is handed to, by its name, so that it can be told apart and revoked.
    pub relay: Option<&'a str>,
}

/// What a key was found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    /// How much it opens.
    pub opens: Opens,
    /// Whether it was made for the relay that was named.
    pub relay: bool,
    /// The generation it is of.
    pub generation: u8,
    /// The secret it was made with.
    pub secret: WhichSecret,
}

/// How much a key opens; what that means is decided by whoever asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opens {
    /// The files of the device that was named, and what its site shares.
    Device,
    /// What the site shares.
    Site,
}

/// What the message of every key begins with. Another meaning of keys takes another purpose.
const PURPOSE: &[u8] = b"handset path key 1";

/// Digits of the generation and the first three bits of the tag.
const HEAD: u32 = 2;

impl Key {
    /// Digits of a key.
    pub const LENGTH: usize = 27;
    /// Seven bits. Whoever has used them all changes the deployment's secret and begins again.
    pub const LAST_GENERATION: u8 = 127;

    /// The key of a holder; `None` beyond the last generation.
    pub fn make(secrets: &DeploymentSecrets, generation: u8, holder: &Holder<'_>) -> Option<Self> {
        (generation <= Self::LAST_GENERATION).then(|| Self {
            generation,
            tag: with_fields(generation, holder, |fields| truncated(&secrets.tag(fields))),
        })
    }

    /// The keys of a holder under each of the secrets, for verifying what was made of one.
    pub fn all(secrets: &DeploymentSecrets, generation: u8, holder: &Holder<'_>) -> Vec<Self> {
        let tags = with_fields(generation, holder, |fields| secrets.tags(fields));
        let keys = tags.into_iter().map(|(_, tag)| Self {
            generation,
            tag: truncated(&tag),
        });
        keys.filter(|_| generation <= Self::LAST_GENERATION)
            .collect()
    }

    /// Reads a segment by its shape alone.
    pub fn parse(segment: &str) -> Option<Self> {
        if segment.len() != Self::LENGTH {
            return None;
        }
        let (head, rest) = segment.as_bytes().split_at_checked(HEAD as usize)?;
        let head = from_base32(head)?;
        Some(Self {
            generation: u8::try_from(head >> 3).ok()?,
            tag: (head & 7) << 125 | from_base32(rest)?,
        })
    }

    /// Whether two that came in one address are one. No secret is compared.
    pub fn repeats(&self, other: &Self) -> bool {
        (self.generation, self.tag) == (other.generation, other.tag)
    }

    /// The generation it says it is of.
    pub fn generation(&self) -> u8 {
        self.generation
    }

    /// The key as it stands in an address, in lower case.
    pub fn text(&self) -> Secret {
        let head = u128::from(self.generation) << 3 | self.tag >> 125;
        Secret::new(base32(head, HEAD) + &base32(self.tag, Self::LENGTH as u32 - HEAD))
    }

    /// What the key opens, if it is genuine and its generation among the valid ones (the oldest that is
    /// not retired, to the current one).
    ///
    /// It may be the site's or the named device's, made for the named relay or for no one in particular.
    /// All of them are computed and compared, whichever it is, so that time tells nothing.
    pub fn verify(
        &self,
        secrets: &DeploymentSecrets,
        presented: &Holder<'_>,
        valid: RangeInclusive<u8>,
    ) -> Option<Grant> {
        // Their numbers are sums of these, and 1: 0 is no match.
        const DEVICE: u8 = 1;
        const RELAY: u8 = 2;
        const SECOND: u8 = 4;
        let own = self.tag.to_be_bytes();
        let relay = presented.relay.filter(|name| !name.is_empty());
        let mut found = 0_u8;
        for kind in [0, DEVICE, RELAY, DEVICE | RELAY] {
            let holder = Holder {
                mac: presented.mac.filter(|_| kind & DEVICE != 0),
                relay: relay.filter(|_| kind & RELAY != 0),
                ..*presented
            };
            let candidates = with_fields(self.generation, &holder, |fields| secrets.tags(fields));
            for (secret, tag) in candidates {
                let second = if secret == WhichSecret::Second {
                    SECOND
                } else {
                    0
                };
                let same = own.as_slice().ct_eq(tag.split_at(own.len()).0);
                found.conditional_assign(&(1 + (kind | second)), same);
            }
        }
        let number = found.checked_sub(1)?;
        let has = |part: u8| number & part != 0;
        valid.contains(&self.generation).then_some(Grant {
            opens: if has(DEVICE) && presented.mac.is_some() {
                Opens::Device
            } else {
                Opens::Site
            },
            relay: has(RELAY) && relay.is_some(),
            generation: self.generation,
            secret: if has(SECOND) {
                WhichSecret::Second
            } else {
                WhichSecret::First
            },
        })
    }
}

/// A text, such as a file with addresses in it, without its keys: for people to look at.
pub fn hide(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c: char| !c.is_ascii_alphanumeric());
        let (word, after) = word.split_at(end.unwrap_or(word.len()));
        // A key stands behind a slash.
        let is_key = before.ends_with('/') && Key::parse(word).is_some();
        shown.push_str(before);
        shown.push_str(if is_key { "(secret)" } else { word });
        rest = after;
    }
    shown + rest
}

/// A key opens doors: a log may hold its generation and no more.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(generation {}, hidden)", self.generation)
    }
}

/// What a key is made over. Always five fields; an absent one is empty, which none that is there can be:
/// a hardware address has six bytes, and a relay without a name is none.
fn with_fields<T>(generation: u8, holder: &Holder<'_>, make: impl FnOnce(&[&[u8]]) -> T) -> T {
    let mac = holder.mac.map(MacAddress::bytes);
    make(&[
        PURPOSE,
        &[generation],
        holder.site.as_bytes(),
        mac.as_ref().map_or(&[], |mac| mac.as_slice()),
        holder.relay.unwrap_or_default().as_bytes(),
    ])
}

/// RFC 2104 section 5: the leftmost bits.
fn truncated(tag: &[u8; 32]) -> u128 {
    let [left @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *tag;
    u128::from_be_bytes(left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Grant;
    use super::Holder;
    use super::Key;
    use super::Opens;
    use crate::mac::MacAddress;
    use crate::path::RequestPath;
    use crate::pattern::Pattern;
    use crate::secret::DeploymentSecrets;
    use crate::secret::WhichSecret;
    use crate::vendor;

    const OLD: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const NEW: &str = "q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=";
    const OFFICE: Holder<'static> = Holder {
        site: "office",
        mac: None,
        relay: None,
    };

    fn secrets(text: &str) -> DeploymentSecrets {
        DeploymentSecrets::parse(text).unwrap()
    }

    fn mac(text: &str) -> Option<MacAddress> {
        Some(text.parse().unwrap())
    }

    fn text(generation: u8, holder: &Holder<'_>) -> String {
        let key = Key::make(&secrets(OLD), generation, holder).unwrap();
        key.text().expose_text().unwrap().to_owned()
    }

    fn verify(text: &str, holder: &Holder<'_>) -> Option<Grant> {
        Key::parse(text)?.verify(&secrets(OLD), holder, 0..=127)
    }

    /// Keys lie in DHCP servers for years: what they are made from must not change by accident.
    #[test]
    fn a_key_stays_what_it_is() {
        let device = Holder {
            mac: mac("0004f28062d6"),
            ..OFFICE
        };
        let relay = Holder {
            relay: Some("cellar"),
            ..OFFICE
        };
        assert_eq!(text(1, &OFFICE), "aoohnirlv76fug766r5uuy3krqe");
        assert_eq!(text(1, &device), "ajkt2tgihzt4ljblc62ew4dfc4n");
        assert_eq!(text(127, &relay), "73g2nm4j4e2cwhfkr5gsiuk3x4s");
        assert!(Key::make(&secrets(OLD), 128, &OFFICE).is_none());
    }

    #[test]
    fn a_key_says_what_it_opens() {
        let device = Holder {
            mac: mac("0004f28062d6"),
            ..OFFICE
        };
        let relayed = Holder {
            relay: Some("cellar"),
            ..device
        };
        for (made, presented, expected) in [
            (OFFICE, OFFICE, Some((Opens::Site, false))),
            (OFFICE, device, Some((Opens::Site, false))),
            (OFFICE, relayed, Some((Opens::Site, false))),
            (device, device, Some((Opens::Device, false))),
            (device, relayed, Some((Opens::Device, false))),
            (device, OFFICE, None),
            (
                OFFICE,
                Holder {
                    relay: Some(""),
                    ..OFFICE
                },
                Some((Opens::Site, false)),
            ),
            (relayed, relayed, Some((Opens::Device, true))),
            (relayed, device, None),
            (
                relayed,
                Holder {
                    relay: Some("attic"),
                    ..device
                },
                None,
            ),
            (
                Holder {
                    mac: None,
                    ..relayed
                },
                relayed,
                Some((Opens::Site, true)),
            ),
            (
                device,
                Holder {
                    mac: mac("0004f28062d7"),
                    ..OFFICE
                },
                None,
            ),
            (
                OFFICE,
                Holder {
                    site: "officf",
                    ..OFFICE
                },
                None,
            ),
            (OFFICE, Holder { site: "", ..OFFICE }, None),
        ] {
            let grant = verify(&text(3, &made), &presented);
            let found = grant.map(|grant| (grant.opens, grant.relay));
            assert_eq!(found, expected, "{made:?} presented by {presented:?}");
        }
    }

    #[test]
    fn generations_and_secrets_rotate() {
        let both = secrets(&format!("{NEW} {OLD}"));
        let key = Key::make(&secrets(OLD), 4, &OFFICE).unwrap();
        let grant = |secrets: &DeploymentSecrets, valid| {
            let grant = key.verify(secrets, &OFFICE, valid)?;
            Some((grant.generation, grant.secret))
        };
        assert_eq!(grant(&secrets(OLD), 4..=4), Some((4, WhichSecret::First)));
        assert_eq!(grant(&secrets(OLD), 1..=9), Some((4, WhichSecret::First)));
        assert_eq!(grant(&secrets(OLD), 5..=9), None);
        assert_eq!(grant(&secrets(OLD), 1..=3), None);
        assert_eq!(grant(&both, 4..=4), Some((4, WhichSecret::Second)));
        assert_eq!(grant(&secrets(NEW), 4..=4), None);
    }

    #[test]
    fn other_segments_are_no_keys() {
        let good = text(1, &OFFICE);
        assert!(Key::parse(&good).is_some());
        for segment in [
            "",
            "office",
            "0004f28062d6",
            "00-04-f2-80-62-d6",
            &good[1..],
            &format!("{good}a"),
            &good.replacen(|_| true, "0", 1),
            &good.replacen(|_| true, "-", 1),
            &good.replacen(|_| true, ".", 1),
            &format!("{}\u{e9}", &good[..25]),
            &"\u{e9}".repeat(13),
            &"\u{131}".repeat(27),
        ] {
            assert!(Key::parse(segment).is_none(), "{segment:?}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        let key = Key::make(&secrets(OLD), 3, &OFFICE).unwrap();
        assert_eq!(
            format!("{key:?} {:?}", key.text()),
            "Key(generation 3, hidden) Secret(hidden)"
        );
    }

    proptest! {
        #[test]
        fn what_is_made_verifies(
            site in "[a-z0-9][a-z0-9_-]{0,62}",
            bytes: [u8; 6],
            relay in "[a-z]{0,9}",
            generation in 0..=127_u8,
        ) {
            let holder = Holder {
                site: &site,
                mac: MacAddress::new(bytes).ok(),
                relay: Some(relay.as_str()).filter(|relay| !relay.is_empty()),
            };
            let text = text(generation, &holder);
            assert_eq!(Key::parse(&text).unwrap().generation(), generation);
            let grant = verify(&text, &holder).unwrap();
            assert_eq!(grant.opens == Opens::Device, holder.mac.is_some());
            assert_eq!(verify(&text.to_uppercase(), &holder), Some(grant));
        }

        #[test]
        fn any_other_character_fails(place in 0..27_usize, other in "[a-z2-7]", generation in 0..=127_u8) {
            let good = text(generation, &OFFICE);
            let mut bad = good.clone();
            bad.replace_range(place..=place, &other);
            assert_eq!(verify(&bad, &OFFICE).is_some(), bad == good, "{bad}");
        }

        #[test]
        fn shape_and_text_are_one(tag: u128, generation in 0..=127_u8) {
            let key = Key { generation, tag };
            let read = Key::parse(key.text().expose_text().unwrap()).unwrap();
            assert_eq!((read.generation, read.tag), (generation, tag));
        }

        #[test]
        fn no_key_is_an_address_or_a_file(key in "[a-zA-Z2-7]{27}", prefix in "([a-z]{1,9}/){0,3}") {
            assert!(key.parse::<MacAddress>().is_err());
            for path in [&key, &format!("{prefix}{key}"), &format!("{key}/{key}")] {
                let path = RequestPath::parse(path).unwrap();
                for pattern in patterns() {
                    assert_eq!(pattern.capture(&path), None, "{pattern} on {path}");
                }
            }
        }

        #[test]
        fn no_file_is_a_key(hole in "[a-zA-Z2-7]{1,40}", bytes: [u8; 6]) {
            let Ok(mac) = MacAddress::new(bytes) else {
                return Ok(());
            };
            for pattern in patterns() {
                let name = pattern.to_string();
                let name = name.rsplit('/').next().unwrap();
                let filled = ["{model}", "{name}", "{version}"]
                    .iter()
                    .fold(name.to_owned(), |name, it| name.replace(it, &hole))
                    .replace("{mac}", &mac.to_string())
                    .replace("{MAC}", &mac.upper())
                    .replace("{part_number}", "3111-46157-002");
                assert!(Key::parse(&filled).is_none(), "{filled}");
            }
            assert!(Key::parse(&mac.to_string()).is_none());
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            verify(&text, &OFFICE);
        }
    }

    /// Why the properties above hold, for tables to come as well.
    #[test]
    fn every_table_leaves_room_for_keys() {
        for pattern in patterns() {
            let text = pattern.to_string();
            let (directories, name) = text.rsplit_once('/').unwrap_or(("", &text));
            let literal = name.split('{').map(|part| part.rsplit('}').next().unwrap());
            assert!(
                literal.into_iter().any(|part| part.contains('.')),
                "{text}: a name without a dot"
            );
            let first = directories.split('/').next().unwrap();
            assert!(
                !first.contains('{'),
                "{text}: its first directory may be anything"
            );
            assert!(
                Key::parse(first).is_none(),
                "{text}: its first directory is a key"
            );
        }
    }

    fn patterns() -> impl Iterator<Item = Pattern> {
        vendor::ALL.iter().flat_map(|vendor| {
            let rules = vendor.rules.iter().map(|rule| rule.pattern);
            let reserved = vendor.reserved.iter().map(|(pattern, _)| *pattern);
            let marked = vendor.marked.iter().map(|(pattern, _, _)| *pattern);
            let all = rules.chain(reserved).chain(marked);
            all.map(|pattern| Pattern::parse(pattern).unwrap())
        })
    }
}
