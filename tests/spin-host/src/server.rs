//! HTTP/1.1 to the component.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http::uri::Scheme;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::io::TokioIo;

use crate::instance::Maker;
use crate::instance::Shared;
use crate::settings::Settings;

/// A host that listens.
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    listener: TcpListener,
    handler: ProxyHandler<Maker>,
}

impl Server {
    /// Opens the store, compiles the component and listens.
    pub async fn start(settings: Settings) -> wasmtime::Result<Self> {
        let shared = Shared::open(settings)?;
        let maker = Maker::new(shared.clone())?;
        Ok(Self {
            listener: TcpListener::bind(shared.settings.listen).await?,
            handler: ProxyHandler::new(maker),
            shared,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn serve(&self) -> io::Result<()> {
        loop {
            let (stream, client) = self.listener.accept().await?;
            tokio::spawn(connection(stream, client, self.handler.clone()));
        }
    }
}

async fn connection(stream: TcpStream, client: SocketAddr, handler: ProxyHandler<Maker>) {
    // Without it a response of two packets waits for the client's delayed acknowledgment.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, io::Error>(answer(&handler, request, client).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        eprintln!("spin-host: connection from {client}: {error:?}");
    }
}

async fn answer(
    handler: &ProxyHandler<Maker>,
    mut request: Request<Incoming>,
    client: SocketAddr,
) -> Response<WasiBody> {
    let counters = &handler.state().shared.counters;
    counters.count(|counts| counts.requests += 1);
    let answered = match prepare(&mut request, client) {
        Some(()) => {
            let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
            handler.handle((), request).await
        }
        None => Err(wasmtime::format_err!("no Host header that can be read")),
    };
    answered.unwrap_or_else(|error| {
        counters.count(|counts| counts.failed += 1);
        eprintln!("spin-host: request failed: {error:?}");
        let body = Empty::new().map_err(Error::from).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Makes the target absolute and adds the headers that Spin adds and that somebody might read.
fn prepare(request: &mut Request<Incoming>, client: SocketAddr) -> Option<()> {
    let mut parts = request.uri().clone().into_parts();
    if parts.authority.is_none() {
        let host = request.headers().get(header::HOST)?.to_str().ok()?;
        parts.authority = Some(host.parse().ok()?);
    }
    parts.scheme = Some(Scheme::HTTP);
    let uri = Uri::from_parts(parts).ok()?;
    let full = HeaderValue::try_from(uri.to_string()).ok()?;
    let client = HeaderValue::try_from(client.to_string()).ok()?;
    let headers = request.headers_mut();
    headers.insert("spin-full-url", full);
    headers.insert("spin-client-addr", client);
    *request.uri_mut() = uri;
    Some(())
}
