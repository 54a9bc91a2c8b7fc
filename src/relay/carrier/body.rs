//! A file on its way to a phone: from the server, from the cache, from the spool, or from the disk while it arrives there.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::StatusCode;
use http::header;

use crate::relay::cache::Entry;
use crate::relay::cache::flight::Arriving;
use crate::relay::cache::flight::Fault;
use crate::relay::cache::flight::Flight;
use crate::relay::carrier::Carrier;
use crate::relay::carrier::failure::Failure;
use crate::relay::sealed::Found;
use crate::relay::upstream::Ask;
use crate::relay::upstream::Fetching;

/// A file, or a part of one. To drop it ends what only it needs.
pub struct Body {
    source: Source,
    /// How far it is read.
    at: u64,
    /// Where it ends, if that is known.
    end: Option<u64>,
}

enum Source {
    Bytes(Bytes),
    Direct {
        fetching: Box<Fetching>,
        /// How much of it was taken, or thrown away.
        taken: u64,
    },
    Entry(Entry),
    Flight(Box<Riding>),
    Parts(VecDeque<Found>),
    Resuming(Pin<Box<dyn Future<Output = Result<Fetching, Failure>>>>),
}

/// A file that is arriving on the disk, for this phone and perhaps others.
struct Riding {
    flight: Rc<Flight>,
    arriving: Arriving,
    resume: Resume,
}

/// How a file can be had again whose arrival found no room on the disk.
pub(super) struct Resume {
    pub(super) carrier: Carrier,
    pub(super) ask: Ask,
}

impl Body {
    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        let end = u64::try_from(bytes.len()).ok();
        Self::new(Source::Bytes(bytes), end)
    }

    pub(super) fn of_fetching(fetching: Fetching) -> Self {
        let end = fetching.length();
        let fetching = Box::new(fetching);
        Self::new(Source::Direct { fetching, taken: 0 }, end)
    }

    pub(super) fn of_entry(entry: Entry) -> Self {
        let end = Some(entry.length);
        Self::new(Source::Entry(entry), end)
    }

    pub(super) fn of_flight(flight: Rc<Flight>, arriving: Arriving, resume: Resume) -> Self {
        let end = arriving.length;
        let riding = Riding {
            flight,
            arriving,
            resume,
        };
        Self::new(Source::Flight(Box::new(riding)), end)
    }

    pub(super) fn of_parts(parts: Vec<Found>) -> Self {
        let end = parts.iter().map(|part| part.length).sum();
        Self::new(Source::Parts(parts.into()), Some(end))
    }

    fn new(source: Source, end: Option<u64>) -> Self {
        Self { source, at: 0, end }
    }

    /// How many bytes are left, if that is known.
    pub fn length(&self) -> Option<u64> {
        Some(self.end?.saturating_sub(self.at))
    }

    /// Leaves out the first bytes.
    pub fn skip(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Leaves out all but these.
    pub(super) fn cut(&mut self, range: Range<u64>) {
        self.at = range.start;
        self.end = Some(range.end);
    }

    /// Fills some of `into` and says how much; 0 at the end.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let left = self.length().unwrap_or(u64::MAX);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..room).unwrap_or_default();
        if into.is_empty() {
            // The source may have to learn that it is at its end.
            return self.poll_end(context);
        }
        let read = ready!(self.poll_source(context, into))?;
        self.at += u64::try_from(read).unwrap_or(u64::MAX);
        if self.length() == Some(0) {
            // Nobody may ask for more.
            let _ = self.poll_end(context);
        }
        Poll::Ready(Ok(read))
    }

    /// The same, for who takes bytes as they come.
    pub async fn next(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    /// A connection to the server is free when what it answered was read to the end.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        if let Source::Direct { fetching, .. } = &mut self.source {
            // There is nothing that could still fail.
            let _ = fetching.poll_read(context, &mut [0]);
        }
        Poll::Ready(Ok(0))
    }

    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        loop {
            let resuming = match &mut self.source {
                Source::Bytes(bytes) => return Poll::Ready(Ok(copy(bytes, self.at, into))),
                Source::Entry(entry) => {
                    return Poll::Ready(Ok(entry.file.read_at(into, self.at)?));
                }
                Source::Parts(parts) => {
                    return Poll::Ready(Ok(read_parts(parts, self.at, into)?));
                }
                Source::Direct { fetching, taken } => {
                    let read = ready!(poll_direct(fetching, taken, self.at, context, into));
                    return Poll::Ready(read);
                }
                Source::Flight(riding) => match ready!(riding.poll_read(context, self.at, into)) {
                    Ok(read) => return Poll::Ready(Ok(read)),
                    Err(Fault::Broken) => return Poll::Ready(Err(Failure::unreachable())),
                    Err(Fault::Disk(error)) => return Poll::Ready(Err(error.into())),
                    Err(Fault::Full) => Source::Resuming(riding.resume.again(&riding.arriving)),
                },
                Source::Resuming(resuming) => Source::Direct {
                    fetching: Box::new(ready!(resuming.as_mut().poll(context))?),
                    taken: 0,
                },
            };
            self.source = resuming;
        }
    }
}

impl Riding {
    fn poll_read(
        &self,
        context: &mut Context<'_>,
        at: u64,
        into: &mut [u8],
    ) -> Poll<Result<usize, Fault>> {
        self.flight
            .poll_read(context, &self.arriving.file, at, into)
    }
}

impl Resume {
    /// Asks again, by itself: the same file, or a failure.
    fn again(
        &self,
        arriving: &Arriving,
    ) -> Pin<Box<dyn Future<Output = Result<Fetching, Failure>>>> {
        let (carrier, ask) = (self.carrier.clone(), self.ask.clone());
        let etag = arriving.headers.get(header::ETAG).cloned();
        Box::pin(async move {
            let fetched = carrier.send(&ask).await?;
            let same = etag.is_some() && fetched.headers.get(header::ETAG) == etag.as_ref();
            if fetched.status == StatusCode::OK && same {
                Ok(fetched.body)
            } else {
                Err(Failure::unreachable())
            }
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("at", &self.at)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

fn poll_direct(
    fetching: &mut Fetching,
    taken: &mut u64,
    at: u64,
    context: &mut Context<'_>,
    into: &mut [u8],
) -> Poll<Result<usize, Failure>> {
    while *taken < at {
        let mut thrown = [0; 4096];
        let room = usize::try_from(at - *taken).unwrap_or(usize::MAX);
        let room = thrown.get_mut(..room.min(4096)).unwrap_or_default();
        let read = ready!(fetching.poll_read(context, room))?;
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        *taken += u64::try_from(read).unwrap_or(u64::MAX);
    }
    let read = ready!(fetching.poll_read(context, into))?;
    *taken += u64::try_from(read).unwrap_or(u64::MAX);
    Poll::Ready(Ok(read))
}

fn read_parts(parts: &VecDeque<Found>, at: u64, into: &mut [u8]) -> Result<usize, Failure> {
    let mut start = 0;
    for part in parts {
        let within = at.saturating_sub(start);
        if within < part.length {
            let room = usize::try_from(part.length - within).unwrap_or(usize::MAX);
            let room = room.min(into.len());
            let into = into.get_mut(..room).unwrap_or_default();
            return Ok(part.file.read_at(into, within)?);
        }
        start += part.length;
    }
    Ok(0)
}

fn copy(bytes: &Bytes, at: u64, into: &mut [u8]) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let rest = bytes.get(at..).unwrap_or_default();
    into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    rest.len().min(into.len())
}
