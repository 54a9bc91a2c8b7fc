//! What publications are made of: files by the hash of their bytes, and releases. Both are written once and never change.

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;

use crate::publish::redaction;
use crate::range;
use crate::range::Requested;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::respond::Payload;
use crate::respond::Response;
use crate::respond::TRIES;
use crate::respond::empty;
use crate::respond::etag;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::conditional;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::json;
use crate::respond::operator::answer::not_found;
use crate::respond::operator::answer::problem;
use crate::respond::operator::answer::read;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::tag_of;
use crate::respond::operator::answer::unfit;
use crate::respond::put;
use crate::store::BlobKey;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed;
use crate::store::keyed::Condition;

/// Who may look at a release. It lies beside the release, in the store whose reads are never old.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Grants {
    /// Tenants that sent it or have a site with it.
    tenants: Vec<String>,
}

fn grants_key(id: &str) -> String {
    format!("published/release/{id}")
}

/// The largest file that is taken: images of conference phones have some 300 MB.
const LARGEST_FILE: u64 = 4 << 30;

impl<S: Records + Publishing> Asked<'_, S> {
    /// Stores a file, which the store holds against its hash; one that is there needs no body.
    pub(super) async fn put_blob(&self, body: S::Upload) -> Answered<S::Body> {
        let sha256 = self.named.text;
        let key = BlobKey::content(sha256);
        if self.store.size(key.as_str()).await?.is_some() {
            return Ok(stored(StatusCode::OK, sha256));
        }
        let length = self.request.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let Some(length) = length else {
            let detail = "a file needs its Content-Length";
            return Err(problem(StatusCode::LENGTH_REQUIRED, detail));
        };
        if length > LARGEST_FILE {
            let detail = format!("a file has {LARGEST_FILE} bytes at most");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        if !self.store.put_content(sha256, body, length).await? {
            return Err(unfit("the file has another SHA-256 than it was sent under"));
        }
        Ok(stored(StatusCode::CREATED, sha256))
    }

    /// Sends a file, or a part of it.
    pub(super) async fn blob(&self) -> Answered<S::Body> {
        let key = BlobKey::content(self.named.text);
        let missing = || not_found("no file of this hash");
        let length = self.store.size(key.as_str()).await?.ok_or_else(missing)?;
        self.stream(vec![(key, length)], &etag(self.named.text))
            .await
    }

    /// Sends stored parts one after the other, as far as they are asked for.
    pub(super) async fn stream(&self, parts: Vec<(BlobKey, u64)>, tag: &str) -> Answered<S::Body> {
        let length = parts.iter().map(|(_, length)| length).sum();
        let asked = self.request.headers.get(header::RANGE);
        let asked = asked.filter(|_| self.request.method == Method::GET);
        let range = match asked.and_then(|range| range.to_str().ok()) {
            Some(text) => range::parse(text, length),
            None => Requested::Whole,
        };
        let mut response = empty(StatusCode::OK);
        let wanted = match range {
            Requested::Whole => 0..length,
            Requested::Part(range) => {
                response.status = StatusCode::PARTIAL_CONTENT;
                let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                put(&mut response.headers, header::CONTENT_RANGE, &shown);
                range
            }
            Requested::Unsatisfiable => {
                let detail = format!("it has {length} bytes");
                return Err(problem(StatusCode::RANGE_NOT_SATISFIABLE, detail));
            }
        };
        let headers = &mut response.headers;
        put(headers, header::CONTENT_TYPE, "application/octet-stream");
        put(
            headers,
            header::CONTENT_LENGTH,
            &(wanted.end - wanted.start).to_string(),
        );
        // What phones upload is never run where an operator looks at it.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        let mut response = conditional(self.request, response, tag)?;
        if self.request.method == Method::GET && response.status.is_success() {
            response.body = Payload::Stored(self.open(parts, wanted).await?);
        }
        Ok(response)
    }

    async fn open(
        &self,
        parts: Vec<(BlobKey, u64)>,
        wanted: std::ops::Range<u64>,
    ) -> Result<Vec<S::Body>, Problem> {
        let mut bodies = Vec::new();
        let mut start = 0;
        for (key, length) in parts {
            let from = wanted.start.clamp(start, start + length) - start;
            let to = wanted.end.clamp(start, start + length) - start;
            start += length;
            if from < to {
                let body = match bodies.is_empty() {
                    true => self.store.get(&key, from..to).await?,
                    false => self.store.follow(&key, from..to).await?,
                };
                bodies.push(body.ok_or_else(|| lost(&key))?);
            }
        }
        Ok(bodies)
    }

    /// Stores a release, if it is what it is named after and can be served.
    pub(super) async fn put_release(&self, body: Vec<u8>) -> Answered<S::Body> {
        let id = ReleaseId(self.named.text.to_owned());
        if ReleaseId::of(&body) != id {
            return Err(unfit("its bytes are not those that it is named after"));
        }
        let record: ReleaseRecord = read(&body)?;
        Release::parse(id.clone(), record).map_err(|error| unfit(error.to_string()))?;
        let is_there = self.store.size(&grants_key(&id.0)).await?.is_some();
        if !is_there {
            self.store
                .write_value(&keyed::release_key(&id), body)
                .await?;
        }
        // After it: a release that has grants is there.
        self.grant(&id.0, self.token.tenant.as_deref()).await?;
        let status = if is_there {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        json(status, &serde_json::json!({ "id": id }))
    }

    /// Lets a tenant look at a release that one of its sites gets; the release must be there. A tenant's token takes those
    /// alone that the tenant has sent, or that the site has already: another's may hold the other's passwords.
    pub(super) async fn grant_release(
        &self,
        id: &str,
        tenant: Option<&str>,
        is_had: bool,
    ) -> Result<(), Problem> {
        let missing = || unfit(format!("release {id:?} is not there: PUT it first"));
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        if !is_had && !self.may_see_release(id).await? {
            return Err(missing());
        }
        if self.store.size(&grants_key(id)).await?.is_none() {
            // One that was filled by other means.
            let key = keyed::release_key(&ReleaseId(id.to_owned()));
            self.store.read_value(&key).await?.ok_or_else(missing)?;
        }
        self.grant(id, tenant).await
    }

    async fn grant(&self, id: &str, tenant: Option<&str>) -> Result<(), Problem> {
        let key = grants_key(id);
        for _ in 0..TRIES {
            let (mut grants, revision) = match self.store.read_object(&key).await? {
                Some((bytes, revision)) => (keyed::parse::<Grants>(&key, &bytes)?, Some(revision)),
                None => (Grants::default(), None),
            };
            let known = tenant.is_none_or(|tenant| grants.tenants.iter().any(|it| it == tenant));
            if known && revision.is_some() {
                return Ok(());
            }
            if !known {
                grants.tenants.extend(tenant.map(str::to_owned));
            }
            let condition = revision.as_ref().map_or(Condition::Absent, Condition::At);
            let bytes = encode(&grants)?;
            if self.store.write_object(&key, bytes, condition).await? {
                return Ok(());
            }
        }
        Err(changed())
    }

    /// A release, secrets taken out.
    pub(super) async fn release(&self) -> Answered<S::Body> {
        let record = self.release_record().await?;
        let response = shown(&redaction::release(&record, None))?;
        conditional(self.request, response, &etag(self.named.text))
    }

    /// A release beside one that the sender has: secrets say whether they are the same.
    pub(super) async fn compare_release(&self, body: &[u8]) -> Answered<S::Body> {
        let record = self.release_record().await?;
        let theirs: ReleaseRecord = read(body)?;
        shown(&redaction::release(&record, Some(&theirs)))
    }

    async fn release_record(&self) -> Result<ReleaseRecord, Problem> {
        let id = self.named.text;
        let missing = || not_found("no release of this name");
        if !self.may_see_release(id).await? {
            return Err(missing());
        }
        let key = keyed::release_key(&ReleaseId(id.to_owned()));
        let bytes = self.store.read_value(&key).await?.ok_or_else(missing)?;
        Ok(keyed::parse(&key, &bytes)?)
    }

    /// Whether the token's tenant has sent a release, or has had it; a token for all may see all.
    pub(super) async fn may_see_release(&self, id: &str) -> Result<bool, Problem> {
        let Some(tenant) = &self.token.tenant else {
            return Ok(true);
        };
        let key = grants_key(id);
        let Some((bytes, _)) = self.store.read_object(&key).await? else {
            return Ok(false);
        };
        let grants: Grants = keyed::parse(&key, &bytes)?;
        Ok(grants.tenants.contains(tenant))
    }
}

fn stored<Body>(status: StatusCode, sha256: &str) -> Response<Body> {
    let mut response = empty(status);
    put(&mut response.headers, header::ETAG, &etag(sha256));
    response
}

fn lost(key: &BlobKey) -> StoreError {
    StoreError::new(StoreErrorKind::Damaged, key, "it was there a moment ago")
}

/// The entity tag of what is shown.
pub(super) fn tag(shown: &impl Serialize) -> Result<String, Problem> {
    Ok(tag_of(&encode(shown)?))
}
