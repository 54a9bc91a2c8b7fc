//! What the S3 store needs of Spin: outbound HTTP, a clock, pauses and numbers.
//!
//! What a device sends goes through this instance frame by frame, so that it is known who is to blame when
//! nothing moves: the device, which is slow or gone, or the bucket.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::future::select;
use futures_util::stream::unfold;
use http::Request;
use http::Response;
use http::request;
use http_body::Body;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use spin_sdk::wasip3::clocks::monotonic_clock::wait_for;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use spin_sdk::wasip3::http_compat::http_from_wasi_response;
use spin_sdk::wasip3::random::random::get_random_u64;

use crate::platform::spin::body;
use crate::platform::spin::body::Contents;
use crate::platform::spin::body::Stored;
use crate::store::s3::Sent;
use crate::store::s3::Wire;
use crate::store::s3::WireError;

/// Outbound HTTP.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Milliseconds that the service may leave a request or a response lying.
    pub(super) patience: u64,
}

/// How an upload is getting on.
#[derive(Default)]
struct Progress {
    /// Frames that the device has sent.
    frames: Cell<u64>,
    /// The device broke off, or sent another number of bytes than it said.
    failed: Cell<bool>,
    /// The next move is the device's.
    waiting: Cell<bool>,
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Wire for Outbound {
    type Body = Stored;
    type Upload = types::Request;
    type Parts = Infallible;

    async fn send(
        &self,
        request: Request<Sent<types::Request>>,
    ) -> Result<Response<Stored>, WireError> {
        let (head, sent) = request.into_parts();
        let progress = Rc::<Progress>::default();
        let contents = match sent {
            Sent::Bytes(bytes) => body::whole(bytes),
            Sent::Upload(_, 0) => body::whole(Vec::new()),
            Sent::Upload(upload, length) => {
                let upload = IncomingRequestBody::new(upload).map_err(lost)?;
                let watched = Watched {
                    upload,
                    left: length,
                    patience: self.patience,
                    progress: progress.clone(),
                };
                body::made(watched.body())
            }
        };
        let request = self.request(head, contents).map_err(lost)?;
        let response = self.response(client::send(request), &progress).await?;
        http_from_wasi_response(response).map_err(lost)
    }

    async fn collect(&self, mut body: Stored, most: usize) -> Result<Vec<u8>, WireError> {
        let mut bytes = Vec::new();
        while let Some(frame) = in_time(self.patience, body.frame())
            .await
            .ok_or_else(stalled)?
        {
            let frame = frame.map_err(lost)?;
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            if bytes.len() > most {
                return Err(lost(format!("more than {most} bytes")));
            }
        }
        Ok(bytes)
    }

    async fn pause(&self, milliseconds: u64) {
        wait_for(milliseconds.saturating_mul(NANOSECONDS)).await;
    }

    fn now(&self) -> u64 {
        now()
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }

    /// It could, but nothing that phones upload is as large as one request may be.
    fn divide(&self, upload: types::Request, _: u64) -> Result<Infallible, types::Request> {
        Err(upload)
    }

    fn part(&self, parts: &mut Infallible, _: u64) -> types::Request {
        match *parts {}
    }
}

impl Outbound {
    fn request(
        &self,
        head: request::Parts,
        (contents, trailers): Contents,
    ) -> Result<types::Request, String> {
        let refused = |()| "the host refuses the request's address".to_owned();
        let headers = types::Fields::try_from(head.headers).map_err(|error| error.to_string())?;
        let options = types::RequestOptions::new();
        let patience = self.patience.saturating_mul(NANOSECONDS);
        // A host that has no such bounds may say so; there is none before a first byte, for that of an upload
        // comes when the device has sent its last.
        let _ = options.set_connect_timeout(Some(patience.min(CONNECT)));
        let _ = options.set_between_bytes_timeout(Some(patience));
        let (request, _sent) = types::Request::new(headers, contents, trailers, Some(options));
        let path = head.uri.path_and_query().map(|path| path.as_str());
        request.set_method(&head.method.into()).map_err(refused)?;
        let scheme = head.uri.scheme().map(types::Scheme::from);
        request.set_scheme(scheme.as_ref()).map_err(refused)?;
        let authority = head.uri.authority().map(|authority| authority.as_str());
        request.set_authority(authority).map_err(refused)?;
        request.set_path_with_query(path).map_err(refused)?;
        Ok(request)
    }

    /// The response to a request. What moves may take its time, and so may a device; the service may not.
    async fn response(
        &self,
        request: impl Future<Output = Result<types::Response, ErrorCode>>,
        progress: &Progress,
    ) -> Result<types::Response, WireError> {
        let mut request = pin!(request);
        loop {
            let before = progress.frames.get();
            match in_time(self.patience, request.as_mut()).await {
                Some(Ok(response)) => return Ok(response),
                Some(Err(_)) if progress.failed.get() => return Err(broken_off()),
                Some(Err(ErrorCode::HttpRequestDenied)) => return Err(lost(DENIED)),
                Some(Err(error)) => return Err(lost(error)),
                None if progress.waiting.get() || progress.frames.get() > before => {}
                None => return Err(stalled()),
            }
        }
    }
}

/// What a device sends, held against what it said. If it is not that, it ends in an error, and the request
/// that it is the body of is broken off.
struct Watched {
    upload: IncomingRequestBody,
    left: u64,
    patience: u64,
    progress: Rc<Progress>,
}

impl Watched {
    fn body(self) -> impl Body<Data = Bytes, Error = WireError> {
        StreamBody::new(unfold(Some(self), async |watched| {
            let mut watched = watched?;
            match watched.next().await {
                Ok(None) => None,
                Ok(Some(data)) => Some((Ok(Frame::data(data)), Some(watched))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// The next bytes, or `None` when there were as many as should be.
    async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        self.progress.waiting.set(true);
        let frame = in_time(self.patience, self.upload.frame()).await;
        self.progress.waiting.set(false);
        self.progress.frames.set(self.progress.frames.get() + 1);
        let data = match frame {
            Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Some(None) if self.left == 0 => return Ok(None),
            _ => return Err(self.failed()),
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let left = self.left.checked_sub(length);
        self.left = left.ok_or_else(|| self.failed())?;
        Ok(Some(data))
    }

    fn failed(&self) -> WireError {
        self.progress.failed.set(true);
        broken_off()
    }
}

/// What comes of a future within so many milliseconds.
async fn in_time<T>(milliseconds: u64, future: impl Future<Output = T>) -> Option<T> {
    let late = wait_for(milliseconds.saturating_mul(NANOSECONDS));
    match select(pin!(future), pin!(late)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

fn broken_off() -> WireError {
    WireError::Upload("the device broke off, or sent another length than it said".into())
}

fn stalled() -> WireError {
    lost("nothing moved for too long")
}

fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WireError {
    WireError::Lost(error.into())
}

const DENIED: &str = "allowed_outbound_hosts in spin.toml does not have the host of s3_endpoint";
/// For a connection.
const CONNECT: u64 = 10_000 * NANOSECONDS;
/// In a millisecond.
const NANOSECONDS: u64 = 1_000_000;
