//! The fuzz targets: what reads the network's input must not panic, hang or break its own invariants.

use std::time::Duration;
use std::time::Instant;

use handset::credential::Credential;
use handset::credential::Exchange;
use handset::credential::StoredPassword;
use handset::credential::Verdict;
use handset::key::Holder;
use handset::key::Key;
use handset::path::RequestPath;
use handset::pattern::Pattern;
use handset::range;
use handset::range::Requested;
use handset::secret::DeploymentSecrets;
use handset::secret::Secret;
use handset::sip::Answering;
use handset::sip::Subscribe;
use handset::tftp::name::FileName;
use handset::tftp::options::Options;
use handset::tftp::options::Profile;
use handset::tftp::packet::Mode;
use handset::tftp::packet::Packet;
use handset::tftp::packet::RequestKind;
use handset::tftp::receiver::Receiver;
use handset::tftp::sender::Sender;
use handset::tftp::transfer::TransferId;
use handset::user_agent::UserAgent;
use handset::vendor;
use handset::well_formed;

/// A target: its name and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, sorted by name.
pub const TARGETS: &[Target] = &[
    ("credential", credential),
    ("master_file", master_file),
    ("path", path),
    ("pattern", pattern),
    ("range", range),
    ("sip", sip),
    ("tftp", tftp),
    ("user_agent", user_agent),
    ("well_formed", well_formed),
];

/// Authorization headers, path keys and stored passwords: nothing that was not made with the secret opens
/// anything. The first line is the header, the second the request's target.
pub fn credential(bytes: &[u8]) {
    let secrets = DeploymentSecrets::parse(SECRET).expect("a secret");
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let header = lines.next().unwrap_or_default();
    let target = String::from_utf8_lossy(lines.next().unwrap_or(b"/x"));
    for word in String::from_utf8_lossy(bytes).split([' ', '/', '"', '\n']) {
        password(word);
        key(&secrets, word);
    }
    match Credential::parse(header) {
        Ok(Credential::Basic(basic)) => {
            assert!(!basic.user.contains(':'));
            basic.key();
        }
        Ok(Credential::Digest(digest)) => {
            assert!(digest.is_user(&digest.user));
            let exchange = Exchange {
                method: "GET",
                target: &target,
                realm: "office",
                site: "office",
                now: 1_700_000_000,
                lifetime: 300,
            };
            let stored = [StoredPassword::Plain(Secret::new("password"))];
            let verdict = digest.check(&secrets, &exchange, &stored);
            assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
        }
        Err(_) => {}
    }
}

fn key(secrets: &DeploymentSecrets, word: &str) {
    let holder = Holder {
        site: "office",
        mac: "0004f28062d6".parse().ok(),
        relay: Some("cellar"),
    };
    if let Some(key) = Key::parse(word) {
        assert!(key.text().equals(word.to_ascii_lowercase().as_bytes()));
        assert_eq!(key.verify(secrets, &holder, 0..=127), None);
    }
}

/// What is read is written back as it was, or in lower case.
fn password(word: &str) {
    if let Ok(stored) = StoredPassword::parse(word) {
        let text = stored.text();
        let text = text.expose_text().expect("text");
        assert!(StoredPassword::parse(text).is_ok());
        stored.verify("user", "office", &Secret::new(word));
    }
}

/// Only what is made here verifies with it; no seed holds anything that was.
const SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";

/// The simulated phone's reading of a master file.
pub fn master_file(bytes: &[u8]) {
    handset::boot::read_master(bytes);
}

/// Request paths: what is accepted keeps the promises of its type.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(path) = RequestPath::parse(text) else {
        return;
    };
    for path in [path.collapsed(), path] {
        assert!(path.segments().count() <= RequestPath::SEGMENTS);
        for segment in path.segments() {
            assert!(!matches!(segment, "" | "." | ".."), "{segment:?}");
            assert!(
                segment.len() <= 255 && !segment.contains(['/', '\\', '\0', '\n']),
                "{segment:?}"
            );
        }
    }
}

/// Patterns against names: the first line is the pattern, the second the name.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (pattern, name) = text.split_once('\n').unwrap_or(("{mac}-{name}.cfg", text));
    let Ok(path) = RequestPath::parse(name) else {
        return;
    };
    if let Ok(pattern) = Pattern::parse(pattern) {
        if let Some(captures) = pattern.capture(&path) {
            captures.fill(&pattern.to_string());
        }
    }
    for rule in vendor::ALL.iter().flat_map(|vendor| vendor.rules) {
        Pattern::parse(rule.pattern)
            .expect("a table's pattern")
            .capture(&path);
    }
}

/// Range headers: a part lies within the file and is not empty.
pub fn range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for length in [0, 1, 10, u64::MAX] {
        if let Requested::Part(part) = range::parse(text, length) {
            assert!(
                part.start < part.end && part.end <= length,
                "{part:?} of {length}"
            );
        }
    }
}

/// What phones ask by SIP multicast: whatever stands in a question, its answers have the lines that they should have, and are little longer.
pub fn sip(bytes: &[u8]) {
    let Ok(asked) = Subscribe::parse(bytes) else {
        return;
    };
    let answering = Answering {
        peer: ([192, 0, 2, 7], 5060).into(),
        local: ([192, 0, 2, 1], 5060).into(),
        tag: "77",
    };
    asked.parameter("model");
    let notified = asked.notify(&answering, "tftp://192.0.2.1");
    assert_eq!(notified.lines().count(), 14);
    let accepted = asked.accept(&answering);
    assert!(accepted.ends_with("\r\nContent-Length: 0\r\n\r\n"));
    assert!(accepted.len() <= bytes.len() + 250 && notified.len() <= 2 * bytes.len() + 400);
}

/// TFTP datagrams, each after its length, to both ends of a transfer that the first of them asks for; time passes with each.
pub fn tftp(bytes: &[u8]) {
    let mut datagrams = Datagrams(bytes);
    let first = datagrams.next().unwrap_or_default();
    let Ok(Packet::Request(request)) = Packet::parse(first) else {
        return;
    };
    if let Ok(name) = FileName::parse(request.name) {
        assert!(
            !name
                .as_bytes()
                .split(|byte| *byte == b'/')
                .any(|it| matches!(it, b"" | b".."))
        );
    }
    let [server, client] = [TransferId(69), TransferId(2000)];
    let profile = Profile::DEFAULT;
    let options = request.options.clone();
    let mut senders = vec![Sender::ask(
        b"x",
        request.mode,
        options.clone(),
        server,
        &profile,
    )];
    let mut receivers = vec![Receiver::ask(b"x", Mode::Octet, options, server, &profile)];
    match request.kind {
        RequestKind::Read => senders.push(Sender::answer(&request, Some(9000), client, &profile)),
        RequestKind::Write => receivers.push(Receiver::answer(&request, client, &profile)),
    }
    senders.push(Sender::ask(
        b"",
        Mode::Octet,
        Options::NONE,
        client,
        &profile,
    ));
    let mut now = Instant::now();
    for datagram in datagrams {
        now += Duration::from_millis(u64::try_from(datagram.len()).unwrap_or(0) * 7);
        let from = if datagram.len() % 31 == 30 {
            server
        } else {
            client
        };
        senders
            .iter_mut()
            .for_each(|sender| send(sender, now, from, datagram));
        receivers
            .iter_mut()
            .for_each(|receiver| receive(receiver, now, from, datagram));
    }
}

/// What a sender holds and sends stays bounded whatever it hears.
fn send(sender: &mut Sender, now: Instant, from: TransferId, datagram: &[u8]) {
    sender.handle_datagram(now, from, datagram);
    let wanted = sender.wanted();
    assert!(wanted <= 64 * 1468 * 3 + (16 << 10), "{wanted}");
    sender.supply(&vec![b'\n'; wanted.min(3000)]);
    if datagram.ends_with(b"end") {
        sender.finish();
    }
    let mut buffer = Vec::new();
    for _ in 0..8 {
        let Some(transmit) = sender.poll_transmit(now, &mut buffer) else {
            break;
        };
        assert!(transmit.segment > 0 && buffer.len() <= 65_507);
    }
    if sender.poll_timeout().is_some_and(|at| at <= now) {
        sender.handle_timeout(now);
    }
}

fn receive(receiver: &mut Receiver, now: Instant, from: TransferId, datagram: &[u8]) {
    receiver.handle_datagram(now, from, datagram);
    let taken = receiver.take();
    assert!(taken.len() <= datagram.len() + 1);
    if receiver.is_complete() && datagram.len() % 2 == 0 {
        receiver.stored();
    }
    let mut buffer = Vec::new();
    for _ in 0..3 {
        receiver.poll_transmit(now, &mut buffer);
    }
    assert_eq!(
        receiver.poll_transmit(now, &mut buffer),
        None,
        "it does not fall silent"
    );
    if receiver.poll_timeout().is_some_and(|at| at <= now) {
        receiver.handle_timeout(now);
    }
}

/// Pieces of the input, each after one byte that is its length.
struct Datagrams<'a>(&'a [u8]);

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first()?;
        let (datagram, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        self.0 = rest;
        Some(datagram)
    }
}

/// User-Agent headers.
pub fn user_agent(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(agent) = UserAgent::parse(text) {
        assert!(!agent.model.is_empty() && text.contains(agent.model));
    }
}

/// Uploaded XML: what is taken for a document has a root and no DTD.
pub fn well_formed(bytes: &[u8]) {
    if well_formed::check(bytes).is_ok() {
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        assert!(bytes.iter().all(blank) || bytes.contains(&b'<') && bytes.contains(&b'>'));
    }
}
