//! The keys of docs/storage.md as files below one directory: what a bucket is elsewhere, for one machine that is
//! published to.
//!
//! A file is written beside, synced and renamed, and its directories are synced; a condition is the hash of what lies
//! there, held under a lock that other processes see (`directory/state.rs`). What this deliberately does not do: no
//! fleet directory, no watching. Listing reads a folder whole each time.

use std::fs::File;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use sha2::Digest;
use sha2::Sha256;

use crate::encoding::hex;
use crate::store::BlobKey;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::directory::Body;
use crate::store::directory::Upload;
use crate::store::directory::down;
use crate::store::directory::off_thread;
use crate::store::directory::place;
use crate::store::directory::revision;
use crate::store::directory::state::State;
use crate::store::directory::state::Temporary;
use crate::store::keyed::Condition;
use crate::store::keyed::KeyValue;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;
use crate::store::single::Timed;

/// An open directory of objects.
#[derive(Debug)]
pub struct Files {
    state: Arc<State>,
}

impl Files {
    /// Opens the directory, which is made if it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            state: Arc::new(State::open(root)?),
        })
    }

    /// Takes exactly `length` bytes in, beside where they are to lie.
    async fn receive(
        &self,
        key: &BlobKey,
        body: Upload,
        length: u64,
    ) -> Result<(Temporary, String), StoreError> {
        let mut temporary = self.state.temporary().map_err(|error| down(key, error))?;
        let mut hashed = Hashed {
            file: temporary.file(),
            hash: Sha256::new(),
        };
        body.receive(key, &mut hashed, length).await?;
        let hash = hex(&hashed.hash.finalize());
        Ok((temporary, hash))
    }

    async fn keep(&self, key: &BlobKey, temporary: Temporary) -> Result<(), StoreError> {
        let (state, place) = (self.state.clone(), place(key)?.to_owned());
        off_thread(move || temporary.keep(&state, &place))
            .await
            .map_err(|error| down(key, error))
    }

    /// The names in the folder that keys beginning so lie in, sorted.
    fn found(&self, beginning: &str, after: &str, most: usize) -> Result<Vec<String>, StoreError> {
        let (folder, _) = beginning.rsplit_once('/').unwrap_or(("", beginning));
        let names = self.state.names(place(&named(folder))?);
        let names = names.map_err(|error| down(beginning, error))?;
        let keys = names.iter().map(|name| format!("{folder}/{name}"));
        let mut keys: Vec<String> = keys
            .filter(|key| key.starts_with(beginning) && key.as_str() > after)
            .collect();
        keys.sort_unstable();
        keys.truncate(most);
        Ok(keys)
    }
}

/// What lies under a key of docs/storage.md, whatever it is; `place` looks at whether it is one.
fn named(key: &str) -> BlobKey {
    BlobKey(key.to_owned())
}

/// A file that is hashed as it is written.
struct Hashed<'a> {
    file: &'a mut File,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Timed for Files {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let milliseconds = since.map(|since| since.as_millis()).unwrap_or_default();
        u64::try_from(milliseconds).unwrap_or(u64::MAX)
    }
}

impl KeyValue for Files {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.state.read(place(&named(key))?);
        found.map_err(|error| down(key, error))
    }
}

impl WritableValues for Files {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.write(key, bytes, Condition::Always).await.map(drop)
    }
}

impl Objects for Files {
    type Body = Body;
    type Upload = Upload;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let found = KeyValue::read(self, key).await?;
        Ok(found.map(|bytes| {
            let revision = revision(Some(&bytes));
            (bytes, revision)
        }))
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let expected = match condition {
            Condition::Always => None,
            Condition::At(revision) => Some(revision.clone()),
            Condition::Absent => Some(Revision::default()),
        };
        let place = place(&named(key))?.to_owned();
        let state = self.state.clone();
        off_thread(move || {
            let _locked = state.lock_key(&place)?;
            let holds = match expected {
                Some(expected) => revision(state.read(&place)?.as_deref()) == expected,
                None => true,
            };
            if holds {
                state.write(&place, &bytes)?;
            }
            Ok(holds)
        })
        .await
        .map_err(|error| down(key, error))
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, StoreError> {
        let key = named(key);
        match self.state.open_file(place(&key)?) {
            Ok(Some(file)) => Body::of_upload(&key, file, range).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(down(key, error)),
        }
    }

    async fn put(&self, key: &str, body: Upload, length: u64) -> Result<(), StoreError> {
        let key = named(key);
        let (temporary, _) = self.receive(&key, body, length).await?;
        self.keep(&key, temporary).await
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: Upload,
        length: u64,
    ) -> Result<bool, StoreError> {
        let key = named(key);
        let (temporary, hash) = self.receive(&key, body, length).await?;
        if hash != sha256 {
            return Ok(false);
        }
        self.keep(&key, temporary).await?;
        Ok(true)
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let file = self.state.open_file(place(&named(key))?);
        let length = file.and_then(|file| file.map(|file| Ok(file.metadata()?.len())).transpose());
        length.map_err(|error| down(key, error))
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.found(beginning, after, most)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let removed = self.state.remove(place(&named(key))?);
        removed.map_err(|error| down(key, error))
    }

    async fn collect(&self, body: Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        body.collect(most)
            .await
            .map_err(|error| StoreError::new(StoreErrorKind::Incomplete, "a body", error))
    }

    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut found = Vec::new();
        for key in self.found(beginning, after, most)? {
            // One that was taken away meanwhile is none.
            if let Some(bytes) = KeyValue::read(self, &key).await? {
                found.push((key, bytes));
            }
        }
        Ok(found)
    }
}
