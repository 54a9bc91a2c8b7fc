//! A simulated phone's client, for HTTP, TFTP and FTP: one request at a time, each written down.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use http::Response;
use ureq::Agent;
use ureq::tls::Certificate;
use ureq::tls::ClientCert;
use ureq::tls::PemItem;
use ureq::tls::PrivateKey;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;

use crate::boot::Arguments;
use crate::boot::flash::Flash;
use crate::boot::ftp;
use crate::boot::login::Login;
use crate::boot::login::basic;
use crate::boot::model::Maker;
use crate::boot::model::Phone;
use crate::boot::tftp;

/// One request and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) method: &'static str,
    pub(super) url: String,
    /// The path, for a table.
    pub(super) shown: String,
    /// The status; 0 where no answer came.
    pub(super) status: u16,
    /// Bytes of the body that were read.
    pub(super) bytes: u64,
    pub(super) milliseconds: u128,
    pub(super) note: String,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Fetched {
    /// 200, with the body.
    Body(Vec<u8>),
    /// 404: the phone goes on without.
    Missing,
    /// Any other status, a broken connection, no connection: the phone keeps what it has.
    Unreachable(String),
}

/// What came of looking at an image.
#[derive(Debug)]
pub(super) enum Image {
    /// Another version, fetched whole.
    New(String),
    /// The version that runs already; the rest was not fetched.
    Same,
    /// 404.
    Missing,
    /// The download broke off or failed: burning it would kill the phone, so it does not.
    Failed(String),
}

/// A client with a phone's credentials.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    login: Option<Login>,
    hosts: BTreeMap<String, String>,
    /// How many requests the power lasts for.
    power: Option<usize>,
    /// The User-Agent of the next requests.
    pub(super) user_agent: String,
    requests: Vec<Exchange>,
}

/// No configuration is larger.
const LARGEST: u64 = 16 << 20;

impl Client {
    pub(super) fn new(arguments: &Arguments, flash: &Flash, phone: &Phone) -> Result<Self, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .tls_config(tls(arguments)?)
            .build();
        let maker = (phone.maker == Maker::Polycom).then_some("PlcmSpIp");
        let user = flash.user.as_deref().or(maker);
        let password = flash.password.as_deref().or(maker);
        let hosts = arguments.resolve.iter().map(|pair| {
            let (host, address) = pair
                .split_once('=')
                .ok_or_else(|| format!("--resolve {pair}: give HOST=ADDRESS:PORT"))?;
            Ok((host.to_ascii_lowercase(), address.to_owned()))
        });
        Ok(Self {
            agent: Agent::new_with_config(config),
            login: user
                .zip(password)
                .map(|(user, password)| Login::new(user, password, arguments.auth)),
            hosts: hosts.collect::<Result<_, String>>()?,
            power: arguments.power_cut,
            user_agent: String::new(),
            requests: Vec::new(),
        })
    }

    /// The requests so far.
    pub(super) fn take_requests(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.requests)
    }

    /// Whether the power is gone.
    pub(super) fn is_out(&self) -> bool {
        self.power == Some(0)
    }

    /// Adds a word to the last request's row.
    pub(super) fn note(&mut self, note: &str) {
        if let Some(last) = self.requests.last_mut() {
            last.note = note.to_owned();
        }
    }

    /// Fetches a file whole.
    pub(super) fn get(&mut self, url: &str) -> Fetched {
        let mut body = Vec::new();
        let status = self.send("GET", url, None, |response| {
            let mut reader = response.body_mut().as_reader().take(LARGEST);
            reader
                .read_to_end(&mut body)
                .map(|read| read as u64)
                .map_err(|error| error.to_string())
        });
        match status {
            Ok(200) => Fetched::Body(body),
            Ok(404) => Fetched::Missing,
            Ok(status) => Fetched::Unreachable(format!("{url} answers {status}")),
            Err(problem) => Fetched::Unreachable(format!("{url}: {problem}")),
        }
    }

    /// Asks for the head of a file.
    pub(super) fn head(&mut self, url: &str) {
        // A phone takes any answer.
        let _ = self.send("HEAD", url, None, |_| Ok(0));
    }

    /// Uploads a file; a server that refuses it does not disturb the phone.
    pub(super) fn put(&mut self, url: &str, body: &[u8]) -> bool {
        matches!(self.send("PUT", url, Some(body), |_| Ok(0)), Ok(200..=299))
    }

    /// Looks at an image's beginning, and fetches the rest if its version is another than `running`.
    pub(super) fn image(&mut self, url: &str, running: &str) -> Image {
        let mut found = Image::Missing;
        let status = self.send("GET", url, None, |response| {
            let length: Option<u64> = response
                .headers()
                .get("content-length")
                .and_then(|value| value.to_str().ok()?.parse().ok());
            let etag = response
                .headers()
                .get("etag")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("?")
                .to_owned();
            let mut reader = response.body_mut().as_reader();
            let mut header = Vec::new();
            (&mut reader)
                .take(HEADER)
                .read_to_end(&mut header)
                .map_err(|error| error.to_string())?;
            let version = version_of(&header).unwrap_or(etag);
            let mut bytes = header.len() as u64;
            if version == running {
                found = Image::Same;
                return Ok(bytes);
            }
            bytes += std::io::copy(&mut reader, &mut std::io::sink())
                .map_err(|error| error.to_string())?;
            found = match length {
                Some(length) if length != bytes => {
                    Image::Failed(format!("{bytes} of {length} bytes"))
                }
                _ => Image::New(version),
            };
            Ok(bytes)
        });
        match status {
            Ok(200) => {
                match &found {
                    Image::Same => self.note("runs already; only the header was read"),
                    Image::New(version) => self.note(&format!("version {version}, burned")),
                    _ => {}
                }
                found
            }
            Ok(404) => Image::Missing,
            Ok(status) => Image::Failed(format!("{url} answers {status}")),
            Err(problem) => Image::Failed(format!("{url}: {problem}")),
        }
    }

    fn send(
        &mut self,
        method: &'static str,
        url: &str,
        body: Option<&[u8]>,
        mut read: impl FnMut(&mut Response<ureq::Body>) -> Result<u64, String>,
    ) -> Result<u16, String> {
        if self.is_out() {
            return Err("there is no power".to_owned());
        }
        let start = Instant::now();
        let mut answer = self.call(method, url, body);
        if let (Ok(response), Some(login)) = (&answer, &mut self.login)
            && response.status() == 401
            && login.hear(response.headers())
        {
            self.record(method, url, 401, 0, start, "asks for credentials");
            answer = self.call(method, url, body);
        }
        match answer {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let read = if status == 200 {
                    read(&mut response)
                } else {
                    Ok(0)
                };
                let bytes = read.clone().unwrap_or(0);
                self.record(method, url, status, bytes, start, "");
                read.map(|_| status)
            }
            Err(problem) => {
                self.record(method, url, 0, 0, start, &problem);
                Err(problem)
            }
        }
    }

    fn call(
        &mut self,
        method: &str,
        url: &str,
        body: Option<&[u8]>,
    ) -> Result<Response<ureq::Body>, String> {
        self.power = self.power.map(|left| left.saturating_sub(1));
        let (url, credentials) = without_credentials(url);
        let (url, host) = self.resolve(&url);
        if let Some(address) = url.strip_prefix("tftp://") {
            return tftp::call(method, address, body);
        }
        if let Some(address) = url.strip_prefix("ftp://") {
            let own = || self.login.as_ref().map(Login::pair);
            let login = credentials.or_else(own);
            let login = login.unwrap_or_else(|| "anonymous:".to_owned());
            return ftp::call(method, address, &login, body);
        }
        let mut request = http::Request::builder().method(method).uri(&url);
        request = request.header("user-agent", &self.user_agent);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let authorization = match (credentials, &mut self.login) {
            (Some(credentials), _) => Some(basic(&credentials)),
            (None, Some(login)) => login.authorization(method, target(&url)),
            (None, None) => None,
        };
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = match body {
            Some(body) => request.body(body).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        answer
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }

    /// What a name server would say of the host: the address to connect to, and the host to ask for.
    fn resolve(&self, url: &str) -> (String, Option<String>) {
        let Some((scheme, rest)) = url.split_once("://") else {
            return (url.to_owned(), None);
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let name = host
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match self.hosts.get(&name) {
            Some(address) => (
                format!("{scheme}://{address}/{path}"),
                Some(host.to_owned()),
            ),
            None => (url.to_owned(), None),
        }
    }

    fn record(
        &mut self,
        method: &'static str,
        url: &str,
        status: u16,
        bytes: u64,
        start: Instant,
        note: &str,
    ) {
        let (url, _) = without_credentials(url);
        let path = url
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| rest.split_at(at).1));
        let shown = path.unwrap_or(&url).to_owned();
        let milliseconds = start.elapsed().as_millis();
        self.requests.push(Exchange {
            method,
            url,
            shown,
            status,
            bytes,
            milliseconds,
            note: note.to_owned(),
        });
    }
}

/// What a phone reads of an image before it decides.
const HEADER: u64 = 4096;

/// The version in an image's first line. Ours are generated and say `… version=VERSION`.
fn version_of(header: &[u8]) -> Option<String> {
    let line = header.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_once("version=")
        .map(|(_, version)| version.trim().to_owned())
}

/// What of an address stands in the request line.
fn target(url: &str) -> &str {
    let path = |rest: &str| rest.find('/').map(|at| url.len() - rest.len() + at);
    let start = url.split_once("://").and_then(|(_, rest)| path(rest));
    start.and_then(|at| url.get(at..)).unwrap_or("/")
}

/// `user:password@` comes out of an address: it is sent as a header and never printed.
fn without_credentials(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((credentials, host)) => (
            format!("{scheme}://{host}{path}"),
            Some(credentials.to_owned()),
        ),
        None => (url.to_owned(), None),
    }
}

fn tls(arguments: &Arguments) -> Result<TlsConfig, String> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &arguments.ca {
        let certificate = Certificate::from_pem(&read(path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
    }
    if let Some(path) = &arguments.cert {
        let mut pem = read(path)?;
        if let Some(key) = &arguments.key {
            pem.extend(read(key)?);
        }
        let (chain, key) = identity(&pem).ok_or_else(|| {
            format!(
                "{}: holds no certificate with its private key in PEM (--key names another file for it)",
                path.display()
            )
        })?;
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(tls.build())
}

fn identity(pem: &[u8]) -> Option<(Vec<Certificate<'static>>, PrivateKey<'static>)> {
    let mut chain = Vec::new();
    let mut key = None;
    for item in ureq::tls::parse_pem(pem).filter_map(Result::ok) {
        match item {
            PemItem::Certificate(certificate) => chain.push(certificate),
            PemItem::PrivateKey(found) => key = Some(found),
            _ => {}
        }
    }
    key.filter(|_| !chain.is_empty()).map(|key| (chain, key))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::version_of;
    use super::without_credentials;

    #[test]
    fn credentials() {
        let split = without_credentials("http://a:b@h:1/x@y");
        assert_eq!(split, ("http://h:1/x@y".to_owned(), Some("a:b".to_owned())));
    }

    #[test]
    fn versions() {
        assert_eq!(
            version_of(b"X version=4.1.4\nrest").as_deref(),
            Some("4.1.4")
        );
        assert_eq!(version_of(b"\xff\xfe"), None);
    }
}
