//! What libunftp takes for a file system: the carrier's files, by name, and nothing else.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Buf as _;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::task;
use tokio::time;
use unftp_core::auth::DefaultUser;
use unftp_core::storage::Error;
use unftp_core::storage::ErrorKind;
use unftp_core::storage::FEATURE_RESTART;
use unftp_core::storage::Fileinfo;
use unftp_core::storage::Metadata;
use unftp_core::storage::Result;
use unftp_core::storage::StorageBackend;

use crate::relay::carrier::Length;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::failure::FailureKind;
use crate::relay::ftp::bridge::Bridge;
use crate::tftp::name::FileName;

/// The files that one phone gets.
pub(super) struct Backend {
    bridge: Bridge,
    asked: Mutex<Option<Asked>>,
}

/// The last question for a length.
///
/// libunftp asks for it where a file is continued (APPE), takes 0 where it cannot be told, and writes by the same call as if the
/// file were replaced (STOR). It is the same task that asks and then writes, by which one is known from the other.
struct Asked {
    by: Option<task::Id>,
    name: FileName,
    length: std::result::Result<Length, Failure>,
}

/// All that is known of a file.
pub(super) struct Known(u64);

impl Backend {
    pub(super) fn new(bridge: Bridge) -> Self {
        Self {
            bridge,
            asked: Mutex::default(),
        }
    }

    /// Where an upload goes on, if it goes on from something.
    fn offset(&self, name: &FileName, start: u64) -> Result<Option<u64>> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = asked.as_ref().filter(|asked| {
            asked.by.is_some() && asked.by == task::try_id() && asked.name == *name
        });
        match asked.map(|asked| asked.length.clone()) {
            None if start == 0 => Ok(None),
            // REST before STOR: an append, which the server refuses where it is none.
            None => Ok(Some(start)),
            // What is kept here may be shorter than what the server has.
            Some(Ok(length)) if length.stale => Err(error(Failure::unreachable(), Doing::Writing)),
            Some(Ok(length)) => Ok(Some(length.bytes)),
            Some(Err(failure)) if failure.kind == FailureKind::Missing => Ok(None),
            // To write from 0 would replace what there is.
            Some(Err(failure)) => Err(error(failure, Doing::Writing)),
        }
    }
}

#[async_trait]
impl StorageBackend<DefaultUser> for Backend {
    type Metadata = Known;

    fn supported_features(&self) -> u32 {
        FEATURE_RESTART
    }

    async fn metadata<P: AsRef<Path> + Send + fmt::Debug>(
        &self,
        _: &DefaultUser,
        path: P,
    ) -> Result<Known> {
        let name = name(path.as_ref(), Doing::Reading)?;
        let length = self.bridge.length(name.clone()).await;
        let asked = Asked {
            by: task::try_id(),
            name,
            length: length.clone(),
        };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        length
            .map(|length| Known(length.bytes))
            .map_err(|failure| error(failure, Doing::Reading))
    }

    async fn list<P: AsRef<Path> + Send + fmt::Debug>(
        &self,
        _: &DefaultUser,
        _: P,
    ) -> Result<Vec<Fileinfo<PathBuf, Known>>> {
        Ok(Vec::new())
    }

    async fn get_into<'a, P, W: ?Sized>(
        &self,
        _: &DefaultUser,
        path: P,
        start: u64,
        output: &'a mut W,
    ) -> Result<u64>
    where
        W: AsyncWrite + Unpin + Sync + Send,
        P: AsRef<Path> + Send + fmt::Debug,
    {
        let failed = |failure| error(failure, Doing::Reading);
        let name = name(path.as_ref(), Doing::Reading)?;
        let mut incoming = self.bridge.read(name, start).await.map_err(failed)?;
        let mut sent = 0;
        while let Some(piece) = incoming.pieces.recv().await {
            let mut piece = piece.map_err(failed)?;
            while !piece.is_empty() {
                let written = moved(output.write(&piece)).await?;
                sent += written;
                piece.advance(usize::try_from(written).unwrap_or_default());
            }
        }
        moved(async { output.flush().await.map(|()| 0) }).await?;
        // The transfer is over; only its line in the log could wait for this.
        let _ = incoming.arrived.send(());
        Ok(sent)
    }

    async fn get<P: AsRef<Path> + Send + fmt::Debug>(
        &self,
        _: &DefaultUser,
        _: P,
        _: u64,
    ) -> Result<Box<dyn AsyncRead + Send + Sync + Unpin>> {
        Err(ErrorKind::CommandNotImplemented.into())
    }

    async fn put<P, R>(&self, _: &DefaultUser, mut input: R, path: P, start: u64) -> Result<u64>
    where
        P: AsRef<Path> + Send + fmt::Debug,
        R: AsyncRead + Send + Sync + Unpin + 'static,
    {
        let failed = |failure| error(failure, Doing::Writing);
        let name = name(path.as_ref(), Doing::Writing)?;
        let append = self.offset(&name, start)?;
        let outgoing = self.bridge.write(name, append).await.map_err(failed)?;
        let mut buffer = vec![0; PIECE];
        let mut received = 0;
        loop {
            let read = moved(input.read(&mut buffer)).await?;
            received += read;
            let read = usize::try_from(read).unwrap_or_default();
            let piece = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
            if piece.is_empty() || !outgoing.write(piece).await {
                break;
            }
        }
        outgoing.store().await.map_err(failed)?;
        Ok(received)
    }

    async fn del<P: AsRef<Path> + Send + fmt::Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    async fn mkd<P: AsRef<Path> + Send + fmt::Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    async fn rename<P: AsRef<Path> + Send + fmt::Debug>(
        &self,
        _: &DefaultUser,
        _: P,
        _: P,
    ) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    async fn rmd<P: AsRef<Path> + Send + fmt::Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    /// Any directory may exist: its name is a part of files' names.
    async fn cwd<P: AsRef<Path> + Send + fmt::Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}

impl Metadata for Known {
    fn len(&self) -> u64 {
        self.0
    }

    fn is_dir(&self) -> bool {
        false
    }

    fn is_file(&self) -> bool {
        true
    }

    fn is_symlink(&self) -> bool {
        false
    }

    fn modified(&self) -> Result<SystemTime> {
        Err(ErrorKind::CommandNotImplemented.into())
    }

    fn gid(&self) -> u32 {
        0
    }

    fn uid(&self) -> u32 {
        0
    }
}

/// What a phone wants: a refusal has another number where it writes (RFC 959 section 5.4).
#[derive(Clone, Copy)]
enum Doing {
    Reading,
    Writing,
}

fn name(path: &Path, doing: Doing) -> Result<FileName> {
    let kind = match doing {
        Doing::Reading => ErrorKind::PermanentFileNotAvailable,
        Doing::Writing => ErrorKind::FileNameNotAllowedError,
    };
    FileName::parse(path.as_os_str().as_bytes()).map_err(|_| kind.into())
}

/// In libunftp's words, as [`Failure::reply`] has them in FTP's.
fn error(failure: Failure, doing: Doing) -> Error {
    let kind = match (failure.kind, doing) {
        (FailureKind::Busy | FailureKind::Unreachable, _) => ErrorKind::TransientFileNotAvailable,
        (FailureKind::Forbidden | FailureKind::Missing, Doing::Writing) => {
            ErrorKind::FileNameNotAllowedError
        }
        (FailureKind::Forbidden, Doing::Reading) => ErrorKind::PermissionDenied,
        (FailureKind::Full, _) => ErrorKind::InsufficientStorageSpaceError,
        (FailureKind::Missing, Doing::Reading) => ErrorKind::PermanentFileNotAvailable,
        (FailureKind::Other, _) => ErrorKind::LocalError,
        (FailureKind::TooLarge, _) => ErrorKind::ExceededStorageAllocationError,
    };
    Error::new(kind, failure)
}

/// The bytes that a data connection moved, if it moved any in time.
async fn moved(moving: impl Future<Output = io::Result<impl TryInto<u64>>>) -> Result<u64> {
    match time::timeout(PATIENCE, moving).await {
        Ok(Ok(moved)) => Ok(moved.try_into().unwrap_or(u64::MAX)),
        Ok(Err(error)) => Err(Error::new(ErrorKind::ConnectionClosed, error)),
        Err(_) => Err(ErrorKind::ConnectionClosed.into()),
    }
}

/// How long nothing at all may move. Phones erase flash between two reads.
const PATIENCE: Duration = Duration::from_secs(120);
const PIECE: usize = 32 << 10;
