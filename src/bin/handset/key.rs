//! `handset key`, `password` and `token`: what opens files and endpoints, and the secret that it is made with.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::generations;
use handset::fleet::generations::Turn;
use handset::fleet::keys;
use handset::fleet::password;
use handset::mac::MacAddress;
use handset::secret::DeploymentSecrets;
use handset::secret::Secret;
use handset::site::Access;
use handset::token::Scope;
use handset::token::Token;

use crate::devices::place_at;

/// Prints the address that a site's phones, or one of them, are given: what goes into DHCP
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Example: handset key fleet hq --secret-file secret")]
pub(crate) struct Key {
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
}

/// Prints the line for [passwords] of a site, and a password drawn at random
#[derive(Args, Debug)]
#[command(after_help = "Example: handset password staff")]
pub(crate) struct Password {
    /// The name that phones send
    user: String,
    /// Read the password from the standard input, a line
    #[arg(long)]
    ask: bool,
}

/// Prints a token for the endpoints under /-/v1/ of a running server
#[derive(Args, Debug)]
#[command(after_help = "Example: handset token --tenant acme --read")]
pub(crate) struct TokenOptions {
    /// For the sites of this tenant alone
    #[arg(long)]
    tenant: Option<String>,
    /// For looking, not for changing
    #[arg(long)]
    read: bool,
    #[command(flatten)]
    secret: SecretFile,
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

/// Where the deployment's secret is.
#[derive(Args, Debug)]
pub(crate) struct SecretFile {
    /// File with the deployment's secret (`openssl rand -base64 32`) [default: the variable HANDSET_SECRET]
    #[arg(long)]
    secret_file: Option<PathBuf>,
}

impl SecretFile {
    pub(crate) fn read(&self) -> io::Result<Option<DeploymentSecrets>> {
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

    pub(crate) fn needed(&self) -> io::Result<DeploymentSecrets> {
        let problem = "the deployment's secret is needed: set HANDSET_SECRET or --secret-file \
                       (make one with `openssl rand -base64 32`)";
        self.read()?.ok_or_else(|| io::Error::other(problem))
    }
}

pub(crate) fn run(options: Key, out: &mut impl Write) -> io::Result<ExitCode> {
    if let Some(command) = options.turn {
        return turn(command, out);
    }
    let wanted = keys::Wanted {
        site: &options.site.unwrap_or_default(),
        mac: options.mac,
        relay: options.relay.as_deref(),
    };
    let directory = options.directory.unwrap_or_default();
    let fleet = match fleet::compile(&directory, &mut Hashes::default()) {
        Ok(fleet) => fleet,
        Err(found) => return crate::report(&found, out),
    };
    let address = keys::address(&fleet, &options.secret.needed()?, &wanted);
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
    let fleet = fleet.map_err(|found| io::Error::other(crate::joined(&found)))?;
    let generation = match fleet.snapshot.deployment.sites.get(site) {
        Some(Access::Keys(terms)) => terms.generation,
        _ => return Ok(Vec::new()),
    };
    let place = url.map_or_else(|| directory.to_string_lossy(), Into::into);
    let found = place_at(&place, state)?.last_seen_before(site, generation);
    found.map_err(io::Error::other)
}

/// The password itself goes to the standard error: the line may be written into a file.
pub(crate) fn password(
    Password { user, ask }: &Password,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let mut errors = io::stderr();
    let drawn = if *ask {
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

pub(crate) fn token(options: TokenOptions, out: &mut impl Write) -> io::Result<ExitCode> {
    let scope = match options.read {
        true => Scope::Read,
        false => Scope::Write,
    };
    let token = Token {
        scope,
        tenant: options.tenant,
    };
    let token = token.text(&options.secret.needed()?);
    writeln!(out, "{}", token.expose_text().unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}
