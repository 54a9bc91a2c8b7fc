//! The server that the relay fetches from and uploads to: HTTP/1.1 (RFC 9112) over TLS, with a deadline on every step.
//!
//! What it deliberately does not do: no redirects, no compression, for the length of what comes must be known to be told, and
//! no names but below the address that it was given.

mod connection;

use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time;
use tokio::time::Sleep;
use tokio_rustls::rustls::RootCertStore;

use crate::platform::native::TlsError;
use crate::platform::native::tls;
use crate::relay::upstream::connection::Connection;
use crate::relay::upstream::connection::Pool;
use crate::relay::upstream::connection::Whole;
use crate::tftp::name::FileName;

/// The address below which the files are: `https://HOST/SITE/KEY`, or `http://` on this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Base {
    authority: String,
    host: String,
    port: u16,
    secure: bool,
    /// Without a slash at its end.
    path: String,
}

/// Why an address is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BaseError {
    /// It is not `https://HOST/PATH`.
    Form,
    /// It is `http://` to another machine: whoever is on the way could read and change what phones get.
    Plain,
}

/// A server, and the connections to it.
#[derive(Clone, Debug)]
pub struct Upstream(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    base: Base,
    pool: Pool,
}

/// Why there is no file, or it was not taken.
#[derive(Debug)]
pub enum UpstreamError {
    /// The server says so.
    Status(StatusCode),
    /// It says what nobody asked for.
    Misbehaved(&'static str),
    /// It cannot be reached, or fell silent.
    Down(Box<dyn std::error::Error + Send + Sync>),
}

/// A file on its way. To drop it ends the fetch.
#[derive(Debug)]
pub struct Fetching {
    incoming: Incoming,
    length: Option<u64>,
    ready: Bytes,
    connection: Option<Connection>,
    /// Runs while bytes are waited for, and not while the phone does not take those that came.
    waiting: Option<Pin<Box<Sleep>>>,
    upstream: Upstream,
}

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        let uri: Uri = text.parse().map_err(|_| BaseError::Form)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BaseError::Form),
        };
        let authority = uri.authority().ok_or(BaseError::Form)?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(BaseError::Form);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if !secure && !is_this_machine(&host) {
            return Err(BaseError::Plain);
        }
        Ok(Self {
            authority: authority.to_string(),
            host,
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            secure,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl Base {
    /// A file's path. It is appended, so that no name can lead elsewhere.
    fn path_of(&self, name: &FileName) -> String {
        format!("{}/{}", self.path, name.url_path())
    }
}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "give https://HOST/PATH, without a query",
            Self::Plain => "only https:// may lead to another machine",
        })
    }
}

impl std::error::Error for BaseError {}

impl Upstream {
    /// Trusts the certificate authorities that Mozilla's programs trust, or those of a PEM file and no others.
    pub fn new(base: Base, authorities: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match authorities {
            Some(path) => tls::authorities(path)?,
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        };
        let pool = Pool::new(roots).map_err(TlsError::Client)?;
        Ok(Self(Rc::new(Shared { base, pool })))
    }

    /// Fetches a file: as soon as the server begins to send it.
    pub async fn get(&self, name: &FileName) -> Result<Fetching, UpstreamError> {
        let (response, connection) = self.send(Method::GET, name, Bytes::new()).await?;
        let (head, incoming) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(UpstreamError::Status(head.status));
        }
        if is_encoded(&head.headers) {
            return Err(UpstreamError::Misbehaved("the server compressed the file"));
        }
        Ok(Fetching {
            length: incoming.size_hint().exact(),
            incoming,
            ready: Bytes::new(),
            connection: Some(connection),
            waiting: None,
            upstream: self.clone(),
        })
    }

    /// Uploads a file: done when the server has accepted it.
    pub async fn put(&self, name: &FileName, bytes: Bytes) -> Result<(), UpstreamError> {
        let (response, connection) = self.send(Method::PUT, name, bytes).await?;
        let (head, mut incoming) = response.into_parts();
        if !head.status.is_success() {
            return Err(UpstreamError::Status(head.status));
        }
        // What it has to say beyond that is of no interest, unless it takes its time.
        let end = async {
            while poll_fn(|it| Pin::new(&mut incoming).poll_frame(it))
                .await
                .is_some()
            {}
        };
        if time::timeout(STALL, end).await.is_ok() {
            self.0.pool.give_back(connection);
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        name: &FileName,
        bytes: Bytes,
    ) -> Result<(Response<Incoming>, Connection), UpstreamError> {
        let mut request = self.request(method, name, bytes)?;
        while let Some(mut connection) = self.0.pool.idle() {
            match time::timeout(FIRST_BYTE, connection.sender.try_send_request(request)).await {
                Ok(Ok(response)) => return Ok((response, connection)),
                Ok(Err(mut error)) => match error.take_message() {
                    // It was closed meanwhile.
                    Some(unsent) => request = unsent,
                    None => return Err(down(error.into_error())),
                },
                Err(late) => return Err(down(late)),
            }
        }
        let connecting = time::timeout(CONNECT, self.0.pool.connect(&self.0.base));
        let mut connection = connecting
            .await
            .map_err(down)?
            .map_err(UpstreamError::Down)?;
        let response = connection.sender.send_request(request);
        let response = time::timeout(FIRST_BYTE, response).await.map_err(down)?;
        Ok((response.map_err(down)?, connection))
    }

    fn request(
        &self,
        method: Method,
        name: &FileName,
        bytes: Bytes,
    ) -> Result<Request<Whole>, UpstreamError> {
        let base = &self.0.base;
        Request::builder()
            .method(method)
            .uri(base.path_of(name))
            .header(header::HOST, &base.authority)
            .header(header::ACCEPT_ENCODING, "identity")
            .header(
                header::USER_AGENT,
                concat!("handset-relay/", env!("CARGO_PKG_VERSION")),
            )
            .body(Whole::new(bytes))
            .map_err(down)
    }
}

impl Fetching {
    /// Its length, if the server tells.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Fills some of `into` and says how much; 0 at the end.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, UpstreamError>> {
        while self.ready.is_empty() {
            match ready!(self.poll_bytes(context))? {
                Some(bytes) => self.ready = bytes,
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.upstream.0.pool.give_back(connection);
                    }
                    return Poll::Ready(Ok(0));
                }
            }
        }
        let count = self.ready.len().min(into.len());
        into.iter_mut()
            .zip(&self.ready)
            .for_each(|(to, from)| *to = *from);
        self.ready.advance(count);
        Poll::Ready(Ok(count))
    }

    fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.waiting = None;
            let frame = frame.transpose().map_err(down)?;
            return Poll::Ready(Ok(frame.map(|it| it.into_data().unwrap_or_default())));
        }
        let sleep = || Box::pin(time::sleep(STALL));
        ready!(
            self.waiting
                .get_or_insert_with(sleep)
                .as_mut()
                .poll(context)
        );
        Poll::Ready(Err(down(format!("nothing came for {STALL:?}"))))
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Misbehaved(what) => f.write_str(what),
            Self::Down(_) => f.write_str("the server cannot be reached"),
        }
    }
}

impl std::error::Error for UpstreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Down(error) => Some(error.as_ref()),
            Self::Misbehaved(_) | Self::Status(_) => None,
        }
    }
}

fn down(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> UpstreamError {
    UpstreamError::Down(error.into())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING);
    encoding.is_some_and(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

/// To the server, and through its TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the head of a response.
const FIRST_BYTE: Duration = Duration::from_secs(15);
/// Between two pieces of a file.
const STALL: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::Base;
    use super::BaseError;
    use crate::tftp::name::FileName;

    #[test]
    fn addresses() {
        for (text, expected) in [
            (
                "https://prov.example.net/office/key/",
                Ok("/office/key/a%20b/c.cfg"),
            ),
            ("https://prov.example.net", Ok("/a%20b/c.cfg")),
            ("http://127.0.0.1:8080/lync", Ok("/lync/a%20b/c.cfg")),
            ("http://[::1]:8080/lync", Ok("/lync/a%20b/c.cfg")),
            ("http://localhost/", Ok("/a%20b/c.cfg")),
            ("http://prov.example.net/", Err(BaseError::Plain)),
            ("http://localhost.example.net/", Err(BaseError::Plain)),
            ("https://user:word@prov.example.net/", Err(BaseError::Form)),
            ("https://prov.example.net/?a=b", Err(BaseError::Form)),
            ("ftp://prov.example.net/", Err(BaseError::Form)),
            ("prov.example.net", Err(BaseError::Form)),
        ] {
            let name = FileName::parse(b"//a b\\c.cfg").unwrap();
            let path = text.parse::<Base>().map(|base| base.path_of(&name));
            assert_eq!(path.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}
