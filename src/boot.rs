//! `handset boot`: a simulated phone that does over HTTP, TFTP or FTP what its maker's documents say it does.
//!
//! Its names and its reading are its own, so that it can show what the server gets wrong. What it
//! deliberately does not do: no telephony, and nothing that its model would forgive.

mod audiocodes;
mod client;
mod flash;
mod ftp;
mod login;
mod model;
mod panasonic;
mod polycom;
mod reading;
mod report;
mod tftp;

use std::fmt;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::boot::client::Client;
use crate::boot::flash::Flash;
pub use crate::boot::login::Scheme;
use crate::boot::model::Maker;
use crate::boot::model::Phone;
use crate::boot::report::Report;
use crate::mac::MacAddress;

/// A phone to simulate.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Address that the phone was given, http, https, tftp or ftp; may name files as its maker allows [default: what the flash has]
    #[arg(long)]
    pub url: Option<String>,
    /// The model, such as "VVX 400", "SoundPoint IP 331", 420HD, KX-UTG200 or KX-UT136
    #[arg(long)]
    pub model: String,
    /// The phone's hardware address
    #[arg(long)]
    pub mac: String,
    /// File that is the phone's flash: address, credentials, firmware, last good configuration
    #[arg(long)]
    pub state: Option<PathBuf>,
    /// Clear the flash first
    #[arg(long)]
    pub factory_reset: bool,
    /// User name for the server [default: the maker's]
    #[arg(long)]
    pub user: Option<String>,
    /// Password for the server [default: the maker's]
    #[arg(long)]
    pub password: Option<String>,
    /// The only kind of question for a password that the phone can answer [default: the first one asked]
    #[arg(long)]
    pub auth: Option<Scheme>,
    /// PEM file with a client certificate, and its private key unless --key names that
    #[arg(long)]
    pub cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, requires = "cert")]
    pub key: Option<PathBuf>,
    /// PEM file with a certificate authority to trust instead of the public ones
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// Connect to ADDRESS:PORT for this host name: HOST=ADDRESS:PORT
    #[arg(long)]
    pub resolve: Vec<String>,
    /// The user changes a setting on the phone: NAME=VALUE
    #[arg(long)]
    pub set: Vec<String>,
    /// Cut the power after so many requests: what the phone had not written down by then is lost
    #[arg(long)]
    pub power_cut: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Say what changed since the last boot
    #[arg(long)]
    pub compare: bool,
    /// Print passwords and keys
    #[arg(long)]
    pub show_secrets: bool,
}

/// A phone that could not even be switched on.
#[derive(Debug)]
pub enum BootError {
    /// Something in the arguments; names the remedy.
    Arguments(String),
    /// The flash, or the output.
    System(io::Error),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(problem) => f.write_str(problem),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BootError {}

impl From<io::Error> for BootError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Boots the phone and prints what came of it; `false` if the phone would suffer.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<bool, BootError> {
    let phone = Phone::find(&arguments.model).ok_or_else(|| unknown_model(&arguments.model))?;
    let mac: MacAddress = arguments
        .mac
        .parse()
        .map_err(|error| BootError::Arguments(format!("--mac {}: {error}", arguments.mac)))?;
    let mut flash = load(arguments, phone)?;
    let url = flash.url.clone().ok_or_else(|| {
        BootError::Arguments(
            "the phone has no address: give --url, such as http://127.0.0.1:8080/lync/".to_owned(),
        )
    })?;
    let mut boot = Boot {
        phone,
        mac,
        url,
        client: Client::new(arguments, &flash, phone).map_err(BootError::Arguments)?,
        report: Report::new(phone.name, mac),
        changes: changes(&arguments.set)?,
        kept: flash.clone(),
    };
    let before = flash.parameters.clone();
    boot.start(&mut flash);
    boot.report.requests = boot.client.take_requests();
    if let Some(path) = &arguments.state {
        boot.kept.save(path)?;
    }
    let compared = arguments.compare.then_some(&before);
    match arguments.json {
        true => boot
            .report
            .write_json(out, arguments.show_secrets, compared)?,
        false => boot
            .report
            .write_table(out, arguments.show_secrets, compared)?,
    }
    Ok(!boot.report.suffers())
}

/// Reads a master file as a Polycom phone does; for tests with hostile files.
pub fn read_master(bytes: &[u8]) -> usize {
    Phone::find("VVX 400").map_or(0, |phone| {
        polycom::Master::read(bytes, phone).map_or(0, |master| master.config_files.len())
    })
}

/// A phone that is booting.
struct Boot {
    phone: &'static Phone,
    mac: MacAddress,
    url: String,
    client: Client,
    report: Report,
    changes: Vec<(String, String)>,
    /// The flash as it would be found after a power cut.
    kept: Flash,
}

impl Boot {
    fn start(&mut self, flash: &mut Flash) {
        match self.phone.maker {
            Maker::AudioCodes => audiocodes::boot(self, flash),
            Maker::PanasonicText | Maker::PanasonicXml => panasonic::boot(self, flash),
            Maker::Polycom => polycom::boot(self, flash),
        }
        self.write_down(flash);
        self.report.firmware = flash.firmware.clone();
        if self.client.is_out() {
            self.report.finding("the power was cut");
        }
    }

    /// The phone begins anew with what it has written down.
    fn reboot(&mut self, flash: &mut Flash) {
        self.write_down(flash);
        self.report.reboots += 1;
        self.report.files.clear();
        self.report.came_up = false;
    }

    fn write_down(&mut self, flash: &mut Flash) {
        if self.report.came_up {
            flash.parameters = self.report.parameters();
        }
        if !self.client.is_out() {
            self.kept.clone_from(flash);
        }
    }
}

/// A phone that reboots more often than this is in a loop.
const BOOTS: usize = 4;

fn load(arguments: &Arguments, phone: &Phone) -> Result<Flash, BootError> {
    let mut flash = match &arguments.state {
        Some(path) if !arguments.factory_reset => Flash::load(path)?,
        _ => Flash::default(),
    };
    if flash.firmware.is_empty() {
        flash.firmware = phone.factory.to_owned();
    }
    for (given, kept) in [
        (&arguments.url, &mut flash.url),
        (&arguments.user, &mut flash.user),
        (&arguments.password, &mut flash.password),
    ] {
        if given.is_some() {
            kept.clone_from(given);
        }
    }
    Ok(flash)
}

fn unknown_model(name: &str) -> BootError {
    let known: Vec<&str> = model::PHONES.iter().map(|phone| phone.name).collect();
    BootError::Arguments(format!(
        "unknown model {name:?}; known: {}",
        known.join(", ")
    ))
}

fn changes(set: &[String]) -> Result<Vec<(String, String)>, BootError> {
    set.iter()
        .map(|change| {
            let (name, value) = change
                .split_once('=')
                .ok_or_else(|| BootError::Arguments(format!("--set {change}: give NAME=VALUE")))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}
