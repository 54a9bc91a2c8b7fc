//! What a phone says of itself in the User-Agent header (RFC 9110 section 10.1.5), by vendors' shapes.
//!
//! A shape is literal text with the holes `{brand}` (letters, perhaps none), `{model}`, `{version}` and
//! `{mac}`; it is looked for anywhere in the header. A hole ends where the text after it begins.

use crate::mac::MacAddress;
use crate::vendor;
use crate::vendor::Vendor;

/// A phone's word on itself: a hint, never proof.
#[derive(Clone, Debug)]
pub struct UserAgent<'a> {
    /// Whose shape it has.
    pub vendor: &'static Vendor,
    /// The model as the phone spells it, for instance `VVX_400`.
    pub model: &'a str,
    /// The version of the software that asks: boot loader or application.
    pub version: Option<&'a str>,
    /// Its hardware address, where the phone tells it.
    pub mac: Option<MacAddress>,
}

impl<'a> UserAgent<'a> {
    /// Reads a header; `None` if no vendor's shape is in it.
    pub fn parse(header: &'a str) -> Option<Self> {
        let header = header
            .get(..header.len().min(Self::LONGEST))
            .unwrap_or_default();
        vendor::ALL.iter().copied().find_map(|vendor| {
            vendor
                .user_agents
                .iter()
                .find_map(|shape| match_shape(vendor, shape, header))
        })
    }

    /// More than any phone sends; the rest is not looked at.
    const LONGEST: usize = 512;
}

/// What kind of program a header says it is: the same for a phone's boot loader and its application.
pub fn family(header: &str) -> &str {
    match UserAgent::parse(header) {
        Some(agent) => agent.vendor.name,
        None => header
            .split(['/', ' '])
            .next()
            .and_then(|product| product.get(..product.len().min(32)))
            .unwrap_or_default(),
    }
}

fn match_shape<'a>(vendor: &'static Vendor, shape: &str, header: &'a str) -> Option<UserAgent<'a>> {
    let (literal, mut shape) = shape.split_once('{')?;
    let mut text = after(header, literal)?;
    let mut found = UserAgent {
        vendor,
        model: "",
        version: None,
        mac: None,
    };
    loop {
        let (hole, after) = shape.split_once('}')?;
        let (literal, next) = after.split_once('{').unwrap_or((after, ""));
        let (value, rest) = take(text, hole, literal)?;
        match hole {
            "mac" => found.mac = Some(value.parse().ok()?),
            "model" => found.model = value,
            "version" => found.version = Some(value),
            _ => {}
        }
        if next.is_empty() {
            return (!found.model.is_empty()).then_some(found);
        }
        (shape, text) = (next, rest);
    }
}

/// What follows a literal. The standard library's search prepares for long texts; a header is a short one.
fn after<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let (first, length) = (*literal.as_bytes().first()?, literal.len());
    let places = text.as_bytes().windows(length).enumerate();
    let mut places = places.filter(|(_, window)| window.first() == Some(&first));
    let (place, _) = places.find(|(_, window)| *window == literal.as_bytes())?;
    text.get(place + length..)
}

/// The text of a hole, up to `literal` (or as far as it goes), and what follows the literal.
fn take<'a>(text: &'a str, hole: &str, literal: &str) -> Option<(&'a str, &'a str)> {
    if !literal.is_empty() {
        let (value, rest) = text.split_once(literal)?;
        return value
            .chars()
            .all(|c| allowed(hole, c))
            .then_some((value, rest));
    }
    let end = text.find(|c| !allowed(hole, c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn allowed(hole: &str, c: char) -> bool {
    match hole {
        "brand" => c.is_ascii_alphabetic(),
        "mac" => c.is_ascii_hexdigit(),
        "model" => c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'),
        _ => c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    }
}

#[cfg(test)]
mod tests {
    use super::UserAgent;

    #[test]
    fn observed_user_agents() {
        for (header, vendor, model, version, mac) in [
            (
                "FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430",
                "polycom",
                "VVX_400",
                "4.1.4.7430",
                "",
            ),
            (
                "FileTransport PolycomSoundPointIP-SPIP_335-UA/4.0.15.1047 (SN:0004f2a6af1b) Type/Application",
                "polycom",
                "SPIP_335",
                "4.0.15.1047",
                "0004f2a6af1b",
            ),
            (
                "FileTransport PolycomSoundStationIP-SSIP_6000-UA/4.0.8.1608",
                "polycom",
                "SSIP_6000",
                "4.0.8.1608",
                "",
            ),
            (
                "FileTransport PolyCCX-CCX_600-UA/9.4.1.0001 Type/Updater",
                "polycom",
                "CCX_600",
                "9.4.1.0001",
                "",
            ),
            (
                "FileTransport PolyEdge-Edge_E350-UA/8.1.0.11427",
                "polycom",
                "Edge_E350",
                "8.1.0.11427",
                "",
            ),
            (
                "Microbrowser/1.1 PolycomSoundPointIP-SPIP_550-UA/4.0.15",
                "polycom",
                "SPIP_550",
                "4.0.15",
                "",
            ),
            (
                "AUDC-IPPhone/2.2.8.61 (440HDG-Rev0; 00908F602AAC)",
                "audiocodes",
                "440HDG-Rev0",
                "2.2.8.61",
                "00908f602aac",
            ),
            (
                "AUDC-IPPhone/2.0.0_build_15 (420HD; 00908F3BBCBA)",
                "audiocodes",
                "420HD",
                "2.0.0_build_15",
                "00908f3bbcba",
            ),
            (
                "AUDC/3.4.6.604 AUDC-IPPhone-C450HD_UC_3.4.6.604/1",
                "audiocodes",
                "C450HD",
                "3.4.6.604",
                "",
            ),
            (
                "AUDC-IPPhone-430HD_UC_3.1.0.478/1.0.0000.0",
                "audiocodes",
                "430HD",
                "3.1.0.478",
                "",
            ),
            (
                "Panasonic_KX-UT113/01.133 (0080f0c8c381)",
                "panasonic",
                "KX-UT113",
                "01.133",
                "0080f0c8c381",
            ),
        ] {
            let read = UserAgent::parse(header).expect(header);
            let read_mac = read.mac.map(|mac| mac.to_string()).unwrap_or_default();
            assert_eq!(
                (
                    read.vendor.name,
                    read.model,
                    read.version.unwrap_or_default(),
                    &*read_mac
                ),
                (vendor, model, version, mac),
                "{header}"
            );
        }
    }

    #[test]
    fn others_are_nobody() {
        for header in [
            "",
            "curl/8.0",
            "Poly",
            "Poly-",
            "Poly--UA/",
            "AUDC-IPPhone/ (;)",
            "é{}Poly\u{1F600}-x-UA/",
        ] {
            assert!(UserAgent::parse(header).is_none(), "{header}");
        }
    }
}
