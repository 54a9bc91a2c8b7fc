//! The native server: HTTP/1.1 and 1.0 (RFC 9112), with or without TLS, one thread a core.
//!
//! Each thread has a runtime and a listening socket of its own, so that the stores' futures, which need
//! not be `Send`, stay where they began. What it deliberately does not do: no HTTP/2, no compression, no
//! decision about what a phone gets.

mod body;
mod caller;
mod certificate;
mod connection;
mod exchange;
mod failures;
mod listener;
mod live;
pub mod log;
pub mod operate;
pub mod proxy;
mod replays;
pub mod s3;
pub(crate) mod tls;
pub mod watch;
pub(crate) mod wire;

use std::fmt;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch::Sender;

use crate::platform::native::exchange::Exchange;
use crate::platform::native::log::Log;
use crate::platform::native::proxy::Proxies;
use crate::platform::native::tls::Tls;
pub use crate::platform::native::tls::TlsError;
use crate::secret::DeploymentSecrets;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::StoreError;
use crate::store::directory::Upload;

/// A store that the native server can serve from.
pub trait Store:
    Records + Publishing<Body: Outgoing, Upload = Upload> + Send + Sync + 'static
{
}

impl<S> Store for S where
    S: Records + Publishing<Body: Outgoing, Upload = Upload> + Send + Sync + 'static
{
}

/// A body that the native server can send.
pub trait Outgoing: HttpBody<Data = Bytes, Error = StoreError> + Unpin + 'static {}

impl<B> Outgoing for B where B: HttpBody<Data = Bytes, Error = StoreError> + Unpin + 'static {}

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// The site of requests whose path and host name none.
    pub site: Option<String>,
    /// What keys are made with; sites that ask for keys are 503 without it.
    pub secrets: Option<DeploymentSecrets>,
    /// The certificate chain and the private key, both PEM; without them there is no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Wrong keys and passwords that a network may bring a minute before it hears 429; 0 is any number.
    pub failures: u32,
    /// Whom else to believe about who asks.
    pub proxies: Proxies,
    /// PEM file with the authorities of client certificates; without it, none is asked for.
    pub client_authorities: Option<PathBuf>,
    /// Whether those certificates may be out of date, as phones' from the factory often are.
    pub expired_certificates: bool,
    /// How long to wait for a client.
    pub patience: Patience,
    /// Connections that a thread holds at once; more wait for one of them to end.
    pub connections: usize,
}

/// How long to wait for a client that does not come to the point.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the handshake of TLS.
    pub handshake: Duration,
    /// For a whole head, and for how long a connection may idle between requests.
    pub head: Duration,
    /// How long nothing at all may move while a body does.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(15),
            head: Duration::from_secs(30),
            // Phones erase flash between two reads.
            body: Duration::from_secs(120),
        }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            site: None,
            secrets: None,
            tls: None,
            failures: FAILURES,
            proxies: Proxies::default(),
            client_authorities: None,
            expired_certificates: false,
            patience: Patience::default(),
            connections: 8192,
        }
    }
}

/// More than a person who mistypes and a phone that tries again make, and hopeless for whoever guesses.
pub const FAILURES: u32 = 60;

/// A server at work; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    secure: bool,
    stop: Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a server cannot start.
#[derive(Debug)]
pub enum ServeError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The system gives no thread, no runtime or no signals.
    System(io::Error),
    /// The certificate or its key cannot be used.
    Tls(TlsError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                write!(
                    f,
                    "cannot listen on {address}: {error} (--listen takes another address)"
                )
            }
            Self::System(error) => write!(f, "cannot start: {error}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until SIGTERM or SIGINT: says on standard output where, and on standard error what.
pub fn serve<S: Store>(store: Arc<S>, options: &ServeOptions, log: Log) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(ServeError::System)?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new().map_err(ServeError::System)?
    };
    let server = Server::start(store, options, log)?;
    // Whoever started the server may have closed its standard output.
    let _ = writeln!(io::stdout(), "listening on {}", server.url());
    runtime.block_on(signals.next());
    server.stop();
    Ok(())
}

impl Server {
    /// Begins to serve, in threads of its own.
    pub fn start<S: Store>(
        store: Arc<S>,
        options: &ServeOptions,
        log: Log,
    ) -> Result<Self, ServeError> {
        let tls = Tls::new(options).map_err(ServeError::Tls)?;
        let sockets = listener::bind(options.listen)
            .map_err(|error| ServeError::Listen(options.listen, error))?;
        let address = sockets.address;
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let secure = tls.is_some();
        let exchange = Arc::new(Exchange::new(store, options, log));
        let mut server = Self {
            address,
            secure,
            stop,
            threads: Vec::new(),
        };
        for socket in sockets.listeners {
            let worker =
                listener::Worker::new(exchange.clone(), tls.clone(), options, stopping.clone())
                    .map_err(ServeError::System)?;
            let thread = thread::Builder::new().name("serve".to_owned());
            let thread = thread.spawn(move || worker.run(socket));
            server.threads.push(thread.map_err(ServeError::System)?);
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a browser takes it.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Takes no more requests, finishes those under way within a bounded time, and returns.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The signals to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
