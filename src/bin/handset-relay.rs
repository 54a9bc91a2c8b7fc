//! `handset-relay`: stands in a branch network between phones that speak TFTP and a server that speaks HTTPS.
//!
//! Exit codes: 0 ended by a signal, 2 could not run.
#![forbid(unsafe_code)]

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use handset::platform::native::log::Log;
use handset::platform::native::log::rfc3339;
use handset::relay::tftp::Ports;
use handset::relay::tftp::Server;
use handset::relay::tftp::Settings;
use handset::relay::tftp::files::Report;
use handset::relay::tftp::remote::Remote;
use handset::relay::upstream::Base;
use handset::relay::upstream::Upstream;
use handset::tftp::packet::RequestKind;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::LocalSet;

/// Serves TFTP phones the files of an HTTPS server
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address below which the files are; http:// only on this machine
    #[arg(long, value_name = "URL")]
    upstream: Base,
    /// PEM file with certificate authorities to trust instead of the public ones
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose one
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:69")]
    tftp: SocketAddr,
    /// Ports for transfers: any, single (the listening one), or FIRST-LAST
    #[arg(long, value_name = "PORTS", default_value = "any", value_parser = ports)]
    tftp_ports: Ports,
}

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
    let upstream = Upstream::new(arguments.upstream.clone(), arguments.upstream_ca.as_deref())
        .map_err(|error| error.to_string())?;
    let settings = Settings {
        ports: arguments.tftp_ports.clone(),
        ..Settings::new(arguments.tftp)
    };
    let server = Server::bind(settings).map_err(|error| {
        let address = arguments.tftp;
        format!("cannot listen on {address}: {error} (--tftp takes another address)")
    })?;
    if let Some(small) = server.small_buffer() {
        eprintln!("handset-relay: {small}");
    }
    let log = Log::to(io::stderr());
    let files = Remote::new(upstream, move |report| log.line(&Line::of(report)));
    // Whoever started the relay may have closed its standard output.
    let _ = writeln!(io::stdout(), "tftp://{}", server.address());
    tokio::select! {
        ended = server.run(files) => ended.map_err(|error| error.to_string()),
        stopped = stopped() => stopped.map_err(|error| error.to_string()),
    }
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

/// A line of the log.
#[derive(Serialize)]
struct Line<'r> {
    time: String,
    protocol: &'static str,
    request: &'static str,
    file: String,
    peer: &'r SocketAddr,
    outcome: String,
    bytes: u64,
    milliseconds: u128,
}

impl<'r> Line<'r> {
    fn of(report: &Report<'r>) -> Self {
        Self {
            time: rfc3339(SystemTime::now()),
            protocol: "tftp",
            request: match report.asked.kind {
                RequestKind::Read => "read",
                RequestKind::Write => "write",
            },
            file: report.asked.name.to_string(),
            peer: &report.asked.peer,
            outcome: report.outcome.to_string(),
            bytes: report.bytes,
            milliseconds: report.took.as_millis(),
        }
    }
}

fn ports(text: &str) -> Result<Ports, String> {
    match text {
        "any" => Ok(Ports::Any),
        "single" => Ok(Ports::Single),
        range => parse_range(range)
            .map(Ports::Range)
            .ok_or_else(|| "give any, single, or FIRST-LAST".to_owned()),
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty() && *range.start() > 0).then_some(range)
}
