//! Hardware addresses (IEEE 802 MAC-48), parsed once in any spelling the field uses.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// A device's hardware address.
///
/// Invariants: six bytes; not all zeros (phones' default files are named `000000000000…`) and not the
/// broadcast address. Written as twelve lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The address of these bytes, unless they are a placeholder (all zeros) or broadcast.
    pub fn new(bytes: [u8; 6]) -> Result<Self, MacError> {
        if bytes == [0; 6] || bytes == [0xff; 6] {
            return Err(MacError::Placeholder);
        }
        Ok(Self(bytes))
    }

    /// The six bytes, as they stand in a frame.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The first three bytes, which name the maker.
    pub fn oui(self) -> Oui {
        let [a, b, c, ..] = self.0;
        Oui([a, b, c])
    }

    /// Twelve upper-case hexadecimal digits, as Panasonic and Cisco name files.
    pub fn upper(self) -> String {
        self.to_string().to_ascii_uppercase()
    }
}

impl FromStr for MacAddress {
    type Err = MacError;

    /// Reads `0004f28062d6`, `00:04:F2:80:62:D6`, `00-04-f2-80-62-d6`, `00_04_…`, `0004.f280.62d6`.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let group = match (text.len(), text.as_bytes()) {
            (12, _) => 0,
            (14, [_, _, _, _, b'.', ..]) => 4,
            (17, [_, _, b':' | b'-' | b'_' | b' ', ..]) => 2,
            _ => return Err(MacError::Shape),
        };
        let mut digits = Digits::default();
        let separator = text.as_bytes().get(group).copied();
        for (index, byte) in text.bytes().enumerate() {
            if group != 0 && index % (group + 1) == group {
                if Some(byte) != separator {
                    return Err(MacError::Shape);
                }
            } else {
                digits.push(byte)?;
            }
        }
        Self::new(digits.bytes())
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The maker's half of a hardware address (IEEE organisationally unique identifier).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Oui(pub [u8; 3]);

/// Why a text is no device's hardware address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MacError {
    /// All zeros or broadcast: a placeholder, no device.
    Placeholder,
    /// Not twelve hexadecimal digits, alone or in regular groups.
    Shape,
}

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Placeholder => "a placeholder, not the address of a device",
            Self::Shape => "not a hardware address (twelve hexadecimal digits)",
        })
    }
}

impl std::error::Error for MacError {}

/// Collects hexadecimal digits into bytes.
#[derive(Default)]
struct Digits(u64);

impl Digits {
    fn push(&mut self, digit: u8) -> Result<(), MacError> {
        let value = char::from(digit).to_digit(16).ok_or(MacError::Shape)?;
        self.0 = self.0 << 4 | u64::from(value);
        Ok(())
    }

    fn bytes(&self) -> [u8; 6] {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::MacAddress;
    use super::MacError;

    #[test]
    fn every_spelling_is_one_address() {
        for text in [
            "0004f28062d6",
            "0004F28062D6",
            "00:04:f2:80:62:d6",
            "00-04-F2-80-62-D6",
            "00_04_f2_80_62_d6",
            "00 04 f2 80 62 d6",
            "0004.f280.62d6",
        ] {
            assert_eq!(
                text.parse::<MacAddress>().unwrap().to_string(),
                "0004f28062d6",
                "{text}"
            );
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "0004f28062d",
            "0004f28062d6a",
            "0004f28062dg",
            "00:04-f2:80:62:d6",
            "0-004f28062d6",
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(MacError::Shape), "{text}");
        }
        for text in ["000000000000", "ff:ff:ff:ff:ff:ff"] {
            assert_eq!(
                text.parse::<MacAddress>(),
                Err(MacError::Placeholder),
                "{text}"
            );
        }
    }
}
