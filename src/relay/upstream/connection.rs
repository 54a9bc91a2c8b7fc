//! Connections to the server upstream, plain or by TLS (RFC 8446), and those that wait for the next request.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::relay::upstream::Base;

/// Makes connections to one server and keeps those that are idle.
pub(super) struct Pool {
    tls: TlsConnector,
    idle: RefCell<Vec<(Connection, Instant)>>,
}

/// A connection, which is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Whole>,
    _driver: Driver,
}

/// The task that moves a connection's bytes.
#[derive(Debug)]
struct Driver(AbortHandle);

impl Pool {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            idle: RefCell::default(),
        })
    }

    /// The connection that was used last, if there is one that still stands.
    pub(super) fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(it, since)| since.elapsed() < LONGEST_IDLE && !it.sender.is_closed());
        let at = idle.iter().rposition(|(it, _)| it.sender.is_ready())?;
        Some(idle.remove(at).0)
    }

    /// Keeps a connection for the next request.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    /// A new connection.
    pub(super) async fn connect(
        &self,
        base: &Base,
    ) -> Result<Connection, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect((base.host.as_str(), base.port)).await?;
        stream.set_nodelay(true)?;
        if !base.secure {
            return begin(stream).await;
        }
        let name = ServerName::try_from(base.host.clone())?;
        begin(self.tls.connect(name, stream).await?).await
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // What no phone wants any more must not be fetched to its end.
        self.0.abort();
    }
}

async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<Connection, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await?;
    // Whoever waits for a response learns how the connection ended; later it is nobody's concern.
    let driver = task::spawn_local(async move { drop(connection.await) });
    sender.ready().await?;
    Ok(Connection {
        sender,
        _driver: Driver(driver.abort_handle()),
    })
}

/// A request's body, in one piece.
#[derive(Debug)]
pub(super) struct Whole(Bytes);

impl Whole {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }
}

/// Servers close after some time, and what is closed meanwhile has to be sent twice.
const LONGEST_IDLE: Duration = Duration::from_secs(10);
const MOST_IDLE: usize = 32;
/// Bounds what is read ahead of a slow phone.
const BUFFER: usize = 64 << 10;
