//! Whose files a phone may ask for: by default its own, and those that hold no hardware address in their name.
//!
//! Pure. What it says of a phone goes to the server as evidence (docs/access.md), which decides; what the relay refuses, it
//! refuses before anything is asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::mac::MacAddress;
use crate::mac::Oui;
use crate::platform::native::proxy::Block;
use crate::relay::neighbours::Neighbour;

/// Whose files a phone gets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// Whichever it asks for.
    Any,
    /// Its own.
    #[default]
    OwnMac,
    /// Its own, but for phones of these networks, which get whichever they ask for: they come through a router, whose hardware
    /// address is all that can be seen.
    Subnets(Vec<Block>),
}

/// Why a text is no policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PolicyError;

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "any" => Ok(Self::Any),
            "own-mac" => Ok(Self::OwnMac),
            subnets => {
                let blocks = subnets.split(',').map(|it| it.trim().parse::<Block>());
                let blocks: Result<_, _> = blocks.collect();
                blocks.map(Self::Subnets).map_err(|_| PolicyError)
            }
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give own-mac, any, or networks such as 192.0.2.0/24,2001:db8::/64")
    }
}

impl std::error::Error for PolicyError {}

/// What the relay says of a phone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Word {
    /// Its hardware address, if it is known, and how it is known.
    pub device: Option<(MacAddress, &'static str)>,
    /// Its address.
    pub peer: IpAddr,
}

impl Word {
    /// The device that it vouches for.
    pub fn mac(&self) -> Option<MacAddress> {
        self.device.map(|(mac, _)| mac)
    }
}

/// As the server reads it: `mac=0004f2000500, by=neighbour, address=192.0.2.7`.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((mac, by)) = self.device {
            write!(f, "mac={mac}, by={by}, ")?;
        }
        write!(f, "address={}", self.peer)
    }
}

/// Why a phone does not get a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denied {
    /// It is another phone's.
    Another,
    /// Its name holds two hardware addresses.
    Two,
    /// It is one phone's, and nothing is known of who asks.
    Unknown,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Another => "the file is another phone's",
            Self::Two => "the name holds two hardware addresses",
            Self::Unknown => "nothing is known of the phone's hardware address",
        })
    }
}

impl Policy {
    /// Whether the name alone says who asks.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::OwnMac => false,
            Self::Subnets(blocks) => blocks.iter().any(|block| block.holds(peer)),
        }
    }

    /// Judges a request from `peer` for a file with these hardware addresses in its name.
    pub fn judge(
        &self,
        peer: IpAddr,
        neighbour: Option<Neighbour>,
        named: &[MacAddress],
    ) -> Result<Word, Denied> {
        let named = match named {
            [] => None,
            [one] => Some(*one),
            _ => return Err(Denied::Two),
        };
        let device = if self.trusts(peer) {
            // What the table has may be a router.
            named.map(|mac| (mac, "name"))
        } else {
            match (named, neighbour) {
                (Some(named), Some(known)) if named != known.mac => return Err(Denied::Another),
                (Some(_), None) => return Err(Denied::Unknown),
                (_, known) => known.map(|it| (it.mac, it.by.word())),
            }
        };
        Ok(Word { device, peer })
    }
}

/// The hardware addresses that a name holds, in any spelling that files have: twelve hexadecimal digits between others, or
/// two by two with the same character between.
pub fn macs_in(name: &str) -> Vec<MacAddress> {
    let bytes = name.as_bytes();
    let mut found: Vec<MacAddress> = Vec::new();
    for start in 0..bytes.len() {
        let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        for length in [12, 17] {
            let Some(text) = name.get(start..start + length) else {
                continue;
            };
            let after = bytes.get(start + length).copied();
            let separator = (length == 17)
                .then(|| bytes.get(start + 2).copied())
                .flatten();
            let joins = |byte: Option<u8>| {
                byte.is_some_and(|byte| byte.is_ascii_hexdigit() || Some(byte) == separator)
            };
            if joins(before) || after.is_some_and(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            if let Some(mac) = text.parse().ok().filter(|mac| is_a_devices(*mac))
                && !found.contains(&mac)
            {
                found.push(mac);
            }
        }
    }
    found
}

/// Default files are named by addresses of a maker that does not exist: `y000000000028.cfg`.
fn is_a_devices(mac: MacAddress) -> bool {
    mac.oui() != Oui([0; 3])
}

/// Looks for phones that come through a router: behind one hardware address then seem to be several.
#[derive(Debug, Default)]
pub struct Routed {
    asked: RefCell<HashMap<MacAddress, MacAddress>>,
    said: RefCell<HashSet<MacAddress>>,
}

impl Routed {
    /// Notes a request; gives the warning, the first time that there is one for this neighbour.
    pub fn warning(
        &self,
        peer: IpAddr,
        neighbour: MacAddress,
        named: MacAddress,
    ) -> Option<String> {
        let mut asked = self.asked.borrow_mut();
        if asked.len() >= MOST_NEIGHBOURS {
            asked.clear();
        }
        let first = *asked.entry(neighbour).or_insert(named);
        let mut said = self.said.borrow_mut();
        if first == named || said.len() >= MOST_NEIGHBOURS || !said.insert(neighbour) {
            return None;
        }
        Some(format!(
            "routed clients: {peer} with the hardware address {neighbour} asks for files of {first} and of {named}; if phones come \
             through a router there, name their networks by --identity, such as --identity 192.0.2.0/24"
        ))
    }
}

/// More than a network has.
const MOST_NEIGHBOURS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::Denied;
    use super::Policy;
    use super::Routed;
    use super::macs_in;
    use crate::relay::neighbours::Neighbour;
    use crate::relay::neighbours::Source;

    #[test]
    fn names_hold_addresses() {
        for (name, expected) in [
            ("0004f28062d6.cfg", "0004f28062d6"),
            ("SEP0004F28062D6.cnf.xml", "0004f28062d6"),
            ("cfg0004f28062d6.xml", "0004f28062d6"),
            ("Config0080F0000136.cfg", "0080f0000136"),
            ("logs/0004f28062d6-app.log", "0004f28062d6"),
            ("00-04-f2-80-62-d6.cfg", "0004f28062d6"),
            ("x_00:04:f2:80:62:d6", "0004f28062d6"),
            ("0004f28062d6/0004F28062D6-web.cfg", "0004f28062d6"),
            ("0004f28062d6/0004f2000500.cfg", "0004f28062d6 0004f2000500"),
            ("000000000000.cfg", ""),
            ("y000000000028.cfg", ""),
            ("ffffffffffff.cfg", ""),
            ("3111-46157-002.sip.ld", ""),
            ("0004f28062d.cfg", ""),
            ("0004f28062d6a.cfg", ""),
            ("1-00-04-f2-80-62-d6.cfg", ""),
            ("00-04-f2-80-62-d6-77.cfg", "0004f28062d6"),
            ("é0004f28062d6é", "0004f28062d6"),
        ] {
            let found: Vec<String> = macs_in(name).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn who_gets_what() {
        const OWN: &str = "0004f2000500";
        const OTHER: &str = "0004f2000501";
        for (policy, peer, neighbour, names, expected) in [
            (
                "own-mac",
                "192.0.2.7",
                Some(OWN),
                &[][..],
                Ok("mac=0004f2000500, by=neighbour, address=192.0.2.7"),
            ),
            (
                "own-mac",
                "192.0.2.7",
                Some(OWN),
                &[OWN],
                Ok("mac=0004f2000500, by=neighbour, address=192.0.2.7"),
            ),
            (
                "own-mac",
                "192.0.2.7",
                Some(OWN),
                &[OTHER],
                Err(Denied::Another),
            ),
            (
                "own-mac",
                "192.0.2.7",
                Some(OWN),
                &[OWN, OTHER],
                Err(Denied::Two),
            ),
            ("own-mac", "192.0.2.7", None, &[], Ok("address=192.0.2.7")),
            ("own-mac", "192.0.2.7", None, &[OWN], Err(Denied::Unknown)),
            (
                "any",
                "2001:db8::7",
                Some(OWN),
                &[OTHER],
                Ok("mac=0004f2000501, by=name, address=2001:db8::7"),
            ),
            ("any", "192.0.2.7", Some(OWN), &[], Ok("address=192.0.2.7")),
            ("any", "192.0.2.7", None, &[OWN, OTHER], Err(Denied::Two)),
            (
                "198.51.100.0/24",
                "198.51.100.9",
                Some(OWN),
                &[OTHER],
                Ok("mac=0004f2000501, by=name, address=198.51.100.9"),
            ),
            (
                "198.51.100.0/24,2001:db8::/32",
                "2001:db8::9",
                None,
                &[OTHER],
                Ok("mac=0004f2000501, by=name, address=2001:db8::9"),
            ),
            (
                "198.51.100.0/24",
                "192.0.2.7",
                Some(OWN),
                &[OTHER],
                Err(Denied::Another),
            ),
        ] {
            let named: Vec<_> = names.iter().map(|mac| mac.parse().unwrap()).collect();
            let neighbour = neighbour.map(|mac| Neighbour {
                mac: mac.parse().unwrap(),
                by: Source::Table,
            });
            let judged = policy.parse::<Policy>().unwrap();
            let judged = judged.judge(peer.parse().unwrap(), neighbour, &named);
            let judged = judged.map(|word| word.to_string());
            assert_eq!(
                judged,
                expected.map(str::to_owned),
                "{policy} {peer} {names:?}"
            );
        }
        for text in ["", "none", "192.0.2.1/24", "own-mac,192.0.2.0/24"] {
            assert!(text.parse::<Policy>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_router_is_noticed_once() {
        let routed = Routed::default();
        let peer = "192.0.2.1".parse().unwrap();
        let [router, one, two] =
            ["02000000beef", "0004f2000500", "0004f2000501"].map(|mac| mac.parse().unwrap());
        assert_eq!(routed.warning(peer, router, one), None);
        assert_eq!(routed.warning(peer, router, one), None);
        let warning = routed.warning(peer, router, two).unwrap();
        assert!(
            warning.starts_with("routed clients") && warning.contains("--identity"),
            "{warning}"
        );
        assert_eq!(routed.warning(peer, router, two), None);
    }
}
