//! How long those wait for their answer who may not have what they ask for: does time tell what the answer does not?
//!
//! `cargo xtask bench timing`: strangers beside one without a key or with a wrong one, insiders beside one who asks for
//! a device that is none; in the handler alone, and over one connection to the native server. Medians of rounds in which all take
//! turns, and the sign test's 95 % interval of the median of the rounds' ratios. `--rounds N` says how many.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

#[path = "../tests/support/secret.rs"]
mod secret;
#[path = "worker/statistics.rs"]
mod statistics;

use std::future::Future;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Instant;

use handset::access::Uncounted;
use handset::client::Client;
use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::respond::Request;
use handset::respond::respond;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Upload;
use http::HeaderMap;
use http::Method;

use secret::secrets;
use secret::with_keys;
use statistics::Median;

/// What is asked for, and the row that it is compared with.
const ROWS: [(&str, &str, usize); 9] = [
    ("no key", "/hq/0004f2000500-device.cfg", 0),
    ("no key, no such device", "/hq/0004f2999999-device.cfg", 0),
    ("no key, no such site", "/no/0004f2000500-device.cfg", 0),
    ("a word for a key", "/hq/abcdef/0004f2000500-device.cfg", 0),
    (
        "a wrong key of the right shape",
        "/hq/aaaaaaaaaaaaaaaaaaaaaaaaaaa/0004f2000500-device.cfg",
        4,
    ),
    (
        "the same, no such site",
        "/no/aaaaaaaaaaaaaaaaaaaaaaaaaaa/0004f2000500-device.cfg",
        4,
    ),
    (
        "the site's key, no such device",
        "/hq/~/0004f2999999-device.cfg",
        6,
    ),
    (
        "the site's key, a device of the site",
        "/hq/~/0004f2000500-device.cfg",
        6,
    ),
    (
        "the site's key, another site's device",
        "/hq/~/0004f2000501-device.cfg",
        6,
    ),
];
/// Steps through the rows, each of which meets all of them.
const STRIDES: [usize; 4] = [1, 2, 4, 5];
/// Requests of each row in a round.
const EACH: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments
        .iter()
        .skip_while(|argument| *argument != "--rounds")
        .nth(1);
    let rounds = match arguments.iter().any(|argument| argument == "--test") {
        true => 2,
        false => rounds.map_or(200, |rounds| rounds.parse().unwrap()),
    };
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(office(state.path()));
    let targets = ROWS.map(|(_, target, _)| with_keys(target));
    report("in the handler", rounds, |row| {
        in_the_handler(&store, &targets[row])
    });
    let options = ServeOptions {
        failures: 0,
        secrets: Some(secrets()),
        ..ServeOptions::default()
    };
    let server = Server::start(store.clone(), &options, Log::to(std::io::sink())).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    report("over a connection", rounds, |row| {
        over(&mut stream, &targets[row])
    });
}

fn office(state: &Path) -> DirectoryStore {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    DirectoryStore::open(state, fleet.snapshot).unwrap()
}

/// Every row in turn, none always after the same one: what a server does after an answer, such as writing who
/// knocks, keeps the next request waiting. `ask` gives the seconds of one request.
fn report(place: &str, rounds: usize, mut ask: impl FnMut(usize) -> f64) {
    let mut medians = Vec::new();
    for _ in 0..rounds {
        let mut spent = vec![Vec::new(); ROWS.len()];
        for turn in 0..EACH * ROWS.len() {
            let (round, place) = (turn / ROWS.len(), turn % ROWS.len());
            let row = (place * STRIDES[round % STRIDES.len()] + round) % ROWS.len();
            spent[row].push(ask(row));
        }
        let round: Vec<f64> = spent
            .into_iter()
            .map(|times| Median::of(times).value)
            .collect();
        medians.push(round);
    }
    println!(
        "{place}: {rounds} rounds of {EACH}; microseconds, and the ratio to its kind's first [95 %]"
    );
    for (row, (name, _, first)) in ROWS.into_iter().enumerate() {
        let time = Median::of(medians.iter().map(|round| round[row] * 1e6)).value;
        let ratio = Median::of(medians.iter().map(|round| round[row] / round[first]));
        println!("{name:<40}{time:>9.2}   {ratio}");
    }
}

fn in_the_handler(store: &DirectoryStore, target: &str) -> f64 {
    let headers = HeaderMap::new();
    let secrets = secrets();
    let request = Request {
        method: &Method::GET,
        target,
        host: None,
        headers: &headers,
        now: 1_700_000_000_000,
        id: 7,
        fallback_site: None,
        client: Client::default(),
        secrets: Some(&secrets),
        replays: &Uncounted,
        operator: false,
    };
    let start = Instant::now();
    let response = ready(respond(store, request, Upload::none()));
    let spent = start.elapsed().as_secs_f64();
    assert_eq!(response.status, 404);
    spent
}

fn over(stream: &mut TcpStream, target: &str) -> f64 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = [0; 1024];
    let mut length = 0;
    let start = Instant::now();
    stream.write_all(request.as_bytes()).unwrap();
    while !answer[..length].ends_with(b"\r\n\r\nnot found\n") {
        let more = stream.read(&mut answer[length..]).unwrap();
        assert!(more > 0, "the server hung up");
        length += more;
    }
    start.elapsed().as_secs_f64()
}

/// Nothing is waited for before a refusal.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the directory's store waits"),
    }
}
