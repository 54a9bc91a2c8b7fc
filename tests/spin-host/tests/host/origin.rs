//! A server that the component sends requests to, and that says what it got.

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
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

/// `/object/N` is N bytes, `/cut/N` is half of them and the connection's end, `/held/N` waits until it is
/// released; a PUT is read.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    received: Receiver<Received>,
    sent: Receiver<bool>,
    gate: Arc<Gate>,
}

/// What held responses wait at.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

/// A request.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Received {
    /// In lower case, sorted.
    pub(crate) head: Vec<String>,
    pub(crate) length: u64,
    pub(crate) whole: bool,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (receiving, received) = mpsc::channel();
        let (sending, sent) = mpsc::channel();
        let gate = Arc::<Gate>::default();
        let entrance = gate.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (receiving, sending) = (receiving.clone(), sending.clone());
                let entrance = entrance.clone();
                thread::spawn(move || {
                    let answered = answer(stream, &receiving, &entrance);
                    sending.send(answered.is_some())
                });
            }
        });
        Self {
            address,
            received,
            sent,
            gate,
        }
    }

    /// Lets held responses go.
    pub(crate) fn release(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }

    /// The next request, once its body is over.
    pub(crate) fn next(&self) -> Received {
        self.received.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Whether the next response, once it is over, was taken to its end.
    pub(crate) fn next_was_taken(&self) -> bool {
        self.sent.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Whether there was no further request.
    pub(crate) fn is_unasked(&self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// The byte at a place of an object.
pub(crate) fn byte(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

/// An object.
pub(crate) fn object(length: usize) -> Vec<u8> {
    (0..length).map(byte).collect()
}

fn answer(stream: TcpStream, sender: &Sender<Received>, gate: &Gate) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head: Vec<String> = (&mut stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| line.to_ascii_lowercase())
        .collect();
    let request = head.first()?.clone();
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let length: u64 = length.unwrap_or_default();
    let read = std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink());
    head.sort();
    let whole = read.as_ref().is_ok_and(|read| *read == length);
    sender
        .send(Received {
            head,
            length,
            whole,
        })
        .ok()?;
    let path = request.split(' ').nth(1)?.trim_start_matches('/');
    let (kind, length) = path.split_once('/')?;
    if kind == "held" {
        let open = gate.open.lock().unwrap();
        drop(gate.opened.wait_while(open, |open| !*open).unwrap());
    }
    respond(stream.get_mut(), kind, length.parse().ok()?)
}

fn respond(stream: &mut TcpStream, kind: &str, length: usize) -> Option<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"v1\"\r\nConnection: keep-alive\r\n\
         Keep-Alive: timeout=5\r\nx-request-id: 1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let sent = if kind == "cut" { length / 2 } else { length };
    stream.write_all(object(sent).as_slice()).ok()
}
