//! `handset-relay`: stands in a branch network between phones that speak TFTP, FTP or plain HTTP and a server that speaks HTTPS.
//!
//! Exit codes: 0 ended by a signal, or `check` found nothing wrong; 1 `check` did; 2 could not run.
#![forbid(unsafe_code)]

#[path = "handset-relay/check.rs"]
mod check;
#[path = "handset-relay/listeners.rs"]
mod listeners;
#[path = "handset-relay/notice.rs"]
mod notice;
#[path = "handset/pages.rs"]
mod pages;
#[path = "handset-relay/passed.rs"]
mod passed;
#[path = "handset-relay/settings.rs"]
mod settings;
#[path = "handset-relay/status.rs"]
mod status;

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;
use handset::relay::carrier::Carrier;
use handset::relay::carrier::Limits;
use handset::relay::carrier::Parts;
use handset::relay::identity::Policy;
use handset::relay::journal::Form;
use handset::relay::journal::Journal;
use handset::relay::neighbours::Neighbours;
use handset::relay::tftp::Ports;
use handset::relay::upstream::Base;
use handset::relay::upstream::Trust;
use handset::relay::upstream::Upstream;
use http::HeaderValue;
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::LocalSet;

use crate::listeners::Listeners;
use crate::notice::Notice;
use crate::passed::Passed;

const EXAMPLES: &str = "\
Examples:
  handset-relay --upstream https://prov.example.net/SITE/KEY --name closet --state /var/lib/handset-relay
      TFTP on port 69; files and uploads are kept while the line is down
  handset-relay --upstream http://127.0.0.1:8080/lync --tftp '[::]:6969' --identity any --log text
      beside a server on the same machine, for a try
  handset-relay --settings /etc/handset-relay/handset-relay.toml check
      what is wrong with the settings";

/// Serves TFTP, FTP and plain-HTTP phones the files of an HTTPS server
#[derive(Debug, Parser)]
#[command(
    name = "handset-relay",
    version,
    after_help = EXAMPLES,
    args_override_self = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// TOML file with any of these flags as keys; what stands in the command line counts before it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Address below which the files are; http:// only on this machine
    #[arg(long, value_name = "URL", required = true)]
    upstream: Option<Base>,
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
    /// Tell phones that ask by SIP multicast where their files are [default address: 0.0.0.0:5060]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "0.0.0.0:5060")]
    sip_pnp: Option<SocketAddrV4>,
    /// What they are told instead of the relay's own address
    #[arg(long, value_name = "URL", value_parser = told, requires = "sip_pnp")]
    sip_pnp_url: Option<String>,
    /// Address on this machine to listen on for /health and /metrics
    #[arg(long, value_name = "ADDRESS", value_parser = own)]
    metrics: Option<SocketAddr>,
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
    /// What standard error gets: json, an object a line, or text, for a person
    #[arg(long, value_name = "FORM", default_value = "json", value_parser = form)]
    log: Form,
}

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Say what is wrong with the settings, and try what can be tried without harm
    ///
    /// Exit codes: 0 nothing is wrong, 1 something is.
    #[command(
        after_help = "Example: handset-relay --settings /etc/handset-relay/handset-relay.toml check"
    )]
    Check,
    #[command(
        after_help = "Example: handset-relay completions bash > /usr/share/bash-completion/completions/handset-relay"
    )]
    Completions(pages::Completions),
    #[command(after_help = "Example: handset-relay man /usr/local/share/man/man1")]
    Man(pages::Man),
    /// Print how a running relay is
    ///
    /// Exit codes: 0 printed, 2 it does not answer.
    #[command(after_help = "Example: handset-relay status --metrics http://127.0.0.1:9469/metrics")]
    Status {
        /// Where it tells [default: the address of --metrics]
        #[arg(long, value_name = "URL")]
        metrics: Option<String>,
    },
}

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug)]
struct Listen(Option<SocketAddr>);

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let checking = lenient(&given).is_some_and(|it| it.subcommand_name() == Some("check"));
    let passed = Passed::take().map_err(|problem| vec![problem]);
    let ran = with_settings(given).and_then(|given| run(&Arguments::parse_from(given), passed?));
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problems) => {
            for problem in problems {
                eprintln!("handset-relay: {problem}");
            }
            ExitCode::from(if checking { 1 } else { 2 })
        }
    }
}

/// What can be seen of the arguments before they are complete.
fn lenient(given: &[OsString]) -> Option<clap::ArgMatches> {
    let command = Arguments::command().ignore_errors(true);
    command.try_get_matches_from(given).ok()
}

/// The file's flags go before those of the command line, which count.
fn with_settings(mut given: Vec<OsString>) -> Result<Vec<OsString>, Vec<String>> {
    let matches = lenient(&given);
    let path = matches.and_then(|it| it.get_one::<PathBuf>("settings").cloned());
    if let Some(path) = path {
        let flags = settings::read(&path, &Arguments::command())?;
        given.splice(1..1, flags);
    }
    Ok(given)
}

/// `false` where what was checked would not do.
fn run(arguments: &Arguments, passed: Passed) -> Result<bool, Vec<String>> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![error.to_string()])?;
    let running = async {
        match &arguments.command {
            Some(Command::Status { metrics }) => {
                let url = metrics
                    .clone()
                    .or_else(|| Some(format!("http://{}/metrics", arguments.metrics?)));
                status::run(url.as_deref(), &mut io::stdout()).map(|()| true)
            }
            Some(Command::Check) => check::run(arguments, &mut io::stdout())
                .await
                .map_err(|error| error.to_string()),
            Some(Command::Completions(options)) => {
                let printed = pages::completions(options, Arguments::command(), &mut io::stdout());
                written(printed)
            }
            Some(Command::Man(options)) => {
                written(pages::man(options, Arguments::command(), &mut io::stdout()))
            }
            None => serve(arguments, passed).await.map(|()| true),
        }
    };
    let ran = LocalSet::new().block_on(&runtime, running);
    ran.map_err(|problem| vec![problem])
}

/// Whoever asked may have closed the output.
fn written(done: io::Result<ExitCode>) -> Result<bool, String> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(true),
    }
}

impl Arguments {
    /// It is there: it is required.
    fn upstream(&self) -> io::Result<&Base> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "--upstream is missing");
        self.upstream.as_ref().ok_or_else(missing)
    }
}

async fn serve(arguments: &Arguments, passed: Passed) -> Result<(), String> {
    let journal = Journal::to(io::stderr(), arguments.log);
    let (notice, problem) = Notice::from_environment();
    if let Some(problem) = problem {
        journal.event("notify", &problem);
    }
    let _lock = arguments.state.as_deref().map(lock).transpose()?;
    let carrier = carrier(arguments, journal.clone())?;
    let listeners = Listeners::bind(arguments, passed, &journal).await?;
    let addresses = listeners.addresses();
    // Whoever started the relay may have closed its standard output.
    for address in &addresses {
        let _ = writeln!(io::stdout(), "{address}");
    }
    notice.tell(&format!("READY=1\nSTATUS=serves {}", addresses.join(" ")));
    let ended = tokio::select! {
        ended = listeners.run(&carrier) => ended.map_err(|error| error.to_string()),
        () = carrier.run() => Ok(()),
        () = notice.run() => Ok(()),
        stopped = stopped() => stopped.map_err(|error| error.to_string()),
    };
    notice.tell("STOPPING=1");
    ended
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
    let base = arguments.upstream().map_err(|error| error.to_string())?;
    let upstream = Upstream::new(base.clone(), &trust(arguments));
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

fn trust(arguments: &Arguments) -> Trust {
    let certificate = arguments.client_cert.clone();
    Trust {
        authorities: arguments.upstream_ca.clone(),
        identity: certificate.zip(arguments.client_key.clone()),
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

fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen(None));
    }
    let address = text.parse().map_err(|_| "give ADDRESS:PORT, or none")?;
    Ok(Listen(Some(address)))
}

/// What it tells is not for the network.
fn own(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    let own = address.filter(|address| address.ip().is_loopback());
    own.ok_or_else(|| "give an address of this machine alone, such as 127.0.0.1:9469".to_owned())
}

/// An address as phones take it.
fn told(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let known = ["ftp", "http", "https", "tftp"].contains(&scheme);
    let plain = text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic());
    match known && plain && !rest.is_empty() {
        true => Ok(text.to_owned()),
        false => {
            Err("give http://, https://, tftp:// or ftp://, HOST and perhaps a path".to_owned())
        }
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "json" => Ok(Form::Json),
        "text" => Ok(Form::Text),
        _ => Err("give json or text".to_owned()),
    }
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

#[cfg(all(test, feature = "ftp"))]
mod tests {
    use clap::CommandFactory as _;

    use crate::Arguments;
    use crate::settings;

    /// The commented file names every flag, once, in their order; so does the page, in any.
    #[test]
    fn the_settings_file_knows_every_flag() {
        let text = include_str!("../../deploy/relay/handset-relay.toml");
        let command = Arguments::command();
        let keys: Vec<&str> = settings::keys(&command).collect();
        let lines = text.lines().map(|line| line.trim_start_matches('#'));
        let assigned = lines.filter_map(|line| line.split_once(" = "));
        let named: Vec<&str> = assigned
            .map(|(key, _)| key)
            .filter(|key| !key.contains(' '))
            .collect();
        assert_eq!(named, keys);
        let page = include_str!("../../docs/relay.md");
        for key in keys {
            assert!(
                page.contains(&format!("`--{key}")),
                "docs/relay.md is silent on --{key}"
            );
        }
    }
}
