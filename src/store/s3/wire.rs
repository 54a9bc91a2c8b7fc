//! What the S3 store needs of a platform: HTTP, a clock, pauses and numbers to spread them with.

use std::error::Error;
use std::fmt;

use http::Request;
use http::Response;

/// HTTP as a platform has it.
#[expect(
    async_fn_in_trait,
    reason = "the platforms' futures are not Send, and need not be"
)]
pub trait Wire {
    /// A response's body on its way to a device; one that breaks off ends in an error.
    type Body;
    /// A body on its way from a device.
    type Upload;
    /// An upload that goes in several requests.
    type Parts;

    /// Sends a request, whose URI is absolute, and waits for the head of the response. Redirects are
    /// not followed.
    async fn send(
        &self,
        request: Request<Sent<Self::Upload>>,
    ) -> Result<Response<Self::Body>, WireError>;

    /// A small body whole, if it has at most `most` bytes.
    async fn collect(&self, body: Self::Body, most: usize) -> Result<Vec<u8>, WireError>;

    /// A small body of a device's whole, if it has at most `most` bytes.
    async fn gather(&self, upload: Self::Upload, most: usize) -> Result<Vec<u8>, WireError>;

    /// Waits.
    async fn pause(&self, milliseconds: u64);

    /// Milliseconds since 1970.
    fn now(&self) -> u64;

    /// Any number, another one each time: it need not be hard to guess.
    fn random(&self) -> u64;

    /// An upload of `length` bytes to be sent in parts; or the upload itself where the platform cannot
    /// divide one. It then goes in one request, which may have 5 GB.
    fn divide(&self, upload: Self::Upload, length: u64) -> Result<Self::Parts, Self::Upload>;

    /// The next `length` bytes.
    fn part(&self, parts: &mut Self::Parts, length: u64) -> Self::Upload;
}

/// A request's body. Its length stands in the Content-Length header, too.
#[derive(Debug)]
pub enum Sent<U> {
    /// Bytes that are there.
    Bytes(Vec<u8>),
    /// What a device sends, which must have exactly so many bytes. If it has not, the request must not
    /// reach its end, so that nothing is stored.
    Upload(U, u64),
}

/// A request that had no answer.
#[derive(Debug)]
pub enum WireError {
    /// There is no connection, or it was lost, or nothing moved for too long.
    Lost(Box<dyn Error + Send + Sync>),
    /// The device broke off, or sends another number of bytes than it said.
    Upload(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "no answer: {error}"),
            Self::Upload(error) => error.fmt(f),
        }
    }
}

impl Error for WireError {}
