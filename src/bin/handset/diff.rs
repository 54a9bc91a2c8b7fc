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
use handset::fleet::diff::Difference;
use handset::fleet::published;
use handset::fleet::sealed::FleetKey;

use crate::push::Trust;
use crate::secret::KeyFile;

/// Says which phones' files change if this fleet directory takes the place of another, or of what a server has
/// published, file by file
///
/// Secrets are not shown, only that they change. Exit codes: 0 nothing changes, 1 something does, 2 could not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: git worktree add /tmp/before main && handset diff fleet --against /tmp/before/fleet"
)]
pub(crate) struct Diff {
    /// The fleet directory that is to be published
    directory: PathBuf,
    /// The fleet directory to compare with, or the address of a server (the token is taken from HANDSET_TOKEN)
    #[arg(long, value_name = "DIRECTORY|URL")]
    against: String,
    /// Only this site; may be said several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// The publication of a server's site to compare with, instead of the one that phones get: the one before it, or the
    /// canary
    #[arg(long, requires = "sites", value_name = "NUMBER")]
    publication: Option<u64>,
    /// Only how many phones change, by site and vendor
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    key: KeyFile,
}

pub(crate) fn run(options: &Diff, out: &mut impl Write) -> io::Result<ExitCode> {
    let mut hashes = Hashes::default();
    let key = options.key.read()?;
    let mut new = compile(&options.directory, &mut hashes, key.as_ref())?;
    let old = if options.against.contains("://") {
        let server = options.trust.server(&options.against)?;
        let published = published::beside(&server, &new, &options.sites, options.publication);
        // 1 would say that something changes.
        published.map_err(|trouble| io::Error::other(trouble.to_string()))?
    } else {
        let mut old = compile(Path::new(&options.against), &mut hashes, key.as_ref())?;
        old.retain_sites(&options.sites);
        old
    };
    new.retain_sites(&options.sites);
    let difference = diff::diff(&old, &new);
    show(&difference, options.summary, out)
}

fn show(difference: &Difference, summary: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    if difference.is_empty() {
        writeln!(out, "nothing changes for any phone")?;
        return Ok(ExitCode::SUCCESS);
    }
    out.write_all(difference.table().as_bytes())?;
    if !summary {
        for change in &difference.changes {
            let shown = coloured(&change.to_string(), crate::is_coloured());
            write!(out, "\n{shown}")?;
        }
    }
    Ok(ExitCode::FAILURE)
}

/// A fleet directory that does not compile cannot be compared, whichever of the two it is.
fn compile(directory: &Path, hashes: &mut Hashes, key: Option<&FleetKey>) -> io::Result<Fleet> {
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
