//! `handset status` and `handset logs`: what phones did last, and what they uploaded of it.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use clap::Args;
use handset::date;
use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::drift::Effect;
use handset::fleet::drift::Local;
use handset::fleet::published;
use handset::fleet::push;
use handset::fleet::server::Request;
use handset::fleet::server::Server;
use handset::fleet::server::Trouble;
use handset::fleet::server::download;
use handset::fleet::status::Row;
use handset::fleet::status::Seen;
use handset::fleet::status::Since;
use handset::fleet::status::asked;
use handset::fleet::status::tally;
use handset::mac::MacAddress;
use handset::path::RequestPath;
use handset::platform::native::operate;
use handset::platform::native::operate::Beside;
use handset::publish::UploadLine;
use handset::vendor;
use handset::vendor::FileKind;
use http::Method;

use crate::push::Trust;
use crate::push::bytes;
use crate::push::troubled;
use crate::state_of;

/// Says of each phone when it began its last boot, with which software, and what asks for attention
///
/// Those that knock come first, then those that were never seen and those that have not come for long.
#[derive(Args, Debug)]
#[command(after_help = "Example: handset status --url https://prov.example.net --site hq --drift")]
pub(crate) struct Status {
    #[command(flatten)]
    place: Place,
    /// Only this site; may be said several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// A phone is stale that has not begun a boot for so long: 12h, 7d
    #[arg(long, default_value = "30d", value_parser = operate::minutes, value_name = "TIME")]
    stale_after: u32,
    /// Also which settings of its own each phone prefers to what it is given; reads what each has uploaded
    #[arg(long)]
    drift: bool,
    /// As JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As a table for spreadsheets
    #[arg(long)]
    csv: bool,
}

/// Prints the logs that a phone has uploaded
#[derive(Args, Debug)]
#[command(
    after_help = "Example: handset logs 0004f2000500 --url https://prov.example.net --site hq"
)]
pub(crate) struct Logs {
    /// The phone's hardware address
    mac: MacAddress,
    #[command(flatten)]
    place: Place,
    /// The phone's site, where a server is asked
    #[arg(long)]
    site: Option<String>,
    /// Only the file whose name has this in it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Every version that is kept, the oldest first, and not the newest alone
    #[arg(long)]
    all: bool,
    /// Only the names, times and sizes
    #[arg(long)]
    list: bool,
}

/// Where phones' states are.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Address of a running server; the token is taken from HANDSET_TOKEN
    #[arg(long, required_unless_present = "dir", conflicts_with = "dir")]
    url: Option<String>,
    /// A fleet directory, with the state of its phones beside it
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The state directory [default: DIR/state]
    #[arg(long, conflicts_with = "url")]
    state: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

impl Place {
    /// Where it is if it is no server.
    fn directory(&self) -> &Path {
        self.dir.as_deref().unwrap_or_else(|| Path::new("."))
    }
}

pub(crate) fn status(options: &Status, out: &mut impl Write) -> io::Result<ExitCode> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let fresh = Since(now.saturating_sub(u64::from(options.stale_after) * 60_000));
    let found = match &options.place.url {
        Some(url) => of_server(options, url, fresh)?,
        None => of_directory(options, fresh)?,
    };
    let mut rows = match found {
        Ok(rows) => rows,
        Err(trouble) => return troubled(&trouble),
    };
    rows.sort_by(|a, b| (&a.site, a.seen, a.mac).cmp(&(&b.site, b.seen, b.mac)));
    match (options.json, options.csv) {
        (true, _) => writeln!(out, "{:#}", serde_json::to_value(&rows)?)?,
        (_, true) => table(&rows, out)?,
        _ => show(&rows, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

type Found = Result<Vec<Row>, Trouble>;

fn of_server(options: &Status, url: &str, fresh: Since) -> io::Result<Found> {
    let server = options.place.trust.server(url)?;
    let rows = || {
        let sites = match options.sites.is_empty() {
            true => push::visible(&server)?,
            false => options.sites.clone(),
        };
        let mut rows = asked::of_server(&server, &sites, fresh)?;
        if options.drift {
            let fleet = published::fetch(&server, &sites)?;
            asked::add_drift(&server, &fleet, &mut rows)?;
        }
        Ok(rows)
    };
    Ok(rows())
}

fn of_directory(options: &Status, fresh: Since) -> io::Result<Found> {
    let directory = options.place.directory();
    let fleet = compile(directory)?;
    // The store takes a snapshot of its own.
    let beside = Beside::new(
        compile(directory)?,
        &state_of(directory, options.place.state.as_deref()),
    );
    let beside = operate::Place::Directory(Box::new(beside.map_err(io::Error::other)?));
    let known: Vec<String> = fleet.snapshot.sites.keys().cloned().collect();
    let unknown = options.sites.iter().find(|site| !known.contains(site));
    if let Some(unknown) = unknown {
        let problem = format!("the fleet directory has no site {unknown:?}");
        return Ok(Err(Trouble::Own(problem)));
    }
    let sites = match options.sites.is_empty() {
        true => known,
        false => options.sites.clone(),
    };
    let rows = || {
        let mut rows = asked::of_fleet(&beside, &fleet, &sites, fresh)?;
        if options.drift {
            asked::add_drift(&beside, &fleet, &mut rows)?;
        }
        Ok(rows)
    };
    Ok(rows())
}

fn compile(directory: &Path) -> io::Result<Fleet> {
    let compiled = fleet::compile(directory, &mut Hashes::default());
    compiled.map_err(|found| io::Error::other(crate::joined(&found)))
}

fn show(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let longest = |text: fn(&Row) -> &str, head: &str| {
        let widths = rows.iter().map(|row| text(row).len());
        widths.max().unwrap_or_default().max(head.len())
    };
    let site = longest(|row| &row.site, "site");
    let model = longest(|row| row.model.as_deref().unwrap_or("-"), "model");
    let firmware = longest(|row| row.firmware.as_deref().unwrap_or("-"), "firmware");
    writeln!(
        out,
        "{:<site$}  {:<12}  {:<model$}  {:<10}  {:<29}  {:<firmware$}  {:>7}  {:<9}  notes",
        "site", "mac", "model", "state", "last contact", "firmware", "fetched", "enrolment"
    )?;
    for row in rows {
        let last = row.last_contact.and_then(|at| date::format(at / 1000));
        let fetched = row.fetched.map(|number| number.to_string());
        writeln!(
            out,
            "{:<site$}  {:<12}  {:<model$}  {:<10}  {:<29}  {:<firmware$}  {:>7}  {:<9}  {}",
            row.site,
            row.mac.to_string(),
            row.model.as_deref().unwrap_or("-"),
            row.seen,
            last.as_deref().unwrap_or("-"),
            row.firmware.as_deref().unwrap_or("-"),
            fetched.as_deref().unwrap_or("-"),
            row.enrolment.as_deref().unwrap_or("-"),
            notes(row)
        )?;
    }
    let tally = tally(rows);
    let counted = Seen::ALL
        .iter()
        .filter_map(|seen| Some(format!("{} {seen}", tally.get(seen)?)));
    let counted: Vec<String> = counted.collect();
    let devices = crate::several(rows.len(), "device");
    match counted.is_empty() {
        true => writeln!(out, "{devices}"),
        false => writeln!(out, "{devices}: {}", counted.join(", ")),
    }
}

/// What asks for attention, in words.
fn notes(row: &Row) -> String {
    let mut notes = Vec::new();
    notes.extend(row.refused.clone());
    notes.extend(
        row.says_model
            .as_ref()
            .map(|model| format!("says it is a {model}")),
    );
    let pinned = row.pinned.as_ref();
    notes.extend(pinned.map(|version| format!("pinned to {version}")));
    notes.extend(row.drift.iter().flatten().filter_map(local));
    notes.join("; ")
}

/// A setting of the phone's own, unless it does nothing.
fn local(local: &Local) -> Option<String> {
    let (name, value) = (&local.parameter, &local.local);
    match local.effect {
        Effect::Adds => Some(format!("{name}={value} of its own")),
        Effect::Defeats => {
            let given = local.given.as_deref().unwrap_or_default();
            Some(format!("{name}={value} defeats {given}"))
        }
        Effect::Unknown => Some(format!(
            "{name}={value} may defeat a value that is not shown"
        )),
        Effect::Repeats => None,
    }
}

fn table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record([
        "site",
        "mac",
        "model",
        "says_model",
        "state",
        "last_contact",
        "firmware",
        "pinned",
        "fetched",
        "enrolment",
        "refused",
        "user_agent",
        "defeated",
    ])?;
    for row in rows {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let last = row.last_contact.map(|at| {
            let time = UNIX_EPOCH + std::time::Duration::from_millis(at);
            handset::platform::native::log::rfc3339(time)
        });
        let defeated: Vec<&str> = row.defeats().map(|it| it.parameter.as_str()).collect();
        table.write_record([
            row.site.clone(),
            row.mac.to_string(),
            text(&row.model),
            text(&row.says_model),
            row.seen.word().to_owned(),
            last.unwrap_or_default(),
            text(&row.firmware),
            text(&row.pinned),
            row.fetched
                .map(|number| number.to_string())
                .unwrap_or_default(),
            text(&row.enrolment),
            text(&row.refused),
            text(&row.user_agent),
            defeated.join(" "),
        ])?;
    }
    table.flush()
}

pub(crate) fn logs(options: &Logs, out: &mut impl Write) -> io::Result<ExitCode> {
    let place = match &options.place.url {
        Some(url) => operate::Place::Server(options.place.trust.server(url)?),
        None => {
            let directory = options.place.directory();
            let state = state_of(directory, options.place.state.as_deref());
            let beside = Beside::new(compile(directory)?, &state).map_err(io::Error::other)?;
            operate::Place::Directory(Box::new(beside))
        }
    };
    let site = match place.site_of(options.mac, options.site.as_deref()) {
        Ok(site) => site,
        Err(problem) => return crate::fail(&problem),
    };
    match print_logs(&place, &site, options, out) {
        Ok(0) => crate::fail("the phone has uploaded no such log"),
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(trouble) => troubled(&trouble),
    }
}

fn print_logs(
    server: &impl Server,
    site: &str,
    options: &Logs,
    out: &mut impl Write,
) -> Result<usize, Trouble> {
    let mac = options.mac;
    let uploads = asked::uploads(server, site, mac)?;
    let wanted = uploads.iter().filter(|upload| {
        let named = options.name.as_ref();
        match named {
            Some(text) => upload.name.contains(text.as_str()),
            None => is_log(&upload.name),
        }
    });
    let mut wanted: Vec<&UploadLine> = wanted.collect();
    // The newest version of each comes first in the list.
    if !options.all {
        wanted.dedup_by(|next, first| next.name == first.name);
    }
    wanted.reverse();
    for upload in &wanted {
        let (name, version) = (&upload.name, &upload.version);
        let at = date::format(upload.at / 1000).unwrap_or_default();
        let size = bytes(upload.length);
        if options.list {
            writeln!(out, "{name}  {at}  {size}")?;
            continue;
        }
        if wanted.len() > 1 {
            writeln!(out, "==> {name}, {at}, {size} <==")?;
        }
        let target = format!("sites/{site}/devices/{mac}/uploads/{name}?version={version}");
        download(server, &Request::new(Method::GET, target), out)?;
    }
    Ok(wanted.len())
}

/// Whether a file of this name is a log, by the vendors' tables.
fn is_log(name: &str) -> bool {
    let Ok(path) = RequestPath::parse(name) else {
        return false;
    };
    let rules = vendor::ALL.iter().flat_map(|vendor| vendor.rules);
    let mut logs = rules.filter(|rule| rule.kind == FileKind::DeviceLog);
    logs.any(|rule| {
        let pattern = handset::pattern::Pattern::parse(rule.pattern);
        pattern.is_ok_and(|pattern| pattern.capture(&path).is_some())
    })
}
