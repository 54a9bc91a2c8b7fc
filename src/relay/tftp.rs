//! TFTP (RFC 1350) on sockets: a server whose files come from elsewhere, and a client.
//!
//! One task takes requests from the listening socket and does nothing else, so that a thousand phones that boot at once find
//! room in its buffer; each transfer is a task of its own, on the same thread. An answer comes from the address that was
//! asked. What this deliberately does not do: no decision about TFTP itself, which is `crate::tftp`.

pub mod client;
pub mod directory;
pub mod files;
mod memory;
pub mod remote;
mod session;
mod socket;
mod table;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time;

use crate::relay::tftp::files::Asked;
use crate::relay::tftp::files::Files;
use crate::relay::tftp::files::Reading as _;
use crate::relay::tftp::files::Report;
use crate::relay::tftp::memory::Budget;
use crate::relay::tftp::memory::Reserved;
use crate::relay::tftp::session::Scratch;
use crate::relay::tftp::session::Session;
use crate::relay::tftp::session::Sink;
use crate::relay::tftp::session::Source;
use crate::relay::tftp::session::Work;
use crate::relay::tftp::socket::LARGEST_BLOCK;
use crate::relay::tftp::socket::Listening;
use crate::relay::tftp::socket::Received;
use crate::relay::tftp::socket::Wire;
use crate::relay::tftp::socket::own_socket;
use crate::relay::tftp::table::Entry;
use crate::relay::tftp::table::Table;
use crate::tftp::name::FileName;
use crate::tftp::options::Profile;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::Packet;
use crate::tftp::packet::PacketError;
use crate::tftp::packet::Request;
use crate::tftp::packet::RequestKind;
use crate::tftp::receiver::Receiver;
use crate::tftp::sender::Sender;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;

/// Where to listen, and how much to take on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; port 0 lets the system choose one. `[::]` serves IPv4, too.
    pub listen: SocketAddr,
    /// Which ports transfers use.
    pub ports: Ports,
    /// The most transfers at once; whoever comes then is told to try again.
    pub sessions: usize,
    /// The most bytes of files to hold for all transfers. When it is short, windows are.
    pub memory: usize,
    /// The receive buffer to ask the kernel for.
    pub receive_buffer: usize,
    /// What is granted where the files say nothing else.
    pub profile: Profile,
}

impl Settings {
    /// What serves a branch of a thousand phones.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            ports: Ports::Any,
            sessions: 2048,
            memory: 64 << 20,
            receive_buffer: 4 << 20,
            profile: Profile::DEFAULT,
        }
    }
}

/// Which ports transfers use (their TIDs).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ports {
    /// One that the system chooses, as RFC 1350 has it.
    Any,
    /// One of these, for firewalls.
    Range(RangeInclusive<u16>),
    /// The listening one, for firewalls and address translation that let nothing else through.
    Single,
}

/// A receive buffer that is smaller than was asked for: requests of phones that boot at once will be lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SmallBuffer {
    /// What the kernel gave.
    pub given: usize,
    /// What it was asked for.
    pub wanted: usize,
}

impl fmt::Display for SmallBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, wanted } = self;
        write!(
            f,
            "the receive buffer has {given} bytes instead of {wanted}: many phones at once will have to ask twice \
             (sysctl -w net.core.rmem_max={wanted})"
        )
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listening: Rc<Listening>,
    settings: Settings,
}

impl Server {
    /// Begins to listen; must be called within a runtime.
    pub fn bind(settings: Settings) -> io::Result<Self> {
        let listening = Listening::bind(settings.listen, settings.receive_buffer)?;
        Ok(Self {
            listening: Rc::new(listening),
            settings,
        })
    }

    /// The same on a socket that is bound already; the settings' address does not count.
    pub fn on(socket: UdpSocket, settings: Settings) -> io::Result<Self> {
        let listening = Listening::over(socket, settings.receive_buffer)?;
        Ok(Self {
            listening: Rc::new(listening),
            settings,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// What whoever runs it should know of its buffer.
    pub fn small_buffer(&self) -> Option<SmallBuffer> {
        let Settings { receive_buffer, .. } = self.settings;
        let given = self.listening.receive_buffer;
        (given < receive_buffer).then_some(SmallBuffer {
            given,
            wanted: receive_buffer,
        })
    }

    /// Serves until it is dropped, and every transfer with it. Must run within a `LocalSet`.
    pub async fn run<F: Files>(self, files: F) -> io::Result<()> {
        let mut desk = Desk {
            budget: Budget::new(self.settings.memory),
            table: Table::default(),
            shared: Rc::new(Shared {
                listening: self.listening,
                settings: self.settings,
                files,
                scratch: Scratch::new(),
            }),
            tasks: JoinSet::new(),
            turn: 0,
        };
        let mut buffer = vec![0; LONGEST_DATAGRAM];
        loop {
            let listening = desk.shared.listening.clone();
            let received = listening.receive(&mut buffer).await?;
            let datagram = buffer.get(..received.length).unwrap_or_default();
            desk.handle(&received, datagram);
            while desk.tasks.try_join_next().is_some() {}
        }
    }
}

/// What the transfers share.
struct Shared<F> {
    listening: Rc<Listening>,
    settings: Settings,
    files: F,
    scratch: Scratch,
}

/// Takes requests.
struct Desk<F> {
    shared: Rc<Shared<F>>,
    table: Table,
    budget: Budget,
    tasks: JoinSet<()>,
    /// Counts transfers, so that they do not all try the first port of a range.
    turn: u16,
}

impl<F: Files> Desk<F> {
    fn handle(&mut self, received: &Received, datagram: &[u8]) {
        match Packet::parse(datagram) {
            Ok(Packet::Request(request)) => self.handle_request(received, datagram, &request),
            Ok(Packet::Error { .. }) if self.shared.settings.ports != Ports::Single => {}
            Ok(_) if self.table.deliver(received.peer, datagram) => {}
            Ok(Packet::Error { .. }) => {}
            Ok(_) => self.tell(
                received,
                ErrorCode::UNKNOWN_TRANSFER_ID,
                "unknown transfer id",
            ),
            Err(error @ PacketError::UnknownMode) => {
                self.tell(received, ErrorCode::ILLEGAL_OPERATION, &error.to_string());
            }
            // What is no TFTP may be anything, and gets no answer.
            Err(PacketError::Truncated | PacketError::UnknownOperation) => {}
        }
    }

    fn handle_request(&mut self, received: &Received, datagram: &[u8], request: &Request<'_>) {
        if self.table.is_under_way(received.peer, datagram) {
            return;
        }
        self.table.end(received.peer);
        let name = match FileName::parse(request.name) {
            Ok(name) => name,
            Err(error) => {
                return self.tell(received, ErrorCode::ACCESS_VIOLATION, &error.to_string());
            }
        };
        let asked = Asked {
            name,
            kind: request.kind,
            mode: request.mode,
            peer: canonical(received.peer),
            local: received.local.at(self.shared.listening.address.port()),
            length: request
                .options
                .transfer_size
                .filter(|_| request.kind == RequestKind::Write),
        };
        let mut profile = self
            .shared
            .files
            .profile(&asked, &self.shared.settings.profile);
        profile.block_size = profile.block_size.min(LARGEST_BLOCK);
        let reserved = self.budget.reserve(&request.options, &mut profile);
        let full = self.table.len() >= self.shared.settings.sessions;
        let (Some(reserved), false) = (reserved, full) else {
            return self.tell(received, ErrorCode::NOT_DEFINED, BUSY);
        };
        let entry = self.table.enter(received.peer, datagram);
        match self.wire(received, &entry) {
            Ok(wire) => self.begin(asked, datagram, profile, reserved, entry, wire),
            Err(_) => self.tell(received, ErrorCode::NOT_DEFINED, BUSY),
        }
    }

    /// Through what a transfer goes.
    fn wire(&mut self, received: &Received, entry: &Entry) -> io::Result<Wire> {
        self.turn = self.turn.wrapping_add(1);
        match &self.shared.settings.ports {
            Ports::Single => Ok(Wire::Shared {
                listening: self.shared.listening.clone(),
                local: received.local,
                peer: received.peer,
                inbox: entry.inbox(),
            }),
            Ports::Any => own_socket(&received.local, 0..=0, 0).map(Wire::Own),
            Ports::Range(ports) => {
                own_socket(&received.local, ports.clone(), self.turn).map(Wire::Own)
            }
        }
    }

    fn begin(
        &mut self,
        asked: Asked,
        datagram: &[u8],
        profile: Profile,
        reserved: Reserved,
        entry: Entry,
        wire: Wire,
    ) {
        let shared = self.shared.clone();
        let datagram = datagram.to_vec();
        let task = self.tasks.spawn_local(async move {
            let Ok(Packet::Request(request)) = Packet::parse(&datagram) else {
                return;
            };
            let started = time::Instant::now();
            let transfer = Transfer {
                request,
                asked: &asked,
                profile: &profile,
                entry: &entry,
                wire,
            };
            let (outcome, bytes) = transfer.run(&shared).await;
            drop(reserved);
            shared.files.finished(&Report {
                asked: &asked,
                outcome: &outcome,
                bytes,
                took: started.elapsed(),
            });
        });
        self.table.begun(task);
    }

    fn tell(&self, received: &Received, code: ErrorCode, message: &str) {
        let message = message.as_bytes();
        let error = Packet::Error { code, message }.to_bytes();
        // As any datagram, it may get lost.
        let _ = self
            .shared
            .listening
            .send(&error, error.len(), received.peer, &received.local);
    }
}

/// One transfer, begun.
struct Transfer<'t> {
    request: Request<'t>,
    asked: &'t Asked,
    profile: &'t Profile,
    entry: &'t Entry,
    wire: Wire,
}

impl Transfer<'_> {
    async fn run<F: Files>(self, shared: &Shared<F>) -> (Outcome, u64) {
        match self.request.kind {
            RequestKind::Read => self.read(shared).await,
            RequestKind::Write => self.write(shared).await,
        }
    }

    async fn read<F: Files>(self, shared: &Shared<F>) -> (Outcome, u64) {
        let mut opening = Box::pin(shared.files.open(self.asked));
        let (length, source) = match time::timeout(ANSWER_WITHIN, opening.as_mut()).await {
            Ok(Ok(reading)) => (reading.length(), Source::Open(reading)),
            Ok(Err(refusal)) => (None, Source::Refused(refusal)),
            // The options are acknowledged without the size, so that the phone knows that it was heard.
            Err(_) => (None, Source::Opening(opening)),
        };
        let client = TransferId(self.asked.peer.port());
        let sender = Sender::answer(&self.request, length, client, self.profile);
        let work: Work<'_, F::Reading, F::Writing> = Work::Reading(Box::new(sender), source);
        Session::new(self.wire, self.asked.peer.ip(), work, Some(self.entry))
            .run(&shared.scratch)
            .await
    }

    async fn write<F: Files>(self, shared: &Shared<F>) -> (Outcome, u64) {
        let sink = match shared.files.create(self.asked).await {
            Ok(writing) => Sink::Open(writing),
            Err(refusal) => Sink::Refused(refusal),
        };
        let client = TransferId(self.asked.peer.port());
        let receiver = Receiver::answer(&self.request, client, self.profile);
        let work: Work<'_, F::Reading, F::Writing> = Work::Writing(Box::new(receiver), sink);
        Session::new(self.wire, self.asked.peer.ip(), work, Some(self.entry))
            .run(&shared.scratch)
            .await
    }
}

/// An IPv4 address as such, and not as a part of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// No phone that is known to measure it waits for less than two seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Phones that tell such an answer from others try again.
const BUSY: &str = "server busy, try again";

/// More than any request or window of the largest block that is granted needs in one datagram.
const LONGEST_DATAGRAM: usize = 65_536;
