//! The TFTP server, and the relay from its cache and through HTTPS, beside atftpd, tftpd-hpa and dnsmasq, in one run, with one
//! client: time, and the server's CPU time.
//!
//! `cargo bench --bench tftp_vs_servers [-- THROUGHPUT|CROWD|FAR...]`: which parts, all if none is named. It needs
//! root where dnsmasq is to take part, for that serves TFTP on port 69 only.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

#[path = "tftp/link.rs"]
mod link;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use handset::relay::tftp::Server;
use handset::relay::tftp::Settings;
use handset::relay::tftp::client::Client;
use handset::relay::tftp::directory::Directory;
use handset::tftp::options::Options;
use link::Link;
use link::Weather;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::task::LocalSet;
use tokio::time;

const IMAGE_BYTES: usize = 50_000_000;
const FAR_BYTES: usize = 5_000_000;
const FAR_SMALL_BYTES: usize = 500_000;
const SMALL_BYTES: usize = 4096;
const PHONES: usize = 1000;
const ROUNDS: usize = 5;
const FAR_ROUNDS: u64 = 3;
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// A server that is so much slower than the link need not be waited for.
const FAR_PATIENCE: Duration = Duration::from_secs(100);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| {
        let parts = arguments.iter().filter(|it| !it.starts_with("--"));
        parts.clone().count() == 0 || parts.clone().any(|it| it.eq_ignore_ascii_case(part))
    };
    match arguments.first().map(String::as_str) {
        Some("serve") => return serve(&arguments[1], &arguments[2]),
        Some("--test") => return println!("skipped: only `cargo bench` measures"),
        _ => {}
    }
    let fleet = tempfile::tempdir().unwrap();
    let directory = resources(fleet.path());
    // Servers drop root's rights, and a temporary directory is its owner's alone.
    open_to_all(fleet.path(), 0o777);
    open_to_all(&directory, 0o777);
    for (name, size) in [
        ("image", IMAGE_BYTES),
        ("far", FAR_BYTES),
        ("far-small", FAR_SMALL_BYTES),
        ("small", SMALL_BYTES),
    ] {
        fs::write(directory.join(name), content(size)).unwrap();
        open_to_all(&directory.join(name), 0o666);
    }
    let programs: Vec<Program> = PROGRAMS.into_iter().filter(Program::is_installed).collect();
    if wanted("throughput") {
        throughput(&programs, &directory);
    }
    if wanted("crowd") {
        crowd(&programs, &directory);
    }
    if wanted("far") {
        far(&programs, &directory);
    }
}

/// One file, one client: MB/s and CPU time a megabyte.
fn throughput(programs: &[Program], directory: &Path) {
    println!(
        "\n50 MB, one client: MB/s, CPU ms a MB (medians of {ROUNDS} rounds; - where the window was not granted)"
    );
    println!(
        "{:12} {:>18} {:>18} {:>18}",
        "", "512/w1", "1428/w1", "1428/w16"
    );
    let running: Vec<Running> = programs.iter().map(|it| it.start(directory)).collect();
    let mut cells = vec![vec![Vec::new(); SHAPES.len()]; running.len()];
    for _ in 0..ROUNDS {
        for (server, cells) in running.iter().zip(&mut cells) {
            for (shape, cell) in SHAPES.iter().zip(cells) {
                let before = server.cpu();
                let start = Instant::now();
                let read = block_on(client(server.address, *shape).read(b"image")).unwrap();
                let seconds = start.elapsed().as_secs_f64();
                assert!(read.len() == IMAGE_BYTES, "{}", server.program.name);
                cell.push((50.0 / seconds, (server.cpu() - before) * 1000.0 / 50.0));
            }
        }
    }
    for (server, cells) in running.iter().zip(&cells) {
        print!("{:12}", server.program.name);
        for (cell, (_, window)) in cells.iter().zip(SHAPES) {
            if window > 1 && !server.program.windows {
                print!(" {:>18}", "-");
            } else {
                let rate = median(cell.iter().map(|it| it.0));
                match median(cell.iter().map(|it| it.1)) {
                    // A child that nobody waited for takes its time with it.
                    0.0 => print!(" {rate:10.1} {:>7}", "?"),
                    cpu => print!(" {rate:10.1} {cpu:7.2}"),
                }
            }
        }
        println!();
    }
}

/// Block size and window.
const SHAPES: [(u16, u16); 3] = [(512, 1), (1428, 1), (1428, 16)];

/// Phones that all ask at once.
fn crowd(programs: &[Program], directory: &Path) {
    println!(
        "\n4 KB, {PHONES} clients at once: ms until the median one has it, 99 % and the last; failed; CPU ms for all"
    );
    let mut cells = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (program, cell) in programs.iter().zip(&mut cells) {
            let server = program.start(directory);
            let before = server.cpu();
            let mut times = block_on(all_at_once(server.address));
            let failed = times.iter().filter(|it| it.is_none()).count();
            times.sort();
            let at = |share: f64| {
                let index = ((times.len() - 1) as f64 * share) as usize;
                times[index].map_or(f64::INFINITY, |it| it.as_secs_f64() * 1000.0)
            };
            let cpu = (server.cpu() - before) * 1000.0;
            cell.push([at(0.5), at(0.99), at(1.0), failed as f64, cpu]);
        }
    }
    for (program, cell) in programs.iter().zip(&cells) {
        print!("{:12}", program.name);
        for column in 0..5 {
            print!(" {:8.0}", median(cell.iter().map(|it| it[column])));
        }
        println!();
    }
}

async fn all_at_once(server: SocketAddr) -> Vec<Option<Duration>> {
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for _ in 0..PHONES {
        clients.spawn_local(async move {
            let read = client(server, (512, 1)).read(b"small").await;
            read.is_ok_and(|it| it.len() == SMALL_BYTES)
                .then(|| start.elapsed())
        });
    }
    clients.join_all().await
}

/// A link of 40 ms a round trip that loses packets each way.
fn far(programs: &[Program], directory: &Path) {
    println!(
        "\n{} ms a round trip, 0, 1 and 5 % lost each way: seconds (medians of {FAR_ROUNDS} rounds)",
        ROUND_TRIP.as_millis()
    );
    println!("{:12} {:>26} {:>26}", "", "5 MB 1428/w16", "0.5 MB 1428/w1");
    let running: Vec<Running> = programs.iter().map(|it| it.start(directory)).collect();
    // They wait for the link and not for each other, so that all run at once.
    let cells = block_on(async {
        let mut transfers = JoinSet::new();
        for (row, server) in running.iter().enumerate() {
            for (column, (name, size, shape, loss)) in far_jobs().enumerate() {
                if shape.1 == 1 || server.program.windows {
                    for seed in 1..=FAR_ROUNDS {
                        let weather = Weather {
                            delay: ROUND_TRIP / 2,
                            loss,
                            seed,
                        };
                        let address = server.address;
                        transfers.spawn_local(async move {
                            let took = far_seconds(address, weather, name, size, shape).await;
                            (row, column, took)
                        });
                    }
                }
            }
        }
        transfers.join_all().await
    });
    for (row, server) in running.iter().enumerate() {
        print!("{:12}", server.program.name);
        for column in 0..far_jobs().count() {
            let own = cells.iter().filter(|it| (it.0, it.1) == (row, column));
            let times: Vec<f64> = own.map(|it| it.2).collect();
            if times.is_empty() {
                print!(" {:>8}", "-");
            } else {
                print!(" {:8.2}", median(times.into_iter()));
            }
        }
        println!();
    }
}

/// File, length, shape, loss.
fn far_jobs() -> impl Iterator<Item = (&'static str, usize, (u16, u16), f64)> {
    let files = [
        ("far", FAR_BYTES, (1428, 16)),
        ("far-small", FAR_SMALL_BYTES, (1428, 1)),
    ];
    files
        .into_iter()
        .flat_map(|(name, size, shape)| [0.0, 0.01, 0.05].map(|loss| (name, size, shape, loss)))
}

async fn far_seconds(
    server: SocketAddr,
    weather: Weather,
    name: &str,
    size: usize,
    shape: (u16, u16),
) -> f64 {
    let link = Link::new(server, weather).await.unwrap();
    let client = client(link.address().unwrap(), shape);
    let start = Instant::now();
    tokio::select! {
        read = client.read(name.as_bytes()) => {
            if read.is_ok_and(|it| it.len() == size) {
                return start.elapsed().as_secs_f64();
            }
        }
        ended = link.run() => ended.unwrap(),
        () = time::sleep(FAR_PATIENCE) => {}
    }
    f64::INFINITY
}

fn client(server: SocketAddr, (block_size, window): (u16, u16)) -> Client {
    Client {
        options: Options {
            block_size: Some(block_size).filter(|it| *it != 512),
            window_size: Some(window).filter(|it| *it != 1),
            ..Options::NONE
        },
        ..Client::new(server)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

fn serve(address: &str, directory: &str) {
    block_on(async {
        let server = Server::bind(Settings::new(address.parse().unwrap())).unwrap();
        println!("{}", server.address());
        if let Some(small) = server.small_buffer() {
            eprintln!("{small}");
        }
        server.run(Directory::new(directory)).await.unwrap();
    });
}

/// A fleet whose one site has what others serve from a directory; that directory.
fn resources(fleet: &Path) -> PathBuf {
    for folder in ["sites", "resources"] {
        fs::create_dir(fleet.join(folder)).unwrap();
    }
    fs::write(fleet.join("handset.toml"), "").unwrap();
    fs::write(fleet.join("sites/bench.toml"), "access = \"open\"\n").unwrap();
    fleet.join("resources")
}

/// A server, and how it is started in the foreground.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    executable: &'static str,
    windows: bool,
    /// What a relay asks, if it is one.
    upstream: Option<Upstream>,
    arguments: fn(SocketAddr, &str) -> Vec<String>,
}

#[rustfmt::skip]
const PROGRAMS: [Program; 6] = [
    Program { name: "handset", executable: "", windows: true, upstream: None, arguments: |at, directory| {
        words(&format!("serve {at} {directory}"))
    } },
    Program { name: "relay, cache", executable: RELAY, windows: true, upstream: Some(Upstream::Cached), arguments: relay },
    Program { name: "relay, HTTPS", executable: RELAY, windows: true, upstream: Some(Upstream::Https), arguments: relay },
    Program { name: "atftpd", executable: "atftpd", windows: true, upstream: None, arguments: |at, directory| {
        words(&format!(
            "--daemon --no-fork --logfile /dev/null --verbose=0 --maxthread 2000 --user root.root \
             --port {} --bind-address {} {directory}", at.port(), at.ip()))
    } },
    Program { name: "tftpd-hpa", executable: "in.tftpd", windows: false, upstream: None, arguments: |at, directory| {
        words(&format!("--foreground --address {at} --user root --secure {directory}"))
    } },
    Program { name: "dnsmasq", executable: "dnsmasq", windows: false, upstream: None, arguments: |at, directory| {
        // It has no option for the port of TFTP; the configuration is none but these.
        words(&format!(
            "--keep-in-foreground --conf-file=/dev/null --port=0 --user=root --pid-file --log-facility=/dev/null \
             --enable-tftp --tftp-max=2000 --tftp-root={directory} --listen-address={} --bind-interfaces", at.ip()))
    } },
];

const RELAY: &str = env!("CARGO_BIN_EXE_handset-relay");

/// Which phones' neighbour tables have no place here.
fn relay(at: SocketAddr, _: &str) -> Vec<String> {
    words(&format!("--tftp {at} --identity any"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Program {
    fn is_installed(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = self.executable.is_empty()
            || Path::new(self.executable).is_file()
            || std::env::split_paths(&path).any(|folder| folder.join(self.executable).is_file())
            || Path::new("/usr/sbin").join(self.executable).is_file();
        if !found {
            println!(
                "without {}: not installed (atftpd and tftpd-hpa exclude each other as packages)",
                self.name
            );
        }
        found
    }

    fn start(&self, directory: &Path) -> Running {
        let mut address = self.address();
        let own = std::env::current_exe().unwrap();
        let ours = self.executable.is_empty();
        let executable = if ours {
            own.as_os_str()
        } else {
            self.executable.as_ref()
        };
        let behind = self.upstream.map(|it| Behind::start(it, directory));
        let mut child = Command::new(executable)
            .args((self.arguments)(address, directory.to_str().unwrap()))
            .args(behind.iter().flat_map(|it| &it.arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if ours || behind.is_some() {
            address = first_line(&mut child)
                .replace("tftp://", "")
                .parse()
                .unwrap();
        }
        let server = Running {
            program: *self,
            child,
            address,
            _behind: behind,
        };
        server.wait();
        server
    }

    fn address(&self) -> SocketAddr {
        match self.name {
            name if name == "handset" || self.upstream.is_some() => "127.0.0.1:0".parse().unwrap(),
            // It listens on port 69; another loopback address keeps it apart from a system's own.
            "dnsmasq" => "127.69.69.69:69".parse().unwrap(),
            _ => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.local_addr().unwrap()
            }
        }
    }
}

/// A server at work.
struct Running {
    program: Program,
    child: Child,
    address: SocketAddr,
    _behind: Option<Behind>,
}

/// How a relay comes by its files.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Upstream {
    /// From its disk, as far as the server says that they are the newest.
    Cached,
    /// Each time from the server, over TLS.
    Https,
}

/// The server behind a relay.
struct Behind {
    server: Child,
    _state: TempDir,
    /// What the relay is told of it.
    arguments: Vec<String>,
}

impl Behind {
    fn start(upstream: Upstream, resources: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        let path = |name: &str| state.path().join(name).to_str().unwrap().to_owned();
        let tls = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let fleet = resources.parent().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset"));
        command.arg("serve").arg(fleet);
        command.args(["--state", &path("server"), "--listen", "127.0.0.1:0"]);
        if upstream == Upstream::Https {
            command.args(["--tls-cert", &tls("cert.pem"), "--tls-key", &tls("key.pem")]);
        }
        let mut server = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let line = first_line(&mut server);
        let port = line.rsplit(':').next().unwrap();
        let arguments = match upstream {
            Upstream::Cached => words(&format!(
                "--upstream http://127.0.0.1:{port}/bench --state {}",
                path("relay")
            )),
            Upstream::Https => words(&format!(
                "--upstream https://127.0.0.1:{port}/bench --upstream-ca {}",
                tls("cert.pem")
            )),
        };
        Self {
            server,
            _state: state,
            arguments,
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where a program of ours says that it listens.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

impl Running {
    fn wait(&self) {
        while block_on(client(self.address, (512, 1)).read(b"small")).is_err() {}
    }

    /// User and system time of it, of the children that it waited for, and of those that it has.
    fn cpu(&self) -> f64 {
        let id = self.child.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.map(|it| stat(&it.path()));
        let children = stats.filter(|stat| stat.get(1) == Some(&id));
        let others = children.map(|stat| ticks(&stat, 2));
        (ticks(&stat(&Path::new("/proc").join(&id)), 4) + others.sum::<f64>()) / 100.0
    }
}

/// The fields of a process after its name (proc(5)).
fn stat(process: &Path) -> Vec<String> {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    words(after_name)
}

/// utime and stime; with four fields, those of children that were waited for, too.
fn ticks(stat: &[String], fields: usize) -> f64 {
    let times = stat.iter().skip(11).take(fields);
    times.map(|it| it.parse::<f64>().unwrap_or(0.0)).sum()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn content(size: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    words.take(size).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
