//! Who is at the other end of a connection.

use std::net::SocketAddr;

use crate::client;
use crate::client::Client;
use crate::mac::MacAddress;

/// What is known of the other end when the connection stands.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Its address and port.
    pub(super) peer: SocketAddr,
    network: Option<String>,
    secure: bool,
    certificate: Option<MacAddress>,
}

impl Caller {
    /// One that came without TLS.
    pub(super) fn plain(peer: SocketAddr) -> Self {
        Self {
            peer,
            network: client::network(&peer.ip().to_string()),
            secure: false,
            certificate: None,
        }
    }

    /// The same over TLS.
    pub(super) fn secured(self) -> Self {
        Self {
            secure: true,
            ..self
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
