//! The packets of TFTP (RFC 1350 section 5, RFC 2347): bytes to types and back.

use std::fmt;

use crate::tftp::block::BlockNumber;
use crate::tftp::options::Options;

/// A datagram, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// RRQ or WRQ.
    Request(Request<'a>),
    /// DATA.
    Data {
        /// Which block.
        number: BlockNumber,
        /// What is in it; less than the block size in the last one.
        payload: &'a [u8],
    },
    /// ACK.
    Acknowledgment(BlockNumber),
    /// ERROR.
    Error {
        /// What is wrong.
        code: ErrorCode,
        /// The same, for people.
        message: &'a [u8],
    },
    /// OACK.
    OptionAcknowledgment(Options),
}

/// What begins a transfer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// Which way the file goes.
    pub kind: RequestKind,
    /// The file, as the client writes it; see [`crate::tftp::name::FileName`].
    pub name: &'a [u8],
    /// How its bytes travel.
    pub mode: Mode,
    /// What the client asks for beyond RFC 1350.
    pub options: Options,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RequestKind {
    /// ReadRequest, RRQ: to the client.
    Read,
    /// WriteRequest, WRQ: from the client.
    Write,
}

/// How a file's bytes travel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// As text, with lines ended by CR LF.
    Netascii,
    /// As they are.
    Octet,
}

/// What is wrong (RFC 1350, Appendix I, and RFC 2347).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// See the message, if there is one.
    pub const NOT_DEFINED: Self = Self(0);
    /// There is no such file.
    pub const FILE_NOT_FOUND: Self = Self(1);
    /// The client may not have or write it.
    pub const ACCESS_VIOLATION: Self = Self(2);
    /// No room for what the client writes.
    pub const DISK_FULL: Self = Self(3);
    /// The client did what TFTP does not allow.
    pub const ILLEGAL_OPERATION: Self = Self(4);
    /// A packet from a port that is no part of the transfer.
    pub const UNKNOWN_TRANSFER_ID: Self = Self(5);
    /// A file is not written over.
    pub const FILE_ALREADY_EXISTS: Self = Self(6);
    /// For mail, which nobody sends.
    pub const NO_SUCH_USER: Self = Self(7);
    /// The options are not what was asked for; clients that only wanted the size end the transfer with it.
    pub const OPTION_REFUSED: Self = Self(8);
}

/// Why a datagram is no packet. Only a request gets an answer, error 4.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PacketError {
    /// It ends too soon.
    Truncated,
    /// A request for a mode other than octet and netascii.
    UnknownMode,
    /// An operation that no RFC names.
    UnknownOperation,
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (operation, rest) = split_number(datagram).ok_or(PacketError::Truncated)?;
        match operation {
            1 => Request::parse(RequestKind::Read, rest).map(Self::Request),
            2 => Request::parse(RequestKind::Write, rest).map(Self::Request),
            6 => Ok(Self::OptionAcknowledgment(Options::parse(rest))),
            3..=5 => {
                let (number, rest) = split_number(rest).ok_or(PacketError::Truncated)?;
                Ok(match operation {
                    3 => Self::Data {
                        number: BlockNumber(number),
                        payload: rest,
                    },
                    4 => Self::Acknowledgment(BlockNumber(number)),
                    _ => Self::Error {
                        code: ErrorCode(number),
                        message: split_text(rest).0,
                    },
                })
            }
            _ => Err(PacketError::UnknownOperation),
        }
    }

    /// Appends the packet to `into`.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Request(request) => request.encode(into),
            Self::Data { number, payload } => {
                push_header(into, 3, number.0);
                into.extend_from_slice(payload);
            }
            Self::Acknowledgment(number) => push_header(into, 4, number.0),
            Self::Error { code, message } => {
                push_header(into, 5, code.0);
                push_text(into, message);
            }
            Self::OptionAcknowledgment(options) => {
                into.extend_from_slice(&6_u16.to_be_bytes());
                options.encode(into);
            }
        }
    }

    /// The packet by itself.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

impl<'a> Request<'a> {
    /// Reads what follows the operation. The NUL that ends the last text may be missing, for there are phones that
    /// forget it.
    fn parse(kind: RequestKind, text: &'a [u8]) -> Result<Self, PacketError> {
        let (name, rest) = split_text(text);
        let (mode, rest) = split_text(rest.ok_or(PacketError::Truncated)?);
        Ok(Self {
            kind,
            name,
            mode: Mode::parse(mode)?,
            options: Options::parse(rest.unwrap_or_default()),
        })
    }

    fn encode(&self, into: &mut Vec<u8>) {
        let operation = match self.kind {
            RequestKind::Read => 1_u16,
            RequestKind::Write => 2,
        };
        into.extend_from_slice(&operation.to_be_bytes());
        push_text(into, self.name);
        push_text(into, self.mode.name());
        self.options.encode(into);
    }
}

impl Mode {
    fn parse(text: &[u8]) -> Result<Self, PacketError> {
        [Self::Octet, Self::Netascii]
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(text))
            .ok_or(PacketError::UnknownMode)
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Netascii => b"netascii",
            Self::Octet => b"octet",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}", self.0)
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is too short",
            Self::UnknownMode => "the mode is neither octet nor netascii",
            Self::UnknownOperation => "the operation is unknown",
        })
    }
}

impl std::error::Error for PacketError {}

/// The text up to a NUL, and what follows if there is one.
pub(super) fn split_text(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    (parts.next().unwrap_or_default(), parts.next())
}

pub(super) fn push_text(into: &mut Vec<u8>, text: &[u8]) {
    into.extend(text.iter().filter(|byte| **byte != 0));
    into.push(0);
}

fn split_number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

fn push_header(into: &mut Vec<u8>, operation: u16, number: u16) {
    into.extend_from_slice(&operation.to_be_bytes());
    into.extend_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::ErrorCode;
    use super::Mode;
    use super::Packet;
    use super::PacketError;
    use super::Request;
    use super::RequestKind;
    use crate::tftp::block::BlockNumber;
    use crate::tftp::options::Options;

    fn read(name: &[u8], mode: Mode, options: Options) -> Packet<'_> {
        Packet::Request(Request {
            kind: RequestKind::Read,
            name,
            mode,
            options,
        })
    }

    const BLOCKS: Options = Options {
        block_size: Some(1428),
        ..Options::NONE
    };

    #[test]
    fn packets_are_read() {
        for (bytes, expected) in [
            (
                &b"\0\x01x.cfg\0octet\0"[..],
                Ok(read(b"x.cfg", Mode::Octet, Options::NONE)),
            ),
            (
                b"\0\x01x\0NetASCII\0blksize\x001428\0",
                Ok(read(b"x", Mode::Netascii, BLOCKS)),
            ),
            (
                b"\0\x01x\0OCTET\0BlkSize\x001428",
                Ok(read(b"x", Mode::Octet, BLOCKS)),
            ),
            (
                b"\0\x01x\0octet",
                Ok(read(b"x", Mode::Octet, Options::NONE)),
            ),
            (
                b"\0\x01\0octet\0blksize",
                Ok(read(b"", Mode::Octet, Options::NONE)),
            ),
            (b"\0\x01x\0mail\0", Err(PacketError::UnknownMode)),
            (b"\0\x01x", Err(PacketError::Truncated)),
            (
                b"\0\x03\0\x07abc",
                Ok(Packet::Data {
                    number: BlockNumber(7),
                    payload: b"abc",
                }),
            ),
            (
                b"\0\x04\xff\xff",
                Ok(Packet::Acknowledgment(BlockNumber(65_535))),
            ),
            (
                b"\0\x05\0\x08no",
                Ok(Packet::Error {
                    code: ErrorCode::OPTION_REFUSED,
                    message: b"no",
                }),
            ),
            (b"\0\x04\xff", Err(PacketError::Truncated)),
            (b"\0", Err(PacketError::Truncated)),
            (b"", Err(PacketError::Truncated)),
            (b"\0\x09ab", Err(PacketError::UnknownOperation)),
        ] {
            assert_eq!(Packet::parse(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn packets_are_written_as_they_are_read() {
        for bytes in [
            &b"\0\x01x.cfg\0octet\0"[..],
            b"\0\x02x\0netascii\0blksize\x001428\0timeout\x003\0tsize\x000\0windowsize\x0016\0",
            b"\0\x03\0\x07abc",
            b"\0\x03\0\x00",
            b"\0\x04\xff\xff",
            b"\0\x05\0\x01nothing here\0",
            b"\0\x06tsize\x00123456789012\0",
        ] {
            let packet = Packet::parse(bytes).unwrap();
            assert_eq!(packet.to_bytes(), bytes, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_alike(bytes: Vec<u8>) {
            if let Ok(packet) = Packet::parse(&bytes) {
                let written = packet.to_bytes();
                assert_eq!(Packet::parse(&written), Ok(packet));
            }
        }
    }
}
