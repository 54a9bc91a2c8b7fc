//! A server that answers from a table, counts what it is asked, and can be away.

use std::collections::BTreeMap;
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
        if stream.get_mut().write_all(&answer).is_err() {
            self.change(|state| state.broken += 1);
        }
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
