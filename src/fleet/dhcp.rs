//! `handset dhcp print`: what a site's DHCP server has to offer its phones, for the servers people run.
//!
//! Which options a vendor's phones read, and how they are recognised, is the table of `discovery/offer.rs`.

mod dnsmasq;
mod isc;
mod kea;
mod mikrotik;
mod windows;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use serde_json::Value as Json;

use crate::discovery::offer;
use crate::discovery::offer::Class;
use crate::discovery::offer::Offer;
use crate::discovery::url::Host;
use crate::discovery::url::Url;
use crate::fleet::Fleet;
use crate::fleet::outputs;
use crate::fleet::outputs::Group;
use crate::key::Key;
use crate::settings::Settings;
use crate::site::Access;

/// What a DHCP server offers, whichever server it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The site.
    pub site: String,
    /// What holds for every phone: time, time servers, a TFTP server.
    pub common: Vec<Setting>,
    /// What each kind of phone is offered.
    pub classes: Vec<PhoneClass>,
    /// What the operator has to know.
    pub warnings: Vec<String>,
}

/// One option of a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Its number.
    pub option: u8,
    /// Its value.
    pub value: Value,
}

/// The value of an option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// Addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Seconds east of UTC.
    Offset(i32),
    /// Text.
    Text(String),
}

/// The phones that a DHCP server can tell from others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PhoneClass {
    /// A name for it: letters, digits and dashes.
    pub name: String,
    /// What its option 60 says.
    pub vendor_class: String,
    /// Whether option 60 only begins so; else option 77 says it too.
    pub prefix: bool,
    /// What it is offered.
    pub settings: Vec<Setting>,
}

/// Things that the fleet directory does not say.
#[derive(Clone, Debug, Default)]
pub struct Wishes<'w> {
    /// The site's path key.
    pub key: Option<&'w str>,
    /// A TFTP server for phones that know no other, such as a relay: option 150.
    pub tftp_server: Option<Ipv4Addr>,
}

/// Writes a plan for one kind of server.
pub type Writer = fn(&Plan) -> String;

/// The servers, by the names that they are asked for.
pub const SERVERS: &[(&str, Writer)] = &[
    ("dnsmasq", dnsmasq::write),
    ("isc", isc::write),
    ("kea", kea::write),
    ("mikrotik", mikrotik::write),
    ("windows", windows::write),
];

/// What this site's DHCP server has to offer.
///
/// # Errors
///
/// Says what the fleet lacks, or why a value does not fit into an option.
pub fn plan(fleet: &Fleet, site: &str, wishes: &Wishes<'_>) -> Result<Plan, String> {
    let known = || fleet.snapshot.sites.keys().map(String::as_str);
    let (record, release) = outputs::place_of(fleet, site).ok_or_else(|| {
        let mut known: Vec<&str> = known().collect();
        known.sort_unstable();
        format!("there is no site {site:?}; known: {}", known.join(", "))
    })?;
    let keyed = matches!(
        fleet.snapshot.deployment.sites.get(site),
        Some(Access::Keys(_))
    );
    if keyed && wishes.key.is_none() {
        return Err(format!(
            "site {site} asks for keys: give --key, or the secret to make it with (HANDSET_SECRET, --secret-file)"
        ));
    }
    let address = Address::of(record.public_url.as_deref(), site, wishes.key)?;
    let groups = outputs::groups(fleet);
    let groups: Vec<_> = groups
        .iter()
        .filter(|group| group.site.name == site)
        .collect();
    let layers = [
        &record.layer.settings,
        &release.record.tenant.settings,
        &release.record.deployment.settings,
    ];
    let mut plan = Plan {
        site: site.to_owned(),
        common: Vec::new(),
        classes: Vec::new(),
        warnings: Vec::new(),
    };
    if is_own(&address.base) {
        let warning = format!(
            "{} is this machine's own address: phones reach nothing there",
            address.base
        );
        plan.warnings.push(warning);
    }
    plan.add_time(layers, &groups);
    plan.add_time_servers(layers);
    if let Some(server) = wishes.tftp_server {
        plan.common.push(Setting {
            option: 150,
            value: Value::Addresses(vec![server]),
        });
    }
    plan.add_classes(&groups, &address);
    plan.check_lengths()?;
    Ok(plan)
}

/// RFC 2132 ends an option at 255 bytes, and some phones read less.
const LONGEST: usize = 200;

impl Plan {
    fn add_time(&mut self, layers: [&Settings; 3], groups: &[&Group<'_>]) {
        let Some(offset) = nearest(layers, "time_offset").and_then(Json::as_i64) else {
            let warning = "no time_zone is set for the site: option 2 is left out, and phones show UTC \
                           unless their own files say otherwise";
            return self.warnings.push(warning.to_owned());
        };
        let other = |layer: Option<&Settings>| {
            let own = layer.and_then(|layer| layer.get("time_offset"));
            own.and_then(Json::as_i64).is_some_and(|own| own != offset)
        };
        let phones = groups.iter().map(|group| {
            let model = other(group.model.settings);
            let differing = |(_, phone): &&(_, crate::device::DeviceSettings)| {
                model || other(Some(&phone.settings))
            };
            group.phones.iter().filter(differing).count()
        });
        match phones.sum() {
            0_usize => {}
            count => self.warnings.push(format!(
                "{count} phones have another time offset than the site; option 2 is one for all"
            )),
        }
        if nearest(layers, "daylight").is_some_and(Json::is_object) {
            let warning = "option 2 is standard time: it knows no daylight saving, which the phones' own files bring";
            self.warnings.push(warning.to_owned());
        }
        self.common.push(Setting {
            option: 2,
            value: Value::Offset(i32::try_from(offset).unwrap_or_default()),
        });
    }

    fn add_time_servers(&mut self, layers: [&Settings; 3]) {
        let Some(server) = nearest(layers, "ntp_server").and_then(Json::as_str) else {
            return;
        };
        match server.parse() {
            Ok(IpAddr::V4(address)) => self.common.push(Setting {
                option: 42,
                value: Value::Addresses(vec![address]),
            }),
            _ => self.warnings.push(format!(
                "option 42 takes IPv4 addresses and ntp_server is {server}: it is left out, and phones take the name \
                 from their files"
            )),
        }
    }

    fn add_classes(&mut self, groups: &[&Group<'_>], address: &Address) {
        let mut classes = BTreeMap::<String, (PhoneClass, &Offer, usize)>::new();
        for group in groups {
            let Some(offer) = offer::find(group.model.vendor, group.model.family) else {
                continue;
            };
            let class = class_of(group, offer, address);
            let Some((known, other, phones)) = classes.get_mut(&class.name) else {
                classes.insert(class.name.clone(), (class, offer, group.phones.len()));
                continue;
            };
            *phones += group.phones.len();
            if known.settings != class.settings {
                self.warnings
                    .extend(reconcile(known, other, &class, address));
            }
        }
        self.classes
            .extend(classes.into_values().map(|(class, ..)| class));
        if self.classes.is_empty() {
            self.warnings.push("the site has no phones yet".to_owned());
        }
        self.warnings.extend(contradictions(&self.classes));
    }

    fn check_lengths(&self) -> Result<(), String> {
        for setting in self.classes.iter().flat_map(|class| &class.settings) {
            match &setting.value {
                Value::Text(text) if text.len() > LONGEST => {
                    let (option, length) = (setting.option, text.len());
                    return Err(format!(
                        "the address in option {option} has {length} bytes, and phones are sure to take {LONGEST} \
                         (DHCP ends an option at 255): shorten public_url or the site's name"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether an address means whoever asks.
fn is_own(base: &str) -> bool {
    let url = Url::parse(base).ok();
    url.is_some_and(|url| match url.host() {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
    })
}

/// The site's address in the parts that offers are made of.
struct Address {
    base: String,
    path: String,
}

impl Address {
    fn of(public_url: Option<&str>, site: &str, key: Option<&str>) -> Result<Self, String> {
        let url = public_url.ok_or_else(|| {
            format!("sites/{site}.toml has no public_url, and phones have to be given an address")
        })?;
        if let Some(key) = key
            && Key::parse(key).is_none()
        {
            let length = Key::LENGTH;
            return Err(format!(
                "--key is no path key ({length} letters and digits from 2 to 7)"
            ));
        }
        let path = match key {
            Some(key) => format!("{site}/{key}"),
            None => site.to_owned(),
        };
        // What public_url has after the host is part of every path.
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let prefix = rest
            .split_once('/')
            .map_or(String::new(), |(_, path)| format!("{path}/"));
        Ok(Self {
            base: format!("{url}/{path}"),
            path: format!("{prefix}{path}"),
        })
    }

    fn fill(&self, offer: &str, image: &str) -> String {
        offer
            .replace("{base}", &self.base)
            .replace("{path}", &self.path)
            .replace("{image}", image)
    }
}

fn class_of(group: &Group<'_>, offer: &Offer, address: &Address) -> PhoneClass {
    let (vendor_class, prefix, name) = match offer.class {
        Class::Model => (group.model.user_agent, false, group.model.user_agent),
        Class::Vendor(begins) => (begins, true, offer.vendor),
    };
    let text = address.fill(offer.address, group.model.image);
    PhoneClass {
        name: plain(name),
        vendor_class: vendor_class.to_owned(),
        prefix,
        settings: texts(offer.options, &text),
    }
}

fn texts(options: &[u8], text: &str) -> Vec<Setting> {
    let setting = |option: &u8| Setting {
        option: *option,
        value: Value::Text(text.to_owned()),
    };
    options.iter().map(setting).collect()
}

/// Letters, digits and dashes, as every server takes them for a name.
fn plain(name: &str) -> String {
    let letters = name.chars().map(|c| match c {
        _ if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
        _ => '-',
    });
    letters.collect()
}

/// Two kinds of phones that say the same of themselves: what serves both, or a warning.
fn reconcile(
    known: &mut PhoneClass,
    offer: &Offer,
    other: &PhoneClass,
    address: &Address,
) -> Option<String> {
    let name = &known.name;
    match offer.together {
        Some((options, text)) => {
            known.settings = texts(options, &address.fill(text, ""));
            let shown: Vec<String> = options.iter().map(u8::to_string).collect();
            Some(format!(
                "the {name} phones of this site read the same options in two ways and cannot be told apart: they are \
                 offered option {} alone, which all of them understand; do not give them 160 or 159",
                shown.join(", ")
            ))
        }
        None => Some(format!(
            "the {name} phones of this site need contradicting values of option {}",
            other.settings.first().map_or(0, |setting| setting.option)
        )),
    }
}

/// What goes wrong where the server does not tell the classes apart.
fn contradictions(classes: &[PhoneClass]) -> Vec<String> {
    let mut options = BTreeMap::<u8, Vec<&PhoneClass>>::new();
    for class in classes {
        for setting in &class.settings {
            options.entry(setting.option).or_default().push(class);
        }
    }
    let text = |class: &PhoneClass, option: u8| {
        let own = class
            .settings
            .iter()
            .find(|setting| setting.option == option);
        own.map(|setting| setting.value.clone())
    };
    let contradict = |(option, classes): &(u8, Vec<&PhoneClass>)| {
        let values: Vec<_> = classes.iter().map(|class| text(class, *option)).collect();
        values.windows(2).any(|pair| pair.first() != pair.last())
    };
    let wrong = options.into_iter().filter(contradict);
    wrong
        .map(|(option, classes)| {
            let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            format!(
                "{} need different values of option {option}: it must not be set for the whole network",
                names.join(", ")
            )
        })
        .collect()
}

fn nearest<'s>(layers: [&'s Settings; 3], name: &str) -> Option<&'s Json> {
    layers.into_iter().find_map(|layer| layer.get(name))
}

/// The offset as articles and registries write it: the 32 bits of its two's complement.
fn hexadecimal(offset: i32) -> String {
    format!("0x{offset:08X}")
}

/// A value as text, for servers that take it so.
fn shown(value: &Value) -> String {
    match value {
        Value::Addresses(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            addresses.join(",")
        }
        Value::Offset(offset) => offset.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// The lines that every format begins with, after its comment sign.
fn head(plan: &Plan, comment: &str) -> String {
    let mut lines = vec![format!(
        "DHCP options for the phones of site {}.",
        plan.site
    )];
    for setting in &plan.common {
        if let Value::Offset(offset) = setting.value {
            let hexadecimal = hexadecimal(offset);
            lines.push(format!("Option 2 is {offset} seconds, {hexadecimal}."));
        }
    }
    lines.extend(
        plan.warnings
            .iter()
            .map(|warning| format!("Note: {warning}.")),
    );
    lines
        .iter()
        .map(|line| format!("{comment} {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Address;
    use super::hexadecimal;
    use super::plain;

    #[test]
    fn central_time_is_the_articles() {
        assert_eq!(hexadecimal(-21_600), "0xFFFFABA0");
        assert_eq!(hexadecimal(3600), "0x00000E10");
    }

    #[test]
    fn both_halves_are_complete() {
        let key = Some("aoohnirlv76fug766r5uuy3krqe");
        let offer = "{base}/{image};{path}/<MAC>.cfg";
        let address = Address::of(Some("https://h"), "hq", key).unwrap();
        assert_eq!(
            address.fill(offer, "420HD.img"),
            "https://h/hq/aoohnirlv76fug766r5uuy3krqe/420HD.img;hq/aoohnirlv76fug766r5uuy3krqe/<MAC>.cfg"
        );
        let address = Address::of(Some("https://h/phones"), "hq", None).unwrap();
        assert_eq!(
            address.fill(offer, "420HD.img"),
            "https://h/phones/hq/420HD.img;phones/hq/<MAC>.cfg"
        );
        assert!(Address::of(Some("https://h"), "hq", Some("secret")).is_err());
        assert!(Address::of(None, "hq", None).is_err());
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(plain("KX-UT136 (new)"), "kx-ut136--new-");
    }
}
