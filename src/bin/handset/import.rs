//! `handset import` and `handset export`.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::export;
use handset::fleet::finding::Severity;
use handset::fleet::import;
use handset::fleet::import::Defaults;
use handset::fleet::report;

/// Takes over phones from a table, from another server's directory, or from FusionPBX; shows them, and then writes them
///
/// Without --commit nothing is written. An import is a device table of its own, and files where there were none; nothing
/// that is there is touched. Exit codes: 0 done, 1 something is wrong with what came, 2 could not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: handset import fleet phones.csv --site hq --map mac=\"Serial number\" --commit"
)]
pub(crate) struct Import {
    /// The fleet directory
    directory: PathBuf,
    /// A table (CSV), or the root directory that phones were served from
    source: PathBuf,
    /// What it is [default: files for a directory, else csv]
    #[arg(long, value_enum)]
    from: Option<From>,
    /// The site of phones that name none
    #[arg(long)]
    site: Option<String>,
    /// The model of phones that name none; once for each vendor
    #[arg(long)]
    model: Vec<String>,
    /// A column: ours, and its name in the table
    #[arg(long, value_name = "OURS=THEIRS", value_parser = pair)]
    map: Vec<(String, String)>,
    /// The name of the device table that is written [default: the source's]
    #[arg(long)]
    table: Option<String>,
    /// Write it
    #[arg(long)]
    commit: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    Csv,
    Files,
    Fusionpbx,
}

/// Prints a fleet's devices as one table, passwords included
///
/// `handset import` takes it back. Exit codes: 0 printed, 1 the fleet directory is wrong, 2 could not run.
#[derive(Args, Debug)]
#[command(after_help = "Example: handset export fleet --site hq > hq.csv")]
pub(crate) struct Export {
    /// The fleet directory
    directory: PathBuf,
    /// Only this site's
    #[arg(long)]
    site: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (ours, theirs) = text
        .split_once('=')
        .ok_or("write OURS=THEIRS, such as mac=\"Serial number\"")?;
    Ok((ours.to_owned(), theirs.to_owned()))
}

pub(crate) fn export(options: &Export, out: &mut impl Write) -> io::Result<ExitCode> {
    match fleet::compile(&options.directory, &mut Hashes::default()) {
        Ok(fleet) => {
            let devices = export::devices(&fleet, options.site.as_deref());
            out.write_all(export::table(&devices).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => crate::report(&found, out),
    }
}

pub(crate) fn run(options: &Import, out: &mut impl Write) -> io::Result<ExitCode> {
    let defaults = Defaults {
        site: options.site.clone(),
        models: options.model.clone(),
        map: options.map.clone(),
    };
    let mut import = read(options, &defaults)?;
    if let Err(found) = import::check(&mut import, &options.directory, &defaults) {
        return crate::report(&found, out);
    }
    preview(&import, out)?;
    write!(out, "{}", report::text(&import.found, crate::is_coloured()))?;
    if import
        .found
        .iter()
        .any(|found| found.severity == Severity::Error)
    {
        writeln!(out, "nothing is written before that is mended")?;
        return Ok(ExitCode::FAILURE);
    }
    if !options.commit {
        writeln!(out, "nothing is written yet: add --commit")?;
        return Ok(ExitCode::SUCCESS);
    }
    for path in import::commit(&import, &options.directory, &table_name(options))? {
        writeln!(out, "wrote    {path}")?;
    }
    writeln!(
        out,
        "next     handset check {}",
        options.directory.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn read(options: &Import, defaults: &Defaults) -> io::Result<import::Import> {
    let source = &options.source;
    let usual = match source.is_dir() {
        true => From::Files,
        false => From::Csv,
    };
    let from = options.from.unwrap_or(usual);
    let file = source.display().to_string();
    Ok(match from {
        From::Files => import::read_root(source, defaults),
        From::Csv => import::read_table(&file, &text(source)?, defaults),
        From::Fusionpbx => import::read_fusionpbx(&file, &text(source)?),
    })
}

fn text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| {
        let problem = format!("{}: {error}; a table is text in UTF-8", path.display());
        io::Error::new(error.kind(), problem)
    })
}

/// A file's name without its ending, as far as it can stand in one.
fn table_name(options: &Import) -> String {
    let own = options.source.file_stem().and_then(|name| name.to_str());
    let name = options.table.as_deref().or(own).unwrap_or("imported");
    let plain = |c: char| match c {
        _ if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => c,
        _ => '-',
    };
    name.chars().map(plain).collect()
}

fn preview(import: &import::Import, out: &mut impl Write) -> io::Result<()> {
    for (theirs, ours) in &import.columns {
        match ours {
            Some(ours) => writeln!(out, "column   {theirs} is {ours}")?,
            None => writeln!(out, "column   {theirs} is left out")?,
        }
    }
    writeln!(out, "phones   {}", import.rows.len())?;
    for row in import.rows.iter().take(SHOWN) {
        writeln!(out, "         {}", row.shown())?;
    }
    if import.rows.len() > SHOWN {
        writeln!(out, "         and {} more", import.rows.len() - SHOWN)?;
    }
    for to in import.files.keys().chain(import.texts.keys()) {
        writeln!(out, "file     {to}")?;
    }
    for (file, reason) in &import.left {
        writeln!(out, "left out {file}: {reason}")?;
    }
    Ok(())
}

/// Phones that a preview shows.
const SHOWN: usize = 5;
