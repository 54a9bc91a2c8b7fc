//! Files of a directory, for tests and measurements. Symbolic links in it are followed.
//!
//! Reads come from the page cache and are done on the runtime's thread; an upload is written beside its place, synced by
//! another thread, and renamed.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::future::Future;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::task;
use tokio::task::JoinHandle;

use crate::relay::tftp::files::Asked;
use crate::relay::tftp::files::Files;
use crate::relay::tftp::files::Reading;
use crate::relay::tftp::files::Refusal;
use crate::relay::tftp::files::Writing;

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

/// A file of it that is read.
#[derive(Debug)]
pub struct FileReading {
    file: File,
    length: u64,
}

/// A file that is written.
#[derive(Debug)]
pub struct FileWriting {
    file: Option<File>,
    beside: PathBuf,
    path: PathBuf,
    storing: Option<JoinHandle<io::Result<()>>>,
}

impl Directory {
    /// The files below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn path(&self, asked: &Asked) -> PathBuf {
        self.0.join(OsStr::from_bytes(asked.name.as_bytes()))
    }
}

impl Files for Directory {
    type Reading = FileReading;
    type Writing = FileWriting;

    async fn open(&self, asked: &Asked) -> Result<FileReading, Refusal> {
        let file = File::open(self.path(asked))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Refusal::not_found());
        }
        Ok(FileReading {
            length: metadata.len(),
            file,
        })
    }

    async fn create(&self, asked: &Asked) -> Result<FileWriting, Refusal> {
        let path = self.path(asked);
        let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_added_extension(format!("{number}.part"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(&beside)?;
        Ok(FileWriting {
            file: Some(file),
            beside,
            path,
            storing: None,
        })
    }
}

impl Reading for FileReading {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, Refusal>> {
        Poll::Ready(Ok(self.file.read(into)?))
    }
}

impl Writing for FileWriting {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Refusal>> {
        let file = self.file.as_mut().ok_or_else(Refusal::forbidden)?;
        Poll::Ready(Ok(file.write(bytes)?))
    }

    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if let Some(file) = self.file.take() {
            let [beside, path] = [&self.beside, &self.path].map(PathBuf::clone);
            let store = move || store(&file, &beside, &path);
            self.storing = Some(task::spawn_blocking(store));
        }
        let Some(storing) = &mut self.storing else {
            return Poll::Ready(Err(Refusal::forbidden()));
        };
        let stored = ready!(Pin::new(storing).poll(context));
        self.storing = None;
        Poll::Ready(Ok(stored.map_err(io::Error::other)??))
    }
}

impl Drop for FileWriting {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Nobody was told that it is stored.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// The name is there after a crash if its directory was synced, too.
fn store(file: &File, beside: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(beside, path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

static UPLOADS: AtomicU64 = AtomicU64::new(0);
