//! How the relay is, over HTTP on this machine only: `/health` for who starts it again, `/metrics` in Prometheus' text format 0.0.4.
//!
//! What it deliberately does not do: no name of a phone or a file; who may ask is whoever is on this machine.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time;

use crate::relay::carrier::Carrier;
use crate::relay::metrics::Ending;
use crate::relay::metrics::Metrics;
use crate::relay::metrics::Protocol;
use crate::relay::upstream::Health;
use crate::relay::upstream::Trouble;

/// A listening socket, and what it tells of.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
    tftp: Option<SocketAddr>,
}

impl Monitor {
    /// Begins to listen; `tftp` is where the relay listens for that, whose lost datagrams are told of.
    pub async fn bind(address: SocketAddr, tftp: Option<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tftp,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped. Must run within a `LocalSet`.
    pub async fn run(self, carrier: Carrier) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn_local(serve(stream, carrier.clone(), self.tftp));
                    }
                    // Out of descriptors, most likely: others are given back by and by.
                    Err(_) => time::sleep(PAUSE).await,
                },
            }
        }
    }
}

async fn serve(stream: TcpStream, carrier: Carrier, tftp: Option<SocketAddr>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.uri().path(), &carrier, tftp);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    // Whoever asks for a few lines and does not read them is not waited for.
    let _ = time::timeout(PATIENCE, connection).await;
}

fn answer(path: &str, carrier: &Carrier, tftp: Option<SocketAddr>) -> Response<String> {
    let (status, text) = match path {
        "/health" => (StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => (
            StatusCode::OK,
            page(carrier.metrics(), carrier.health(), tftp),
        ),
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// All that is counted.
fn page(metrics: &Metrics, health: &Health, tftp: Option<SocketAddr>) -> String {
    let mut page = String::new();
    transfers(&mut page, metrics);
    counters(&mut page, metrics);
    gauges(&mut page, metrics);
    upstream(&mut page, health);
    if let Some(dropped) = tftp.and_then(drops) {
        let help = "Datagrams that found no room in the TFTP socket";
        row(&mut page, "tftp_drops_total", "counter", help, dropped);
    }
    page
}

fn counters(page: &mut String, metrics: &Metrics) {
    for (name, help, counter) in [
        (
            "cache_hits",
            "Files from the cache that the server said are the newest",
            &metrics.cache_hits,
        ),
        (
            "cache_misses",
            "Files that came from the server",
            &metrics.cache_misses,
        ),
        (
            "cache_damaged",
            "Files of the cache that were damaged",
            &metrics.damaged,
        ),
        (
            "stale_serves",
            "Files from the cache while the server could not be asked",
            &metrics.stale_serves,
        ),
        (
            "negative_hits",
            "Missing files that the server was not asked for again",
            &metrics.negative_hits,
        ),
        (
            "pnp_answers",
            "Phones that asked by SIP multicast and were told",
            &metrics.pnp_answers,
        ),
        (
            "refusals",
            "Requests for other phones' files",
            &metrics.refusals,
        ),
        (
            "uploads_delivered",
            "Uploads that the server took",
            &metrics.delivered,
        ),
        (
            "uploads_rejected",
            "Uploads that the server will never take",
            &metrics.rejected,
        ),
    ] {
        row(
            page,
            &format!("{name}_total"),
            "counter",
            help,
            counter.total(),
        );
    }
}

fn gauges(page: &mut String, metrics: &Metrics) {
    for (name, help, gauge) in [
        ("cache_bytes", "Bytes of the cache", &metrics.cache_bytes),
        (
            "spool_depth",
            "Uploads that wait for the server",
            &metrics.spool_depth,
        ),
        ("spool_bytes", "Their bytes", &metrics.spool_bytes),
        (
            "spool_age_seconds",
            "The age of the oldest",
            &metrics.spool_age,
        ),
    ] {
        row(page, name, "gauge", help, gauge.value());
    }
}

/// Whether the server can be reached. Before it was asked, nobody knows since when.
fn upstream(page: &mut String, health: &Health) {
    let state = health.state();
    let reached = state.is_some_and(|it| it.reached);
    let help = "Whether the last request to the server was answered";
    row(page, "upstream_reached", "gauge", help, reached.into());
    if let Some(state) = state {
        let help = "Since when that is so, in seconds since 1970";
        let name = "upstream_reached_since_timestamp_seconds";
        row(page, name, "gauge", help, state.since);
    }
    let name = "upstream_errors_total";
    head(
        page,
        name,
        "counter",
        "Requests that came to nothing, by kind",
    );
    for kind in Trouble::ALL {
        let count = health.errors(kind);
        labelled(page, name, &[("kind", kind.name())], count);
    }
    if let Some((kind, at)) = health.last_error() {
        let name = "upstream_last_error_timestamp_seconds";
        head(
            page,
            name,
            "gauge",
            "When the last of them was, in seconds since 1970",
        );
        labelled(page, name, &[("kind", kind.name())], at);
    }
}

fn transfers(page: &mut String, metrics: &Metrics) {
    let name = "transfers_total";
    head(
        page,
        name,
        "counter",
        "Transfers that ended, by protocol and result",
    );
    for protocol in Protocol::ALL {
        for ending in Ending::ALL {
            let labels = [("protocol", protocol.name()), ("result", ending.name())];
            labelled(page, name, &labels, metrics.transfers(protocol, ending));
        }
    }
    let name = "bytes_total";
    head(page, name, "counter", "Bytes of files that were moved");
    for protocol in Protocol::ALL {
        let labels = [("protocol", protocol.name())];
        labelled(page, name, &labels, metrics.bytes(protocol));
    }
}

fn row(page: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(page, name, kind, help);
    labelled(page, name, &[], value);
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    // A text takes all that is written to it.
    let _ = writeln!(
        page,
        "# HELP handset_relay_{name} {help}\n# TYPE handset_relay_{name} {kind}"
    );
}

fn labelled(page: &mut String, name: &str, labels: &[(&str, &str)], value: u64) {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let labels = match labels.as_slice() {
        [] => String::new(),
        labels => format!("{{{}}}", labels.join(",")),
    };
    let _ = writeln!(page, "handset_relay_{name}{labels} {value}");
}

/// Datagrams that the system threw away (proc(5): the last column); `None` where it does not say.
fn drops(tftp: SocketAddr) -> Option<u64> {
    let path = match tftp {
        SocketAddr::V4(_) => "/proc/net/udp",
        SocketAddr::V6(_) => "/proc/net/udp6",
    };
    dropped(&fs::read_to_string(path).ok()?, tftp.port())
}

fn dropped(table: &str, port: u16) -> Option<u64> {
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let ours = columns.nth(1)?.ends_with(&suffix);
        ours.then(|| columns.next_back()?.parse::<u64>().ok())?
    });
    rows.reduce(|sum, more| sum + more)
}

/// Whoever watches is few.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::dropped;
    use super::page;
    use crate::relay::metrics::Metrics;
    use crate::relay::upstream::Health;

    #[test]
    fn lost_datagrams() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 51: 00000000:0045 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n\
            \x20 52: 00000000:0046 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 1\n";
        assert_eq!(dropped(table, 69), Some(17));
        assert_eq!(dropped(table, 71), None);
        assert_eq!(dropped("", 69), None);
    }

    /// Each line is a comment or a name and a number; each name has its kind before it.
    #[test]
    fn the_page_is_well_formed() {
        let page = page(&Metrics::default(), &Health::default(), None);
        let mut known = String::new();
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# TYPE ") {
                comment.split(' ').next().unwrap().clone_into(&mut known);
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next().unwrap(), known);
                assert!(value.parse::<u64>().is_ok(), "{line}");
            }
        }
    }
}
