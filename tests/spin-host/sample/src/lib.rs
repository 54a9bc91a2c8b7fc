//! A Spin component that does what a provisioning server needs of Spin, a path each; and how it is done.
#![forbid(unsafe_code)]

mod streams;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Empty;
use http_body_util::Full;
use spin_sdk::http::IntoRequest;
use spin_sdk::http::IntoResponse;
use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::key_value::Store;
use spin_sdk::variables;
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http::types::ErrorCode;

/// Requests that this instance has seen. Statics live as long as the instance, and up to sixteen requests
/// share it at once, taking turns where they await.
static SEEN: AtomicU64 = AtomicU64::new(0);

#[http_service]
async fn handle(request: Request) -> Result<types::Response, ErrorCode> {
    let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (action, rest) = path.split_once('/').unwrap_or((&path, ""));
    match action {
        "seen" => text(StatusCode::OK, seen.to_string()),
        // The host takes the Host header away; what it said is in the target.
        "host" => text(StatusCode::OK, format!("{:?}", request.uri().authority())),
        "variable" => variable(rest).await,
        "value" => value(request, rest).await,
        "later" => later(rest),
        "stream" => stream(&request, rest),
        "broken" => broken(rest),
        "forbidden" => forbidden(),
        "outbound" => outbound(request, rest).await,
        "joined" => joined(rest).await,
        "handed" => handed(rest).await,
        "drain" => drain(request).await,
        "panic" => panic!("as asked"),
        _ => text(StatusCode::NOT_FOUND, "no such path".to_owned()),
    }
}

async fn variable(name: &str) -> Result<types::Response, ErrorCode> {
    match variables::get(name).await {
        Ok(value) => text(StatusCode::OK, value),
        Err(error) => text(StatusCode::NOT_FOUND, error.to_string()),
    }
}

/// Opening the store is a call of its own, which costs little; keeping it open between requests would be
/// state.
async fn value(request: Request, key: &str) -> Result<types::Response, ErrorCode> {
    let done = match *request.method() {
        Method::PUT => {
            let value = request.into_body().collect().await?.to_bytes();
            set(key, &value).await.map(|()| None)
        }
        Method::DELETE => match Store::open_default().await {
            Ok(store) => store.delete(key).await.map(|()| None),
            Err(error) => Err(error),
        },
        _ => match Store::open_default().await {
            Ok(store) => store.get(key).await,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(Some(value)) => http::Response::new(Full::new(Bytes::from(value))).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

async fn set(key: &str, value: &[u8]) -> Result<(), spin_sdk::key_value::Error> {
    Store::open_default().await?.set(key, value).await
}

/// What is spawned goes on after the response is out: the host ends no instance that has such work.
fn later(key: &str) -> Result<types::Response, ErrorCode> {
    let key = key.to_owned();
    wasip3::spawn(async move {
        if let Err(error) = set(&key, b"later").await {
            eprintln!("{key}: {error}");
        }
    });
    StatusCode::ACCEPTED.into_response()
}

/// A body made here. Content-Length is the handler's to set; the host checks the body against it, but not
/// where HTTP has no body: on HEAD and with 304 the length is that of the body that there is not.
fn stream(request: &Request, length: &str) -> Result<types::Response, ErrorCode> {
    let Ok(length) = length.parse() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let response = http::Response::builder().header(header::CONTENT_LENGTH, length);
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        let response = response.status(StatusCode::NOT_MODIFIED);
        return built(response.body(Empty::<Bytes>::new()))?.into_response();
    }
    if request.method() == Method::HEAD {
        return built(response.body(Empty::<Bytes>::new()))?.into_response();
    }
    built(response.body(streams::made(length)))?.into_response()
}

/// A body that turns out to be impossible when a part of it is out already.
fn broken(length: &str) -> Result<types::Response, ErrorCode> {
    let Ok(length) = length.parse() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    http::Response::new(streams::broken(length)).into_response()
}

/// A response with a header that is the host's to set; no response comes of it.
fn forbidden() -> Result<types::Response, ErrorCode> {
    let response = http::Response::builder().header(header::CONNECTION, "keep-alive");
    built(response.body(Empty::<Bytes>::new()))?.into_response()
}

/// A request to the server that the variable names, and its response, both streamed.
async fn outbound(request: Request, path: &str) -> Result<types::Response, ErrorCode> {
    let mut sent = http::Request::builder()
        .method(request.method())
        .uri(origin(path).await?);
    // An upload without a known length would go out chunked, which S3 refuses.
    if let Some(length) = request.headers().get(header::CONTENT_LENGTH) {
        sent = sent.header(header::CONTENT_LENGTH, length);
    } else if request.method() == Method::PUT {
        return StatusCode::LENGTH_REQUIRED.into_response();
    }
    // The body is handed on as it is: a task reads 16 KiB of it, writes them, and reads on.
    let response = spin_sdk::http::send(built(sent.body(request.into_body()))?).await?;
    let (parts, body) = response.into_parts();
    let response = http::Response::from_parts(streams::allowed(parts), streams::joined([body]));
    response.into_response()
}

/// Two objects as one body.
async fn joined(lengths: &str) -> Result<types::Response, ErrorCode> {
    let mut bodies = Vec::new();
    for length in lengths.split('/') {
        let object = origin(&format!("object/{length}")).await?;
        bodies.push(spin_sdk::http::get(object).await?.into_body());
    }
    http::Response::new(streams::joined(bodies)).into_response()
}

/// An object whose bytes the host moves by itself: the outbound response's stream becomes the response's, so
/// that nothing of it comes into this instance's memory.
async fn handed(path: &str) -> Result<types::Response, ErrorCode> {
    let request = http::Request::get(origin(path).await?);
    let request = built(request.body(Empty::<Bytes>::new()))?.into_request()?;
    let received = client::send(request).await?;
    let status = received.get_status_code();
    let headers = received.get_headers().copy_all();
    let headers: Vec<_> = headers
        .into_iter()
        .filter(|(name, _)| streams::ALLOWED.iter().any(|allowed| allowed == name))
        .collect();
    let headers = types::Fields::from_list(&headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (_consumed, consumed) = wasip3::wit_future::new(|| Ok(()));
    let (contents, trailers) = types::Response::consume_body(received, consumed);
    let (response, _sent) = types::Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    Ok(response)
}

/// Reads an upload and says how long it was.
async fn drain(request: Request) -> Result<types::Response, ErrorCode> {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    text(StatusCode::OK, length.to_string())
}

async fn origin(path: &str) -> Result<String, ErrorCode> {
    let origin = variables::get("origin").await;
    let origin = origin.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    Ok(format!("{origin}/{path}"))
}

fn text(status: StatusCode, text: String) -> Result<types::Response, ErrorCode> {
    (status, Full::new(Bytes::from(text))).into_response()
}

fn built<T>(message: Result<T, http::Error>) -> Result<T, ErrorCode> {
    message.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
}
