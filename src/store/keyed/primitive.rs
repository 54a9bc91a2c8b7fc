//! The two primitive stores that a platform brings.

use std::ops::Range;

#[expect(unused_imports, reason = "the documentation refers to it")]
use crate::store::Blobs;
use crate::store::Revision;
use crate::store::StoreError;

/// A store of small values that are read often and change rarely. It may answer with what lay there a
/// minute ago.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait KeyValue {
    /// A value, or `None` where there is none.
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// A store of small values that can be written: publishing does so, requests never do.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait WritableValues: KeyValue {
    /// Sets a value, durably.
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError>;
}

/// A store of objects: strongly consistent, conditional writes, bodies that stream.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Objects {
    /// A body on its way to a device.
    type Body;
    /// A body on its way from a device.
    type Upload;

    /// A small object whole, with its revision.
    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError>;

    /// Writes a small object, durably, if what lies there is as `condition` says; `false` if it is not.
    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError>;

    /// See [`Blobs::get`].
    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Self::Body>, StoreError>;

    /// See [`Blobs::follow`].
    async fn follow(&self, key: &str, range: Range<u64>) -> Result<Option<Self::Body>, StoreError> {
        self.get(key, range).await
    }

    /// See [`Blobs::put`].
    async fn put(&self, key: &str, body: Self::Upload, length: u64) -> Result<(), StoreError>;

    /// Stores a file whose bytes have this SHA-256, durably; `false` if they have another, and then nothing is stored.
    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: Self::Upload,
        length: u64,
    ) -> Result<bool, StoreError>;

    /// The bytes of an object, counted; `None` if it is not there.
    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError>;

    /// The keys that begin so and come after `after`, in order and at most `most` of them.
    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// See [`Blobs::presigned`].
    fn presigned(&self, _: &str, _: u64) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// See [`Blobs::delete`].
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// See [`Blobs::collect`].
    async fn collect(&self, body: Self::Upload, most: usize) -> Result<Vec<u8>, StoreError>;

    /// The small objects whose keys begin so and come after `after`, in the order of their keys and at most
    /// `most` of them.
    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}

/// What must lie under a key for a write to take place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition<'a> {
    /// Anything or nothing.
    Always,
    /// What was read with this revision.
    At(&'a Revision),
    /// Nothing.
    Absent,
}

impl<V: KeyValue> KeyValue for &V {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).read(key).await
    }
}

impl<V: WritableValues> WritableValues for &V {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        (**self).set(key, bytes).await
    }
}

impl<O: Objects> Objects for &O {
    type Body = O::Body;
    type Upload = O::Upload;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        (**self).read(key).await
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        (**self).write(key, bytes, condition).await
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<O::Body>, StoreError> {
        (**self).get(key, range).await
    }

    async fn follow(&self, key: &str, range: Range<u64>) -> Result<Option<O::Body>, StoreError> {
        (**self).follow(key, range).await
    }

    async fn put(&self, key: &str, body: O::Upload, length: u64) -> Result<(), StoreError> {
        (**self).put(key, body, length).await
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: O::Upload,
        length: u64,
    ) -> Result<bool, StoreError> {
        (**self).put_content(key, sha256, body, length).await
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        (**self).size(key).await
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        (**self).keys(beginning, after, most).await
    }

    fn presigned(&self, key: &str, seconds: u64) -> Result<Option<String>, StoreError> {
        (**self).presigned(key, seconds)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        (**self).delete(key).await
    }

    async fn collect(&self, body: O::Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        (**self).collect(body, most).await
    }

    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        (**self).list(beginning, after, most).await
    }
}
