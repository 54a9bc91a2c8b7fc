//! The devices of a fleet directory: tables (CSV, RFC 4180) and TOML files.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::device::DeviceSettings;
use crate::fleet::Compiled;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::nearest;
use crate::fleet::diagnostic::suggest;
use crate::fleet::document::Document;
use crate::fleet::document::Section;
use crate::fleet::files::Files;
use crate::fleet::sealed::Seals;
use crate::fleet::values;
use crate::mac::MacAddress;
use crate::vendor::ALL;

/// Every device by its address.
pub(super) type Devices = BTreeMap<MacAddress, Device>;

/// A device as the operator describes it.
#[derive(Debug)]
pub(super) struct Device {
    /// Where it stands.
    pub(super) site: String,
    /// What is said of it.
    pub(super) settings: DeviceSettings,
    /// Where that is said.
    pub(super) place: Place,
}

/// Reads `devices/*.csv` and `devices/*.toml`.
pub(super) fn read(
    files: &Files<'_>,
    compiled: &Compiled,
    diagnostics: &mut Diagnostics,
) -> Devices {
    let mut reader = Reader {
        compiled,
        seals: &files.seals,
        devices: Devices::new(),
    };
    for file in files.list("devices", ".csv", diagnostics) {
        if let Some(text) = files.text(&file, diagnostics) {
            reader.table(&file, &text, diagnostics);
        }
    }
    for file in files.list("devices", ".toml", diagnostics) {
        if let Some(text) = files.text(&file, diagnostics) {
            Document::read(
                &file,
                &text,
                &files.seals,
                diagnostics,
                |section, diagnostics| {
                    for device in section.tables("device", diagnostics) {
                        reader.section(&device, diagnostics);
                    }
                },
            );
        }
    }
    reader.devices
}

/// The devices as a snapshot holds them.
pub(super) fn encode(devices: Devices) -> HashMap<String, HashMap<MacAddress, Box<[u8]>>> {
    let mut sites: HashMap<String, HashMap<MacAddress, Box<[u8]>>> = HashMap::new();
    for (mac, device) in devices {
        // Maps of texts and numbers always have a JSON form.
        let bytes = serde_json::to_vec(&device.settings).unwrap_or_default();
        sites
            .entry(device.site)
            .or_default()
            .insert(mac, bytes.into());
    }
    sites
}

struct Reader<'c> {
    compiled: &'c Compiled,
    seals: &'c Seals<'c>,
    devices: Devices,
}

impl Reader<'_> {
    fn table(&mut self, file: &str, text: &str, diagnostics: &mut Diagnostics) {
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let columns = match reader.headers() {
            Ok(columns) => columns.clone(),
            Err(error) => return report_table(file, &error, diagnostics),
        };
        let lines: Vec<&str> = text.lines().collect();
        if !check_columns(file, &columns, &lines, diagnostics) {
            return;
        }
        for row in reader.records() {
            match row {
                Ok(row) => self.row(file, &columns, &row, &lines, diagnostics),
                Err(error) => report_table(file, &error, diagnostics),
            }
        }
    }

    fn row(
        &mut self,
        file: &str,
        columns: &csv::StringRecord,
        row: &csv::StringRecord,
        lines: &[&str],
        diagnostics: &mut Diagnostics,
    ) {
        let line = row.position().map_or(0, csv::Position::line);
        let place = Place::line(file, usize::try_from(line).unwrap_or_default());
        let text = lines.get(place.line.saturating_sub(1));
        let starts = cell_starts(text.copied().unwrap_or_default());
        let mut fields = Fields {
            place,
            ..Fields::default()
        };
        let mut settings = crate::settings::Settings::new();
        let cells = columns.iter().zip(row).enumerate();
        for (index, (column, cell)) in cells.filter(|(_, (_, cell))| !cell.is_empty()) {
            let place = Place {
                column: starts.get(index).copied().unwrap_or_default(),
                ..fields.place.clone()
            };
            match column {
                "mac" => fields.mac = Some(cell.to_owned()),
                "site" => fields.site = Some(cell.to_owned()),
                "model" => fields.model = Some(cell.to_owned()),
                "firmware" => fields.firmware = Some(cell.to_owned()),
                _ => {
                    let cell = values::Cell {
                        column,
                        text: cell,
                        place: &place,
                    };
                    values::enter_cell(&mut settings, &cell, self.seals, diagnostics);
                }
            }
        }
        values::complete(&mut settings, &fields.place, diagnostics);
        self.add(fields, settings, diagnostics);
    }

    fn section(&mut self, section: &Section<'_, '_>, diagnostics: &mut Diagnostics) {
        let mut fields = Fields {
            place: section.place(),
            ..Fields::default()
        };
        for (key, field) in [
            ("mac", &mut fields.mac),
            ("site", &mut fields.site),
            ("model", &mut fields.model),
            ("firmware", &mut fields.firmware),
        ] {
            *field = section.text(key, diagnostics).map(|(text, _)| text);
        }
        let settings = section.table("settings", diagnostics);
        let settings = settings
            .map(|settings| values::read(&settings, diagnostics))
            .unwrap_or_default();
        section.report_unknown(diagnostics);
        self.add(fields, settings, diagnostics);
    }

    fn add(
        &mut self,
        fields: Fields,
        settings: crate::settings::Settings,
        diagnostics: &mut Diagnostics,
    ) {
        let place = fields.place.clone();
        let mac = self.mac(&fields, diagnostics);
        let site = self.site(&fields, diagnostics);
        let model = self.model(&fields, site.as_deref(), diagnostics);
        let (Some(mac), Some(site), Some(model)) = (mac, site, model) else {
            return;
        };
        if let Some(other) = self.devices.get(&mac) {
            let problem = format!("duplicate MAC {mac}: also at {}", other.place);
            diagnostics.report("duplicate-mac", &place, problem, "keep one of the two");
            return;
        }
        let settings = DeviceSettings {
            model,
            firmware: fields.firmware,
            settings,
            sealed: None,
        };
        self.devices.insert(
            mac,
            Device {
                site,
                settings,
                place,
            },
        );
    }

    fn mac(&self, fields: &Fields, diagnostics: &mut Diagnostics) -> Option<MacAddress> {
        let text = fields.required("mac", fields.mac.as_deref(), diagnostics)?;
        match text.parse() {
            Ok(mac) => Some(mac),
            Err(error) => {
                let error: crate::mac::MacError = error;
                let remedy =
                    "give it as on the phone's label, such as 00:04:f2:80:62:d6 or 0004f28062d6";
                diagnostics.report(
                    "bad-mac",
                    &fields.place,
                    format!("{text:?} is {error}"),
                    remedy,
                );
                None
            }
        }
    }

    fn site(&self, fields: &Fields, diagnostics: &mut Diagnostics) -> Option<String> {
        let name = fields.required("site", fields.site.as_deref(), diagnostics)?;
        if self.compiled.broken.contains(name) {
            return None;
        }
        if !self.compiled.deployment.sites.contains_key(name) {
            let known = self.compiled.deployment.sites.keys().map(String::as_str);
            let remedy = format!("add sites/{name}.toml ({})", suggest(name, known));
            diagnostics.report(
                "unknown-site",
                &fields.place,
                format!("unknown site {name:?}"),
                remedy,
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn model(
        &self,
        fields: &Fields,
        site: Option<&str>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        let name = fields.required("model", fields.model.as_deref(), diagnostics)?;
        let (_, release) = self.compiled.release(site?)?;
        let model = release.model(None, name).map(|model| model.name.to_owned());
        if model.is_none() {
            let known = ALL
                .iter()
                .flat_map(|vendor| vendor.models)
                .map(|model| model.name);
            let remedy = match nearest(name, known) {
                Some(nearest) => format!("did you mean {nearest:?}? Else describe it in models/"),
                None => "describe it in models/NAME.toml: model, vendor, family, image".to_owned(),
            };
            diagnostics.report(
                "unknown-model",
                &fields.place,
                format!("unknown model {name:?}"),
                remedy,
            );
        }
        model
    }
}

/// What every device says of itself.
#[derive(Default)]
struct Fields {
    place: Place,
    mac: Option<String>,
    site: Option<String>,
    model: Option<String>,
    firmware: Option<String>,
}

impl Fields {
    fn required<'f>(
        &self,
        name: &str,
        value: Option<&'f str>,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'f str> {
        if value.is_none() {
            diagnostics.report(
                "missing-key",
                &self.place,
                format!("the device has no {name}"),
                format!("give its {name}"),
            );
        }
        value
    }
}

fn check_columns(
    file: &str,
    columns: &csv::StringRecord,
    lines: &[&str],
    diagnostics: &mut Diagnostics,
) -> bool {
    let line = columns.position().map_or(1, csv::Position::line);
    let first = Place::line(file, usize::try_from(line).unwrap_or_default());
    let text = lines.get(first.line.saturating_sub(1));
    let starts = cell_starts(text.copied().unwrap_or_default());
    let fixed = ["mac", "site", "model", "firmware"];
    let mut good = true;
    for (index, column) in columns.iter().enumerate() {
        let place = Place {
            column: starts.get(index).copied().unwrap_or_default(),
            ..first.clone()
        };
        if columns.iter().take(index).any(|other| other == column) {
            diagnostics.report(
                "duplicate-column",
                &place,
                format!("column {column:?} stands twice"),
                "keep one of the two",
            );
            good = false;
        } else if !fixed.contains(&column) && !values::is_column(column) {
            let remedy = match values::nearest_column(column) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => "columns are mac, site, model, firmware, settings, lineN.FIELD, keyN.FIELD, parameters.VENDOR.NAME".to_owned(),
            };
            diagnostics.report(
                "unknown-column",
                &place,
                format!("unknown column {column:?}"),
                remedy,
            );
            good = false;
        }
    }
    for column in ["mac", "site", "model"]
        .into_iter()
        .filter(|column| !columns.iter().any(|c| c == *column))
    {
        diagnostics.report(
            "missing-column",
            &first,
            format!("there is no column {column:?}"),
            "the first row names the columns",
        );
        good = false;
    }
    good
}

/// Where the cells of a row begin: characters, from 1. A cell of several lines ends the list.
fn cell_starts(line: &str) -> Vec<usize> {
    let mut starts = vec![1];
    let mut quoted = false;
    for (at, c) in line.chars().enumerate() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => starts.push(at + 2),
            _ => {}
        }
    }
    starts
}

/// Says what is wrong with a row.
pub(super) fn report_table(file: &str, error: &csv::Error, diagnostics: &mut Diagnostics) {
    let line = error.position().map_or(0, csv::Position::line);
    let place = Place::line(file, usize::try_from(line).unwrap_or_default());
    let (problem, remedy) = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => (
            format!("the row has {len} cells, the first row names {expected_len}"),
            "quote a cell that holds a comma",
        ),
        _ => (
            format!("is no table: {error}"),
            "write cells separated by commas, one device a row",
        ),
    };
    diagnostics.report("table-syntax", &place, problem, remedy);
}
