//! One request and its response: hyper's types to the handler's and back.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use http_body::Body as HttpBody;
use http_body::Frame;
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio::task;

use crate::path::RequestPath;
use crate::path::percent_decode;
use crate::platform::native::ServeOptions;
use crate::platform::native::Store;
use crate::platform::native::body::Sending;
use crate::platform::native::caller::Caller;
use crate::platform::native::failures::Failures;
use crate::platform::native::live::Live;
use crate::platform::native::live::Watching;
use crate::platform::native::log::Log;
use crate::platform::native::log::rfc3339;
use crate::platform::native::proxy::Proxies;
use crate::platform::native::replays::Counted;
use crate::platform::native::wire::Conduct;
use crate::respond::Payload;
use crate::respond::Request;
use crate::respond::Response;
#[cfg(feature = "operator")]
use crate::respond::admitted;
use crate::respond::respond;
use crate::respond::too_many;
use crate::route::Explanation;
use crate::route::Logged;
use crate::secret::DeploymentSecrets;
use crate::store::directory::Upload;
use crate::token::Token;

/// What all requests are answered with.
#[derive(Debug)]
pub(super) struct Exchange<S> {
    store: Arc<S>,
    site: Option<String>,
    secrets: Option<DeploymentSecrets>,
    replays: Counted,
    failures: Failures,
    proxies: Proxies,
    live: Live,
    log: Log,
    process: u64,
    serial: AtomicU64,
}

/// A request's line in the log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    /// A name that does not change, for whoever acts on the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    /// Who asks. It stands before all that a client can write into a line.
    client: IpAddr,
    peer: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    status: u16,
    #[serde(flatten)]
    explained: Logged<'a>,
    bytes: u64,
    ms: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

/// Who watches, what is sent to them, and as whom.
type Watch = (Watching, Receiver<Bytes>, Token);

/// What a request's line in the log is made from once the response is out.
struct Report {
    began: Instant,
    client: IpAddr,
    peer: SocketAddr,
    failed: bool,
    method: Method,
    path: String,
    user_agent: Option<String>,
    status: StatusCode,
    explanation: Explanation,
}

impl<S: Store> Exchange<S> {
    pub(super) fn new(store: Arc<S>, options: &ServeOptions, log: Log) -> Self {
        Self {
            store,
            site: options.site.clone(),
            secrets: options.secrets.clone(),
            replays: Counted::default(),
            failures: Failures::a_minute(options.failures),
            proxies: options.proxies.clone(),
            live: Live::default(),
            log,
            process: RandomState::new().hash_one(std::process::id()),
            serial: AtomicU64::new(0),
        }
    }

    /// The server stops: whoever watches need not be waited for.
    pub(super) fn stop(&self) {
        self.live.end();
    }

    /// Logs a connection that brought no request.
    pub(super) fn refused(&self, peer: SocketAddr, reason: &str) {
        let explanation = Explanation {
            outcome: "refuse",
            reason: reason.to_owned(),
            ..Explanation::default()
        };
        self.log.line(&Line {
            time: rfc3339(SystemTime::now()),
            event: None,
            client: peer.ip().to_canonical(),
            peer,
            method: None,
            path: None,
            status: StatusCode::BAD_REQUEST.as_u16(),
            explained: explanation.logged(),
            bytes: 0,
            ms: 0,
            cut: false,
            user_agent: None,
        });
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        caller: &Rc<Caller>,
        conduct: &Rc<Conduct>,
        request: hyper::Request<Incoming>,
    ) -> hyper::Response<Sending<S::Body>> {
        let began = Instant::now();
        let (head, incoming) = request.into_parts();
        conduct.drained.set(incoming.is_end_stream());
        let caller = Rc::new(caller.behind(&self.proxies, &head.headers));
        let mut report = Report::of(&head, &caller, began);
        let head_only = head.method == Method::HEAD;
        let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
        let mut response = match misframed(&head) {
            Some(reason) => plain(StatusCode::BAD_REQUEST, reason),
            None if is_watch(&head) => match self.watch(&head, &caller) {
                Ok((watching, pieces, token)) => {
                    return self.watched(watching, pieces, token, report);
                }
                Err(refused) => *refused,
            },
            None => {
                let handled = self.clone();
                let handled = handled.handle(caller.clone(), head, incoming, conduct.clone());
                handled.await
            }
        };
        report.failed = response.failed;
        if response.failed && self.failures.too_many(caller.client().network) {
            response = too_many(response.explanation);
        }
        if chunked {
            // RFC 9112 section 6.1: whoever puts us behind another server may see other requests here.
            let close = HeaderValue::from_static("close");
            response.headers.insert(header::CONNECTION, close);
        }
        if head_only {
            response.body = Payload::Bytes(Vec::new());
        }
        report.status = response.status;
        report.explanation = std::mem::take(&mut response.explanation);
        self.translate(response, report)
    }

    /// Runs the handler in a task of its own: a panic ends there, and an upload that has come in whole is
    /// kept even if the phone does not wait for the answer.
    async fn handle(
        self: Arc<Self>,
        caller: Rc<Caller>,
        head: Parts,
        incoming: Incoming,
        conduct: Rc<Conduct>,
    ) -> Response<S::Body> {
        let upload = Upload::new(Arriving { incoming, conduct });
        let handled = task::spawn_local(async move {
            let request = self.request(&head, &caller);
            respond(&*self.store, request, upload).await
        });
        let panicked = |_| plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked");
        handled.await.unwrap_or_else(panicked)
    }

    fn request<'a>(&'a self, head: &'a Parts, caller: &'a Caller) -> Request<'a> {
        let target = head.uri.path_and_query();
        Request {
            method: &head.method,
            target: target.map_or("", |target| target.as_str()),
            host: host(head),
            headers: &head.headers,
            now: milliseconds(SystemTime::now()),
            id: self.id(),
            fallback_site: self.site.as_deref(),
            client: caller.client(),
            secrets: self.secrets.as_ref(),
            replays: &self.replays,
            operator: false,
        }
    }

    /// Lets whoever has a token watch; or says why not.
    fn watch(&self, head: &Parts, caller: &Caller) -> Result<Watch, Box<Response<S::Body>>> {
        let token = admitted(&self.request(head, caller))?;
        let busy = || {
            Box::new(plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many watch already",
            ))
        };
        let (watching, pieces) = self.live.watch().ok_or_else(busy)?;
        Ok((watching, pieces, token))
    }

    /// The answer to whoever watches: it ends when they go, or the server does.
    fn watched(
        self: Arc<Self>,
        watching: Watching,
        pieces: Receiver<Bytes>,
        token: Token,
        mut report: Report,
    ) -> hyper::Response<Sending<S::Body>> {
        report.explanation.outcome = "operate";
        report.explanation.reason = "watches".to_owned();
        let store = self.store.clone();
        task::spawn_local(watching.run(async move |site| {
            let Some(tenant) = &token.tenant else {
                return true;
            };
            // A tenant sees its own sites, and nothing of those that are nobody's.
            let Some(site) = site else {
                return false;
            };
            let record = store.site(site).await.ok().flatten();
            record.is_some_and(|record| record.tenant.as_ref() == Some(tenant))
        }));
        let finish = move |bytes, _| self.log.line(&report.line(bytes, true));
        let mut response = hyper::Response::new(Sending::live(pieces, Box::new(finish)));
        let headers = response.headers_mut();
        let events = HeaderValue::from_static("text/event-stream");
        headers.insert(header::CONTENT_TYPE, events);
        let private = HeaderValue::from_static("private, no-store");
        headers.insert(header::CACHE_CONTROL, private);
        response
    }

    fn translate(
        self: Arc<Self>,
        response: Response<S::Body>,
        report: Report,
    ) -> hyper::Response<Sending<S::Body>> {
        let contact = response.contact;
        let finish = move |bytes, whole| {
            let line = report.line(bytes, whole);
            self.log.line(&line);
            self.live.tell(report.explanation.site.as_deref(), &line);
            if let Some((site, mac, contact)) = contact {
                // A contact that cannot be written is no reason to trouble the phone.
                task::spawn_local(async move {
                    let _ = self.store.record_contact(&site, mac, &contact).await;
                });
            }
        };
        let mut translated = hyper::Response::new(Sending::new(response.body, Box::new(finish)));
        *translated.status_mut() = response.status;
        *translated.headers_mut() = response.headers;
        translated
    }

    fn id(&self) -> u128 {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        u128::from(self.process) << 64 | u128::from(serial)
    }
}

impl Report {
    fn of(head: &Parts, caller: &Caller, began: Instant) -> Self {
        let user_agent = head.headers.get(header::USER_AGENT);
        let user_agent = user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self {
            began,
            client: caller.address,
            peer: caller.peer,
            failed: false,
            method: head.method.clone(),
            path: logged_path(head.uri.path()),
            user_agent: user_agent.map(|text| shortened(&text)),
            status: StatusCode::OK,
            explanation: Explanation::default(),
        }
    }

    fn line(&self, bytes: u64, whole: bool) -> Line<'_> {
        Line {
            time: rfc3339(SystemTime::now()),
            event: self.failed.then_some(REFUSED_CREDENTIAL),
            client: self.client,
            peer: self.peer,
            method: Some(self.method.as_str()),
            path: Some(&self.path),
            status: self.status.as_u16(),
            explained: self.explanation.logged(),
            bytes,
            ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            cut: !whole,
            user_agent: self.user_agent.as_deref(),
        }
    }
}

/// A request's body. Once it has been read to its end, nothing is left on the wire.
struct Arriving {
    incoming: Incoming,
    conduct: Rc<Conduct>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if self.incoming.is_end_stream() {
            self.conduct.drained.set(true);
        }
        polled.map_err(Into::into)
    }
}

/// Requests as they happen are the native server's own endpoint: other platforms have no place that sees them all.
fn is_watch(head: &Parts) -> bool {
    cfg!(feature = "operator") && head.method == Method::GET && head.uri.path() == "/-/v1/watch"
}

/// Without its endpoints there are no operators.
#[cfg(not(feature = "operator"))]
fn admitted<Body>(_: &Request<'_>) -> Result<Token, Box<Response<Body>>> {
    Err(Box::new(plain(
        StatusCode::NOT_FOUND,
        "there are no endpoints",
    )))
}

/// Why a request does not say clearly where it goes or where it ends (RFC 9112 sections 3.2 and 6.3).
fn misframed(head: &Parts) -> Option<&'static str> {
    let hosts = head.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || hosts == 0 && head.version == Version::HTTP_11 {
        return Some("HTTP/1.1 takes one Host header");
    }
    let reads = !matches!(head.method, Method::PUT | Method::POST);
    (reads && head.headers.contains_key(header::TRANSFER_ENCODING))
        .then_some("only uploads have a Transfer-Encoding")
}

/// The host of the target wins over the Host header (RFC 9112 section 3.2.2).
fn host(head: &Parts) -> Option<&str> {
    let from_header = || head.headers.get(header::HOST)?.to_str().ok();
    let of_target = head.uri.authority();
    // What stands before the `@` is a password.
    let without_user = |text: &'_ str| text.rsplit('@').next().map(str::len);
    match of_target {
        Some(authority) => {
            let text = authority.as_str();
            text.get(text.len() - without_user(text)?..)
        }
        None => from_header(),
    }
}

fn plain<Body>(status: StatusCode, reason: &str) -> Response<Body> {
    let text = status.canonical_reason().unwrap_or_default();
    let text = format!("{}\n", text.to_ascii_lowercase());
    let mut headers = HeaderMap::new();
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response {
        status,
        headers,
        body: Payload::Bytes(text.into_bytes()),
        explanation: Explanation {
            outcome: "refuse",
            reason: reason.to_owned(),
            ..Explanation::default()
        },
        failed: false,
        contact: None,
    }
}

/// A path as it is understood, or as it came if it is not; and a dash for what may be a key, or one that was
/// mistyped, for with all but a digit of it the rest is guessed.
fn logged_path(path: &str) -> String {
    let path = match RequestPath::parse(path) {
        Ok(clean) => format!("/{clean}"),
        Err(_) => percent_decode(path).unwrap_or_else(|| path.to_owned()),
    };
    let between = |letter: char| !letter.is_ascii_alphanumeric();
    let pieces = path.split_inclusive(between).flat_map(|piece| {
        let run = piece.trim_end_matches(between);
        let after = piece.get(run.len()..).unwrap_or_default();
        [if run.len() < KEY_LIKE { run } else { "-" }, after]
    });
    shortened(&pieces.collect::<String>())
}

/// What phones send is short, what others send is not worth a long line.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_LOGGED).collect()
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the filter in deploy/fail2ban looks for.
const REFUSED_CREDENTIAL: &str = "refused-credential";
const LONGEST_LOGGED: usize = 256;
/// Letters and digits in a row; the longest that a phone asks for are the 24 of `SoundPointIPLocalization`.
const KEY_LIKE: usize = 25;
