//! dnsmasq: lines for a file in `/etc/dnsmasq.d/` (dnsmasq(8), `--dhcp-option`, `--dhcp-vendorclass`).

use std::fmt::Write;

use super::PhoneClass;
use super::Plan;
use super::Setting;
use super::Value;
use super::head;
use super::shown;

/// The lines of a plan.
pub(super) fn write(plan: &Plan) -> String {
    let mut text = head(plan, "#");
    for setting in &plan.common {
        let _ = writeln!(text, "dhcp-option={}", option(setting));
    }
    for class in &plan.classes {
        let (name, says) = (&class.name, &class.vendor_class);
        let _ = writeln!(text, "\ndhcp-vendorclass=set:{name},{says}");
        if !class.prefix {
            let _ = writeln!(text, "dhcp-userclass=set:{name},{says}");
        }
        let tags = tags(class, &plan.classes);
        for setting in &class.settings {
            let _ = writeln!(text, "dhcp-option={tags},{}", option(setting));
        }
    }
    text
}

fn option(setting: &Setting) -> String {
    let (number, value) = (setting.option, shown(&setting.value));
    match (number, &setting.value) {
        (2, _) => format!("option:time-offset,{value}"),
        (42, _) => format!("option:ntp-server,{value}"),
        (_, Value::Text(_)) => format!("{number},\"{value}\""),
        _ => format!("{number},{value}"),
    }
}

/// A class matches where its text is a part of what a phone says: 405 is a part of 405HD.
fn tags(class: &PhoneClass, classes: &[PhoneClass]) -> String {
    let longer = classes.iter().filter(|other| {
        other.name != class.name && other.vendor_class.contains(&class.vendor_class)
    });
    let not: String = longer
        .map(|other| format!(",tag:!{}", other.name))
        .collect();
    format!("tag:{}{not}", class.name)
}
