//! Two ends of a transfer on a simulated wire with a simulated clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::ProptestConfig;
use proptest::proptest;

use crate::tftp::block::Rollover;
use crate::tftp::options::Options;
use crate::tftp::options::Profile;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::Mode;
use crate::tftp::packet::Packet;
use crate::tftp::packet::Request;
use crate::tftp::packet::RequestKind;
use crate::tftp::receiver::Receiver;
use crate::tftp::sender::Sender;
use crate::tftp::transfer::Outcome;
use crate::tftp::transfer::TransferId;
use crate::tftp::transfer::Transmit;

const CLIENT: TransferId = TransferId(50_000);
const LISTENING: TransferId = TransferId(69);
const SERVER: TransferId = TransferId(40_000);

/// Either end; what is written here is the contract that their documentation tells callers to keep.
enum End {
    Receiver(Box<Receiver>),
    Sender(Box<Sender>),
}

impl End {
    fn poll_transmit(&mut self, now: Instant, into: &mut Vec<u8>) -> Option<Transmit> {
        match self {
            Self::Receiver(receiver) => receiver.poll_transmit(now, into),
            Self::Sender(sender) => sender.poll_transmit(now, into),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Receiver(receiver) => receiver.poll_timeout(),
            Self::Sender(sender) => sender.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Receiver(receiver) => receiver.handle_timeout(now),
            Self::Sender(sender) => sender.handle_timeout(now),
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: TransferId, datagram: &[u8]) {
        match self {
            Self::Receiver(receiver) => receiver.handle_datagram(now, from, datagram),
            Self::Sender(sender) => sender.handle_datagram(now, from, datagram),
        }
    }

    fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Receiver(receiver) => receiver.outcome(),
            Self::Sender(sender) => sender.outcome(),
        }
    }
}

/// What the wire does to datagrams, and how the file is supplied and stored.
#[derive(Clone, Debug)]
struct Weather {
    seed: u64,
    loss: f64,
    duplication: f64,
    /// One way.
    delay: Duration,
    /// Up to so much more, so that datagrams overtake each other.
    jitter: Duration,
    /// A pause of the source before each piece of so many bytes.
    source: Option<(Duration, usize)>,
    /// How long it takes to store the whole file.
    storing: Duration,
}

const FAIR: Weather = Weather {
    seed: 1,
    loss: 0.0,
    duplication: 0.0,
    delay: Duration::from_micros(100),
    jitter: Duration::ZERO,
    source: None,
    storing: Duration::ZERO,
};

/// Xorshift (Marsaglia 2003): the same sequence every time.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A datagram under way: when it arrives, a number that keeps the order, to which end, from where, and what.
type Flight = Reverse<(Instant, u64, usize, u16, Vec<u8>)>;

struct Simulation {
    weather: Weather,
    random: Random,
    start: Instant,
    now: Instant,
    /// The client and the server.
    ends: [End; 2],
    flights: BinaryHeap<Flight>,
    sent: u64,
    data_sent: u64,
    file: Vec<u8>,
    supplied: usize,
    next_supply: Instant,
    received: Vec<u8>,
    stored_at: Option<Instant>,
}

impl Simulation {
    fn new(transfer: &Transfer, weather: &Weather) -> Self {
        let start = Instant::now();
        Self {
            weather: weather.clone(),
            random: Random(weather.seed * 2 + 0x9e37_79b9),
            start,
            now: start,
            ends: transfer.ends(),
            flights: BinaryHeap::new(),
            sent: 0,
            data_sent: 0,
            file: content(transfer.length),
            supplied: 0,
            next_supply: start,
            received: Vec::new(),
            stored_at: None,
        }
    }

    /// Until both ends are done; the time it took for the client.
    fn run(&mut self) -> Duration {
        let mut client_done = None;
        for _ in 0..20_000_000 {
            self.feed();
            self.transmit();
            self.feed();
            let done = |end: &End| match end {
                End::Receiver(receiver) => receiver.is_stored() || receiver.outcome().is_some(),
                End::Sender(sender) => sender.outcome().is_some(),
            };
            if done(&self.ends[0]) {
                client_done.get_or_insert(self.now);
            }
            let Some(next) = self.next_event() else {
                return client_done.expect("the client is not done") - self.start;
            };
            self.now = self.now.max(next);
            self.arrive();
            let now = self.now;
            self.ends
                .iter_mut()
                .filter(|end| end.poll_timeout().is_some_and(|at| at <= now))
                .for_each(|end| end.handle_timeout(now));
        }
        panic!("it does not end");
    }

    fn next_event(&self) -> Option<Instant> {
        let flight = self.flights.peek().map(|Reverse((at, ..))| *at);
        let timeouts = self.ends.iter().filter_map(End::poll_timeout);
        let supply = self.waits_for_source().then_some(self.next_supply);
        timeouts
            .chain(flight)
            .chain(supply)
            .chain(self.stored_at)
            .min()
    }

    fn waits_for_source(&self) -> bool {
        let wanted = self.ends.iter().any(|end| match end {
            End::Sender(sender) => sender.wanted() > 0,
            End::Receiver(_) => false,
        });
        wanted && self.supplied <= self.file.len()
    }

    /// Supplies and stores.
    fn feed(&mut self) {
        for end in &mut self.ends {
            match end {
                End::Sender(sender) => {
                    let (pause, most) = self.weather.source.unwrap_or((Duration::ZERO, usize::MAX));
                    while sender.wanted() > 0 && self.next_supply <= self.now {
                        let rest = &self.file[self.supplied..];
                        let piece = &rest[..rest.len().min(sender.wanted()).min(most)];
                        sender.supply(piece);
                        self.supplied += piece.len();
                        if piece.is_empty() {
                            sender.finish();
                        }
                        self.next_supply = self.now + pause;
                    }
                }
                End::Receiver(receiver) => {
                    self.received.extend(receiver.take());
                    if receiver.is_complete() {
                        let storing = self.weather.storing;
                        let at = *self.stored_at.get_or_insert(self.now + storing);
                        if at <= self.now {
                            receiver.stored();
                            self.stored_at = None;
                        }
                    } else {
                        self.stored_at = None;
                    }
                }
            }
        }
    }

    fn transmit(&mut self) {
        let mut buffer = Vec::new();
        for index in 0..2 {
            while let Some(transmit) = self.ends[index].poll_transmit(self.now, &mut buffer) {
                for datagram in buffer.chunks(transmit.segment) {
                    let from = [CLIENT, SERVER][index];
                    self.send(1 - index, from.0, datagram.to_vec());
                }
            }
        }
    }

    fn send(&mut self, to: usize, from: u16, datagram: Vec<u8>) {
        self.sent += 1;
        self.data_sent += u64::from(datagram.starts_with(&[0, 3]));
        let copies = 1 + usize::from(self.random.unit() < self.weather.duplication);
        for _ in 0..copies {
            if self.random.unit() >= self.weather.loss {
                let jitter = self.weather.jitter.mul_f64(self.random.unit());
                let at = self.now + self.weather.delay + jitter;
                let number = self.sent;
                self.flights
                    .push(Reverse((at, number, to, from, datagram.clone())));
            }
        }
    }

    fn arrive(&mut self) {
        while self
            .flights
            .peek()
            .is_some_and(|Reverse((at, ..))| *at <= self.now)
        {
            if let Some(Reverse((_, _, to, from, datagram))) = self.flights.pop() {
                let request = datagram.starts_with(&[0, 1]) || datagram.starts_with(&[0, 2]);
                if !request {
                    self.ends[to].handle_datagram(self.now, TransferId(from), &datagram);
                }
            }
        }
    }
}

/// What is transferred, and how.
#[derive(Clone, Debug)]
struct Transfer {
    kind: RequestKind,
    mode: Mode,
    length: usize,
    options: Options,
    rollover: Rollover,
}

impl Transfer {
    fn read(length: usize, block_size: u16, window: u16) -> Self {
        Self {
            kind: RequestKind::Read,
            mode: Mode::Octet,
            length,
            options: Options {
                block_size: Some(block_size).filter(|it| *it != 512),
                window_size: Some(window).filter(|it| *it != 1),
                ..Options::NONE
            },
            rollover: Rollover::ToZero,
        }
    }

    fn write(length: usize, block_size: u16, window: u16) -> Self {
        Self {
            kind: RequestKind::Write,
            ..Self::read(length, block_size, window)
        }
    }

    fn ends(&self) -> [End; 2] {
        let profile = Profile {
            rollover: self.rollover,
            ..Profile::DEFAULT
        };
        let options = self.options.clone();
        let request = Request {
            kind: self.kind,
            name: b"x",
            mode: self.mode,
            options: options.clone(),
        };
        let length = u64::try_from(self.length).ok();
        match self.kind {
            RequestKind::Read => {
                let client = Receiver::ask(b"x", self.mode, options, LISTENING, &profile);
                let server = Sender::answer(&request, length, CLIENT, &profile);
                [
                    End::Receiver(Box::new(client)),
                    End::Sender(Box::new(server)),
                ]
            }
            RequestKind::Write => {
                let client = Sender::ask(b"x", self.mode, options, LISTENING, &profile);
                let server = Receiver::answer(&request, CLIENT, &profile);
                [
                    End::Sender(Box::new(client)),
                    End::Receiver(Box::new(server)),
                ]
            }
        }
    }
}

/// Bytes of which no block is like another, with line ends of every kind.
fn content(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    let mixed = words.enumerate().map(|(index, byte)| match index % 37 {
        7 => b'\r',
        11 | 8 => b'\n',
        _ => byte,
    });
    mixed.take(length).collect()
}

/// The file arrives as it is, both ends know, and how many packets and how long that took.
fn check(transfer: &Transfer, weather: &Weather) -> (u64, Duration) {
    let mut simulation = Simulation::new(transfer, weather);
    let took = simulation.run();
    let context = format!("{transfer:?} in {weather:?}");
    assert!(simulation.received == simulation.file, "{context}");
    for end in &simulation.ends {
        assert_eq!(end.outcome(), Some(&Outcome::Completed), "{context}");
    }
    (simulation.data_sent, took)
}

/// Lengths at which an end could be off by one.
fn lengths(block_size: usize, window: usize) -> Vec<usize> {
    let edges = [0, block_size, block_size * window, block_size * window * 2];
    let around = edges
        .iter()
        .flat_map(|edge| [edge.saturating_sub(1), *edge, edge + 1]);
    around.collect()
}

#[test]
fn every_length_around_a_border() {
    for (block_size, window) in [(8, 1), (512, 1), (512, 3), (1428, 16), (1468, 64)] {
        for length in lengths(block_size.into(), window.into()) {
            let blocks = u64::try_from(length / usize::from(block_size) + 1).unwrap();
            for transfer in [
                Transfer::read(length, block_size, window),
                Transfer::write(length, block_size, window),
            ] {
                let (sent, _) = check(&transfer, &FAIR);
                assert_eq!(sent, blocks, "{transfer:?}: nothing is sent twice");
            }
        }
    }
}

#[test]
fn netascii() {
    for length in [0, 1, 511, 512, 513, 5000] {
        for transfer in [
            Transfer::read(length, 512, 1),
            Transfer::write(length, 1428, 4),
        ] {
            let transfer = Transfer {
                mode: Mode::Netascii,
                ..transfer
            };
            check(&transfer, &FAIR);
        }
    }
}

#[test]
fn more_blocks_than_numbers() {
    for (length, block_size, window) in [
        (8 * 65_534, 8, 1),
        (8 * 65_535, 8, 1),
        (8 * 65_536 + 3, 8, 1),
        (8 * 200_000, 8, 1),
        (8 * 200_000 + 1, 8, 64),
        (8 * 65_535 - 1, 8, 7),
    ] {
        for rollover in [Rollover::ToZero, Rollover::ToOne] {
            for transfer in [
                Transfer::read(length, block_size, window),
                Transfer::write(length, block_size, window),
            ] {
                let transfer = Transfer {
                    rollover,
                    ..transfer
                };
                check(&transfer, &FAIR);
                check(
                    &transfer,
                    &Weather {
                        loss: 0.001,
                        ..FAIR
                    },
                );
            }
        }
    }
}

/// Loss, duplication, reordering and delay; a bound on what is sent, for packets must not breed.
#[test]
fn every_weather() {
    let millisecond = Duration::from_millis(1);
    for (name, weather, most) in [
        ("loss", Weather { loss: 0.05, ..FAIR }, 2.2),
        ("much loss", Weather { loss: 0.2, ..FAIR }, 6.0),
        (
            "duplication",
            Weather {
                duplication: 1.0,
                ..FAIR
            },
            1.2,
        ),
        (
            "delay",
            Weather {
                delay: 20 * millisecond,
                ..FAIR
            },
            1.1,
        ),
        (
            "a satellite",
            Weather {
                delay: 300 * millisecond,
                ..FAIR
            },
            1.5,
        ),
        (
            "long delay",
            Weather {
                delay: 700 * millisecond,
                ..FAIR
            },
            2.2,
        ),
        (
            "reordering",
            Weather {
                delay: millisecond,
                jitter: millisecond,
                ..FAIR
            },
            20.0,
        ),
        (
            "everything",
            Weather {
                loss: 0.05,
                duplication: 0.05,
                delay: 20 * millisecond,
                jitter: 2 * millisecond,
                ..FAIR
            },
            20.0,
        ),
    ] {
        for seed in 1..=5 {
            for (block_size, window) in [(512, 1), (1428, 4), (1428, 16)] {
                for transfer in [
                    Transfer::read(200_000, block_size, window),
                    Transfer::write(200_000, block_size, window),
                ] {
                    let weather = Weather {
                        seed,
                        ..weather.clone()
                    };
                    let (sent, _) = check(&transfer, &weather);
                    let blocks = 200_000.0 / f64::from(block_size) + 1.0;
                    let ratio = sent as f64 / blocks;
                    assert!(ratio <= most, "{name}: {ratio:.2} times, {transfer:?}");
                }
            }
        }
    }
}

/// With 40 ms a round trip and 5 % lost each way, a transfer takes less than twice the time.
#[test]
fn loss_does_not_stall() {
    for (length, block_size, window) in [(5_000_000, 1428, 16), (500_000, 1428, 1)] {
        let transfer = Transfer::read(length, block_size, window);
        let far = Weather {
            delay: Duration::from_millis(20),
            ..FAIR
        };
        let (_, without) = check(&transfer, &far);
        for seed in 1..=5 {
            let lossy = Weather {
                loss: 0.05,
                seed,
                ..far.clone()
            };
            let (_, with) = check(&transfer, &lossy);
            assert!(
                with < without * 2,
                "window {window}: {with:?} : {without:?}"
            );
        }
    }
}

/// A source that takes its time is no reason to give up, nor is a disk.
#[test]
fn slow_sources_and_stores() {
    let second = Duration::from_secs(1);
    for (block_size, window) in [(512, 1), (512, 4), (1428, 16)] {
        let source = Some((10 * second, 700));
        let slow = Weather { source, ..FAIR };
        check(&Transfer::read(5000, block_size, window), &slow);
        check(&Transfer::write(5000, block_size, window), &slow);
        let storing = 3 * second;
        let slow = Weather { storing, ..FAIR };
        check(&Transfer::write(5000, block_size, window), &slow);
    }
}

/// One end by itself: what it says to what it hears, step by step.
#[test]
fn dialogues() {
    let read = |options: Options| {
        let request = Request {
            kind: RequestKind::Read,
            name: b"x",
            mode: Mode::Octet,
            options,
        };
        let mut sender = Sender::answer(&request, Some(600), CLIENT, &Profile::DEFAULT);
        sender.supply(&[b'a'; 600]);
        sender.finish();
        End::Sender(Box::new(sender))
    };
    let probe = Options {
        transfer_size: Some(0),
        ..Options::NONE
    };
    let write = || {
        let request = Request {
            kind: RequestKind::Write,
            name: b"x",
            mode: Mode::Octet,
            options: Options::NONE,
        };
        End::Receiver(Box::new(Receiver::answer(
            &request,
            CLIENT,
            &Profile::DEFAULT,
        )))
    };
    let asking = || {
        let options = Options {
            block_size: Some(1024),
            ..Options::NONE
        };
        let profile = Profile::DEFAULT;
        let receiver = Receiver::ask(b"x", Mode::Octet, options, LISTENING, &profile);
        End::Receiver(Box::new(receiver))
    };
    for (name, mut end, steps) in [
        (
            "a size is told; error 8 is no fault",
            read(probe.clone()),
            &[
                ("", "50000 OACK tsize 600"),
                ("50000 ERROR 8", ""),
                ("", "= asked for the options only"),
            ][..],
        ),
        (
            "an error later is one",
            read(Options::NONE),
            &[
                ("", "50000 DATA 1 512"),
                ("50000 ERROR 0", "= the peer sent error 0: "),
            ],
        ),
        (
            "a stranger is told, and the transfer goes on",
            read(Options::NONE),
            &[
                ("", "50000 DATA 1 512"),
                ("50001 ACK 1", "50001 ERROR 5"),
                ("50001 ERROR 5", ""),
                ("50000 ACK 1", "50000 DATA 2 88"),
                ("50000 ACK 2", "= completed"),
            ],
        ),
        (
            "a repeated acknowledgment is not answered (Sorcerer's Apprentice)",
            read(Options::NONE),
            &[
                ("", "50000 DATA 1 512"),
                ("50000 ACK 1", "50000 DATA 2 88"),
                ("50000 ACK 1", ""),
                ("50000 ACK 0", ""),
                ("50000 ACK 7", ""),
                ("50000 ACK 2", "= completed"),
            ],
        ),
        (
            "the last block is acknowledged when it is stored, and again to who missed it",
            write(),
            &[
                ("", "50000 ACK 0"),
                ("50000 DATA 1 512", "50000 ACK 1"),
                ("50000 DATA 1 512", "50000 ACK 1"),
                ("50000 DATA 2 0", ""),
                ("50000 DATA 2 0", ""),
                ("stored", "50000 ACK 2"),
                ("50000 DATA 2 0", "50000 ACK 2"),
                ("50000 ERROR 0", "= completed"),
            ],
        ),
        (
            "what cannot be stored is not acknowledged",
            write(),
            &[
                ("", "50000 ACK 0"),
                ("50000 DATA 1 0", ""),
                ("refuse", "50000 ERROR 3"),
                ("50000 DATA 1 0", "= refused with error 3"),
            ],
        ),
        (
            "a block longer than agreed",
            write(),
            &[
                ("", "50000 ACK 0"),
                ("50000 DATA 1 513", "50000 ERROR 4"),
                ("", "= the peer misbehaved: its block is longer than agreed"),
            ],
        ),
        (
            "the server's port is the one that it answers from",
            asking(),
            &[
                ("", "69 RRQ x"),
                ("40000 OACK blksize 1024", "40000 ACK 0"),
                ("40000 OACK blksize 1024", "40000 ACK 0"),
                ("41000 OACK blksize 1024", "41000 ERROR 5"),
                ("40000 DATA 1 1024", "40000 ACK 1"),
                ("40000 DATA 2 3", ""),
                ("stored", "40000 ACK 2"),
            ],
        ),
        (
            "a server that knows no options",
            asking(),
            &[
                ("", "69 RRQ x"),
                ("40000 DATA 1 512", "40000 ACK 1"),
                ("40000 OACK blksize 1024", ""),
                ("40000 DATA 2 513", "40000 ERROR 4"),
            ],
        ),
        (
            "a server that grants too much",
            asking(),
            &[
                ("", "69 RRQ x"),
                ("40000 OACK blksize 1025", "40000 ERROR 8"),
            ],
        ),
        (
            "there is no such file",
            asking(),
            &[
                ("", "69 RRQ x"),
                ("40000 ERROR 1", "= the peer sent error 1: "),
            ],
        ),
    ] {
        let start = Instant::now();
        for (heard, expected) in steps {
            let said = hear(&mut end, start, heard);
            assert_eq!(&said, expected, "{name}: {heard}");
        }
    }
}

/// What an end says to `heard`: `PORT KIND NUMBER LENGTH`, or how it ended.
fn hear(end: &mut End, now: Instant, heard: &str) -> String {
    let words: Vec<&str> = heard.split(' ').collect();
    match (words.as_slice(), &mut *end) {
        (["stored"], End::Receiver(receiver)) => receiver.stored(),
        (["refuse"], End::Receiver(receiver)) => receiver.refuse(ErrorCode::DISK_FULL, "full"),
        ([port, packet @ ..], _) if !packet.is_empty() => {
            let from = TransferId(port.parse().unwrap());
            end.handle_datagram(now, from, &datagram(packet));
        }
        _ => {}
    }
    let mut buffer = Vec::new();
    let said = end.poll_transmit(now, &mut buffer);
    match (said, end.outcome()) {
        (Some(said), _) => format!("{} {}", said.to.0, describe(&buffer)),
        (None, Some(outcome)) if !heard.ends_with("ERROR 8") => format!("= {outcome}"),
        _ => String::new(),
    }
}

fn datagram(words: &[&str]) -> Vec<u8> {
    let number = |text: &str| text.parse::<u16>().unwrap().to_be_bytes();
    let (operation, rest) = match words {
        ["DATA", block, length] => {
            let payload = vec![b'a'; length.parse().unwrap()];
            (3, [&number(block)[..], &payload].concat())
        }
        ["ACK", block] => (4, number(block).to_vec()),
        ["ERROR", code] => (5, number(code).to_vec()),
        ["OACK", name, value] => (6, format!("{name}\0{value}\0").into_bytes()),
        other => panic!("{other:?}"),
    };
    [vec![0, operation], rest].concat()
}

fn describe(datagram: &[u8]) -> String {
    match Packet::parse(datagram).unwrap() {
        Packet::Request(request) => format!("RRQ {}", request.name.escape_ascii()),
        Packet::Data { number, payload } => format!("DATA {} {}", number.0, payload.len()),
        Packet::Acknowledgment(number) => format!("ACK {}", number.0),
        Packet::Error { code, .. } => format!("ERROR {}", code.0),
        Packet::OptionAcknowledgment(_) => {
            let text = String::from_utf8_lossy(&datagram[2..]).replace('\0', " ");
            format!("OACK {}", text.trim())
        }
    }
}

/// A peer that says nothing is given up, in bounded time and packets.
#[test]
fn silence() {
    for (transfer, options) in [
        (Transfer::read(5000, 512, 1), Options::NONE),
        (Transfer::read(50_000, 1428, 16), Options::NONE),
        (
            Transfer::write(5000, 512, 1),
            Options {
                timeout: Some(3),
                ..Options::NONE
            },
        ),
    ] {
        let transfer = Transfer {
            options,
            ..transfer
        };
        let mut simulation = Simulation::new(&transfer, &Weather { loss: 1.0, ..FAIR });
        let took = simulation.run();
        assert!(took < Duration::from_secs(60), "{took:?}");
        assert!(simulation.sent <= 2 * 8, "{} packets", simulation.sent);
        for end in &simulation.ends {
            assert_eq!(end.outcome(), Some(&Outcome::TimedOut));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_file_arrives_in_any_weather(
        write: bool,
        netascii: bool,
        to_one: bool,
        length in 0_usize..20_000,
        block_size in 8_u16..1500,
        window in 1_u16..=64,
        seed: u32,
        loss in 0.0..0.15,
        duplication in 0.0..0.3,
        delay in 0_u64..60_000,
        jitter in 0_u64..3_000,
    ) {
        let transfer = Transfer {
            kind: if write { RequestKind::Write } else { RequestKind::Read },
            mode: if netascii { Mode::Netascii } else { Mode::Octet },
            rollover: if to_one { Rollover::ToOne } else { Rollover::ToZero },
            ..Transfer::read(length, block_size, window)
        };
        let weather = Weather {
            seed: seed.into(),
            loss,
            duplication,
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
            ..FAIR
        };
        // The other end of a transfer that is over may not have heard of it: then it falls silent, with every byte.
        let mut simulation = Simulation::new(&transfer, &weather);
        simulation.run();
        let outcomes = simulation.ends.each_ref().map(|end| end.outcome().cloned());
        if simulation.received != simulation.file {
            assert!(outcomes.contains(&Some(Outcome::TimedOut)), "{outcomes:?}");
        }
    }
}
