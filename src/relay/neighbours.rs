//! Which hardware address is behind an IP address: the kernel's neighbour tables (`/proc/net/arp` of proc(5), rtnetlink(7)), or
//! a file that says so.
//!
//! It is attribution and no proof: whoever shares a network with a phone can take its addresses. What this deliberately does
//! not do: decide anything.

mod netlink;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::mac::MacAddress;

/// The neighbours of this machine.
#[derive(Debug, Default)]
pub struct Neighbours {
    listed: Option<List>,
    v4: Table,
    v6: Table,
}

/// Who is behind an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Neighbour {
    /// Its hardware address.
    pub mac: MacAddress,
    /// How that is known.
    pub by: Source,
}

/// How a hardware address is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The file says so.
    File,
    /// The kernel has spoken to it.
    Table,
}

impl Source {
    /// In a word, for the server.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Table => "neighbour",
        }
    }
}

/// Why a file of neighbours cannot be used.
#[derive(Debug)]
pub enum NeighboursError {
    /// It cannot be read.
    Read(io::Error),
    /// A line, counted from 1, is no `ADDRESS MAC`.
    Line(usize),
}

impl fmt::Display for NeighboursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Line(line) => write!(
                f,
                "line {line} is no `ADDRESS MAC`, such as `192.0.2.7 0004f2000500`"
            ),
        }
    }
}

impl std::error::Error for NeighboursError {}

/// Addresses and who is behind them; nobody, where two claim to be.
type Rows = HashMap<IpAddr, Option<MacAddress>>;

impl Neighbours {
    /// Those that the kernel knows, and before them those that a file lists.
    pub fn new(file: Option<&Path>) -> Result<Self, NeighboursError> {
        Ok(Self {
            listed: file.map(List::open).transpose()?,
            ..Self::default()
        })
    }

    /// Who is behind this address, if it is a neighbour's.
    pub fn find(&self, peer: IpAddr) -> Option<Neighbour> {
        let peer = peer.to_canonical();
        let listed = self.listed.as_ref().and_then(|list| list.find(peer));
        if let Some(mac) = listed {
            let by = Source::File;
            return Some(Neighbour { mac, by });
        }
        let mac = match peer {
            IpAddr::V4(_) => self.v4.find(peer, resolved),
            IpAddr::V6(_) => self.v6.find(peer, netlink::neighbours),
        }?;
        let by = Source::Table;
        Some(Neighbour { mac, by })
    }

    /// What is wrong with the file since it changed, said once.
    pub fn take_problem(&self) -> Option<NeighboursError> {
        self.listed.as_ref()?.problem.take()
    }
}

/// A file that is read again when it has changed.
#[derive(Debug)]
struct List {
    path: PathBuf,
    stamp: Cell<Option<Stamp>>,
    rows: RefCell<Rows>,
    problem: RefCell<Option<NeighboursError>>,
}

/// What changes when a file does: modification time, length and inode.
type Stamp = (i64, i64, u64, u64);

impl List {
    fn open(path: &Path) -> Result<Self, NeighboursError> {
        let stamp = stamp(path).map_err(NeighboursError::Read)?;
        Ok(Self {
            path: path.to_owned(),
            stamp: Cell::new(Some(stamp)),
            rows: RefCell::new(read(path)?),
            problem: RefCell::default(),
        })
    }

    fn find(&self, peer: IpAddr) -> Option<MacAddress> {
        let now = stamp(&self.path).ok();
        // What cannot be read, for a moment or from now on, leaves what was read before.
        if now.is_some() && self.stamp.replace(now) != now {
            match read(&self.path) {
                Ok(rows) => *self.rows.borrow_mut() = rows,
                Err(problem) => *self.problem.borrow_mut() = Some(problem),
            }
        }
        self.rows.borrow().get(&peer).copied().flatten()
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    Ok((seconds, nanoseconds, metadata.len(), metadata.ino()))
}

fn read(path: &Path) -> Result<Rows, NeighboursError> {
    let text = fs::read_to_string(path).map_err(NeighboursError::Read)?;
    parse(&text)
}

/// Reads `ADDRESS MAC` a line; `#` begins a comment.
fn parse(text: &str) -> Result<Rows, NeighboursError> {
    let mut rows = Rows::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next() else {
            continue;
        };
        let row = words
            .next()
            .zip(Some(address))
            .filter(|_| words.next().is_none());
        let row = row.and_then(|(mac, ip)| Some((ip.parse().ok()?, mac.parse().ok()?)));
        let (ip, mac) = row.ok_or(NeighboursError::Line(number))?;
        enter(&mut rows, ip, mac);
    }
    Ok(rows)
}

fn enter(rows: &mut Rows, ip: IpAddr, mac: MacAddress) {
    let entry = rows.entry(ip.to_canonical()).or_insert(Some(mac));
    // A link-local address may stand for another neighbour on each interface.
    *entry = entry.filter(|known| *known == mac);
}

/// A table of the kernel's, kept for a moment: a thousand phones that boot at once are in one reading of it.
#[derive(Debug, Default)]
struct Table {
    rows: RefCell<Rows>,
    read: Cell<Option<Instant>>,
}

impl Table {
    fn find(
        &self,
        peer: IpAddr,
        read: impl FnOnce() -> io::Result<Vec<(IpAddr, MacAddress)>>,
    ) -> Option<MacAddress> {
        let age = self.read.get().map(|read| read.elapsed());
        let known = self.rows.borrow().contains_key(&peer);
        let longest = if known { KNOWN } else { UNKNOWN };
        if age.is_none_or(|age| age > longest) {
            let mut rows = Rows::new();
            // A table that cannot be read knows nobody.
            for (ip, mac) in read().unwrap_or_default() {
                enter(&mut rows, ip, mac);
            }
            *self.rows.borrow_mut() = rows;
            self.read.set(Some(Instant::now()));
        }
        self.rows.borrow().get(&peer).copied().flatten()
    }
}

fn resolved() -> io::Result<Vec<(IpAddr, MacAddress)>> {
    Ok(parse_arp(&fs::read_to_string(ARP)?))
}

/// Reads the kernel's table: address, kind of hardware, flags, hardware address, mask, interface.
fn parse_arp(text: &str) -> Vec<(IpAddr, MacAddress)> {
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (ip, kind, flags, mac) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        let known = kind == ETHERNET && flags & COMPLETE != 0;
        known.then_some((ip.parse().ok()?, mac.parse().ok()?))
    });
    rows.collect()
}

const ARP: &str = "/proc/net/arp";
/// ARPHRD_ETHER.
const ETHERNET: &str = "0x1";
/// ATF_COM: without it, the kernel is still asking.
const COMPLETE: u32 = 2;
/// How long a row counts. An address that changes hands does so by DHCP, in minutes.
const KNOWN: Duration = Duration::from_secs(1);
/// How long an address is taken for nobody's: its phone may have been resolved just now.
const UNKNOWN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Neighbours;
    use super::NeighboursError;
    use super::Source;
    use super::parse;
    use super::parse_arp;

    #[test]
    fn the_kernels_table() {
        let text = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.7        0x1         0x2         00:04:f2:00:05:00     *        eth0
192.0.2.8        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.9        0x1         0x0         00:04:f2:00:05:01     *        eth0
192.0.2.10       0x1         0x6         00:04:f2:00:05:02     *        eth0
192.0.2.11       0x20        0x2         00:04:f2:00:05:03     *        ib0
192.0.2.12       0x1         0x2         00:00:00:00:00:00     *        eth0
192.0.2.13       0x1         0x
";
        let rows = parse_arp(text);
        let rows = rows.iter().map(|(ip, mac)| format!("{ip} {mac}"));
        let rows: Vec<String> = rows.collect();
        assert_eq!(rows, ["192.0.2.7 0004f2000500", "192.0.2.10 0004f2000502"]);
    }

    #[test]
    fn lists() {
        for (text, expected) in [
            ("192.0.2.7 0004f2000500\n\n# none\n", Ok(1)),
            ("::ffff:192.0.2.7 00:04:F2:00:05:00 # a mapped one\n", Ok(1)),
            ("192.0.2.7 0004f2000500\n192.0.2.7 0004f2000501\n", Ok(0)),
            ("192.0.2.7\n", Err(1)),
            ("\n192.0.2.7 000000000000\n", Err(2)),
            ("192.0.2.7 0004f2000500 phone\n", Err(1)),
            ("phone 0004f2000500\n", Err(1)),
        ] {
            let found = parse(text).map(|rows| {
                let ip = "192.0.2.7".parse().unwrap();
                rows.get(&ip).copied().flatten().into_iter().count()
            });
            let found = found.map_err(|error| match error {
                NeighboursError::Line(line) => line,
                NeighboursError::Read(error) => panic!("{error}"),
            });
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_list_is_read_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("neighbours");
        let peer = "127.0.0.1".parse().unwrap();
        fs::write(&path, "127.0.0.1 0004f2000500\n").unwrap();
        let neighbours = Neighbours::new(Some(&path)).unwrap();
        let found = neighbours.find(peer).unwrap();
        assert_eq!(
            (found.mac.to_string().as_str(), found.by),
            ("0004f2000500", Source::File)
        );
        let beside = directory.path().join("beside");
        fs::write(&beside, "127.0.0.1 0004f2000501\n").unwrap();
        fs::rename(&beside, &path).unwrap();
        let found = neighbours.find(peer).unwrap();
        assert_eq!(found.mac.to_string(), "0004f2000501");
        fs::write(&path, "what is this\n").unwrap();
        assert_eq!(neighbours.find(peer), Some(found));
        assert!(neighbours.take_problem().is_some());
        assert!(neighbours.take_problem().is_none());
    }
}
