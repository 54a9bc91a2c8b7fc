//! Options (RFC 2347): block size (RFC 2348), timeout and size (RFC 2349), window (RFC 7440).

use std::time::Duration;

use crate::tftp::block::Rollover;
use crate::tftp::packet::push_text;
use crate::tftp::packet::split_text;

/// Options that a client asks for, or that a server grants. Unknown ones, and values that no RFC allows, are left out:
/// that is how a server declines.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// `blksize`: 8 to 65,464 bytes.
    pub block_size: Option<u16>,
    /// `timeout`: 1 to 255 seconds before a packet is sent again.
    pub timeout: Option<u8>,
    /// `tsize`: the bytes of the file; 0 in a read request, which asks for them.
    pub transfer_size: Option<u64>,
    /// `windowsize`: blocks that are sent before an acknowledgment is awaited.
    pub window_size: Option<u16>,
}

impl Options {
    /// RFC 1350, as it is.
    pub const NONE: Self = Self {
        block_size: None,
        timeout: None,
        transfer_size: None,
        window_size: None,
    };

    /// Whether there is nothing to acknowledge.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Reads pairs of name and value. The first of two with one name counts.
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let (name, Some(rest)) = split_text(bytes) {
            let (value, rest) = split_text(rest);
            options.set(name, value);
            bytes = rest.unwrap_or_default();
        }
        options
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(value) = number(value) else {
            return;
        };
        match name.to_ascii_lowercase().as_slice() {
            b"blksize" if value >= LEAST_BLOCK_SIZE => {
                let block_size = u16::try_from(value).unwrap_or(u16::MAX);
                fill(
                    &mut self.block_size,
                    Some(block_size.min(LARGEST_BLOCK_SIZE)),
                );
            }
            b"timeout" if value > 0 => fill(&mut self.timeout, u8::try_from(value).ok()),
            b"tsize" => fill(&mut self.transfer_size, Some(value)),
            b"windowsize" if value > 0 => fill(&mut self.window_size, u16::try_from(value).ok()),
            _ => {}
        }
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        for (name, value) in [
            (&b"blksize"[..], self.block_size.map(u64::from)),
            (b"timeout", self.timeout.map(u64::from)),
            (b"tsize", self.transfer_size),
            (b"windowsize", self.window_size.map(u64::from)),
        ] {
            if let Some(value) = value {
                push_text(into, name);
                push_text(into, value.to_string().as_bytes());
            }
        }
    }
}

/// What one side grants, and how patient it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// The largest block granted.
    pub block_size: u16,
    /// The largest window granted.
    pub window_size: u16,
    /// What follows block 65,535.
    pub rollover: Rollover,
    /// The shortest time before a packet is sent again, whatever the round trips took.
    pub floor: Duration,
    /// How often a block is sent again before the other side is given up.
    pub retries: u32,
    /// How long the last acknowledgment is repeated to whoever missed it.
    pub linger: Duration,
}

impl Profile {
    /// For phones of which nothing is known. A block of 1,468 bytes fits an Ethernet frame, and windows of more than 64
    /// blocks overrun the buffers of small clients. Clients restart their own timers on each repeated packet, so that
    /// one who repeats at once starves them: hence the floor.
    pub const DEFAULT: Self = Self {
        block_size: 1468,
        window_size: 64,
        rollover: Rollover::ToZero,
        floor: Duration::from_millis(250),
        retries: 6,
        linger: Duration::from_secs(5),
    };
}

/// What both sides agreed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// Bytes in a block.
    pub block_size: usize,
    /// Time before a packet is sent again, if the client chose it.
    pub timeout: Option<Duration>,
    /// Bytes of the file, if known.
    pub transfer_size: Option<u64>,
    /// Blocks to an acknowledgment.
    pub window: u64,
}

impl Terms {
    /// RFC 1350.
    pub const PLAIN: Self = Self {
        block_size: 512,
        timeout: None,
        transfer_size: None,
        window: 1,
    };

    /// What a server grants of what is asked. `transfer_size` is the size that it tells, if any.
    pub fn grant(
        asked: &Options,
        profile: &Profile,
        transfer_size: Option<u64>,
    ) -> (Self, Options) {
        let granted = Options {
            block_size: asked.block_size.map(|it| it.min(profile.block_size)),
            timeout: asked.timeout,
            transfer_size: asked.transfer_size.and(transfer_size),
            window_size: asked.window_size.map(|it| it.min(profile.window_size)),
        };
        let terms = Self {
            transfer_size,
            ..Self::of(&granted)
        };
        (terms, granted)
    }

    /// What a client has of what was granted; `None` if that is more than it asked for.
    pub fn accept(asked: &Options, granted: &Options) -> Option<Self> {
        let within = at_most(granted.block_size, asked.block_size)
            && at_most(granted.window_size, asked.window_size)
            && (granted.timeout.is_none() || granted.timeout == asked.timeout)
            && (granted.transfer_size.is_none() || asked.transfer_size.is_some());
        within.then(|| Self::of(granted))
    }

    fn of(granted: &Options) -> Self {
        Self {
            block_size: granted.block_size.map_or(512, usize::from),
            timeout: granted.timeout.map(|it| Duration::from_secs(it.into())),
            transfer_size: granted.transfer_size,
            window: granted.window_size.map_or(1, u64::from),
        }
    }
}

const LEAST_BLOCK_SIZE: u64 = 8;
const LARGEST_BLOCK_SIZE: u16 = 65_464;

fn fill<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn at_most(granted: Option<u16>, asked: Option<u16>) -> bool {
    granted.is_none_or(|granted| asked.is_some_and(|asked| granted <= asked))
}

fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::Options;
    use super::Profile;
    use super::Terms;

    fn options(text: &str) -> Options {
        Options::parse(text.replace(' ', "\0").as_bytes())
    }

    #[test]
    fn only_what_the_rfcs_allow_is_read() {
        for (text, read) in [
            ("blksize 1428 ", "blksize 1428 "),
            ("BLKSIZE 1428 tsize 0 ", "blksize 1428 tsize 0 "),
            ("blksize 7 ", ""),
            ("blksize 8 ", "blksize 8 "),
            ("blksize 70000 ", "blksize 65464 "),
            ("blksize 99999999999999999999999 ", ""),
            ("blksize -1 windowsize +4 timeout 1.5 ", ""),
            ("windowsize 0 timeout 0 ", ""),
            ("timeout 256 windowsize 65536 ", ""),
            (
                "timeout 255 windowsize 65535 ",
                "timeout 255 windowsize 65535 ",
            ),
            ("multicast x tsize 3 ", "tsize 3 "),
            ("tsize 1 tsize 2 ", "tsize 1 "),
            ("tsize", ""),
            ("  ", ""),
        ] {
            assert_eq!(options(text), options(read), "{text:?}");
        }
    }

    #[test]
    fn no_more_is_granted_than_the_profile_has() {
        for (asked, size, granted) in [
            ("", None, ""),
            ("blksize 4096 ", None, "blksize 1468 "),
            (
                "blksize 1024 windowsize 500 ",
                None,
                "blksize 1024 windowsize 64 ",
            ),
            ("tsize 0 ", Some(77), "tsize 77 "),
            ("tsize 0 timeout 3 ", None, "timeout 3 "),
            ("timeout 9 ", Some(77), "timeout 9 "),
        ] {
            let (terms, given) = Terms::grant(&options(asked), &Profile::DEFAULT, size);
            assert_eq!(given, options(granted), "{asked:?}");
            let accepted = Terms::accept(&options(asked), &given).unwrap();
            assert_eq!(accepted.block_size, terms.block_size, "{asked:?}");
            assert_eq!(accepted.window, terms.window, "{asked:?}");
        }
    }

    #[test]
    fn a_client_takes_no_more_than_it_asked_for() {
        for (asked, granted, taken) in [
            ("blksize 1428 ", "", true),
            ("blksize 1428 ", "blksize 512 ", true),
            ("blksize 1428 ", "blksize 1429 ", false),
            ("blksize 1428 ", "windowsize 2 ", false),
            ("timeout 3 ", "timeout 3 ", true),
            ("timeout 3 ", "timeout 2 ", false),
            ("", "tsize 5 ", false),
            ("tsize 0 ", "tsize 5 ", true),
        ] {
            let terms = Terms::accept(&options(asked), &options(granted));
            assert_eq!(terms.is_some(), taken, "{asked:?} {granted:?}");
        }
    }
}
