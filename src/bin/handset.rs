//! `handset`: the operator's tool, the native server and the phone simulator.
//!
//! Exit codes are documented in docs/commands.md.
#![forbid(unsafe_code)]

#[path = "handset/check.rs"]
mod check;
#[path = "handset/dhcp.rs"]
mod dhcp;
#[path = "handset/diff.rs"]
mod diff;
#[path = "handset/firmware.rs"]
mod firmware;
#[path = "handset/import.rs"]
mod import;
#[path = "handset/pages.rs"]
mod pages;
#[path = "handset/secret.rs"]
mod secret;
#[path = "handset/store.rs"]
mod store;

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use clap::Args;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use handset::boot;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::generations;
use handset::fleet::generations::Turn;
use handset::fleet::keys;
use handset::fleet::password;
use handset::fleet::preview;
use handset::fleet::preview::Question;
use handset::fleet::report;
use handset::fleet::sealed::FleetKey;
use handset::mac::MacAddress;
use handset::platform::native;
use handset::platform::native::ServeOptions;
use handset::platform::native::log::Log;
use handset::platform::native::operate;
use handset::platform::native::operate::Wish;
use handset::platform::native::proxy::Block;
use handset::platform::native::proxy::Proxies;
use handset::platform::native::watch::Tree;
use handset::platform::native::watch::Watcher;
use handset::respond::Payload;
use handset::respond::Response;
use handset::secret::DeploymentSecrets;
use handset::secret::Secret;
use handset::site::Access;
use handset::store::directory::Body;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Upload;
use handset::token::Scope;
use handset::token::Token;
use http_body::Body as _;
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
    /// Opens a window in which its site's key opens a device's files, so that it can fetch its own
    #[command(after_help = "Example: handset enrol fleet 0004f2000500 --for 30m")]
    Enrol {
        /// How long: 30m, 2h, 1d
        #[arg(long = "for", value_parser = operate::minutes, required_unless_present = "until_first_boot")]
        minutes: Option<u32>,
        /// From the device's first boot on, for an hour
        #[arg(long, conflicts_with = "minutes")]
        until_first_boot: bool,
        /// For any address and any kind of phone, not for whoever comes first alone
        #[arg(long)]
        anyone: bool,
        #[command(flatten)]
        devices: Devices,
    },
    /// Simulates a phone's boot over HTTP; exit code 1 if the phone would suffer
    #[command(
        after_help = "Example: handset boot --url http://127.0.0.1:8080/lync/ --model \"VVX 400\" --mac 0004f28062d6"
    )]
    Boot(boot::Arguments),
    Check(check::Check),
    Completions(pages::Completions),
    /// What to tell a DHCP server, and what a phone makes of it
    #[command(subcommand)]
    Dhcp(dhcp::Dhcp),
    Diff(diff::Diff),
    /// Says why a request gets what it gets
    #[command(
        after_help = "Example: handset explain fleet /hq/0004f2000500-phone.cfg --method PUT"
    )]
    Explain {
        #[command(flatten)]
        asked: Asked,
        /// Method of the request
        #[arg(long, default_value = "GET")]
        method: http::Method,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
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
    /// Prints the address that a site's phones, or one of them, are given: what goes into DHCP
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    #[command(after_help = "Example: handset key fleet hq --secret-file secret")]
    Key {
        #[command(subcommand)]
        turn: Option<KeyCommand>,
        /// The fleet directory
        #[arg(required = true)]
        directory: Option<PathBuf>,
        /// The site
        #[arg(required = true)]
        site: Option<String>,
        /// A device's hardware address: an address of its own, which opens its files
        mac: Option<MacAddress>,
        /// The relay that the address is handed to
        #[arg(long)]
        relay: Option<String>,
        #[command(flatten)]
        secret: SecretFile,
    },
    /// Lists the devices of a site that were refused though its key is good
    #[command(after_help = "Example: handset knocking fleet hq")]
    Knocking {
        /// Fleet directory, or address of a running server
        place: String,
        /// The site
        site: String,
        /// The state directory [default: DIRECTORY/state]
        #[arg(long)]
        state: Option<PathBuf>,
    },
    /// Closes devices: nothing opens their files until they are unlocked
    #[command(after_help = "Example: handset lock fleet 0004f2000500")]
    Lock {
        #[command(flatten)]
        devices: Devices,
    },
    Man(pages::Man),
    /// Prints the line for [passwords] of a site, and a password drawn at random
    #[command(after_help = "Example: handset password staff")]
    Password {
        /// The name that phones send
        user: String,
        /// Read the password from the standard input, a line
        #[arg(long)]
        ask: bool,
    },
    /// Prints a file as a phone would get it, with `(secret)` in place of passwords and keys
    #[command(after_help = "Example: handset render fleet /hq/0004f2000500-device.cfg")]
    Render {
        #[command(flatten)]
        asked: Asked,
        /// Passwords and keys included, byte for byte as the phone gets it
        #[arg(long)]
        show_secrets: bool,
    },
    /// Seals secrets of a fleet directory with a key of the operator's own
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Serves a fleet directory, or what was published to a bucket, over HTTP/1.1
    #[command(after_help = "Example: handset serve fleet --listen 192.0.2.1:8080")]
    Serve(Box<Serve>),
    /// Prints a token for the endpoints under /-/v1/ of a running server
    #[command(after_help = "Example: handset token --tenant acme --read")]
    Token {
        /// For the sites of this tenant alone
        #[arg(long)]
        tenant: Option<String>,
        /// For looking, not for changing
        #[arg(long)]
        read: bool,
        #[command(flatten)]
        secret: SecretFile,
    },
    /// Takes the lock from devices: they are as they were, and no window is open
    #[command(after_help = "Example: handset unlock fleet 0004f2000500")]
    Unlock {
        #[command(flatten)]
        devices: Devices,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Makes keys of another generation from now on; the old ones stay good until they are retired
    #[command(after_help = "Example: handset key rotate fleet hq")]
    Rotate {
        /// The fleet directory
        directory: PathBuf,
        /// The site
        site: String,
    },
    /// Keys of old generations open nothing any more; lists the devices that still come with one
    #[command(after_help = "Example: handset key retire fleet hq")]
    Retire {
        /// The fleet directory
        directory: PathBuf,
        /// The site
        site: String,
        /// Even if devices were last seen with one
        #[arg(long)]
        force: bool,
        /// The state directory [default: DIRECTORY/state]
        #[arg(long)]
        state: Option<PathBuf>,
        /// Address of the server that saw the devices, if that was not one over the state directory
        #[arg(long, conflicts_with = "state")]
        url: Option<String>,
    },
}

/// Devices, and how they are reached.
#[derive(Debug, Args)]
struct Devices {
    /// Fleet directory, or address of a running server
    place: String,
    /// Hardware addresses of devices
    #[arg(required = true)]
    macs: Vec<MacAddress>,
    /// The site of the devices, where a server is asked
    #[arg(long)]
    site: Option<String>,
    /// The state directory [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
}

/// A request, made without a server.
#[derive(Debug, Args)]
struct Asked {
    /// The fleet directory
    directory: PathBuf,
    /// Path of the file, such as /lync/shared.cfg, or its whole address
    path: String,
    /// What the phone says of itself
    #[arg(long)]
    user_agent: Option<String>,
    /// The site of paths that name none
    #[arg(long)]
    site: Option<String>,
    /// The state directory; uploads are read from it [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretFile,
    #[command(flatten)]
    key: KeyFile,
}

/// Where the deployment's secret is.
#[derive(Debug, Args)]
struct SecretFile {
    /// File with the deployment's secret (`openssl rand -base64 32`) [default: the variable HANDSET_SECRET]
    #[arg(long)]
    secret_file: Option<PathBuf>,
}

impl SecretFile {
    fn read(&self) -> io::Result<Option<DeploymentSecrets>> {
        let (origin, text) = match &self.secret_file {
            Some(path) => {
                let named = |error| io::Error::other(format!("{}: {error}", path.display()));
                let text = std::fs::read_to_string(path).map_err(named)?;
                (path.display().to_string(), text)
            }
            None => match std::env::var("HANDSET_SECRET") {
                Ok(text) => ("HANDSET_SECRET".to_owned(), text),
                Err(_) => return Ok(None),
            },
        };
        let secrets = DeploymentSecrets::parse(&text);
        let secrets = secrets.map_err(|error| io::Error::other(format!("{origin}: {error}")))?;
        Ok(Some(secrets))
    }

    fn needed(&self) -> io::Result<DeploymentSecrets> {
        let problem = "the deployment's secret is needed: set HANDSET_SECRET or --secret-file \
                       (make one with `openssl rand -base64 32`)";
        self.read()?.ok_or_else(|| io::Error::other(problem))
    }
}

#[derive(Debug, Args)]
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
        Command::Check(options) => check::run(&options, out),
        Command::Completions(options) => pages::completions(&options, Arguments::command(), out),
        Command::Dhcp(command) => dhcp::run(&command, out),
        Command::Diff(options) => diff::run(&options, out),
        Command::Enrol {
            minutes,
            anyone,
            devices,
            ..
        } => change(&devices, &Wish::Open(operate::window(minutes, anyone)), out),
        Command::Explain {
            asked,
            method,
            json,
        } => explain(&asked, method, json, out),
        Command::Export(options) => import::export(&options, out),
        Command::Firmware(command) => firmware::run(&command, out),
        Command::Import(options) => import::run(&options, out),
        Command::Init { directory } => init(&directory, out),
        Command::Key {
            turn: Some(command),
            ..
        } => turn(command, out),
        Command::Key {
            directory,
            site,
            mac,
            relay,
            secret,
            ..
        } => {
            let wanted = keys::Wanted {
                site: &site.unwrap_or_default(),
                mac,
                relay: relay.as_deref(),
            };
            key(&directory.unwrap_or_default(), &wanted, &secret, out)
        }
        Command::Knocking { place, site, state } => knocking(&place, &site, state.as_deref(), out),
        Command::Lock { devices } => change(&devices, &Wish::Lock, out),
        Command::Man(options) => pages::man(&options, Arguments::command(), out),
        Command::Password { user, ask } => password(&user, ask, out),
        Command::Render {
            asked,
            show_secrets,
        } => render(&asked, show_secrets, out),
        Command::Secret(command) => secret::run(command, out),
        Command::Serve(options) => serve(*options, out),
        Command::Token {
            tenant,
            read,
            secret,
        } => token(tenant, read, &secret, out),
        Command::Unlock { devices } => change(&devices, &Wish::Unlock, out),
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

fn render(asked: &Asked, show_secrets: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let (response, hidden) = match ask(asked, http::Method::GET)? {
        Ok(answered) => answered,
        Err(found) => return report(&found, out),
    };
    if !response.status.is_success() {
        let mut problem = io::stderr();
        writeln!(
            problem,
            "handset: {} ({})",
            response.status, response.explanation.reason
        )?;
        return Ok(ExitCode::FAILURE);
    }
    if show_secrets {
        write_body(response.body, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut bytes = Vec::new();
    write_body(response.body, &mut bytes)?;
    match String::from_utf8(bytes) {
        Ok(text) => out.write_all(hidden.redact(&text).as_bytes())?,
        // No text: an image, which has no passwords.
        Err(image) => out.write_all(image.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_body(body: Payload<Body>, out: &mut impl Write) -> io::Result<()> {
    match body {
        Payload::Bytes(bytes) => out.write_all(&bytes),
        Payload::Stored(bodies) => bodies.into_iter().try_for_each(|body| copy(body, out)),
    }
}

fn explain(
    asked: &Asked,
    method: http::Method,
    json: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let response = match ask(asked, method)? {
        Ok((response, _)) => response,
        Err(found) => return report(&found, out),
    };
    let explanation = serde_json::to_value(&response.explanation)?;
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in explanation.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => writeln!(out, "{name:<10}{text}")?,
            serde_json::Value::Object(settings) if settings.is_empty() => {}
            serde_json::Value::Object(settings) => {
                writeln!(out, "{name}")?;
                for (setting, layer) in settings {
                    writeln!(out, "  {setting:<24}{}", layer.as_str().unwrap_or_default())?;
                }
            }
            other => writeln!(out, "{name:<10}{other}")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn key(
    directory: &Path,
    wanted: &keys::Wanted<'_>,
    secret: &SecretFile,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let fleet = match fleet::compile(directory, &mut Hashes::default()) {
        Ok(fleet) => fleet,
        Err(found) => return report(&found, out),
    };
    let address = keys::address(&fleet, &secret.needed()?, wanted);
    writeln!(out, "{}", address.map_err(io::Error::other)?)?;
    Ok(ExitCode::SUCCESS)
}

fn turn(command: KeyCommand, out: &mut impl Write) -> io::Result<ExitCode> {
    let (directory, site, turn) = match &command {
        KeyCommand::Rotate { directory, site } => (directory, site, Turn::Rotate),
        KeyCommand::Retire {
            directory,
            site,
            force,
            state,
            url,
        } => {
            let found = left_behind(directory, site, state.as_deref(), url.as_deref())?;
            for line in &found {
                writeln!(out, "{line}")?;
            }
            if !found.is_empty() && !force {
                let remedy = "let them boot, or say --force: they will be refused";
                writeln!(
                    out,
                    "{} devices were last seen with an old key; {remedy}",
                    found.len()
                )?;
                return Ok(ExitCode::FAILURE);
            }
            (directory, site, Turn::Retire)
        }
    };
    let (generation, oldest) =
        generations::turn(directory, site, turn).map_err(io::Error::other)?;
    writeln!(
        out,
        "{site} makes keys of generation {generation} and takes those from {oldest} on"
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The devices that a server, or the state beside a directory, saw last with an old key of the site's.
fn left_behind(
    directory: &Path,
    site: &str,
    state: Option<&Path>,
    url: Option<&str>,
) -> io::Result<Vec<String>> {
    let fleet = fleet::compile(directory, &mut Hashes::default());
    let fleet = fleet.map_err(|found| io::Error::other(joined(&found)))?;
    let generation = match fleet.snapshot.deployment.sites.get(site) {
        Some(Access::Keys(terms)) => terms.generation,
        _ => return Ok(Vec::new()),
    };
    let place = url.map_or_else(|| directory.to_string_lossy(), Into::into);
    let found = place_at(&place, state)?.last_seen_before(site, generation);
    found.map_err(io::Error::other)
}

fn change(devices: &Devices, wish: &Wish, out: &mut impl Write) -> io::Result<ExitCode> {
    let place = place_at(&devices.place, devices.state.as_deref())?;
    for mac in &devices.macs {
        let changed = place.change(*mac, devices.site.as_deref(), wish);
        writeln!(out, "{}", changed.map_err(io::Error::other)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The token stands in the environment: what is an argument, every process of the machine can read.
fn place_at(place: &str, state: Option<&Path>) -> io::Result<operate::Place> {
    let token = std::env::var("HANDSET_TOKEN").ok();
    operate::Place::open(place, state, token).map_err(io::Error::other)
}

fn knocking(
    place: &str,
    site: &str,
    state: Option<&Path>,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let lines = place_at(place, state)?.knocking(site);
    let lines = lines.map_err(io::Error::other)?;
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    if !lines.is_empty() {
        writeln!(
            out,
            "to admit one: handset enrol {place} MAC --until-first-boot"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The password itself goes to the standard error: the line may be written into a file.
fn password(user: &str, ask: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut errors = io::stderr();
    let drawn = if ask {
        writeln!(errors, "password for {user}:")?;
        let mut text = String::new();
        io::stdin().read_line(&mut text)?;
        Secret::new(text.trim_end_matches(['\r', '\n']))
    } else {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let drawn = password::generate(u128::from_ne_bytes(random));
        writeln!(errors, "{}", drawn.expose_text().unwrap_or_default())?;
        drawn
    };
    let line = password::line(user, &drawn).map_err(io::Error::other)?;
    writeln!(out, "{line}")?;
    Ok(ExitCode::SUCCESS)
}

fn token(
    tenant: Option<String>,
    read: bool,
    secret: &SecretFile,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let scope = if read { Scope::Read } else { Scope::Write };
    let token = Token { scope, tenant }.text(&secret.needed()?);
    writeln!(out, "{}", token.expose_text().unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

/// What the handler says, and what of it is not to be shown.
type Answered = (Response<Body>, preview::Hidden);

/// Asks the handler; or says what is wrong with the fleet directory.
fn ask(asked: &Asked, method: http::Method) -> io::Result<Result<Answered, Vec<Diagnostic>>> {
    let key = asked.key.read()?;
    let compiled = fleet::compile_with(&asked.directory, &mut Hashes::default(), key.as_ref());
    let fleet = match compiled {
        Ok(fleet) => fleet,
        Err(found) => return Ok(Err(found)),
    };
    let names = fleet.sealed_parameters;
    let secrets = asked.secret.read()?;
    let store = DirectoryStore::open(
        &state_of(&asked.directory, asked.state.as_deref()),
        fleet.snapshot,
    )?;
    let question = Question {
        method,
        target: &asked.path,
        user_agent: asked.user_agent.as_deref(),
        site: asked.site.as_deref(),
        secrets: secrets.as_ref(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let answered = async {
        let response = preview::ask(&store, &question, Upload::none()).await;
        let hidden = preview::hidden(&store, &response.explanation, names).await;
        hidden.map(|hidden| (response, hidden))
    };
    let answered = runtime.block_on(answered).map_err(io::Error::other)?;
    Ok(Ok(answered))
}

fn state_of(directory: &Path, state: Option<&Path>) -> PathBuf {
    state.map_or_else(|| directory.join("state"), Path::to_owned)
}

/// A file's body is always ready: it is read as it is asked for.
fn copy(mut body: Body, out: &mut impl Write) -> io::Result<()> {
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
            out.write_all(&bytes)?;
        }
    }
    Ok(())
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
