//! Uploads in one request, or, if they are large, in parts of equal size.

use http::HeaderName;
use http::header;
use rusty_s3::actions::CompleteMultipartUpload;
use rusty_s3::actions::CompleteMultipartUploadResponse;
use rusty_s3::actions::CreateMultipartUpload;

use crate::encoding::base64_padded;
use crate::encoding::from_hex;
use crate::store::s3::S3;
use crate::store::s3::WRITE;
use crate::store::s3::call::Answer;
use crate::store::s3::call::Call;
use crate::store::s3::problem::Problem;
use crate::store::s3::text_of;
use crate::store::s3::wire::Sent;
use crate::store::s3::wire::Wire;

/// S3's header for the SHA-256 of what is stored, in base64 (Amazon S3 user guide, "Checking object integrity").
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
/// What services say of bytes that have another one.
const MISMATCHES: [&str; 3] = ["BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"];
const UNCHECKED: &str = "it stored a file and did not hold its SHA-256 against x-amz-checksum-sha256; publishing needs a \
                         service that does";

impl<W: Wire> S3<W> {
    /// Stores what a device sends. It cannot be asked for its bytes again, so there is one attempt.
    pub(super) async fn put_upload(
        &self,
        object: &str,
        upload: W::Upload,
        length: u64,
    ) -> Result<(), Problem> {
        if length <= LARGEST_WHOLE {
            return self.put_whole(object, upload, length).await;
        }
        match self.wire.divide(upload, length) {
            Ok(parts) => self.put_divided(object, parts, length).await,
            Err(upload) => self.put_whole(object, upload, length).await,
        }
    }

    async fn put_whole(&self, object: &str, upload: W::Upload, length: u64) -> Result<(), Problem> {
        let action = self.address.bucket.put_object(self.signing(), object);
        let sent = Sent::Upload(upload, length);
        match self.ask(&Call::new(action, WRITE), sent).await? {
            Answer::Done(_) => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    /// Stores bytes that the service itself holds against their SHA-256; `false` if they have another. In one request,
    /// for the service knows no SHA-256 of an object that comes in parts.
    pub(super) async fn put_checked(
        &self,
        object: &str,
        sha256: &str,
        upload: W::Upload,
        length: u64,
    ) -> Result<bool, Problem> {
        let no_hash = || Problem::Strange(format!("{sha256} is no SHA-256"));
        let hash = from_hex(sha256.as_bytes()).ok_or_else(no_hash)?;
        let hash = base64_padded(&hash);
        let action = self.address.bucket.put_object(self.signing(), object);
        let call = Call::new(action, WRITE).with(CHECKSUM, &hash)?;
        match self.ask(&call, Sent::Upload(upload, length)).await {
            Ok(Answer::Done(response)) => {
                // A service that does not know the header takes anything.
                let checked = response.headers().get(CHECKSUM);
                if checked.is_some_and(|checked| checked.as_bytes() == hash.as_bytes()) {
                    return Ok(true);
                }
                self.take_away(object).await?;
                Err(Problem::Strange(UNCHECKED.to_owned()))
            }
            Ok(other) => Err(other.unexpected()),
            Err(Problem::Failed { code, .. }) if MISMATCHES.contains(&code.as_str()) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    async fn put_divided(
        &self,
        object: &str,
        mut parts: W::Parts,
        length: u64,
    ) -> Result<(), Problem> {
        let bucket = &self.address.bucket;
        let action = bucket.create_multipart_upload(self.signing(), object);
        let text = self.text(&Call::new(action, WRITE), Vec::new()).await?;
        let begun = CreateMultipartUpload::parse_response(&text).map_err(strange)?;
        let id = begun.upload_id();
        let put = async {
            let etags = self.put_parts(object, id, &mut parts, length).await?;
            self.complete(object, id, &etags).await
        };
        let put = put.await;
        if put.is_err() {
            self.abort(object, id).await;
        }
        put
    }

    /// Sends the parts one after the other; gives the tags by which they are put together.
    async fn put_parts(
        &self,
        object: &str,
        id: &str,
        parts: &mut W::Parts,
        length: u64,
    ) -> Result<Vec<String>, Problem> {
        let size = LEAST_PART.max(length.div_ceil(MOST_PARTS));
        let mut etags = Vec::new();
        let mut left = length;
        for number in 1..=u16::MAX {
            if left == 0 {
                break;
            }
            let this = left.min(size);
            let part = Sent::Upload(self.wire.part(parts, this), this);
            let bucket = &self.address.bucket;
            let action = bucket.upload_part(self.signing(), object, number, id);
            let response = match self.ask(&Call::new(action, WRITE), part).await? {
                Answer::Done(response) => response,
                other => return Err(other.unexpected()),
            };
            etags.push(text_of(&response, &header::ETAG)?.to_owned());
            left -= this;
        }
        Ok(etags)
    }

    async fn complete(&self, object: &str, id: &str, etags: &[String]) -> Result<(), Problem> {
        let action = || -> CompleteMultipartUpload<'_, _> {
            let etags = etags.iter().map(String::as_str);
            let bucket = &self.address.bucket;
            bucket.complete_multipart_upload(self.signing(), object, id, etags)
        };
        let body = action().body().into_bytes();
        let text = self.text(&Call::new(action(), WRITE), body).await?;
        // S3 begins with 200 before it knows: only the body says how it ended.
        CompleteMultipartUploadResponse::parse(&text).map_err(strange)?;
        Ok(())
    }

    /// Takes back what was stored of an upload that failed. Whatever this leaves, the bucket's own rule for
    /// unfinished uploads takes away (docs/s3.md).
    async fn abort(&self, object: &str, id: &str) {
        let bucket = &self.address.bucket;
        let action = bucket.abort_multipart_upload(self.signing(), object, id);
        let call = Call::new(action, "s3:AbortMultipartUpload");
        let aborted = self.repeat(object, async |_| {
            self.ask(&call, Sent::Bytes(Vec::new())).await.map(drop)
        });
        let _ = aborted.await;
    }
}

fn strange(error: impl ToString) -> Problem {
    Problem::Strange(error.to_string())
}

/// A request may have 5 GB; smaller ones lose less when they break.
const LARGEST_WHOLE: u64 = 100_000_000;
const LEAST_PART: u64 = 16 << 20;
/// S3's limit.
const MOST_PARTS: u64 = 10_000;
