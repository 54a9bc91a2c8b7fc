//! The vendors: which phones there are, how they name themselves and which files they ask for.
//!
//! Tables only: a vendor is one `const` literal in `vendor/`, read by code that knows no vendor. What
//! this deliberately does not do: no functions in the tables, no branches on a vendor's name anywhere.
//! To add a vendor, add a file with one literal and a line in [`ALL`]; the tests at the foot say what
//! is wrong with it.

mod audiocodes;
pub mod habits;
pub mod lines;
mod panasonic;
mod polycom;

use std::sync::LazyLock;

use crate::mac::MacAddress;
use crate::mac::Oui;
use crate::map::Map;

pub use audiocodes::AUDIOCODES;
pub use panasonic::PANASONIC;
pub use polycom::POLYCOM;

/// Every vendor, sorted by name.
pub const ALL: &[&Vendor] = &[&AUDIOCODES, &PANASONIC, &POLYCOM];

/// One maker of phones.
#[derive(Debug)]
pub struct Vendor {
    /// The name of its folders in `templates/` and `firmware/`.
    pub name: &'static str,
    /// Address blocks, sorted: a hint when nothing else tells.
    pub ouis: &'static [Oui],
    /// Shapes of its User-Agent, the most telling first; see [`crate::user_agent`].
    pub user_agents: &'static [&'static str],
    /// Whether its phones upload by POST besides PUT.
    pub posts: bool,
    /// The address that its phones are given when they ask for one by SIP multicast, `{base}` standing for the server's;
    /// everything else is the phone's. `None` where they do not ask.
    pub sip_pnp: Option<&'static str>,
    /// The user and the password that its phones have from the factory and that everybody knows.
    pub factory_password: Option<(&'static str, &'static str)>,
    /// Where its phones' certificates say which phone it is: `CN` or `SAN` (a DNS name), and the text there.
    pub certificate: &'static [(&'static str, &'static str)],
    /// The families of its models that its template for a device hands an address of the device's own, to keep
    /// instead of DHCP's: those whose maker says how.
    pub hand_over: HandOver,
    /// Whether its phones are said to follow a redirect to a file; see docs/spin.md for what that rests on.
    pub follows_redirects: bool,
    /// The format of a template that does not look like XML.
    pub text: Format,
    /// Its products, sorted by name.
    pub models: &'static [Model],
    /// The files its phones ask for.
    pub rules: &'static [FileRule],
    /// Names that no template or resource may have, because the phone gives them another meaning:
    /// pattern and reason.
    pub reserved: &'static [(&'static str, &'static str)],
    /// Names that only a file with this text in it may have: pattern, text and reason.
    pub marked: &'static [(&'static str, &'static str, &'static str)],
}

/// Which models can be handed an address of their own, with their key in it, by a file that they read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HandOver {
    /// Those of every family.
    All,
    /// Those of some families; for the others no document says how.
    Families(&'static [&'static str]),
}

impl HandOver {
    /// Whether models of this family can.
    pub fn reaches(self, family: &str) -> bool {
        match self {
            Self::All => true,
            Self::Families(families) => families.contains(&family),
        }
    }
}

/// One product.
#[derive(Debug)]
pub struct Model {
    /// What its maker prints on it.
    pub name: &'static str,
    /// What it calls itself in the User-Agent; a prefix where hardware variants follow.
    pub user_agent: &'static str,
    /// Models that read the same files: the folder of their templates where the names are shared.
    pub family: &'static str,
    /// The name of its firmware image, `{version}` standing for the version; empty if unknown.
    pub image: &'static str,
    /// The comment that its text files must begin with, where that is not its vendor's usual one.
    pub first_line: &'static str,
}

/// One row of a vendor's table: a file that phones ask for or send.
#[derive(Debug)]
pub struct FileRule {
    /// Which names; its holes say how wide the file applies.
    pub pattern: &'static str,
    /// What the file is to the phone.
    pub kind: FileKind,
    /// Where it comes from, the first that has it.
    pub sources: &'static [Source],
    /// Whether asking for it is how a boot begins.
    pub starts_boot: bool,
}

/// What a file is to the phone that asks for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// Call history.
    CallList,
    /// Text that a phone reads and applies.
    Configuration,
    /// Address book.
    ContactDirectory,
    /// Memory of a crashed phone.
    CoreDump,
    /// The device's own log.
    DeviceLog,
    /// Executable image.
    FirmwareImage,
    /// The text file beside images that names their version.
    FirmwareVersion,
    /// Licence keys.
    License,
    /// The file fetched first, naming the rest.
    MasterConfiguration,
    /// The user's changes, which a phone writes back.
    Overrides,
    /// Ringtone, background, language pack, certificate.
    Resource,
}

/// Where a file comes from. Names are filled from the pattern's captures, `{family}` from the model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source<Name = &'static str> {
    /// An image of the pinned version (or of the version in the name), by this name.
    Firmware(Name),
    /// A resource by this path, whatever the request's: one that stands for many names.
    NamedResource(Name),
    /// A template that exists for a device only if its own record pins a firmware version.
    PinnedTemplate(Name),
    /// A file of the resources, by the request's path.
    Resource,
    /// A template that exists only where the site has this setting.
    SettingTemplate(Name, Name),
    /// A template, by its name below the vendor's folder.
    Template(Name),
    /// What the device itself uploaded; the rule then accepts uploads.
    Upload,
    /// The same, and it is XML: what is not well-formed is not accepted.
    XmlUpload,
}

impl<Name: Copy> Source<Name> {
    /// The same source with its name kept otherwise.
    pub fn map<Other>(&self, name: impl Fn(Name) -> Other) -> Source<Other> {
        match self {
            Self::Firmware(file) => Source::Firmware(name(*file)),
            Self::NamedResource(path) => Source::NamedResource(name(*path)),
            Self::PinnedTemplate(file) => Source::PinnedTemplate(name(*file)),
            Self::Resource => Source::Resource,
            Self::SettingTemplate(file, setting) => {
                Source::SettingTemplate(name(*file), name(*setting))
            }
            Self::Template(file) => Source::Template(name(*file)),
            Self::Upload => Source::Upload,
            Self::XmlUpload => Source::XmlUpload,
        }
    }
}

/// How values are written into a file and what the phone asks of its shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `name=value` lines.
    KeyValue,
    /// Text that is a value as a whole.
    Plain,
    /// `NAME="value"` lines ended by CRLF, with bounds on line and file (Panasonic's standard format).
    QuotedLines,
    /// XML 1.0.
    Xml,
}

impl Vendor {
    /// The vendor of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|vendor| vendor.name == name)
    }

    /// The vendor whose address block holds `mac`.
    pub fn of_mac(mac: MacAddress) -> Option<&'static Self> {
        ALL.iter()
            .copied()
            .find(|vendor| vendor.ouis.binary_search(&mac.oui()).is_ok())
    }

    /// The model of this name, in any spelling: `VVX 400`, `vvx400`, `VVX_400`.
    pub fn model(&self, name: &str) -> Option<&'static Model> {
        let (vendor, model) = find_model(name)?;
        (vendor.name == self.name).then_some(model)
    }
}

/// The vendor and model of this name, in any spelling.
pub fn find_model(name: &str) -> Option<(&'static Vendor, &'static Model)> {
    MODELS.get(&significant(name).collect::<String>()).copied()
}

/// Every model by the letters and digits of its names: one is looked up for each file of a device.
static MODELS: LazyLock<Map<(&Vendor, &Model)>> = LazyLock::new(|| {
    let rows = ALL
        .iter()
        .flat_map(|vendor| vendor.models.iter().map(move |model| (*vendor, model)));
    let names = rows.flat_map(|row| [row.1.name, row.1.user_agent].map(|name| (name, row)));
    names
        .map(|(name, row)| (significant(name).collect(), row))
        .collect()
});

/// Whether two spellings name one model: letters and digits count, without regard to case.
pub fn same_name(one: &str, other: &str) -> bool {
    significant(one).eq(significant(other))
}

fn significant(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ALL;
    use super::FileRule;
    use super::Source;
    use super::Vendor;
    use super::find_model;
    use crate::pattern::Pattern;
    use crate::user_agent::UserAgent;

    #[test]
    fn vendors_and_models_are_sorted_and_unique() {
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name), "sort ALL by name");
        for vendor in ALL {
            assert!(
                vendor.ouis.is_sorted_by(|a, b| a < b),
                "sort the OUIs of {}",
                vendor.name
            );
            let sorted = vendor.models.is_sorted_by(|a, b| a.name < b.name);
            assert!(
                sorted,
                "sort the models of {} by name, each once",
                vendor.name
            );
        }
        let ouis: Vec<_> = ALL.iter().flat_map(|vendor| vendor.ouis).collect();
        assert_eq!(
            ouis.iter().collect::<HashSet<_>>().len(),
            ouis.len(),
            "an OUI stands twice"
        );
    }

    #[test]
    fn every_model_is_found_by_its_names() {
        for vendor in ALL {
            for model in vendor.models {
                for name in [model.name, model.user_agent] {
                    let (_, found) = find_model(name).expect(name);
                    assert_eq!(found.name, model.name, "{name} names two models");
                }
            }
        }
    }

    #[test]
    fn patterns_parse_and_are_unique() {
        for vendor in ALL {
            let mut seen = HashSet::new();
            for rule in vendor.rules {
                Pattern::parse(rule.pattern).expect(rule.pattern);
                assert!(
                    seen.insert(rule.pattern.to_ascii_lowercase()),
                    "{} twice",
                    rule.pattern
                );
                assert!(
                    !rule.sources.is_empty(),
                    "{} comes from nowhere",
                    rule.pattern
                );
            }
            for (pattern, _) in vendor.reserved {
                Pattern::parse(pattern).expect(pattern);
            }
        }
    }

    #[test]
    fn what_a_device_uploads_names_the_device() {
        for (vendor, rule) in rules() {
            let uploads = rule
                .sources
                .iter()
                .any(|source| matches!(source, Source::Upload | Source::XmlUpload));
            let own = Pattern::parse(rule.pattern).unwrap().has_mac();
            assert!(
                own || !uploads,
                "{}: {} accepts uploads but names no device",
                vendor.name,
                rule.pattern
            );
        }
    }

    #[test]
    fn images_follow_the_site() {
        for (vendor, rule) in rules() {
            let firmware = rule
                .sources
                .iter()
                .any(|source| matches!(source, Source::Firmware(_)));
            let own = Pattern::parse(rule.pattern).unwrap().has_mac();
            assert!(
                !own || !firmware,
                "{}: {}: images carry no MAC",
                vendor.name,
                rule.pattern
            );
        }
    }

    #[test]
    fn user_agent_shapes_hold_a_model() {
        for vendor in ALL {
            for shape in vendor.user_agents {
                assert!(shape.contains("{model}"), "{shape}");
                let sample = shape
                    .replace("{brand}", "Brand")
                    .replace("{model}", "X1")
                    .replace("{version}", "1.2")
                    .replace("{mac}", "0004f28062d6");
                let read = UserAgent::parse(&sample).expect(shape);
                assert_eq!(read.vendor.name, vendor.name, "{shape}");
                assert_eq!(read.model, "X1", "{shape}");
            }
        }
    }

    fn rules() -> impl Iterator<Item = (&'static Vendor, &'static FileRule)> {
        ALL.iter()
            .flat_map(|vendor| vendor.rules.iter().map(move |rule| (*vendor, rule)))
    }
}
