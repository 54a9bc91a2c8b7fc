//! A release: every template of a site and what is known of its images, immutable and named by its hash.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::mac::MacAddress;
use crate::map::Map;
use crate::path::RequestPath;
use crate::pattern::Captures;
use crate::pattern::Pattern;
use crate::pattern::PatternError;
use crate::render::RenderError;
use crate::render::Templates;
use crate::settings::Settings;
use crate::site::Layer;
use crate::vendor;
use crate::vendor::FileKind;
use crate::vendor::Format;
use crate::vendor::Source;
use crate::vendor::Vendor;

/// The name of a release: the first 32 hexadecimal digits of the SHA-256 of its record.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ReleaseId(pub String);

impl ReleaseId {
    /// The name of a release whose record is these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut id = sha256_hex(bytes);
        id.truncate(32);
        Self(id)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A release as stores keep it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReleaseRecord {
    /// Settings and pins of the deployment.
    pub deployment: Layer,
    /// Images by vendor, version and lower-case file name.
    pub firmware: Map<Map<Map<BlobRecord>>>,
    /// Models that the operator says something of, by name.
    pub models: Map<ModelRecord>,
    /// Resources by lower-case path.
    pub resources: Map<BlobRecord>,
    /// Templates by `vendor/name`, the built-in ones among them.
    pub templates: Map<TemplateRecord>,
    /// Settings and pins of the tenant.
    pub tenant: Layer,
}

/// A model that the operator says something of, complete with what its vendor's table says.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ModelRecord {
    /// The vendor's name.
    pub vendor: String,
    /// See [`vendor::Model::user_agent`].
    pub user_agent: String,
    /// See [`vendor::Model::family`].
    pub family: String,
    /// See [`vendor::Model::image`].
    pub image: String,
    /// See [`vendor::Model::first_line`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_line: String,
    /// The model's layer of settings.
    #[serde(default)]
    pub settings: Settings,
}

/// A template's text and how values are written into it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TemplateRecord {
    /// How values are written into it.
    pub format: Format,
    /// Jinja.
    pub text: String,
    /// The operator's file, relative to the fleet directory; `None` if Handset brought it. A template
    /// that Handset brought is served by its vendor's file rules only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What is known of a blob without reading it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlobRecord {
    /// Its SHA-256, in hexadecimal: the name of the blob and its entity tag.
    pub sha256: String,
    /// Bytes.
    pub length: u64,
    /// When the operator's file was last changed, in seconds since 1970.
    pub modified: u64,
}

/// A release ready for use: parsed once, then shared by all requests.
#[derive(Debug)]
pub struct Release {
    /// Its name.
    pub id: ReleaseId,
    /// What it was made from.
    pub record: ReleaseRecord,
    /// Its templates, parsed.
    pub templates: Templates,
    rules: Vec<Rule>,
    /// Which rules a name's ending leaves, so that a name is not matched against all of them.
    by_ending: Map<Vec<usize>>,
}

/// A file rule of a vendor, or one that a template's or resource's name makes.
#[derive(Debug)]
pub struct Rule {
    /// Which names.
    pub pattern: Pattern,
    /// Whose phones ask for it; `None` for a resource.
    pub vendor: Option<&'static Vendor>,
    /// What the file is.
    pub kind: FileKind,
    /// Where it comes from, the first that has it.
    pub sources: Vec<Source<String>>,
    /// Whether asking for it is how a boot begins.
    pub starts_boot: bool,
    /// Whether the operator's files made it: such a rule goes before a vendor's.
    pub own: bool,
}

/// A model, from the operator's records or a vendor's table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Model<'a> {
    /// What its maker prints on it.
    pub name: &'a str,
    /// Whose it is.
    pub vendor: &'static str,
    /// See [`vendor::Model::user_agent`].
    pub user_agent: &'a str,
    /// See [`vendor::Model::family`].
    pub family: &'a str,
    /// See [`vendor::Model::image`].
    pub image: &'a str,
    /// See [`vendor::Model::first_line`].
    pub first_line: &'a str,
    /// The model's layer, if the operator gave it one.
    pub settings: Option<&'a Settings>,
}

/// Why a record is no usable release. Compiling a fleet directory reports it with file and line.
#[derive(Debug)]
pub enum ReleaseError {
    /// The name of a template or resource is no pattern.
    Name(String, PatternError),
    /// A template does not parse.
    Template(RenderError),
    /// A template lies under a name that is no vendor's.
    Vendor(String),
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, error) => write!(f, "{name}: {error}"),
            Self::Template(error) => write!(f, "{error}"),
            Self::Vendor(name) => write!(f, "{name}: not below a vendor's folder"),
        }
    }
}

impl std::error::Error for ReleaseError {}

impl ReleaseRecord {
    /// The record's bytes, as stores keep them, and its name.
    pub fn encode(&self) -> (ReleaseId, Vec<u8>) {
        // Maps of texts and numbers always have a JSON form; an empty record would be refused on reading.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        (ReleaseId::of(&bytes), bytes)
    }
}

impl Release {
    /// Parses a record.
    pub fn parse(id: ReleaseId, record: ReleaseRecord) -> Result<Self, ReleaseError> {
        let templates = Templates::parse(&record.templates).map_err(ReleaseError::Template)?;
        let mut rules = vendor_rules()?;
        for (name, template) in &record.templates {
            rules.extend(own_template_rule(name, template)?);
        }
        for path in record.resources.keys().filter(|path| path.contains('{')) {
            rules.push(own_resource_rule(path)?);
        }
        let by_ending = index(&rules);
        Ok(Self {
            id,
            record,
            templates,
            rules,
            by_ending,
        })
    }

    /// Every rule: the vendors' and the operator's own.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Every rule that matches a path below the site.
    pub fn matching<'r, 'p>(&'r self, path: &'p RequestPath) -> Vec<(&'r Rule, Captures<'p>)> {
        let ending = path
            .name()
            .rsplit_once('.')
            .map_or("", |(_, ending)| ending);
        let rules = match ending.bytes().any(|byte| byte.is_ascii_uppercase()) {
            _ if ending.is_empty() => None,
            false => self.by_ending.get(ending),
            true => self.by_ending.get(&ending.to_ascii_lowercase()),
        };
        let rules = [rules, self.by_ending.get("")]
            .into_iter()
            .flatten()
            .flatten();
        let rules = rules.filter_map(|index| self.rules.get(*index));
        rules
            .filter_map(|rule| Some((rule, rule.pattern.capture(path)?)))
            .collect()
    }

    /// The model of this name; any vendor's if none is given.
    pub fn model<'r>(&'r self, vendor: Option<&'static Vendor>, name: &str) -> Option<Model<'r>> {
        let mine = |name: &str| vendor.is_none_or(|vendor| vendor.name == name);
        let own = self.record.models.iter().find(|(own, record)| {
            mine(&record.vendor)
                && (vendor::same_name(own, name) || vendor::same_name(&record.user_agent, name))
        });
        own.and_then(|(name, record)| Model::of_record(name, record))
            .or_else(|| match vendor {
                Some(vendor) => Some(Model::of_table(vendor, vendor.model(name)?)),
                None => {
                    vendor::find_model(name).map(|(vendor, model)| Model::of_table(vendor, model))
                }
            })
    }

    /// The model that a User-Agent names: the longest name that it begins with.
    pub fn model_by_user_agent<'r>(
        &'r self,
        vendor: &'static Vendor,
        name: &str,
    ) -> Option<Model<'r>> {
        let own = self
            .record
            .models
            .iter()
            .filter(|(_, record)| record.vendor == vendor.name);
        let own = own.filter_map(|(name, record)| Model::of_record(name, record));
        let table = vendor
            .models
            .iter()
            .map(|model| Model::of_table(vendor, model));
        own.chain(table)
            .filter(|model| !model.user_agent.is_empty() && starts_with(name, model.user_agent))
            .max_by_key(|model| model.user_agent.len())
    }

    /// The model whose firmware image has this name, and the version that the name tells, if it does.
    pub fn model_by_image<'r>(
        &'r self,
        vendor: &'static Vendor,
        image: &str,
    ) -> Option<(Model<'r>, Option<String>)> {
        let own = self
            .record
            .models
            .iter()
            .filter(|(_, record)| record.vendor == vendor.name);
        let own = own.filter_map(|(name, record)| Model::of_record(name, record));
        let table = vendor
            .models
            .iter()
            .map(|model| Model::of_table(vendor, model));
        own.chain(table).find_map(|model| {
            let version = match model.image.split_once("{version}") {
                None => image.eq_ignore_ascii_case(model.image).then_some(None)?,
                Some((before, after)) => {
                    Some(image.strip_prefix(before)?.strip_suffix(after)?.to_owned())
                }
            };
            (!model.image.is_empty()).then_some((model, version))
        })
    }

    /// What is known of an image.
    pub fn image(&self, vendor: &str, version: &str, name: &str) -> Option<&BlobRecord> {
        self.record
            .firmware
            .get(vendor)?
            .get(version)?
            .get(&name.to_ascii_lowercase())
    }

    /// What is known of a resource.
    pub fn resource(&self, path: &str) -> Option<&BlobRecord> {
        self.record.resources.get(&path.to_ascii_lowercase())
    }

    /// The same by a request's path, whose directories may be doubled.
    pub fn resource_at(&self, path: &RequestPath) -> Option<&BlobRecord> {
        self.resource(path.as_str())
            .or_else(|| self.resource(path.collapsed().as_str()))
    }
}

impl<'a> Model<'a> {
    fn of_record(name: &'a str, record: &'a ModelRecord) -> Option<Self> {
        Some(Self {
            name,
            vendor: Vendor::find(&record.vendor)?.name,
            user_agent: &record.user_agent,
            family: &record.family,
            image: &record.image,
            first_line: &record.first_line,
            settings: Some(&record.settings),
        })
    }

    fn of_table(vendor: &'static Vendor, model: &'static vendor::Model) -> Self {
        Self {
            name: model.name,
            vendor: vendor.name,
            user_agent: model.user_agent,
            family: model.family,
            image: model.image,
            first_line: model.first_line,
            settings: None,
        }
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The rules by the ending of the names they match; under the empty one those that may match any.
fn index(rules: &[Rule]) -> Map<Vec<usize>> {
    let mut index: Map<Vec<usize>> = Map::default();
    for (place, rule) in rules.iter().enumerate() {
        let pattern = rule.pattern.to_string().to_ascii_lowercase();
        let ending = pattern.rsplit_once('.').map(|(_, ending)| ending);
        let fixed = ending.filter(|ending| !ending.is_empty() && !ending.contains(['{', '}', '/']));
        index.get_or_default(fixed.unwrap_or_default()).push(place);
    }
    index
}

fn vendor_rules() -> Result<Vec<Rule>, ReleaseError> {
    let rows = vendor::ALL
        .iter()
        .flat_map(|vendor| vendor.rules.iter().map(move |row| (*vendor, row)));
    rows.map(|(vendor, row)| {
        Ok(Rule {
            pattern: parse_pattern(row.pattern)?,
            vendor: Some(vendor),
            kind: row.kind,
            sources: row
                .sources
                .iter()
                .map(|source| source.map(str::to_owned))
                .collect(),
            starts_boot: row.starts_boot,
            own: false,
        })
    })
    .collect()
}

/// A template of the operator's whose name is no built-in one's makes a rule of its own.
fn own_template_rule(name: &str, template: &TemplateRecord) -> Result<Option<Rule>, ReleaseError> {
    let (folder, file) = name
        .split_once('/')
        .ok_or_else(|| ReleaseError::Vendor(name.to_owned()))?;
    let vendor = Vendor::find(folder).ok_or_else(|| ReleaseError::Vendor(name.to_owned()))?;
    if template.file.is_none() || is_part(file) || has_table_rule(vendor, file) {
        return Ok(None);
    }
    Ok(Some(Rule {
        pattern: parse_pattern(file)?,
        vendor: Some(vendor),
        kind: FileKind::Configuration,
        sources: vec![Source::Template(file.to_owned())],
        starts_boot: false,
        own: true,
    }))
}

fn own_resource_rule(path: &str) -> Result<Rule, ReleaseError> {
    Ok(Rule {
        pattern: parse_pattern(path)?,
        vendor: None,
        kind: FileKind::Resource,
        sources: vec![Source::NamedResource(path.to_owned())],
        starts_boot: false,
        own: true,
    })
}

/// Whether a template is only a part of others: its name starts with an underscore.
pub fn is_part(file: &str) -> bool {
    file.rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with('_'))
}

/// Whether a vendor's own rule already renders the template of this name, for whoever asks.
fn has_table_rule(vendor: &Vendor, file: &str) -> bool {
    vendor
        .rules
        .iter()
        .flat_map(|rule| rule.sources)
        .any(|source| match source {
            Source::Template(name) | Source::SettingTemplate(name, _) => {
                *name == file
                    || vendor
                        .models
                        .iter()
                        .any(|model| name.replace("{family}", model.family) == file)
            }
            _ => false,
        })
}

fn parse_pattern(text: &str) -> Result<Pattern, ReleaseError> {
    Pattern::parse(text).map_err(|error| ReleaseError::Name(text.to_owned(), error))
}

/// Names of models begin alike and end apart: the last byte tells most of them.
fn starts_with(text: &str, prefix: &str) -> bool {
    let Some((start, last)) = text
        .as_bytes()
        .get(..prefix.len())
        .zip(prefix.as_bytes().last())
    else {
        return false;
    };
    start
        .last()
        .is_some_and(|byte| byte.eq_ignore_ascii_case(last))
        && start.eq_ignore_ascii_case(prefix.as_bytes())
}

impl Rule {
    /// Whether it is about one device.
    pub fn is_device(&self) -> bool {
        self.pattern.has_mac()
    }

    /// Whether devices upload it.
    pub fn takes_uploads(&self) -> bool {
        self.sources.contains(&Source::Upload) || self.takes_xml()
    }

    /// Whether what they upload is XML.
    pub fn takes_xml(&self) -> bool {
        self.sources.contains(&Source::XmlUpload)
    }

    /// The device that a name without a rule is about, if its last segment holds a hardware address.
    pub fn mac_within(path: &RequestPath) -> Option<MacAddress> {
        Self::mac_in(path.name())
    }

    /// The hardware address that a segment holds: twelve hexadecimal digits between others.
    pub fn mac_in(segment: &str) -> Option<MacAddress> {
        let runs = segment.split(|c: char| !c.is_ascii_hexdigit());
        runs.filter(|run| run.len() == 12)
            .find_map(|run| run.parse().ok())
    }
}
