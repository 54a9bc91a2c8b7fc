//! Listening sockets, one a thread, and the loop that takes connections from one.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::task::LocalSet;
use tokio::time;

use crate::platform::native::Patience;
use crate::platform::native::ServeOptions;
use crate::platform::native::Store;
use crate::platform::native::connection;
use crate::platform::native::exchange::Exchange;
use crate::platform::native::s3;
use crate::platform::native::tls::Tls;

/// Sockets that share one address.
pub(super) struct Sockets {
    pub(super) address: SocketAddr,
    pub(super) listeners: Vec<StdListener>,
}

/// One socket a core, on one port.
pub(super) fn bind(address: SocketAddr) -> io::Result<Sockets> {
    // With SO_REUSEPORT alone a second server would quietly share the port with the first.
    drop(StdListener::bind(address)?);
    let first = listen(address)?;
    let address = first.local_addr()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut listeners = vec![first];
    for _ in 1..cores {
        listeners.push(listen(address)?);
    }
    Ok(Sockets { address, listeners })
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A thread that serves.
pub(super) struct Worker<S: Store> {
    exchange: Arc<Exchange<S>>,
    tls: Option<Tls>,
    patience: Patience,
    connections: usize,
    stopping: Receiver<bool>,
    runtime: Runtime,
}

impl<S: Store> Worker<S> {
    pub(super) fn new(
        exchange: Arc<Exchange<S>>,
        tls: Option<Tls>,
        options: &ServeOptions,
        stopping: Receiver<bool>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(SYNCING_THREADS)
            .build()?;
        Ok(Self {
            exchange,
            tls,
            patience: options.patience,
            connections: options.connections,
            stopping,
            runtime,
        })
    }

    /// Serves until told to stop, and then for as long as requests are under way, within bounds.
    pub(super) fn run(self, socket: StdListener) {
        let tasks = LocalSet::new();
        tasks.block_on(&self.runtime, self.accept(socket));
        s3::close_idle();
        let finish = async { time::timeout(GRACE, tasks).await };
        // Whatever is not done by then is cut off.
        let _ = self.runtime.block_on(finish);
        self.runtime.shutdown_timeout(GRACE);
    }

    async fn accept(&self, socket: StdListener) {
        let Ok(listener) = TcpListener::from_std(socket) else {
            return;
        };
        let mut stopping = self.stopping.clone();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                // A server that is gone is one that stops.
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if connections.len() < self.connections => {
                    match accepted {
                        Ok((stream, peer)) => {
                            connections.spawn_local(self.connection(stream, peer));
                        }
                        // Out of descriptors, most likely: others are given back by and by.
                        Err(_) => time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            }
        }
        connections.detach_all();
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + 'static {
        let (exchange, tls) = (self.exchange.clone(), self.tls.clone());
        let (patience, stopping) = (self.patience, self.stopping.clone());
        async move {
            // A response's last piece must not wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            connection::run(exchange, tls, patience, stopping, stream, peer).await;
        }
    }
}

const BACKLOG: i32 = 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Uploads that sync at the same time, per thread; more wait.
const SYNCING_THREADS: usize = 16;
/// How long requests under way may take to finish when the server stops.
const GRACE: Duration = Duration::from_secs(10);
