//! `handset secret`: secrets of a fleet directory, sealed with a key of the operator's own.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use handset::fleet::sealed;
use handset::fleet::sealed::FleetKey;
use handset::fleet::sealed::Rewritten;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Makes a key, and writes it to a file that nobody else may read
    #[command(after_help = "Example: handset secret key ~/.config/handset/fleet.key")]
    Key {
        /// The file; one that is there is never overwritten
        file: PathBuf,
    },
    /// Brings sealed secrets back into the clear
    ///
    /// In the files, where they stand; without files, prints a value that the standard input has sealed.
    #[command(after_help = "Example: handset secret open fleet/devices/phones.csv")]
    Open {
        /// Files of a fleet directory, .toml and .csv
        files: Vec<PathBuf>,
        /// Print it though a person may look over your shoulder
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        key: KeyFile,
    },
    /// Seals secrets, so that who reads the fleet directory does not read them
    ///
    /// In the files, where they stand; without files, prints what a line of the standard input becomes.
    #[command(
        after_help = "Example: handset secret seal fleet/devices/phones.csv fleet/tenants/*.toml"
    )]
    Seal {
        /// Files of a fleet directory, .toml and .csv
        files: Vec<PathBuf>,
        #[command(flatten)]
        key: KeyFile,
    },
}

/// Where the key of the fleet directory's secrets is.
#[derive(Args, Debug)]
pub(crate) struct KeyFile {
    /// File with the key of sealed secrets (`handset secret key`) [default: the key in the variable HANDSET_FLEET_KEY]
    #[arg(long)]
    key_file: Option<PathBuf>,
}

impl KeyFile {
    /// The key, if one is given.
    pub(crate) fn read(&self) -> io::Result<Option<FleetKey>> {
        let (origin, text) = match &self.key_file {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
                (path.display().to_string(), text)
            }
            None => match std::env::var(VARIABLE) {
                Ok(text) => (VARIABLE.to_owned(), text),
                Err(_) => return Ok(None),
            },
        };
        let key = FleetKey::parse(&text);
        let key = key.map_err(|error| io::Error::other(format!("{origin} {error}")))?;
        Ok(Some(key))
    }

    fn needed(&self) -> io::Result<FleetKey> {
        let problem = "the key of the fleet's secrets is needed: set --key-file or HANDSET_FLEET_KEY \
                       (make one with `handset secret key FILE`)";
        self.read()?.ok_or_else(|| io::Error::other(problem))
    }
}

const VARIABLE: &str = "HANDSET_FLEET_KEY";

pub(crate) fn run(command: SecretCommand, out: &mut impl Write) -> io::Result<ExitCode> {
    match command {
        SecretCommand::Key { file } => make(&file, out),
        SecretCommand::Open { files, show, key } => open(&files, show, &key.needed()?, out),
        SecretCommand::Seal { files, key } => seal(&files, &key.needed()?, out),
    }
}

fn make(file: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    let key = FleetKey::make(random()?);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| named(file, error))?;
    writeln!(opened, "{}", key.expose_text().unwrap_or_default())?;
    opened.sync_all()?;
    let shown = file.display();
    writeln!(
        out,
        "wrote {shown}: keep a copy of it, for nothing else opens what it seals; next: \
         handset secret seal FILE… --key-file {shown}"
    )?;
    Ok(ExitCode::SUCCESS)
}

fn seal(files: &[PathBuf], key: &FleetKey, out: &mut impl Write) -> io::Result<ExitCode> {
    if files.is_empty() {
        let sealed = key.seal(random()?, &line()?);
        let sealed = sealed.ok_or_else(|| io::Error::other("it cannot be sealed"))?;
        writeln!(out, "{sealed}")?;
        return Ok(ExitCode::SUCCESS);
    }
    each(files, "sealed", out, |file, text| {
        sealed::sealed(file, text, key, random)
    })
}

fn open(
    files: &[PathBuf],
    show: bool,
    key: &FleetKey,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    if !files.is_empty() {
        return each(files, "opened", out, |file, text| {
            sealed::opened(file, text, key)
        });
    }
    if io::stdout().is_terminal() && !show {
        let problem = "the secret would stand on the screen: say --show, or send it elsewhere";
        return Err(io::Error::other(problem));
    }
    let opened = key.open(line()?.trim());
    let opened = opened.ok_or_else(|| io::Error::other("it does not open with this key"))?;
    writeln!(out, "{}", opened.expose_text().unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

/// Rewrites all files or, if one of them cannot be, none.
fn each(
    files: &[PathBuf],
    what: &str,
    out: &mut impl Write,
    rewrite: impl Fn(&str, &str) -> Result<Rewritten, String>,
) -> io::Result<ExitCode> {
    let mut done = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| named(file, error))?;
        let rewritten = rewrite(&file.to_string_lossy(), &text);
        let rewritten = rewritten
            .map_err(|problem| io::Error::other(format!("{}: {problem}", file.display())))?;
        done.push((file, rewritten));
    }
    for (file, rewritten) in done {
        if !rewritten.replaced.is_empty() {
            replace(file, &rewritten.text).map_err(|error| named(file, error))?;
        }
        for place in &rewritten.replaced {
            writeln!(out, "{what}: {}: {place}", file.display())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever reads the file meanwhile reads the old one or the new one. It stays as open to others as it was.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // Behind a link stands the file that is meant.
    let file = fs::canonicalize(file)?;
    let mut beside = file.clone().into_os_string();
    beside.push(".new");
    let permissions = fs::metadata(&file)?.permissions();
    let written = || {
        let mut options = OpenOptions::new();
        let mut new = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        new.write_all(text.as_bytes())?;
        new.set_permissions(permissions)?;
        new.sync_all()?;
        fs::rename(&beside, &file)
    };
    written().inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// A line of the standard input, without its end.
fn line() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut random = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random)
}

fn named(file: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}
