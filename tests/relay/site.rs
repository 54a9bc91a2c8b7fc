//! A server that answers from a table, counts what it is asked, and can be away.

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// A server on a port of its own; clones are the same.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    requests: Vec<Asked>,
    /// Every connection is closed before its request is read.
    away: bool,
    /// No answer is sent.
    held: bool,
    /// Answers that could not be sent to their end.
    broken: usize,
    /// What uploads of this name are answered with.
    refused: BTreeMap<String, u16>,
    /// What becomes of answers with a body.
    fault: Option<Fault>,
}

/// How an answer comes to nothing, or nearly.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The connection is closed in the middle of the body.
    Cut,
    /// The same, where a length is told by chunks.
    CutChunk,
    /// The connection is closed after a part of the body, and no length was told.
    Endless,
    /// What comes is no HTTP.
    Garbage,
    /// The connection is closed within the head.
    Head,
    /// The connection is reset in the middle of the body.
    Reset,
    /// The body comes in so many pieces with a pause between two.
    Slow(usize, Duration),
    /// Nothing more comes in the middle of the body, until the server is not held any more.
    Stall,
}

/// A file of the server's.
#[derive(Clone, Default)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) control: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: &'static str,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let server = site.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, stream) = (server.clone(), stream.unwrap());
                thread::spawn(move || server.serve(stream));
            }
        });
        site
    }

    /// Its address, as a relay takes it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/site/key", self.address)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
        done
    }

    pub(crate) fn put(&self, name: &str, control: &'static str, bytes: &[u8]) {
        let file = File {
            bytes: bytes.to_vec(),
            control,
            status: 200,
            headers: "",
        };
        self.put_file(name, file);
    }

    pub(crate) fn put_file(&self, name: &str, file: File) {
        self.change(|state| state.files.insert(format!("/site/key/{name}"), file));
    }

    pub(crate) fn refuse(&self, name: &str, status: u16) {
        self.change(|state| state.refused.insert(format!("/site/key/{name}"), status));
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.change(|state| state.away = away);
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.change(|state| state.fault = fault);
    }

    pub(crate) fn set_held(&self, held: bool) {
        self.change(|state| state.held = held);
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.change(|state| state.requests.clone())
    }

    /// The uploads that it took, by name and bytes.
    pub(crate) fn uploads(&self) -> Vec<(String, Vec<u8>)> {
        let requests = self.requests().into_iter();
        let puts = requests.filter(|it| it.method == "PUT" || it.method == "POST");
        puts.map(|it| (it.path.replace("/site/key/", ""), it.body))
            .collect()
    }

    /// Waits until it was asked what the test waits for.
    pub(crate) fn wait(&self, until: impl Fn(&[Asked]) -> bool) {
        self.wait_for(|state| until(&state.requests));
    }

    /// Waits until somebody did not want an answer any more.
    pub(crate) fn wait_broken(&self) {
        self.wait_for(|state| state.broken > 0);
    }

    fn wait_for(&self, until: impl Fn(&State) -> bool) {
        let state = self.state.0.lock().unwrap();
        let waited = self
            .state
            .1
            .wait_timeout_while(state, PATIENCE, |state| !until(state));
        let (state, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "{:#?}", state.requests);
    }

    fn serve(&self, stream: TcpStream) {
        if self.change(|state| state.away) {
            return;
        }
        let mut stream = BufReader::new(stream);
        let Some(asked) = read(&mut stream) else {
            return;
        };
        self.change(|state| state.requests.push(asked.clone()));
        self.wait_for(|state| !state.held);
        if self.change(|state| state.away) {
            return;
        }
        let answer = self.answer(&asked);
        let sent = match self.change(|state| state.fault) {
            Some(fault) => self.send_badly(stream.get_mut(), &answer, fault),
            None => stream.get_mut().write_all(&answer),
        };
        if sent.is_err() {
            self.change(|state| state.broken += 1);
        }
    }

    /// Sends an answer, or what a fault makes of it.
    fn send_badly(&self, stream: &mut TcpStream, answer: &[u8], fault: Fault) -> io::Result<()> {
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let (head, body) = answer.split_at(end);
        let half = &body[..body.len() / 2];
        let with = |line: &str| {
            let text = std::str::from_utf8(head).unwrap();
            let lines = text.split_inclusive("\r\n");
            let others: String = lines
                .filter(|it| !it.starts_with("Content-Length"))
                .collect();
            format!(
                "{}{line}\r\n",
                others.trim_end_matches("\r\n").to_owned() + "\r\n"
            )
        };
        match fault {
            Fault::Cut => stream.write_all(&[head, half].concat()),
            Fault::CutChunk => {
                let head = with("Transfer-Encoding: chunked\r\n");
                let size = format!("{:x}\r\n", half.len());
                let chunk = [head.as_bytes(), size.as_bytes(), half, b"\r\n"].concat();
                stream.write_all(&chunk)
            }
            Fault::Endless => stream.write_all(&[with("").as_bytes(), half].concat()),
            Fault::Garbage => stream.write_all(b"220 ftp.example.net ready\r\n\r\n"),
            Fault::Head => stream.write_all(&head[..head.len() / 2]),
            Fault::Reset => {
                stream.write_all(&[head, half].concat())?;
                SockRef::from(&*stream).set_linger(Some(Duration::ZERO))
            }
            Fault::Slow(pieces, pause) => {
                stream.write_all(head)?;
                for piece in body.chunks(body.len().div_ceil(pieces).max(1)) {
                    stream.write_all(piece)?;
                    self.pause(pause);
                }
                Ok(())
            }
            Fault::Stall => {
                self.change(|state| state.held = true);
                stream.write_all(&[head, half].concat())?;
                self.wait_for(|state| !state.held);
                stream.write_all(&body[half.len()..])
            }
        }
    }

    /// The pace of a slow line, or until the server is away.
    fn pause(&self, pause: Duration) {
        let state = self.state.0.lock().unwrap();
        let waited = self.state.1.wait_timeout_while(state, pause, |it| !it.away);
        drop(waited.unwrap());
    }

    fn answer(&self, asked: &Asked) -> Vec<u8> {
        let found = self.change(|state| state.files.get(&asked.path).cloned());
        if asked.method == "PUT" || asked.method == "POST" {
            let refused = self.change(|state| state.refused.get(&asked.path).copied());
            let status = refused.unwrap_or(201);
            return head(status, "Retry-After: 0\r\n", 0).into_bytes();
        }
        let Some(file) = found else {
            return [head(404, "", 10).as_bytes(), b"not found\n"].concat();
        };
        let etag = format!(
            "\"{}-{}\"",
            file.bytes.len(),
            file.bytes.iter().map(|it| u64::from(*it)).sum::<u64>()
        );
        let headers = format!(
            "ETag: {etag}\r\nCache-Control: {}\r\n{}",
            file.control, file.headers
        );
        if asked.header("if-none-match") == Some(etag.as_str()) {
            return head(304, &headers, 0).into_bytes();
        }
        let range = asked
            .header("range")
            .and_then(|it| it.strip_prefix("bytes=")?.split_once('-'));
        if let (Some((first, last)), true) = (range, file.status == 200) {
            let first: usize = first.parse().unwrap();
            let last = last.parse().unwrap_or(file.bytes.len() - 1);
            if first >= file.bytes.len() {
                return head(416, &headers, 0).into_bytes();
            }
            let part = &file.bytes[first..=last];
            let headers = format!(
                "{headers}Content-Range: bytes {first}-{last}/{}\r\n",
                file.bytes.len()
            );
            return [head(206, &headers, part.len()).as_bytes(), part].concat();
        }
        let head = head(file.status, &headers, file.bytes.len());
        let body = if asked.method == "HEAD" {
            &[]
        } else {
            file.bytes.as_slice()
        };
        [head.as_bytes(), body].concat()
    }
}

fn head(status: u16, headers: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        headers: lines[1..].join("\n"),
        body: Vec::new(),
    };
    let length = asked
        .header("content-length")
        .map_or(0, |it| it.parse().unwrap());
    asked.body.resize(length, 0);
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Generous: a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
