//! A file for a phone: from the cache where the server says that it is the newest, or cannot say anything; else from the server,
//! asked once for all phones that ask at the same time (RFC 9111 section 4, RFC 5861 section 4).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use tokio::task;

use crate::date;
use crate::mac::MacAddress;
use crate::precondition;
use crate::precondition::Validators;
use crate::precondition::Verdict;
use crate::range;
use crate::range::Requested;
use crate::relay::cache::About;
use crate::relay::cache::Cache;
use crate::relay::cache::Entry;
use crate::relay::cache::Filling;
use crate::relay::cache::Key;
use crate::relay::cache::flight::Arriving;
use crate::relay::cache::flight::End;
use crate::relay::cache::flight::Flight;
use crate::relay::cache::flight::Landing;
use crate::relay::carrier::Answer;
use crate::relay::carrier::Carrier;
use crate::relay::carrier::Wanted;
use crate::relay::carrier::body::Body;
use crate::relay::carrier::body::Resume;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::now;
use crate::relay::carrier::without_hop_by_hop;
use crate::relay::upstream::Ask;
use crate::relay::upstream::Fetched;
use crate::relay::upstream::Fetching;

/// A question of a phone's, judged.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) carrier: Carrier,
    pub(super) ask: Ask,
    /// The device that the relay vouches for, if the file is its own.
    pub(super) device: Option<MacAddress>,
    pub(super) key: Key,
}

/// An answer that is for who asked first alone.
type Alone = Rc<RefCell<Option<Fetched>>>;

impl Asking {
    pub(super) async fn answer(self, wanted: &Wanted) -> Result<Answer, Failure> {
        let Some(cache) = self.carrier.0.cache.clone() else {
            return self.direct(None, wanted).await;
        };
        let conditional = CONDITIONS.iter().any(|it| wanted.headers.contains_key(it));
        let mut riding = match conditional {
            // Who arrives with others gets all of the file.
            true => None,
            false => self.carrier.0.flights.find(&self.key),
        };
        let credential = wanted.headers.contains_key(header::AUTHORIZATION);
        let plain = wanted.method == Method::GET && !credential;
        let mut alone = Alone::default();
        if !plain || riding.is_none() {
            let entry = cache.find(&self.key).await;
            if !plain || (entry.is_none() && conditional) {
                return self.direct(entry, wanted).await;
            }
            if let Some(entry) = entry.as_ref().filter(|entry| self.is_fresh(entry)) {
                self.count_hit(entry);
                return Ok(answer_with(entry.clone(), wanted));
            }
            // Somebody may have begun meanwhile.
            riding = self.carrier.0.flights.find(&self.key);
            if riding.is_none() {
                riding = Some(self.begin(cache, entry, &mut alone));
            }
        }
        match riding {
            Some(flight) => self.ride(flight, &alone, wanted).await,
            None => self.direct(None, wanted).await,
        }
    }

    /// What the server said a moment ago of files that phones share, and of their absence, still holds.
    fn is_fresh(&self, entry: &Entry) -> bool {
        let longest = if entry.is_negative() {
            FRESH_NEGATIVE
        } else {
            FRESH
        };
        self.device.is_none() && entry.is_fresh(longest)
    }

    fn count_hit(&self, entry: &Entry) {
        let metrics = &self.carrier.0.metrics;
        if entry.is_negative() {
            metrics.negative_hits.count();
        } else {
            metrics.cache_hits.count();
        }
    }

    fn begin(&self, cache: Cache, entry: Option<Entry>, alone: &mut Alone) -> Rc<Flight> {
        let flight = self.carrier.0.flights.begin(&self.key);
        let mut ask = self.ask.clone();
        CONDITIONS
            .iter()
            .for_each(|name| drop(ask.headers.remove(name)));
        let pilot = Pilot {
            asking: Self {
                ask,
                ..self.clone()
            },
            cache,
            entry,
            flight: Rc::downgrade(&flight),
            alone: alone.clone(),
        };
        flight.set_task(task::spawn_local(pilot.fly()).abort_handle());
        flight
    }

    async fn ride(
        self,
        flight: Rc<Flight>,
        alone: &Alone,
        wanted: &Wanted,
    ) -> Result<Answer, Failure> {
        match flight.landing().await {
            Landing::Answer(status, headers, bytes) => Ok(Answer::plain(status, headers, bytes)),
            Landing::Entry(entry) => Ok(answer_with(entry, wanted)),
            Landing::Down => Err(Failure::unreachable()),
            Landing::Separate => match alone.take() {
                Some(fetched) => Ok(answer_of(fetched, &wanted.method)),
                None => self.direct(None, wanted).await,
            },
            Landing::Arriving(arriving) => {
                let (carrier, ask) = (self.carrier.clone(), self.ask.clone());
                let headers = arriving.headers.clone();
                let resume = Resume { carrier, ask };
                Ok(Answer {
                    status: StatusCode::OK,
                    headers,
                    body: Body::of_flight(flight, arriving, resume),
                    stale: false,
                })
            }
        }
    }

    /// Asks the server for this phone alone; `entry` is what can be had without it.
    async fn direct(self, entry: Option<Entry>, wanted: &Wanted) -> Result<Answer, Failure> {
        let stale = entry.filter(|entry| entry.serves_stale(now()));
        match (self.carrier.send(&self.ask).await, stale) {
            (Ok(fetched), Some(entry)) if fails(fetched.status) => Ok(self.stale(entry, wanted)),
            (Err(_), Some(entry)) => Ok(self.stale(entry, wanted)),
            (Ok(fetched), _) => Ok(answer_of(fetched, &wanted.method)),
            (Err(error), None) => Err(error.into()),
        }
    }

    fn stale(&self, entry: Entry, wanted: &Wanted) -> Answer {
        self.carrier.0.metrics.stale_serves.count();
        Answer {
            stale: true,
            ..answer_with(entry, wanted)
        }
    }
}

/// Asks for all.
struct Pilot {
    asking: Asking,
    cache: Cache,
    entry: Option<Entry>,
    flight: Weak<Flight>,
    alone: Alone,
}

impl Pilot {
    async fn fly(mut self) {
        let stale = self.entry.clone().filter(|entry| entry.serves_stale(now()));
        let health = self.asking.carrier.0.upstream.health();
        if let Some(entry) = stale.clone().filter(|_| health.is_silent()) {
            return self.land_stale(entry);
        }
        self.make_conditional();
        if stale.is_some() {
            self.asking.ask.patience = Some(REVALIDATION);
        }
        let answer = self.asking.carrier.send(&self.asking.ask).await;
        match (answer, stale) {
            (Ok(fetched), Some(entry)) if fails(fetched.status) => {
                drop(fetched);
                self.land_stale(entry);
            }
            (Ok(fetched), _) => self.take(fetched).await,
            (Err(_), Some(entry)) => self.land_stale(entry),
            (Err(_), None) => self.land(Landing::Down),
        }
    }

    fn make_conditional(&mut self) {
        let Some(entry) = &self.entry else { return };
        let headers = &mut self.asking.ask.headers;
        if let Some(etag) = entry.header(&header::ETAG) {
            headers.insert(header::IF_NONE_MATCH, etag);
        } else if let Some(date) = entry.header(&header::LAST_MODIFIED) {
            headers.insert(header::IF_MODIFIED_SINCE, date);
        }
    }

    async fn take(self, fetched: Fetched) {
        let metrics = &self.asking.carrier.0.metrics;
        match fetched.status {
            StatusCode::NOT_MODIFIED => match self.entry.clone() {
                Some(entry) => {
                    self.cache.confirm(&entry);
                    metrics.cache_hits.count();
                    self.land(Landing::Entry(entry));
                    fetched.body.finish().await;
                }
                None => self.land(Landing::Down),
            },
            StatusCode::OK => {
                metrics.cache_misses.count();
                self.keep(fetched).await;
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => self.keep_negative(fetched).await,
            status if fails(status) => {
                let headers = without_hop_by_hop(&fetched.headers);
                let bytes = short(fetched.body).await;
                self.land(Landing::Answer(status, headers, bytes));
            }
            _ => {
                // It may not have it any more: then not while the server is away either.
                self.cache.forget(&self.asking.key);
                self.separate(fetched);
            }
        }
    }

    async fn keep(self, fetched: Fetched) {
        let key = &self.asking.key;
        let own = self.asking.device.is_some();
        // Whoever keeps files for the server does not know whose they are.
        let stale = storable(&fetched.headers, own).filter(|_| !(own && fetched.elsewhere));
        let (Some(stale), Ok(filling)) = (stale, self.cache.begin()) else {
            self.cache.forget(key);
            return self.separate(fetched);
        };
        let (Some(file), Some(flight)) = (filling.reader(), self.flight.upgrade()) else {
            return self.separate(fetched);
        };
        let about = About::new(key, StatusCode::OK, &fetched.headers, stale);
        flight.land(Landing::Arriving(Arriving {
            headers: without_hop_by_hop(&fetched.headers),
            length: fetched.body.length(),
            file,
        }));
        drop(flight);
        let arrived = self.fill(fetched.body, filling).await;
        let Some((filling, flight)) = arrived.zip(self.flight.upgrade()) else {
            return;
        };
        // The server need not be asked for it again, whoever is still there to read it.
        flight.detach();
        flight.end(End::Whole);
        if let Err(error) = filling.keep(key, &about).await {
            self.complain(&error);
        }
        flight.settle();
    }

    /// Writes what arrives; `None` if that is not all.
    async fn fill(&self, mut body: Fetching, mut filling: Filling) -> Option<Filling> {
        let mut written = 0;
        loop {
            let came = poll_fn(|context| body.poll_bytes(context)).await;
            let flight = self.flight.upgrade()?;
            let Ok(came) = came else {
                flight.end(End::Broken);
                return None;
            };
            let Some(bytes) = came else {
                return Some(filling);
            };
            if let Err(error) = filling.write(&bytes) {
                self.complain(&error);
                flight.end(End::Full);
                return None;
            }
            written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            flight.set_written(written);
        }
    }

    async fn keep_negative(self, fetched: Fetched) {
        let (status, key) = (fetched.status, &self.asking.key);
        let about = About::new(key, status, &fetched.headers, STALE_NEGATIVE);
        let headers = without_hop_by_hop(&fetched.headers);
        let bytes = short(fetched.body).await;
        // Whatever becomes of what follows, the file that there was is not served any more.
        self.cache.forget(key);
        let flight = self.flight.upgrade();
        if let Some(flight) = &flight {
            flight.detach();
        }
        self.land(Landing::Answer(status, headers, bytes));
        if let Err(error) = self.cache.keep_negative(key, &about).await {
            self.cache.forget(key);
            self.complain(&error);
        }
        drop(flight);
    }

    fn separate(&self, fetched: Fetched) {
        *self.alone.borrow_mut() = Some(fetched);
        self.land(Landing::Separate);
    }

    fn land_stale(&self, entry: Entry) {
        self.asking.carrier.0.metrics.stale_serves.count();
        self.land(Landing::Entry(entry));
    }

    fn land(&self, landing: Landing) {
        if let Some(flight) = self.flight.upgrade() {
            flight.land(landing);
        }
    }

    fn complain(&self, error: &io::Error) {
        let carrier = &self.asking.carrier.0;
        let file = &self.asking.ask.target;
        let reason = format!("{file} is not kept: {error}");
        carrier.journal.event("cache", &reason);
    }
}

/// How long an answer may be served while the server cannot be asked; `None` if it may not be kept.
fn storable(headers: &HeaderMap, own: bool) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter();
    let text: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let text = text.join(",").to_ascii_lowercase();
    let has = |name: &str| text.split(',').any(|part| part.trim() == name);
    let said = text.split(',').find_map(|part| {
        let seconds = part.trim().strip_prefix("stale-if-error=")?;
        seconds
            .trim_matches('"')
            .parse()
            .ok()
            .map(Duration::from_secs)
    });
    if has("no-store") || headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    if has("private") {
        // Only where the relay knows whose it is, and only where the server says for how long.
        return said.filter(|said| own && !said.is_zero());
    }
    Some(said.unwrap_or(STALE))
}

/// Whether a server that answers so has failed, rather than answered.
fn fails(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn answer_of(fetched: Fetched, method: &Method) -> Answer {
    let mut headers = without_hop_by_hop(&fetched.headers);
    let length = fetched.headers.get(header::CONTENT_LENGTH);
    if let (&Method::HEAD, Some(length)) = (method, length) {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    Answer {
        status: fetched.status,
        headers,
        body: Body::of_fetching(fetched.body),
        stale: false,
    }
}

/// An entry, as far as it is asked for (RFC 9110 sections 13 and 14).
fn answer_with(entry: Entry, wanted: &Wanted) -> Answer {
    if entry.is_negative() {
        let bytes = Bytes::from_static(b"not found\n");
        return Answer::plain(StatusCode::NOT_FOUND, HeaderMap::new(), bytes);
    }
    let mut headers = entry.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let modified = text(header::LAST_MODIFIED).and_then(date::parse);
    let validators = Validators {
        etag: text(header::ETAG).unwrap_or_default(),
        modified,
    };
    let verdict = precondition::evaluate(&wanted.headers, validators);
    let range = wanted
        .headers
        .get(header::RANGE)
        .and_then(|it| it.to_str().ok());
    let counts =
        wanted.method == Method::GET && precondition::range_counts(&wanted.headers, validators);
    let range = range
        .filter(|_| counts)
        .map(|it| range::parse(it, entry.length));
    let length = entry.length;
    let mut body = Body::of_entry(entry);
    let status = match (verdict, range.unwrap_or(Requested::Whole)) {
        (Verdict::Failed, _) => StatusCode::PRECONDITION_FAILED,
        (Verdict::NotModified, _) => StatusCode::NOT_MODIFIED,
        (Verdict::Proceed, Requested::Whole) => StatusCode::OK,
        (Verdict::Proceed, Requested::Unsatisfiable) => {
            put(
                &mut headers,
                header::CONTENT_RANGE,
                &format!("bytes */{length}"),
            );
            StatusCode::RANGE_NOT_SATISFIABLE
        }
        (Verdict::Proceed, Requested::Part(range)) => {
            let (first, last) = (range.start, range.end.saturating_sub(1));
            let value = format!("bytes {first}-{last}/{length}");
            put(&mut headers, header::CONTENT_RANGE, &value);
            body.cut(range);
            StatusCode::PARTIAL_CONTENT
        }
    };
    if wanted.method == Method::HEAD {
        put(&mut headers, header::CONTENT_LENGTH, &length.to_string());
    }
    if !status.is_success() || wanted.method == Method::HEAD {
        body = Body::of_bytes(Bytes::new());
    }
    Answer {
        status,
        headers,
        body,
        stale: false,
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The body of an answer that has no file: nobody reads more of it.
async fn short(mut body: Fetching) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Ok(Some(came)) = poll_fn(|context| body.poll_bytes(context)).await {
        let room = SHORT.saturating_sub(bytes.len());
        bytes.extend_from_slice(came.get(..room.min(came.len())).unwrap_or_default());
        if bytes.len() >= SHORT {
            break;
        }
    }
    bytes.freeze()
}

const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// Phones that boot at once ask within this time, and no operator sees the difference.
const FRESH: Duration = Duration::from_secs(2);
/// The same for a file that is missing: phones ask for many of those at each boot.
const FRESH_NEGATIVE: Duration = Duration::from_secs(10);
/// No phone that is known to measure it waits for less than two seconds.
const REVALIDATION: Duration = Duration::from_millis(1800);
/// For how long shared files are served while the server cannot be asked.
const STALE: Duration = Duration::from_secs(30 * 86_400);
/// The same for a file that is missing.
const STALE_NEGATIVE: Duration = Duration::from_secs(30 * 86_400);
const SHORT: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header;

    use super::STALE;
    use super::storable;

    #[test]
    fn what_may_be_kept() {
        for (control, own, expected) in [
            ("", false, Some(STALE.as_secs())),
            ("no-cache", false, Some(STALE.as_secs())),
            ("no-cache, stale-if-error=60", false, Some(60)),
            ("private, no-store", true, None),
            ("no-store", false, None),
            ("private, no-cache", true, None),
            ("private, no-cache, stale-if-error=60", true, Some(60)),
            ("Private, No-Cache, Stale-If-Error=60", true, Some(60)),
            ("private, no-cache, stale-if-error=0", true, None),
            ("private, no-cache, stale-if-error=60", false, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, control.parse().unwrap());
            let stale = storable(&headers, own).map(|it| it.as_secs());
            assert_eq!(stale, expected, "{control} {own}");
        }
    }
}
