//! The TFTP server over loopback: with its own client, with clients that nobody here wrote, and datagram by datagram.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::fs;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::task::Context;
use std::task::Poll;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use handset::relay::tftp::Ports;
use handset::relay::tftp::Server;
use handset::relay::tftp::Settings;
use handset::relay::tftp::client::Client;
use handset::relay::tftp::client::ClientError;
use handset::relay::tftp::directory::Directory;
use handset::relay::tftp::directory::FileReading;
use handset::relay::tftp::files::Asked;
use handset::relay::tftp::files::Files;
use handset::relay::tftp::files::Refusal;
use handset::relay::tftp::files::Writing;
use handset::tftp::options::Options;
use handset::tftp::packet::ErrorCode;
use handset::tftp::packet::Mode;
use handset::tftp::transfer::Outcome;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::LocalSet;

const SIZES: [usize; 7] = [0, 1, 511, 512, 513, 5000, 300_000];

/// A server in a thread of its own; it stops when dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start<F: Files>(settings: Settings, files: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            block_on(async move {
                let server = Server::bind(settings).unwrap();
                tell.send(server.address()).unwrap();
                tokio::select! {
                    ended = server.run(files()) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn of(directory: &TempDir, settings: Settings) -> Self {
        let path = directory.path().to_owned();
        Self::start(settings, move || Directory::new(path))
    }

    /// The same port at another address.
    fn at(&self, ip: &str) -> SocketAddr {
        (ip.parse::<std::net::IpAddr>().unwrap(), self.address.port()).into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

fn listen(address: &str) -> Settings {
    Settings::new(address.parse().unwrap())
}

/// Files named by their sizes.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for size in SIZES {
        fs::write(directory.path().join(format!("{size}.img")), content(size)).unwrap();
    }
    directory
}

fn content(size: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    words.take(size).collect()
}

fn options(block_size: u16, window_size: u16) -> Options {
    Options {
        block_size: Some(block_size),
        window_size: Some(window_size),
        transfer_size: Some(0),
        ..Options::NONE
    }
}

#[test]
fn files_go_both_ways_on_every_kind_of_port() {
    let ports = [Ports::Any, Ports::Single, Ports::Range(free_ports())];
    for ports in ports {
        for (listening, asked) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.3"),
            ("[::1]:0", "::1"),
            ("[::]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let directory = directory();
            let settings = Settings {
                ports: ports.clone(),
                ..listen(listening)
            };
            let server = Running::of(&directory, settings);
            for options in [Options::NONE, options(1428, 1), options(1468, 16)] {
                let client = Client {
                    options,
                    ..Client::new(server.at(asked))
                };
                let context = format!("{ports:?} {listening} {client:?}");
                for size in SIZES {
                    let name = format!("{size}.img");
                    let read = block_on(client.read(name.as_bytes()));
                    assert!(read.unwrap() == content(size), "{context}");
                    block_on(client.write(b"upload", &content(size))).expect(&context);
                    let stored = fs::read(directory.path().join("upload")).unwrap();
                    assert!(stored == content(size), "{context}");
                }
            }
        }
    }
}

/// Ports that were free a moment ago; the transfers of this test go one after the other, so that a few do.
fn free_ports() -> std::ops::RangeInclusive<u16> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let first = socket.local_addr().unwrap().port().min(u16::MAX - 20);
    first..=first + 20
}

#[test]
fn text_is_translated() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::of(&directory, listen("127.0.0.1:0"));
    let client = Client {
        mode: Mode::Netascii,
        ..Client::new(server.address)
    };
    let text = b"a\nb\r\nc\r".repeat(200);
    block_on(client.write(b"text", &text)).unwrap();
    assert_eq!(fs::read(directory.path().join("text")).unwrap(), text);
    assert_eq!(block_on(client.read(b"/text")).unwrap(), text);
}

#[test]
fn names_and_what_they_get() {
    let directory = directory();
    fs::create_dir(directory.path().join("a")).unwrap();
    fs::write(directory.path().join("a/b.cfg"), b"").unwrap();
    let server = Running::of(&directory, listen("127.0.0.1:0"));
    for (name, expected) in [
        (&b"a/b.cfg"[..], None),
        (b"/a/b.cfg", None),
        (b"//a\\\\b.cfg\r\n", None),
        (b"missing", Some(ErrorCode::FILE_NOT_FOUND)),
        (b"a", Some(ErrorCode::FILE_NOT_FOUND)),
        (b"a/b.cfg/c", Some(ErrorCode::FILE_NOT_FOUND)),
        (b"../etc/passwd", Some(ErrorCode::ACCESS_VIOLATION)),
        (b"a\\..\\..\\x", Some(ErrorCode::ACCESS_VIOLATION)),
        (b"", Some(ErrorCode::ACCESS_VIOLATION)),
    ] {
        let read = block_on(Client::new(server.address).read(name));
        assert_eq!(failure(read), expected, "{}", name.escape_ascii());
    }
}

fn failure<T>(result: Result<T, ClientError>) -> Option<ErrorCode> {
    match result {
        Ok(_) => None,
        Err(ClientError::Transfer(Outcome::PeerFailed { code, .. })) => Some(code),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn whoever_is_too_much_is_told_to_try_again() {
    let directory = directory();
    for settings in [
        Settings {
            sessions: 0,
            ..listen("127.0.0.1:0")
        },
        Settings {
            memory: 1000,
            ..listen("127.0.0.1:0")
        },
    ] {
        let server = Running::of(&directory, settings);
        let read = block_on(Client::new(server.address).read(b"1.img"));
        let shown = read.unwrap_err().to_string();
        let expected = "the peer sent error 0: server busy, try again";
        assert_eq!(shown, expected);
    }
}

/// A client that speaks datagram by datagram.
struct Raw(UdpSocket);

impl Raw {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        Self(socket)
    }

    fn say(&self, to: SocketAddr, datagram: &[u8]) {
        self.0.send_to(datagram, to).unwrap();
    }

    fn hear(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2000];
        let (length, from) = self.0.recv_from(&mut buffer).unwrap();
        (buffer[..length].to_vec(), from)
    }
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let directory = directory();
    for ports in [Ports::Any, Ports::Single] {
        let settings = Settings {
            ports,
            ..listen("0.0.0.0:0")
        };
        let server = Running::of(&directory, settings);
        let asked = server.at("127.0.0.2");
        for request in [
            &b"\0\x011.img\0octet\0"[..],
            b"\0\x01..\0octet\0",
            b"\0\x01x\0mail\0",
        ] {
            let raw = Raw::new();
            raw.say(asked, request);
            assert_eq!(raw.hear().1.ip(), asked.ip(), "{}", request.escape_ascii());
        }
    }
}

#[test]
fn a_repeated_request_is_one_and_another_replaces_it() {
    let directory = directory();
    let server = Running::of(&directory, listen("127.0.0.1:0"));
    let raw = Raw::new();
    let request = b"\0\x01513.img\0octet\0";
    raw.say(server.address, request);
    raw.say(server.address, request);
    let (data, first) = raw.hear();
    assert!(data.starts_with(&[0, 3, 0, 1]));
    raw.say(first, &[0, 4, 0, 1]);
    // A second transfer would have said something of its own.
    assert_eq!(
        raw.hear(),
        ([&[0, 3, 0, 2][..], &content(513)[512..]].concat(), first)
    );
    raw.say(server.address, b"\0\x011.img\0octet\0");
    let (data, second) = raw.hear();
    assert_eq!(data, [&[0, 3, 0, 1][..], &content(1)].concat());
    assert_ne!(first, second);
    raw.say(second, &[0, 4, 0, 1]);
}

#[test]
fn strangers_are_told_so() {
    let directory = directory();
    let server = Running::of(&directory, listen("127.0.0.1:0"));
    let [raw, stranger] = [Raw::new(), Raw::new()];
    raw.say(server.address, b"\0\x011.img\0octet\0");
    let (_, port) = raw.hear();
    let unknown = b"\0\x05\0\x05unknown transfer id\0".to_vec();
    for to in [port, server.address] {
        stranger.say(to, &[0, 4, 0, 1]);
        assert_eq!(stranger.hear(), (unknown.clone(), to));
    }
    raw.say(port, &[0, 4, 0, 1]);
}

/// A directory that answers when it may, and stores nothing.
struct Slow {
    directory: Directory,
    may: watch::Receiver<bool>,
}

impl Files for Slow {
    type Reading = FileReading;
    type Writing = Full;

    async fn open(&self, asked: &Asked) -> Result<FileReading, Refusal> {
        let _ = self.may.clone().wait_for(|may| *may).await;
        self.directory.open(asked).await
    }

    async fn create(&self, _: &Asked) -> Result<Full, Refusal> {
        Ok(Full)
    }
}

struct Full;

impl Writing for Full {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Refusal>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_store(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Err(Refusal::new(ErrorCode::DISK_FULL, "disk full")))
    }
}

#[test]
fn a_phone_hears_of_a_late_file_in_time_and_of_a_lost_one_at_all() {
    let directory = directory();
    let path = directory.path().to_owned();
    let (allow, may) = watch::channel(false);
    let slow = move || Slow {
        directory: Directory::new(path),
        may,
    };
    let server = Running::start(listen("127.0.0.1:0"), slow);
    let raw = Raw::new();
    raw.say(
        server.address,
        b"\0\x015000.img\0octet\0tsize\x000\0blksize\x001024\0",
    );
    let acknowledged = b"\0\x06blksize\x001024\0";
    let (first, port) = raw.hear();
    assert_eq!(first, acknowledged, "without the size, for nobody knows it");
    raw.say(port, &[0, 4, 0, 0]);
    assert_eq!(raw.hear().0, acknowledged, "a sign of life");
    allow.send_replace(true);
    assert_eq!(raw.hear().0, [&[0, 3, 0, 1][..], &content(1024)].concat());

    let client = Client {
        options: options(1024, 4),
        ..Client::new(server.address)
    };
    assert!(block_on(client.read(b"5000.img")).unwrap() == content(5000));
    let missing = block_on(client.read(b"missing"));
    assert_eq!(failure(missing), Some(ErrorCode::FILE_NOT_FOUND));
    let written = block_on(client.write(b"x", &content(5000)));
    assert_eq!(failure(written), Some(ErrorCode::DISK_FULL));
}

#[test]
fn clients_that_nobody_here_wrote() {
    let directory = directory();
    let elsewhere = tempfile::tempdir().unwrap();
    let server = Running::of(&directory, listen("127.0.0.1:0"));
    let port = server.address.port().to_string();
    let url = format!("tftp://{}", server.address);
    for (program, get, put) in [
        (
            "tftp",
            "-m binary 127.0.0.1 PORT -c get NAME LOCAL",
            "-m binary 127.0.0.1 PORT -c put LOCAL NAME",
        ),
        (
            "atftp",
            "-g -r NAME -l LOCAL 127.0.0.1 PORT",
            "-p -l LOCAL -r NAME 127.0.0.1 PORT",
        ),
        (
            "atftp",
            "--option blksize=1428 --option windowsize=16 --option tsize=0 -g -r NAME -l LOCAL 127.0.0.1 PORT",
            "--option blksize=1428 -p -l LOCAL -r NAME 127.0.0.1 PORT",
        ),
        (
            "busybox",
            "tftp -g -r NAME -l LOCAL 127.0.0.1 PORT",
            "tftp -p -l LOCAL -r NAME 127.0.0.1 PORT",
        ),
        (
            "busybox",
            "tftp -b 1468 -g -r NAME -l LOCAL 127.0.0.1 PORT",
            "tftp -b 1468 -p -l LOCAL -r NAME 127.0.0.1 PORT",
        ),
        ("curl", "-s URL/NAME -o LOCAL", "-s -T LOCAL URL/NAME"),
        (
            "curl",
            "-s --tftp-blksize 1428 URL/NAME -o LOCAL",
            "-s --tftp-blksize 1428 -T LOCAL URL/NAME",
        ),
        (
            "curl",
            "-s --tftp-no-options URL/NAME -o LOCAL",
            "-s --tftp-no-options -T LOCAL URL/NAME",
        ),
    ] {
        if !is_installed(program) {
            println!("skipped: {program} is not installed (`cargo xtask test native` installs it)");
            continue;
        }
        for size in SIZES {
            let name = format!("{size}.img");
            let local = elsewhere.path().join(&name);
            let arguments = |template: &str, name: &str| -> Vec<String> {
                let words = template.split(' ').map(|word| match word {
                    "PORT" => port.clone(),
                    "NAME" => name.to_owned(),
                    "LOCAL" => local.to_str().unwrap().to_owned(),
                    // atftp takes an option and its value as one argument.
                    word if word.contains('=') => word.replace('=', " "),
                    word => word.replace("URL/NAME", &format!("{url}/{name}")),
                });
                words.collect()
            };
            run(program, &arguments(get, &name));
            assert!(same(&local, size), "{program} {get}: {size}");
            run(program, &arguments(put, "upload"));
            let stored = directory.path().join("upload");
            assert!(same(&stored, size), "{program} {put}: {size}");
            fs::remove_file(local).unwrap();
            fs::remove_file(stored).unwrap();
        }
    }
}

fn run(program: &str, arguments: &[String]) {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

fn same(path: &Path, size: usize) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == content(size))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
