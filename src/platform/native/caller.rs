//! Who is at the other end of a connection.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;

use crate::client;
use crate::client::Client;
use crate::mac::MacAddress;
use crate::platform::native::certificate;
use crate::platform::native::proxy::Proxies;

/// What is known of the other end when the connection stands.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Its address and port.
    pub(super) peer: SocketAddr,
    /// Whose failures and log lines these are.
    pub(super) address: IpAddr,
    network: Option<String>,
    secure: bool,
    certificate: Option<MacAddress>,
}

impl Caller {
    /// One that came without TLS.
    pub(super) fn plain(peer: SocketAddr) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            peer,
            address,
            network: client::network(&address.to_string()),
            secure: false,
            certificate: None,
        }
    }

    /// The same over TLS, with the device that its certificate names.
    pub(super) fn secured(self, certificate: Option<MacAddress>) -> Self {
        Self {
            secure: true,
            certificate,
            ..self
        }
    }

    /// Who sent a request that may have come through a proxy.
    pub(super) fn behind(&self, proxies: &Proxies, headers: &HeaderMap) -> Self {
        let Some(word) = proxies.word(self.address, headers) else {
            return self.clone();
        };
        let device = word.certificate.as_ref().and_then(certificate::device);
        let behind = Self::plain(SocketAddr::new(
            word.client.unwrap_or(self.address),
            self.peer.port(),
        ));
        Self {
            peer: self.peer,
            secure: word.secure.unwrap_or(self.secure),
            // The proxy's own certificate is no phone's.
            certificate: device,
            ..behind
        }
    }

    /// As the handler knows it.
    pub(super) fn client(&self) -> Client<'_> {
        Client {
            network: self.network.as_deref(),
            secure: self.secure,
            certificate: self.certificate,
        }
    }
}
