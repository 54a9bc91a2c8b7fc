//! HTTP/1.1 (RFC 9112) to a running server, for the operator's commands: connections are used over again, several
//! requests go at once, TLS is rustls, and files are sent as they are read.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use http::Method;
use http::Response;
use http::header;
use http::request::Builder;
use ureq::Agent;
use ureq::SendBody;
use ureq::tls::PemItem;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;

use crate::fleet::server::ABSENT;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Answer;
use crate::fleet::server::Lost;
use crate::fleet::server::Request;
use crate::fleet::server::Sent;
use crate::fleet::server::Server;

/// A running server.
#[derive(Debug)]
pub struct Remote {
    agent: Agent,
    /// Its address, without a slash at its end.
    url: String,
    /// `Bearer` and what `handset token` made.
    authorization: String,
}

impl Remote {
    /// Speaks to the server of this address, of which nothing is asked yet. `authorities` is a PEM file with whom to
    /// trust instead of those that everybody trusts.
    pub fn new(url: &str, token: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(AT_ONCE)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_per_write(Some(PATIENCE));
        let config = match authorities {
            Some(path) => config.tls_config(trusting(path)?),
            None => config,
        };
        Ok(Self {
            agent: Agent::new_with_config(config.build()),
            url: url.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {token}"),
        })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An answer that does not end by itself, to be read as it comes; the answer itself if it is no such.
    pub fn stream(&self, target: &str) -> Result<Result<Box<dyn Read>, Answer>, Lost> {
        let request = Request::new(Method::GET, target);
        let response = self.exchange(&request)?;
        match response.status().is_success() {
            true => Ok(Ok(Box::new(response.into_body().into_reader()))),
            false => self.whole(response).map(Err),
        }
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response<ureq::Body>, Lost> {
        let head = self.head(request);
        let answer = match &request.body {
            Sent::Nothing if matches!(request.method, Method::POST | Method::PUT) => {
                head.body(Vec::new()).map(|request| self.agent.run(request))
            }
            Sent::Nothing => head.body(()).map(|request| self.agent.run(request)),
            Sent::Json(bytes) => {
                let head = head.header(header::CONTENT_TYPE, "application/json");
                head.body(&bytes[..]).map(|request| self.agent.run(request))
            }
            Sent::File {
                path,
                length,
                moved,
            } => {
                let file = File::open(path);
                let file = file.map_err(|error| Lost(format!("{}: {error}", path.display())))?;
                let mut moving = Moving {
                    file: file.take(*length),
                    position: 0,
                    moved,
                };
                let head = head.header(header::CONTENT_LENGTH, *length);
                head.body(SendBody::from_reader(&mut moving))
                    .map(|request| self.agent.run(request))
            }
        };
        let answer = answer.map_err(|error| self.lost(error))?;
        answer.map_err(|error| self.lost(error))
    }

    fn head(&self, request: &Request<'_>) -> Builder {
        let uri = format!("{}/-/v1/{}", self.url, request.target);
        let head = http::Request::builder()
            .method(request.method.clone())
            .uri(uri)
            .header(header::AUTHORIZATION, &self.authorization);
        match request.condition {
            Some(ABSENT) => head.header(header::IF_NONE_MATCH, "*"),
            Some(etag) => head.header(header::IF_MATCH, etag),
            None => head,
        }
    }

    fn whole(&self, mut response: Response<ureq::Body>) -> Result<Answer, Lost> {
        let body = response.body_mut().with_config().limit(LARGEST);
        let body = body.read_to_vec().map_err(|error| self.lost(error))?;
        Ok(Answer {
            body,
            ..outline(&response)
        })
    }

    fn lost(&self, error: impl std::fmt::Display) -> Lost {
        Lost(format!("{}: {error}", self.url))
    }
}

impl Server for Remote {
    fn send(&self, request: &Request<'_>) -> Result<Answer, Lost> {
        self.whole(self.exchange(request)?)
    }

    fn receive(&self, request: &Request<'_>, out: &mut dyn Write) -> Result<Answer, Lost> {
        let response = self.exchange(request)?;
        if !response.status().is_success() {
            return self.whole(response);
        }
        let outline = outline(&response);
        let mut body = response.into_body().into_reader();
        io::copy(&mut body, out).map_err(|error| self.lost(error))?;
        Ok(outline)
    }

    fn pause(&self, milliseconds: u64) {
        thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// A file that tells how much of it has gone.
struct Moving<'m> {
    file: io::Take<File>,
    position: u64,
    moved: &'m (dyn Fn(u64) + Sync),
}

impl Read for Moving<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position += u64::try_from(read).unwrap_or_default();
        (self.moved)(self.position);
        Ok(read)
    }
}

fn outline(response: &Response<ureq::Body>) -> Answer {
    let etag = response.headers().get(header::ETAG);
    Answer {
        status: response.status().as_u16(),
        etag: etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
        body: Vec::new(),
    }
}

fn trusting(path: &Path) -> Result<TlsConfig, String> {
    let failed = |problem: String| format!("{}: {problem}", path.display());
    let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(root) = item.map_err(|error| failed(error.to_string()))? {
            roots.push(root);
        }
    }
    if roots.is_empty() {
        return Err(failed("no certificate in PEM".to_owned()));
    }
    let roots = RootCerts::new_with_certs(&roots);
    Ok(TlsConfig::builder().root_certs(roots).build())
}

/// An answer that is kept in memory has at most so many bytes: a release with all its templates is the largest.
const LARGEST: u64 = 64 << 20;
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may move: a server may have to bring an image to a store far away before it answers.
const PATIENCE: Duration = Duration::from_secs(120);
