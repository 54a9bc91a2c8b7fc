//! Files as responses: how much of one is sent, and whether at all (RFC 9110 sections 13 to 15), and who may keep it
//! (RFC 9111, RFC 5861).

use std::ops::Range;

use http::Method;
use http::StatusCode;
use http::header;

use crate::access::RelayWord;
use crate::date;
use crate::path::RequestPath;
use crate::precondition;
use crate::precondition::Validators;
use crate::precondition::Verdict;
use crate::range;
use crate::range::Requested;
use crate::release::BlobRecord;
use crate::respond::Context;
use crate::respond::Failure;
use crate::respond::Payload;
use crate::respond::Response;
use crate::respond::empty;
use crate::respond::etag;
use crate::respond::missing;
use crate::respond::put;
use crate::route::Class;
use crate::route::Explanation;
use crate::route::Serve;
use crate::store::BlobKey;
use crate::store::Blobs;
use crate::store::Records;

/// How long a redirect's address is good for a download to begin.
const REDIRECT_SECONDS: u64 = 900;

/// A representation, before it is decided how much of it is sent.
pub(super) struct File<'a> {
    pub(super) etag: &'a str,
    /// Seconds since 1970.
    pub(super) modified: Option<u64>,
    /// Bytes.
    pub(super) length: u64,
    pub(super) media_type: &'a str,
}

impl<'a> File<'a> {
    fn validators(&self) -> Validators<'a> {
        Validators {
            etag: self.etag,
            modified: self.modified,
        }
    }
}

impl<S: Records + Blobs> Context<'_, S> {
    pub(super) async fn serve(
        &self,
        path: &RequestPath,
        serve: Serve<'_>,
        explanation: &Explanation,
    ) -> Result<Response<S::Body>, Failure> {
        match serve {
            Serve::Content(blob) => self.serve_content(path, blob, explanation).await,
            Serve::Upload(name, segments, at) => {
                let mac = self
                    .mac(explanation)
                    .ok_or_else(|| Failure::NotFound("no device".to_owned()))?;
                let key = |id: &str| BlobKey::upload(&self.site.name, mac, &name, id);
                let parts: Vec<_> = segments
                    .iter()
                    .map(|part| (key(&part.id), part.length))
                    .collect();
                let etag = etag(
                    segments
                        .last()
                        .map(|part| part.id.as_str())
                        .unwrap_or_default(),
                );
                let file = File {
                    etag: &etag,
                    modified: Some(at / 1000),
                    length: parts.iter().map(|(_, length)| length).sum(),
                    media_type: media_type(path.name()),
                };
                self.stored(&file, explanation.class, parts).await
            }
        }
    }

    async fn serve_content(
        &self,
        path: &RequestPath,
        blob: &BlobRecord,
        explanation: &Explanation,
    ) -> Result<Response<S::Body>, Failure> {
        let etag = etag(&blob.sha256);
        let file = File {
            etag: &etag,
            modified: Some(blob.modified),
            length: blob.length,
            media_type: media_type(path.name()),
        };
        if let Some(address) = self.elsewhere(&file, blob, explanation)? {
            return Ok(redirect(&address));
        }
        self.stored(
            &file,
            explanation.class,
            vec![(BlobKey::content(&blob.sha256), blob.length)],
        )
        .await
    }

    /// The address at which the device can get a large file from the store itself. Only a file that devices
    /// share has one; a device that has the file already need not go there.
    fn elsewhere(
        &self,
        file: &File<'_>,
        blob: &BlobRecord,
        explanation: &Explanation,
    ) -> Result<Option<String>, Failure> {
        let over = self.site.images.redirect_over;
        let large = over.is_some_and(|bytes| blob.length > bytes);
        let asked = self.request.method == Method::GET
            && precondition::evaluate(self.request.headers, file.validators()) == Verdict::Proceed;
        if !large || !asked || explanation.class != Some(Class::Shared) {
            return Ok(None);
        }
        let key = BlobKey::content(&blob.sha256);
        Ok(self.store.presigned(&key, REDIRECT_SECONDS)?)
    }

    /// Sends parts of the store; nothing is read for a HEAD, a 304, a 412 or a 416.
    async fn stored(
        &self,
        file: &File<'_>,
        class: Option<Class>,
        parts: Vec<(BlobKey, u64)>,
    ) -> Result<Response<S::Body>, Failure> {
        let mut wanted = None;
        let mut response = self.conditional(file, class, |range| {
            wanted = Some(range);
            Vec::new()
        });
        if let (Some(range), true) = (wanted, self.request.method == Method::GET) {
            response.body = Payload::Stored(self.read(parts, range).await?);
        }
        Ok(response)
    }

    async fn read(
        &self,
        parts: Vec<(BlobKey, u64)>,
        range: Range<u64>,
    ) -> Result<Vec<S::Body>, Failure> {
        let mut bodies = Vec::with_capacity(parts.len());
        let mut start = 0;
        for (key, length) in parts {
            let from = range.start.clamp(start, start + length) - start;
            let to = range.end.clamp(start, start + length) - start;
            start += length;
            if from < to {
                let body = if bodies.is_empty() {
                    self.store.get(&key, from..to).await?
                } else {
                    self.store.follow(&key, from..to).await?
                };
                bodies.push(body.ok_or_else(|| missing(&key))?);
            }
        }
        Ok(bodies)
    }

    /// The response to GET or HEAD, with the bytes that `body` gives for the range to send.
    pub(super) fn conditional(
        &self,
        file: &File<'_>,
        class: Option<Class>,
        body: impl FnOnce(Range<u64>) -> Vec<u8>,
    ) -> Response<S::Body> {
        let mut response = representation(file, self.control(class));
        let head = &mut response.headers;
        match (
            precondition::evaluate(self.request.headers, file.validators()),
            self.requested(file),
        ) {
            (Verdict::Failed, _) => response.status = StatusCode::PRECONDITION_FAILED,
            (Verdict::NotModified, _) => {
                response.status = StatusCode::NOT_MODIFIED;
                head.remove(header::CONTENT_TYPE);
                head.remove(header::CONTENT_LENGTH);
            }
            (Verdict::Proceed, Requested::Unsatisfiable) => {
                response.status = StatusCode::RANGE_NOT_SATISFIABLE;
                put(
                    head,
                    header::CONTENT_RANGE,
                    &format!("bytes */{}", file.length),
                );
            }
            (Verdict::Proceed, Requested::Whole) => {
                put(head, header::CONTENT_LENGTH, &file.length.to_string());
                response.body = Payload::Bytes(self.unless_head(|| body(0..file.length)));
            }
            (Verdict::Proceed, Requested::Part(range)) => {
                response.status = StatusCode::PARTIAL_CONTENT;
                let (first, last) = (range.start, range.end - 1);
                put(
                    head,
                    header::CONTENT_RANGE,
                    &format!("bytes {first}-{last}/{}", file.length),
                );
                put(
                    head,
                    header::CONTENT_LENGTH,
                    &(range.end - range.start).to_string(),
                );
                response.body = Payload::Bytes(body(range));
            }
        }
        response
    }

    /// Who may keep a file. Nobody keeps a device's own, but for a relay that vouches for the device, at a site that says so: it
    /// asks each time, and has the file while there is nobody to ask.
    fn control(&self, class: Option<Class>) -> &'static str {
        if class != Some(Class::Device) {
            return "no-cache";
        }
        let open = || RelayWord::parse(self.request.headers)?.mac;
        let vouched = self
            .standing
            .vouched
            .or_else(|| open().filter(|_| self.standing.open));
        if self.site.relay_cache && vouched.is_some() {
            "private, no-cache, stale-if-error=604800"
        } else {
            "private, no-store"
        }
    }

    /// How much of a file is asked for. Ranges are defined for GET alone.
    fn requested(&self, file: &File<'_>) -> Requested {
        let headers = self.request.headers;
        let range = headers
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok());
        let counts = self.request.method == Method::GET
            && precondition::range_counts(headers, file.validators());
        range
            .filter(|_| counts)
            .map_or(Requested::Whole, |range| range::parse(range, file.length))
    }

    fn unless_head(&self, body: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        if self.request.method == Method::HEAD {
            Vec::new()
        } else {
            body()
        }
    }
}

/// 200 with the headers that describe a file, and no body yet.
fn representation<Body>(file: &File<'_>, control: &str) -> Response<Body> {
    let mut response = empty(StatusCode::OK);
    let head = &mut response.headers;
    put(head, header::ETAG, file.etag);
    put(head, header::CONTENT_TYPE, file.media_type);
    put(head, header::ACCEPT_RANGES, "bytes");
    put(head, header::CACHE_CONTROL, control);
    if let Some(date) = file.modified.and_then(date::format) {
        put(head, header::LAST_MODIFIED, &date);
    }
    response
}

/// 302 to an address that is good for a while and for whoever has it, so that nobody may keep it.
fn redirect<Body>(address: &str) -> Response<Body> {
    let mut response = empty(StatusCode::FOUND);
    put(&mut response.headers, header::LOCATION, address);
    let value = "private, no-store";
    put(&mut response.headers, header::CACHE_CONTROL, value);
    response
}

/// The media type of a stored file, by the end of its name.
fn media_type(name: &str) -> &'static str {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("cfg" | "xml") => "text/xml; charset=utf-8",
        Some("log" | "txt" | "ver") => "text/plain; charset=utf-8",
        Some("gif") => "image/gif",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    }
}
