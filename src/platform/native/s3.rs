//! What the S3 store needs of a native server: HTTP/1.1 (RFC 9112) as a client, a clock and pauses.
//!
//! Connections stay on the thread that made them, as everything of a request does. Requests are sent from
//! within a `LocalSet`, for what a device sends need not be `Send`. What this deliberately does not do: no
//! redirects, no proxy, no second attempt with a body that was begun.

mod connection;
mod receiving;
mod sending;

use std::error::Error;
use std::future;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::Path;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use tokio::time;
use tokio_rustls::rustls;
use tokio_rustls::rustls::RootCertStore;

use crate::platform::native::TlsError;
use crate::platform::native::s3::connection::Connection;
use crate::platform::native::s3::connection::Pool;
use crate::platform::native::s3::connection::Target;
pub(super) use crate::platform::native::s3::connection::close_idle;
pub use crate::platform::native::s3::receiving::Body;
use crate::platform::native::s3::sending::Exact;
pub use crate::platform::native::s3::sending::Parts;
use crate::platform::native::s3::sending::Progress;
use crate::platform::native::s3::sending::Sending;
use crate::platform::native::tls;
use crate::store::directory::Upload;
use crate::store::s3::Sent;
use crate::store::s3::Wire;
use crate::store::s3::WireError;

/// HTTP over sockets of this machine.
#[derive(Debug)]
pub struct HttpWire {
    pool: Pool,
    patience: Duration,
}

/// How a request ended that has no response.
enum Broken {
    /// The connection was gone before anything was sent.
    Unsent(Box<Request<Sending>>),
    /// Anything else.
    Failed(WireError),
}

impl HttpWire {
    /// Trusts the certificate authorities that Mozilla's programs trust. They are compiled in, for a
    /// container often has none of its own, and that would show only at run time.
    pub fn new() -> Result<Self, rustls::Error> {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Ok(Self {
            pool: Pool::new(roots)?,
            patience: PATIENCE,
        })
    }

    /// Trusts those of a PEM file and no others, for a service in a network of its own.
    pub fn trusting(authorities: &Path) -> Result<Self, TlsError> {
        let pool = Pool::new(tls::authorities(authorities)?);
        Ok(Self {
            pool: pool.map_err(TlsError::Client)?,
            patience: PATIENCE,
        })
    }

    /// With another bound on how long the service may leave a request or a response lying.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn exchange(
        &self,
        target: &Target,
        mut request: Request<Sending>,
        progress: &Progress,
    ) -> Result<(Response<Incoming>, Connection), WireError> {
        while let Some(mut connection) = self.pool.idle(target).await {
            match self.response(&mut connection, request, progress).await {
                Ok(response) => return Ok((response, connection)),
                Err(Broken::Unsent(unsent)) => request = *unsent,
                Err(Broken::Failed(error)) => return Err(error),
            }
        }
        let mut connection = self.pool.connect(target).await?;
        match self.response(&mut connection, request, progress).await {
            Ok(response) => Ok((response, connection)),
            Err(Broken::Unsent(_)) => Err(lost("the connection was closed at once")),
            Err(Broken::Failed(error)) => Err(error),
        }
    }

    /// The response to a request. What moves may take its time, and so may a device; the service may not.
    async fn response(
        &self,
        connection: &mut Connection,
        request: Request<Sending>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Broken> {
        let mut response = pin!(connection.sender.try_send_request(request));
        loop {
            match time::timeout(self.patience, response.as_mut()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    return Err(match (error.take_message(), progress.failure()) {
                        (Some(unsent), _) => Broken::Unsent(Box::new(unsent)),
                        (None, Some(failure)) => Broken::Failed(WireError::Upload(failure)),
                        (None, None) => Broken::Failed(lost(error.into_error())),
                    });
                }
                Err(_) if progress.is_excused() => {}
                Err(_) => return Err(Broken::Failed(lost(stalled(self.patience)))),
            }
        }
    }
}

impl Wire for HttpWire {
    type Body = Body;
    type Upload = Upload;
    type Parts = Parts;

    async fn send(&self, request: Request<Sent<Upload>>) -> Result<Response<Body>, WireError> {
        let (mut head, sent) = request.into_parts();
        let target = Target::of(&head.uri).ok_or_else(|| lost("not an address"))?;
        let key = head.uri.path().to_owned();
        let path = head.uri.path_and_query().cloned();
        head.uri = path.map_or_else(Uri::default, Uri::from);
        let host = HeaderValue::from_str(&target.authority).map_err(lost)?;
        head.headers.insert(header::HOST, host);
        let progress = Rc::new(Progress::default());
        let sending = match sent {
            Sent::Bytes(bytes) => Sending::Bytes(bytes.into()),
            Sent::Upload(upload, length) => upload_of(upload, length, &progress).await?,
        };
        let request = Request::from_parts(head, sending);
        let (response, connection) = self.exchange(&target, request, &progress).await?;
        Ok(response.map(|incoming| Body::new(key, incoming, connection, self.patience)))
    }

    async fn collect(&self, mut body: Body, most: usize) -> Result<Vec<u8>, WireError> {
        let mut bytes = Vec::new();
        while let Some(frame) = future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| match error.source {
                Some(source) => WireError::Lost(source),
                None => lost(error),
            })?;
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            if bytes.len() > most {
                return Err(lost(format!("more than {most} bytes")));
            }
        }
        Ok(bytes)
    }

    async fn gather(&self, upload: Upload, most: usize) -> Result<Vec<u8>, WireError> {
        upload.collect(most).await.map_err(WireError::Upload)
    }

    async fn pause(&self, milliseconds: u64) {
        time::sleep(Duration::from_millis(milliseconds)).await;
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> u64 {
        RandomState::new().hash_one(self.now())
    }

    fn divide(&self, upload: Upload, length: u64) -> Result<Parts, Upload> {
        Ok(Parts::new(upload, length))
    }

    fn part(&self, parts: &mut Parts, length: u64) -> Upload {
        parts.next(length)
    }
}

/// A device's body. hyper would not look at one that should be empty, so it is looked at here.
async fn upload_of(
    upload: Upload,
    length: u64,
    progress: &Rc<Progress>,
) -> Result<Sending, WireError> {
    let mut exact = Exact::new(upload, length, progress.clone());
    if length > 0 {
        return Ok(Sending::Exact(exact));
    }
    match future::poll_fn(|cx| Pin::new(&mut exact).poll_frame(cx)).await {
        Some(Err(error)) => Err(WireError::Upload(error)),
        Some(Ok(_)) | None => Ok(Sending::Bytes(Bytes::new())),
    }
}

fn lost(error: impl Into<Box<dyn Error + Send + Sync>>) -> WireError {
    WireError::Lost(error.into())
}

fn stalled(patience: Duration) -> String {
    format!("nothing moved for {patience:?}")
}

const PATIENCE: Duration = Duration::from_secs(30);
