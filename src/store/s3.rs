//! Records and blobs in a bucket of S3 or of a service like it, under the keys of docs/storage.md.
//!
//! What a platform brings is in [`Wire`]: HTTP, a clock, pauses. Requests are signed in their URI (AWS
//! Signature Version 4, query parameters), which leaves the body unsigned: TLS protects it, and a body
//! that streams could be signed in pieces only. What this deliberately does not do: no listing on the way
//! of a request, no copy of a body in memory, no second attempt with a body that came from a device.

mod address;
mod call;
mod credentials;
mod multipart;
mod probe;
mod problem;
mod wire;

use std::ops::Range;
use std::time::Duration;

use http::Response;
use http::StatusCode;
use http::header;
use http::header::HeaderName;
use rusty_s3::S3Action;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::actions::ListObjectsV2Response;

use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed::Condition;
use crate::store::keyed::KeyValue;
use crate::store::keyed::Objects;
use crate::store::keyed::WritableValues;
pub use crate::store::s3::address::Address;
pub use crate::store::s3::address::AddressError;
use crate::store::s3::call::Answer;
use crate::store::s3::call::Call;
pub use crate::store::s3::credentials::Credentials;
pub use crate::store::s3::credentials::MissingVariable;
pub use crate::store::s3::probe::ProbeError;
pub use crate::store::s3::problem::Problem;
pub use crate::store::s3::wire::Sent;
pub use crate::store::s3::wire::Wire;
pub use crate::store::s3::wire::WireError;
use crate::store::single::Timed;

/// A bucket, or the part of it under a prefix.
#[derive(Debug)]
pub struct S3<W> {
    address: Address,
    credentials: Credentials,
    wire: W,
}

impl<W> S3<W> {
    /// The bucket at an address. Nothing is asked of it yet.
    pub const fn new(address: Address, credentials: Credentials, wire: W) -> Self {
        Self {
            address,
            credentials,
            wire,
        }
    }
}

impl<W: Wire> S3<W> {
    /// A URL by which anybody can read an object for some seconds, at most a week.
    pub fn presigned(&self, key: &str, seconds: u64) -> Result<String, StoreError> {
        let object = self.object(key)?;
        let action = self.address.bucket.get_object(self.signing(), &object);
        let call = Call::new(action, READ);
        let good_for = Duration::from_secs(seconds);
        call.url(self.wire.now(), good_for)
            .map_err(|problem| problem.at(key))
    }

    /// The keys that begin so, in order: for the operator, not for requests.
    pub async fn list(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let mut page = self.list_page(beginning, token.take()).await?;
            keys.extend(self.keys_of(&page));
            token = page.next_continuation_token.take();
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn list_page(
        &self,
        beginning: &str,
        token: Option<String>,
    ) -> Result<ListObjectsV2Response, StoreError> {
        let mut action = self.listing(beginning);
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        self.page(beginning, action).await
    }

    fn listing(&self, beginning: &str) -> ListObjectsV2<'_> {
        let mut action = self.address.bucket.list_objects_v2(self.signing());
        action.with_prefix(format!("{}{beginning}", self.address.prefix));
        action
    }

    fn keys_of(&self, page: &ListObjectsV2Response) -> Vec<String> {
        let ours = |key: &String| key.strip_prefix(&self.address.prefix).map(str::to_owned);
        page.contents
            .iter()
            .filter_map(|it| ours(&it.key))
            .collect()
    }

    async fn page(
        &self,
        beginning: &str,
        action: ListObjectsV2<'_>,
    ) -> Result<ListObjectsV2Response, StoreError> {
        let call = Call::new(action, "s3:ListBucket");
        self.repeat(beginning, async |_| {
            let text = self.text(&call, Vec::new()).await?;
            ListObjectsV2::parse_response(&text)
                .map_err(|error| Problem::Strange(error.to_string()))
        })
        .await
    }

    /// The text that answers a request which can only succeed or fail.
    async fn text<'a, A: S3Action<'a>>(
        &self,
        call: &Call<A>,
        body: Vec<u8>,
    ) -> Result<String, Problem> {
        let response = match self.ask(call, Sent::Bytes(body)).await? {
            Answer::Done(response) => response,
            other => return Err(other.unexpected()),
        };
        let bytes = self
            .wire
            .collect(response.into_body(), LARGEST_RECORD)
            .await?;
        String::from_utf8(bytes).map_err(|error| Problem::Strange(error.to_string()))
    }

    async fn try_write(
        &self,
        object: &str,
        bytes: &[u8],
        condition: Condition<'_>,
    ) -> Result<bool, Problem> {
        let action = self.address.bucket.put_object(self.signing(), object);
        let call = Call::new(action, WRITE);
        let call = match condition {
            Condition::Always => call,
            Condition::At(Revision(etag)) => call.with(header::IF_MATCH, etag)?,
            Condition::Absent => call.with(header::IF_NONE_MATCH, "*")?,
        };
        match (
            self.ask(&call, Sent::Bytes(bytes.to_vec())).await?,
            condition,
        ) {
            (Answer::Done(_), _) => Ok(true),
            // Amazon says 404 where If-Match finds nothing.
            (Answer::Conflict, Condition::At(_) | Condition::Absent)
            | (Answer::Missing, Condition::At(_)) => Ok(false),
            (other, _) => Err(other.unexpected()),
        }
    }

    async fn try_read(&self, object: &str) -> Result<Option<(Vec<u8>, Revision)>, Problem> {
        let action = self.address.bucket.get_object(self.signing(), object);
        let response = match self
            .ask(&Call::new(action, READ), Sent::Bytes(Vec::new()))
            .await?
        {
            Answer::Done(response) => response,
            Answer::Missing => return Ok(None),
            other => return Err(other.unexpected()),
        };
        let etag = text_of(&response, &header::ETAG)?.to_owned();
        let bytes = self
            .wire
            .collect(response.into_body(), LARGEST_RECORD)
            .await?;
        Ok(Some((bytes, Revision(etag))))
    }

    async fn take_away(&self, object: &str) -> Result<(), Problem> {
        let action = self.address.bucket.delete_object(self.signing(), object);
        let call = Call::new(action, "s3:DeleteObject");
        match self.ask(&call, Sent::Bytes(Vec::new())).await? {
            Answer::Done(_) | Answer::Missing => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    async fn try_size(&self, object: &str) -> Result<Option<u64>, Problem> {
        let action = self.address.bucket.head_object(self.signing(), object);
        let call = Call::new(action, READ);
        match self.ask(&call, Sent::Bytes(Vec::new())).await {
            Ok(Answer::Done(response)) => length_of(&response).map(Some),
            Ok(Answer::Missing) => Ok(None),
            // The answer to HEAD has no body that could say what is missing.
            Err(Problem::Failed { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            Ok(other) => Err(other.unexpected()),
            Err(problem) => Err(problem),
        }
    }

    /// Some bytes of an object. The answer is believed only if it says that it is these.
    async fn try_get(&self, object: &str, range: &Range<u64>) -> Result<Got<W::Body>, Problem> {
        let action = self.address.bucket.get_object(self.signing(), object);
        let mut call = Call::new(action, READ);
        if let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) {
            call = call.with(header::RANGE, &format!("bytes={}-{last}", range.start))?;
        }
        match self.ask(&call, Sent::Bytes(Vec::new())).await? {
            Answer::Done(response) => judge(response, range),
            Answer::Missing => Ok(Got::Missing),
            Answer::PastEnd => Ok(Got::Short),
            other @ Answer::Conflict => Err(other.unexpected()),
        }
    }

    fn signing(&self) -> Option<&rusty_s3::Credentials> {
        Some(self.credentials.signing())
    }

    /// The name that an object has in the bucket. Keys are clean by their types; this is the last door, as
    /// `.` and `..` in a URL would lead elsewhere.
    fn object(&self, key: &str) -> Result<String, StoreError> {
        let unclean = |segment: &str| matches!(segment, "" | "." | "..");
        if key.split('/').any(unclean) {
            return Err(StoreError::new(StoreErrorKind::Damaged, key, "not a key"));
        }
        Ok(format!("{}{key}", self.address.prefix))
    }
}

/// What a read of some bytes brings.
enum Got<B> {
    Body(B),
    Missing,
    Short,
}

fn length_of<B>(response: &Response<B>) -> Result<u64, Problem> {
    let length = text_of(response, &header::CONTENT_LENGTH)?.parse::<u64>();
    length.map_err(|_| Problem::Strange("a length that is no number".to_owned()))
}

/// Whether a response holds just the range.
fn judge<B>(response: Response<B>, range: &Range<u64>) -> Result<Got<B>, Problem> {
    let wanted = range.end.saturating_sub(range.start);
    let length = length_of(&response)?;
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let given = text_of(&response, &header::CONTENT_RANGE)?;
        if !given.starts_with(&format!("bytes {}-", range.start)) || length > wanted {
            let what = format!("asked for {range:?}, it gives {given:?}");
            return Err(Problem::Strange(what));
        }
    } else if range.start > 0 || length > wanted {
        let what = format!("asked for {range:?}, it gives {length} bytes from the first");
        return Err(Problem::Strange(what));
    }
    Ok(match length < wanted {
        true => Got::Short,
        false => Got::Body(response.into_body()),
    })
}

fn text_of<'r, B>(response: &'r Response<B>, name: &HeaderName) -> Result<&'r str, Problem> {
    let value = response.headers().get(name);
    let value = value.and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Problem::Strange(format!("there is no header {name}")))
}

impl<B> Answer<B> {
    /// An answer that the request cannot have.
    fn unexpected(self) -> Problem {
        Problem::Strange(match self {
            Self::Conflict => "a condition failed that was not made".to_owned(),
            Self::Done(response) => format!("{} was not expected", response.status()),
            Self::Missing => "it misses an object that was not asked for".to_owned(),
            Self::PastEnd => "it misses a range that was not asked for".to_owned(),
        })
    }
}

impl<W: Wire> KeyValue for S3<W> {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = Objects::read(self, key).await?;
        Ok(found.map(|(bytes, _)| bytes))
    }
}

impl<W: Wire> WritableValues for S3<W> {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.write(key, bytes, Condition::Always).await?;
        Ok(())
    }
}

impl<W: Wire> Objects for S3<W> {
    type Body = W::Body;
    type Upload = W::Upload;

    async fn read(&self, key: &str) -> Result<Option<(Vec<u8>, Revision)>, StoreError> {
        let object = self.object(key)?;
        self.repeat(key, async |_| self.try_read(&object).await)
            .await
    }

    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<bool, StoreError> {
        let object = self.object(key)?;
        self.repeat(key, async |again| {
            if self.try_write(&object, &bytes, condition).await? {
                return Ok(true);
            }
            // The attempt before may have written although its answer was lost.
            let ours = |(found, _): (Vec<u8>, Revision)| found == bytes;
            Ok(again && self.try_read(&object).await?.is_some_and(ours))
        })
        .await
    }

    async fn get(&self, key: &str, range: Range<u64>) -> Result<Option<W::Body>, StoreError> {
        let object = self.object(key)?;
        let got = self.repeat(key, async |_| self.try_get(&object, &range).await);
        match got.await? {
            Got::Body(body) => Ok(Some(body)),
            Got::Missing => Ok(None),
            Got::Short => {
                let problem = "shorter than its record says";
                Err(StoreError::new(StoreErrorKind::Damaged, key, problem))
            }
        }
    }

    async fn put(&self, key: &str, body: W::Upload, length: u64) -> Result<(), StoreError> {
        let object = self.object(key)?;
        let put = self.put_upload(&object, body, length).await;
        put.map_err(|problem| problem.at(key))
    }

    async fn put_content(
        &self,
        key: &str,
        sha256: &str,
        body: W::Upload,
        length: u64,
    ) -> Result<bool, StoreError> {
        let object = self.object(key)?;
        let put = self.put_checked(&object, sha256, body, length).await;
        put.map_err(|problem| problem.at(key))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let object = self.object(key)?;
        self.repeat(key, async |_| self.try_size(&object).await)
            .await
    }

    async fn keys(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut action = self.listing(beginning);
        action.with_start_after(format!("{}{after}", self.address.prefix));
        action.with_max_keys(most);
        let page = self.page(beginning, action).await?;
        Ok(self.keys_of(&page))
    }

    fn presigned(&self, key: &str, seconds: u64) -> Result<Option<String>, StoreError> {
        Self::presigned(self, key, seconds).map(Some)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let object = self.object(key)?;
        self.repeat(key, async |_| self.take_away(&object).await)
            .await
    }

    async fn collect(&self, body: W::Upload, most: usize) -> Result<Vec<u8>, StoreError> {
        let bytes = self.wire.gather(body, most).await;
        bytes.map_err(|error| Problem::Wire(error).at("a body"))
    }

    async fn list(
        &self,
        beginning: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut found = Vec::new();
        for key in self.keys(beginning, after, most).await? {
            // One that was deleted meanwhile is none.
            if let Some((bytes, _)) = Objects::read(self, &key).await? {
                found.push((key, bytes));
            }
        }
        Ok(found)
    }
}

impl<W: Wire> Timed for S3<W> {
    fn now(&self) -> u64 {
        self.wire.now()
    }
}

/// A release takes some hundred kilobytes.
const LARGEST_RECORD: usize = 64 << 20;
/// Amazon says 403 for a missing object to whoever may not list.
const READ: &str = "s3:GetObject, and s3:ListBucket, without which S3 does not say what is missing";
const WRITE: &str = "s3:PutObject";
