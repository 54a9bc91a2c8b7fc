//! KV as the key-value store, R2 as the object store, and the runtime's AES (Web Cryptography).
//!
//! Preconditions and ranges of requests are decided in the core; R2 is asked for bytes from here to
//! there, and for writes on the condition that an object is still what was read.

use std::ops::Range;

use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;

use crate::platform::workers::host;
use crate::platform::workers::host::Env;
use crate::platform::workers::host::Part;
use crate::platform::workers::host::Small;
use crate::platform::workers::host::Stream;
use crate::seal::Cipher;
use crate::seal::Message;
use crate::seal::Way;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed::Condition;
use crate::store::keyed::KeyValue;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;

/// R2 takes one write a second of each object. Milliseconds between tries: the phone waits for us, so
/// not for long.
const PAUSES: [f64; 4] = [300.0, 700.0, 1100.0, 1500.0];
/// What R2 says to a write that comes too soon after another.
const TOO_SOON: &str = "(10058)";

/// A KV namespace.
pub(super) struct Values(pub(super) Env);

/// An R2 bucket.
pub(super) struct Bucket(pub(super) Env);

/// `crypto.subtle`.
pub(super) struct WebCrypto;

/// A part of a stored file, and how many bytes it gives.
pub(super) struct Stored {
    pub(super) part: Opened,
    pub(super) length: u64,
}

/// Where the bytes of a part come from.
pub(super) enum Opened {
    /// The runtime's own stream.
    Now(Stream),
    /// An object that is opened when its turn comes, from an offset.
    Later(String, u64),
}

impl Cipher for WebCrypto {
    async fn apply(&self, way: Way, message: &Message) -> Option<Vec<u8>> {
        let way = match way {
            Way::Open => "decrypt",
            Way::Seal => "encrypt",
        };
        let done = host::crypt(way, message.as_bytes()).await.ok()?;
        Some(js_sys::Uint8Array::unchecked_from_js(done).to_vec())
    }
}

impl KeyValue for Values {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let value = host::read_value(&self.0, key).await;
        let value = found(value.map_err(|error| down(key, &error))?);
        Ok(value.map(|value| js_sys::Uint8Array::unchecked_from_js(value).to_vec()))
    }
}

impl WritableValues for Values {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let written = host::write_value(&self.0, key, &bytes).await;
        written.map(drop).map_err(|error| down(key, &error))
    }
}

impl Objects for Bucket {
    type Body = Stored;
    type Upload = Option<Stream>;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let object = host::read_object(&self.0, key).await;
        let object = found(object.map_err(|error| down(key, &error))?);
        Ok(object.map(|object| {
            let object = Small::unchecked_from_js(object);
            (object.bytes(), Revision(object.etag()))
        }))
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let etag = match condition {
            Condition::Always => None,
            Condition::At(revision) => Some(revision.0.as_str()),
            Condition::Absent => Some(""),
        };
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match host::write_object(&self.0, key, &bytes, etag).await {
                Ok(written) => return Ok(written.is_truthy()),
                Err(error) => down(key, &error),
            };
            let soon = error
                .source
                .as_ref()
                .is_some_and(|said| said.to_string().contains(TOO_SOON));
            match pauses.next().filter(|_| soon) {
                // Up to half as long again: others who write the record came too soon as well.
                Some(pause) => host::pause(pause * (1.0 + js_sys::Math::random() / 2.0)).await,
                None => return Err(error),
            }
        }
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<Stored>, StoreError> {
        let (offset, length) = (number(range.start), number(range.end - range.start));
        let part = host::open_object(&self.0, key, offset, length).await;
        let Some(part) = found(part.map_err(|error| down(key, &error))?) else {
            return Ok(None);
        };
        let part = Part::unchecked_from_js(part);
        if part.size() < number(range.end) {
            let kind = StoreErrorKind::Damaged;
            return Err(StoreError::new(kind, key, "shorter than its record says"));
        }
        let part = Opened::Now(part.stream());
        let length = range.end - range.start;
        Ok(Some(Stored { part, length }))
    }

    async fn follow(&self, key: &str, range: Range<u64>) -> Result<Option<Stored>, StoreError> {
        let part = Opened::Later(key.to_owned(), range.start);
        let length = range.end - range.start;
        Ok(Some(Stored { part, length }))
    }

    async fn put(&self, key: &str, body: Option<Stream>, length: u64) -> Result<(), StoreError> {
        let put = host::put_object(&self.0, key, body, number(length)).await;
        put.map(drop).map_err(|error| down(key, &error))
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: Option<Stream>,
        length: u64,
    ) -> Result<bool, StoreError> {
        let put = host::put_content(&self.0, key, sha256, body, number(length)).await;
        put.map(|put| put.is_truthy())
            .map_err(|error| down(key, &error))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let size = host::size(&self.0, key).await;
        let size = found(size.map_err(|error| down(key, &error))?);
        // Whole numbers, and far below 2^53.
        Ok(size.and_then(|size| size.as_f64()).map(|size| size as u64))
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let lines = host::list_keys(&self.0, beginning, after, most).await;
        let lines = lines.map_err(|error| down(beginning, &error))?;
        let lines = lines.as_string().unwrap_or_default();
        Ok(lines.lines().map(str::to_owned).collect())
    }

    async fn collect(&self, body: Option<Stream>, most: usize) -> Result<Vec<u8>, StoreError> {
        let bytes = host::collect(body, most).await;
        let bytes = bytes.map_err(|error| {
            StoreError::new(
                StoreErrorKind::Incomplete,
                "a body",
                error.as_string().unwrap_or_default(),
            )
        })?;
        Ok(js_sys::Uint8Array::unchecked_from_js(bytes).to_vec())
    }

    /// Contacts, the only ones that are listed: rows of the database where there is one.
    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let lines = host::list_contacts(&self.0, beginning, after, most).await;
        let lines = lines.map_err(|error| down(beginning, &error))?;
        let lines = lines.as_string().unwrap_or_default();
        let rows = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(rows
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .collect())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let deleted = host::delete_object(&self.0, key).await;
        deleted.map(drop).map_err(|error| down(key, &error))
    }
}

/// JavaScript's numbers are exact up to 2^53; R2's largest object is far below that.
pub(super) fn number(bytes: u64) -> f64 {
    bytes as f64
}

fn found(value: JsValue) -> Option<JsValue> {
    (!value.is_null() && !value.is_undefined()).then_some(value)
}

/// What the runtime says is kept as text: its own errors belong to the isolate.
fn down(key: &str, error: &JsValue) -> StoreError {
    let said = error.as_string().unwrap_or_default();
    StoreError::new(StoreErrorKind::Down, key, said)
}
