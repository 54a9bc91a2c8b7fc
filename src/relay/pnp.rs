//! Phones that ask the network where their files are: SUBSCRIBE to 224.0.1.75 (RFC 3261, RFC 6080; vendors call it SIP PnP),
//! answered with the address that they should ask.
//!
//! What it deliberately does not do: it answers nobody who is not in a network of this machine, none but the vendors whose
//! tables say that their phones ask, and never more often than a phone that repeats itself; it repeats nothing by itself.

mod asker;
mod rates;

use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::time::Duration;
use std::time::Instant;

use nix::ifaddrs::getifaddrs;
use tokio::net::UdpSocket;
use tokio::time;

use crate::relay::carrier::Carrier;
use crate::relay::carrier::Visitor;
use crate::relay::metrics::Protocol;
use crate::relay::pnp::asker::Asker;
use crate::relay::pnp::rates::Rates;
use crate::sip::Answering;
use crate::sip::Subscribe;

/// Where to listen, and what phones are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; phones ask port 5060.
    pub address: SocketAddrV4,
    /// The server of the phones, if it is not this relay.
    pub url: Option<String>,
    /// Where the relay listens for HTTP, and by that is told.
    pub http: Option<SocketAddr>,
    /// Where it listens for TFTP, which is told where there is no HTTP.
    pub tftp: Option<SocketAddr>,
}

/// A socket that phones ask.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    address: SocketAddr,
    settings: Settings,
    /// What our ends of conversations are named by.
    seed: RandomState,
}

/// A network of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network {
    address: Ipv4Addr,
    mask: Ipv4Addr,
}

impl Listener {
    /// Begins to listen; port 0 lets the system choose one.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        if settings.url.is_none() && settings.http.is_none() && settings.tftp.is_none() {
            let reason =
                "there is nothing that phones could be told (--tftp, --http or --sip-pnp-url)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let socket = UdpSocket::bind(SocketAddr::V4(settings.address)).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            settings,
            seed: RandomState::new(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn run(self, carrier: Carrier) {
        let begun = Instant::now();
        let (mut networks, mut rates) = (self.join(), Rates::default());
        let mut looks = time::interval(LOOK);
        looks.reset();
        let mut buffer = vec![0; LONGEST_DATAGRAM];
        loop {
            tokio::select! {
                // Interfaces come and go: at the start of a machine, after the relay.
                _ = looks.tick() => networks = self.join(),
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, peer)) => {
                        let datagram = buffer.get(..length).unwrap_or_default();
                        let local = is_local(&networks, peer.ip());
                        if local && rates.admit(peer.ip(), begun.elapsed()) {
                            self.answer(&carrier, peer, datagram).await;
                        }
                    }
                    Err(_) => time::sleep(PAUSE).await,
                },
            }
        }
    }

    /// Takes part in the group, in every network; says which there are.
    fn join(&self) -> Vec<Network> {
        let networks = networks();
        for network in &networks {
            // It takes part already, or the interface knows no groups.
            let _ = self.socket.join_multicast_v4(GROUP, network.address);
        }
        networks
    }

    async fn answer(&self, carrier: &Carrier, peer: SocketAddr, datagram: &[u8]) {
        // What is no question gets no answer, not even that it is none.
        let Ok(asked) = Subscribe::parse(datagram) else {
            return;
        };
        let asker = Asker::of(&asked);
        let (Some(form), Ok(local)) = (asker.form(), self.local(peer)) else {
            return;
        };
        let url = form.replace("{base}", &self.base(peer.ip(), local.ip()));
        let tag = format!("{:016x}", self.seed.hash_one((asked.call_id(), peer)));
        let tag = tag.as_str();
        let answering = Answering { peer, local, tag };
        for message in [asked.accept(&answering), asked.notify(&answering, &url)] {
            // The phone asks again if one gets lost.
            let _ = self.socket.send_to(message.as_bytes(), peer).await;
        }
        carrier.metrics().pnp_answers.count();
        let reason = format!("a phone of {} was told {url}", asker.vendor());
        let journal = carrier.journal();
        journal.phone("sip-pnp", &reason, peer.ip(), asker.mac());
    }

    /// Our address on the way to a phone.
    fn local(&self, peer: SocketAddr) -> io::Result<SocketAddr> {
        if !self.address.ip().is_unspecified() {
            return Ok(self.address);
        }
        // To connect a socket of UDP sends nothing: it looks the way up.
        let way = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        way.connect(peer)?;
        Ok(SocketAddr::new(way.local_addr()?.ip(), self.address.port()))
    }

    /// What a phone is told of where to ask, without a slash at its end.
    fn base(&self, peer: IpAddr, local: IpAddr) -> String {
        let Settings {
            url, http, tftp, ..
        } = &self.settings;
        if let Some(url) = url {
            return url.trim_end_matches('/').to_owned();
        }
        let (protocol, listening) = match (http, tftp) {
            (Some(http), _) => (Protocol::Http, *http),
            (None, Some(tftp)) => (Protocol::Tftp, *tftp),
            // There is one: without, it was not bound.
            (None, None) => return String::new(),
        };
        let address = match listening.ip().is_unspecified() {
            true => local,
            false => listening.ip(),
        };
        Visitor::new(protocol, peer, SocketAddr::new(address, listening.port())).base
    }
}

fn is_local(networks: &[Network], peer: IpAddr) -> bool {
    let IpAddr::V4(peer) = peer else {
        return false;
    };
    let part = |address: Ipv4Addr, mask: Ipv4Addr| address.to_bits() & mask.to_bits();
    networks
        .iter()
        .any(|it| part(it.address, it.mask) == part(peer, it.mask))
}

/// Those of IPv4, as the system has them now.
fn networks() -> Vec<Network> {
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    let networks = interfaces.filter_map(|interface| {
        let mask = interface.netmask?.as_sockaddr_in()?.ip();
        let address = interface.address?.as_sockaddr_in()?.ip();
        // One without a mask would be everywhere.
        (!mask.is_unspecified()).then_some(Network { address, mask })
    });
    networks.collect()
}

/// sip.mcast.net.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 75);
const LOOK: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// More than is read of one.
const LONGEST_DATAGRAM: usize = 4096;

#[cfg(test)]
mod tests {
    use super::Network;
    use super::is_local;

    #[test]
    fn who_is_local() {
        let network = |address: &str, mask: &str| Network {
            address: address.parse().unwrap(),
            mask: mask.parse().unwrap(),
        };
        let networks = [
            network("192.0.2.1", "255.255.255.128"),
            network("127.0.0.1", "255.0.0.0"),
        ];
        for (peer, expected) in [
            ("192.0.2.7", true),
            ("192.0.2.129", false),
            ("127.9.9.9", true),
            ("198.51.100.1", false),
            ("::1", false),
        ] {
            assert_eq!(
                is_local(&networks, peer.parse().unwrap()),
                expected,
                "{peer}"
            );
        }
    }
}
