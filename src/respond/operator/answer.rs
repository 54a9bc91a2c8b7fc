//! What operators get: JSON, a stored file, or a problem (RFC 9457).

use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mac::MacAddress;
use crate::precondition;
use crate::precondition::Validators;
use crate::precondition::Verdict;
use crate::publish;
use crate::release::sha256_hex;
use crate::respond::Payload;
use crate::respond::RETRY_AFTER;
use crate::respond::Request;
use crate::respond::Response;
use crate::respond::empty;
use crate::respond::etag;
use crate::respond::put;
use crate::store::StoreError;
use crate::store::StoreErrorKind;

/// Why an operator gets nothing.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    /// Methods that the path has.
    pub(super) allow: String,
    /// Whether it was a wrong token.
    pub(super) wrong: bool,
    /// The devices that it is about.
    pub(super) devices: Vec<MacAddress>,
}

pub(super) fn problem(status: StatusCode, detail: impl Into<String>) -> Problem {
    Problem {
        status,
        detail: detail.into(),
        allow: String::new(),
        wrong: false,
        devices: Vec::new(),
    }
}

/// 404: whoever may not know that it is there hears it as well.
pub(super) fn not_found(detail: impl Into<String>) -> Problem {
    problem(StatusCode::NOT_FOUND, detail)
}

/// 409: it is not so now.
pub(super) fn conflict(detail: impl Into<String>) -> Problem {
    problem(StatusCode::CONFLICT, detail)
}

/// 422: what was sent cannot be.
pub(super) fn unfit(detail: impl Into<String>) -> Problem {
    problem(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// 412: somebody else was faster.
pub(super) fn changed() -> Problem {
    let detail = "it is not as If-Match says any more: look again";
    problem(StatusCode::PRECONDITION_FAILED, detail)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Incomplete => problem(StatusCode::BAD_REQUEST, error.to_string()),
            _ => problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl Problem {
    /// Of some devices.
    pub(super) fn about(mut self, devices: Vec<MacAddress>) -> Self {
        self.devices = devices;
        self
    }

    pub(super) fn response<Body>(self) -> Response<Body> {
        let shown = publish::Problem {
            title: self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            devices: self.devices,
        };
        let json = serde_json::to_vec(&shown).unwrap_or_default();
        let mut response = of_bytes(self.status, "application/problem+json", json);
        let headers = &mut response.headers;
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => put(headers, header::ALLOW, &self.allow),
            StatusCode::SERVICE_UNAVAILABLE => {
                drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER));
            }
            StatusCode::UNAUTHORIZED => put(headers, header::WWW_AUTHENTICATE, "Bearer"),
            _ => {}
        }
        response.failed = self.wrong;
        response
    }
}

/// Bytes of a media type.
pub(super) fn of_bytes<Body>(
    status: StatusCode,
    media_type: &str,
    bytes: Vec<u8>,
) -> Response<Body> {
    let mut response = empty(status);
    let headers = &mut response.headers;
    put(headers, header::CONTENT_TYPE, media_type);
    put(headers, header::CONTENT_LENGTH, &bytes.len().to_string());
    response.body = Payload::Bytes(bytes);
    response
}

/// A JSON document.
pub(super) fn json<Body>(status: StatusCode, shown: &impl Serialize) -> Answered<Body> {
    Ok(of_bytes(status, "application/json", encode(shown)?))
}

/// A JSON document, 200.
pub(super) fn shown<Body>(shown: &impl Serialize) -> Answered<Body> {
    json(StatusCode::OK, shown)
}

/// What a request gets.
pub(super) type Answered<Body> = Result<Response<Body>, Problem>;

/// With an entity tag, by which a later write says what it changes.
pub(super) fn tagged<Body>(mut response: Response<Body>, tag: &str) -> Response<Body> {
    put(&mut response.headers, header::ETAG, tag);
    response
}

/// A document with an entity tag, or 304 for whoever has it.
pub(super) fn conditional<Body>(
    request: &Request<'_>,
    response: Response<Body>,
    tag: &str,
) -> Answered<Body> {
    match verdict(request, tag) {
        Verdict::Failed => Err(changed()),
        Verdict::NotModified => {
            let mut response = empty(StatusCode::NOT_MODIFIED);
            response.headers.remove(header::CONTENT_LENGTH);
            Ok(tagged(response, tag))
        }
        Verdict::Proceed => Ok(tagged(response, tag)),
    }
}

/// What a request's conditions say of what is there.
pub(super) fn verdict(request: &Request<'_>, tag: &str) -> Verdict {
    let validators = Validators {
        etag: tag,
        modified: None,
    };
    precondition::evaluate(request.headers, validators)
}

/// Holds a write to what its sender has seen: `If-Match` for what is there (its tag), `If-None-Match: *` for what is
/// not.
pub(super) fn hold(request: &Request<'_>, tag: Option<&str>) -> Result<(), Problem> {
    let has = |name| request.headers.contains_key(name);
    let star = HeaderValue::from_static("*");
    let creates = request.headers.get(header::IF_NONE_MATCH) == Some(&star);
    if !has(header::IF_MATCH) && !creates {
        let detail = "say with If-Match what is to be replaced (the ETag that reading it gave), or with If-None-Match: * \
                      that nothing is there";
        return Err(problem(StatusCode::PRECONDITION_REQUIRED, detail));
    }
    let holds = match tag {
        Some(tag) => !creates && verdict(request, tag) == Verdict::Proceed,
        None => creates && !has(header::IF_MATCH),
    };
    if holds { Ok(()) } else { Err(changed()) }
}

pub(super) fn encode(shown: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let broken = |_| {
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "it cannot be written down",
        )
    };
    serde_json::to_vec(shown).map_err(broken)
}

/// The entity tag of a document.
pub(super) fn tag_of(json: &[u8]) -> String {
    etag(&sha256_hex(json))
}

/// Reads what was sent. Where it is wrong is said, and not what stands there: that may be a password.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let detail = format!(
            "the body is not what the endpoint takes: line {line}, column {column}; /-/v1/openapi.json says what it does"
        );
        match error.classify() {
            serde_json::error::Category::Data => unfit(detail),
            _ => problem(StatusCode::BAD_REQUEST, detail),
        }
    })
}
