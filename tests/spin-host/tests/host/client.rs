//! An HTTP/1.1 client that shows what is on the wire.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

/// A connection to the host.
pub(crate) struct Connection(BufReader<TcpStream>);

/// A response's head.
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

/// A response.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// The body did not end before its time.
    pub(crate) whole: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// A request and its response; a body of `None` is one of no known length, that is, of no bytes in no
    /// chunks.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
        self.send_head(method, path, body.map(<[u8]>::len));
        self.send(body.unwrap_or(b"0\r\n\r\n"));
        let head = self.head();
        let (body, whole) = match method {
            "HEAD" => (Vec::new(), true),
            _ => self.body(&head),
        };
        Answer { head, body, whole }
    }

    pub(crate) fn send_head(&mut self, method: &str, path: &str, length: Option<usize>) {
        self.send_head_with(method, path, length, "");
    }

    /// A request's head with a further header, if that is not empty.
    pub(crate) fn send_head_with(
        &mut self,
        method: &str,
        path: &str,
        length: Option<usize>,
        further: &str,
    ) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: phones.example\r\n");
        head += &match length {
            Some(length) => format!("Content-Length: {length}\r\n"),
            None => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        if !further.is_empty() {
            head += &format!("{further}\r\n");
        }
        self.send(format!("{head}\r\n").as_bytes());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(crate) fn head(&mut self) -> Head {
        let status = line(&mut self.0);
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = line(&mut self.0);
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Head {
            status: status.unwrap_or_default(),
            headers,
        }
    }

    /// A body, and whether it is whole.
    pub(crate) fn body(&mut self, head: &Head) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        if let Some(length) = head.header("content-length") {
            let length = length.parse().unwrap();
            let _ = (&mut self.0).take(length).read_to_end(&mut body);
            let whole = body.len() as u64 == length;
            return (body, whole);
        }
        if head.header("transfer-encoding").is_none() {
            return (body, true);
        }
        loop {
            let Ok(size) = u64::from_str_radix(&line(&mut self.0), 16) else {
                return (body, false);
            };
            let _ = (&mut self.0).take(size).read_to_end(&mut body);
            line(&mut self.0);
            if size == 0 {
                return (body, true);
            }
        }
    }
}

impl Head {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(name, _)| name == wanted)?;
        Some(&found.1)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A line without its end; an empty one if the connection ends.
fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    let _ = stream.read_line(&mut line);
    line.trim_end().to_owned()
}
