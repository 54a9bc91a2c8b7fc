//! Where the files of the TFTP server come from and go to: a cache, a server upstream, a directory.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::tftp::name::FileName;
use crate::tftp::options::Profile;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::Mode;
use crate::tftp::packet::RequestKind;
use crate::tftp::transfer::Outcome;

/// What a phone asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file.
    pub name: FileName,
    /// Which way it goes.
    pub kind: RequestKind,
    /// How its bytes travel; the server translates.
    pub mode: Mode,
    /// Who asks.
    pub peer: SocketAddr,
    /// The address and port that were asked.
    pub local: SocketAddr,
    /// How long the file is that it wants to write, if it says so.
    pub length: Option<u64>,
}

/// The files. Futures and streams stay on their thread, and are dropped when the phone gives up.
pub trait Files: 'static {
    /// A file that is read.
    type Reading: Reading;
    /// A file that is written.
    type Writing: Writing;

    /// Opens a file. Whatever this waits for must have a deadline of its own.
    fn open(&self, asked: &Asked) -> impl Future<Output = Result<Self::Reading, Refusal>>;

    /// Begins a file.
    fn create(&self, asked: &Asked) -> impl Future<Output = Result<Self::Writing, Refusal>>;

    /// What this phone is granted.
    fn profile(&self, _asked: &Asked, default: &Profile) -> Profile {
        default.clone()
    }

    /// A transfer ended.
    fn finished(&self, _report: &Report<'_>) {}
}

/// A file that is read. To drop it stops whatever fetches it.
pub trait Reading: Unpin {
    /// Its length, if it is known before its end.
    fn length(&self) -> Option<u64>;

    /// Fills some of `into` and says how much; 0 at the end.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Refusal>>;
}

/// A file that is written. To drop it before it is stored discards it.
pub trait Writing: Unpin {
    /// Takes some of `bytes` and says how much.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Refusal>>;

    /// Stores what was written, for good: the phone hears of it when this is done.
    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>>;
}

/// Why a phone does not get its file, or cannot write it: what it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The code, by which some phones decide what to do next.
    pub code: ErrorCode,
    /// The reason, for whoever looks at the wire.
    pub message: String,
}

impl Refusal {
    /// Nothing has this name.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::FILE_NOT_FOUND, "file not found")
    }

    /// This phone may not have or write it.
    pub fn forbidden() -> Self {
        Self::new(ErrorCode::ACCESS_VIOLATION, "access violation")
    }

    /// Any other.
    pub fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind;
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Self::not_found()
            }
            ErrorKind::PermissionDenied => Self::forbidden(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::new(ErrorCode::DISK_FULL, "disk full")
            }
            kind => Self::new(ErrorCode::NOT_DEFINED, kind),
        }
    }
}

/// A transfer that ended.
#[derive(Debug)]
pub struct Report<'r> {
    /// What was asked for.
    pub asked: &'r Asked,
    /// How it ended.
    pub outcome: &'r Outcome,
    /// How many bytes of the file were read or written.
    pub bytes: u64,
    /// From the request to the end.
    pub took: Duration,
}
