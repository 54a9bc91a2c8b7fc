//! `handset export`: a fleet's devices as one table, which `handset import` takes back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::fleet::Fleet;
use crate::fleet::outputs;
use crate::fleet::time_zone;
use crate::settings::Settings;

/// A device's cells by column.
pub type Cells = BTreeMap<String, String>;

/// The devices of a site, or of all, by address.
pub fn devices(fleet: &Fleet, site: Option<&str>) -> Vec<Cells> {
    let groups = outputs::groups(fleet);
    let wanted = groups
        .iter()
        .filter(|group| site.is_none_or(|site| group.site.name == site));
    let phones = wanted.flat_map(|group| {
        group.phones.iter().map(|(mac, phone)| {
            let mut cells = of_settings(&phone.settings);
            cells.insert("mac".to_owned(), mac.to_string());
            cells.insert("site".to_owned(), group.site.name.clone());
            cells.insert("model".to_owned(), phone.model.clone());
            let firmware = phone.firmware.clone();
            cells.extend(firmware.map(|version| ("firmware".to_owned(), version)));
            cells
        })
    });
    let mut devices: Vec<Cells> = phones.collect();
    devices.sort_by(|a, b| a.get("mac").cmp(&b.get("mac")));
    devices
}

/// A table of these devices, secrets included.
pub fn table(devices: &[Cells]) -> String {
    let mut columns: BTreeSet<&str> = devices
        .iter()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    let first: Vec<&str> = FIRST
        .iter()
        .copied()
        .filter(|column| columns.remove(column))
        .collect();
    let columns: Vec<&str> = first.into_iter().chain(columns).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory: there is nothing that could fail.
    let _ = writer.write_record(&columns);
    for device in devices {
        let cells = columns
            .iter()
            .map(|column| device.get(*column).map_or("", String::as_str));
        let _ = writer.write_record(cells);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

const FIRST: [&str; 4] = ["mac", "site", "model", "firmware"];

fn of_settings(settings: &Settings) -> Cells {
    let mut cells = Cells::new();
    for (name, value) in settings {
        match (name.as_str(), value) {
            // They follow from the time zone, or from its absence.
            ("daylight", _) => {}
            ("time_offset", offset) if is_zones_own(settings, offset) => {}
            ("lines", Json::Array(lines)) => of_list("line", lines, &mut cells),
            ("keys", Json::Array(keys)) => of_list("key", keys, &mut cells),
            ("parameters", Json::Object(vendors)) => {
                for (vendor, parameters) in vendors {
                    let parameters = parameters.as_object().into_iter().flatten();
                    cells.extend(
                        parameters.map(|(name, value)| {
                            (format!("parameters.{vendor}.{name}"), cell(value))
                        }),
                    );
                }
            }
            _ => drop(cells.insert(name.clone(), cell(value))),
        }
    }
    cells
}

fn of_list(item: &str, tables: &[Json], cells: &mut Cells) {
    for (index, table) in tables.iter().enumerate() {
        let fields = table.as_object().into_iter().flatten();
        let number = index + 1;
        cells.extend(fields.map(|(field, value)| (format!("{item}{number}.{field}"), cell(value))));
    }
}

fn cell(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn is_zones_own(settings: &Settings, offset: &Json) -> bool {
    let name = settings.get("time_zone").and_then(Json::as_str);
    let zone = name.and_then(|name| time_zone::find(name).or_else(|| time_zone::parse(name).ok()));
    zone.is_some_and(|zone| offset.as_i64() == Some(i64::from(zone.standard_offset)))
}
