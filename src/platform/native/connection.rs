//! One connection: TLS if there is any, then requests one after the other (RFC 9112 section 9).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;
use tokio::time;

use crate::platform::native::Patience;
use crate::platform::native::Store;
use crate::platform::native::caller::Caller;
use crate::platform::native::exchange::Exchange;
use crate::platform::native::tls::Tls;
use crate::platform::native::wire::Conduct;
use crate::platform::native::wire::Wire;

/// Serves a connection to its end.
pub(super) async fn run<S: Store>(
    exchange: Arc<Exchange<S>>,
    tls: Option<Tls>,
    patience: Patience,
    stopping: Receiver<bool>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let Some(tls) = tls else {
        return requests(exchange, patience, stopping, stream, Caller::plain(peer)).await;
    };
    match time::timeout(patience.handshake, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = tls.device(stream.get_ref().1);
            let caller = Caller::plain(peer).secured(certificate);
            requests(exchange, patience, stopping, stream, caller).await;
        }
        Ok(Err(error)) => exchange.refused(peer, &format!("no TLS: {error}")),
        Err(_) => exchange.refused(peer, "no TLS: the handshake takes too long"),
    }
}

async fn requests<S: Store>(
    exchange: Arc<Exchange<S>>,
    patience: Patience,
    mut stopping: Receiver<bool>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    caller: Caller,
) {
    let caller = Rc::new(caller);
    let conduct = Rc::new(Conduct::default());
    let service = service_fn(|request| {
        let (exchange, caller, conduct) = (exchange.clone(), caller.clone(), conduct.clone());
        async move { Ok::<_, Infallible>(exchange.answer(&caller, &conduct, request).await) }
    });
    let wire = TokioIo::new(Wire::new(stream, conduct.clone()));
    let mut connection = pin!(protocol(patience.head).serve_connection(wire, service));
    let mut ticks = time::interval(patience.body);
    let mut stopped = false;
    ticks.reset();
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Some(error) = ended.err().filter(hyper::Error::is_parse) {
                    exchange.refused(caller.peer, &error.to_string());
                }
                return;
            }
            _ = stopping.wait_for(|stop| *stop), if !stopped => {
                connection.as_mut().graceful_shutdown();
                exchange.stop();
                stopped = true;
            }
            _ = ticks.tick() => {
                if !conduct.has_moved() {
                    return;
                }
            }
        }
    }
}

fn protocol(head: Duration) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        // A phone that has sent its request may close its side and still read.
        .half_close(true);
    protocol
}

const HEADERS: usize = 64;
/// Bounds a head, and with one piece of a body what waits for a slow reader.
const BUFFER: usize = 32 << 10;
