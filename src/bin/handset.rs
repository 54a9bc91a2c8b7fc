//! `handset`: the operator's tool, the native server and the phone simulator.
//!
//! Exit codes: 0 done, 1 found something wrong, 2 could not run.
#![forbid(unsafe_code)]

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::diagnostic::Severity;

/// The provisioning server for desk phones that runs at the edge.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads a fleet directory, renders every file of every phone and says what is wrong
    Check {
        /// The fleet directory
        directory: PathBuf,
    },
    /// Writes a commented fleet directory to start from
    Init {
        /// A directory that is empty or does not exist
        directory: PathBuf,
    },
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
        Command::Check { directory } => check(&directory, out),
        Command::Init { directory } => init(&directory, out),
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

fn check(directory: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    let found = match fleet::compile(directory, &mut Hashes::default()) {
        Ok(fleet) => {
            let found = fleet::check::check(&fleet);
            writeln!(out, "{}", summary(&fleet))?;
            found
        }
        Err(found) => found,
    };
    report(&found, out)
}

/// Prints findings; exit code 1 if an error is among them.
fn report(found: &[Diagnostic], out: &mut impl Write) -> io::Result<ExitCode> {
    for diagnostic in found {
        writeln!(out, "{diagnostic}")?;
    }
    let count = |severity| {
        found
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors + warnings > 0 {
        writeln!(out, "{errors} errors, {warnings} warnings")?;
    }
    Ok(if errors > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn summary(fleet: &Fleet) -> String {
    let snapshot = &fleet.snapshot;
    let (devices, sites) = (fleet.devices.len(), snapshot.sites.len());
    format!(
        "{devices} devices in {sites} sites, {} images and resources",
        snapshot.files.len()
    )
}
