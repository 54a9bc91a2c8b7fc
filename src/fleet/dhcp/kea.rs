//! Kea: the members of `Dhcp4` that the phones need (Kea Administrator Reference Manual, chapters 8.2 and 14).
//!
//! Data is given in hexadecimal where Kea has another meaning for the number, or would split text at a comma.

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use super::PhoneClass;
use super::Plan;
use super::Setting;
use super::Value;
use super::head;
use super::shown;

/// A configuration that has nothing but a plan.
pub(super) fn write(plan: &Plan) -> String {
    let classes: Vec<Json> = plan.classes.iter().map(class).collect();
    let common: Vec<Json> = plan.common.iter().map(option).collect();
    let configuration = json!({"Dhcp4": {
        "option-def": [
            {"name": "handset-tftp", "code": 150, "space": "dhcp4", "type": "ipv4-address", "array": true},
            {"name": "handset-url", "code": 160, "space": "dhcp4", "type": "string"},
        ],
        "option-data": common,
        "client-classes": classes,
    }});
    format!("{}{configuration:#}\n", head(plan, "//"))
}

fn class(class: &PhoneClass) -> Json {
    let options: Vec<Json> = class.settings.iter().map(option).collect();
    json!({"name": class.name, "test": test(class), "option-data": options})
}

/// Option 77 has a length before each text (RFC 3004), which not every phone writes.
fn test(class: &PhoneClass) -> String {
    let says = &class.vendor_class;
    let length = says.len();
    match class.prefix {
        true => format!("substring(option[60].hex, 0, {length}) == '{says}'"),
        false => format!(
            "option[60].hex == '{says}' or option[77].hex == '{says}' or substring(option[77].hex, 1, all) == '{says}'"
        ),
    }
}

fn option(setting: &Setting) -> Json {
    let mut option = Map::new();
    let mut add = |name: &str, value: Json| drop(option.insert(name.to_owned(), value));
    add("code", Json::from(setting.option));
    match &setting.value {
        Value::Text(text) => {
            add("csv-format", Json::from(false));
            add("data", Json::from(hexadecimal(text)));
            add("user-context", json!({"text": text}));
        }
        value => add("data", Json::from(shown(value))),
    }
    Json::Object(option)
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}
