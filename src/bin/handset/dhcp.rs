//! `handset dhcp`: what to tell a DHCP server, and what a phone makes of it.

use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use handset::discovery::Identity;
use handset::discovery::Lease;
use handset::discovery::explain;
use handset::discovery::explain::Region;
use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::dhcp;
use handset::fleet::dhcp::SERVERS;
use handset::fleet::dhcp::Wishes;
use handset::fleet::keys;
use handset::mac::MacAddress;
use handset::secret::Secret;

use crate::key::SecretFile;

#[derive(Debug, Subcommand)]
pub(crate) enum Dhcp {
    Explain(Explain),
    Print(Print),
}

/// Prints the URLs that a phone will ask for, given these options
///
/// Exit codes: 0 printed, 1 the phone has nothing to ask for, 2 could not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: handset dhcp explain --vendor audiocodes --option66 http://prov.example.net --model 420HD --mac 00908f000420"
)]
pub(crate) struct Explain {
    /// Whose phone
    #[arg(long)]
    vendor: String,
    /// The model, as its maker spells it
    #[arg(long)]
    model: String,
    /// The hardware address, in any spelling
    #[arg(long)]
    mac: MacAddress,
    /// The phone is a model for the USA, where some look at option 67 beside option 66
    #[arg(long)]
    usa: bool,
    /// Vendor-specific information, as text
    #[arg(long, value_name = "TEXT")]
    option43: Option<String>,
    /// TFTP server name
    #[arg(long, value_name = "TEXT")]
    option66: Option<String>,
    /// Boot file name
    #[arg(long, value_name = "TEXT")]
    option67: Option<String>,
    /// Provisioning address
    #[arg(long, value_name = "TEXT")]
    option159: Option<String>,
    /// Provisioning address
    #[arg(long, value_name = "TEXT")]
    option160: Option<String>,
}

/// Prints the options for a site's phones, in the words of a DHCP server
///
/// Notes are comments at the top of what is printed. Exit codes: 0 printed, 1 the fleet directory or an address is
/// wrong, 2 could not run.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: handset dhcp print fleet hq --server dnsmasq > /etc/dnsmasq.d/phones.conf"
)]
pub(crate) struct Print {
    /// The fleet directory
    directory: PathBuf,
    /// The site
    site: String,
    /// The DHCP server
    #[arg(long, value_parser = PossibleValuesParser::new(SERVERS.iter().map(|(name, _)| *name)))]
    server: String,
    /// The site's path key [default: made with the secret, where the site asks for keys]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    secret: SecretFile,
    /// Address of a TFTP server, such as a relay, for option 150
    #[arg(long, value_name = "ADDRESS")]
    tftp_server: Option<Ipv4Addr>,
}

pub(crate) fn run(command: &Dhcp, out: &mut impl Write) -> io::Result<ExitCode> {
    match command {
        Dhcp::Explain(options) => explain(options, out),
        Dhcp::Print(options) => print(options, out),
    }
}

fn print(options: &Print, out: &mut impl Write) -> io::Result<ExitCode> {
    let fleet = match fleet::compile(&options.directory, &mut Hashes::default()) {
        Ok(fleet) => fleet,
        Err(found) => return crate::report(&found, out),
    };
    let made = match options.secret.read()? {
        Some(secrets) if options.key.is_none() => keys::site_key(&fleet, &secrets, &options.site),
        _ => None,
    };
    let made = made.as_ref().and_then(Secret::expose_text);
    let wishes = Wishes {
        key: options.key.as_deref().or(made),
        tftp_server: options.tftp_server,
    };
    let plan = match dhcp::plan(&fleet, &options.site, &wishes) {
        Ok(plan) => plan,
        Err(problem) => return crate::fail(&problem),
    };
    let writer = SERVERS.iter().find(|(name, _)| *name == options.server);
    if let Some((_, write)) = writer {
        out.write_all(write(&plan).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(options: &Explain, out: &mut impl Write) -> io::Result<ExitCode> {
    let given = [
        (43, &options.option43),
        (66, &options.option66),
        (67, &options.option67),
        (159, &options.option159),
        (160, &options.option160),
    ];
    let given = given
        .into_iter()
        .filter_map(|(number, text)| Some((number, text.as_deref()?)));
    let given: Vec<(u8, &str)> = given.collect();
    let mac = options.mac.to_string();
    let identity = Identity {
        mac: &mac,
        model: &options.model,
    };
    let region = match options.usa {
        true => Region::Usa,
        false => Region::Elsewhere,
    };
    let found = match explain::explain(&options.vendor, region, &Lease::new(&given), &identity) {
        Ok(found) => found,
        Err(problem) => return crate::fail(&problem),
    };
    writeln!(out, "{:<14} {}", "from", found.source)?;
    for (what, url) in &found.urls {
        writeln!(out, "{what:<14} {url}")?;
    }
    for number in explain::ignored(&options.vendor, region, &given, &identity) {
        writeln!(
            out,
            "{:<14} option {number}: the phone would ask for the same without it",
            "not used"
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
