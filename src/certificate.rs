//! Which device a client certificate names: by its vendor's table, from what somebody else has verified and read.

use crate::mac::MacAddress;
use crate::vendor;
use crate::vendor::Vendor;

/// The device that a text of a certificate names, where the vendor of its address block has such texts. `place` is `CN` or
/// `SAN`.
pub fn named(place: &str, name: &str) -> Option<MacAddress> {
    let shapes = vendor::ALL.iter().flat_map(|vendor| {
        let shapes = vendor.certificate.iter();
        shapes.map(move |(place, shape)| (vendor.name, *place, *shape))
    });
    let mut shapes = shapes.filter(|(_, wanted, _)| *wanted == place);
    shapes.find_map(|(vendor, _, shape)| {
        let (before, after) = shape.split_once("{mac}")?;
        let mac = name.strip_prefix(before)?.strip_suffix(after)?;
        let mac: MacAddress = mac.parse().ok()?;
        (Vendor::of_mac(mac)?.name == vendor).then_some(mac)
    })
}

/// The device that a certificate's subject names, as RFC 4514 (and RFC 2253 before it) writes one: `CN=0004F2000500,O=…`.
///
/// No address has a character that has to be escaped. Quotes are the writing of RFC 1779, in which commas mean something
/// else: such a subject names nobody.
pub fn of_subject(subject: &str) -> Option<MacAddress> {
    if subject.contains('"') {
        return None;
    }
    let mut named = parts(subject).filter_map(|part| {
        let (kind, value) = part.split_once('=')?;
        let is_common = kind.trim().eq_ignore_ascii_case("CN");
        is_common.then(|| named("CN", value.trim())).flatten()
    });
    let first = named.next()?;
    // One that names two devices vouches for neither.
    named.all(|other| other == first).then_some(first)
}

/// What stands between commas and plus signs that no backslash stands before.
fn parts(subject: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    subject.split(move |character| {
        let ends = !escaped && matches!(character, ',' | '+' | ';');
        escaped = !escaped && character == '\\';
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::of_subject;

    #[test]
    fn subjects() {
        for (subject, expected) in [
            ("CN=0004F2000500,O=Polycom Inc.", Some("0004f2000500")),
            ("O=Polycom Inc., cn = 0004f2000500", Some("0004f2000500")),
            ("C=US,O=Polycom+CN=0004F2000500", Some("0004f2000500")),
            ("CN=0004F2000500,CN=0004f2000500", Some("0004f2000500")),
            ("CN=0004F2000500,CN=0004F2000501", None),
            ("O=a\\,CN=0004F2000500", None),
            ("O=a\\\\,CN=0004F2000500", Some("0004f2000500")),
            ("O=\"a,CN=0004F2000500\"", None),
            ("CN=\\30004F2000500", None),
            ("OU=0004F2000500", None),
            ("CN=001122334455", None),
            ("CN=", None),
            ("CN", None),
            ("", None),
        ] {
            let named = of_subject(subject).map(|mac| mac.to_string());
            assert_eq!(named.as_deref(), expected, "{subject}");
        }
    }
}
