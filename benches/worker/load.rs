//! A client that costs little: requests over kept connections, bodies read and dropped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Much longer than fifty images take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A response, its body included.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Names in lower case, sorted.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, if it was asked for.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, empty where there is none.
    pub(crate) fn header(&self, wanted: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.body.split(|byte| *byte == b'\n');
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

/// What is asked of a server, on each connection again and again.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The request as it is sent.
    pub(crate) request: String,
    /// The only status that is right.
    pub(crate) status: u16,
}

/// The head of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let agent = "FileTransport PolycomVVX-VVX_400-UA/5.9.7.4477";
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {agent}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// Asks once.
pub(crate) fn ask(runtime: &Runtime, address: SocketAddr, request: &str) -> io::Result<Answer> {
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        let mut body = Vec::new();
        let mut answer = connection.exchange(request, Some(&mut body)).await?;
        answer.body = body;
        Ok(answer)
    })
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// Requests answered.
    pub(crate) requests: u32,
    /// How long that took.
    pub(crate) time: Duration,
}

impl Loaded {
    /// Seconds for a request, whatever was under way at once.
    pub(crate) fn seconds_each(self) -> f64 {
        self.time.as_secs_f64() / f64::from(self.requests)
    }
}

/// Loads a server over so many connections for so long: each asks once at least, and what is under way
/// at the end is waited for. Connecting is not counted. `None` if the server stopped answering.
pub(crate) fn load(
    runtime: &Runtime,
    load: &Load,
    connections: u32,
    time: Duration,
) -> Option<Loaded> {
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(load.address).await.unwrap());
        }
        let start = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .map(|connection| tokio::spawn(go_on(connection, load.clone(), start, time)))
            .collect();
        let all = async {
            let mut requests = 0;
            for task in tasks {
                requests += task.await.unwrap();
            }
            let time = start.elapsed();
            Loaded { requests, time }
        };
        tokio::time::timeout(PATIENCE, all).await.ok()
    })
}

async fn go_on(mut connection: Connection, load: Load, start: Instant, time: Duration) -> u32 {
    let mut requests = 0;
    while requests == 0 || start.elapsed() < time {
        let answer = connection.exchange(&load.request, None).await.unwrap();
        assert_eq!(answer.status, load.status, "{}", load.request);
        requests += 1;
    }
    requests
}

/// A kept connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = vec![0; 256 << 10];
        Ok(Self { stream, buffer })
    }

    /// Asks, and reads the response to its end; its bytes go into `sink` if there is one.
    async fn exchange(
        &mut self,
        request: &str,
        mut sink: Option<&mut Vec<u8>>,
    ) -> io::Result<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        let (end, mut filled) = self.head().await?;
        let head = std::str::from_utf8(&self.buffer[..end]).map_err(io::Error::other)?;
        let answer = parse(head)?;
        let mut left = body_length(request, &answer)?;
        let mut start = end;
        loop {
            let here = (filled - start).min(usize::try_from(left).unwrap_or(usize::MAX));
            if let Some(sink) = &mut sink {
                sink.extend_from_slice(&self.buffer[start..start + here]);
            }
            left -= here as u64;
            if left == 0 {
                return Ok(answer);
            }
            start = 0;
            filled = self.read(0).await?;
        }
    }

    /// Reads to the empty line; where that ends, and how far the buffer is filled.
    async fn head(&mut self) -> io::Result<(usize, usize)> {
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            let read = &self.buffer[..filled];
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok((at + 4, filled));
            }
        }
    }

    async fn read(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[from..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

fn parse(head: &str) -> io::Result<Answer> {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status line"))?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    Ok(Answer {
        status,
        headers,
        body: Vec::new(),
    })
}

/// How many bytes follow the head. A server that does not say is not what phones need.
fn body_length(request: &str, answer: &Answer) -> io::Result<u64> {
    if answer.status == 304 || request.starts_with("HEAD") {
        return Ok(0);
    }
    let length = answer.header("content-length").parse();
    length.map_err(|_| io::Error::other(format!("no Content-Length: {answer:?}")))
}
