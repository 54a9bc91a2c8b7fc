//! What both ends of a transfer have in common (RFC 1350 sections 4, 6 and 7): who talks with whom, and how it ends.

use std::fmt;

use crate::tftp::options::Profile;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::Packet;

/// TID: the UDP port that one end of a transfer chose. Its address is the caller's to check.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TransferId(pub u16);

/// Datagrams to send, all to one port. They lie one after the other in the buffer that was given; each has the segment's
/// length but the last, which may be shorter. That is how a kernel takes many in one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Where to.
    pub to: TransferId,
    /// The length of each but the last.
    pub segment: usize,
}

/// How a transfer ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The file is at the other end.
    Completed,
    /// The other end only wanted to know the options or the size.
    Probed,
    /// The other end said that it cannot go on.
    PeerFailed {
        /// What it said.
        code: ErrorCode,
        /// The same in its words.
        message: String,
    },
    /// The other end did what no RFC allows, and was told.
    PeerMisbehaved(&'static str),
    /// This end ended it, and told the other.
    Refused(ErrorCode),
    /// The other end fell silent.
    TimedOut,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Probed => f.write_str("asked for the options only"),
            Self::PeerFailed { code, message } => write!(f, "the peer sent {code}: {message}"),
            Self::PeerMisbehaved(what) => write!(f, "the peer misbehaved: {what}"),
            Self::Refused(code) => write!(f, "refused with {code}"),
            Self::TimedOut => f.write_str("the peer fell silent"),
        }
    }
}

/// Who talks with whom, and whether still.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) profile: Profile,
    peer: Peer,
    /// A port that is no part of the transfer and must be told.
    stranger: Option<TransferId>,
    /// An ERROR that is the last packet.
    farewell: Option<Vec<u8>>,
    outcome: Option<Outcome>,
    retries: u32,
}

#[derive(Clone, Copy, Debug)]
enum Peer {
    /// A server was asked at this port and will answer from another.
    Asked(TransferId),
    Known(TransferId),
}

impl Conversation {
    /// The server's side: the client's request came from `peer`.
    pub(super) fn answering(peer: TransferId, profile: &Profile) -> Self {
        Self::with(Peer::Known(peer), profile)
    }

    /// The client's side: a request goes to the port `asked`.
    pub(super) fn asking(asked: TransferId, profile: &Profile) -> Self {
        Self::with(Peer::Asked(asked), profile)
    }

    fn with(peer: Peer, profile: &Profile) -> Self {
        Self {
            profile: profile.clone(),
            peer,
            stranger: None,
            farewell: None,
            outcome: None,
            retries: 0,
        }
    }

    pub(super) fn to(&self) -> TransferId {
        match self.peer {
            Peer::Asked(to) | Peer::Known(to) => to,
        }
    }

    /// A datagram that belongs to the transfer. Noise is dropped; a stranger is told, and the transfer goes on.
    pub(super) fn admit<'d>(&mut self, from: TransferId, datagram: &'d [u8]) -> Option<Packet<'d>> {
        let packet = Packet::parse(datagram).ok()?;
        match self.peer {
            Peer::Known(peer) if peer != from => {
                // An ERROR is never answered, or two could go on for ever.
                if !matches!(packet, Packet::Error { .. }) {
                    self.stranger = Some(from);
                }
                return None;
            }
            Peer::Asked(_) if !matches!(packet, Packet::Request(_)) => {
                self.peer = Peer::Known(from);
            }
            Peer::Asked(_) | Peer::Known(_) => {}
        }
        self.outcome.is_none().then_some(packet)
    }

    /// The packets that are not about the file's blocks.
    pub(super) fn poll_transmit(&mut self, into: &mut Vec<u8>) -> Option<Transmit> {
        into.clear();
        if let Some(to) = self.stranger.take() {
            error(ErrorCode::UNKNOWN_TRANSFER_ID, "unknown transfer id").encode(into);
            let segment = into.len();
            return Some(Transmit { to, segment });
        }
        into.extend(self.farewell.take()?);
        Some(self.alone(into))
    }

    /// What is in the buffer is one datagram to the peer.
    pub(super) fn alone(&self, buffer: &[u8]) -> Transmit {
        Transmit {
            to: self.to(),
            segment: buffer.len(),
        }
    }

    pub(super) fn moved(&mut self) {
        self.retries = 0;
    }

    /// Nothing moved: counts it, and ends the transfer where it was once too often.
    pub(super) fn stalled(&mut self) {
        self.retries += 1;
        if self.retries > self.profile.retries {
            self.part(Outcome::TimedOut, ErrorCode::NOT_DEFINED, "timed out");
        }
    }

    pub(super) fn misbehaved(&mut self, code: ErrorCode, what: &'static str) {
        self.part(Outcome::PeerMisbehaved(what), code, what);
    }

    pub(super) fn refuse(&mut self, code: ErrorCode, message: &str) {
        self.part(Outcome::Refused(code), code, message);
    }

    fn part(&mut self, outcome: Outcome, code: ErrorCode, message: &str) {
        if self.outcome.is_none() {
            self.farewell = Some(error(code, message).to_bytes());
            self.outcome = Some(outcome);
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some()
    }
}

/// How the other end's ERROR ends a transfer.
pub(super) fn peer_failed(code: ErrorCode, message: &[u8]) -> Outcome {
    Outcome::PeerFailed {
        code,
        message: message.escape_ascii().to_string(),
    }
}

fn error(code: ErrorCode, message: &str) -> Packet<'_> {
    Packet::Error {
        code,
        message: message.as_bytes(),
    }
}
