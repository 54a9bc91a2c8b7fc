//! `handset check`.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::report;

use crate::secret::KeyFile;

/// Reads a fleet directory, renders every file of every phone and says what is wrong
///
/// Each finding has a code, explained in docs/check.md. Exit codes: 0 nothing that keeps phones from being served, 1 an
/// error (with --deny-warnings, a warning), 2 could not run.
#[derive(Args, Debug)]
#[command(after_help = "Example: handset check fleet --format sarif > handset.sarif")]
pub(crate) struct Check {
    /// The fleet directory
    directory: PathBuf,
    /// For people, for programs, or for code hosts
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Warnings count as errors
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Sarif,
    Text,
}

/// Prints what is found.
pub(crate) fn run(options: &Check, out: &mut impl Write) -> io::Result<ExitCode> {
    let key = options.key.read()?;
    let compiled = fleet::compile_with(&options.directory, &mut Hashes::default(), key.as_ref());
    let found = match compiled {
        Ok(fleet) => {
            if matches!(options.format, Format::Text) {
                writeln!(out, "{}", crate::summary(&fleet))?;
            }
            fleet::check::check(&fleet)
        }
        Err(found) => found,
    };
    match options.format {
        Format::Json => writeln!(out, "{:#}", report::json(&found))?,
        Format::Sarif => writeln!(out, "{:#}", report::sarif(&found))?,
        Format::Text => write!(out, "{}", report::text(&found, crate::is_coloured()))?,
    }
    let counts = report::counts(&found);
    let denied = options.deny_warnings && counts.warnings > 0;
    Ok(match counts.errors {
        0 if !denied => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
