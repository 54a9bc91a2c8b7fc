//! `handset import`: phones from elsewhere, checked as the fleet's own are, shown, and then written.
//!
//! What deliberately does not happen: no file that is there is touched. An import is a device table of its
//! own, and files where there were none.

mod names;
mod root;
mod table;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::fleet;
use crate::fleet::Fleet;
use crate::fleet::Hashes;
use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::nearest;
use crate::fleet::diagnostic::suggest;
use crate::fleet::export;
use crate::fleet::outputs;
use crate::fleet::sealed::Seals;
use crate::fleet::values;
use crate::mac::MacAddress;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::settings::Settings;
use crate::settings::find;
use crate::vendor::ALL;

pub use root::read as read_root;
pub use table::read as read_table;
pub use table::read_fusionpbx;

/// What came from elsewhere.
#[derive(Debug, Default)]
pub struct Import {
    /// Their columns and what each becomes; `None` is left out.
    pub columns: Vec<(String, Option<String>)>,
    /// The phones.
    pub rows: Vec<Row>,
    /// Files to copy: from where, to where in the fleet directory.
    pub files: BTreeMap<String, PathBuf>,
    /// Files to write.
    pub texts: BTreeMap<String, String>,
    /// What is not taken, and why.
    pub left: Vec<(String, String)>,
    /// What is wrong.
    pub found: Vec<Diagnostic>,
}

/// A phone: what stands in which column of our device tables, and where it came from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Row {
    /// Where.
    pub place: Place,
    /// By column.
    pub cells: BTreeMap<String, String>,
}

/// What holds for phones that do not say it.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// The site.
    pub site: Option<String>,
    /// Models, the first of the phone's vendor.
    pub models: Vec<String>,
    /// Columns by name: ours, and theirs.
    pub map: Vec<(String, String)>,
}

/// Checks an import against the fleet that it is for.
///
/// # Errors
///
/// What keeps the fleet itself from being read.
pub fn check(
    import: &mut Import,
    directory: &Path,
    defaults: &Defaults,
) -> Result<(), Vec<Diagnostic>> {
    let fleet = fleet::compile_without_images(directory, &mut Hashes::default())?;
    let mut diagnostics = Diagnostics::default();
    let mut seen = HashMap::new();
    for row in &mut import.rows {
        complete(row, defaults);
        check_row(row, &fleet, &mut seen, &mut diagnostics);
    }
    for to in import.files.keys().chain(import.texts.keys()) {
        if directory.join(to).exists() {
            let remedy = "move one of the two out of the way: an import overwrites nothing";
            diagnostics.report(
                "misplaced-file",
                &Place::file(to),
                "is there already",
                remedy,
            );
        }
    }
    import.found.extend(diagnostics.into_sorted());
    Ok(())
}

/// Writes what was imported, the phones as a table of this name; nothing if anything of it is there.
pub fn commit(import: &Import, directory: &Path, table: &str) -> io::Result<Vec<String>> {
    let mut written = Vec::new();
    if !import.rows.is_empty() {
        let path = format!("devices/{table}.csv");
        let cells = import
            .rows
            .iter()
            .map(|row| row.cells.clone())
            .collect::<Vec<_>>();
        create(directory, &path)?.write_all(export::table(&cells).as_bytes())?;
        written.push(path);
    }
    for (to, text) in &import.texts {
        create(directory, to)?.write_all(text.as_bytes())?;
        written.push(to.clone());
    }
    for (to, from) in &import.files {
        io::copy(&mut File::open(from)?, &mut create(directory, to)?)?;
        written.push(to.clone());
    }
    Ok(written)
}

fn create(directory: &Path, path: &str) -> io::Result<File> {
    let path = directory.join(path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(&path).map_err(|error| {
        let problem = format!("{}: {error}; move it out of the way", path.display());
        io::Error::new(error.kind(), problem)
    })
}

impl Row {
    /// The row as people may see it.
    pub fn shown(&self) -> String {
        let cells = self
            .cells
            .iter()
            .map(|(column, value)| match is_secret(column) {
                true => format!("{column}=***"),
                false => format!("{column}={value}"),
            });
        cells.collect::<Vec<String>>().join(", ")
    }

    fn put(&mut self, column: impl Into<String>, value: impl Into<String>) {
        self.cells.insert(column.into(), value.into());
    }

    fn mac(&self) -> Option<MacAddress> {
        self.cells.get("mac")?.parse().ok()
    }
}

fn is_secret(column: &str) -> bool {
    let field = column.rsplit('.').next().unwrap_or_default();
    let tables = [SETTINGS, LINE_FIELDS];
    let known = tables
        .iter()
        .any(|table| find(table, field).is_some_and(|setting| setting.secret));
    known || field.to_ascii_lowercase().contains("pass")
}

/// What a phone does not say of itself, and the one spelling of its address.
fn complete(row: &mut Row, defaults: &Defaults) {
    if let (None, Some(site)) = (row.cells.get("site"), &defaults.site) {
        row.put("site", site.clone());
    }
    let Some(mac) = row.mac() else { return };
    row.put("mac", mac.to_string());
    if row.cells.contains_key("model") {
        return;
    }
    let vendor = crate::vendor::Vendor::of_mac(mac);
    let fits = |name: &&String| vendor.is_none_or(|vendor| vendor.model(name).is_some());
    if let Some(model) = defaults.models.iter().find(fits) {
        row.put("model", model.clone());
    }
}

fn check_row(
    row: &Row,
    fleet: &Fleet,
    seen: &mut HashMap<MacAddress, Place>,
    diagnostics: &mut Diagnostics,
) {
    let place = &row.place;
    let cell = |column: &str| {
        row.cells
            .get(column)
            .map(String::as_str)
            .unwrap_or_default()
    };
    match row.mac() {
        None => {
            let problem = format!("{:?} is no hardware address", cell("mac"));
            diagnostics.report("bad-mac", place, problem, "copy it from the phone's label");
        }
        Some(mac) => {
            let known = fleet.devices.get(&mac).map(|(_, place)| place.clone());
            if let Some(other) = known.or_else(|| seen.insert(mac, place.clone())) {
                let problem = format!("{mac} stands at {other} already");
                diagnostics.report("duplicate-mac", place, problem, "keep one of the two");
            }
        }
    }
    check_site_and_model(fleet, cell("site"), cell("model"), place, diagnostics);
    let mut settings = Settings::new();
    for (column, value) in &row.cells {
        if !FIXED.contains(&column.as_str()) {
            let cell = values::Cell {
                column,
                text: value,
                place,
            };
            values::enter_cell(&mut settings, &cell, &Seals::default(), diagnostics);
        }
    }
}

/// The columns that are no settings.
const FIXED: [&str; 4] = ["mac", "site", "model", "firmware"];

fn check_site_and_model(
    fleet: &Fleet,
    site: &str,
    model: &str,
    place: &Place,
    diagnostics: &mut Diagnostics,
) {
    let known = outputs::place_of(fleet, site).map(|(_, release)| release);
    if known.is_none() {
        let known: BTreeSet<&str> = fleet.snapshot.sites.keys().map(String::as_str).collect();
        let remedy = format!(
            "say --site, or add the site ({})",
            suggest(site, known.iter().copied())
        );
        let problem = format!("unknown site {site:?}");
        diagnostics.report("unknown-site", place, problem, remedy);
    }
    // Every release knows the models that the fleet describes.
    let release = fleet.snapshot.releases.values().next();
    if release.is_some_and(|release| release.model(None, model).is_none()) {
        let known = ALL
            .iter()
            .flat_map(|vendor| vendor.models)
            .map(|model| model.name);
        let remedy = match nearest(model, known) {
            Some(near) => format!("did you mean {near:?}? Else say --model"),
            None => "say --model, or describe it in models/".to_owned(),
        };
        diagnostics.report(
            "unknown-model",
            place,
            format!("unknown model {model:?}"),
            remedy,
        );
    }
}
