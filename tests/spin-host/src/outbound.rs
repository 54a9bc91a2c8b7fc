//! Requests that a component sends: plain HTTP/1.1, a connection each, to allowed hosts only.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use http::Uri;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::RequestOptions;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::WasiHttpHooks;
use wasmtime_wasi_http::io::TokioIo;

use crate::instance::Shared;

/// Sends an instance's requests.
pub(crate) struct Outbound {
    pub(crate) shared: Arc<Shared>,
}

/// A pattern of `allowed_outbound_hosts`: scheme, host and port, each of which may be `*`; a host may begin
/// with `*.`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AllowedHost {
    scheme: String,
    host: String,
    port: Option<String>,
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let allowed = self.shared.allowed.iter();
        let allowed = allowed.clone().any(|host| host.allows(request.uri()));
        let method = request.method().to_string();
        self.shared.counters.count(|counts| match allowed {
            true => *counts.outbound.entry(method).or_default() += 1,
            false => counts.refused += 1,
        });
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            send(request, options).await
        })
    }
}

impl AllowedHost {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.to_owned())),
            None => (rest, None),
        };
        Some(Self {
            scheme: scheme.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    fn allows(&self, uri: &Uri) -> bool {
        let scheme = uri.scheme_str().unwrap_or("https");
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let usual = if scheme == "http" { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(usual);
        let port_fits = match self.port.as_deref() {
            Some("*") => true,
            Some(allowed) => *allowed == port.to_string(),
            None => port == usual,
        };
        let host_fits = match self.host.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == self.host,
        };
        port_fits && host_fits && (self.scheme == "*" || self.scheme == scheme)
    }
}

async fn send(
    mut request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Sent, Error> {
    let first_byte = options.and_then(|options| options.first_byte_timeout);
    let stream = connect(request.uri()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // To a server that is no proxy a request names the path only; the Host header is there already.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    let mut connection = Box::pin(connection);
    let response = async {
        let sent = sender.send_request(request);
        tokio::pin!(sent);
        tokio::select! {
            biased;
            response = &mut sent => Ok(response?),
            ended = &mut connection => {
                ended?;
                Ok(sent.await?)
            }
        }
    };
    let response: Result<_, Error> = match first_byte {
        Some(limit) => timeout(limit, response)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?,
        None => response.await,
    };
    let response = response?.map(|body| body.map_err(Error::from).boxed_unsync());
    // The caller polls it for as long as the response's or the request's body is on its way.
    let driver = async move { Ok(connection.await?) };
    Ok((response, Box::new(driver)))
}

async fn connect(uri: &Uri) -> Result<TcpStream, Error> {
    if uri.scheme_str() != Some("http") {
        let reason = "the test host sends plain HTTP only".to_owned();
        return Err(Error::InternalError(Some(reason)));
    }
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connected = TcpStream::connect((host, uri.port_u16().unwrap_or(80)));
    let stream = timeout(CONNECT, connected)
        .await
        .map_err(|_| Error::ConnectionTimeout)?
        .map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    Ok(stream)
}

const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_allowed_as_spin_allows_them() {
        let cases = [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/a", true),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9001/", false),
            ("http://127.0.0.1:9000", "https://127.0.0.1:9000/", false),
            ("https://s3.example", "https://S3.example/a", true),
            ("https://s3.example", "https://s3.example:8443/", false),
            ("https://*.example", "https://s3.example/", true),
            ("https://*.example", "https://example/", false),
            ("*://*:*", "http://anything:1/", true),
        ];
        for (pattern, uri, expected) in cases {
            let allowed = AllowedHost::parse(pattern).unwrap();
            assert_eq!(
                allowed.allows(&uri.parse().unwrap()),
                expected,
                "{pattern} {uri}"
            );
        }
        assert_eq!(AllowedHost::parse("127.0.0.1"), None);
    }
}
