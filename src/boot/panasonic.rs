//! A Panasonic phone's boot: KX-UT and KX-HDV in quoted lines, KX-UTG in XML (Administrator Guides).

use std::collections::BTreeMap;

use crate::boot::BOOTS;
use crate::boot::Boot;
use crate::boot::client::Fetched;
use crate::boot::client::Image;
use crate::boot::flash::Flash;
use crate::boot::model::Maker;
use crate::boot::reading;
use crate::boot::report::Taken;

/// The device's own file wins over the product's, that over the master's.
const ORDER: [&str; 3] = [
    "CFG_STANDARD_FILE_PATH",
    "CFG_PRODUCT_FILE_PATH",
    "CFG_MASTER_FILE_PATH",
];

/// Boots until the firmware is the one that the configuration names.
pub(super) fn boot(boot: &mut Boot, flash: &mut Flash) {
    for _ in 0..BOOTS {
        boot.client.user_agent = format!(
            "Panasonic_{}/{} ({})",
            boot.phone.name, flash.firmware, boot.mac
        );
        let Some(addresses) = initial(boot, flash) else {
            return;
        };
        certificates(boot, &addresses);
        for name in ORDER {
            // What the device's own file said goes before what DHCP leads to.
            let told = flash.told.get(name).map(String::as_str);
            if let Some(address) = told.or_else(|| value(&addresses, name)) {
                let address = substitute(address, boot, flash);
                device_file(boot, &address);
            }
        }
        boot.report.came_up = !boot.report.files.is_empty();
        let parameters = boot.report.parameters();
        let said = ORDER.into_iter();
        flash.tell(said.filter_map(|name| Some((name, parameters.get(name)?.as_str()))));
        if !upgrade(boot, flash) {
            return;
        }
        boot.reboot(flash);
    }
    boot.report.finding(
        "the phone reboots again and again: the image never becomes the version that runs",
    );
}

/// The initial file: the one that the address names, else `{MODEL}.cfg`.
fn initial(boot: &mut Boot, flash: &Flash) -> Option<BTreeMap<String, String>> {
    let url = if boot.url.to_ascii_lowercase().ends_with(".cfg") {
        substitute(&boot.url.clone(), boot, flash)
    } else {
        format!("{}/{}.cfg", boot.url.trim_end_matches('/'), boot.phone.name)
    };
    let name = file_name(&url);
    match boot.client.get(&url) {
        Fetched::Body(bytes) => match read(boot, &bytes) {
            Ok(values) => return Some(values.into_iter().collect()),
            Err(problem) => boot.report.finding(format!(
                "{name} cannot be read ({problem}): the phone stays as it was"
            )),
        },
        Fetched::Missing => boot
            .report
            .finding(format!("{name} is missing: the phone stays as it was")),
        Fetched::Unreachable(problem) => {
            boot.report.finding(format!(
                "{problem}: the phone keeps its last good configuration"
            ));
        }
    }
    None
}

fn certificates(boot: &mut Boot, addresses: &BTreeMap<String, String>) {
    let names = [
        "CFG_ROOT_CERTIFICATE_PATH",
        "CFG_ROOT_CERTIFICATE_PATH1",
        "CFG_ROOT_CERTIFICATE_PATH2",
        "CFG_ROOT_CERTIFICATE_PATH3",
    ];
    for address in names.into_iter().filter_map(|name| value(addresses, name)) {
        match boot.client.get(address) {
            Fetched::Body(bytes) if bytes.starts_with(b"-----BEGIN") => {}
            _ => boot.report.finding(format!(
                "{address} is no certificate: servers signed by it are not trusted"
            )),
        }
    }
}

fn device_file(boot: &mut Boot, url: &str) {
    let file = file_name(url);
    match boot.client.get(url) {
        Fetched::Body(bytes) => match read(boot, &bytes) {
            Ok(parameters) => boot.report.files.push(Taken {
                file,
                parameters,
                unknown: Vec::new(),
            }),
            Err(problem) => boot.report.finding(format!(
                "{file} cannot be read ({problem}): nothing of it is taken"
            )),
        },
        Fetched::Missing => boot.report.finding(format!(
            "{file} is missing, though the initial file names it"
        )),
        Fetched::Unreachable(problem) => boot.report.finding(problem),
    }
}

fn upgrade(boot: &mut Boot, flash: &mut Flash) -> bool {
    let parameters = boot.report.parameters();
    let (Some(version), Some(url)) = (
        value(&parameters, "FIRM_VERSION"),
        value(&parameters, "FIRM_FILE_PATH"),
    ) else {
        return false;
    };
    if version == flash.firmware {
        return false;
    }
    let url = substitute(url, boot, flash);
    match boot.client.image(&url, &flash.firmware) {
        Image::New(burned) if burned == version => {
            flash.firmware = burned;
            true
        }
        Image::New(burned) => {
            boot.report.finding(format!("FIRM_VERSION says {version}, the image is {burned}: it would be burned at every boot"));
            false
        }
        Image::Same => false,
        Image::Missing => {
            boot.report.finding(format!(
                "{url} is missing: the phone keeps firmware {}",
                flash.firmware
            ));
            false
        }
        Image::Failed(problem) => {
            boot.report
                .finding(format!("the image was not taken: {problem}"));
            false
        }
    }
}

fn read(boot: &Boot, bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    if boot.phone.maker == Maker::PanasonicText {
        return reading::quoted_lines(bytes);
    }
    let elements = reading::xml(bytes)?;
    if elements
        .first()
        .is_none_or(|root| root.name() != "PANASIPPhoneConfig")
    {
        return Err("the root element is not PANASIPPhoneConfig".to_owned());
    }
    Ok(reading::leaves(&elements).into_iter().collect())
}

/// A value by its name, or by the last name of its path in XML.
fn value<'v>(values: &'v BTreeMap<String, String>, name: &str) -> Option<&'v str> {
    let found = values
        .iter()
        .find(|(path, _)| path.rsplit('/').next() == Some(name));
    found
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

fn substitute(text: &str, boot: &Boot, flash: &Flash) -> String {
    text.replace("{MAC}", &boot.mac.upper())
        .replace("{mac}", &boot.mac.to_string())
        .replace("{MODEL}", boot.phone.name)
        .replace("{fwver}", &flash.firmware)
}

fn file_name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().to_owned()
}
