//! What of SIP (RFC 3261) a phone needs that asks by multicast where its files are: SUBSCRIBE for `ua-profile` (RFC 6080), the answer
//! to it and NOTIFY (RFC 6665), as vendors practise it.
//!
//! What it deliberately does not do: no transactions and no dialogs, for a phone that hears nothing asks again, and no I/O.

use core::net::SocketAddr;
use std::fmt;
use std::fmt::Write as _;

/// A phone's question for its profile.
///
/// Invariants: its package is `ua-profile`; no text has a control character, so that each can stand in a line of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscribe {
    uri: String,
    vias: Vec<String>,
    from: String,
    to: String,
    call_id: String,
    sequence: String,
    event: String,
    contact: Option<String>,
    user_agent: Option<String>,
}

/// Why a datagram is no such question. It gets no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SipError {
    /// It takes another kind of profile.
    Accept,
    /// A header is there twice.
    Doubled(&'static str),
    /// It is of another package than `ua-profile`.
    Event,
    /// A line is no header, or has control characters.
    Header,
    /// It has more bytes, or more headers, than any phone's.
    Long,
    /// It is an answer, or a request for something else.
    Method,
    /// A header is not there.
    Missing(&'static str),
    /// It is no text.
    Text,
}

/// Where an answer comes from, and what makes it one of ours.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    /// The phone, as the datagram has it.
    pub peer: SocketAddr,
    /// Our address, as the phone can reach it.
    pub local: SocketAddr,
    /// What names our end of the conversation; the same for a question that is repeated.
    pub tag: &'a str,
}

impl Subscribe {
    /// Reads a datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, SipError> {
        if datagram.len() > LONGEST {
            return Err(SipError::Long);
        }
        let text = std::str::from_utf8(datagram).map_err(|_| SipError::Text)?;
        let mut lines = text.trim_start_matches(['\r', '\n']).lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let start = (words.next(), words.next(), words.next(), words.next());
        let (Some("SUBSCRIBE"), Some(uri), Some("SIP/2.0"), None) = start else {
            return Err(SipError::Method);
        };
        let headers = headers(lines)?;
        let all = |name| headers.iter().filter(move |(it, _)| it == name);
        let one = |name| {
            let mut found = all(name).map(|(_, value)| value.clone());
            match (found.next(), found.next()) {
                (value, None) => Ok(value),
                _ => Err(SipError::Doubled(name)),
            }
        };
        let needed = |name| one(name)?.ok_or(SipError::Missing(name));
        let subscribe = Self {
            uri: printable(uri)?.to_owned(),
            vias: all("via").map(|(_, value)| value.clone()).collect(),
            from: needed("from")?,
            to: needed("to")?,
            call_id: needed("call-id")?,
            sequence: needed("cseq")?,
            event: needed("event")?,
            contact: one("contact")?,
            user_agent: one("user-agent")?,
        };
        let accepted: Vec<&str> = all("accept").map(|(_, value)| value.as_str()).collect();
        subscribe.check(&accepted)?;
        Ok(subscribe)
    }

    fn check(&self, accepted: &[&str]) -> Result<(), SipError> {
        if self.vias.is_empty() {
            return Err(SipError::Missing("via"));
        }
        let package = self.event.split(';').next().unwrap_or_default();
        if !package.trim().eq_ignore_ascii_case("ua-profile") {
            return Err(SipError::Event);
        }
        let mut kinds = accepted.iter().flat_map(|line| line.split(','));
        let takes = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            ["*/*", "application/*", URL]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(kind))
        };
        if !accepted.is_empty() && !kinds.any(takes) {
            return Err(SipError::Accept);
        }
        Ok(())
    }

    /// A parameter of its event, such as `model`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut parts = Parts(&self.event).skip(1);
        parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            let same = key.trim().eq_ignore_ascii_case(name);
            same.then(|| value.trim().trim_matches('"'))
        })
    }

    /// What the phone calls itself.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// Where a phone says which one it is, if it does: the address that it asks, and its own.
    pub fn identities(&self) -> [&str; 2] {
        [&self.uri, &self.from]
    }

    /// Names the conversation: what an answer's tag is made of.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The answer: yes, and that is all there will be.
    pub fn accept(&self, answering: &Answering<'_>) -> String {
        let mut text = String::from("SIP/2.0 200 OK\r\n");
        for (at, via) in self.vias.iter().enumerate() {
            let via = if at == 0 {
                returned(via, answering.peer)
            } else {
                via.clone()
            };
            header(&mut text, "Via", &via);
        }
        header(&mut text, "From", &self.from);
        header(&mut text, "To", &self.tagged(answering.tag));
        header(&mut text, "Call-ID", &self.call_id);
        header(&mut text, "CSeq", &self.sequence);
        header(&mut text, "Contact", &format!("<sip:{}>", answering.local));
        header(&mut text, "Expires", "0");
        header(&mut text, "Content-Length", "0");
        text + "\r\n"
    }

    /// What was asked for: the address of the phone's files.
    pub fn notify(&self, answering: &Answering<'_>, url: &str) -> String {
        let (peer, local, tag) = (answering.peer, answering.local, answering.tag);
        let uri = self.contact.as_deref().and_then(uri_in);
        let uri = uri.map_or_else(|| format!("sip:{peer}"), str::to_owned);
        let mut text = format!("NOTIFY {uri} SIP/2.0\r\n");
        // RFC 3261, section 8.1.1.7: the branch begins so, and is no other request's.
        header(
            &mut text,
            "Via",
            &format!("SIP/2.0/UDP {local};branch=z9hG4bK{tag};rport"),
        );
        header(&mut text, "Max-Forwards", "20");
        header(&mut text, "From", &self.tagged(tag));
        header(&mut text, "To", &self.from);
        header(&mut text, "Call-ID", &self.call_id);
        header(&mut text, "CSeq", "1 NOTIFY");
        header(&mut text, "Contact", &format!("<sip:{local}>"));
        header(&mut text, "Event", &self.event);
        header(&mut text, "Subscription-State", "terminated;reason=timeout");
        header(&mut text, "Content-Type", URL);
        header(&mut text, "Content-Length", &url.len().to_string());
        text + "\r\n" + url
    }

    /// Our end, as both messages name it.
    fn tagged(&self, tag: &str) -> String {
        let parameters = self
            .to
            .rsplit_once('>')
            .map_or(self.to.as_str(), |(_, after)| after);
        let mut parameters = Parts(parameters).skip(1);
        if parameters.any(|it| it.trim().to_ascii_lowercase().starts_with("tag=")) {
            self.to.clone()
        } else {
            format!("{};tag={tag}", self.to)
        }
    }
}

/// The parts of a header between semicolons, of which those within quotes are none (RFC 3261, section 25.1).
struct Parts<'t>(&'t str);

impl<'t> Iterator for Parts<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let ends = |letter: char| {
            let ends = letter == ';' && !quoted;
            quoted ^= letter == '"' && !escaped;
            escaped = letter == '\\' && quoted && !escaped;
            ends
        };
        let (part, rest) = self.0.split_at(self.0.find(ends).unwrap_or(self.0.len()));
        self.0 = rest.strip_prefix(';').unwrap_or(rest);
        Some(part)
    }
}

impl fmt::Display for SipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("the phone takes no application/url"),
            Self::Doubled(name) => write!(f, "there are two headers {name}"),
            Self::Event => f.write_str("it does not ask for ua-profile"),
            Self::Header => f.write_str("a line is no header"),
            Self::Long => f.write_str("it is longer than any phone's"),
            Self::Method => f.write_str("it is no SUBSCRIBE"),
            Self::Missing(name) => write!(f, "there is no header {name}"),
            Self::Text => f.write_str("it is no text"),
        }
    }
}

impl std::error::Error for SipError {}

/// Names in lower case and values, of which those that go on in the next line are one.
fn headers<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<(String, String)>, SipError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let text = printable(line.trim())?;
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or(SipError::Header)?;
            value.push(' ');
            value.push_str(text);
            continue;
        }
        let (name, value) = text.split_once(':').ok_or(SipError::Header)?;
        if headers.len() == MOST_HEADERS {
            return Err(SipError::Long);
        }
        headers.push((full(name.trim()), value.trim().to_owned()));
    }
    Ok(headers)
}

/// A header's name, in lower case; some have a short one (RFC 3261, section 7.3.3, RFC 6665, section 8.2).
fn full(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let long = COMPACT.iter().find(|(short, _)| *short == name);
    long.map_or(name, |(_, long)| (*long).to_owned())
}

fn printable(text: &str) -> Result<&str, SipError> {
    let odd = |letter: char| letter.is_control() && letter != '\t';
    if text.contains(odd) {
        return Err(SipError::Header);
    }
    Ok(text)
}

/// A Via with where its request came from, where it asks for that (RFC 3581, section 4).
fn returned(via: &str, peer: SocketAddr) -> String {
    let mut text = String::new();
    for (at, part) in Parts(via).enumerate() {
        let separator = if at == 0 { "" } else { ";" };
        // A text takes all that is written to it.
        let _ = match part.trim().eq_ignore_ascii_case("rport") {
            true => write!(text, ";received={};rport={}", peer.ip(), peer.port()),
            false => write!(text, "{separator}{part}"),
        };
    }
    text
}

/// The address in a Contact, if it is one of SIP.
fn uri_in(contact: &str) -> Option<&str> {
    let uri = match contact.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => contact.split(';').next()?,
    };
    let uri = uri.trim();
    let scheme = uri.get(..4)?.eq_ignore_ascii_case("sip:");
    (scheme && !uri.contains(char::is_whitespace)).then_some(uri)
}

fn header(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, "{name}: {value}\r\n");
}

/// RFC 6080 leaves the kinds of profiles open; phones take this.
const URL: &str = "application/url";

const COMPACT: [(&str, &str); 6] = [
    ("f", "from"),
    ("i", "call-id"),
    ("m", "contact"),
    ("o", "event"),
    ("t", "to"),
    ("v", "via"),
];

/// Those of phones have about five hundred bytes, in a dozen lines.
const LONGEST: usize = 2048;
const MOST_HEADERS: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Answering;
    use super::SipError;
    use super::Subscribe;

    /// As the 400HD manual shows it (version 2.2.8, section 10.2).
    const AUDIOCODES: &str = "SUBSCRIBE sip:224.0.1.75:5060 SIP/2.0\r\n\
        From: <sip:00000001@10.13.2.37:5060>;tag=87a5a8\r\nTo: <sip:224.0.1.75:5060>\r\nCall-ID: 8884c8-2502\r\n\
        CSeq: 1 SUBSCRIBE\r\nVia: SIP/2.0/UDP 10.13.2.37:5060;rport;branch=z9hG4bK-386d\r\nExpires: 0\r\n\
        Event: ua-profile;profile-type=\"application\";model=\"440HD\";version=\"2.2.2\"\r\nMax-Forwards: 70\r\n\
        Accept: application/url\r\nContact: <sip:00000001@10.13.2.37:5060>\r\nUser-Agent: AUDC-IPPhone/2.2.2\r\n\
        Content-Length: 0\r\n\r\n";

    fn answering() -> Answering<'static> {
        Answering {
            peer: "10.13.2.37:5061".parse().unwrap(),
            local: "10.13.4.121:5060".parse().unwrap(),
            tag: "77",
        }
    }

    #[test]
    fn the_conversation_of_the_manual() {
        let asked = Subscribe::parse(AUDIOCODES.as_bytes()).unwrap();
        assert_eq!(asked.parameter("Model"), Some("440HD"));
        assert_eq!(asked.parameter("vendor"), None);
        assert_eq!(asked.user_agent(), Some("AUDC-IPPhone/2.2.2"));
        assert_eq!(
            asked.accept(&answering()),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.13.2.37:5060;received=10.13.2.37;rport=5061;branch=z9hG4bK-386d\r\n\
            From: <sip:00000001@10.13.2.37:5060>;tag=87a5a8\r\nTo: <sip:224.0.1.75:5060>;tag=77\r\nCall-ID: 8884c8-2502\r\n\
            CSeq: 1 SUBSCRIBE\r\nContact: <sip:10.13.4.121:5060>\r\nExpires: 0\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            asked.notify(&answering(), "tftp://10.13.4.121"),
            "NOTIFY sip:00000001@10.13.2.37:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.13.4.121:5060;branch=z9hG4bK77;rport\r\n\
            Max-Forwards: 20\r\nFrom: <sip:224.0.1.75:5060>;tag=77\r\nTo: <sip:00000001@10.13.2.37:5060>;tag=87a5a8\r\n\
            Call-ID: 8884c8-2502\r\nCSeq: 1 NOTIFY\r\nContact: <sip:10.13.4.121:5060>\r\n\
            Event: ua-profile;profile-type=\"application\";model=\"440HD\";version=\"2.2.2\"\r\n\
            Subscription-State: terminated;reason=timeout\r\nContent-Type: application/url\r\nContent-Length: 18\r\n\r\n\
            tftp://10.13.4.121"
        );
    }

    #[test]
    fn spellings() {
        let short = "\r\n\r\nSUBSCRIBE sip:x SIP/2.0\nv : SIP/2.0/UDP a\nVIA: SIP/2.0/UDP b\nf: \"x;y\" <sip:a>;tag=1\nt: <sip:b>;tag=9\n\
            i: 1\ncseq:\t7\n SUBSCRIBE\no: UA-Profile ; model = \"a;\\\"b\"\nm: mailto:a@b\n\n";
        let asked = Subscribe::parse(short.as_bytes()).unwrap();
        assert_eq!(asked.parameter("model"), Some("a;\\\"b"));
        let accepted = asked.accept(&answering());
        assert!(
            accepted.contains("\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n")
                && accepted.contains("\r\nTo: <sip:b>;tag=9\r\n")
                && accepted.contains("\r\nCSeq: 7 SUBSCRIBE\r\n"),
            "{accepted}"
        );
        let notified = asked.notify(&answering(), "x");
        assert!(notified.starts_with("NOTIFY sip:10.13.2.37:5061 SIP/2.0\r\n"));
    }

    #[test]
    fn what_gets_no_answer() {
        for (from, to, expected) in [
            ("SUBSCRIBE", "REGISTER", SipError::Method),
            ("SUBSCRIBE sip", "SUBSCRIBE  sip", SipError::Method),
            ("SIP/2.0\r\nFrom", "SIP/1.0\r\nFrom", SipError::Method),
            ("ua-profile", "presence", SipError::Event),
            ("application/url", "application/xml", SipError::Accept),
            ("Call-ID: ", "X: ", SipError::Missing("call-id")),
            ("Via: ", "X: ", SipError::Missing("via")),
            ("Max-Forwards: 70", "i: 2", SipError::Doubled("call-id")),
            ("Max-Forwards: 70", "no header", SipError::Header),
            ("Max-Forwards: 70", "X: \u{1b}[2J", SipError::Header),
            ("From: ", " From: ", SipError::Header),
        ] {
            let text = AUDIOCODES.replacen(from, to, 1);
            assert_eq!(Subscribe::parse(text.as_bytes()), Err(expected), "{to}");
        }
        let long = AUDIOCODES.replace("70", &"7".repeat(2000));
        assert_eq!(Subscribe::parse(long.as_bytes()), Err(SipError::Long));
        let many = AUDIOCODES.replace("Max-Forwards: 70", &"X: 1\r\n".repeat(40));
        assert_eq!(Subscribe::parse(many.as_bytes()), Err(SipError::Long));
        assert_eq!(Subscribe::parse(b"SUBSCRIBE \xff"), Err(SipError::Text));
        // What a phone answers to our NOTIFY, and what we send, heard again.
        let asked = Subscribe::parse(AUDIOCODES.as_bytes()).unwrap();
        for ours in [asked.accept(&answering()), asked.notify(&answering(), "x")] {
            assert_eq!(Subscribe::parse(ours.as_bytes()), Err(SipError::Method));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Subscribe::parse(&bytes);
        }

        /// Whatever a phone says, an answer has the lines that it should have, and is little longer than the question.
        #[test]
        fn no_line_is_added(from in 0..900_usize, to in 0..900_usize, with in "[ -~\r\n\t;<>\"]{0,20}") {
            let (from, to) = (from.min(AUDIOCODES.len()), to.min(AUDIOCODES.len()));
            let text = [&AUDIOCODES[..from.min(to)], &with, &AUDIOCODES[to.max(from)..]].concat();
            if let Ok(asked) = Subscribe::parse(text.as_bytes()) {
                let notified = asked.notify(&answering(), "tftp://10.13.4.121");
                prop_assert_eq!(notified.lines().count(), 14);
                prop_assert!(notified.len() <= 2 * text.len() + 400);
                let accepted = asked.accept(&answering());
                prop_assert!(accepted.ends_with("\r\nContent-Length: 0\r\n\r\n"));
                prop_assert!(accepted.len() <= text.len() + 200);
            }
        }
    }
}
