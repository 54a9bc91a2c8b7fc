//! Tables (CSV, RFC 4180): anybody's, by the names of the columns, and FusionPBX's export of devices.

use std::collections::BTreeMap;

use super::Defaults;
use super::Import;
use super::Row;
use super::names;
use crate::fleet::devices::report_table;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::values;
use crate::vendor;

/// Reads a table whose columns are ours, known by other names, or given by `defaults.map`.
pub fn read(file: &str, text: &str, defaults: &Defaults) -> Import {
    let column = |theirs: &str| {
        let given = defaults.map.iter().find(|(_, name)| name == theirs);
        let own = || super::FIXED.contains(&theirs) || values::is_column(theirs);
        match given {
            Some((ours, _)) => Some(ours.clone()),
            None if own() => Some(theirs.to_owned()),
            None => names::ours(theirs).map(str::to_owned),
        }
    };
    let mut import = Import::default();
    for (place, cells) in records(file, text, &mut import, column) {
        let mut row = Row {
            place,
            ..Row::default()
        };
        for (ours, value) in cells {
            row.put(ours, value);
        }
        import.rows.push(row);
    }
    import
}

/// Reads an export of FusionPBX: a row a device, or one a line where a device has several.
pub fn read_fusionpbx(file: &str, text: &str) -> Import {
    let known = |theirs: &str| {
        let columns = names::FUSIONPBX_DEVICE.iter().chain(names::FUSIONPBX_LINE);
        let mut columns = columns.map(|(theirs, _)| *theirs).chain([
            "device_enabled",
            "device_template",
            "line_number",
        ]);
        columns
            .any(|column| column == theirs)
            .then(|| theirs.to_owned())
    };
    let mut import = Import::default();
    let mut devices = BTreeMap::<String, Row>::new();
    for (place, cells) in records(file, text, &mut import, known) {
        let cells: BTreeMap<String, String> = cells.into_iter().collect();
        let mac = cells
            .get("device_address")
            .or_else(|| cells.get("device_mac_address"));
        let mac = mac.cloned().unwrap_or_default();
        if cells
            .get("device_enabled")
            .is_some_and(|enabled| enabled == "false")
        {
            import.left.push((mac, format!("disabled in {place}")));
            continue;
        }
        // One without an address is a row of its own, to be reported.
        let key = match mac.as_str() {
            "" => place.to_string(),
            mac => mac.to_ascii_lowercase(),
        };
        let row = devices.entry(key).or_insert_with(|| Row {
            place,
            ..Row::default()
        });
        fusionpbx_device(row, &cells);
    }
    import.rows.extend(devices.into_values());
    import.rows.sort_by(|a, b| a.place.cmp(&b.place));
    import
}

fn fusionpbx_device(row: &mut Row, cells: &BTreeMap<String, String>) {
    for (theirs, ours) in names::FUSIONPBX_DEVICE {
        if let Some(value) = cells.get(*theirs) {
            row.put(*ours, value.clone());
        }
    }
    // Its templates are folders: `vendor/model`.
    let template = cells
        .get("device_template")
        .and_then(|template| template.rsplit('/').next());
    let candidates = cells
        .get("model")
        .map(String::as_str)
        .into_iter()
        .chain(template);
    let given = row.cells.get("model").cloned();
    let known = given
        .iter()
        .map(String::as_str)
        .chain(candidates)
        .find_map(vendor::find_model);
    if let Some((_, model)) = known {
        row.put("model", model.name);
    }
    let number = cells.get("line_number").map_or("1", String::as_str);
    for (theirs, field) in names::FUSIONPBX_LINE {
        if let Some(value) = cells.get(*theirs) {
            let value = match *field {
                "transport" => value.to_ascii_lowercase(),
                _ => value.clone(),
            };
            row.put(format!("line{number}.{field}"), value);
        }
    }
}

type Cells = Vec<(String, String)>;

/// The cells that are not empty, by the name that `column` gives; faults become findings with their lines.
fn records(
    file: &str,
    text: &str,
    import: &mut Import,
    column: impl Fn(&str) -> Option<String>,
) -> Vec<(Place, Cells)> {
    let mut diagnostics = Diagnostics::default();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    let names: Vec<Option<String>> = headers.iter().map(&column).collect();
    import.columns = headers
        .iter()
        .map(str::to_owned)
        .zip(names.clone())
        .collect();
    if !names
        .iter()
        .flatten()
        .any(|name| name.contains("mac") || name.contains("address"))
    {
        let remedy = "say which column it is: --map mac=\"Their name\"";
        let place = Place::line(file, 1);
        diagnostics.report(
            "missing-column",
            &place,
            "no column is known for the hardware address",
            remedy,
        );
        import.found.extend(diagnostics.into_sorted());
        return Vec::new();
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let place = Place::line(file, line_of(record.position()));
                let cells = names
                    .iter()
                    .zip(&record)
                    .filter(|(_, value)| !value.is_empty());
                let cells =
                    cells.filter_map(|(name, value)| Some((name.clone()?, value.to_owned())));
                rows.push((place, cells.collect()));
            }
            Err(error) => report_table(file, &error, &mut diagnostics),
        }
    }
    import.found.extend(diagnostics.into_sorted());
    rows
}

fn line_of(position: Option<&csv::Position>) -> usize {
    let line = position.map_or(0, csv::Position::line);
    usize::try_from(line).unwrap_or_default()
}
