//! An upload of a phone's: to the spool, and from there to the server.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::mac::MacAddress;
use crate::relay::cache::Question;
use crate::relay::carrier::Answer;
use crate::relay::carrier::Carrier;
use crate::relay::carrier::Visitor;
use crate::relay::carrier::body::Body;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::kind;
use crate::relay::carrier::target::Target;
use crate::relay::carrier::without_hop_by_hop;
use crate::relay::identity::Word;
use crate::relay::spool::About;
use crate::relay::spool::Delivery;
use crate::relay::spool::Upload;
use crate::relay::spool::seconds;
use crate::relay::upstream::Ask;
use crate::respond::APPEND;

/// An upload that comes in. To drop it before it is stored discards it.
pub struct Storing {
    begun: Option<Begun>,
    room: Option<Room>,
    length: u64,
    ending: Option<Ending>,
}

type Ending = Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>;

/// What is known of it from the beginning.
pub(super) struct Begun {
    pub(super) carrier: Carrier,
    pub(super) visitor: Visitor,
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) append: Option<u64>,
    pub(super) word: Word,
}

/// Where its bytes are.
enum Room {
    Memory(Vec<u8>),
    Spool(Upload),
}

impl Storing {
    pub(super) fn new(begun: Begun) -> Result<Self, Failure> {
        let room = match &begun.carrier.0.spool {
            Some(spool) => Room::Spool(spool.begin()?),
            None => Room::Memory(Vec::new()),
        };
        Ok(Self {
            begun: Some(begun),
            room: Some(room),
            length: 0,
            ending: None,
        })
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.length > LARGEST {
            return Err(Failure::too_large());
        }
        match &mut self.room {
            Some(Room::Memory(held)) => held.extend_from_slice(bytes),
            Some(Room::Spool(upload)) => upload.write(bytes)?,
            None => return Err(Failure::missing()),
        }
        Ok(())
    }

    /// Stores what came, for good: the phone may hear that it is stored when this is done.
    pub fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let answer = ready!(self.poll_end(context))?;
        Poll::Ready(if answer.status.is_success() {
            Ok(())
        } else {
            Err(Failure::of_status(answer.status))
        })
    }

    /// The same for a phone that speaks HTTP, and hears what the server says where it was asked.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        if let Some((begun, room)) = self.begun.take().zip(self.room.take()) {
            self.ending = Some(Box::pin(begun.end(room)));
        }
        let Some(ending) = &mut self.ending else {
            return Poll::Ready(Err(Failure::missing()));
        };
        let ended = ready!(ending.as_mut().poll(context));
        self.ending = None;
        Poll::Ready(ended)
    }
}

impl fmt::Debug for Storing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storing")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Begun {
    async fn end(self, room: Room) -> Result<Answer, Failure> {
        match room {
            Room::Memory(bytes) => self.send(bytes.into()).await,
            Room::Spool(upload) if self.headers.contains_key(header::AUTHORIZATION) => {
                // What a phone proves is good for now, and is not for the disk: the server hears it itself, if it is there.
                match self.send(upload.bytes()?.into()).await {
                    Ok(answer) if !is_away(answer.status) => Ok(answer),
                    _ => self.spool(upload).await,
                }
            }
            Room::Spool(upload) => self.spool(upload).await,
        }
    }

    async fn send(&self, bytes: Bytes) -> Result<Answer, Failure> {
        let ask = request(&self.carrier, &self.about(), &self.headers, bytes);
        let fetched = self.carrier.send(&ask).await?;
        Ok(Answer {
            status: fetched.status,
            headers: without_hop_by_hop(&fetched.headers),
            body: Body::of_fetching(fetched.body),
            stale: false,
        })
    }

    async fn spool(&self, upload: Upload) -> Result<Answer, Failure> {
        upload.commit(self.about()).await?;
        if let Some(cache) = &self.carrier.0.cache {
            // What was there before is not the newest any more, should the server be away when it is asked for.
            let device = self.carrier.device(&self.word, &self.target);
            let question = Question {
                device,
                base: &self.visitor.base,
                target: self.target.as_str(),
                kind: &kind(&self.headers),
            };
            cache.forget(&question.key());
        }
        Ok(Answer::plain(
            StatusCode::OK,
            HeaderMap::new(),
            Bytes::new(),
        ))
    }

    fn about(&self) -> About {
        let text = |name: &HeaderName| {
            let value = self.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        About {
            method: self.method.as_str().to_owned(),
            target: self.target.as_str().to_owned(),
            device: self.word.device.map(|(mac, by)| (mac, by.to_owned())),
            peer: self.word.peer,
            base: self.visitor.base.clone(),
            append: self.append,
            headers: KEPT.iter().filter_map(text).collect(),
            at: seconds(),
        }
    }
}

/// Sends an upload that waited.
pub(super) async fn deliver(carrier: Carrier, about: Rc<About>, bytes: Vec<u8>) -> Delivery {
    let pairs = about.headers.iter();
    let pairs = pairs.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    let headers: HeaderMap = pairs.collect();
    let ask = request(&carrier, &about, &headers, bytes.into());
    let Ok(fetched) = carrier.0.upstream.send(&ask).await else {
        return Delivery::Away(None);
    };
    let (status, later) = (fetched.status, retry_after(&fetched.headers));
    fetched.body.finish().await;
    match status {
        status if status.is_success() => Delivery::Accepted,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Delivery::Away(Some(later.unwrap_or_default()))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Delivery::Failed,
        status if status.is_server_error() => Delivery::Failed,
        status => Delivery::Rejected(format!("the server answered {status}")),
    }
}

fn request(carrier: &Carrier, about: &About, headers: &HeaderMap, bytes: Bytes) -> Ask {
    let method = about.method.parse().unwrap_or(Method::PUT);
    let mut ask = Ask::new(method, about.target.as_str());
    ask.headers = headers.clone();
    let device = about.device.as_ref().map(|(mac, by)| (*mac, by.as_str()));
    let word = word(device, about);
    carrier.introduce(&mut ask.headers, &word, &about.base);
    ask.headers
        .insert(header::CONTENT_LENGTH, bytes.len().into());
    if let Some(offset) = about.append {
        ask.headers.insert(APPEND, HeaderValue::from(offset));
    }
    ask.body = bytes;
    ask
}

/// As [`Word`] says it.
fn word(device: Option<(MacAddress, &str)>, about: &About) -> String {
    let peer = about.peer;
    device.map_or_else(
        || format!("address={peer}"),
        |(mac, by)| format!("mac={mac}, by={by}, address={peer}"),
    )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a server that answers so takes nothing now.
fn is_away(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Headers that describe an upload and its sender, and prove nothing.
const KEPT: [HeaderName; 2] = [header::CONTENT_TYPE, header::USER_AGENT];

/// What phones write are logs and overrides.
pub(super) const LARGEST: u64 = 8 << 20;
