//! Spin's key-value store, for the records that publishing writes.

use spin_sdk::key_value::Store;

use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed::KeyValue;
use crate::store::keyed::WritableValues;

/// The store that spin.toml calls `default`. It is opened for each read, which costs the host next to nothing:
/// one that is kept open would be state between requests.
pub(super) struct Values;

impl KeyValue for Values {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let down = |error| StoreError::new(StoreErrorKind::Down, key, error);
        let store = Store::open_default().await.map_err(down)?;
        store.get(key).await.map_err(down)
    }
}

impl WritableValues for Values {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let down = |error| StoreError::new(StoreErrorKind::Down, key, error);
        let store = Store::open_default().await.map_err(down)?;
        store.set(key, &bytes).await.map_err(down)
    }
}
