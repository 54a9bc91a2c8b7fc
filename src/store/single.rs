//! A deployment of which everything lies in one store: a bucket, or a directory of such objects.

use std::ops::Range;
use std::sync::Arc;

use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::seal::Place;
use crate::seal::aes::Aes;
use crate::secret::DeploymentSecrets;
use crate::settings::Settings;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::BlobKey;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::keyed::Condition;
use crate::store::keyed::Kept;
use crate::store::keyed::KeyedStore;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;

/// A store that knows what time it is.
pub trait Timed {
    /// Milliseconds since 1970.
    fn now(&self) -> u64;
}

/// A deployment of which everything lies in one store.
#[derive(Debug)]
pub struct SingleStore<B> {
    /// Where everything lies.
    pub bucket: B,
    secrets: Option<DeploymentSecrets>,
    kept: Kept,
}

impl<B: WritableValues + Objects + Timed> SingleStore<B> {
    /// With nothing in memory yet. What the secrets of devices' records are sealed with comes along; without it, they
    /// lie in the clear.
    pub fn new(bucket: B, secrets: Option<DeploymentSecrets>) -> Self {
        Self {
            bucket,
            secrets,
            kept: Kept::default(),
        }
    }

    fn keyed(&self) -> KeyedStore<'_, &B, &B, Aes> {
        KeyedStore {
            values: &self.bucket,
            objects: &self.bucket,
            cipher: Aes,
            secrets: self.secrets.as_ref(),
            kept: &self.kept,
            now: self.bucket.now(),
        }
    }
}

impl<B: WritableValues + Objects + Timed> Records for SingleStore<B> {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        self.keyed().deployment().await
    }

    async fn site(&self, name: &str) -> Result<Option<Arc<SiteRecord>>, StoreError> {
        self.keyed().site(name).await
    }

    async fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        self.keyed().release(id).await
    }

    async fn device(
        &self,
        site: &str,
        mac: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError> {
        self.keyed().device(site, mac).await
    }

    async fn open_sealed(&self, place: &Place<'_>, sealed: &str) -> Result<Settings, StoreError> {
        self.keyed().open_sealed(place, sealed).await
    }

    async fn update_device(
        &self,
        site: &str,
        mac: MacAddress,
        revision: &Revision,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        let keyed = self.keyed();
        keyed.update_device(site, mac, revision, record).await
    }

    async fn contacts(
        &self,
        site: &str,
        after: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        self.keyed().contacts(site, after).await
    }

    async fn record_contact(
        &self,
        site: &str,
        mac: MacAddress,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        self.keyed().record_contact(site, mac, contact).await
    }
}

impl<B: WritableValues + Objects + Timed> Blobs for SingleStore<B> {
    type Body = B::Body;
    type Upload = B::Upload;

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Option<B::Body>, StoreError> {
        self.keyed().get(key, range).await
    }

    async fn put(&self, key: &BlobKey, body: B::Upload, length: u64) -> Result<(), StoreError> {
        self.keyed().put(key, body, length).await
    }

    fn presigned(&self, key: &BlobKey, seconds: u64) -> Result<Option<String>, StoreError> {
        Blobs::presigned(&self.keyed(), key, seconds)
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.keyed().delete(key).await
    }

    async fn keep(&self, key: &BlobKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.keyed().keep(key, bytes).await
    }

    async fn collect(&self, body: B::Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        self.keyed().collect(body, most).await
    }
}

impl<B: WritableValues + Objects + Timed> Publishing for SingleStore<B> {
    fn takes_publications(&self) -> bool {
        true
    }

    async fn read_object(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        self.keyed().read_object(key).await
    }

    async fn write_object(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        self.keyed().write_object(key, bytes, condition).await
    }

    async fn delete_object(&self, key: &str) -> Result<(), StoreError> {
        self.keyed().delete_object(key).await
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.keyed().keys(beginning, after, most).await
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.keyed().size(key).await
    }

    async fn put_content(
        &self,
        sha256: &str,
        body: B::Upload,
        length: u64,
    ) -> Result<bool, StoreError> {
        self.keyed().put_content(sha256, body, length).await
    }

    async fn read_value(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.keyed().read_value(key).await
    }

    async fn write_value(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.keyed().write_value(key, bytes).await
    }

    async fn create_device(
        &self,
        site: &str,
        mac: MacAddress,
        record: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        self.keyed().create_device(site, mac, record).await
    }

    async fn contact(&self, site: &str, mac: MacAddress) -> Result<Option<Contact>, StoreError> {
        self.keyed().contact(site, mac).await
    }
}
