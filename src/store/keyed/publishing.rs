//! Publishing to the documented keys: what it writes is under the same keys that requests read.

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::seal::Cipher;
use crate::store::BlobKey;
use crate::store::Contact;
use crate::store::Publishing;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::keyed::Condition;
use crate::store::keyed::KeyedStore;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;
use crate::store::keyed::contact_key;
use crate::store::keyed::device_key;
use crate::store::keyed::parse;
use crate::store::keyed::sealed;

impl<V: WritableValues, O: Objects, C: Cipher> Publishing for KeyedStore<'_, V, O, C> {
    fn takes_publications(&self) -> bool {
        true
    }

    async fn read_object(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        self.objects.read(key).await
    }

    async fn write_object(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        self.objects.write(key, bytes, condition).await
    }

    async fn delete_object(&self, key: &str) -> Result<(), StoreError> {
        self.objects.delete(key).await
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.objects.keys(beginning, after, most).await
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.objects.size(key).await
    }

    async fn put_content(
        &self,
        sha256: &str,
        body: O::Upload,
        length: u64,
    ) -> Result<bool, StoreError> {
        let key = BlobKey::content(sha256);
        let stored = self.objects.put_content(key.as_str(), sha256, body, length);
        stored.await
    }

    async fn read_value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.values.read(key).await
    }

    async fn write_value(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.values.set(key, bytes).await?;
        // Whoever publishes by this process sees it at once.
        self.kept.forget(key);
        Ok(())
    }

    async fn create_device(
        &self,
        site: &str,
        mac: MacAddress,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        let key = device_key(site, mac);
        let bytes = sealed(&self.cipher, self.secrets, &key, (site, mac), record).await?;
        self.objects.write(&key, bytes, Condition::Absent).await
    }

    async fn contact(&self, site: &str, mac: MacAddress) -> Result<Option<Contact>, StoreError> {
        let key = contact_key(site, mac);
        let found = self.objects.list(&key, "", 1).await?;
        let found = found.into_iter().find(|(found, _)| *found == key);
        found.map(|(key, bytes)| parse(&key, &bytes)).transpose()
    }
}
