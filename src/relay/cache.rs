//! Files of the server, kept on the disk: asked for again each time, and served while the server cannot be asked
//! (RFC 9111, RFC 5861 section 4).
//!
//! Every entry is a sealed file of its own, named by what it is the answer to. A file that holds a device's own is kept under
//! the hardware address that the relay vouched for, and never found under another. What this deliberately does not do: decide
//! what may be kept, or ask the server.

pub(super) mod flight;
mod index;

use std::cell::RefCell;
use std::fs::File;
use std::fs::FileTimes;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::task;

use crate::encoding::hex;
use crate::mac::MacAddress;
use crate::relay::cache::index::Index;
use crate::relay::cache::index::Reader;
use crate::relay::cache::index::Row;
use crate::relay::cache::index::Stamp;
use crate::relay::metrics::Metrics;
use crate::relay::sealed::Draft;
use crate::relay::sealed::Found;
use crate::relay::sealed::Shelf;

/// The cache; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Cache(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    shelf: Shelf,
    index: RefCell<Index>,
    metrics: Rc<Metrics>,
}

/// What an entry is the answer to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key(String);

/// What an entry's answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'q> {
    /// The device, where the file's name holds one and the relay vouches for it.
    pub(super) device: Option<MacAddress>,
    /// The address by which the phone reaches the relay: it stands in files.
    pub(super) base: &'q str,
    /// The file below the server's address, with its query.
    pub(super) target: &'q str,
    /// The kind of phone, as far as a server may answer by it.
    pub(super) kind: &'q str,
}

/// What is known of an entry besides its bytes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct About {
    /// Its key: an entry under another name is none.
    key: String,
    status: u16,
    headers: Vec<(String, String)>,
    /// For how many seconds it may be served while the server cannot be asked.
    stale: u64,
}

/// An entry, open.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) file: Rc<File>,
    pub(super) length: u64,
    about: Rc<About>,
    key: Key,
    /// When the server last said that it is the newest.
    checked: SystemTime,
    /// The same, since the relay runs.
    checked_here: Option<Instant>,
    _reader: Reader,
}

/// An entry that is being written.
pub(super) struct Filling {
    cache: Cache,
    draft: Option<Draft>,
    taken: u64,
}

impl Question<'_> {
    /// The name of the entry that answers it.
    pub(super) fn key(&self) -> Key {
        let device = self.device.map(|mac| mac.to_string()).unwrap_or_default();
        let mut hash = Sha256::new();
        for field in [device.as_str(), self.base, self.target, self.kind] {
            hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(field);
        }
        Key(hex(&hash.finalize()))
    }
}

impl About {
    /// An answer, with the headers that describe it.
    pub(super) fn new(key: &Key, status: StatusCode, headers: &HeaderMap, stale: Duration) -> Self {
        let text = |name: HeaderName| {
            let value = headers.get(&name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        Self {
            key: key.0.clone(),
            status: status.as_u16(),
            headers: KEPT.into_iter().filter_map(text).collect(),
            stale: stale.as_secs(),
        }
    }
}

impl Entry {
    /// Whether it says that there is no such file.
    pub(super) fn is_negative(&self) -> bool {
        self.about.status != StatusCode::OK.as_u16()
    }

    /// The headers that describe it.
    pub(super) fn headers(&self) -> HeaderMap {
        let pairs = self.about.headers.iter();
        let pairs =
            pairs.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
        pairs.collect()
    }

    /// One of them.
    pub(super) fn header(&self, name: &HeaderName) -> Option<HeaderValue> {
        let mut pairs = self.about.headers.iter();
        let (_, value) = pairs.find(|(known, _)| known == name.as_str())?;
        value.parse().ok()
    }

    /// Whether it may be served although the server cannot be asked. A clock that was set back makes nothing old.
    pub(super) fn serves_stale(&self, now: SystemTime) -> bool {
        let age = now.duration_since(self.checked).unwrap_or_default();
        age < Duration::from_secs(self.about.stale)
    }

    /// Whether the server was asked so recently that it need not be asked again.
    pub(super) fn is_fresh(&self, longest: Duration) -> bool {
        self.checked_here
            .is_some_and(|checked| checked.elapsed() < longest)
    }
}

impl Cache {
    /// The cache in a directory, of so many bytes at most.
    pub(super) fn open(directory: &Path, limit: u64, metrics: Rc<Metrics>) -> io::Result<Self> {
        let shelf = Shelf::open(directory.to_owned())?;
        let mut index = Index::new(limit);
        let mut files = shelf.list()?;
        files.sort_by_key(|(_, shown)| shown.used);
        for (name, shown) in files {
            index.enter(&name, Row::of(shown.bytes));
        }
        let cache = Self(Rc::new(Shared {
            shelf,
            index: RefCell::new(index),
            metrics,
        }));
        cache.make_room(0)?;
        Ok(cache)
    }

    /// Looks for an entry that is whole.
    pub(super) async fn find(&self, key: &Key) -> Option<Entry> {
        let found = self.0.shelf.find(&key.0);
        let whole = match &found {
            None => false,
            Some(found) => self.is_whole(key, found).await,
        };
        let about = found
            .as_ref()
            .and_then(|found| serde_json::from_slice::<About>(&found.about).ok())
            .filter(|about| whole && about.key == key.0);
        let (Some(found), Some(about)) = (&found, about) else {
            if self.0.index.borrow_mut().remove(&key.0) {
                self.0.metrics.damaged.count();
            }
            if found.is_some() {
                // Damaged: the next answer takes its place. What was not there may be by now, and is good.
                let _ = self.0.shelf.remove(&key.0);
            }
            return None;
        };
        let checked = found.file.metadata().ok()?.modified().ok()?;
        let times = FileTimes::new().set_accessed(SystemTime::now());
        // Only which entries go first depends on it.
        let _ = found.file.set_times(times);
        let (checked_here, reader) = self.0.index.borrow_mut().read(&key.0)?;
        Some(Entry {
            file: found.file.clone(),
            length: found.length,
            about: Rc::new(about),
            key: key.clone(),
            checked,
            checked_here,
            _reader: reader,
        })
    }

    /// Reads an entry to see whether it is whole: a long one, when it is first used and when it has changed since.
    async fn is_whole(&self, key: &Key, found: &Found) -> bool {
        let stamp = stamp(&found.file);
        let short = found.length <= SHORT;
        let known = self.0.index.borrow().verified(&key.0);
        let stamped = stamp.map(|stamp| (stamp, found.length));
        if !short && stamped.is_some() && known == stamped {
            return true;
        }
        let whole = match found.verifier() {
            Ok(verify) if !short => task::spawn_blocking(verify).await.unwrap_or(false),
            _ => found.verify(),
        };
        if whole {
            self.0.index.borrow_mut().set_verified(&key.0, stamped);
        }
        whole
    }

    /// The server says that an entry is the newest.
    pub(super) fn confirm(&self, entry: &Entry) {
        // Should this fail, the entry is taken to be older than it is.
        let _ = entry.file.set_modified(SystemTime::now());
        let stamped = stamp(&entry.file).map(|stamp| (stamp, entry.length));
        let mut index = self.0.index.borrow_mut();
        index.set_verified(&entry.key.0, stamped);
        index.set_checked(&entry.key.0, Instant::now());
    }

    /// The server says that there is nothing to be kept any more.
    pub(super) fn forget(&self, key: &Key) {
        if self.0.index.borrow_mut().remove(&key.0) {
            // What cannot be taken away now is replaced, or goes when room is needed.
            let _ = self.0.shelf.remove(&key.0);
        }
        self.count();
    }

    /// Begins an entry.
    pub(super) fn begin(&self) -> io::Result<Filling> {
        Ok(Filling {
            cache: self.clone(),
            draft: Some(self.0.shelf.draft()?),
            taken: 0,
        })
    }

    /// Keeps that there is no such file.
    pub(super) async fn keep_negative(&self, key: &Key, about: &About) -> io::Result<()> {
        self.begin()?.keep(key, about).await
    }

    /// Takes away what was not used for longest, until there is room for so many bytes more.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let (names, enough) = self.0.index.borrow_mut().make_room(bytes);
        for name in names {
            // One that stays is found at the next start.
            let _ = self.0.shelf.remove(&name);
        }
        self.count();
        if enough {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn count(&self) {
        let bytes = self.0.index.borrow().bytes();
        self.0.metrics.cache_bytes.set(bytes);
    }
}

impl Filling {
    /// The file, for those who read it while it is written.
    pub(super) fn reader(&self) -> Option<Rc<File>> {
        self.draft.as_ref().map(Draft::reader)
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.cache.make_room(length)?;
        self.cache.0.index.borrow_mut().take(length);
        self.taken += length;
        let draft = self.draft.as_mut().ok_or(io::ErrorKind::NotFound)?;
        draft.write(bytes)
    }

    /// Makes it an entry, in place of what there was.
    pub(super) async fn keep(mut self, key: &Key, about: &About) -> io::Result<()> {
        let shared = self.cache.0.clone();
        let draft = self.draft.take().ok_or(io::ErrorKind::NotFound)?;
        let (file, length) = (draft.reader(), draft.length());
        let text = serde_json::to_vec(about).map_err(io::Error::other)?;
        let finished = shared.shelf.finish(draft, &text)?;
        let name = key.0.clone();
        let placed = task::spawn_blocking(move || finished.place(&name)).await;
        placed.map_err(io::Error::other)??;
        let negative = about.status != StatusCode::OK.as_u16();
        let row = Row {
            negative,
            checked: Some(Instant::now()),
            verified: stamp(&file).map(|stamp| (stamp, length)),
            ..Row::of(file.metadata()?.len())
        };
        let taken = std::mem::take(&mut self.taken);
        let mut index = shared.index.borrow_mut();
        index.give_back(taken);
        index.enter(&key.0, row);
        drop(index);
        shared.metrics.cache_writes.count();
        self.cache.make_room(0)
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.cache.0.index.borrow_mut().give_back(self.taken);
        self.cache.count();
    }
}

/// What is another when a file was written to.
fn stamp(file: &File) -> Option<Stamp> {
    let metadata = file.metadata().ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The headers that describe an answer.
const KEPT: [HeaderName; 7] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Entries up to this length are read whole each time that they are used.
const SHORT: u64 = 256 << 10;

#[cfg(test)]
mod tests;
