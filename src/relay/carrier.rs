//! Between the listeners and the server: what a phone asks for, by whichever protocol, is judged, looked for in the cache, asked
//! of the server; what it uploads is spooled.
//!
//! A listener needs [`Carrier::fetch`] and [`Carrier::store`]; one that speaks HTTP [`Carrier::ask`] and [`Carrier::upload`]. What
//! this deliberately does not do: speak to phones, or know what is in a file.

pub mod body;
pub mod failure;
mod flying;
mod storing;
pub mod target;

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::access;
use crate::mac::MacAddress;
use crate::relay::cache::Cache;
use crate::relay::cache::Question;
use crate::relay::cache::flight::Flights;
use crate::relay::carrier::body::Body;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::failure::FailureKind;
pub use crate::relay::carrier::storing::Storing;
use crate::relay::carrier::target::Target;
use crate::relay::identity::Denied;
use crate::relay::identity::Policy;
use crate::relay::identity::Routed;
use crate::relay::identity::Word;
use crate::relay::journal::Journal;
use crate::relay::metrics::Metrics;
use crate::relay::metrics::Protocol;
use crate::relay::neighbours::Neighbours;
use crate::relay::sealed::Found;
use crate::relay::spool::Spool;
use crate::relay::upstream::Ask;
use crate::relay::upstream::Fetched;
use crate::relay::upstream::Health;
use crate::relay::upstream::REDIRECTS;
use crate::relay::upstream::Upstream;
use crate::relay::upstream::UpstreamError;
use crate::tftp::name::FileName;
use crate::user_agent::UserAgent;

/// What carries phones' files; clones are the same.
#[derive(Clone, Debug)]
pub struct Carrier(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    name: HeaderValue,
    policy: Policy,
    neighbours: Neighbours,
    routed: Routed,
    cache: Option<Cache>,
    flights: Flights,
    spool: Option<Spool>,
    metrics: Rc<Metrics>,
    journal: Journal,
}

/// What a carrier is made of.
#[derive(Debug)]
pub struct Parts {
    /// The server.
    pub upstream: Upstream,
    /// What the relay is called there.
    pub name: HeaderValue,
    /// Whose files phones get.
    pub policy: Policy,
    /// Who they are.
    pub neighbours: Neighbours,
    /// What is said of them.
    pub journal: Journal,
}

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of files that came from the server.
    pub cache: u64,
    /// Bytes of uploads that wait for it.
    pub spool: u64,
}

/// A phone, as a listener sees it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Its address.
    pub peer: IpAddr,
    /// The address by which it reached the relay, such as `tftp://192.0.2.1`: what stands in its files.
    pub base: String,
    /// How it asks.
    pub protocol: Protocol,
}

/// A request of a phone that speaks HTTP.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// GET or HEAD.
    pub method: Method,
    /// The file.
    pub target: Target,
    /// What goes on to the server, [`target::onward`].
    pub headers: HeaderMap,
}

/// What it gets.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers, without those of the connection and the body's length.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// The server could not be asked, and may have another by now.
    pub stale: bool,
}

/// How long a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Length {
    /// Its bytes.
    pub bytes: u64,
    /// The server could not be asked: good enough to be told, and not to write by.
    pub stale: bool,
}

impl Visitor {
    /// A phone at the other end of a socket.
    ///
    /// An interface is none of the phone's concern, nor is a port that it knows by itself.
    pub fn new(protocol: Protocol, peer: IpAddr, local: SocketAddr) -> Self {
        let (scheme, known) = match protocol {
            Protocol::Ftp => ("ftp", 21),
            Protocol::Http => ("http", 80),
            Protocol::Tftp => ("tftp", 69),
        };
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let base = match local {
            SocketAddr::V4(it) if it.port() == known => format!("{scheme}://{}", it.ip()),
            SocketAddr::V6(it) if it.port() == known => format!("{scheme}://[{}]", it.ip()),
            _ => format!("{scheme}://{local}"),
        };
        Self {
            peer,
            base,
            protocol,
        }
    }
}

impl Carrier {
    /// A carrier without a disk: nothing is kept, and an upload is stored when the server has it.
    pub fn new(parts: Parts) -> Self {
        Self::assemble(parts, Rc::default(), None, None)
    }

    /// A carrier that keeps files and uploads in a directory. No other may use it.
    pub fn with_state(parts: Parts, state: &Path, limits: Limits) -> io::Result<Self> {
        let metrics = Rc::<Metrics>::default();
        let cache = Cache::open(&state.join("cache"), limits.cache, metrics.clone())?;
        let journal = parts.journal.clone();
        let spool = Spool::open(state, limits.spool, metrics.clone(), journal)?;
        Ok(Self::assemble(parts, metrics, Some(cache), Some(spool)))
    }

    fn assemble(
        parts: Parts,
        metrics: Rc<Metrics>,
        cache: Option<Cache>,
        spool: Option<Spool>,
    ) -> Self {
        Self(Rc::new(Shared {
            upstream: parts.upstream,
            name: parts.name,
            policy: parts.policy,
            neighbours: parts.neighbours,
            routed: Routed::default(),
            cache,
            flights: Flights::default(),
            spool,
            metrics,
            journal: parts.journal,
        }))
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What is known of the server.
    pub fn health(&self) -> &Health {
        self.0.upstream.health()
    }

    /// The log.
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// The file of this name, from `offset` on: `Err` where there is none, or none to be had.
    pub async fn fetch(
        &self,
        visitor: &Visitor,
        name: &FileName,
        offset: u64,
    ) -> Result<Body, Failure> {
        let answer = self
            .ask(
                visitor,
                Wanted {
                    method: Method::GET,
                    target: Target::of(name),
                    headers: HeaderMap::new(),
                },
            )
            .await?;
        if answer.status != StatusCode::OK {
            return Err(Failure::of_status(answer.status));
        }
        let mut body = answer.body;
        body.skip(offset);
        Ok(body)
    }

    /// How long the file of this name is, with what was uploaded of it and the server does not have yet: where an upload goes on.
    pub async fn length(&self, visitor: &Visitor, name: &FileName) -> Result<Length, Failure> {
        let target = Target::of(name);
        let word = self.judge(visitor, &target)?;
        let spool = self.0.spool.as_ref();
        if let Some(bytes) = spool.and_then(|spool| spool.end(&word, target.as_str())) {
            return Ok(Length {
                bytes,
                stale: false,
            });
        }
        let wanted = Wanted {
            method: Method::HEAD,
            target,
            headers: HeaderMap::new(),
        };
        let answer = self.ask(visitor, wanted).await?;
        if answer.status != StatusCode::OK {
            return Err(Failure::of_status(answer.status));
        }
        let length = answer.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let stale = answer.stale;
        length
            .map(|bytes| Length { bytes, stale })
            .ok_or_else(|| Failure::new(FailureKind::Other, "the server tells no length"))
    }

    /// Begins an upload under this name; `append` is where it continues what was uploaded before.
    pub async fn store(
        &self,
        visitor: &Visitor,
        name: &FileName,
        append: Option<u64>,
    ) -> Result<Storing, Failure> {
        self.upload(
            visitor,
            Target::of(name),
            Method::PUT,
            HeaderMap::new(),
            append,
        )
    }

    /// The same for a phone that speaks HTTP.
    pub fn upload(
        &self,
        visitor: &Visitor,
        target: Target,
        method: Method,
        headers: HeaderMap,
        append: Option<u64>,
    ) -> Result<Storing, Failure> {
        let word = self.judge(visitor, &target)?;
        let (visitor, carrier) = (visitor.clone(), self.clone());
        Storing::new(storing::Begun {
            carrier,
            visitor,
            target,
            method,
            headers,
            append,
            word,
        })
    }

    /// Answers a request of a phone that speaks HTTP, GET or HEAD.
    pub async fn ask(&self, visitor: &Visitor, wanted: Wanted) -> Result<Answer, Failure> {
        let word = self.judge(visitor, &wanted.target)?;
        let spool = self.0.spool.as_ref();
        let device = self.device(&word, &wanted.target);
        if let Some(parts) = spool.and_then(|spool| spool.pending(device, wanted.target.as_str())) {
            return Ok(Answer::of_parts(parts));
        }
        let question = Question {
            device,
            base: &visitor.base,
            target: wanted.target.as_str(),
            kind: &kind(&wanted.headers),
        };
        let key = question.key();
        let asking = flying::Asking {
            carrier: self.clone(),
            ask: self.request(visitor, &word, &wanted),
            device,
            key,
        };
        asking.answer(&wanted).await
    }

    /// What phones have uploaded goes to the server, for ever.
    pub async fn run(&self) {
        match &self.0.spool {
            None => std::future::pending().await,
            Some(spool) => {
                let carrier = self.clone();
                spool
                    .run(move |about, bytes| storing::deliver(carrier.clone(), about, bytes))
                    .await;
            }
        }
    }

    /// Whether the phone may ask for this, and what is known of it.
    fn judge(&self, visitor: &Visitor, target: &Target) -> Result<Word, Failure> {
        let shared = &*self.0;
        let peer = visitor.peer.to_canonical();
        let trusted = shared.policy.trusts(peer);
        let neighbour = if trusted {
            None
        } else {
            shared.neighbours.find(peer)
        };
        if let Some(problem) = shared.neighbours.take_problem() {
            let reason = format!("--neighbours: {problem}; what it said before still holds");
            shared.journal.event("neighbours", &reason);
        }
        if let (Some(neighbour), [named]) = (neighbour, target.macs()) {
            let warning = shared.routed.warning(peer, neighbour.mac, *named);
            if let Some(warning) = warning {
                shared.journal.event("routed-clients", &warning);
            }
        }
        let judged = shared.policy.judge(peer, neighbour, target.macs());
        judged.map_err(|denied: Denied| {
            shared.metrics.refusals.count();
            let (reason, mac) = (denied.to_string(), neighbour.map(|it| it.mac));
            let file = target.as_str();
            shared.journal.about("refused", &reason, file, peer, mac);
            Failure::denied()
        })
    }

    /// The device whose own the file is, where its name says so and the relay vouches for it.
    fn device(&self, word: &Word, target: &Target) -> Option<MacAddress> {
        word.mac().filter(|_| !target.macs().is_empty())
    }

    fn request(&self, visitor: &Visitor, word: &Word, wanted: &Wanted) -> Ask {
        let mut ask = Ask::new(wanted.method.clone(), wanted.target.as_str());
        ask.headers = wanted.headers.clone();
        ask.redirects = match visitor.protocol {
            Protocol::Ftp | Protocol::Tftp => REDIRECTS,
            // Whoever speaks HTTP is told where the file is, and may have another way there.
            Protocol::Http => 0,
        };
        self.introduce(&mut ask.headers, &word.to_string(), &visitor.base);
        ask
    }

    /// The headers by which the server knows the relay, and what it says of the phone.
    fn introduce(&self, headers: &mut HeaderMap, word: &str, base: &str) {
        headers.insert(access::RELAY, self.0.name.clone());
        let lines = [(access::RELAY_DEVICE, word), (access::RELAY_BASE, base)];
        for (name, value) in lines {
            // Both are made of addresses, which every header can hold.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Asks the server, and says so to what waits for it.
    async fn send(&self, ask: &Ask) -> Result<Fetched, UpstreamError> {
        let answer = self.0.upstream.send(ask).await;
        if let (Ok(answer), Some(spool)) = (&answer, &self.0.spool)
            && !answer.status.is_server_error()
        {
            spool.reached();
        }
        answer
    }
}

impl Answer {
    fn of_parts(parts: Vec<Found>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Body::of_parts(parts),
            stale: false,
        }
    }

    /// One that is made here.
    pub(super) fn plain(status: StatusCode, headers: HeaderMap, bytes: Bytes) -> Self {
        Self {
            status,
            headers,
            body: Body::of_bytes(bytes),
            stale: false,
        }
    }
}

/// How many bytes an upload has at most.
pub fn largest_upload() -> u64 {
    storing::LARGEST
}

/// The kind of phone, as far as a server may answer by it: not the version, which changes between two boots.
fn kind(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| UserAgent::parse(agent.to_str().ok()?));
    agent.map_or_else(String::new, |agent| {
        format!("{} {}", agent.vendor.name, agent.model)
    })
}

/// Headers of one connection (RFC 9110 section 7.6.1), and what would lead phones to where they cannot go.
fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter();
    let named: Vec<String> = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if !HOP_BY_HOP.contains(name) && !named.iter().any(|other| other == name.as_str()) {
            kept.append(name, value.clone());
        }
    }
    kept
}

const HOP_BY_HOP: [HeaderName; 10] = [
    header::ALT_SVC,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::Visitor;
    use crate::relay::metrics::Protocol;

    #[test]
    fn bases() {
        for (protocol, local, expected) in [
            (Protocol::Tftp, "192.0.2.1:69", "tftp://192.0.2.1"),
            (Protocol::Tftp, "192.0.2.1:6969", "tftp://192.0.2.1:6969"),
            (Protocol::Tftp, "[::ffff:192.0.2.1]:69", "tftp://192.0.2.1"),
            (Protocol::Tftp, "[2001:db8::1]:69", "tftp://[2001:db8::1]"),
            (
                Protocol::Tftp,
                "[2001:db8::1]:70",
                "tftp://[2001:db8::1]:70",
            ),
            (Protocol::Ftp, "192.0.2.1:21", "ftp://192.0.2.1"),
            (Protocol::Ftp, "192.0.2.1:80", "ftp://192.0.2.1:80"),
            (Protocol::Http, "[2001:db8::1]:80", "http://[2001:db8::1]"),
        ] {
            let local = local.parse().unwrap();
            let visitor = Visitor::new(protocol, [192, 0, 2, 7].into(), local);
            assert_eq!(visitor.base, expected);
        }
    }
}
