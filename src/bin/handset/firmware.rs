//! `handset firmware`.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use handset::fleet::firmware;
use handset::fleet::firmware::Added;
use handset::fleet::firmware::Order;

#[derive(Debug, Subcommand)]
pub(crate) enum Firmware {
    Add(Add),
}

/// Takes the images and the version file out of a release package; never its sample configurations
///
/// Nothing is written unless all of it is sound. Exit codes: 0 added, 1 something is wrong with the package, 2 could
/// not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: handset firmware add fleet polycom 5.9.7 UC_Software_5_9_7_release_sig_split.zip"
)]
pub(crate) struct Add {
    /// The fleet directory
    directory: PathBuf,
    /// The vendor, as its folder in firmware/ is called
    vendor: String,
    /// The version, as pins name it
    version: String,
    /// Release packages (zip), or single images under the names that their maker gave them
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// Replace other bytes of the same name
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(command: &Firmware, out: &mut impl Write) -> io::Result<ExitCode> {
    let Firmware::Add(options) = command;
    let order = Order {
        directory: &options.directory,
        vendor: &options.vendor,
        version: &options.version,
        sources: &options.sources,
        replace: options.replace,
        largest: firmware::LARGEST_IMAGE,
    };
    match firmware::add(&order) {
        Ok(added) => report(options, &added, out),
        Err(problem) => crate::fail(&problem),
    }
}

fn report(options: &Add, added: &Added, out: &mut impl Write) -> io::Result<ExitCode> {
    let (vendor, version) = (&options.vendor, &options.version);
    for (name, length) in &added.written {
        writeln!(
            out,
            "added    firmware/{vendor}/{version}/{name} ({length} bytes)"
        )?;
    }
    for name in &added.same {
        writeln!(out, "same     firmware/{vendor}/{version}/{name}")?;
    }
    if added.left_out > 0 {
        let files = crate::several(added.left_out, "file");
        writeln!(out, "left out {files} that are no images")?;
    }
    if !added.covered.is_empty() {
        writeln!(out, "covered  {}", added.covered.join(", "))?;
    }
    if !added.missing.is_empty() {
        writeln!(
            out,
            "missing  {} (phones of this fleet)",
            added.missing.join(", ")
        )?;
    }
    for note in &added.notes {
        writeln!(out, "note     {note}")?;
    }
    writeln!(
        out,
        "next     pin it: [firmware] {vendor} = \"{version}\", then handset check"
    )?;
    Ok(ExitCode::SUCCESS)
}
