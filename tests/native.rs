//! The native server, over real sockets: what phones do, and what nobody should.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/client.rs"]
mod client;
#[path = "support/deployment.rs"]
mod deployment;
#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use handset::device::DeviceRecord;
use handset::mac::MacAddress;
use handset::platform::native::Patience;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::Store;
use handset::platform::native::log::Log;
use handset::platform::native::watch::Looked;
use handset::platform::native::watch::Tree;
use handset::platform::native::watch::Watcher;
use handset::release::Release;
use handset::release::ReleaseId;
use handset::site::Deployment;
use handset::site::SiteRecord;
use handset::store::BlobKey;
use handset::store::Blobs;
use handset::store::Contact;
use handset::store::Publishing;
use handset::store::Records;
use handset::store::Revision;
use handset::store::StoreError;
use handset::store::directory::Body;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Snapshot;
use handset::store::directory::Upload;
use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::StreamOwned;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use client::ask;
use client::connect;
use client::only;
use client::put;
use client::rest;
use client::send;
use client::split;
use deployment::IMAGE;
use deployment::LARGEST_UPLOAD;
use deployment::VVX;

/// A server over a deployment in a directory of its own.
struct Running {
    server: Server,
    log: Receiver<Vec<u8>>,
    fleet: TempDir,
    state: TempDir,
}

impl Running {
    fn new() -> Self {
        Self::with_image(10_000, None)
    }

    fn with_image(image: u64, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let options = ServeOptions {
            tls,
            ..ServeOptions::default()
        };
        Self::with_options(image, &options)
    }

    fn with_options(image: u64, options: &ServeOptions) -> Self {
        let (fleet, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let snapshot = deployment::snapshot(fleet.path(), image);
        let store = DirectoryStore::open(state.path(), snapshot).unwrap();
        let (server, log) = start(Arc::new(store), options);
        Self {
            server,
            log,
            fleet,
            state,
        }
    }

    fn at(&self) -> SocketAddr {
        self.server.address()
    }

    /// The next line of the log that `wanted` wants.
    fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let batch = self.log.recv_timeout(Duration::from_secs(20)).unwrap();
            for line in batch
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                let line: Value = serde_json::from_slice(line).unwrap();
                if wanted(&line) {
                    return line;
                }
            }
        }
    }

    /// Every file below the state directory's folder of uploads, and all unfinished ones.
    fn kept(&self) -> Vec<PathBuf> {
        let mut kept = Vec::new();
        for folder in ["uploads", "unfinished"] {
            files_below(&self.state.path().join(folder), &mut kept);
        }
        kept.retain(|path| !path.ends_with("alive"));
        kept
    }
}

fn start<S: Store>(store: Arc<S>, options: &ServeOptions) -> (Server, Receiver<Vec<u8>>) {
    let (lines, log) = mpsc::channel();
    (
        Server::start(store, options, Log::to(Lines(lines))).unwrap(),
        log,
    )
}

/// What is logged, batch by batch.
struct Lines(Sender<Vec<u8>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A test that does not look at the log is over sooner than the server.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn files_below(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn log_name() -> String {
    format!("/lync/{VVX}-app.log")
}

fn image() -> String {
    format!("/lync/{IMAGE}")
}

/// A request, and what must stand in the head of its response.
type Row<'a> = (&'a str, &'a str, &'a str, u16, &'a [&'a str], Range<u64>);

#[test]
fn reading() {
    let running = Running::new();
    let image = image();
    let tag = ask(running.at(), "HEAD", &image, "");
    let tag = tag.header("etag").unwrap();
    let fresh = format!("If-None-Match: \"x\", {tag}\r\n");
    let current = format!("If-Range: {tag}\r\nRange: bytes=1-2\r\n");
    let rows: &[Row<'_>] = &[
        (
            "GET",
            &image,
            "",
            200,
            &[
                "content-length: 10000\r\n",
                "accept-ranges: bytes\r\n",
                "etag: \"",
                "date: ",
            ],
            0..10_000,
        ),
        (
            "HEAD",
            &image,
            "",
            200,
            &["content-length: 10000\r\n"],
            0..0,
        ),
        (
            "GET",
            &image,
            "Range: bytes=0-99\r\n",
            206,
            &[
                "content-range: bytes 0-99/10000\r\n",
                "content-length: 100\r\n",
            ],
            0..100,
        ),
        (
            "GET",
            &image,
            "Range: bytes=9000-\r\n",
            206,
            &["content-range: bytes 9000-9999/10000\r\n"],
            9_000..10_000,
        ),
        (
            "GET",
            &image,
            "Range: bytes=-5\r\n",
            206,
            &["content-range: bytes 9995-9999/10000\r\n"],
            9_995..10_000,
        ),
        (
            "HEAD",
            &image,
            "Range: bytes=0-99\r\n",
            200,
            &["content-length: 10000\r\n"],
            0..0,
        ),
        (
            "GET",
            &image,
            "Range: bytes=10000-\r\n",
            416,
            &["content-range: bytes */10000\r\n", "content-length: 0\r\n"],
            0..0,
        ),
        ("GET", &image, &fresh, 304, &["etag: \""], 0..0),
        ("GET", &image, "If-None-Match: *\r\n", 304, &[], 0..0),
        ("HEAD", &image, "If-None-Match: *\r\n", 304, &[], 0..0),
        (
            "GET",
            &image,
            "If-Match: \"x\"\r\n",
            412,
            &["content-length: 0\r\n"],
            0..0,
        ),
        (
            "GET",
            &image,
            &current,
            206,
            &["content-length: 2\r\n"],
            1..3,
        ),
        (
            "GET",
            &image,
            "If-Range: \"x\"\r\nRange: bytes=1-2\r\n",
            200,
            &["content-length: 10000\r\n"],
            0..10_000,
        ),
        (
            "GET",
            "/lync/ring%20%281%29.wav",
            "",
            200,
            &["content-type: audio/wav\r\n"],
            0..4_096,
        ),
        (
            "GET",
            "/lync/ring%20(1).wav?query=1",
            "",
            200,
            &[],
            0..4_096,
        ),
        (
            "GET",
            "http://phones.example:8080/ring%20(1).wav",
            "",
            200,
            &[],
            0..4_096,
        ),
        ("GET", "//lync//lync/ring%20(1).wav", "", 200, &[], 0..4_096),
    ];
    for (method, target, more, status, heads, body) in rows {
        let answer = ask(running.at(), method, target, more);
        assert_eq!(answer.status, *status, "{method} {target} {more}");
        let wanted = &deployment::content(10_000)[body.start as usize..body.end as usize];
        assert!(answer.body == wanted, "{method} {target} {more}");
        for head in *heads {
            let lower = answer.head.to_ascii_lowercase();
            assert!(
                lower.contains(head),
                "{method} {target} {more}: {head:?} in {lower}"
            );
        }
        assert!(
            !answer
                .head
                .to_ascii_lowercase()
                .contains("transfer-encoding")
        );
    }
}

#[test]
fn health_and_rendered_files() {
    let running = Running::new();
    let health = ask(running.at(), "GET", "/-/health", "");
    assert_eq!((health.status, &*health.body), (200, &b"ok\n"[..]));
    let shared = ask(running.at(), "GET", "/lync/shared.cfg", "");
    assert_eq!(shared.status, 200);
    assert!(shared.body.starts_with(b"<PHONE_CONFIG>"));
    let missing = ask(running.at(), "HEAD", "/lync/none.cfg", "");
    assert_eq!(
        (missing.status, missing.header("content-length")),
        (404, Some("10"))
    );
}

/// Whole conversations: bytes sent, and the statuses that come back, in order.
#[test]
fn conversations() {
    let running = Running::new();
    let image = image();
    let get = |rest: &str| format!("GET {image} {rest}\r\n\r\n");
    let keep = get("HTTP/1.1\r\nHost: x");
    let last = get("HTTP/1.1\r\nHost: x\r\nConnection: close");
    let log = log_name();
    let rows: &[(&str, String, &[u16])] = &[
        ("HTTP/1.0 without a Host", get("HTTP/1.0"), &[200]),
        (
            "HTTP/1.0 closes",
            [get("HTTP/1.0"), get("HTTP/1.0")].concat(),
            &[200],
        ),
        (
            "HTTP/1.0 kept alive",
            [get("HTTP/1.0\r\nConnection: keep-alive"), get("HTTP/1.0")].concat(),
            &[200, 200],
        ),
        (
            "HTTP/1.1 kept alive",
            [keep.clone(), keep.clone(), last.clone()].concat(),
            &[200, 200, 200],
        ),
        (
            "a missing file keeps the connection",
            [keep.replace(IMAGE, "x"), last.clone()].concat(),
            &[404, 200],
        ),
        (
            "empty lines before a request",
            format!("\r\n\r\n{last}"),
            &[200],
        ),
        (
            "HTTP/1.1 without a Host",
            get("HTTP/1.1\r\nConnection: close"),
            &[400],
        ),
        (
            "two Hosts",
            get("HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close"),
            &[400],
        ),
        (
            "a folded header",
            get("HTTP/1.1\r\nHost: x\r\nX: a\r\n b"),
            &[400],
        ),
        (
            "a space before the colon",
            get("HTTP/1.1\r\nHost : x"),
            &[400],
        ),
        (
            "garbage after a request",
            format!("{keep}\x00\x01\x02\r\n\r\n"),
            &[200, 400],
        ),
        (
            "too many headers",
            get(&format!("HTTP/1.1\r\nHost: x{}", "\r\nX: y".repeat(200))),
            &[431],
        ),
        (
            "a header that never ends",
            get(&format!(
                "HTTP/1.1\r\nHost: x\r\nX: {}",
                "y".repeat(200_000)
            )),
            &[431],
        ),
        (
            "a chunked upload",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{last}"
            ),
            &[411],
        ),
        (
            "an upload without a length",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            &[411],
        ),
        (
            "both framings",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{last}"
            ),
            &[411],
        ),
        (
            "both framings, the other way",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{last}"
            ),
            &[411],
        ),
        (
            "a chunked read",
            get(
                "HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ) + &last,
            &[400],
        ),
        (
            "a framing nobody knows",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{last}"),
            &[400],
        ),
        (
            "framing in HTTP/1.0",
            format!("PUT {log} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "two lengths",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
            ),
            &[400],
        ),
        (
            "a signed length",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"),
            &[400],
        ),
        (
            "a negative length",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc"),
            &[400],
        ),
        (
            "two lengths in one header",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 4\r\n\r\nabcd"),
            &[400],
        ),
        (
            "a length that is no decimal number",
            format!("PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc"),
            &[400],
        ),
        (
            "a length that overflows",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551619\r\n\r\nabc"
            ),
            &[400],
        ),
        (
            "chunked is not the last coding",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{last}"
            ),
            &[400],
        ),
        (
            "two codings, one of them hidden",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{last}"
            ),
            &[411],
        ),
        (
            "a space hides the coding",
            format!(
                "PUT {log} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{last}"
            ),
            &[400],
        ),
        (
            "a bare CR in a header",
            get("HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 99"),
            &[400],
        ),
        (
            "a bare CR ends a header",
            get("HTTP/1.1\r\nHost: x\rX: a"),
            &[400],
        ),
        (
            "a NUL in a header",
            get("HTTP/1.1\r\nHost: x\r\nX: a\0b"),
            &[400],
        ),
        (
            // RFC 9112 section 2.2 lets a reader take it.
            "bare LF ends lines",
            last.replace("\r\n", "\n"),
            &[200],
        ),
        (
            "a bare CR in the request line",
            last.replacen(" HTTP", "\rHTTP", 1),
            &[400],
        ),
        ("a hundred at once", keep.repeat(99) + &last, &[200; 100]),
        (
            "a read with a body",
            get("HTTP/1.1\r\nHost: x\r\nContent-Length: 3") + "abc" + &last,
            &[200, 200],
        ),
    ];
    for (what, request, statuses) in rows {
        let received = send(running.at(), request.as_bytes());
        let mut rest = &received[..];
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let (answer, left) = split(rest, "GET");
            seen.push(answer.status);
            rest = left;
        }
        assert_eq!(seen, *statuses, "{what}");
    }
    assert_eq!(
        running.kept(),
        [""; 0].map(PathBuf::from),
        "nothing was uploaded"
    );
}

#[test]
fn hostile_request_lines() {
    let running = Running::new();
    let mut wrong = String::new();
    for (status, line, request) in hostile::requests() {
        let received = send(running.at(), &request);
        let seen = split(&received, "HEAD").0.status;
        if seen.to_string() != status {
            wrong.push_str(&format!("{seen} {line}\n"));
        }
    }
    assert_eq!(wrong, "", "rows with another status");
    assert_eq!(ask(running.at(), "GET", "/-/health", "").status, 200);
}

#[test]
fn uploads_are_read_back_byte_for_byte() {
    let running = Running::new();
    let name = log_name();
    assert_eq!(ask(running.at(), "HEAD", &name, "").status, 404);
    let every_byte: Vec<u8> = (0..=255).collect();
    let longest = deployment::content(LARGEST_UPLOAD);
    for (at, body) in [&b""[..], b"x", b"line\r\n", &every_byte, &longest]
        .iter()
        .enumerate()
    {
        let status = put(running.at(), &name, "", body).status;
        assert_eq!(status, if at == 0 { 201 } else { 200 });
        let back = ask(running.at(), "GET", &name, "");
        assert_eq!(back.status, 200);
        assert!(back.body == *body, "{} bytes", body.len());
        let length = body.len().to_string();
        let head = ask(running.at(), "HEAD", &name, "");
        assert_eq!(head.header("content-length"), Some(&*length));
    }
    let part = ask(running.at(), "GET", &name, "Range: bytes=100000-200000\r\n");
    assert!(part.body == longest[100_000..=200_000]);
}

#[test]
fn an_append_continues_where_the_offset_matches() {
    let running = Running::new();
    let name = log_name();
    put(running.at(), &name, "", b"one\n");
    put(running.at(), &name, "Handset-Append: 4\r\n", b"two\n");
    let both = ask(running.at(), "GET", &name, "");
    assert_eq!(both.body, b"one\ntwo\n");
    let part = ask(running.at(), "GET", &name, "Range: bytes=2-5\r\n");
    assert_eq!(part.body, b"e\ntw");
    put(running.at(), &name, "Handset-Append: 4\r\n", b"anew\n");
    assert_eq!(ask(running.at(), "GET", &name, "").body, b"anew\n");
}

#[test]
fn concurrent_uploads_never_mix() {
    let running = Running::new();
    let (at, name) = (running.at(), log_name());
    thread::scope(|scope| {
        for writer in b'a'..=b'h' {
            let name = &name;
            scope.spawn(move || {
                let body = vec![writer; 300_000];
                assert!(put(at, name, "", &body).status < 300);
            });
        }
    });
    let newest = ask(at, "GET", &name, "").body;
    assert_eq!(newest.len(), 300_000);
    assert!(newest.iter().all(|byte| *byte == newest[0]));
    assert_eq!(running.kept().len(), 8, "each is a version");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let running = Running::new();
    let name = log_name();
    let head = format!("PUT {name} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    for half_closes in [true, false] {
        let mut stream = connect(running.at());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 50_000]).unwrap();
        if half_closes {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let received = rest(&stream);
            assert!(!received.starts_with(b"HTTP/1.1 2"), "{received:?}");
        }
        drop(stream);
        running.logged(|line| line["method"] == "PUT" && line["status"] == 400);
    }
    assert_eq!(running.kept(), [""; 0].map(PathBuf::from));
    assert_eq!(ask(running.at(), "GET", &name, "").status, 404);
}

#[test]
fn a_refused_upload_can_read_why() {
    let running = Running::new();
    let body = vec![b'x'; 8 << 20];
    for (target, status) in [(log_name(), 413), ("/lync/none.cfg".to_owned(), 404)] {
        assert_eq!(
            put(running.at(), &target, "", &body).status,
            status,
            "{target}"
        );
    }
}

#[test]
fn only_an_upload_that_is_wanted_is_asked_to_continue() {
    let running = Running::new();
    let ask = |target: &str, length: u64| {
        let mut stream = connect(running.at());
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    assert_eq!(ask("/lync/none.cfg", 3).1, "HTTP/1.1 404");
    assert_eq!(ask(&log_name(), LARGEST_UPLOAD + 1).1, "HTTP/1.1 413");
    let (mut stream, status) = ask(&log_name(), 3);
    assert_eq!(status, "HTTP/1.1 100");
    stream.write_all(b"abc").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let received = rest(stream);
    let received = received.strip_prefix(b" Continue\r\n\r\n").unwrap();
    assert_eq!(only(received, "PUT").status, 201);
}

#[test]
fn a_phone_may_stop_reading() {
    let running = Running::with_image(32 << 20, None);
    let mut stream = connect(running.at());
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", image());
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    let line = running.logged(|line| line["method"] == "GET");
    assert_eq!((&line["status"], &line["cut"]), (&200.into(), &true.into()));
    assert_eq!(ask(running.at(), "GET", "/-/health", "").status, 200);
}

#[test]
fn a_file_that_changes_is_never_sent_as_a_mixture() {
    let running = Running::with_image(32 << 20, None);
    let mut stream = connect(running.at());
    let request = format!("GET {} HTTP/1.0\r\n\r\n", image());
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    let mut file = File::options()
        .write(true)
        .open(running.fleet.path().join(IMAGE))
        .unwrap();
    file.write_all(b"another image").unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    drop(file);
    assert!(rest(stream).len() < 32 << 20, "the end must be missing");
    let changed = ask(running.at(), "GET", &image(), "");
    assert_eq!(changed.status, 503);
    assert!(changed.header("retry-after").is_some());
}

#[test]
fn contacts_and_log() {
    let running = Running::new();
    let agent = "User-Agent: FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 (SN:0004f28062d6)\r\n";
    ask(
        running.at(),
        "GET",
        "/lync/shared.cfg?password=secret",
        agent,
    );
    let line = running.logged(|line| line["method"] == "GET");
    assert_eq!(line["path"], "/lync/shared.cfg");
    assert_eq!(line["vendor"], "polycom");
    assert_eq!(line["outcome"], "render");
    assert!(!line.to_string().contains("secret"));
    ask(
        running.at(),
        "GET",
        "/lync/a%0d%0ab",
        "User-Agent: a\tb\r\n",
    );
    let line = running.logged(|line| line["method"] == "GET");
    assert_eq!(
        (&line["status"], &line["user_agent"]),
        (&404.into(), &"a\tb".into())
    );
    send(running.at(), b"\x00\r\n\r\n");
    let line = running.logged(|line| line["outcome"] == "refuse");
    assert_eq!(line["status"], 400);
}

#[test]
fn tls() {
    let file = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/tls")
            .join(name)
    };
    let tls = (file("cert.pem"), file("key.pem"));
    let running = Running::with_image(1 << 20, Some(tls.clone()));
    assert!(running.server.url().starts_with("https://127.0.0.1:"));
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&tls.0).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, connect(running.at()));
    let request = format!("GET {} HTTP/1.0\r\n\r\n", image());
    stream.write_all(request.as_bytes()).unwrap();
    let answer = only(&rest(stream), "GET");
    assert!(answer.body == deployment::content(1 << 20));
    // Plain HTTP on the port is refused, and the server lives on.
    assert!(!send(running.at(), b"GET / HTTP/1.0\r\n\r\n").starts_with(b"HTTP"));
    running.logged(|line| line["outcome"] == "refuse");
    for (certificate, key) in [
        (&tls.1, &tls.1),
        (&tls.0, &tls.0),
        (&file("none.pem"), &tls.1),
    ] {
        let store = DirectoryStore::open(running.state.path(), Snapshot::default()).unwrap();
        let options = ServeOptions {
            tls: Some((certificate.clone(), key.clone())),
            ..ServeOptions::default()
        };
        let error = Server::start(Arc::new(store), &options, Log::to(io::sink())).unwrap_err();
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let running = Running::new();
    let options = ServeOptions {
        listen: running.at(),
        ..ServeOptions::default()
    };
    let store = DirectoryStore::open(running.state.path(), Snapshot::default()).unwrap();
    let error = Server::start(Arc::new(store), &options, Log::to(io::sink())).unwrap_err();
    assert!(error.to_string().contains("--listen"), "{error}");
}

#[test]
fn stopping_finishes_what_is_under_way() {
    let running = Running::with_image(8 << 20, None);
    let mut idle = connect(running.at());
    idle.write_all(b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0; 15]).unwrap();
    let mut busy = connect(running.at());
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", image());
    busy.write_all(request.as_bytes()).unwrap();
    busy.read_exact(&mut [0; 15]).unwrap();
    let reader = thread::spawn(move || rest(busy));
    running.server.stop();
    assert!(reader.join().unwrap().len() > 8 << 20);
}

/// A store in which everything is broken.
struct Panicking;

impl Records for Panicking {
    async fn deployment(&self) -> Result<Arc<Deployment>, StoreError> {
        panic!("on purpose")
    }

    async fn site(&self, _: &str) -> Result<Option<Arc<SiteRecord>>, StoreError> {
        panic!("on purpose")
    }

    async fn release(&self, _: &ReleaseId) -> Result<Arc<Release>, StoreError> {
        panic!("on purpose")
    }

    async fn device(
        &self,
        _: &str,
        _: MacAddress,
    ) -> Result<Option<(DeviceRecord, Revision)>, StoreError> {
        panic!("on purpose")
    }

    async fn update_device(
        &self,
        _: &str,
        _: MacAddress,
        _: &Revision,
        _: &DeviceRecord,
    ) -> Result<bool, StoreError> {
        panic!("on purpose")
    }

    async fn record_contact(&self, _: &str, _: MacAddress, _: &Contact) -> Result<(), StoreError> {
        panic!("on purpose")
    }

    async fn contacts(
        &self,
        _: &str,
        _: Option<MacAddress>,
    ) -> Result<Vec<(MacAddress, Contact)>, StoreError> {
        panic!("on purpose")
    }
}

impl Publishing for Panicking {}

impl Blobs for Panicking {
    type Body = Body;
    type Upload = Upload;

    async fn get(&self, _: &BlobKey, _: Range<u64>) -> Result<Option<Body>, StoreError> {
        panic!("on purpose")
    }

    async fn put(&self, _: &BlobKey, _: Upload, _: u64) -> Result<(), StoreError> {
        panic!("on purpose")
    }

    async fn keep(&self, _: &BlobKey, _: Vec<u8>) -> Result<(), StoreError> {
        panic!("on purpose")
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), StoreError> {
        panic!("on purpose")
    }

    async fn collect(&self, _: Upload, _: usize) -> Result<Vec<u8>, StoreError> {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_ends_one_request() {
    let (server, _log) = start(Arc::new(Panicking), &ServeOptions::default());
    let twice = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let received = send(server.address(), twice.as_bytes());
    let (first, rest) = split(&received, "GET");
    assert_eq!((first.status, only(rest, "GET").status), (500, 500));
}

#[test]
fn a_changed_directory_is_compiled_once_it_rests() {
    let (fleet, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = fleet.path().join("fleet.toml");
    let within = fleet.path().join("state");
    fs::create_dir(&within).unwrap();
    fs::write(&file, "one").unwrap();
    let tree = Tree::new(fleet.path(), &within);
    let store = Arc::new(DirectoryStore::open(state.path(), Snapshot::default()).unwrap());
    // The directory's one file says what compiling does.
    let compile = {
        let file = file.clone();
        move || match fs::read_to_string(&file).unwrap().as_str() {
            "broken" => Err("fleet.toml:1: broken".to_owned()),
            "moving" => {
                fs::write(&file, "moved on").unwrap();
                Ok(Snapshot::default())
            }
            _ => Ok(Snapshot::default()),
        }
    };
    let mut watcher = Watcher::new(tree, store, compile);
    let failed = Looked::Failed("fleet.toml:1: broken".to_owned());
    let rows: &[(&str, &[Looked])] = &[
        ("", &[Looked::Unchanged, Looked::Unchanged]),
        (
            "two words",
            &[Looked::Changing, Looked::Replaced, Looked::Unchanged],
        ),
        ("broken", &[Looked::Changing, failed, Looked::Unchanged]),
        (
            "moving",
            &[Looked::Changing, Looked::Changing, Looked::Replaced],
        ),
    ];
    for (text, looks) in rows {
        if !text.is_empty() {
            fs::write(&file, text).unwrap();
        }
        for (at, look) in looks.iter().enumerate() {
            assert_eq!(watcher.look(), *look, "{text}, look {at}");
        }
    }
    fs::write(within.join("x"), "state").unwrap();
    fs::write(fleet.path().join(".fleet.toml.swp"), "hidden").unwrap();
    assert_eq!(watcher.look(), Looked::Unchanged);
    fs::remove_file(&file).unwrap();
    assert_eq!(watcher.look(), Looked::Changing);
}

#[test]
fn a_request_that_began_before_a_change_ends_as_it_began() {
    let (fleet, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = deployment::snapshot(fleet.path(), 10);
    let release = first.sites[deployment::SITE].release.clone();
    let store = DirectoryStore::open(state.path(), first).unwrap();
    store.replace(deployment::snapshot(fleet.path(), 11));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let device = runtime.block_on(store.device(deployment::SITE, VVX.parse().unwrap()));
    let (record, _) = device.unwrap().unwrap();
    let numbers: Vec<&String> = record.settings.keys().collect();
    assert_eq!(numbers, ["0000000001", "0000000002"]);
    assert!(runtime.block_on(store.release(&release)).is_ok());
    store.forget_previous();
    assert!(runtime.block_on(store.release(&release)).is_err());
}

/// Short for a test, and long for what the test does in between.
const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> ServeOptions {
    ServeOptions {
        patience: Patience {
            handshake: SHORT,
            head: SHORT,
            body: SHORT,
        },
        connections: 2,
        ..ServeOptions::default()
    }
}

/// Who sends a byte now and then is cut off when the head should be there, whatever has moved.
#[test]
fn a_head_that_dribbles_is_cut_off() {
    let running = Running::with_options(10, &impatient());
    let mut stream = connect(running.at());
    let pause = Some(Duration::from_millis(5));
    stream.set_read_timeout(pause).unwrap();
    let mut head = b"GET / HTTP/1.1\r\nX: "
        .iter()
        .chain(std::iter::repeat(&b'x'));
    let mut sent = 0;
    let ended = |stream: &mut std::net::TcpStream| match stream.read(&mut [0; 512]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    };
    while !ended(&mut stream) {
        sent += 1;
        assert!(sent < 4_000, "it may go on for ever");
        // What comes after the end is lost.
        let _ = stream.write_all(&[*head.next().unwrap()]);
    }
}

/// Each row waits for ever; the server does not, and serves the next as if nothing had been.
#[test]
fn who_waits_is_not_waited_for() {
    let file = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/tls")
            .join(name)
    };
    let upload = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
        log_name()
    );
    let idle = "GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let tls = Some((file("cert.pem"), file("key.pem")));
    for (what, sent, tls) in [
        ("nothing is sent", String::new(), None),
        ("half a head", "GET / HTTP/1.1\r\nHost".to_owned(), None),
        ("no second request", idle.clone(), None),
        ("an upload stalls", upload, None),
        ("no handshake", String::new(), tls.clone()),
        ("half a handshake", "\u{16}\u{3}\u{1}".to_owned(), tls),
    ] {
        let options = ServeOptions {
            tls: tls.clone(),
            ..impatient()
        };
        let running = Running::with_options(10, &options);
        let mut stream = connect(running.at());
        stream.write_all(sent.as_bytes()).unwrap();
        rest(&stream);
        if tls.is_none() {
            assert_eq!(
                ask(running.at(), "GET", "/-/health", "").status,
                200,
                "{what}"
            );
        }
    }
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let running = Running::with_options(32 << 20, &impatient());
    let mut stream = connect(running.at());
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", image());
    stream.write_all(request.as_bytes()).unwrap();
    let line = running.logged(|line| line["method"] == "GET");
    assert_eq!(line["cut"], true);
}

/// Far more connections than are held at once: all wait for those before them, and the last is served.
#[test]
fn many_idle_connections_delay_and_do_not_lock_out() {
    let running = Running::with_options(10, &impatient());
    let idle: Vec<_> = (0..20).map(|_| connect(running.at())).collect();
    assert_eq!(ask(running.at(), "GET", "/-/health", "").status, 200);
    drop(idle);
}
