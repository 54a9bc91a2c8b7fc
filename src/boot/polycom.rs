//! A Polycom UCS phone's boot (seed article; UCS Administrator's Guide; captured logs of VVX and CCX).

use std::collections::BTreeMap;

use crate::boot::BOOTS;
use crate::boot::Boot;
use crate::boot::client::Fetched;
use crate::boot::client::Image;
use crate::boot::flash::Flash;
use crate::boot::model::Phone;
use crate::boot::reading;
use crate::boot::report::Taken;

/// Boots until the firmware is the one that the server has.
pub(super) fn boot(boot: &mut Boot, flash: &mut Flash) {
    for _ in 0..BOOTS {
        if !once(boot, flash) {
            return;
        }
        boot.reboot(flash);
    }
    boot.report.finding(
        "the phone reboots again and again: the image never becomes the version that runs",
    );
}

/// One boot; `true` if the phone reboots: it has burned new firmware, or was told another address.
fn once(boot: &mut Boot, flash: &mut Flash) -> bool {
    if let Some(address) = told(flash) {
        boot.url = address;
    }
    agent(boot, flash, "Updater");
    let log = join(
        &base(&boot.url),
        &flash.log_directory,
        &format!("{}-boot.log", boot.mac),
    );
    boot.client.put(
        &log,
        format!(
            "0101000000|boot |{}|runs {}\n",
            boot.phone.name, flash.firmware
        )
        .as_bytes(),
    );
    let Some(master) = master(boot) else {
        return false;
    };
    if upgrade(boot, flash, &master) {
        return true;
    }
    agent(boot, flash, "Application");
    for file in master.config_files.clone() {
        configuration(boot, &file);
    }
    boot.report.came_up = true;
    flash.log_directory.clone_from(&master.log_directory);
    if tell(&boot.report.parameters(), flash) {
        return true;
    }
    overrides(boot, flash, &master);
    extras(boot, &master);
    app_log(boot, flash, &master);
    false
}

/// Where the phone looks for its server, and the server that it looks for where that is its own setting.
const ADDRESSES: [&str; 3] = [
    "device.dhcp.bootSrvUseOpt",
    "device.prov.serverType",
    "device.prov.serverName",
];

/// Notes the addresses among parameters; each counts only where the file says so twice.
fn tell(parameters: &BTreeMap<String, String>, flash: &mut Flash) -> bool {
    let is_set = |name: &str| parameters.get(name).is_some_and(|value| value == "1");
    let said = ADDRESSES.into_iter().filter_map(|name| {
        let counts = is_set("device.set") && is_set(&format!("{name}.set"));
        Some((name, parameters.get(name).filter(|_| counts)?.as_str()))
    });
    flash.tell(said)
}

/// The address that a configuration told the phone to come to, whatever DHCP says.
fn told(flash: &Flash) -> Option<String> {
    let [option, scheme, name] = ADDRESSES.map(|name| flash.told.get(name));
    option.filter(|option| *option == "Static")?;
    Some(format!("{}://{}/", scheme?.to_ascii_lowercase(), name?))
}

/// What a master file says to this phone.
#[derive(Debug, Default)]
pub(super) struct Master {
    app_file_path: String,
    /// Names in order, with the phone's own put in.
    pub(super) config_files: Vec<String>,
    log_directory: String,
    overrides_directory: String,
    contacts_directory: String,
    license_directory: String,
    call_lists_directory: String,
    problems: Vec<String>,
}

/// Longest list and longest name that the phone takes.
const LONGEST_LIST: usize = 2047;
const LONGEST_NAME: usize = 255;

impl Master {
    /// Reads a master file; attributes of the model win over those for all.
    pub(super) fn read(bytes: &[u8], phone: &Phone) -> Result<Self, String> {
        let elements = reading::xml(bytes)?;
        let model = phone.token().replace('_', "");
        let own = format!("APPLICATION_{model}");
        let element = |name: &str| elements.iter().find(|element| element.name() == name);
        if element("APPLICATION").is_none() {
            return Err("no element APPLICATION".to_owned());
        }
        let attribute = |name: &str| {
            let of_model =
                element(&own).and_then(|element| element.attribute(&format!("{name}_{model}")));
            let of_all = || element("APPLICATION").and_then(|element| element.attribute(name));
            of_model.or_else(of_all).unwrap_or_default().to_owned()
        };
        let list = attribute("CONFIG_FILES");
        let names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let mut master = Self {
            app_file_path: attribute("APP_FILE_PATH"),
            config_files: names.map(str::to_owned).collect(),
            log_directory: attribute("LOG_FILE_DIRECTORY"),
            overrides_directory: attribute("OVERRIDES_DIRECTORY"),
            contacts_directory: attribute("CONTACTS_DIRECTORY"),
            license_directory: attribute("LICENSE_DIRECTORY"),
            call_lists_directory: attribute("CALL_LISTS_DIRECTORY"),
            problems: Vec::new(),
        };
        if list.len() > LONGEST_LIST {
            master.problems.push(format!(
                "CONFIG_FILES has {} characters, the phone takes {LONGEST_LIST}",
                list.len()
            ));
        }
        let long = master
            .config_files
            .iter()
            .chain([&master.app_file_path])
            .find(|name| name.len() > LONGEST_NAME);
        if let Some(name) = long {
            master.problems.push(format!(
                "a name of {} characters, the phone takes {LONGEST_NAME}",
                name.len()
            ));
        }
        Ok(master)
    }
}

/// The master file: one named in the address, the phone's own, or the default one.
fn master(boot: &mut Boot) -> Option<Master> {
    let last = boot.url.rsplit('/').next().unwrap_or_default().to_owned();
    let named = (last.len() >= 5 && last.to_ascii_lowercase().ends_with(".cfg")).then_some(last);
    let names = named
        .into_iter()
        .chain([format!("{}.cfg", boot.mac), "000000000000.cfg".to_owned()]);
    for name in names {
        match boot.client.get(&join(&base(&boot.url), "", &name)) {
            Fetched::Body(bytes) => match Master::read(&bytes, boot.phone) {
                Ok(mut master) => {
                    boot.report.findings.append(&mut master.problems);
                    master
                        .config_files
                        .iter_mut()
                        .for_each(|name| *name = substitute(name, boot));
                    return Some(master);
                }
                Err(problem) => {
                    boot.report.finding(format!(
                        "{name} cannot be read ({problem}): the phone stays as it was"
                    ));
                    return None;
                }
            },
            Fetched::Missing => {}
            Fetched::Unreachable(problem) => {
                boot.report.finding(format!(
                    "{problem}: the phone keeps its last good configuration"
                ));
                return None;
            }
        }
    }
    boot.report
        .finding("there is no master file: the phone stays as it was");
    None
}

/// Fetches the image if it is another than what runs.
fn upgrade(boot: &mut Boot, flash: &mut Flash, master: &Master) -> bool {
    let path = substitute(&master.app_file_path, boot);
    for name in image_names(&path, boot.phone.part_number) {
        match boot
            .client
            .image(&join(&base(&boot.url), "", &name), &flash.firmware)
        {
            Image::New(version) => {
                flash.firmware = version;
                return true;
            }
            Image::Same => return false,
            Image::Missing => {}
            Image::Failed(problem) => {
                boot.report
                    .finding(format!("the image was not taken: {problem}"));
                return false;
            }
        }
    }
    false
}

/// The phone puts its part number before the base name; if it stands there already it asks for that too.
pub(super) fn image_names(path: &str, part_number: &str) -> Vec<String> {
    if path.is_empty() {
        return Vec::new();
    }
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (format!("{directory}/"), name),
        None => (String::new(), path),
    };
    let mut names = vec![format!("{directory}{part_number}.{name}")];
    if name.starts_with(part_number) {
        names.push(path.to_owned());
    }
    names
}

fn configuration(boot: &mut Boot, file: &str) {
    match boot.client.get(&join(&base(&boot.url), "", file)) {
        Fetched::Body(bytes) => match parameters(&bytes) {
            Ok(all) => {
                let (unknown, taken): (Vec<_>, Vec<_>) = all
                    .into_iter()
                    .partition(|(name, _)| !knows(boot.phone, name));
                let unknown = unknown.into_iter().map(|(name, _)| name).collect();
                boot.report.files.push(Taken {
                    file: file.to_owned(),
                    parameters: taken,
                    unknown,
                });
            }
            Err(problem) => boot.report.finding(format!(
                "{file} cannot be read ({problem}): nothing of it is taken"
            )),
        },
        Fetched::Missing => {
            boot.report.finding(format!(
                "{file} is missing, though the master file names it: none of its parameters are set"
            ));
        }
        Fetched::Unreachable(problem) => boot.report.finding(problem),
    }
}

/// Every attribute of every element; their names mean nothing to the phone.
fn parameters(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let elements = reading::xml(bytes)?;
    Ok(elements
        .into_iter()
        .flat_map(|element| element.attributes)
        .collect())
}

/// SoundPoint and SoundStation know no sign-in by PIN (seed article, scenario 2).
fn knows(phone: &Phone, parameter: &str) -> bool {
    phone.signs_in_by_pin || !parameter.ends_with(".auth.usePinCredentials")
}

/// The user's changes: read back from the server, written when the user changes something.
fn overrides(boot: &mut Boot, flash: &mut Flash, master: &Master) {
    let directory = &master.overrides_directory;
    let mut kept = BTreeMap::new();
    for kind in ["phone", "web"] {
        let file = format!("{}-{kind}.cfg", boot.mac);
        if let Fetched::Body(bytes) = boot.client.get(&join(&base(&boot.url), directory, &file)) {
            match parameters(&bytes) {
                Ok(parameters) => {
                    kept.extend(parameters.clone());
                    // What the user changed wins over every file.
                    boot.report.files.insert(
                        0,
                        Taken {
                            file,
                            parameters,
                            unknown: Vec::new(),
                        },
                    );
                }
                Err(problem) => boot.report.finding(format!(
                    "{file} cannot be read ({problem}): the user's changes are lost"
                )),
            }
        }
    }
    if boot.changes.is_empty() {
        return;
    }
    kept.extend(boot.changes.iter().cloned());
    let file = format!("{}-phone.cfg", boot.mac);
    let sent = boot.client.put(
        &join(&base(&boot.url), directory, &file),
        override_file(boot, &kept).as_bytes(),
    );
    if !sent {
        boot.report.finding(format!(
            "{file} was refused: the user's changes live in this phone alone"
        ));
    }
    flash.overrides = kept;
}

fn override_file(boot: &Boot, overrides: &BTreeMap<String, String>) -> String {
    let attributes = overrides.iter().fold(String::new(), |text, (name, value)| {
        format!(
            "{text}\n\t\t{name}=\"{}\"",
            quick_xml::escape::escape(value.as_str())
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<!-- Application SIP simulated {} -->\n<PHONE_CONFIG>\n\t<OVERRIDES{attributes}/>\n</PHONE_CONFIG>\n",
        boot.phone.name
    )
}

/// Licences, call lists and directories: a missing one is no fault.
fn extras(boot: &mut Boot, master: &Master) {
    let mac = boot.mac;
    let own = format!("{mac}-directory.xml");
    for (directory, file) in [
        (
            &master.license_directory,
            "000000000000-license.cfg".to_owned(),
        ),
        (&master.license_directory, format!("{mac}-license.cfg")),
        (&master.call_lists_directory, format!("{mac}-calls.xml")),
        (&master.contacts_directory, own),
    ] {
        let fetched = boot.client.get(&join(&base(&boot.url), directory, &file));
        let contacts = file.ends_with("-directory.xml");
        if contacts && matches!(fetched, Fetched::Missing) {
            boot.client.get(&join(
                &base(&boot.url),
                directory,
                "000000000000-directory.xml",
            ));
        }
    }
}

fn app_log(boot: &mut Boot, flash: &Flash, master: &Master) {
    let url = join(
        &base(&boot.url),
        &master.log_directory,
        &format!("{}-app.log", boot.mac),
    );
    boot.client.head(&url);
    boot.client.put(
        &url,
        format!(
            "0101000000|app1 |{}|runs {}\n",
            boot.phone.name, flash.firmware
        )
        .as_bytes(),
    );
}

fn agent(boot: &mut Boot, flash: &Flash, program: &str) {
    boot.client.user_agent = format!(
        "FileTransport {}-UA/{} (SN:{}) Type/{program}",
        boot.phone.agent, flash.firmware, boot.mac
    );
}

fn substitute(name: &str, boot: &Boot) -> String {
    let mac = boot.mac.to_string();
    name.replace("[MACADDRESS]", &mac)
        .replace("[PHONE_MAC_ADDRESS]", &mac)
        .replace("[PHONE_SERIAL_NUMBER]", &mac)
        .replace("[PHONE_MODEL]", &boot.phone.token().replace('_', ""))
        .replace("[PHONE_PART_NUMBER]", boot.phone.part_number)
}

/// The server's directory: the address without a master file's name.
fn base(url: &str) -> String {
    let named = url
        .rsplit_once('/')
        .filter(|(_, last)| last.to_ascii_lowercase().ends_with(".cfg"));
    named
        .map_or(url, |(directory, _)| directory)
        .trim_end_matches('/')
        .to_owned()
}

/// A phone appends what it is told to its server's path, a leading slash included.
pub(super) fn join(base: &str, directory: &str, name: &str) -> String {
    if name.contains("://") {
        return name.to_owned();
    }
    match directory.trim_end_matches('/') {
        "" => format!("{base}/{name}"),
        directory => format!("{base}/{directory}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::image_names;
    use super::join;

    #[test]
    fn image_names_as_captured() {
        let vvx = "3111-44500-001";
        for (path, names) in [
            ("sip.ld", &["3111-44500-001.sip.ld"][..]),
            ("firmware/sip.ld", &["firmware/3111-44500-001.sip.ld"]),
            (
                "3111-44500-001.sip.ld",
                &[
                    "3111-44500-001.3111-44500-001.sip.ld",
                    "3111-44500-001.sip.ld",
                ],
            ),
            ("", &[]),
        ] {
            assert_eq!(image_names(path, vvx), names, "{path}");
        }
    }

    #[test]
    fn directories_are_appended() {
        for (directory, name, url) in [
            ("", "x.cfg", "http://h/p/x.cfg"),
            ("logs", "x.log", "http://h/p/logs/x.log"),
            ("./logs/", "x.log", "http://h/p/./logs/x.log"),
            ("/logs", "x.log", "http://h/p//logs/x.log"),
            ("", "/p/firmware/x.ld", "http://h/p//p/firmware/x.ld"),
            ("", "http://other/x.cfg", "http://other/x.cfg"),
        ] {
            assert_eq!(join("http://h/p", directory, name), url);
        }
    }
}
