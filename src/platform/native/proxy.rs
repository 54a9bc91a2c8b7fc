//! Proxies in front of the server: whose word counts, and what they say of the client behind them.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::encoding::from_base64;
use crate::path::percent_decode;

/// Which peers are proxies, and how they hand on a client's certificate.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Where they are; from anybody else their headers count for nothing.
    pub trusted: Vec<Block>,
    /// The header with the certificate that the proxy has verified.
    pub certificate: Option<HeaderName>,
}

/// Addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`, or one address (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    first: u128,
    bits: u32,
}

/// Why a text is no block of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockError;

/// What a proxy says of a request.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// Who sent it, where it says so.
    pub(super) client: Option<IpAddr>,
    /// Whether it came over TLS, where it says so.
    pub(super) secure: Option<bool>,
    /// The client's certificate.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

impl Proxies {
    /// What the peer says, if it is a proxy.
    pub(super) fn word(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Word> {
        self.trust(peer).then(|| Word {
            client: self.client(headers),
            secure: is_secure(headers),
            certificate: self.certificate(headers),
        })
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|block| block.holds(address))
    }

    /// The last hop that is no proxy of ours: what stands before it may be made up. Where that is no address,
    /// the proxy that wrote it is the last that is known.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut known = None;
        for hop in values(headers, FORWARDED_FOR).rev() {
            let Some(address) = address(hop) else { break };
            known = Some(address);
            if !self.trust(address) {
                break;
            }
        }
        known
    }

    /// More than one is none: the proxy replaces the header, so that somebody else wrote the other.
    fn certificate(&self, headers: &HeaderMap) -> Option<CertificateDer<'static>> {
        let mut values = headers.get_all(self.certificate.as_ref()?).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        certificate(value)
    }
}

impl Block {
    /// Whether this address is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        let differing = number(address) ^ self.first;
        self.bits == 0 || differing.leading_zeros() >= self.bits
    }
}

impl FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BlockError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse);
        let bits = bits.ok().filter(|bits| *bits <= most).ok_or(BlockError)?;
        let first = number(address);
        let bits = bits + 128 - most;
        let loose = first.checked_shl(bits).unwrap_or_default();
        // `192.0.2.1/24` may mean the address or the network: whoever trusts should say which.
        if loose != 0 {
            return Err(BlockError);
        }
        Ok(Self { first, bits })
    }
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address is wanted, or a block such as 192.0.2.0/24 or 2001:db8::/32")
    }
}

impl std::error::Error for BlockError {}

/// IPv4 as IPv6 maps it (RFC 4291 section 2.5.5.2): a socket may show either.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// What stands between the commas of all headers of this name.
fn values<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let texts = headers.get_all(name).iter();
    // What is no text stays as an empty value: it must not vanish from the order.
    let texts = texts.map(|value| value.to_str().unwrap_or_default());
    texts.flat_map(|text| text.split(',').map(str::trim))
}

/// An address with or without brackets and a port, as proxies write it.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let with_port = || hop.parse().ok().map(|socket: SocketAddr| socket.ip());
    let address: Option<IpAddr> = bare.parse().ok().or_else(with_port);
    address.map(|address| address.to_canonical())
}

/// Only where every hop says so.
fn is_secure(headers: &HeaderMap) -> Option<bool> {
    headers.contains_key(FORWARDED_PROTO).then(|| {
        let mut hops = values(headers, FORWARDED_PROTO);
        hops.all(|hop| hop.eq_ignore_ascii_case("https"))
    })
}

/// A certificate as RFC 9440 writes it, else PEM in URL encoding (nginx: `$ssl_client_escaped_cert`).
fn certificate(value: &HeaderValue) -> Option<CertificateDer<'static>> {
    let text = value.to_str().ok()?;
    let inner = text
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'));
    if let Some(inner) = inner {
        return Some(from_base64(inner.as_bytes())?.into());
    }
    let text = percent_decode(text)?;
    CertificateDer::from_pem_slice(text.as_bytes()).ok()
}

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;

    use super::Block;
    use super::Proxies;

    #[test]
    fn blocks_hold_what_begins_alike() {
        for (block, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", Some(true)),
            ("192.0.2.0/24", "192.0.3.0", Some(false)),
            ("192.0.2.0/24", "::ffff:192.0.2.1", Some(true)),
            ("192.0.2.7", "192.0.2.7", Some(true)),
            ("192.0.2.7", "192.0.2.6", Some(false)),
            ("0.0.0.0/0", "198.51.100.1", Some(true)),
            ("0.0.0.0/0", "2001:db8::1", Some(false)),
            ("::/0", "192.0.2.1", Some(true)),
            ("2001:db8::/32", "2001:db8:1::", Some(true)),
            ("2001:db8::/32", "2001:db9::", Some(false)),
            ("::1", "::1", Some(true)),
            ("192.0.2.1/24", "192.0.2.1", None),
            ("192.0.2.0/33", "192.0.2.1", None),
            ("::/129", "::", None),
            ("192.0.2.0/", "192.0.2.1", None),
            ("192.0.2.0/-1", "192.0.2.1", None),
            ("192.0.2.0/4294967295", "192.0.2.1", None),
            ("proxy", "192.0.2.1", None),
        ] {
            let parsed: Option<Block> = block.parse().ok();
            let holds = parsed.map(|parsed| parsed.holds(address.parse().unwrap()));
            assert_eq!(holds, expected, "{block} {address}");
        }
    }

    #[test]
    fn a_proxy_says_who_asks() {
        let proxies = Proxies {
            trusted: vec!["192.0.2.0/24".parse().unwrap()],
            certificate: None,
        };
        for (peer, hops, protocols, expected) in [
            (
                "192.0.2.1",
                &["198.51.100.7"][..],
                &["https"][..],
                Some((Some("198.51.100.7"), Some(true))),
            ),
            (
                "192.0.2.1",
                &["203.0.113.9, 198.51.100.7"],
                &["http"],
                Some((Some("198.51.100.7"), Some(false))),
            ),
            (
                "192.0.2.1",
                &["198.51.100.7, 192.0.2.2"],
                &["HTTPS, https"],
                Some((Some("198.51.100.7"), Some(true))),
            ),
            (
                "192.0.2.1",
                &["198.51.100.7", "192.0.2.2"],
                &["https", "http"],
                Some((Some("198.51.100.7"), Some(false))),
            ),
            (
                "192.0.2.1",
                &["192.0.2.3, 192.0.2.2"],
                &[""],
                Some((Some("192.0.2.3"), Some(false))),
            ),
            (
                "192.0.2.1",
                &["198.51.100.7, unknown, 192.0.2.2"],
                &[],
                Some((Some("192.0.2.2"), None)),
            ),
            (
                "192.0.2.1",
                &["198.51.100.7:4711"],
                &[],
                Some((Some("198.51.100.7"), None)),
            ),
            (
                "192.0.2.1",
                &["[2001:db8::7]:4711"],
                &[],
                Some((Some("2001:db8::7"), None)),
            ),
            (
                "192.0.2.1",
                &["[2001:db8::7]"],
                &[],
                Some((Some("2001:db8::7"), None)),
            ),
            ("192.0.2.1", &[""], &[], Some((None, None))),
            ("192.0.2.1", &[], &[], Some((None, None))),
            ("198.51.100.9", &["192.0.2.7"], &["https"], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, values) in [("x-forwarded-for", hops), ("x-forwarded-proto", protocols)] {
                for value in values {
                    let name = HeaderName::from_static(name);
                    headers.append(name, HeaderValue::from_static(value));
                }
            }
            let word = proxies.word(peer.parse().unwrap(), &headers);
            let seen = word.map(|word| (word.client, word.secure));
            let expected = expected.map(|(client, secure): (Option<&str>, _)| {
                (
                    client.map(|client| client.parse::<IpAddr>().unwrap()),
                    secure,
                )
            });
            assert_eq!(seen, expected, "{peer} {hops:?} {protocols:?}");
        }
    }
}
