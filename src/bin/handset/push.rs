//! `handset push`, `releases`, `rollback` and `canary`: what a running server publishes.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use handset::date;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::finding::Severity;
use handset::fleet::push::Report;
use handset::fleet::push::Wish;
use handset::fleet::push::deployment::Outcome;
use handset::fleet::push::preview::Preview;
use handset::fleet::push::preview::preview;
use handset::fleet::push::published;
use handset::fleet::push::push;
use handset::fleet::push::standing;
use handset::fleet::report;
use handset::fleet::server::Trouble;
use handset::mac::MacAddress;
use handset::platform::native::operate::remote::Remote;
use handset::publish::SiteState;
use handset::site::Chosen;

use crate::progress::Bars;
use crate::secret::KeyFile;
use crate::several;

/// Publishes a fleet directory to a running server
///
/// Sends what changed, writes the new settings beside the old ones, and then tells each site's phones of them. Until
/// that last step phones get what they got before; a push that was interrupted is finished by pushing again. What
/// phones wrote (uploads, last contacts, enrolment) is never touched.
///
/// Exit codes: 0 published, 1 the fleet directory is wrong or the server refused, 2 could not run.
#[derive(Args, Debug)]
#[command(after_help = "Example: handset push fleet --to https://prov.example.net --canary 10%")]
pub(crate) struct Push {
    /// The fleet directory
    directory: PathBuf,
    /// Address of the server; the token is taken from HANDSET_TOKEN
    #[arg(long, value_name = "URL")]
    to: String,
    /// Only this site; may be said several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Only these devices, or so many of a hundred, until `handset canary promote`: MAC,MAC,… or 10%
    #[arg(long, value_parser = canary, value_name = "MAC,…|PERCENT%")]
    canary: Option<Chosen>,
    /// Give up a push of somebody else's that is under way
    #[arg(long)]
    take_over: bool,
    /// Take sites away that the fleet directory does not have
    #[arg(long, conflicts_with_all = ["sites", "canary"])]
    remove: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    key: KeyFile,
}

/// Lists what a server's sites have published, or the publications of one site
#[derive(Args, Debug)]
#[command(after_help = "Example: handset releases https://prov.example.net hq")]
pub(crate) struct Releases {
    /// Address of the server; the token is taken from HANDSET_TOKEN
    url: String,
    /// The site
    site: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: Trust,
}

/// Brings a site back to what it published before
#[derive(Args, Debug)]
#[command(after_help = "Example: handset rollback https://prov.example.net hq")]
pub(crate) struct Rollback {
    /// Address of the server; the token is taken from HANDSET_TOKEN
    url: String,
    /// The site
    site: String,
    #[command(flatten)]
    trust: Trust,
}

/// A publication that only some devices get (`handset push --canary`)
#[derive(Debug, Subcommand)]
pub(crate) enum Canary {
    /// Takes it back: its devices get what the others get
    #[command(after_help = "Example: handset canary abandon https://prov.example.net hq")]
    Abandon(CanaryOf),
    /// Gives it to every device of the site
    #[command(after_help = "Example: handset canary promote https://prov.example.net hq")]
    Promote(CanaryOf),
}

#[derive(Args, Debug)]
pub(crate) struct CanaryOf {
    /// Address of the server; the token is taken from HANDSET_TOKEN
    url: String,
    /// The site
    site: String,
    #[command(flatten)]
    trust: Trust,
}

/// Whom to believe that they are the server.
#[derive(Args, Debug)]
pub(crate) struct Trust {
    /// PEM file with the authorities of a server whose certificate is of its operator's own making
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Trust {
    /// The server of this address. The token stands in the environment: what is an argument, every process of the
    /// machine can read.
    pub(crate) fn server(&self, url: &str) -> io::Result<Remote> {
        let token = std::env::var("HANDSET_TOKEN").map_err(|_| {
            let problem = "a token is needed: set HANDSET_TOKEN to what `handset token` prints";
            io::Error::other(problem)
        })?;
        Remote::new(url, &token, self.ca.as_deref()).map_err(io::Error::other)
    }
}

pub(crate) fn run(options: Push, out: &mut impl Write) -> io::Result<ExitCode> {
    let server = options.trust.server(&options.to)?;
    let fleet = match valid(&options)? {
        Ok(fleet) => fleet,
        Err(found) => return crate::report(&found, out),
    };
    let wish = Wish {
        sites: options.sites,
        canary: options.canary,
        take_over: options.take_over,
        remove: options.remove,
    };
    if options.dry_run {
        let preview = match preview(&server, &fleet, &wish) {
            Ok(preview) => preview,
            Err(trouble) => return troubled(&trouble),
        };
        match options.json {
            true => writeln!(out, "{:#}", serde_json::to_value(&preview)?)?,
            false => show_preview(&preview, out)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let bars = Bars::new();
    let pushed = push(&server, &fleet, &wish, &bars);
    bars.finish();
    match pushed {
        Ok(report) if options.json => writeln!(out, "{:#}", serde_json::to_value(&report)?)?,
        Ok(report) => show_report(&report, &wish, out)?,
        Err(trouble) => return troubled(&trouble),
    }
    Ok(ExitCode::SUCCESS)
}

/// The fleet, if there is nothing in it that keeps phones from being served.
fn valid(options: &Push) -> io::Result<Result<Fleet, Vec<Diagnostic>>> {
    let key = options.key.read()?;
    let compiled =
        fleet::compile_to_serve(&options.directory, &mut Hashes::default(), key.as_ref());
    let fleet = match compiled {
        Ok(fleet) => fleet,
        Err(found) => return Ok(Err(found)),
    };
    let found = fleet::check::check(&fleet);
    if report::counts(&found).errors == 0 {
        return Ok(Ok(fleet));
    }
    let errors = found
        .into_iter()
        .filter(|it| it.severity == Severity::Error && it.silenced.is_none());
    Ok(Err(errors.collect()))
}

fn show_preview(preview: &Preview, out: &mut impl Write) -> io::Result<()> {
    let width = widest(preview.sites.iter().map(|site| site.site.as_str()));
    writeln!(
        out,
        "{:<width$}  {:>11}  {:>7}  {:>7}  {:>7}  shared",
        "site", "publication", "devices", "written", "gone"
    )?;
    for site in &preview.sites {
        let shared = match (site.base, site.release) {
            (0, _) => "new site",
            (_, true) => "templates, images or settings change",
            (_, false) => "as it is",
        };
        writeln!(
            out,
            "{:<width$}  {:>11}  {:>7}  {:>7}  {:>7}  {shared}",
            site.site,
            site.base,
            site.count,
            site.devices.write.len(),
            site.devices.gone.len()
        )?;
    }
    for (path, length) in &preview.images {
        writeln!(out, "to be sent: {path}, {}", bytes(*length))?;
    }
    left_over(&preview.left_over, false, out)
}

fn show_report(report: &Report, wish: &Wish, out: &mut impl Write) -> io::Result<()> {
    for site in &report.sites {
        let name = &site.site;
        if site.unchanged {
            writeln!(out, "{name}: nothing changes, publication {}", site.number)?;
            continue;
        }
        let written = several(site.written, "device");
        let gone = match site.gone {
            0 => String::new(),
            gone => format!(", {} gone", several(gone, "device")),
        };
        let what = match wish.canary {
            Some(_) => "is a canary beside",
            None => "takes the place of",
        };
        let (number, base) = (site.number, site.base);
        writeln!(
            out,
            "{name}: publication {number} {what} {base}: {written} new or changed{gone}"
        )?;
    }
    if report.images > 0 {
        let images = several(report.images, "image or resource file");
        writeln!(out, "sent {images}, {}", bytes(report.bytes))?;
    }
    match report.deployment {
        Outcome::Changed => writeln!(out, "hosts, sites or who may read changed")?,
        Outcome::OutOfReach => writeln!(
            out,
            "hosts and who may read were left alone: they take a token of the deployment's own"
        )?,
        Outcome::Same => {}
    }
    left_over(&report.left_over, report.removed, out)
}

fn left_over(sites: &[String], removed: bool, out: &mut impl Write) -> io::Result<()> {
    let sites_shown = sites.join(", ");
    match (sites.is_empty(), removed) {
        (true, _) => Ok(()),
        (false, true) => writeln!(out, "taken away: {sites_shown}"),
        (false, false) => writeln!(
            out,
            "left alone, for the fleet directory does not have them: {sites_shown} (--remove takes them away)"
        ),
    }
}

pub(crate) fn releases(options: &Releases, out: &mut impl Write) -> io::Result<ExitCode> {
    let server = options.trust.server(&options.url)?;
    match &options.site {
        Some(site) => publications(&server, site, options.json, out),
        None => sites(&server, options.json, out),
    }
}

fn sites(server: &Remote, json: bool, out: &mut impl Write) -> io::Result<ExitCode> {
    let sites = match published(server) {
        Ok(sites) => sites,
        Err(trouble) => return troubled(&trouble),
    };
    if json {
        let sites: Vec<_> = sites.into_values().collect();
        writeln!(out, "{:#}", serde_json::to_value(sites)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = widest(sites.keys().map(String::as_str));
    writeln!(out, "{:<width$}  {:>11}  release", "site", "publication")?;
    for (name, site) in &sites {
        let release = site.release.as_ref().map_or("-", |id| id.0.as_str());
        writeln!(out, "{name:<width$}  {:>11}  {release}", site.publication)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn publications(
    server: &Remote,
    site: &str,
    json: bool,
    out: &mut impl Write,
) -> io::Result<ExitCode> {
    let lines = match standing::publications(server, site) {
        Ok(lines) => lines,
        Err(trouble) => return troubled(&trouble),
    };
    if json {
        writeln!(out, "{:#}", serde_json::to_value(lines)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "{:>11}  {:<8}  {:<29}  {:<32}  by",
        "publication", "state", "published", "release"
    )?;
    for line in lines {
        let at = date::format(line.at / 1000).unwrap_or_default();
        let by = line.by.as_deref().unwrap_or("the deployment's token");
        writeln!(
            out,
            "{:>11}  {:<8}  {at:<29}  {:<32}  {by}",
            line.number,
            line.state,
            line.release.to_string()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn rollback(options: &Rollback, out: &mut impl Write) -> io::Result<ExitCode> {
    let server = options.trust.server(&options.url)?;
    changed(standing::rollback(&server, &options.site), out)
}

pub(crate) fn canary_command(command: &Canary, out: &mut impl Write) -> io::Result<ExitCode> {
    let (of, end): (_, fn(&Remote, &str) -> _) = match command {
        Canary::Abandon(of) => (of, standing::abandon),
        Canary::Promote(of) => (of, standing::promote),
    };
    let server = of.trust.server(&of.url)?;
    changed(end(&server, &of.site), out)
}

fn changed(state: Result<SiteState, Trouble>, out: &mut impl Write) -> io::Result<ExitCode> {
    match state {
        Ok(state) => writeln!(out, "{}: publication {}", state.site, state.publication)?,
        Err(trouble) => return troubled(&trouble),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what went wrong; exit code 1 if the server or the fleet said no, 2 if there was no server to ask.
pub(crate) fn troubled(trouble: &Trouble) -> io::Result<ExitCode> {
    match trouble {
        Trouble::Lost(problem) => Err(io::Error::other(problem.clone())),
        Trouble::Own(_) | Trouble::Refused { .. } => crate::fail(&trouble.to_string()),
    }
}

/// Reads who are the canaries: addresses with commas between, or `10%`.
fn canary(text: &str) -> Result<Chosen, String> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent = percent
            .parse::<u8>()
            .ok()
            .filter(|it| (1..=100).contains(it));
        let remedy = "say a whole number of percent, 1% to 100%";
        return percent
            .map(Chosen::Percent)
            .ok_or_else(|| remedy.to_owned());
    }
    let macs: Result<Vec<MacAddress>, String> = text
        .split(',')
        .map(|mac| {
            mac.trim()
                .parse()
                .map_err(|error| format!("{mac:?}: {error}"))
        })
        .collect();
    macs.map(Chosen::Devices)
}

fn widest<'t>(names: impl Iterator<Item = &'t str>) -> usize {
    names
        .map(str::len)
        .max()
        .unwrap_or_default()
        .max("site".len())
}

/// "1.5 MB".
pub(crate) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use handset::site::Chosen;

    use super::canary;

    #[test]
    fn canaries_are_addresses_or_percent() {
        let one = "0004f2000500".parse().unwrap();
        let two = "00908f000420".parse().unwrap();
        for (text, expected) in [
            ("10%", Some(Chosen::Percent(10))),
            ("100%", Some(Chosen::Percent(100))),
            ("0004f2000500", Some(Chosen::Devices(vec![one]))),
            (
                "00:04:f2:00:05:00, 00-90-8F-00-04-20",
                Some(Chosen::Devices(vec![one, two])),
            ),
            ("0%", None),
            ("101%", None),
            ("10", None),
            ("", None),
            ("0004f2000500,", None),
        ] {
            assert_eq!(canary(text).ok(), expected, "{text}");
        }
    }
}
