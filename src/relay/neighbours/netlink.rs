//! The kernel's IPv6 neighbours, by a dump of `RTM_GETNEIGH` (rtnetlink(7), RFC 4861 section 5.1): they are in no file.

use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::NetlinkAddr;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockProtocol;
use nix::sys::socket::SockType;
use nix::sys::socket::recv;
use nix::sys::socket::sendto;
use nix::sys::socket::socket;

use crate::mac::MacAddress;

/// All neighbours that the kernel has spoken to.
pub(super) fn neighbours() -> io::Result<Vec<(IpAddr, MacAddress)>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let descriptor = socket.as_raw_fd();
    let kernel = NetlinkAddr::new(0, 0);
    sendto(descriptor, &request(), &kernel, MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    let mut found = Vec::new();
    // The kernel answers within the call, so that nothing to read is an end, too.
    for _ in 0..MOST_ANSWERS {
        let length = recv(descriptor, &mut buffer, MsgFlags::MSG_DONTWAIT)?;
        if !read(buffer.get(..length).unwrap_or_default(), &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// A `nlmsghdr` and a `ndmsg` that asks for one family.
fn request() -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::with_capacity(HEADER + NEIGHBOUR);
    bytes.extend(((HEADER + NEIGHBOUR) as u32).to_ne_bytes());
    bytes.extend(libc::RTM_GETNEIGH.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.push(libc::AF_INET6 as u8);
    bytes.resize(HEADER + NEIGHBOUR, 0);
    bytes
}

/// Reads one answer; `false` after the last.
fn read(mut bytes: &[u8], found: &mut Vec<(IpAddr, MacAddress)>) -> io::Result<bool> {
    while let Some((length, kind, sequence)) = header(bytes) {
        let payload = bytes.get(HEADER..length).unwrap_or_default();
        match i32::from(kind) {
            _ if sequence != SEQUENCE => {}
            libc::NLMSG_DONE => return Ok(false),
            libc::NLMSG_ERROR => return Err(io::Error::other("the kernel refuses its neighbours")),
            it if it == i32::from(libc::RTM_NEWNEIGH) => found.extend(neighbour(payload)),
            _ => {}
        }
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(true)
}

/// Length, kind and sequence number of a message that is there whole.
fn header(bytes: &[u8]) -> Option<(usize, u16, u32)> {
    let length = u32::from_ne_bytes(array(bytes, 0)?);
    let length = usize::try_from(length).ok()?;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let sequence = u32::from_ne_bytes(array(bytes, 8)?);
    (length >= HEADER && length <= bytes.len()).then_some((length, kind, sequence))
}

/// Reads a `ndmsg` and its attributes; `None` for one that did not answer.
fn neighbour(payload: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let state = u16::from_ne_bytes(array(payload, 8)?);
    if state & ANSWERED == 0 {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    let mut rest = payload.get(NEIGHBOUR..)?;
    while let (Some(length), Some(kind)) = (array(rest, 0), array(rest, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        let Some(value) = rest.get(4..length) else {
            break;
        };
        match u16::from_ne_bytes(kind) {
            DESTINATION => ip = value.try_into().ok().map(|it: [u8; 16]| Ipv6Addr::from(it)),
            LINK_LAYER => {
                mac = value
                    .try_into()
                    .ok()
                    .and_then(|it| MacAddress::new(it).ok())
            }
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Some((ip?.into(), mac?))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

const HEADER: usize = 16;
const NEIGHBOUR: usize = 12;
const SEQUENCE: u32 = 1;
/// NDA_DST and NDA_LLADDR.
const DESTINATION: u16 = 1;
const LINK_LAYER: u16 = 2;
/// NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE and NUD_PERMANENT. Not NUD_INCOMPLETE, NUD_FAILED and NUD_NOARP.
const ANSWERED: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
const BUFFER: usize = 64 << 10;
/// Some 100,000 neighbours.
const MOST_ANSWERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::DESTINATION;
    use super::LINK_LAYER;
    use super::SEQUENCE;
    use super::neighbours;
    use super::read;

    fn message(kind: u16, state: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut payload = vec![10, 0, 0, 0, 2, 0, 0, 0];
        payload.extend(state.to_ne_bytes());
        payload.extend([0, 1]);
        for (kind, value) in attributes {
            payload.extend((value.len() as u16 + 4).to_ne_bytes());
            payload.extend(kind.to_ne_bytes());
            payload.extend(*value);
            payload.resize(payload.len().next_multiple_of(4), 0);
        }
        let mut bytes = (payload.len() as u32 + 16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([2, 0]);
        bytes.extend(SEQUENCE.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn answers() {
        let ip = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let mac = [0, 4, 0xf2, 0, 5, 0];
        let both: &[(u16, &[u8])] = &[(DESTINATION, &ip), (LINK_LAYER, &mac), (9, &[1])];
        for (what, bytes, expected) in [
            ("reachable", message(28, 0x02, both), 1),
            ("stale", message(28, 0x04, both), 1),
            ("permanent", message(28, 0x80, both), 1),
            ("incomplete", message(28, 0x01, both), 0),
            ("failed", message(28, 0x20, both), 0),
            ("no address", message(28, 0x02, &[(DESTINATION, &ip)]), 0),
            (
                "zeros",
                message(28, 0x02, &[(DESTINATION, &ip), (LINK_LAYER, &[0; 6])]),
                0,
            ),
            ("another kind", message(24, 0x02, both), 0),
            ("cut off", message(28, 0x02, both)[..40].to_vec(), 0),
            (
                "two",
                [message(28, 2, both), message(28, 4, both)].concat(),
                2,
            ),
        ] {
            let mut found = Vec::new();
            assert!(read(&bytes, &mut found).unwrap(), "{what}");
            assert_eq!(found.len(), expected, "{what}");
            for (at, who) in found {
                assert_eq!(format!("{at} {who}"), "fe80::7 0004f2000500");
            }
        }
        let mut found = Vec::new();
        assert!(!read(&message(3, 0, &[]), &mut found).unwrap());
        assert!(read(&message(2, 0, &[]), &mut found).is_err());
    }

    /// Whatever there is: the kernel understands the question.
    #[test]
    fn the_kernel_answers() {
        neighbours().unwrap();
    }
}
