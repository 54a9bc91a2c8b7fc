//! An HTTP client that sends whatever bytes a test wants sent.

#[path = "secret.rs"]
pub(crate) mod secret;

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use secret::with_keys;

/// A response, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

/// A connection, on which waiting for bytes that never come is an error and not a hang.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes, closes the sending side, and reads all responses to the last byte.
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // A server that refuses early may not read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    rest(stream)
}

/// Everything up to the end of the connection.
pub(crate) fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end; a timeout is not.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    bytes
}

/// Sends one request and reads its response to the byte: some servers take it for a departure when a
/// client closes its side.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8], method: &str) -> Answer {
    let mut stream = connect(address);
    // A server that refuses early may not read everything.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    let mut piece = vec![0; 1 << 16];
    while !is_whole(&received, method) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => received.extend_from_slice(&piece[..length]),
            Err(error) => panic!("after {} bytes: {error}", received.len()),
        }
    }
    only(&received, method)
}

/// Whether bytes are a response to the last byte of its Content-Length.
fn is_whole(bytes: &[u8], method: &str) -> bool {
    let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let bodiless = method == "HEAD" || head[9..].starts_with("304");
    let answer = Answer {
        status: 0,
        head,
        body: Vec::new(),
    };
    let length = answer.header("content-length").filter(|_| !bodiless);
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    bytes.len() >= end + 4 + length
}

/// One request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, more: &str) -> Answer {
    let target = with_keys(target);
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    exchange(address, request.as_bytes(), method)
}

/// An upload.
pub(crate) fn put(address: SocketAddr, target: &str, more: &str, body: &[u8]) -> Answer {
    let (target, length) = (with_keys(target), body.len());
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    exchange(address, &[head.as_bytes(), body].concat(), "PUT")
}

/// The one response there is.
pub(crate) fn only(bytes: &[u8], method: &str) -> Answer {
    let (answer, rest) = split(bytes, method);
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    answer
}

/// The first response, and what follows it.
pub(crate) fn split<'a>(bytes: &'a [u8], method: &str) -> (Answer, &'a [u8]) {
    let end = bytes.windows(4).position(|at| at == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
    let (head, rest) = bytes.split_at(end + 4);
    let mut answer = Answer {
        status: 0,
        head: String::from_utf8(head.to_vec()).unwrap(),
        body: Vec::new(),
    };
    answer.status = answer.head[9..12].parse().unwrap();
    let bodiless = method == "HEAD" || answer.status == 304;
    let length = answer.header("content-length").filter(|_| !bodiless);
    let length = length.map_or(0, |length| length.parse().unwrap());
    let (body, rest) = rest.split_at(rest.len().min(length));
    assert_eq!(body.len(), length, "a body that was cut");
    answer.body = body.to_vec();
    (answer, rest)
}

const PATIENCE: Duration = Duration::from_secs(20);
