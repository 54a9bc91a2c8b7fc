//! `handset`: the operator's tool, the native server and the phone simulator.
//!
//! Exit codes are documented in docs/commands.md.
#![forbid(unsafe_code)]

#[path = "handset/check.rs"]
mod check;
#[path = "handset/devices.rs"]
mod devices;
#[path = "handset/dhcp.rs"]
mod dhcp;
#[path = "handset/diff.rs"]
mod diff;
#[path = "handset/firmware.rs"]
mod firmware;
#[path = "handset/import.rs"]
mod import;
#[path = "handset/key.rs"]
mod key;
#[path = "handset/pages.rs"]
mod pages;
#[path = "handset/progress.rs"]
mod progress;
#[path = "handset/push.rs"]
mod push;
#[path = "handset/request.rs"]
mod request;
#[path = "handset/secret.rs"]
mod secret;
#[path = "handset/status.rs"]
mod status;
#[path = "handset/store.rs"]
mod store;
#[path = "handset/watch.rs"]
mod watch;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use handset::boot;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::report;
use handset::fleet::sealed::FleetKey;
use handset::platform::native;
use handset::platform::native::ServeOptions;
use handset::platform::native::log::Log;
use handset::platform::native::proxy::Block;
use handset::platform::native::proxy::Proxies;
use handset::platform::native::watch::Tree;
use handset::platform::native::watch::Watcher;
use handset::site::Access;
use handset::store::directory::DirectoryStore;
use key::SecretFile;
use secret::KeyFile;
use store::Store;

/// The provisioning server for desk phones that runs at the edge.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What every command ends with. `docs/commands.md` says the same.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 something is wrong with what was looked at (diff: something changes); 2 could not run, or was asked \
in a wrong way.
Colours are for terminals only, and never where NO_COLOR is set.

Example: handset init fleet && handset check fleet && handset serve fleet";

#[derive(Debug, Subcommand)]
enum Command {
    Enrol(devices::Enrol),
    /// Simulates a phone's boot over HTTP; exit code 1 if the phone would suffer
    #[command(
        after_help = "Example: handset boot --url http://127.0.0.1:8080/lync/ --model \"VVX 400\" --mac 0004f28062d6"
    )]
    Boot(boot::Arguments),
    /// A publication that only some devices get (`handset push --canary`)
    #[command(subcommand)]
    Canary(push::Canary),
    Check(check::Check),
    #[command(
        after_help = "Example: handset completions bash > /usr/share/bash-completion/completions/handset"
    )]
    Completions(pages::Completions),
    /// What to tell a DHCP server, and what a phone makes of it
    #[command(subcommand)]
    Dhcp(dhcp::Dhcp),
    Diff(diff::Diff),
    Explain(request::Explain),
    Export(import::Export),
    /// Puts images where phones find them
    #[command(subcommand)]
    Firmware(firmware::Firmware),
    Import(import::Import),
    /// Writes a commented fleet directory to start from
    #[command(after_help = "Example: handset init fleet")]
    Init {
        /// A directory that is empty or does not exist
        directory: PathBuf,
    },
    Key(key::Key),
    Knocking(devices::Knocking),
    Lock(devices::Lock),
    Logs(status::Logs),
    #[command(after_help = "Example: handset man /usr/local/share/man/man1")]
    Man(pages::Man),
    Password(key::Password),
    Push(Box<push::Push>),
    Releases(push::Releases),
    Render(request::Render),
    Rollback(push::Rollback),
    /// Seals secrets of a fleet directory with a key of the operator's own
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Serves a fleet directory, or what was published to a bucket, over HTTP/1.1
    #[command(after_help = "Example: handset serve fleet --listen 192.0.2.1:8080")]
    Serve(Box<Serve>),
    Status(status::Status),
    Token(key::TokenOptions),
    Unlock(devices::Unlock),
    Watch(watch::Watch),
}

#[derive(Args, Debug)]
struct Serve {
    /// The fleet directory
    #[arg(required_unless_present = "store", conflicts_with = "store")]
    directory: Option<PathBuf>,
    /// What is published to instead: a directory, or a bucket s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION,
    /// whose key is taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
    #[arg(long, conflicts_with = "state")]
    store: Option<Store>,
    /// PEM file with the certificate authorities of a store that has a certificate of its own
    #[arg(long, requires = "store")]
    store_ca: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The site of requests whose path and host name none
    #[arg(long)]
    site: Option<String>,
    /// Where uploads and last contacts are kept [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretFile,
    #[command(flatten)]
    key: KeyFile,
    /// PEM file with the certificate chain; serves HTTPS
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Wrong keys and passwords that a network may bring a minute before it is answered with 429; 0 turns it off
    #[arg(long, default_value_t = native::FAILURES)]
    failures: u32,
    /// Addresses (192.0.2.0/24) of proxies, whose X-Forwarded-For and X-Forwarded-Proto are believed; with commas
    /// between several
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    trust_proxy: Vec<Block>,
    /// The header in which those proxies hand on a client's certificate that they have verified: URL-encoded PEM
    /// or as RFC 9440 has it
    #[arg(long, requires = "trust_proxy", value_name = "NAME")]
    client_cert_header: Option<http::HeaderName>,
    /// PEM file with the authorities that sign phones' certificates; phones without one may still come with a key
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Take certificates that are out of date too, as those from the factory often are
    #[arg(long, requires = "client_ca")]
    client_ca_expired: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command, &mut io::stdout().lock()) {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "handset: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> io::Result<ExitCode> {
    match command {
        Command::Boot(arguments) => simulate(&arguments, out),
        Command::Canary(command) => push::canary_command(&command, out),
        Command::Check(options) => check::run(&options, out),
        Command::Completions(options) => pages::completions(&options, Arguments::command(), out),
        Command::Dhcp(command) => dhcp::run(&command, out),
        Command::Diff(options) => diff::run(&options, out),
        Command::Enrol(options) => devices::enrol(&options, out),
        Command::Explain(options) => request::explain(&options, out),
        Command::Export(options) => import::export(&options, out),
        Command::Firmware(command) => firmware::run(&command, out),
        Command::Import(options) => import::run(&options, out),
        Command::Init { directory } => init(&directory, out),
        Command::Key(options) => key::run(options, out),
        Command::Knocking(options) => devices::knocking(&options, out),
        Command::Lock(options) => devices::lock(&options, out),
        Command::Logs(options) => status::logs(&options, out),
        Command::Man(options) => pages::man(&options, Arguments::command(), out),
        Command::Password(options) => key::password(&options, out),
        Command::Push(options) => push::run(*options, out),
        Command::Releases(options) => push::releases(&options, out),
        Command::Render(options) => request::render(&options, out),
        Command::Rollback(options) => push::rollback(&options, out),
        Command::Secret(command) => secret::run(command, out),
        Command::Serve(options) => serve(*options, out),
        Command::Status(options) => status::status(&options, out),
        Command::Token(options) => key::token(options, out),
        Command::Unlock(options) => devices::unlock(&options, out),
        Command::Watch(options) => watch::run(&options, out),
    }
}

fn simulate(arguments: &boot::Arguments, out: &mut impl Write) -> io::Result<ExitCode> {
    match boot::run(arguments, out) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn init(directory: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    fleet::starter::write(directory)?;
    let shown = directory.display();
    writeln!(
        out,
        "wrote {shown}; next: handset check {shown}, then handset serve {shown}"
    )?;
    Ok(ExitCode::SUCCESS)
}

fn serve(options: Serve, out: &mut impl Write) -> io::Result<ExitCode> {
    let key = options.key.read()?;
    let serving = ServeOptions {
        secrets: options.secret.read()?,
        listen: options.listen,
        site: options.site,
        tls: options.tls_cert.zip(options.tls_key),
        failures: options.failures,
        proxies: Proxies {
            trusted: options.trust_proxy,
            certificate: options.client_cert_header,
        },
        client_authorities: options.client_ca,
        expired_certificates: options.client_ca_expired,
        ..ServeOptions::default()
    };
    match (options.store, options.directory) {
        (Some(store), _) => store::serve(store, options.store_ca.as_deref(), &serving),
        (None, directory) => {
            let directory = directory.unwrap_or_default();
            serve_directory(&directory, options.state.as_deref(), key, &serving, out)
        }
    }
}

fn serve_directory(
    directory: &Path,
    state: Option<&Path>,
    key: Option<FleetKey>,
    serving: &ServeOptions,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let state = state_of(directory, state);
    let tree = Tree::new(directory, &state);
    let mut hashes = Hashes::default();
    let fleet = match fleet::compile_to_serve(directory, &mut hashes, key.as_ref()) {
        Ok(fleet) => fleet,
        Err(found) => return report(&found, out),
    };
    let sites = &fleet.snapshot.deployment.sites;
    let keyed = sites
        .iter()
        .find(|(_, access)| matches!(access, Access::Keys(_)));
    if let (Some((site, _)), None) = (keyed, &serving.secrets) {
        let problem = format!(
            "site {site} asks for keys, and there is no secret to make them with: set HANDSET_SECRET or \
             --secret-file (make one with `openssl rand -base64 32`)"
        );
        return Err(io::Error::other(problem));
    }
    let store = Arc::new(DirectoryStore::open(&state, fleet.snapshot)?);
    let log = Log::to(io::stderr());
    let directory = directory.to_owned();
    let again = move || match fleet::compile_to_serve(&directory, &mut hashes, key.as_ref()) {
        Ok(fleet) => Ok(fleet.snapshot),
        Err(found) => Err(joined(&found)),
    };
    let _watching = Watcher::new(tree, store.clone(), again).watch(log.clone())?;
    native::serve(store, serving, log).map_err(io::Error::other)?;
    Ok(ExitCode::SUCCESS)
}

fn state_of(directory: &Path, state: Option<&Path>) -> PathBuf {
    state.map_or_else(|| directory.join("state"), Path::to_owned)
}

/// Prints findings; exit code 1 if an error is among them.
fn report(found: &[Diagnostic], out: &mut impl Write) -> io::Result<ExitCode> {
    write!(out, "{}", report::text(found, is_coloured()))?;
    Ok(match report::counts(found).errors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Says what went wrong; exit code 1.
fn fail(problem: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "handset: {problem}")?;
    Ok(ExitCode::FAILURE)
}

/// Colours are for terminals, and for those who did not refuse them (no-color.org).
fn is_coloured() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !refused
}

fn joined(found: &[Diagnostic]) -> String {
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn summary(fleet: &Fleet) -> String {
    let snapshot = &fleet.snapshot;
    let devices = several(fleet.devices.len(), "device");
    let sites = several(snapshot.sites.len(), "site");
    let files = several(snapshot.files.len(), "image or resource file");
    format!("{devices} in {sites}, {files}")
}

/// "1 device", "2 devices".
fn several(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use clap::CommandFactory;

    use super::Arguments;
    use super::EXIT_CODES;

    #[test]
    fn every_command_has_an_example_and_a_line_in_the_documents() {
        let root = Arguments::command();
        root.clone().debug_assert();
        let mut missing = Vec::new();
        visit(&root, "handset", &mut missing);
        assert_eq!(missing, [] as [String; 0]);
        let (codes, _) = EXIT_CODES.split_once('\n').unwrap();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words(PAGE).contains(&words(codes)),
            "docs/commands.md says other exit codes"
        );
    }

    const PAGE: &str = include_str!("../../docs/commands.md");

    fn visit(command: &Command, path: &str, missing: &mut Vec<String>) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            if inner.has_subcommands() {
                visit(inner, &path, missing);
                continue;
            }
            let help = inner.get_after_help().map(ToString::to_string);
            let example = format!("Example: {path}");
            if !help
                .unwrap_or_default()
                .contains(path.trim_start_matches("handset "))
                || !PAGE.contains(&format!("`{path}`"))
            {
                missing.push(example);
            }
        }
    }

    #[test]
    fn completions_and_pages_are_made() {
        let directory = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Arguments::command(), directory.path()).unwrap();
        let page = std::fs::read_to_string(directory.path().join("handset-check.1")).unwrap();
        assert!(page.contains("SARIF") || page.contains("sarif"), "{page}");
        let mut script = Vec::new();
        let mut command = Arguments::command();
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut command,
            "handset",
            &mut script,
        );
        assert!(
            String::from_utf8(script)
                .unwrap()
                .contains("--deny-warnings")
        );
    }
}
