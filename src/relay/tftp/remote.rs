//! Files of the server upstream: fetched as a phone takes them, uploaded before it hears that they are stored.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::StatusCode;

use crate::relay::tftp::files::Asked;
use crate::relay::tftp::files::Files;
use crate::relay::tftp::files::Reading;
use crate::relay::tftp::files::Refusal;
use crate::relay::tftp::files::Report;
use crate::relay::tftp::files::Writing;
use crate::relay::upstream::Fetching;
use crate::relay::upstream::Upstream;
use crate::relay::upstream::UpstreamError;
use crate::tftp::packet::ErrorCode;

/// The files below an address.
pub struct Remote<L> {
    upstream: Upstream,
    /// Hears of each transfer that ended.
    log: L,
}

/// An upload. It is small enough to be held until it is complete: what phones write are logs and overrides.
pub struct Uploading {
    upstream: Upstream,
    asked: Asked,
    bytes: Vec<u8>,
    putting: Option<Putting>,
}

type Putting = Pin<Box<dyn Future<Output = Result<(), UpstreamError>>>>;

impl<L: Fn(&Report<'_>) + 'static> Remote<L> {
    /// Files of `upstream`.
    pub fn new(upstream: Upstream, log: L) -> Self {
        Self { upstream, log }
    }
}

impl<L: Fn(&Report<'_>) + 'static> Files for Remote<L> {
    type Reading = Fetching;
    type Writing = Uploading;

    async fn open(&self, asked: &Asked) -> Result<Fetching, Refusal> {
        Ok(self.upstream.get(&asked.name).await?)
    }

    async fn create(&self, asked: &Asked) -> Result<Uploading, Refusal> {
        if asked.length.is_some_and(|length| length > LARGEST_UPLOAD) {
            return Err(too_large());
        }
        Ok(Uploading {
            upstream: self.upstream.clone(),
            asked: asked.clone(),
            bytes: Vec::new(),
            putting: None,
        })
    }

    fn finished(&self, report: &Report<'_>) {
        (self.log)(report);
    }
}

impl<L> fmt::Debug for Remote<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = &self.upstream;
        f.debug_struct("Remote")
            .field("upstream", upstream)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Uploading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        f.debug_struct("Uploading")
            .field("asked", asked)
            .finish_non_exhaustive()
    }
}

impl Reading for Fetching {
    fn length(&self) -> Option<u64> {
        Self::length(self)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Refusal>> {
        Self::poll_read(self, context, into).map_err(Refusal::from)
    }
}

impl Writing for Uploading {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Refusal>> {
        let length = u64::try_from(self.bytes.len() + bytes.len()).unwrap_or(u64::MAX);
        if length > LARGEST_UPLOAD {
            return Poll::Ready(Err(too_large()));
        }
        self.bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let (upstream, name) = (&self.upstream, &self.asked.name);
        let bytes = &mut self.bytes;
        let putting = self.putting.get_or_insert_with(|| {
            let (upstream, name) = (upstream.clone(), name.clone());
            let bytes = Bytes::from(std::mem::take(bytes));
            Box::pin(async move { upstream.put(&name, bytes).await })
        });
        let done = ready!(putting.as_mut().poll(context));
        Poll::Ready(done.map_err(Refusal::from))
    }
}

/// What the phone is told. Phones take error 1 as final and go on with the next name, so that nothing but a missing file may
/// be one; whoever hears that the server is busy comes back.
impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        let UpstreamError::Status(status) = error else {
            return Self::new(ErrorCode::NOT_DEFINED, error);
        };
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::not_found(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
                Self::forbidden()
            }
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE => too_large(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Self::new(ErrorCode::NOT_DEFINED, "server busy, try again")
            }
            _ => Self::new(ErrorCode::NOT_DEFINED, error),
        }
    }
}

fn too_large() -> Refusal {
    Refusal::new(ErrorCode::DISK_FULL, "the file is too large")
}

const LARGEST_UPLOAD: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use crate::relay::tftp::files::Refusal;
    use crate::relay::upstream::UpstreamError;
    use crate::tftp::packet::ErrorCode;

    #[test]
    fn answers_upstream_and_what_phones_are_told() {
        for (status, code, message) in [
            (404, ErrorCode::FILE_NOT_FOUND, "file not found"),
            (410, ErrorCode::FILE_NOT_FOUND, "file not found"),
            (401, ErrorCode::ACCESS_VIOLATION, "access violation"),
            (403, ErrorCode::ACCESS_VIOLATION, "access violation"),
            (413, ErrorCode::DISK_FULL, "the file is too large"),
            (503, ErrorCode::NOT_DEFINED, "server busy, try again"),
            (
                500,
                ErrorCode::NOT_DEFINED,
                "the server answered 500 Internal Server Error",
            ),
            (302, ErrorCode::NOT_DEFINED, "the server answered 302 Found"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal::from(UpstreamError::Status(status));
            assert_eq!(refusal, Refusal::new(code, message), "{status}");
        }
    }
}
