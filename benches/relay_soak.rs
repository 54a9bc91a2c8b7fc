//! The relay for minutes under all that a branch does at once, while its server comes and goes: memory and descriptors stay flat.
//!
//! `cargo bench --bench relay_soak [-- MINUTES]`, 20 if none are named. It ends with 1 where they grow.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

use std::cell::Cell;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use handset::relay::tftp::client::Client;
use handset::tftp::options::Options;
use tokio::runtime::Builder;
use tokio::task;
use tokio::task::LocalSet;
use tokio::time;

const IMAGE_BYTES: usize = 3_000_000;
const PHONES: u32 = 40;
/// A server that is gone for a while, again and again.
const WEATHER: [(bool, Duration); 2] = [
    (false, Duration::from_secs(40)),
    (true, Duration::from_secs(20)),
];
/// A phone's, between two transfers.
const PAUSE: Duration = Duration::from_millis(400);
const SAMPLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let argument = std::env::args().skip(1).find(|it| it != "--bench");
    let (length, sample) = match argument.as_deref() {
        Some("--test") => (Duration::from_secs(3), Duration::from_secs(1)),
        Some(minutes) => (
            Duration::from_secs(60 * minutes.parse::<u64>().unwrap()),
            SAMPLE,
        ),
        None => (Duration::from_secs(20 * 60), SAMPLE),
    };
    let home = tempfile::tempdir().unwrap();
    fleet(&home.path().join("fleet"));
    let server = Program::server(home.path());
    let line = Line::to(server.address("http://"));
    let relay = Program::relay(home.path(), line.address);
    let samples = block_on(run(&relay, &line, length, sample));
    match argument.as_deref() {
        // It only shows that it works: in seconds nothing can be flat.
        Some("--test") => ExitCode::SUCCESS,
        _ => report(&samples),
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    memory: u64,
    descriptors: usize,
    transfers: u64,
}

async fn run(relay: &Program, line: &Line, length: Duration, sample: Duration) -> Vec<Sample> {
    let done = Rc::new(Cell::new(0));
    for number in 0..PHONES {
        let phone = Phone {
            number,
            tftp: relay.address("tftp://"),
            http: relay.address("http://"),
            done: done.clone(),
        };
        task::spawn_local(phone.live());
    }
    let away = line.away.clone();
    task::spawn_local(async move {
        for (is_away, lasting) in WEATHER.into_iter().cycle() {
            away.store(is_away, Ordering::Relaxed);
            time::sleep(lasting).await;
        }
    });
    let (begun, mut samples) = (Instant::now(), Vec::new());
    println!("  second   MB memory   descriptors   transfers");
    while begun.elapsed() < length {
        time::sleep(sample).await;
        let taken = Sample {
            transfers: done.get(),
            ..relay.sample()
        };
        println!(
            "{:8} {:11.1} {:13} {:11}",
            begun.elapsed().as_secs(),
            taken.memory as f64 / 1e6,
            taken.descriptors,
            taken.transfers
        );
        samples.push(taken);
    }
    samples
}

/// Compares the last third with the one before: the first is for caches to fill.
fn report(samples: &[Sample]) -> ExitCode {
    let third = samples.len() / 3;
    let (_, rest) = samples.split_at(third);
    let (middle, last) = rest.split_at(rest.len() - third.max(1));
    let memory = |of: &[Sample]| of.iter().map(|it| it.memory).max().unwrap_or(0);
    let descriptors = |of: &[Sample]| of.iter().map(|it| it.descriptors).max().unwrap_or(0);
    let transfers = samples.last().map_or(0, |it| it.transfers);
    println!(
        "{transfers} transfers; at most {:.1} MB, then {:.1} MB; {} descriptors, then {}",
        memory(middle) as f64 / 1e6,
        memory(last) as f64 / 1e6,
        descriptors(middle),
        descriptors(last)
    );
    let flat = memory(last) <= memory(middle) * 11 / 10 + (2 << 20)
        && descriptors(last) <= descriptors(middle) * 11 / 10 + 16;
    if flat && transfers > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A phone that never rests.
struct Phone {
    number: u32,
    tftp: SocketAddr,
    http: SocketAddr,
    done: Rc<Cell<u64>>,
}

impl Phone {
    async fn live(self) {
        let mac = format!("0004f2{:06x}", self.number);
        let windows = if self.number.is_multiple_of(2) { 8 } else { 1 };
        let client = Client {
            options: Options {
                block_size: Some(1428),
                window_size: Some(windows),
                ..Options::NONE
            },
            ..Client::new(self.tftp)
        };
        for round in self.number.. {
            // Whatever comes of it: the server is away for a third of the time.
            let _ = match round % 8 {
                0 => client.read(b"image.ld").await.map(drop),
                1 => {
                    let log = format!("{round}\n").repeat(200);
                    let name = format!("{mac}-app.log");
                    client.write(name.as_bytes(), log.as_bytes()).await
                }
                2 => client.read(format!("{mac}.cfg").as_bytes()).await.map(drop),
                3 => client.read(b"never.cfg").await.map(drop),
                4 => {
                    // It gives up in the middle.
                    let reading = client.read(b"image.ld");
                    let _ = time::timeout(Duration::from_millis(20), reading).await;
                    Ok(())
                }
                _ => {
                    let path = if round % 2 == 0 {
                        "small.cfg"
                    } else {
                        "image.ld"
                    };
                    let address = self.http;
                    let _ = task::spawn_blocking(move || fetch(address, path)).await;
                    Ok(())
                }
            };
            self.done.set(self.done.get() + 1);
            time::sleep(PAUSE).await;
        }
    }
}

fn fetch(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn fleet(fleet: &Path) {
    for folder in ["sites", "resources", "devices"] {
        fs::create_dir_all(fleet.join(folder)).unwrap();
    }
    let site = "access = \"open\"\nrelay_cache = true\nuploads.per_minute = 0\n";
    fs::write(fleet.join("handset.toml"), "").unwrap();
    fs::write(fleet.join("sites/soak.toml"), site).unwrap();
    fs::write(fleet.join("resources/image.ld"), vec![7; IMAGE_BYTES]).unwrap();
    fs::write(fleet.join("resources/small.cfg"), "small\n").unwrap();
    let rows = (0..PHONES).map(|number| format!("0004f2{number:06x},soak,VVX 400,{number}\n"));
    let table = "mac,site,model,line1.user\n".to_owned() + &rows.collect::<String>();
    fs::write(fleet.join("devices/phones.csv"), table).unwrap();
}

/// A program of ours, at work.
struct Program {
    child: Child,
    lines: Vec<String>,
}

impl Program {
    fn server(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset"));
        command.arg("serve").arg(home.join("fleet"));
        command.arg("--state").arg(home.join("server"));
        Self::start(command.args(["--listen", "127.0.0.1:0"]), 1)
    }

    fn relay(home: &Path, upstream: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset-relay"));
        command.args(["--tftp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(["--identity", "any", "--upstream"]);
        command.arg(format!("http://{upstream}/soak"));
        Self::start(command.arg("--state").arg(home.join("relay")), 2)
    }

    fn start(command: &mut Command, lines: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = output.lines().take(lines).map(Result::unwrap).collect();
        Self { child, lines }
    }

    fn address(&self, scheme: &str) -> SocketAddr {
        let mut words = self.lines.iter().flat_map(|line| line.split(' '));
        let found = words.find_map(|word| word.strip_prefix(scheme));
        found.unwrap().parse().unwrap()
    }

    /// As proc(5) has it.
    fn sample(&self) -> Sample {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let status = fs::read_to_string(process.join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        Sample {
            memory: kilobytes.parse::<u64>().unwrap() << 10,
            descriptors: fs::read_dir(process.join("fd")).unwrap().count(),
            transfers: 0,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line to the server, which can be cut.
struct Line {
    address: SocketAddr,
    away: Arc<AtomicBool>,
}

impl Line {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let away = Arc::new(AtomicBool::new(false));
        let cut = away.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (cut, far) = (cut.clone(), TcpStream::connect(server));
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                let far = far.unwrap();
                let ends = [
                    (stream.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, stream),
                ];
                for (from, to) in ends {
                    let cut = cut.clone();
                    thread::spawn(move || carry(from, to, &cut));
                }
            }
        });
        Self { address, away }
    }
}

/// Carries bytes one way, until an end or the cut.
fn carry(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let piece = piece.get(..count).unwrap_or_default();
        if cut.load(Ordering::Relaxed) || to.write_all(piece).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}
