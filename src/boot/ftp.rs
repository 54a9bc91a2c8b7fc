//! A simulated phone's FTP (RFC 959): a session for each file, its outcomes in HTTP's words.
//!
//! As a loader does, it logs in, asks for bytes as they are and for a passive connection, and reads or writes one file.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use http::Response;
use ureq::Body;

use crate::boot::tftp::find;

/// Reads or writes the file of an address after its `ftp://`: `HOST[:PORT]/NAME`; the login is `USER:PASSWORD`.
pub(super) fn call(
    method: &str,
    address: &str,
    login: &str,
    body: Option<&[u8]>,
) -> Result<Response<Body>, String> {
    let (host, name) = address.split_once('/').unwrap_or((address, ""));
    let (status, bytes) = match Session::open(find(host, 21)?, login) {
        Ok(mut session) => match transfer(&mut session, method, name, body) {
            Ok(done) => done,
            Err(problem) => (problem.status()?, Vec::new()),
        },
        Err(problem) => (problem.status()?, Vec::new()),
    };
    let response = Response::builder().status(status);
    let response = response.body(Body::builder().data(bytes));
    response.map_err(|error| error.to_string())
}

/// What went wrong.
#[derive(Debug)]
enum Problem {
    /// The server said so.
    Reply(u16, String),
    /// The connection.
    Broken(String),
}

/// A control connection.
struct Session {
    peer: SocketAddr,
    control: BufReader<TcpStream>,
}

fn transfer(
    session: &mut Session,
    method: &str,
    name: &str,
    body: Option<&[u8]>,
) -> Result<(u16, Vec<u8>), Problem> {
    session.ask("TYPE I", 200)?;
    if method == "HEAD" {
        session.ask(&format!("SIZE {name}"), 213)?;
        return Ok((200, Vec::new()));
    }
    let mut data = session.passive()?;
    let mut bytes = Vec::new();
    match body {
        Some(body) => {
            session.ask(&format!("STOR {name}"), 150)?;
            data.write_all(body)?;
        }
        None => {
            session.ask(&format!("RETR {name}"), 150)?;
            (&mut data).take(LARGEST).read_to_end(&mut bytes)?;
        }
    }
    drop(data);
    session.expect(226)?;
    // Whoever has its file does not wait for a farewell.
    let _ = session.ask("QUIT", 221);
    Ok((if body.is_some() { 201 } else { 200 }, bytes))
}

impl Session {
    fn open(peer: SocketAddr, login: &str) -> Result<Self, Problem> {
        let stream = connect(peer)?;
        let control = BufReader::new(stream);
        let mut session = Self { peer, control };
        session.expect(220)?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        match session.ask(&format!("USER {user}"), 331) {
            // No password is asked for.
            Err(Problem::Reply(230, _)) => {}
            asked => {
                asked?;
                session.ask(&format!("PASS {password}"), 230)?;
            }
        }
        Ok(session)
    }

    /// A data connection (RFC 2428 section 3).
    fn passive(&mut self) -> Result<TcpStream, Problem> {
        let text = self.ask("EPSV", 229)?;
        let port = text.split("(|||").nth(1);
        let port = port.and_then(|rest| rest.split('|').next()?.parse().ok());
        let port = port.ok_or_else(|| Problem::Broken(format!("no port in {text:?}")))?;
        let mut peer = self.peer;
        peer.set_port(port);
        connect(peer)
    }

    fn ask(&mut self, command: &str, expected: u16) -> Result<String, Problem> {
        // A name from a hostile file must not bring a command of its own.
        let line = command.split(['\r', '\n']).next().unwrap_or_default();
        let line = format!("{line}\r\n");
        self.control.get_mut().write_all(line.as_bytes())?;
        self.expect(expected)
    }

    /// Reads a reply, of one line or many (RFC 959 section 4.2).
    fn expect(&mut self, expected: u16) -> Result<String, Problem> {
        loop {
            let mut line = String::new();
            (&mut self.control).take(LONGEST).read_line(&mut line)?;
            if line.is_empty() {
                return Err(Problem::Broken("the server hung up".to_owned()));
            }
            let (code, text) = line.split_at_checked(3).unwrap_or_default();
            let Some(code) = code.parse().ok().filter(|_| text.starts_with(' ')) else {
                continue;
            };
            let text = text.trim().to_owned();
            return match code {
                code if code == expected => Ok(text),
                code => Err(Problem::Reply(code, text)),
            };
        }
    }
}

impl Problem {
    /// The status that says the same, where there is one.
    fn status(self) -> Result<u16, String> {
        match self {
            Self::Reply(550, _) => Ok(404),
            Self::Reply(530, _) => Ok(401),
            Self::Reply(553, _) => Ok(403),
            Self::Reply(452, _) => Ok(507),
            Self::Reply(code, text) => Err(format!("the server replied {code} {text}")),
            Self::Broken(problem) => Err(problem),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn connect(peer: SocketAddr) -> Result<TcpStream, Problem> {
    let stream = TcpStream::connect_timeout(&peer, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// No image is larger.
const LARGEST: u64 = 256 << 20;
/// No line of a reply is longer.
const LONGEST: u64 = 4096;
const PATIENCE: Duration = Duration::from_secs(30);
