//! FTP (RFC 959, RFC 2428, RFC 3659) in the phones' network, by libunftp: logins, commands and data connections are its own.
//!
//! What it deliberately does not do: no TLS, no listings, no text conversion, nothing but reading, writing and continuing files. A
//! name and a password open nothing here, so that any will do: who a phone is, its address tells.

mod backend;
mod bridge;

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use libunftp::ServerBuilder;
use libunftp::options::ActivePassiveMode;
use libunftp::options::Binder;
use libunftp::options::SiteMd5;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time;

use crate::relay::carrier::Carrier;
use crate::relay::carrier::Visitor;
use crate::relay::ftp::backend::Backend;
use crate::relay::ftp::bridge::Bridge;
use crate::relay::metrics::Protocol;

/// How to listen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to; `[::]` is every address of both kinds.
    pub address: SocketAddr,
    /// The ports of passive data connections, if not any.
    pub passive_ports: Option<RangeInclusive<u16>>,
    /// Whether phones may say where to connect to.
    pub active: bool,
}

/// Listening sockets.
#[derive(Debug)]
pub struct Listener {
    first: TcpListener,
    second: Option<TcpListener>,
    address: SocketAddr,
    ports: DataPorts,
    active: bool,
}

/// The ports of passive data connections, each in its turn.
#[derive(Clone, Debug)]
struct DataPorts {
    range: Option<RangeInclusive<u16>>,
    turn: Arc<AtomicUsize>,
    /// Where the phone has reached the relay, the interface with it.
    local: Option<SocketAddr>,
}

impl Listener {
    /// Begins to listen; port 0 lets the system choose one.
    ///
    /// libunftp can tell no passive address to a phone that comes by IPv4 to a socket of IPv6, so that there are two.
    pub fn bind(settings: Settings) -> io::Result<Self> {
        let first = listen(settings.address)?;
        let address = first.local_addr()?;
        let both = settings.address.is_ipv6() && settings.address.ip().is_unspecified();
        let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        let second = both.then(|| listen(other)).transpose()?;
        Ok(Self::over(first, second, address, settings))
    }

    /// The same on sockets that listen already, one or two; the settings' address does not count.
    pub fn on(sockets: Vec<std::net::TcpListener>, settings: Settings) -> io::Result<Self> {
        let mut listening = Vec::new();
        for socket in sockets {
            let socket = Socket::from(socket);
            if socket.domain()? == Domain::IPV6 && !socket.only_v6()? {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the socket takes IPv4, too (give one with BindIPv6Only=ipv6-only, and one of IPv4)",
                ));
            }
            socket.set_nonblocking(true)?;
            listening.push(TcpListener::from_std(socket.into())?);
        }
        let mut listening = listening.into_iter();
        let (Some(first), second, None) = (listening.next(), listening.next(), listening.next())
        else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "give one socket, or two",
            ));
        };
        let address = first.local_addr()?;
        Ok(Self::over(first, second, address, settings))
    }

    fn over(
        first: TcpListener,
        second: Option<TcpListener>,
        address: SocketAddr,
        settings: Settings,
    ) -> Self {
        Self {
            first,
            second,
            address,
            ports: DataPorts {
                range: settings.passive_ports,
                turn: Arc::default(),
                local: None,
            },
            active: settings.active,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped, and every connection with it. Must run within a `LocalSet`.
    pub async fn run(self, carrier: Carrier) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        let session = Session {
                            carrier: carrier.clone(),
                            peer,
                            ports: self.ports.clone(),
                            active: self.active,
                        };
                        connections.spawn_local(session.serve(stream));
                    }
                    // Out of descriptors, most likely: others are given back by and by.
                    Err(_) => time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.second {
            None => self.first.accept().await,
            Some(second) => tokio::select! {
                accepted = self.first.accept() => accepted,
                accepted = second.accept() => accepted,
            },
        }
    }
}

/// A phone's control connection.
struct Session {
    carrier: Carrier,
    peer: SocketAddr,
    ports: DataPorts,
    active: bool,
}

impl Session {
    /// Serves it to its end, and the transfers that it began.
    async fn serve(self, stream: TcpStream) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        // Replies are small, and the phone waits for each.
        let _ = stream.set_nodelay(true);
        let visitor = Visitor::new(Protocol::Ftp, self.peer.ip(), local);
        let (bridge, orders) = Bridge::new();
        let mode = match self.active {
            true => ActivePassiveMode::ActiveAndPassive,
            false => ActivePassiveMode::PassiveOnly,
        };
        let ports = DataPorts {
            local: Some(local),
            ..self.ports
        };
        let builder = ServerBuilder::new(Box::new(move || Backend::new(bridge.clone())))
            .greeting("handset-relay")
            .active_passive_mode(mode)
            .binder(ports)
            .sitemd5(SiteMd5::None)
            .idle_session_timeout(IDLE.as_secs());
        // There is nothing that could be wrong with these.
        let Ok(server) = builder.build() else {
            return;
        };
        let serving = async {
            // How a connection ended is the phone's affair.
            let _ = server.service(stream).await;
        };
        tokio::join!(serving, orders.carry_out(self.carrier, visitor, self.peer));
    }
}

#[async_trait]
impl Binder for DataPorts {
    async fn bind(&mut self, ip: IpAddr, _: RangeInclusive<u16>) -> io::Result<TcpSocket> {
        let mut address = self.local.unwrap_or_else(|| SocketAddr::new(ip, 0));
        let Some(range) = &self.range else {
            address.set_port(0);
            return bind(address);
        };
        // One after the other, for a port that was just used may still be waited on by who used it.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % range.len().max(1);
        let turns = range.clone().cycle().skip(turn).take(range.len());
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for port in turns {
            address.set_port(port);
            match bind(address) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A socket at an address that nobody listens on.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A branch of a thousand phones.
const CONNECTIONS: usize = 1024;
const BACKLOG: i32 = 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a phone may say nothing between two transfers.
const IDLE: Duration = Duration::from_secs(300);
