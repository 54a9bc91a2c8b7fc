//! An AudioCodes 400HD's boot (Administrator's Manual 2.2.8, section 10.2; 2.0.1, section 2.2).

use crate::boot::BOOTS;
use crate::boot::Boot;
use crate::boot::client::Fetched;
use crate::boot::client::Image;
use crate::boot::flash::Flash;
use crate::boot::reading;
use crate::boot::report::Taken;
use crate::discovery::Identity;
use crate::discovery::Lease;
use crate::discovery::audiocodes;

/// Boots until the firmware is the one that the server has.
pub(super) fn boot(boot: &mut Boot, flash: &mut Flash) {
    let mac = boot.mac.to_string();
    let identity = Identity {
        mac: &mac,
        model: boot.phone.name,
    };
    // The address is read as DHCP option 160 is: `…/<firmware>;<configuration>`, either left out.
    let options = [(audiocodes::URL_OPTION, boot.url.as_str())];
    let lease = Lease::new(&options);
    let found = match audiocodes::discover(&lease, audiocodes::URL_OPTION, &identity) {
        Ok(found) => found,
        Err(problem) => {
            return boot
                .report
                .finding(format!("the address is of no use: {problem}"));
        }
    };
    let found = (found.firmware.to_string(), found.configuration.to_string());
    for _ in 0..BOOTS {
        let addresses = told(flash).unwrap_or_else(|| found.clone());
        let upper = boot.mac.upper();
        boot.client.user_agent = format!(
            "AUDC-IPPhone/{} ({}; {upper})",
            flash.firmware, boot.phone.name
        );
        match boot.client.image(&addresses.0, &flash.firmware) {
            Image::New(version) => {
                flash.firmware = version;
                boot.reboot(flash);
                continue;
            }
            Image::Failed(problem) => {
                boot.report
                    .finding(format!("the image was not taken: {problem}"));
            }
            Image::Missing => boot.client.note("no image: the phone keeps its own"),
            Image::Same => {}
        }
        configure(boot, &addresses.1);
        let parameters = boot.report.parameters();
        let said = parameters.iter();
        flash.tell(
            said.filter(|(name, _)| ADDRESSES.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        if told(flash).is_none_or(|told| told == addresses) {
            return;
        }
        boot.reboot(flash);
    }
    boot.report.finding(
        "the phone reboots again and again: the image never becomes the version that runs",
    );
}

/// The method, and the two addresses that it makes count.
const ADDRESSES: [&str; 3] = [
    "provisioning/method",
    "provisioning/firmware/url",
    "provisioning/configuration/url",
];

/// The addresses that a configuration told the phone to use from then on, whatever DHCP says.
fn told(flash: &Flash) -> Option<(String, String)> {
    let [method, firmware, configuration] = ADDRESSES.map(|name| flash.told.get(name));
    method.filter(|method| *method == "STATIC")?;
    Some((firmware?.clone(), configuration?.clone()))
}

fn configure(boot: &mut Boot, url: &str) {
    let name = url.rsplit('/').next().unwrap_or_default().to_owned();
    match boot.client.get(url) {
        Fetched::Body(bytes) => apply(boot, url, &name, &bytes),
        Fetched::Missing => boot
            .report
            .finding(format!("{name} is missing: the phone stays as it was")),
        Fetched::Unreachable(problem) => {
            boot.report.finding(format!(
                "{problem}: the phone keeps its last good configuration"
            ));
        }
    }
}

fn apply(boot: &mut Boot, url: &str, name: &str, bytes: &[u8]) {
    let (mut parameters, includes) = match reading::key_values(bytes) {
        Ok(read) => read,
        Err(problem) => {
            return boot
                .report
                .finding(format!("{name} cannot be read ({problem})"));
        }
    };
    let model = parameters
        .iter()
        .find(|(name, _)| name == "system/type")
        .map(|(_, value)| value.clone());
    match model {
        Some(model) if model == boot.phone.name => {}
        Some(model) => {
            return boot
                .report
                .finding(format!("{name} is for a {model}: the phone ignores it"));
        }
        None => {
            return boot.report.finding(format!(
                "{name} names no model (system/type): the phone ignores it"
            ));
        }
    }
    let directory = url.rsplit_once('/').map_or(url, |(directory, _)| directory);
    for file in includes {
        match boot.client.get(&format!("{directory}/{file}")) {
            Fetched::Body(bytes) => match reading::key_values(&bytes) {
                Ok((included, _)) => parameters.extend(included),
                Err(problem) => boot
                    .report
                    .finding(format!("{file} cannot be read ({problem})")),
            },
            _ => boot
                .report
                .finding(format!("{file} is missing, though {name} includes it")),
        }
    }
    // A later line replaces an earlier one.
    parameters.reverse();
    boot.report.files.push(Taken {
        file: name.to_owned(),
        parameters,
        unknown: Vec::new(),
    });
    boot.report.came_up = true;
}
