//! The relay's log: a line for each transfer that ended, and for what whoever runs it should know, as JSON or in words. No line has
//! a key, a credential or a file's body.

use std::fmt;
use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;
use std::time::SystemTime;

use serde::Serialize;

use crate::mac::MacAddress;
use crate::platform::native::log::Log;
use crate::platform::native::log::rfc3339;
use crate::relay::metrics::Protocol;

/// The log; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Journal {
    log: Log,
    form: Form,
}

/// Whom the log is for. The facts are the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// Programs: an object of JSON a line.
    #[default]
    Json,
    /// A person at a terminal, or one who reads the system's journal.
    Text,
}

/// A transfer that ended.
#[derive(Clone, Debug)]
pub struct Transfer<'t> {
    /// How the phone asked.
    pub protocol: Protocol,
    /// What it asked for: read, write, or a method.
    pub request: &'t str,
    /// The file.
    pub file: String,
    /// Who asked, by address and port.
    pub peer: std::net::SocketAddr,
    /// How it ended, for people.
    pub outcome: String,
    /// How many bytes of the file were moved.
    pub bytes: u64,
    /// From the request to the end.
    pub took: Duration,
}

impl Journal {
    /// Writes JSON to a log.
    pub fn new(log: Log) -> Self {
        let form = Form::Json;
        Self { log, form }
    }

    /// Writes to `sink`.
    pub fn to(sink: impl Write + Send + 'static, form: Form) -> Self {
        let log = match form {
            Form::Json => Log::to(sink),
            Form::Text => Log::to_person(sink),
        };
        Self { log, form }
    }

    /// A transfer ended.
    pub fn transfer(&self, transfer: &Transfer<'_>) {
        self.write(&TransferLine {
            time: rfc3339(SystemTime::now()),
            protocol: transfer.protocol,
            request: transfer.request,
            file: &transfer.file,
            peer: transfer.peer.to_string(),
            outcome: &transfer.outcome,
            bytes: transfer.bytes,
            milliseconds: transfer.took.as_millis(),
        });
    }

    /// Something that whoever runs the relay should know.
    pub fn event(&self, event: &str, reason: &str) {
        self.write(&EventLine {
            time: rfc3339(SystemTime::now()),
            event,
            reason,
            file: None,
            peer: None,
            mac: None,
        });
    }

    /// The same, about a phone and a file.
    pub fn about(
        &self,
        event: &str,
        reason: &str,
        file: &str,
        peer: IpAddr,
        mac: Option<MacAddress>,
    ) {
        self.write(&EventLine {
            time: rfc3339(SystemTime::now()),
            event,
            reason,
            file: Some(file),
            peer: Some(peer),
            mac,
        });
    }

    /// The same, about a phone alone.
    pub fn phone(&self, event: &str, reason: &str, peer: IpAddr, mac: Option<MacAddress>) {
        self.write(&EventLine {
            time: rfc3339(SystemTime::now()),
            event,
            reason,
            file: None,
            peer: Some(peer),
            mac,
        });
    }

    fn write(&self, line: &(impl Serialize + fmt::Display)) {
        match self.form {
            Form::Json => self.log.line(line),
            Form::Text => self.log.words(&line.to_string()),
        }
    }
}

#[derive(Serialize)]
struct TransferLine<'l> {
    time: String,
    protocol: Protocol,
    request: &'l str,
    file: &'l str,
    peer: String,
    outcome: &'l str,
    bytes: u64,
    milliseconds: u128,
}

#[derive(Serialize)]
struct EventLine<'l> {
    time: String,
    event: &'l str,
    reason: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddress>,
}

impl fmt::Display for TransferLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} for {}: {}, {} bytes, {} ms",
            self.time,
            self.protocol.name(),
            Quoted(self.request),
            Quoted(self.file),
            self.peer,
            Plain(self.outcome),
            self.bytes,
            self.milliseconds,
        )
    }
}

impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.time, self.event, Plain(self.reason))?;
        if let Some(file) = self.file {
            write!(f, "; file {}", Quoted(file))?;
        }
        if let Some(peer) = self.peer {
            write!(f, "; by {peer}")?;
        }
        if let Some(mac) = self.mac {
            write!(f, "; phone {mac}")?;
        }
        Ok(())
    }
}

/// Words that others may have written: nothing in them ends a line, or tells a terminal what to do.
struct Plain<'t>(&'t str);

/// A name that others chose: where it begins and ends can be seen.
struct Quoted<'t>(&'t str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            letter if letter.is_control() || is_unseen(letter) => {
                write!(f, "{}", letter.escape_unicode())
            }
            letter => f.write_char(letter),
        })
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |letter: char| letter.is_ascii_graphic() && !"\"\\:;,".contains(letter);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{}\"", Plain(&escaped))
    }
}

/// Separators of lines, and what turns the direction of writing (Unicode, annexes 14 and 9).
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;

    use super::EventLine;
    use super::TransferLine;
    use crate::relay::metrics::Protocol;

    #[test]
    fn transfers_in_words() {
        for (file, outcome, expected) in [
            (
                "shared.cfg",
                "completed",
                "T tftp read shared.cfg for 192.0.2.7:1024: completed, 10 bytes, 3 ms",
            ),
            (
                "a b\n\"c\u{1b}[2J",
                "no\r\nT http GET",
                "T tftp read \"a b\\u{a}\\\"c\\u{1b}[2J\" for 192.0.2.7:1024: no\\u{d}\\u{a}T http GET, 10 bytes, 3 ms",
            ),
            (
                "",
                "completed",
                "T tftp read \"\" for 192.0.2.7:1024: completed, 10 bytes, 3 ms",
            ),
        ] {
            let line = TransferLine {
                time: "T".to_owned(),
                protocol: Protocol::Tftp,
                request: "read",
                file,
                peer: "192.0.2.7:1024".to_owned(),
                outcome,
                bytes: 10,
                milliseconds: 3,
            };
            assert_eq!(line.to_string(), expected);
        }
    }

    #[test]
    fn events_in_words() {
        let mut line = EventLine {
            time: "T".to_owned(),
            event: "refused",
            reason: "another's",
            file: None,
            peer: None,
            mac: None,
        };
        assert_eq!(line.to_string(), "T refused: another's");
        line.file = Some("x: y.cfg");
        line.peer = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 7)));
        line.mac = "0004f2000500".parse().ok();
        assert_eq!(
            line.to_string(),
            "T refused: another's; file \"x: y.cfg\"; by 192.0.2.7; phone 0004f2000500"
        );
    }
}
