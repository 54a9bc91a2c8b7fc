//! Connections to S3, plain or by TLS (RFC 8446), and those of a thread that wait for the next request.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Uri;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net;
use tokio::net::TcpStream;
use tokio::task;
use tokio::task::AbortHandle;
use tokio::time;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::platform::native::s3::lost;
use crate::platform::native::s3::sending::Sending;
use crate::store::s3::WireError;

/// Makes connections, and knows its own among those that a thread has idle.
pub(super) struct Pool {
    id: u64,
    tls: TlsConnector,
}

/// Whom to connect to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    /// As it stands in the URI, and so in the signature.
    pub(super) authority: String,
    host: String,
    port: u16,
    secure: bool,
}

/// A connection, which is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Sending>,
    _driver: Driver,
    pool: u64,
    target: Target,
}

/// The task that moves a connection's bytes.
#[derive(Debug)]
struct Driver(AbortHandle);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The connections of a thread that wait for its next request.
struct Waiting {
    idle: Vec<Idle>,
    most: usize,
}

thread_local! {
    static WAITING: RefCell<Waiting> = const {
        RefCell::new(Waiting {
            idle: Vec::new(),
            most: MOST_IDLE,
        })
    };
}

/// Closes the connections that wait, and those under way when they are done: a thread that ends waits for
/// its tasks, and theirs would not end by themselves.
pub(crate) fn close_idle() {
    let idle = WAITING.with_borrow_mut(|waiting| {
        waiting.most = 0;
        std::mem::take(&mut waiting.idle)
    });
    drop(idle);
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let secure = uri.scheme_str()? == "https";
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(Self {
            authority: uri.authority()?.to_string(),
            host,
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            secure,
        })
    }

    /// Tries the host's addresses one after the other: one of them may lead nowhere.
    async fn dial(&self) -> io::Result<TcpStream> {
        // RFC 6761 section 6.3: such names are this machine, and need no resolver that knows it.
        let host = match self.host.ends_with(".localhost") {
            true => "127.0.0.1",
            false => &self.host,
        };
        let mut problem = io::Error::from(io::ErrorKind::NotFound);
        for address in net::lookup_host((host, self.port)).await? {
            match time::timeout(DIAL, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A body's last piece must not wait for the acknowledgement of the one before.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => problem = error,
                Err(late) => problem = late.into(),
            }
        }
        Err(problem)
    }
}

impl Pool {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        static POOLS: AtomicU64 = AtomicU64::new(0);
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            id: POOLS.fetch_add(1, Ordering::Relaxed),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// The connection of this thread that was used last, if there is one that still stands.
    pub(super) async fn idle(&self, target: &Target) -> Option<Connection> {
        loop {
            let mut idle = WAITING.with_borrow_mut(|Waiting { idle, .. }| {
                idle.retain(|it| it.since.elapsed() < LONGEST_IDLE);
                let ours =
                    |it: &Idle| it.connection.pool == self.id && it.connection.target == *target;
                idle.iter().rposition(ours).map(|at| idle.remove(at))
            })?;
            let ready = time::timeout(READY, idle.connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(idle.connection);
            }
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, WireError> {
        let connecting = time::timeout(CONNECT, self.connect_at_leisure(target));
        let seconds = CONNECT.as_secs();
        let late = |_| lost(format!("no connection within {seconds} seconds"));
        connecting.await.map_err(late)?
    }

    async fn connect_at_leisure(&self, target: &Target) -> Result<Connection, WireError> {
        let stream = target.dial().await.map_err(lost)?;
        if !target.secure {
            return self.begin(stream, target).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(lost)?;
        let stream = self.tls.connect(name, stream).await.map_err(lost)?;
        self.begin(stream, target).await
    }

    async fn begin(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        target: &Target,
    ) -> Result<Connection, WireError> {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(lost)?;
        // Whoever waits for a response learns how the connection ended; later it is nobody's concern.
        let driver = task::spawn_local(async move { drop(connection.await) });
        sender.ready().await.map_err(lost)?;
        Ok(Connection {
            sender,
            _driver: Driver(driver.abort_handle()),
            pool: self.id,
            target: target.clone(),
        })
    }
}

impl Connection {
    /// Keeps it for the next request of this thread.
    pub(super) fn give_back(self) {
        let idle = Idle {
            connection: self,
            since: Instant::now(),
        };
        // Fails only while the thread ends.
        let _ = WAITING.try_with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            if waiting.idle.len() < waiting.most {
                waiting.idle.push(idle);
            }
        });
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A body that nobody wants any more must not be sent to its end.
        self.0.abort();
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// To one of a machine's addresses.
const DIAL: Duration = Duration::from_secs(3);
/// To a machine, and through its TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection that has just had its response takes a moment.
const READY: Duration = Duration::from_secs(1);
/// Amazon closes after some 20 seconds, and what is closed meanwhile fails a device's upload.
const LONGEST_IDLE: Duration = Duration::from_secs(10);
const MOST_IDLE: usize = 64;
/// Bounds what is read ahead of a slow device.
const BUFFER: usize = 64 << 10;
