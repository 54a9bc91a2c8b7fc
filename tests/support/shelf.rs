//! The two primitive stores in memory, so that the documented keys are tested without a platform.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use handset::fleet::entries::Content;
use handset::fleet::entries::Entry;
use handset::release::sha256_hex;
use handset::seal::aes::Aes;
use handset::secret::DeploymentSecrets;
use handset::store::Revision;
use handset::store::StoreError;
use handset::store::StoreErrorKind;
use handset::store::keyed::Condition;
use handset::store::keyed::Kept;
use handset::store::keyed::KeyValue;
use handset::store::keyed::KeyedStore;
use handset::store::keyed::Objects;
use handset::store::keyed::WritableValues;

/// Values by key, with a number that counts their changes.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<String, (Vec<u8>, u64)>>);

impl Shelf {
    /// Filled with a compiled fleet directory, or anything else.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let shelf = Self::default();
        for entry in entries {
            let bytes = match entry.content {
                Content::Record(json) => json.into_bytes(),
                Content::File(path) => std::fs::read(path).unwrap(),
            };
            shelf.0.lock().unwrap().insert(entry.key, (bytes, 0));
        }
        shelf
    }

    /// A store over it.
    pub(crate) fn store<'a>(
        &'a self,
        kept: &'a Kept,
        secrets: Option<&'a DeploymentSecrets>,
    ) -> KeyedStore<'a, &'a Self, &'a Self, Aes> {
        KeyedStore {
            values: self,
            objects: self,
            cipher: Aes,
            secrets,
            kept,
            now: 1_700_000_000_000,
        }
    }
}

impl KeyValue for Shelf {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0.lock().unwrap().get(key).cloned();
        Ok(found.map(|(bytes, _)| bytes))
    }
}

impl WritableValues for Shelf {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.write(key, bytes, Condition::Always).await.map(drop)
    }
}

impl Objects for Shelf {
    type Body = Vec<u8>;
    type Upload = Vec<u8>;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let found = self.0.lock().unwrap().get(key).cloned();
        Ok(found.map(|(bytes, change)| (bytes, Revision(change.to_string()))))
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let mut shelf = self.0.lock().unwrap();
        let current = shelf.get(key).map(|(_, change)| *change);
        let holds = match condition {
            Condition::Always => true,
            Condition::At(revision) => current.is_some_and(|it| it.to_string() == revision.0),
            Condition::Absent => current.is_none(),
        };
        if holds {
            shelf.insert(key.to_owned(), (bytes, current.map_or(0, |it| it + 1)));
        }
        Ok(holds)
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, StoreError> {
        let shelf = self.0.lock().unwrap();
        let Some((bytes, _)) = shelf.get(key) else {
            return Ok(None);
        };
        let range = range.start as usize..range.end as usize;
        let damaged = || StoreError::new(StoreErrorKind::Damaged, key, "too short");
        bytes
            .get(range)
            .map(<[u8]>::to_vec)
            .ok_or_else(damaged)
            .map(Some)
    }

    async fn put(&self, key: &str, body: Vec<u8>, length: u64) -> Result<(), StoreError> {
        if body.len() as u64 != length {
            let kind = StoreErrorKind::Incomplete;
            return Err(StoreError::new(kind, key, "another length than was said"));
        }
        self.0.lock().unwrap().insert(key.to_owned(), (body, 0));
        Ok(())
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: Vec<u8>,
        length: u64,
    ) -> Result<bool, StoreError> {
        let same = sha256_hex(&body) == sha256;
        if same {
            self.put(key, body, length).await?;
        }
        Ok(same)
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let shelf = self.0.lock().unwrap();
        Ok(shelf.get(key).map(|(bytes, _)| bytes.len() as u64))
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let found = self.list(beginning, after, most).await?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }

    async fn collect(&self, body: Vec<u8>, _: usize) -> Result<Vec<u8>, StoreError> {
        Ok(body)
    }

    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let shelf = self.0.lock().unwrap();
        let wanted = |key: &str| key.starts_with(beginning) && key > after;
        let mut found: Vec<_> = shelf
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(key, (bytes, _))| (key.clone(), bytes.clone()))
            .collect();
        found.sort();
        found.truncate(most);
        Ok(found)
    }
}
