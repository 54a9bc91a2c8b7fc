//! Who asks: the network that an address stands for.

use crate::mac::MacAddress;

/// Who asks, as far as the platform knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// See [`network`].
    pub network: Option<&'a str>,
    /// Whether the request came over TLS.
    pub secure: bool,
    /// The device that a client certificate names, which the platform has verified.
    pub certificate: Option<MacAddress>,
}

/// The network that a client's failures are counted for: an address of IPv4, 64 bits of IPv6 (RFC 4291
/// section 2.5.4), for whoever has one address there has all of them. `None` for what is no address.
///
/// It reads what platforms write (RFC 5952) and checks no more of it than that: the standard library's
/// reading and writing of addresses would be a hundredth of the Worker.
pub fn network(address: &str) -> Option<String> {
    let address = address.trim().to_ascii_lowercase();
    let digits = |text: &str, more: &[u8]| {
        let good = |byte: u8| byte.is_ascii_hexdigit() || more.contains(&byte);
        !text.is_empty() && text.len() <= 45 && text.bytes().all(good)
    };
    let last = address.rsplit(':').next().unwrap_or_default();
    if last.contains('.') {
        return digits(last, b".").then(|| last.to_owned());
    }
    if !address.contains(':') || !digits(&address, b":") {
        return None;
    }
    // What `::` leaves out is zero; what stands behind it matters where less than four groups are left out.
    let (front, back) = address.split_once("::").unwrap_or((&address, ""));
    let groups = |text: &'_ str| text.split(':').filter(|group| !group.is_empty()).count();
    let zeros = 8_usize.checked_sub(groups(front) + groups(back))?;
    let zeros = std::iter::repeat_n("0", zeros);
    let all = front.split(':').chain(zeros).chain(back.split(':'));
    let four: Vec<&str> = all.filter(|group| !group.is_empty()).take(4).collect();
    Some(format!("{}::/64", four.join(":")))
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn addresses_are_counted_by_network() {
        for (address, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::", Some("2001:db8:1:2::/64")),
            ("2001:DB8::1", Some("2001:db8:0:0::/64")),
            ("2001:db8::3:4:5:6:7", Some("2001:db8:0:3::/64")),
            ("::1", Some("0:0:0:0::/64")),
            ("1:2:3:4:5:6:7:8:9", None),
            ("g::1", None),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(network(address).as_deref(), expected, "{address}");
        }
    }
}
