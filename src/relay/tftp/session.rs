//! One transfer on a socket: moves datagrams, the file's bytes and the time between the outside and the protocol.

use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Instant;

use tokio::time;
use tokio::time::Sleep;

use crate::relay::tftp::files::Reading;
use crate::relay::tftp::files::Refusal;
use crate::relay::tftp::files::Writing;
use crate::relay::tftp::socket::Wire;
use crate::relay::tftp::table::Entry;
use crate::tftp::receiver::Receiver;
use crate::tftp::sender::Sender;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;
use crate::tftp::transfer::Transmit;

/// Room for what is on its way within one step of a transfer; the transfers of a thread share it.
pub(super) struct Scratch(RefCell<Vec<u8>>);

impl Scratch {
    pub(super) fn new() -> Self {
        // As long as the longest datagram.
        Self(RefCell::new(vec![0; 64 << 10]))
    }
}

/// What a transfer does.
pub(super) enum Work<'f, R, W> {
    Reading(Box<Sender>, Source<'f, R>),
    Writing(Box<Receiver>, Sink<W>),
}

/// Where the bytes to send come from.
pub(super) enum Source<'f, R> {
    Opening(Opening<'f, R>),
    Open(R),
    Refused(Refusal),
    Ended,
}

/// A file that takes its time.
pub(super) type Opening<'f, R> = Pin<Box<dyn Future<Output = Result<R, Refusal>> + 'f>>;

/// Where the bytes that came go to.
pub(super) enum Sink<W> {
    Open(W),
    Refused(Refusal),
    Ended,
}

/// A transfer under way.
pub(super) struct Session<'f, R, W> {
    wire: Wire,
    peer: IpAddr,
    work: Work<'f, R, W>,
    entry: Option<&'f Entry>,
    /// Goes off at a timeout that was; it is set anew when it does, and not for each packet.
    alarm: Pin<Box<Sleep>>,
    /// What is being sent.
    outgoing: Vec<u8>,
    transmit: Option<Transmit>,
    pending: Pending,
    bytes: u64,
}

impl<'f, R: Reading, W: Writing> Session<'f, R, W> {
    pub(super) fn new(
        wire: Wire,
        peer: IpAddr,
        work: Work<'f, R, W>,
        entry: Option<&'f Entry>,
    ) -> Self {
        Self {
            wire,
            peer,
            work,
            entry,
            alarm: Box::pin(time::sleep(time::Duration::ZERO)),
            outgoing: Vec::new(),
            transmit: None,
            pending: Pending::default(),
            bytes: 0,
        }
    }

    /// Until it is over: how it ended, and how many bytes of the file were moved.
    pub(super) async fn run(mut self, scratch: &Scratch) -> (Outcome, u64) {
        let outcome = poll_fn(|context| self.poll(context, &mut scratch.0.borrow_mut())).await;
        (outcome, self.bytes)
    }

    fn poll(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<Outcome> {
        loop {
            self.move_bytes(context, scratch);
            let sent = self.flush(context);
            if let (Some(outcome), true) = (self.work.outcome(), sent.is_ready()) {
                return Poll::Ready(outcome.clone());
            }
            let heard = match sent {
                Poll::Ready(()) => self.poll_receive(context, scratch),
                Poll::Pending => Poll::Pending,
            };
            if heard.is_pending() {
                ready!(self.poll_alarm(context));
            }
        }
    }

    /// Sends all that there is to send.
    fn flush(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.transmit.is_none() {
                self.transmit = self.work.poll_transmit(Instant::now(), &mut self.outgoing);
            }
            let Some(Transmit { to, segment }) = self.transmit else {
                return Poll::Ready(());
            };
            match self.wire.send(&self.outgoing, segment, self.peer, to.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What fails now fails again when it is sent.
                    let _ = ready!(self.wire.poll_send_ready(context));
                }
                // Any other error loses the datagrams, as a wire does.
                _ => self.transmit = None,
            }
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<()> {
        let (work, peer, entry) = (&mut self.work, self.peer, self.entry);
        let received = self.wire.poll_receive(context, scratch, |datagram, from| {
            if from.ip().to_canonical() != peer {
                return;
            }
            work.handle_datagram(Instant::now(), TransferId(from.port()), datagram);
            if let Some(entry) = entry {
                entry.heard(work.has_moved());
            }
        });
        // An error is about a datagram that was sent before; the timer sees to it.
        received.map(|_| ())
    }

    /// Ready when a timeout was handled.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(timeout) = self.work.poll_timeout() else {
                return Poll::Pending;
            };
            let now = Instant::now();
            if timeout <= now {
                self.work.handle_timeout(now);
                return Poll::Ready(());
            }
            let due = self.alarm.deadline().into_std();
            if due > timeout || due <= now {
                self.alarm.as_mut().reset(timeout.into());
            }
            ready!(self.alarm.as_mut().poll(context));
        }
    }

    /// Moves as much of the file as goes.
    fn move_bytes(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) {
        match &mut self.work {
            Work::Reading(sender, source) => {
                self.bytes += supply(sender, source, context, scratch);
            }
            Work::Writing(receiver, sink) => {
                self.bytes += self.pending.store(receiver, sink, context);
            }
        }
    }
}

/// What came and is being written.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    /// Hands on what came, as much as goes; says how much that was.
    fn store<W: Writing>(
        &mut self,
        receiver: &mut Receiver,
        sink: &mut Sink<W>,
        context: &mut Context<'_>,
    ) -> u64 {
        let mut moved = 0;
        while receiver.outcome().is_none() {
            if self.written >= self.bytes.len() {
                self.bytes = receiver.take();
                self.written = 0;
            }
            let rest = self.bytes.get(self.written..).unwrap_or_default();
            if rest.is_empty() && !receiver.is_complete() && !sink.is_refused() {
                break;
            }
            let done = if rest.is_empty() {
                sink.poll_store(context).map_ok(|()| None)
            } else {
                sink.poll_write(context, rest).map_ok(Some)
            };
            match done {
                Poll::Pending => break,
                Poll::Ready(Ok(None)) => {
                    *sink = Sink::Ended;
                    receiver.stored();
                }
                Poll::Ready(Ok(Some(count))) => {
                    self.written += count;
                    moved += u64::try_from(count).unwrap_or_default();
                }
                Poll::Ready(Err(refusal)) => {
                    *sink = Sink::Ended;
                    receiver.refuse(refusal.code, &refusal.message);
                }
            }
        }
        moved
    }
}

/// Gives a sender what it can take, as much as there is; says how much that was.
fn supply<R: Reading>(
    sender: &mut Sender,
    source: &mut Source<'_, R>,
    context: &mut Context<'_>,
    scratch: &mut [u8],
) -> u64 {
    let mut moved = 0;
    while sender.wanted() > 0 {
        let wanted = sender.wanted().min(scratch.len());
        let into = scratch.get_mut(..wanted).unwrap_or_default();
        match source.poll_read(context, into) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => {
                *source = Source::Ended;
                sender.finish();
            }
            Poll::Ready(Ok(count)) => {
                moved += u64::try_from(count).unwrap_or_default();
                sender.supply(scratch.get(..count).unwrap_or_default());
            }
            Poll::Ready(Err(refusal)) => {
                *source = Source::Ended;
                sender.refuse(refusal.code, &refusal.message);
            }
        }
    }
    moved
}

impl<R: Reading> Source<'_, R> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Refusal>> {
        loop {
            match self {
                Self::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                    Ok(reading) => *self = Self::Open(reading),
                    Err(refusal) => *self = Self::Refused(refusal),
                },
                Self::Open(reading) => return reading.poll_read(context, into),
                Self::Refused(refusal) => return Poll::Ready(Err(refusal.clone())),
                Self::Ended => return Poll::Ready(Ok(0)),
            }
        }
    }
}

impl<W: Writing> Sink<W> {
    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Refusal>> {
        match self {
            Self::Open(writing) => writing.poll_write(context, bytes),
            Self::Refused(refusal) => Poll::Ready(Err(refusal.clone())),
            Self::Ended => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        match self {
            Self::Open(writing) => writing.poll_store(context),
            Self::Refused(refusal) => Poll::Ready(Err(refusal.clone())),
            Self::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl<R, W> Work<'_, R, W> {
    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Reading(sender, _) => sender.outcome(),
            Self::Writing(receiver, _) => receiver.outcome(),
        }
    }

    fn has_moved(&self) -> bool {
        match self {
            Self::Reading(sender, _) => sender.has_moved(),
            Self::Writing(receiver, _) => receiver.has_moved(),
        }
    }

    fn poll_transmit(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        match self {
            Self::Reading(sender, _) => sender.poll_transmit(now, into),
            Self::Writing(receiver, _) => receiver.poll_transmit(now, into),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Reading(sender, _) => sender.poll_timeout(),
            Self::Writing(receiver, _) => receiver.poll_timeout(),
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: TransferId, datagram: &[u8]) {
        match self {
            Self::Reading(sender, _) => sender.handle_datagram(now, from, datagram),
            Self::Writing(receiver, _) => receiver.handle_datagram(now, from, datagram),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Reading(sender, _) => sender.handle_timeout(now),
            Self::Writing(receiver, _) => receiver.handle_timeout(now),
        }
    }
}
