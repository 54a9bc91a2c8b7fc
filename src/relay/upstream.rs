//! The server that the relay asks: HTTP/2 (RFC 9113) where it speaks that, else HTTP/1.1 (RFC 9112), over TLS, with a deadline
//! on every step.
//!
//! What it deliberately does not do: no compression, for the length of what comes must be known to be told, and no names but below
//! the address that it was given, or that the server redirects to.

mod connection;
mod elsewhere;
mod health;
mod trust;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::response::Parts;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time;
use tokio::time::Sleep;
use tokio_rustls::rustls::ClientConfig;

use crate::relay::upstream::connection::Connection;
use crate::relay::upstream::connection::Lease;
use crate::relay::upstream::connection::Pool;
pub use crate::relay::upstream::elsewhere::REDIRECTS;
use crate::relay::upstream::elsewhere::leads_on;
pub use crate::relay::upstream::health::Health;
pub use crate::relay::upstream::health::State;
pub use crate::relay::upstream::health::Trouble;
pub use crate::relay::upstream::trust::Trust;
pub use crate::relay::upstream::trust::TrustError;

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
    health: Health,
    deadlines: Deadlines,
    /// For other addresses, which the relay's certificate is not for.
    elsewhere: Arc<ClientConfig>,
}

/// How long is waited for the server.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To the server, and through its TLS handshake.
    pub connect: Duration,
    /// Until the head of a response.
    pub first_byte: Duration,
    /// Between two pieces of a file.
    pub stall: Duration,
}

/// What phones wait for at the least.
impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(15),
            stall: Duration::from_secs(20),
        }
    }
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// What follows the server's address, percent-encoded, with the query if there is one.
    pub target: String,
    /// Headers beyond those that every request has.
    pub headers: HeaderMap,
    /// The body, in one piece.
    pub body: Bytes,
    /// How long the answer may take to begin, if that is less than for others.
    pub patience: Option<Duration>,
    /// How many redirects in a row are followed.
    pub redirects: u8,
}

/// An answer that has begun.
#[derive(Debug)]
pub struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Fetching,
    /// It comes from where the server redirects to.
    pub elsewhere: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum UpstreamError {
    /// It says what nobody asked for.
    Misbehaved(&'static str),
    /// It cannot be reached, or fell silent.
    Down(Box<dyn std::error::Error + Send + Sync>),
}

/// A body on its way. To drop it ends the fetch.
#[derive(Debug)]
pub struct Fetching {
    incoming: Incoming,
    length: Option<u64>,
    ready: Bytes,
    connection: Option<Lease>,
    /// Runs while bytes are waited for, and not while the phone does not take those that came.
    waiting: Option<Pin<Box<Sleep>>>,
    upstream: Upstream,
}

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        let uri: Uri = text.parse().map_err(|_| BaseError::Form)?;
        if uri.query().is_some() {
            return Err(BaseError::Form);
        }
        Self::of(&uri)
    }
}

impl Base {
    /// The address without its query.
    fn of(uri: &Uri) -> Result<Self, BaseError> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BaseError::Form),
        };
        let authority = uri.authority().ok_or(BaseError::Form)?;
        if authority.as_str().contains('@') {
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

    /// A file's path. It is appended, so that no name can lead elsewhere.
    fn path_of(&self, target: &str) -> String {
        format!("{}/{target}", self.path)
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
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
    /// The server at an address, as far as it can show that it is that.
    pub fn new(base: Base, trust: &Trust) -> Result<Self, TrustError> {
        Self::with_deadlines(base, trust, Deadlines::default())
    }

    /// The same, that waits for it only so long.
    pub fn with_deadlines(
        base: Base,
        trust: &Trust,
        deadlines: Deadlines,
    ) -> Result<Self, TrustError> {
        let stranger = Trust {
            identity: None,
            ..trust.clone()
        };
        Ok(Self(Rc::new(Shared {
            base,
            pool: Pool::new(Arc::new(trust.config()?)),
            health: Health::default(),
            deadlines,
            elsewhere: Arc::new(stranger.config()?),
        })))
    }

    /// Another address, for one request.
    fn elsewhere(&self, base: Base) -> Self {
        let elsewhere = self.0.elsewhere.clone();
        Self(Rc::new(Shared {
            base,
            pool: Pool::new(elsewhere.clone()),
            health: Health::default(),
            deadlines: self.0.deadlines,
            elsewhere,
        }))
    }

    fn base(&self) -> &Base {
        &self.0.base
    }

    /// What is known of whether it can be reached.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Asks; done when the answer begins.
    pub async fn send(&self, ask: &Ask) -> Result<Fetched, UpstreamError> {
        let fetched = self.fetch(ask).await?;
        if !leads_on(ask, fetched.status) {
            return Ok(fetched);
        }
        let followed = self.follow(ask, fetched).await;
        // The server was reached; it is what it said that did not hold.
        followed.inspect_err(|error| self.0.health.count(error))
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, UpstreamError> {
        let begun = Instant::now();
        let answer = self.exchange(ask).await;
        self.0.health.note(answer.as_ref().err(), begun.elapsed());
        let (head, connection) = answer?;
        let (head, incoming) = head.into_parts();
        if let Some(problem) = problem_of(&head, &incoming) {
            let error = UpstreamError::Misbehaved(problem);
            self.0.health.count(&error);
            return Err(error);
        }
        Ok(Fetched {
            status: head.status,
            headers: head.headers,
            elsewhere: false,
            body: Fetching {
                length: incoming.size_hint().exact(),
                incoming,
                ready: Bytes::new(),
                connection: Some(connection),
                waiting: None,
                upstream: self.clone(),
            },
        })
    }

    async fn exchange(
        &self,
        ask: &Ask,
    ) -> Result<(http::Response<Incoming>, Lease), UpstreamError> {
        let Shared {
            base,
            pool,
            deadlines,
            ..
        } = &*self.0;
        let patience = ask.patience.unwrap_or(deadlines.first_byte);
        while let Some(mut connection) = pool.idle() {
            let sending = connection.send(base, ask)?;
            match time::timeout(patience, sending).await {
                Ok(Ok(response)) => return Ok((response, connection.into_lease())),
                // It was closed meanwhile.
                Ok(Err(error)) if error.message().is_some() => {}
                Ok(Err(error)) => return Err(down(error.into_error())),
                Err(late) => return Err(down(late)),
            }
        }
        let connecting = time::timeout(deadlines.connect.min(patience), pool.connect(base));
        let mut connection: Connection = connecting
            .await
            .map_err(down)?
            .map_err(UpstreamError::Down)?;
        let sending = connection.send(base, ask)?;
        let response = time::timeout(patience, sending).await.map_err(down)?;
        let response = response.map_err(|error| down(error.into_error()))?;
        Ok((response, connection.into_lease()))
    }
}

impl Ask {
    /// A request without a body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            patience: None,
            redirects: 0,
        }
    }

    /// The headers, with those that every request has.
    fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        let identity = HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "handset-relay/",
                env!("CARGO_PKG_VERSION")
            )));
        headers
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
                None => return Poll::Ready(Ok(0)),
            }
        }
        let count = self.ready.len().min(into.len());
        into.iter_mut()
            .zip(&self.ready)
            .for_each(|(to, from)| *to = *from);
        self.ready.advance(count);
        Poll::Ready(Ok(count))
    }

    /// The next bytes, however many came; `None` at the end.
    pub fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        if !self.ready.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.ready))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.waiting = None;
            let frame = frame.transpose().map_err(|error| self.broke(error))?;
            if frame.is_none() {
                self.give_back();
            }
            return Poll::Ready(Ok(frame.map(|it| it.into_data().unwrap_or_default())));
        }
        let stall = self.upstream.0.deadlines.stall;
        let sleep = || Box::pin(time::sleep(stall));
        ready!(
            self.waiting
                .get_or_insert_with(sleep)
                .as_mut()
                .poll(context)
        );
        let late = io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing came for {stall:?}"),
        );
        Poll::Ready(Err(self.broke(late)))
    }

    /// It was reached, but did not keep to it.
    fn broke(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> UpstreamError {
        let error = down(error);
        self.upstream.0.health.count(&error);
        error
    }

    /// Reads a body that is of no interest to its end, so that its connection can be used again, if it is short.
    pub async fn finish(mut self) {
        let mut left = SHORT;
        while let Ok(Some(bytes)) = std::future::poll_fn(|it| self.poll_bytes(it)).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.upstream.0.pool.give_back(connection);
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misbehaved(what) => f.write_str(what),
            Self::Down(_) => f.write_str("the server cannot be reached"),
        }
    }
}

impl std::error::Error for UpstreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Down(error) => Some(error.as_ref()),
            Self::Misbehaved(_) => None,
        }
    }
}

fn down(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> UpstreamError {
    UpstreamError::Down(error.into())
}

/// What keeps an answer from being a file.
fn problem_of(head: &Parts, incoming: &Incoming) -> Option<&'static str> {
    if is_encoded(&head.headers) {
        return Some("the server compressed the file");
    }
    is_endless(head, incoming).then_some("the server does not say where the file ends")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING);
    encoding.is_some_and(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether only the end of the connection ends the file, so that a whole one cannot be told from one that was cut off
/// (RFC 9112 section 6.3).
fn is_endless(head: &Parts, incoming: &Incoming) -> bool {
    let framed = head.version == Version::HTTP_2
        || head.headers.contains_key(header::TRANSFER_ENCODING)
        || incoming.size_hint().exact().is_some();
    !framed
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

/// What is read of a body that nobody wants.
const SHORT: usize = 64 << 10;

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
            let name = FileName::parse(b"//a b\\c.cfg").unwrap().url_path();
            let path = text.parse::<Base>().map(|base| base.path_of(&name));
            assert_eq!(path.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}
