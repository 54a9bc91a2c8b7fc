//! The end of a transfer that has the file (RFC 1350, RFC 7440): a server that is read from, a client that writes.

use std::time::Duration;
use std::time::Instant;

use crate::tftp::block::BlockNumber;
use crate::tftp::netascii;
use crate::tftp::options::Options;
use crate::tftp::options::Profile;
use crate::tftp::options::Terms;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::Mode;
use crate::tftp::packet::Packet;
use crate::tftp::packet::Request;
use crate::tftp::packet::RequestKind;
use crate::tftp::timer::RetransmissionTimer;
use crate::tftp::transfer::Conversation;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;
use crate::tftp::transfer::Transmit;
use crate::tftp::transfer::peer_failed;

/// Sends a file whose bytes it is given bit by bit.
///
/// After each call of another method, call [`Self::poll_transmit`] until there is nothing more, then
/// [`Self::poll_timeout`], whose time is when to call [`Self::handle_timeout`]. While [`Self::wanted`] is not zero, it can
/// take bytes; if they take their time, the other end is kept waiting by packets that it knows.
#[derive(Debug)]
pub struct Sender {
    conversation: Conversation,
    role: Role,
    mode: Mode,
    terms: Terms,
    timer: RetransmissionTimer,
    /// What is at position 0: a request, an OACK, or nothing.
    opening: Vec<u8>,
    opened: bool,
    /// The opening is to be sent.
    opening_due: bool,
    held: Held,
    /// The last block that the other end has.
    acknowledged: u64,
    /// The last block that was ever sent.
    sent: u64,
    /// The next block to send.
    next: u64,
    /// A block that was sent once, and when: its round trip can be measured.
    timed: Option<(u64, Instant)>,
    /// When blocks were last sent.
    flight: Option<Instant>,
    /// When to send everything again.
    deadline: Option<Instant>,
    /// When to send the last packet again, to learn what became of it.
    inquiry: Option<Instant>,
    inquiry_due: bool,
}

#[derive(Debug)]
enum Role {
    Client(Options),
    Server,
}

impl Sender {
    /// Answers a read request that came from `peer`; `length` is the file's, if it is known.
    pub fn answer(
        request: &Request<'_>,
        length: Option<u64>,
        peer: TransferId,
        profile: &Profile,
    ) -> Self {
        // Netascii changes the length, and to know how much takes reading the whole file. A length of 0 is not told either,
        // for curl takes it for a fault.
        let told = |length: &u64| *length > 0 && request.mode == Mode::Octet;
        let length = length.filter(told);
        let (terms, granted) = Terms::grant(&request.options, profile, length);
        let conversation = Conversation::answering(peer, profile);
        let mut sender = Self::new(conversation, Role::Server, request.mode, terms);
        if granted.is_empty() {
            sender.opened = true;
        } else {
            sender.opening = Packet::OptionAcknowledgment(granted).to_bytes();
        }
        sender
    }

    /// Asks the server behind the port `server` to take a file.
    pub fn ask(
        name: &[u8],
        mode: Mode,
        options: Options,
        server: TransferId,
        profile: &Profile,
    ) -> Self {
        let request = Packet::Request(Request {
            kind: RequestKind::Write,
            name,
            mode,
            options: options.clone(),
        });
        let opening = request.to_bytes();
        let conversation = Conversation::asking(server, profile);
        Self {
            opening,
            ..Self::new(conversation, Role::Client(options), mode, Terms::PLAIN)
        }
    }

    fn new(conversation: Conversation, role: Role, mode: Mode, terms: Terms) -> Self {
        let mut timer = RetransmissionTimer::new(conversation.profile.floor);
        timer.choose(terms.timeout);
        Self {
            conversation,
            role,
            mode,
            held: Held::new(terms.block_size),
            terms,
            timer,
            opening: Vec::new(),
            opened: false,
            opening_due: true,
            acknowledged: 0,
            sent: 0,
            next: 1,
            timed: None,
            flight: None,
            deadline: None,
            inquiry: None,
            inquiry_due: false,
        }
    }

    /// What was agreed on.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.conversation.outcome()
    }

    /// How many bytes it can take now.
    pub fn wanted(&self) -> usize {
        let window = usize::try_from(self.terms.window).unwrap_or(usize::MAX);
        let most = self.terms.block_size.saturating_mul(2 * window + 1);
        if self.held.ended || self.conversation.is_over() {
            return 0;
        }
        most.max(LEAST_HELD).saturating_sub(self.held.len())
    }

    /// The next bytes of the file.
    pub fn supply(&mut self, bytes: &[u8]) {
        let buffer = self.held.buffer();
        match self.mode {
            Mode::Netascii => netascii::encode(bytes, buffer),
            Mode::Octet => buffer.extend_from_slice(bytes),
        }
    }

    /// There are no more bytes.
    pub fn finish(&mut self) {
        self.held.ended = true;
    }

    /// The file cannot be had, or no more of it.
    pub fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.conversation.refuse(code, message);
    }

    /// Whether the other end has said anything yet that belongs to the transfer.
    pub fn has_moved(&self) -> bool {
        self.acknowledged > 0
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: TransferId, datagram: &[u8]) {
        match self.conversation.admit(from, datagram) {
            Some(Packet::Acknowledgment(number)) if self.opened => self.handle_number(now, number),
            Some(Packet::Acknowledgment(BlockNumber(0))) => self.open(now),
            Some(Packet::OptionAcknowledgment(granted)) => self.handle_granted(now, &granted),
            Some(Packet::Error { code, message }) => self.handle_error(code, message),
            _ => {}
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.conversation.is_over() {
            return;
        }
        if take_past(&mut self.inquiry, now) {
            self.inquiry_due = true;
        }
        if take_past(&mut self.deadline, now) {
            self.start_again();
        }
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.conversation.is_over() {
            return None;
        }
        self.inquiry.into_iter().chain(self.deadline).min()
    }

    /// Writes what is to be sent into `into`, after emptying it.
    pub fn poll_transmit(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.conversation.poll_transmit(into);
        if transmit.is_some() || self.conversation.is_over() {
            return transmit;
        }
        if !self.opened {
            return self.transmit_opening(now, into);
        }
        let inquiry = std::mem::take(&mut self.inquiry_due);
        let inquiry = inquiry.then(|| self.transmit_inquiry(into)).flatten();
        inquiry.or_else(|| self.transmit_blocks(now, into))
    }

    fn handle_granted(&mut self, now: Instant, granted: &Options) {
        let Role::Client(asked) = &self.role else {
            return;
        };
        if self.opened {
            return;
        }
        match Terms::accept(asked, granted) {
            Some(terms) => {
                self.timer.choose(terms.timeout);
                self.held.block_size = terms.block_size;
                self.terms = terms;
                self.open(now);
            }
            None => self.conversation.misbehaved(
                ErrorCode::OPTION_REFUSED,
                "it grants what was not asked for",
            ),
        }
    }

    fn handle_error(&mut self, code: ErrorCode, message: &[u8]) {
        let probed = matches!(self.role, Role::Server) && !self.opened;
        let harmless = [ErrorCode::NOT_DEFINED, ErrorCode::OPTION_REFUSED].contains(&code);
        self.conversation.end(if probed && harmless {
            Outcome::Probed
        } else {
            peer_failed(code, message)
        });
    }

    /// The other end has what is at position 0.
    fn open(&mut self, now: Instant) {
        self.opened = true;
        self.moved(now, 0);
    }

    /// Blocks were acknowledged, or some of a window were lost.
    fn handle_number(&mut self, now: Instant, number: BlockNumber) {
        let rollover = self.conversation.profile.rollover;
        let distance = rollover.distance(self.acknowledged, number);
        match distance.filter(|it| *it <= self.sent - self.acknowledged) {
            // Late, or nonsense.
            None => {}
            Some(0) => self.handle_repeated(now),
            Some(distance) => {
                let position = self.acknowledged + distance;
                self.acknowledged = position;
                self.held.release(position);
                self.moved(now, position);
                if position < self.sent && !self.is_too_soon(now) {
                    self.next = position + 1;
                } else {
                    self.next = self.next.max(position + 1);
                }
                if self.held.last() == Some(position) {
                    self.conversation.end(Outcome::Completed);
                }
            }
        }
    }

    /// The acknowledgment of before: within a window, its first block was lost. Without windows nothing must follow from
    /// it, or each packet would be sent twice from then on (RFC 1123 section 4.2.3.1).
    fn handle_repeated(&mut self, now: Instant) {
        let outstanding = self.sent > self.acknowledged;
        if self.terms.window > 1 && outstanding && !self.is_too_soon(now) {
            self.conversation.stalled();
            self.send_again();
        }
    }

    /// Whether an answer now is to an earlier flight than the last: then what is under way need not be sent again.
    fn is_too_soon(&self, now: Instant) -> bool {
        let since = self.flight.map(|it| now.saturating_duration_since(it));
        since.is_some_and(|since| self.timer.is_too_soon(since))
    }

    fn moved(&mut self, now: Instant, position: u64) {
        if let Some((_, sent)) = self.timed.take_if(|(timed, _)| *timed <= position) {
            self.timer.measured(now.saturating_duration_since(sent));
        }
        self.timer.moved();
        self.conversation.moved();
        self.inquiry = None;
        self.inquiry_due = false;
        self.deadline = Some(now + self.patience());
    }

    fn patience(&self) -> Duration {
        if self.is_starved() {
            self.terms.timeout.unwrap_or(SIGN_OF_LIFE)
        } else {
            self.timer.timeout()
        }
    }

    /// Whether more could be sent if there were more. The other end may then have nothing to acknowledge yet.
    fn is_starved(&self) -> bool {
        let more = self.sent < self.acknowledged + self.terms.window;
        more && !self.held.ended && self.held.block(self.sent + 1).is_none()
    }

    fn start_again(&mut self) {
        if self.opened && self.is_starved() {
            // It is this end that keeps the other waiting.
            self.inquiry_due = true;
            return;
        }
        self.timer.back_off();
        self.conversation.stalled();
        self.opening_due = !self.opened;
        self.send_again();
    }

    fn send_again(&mut self) {
        self.next = self.acknowledged + 1;
        self.timed = None;
        self.inquiry = None;
        self.inquiry_due = false;
    }

    fn transmit_opening(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        if !std::mem::take(&mut self.opening_due) {
            return None;
        }
        self.timed = self.flight.is_none().then_some((0, now));
        self.flight = Some(now);
        self.deadline = Some(now + self.timer.timeout());
        into.extend_from_slice(&self.opening);
        Some(self.conversation.alone(into))
    }

    /// The last packet once more. If the other end has it, it says so again; if it misses it or another, it says that.
    fn transmit_inquiry(&mut self, into: &mut Vec<u8>) -> Option<Transmit> {
        self.timed = None;
        if self.sent > 0 {
            let number = self.conversation.profile.rollover.number(self.sent);
            let payload = self.held.block(self.sent)?;
            Packet::Data { number, payload }.encode(into);
        } else if matches!(self.role, Role::Server) && !self.opening.is_empty() {
            into.extend_from_slice(&self.opening);
        } else {
            return None;
        }
        Some(self.conversation.alone(into))
    }

    fn transmit_blocks(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        let segment = self.terms.block_size + 4;
        let most = (LARGEST_TRANSMIT / segment).clamp(1, MOST_SEGMENTS);
        let allowed = self.acknowledged + self.terms.window;
        let first = self.next;
        let mut count = 0;
        while self.next <= allowed && count < most {
            let Some(payload) = self.held.block(self.next) else {
                break;
            };
            let number = self.conversation.profile.rollover.number(self.next);
            Packet::Data { number, payload }.encode(into);
            self.next += 1;
            count += 1;
        }
        if count == 0 {
            self.keep_waiting(now);
            return None;
        }
        self.note_sent(now, first);
        self.flight = Some(now);
        self.deadline = Some(now + self.timer.timeout());
        self.inquiry = self.timer.lateness().map(|late| now + late);
        Some(Transmit {
            to: self.conversation.to(),
            segment: segment.min(into.len()),
        })
    }

    /// Blocks from `first` on were sent. The first that is new is timed, for what follows a lost one is acknowledged late.
    fn note_sent(&mut self, now: Instant, first: u64) {
        let new = first.max(self.sent + 1);
        self.timed = (new < self.next).then_some((new, now));
        self.sent = self.sent.max(self.next - 1);
    }

    /// There is always a deadline, whoever is being waited for.
    fn keep_waiting(&mut self, now: Instant) {
        if self.deadline.is_none() {
            self.deadline = Some(now + self.patience());
        }
    }
}

/// The bytes that the other end has not acknowledged, and the last block that it has: that one can be sent once more while
/// there is no other.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// Where the first block begins; what lies before is done with.
    start: usize,
    /// The position of the first block.
    first: u64,
    block_size: usize,
    ended: bool,
}

impl Held {
    fn new(block_size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            first: 1,
            block_size,
            ended: false,
        }
    }

    fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Where to append.
    fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start >= self.len() {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.start = 0;
        }
        &mut self.bytes
    }

    /// A block, if it is whole, or the last.
    fn block(&self, position: u64) -> Option<&[u8]> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let start = self.start + index.checked_mul(self.block_size)?;
        let rest = self.bytes.get(start..)?;
        match rest.get(..self.block_size) {
            Some(whole) => Some(whole),
            None => self.ended.then_some(rest),
        }
    }

    /// The position of the last block, which is shorter than the others, if need be empty.
    fn last(&self) -> Option<u64> {
        let blocks = u64::try_from(self.len() / self.block_size.max(1)).ok()?;
        self.ended.then_some(self.first + blocks)
    }

    /// Nothing before this block is needed any more.
    fn release(&mut self, position: u64) {
        let blocks = usize::try_from(position.saturating_sub(self.first)).unwrap_or_default();
        self.start += blocks * self.block_size;
        self.first = self.first.max(position);
    }
}

/// A file is asked for in pieces of at least this, so that small blocks do not make for many reads.
const LEAST_HELD: usize = 16 << 10;

/// How often the other end hears of an end that waits for its own source. Nothing shorter is needed: what phones are known to
/// bear is two seconds.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// What Linux takes in one call: a datagram's length, and 64 segments.
const LARGEST_TRANSMIT: usize = 65_000;
const MOST_SEGMENTS: usize = 64;

/// Whether a time was set and has come; it is cleared then.
pub(super) fn take_past(time: &mut Option<Instant>, now: Instant) -> bool {
    time.take_if(|time| *time <= now).is_some()
}
