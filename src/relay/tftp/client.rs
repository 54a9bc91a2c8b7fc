//! A TFTP client: what the simulated phone boots with, and what the server is tested and measured with.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::relay::tftp::files::Reading;
use crate::relay::tftp::files::Refusal;
use crate::relay::tftp::files::Writing;
use crate::relay::tftp::session::Scratch;
use crate::relay::tftp::session::Session;
use crate::relay::tftp::session::Sink;
use crate::relay::tftp::session::Source;
use crate::relay::tftp::session::Work;
use crate::relay::tftp::socket::Local;
use crate::relay::tftp::socket::Wire;
use crate::relay::tftp::socket::own_socket;
use crate::tftp::options::Options;
use crate::tftp::options::Profile;
use crate::tftp::packet::Mode;
use crate::tftp::receiver::Receiver;
use crate::tftp::sender::Sender;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server's address and the port that it listens on.
    pub server: SocketAddr,
    /// How the bytes travel.
    pub mode: Mode,
    /// What is asked for.
    pub options: Options,
    /// How patient it is.
    pub profile: Profile,
}

/// Why a file could not be had, or written.
#[derive(Debug)]
pub enum ClientError {
    /// No socket.
    System(io::Error),
    /// It began, and ended so.
    Transfer(Outcome),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Transfer(outcome) => outcome.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// As RFC 1350 has it, without options.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            mode: Mode::Octet,
            options: Options::NONE,
            profile: Profile {
                linger: Duration::ZERO,
                ..Profile::DEFAULT
            },
        }
    }

    /// Reads a file.
    pub async fn read(&self, name: &[u8]) -> Result<Vec<u8>, ClientError> {
        let port = TransferId(self.server.port());
        let options = self.options.clone();
        let receiver = Receiver::ask(name, self.mode, options, port, &self.profile);
        let collected = Collected::default();
        let sink = Sink::Open(collected.clone());
        self.run(Work::Writing(Box::new(receiver), sink)).await?;
        Ok(collected.0.take())
    }

    /// Writes a file; the server has stored it when this is done.
    pub async fn write(&self, name: &[u8], bytes: &[u8]) -> Result<(), ClientError> {
        let port = TransferId(self.server.port());
        let options = self.options.clone();
        let sender = Sender::ask(name, self.mode, options, port, &self.profile);
        let source = Source::Open(Memory::new(bytes));
        self.run(Work::Reading(Box::new(sender), source)).await
    }

    async fn run(&self, work: Work<'_, Memory, Collected>) -> Result<(), ClientError> {
        let peer = self.server.ip();
        let socket = own_socket(&Local::any(peer), 0..=0, 0).map_err(ClientError::System)?;
        let session = Session::new(Wire::Own(socket), peer, work, None);
        match session.run(&Scratch::new()).await.0 {
            Outcome::Completed => Ok(()),
            outcome => Err(ClientError::Transfer(outcome)),
        }
    }
}

/// A file that is in memory.
struct Memory {
    bytes: Vec<u8>,
    read: usize,
}

impl Memory {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            read: 0,
        }
    }
}

impl Reading for Memory {
    fn length(&self) -> Option<u64> {
        u64::try_from(self.bytes.len()).ok()
    }

    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, Refusal>> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.read += count;
        Poll::Ready(Ok(count))
    }
}

/// What came.
#[derive(Clone, Default)]
struct Collected(Rc<RefCell<Vec<u8>>>);

impl Writing for Collected {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Refusal>> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_store(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }
}
