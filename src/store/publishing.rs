//! What publishing needs of a store, beside what phones' requests do: small objects under the keys of docs/storage.md,
//! written on conditions; values; and files whose bytes the store itself holds against their hash.
//!
//! A store that is made from an operator's directory takes nothing: whoever implements the trait without a word says so.

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed::Condition;

/// A store that may be published to.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Publishing: Blobs {
    /// Whether it takes publications; one that does not fails in everything else.
    fn takes_publications(&self) -> bool {
        false
    }

    /// A small object whole, with its revision.
    async fn read_object(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        Err(fixed(key))
    }

    /// Writes a small object, durably, if what lies there is as `condition` says; `false` if it is not.
    async fn write_object(
        &self,
        key: &str,
        _: Vec<u8>,
        _: Condition<'_>,
    ) -> Result<bool, StoreError> {
        Err(fixed(key))
    }

    /// Takes an object away, if it is there.
    async fn delete_object(&self, key: &str) -> Result<(), StoreError> {
        Err(fixed(key))
    }

    /// The keys of objects that begin so and come after `after`, in order and at most `most` of them.
    async fn keys(
        &self,
        beginning: &str,
        _after: &str,
        _most: usize,
    ) -> Result<Vec<String>, StoreError> {
        Err(fixed(beginning))
    }

    /// The bytes of an object, counted; `None` if it is not there.
    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Err(fixed(key))
    }

    /// Stores a file under the SHA-256 of its bytes, durably and whole; `false` if it has another, and then nothing is
    /// stored.
    async fn put_content(
        &self,
        sha256: &str,
        _: Self::Upload,
        _length: u64,
    ) -> Result<bool, StoreError> {
        Err(fixed(sha256))
    }

    /// A value, as far as the store can say what it is now.
    async fn read_value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(fixed(key))
    }

    /// Sets a value, durably.
    async fn write_value(&self, key: &str, _: Vec<u8>) -> Result<(), StoreError> {
        Err(fixed(key))
    }

    /// Writes the record of a device that has none; `false` if it has one.
    async fn create_device(
        &self,
        site: &str,
        _: MacAddress,
        _: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        Err(fixed(site))
    }

    /// The last contact of one device.
    async fn contact(&self, site: &str, _: MacAddress) -> Result<Option<Contact>, StoreError> {
        Err(fixed(site))
    }
}

fn fixed(key: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Down,
        key,
        "this store takes no publications",
    )
}
