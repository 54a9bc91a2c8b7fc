//! Who asks: the network that an address stands for.

use core::net::IpAddr;
use core::net::Ipv6Addr;

/// The network that a client's failures are counted for: an address of IPv4, 64 bits of IPv6 (RFC 4291
/// section 2.5.4), for whoever has one address there has all of them. `None` for what is no address.
pub fn network(address: &str) -> Option<String> {
    let network = match address.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let high = u128::from(address) >> 64 << 64;
            format!("{}/64", Ipv6Addr::from(high))
        }
    };
    Some(network)
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
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(network(address).as_deref(), expected, "{address}");
        }
    }
}
