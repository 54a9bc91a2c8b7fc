//! `handset enrol`, `lock`, `unlock` and `knocking`: devices, one by one.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use handset::mac::MacAddress;
use handset::platform::native::operate;
use handset::platform::native::operate::Wish;

/// Opens a window in which its site's key opens a device's files, so that it can fetch its own
#[derive(Args, Debug)]
#[command(after_help = "Example: handset enrol fleet 0004f2000500 --for 30m")]
pub(crate) struct Enrol {
    /// How long: 30m, 2h, 1d
    #[arg(long = "for", value_parser = operate::minutes, required_unless_present = "until_first_boot")]
    minutes: Option<u32>,
    /// From the device's first boot on, for an hour
    #[arg(long, conflicts_with = "minutes")]
    until_first_boot: bool,
    /// For any address and any kind of phone, not for whoever comes first alone
    #[arg(long)]
    anyone: bool,
    #[command(flatten)]
    devices: Devices,
}

/// Closes devices: nothing opens their files until they are unlocked
#[derive(Args, Debug)]
#[command(after_help = "Example: handset lock fleet 0004f2000500")]
pub(crate) struct Lock {
    #[command(flatten)]
    devices: Devices,
}

/// Takes the lock from devices: they are as they were, and no window is open
#[derive(Args, Debug)]
#[command(after_help = "Example: handset unlock fleet 0004f2000500")]
pub(crate) struct Unlock {
    #[command(flatten)]
    devices: Devices,
}

/// Lists the devices of a site that were refused though its key is good
#[derive(Args, Debug)]
#[command(after_help = "Example: handset knocking fleet hq")]
pub(crate) struct Knocking {
    /// Fleet directory, or address of a running server
    place: String,
    /// The site
    site: String,
    /// The state directory [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
}

/// Devices, and how they are reached.
#[derive(Args, Debug)]
struct Devices {
    /// Fleet directory, or address of a running server
    place: String,
    /// Hardware addresses of devices
    #[arg(required = true)]
    macs: Vec<MacAddress>,
    /// The site of the devices, where a server is asked
    #[arg(long)]
    site: Option<String>,
    /// The state directory [default: DIRECTORY/state]
    #[arg(long)]
    state: Option<PathBuf>,
}

pub(crate) fn enrol(options: &Enrol, out: &mut impl Write) -> io::Result<ExitCode> {
    let wish = Wish::Open(operate::window(options.minutes, options.anyone));
    change(&options.devices, &wish, out)
}

pub(crate) fn lock(options: &Lock, out: &mut impl Write) -> io::Result<ExitCode> {
    change(&options.devices, &Wish::Lock, out)
}

pub(crate) fn unlock(options: &Unlock, out: &mut impl Write) -> io::Result<ExitCode> {
    change(&options.devices, &Wish::Unlock, out)
}

pub(crate) fn knocking(options: &Knocking, out: &mut impl Write) -> io::Result<ExitCode> {
    let Knocking { place, site, state } = options;
    let lines = place_at(place, state.as_deref())?.knocking(site);
    let lines = lines.map_err(io::Error::other)?;
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    if !lines.is_empty() {
        writeln!(
            out,
            "to admit one: handset enrol {place} MAC --until-first-boot"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The token stands in the environment: what is an argument, every process of the machine can read.
pub(crate) fn place_at(place: &str, state: Option<&Path>) -> io::Result<operate::Place> {
    let token = std::env::var("HANDSET_TOKEN").ok();
    operate::Place::open(place, state, token, None).map_err(io::Error::other)
}

fn change(devices: &Devices, wish: &Wish, out: &mut impl Write) -> io::Result<ExitCode> {
    let place = place_at(&devices.place, devices.state.as_deref())?;
    for mac in &devices.macs {
        let changed = place.change(*mac, devices.site.as_deref(), wish);
        writeln!(out, "{}", changed.map_err(io::Error::other)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
