//! UDP sockets that say which address a datagram came to, and send many in one call (ip(7), ipv6(7), udp(7)).

use std::array;
use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::net::UdpSocket as StdSocket;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use nix::libc;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::SockaddrStorage;
use nix::sys::socket::recvmmsg;
use nix::sys::socket::recvmsg;
use nix::sys::socket::sendmsg;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv4PacketInfo;
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use rustix::net::sockopt::Ipv4PathMtuDiscovery;
use rustix::net::sockopt::Ipv6PathMtuDiscovery;
use rustix::net::sockopt::set_ip_mtu_discover;
use rustix::net::sockopt::set_ipv6_mtu_discover;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::relay::tftp::table::InboxHandle;

/// The socket that requests come to.
#[derive(Debug)]
pub(super) struct Listening {
    socket: UdpSocket,
    pub(super) address: SocketAddr,
    /// What the kernel gave.
    pub(super) receive_buffer: usize,
}

/// A datagram that came.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) peer: SocketAddr,
    pub(super) local: Local,
}

/// The address that a datagram came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    address: IpAddr,
    interface: u32,
}

/// Through what one transfer goes.
#[derive(Debug)]
pub(super) enum Wire {
    /// A socket of its own: its port is the transfer's id.
    Own(OwnSocket),
    /// The listening socket.
    Shared {
        listening: Rc<Listening>,
        local: Local,
        peer: SocketAddr,
        inbox: InboxHandle,
    },
}

impl Listening {
    pub(super) fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        prepare(&socket, address.is_ipv6(), receive_buffer)?;
        socket.bind(&address.into())?;
        Self::of(socket)
    }

    /// A socket that was bound by somebody else.
    pub(super) fn over(socket: StdSocket, receive_buffer: usize) -> io::Result<Self> {
        let ipv6 = socket.local_addr()?.is_ipv6();
        let socket = Socket::from(socket);
        prepare(&socket, ipv6, receive_buffer)?;
        Self::of(socket)
    }

    fn of(socket: Socket) -> io::Result<Self> {
        let receive_buffer = buffer_size(&socket)?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            receive_buffer,
        })
    }

    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let descriptor = self.socket.as_raw_fd();
        let receive = || receive_message(descriptor, buffer);
        self.socket.async_io(Interest::READABLE, receive).await
    }

    /// Sends datagrams of `segment` bytes, the last may be shorter, from the address that the peer knows.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        segment: usize,
        peer: SocketAddr,
        local: &Local,
    ) -> io::Result<()> {
        send(&self.socket, bytes, segment, peer, Some(local))
    }
}

impl Wire {
    /// Where a datagram for the client goes if it listens on `port`; on the client's side, for the server.
    fn peer(&self, ip: IpAddr, port: u16) -> SocketAddr {
        match self {
            Self::Shared { peer, .. } => *peer,
            Self::Own(_) => (ip, port).into(),
        }
    }

    /// Hands on the next datagrams, and from where they are.
    pub(super) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        mut handle: impl FnMut(&[u8], SocketAddr),
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Own(own) => own.poll_receive(context, buffer, handle),
            Self::Shared { inbox, peer, .. } => {
                let datagram = ready!(inbox.poll_receive(context));
                handle(&datagram, *peer);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends datagrams of `segment` bytes, the last may be shorter.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        segment: usize,
        ip: IpAddr,
        port: u16,
    ) -> io::Result<()> {
        let peer = self.peer(ip, port);
        match self {
            Self::Own(own) if bytes.len() <= segment => {
                own.socket.try_send_to(bytes, peer).map(|_| ())
            }
            Self::Own(own) => send(&own.socket, bytes, segment, peer, None),
            Self::Shared {
                listening, local, ..
            } => listening.send(bytes, segment, peer, local),
        }
    }

    /// Ready when there is room to send.
    pub(super) fn poll_send_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Own(own) => own.socket.poll_send_ready(context),
            Self::Shared { listening, .. } => listening.socket.poll_send_ready(context),
        }
    }
}

/// What is asked of a listening socket, whoever made it.
fn prepare(socket: &Socket, ipv6: bool, receive_buffer: usize) -> io::Result<()> {
    if ipv6 {
        setsockopt(socket, Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, Ipv4PacketInfo, &true)?;
    }
    let_fragment(socket)?;
    // Who passed it may have given it more than a process without rights can.
    if buffer_size(socket)? < receive_buffer {
        socket.set_recv_buffer_size(receive_buffer)?;
    }
    socket.set_nonblocking(true)
}

/// Linux reports the double, which it takes for its own needs (socket(7)).
fn buffer_size(socket: &Socket) -> io::Result<usize> {
    Ok(socket.recv_buffer_size()? / 2)
}

/// The socket of one transfer.
pub(super) struct OwnSocket {
    socket: UdpSocket,
    /// Not shared with other sockets: the kernel keeps the length of their family's addresses in it.
    headers: RefCell<MultiHeaders<SockaddrStorage>>,
    /// The last call took fewer datagrams than it could have.
    drained: Cell<bool>,
}

impl OwnSocket {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self {
            socket,
            headers: RefCell::new(MultiHeaders::preallocate(SLOTS, None)),
            drained: Cell::new(false),
        })
    }

    /// One call of the kernel for what is there. To learn that there is no more takes no second one, which in lock step would
    /// be a third of all.
    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        mut handle: impl FnMut(&[u8], SocketAddr),
    ) -> Poll<io::Result<()>> {
        loop {
            if self.drained.take() {
                let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                let _ = self.socket.try_io(Interest::READABLE, nothing);
            }
            ready!(self.socket.poll_recv_ready(context))?;
            let receive = || self.receive(buffer, &mut handle);
            match self.socket.try_io(Interest::READABLE, receive) {
                Ok(count) => {
                    self.drained.set(count < SLOTS);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn receive(
        &self,
        buffer: &mut [u8],
        handle: &mut impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<usize> {
        let mut rooms = buffer.chunks_exact_mut((buffer.len() / SLOTS).max(1));
        let mut slots: [[IoSliceMut<'_>; 1]; SLOTS] =
            array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let mut headers = self.headers.borrow_mut();
        let descriptor = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages = recvmmsg(descriptor, &mut headers, slots.iter_mut(), flags, None)?;
        let mut count = 0;
        for message in messages {
            count += 1;
            let peer = message.address.as_ref().and_then(socket_address);
            if let (Some(datagram), Some(peer)) = (message.iovs().next(), peer) {
                handle(datagram, peer);
            }
        }
        Ok(count)
    }
}

impl fmt::Debug for OwnSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// Datagrams to a call. A server's transfer hears one at a time, mostly; a client's a window.
const SLOTS: usize = 4;

/// A longer block would not find room in a quarter of the buffer that all transfers receive into.
pub(super) const LARGEST_BLOCK: u16 = 16_000;

/// A socket for one transfer, at the address that was asked, on a port of those given; 0 lets the system choose.
pub(super) fn own_socket(
    local: &Local,
    ports: RangeInclusive<u16>,
    turn: u16,
) -> io::Result<OwnSocket> {
    let (first, last) = ports.into_inner();
    let count = last.saturating_sub(first).saturating_add(1);
    let mut failure = io::Error::from(io::ErrorKind::InvalidInput);
    for attempt in 0..count {
        let port = first + turn.wrapping_add(attempt) % count;
        match StdSocket::bind(local.at(port)) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                let_fragment(&socket)?;
                return OwnSocket::new(UdpSocket::from_std(socket)?);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Local {
    /// Any address of the peer's family: the system chooses.
    pub(super) fn any(peer: IpAddr) -> Self {
        let address = match peer {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self {
            address,
            interface: 0,
        }
    }

    pub(super) fn at(&self, port: u16) -> SocketAddr {
        match self.address.to_canonical() {
            IpAddr::V4(ip) => (ip, port).into(),
            // A link-local address is one of its interface.
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.interface).into(),
        }
    }
}

/// Datagrams may be fragmented on their way: the loaders of some phones cannot tell the sender that one was too long, and without
/// them nobody would.
fn let_fragment(socket: &impl AsFd) -> io::Result<()> {
    let v4 = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT);
    let v6 = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT);
    // A socket for IPv4 has no options of IPv6.
    Ok(v4.or(v6)?)
}

fn receive_message(descriptor: RawFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(descriptor, &mut slices, Some(&mut control), flags)?;
    let peer = message.address.as_ref().and_then(socket_address);
    let local = message.cmsgs()?.find_map(|control| local_of(&control));
    match (peer, local) {
        (Some(peer), Some(local)) => Ok(Received {
            length: message.bytes,
            peer,
            local,
        }),
        _ => Err(io::Error::other(
            "the system does not say where a datagram came from or to",
        )),
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|it| SocketAddr::V4((*it).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|it| SocketAddr::V6((*it).into()))
    })
}

fn local_of(control: &ControlMessageOwned) -> Option<Local> {
    match control {
        // For a datagram to a broadcast address, this is the address of the interface that it came through.
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local {
            address: local_v4(info.ipi_spec_dst, info.ipi_addr).into(),
            interface: 0,
        }),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local {
            address: Ipv6Addr::from(info.ipi6_addr.s6_addr).into(),
            interface: info.ipi6_ifindex,
        }),
        _ => None,
    }
}

/// One that came before anybody asked for this (a socket that was passed) has only the address in its own head.
fn local_v4(interface: libc::in_addr, head: libc::in_addr) -> Ipv4Addr {
    let address = |it: libc::in_addr| Ipv4Addr::from(it.s_addr.to_ne_bytes());
    let interface = address(interface);
    if interface.is_unspecified() {
        address(head)
    } else {
        interface
    }
}

fn send(
    socket: &UdpSocket,
    bytes: &[u8],
    segment: usize,
    peer: SocketAddr,
    local: Option<&Local>,
) -> io::Result<()> {
    if bytes.len() > segment {
        match send_message(socket, bytes, Some(segment), peer, local) {
            // Some interfaces cannot take a window in one piece.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    bytes
        .chunks(segment.max(1))
        .try_for_each(|datagram| send_message(socket, datagram, None, peer, local))
}

/// One call; with `segment`, the kernel cuts it into datagrams of so many bytes (UDP_SEGMENT).
fn send_message(
    socket: &UdpSocket,
    bytes: &[u8],
    segment: Option<usize>,
    peer: SocketAddr,
    local: Option<&Local>,
) -> io::Result<()> {
    let address = SockaddrStorage::from(peer);
    let segment = segment.and_then(|it| u16::try_from(it).ok());
    let source = local.map(Source::of);
    let control: Vec<ControlMessage<'_>> = segment
        .as_ref()
        .map(ControlMessage::UdpGsoSegments)
        .into_iter()
        .chain(source.as_ref().map(Source::message))
        .collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    socket.try_io(Interest::WRITABLE, || {
        let slices = [IoSlice::new(bytes)];
        sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&address))?;
        Ok(())
    })
}

/// The address to send from, as the kernel takes it.
enum Source {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn of(local: &Local) -> Self {
        match local.address {
            IpAddr::V4(ip) => Self::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }),
            IpAddr::V6(ip) => Self::V6(libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: if ip.is_unicast_link_local() {
                    local.interface
                } else {
                    0
                },
            }),
        }
    }

    fn message(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}
