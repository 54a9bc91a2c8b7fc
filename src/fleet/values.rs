//! Settings as operators write them, in TOML or in a table's cells, to the values that templates see.

use serde_json::Value as Json;
use serde_json::json;
use toml::de::DeValue;

use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::nearest;
use crate::fleet::diagnostic::suggest;
use crate::fleet::document::Found;
use crate::fleet::document::Section;
use crate::fleet::document::integer;
use crate::fleet::document::kind;
use crate::fleet::sealed::Seals;
use crate::fleet::time_zone;
use crate::settings;
use crate::settings::KEY_FIELDS;
use crate::settings::Kind;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::settings::Setting;
use crate::settings::Settings;
use crate::vendor::ALL;
use crate::vendor::Format;
use crate::vendor::Vendor;

/// Reads a `[settings]` table.
pub(super) fn read(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Settings {
    let mut read = Settings::new();
    for (name, (value, place)) in section.entries() {
        let Some(setting) = settings::find(SETTINGS, name) else {
            report_unknown("setting", name, SETTINGS, &place, diagnostics);
            continue;
        };
        let value = match setting.kind {
            Kind::Keys => list(section, name, KEY_FIELDS, diagnostics),
            Kind::Lines => list(section, name, LINE_FIELDS, diagnostics),
            Kind::Parameters => section
                .table(name, diagnostics)
                .map(|table| parameters(&table, diagnostics)),
            _ => scalar(section, setting, (value, place.clone()), diagnostics),
        };
        if let Some(value) = value {
            enter(&mut read, setting, value, &place, diagnostics);
        }
    }
    let offset = section.get("time_offset").map(|(_, place)| place);
    let place = offset.unwrap_or_else(|| section.place());
    complete(&mut read, &place, diagnostics);
    read
}

/// A layer that gives an offset but no zone says that there is no daylight saving.
pub(super) fn complete(read: &mut Settings, place: &Place, diagnostics: &mut Diagnostics) {
    check_offset(read, place, diagnostics);
    if read.contains_key("time_offset") && !read.contains_key("time_zone") {
        read.insert("daylight".to_owned(), Json::Null);
    }
}

/// An offset overrules a zone, which is seldom meant where one layer gives both.
fn check_offset(read: &Settings, place: &Place, diagnostics: &mut Diagnostics) {
    let name = read
        .get("time_zone")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let zone = time_zone::find(name).or_else(|| time_zone::parse(name).ok());
    let (Some(zone), Some(offset)) = (zone, read.get("time_offset").and_then(Json::as_i64)) else {
        return;
    };
    let standard = i64::from(zone.standard_offset);
    if offset != standard {
        let problem = format!("time_offset is {offset}, {name} has {standard}");
        let remedy = "give the zone alone";
        diagnostics.report("time-offset-contradicts-zone", place, problem, remedy);
    }
}

/// A cell of a device table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    /// What its column is called.
    pub(super) column: &'a str,
    /// What stands in it.
    pub(super) text: &'a str,
    /// Where it is.
    pub(super) place: &'a Place,
}

/// Enters a setting given as the text of a cell: `sip_port`, `line1.user`, `parameters.polycom.name`.
pub(super) fn enter_cell(
    read: &mut Settings,
    cell: &Cell<'_>,
    seals: &Seals<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Cell {
        column: name,
        text,
        place,
    } = *cell;
    if let Some((list, number, field)) = numbered(name) {
        let fields = if list == "lines" {
            LINE_FIELDS
        } else {
            KEY_FIELDS
        };
        match settings::find(fields, field) {
            Some(setting) => {
                let text = seals.reveal((setting, name), text, place, diagnostics);
                let Some(value) = parse_cell(setting, &text, place, diagnostics) else {
                    return;
                };
                item(read, list, number).insert(field.to_owned(), value);
            }
            None => report_unknown("field", field, fields, place, diagnostics),
        }
        return;
    }
    if let Some((vendor, parameter)) = name
        .strip_prefix("parameters.")
        .and_then(|rest| rest.split_once('.'))
    {
        check_parameter(vendor, parameter, place, diagnostics);
        let text = seals.reveal_parameter(parameter, text, place, diagnostics);
        let table = read.entry("parameters").or_insert_with(|| json!({}));
        if let Some(parameters) = table.as_object_mut() {
            let parameters = parameters.entry(vendor).or_insert_with(|| json!({}));
            parameters
                .as_object_mut()
                .map(|names| names.insert(parameter.to_owned(), Json::from(text)));
        }
        return;
    }
    match settings::find(SETTINGS, name) {
        Some(setting) => {
            let text = seals.reveal((setting, name), text, place, diagnostics);
            if let Some(value) = parse_cell(setting, &text, place, diagnostics) {
                enter(read, setting, value, place, diagnostics);
            }
        }
        None => report_unknown("setting", name, SETTINGS, place, diagnostics),
    }
}

/// Whether a column of a device table is a secret of a line.
pub(super) fn is_secret_field(name: &str) -> bool {
    let field = numbered(name).filter(|(list, ..)| *list == "lines");
    field.is_some_and(|(_, _, field)| {
        settings::find(LINE_FIELDS, field).is_some_and(|setting| setting.secret)
    })
}

/// Whether a column of a device table names a setting.
pub(super) fn is_column(name: &str) -> bool {
    let numbered = numbered(name).is_some_and(|(list, _, field)| {
        settings::find(
            if list == "lines" {
                LINE_FIELDS
            } else {
                KEY_FIELDS
            },
            field,
        )
        .is_some()
    });
    let parameter = name
        .strip_prefix("parameters.")
        .and_then(|rest| rest.split_once('.'));
    let parameter = parameter.is_some_and(|(vendor, _)| Vendor::find(vendor).is_some());
    let scalar = settings::find(SETTINGS, name).is_some_and(|setting| {
        !matches!(setting.kind, Kind::Keys | Kind::Lines | Kind::Parameters)
    });
    numbered || parameter || scalar
}

/// The column that was meant, if one is near.
pub(super) fn nearest_column(name: &str) -> Option<String> {
    if let Some((list, _, field)) = numbered(name) {
        let fields = if list == "lines" {
            LINE_FIELDS
        } else {
            KEY_FIELDS
        };
        let field = nearest(field, fields.iter().map(|field| field.name))?;
        let (item, _) = name.split_once('.')?;
        return Some(format!("{item}.{field}"));
    }
    let known = ["mac", "site", "model", "firmware"].into_iter();
    let known = known.chain(SETTINGS.iter().map(|setting| setting.name));
    nearest(name, known).map(str::to_owned)
}

/// `line2.user` is the field `user` of the second of `lines`.
fn numbered(name: &str) -> Option<(&'static str, usize, &str)> {
    let (item, field) = name.split_once('.')?;
    let (list, number) = [("lines", "line"), ("keys", "key")]
        .into_iter()
        .find_map(|(list, singular)| Some((list, item.strip_prefix(singular)?)))?;
    let number: usize = number.parse().ok()?;
    (1..=256).contains(&number).then_some((list, number, field))
}

fn item<'r>(read: &'r mut Settings, list: &str, number: usize) -> &'r mut Settings {
    let list = read.entry(list).or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Json::Array(items) = list else {
        unreachable!("made an array above")
    };
    while items.len() < number {
        items.push(json!({}));
    }
    match items.get_mut(number - 1) {
        Some(Json::Object(item)) => item,
        _ => unreachable!("filled with objects above"),
    }
}

/// A time zone brings its offset and its daylight saving along.
fn enter(
    read: &mut Settings,
    setting: &Setting,
    value: Json,
    place: &Place,
    diagnostics: &mut Diagnostics,
) {
    if let (Kind::Zone, Some(name)) = (setting.kind, value.as_str()) {
        let Some(zone) = time_zone::find(name).or_else(|| time_zone::parse(name).ok()) else {
            let remedy = match time_zone::nearest(name) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => "give an IANA name such as America/Chicago, or a POSIX TZ rule".to_owned(),
            };
            diagnostics.report(
                "unknown-time-zone",
                place,
                format!("unknown time zone {name:?}"),
                remedy,
            );
            return;
        };
        // An offset of the same layer overrules the zone's, whichever is written first.
        read.entry("time_offset")
            .or_insert_with(|| Json::from(zone.standard_offset));
        let change = |change: &time_zone::Change| json!({"month": change.month, "week": change.week, "weekday": change.weekday, "seconds": change.seconds});
        let daylight = zone.daylight.map_or(Json::Null, |daylight| {
            let save = daylight.offset - zone.standard_offset;
            json!({"save": save, "start": change(&daylight.start), "end": change(&daylight.end)})
        });
        read.insert("daylight".to_owned(), daylight);
    }
    read.insert(setting.name.to_owned(), value);
}

fn list(
    section: &Section<'_, '_>,
    name: &str,
    fields: &'static [Setting],
    diagnostics: &mut Diagnostics,
) -> Option<Json> {
    let mut items = Vec::new();
    for table in section.tables(name, diagnostics) {
        let mut item = Settings::new();
        for (field, (value, place)) in table.entries() {
            match settings::find(fields, field) {
                Some(setting) => {
                    scalar(section, setting, (value, place), diagnostics)
                        .map(|value| item.insert(field.to_owned(), value));
                }
                None => report_unknown("field", field, fields, &place, diagnostics),
            }
        }
        items.push(Json::Object(item));
    }
    Some(Json::Array(items))
}

fn parameters(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Json {
    let mut vendors = Settings::new();
    for (vendor, (value, place)) in section.entries() {
        if Vendor::find(vendor).is_none() {
            let known = ALL.iter().map(|vendor| vendor.name);
            diagnostics.report(
                "unknown-vendor",
                &place,
                format!("unknown vendor {vendor:?}"),
                suggest(vendor, known),
            );
            continue;
        }
        let Some(table) = section.section(&format!("parameters.{vendor}"), value, &place) else {
            let problem = format!("parameters.{vendor} is {}, not a table", kind(value));
            diagnostics.report(
                "wrong-type",
                &place,
                problem,
                "write [settings.parameters.VENDOR] and lines of \"name\" = \"text\"",
            );
            continue;
        };
        let mut names = Settings::new();
        for (name, (value, place)) in table.entries() {
            check_parameter(vendor, name, &place, diagnostics);
            match parameter_text(value) {
                Some(text) => {
                    let seals = section.seals();
                    let text = seals.reveal_parameter(name, &text, &place, diagnostics);
                    names.insert(name.to_owned(), Json::from(text));
                }
                None => {
                    let problem = format!("parameter {name:?} is {}", kind(value));
                    diagnostics.report(
                        "wrong-type",
                        &place,
                        problem,
                        "give it as text, a number, true or false",
                    );
                }
            }
        }
        vendors.insert(vendor.to_owned(), Json::Object(names));
    }
    Json::Object(vendors)
}

/// A parameter's name is written as it is, so it must not be able to begin another.
fn check_parameter(vendor: &str, name: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let format = Vendor::find(vendor).map(|vendor| vendor.text);
    let letter = |c: char| match format {
        Some(Format::Xml) => c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'),
        _ => !c.is_control() && !matches!(c, '=' | '"' | '<' | '>' | '&'),
    };
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(letter) {
        let remedy = "write the name as the vendor's manual does";
        diagnostics.report(
            "bad-parameter-name",
            place,
            format!("{name:?} is no parameter's name"),
            remedy,
        );
    }
}

fn parameter_text(value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str().map(str::to_owned);
    let number = || integer(value).map(|number| number.to_string());
    let boolean = || value.as_bool().map(|boolean| u8::from(boolean).to_string());
    text.or_else(number).or_else(boolean)
}

fn scalar(
    section: &Section<'_, '_>,
    setting: &Setting,
    (value, place): Found<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Json> {
    let converted = match setting.kind {
        Kind::Boolean => value.as_bool().map(Json::from),
        Kind::Integer(least, most) => integer(value)
            .filter(|number| (least..=most).contains(number))
            .map(Json::from),
        Kind::Choice(words) => value
            .as_str()
            .filter(|word| words.contains(word))
            .map(Json::from),
        Kind::Text | Kind::Zone => value.as_str().map(|text| {
            let text = section.seals().reveal(
                (setting, &section.full(setting.name)),
                text,
                &place,
                diagnostics,
            );
            Json::from(text)
        }),
        Kind::Keys | Kind::Lines | Kind::Parameters => None,
    };
    if converted.is_none() {
        let given = match (setting.secret, value.as_str(), integer(value)) {
            (false, Some(text), _) => format!("{text:?}"),
            (false, _, Some(number)) => number.to_string(),
            _ => kind(value),
        };
        wrong(setting, &given, &place, diagnostics);
    }
    converted
}

fn parse_cell(
    setting: &Setting,
    text: &str,
    place: &Place,
    diagnostics: &mut Diagnostics,
) -> Option<Json> {
    let converted = match setting.kind {
        Kind::Boolean => match text {
            "true" | "yes" | "1" => Some(Json::from(true)),
            "false" | "no" | "0" => Some(Json::from(false)),
            _ => None,
        },
        Kind::Integer(least, most) => text
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .map(Json::from),
        Kind::Choice(words) => words.contains(&text).then(|| Json::from(text)),
        Kind::Text | Kind::Zone => Some(Json::from(text)),
        Kind::Keys | Kind::Lines | Kind::Parameters => None,
    };
    if converted.is_none() {
        wrong(setting, &format!("{text:?}"), place, diagnostics);
    }
    converted
}

fn wrong(setting: &Setting, given: &str, place: &Place, diagnostics: &mut Diagnostics) {
    let wanted = match setting.kind {
        Kind::Boolean => "true or false".to_owned(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Text | Kind::Zone => "text".to_owned(),
        Kind::Keys | Kind::Lines => "a list of tables".to_owned(),
        Kind::Parameters => "a table a vendor".to_owned(),
    };
    let problem = format!("{} is {given}, not {wanted}", setting.name);
    diagnostics.report(
        "wrong-type",
        place,
        problem,
        format!("{} Give {wanted}.", setting.help),
    );
}

fn report_unknown(
    what: &str,
    name: &str,
    known: &'static [Setting],
    place: &Place,
    diagnostics: &mut Diagnostics,
) {
    let names = known.iter().map(|setting| setting.name);
    let remedy = match nearest(name, names.clone()) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("known: {}", names.collect::<Vec<_>>().join(", ")),
    };
    diagnostics.report(
        "unknown-setting",
        place,
        format!("unknown {what} {name:?}"),
        remedy,
    );
}
