//! ISC dhcpd: declarations for dhcpd.conf (dhcpd.conf(5), dhcp-options(5)).

use std::fmt::Write;

use super::PhoneClass;
use super::Plan;
use super::Setting;
use super::Value;
use super::head;
use super::shown;

/// The declarations of a plan.
pub(super) fn write(plan: &Plan) -> String {
    let mut text = head(plan, "#");
    text.push_str(DEFINITIONS);
    for setting in &plan.common {
        let _ = writeln!(text, "{}", option(setting));
    }
    for class in &plan.classes {
        let _ = writeln!(
            text,
            "\nclass \"{}\" {{\n  match if {};",
            class.name,
            test(class)
        );
        for setting in &class.settings {
            let _ = writeln!(text, "  {}", option(setting));
        }
        text.push_str("}\n");
    }
    text
}

/// What dhcpd has no names for. Once in a configuration.
const DEFINITIONS: &str = "\
option handset-url code 160 = text;
option handset-url-159 code 159 = text;
option handset-tftp code 150 = array of ip-address;
";

fn test(class: &PhoneClass) -> String {
    let says = &class.vendor_class;
    match class.prefix {
        true => {
            let length = says.len();
            format!("substring(option vendor-class-identifier, 0, {length}) = \"{says}\"")
        }
        false => {
            format!("option vendor-class-identifier = \"{says}\" or option user-class = \"{says}\"")
        }
    }
}

fn option(setting: &Setting) -> String {
    let name = match setting.option {
        2 => "time-offset",
        42 => "ntp-servers",
        43 => "vendor-encapsulated-options",
        66 => "tftp-server-name",
        67 => "bootfile-name",
        150 => "handset-tftp",
        159 => "handset-url-159",
        _ => "handset-url",
    };
    match &setting.value {
        Value::Text(text) => format!("option {name} \"{text}\";"),
        value => format!("option {name} {};", shown(value).replace(',', ", ")),
    }
}
