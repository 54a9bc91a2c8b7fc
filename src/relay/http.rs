//! Plain HTTP/1.1 and 1.0 (RFC 9112) in the phones' network, for those whose TLS or certificates are too old for the server's.
//!
//! What it deliberately does not do: no TLS, no decision about files, and no address from the Host header.

mod sending;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time;

use crate::platform::native::wire::Conduct;
use crate::platform::native::wire::Wire;
use crate::relay::carrier::Answer;
use crate::relay::carrier::Carrier;
use crate::relay::carrier::Visitor;
use crate::relay::carrier::Wanted;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::failure::FailureKind;
use crate::relay::carrier::largest_upload;
use crate::relay::carrier::target::Target;
use crate::relay::carrier::target::onward;
use crate::relay::http::sending::Sending;
use crate::relay::http::sending::Told;
use crate::relay::metrics::Protocol;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Begins to listen; port 0 lets the system choose one.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The same on a socket that listens already.
    pub fn on(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped, and every connection with it. Must run within a `LocalSet`.
    pub async fn run(self, carrier: Carrier) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn_local(serve(stream, peer, carrier.clone()));
                    }
                    // Out of descriptors, most likely: others are given back by and by.
                    Err(_) => time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }
}

/// Serves a connection to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, carrier: Carrier) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // A response's last piece must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let visitor = Visitor::new(Protocol::Http, peer.ip(), local);
    let service = service_fn(|request| {
        let desk = Desk {
            carrier: carrier.clone(),
            visitor: visitor.clone(),
            peer,
        };
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let conduct = Rc::new(Conduct::default());
    let wire = TokioIo::new(Wire::new(stream, conduct.clone()));
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .half_close(true);
    let mut connection = pin!(protocol.serve_connection(wire, service));
    let mut ticks = time::interval(PATIENCE);
    ticks.reset();
    loop {
        tokio::select! {
            // How a connection ended is the phone's affair.
            _ = connection.as_mut() => return,
            _ = ticks.tick() => {
                if !conduct.has_moved() {
                    return;
                }
            }
        }
    }
}

/// Answers one request.
struct Desk {
    carrier: Carrier,
    visitor: Visitor,
    peer: SocketAddr,
}

impl Desk {
    async fn answer(self, request: Request<Incoming>) -> Response<Sending> {
        let begun = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answered = match Target::parse(request.uri()) {
            Err(_) => Err(Failure::missing()),
            Ok(target) => match method {
                Method::GET | Method::HEAD => self.read(target, &request).await,
                Method::PUT | Method::POST => self.write(target, request).await,
                _ => Ok(refusal(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method not allowed",
                )),
            },
        };
        let answer = answered.unwrap_or_else(|failure| of_failure(&failure));
        let told = Told {
            carrier: self.carrier,
            method: method.clone(),
            file: path.trim_start_matches('/').to_owned(),
            peer: self.peer,
            status: answer.status,
            begun,
        };
        respond(answer, &method, told)
    }

    async fn read(&self, target: Target, request: &Request<Incoming>) -> Result<Answer, Failure> {
        let wanted = Wanted {
            method: request.method().clone(),
            target,
            headers: onward(request.headers()),
        };
        self.carrier.ask(&self.visitor, wanted).await
    }

    async fn write(&self, target: Target, request: Request<Incoming>) -> Result<Answer, Failure> {
        let (head, mut body) = request.into_parts();
        let length = body.size_hint().lower();
        if length > largest_upload() {
            return Err(Failure::too_large());
        }
        let headers = onward(&head.headers);
        let storing = self
            .carrier
            .upload(&self.visitor, target, head.method, headers, None);
        let mut storing = storing?;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let cut_off = |_| Failure::new(FailureKind::Other, "the upload was cut off");
            if let Ok(bytes) = frame.map_err(cut_off)?.into_data() {
                storing.write(&bytes)?;
            }
        }
        poll_fn(|context| storing.poll_end(context)).await
    }
}

fn respond(answer: Answer, method: &Method, told: Told) -> Response<Sending> {
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("GET, HEAD, PUT, POST");
        response
            .headers_mut()
            .entry(header::ALLOW)
            .or_insert(allowed);
    }
    let bodiless = *method == Method::HEAD || answer.status == StatusCode::NOT_MODIFIED;
    let sending = Sending::new(answer.body, bodiless, told);
    response.map(|()| sending)
}

fn of_failure(failure: &Failure) -> Answer {
    let mut answer = refusal(failure.status(), &failure.message);
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        let later = HeaderValue::from_static("30");
        answer.headers.insert(header::RETRY_AFTER, later);
    }
    answer
}

fn refusal(status: StatusCode, text: &str) -> Answer {
    let mut headers = HeaderMap::new();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    Answer::plain(status, headers, Bytes::from(format!("{text}\n")))
}

/// A branch of a thousand phones.
const CONNECTIONS: usize = 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For a whole head, and for how long a connection may idle between requests.
const HEAD: Duration = Duration::from_secs(30);
/// How long nothing at all may move. Phones erase flash between two reads.
const PATIENCE: Duration = Duration::from_secs(120);
const HEADERS: usize = 64;
const BUFFER: usize = 32 << 10;
