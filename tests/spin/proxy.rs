//! What stands before Spin in earnest: TLS ends there, so that it says of each request that it had TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread;

use http::HeaderValue;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client;
use hyper::server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task;
use tokio::task::LocalSet;

/// Listens for as long as the test runs, and hands on to a host.
pub(crate) fn before(host: SocketAddr) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, serve(listener, host));
    });
    address
}

async fn serve(listener: std::net::TcpListener, host: SocketAddr) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(hand_on(request, peer, host).await)
        });
        let connection = server::conn::http1::Builder::new();
        let connection = connection.serve_connection(TokioIo::new(stream), service);
        // How it ended, who asked sees.
        task::spawn_local(async move { drop(connection.await) });
    }
}

async fn hand_on(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    host: SocketAddr,
) -> Response<Incoming> {
    let headers = request.headers_mut();
    let caller = HeaderValue::from_str(&peer.ip().to_string()).unwrap();
    headers.insert("x-forwarded-for", caller);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let stream = TcpStream::connect(host).await.unwrap();
    let handshake = client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    task::spawn_local(async move { drop(connection.await) });
    sender.send_request(request).await.unwrap()
}
