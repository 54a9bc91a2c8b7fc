//! Connections to the server upstream, plain or by TLS (RFC 8446): one for all requests where it speaks HTTP/2, else one for
//! each, and those that wait for the next.

use std::cell::Cell;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::Version;
use http::header;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tokio::task;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::relay::upstream::Ask;
use crate::relay::upstream::Base;
use crate::relay::upstream::UpstreamError;
use crate::relay::upstream::down;
use crate::relay::upstream::health::NameError;

/// Makes connections to one server and keeps those that are idle.
pub(super) struct Pool {
    tls: TlsConnector,
    idle: RefCell<Vec<(Single, Instant)>>,
    shared: RefCell<Option<(Multiplexed, Instant)>>,
    /// Who may connect, while nobody knows that the server does not take all requests on one connection.
    connecting: Mutex<()>,
    one_each: Cell<bool>,
}

/// A connection to send a request on.
#[derive(Debug)]
pub(super) enum Connection {
    Single(Single),
    Multiplexed(Multiplexed),
}

/// What a response keeps of its connection until it is read to its end.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Connection,
}

/// HTTP/1.1: one request after the other. It is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Single {
    sender: http1::SendRequest<Whole>,
    _driver: Driver,
}

/// HTTP/2: all requests at once. It is closed when the last of them is dropped, and the pool has another.
#[derive(Clone, Debug)]
pub(super) struct Multiplexed {
    sender: http2::SendRequest<Whole>,
    _driver: Rc<Driver>,
}

/// The task that moves a connection's bytes.
#[derive(Debug)]
struct Driver(AbortHandle);

type Failure = Box<dyn Error + Send + Sync>;
type Sending =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Whole>>>>>>;

impl Pool {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            tls: TlsConnector::from(config),
            idle: RefCell::default(),
            shared: RefCell::default(),
            connecting: Mutex::new(()),
            one_each: Cell::new(false),
        }
    }

    /// A connection that still stands and takes a request, if there is one: of several, the one that was used last.
    pub(super) fn idle(&self) -> Option<Connection> {
        if let Some(shared) = self.shared() {
            return Some(Connection::Multiplexed(shared));
        }
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(it, since)| since.elapsed() < LONGEST_IDLE && !it.sender.is_closed());
        let at = idle.iter().rposition(|(it, _)| it.sender.is_ready())?;
        Some(Connection::Single(idle.remove(at).0))
    }

    fn shared(&self) -> Option<Multiplexed> {
        let mut shared = self.shared.borrow_mut();
        let stands = |(it, used): &(Multiplexed, Instant)| {
            !it.sender.is_closed() && used.elapsed() < LONGEST_SHARED_IDLE
        };
        let (connection, used) = shared.take_if(|it| stands(it))?;
        *shared = Some((connection.clone(), Instant::now().max(used)));
        Some(connection)
    }

    /// Keeps a connection for the next request.
    pub(super) fn give_back(&self, lease: Lease) {
        // One that is shared was never taken away.
        if let Connection::Single(connection) = lease.connection {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < MOST_IDLE {
                idle.push((connection, Instant::now()));
            }
        }
    }

    /// A new connection, or one that somebody else has made meanwhile for all.
    pub(super) async fn connect(&self, base: &Base) -> Result<Connection, Failure> {
        if !base.secure || self.one_each.get() {
            return self.begin(base).await;
        }
        let _turn = self.connecting.lock().await;
        match self.shared() {
            Some(shared) => Ok(Connection::Multiplexed(shared)),
            None => self.begin(base).await,
        }
    }

    async fn begin(&self, base: &Base) -> Result<Connection, Failure> {
        let found = lookup_host((base.host.as_str(), base.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(NameError)?.collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        if !base.secure {
            return single(stream).await;
        }
        let name = ServerName::try_from(base.host.clone())?;
        let stream = self.tls.connect(name, stream).await?;
        let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.one_each.set(!multiplexed);
        if !multiplexed {
            return single(stream).await;
        }
        let connection = multiplex(stream).await?;
        *self.shared.borrow_mut() = Some((connection.clone(), Instant::now()));
        Ok(Connection::Multiplexed(connection))
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

impl Connection {
    /// Sends a request, as the connection's version of HTTP has it.
    pub(super) fn send(&mut self, base: &Base, ask: &Ask) -> Result<Sending, UpstreamError> {
        let path = base.path_of(&ask.target);
        let mut request = Request::builder().method(ask.method.clone());
        request = match self {
            Self::Single(_) => request.uri(path).header(header::HOST, &base.authority),
            Self::Multiplexed(_) => request.version(Version::HTTP_2).uri(format!(
                "{}://{}{path}",
                base.scheme(),
                base.authority
            )),
        };
        let mut request = request.body(Whole(ask.body.clone())).map_err(down)?;
        request.headers_mut().extend(ask.headers());
        Ok(match self {
            Self::Single(it) => Box::pin(it.sender.try_send_request(request)),
            Self::Multiplexed(it) => Box::pin(it.sender.try_send_request(request)),
        })
    }

    pub(super) fn into_lease(self) -> Lease {
        Lease { connection: self }
    }
}

async fn single(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<Connection, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(stream))
        .await?;
    // Whoever waits for a response learns how the connection ended; later it is nobody's concern.
    let driver = task::spawn_local(async move { drop(connection.await) });
    sender.ready().await?;
    Ok(Connection::Single(Single {
        sender,
        _driver: Driver(driver.abort_handle()),
    }))
}

async fn multiplex(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<Multiplexed, Failure> {
    let (mut sender, connection) = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = task::spawn_local(async move { drop(connection.await) });
    sender.ready().await?;
    Ok(Multiplexed {
        sender,
        _driver: Rc::new(Driver(driver.abort_handle())),
    })
}

/// Runs what a connection splits off, on its own thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        task::spawn_local(future);
    }
}

/// A request's body, in one piece.
#[derive(Debug)]
pub(super) struct Whole(Bytes);

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
/// The same for a connection that all share: its server says when it closes it.
const LONGEST_SHARED_IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 32;
/// Bounds what is read ahead of a slow phone.
const BUFFER: usize = 64 << 10;
/// The same where all share one connection: a far image is limited by it, and a slow phone holds as much at most.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// While requests are under way, whether the server still hears.
const PING: Duration = Duration::from_secs(10);
