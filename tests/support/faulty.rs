//! A store in memory that fails at a write, and processes that end there.

use std::cell::Cell;
use std::ops::Range;

use handset::store::Revision;
use handset::store::StoreError;
use handset::store::StoreErrorKind;
use handset::store::keyed::Condition;
use handset::store::keyed::KeyValue;
use handset::store::keyed::Objects;
use handset::store::keyed::WritableValues;

use crate::shelf::Shelf;

/// What goes wrong with a write, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// This write fails, and no other.
    Fails(usize),
    /// This write is done, and nobody hears of it.
    Unheard(usize),
    /// The process ends before this write.
    Ends(usize),
}

/// A store that fails as it is told to.
pub(crate) struct Faulty<'s> {
    shelf: &'s Shelf,
    pub(crate) fault: Fault,
    writes: Cell<usize>,
}

impl<'s> Faulty<'s> {
    pub(crate) fn new(shelf: &'s Shelf, fault: Fault) -> Self {
        Self {
            shelf,
            fault,
            writes: Cell::new(0),
        }
    }

    /// Whether the process has ended.
    fn up(&self) -> Result<(), StoreError> {
        match self.fault {
            Fault::Ends(last) if self.writes.get() > last => Err(down()),
            _ => Ok(()),
        }
    }

    /// Counts a write; whether it is done, and whether it is heard of.
    fn count(&self) -> Result<bool, StoreError> {
        let number = self.writes.replace(self.writes.get() + 1);
        match self.fault {
            Fault::Fails(at) if number == at => Err(down()),
            Fault::Ends(at) if number >= at => Err(down()),
            Fault::Unheard(at) => Ok(number != at),
            _ => Ok(true),
        }
    }

    /// Whether the fault has come.
    pub(crate) fn is_over(&self) -> bool {
        match self.fault {
            Fault::None => false,
            Fault::Fails(at) | Fault::Unheard(at) | Fault::Ends(at) => self.writes.get() > at,
        }
    }
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Down, "x", "on purpose")
}

impl KeyValue for Faulty<'_> {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.up()?;
        KeyValue::read(self.shelf, key).await
    }
}

impl WritableValues for Faulty<'_> {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let heard = self.count()?;
        self.shelf.set(key, bytes).await?;
        if heard { Ok(()) } else { Err(down()) }
    }
}

impl Objects for Faulty<'_> {
    type Body = Vec<u8>;
    type Upload = Vec<u8>;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        self.up()?;
        Objects::read(self.shelf, key).await
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let heard = self.count()?;
        let written = self.shelf.write(key, bytes, condition).await?;
        if heard { Ok(written) } else { Err(down()) }
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        self.up()?;
        self.shelf.get(key, range).await
    }

    async fn put(&self, key: &str, body: Vec<u8>, length: u64) -> Result<(), StoreError> {
        let heard = self.count()?;
        self.shelf.put(key, body, length).await?;
        if heard { Ok(()) } else { Err(down()) }
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: Vec<u8>,
        length: u64,
    ) -> Result<bool, StoreError> {
        let heard = self.count()?;
        let put = self.shelf.put_content(key, sha256, body, length).await?;
        if heard { Ok(put) } else { Err(down()) }
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.up()?;
        self.shelf.size(key).await
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.up()?;
        self.shelf.keys(beginning, after, most).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let heard = self.count()?;
        self.shelf.delete(key).await?;
        if heard { Ok(()) } else { Err(down()) }
    }

    async fn collect(&self, body: Vec<u8>, most: usize) -> Result<Vec<u8>, StoreError> {
        self.shelf.collect(body, most).await
    }

    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.up()?;
        self.shelf.list(beginning, after, most).await
    }
}
