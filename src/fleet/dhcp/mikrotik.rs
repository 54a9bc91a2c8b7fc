//! MikroTik RouterOS 7: commands for the terminal (RouterOS manual, "DHCP", sections "DHCP Options" and "Matcher").

use std::fmt::Write;

use super::PhoneClass;
use super::Plan;
use super::Setting;
use super::Value;
use super::head;
use super::hexadecimal;

/// The commands of a plan.
pub(super) fn write(plan: &Plan) -> String {
    let mut text = head(plan, "#");
    text.push_str("# Replace dhcp1 by the server's name (/ip dhcp-server print).\n");
    let common: Vec<String> = plan
        .common
        .iter()
        .map(|setting| add(&mut text, "all", setting))
        .collect();
    if !common.is_empty() {
        let options = common.join(",");
        let _ = writeln!(
            text,
            "/ip dhcp-server option sets add name=handset-all options={options}"
        );
        text.push_str("/ip dhcp-server set [find name=dhcp1] dhcp-option-set=handset-all\n");
    }
    for class in &plan.classes {
        let own = class
            .settings
            .iter()
            .map(|setting| add(&mut text, &class.name, setting));
        let own: Vec<String> = own.collect();
        let options = [own, common.clone()].concat().join(",");
        let name = &class.name;
        let _ = writeln!(
            text,
            "/ip dhcp-server option sets add name=handset-{name} options={options}"
        );
        write_matchers(&mut text, class);
    }
    text
}

fn write_matchers(text: &mut String, class: &PhoneClass) {
    let (name, says) = (&class.name, &class.vendor_class);
    let kind = if class.prefix { "substring" } else { "exact" };
    let codes: &[u8] = if class.prefix { &[60] } else { &[60, 77] };
    for code in codes {
        let _ = writeln!(
            text,
            "/ip dhcp-server matcher add name=handset-{name}-{code} server=dhcp1 code={code} matching-type={kind} \
             value=\"{says}\" option-set=handset-{name}"
        );
    }
}

/// Adds an option; gives its name.
fn add(text: &mut String, whose: &str, setting: &Setting) -> String {
    let name = format!("handset-{whose}-{}", setting.option);
    let code = setting.option;
    let value = match &setting.value {
        Value::Addresses(addresses) => {
            let quoted: Vec<String> = addresses
                .iter()
                .map(|address| format!("'{address}'"))
                .collect();
            quoted.concat()
        }
        Value::Offset(offset) => hexadecimal(*offset).to_lowercase(),
        Value::Text(text) => format!("'{text}'"),
    };
    let _ = writeln!(
        text,
        "/ip dhcp-server option add name={name} code={code} value=\"{value}\""
    );
    name
}
