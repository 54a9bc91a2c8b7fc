//! `handset-relay`: stands in a branch network between phones that speak TFTP, FTP or plain HTTP and a server that speaks HTTPS.
//!
//! Exit codes: 0 ended by a signal, 2 could not run.
#![forbid(unsafe_code)]

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::future::pending;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use handset::platform::native::log::Log;
use handset::relay::carrier::Carrier;
use handset::relay::carrier::Limits;
use handset::relay::carrier::Parts;
#[cfg(feature = "ftp")]
use handset::relay::ftp;
use handset::relay::http::Listener;
use handset::relay::identity::Policy;
use handset::relay::journal::Journal;
use handset::relay::neighbours::Neighbours;
use handset::relay::tftp::Ports;
use handset::relay::tftp::Server;
use handset::relay::tftp::Settings;
use handset::relay::tftp::remote::Remote;
use handset::relay::upstream::Base;
use handset::relay::upstream::Trust;
use handset::relay::upstream::Upstream;
use http::HeaderValue;
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::LocalSet;

/// Serves TFTP, FTP and plain-HTTP phones the files of an HTTPS server
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address below which the files are; http:// only on this machine
    #[arg(long, value_name = "URL")]
    upstream: Base,
    /// PEM file with certificate authorities to trust instead of the public ones
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// PEM file with the relay's certificate, for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// What the site calls this relay, in its `relays`
    #[arg(long, value_name = "NAME", default_value = "relay", value_parser = name)]
    name: HeaderValue,
    /// Address to listen on for TFTP, or none; port 0 lets the system choose one
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:69", value_parser = listen)]
    tftp: Listen,
    /// Ports for transfers: any, single (the listening one), or FIRST-LAST
    #[arg(long, value_name = "PORTS", default_value = "any", value_parser = ports)]
    tftp_ports: Ports,
    /// Address to listen on for FTP
    #[cfg(feature = "ftp")]
    #[arg(long, value_name = "ADDRESS")]
    ftp: Option<SocketAddr>,
    /// Ports for passive data connections, FIRST-LAST [default: any]
    #[cfg(feature = "ftp")]
    #[arg(long, value_name = "PORTS", value_parser = range)]
    ftp_passive_ports: Option<RangeInclusive<u16>>,
    /// Connect to where a phone says, too (PORT): into networks that nobody else may reach, if the relay can
    #[cfg(feature = "ftp")]
    #[arg(long)]
    ftp_active: bool,
    /// Address to listen on for plain HTTP
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Whose files phones get: own-mac, any, or networks of phones that come through a router
    #[arg(long, value_name = "POLICY", default_value = "own-mac")]
    identity: Policy,
    /// File that says who is behind an address, before the system's tables: lines of ADDRESS MAC
    #[arg(long, value_name = "FILE")]
    neighbours: Option<PathBuf>,
    /// Directory for what is kept: the cache, and uploads until the server has them
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// Bytes that the cache may take
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30)]
    cache_bytes: u64,
    /// Bytes that waiting uploads may take
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    spool_bytes: u64,
}

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug)]
struct Listen(Option<SocketAddr>);

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("handset-relay: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&runtime, serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), String> {
    let journal = Journal::new(Log::to(io::stderr()));
    let _lock = arguments.state.as_deref().map(lock).transpose()?;
    let carrier = carrier(arguments, journal)?;
    let listeners = Listeners::bind(arguments).await?;
    // Whoever started the relay may have closed its standard output.
    for address in listeners.addresses() {
        let _ = writeln!(io::stdout(), "{address}");
    }
    tokio::select! {
        ended = listeners.run(&carrier) => ended.map_err(|error| error.to_string()),
        () = carrier.run() => Ok(()),
        stopped = stopped() => stopped.map_err(|error| error.to_string()),
    }
}

/// What the relay listens on.
struct Listeners {
    tftp: Option<Server>,
    #[cfg(feature = "ftp")]
    ftp: Option<ftp::Listener>,
    http: Option<Listener>,
}

impl Listeners {
    async fn bind(arguments: &Arguments) -> Result<Self, String> {
        let tftp = arguments.tftp.0.map(|address| tftp(arguments, address));
        let http = match arguments.http {
            None => None,
            Some(address) => Some(
                Listener::bind(address)
                    .await
                    .map_err(|error| deaf("http", address, &error))?,
            ),
        };
        Ok(Self {
            tftp: tftp.transpose()?,
            #[cfg(feature = "ftp")]
            ftp: bind_ftp(arguments)?,
            http,
        })
    }

    /// Where, in the order of the flags.
    fn addresses(&self) -> Vec<String> {
        let tftp = self.tftp.as_ref();
        let tftp = tftp.map(|it| format!("tftp://{}", it.address()));
        #[cfg(feature = "ftp")]
        let ftp = self
            .ftp
            .as_ref()
            .map(|it| format!("ftp://{}", it.address()));
        #[cfg(not(feature = "ftp"))]
        let ftp = None;
        let http = self.http.as_ref();
        let http = http.map(|it| format!("http://{}", it.address()));
        [tftp, ftp, http].into_iter().flatten().collect()
    }

    /// Serves until a listener fails for good.
    async fn run(self, carrier: &Carrier) -> io::Result<()> {
        let tftp = async {
            match self.tftp {
                Some(server) => server.run(Remote::new(carrier.clone())).await,
                None => pending().await,
            }
        };
        #[cfg(feature = "ftp")]
        let ftp = async {
            match self.ftp {
                Some(listener) => listener.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        #[cfg(not(feature = "ftp"))]
        let ftp = pending::<()>();
        let http = async {
            match self.http {
                Some(listener) => listener.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            ended = tftp => ended,
            () = ftp => Ok(()),
            () = http => Ok(()),
        }
    }
}

fn deaf(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error} (--{flag} takes another address)")
}

#[cfg(feature = "ftp")]
fn bind_ftp(arguments: &Arguments) -> Result<Option<ftp::Listener>, String> {
    let Some(address) = arguments.ftp else {
        return Ok(None);
    };
    let settings = ftp::Settings {
        address,
        passive_ports: arguments.ftp_passive_ports.clone(),
        active: arguments.ftp_active,
    };
    let listener = ftp::Listener::bind(settings);
    listener
        .map(Some)
        .map_err(|error| deaf("ftp", address, &error))
}

/// Only one relay may use a directory.
fn lock(state: &Path) -> Result<File, String> {
    let problem = |error: io::Error| format!("--state {}: {error}", state.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(problem)?;
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(state.join("lock")).map_err(problem)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(format!(
            "--state {}: another relay uses it",
            state.display()
        )),
    }
}

fn carrier(arguments: &Arguments, journal: Journal) -> Result<Carrier, String> {
    let identity = arguments
        .client_cert
        .clone()
        .zip(arguments.client_key.clone());
    let trust = Trust {
        authorities: arguments.upstream_ca.clone(),
        identity,
    };
    let upstream = Upstream::new(arguments.upstream.clone(), &trust);
    let neighbours = Neighbours::new(arguments.neighbours.as_deref())
        .map_err(|error| format!("--neighbours: {error}"))?;
    let parts = Parts {
        upstream: upstream.map_err(|error| error.to_string())?,
        name: arguments.name.clone(),
        policy: arguments.identity.clone(),
        neighbours,
        journal,
    };
    let Some(state) = &arguments.state else {
        return Ok(Carrier::new(parts));
    };
    let limits = Limits {
        cache: arguments.cache_bytes,
        spool: arguments.spool_bytes,
    };
    Carrier::with_state(parts, state, limits)
        .map_err(|error| format!("--state {}: {error}", state.display()))
}

fn tftp(arguments: &Arguments, address: SocketAddr) -> Result<Server, String> {
    let settings = Settings {
        ports: arguments.tftp_ports.clone(),
        ..Settings::new(address)
    };
    let server = Server::bind(settings).map_err(|error| deaf("tftp", address, &error))?;
    if let Some(small) = server.small_buffer() {
        eprintln!("handset-relay: {small}");
    }
    Ok(server)
}

async fn stopped() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen(None));
    }
    let address = text.parse().map_err(|_| "give ADDRESS:PORT, or none")?;
    Ok(Listen(Some(address)))
}

/// A name as the site's file may have it.
fn name(text: &str) -> Result<HeaderValue, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let value = HeaderValue::from_str(text).ok();
    value
        .filter(|_| !text.is_empty() && text.bytes().all(plain))
        .ok_or_else(|| "give letters, digits, -, _ and .".to_owned())
}

fn ports(text: &str) -> Result<Ports, String> {
    match text {
        "any" => Ok(Ports::Any),
        "single" => Ok(Ports::Single),
        text => parse_range(text)
            .map(Ports::Range)
            .ok_or_else(|| "give any, single, or FIRST-LAST".to_owned()),
    }
}

#[cfg(feature = "ftp")]
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    parse_range(text).ok_or_else(|| "give FIRST-LAST".to_owned())
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty() && *range.start() > 0).then_some(range)
}
