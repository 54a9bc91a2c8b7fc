//! The root directory of a TFTP, FTP or web server that phones were served from.
//!
//! Names are recognised by the vendors' file rules. A phone's own configuration becomes a row of a device
//! table: its lines, and every other parameter as it is. Shared files become templates that say the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Defaults;
use super::Import;
use super::Row;
use crate::fleet::diagnostic::Place;
use crate::fleet::parameters;
use crate::fleet::parameters::Parameter;
use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::pattern::Pattern;
use crate::release::Rule;
use crate::vendor::ALL;
use crate::vendor::FileKind;
use crate::vendor::Format;
use crate::vendor::Vendor;
use crate::vendor::lines;

/// Directories below one another, and files in all.
const DEEPEST: usize = 8;
const MOST_FILES: usize = 100_000;

/// Bytes of a file that is read as text.
const LONGEST_TEXT: u64 = 4 << 20;

/// Recognises every file of a root directory.
pub fn read(root: &Path, defaults: &Defaults) -> Import {
    let mut reading = Reading {
        root,
        import: Import::default(),
        phones: BTreeMap::new(),
        versions: BTreeMap::new(),
    };
    let files = files(root);
    for file in &files {
        reading.version(file);
    }
    for file in &files {
        reading.file(file);
    }
    let mut import = reading.import;
    for (mac, (vendor, mut row)) in reading.phones {
        row.put("mac", mac.to_string());
        add_users(&mut row);
        let mut models = defaults.models.iter();
        let model = models.find(|model| vendor.model(model).is_some());
        if let (None, Some(model)) = (row.cells.get("model"), model) {
            row.put("model", model.clone());
        }
        import.rows.push(row);
    }
    import
}

struct Reading<'r> {
    root: &'r Path,
    import: Import,
    phones: BTreeMap<MacAddress, (&'static Vendor, Row)>,
    /// What version files say, by vendor.
    versions: BTreeMap<&'static str, String>,
}

impl Reading<'_> {
    /// The version that the images beside a version file have.
    fn version(&mut self, file: &str) {
        for vendor in ALL {
            if kind_of(vendor, file) == Some(FileKind::FirmwareVersion)
                && let Some(text) = self.text(file)
            {
                let version = text.split_whitespace().next().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if !version.is_empty() && version.chars().all(plain) {
                    self.versions.insert(vendor.name, version.to_owned());
                }
            }
        }
    }

    fn file(&mut self, file: &str) {
        let mac = mac_of(file);
        let Some((vendor, kind)) = self.recognise(file, mac) else {
            return self.leave(file, "no vendor's phones ask for this name");
        };
        match (kind, mac) {
            (FileKind::FirmwareImage | FileKind::FirmwareVersion, _) => self.image(vendor, file),
            (FileKind::Resource | FileKind::License | FileKind::ContactDirectory, _) => {
                let to = format!("resources/{file}");
                self.import.files.insert(to, self.root.join(file));
            }
            (
                FileKind::CallList | FileKind::CoreDump | FileKind::DeviceLog | FileKind::Overrides,
                _,
            ) => {
                self.leave(file, "the phone uploads it again");
            }
            (FileKind::Configuration | FileKind::MasterConfiguration, Some(mac)) => {
                self.own(vendor, mac, file);
            }
            (FileKind::Configuration | FileKind::MasterConfiguration, None) => {
                self.shared(vendor, file);
            }
        }
    }

    /// Whose file it is, and what: by its name, a phone's address, and what it begins with.
    fn recognise(
        &self,
        file: &str,
        mac: Option<MacAddress>,
    ) -> Option<(&'static Vendor, FileKind)> {
        let of_mac = mac.and_then(Vendor::of_mac);
        let mut known = ALL
            .iter()
            .filter_map(|vendor| Some((*vendor, kind_of(vendor, file)?)));
        let named = match of_mac {
            Some(mine) => known.find(|(vendor, _)| vendor.name == mine.name),
            None => known.find(|(vendor, kind)| self.looks_like(vendor, *kind, file)),
        };
        let configuration = || {
            let text = file
                .to_ascii_lowercase()
                .ends_with(".cfg")
                .then(|| self.text(file))??;
            let mine = |vendor: &&&Vendor| Format::of_text(&text, vendor.text) == vendor.text;
            let vendor = of_mac.or_else(|| {
                ALL.iter()
                    .copied()
                    .find(|vendor| mine(&vendor) && is_readable(vendor, &text))
            })?;
            Some((vendor, FileKind::Configuration))
        };
        named.or_else(configuration)
    }

    /// A name such as `{model}.cfg` fits many files: what is in it decides.
    fn looks_like(&self, vendor: &Vendor, kind: FileKind, file: &str) -> bool {
        let configuration = matches!(
            kind,
            FileKind::Configuration | FileKind::MasterConfiguration
        );
        !configuration
            || self
                .text(file)
                .is_some_and(|text| is_readable(vendor, &text))
    }

    fn image(&mut self, vendor: &'static Vendor, file: &str) {
        let name = file.rsplit('/').next().unwrap_or(file);
        let told = vendor.models.iter().find_map(|model| {
            let (before, after) = model.image.split_once("{version}")?;
            Some(name.strip_prefix(before)?.strip_suffix(after)?.to_owned())
        });
        let version = told.or_else(|| self.versions.get(vendor.name).cloned());
        let version = version.unwrap_or_else(|| "imported".to_owned());
        let to = format!("firmware/{}/{version}/{name}", vendor.name);
        self.import.files.insert(to, self.root.join(file));
    }

    /// A file that many phones get: a template that says what it says.
    fn shared(&mut self, vendor: &'static Vendor, file: &str) {
        let Some(text) = self.text(file) else {
            return self.leave(file, "it is no text in UTF-8");
        };
        let plain = !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        let text = match plain {
            true => text,
            false => format!("{{% raw %}}{text}{{% endraw %}}"),
        };
        self.import
            .texts
            .insert(format!("templates/{}/{file}", vendor.name), text);
    }

    /// A file of one phone: what it says of the phone.
    fn own(&mut self, vendor: &'static Vendor, mac: MacAddress, file: &str) {
        let Some(text) = self.text(file) else {
            return self.leave(file, "it is no text in UTF-8");
        };
        if vendor.marked.iter().any(|(_, mark, _)| text.contains(mark)) {
            return self.leave(
                file,
                "a phone's own master: Handset makes it where a version is pinned",
            );
        }
        let format = Format::of_text(&text, vendor.text);
        let (_, row) = self.phones.entry(mac).or_insert_with(|| {
            let place = Place::file(file);
            (
                vendor,
                Row {
                    place,
                    ..Row::default()
                },
            )
        });
        for parameter in parameters::read(format, &text) {
            enter(row, vendor, parameter);
        }
    }

    fn text(&self, file: &str) -> Option<String> {
        let path = self.root.join(file);
        let short = fs::metadata(&path).ok()?.len() <= LONGEST_TEXT;
        let text = short.then(|| fs::read_to_string(&path).ok())??;
        Some(text.trim_start_matches('\u{feff}').to_owned())
    }

    fn leave(&mut self, file: &str, reason: &str) {
        self.import.left.push((file.to_owned(), reason.to_owned()));
    }
}

/// A line's field, the model, or a parameter as it is.
fn enter(row: &mut Row, vendor: &Vendor, parameter: Parameter) {
    if lines::model_parameter(vendor.name) == Some(parameter.name.as_str()) {
        return row.put("model", parameter.value);
    }
    if parameter.value.is_empty() {
        return;
    }
    for number in 1..=MOST_LINES {
        for (name, field) in lines::of_vendor(vendor.name) {
            let name = name.replace("{n}", &number.to_string());
            if name.replace("{n0}", &(number - 1).to_string()) == parameter.name {
                return row.put(format!("line{number}.{field}"), parameter.value);
            }
        }
    }
    row.put(
        format!("parameters.{}.{}", vendor.name, parameter.name),
        parameter.value,
    );
}

/// A line that is known by its address alone registers as the address says.
fn add_users(row: &mut Row) {
    for number in 1..=MOST_LINES {
        let address = row.cells.get(&format!("line{number}.address")).cloned();
        let user = format!("line{number}.user");
        if let (Some(address), None) = (address, row.cells.get(&user)) {
            let name = address.split('@').next().unwrap_or_default();
            row.put(user, name);
        }
    }
}

const MOST_LINES: usize = 12;

/// The phone that a name is about: by a rule of any vendor, or by what looks like an address.
fn mac_of(file: &str) -> Option<MacAddress> {
    let path = RequestPath::parse(file).ok()?;
    let rules = ALL.iter().flat_map(|vendor| vendor.rules);
    let captured = rules.filter_map(|rule| Pattern::parse(rule.pattern).ok()?.capture(&path));
    let mut macs = captured.filter_map(|captured| captured.mac);
    macs.next().or_else(|| Rule::mac_within(&path))
}

/// What the vendor's rules call this name, uploads and images first: their names are the surest.
fn kind_of(vendor: &Vendor, file: &str) -> Option<FileKind> {
    let path = RequestPath::parse(file).ok()?;
    let matching = vendor.rules.iter().filter(|rule| {
        let pattern = Pattern::parse(rule.pattern).ok();
        pattern.is_some_and(|pattern| pattern.capture(&path).is_some())
    });
    let specific = matching
        .max_by_key(|rule| Pattern::parse(rule.pattern).map_or(0, |pattern| pattern.specificity()));
    specific.map(|rule| rule.kind)
}

/// Whether a vendor's phone would find anything in a text.
fn is_readable(vendor: &Vendor, text: &str) -> bool {
    let format = Format::of_text(text, vendor.text);
    let begins = crate::vendor::habits::find(vendor.name).and_then(|habits| habits.first_line);
    let first = text.lines().next().unwrap_or_default();
    let lines = format == vendor.text && format != Format::Xml;
    match begins {
        Some((wanted, line)) if wanted == format => first == line,
        _ => {
            (format == Format::Xml && vendor.text == format || lines)
                && !parameters::read(format, text).is_empty()
        }
    }
}

/// Every file, sorted, by its path below the root; links and hidden files are passed over.
fn files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder))
            .into_iter()
            .flatten()
            .flatten();
        for entry in entries.take(MOST_FILES) {
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(|name| format!("{folder}{name}"))
            else {
                continue;
            };
            let kind = entry.file_type();
            match kind {
                _ if entry.file_name().to_string_lossy().starts_with('.') => {}
                Ok(kind) if kind.is_dir() && depth < DEEPEST => {
                    folders.push((format!("{name}/"), depth + 1))
                }
                Ok(kind) if kind.is_file() && files.len() < MOST_FILES => files.push(name),
                _ => {}
            }
        }
    }
    files.sort();
    files
}
