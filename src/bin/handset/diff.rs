//! `handset diff`.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::diff;
use handset::fleet::sealed::FleetKey;

use crate::secret::KeyFile;

/// Says which phones' files change if this fleet directory takes the place of another, file by file
///
/// Secrets are not shown, only that they change. Exit codes: 0 nothing changes, 1 something does, 2 could not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: git worktree add /tmp/before main && handset diff fleet --against /tmp/before/fleet"
)]
pub(crate) struct Diff {
    /// The fleet directory that is to be published
    directory: PathBuf,
    /// The fleet directory to compare with
    #[arg(long, value_name = "DIRECTORY")]
    against: PathBuf,
    /// Only how many phones change, by site and vendor
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    key: KeyFile,
}

pub(crate) fn run(options: &Diff, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut hashes = Hashes::default();
    let key = options.key.read()?;
    let old = compile(&options.against, &mut hashes, key.as_ref())?;
    let new = compile(&options.directory, &mut hashes, key.as_ref())?;
    let difference = diff::diff(&old, &new);
    if difference.is_empty() {
        writeln!(out, "nothing changes for any phone")?;
        return Ok(ExitCode::SUCCESS);
    }
    out.write_all(difference.table().as_bytes())?;
    if !options.summary {
        for change in &difference.changes {
            write!(
                out,
                "\n{}",
                coloured(&change.to_string(), crate::is_coloured())
            )?;
        }
    }
    Ok(ExitCode::FAILURE)
}

/// A fleet directory that does not compile cannot be compared, whichever of the two it is.
fn compile(directory: &Path, hashes: &mut Hashes, key: Option<&FleetKey>) -> io::Result<Fleet> {
    if directory.to_string_lossy().contains("://") {
        let problem = "comparing with a server is not there yet: give a fleet directory, such as a git worktree";
        return Err(io::Error::other(problem));
    }
    fleet::compile_with(directory, hashes, key).map_err(|found: Vec<Diagnostic>| {
        let shown = directory.display();
        let problem = format!("{shown} does not compile:\n{}", crate::joined(&found));
        io::Error::other(problem)
    })
}

/// As diffs are coloured everywhere: red for what goes, green for what comes.
fn coloured(text: &str, wanted: bool) -> String {
    let colour = |line: &str| match line.get(..1) {
        Some("-") => Some("31"),
        Some("+") => Some("32"),
        Some("#") => Some("1"),
        Some("@") => Some("36"),
        _ => None,
    };
    let lines = text
        .split_inclusive('\n')
        .map(|line| match colour(line).filter(|_| wanted) {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m\n", line.trim_end_matches('\n')),
            None => line.to_owned(),
        });
    lines.collect()
}
