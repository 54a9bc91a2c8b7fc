//! The end of a transfer that gets the file (RFC 1350, RFC 7440): a server that is written to, a client that reads.

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
use crate::tftp::sender::take_past;
use crate::tftp::timer::RetransmissionTimer;
use crate::tftp::transfer::Conversation;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;
use crate::tftp::transfer::Transmit;
use crate::tftp::transfer::peer_failed;

/// Receives a file and hands its bytes on bit by bit.
///
/// After each call of another method, call [`Self::poll_transmit`] until there is nothing more, then
/// [`Self::poll_timeout`], whose time is when to call [`Self::handle_timeout`]. [`Self::take`] what came; when
/// [`Self::is_complete`], store it and say so with [`Self::stored`]: the last block is not acknowledged before.
#[derive(Debug)]
pub struct Receiver {
    conversation: Conversation,
    role: Role,
    mode: Mode,
    terms: Terms,
    timer: RetransmissionTimer,
    decoder: netascii::Decoder,
    /// What stands for the acknowledgment of position 0: a request, an OACK, or ACK 0.
    opening: Vec<u8>,
    stage: Stage,
    /// What came and was not taken.
    output: Vec<u8>,
    /// The last block that came, with all before it.
    received: u64,
    /// The last block for which an acknowledgment was sent.
    acknowledged: u64,
    acknowledgment_due: bool,
    /// The furthest block that came after a gap which was reported.
    beyond_gap: Option<u64>,
    /// When an acknowledgment was sent, once: its round trip can be measured.
    timed: Option<Instant>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Role {
    /// What was asked for, until it is known what was granted.
    Client(Option<Options>),
    Server,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Receiving,
    /// All came; the caller stores it.
    Storing,
    /// All is stored; the other end may not know it yet.
    Lingering,
}

impl Receiver {
    /// Answers a write request that came from `peer`.
    pub fn answer(request: &Request<'_>, peer: TransferId, profile: &Profile) -> Self {
        let size = request.options.transfer_size;
        let (terms, granted) = Terms::grant(&request.options, profile, size);
        let opening = if granted.is_empty() {
            ACKNOWLEDGMENT_0
        } else {
            Packet::OptionAcknowledgment(granted)
        };
        let conversation = Conversation::answering(peer, profile);
        Self::new(conversation, Role::Server, request.mode, terms, &opening)
    }

    /// Asks the server behind the port `server` for a file.
    pub fn ask(
        name: &[u8],
        mode: Mode,
        options: Options,
        server: TransferId,
        profile: &Profile,
    ) -> Self {
        let opening = Packet::Request(Request {
            kind: RequestKind::Read,
            name,
            mode,
            options: options.clone(),
        });
        let conversation = Conversation::asking(server, profile);
        let role = Role::Client(Some(options));
        Self::new(conversation, role, mode, Terms::PLAIN, &opening)
    }

    fn new(
        conversation: Conversation,
        role: Role,
        mode: Mode,
        terms: Terms,
        opening: &Packet<'_>,
    ) -> Self {
        // The end that has the file is the one to hurry.
        let mut timer = RetransmissionTimer::new(conversation.profile.floor * 4);
        timer.choose(terms.timeout);
        Self {
            conversation,
            role,
            mode,
            terms,
            timer,
            decoder: netascii::Decoder::default(),
            opening: opening.to_bytes(),
            stage: Stage::Receiving,
            output: Vec::new(),
            received: 0,
            acknowledged: 0,
            acknowledgment_due: true,
            beyond_gap: None,
            timed: None,
            deadline: None,
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

    /// What came since the last call. While more than a window of it lies here, the other end is kept waiting.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether all came, and [`Self::stored`] is awaited.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Storing && !self.conversation.is_over()
    }

    /// What came is stored: now the other end may know.
    pub fn stored(&mut self) {
        if self.stage == Stage::Storing {
            self.stage = Stage::Lingering;
            self.acknowledgment_due = true;
        }
    }

    /// Whether the file was stored; what is left is only for the other end to hear of it.
    pub fn is_stored(&self) -> bool {
        self.stage == Stage::Lingering
    }

    /// It cannot be stored.
    pub fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.conversation.refuse(code, message);
    }

    /// Whether the other end has sent anything yet that belongs to the transfer.
    pub fn has_moved(&self) -> bool {
        self.received > 0
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, from: TransferId, datagram: &[u8]) {
        match self.conversation.admit(from, datagram) {
            Some(Packet::Data { number, payload }) => self.handle_data(now, number, payload),
            Some(Packet::OptionAcknowledgment(granted)) => self.handle_granted(now, &granted),
            Some(Packet::Error { code, message }) => {
                let stored = self.stage == Stage::Lingering;
                let failed = peer_failed(code, message);
                let outcome = if stored { Outcome::Completed } else { failed };
                self.conversation.end(outcome);
            }
            _ => {}
        }
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.conversation.is_over() || !take_past(&mut self.deadline, now) {
            return;
        }
        match self.stage {
            Stage::Receiving => {
                self.timer.back_off();
                self.conversation.stalled();
                self.beyond_gap = None;
                self.acknowledgment_due = true;
            }
            Stage::Storing => {}
            Stage::Lingering => self.conversation.end(Outcome::Completed),
        }
    }

    /// When to call [`Self::handle_timeout`], if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.conversation.is_over())
    }

    /// Writes what is to be sent into `into`, after emptying it.
    pub fn poll_transmit(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.conversation.poll_transmit(into);
        if transmit.is_some() || self.conversation.is_over() {
            return transmit;
        }
        if !self.acknowledgment_due || self.stage == Stage::Storing || self.is_full() {
            return None;
        }
        self.acknowledgment_due = false;
        let again =
            self.acknowledged == self.received && (self.received > 0 || self.deadline.is_some());
        self.timed = (!again).then_some(now);
        self.acknowledged = self.received;
        if self.received == 0 {
            into.extend_from_slice(&self.opening);
        } else {
            let number = self.conversation.profile.rollover.number(self.received);
            Packet::Acknowledgment(number).encode(into);
        }
        self.deadline = Some(now + self.patience());
        Some(self.conversation.alone(into))
    }

    /// What came is not taken: to acknowledge it would make for more.
    fn is_full(&self) -> bool {
        let window = usize::try_from(self.terms.window).unwrap_or(usize::MAX);
        let most = self.terms.block_size.saturating_mul(window);
        self.output.len() > most.max(LEAST_OUTPUT)
    }

    fn patience(&self) -> Duration {
        match self.stage {
            Stage::Receiving | Stage::Storing => self.timer.timeout(),
            Stage::Lingering => self.conversation.profile.linger,
        }
    }

    fn handle_granted(&mut self, now: Instant, granted: &Options) {
        let Role::Client(asked) = &mut self.role else {
            return;
        };
        let Some(asked) = asked.take() else {
            // Repeated, for the acknowledgment of it was lost.
            self.acknowledgment_due |= self.received == 0;
            return;
        };
        match Terms::accept(&asked, granted) {
            Some(terms) => {
                self.timer.choose(terms.timeout);
                self.terms = terms;
                self.opening = ACKNOWLEDGMENT_0.to_bytes();
                self.moved(now);
                self.deadline = None;
                self.acknowledgment_due = true;
            }
            None => self.conversation.misbehaved(
                ErrorCode::OPTION_REFUSED,
                "it grants what was not asked for",
            ),
        }
    }

    fn handle_data(&mut self, now: Instant, number: BlockNumber, payload: &[u8]) {
        if let Role::Client(asked) = &mut self.role {
            // A server that knows no options answers with the first block.
            *asked = None;
        }
        if payload.len() > self.terms.block_size {
            let what = "its block is longer than agreed";
            return self
                .conversation
                .misbehaved(ErrorCode::ILLEGAL_OPERATION, what);
        }
        let rollover = self.conversation.profile.rollover;
        let repeated = self.received > 0 && rollover.number(self.received) == number;
        match rollover.distance(self.received + 1, number) {
            _ if repeated => {
                // A sign of life.
                self.conversation.moved();
                self.acknowledgment_due = true;
            }
            _ if self.stage != Stage::Receiving => {}
            Some(0) => self.handle_next(now, payload),
            Some(ahead) if ahead < self.terms.window => self.handle_gap(self.received + 1 + ahead),
            _ => {}
        }
    }

    fn handle_next(&mut self, now: Instant, payload: &[u8]) {
        self.received += 1;
        self.beyond_gap = None;
        self.moved(now);
        self.deadline = Some(now + self.timer.timeout());
        match self.mode {
            Mode::Netascii => self.decoder.decode(payload, &mut self.output),
            Mode::Octet => self.output.extend_from_slice(payload),
        }
        if payload.len() < self.terms.block_size {
            self.decoder.finish(&mut self.output);
            self.stage = Stage::Storing;
            self.deadline = None;
        } else if self.received - self.acknowledged >= self.terms.window {
            self.acknowledgment_due = true;
        }
    }

    /// A block of the window was lost: the other end is told at once, but once, and not for each block that follows. One that
    /// is not further than those before was sent again, so that what it was told was lost as well.
    fn handle_gap(&mut self, position: u64) {
        let further = self.beyond_gap.is_some_and(|furthest| position > furthest);
        self.acknowledgment_due |= !further;
        self.beyond_gap = Some(position);
    }

    fn moved(&mut self, now: Instant) {
        if let Some(sent) = self.timed.take() {
            self.timer.measured(now.saturating_duration_since(sent));
        }
        self.timer.moved();
        self.conversation.moved();
    }
}

const ACKNOWLEDGMENT_0: Packet<'_> = Packet::Acknowledgment(BlockNumber(0));

/// Less than this is never too much.
const LEAST_OUTPUT: usize = 16 << 10;
