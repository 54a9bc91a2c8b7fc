//! Phones beside each other: accounts that two of them register.

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::settings::Settings;

/// Reports each account that stands at a second phone.
pub(super) fn check(fleet: &Fleet, groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    let mut phones: Vec<_> = groups
        .iter()
        .flat_map(|group| group.phones.iter().map(move |phone| (group, phone)))
        .filter_map(|(group, phone)| Some((&fleet.devices.get(&phone.0)?.1, group, phone)))
        .collect();
    phones.sort_by_key(|(place, ..)| *place);
    let mut seen = HashMap::<(String, String), &Place>::new();
    for (place, group, (_, settings)) in phones {
        for account in accounts(group, settings) {
            let Some(first) = seen.get(&account) else {
                seen.insert(account, place);
                continue;
            };
            if *first != place {
                let (user, server) = account;
                let problem = format!("extension {user}{server} stands at {first} already");
                let remedy = "give each phone its own account, or silence this where they share it";
                diagnostics.report("duplicate-extension", place, problem, remedy);
            }
        }
    }
}

/// What a phone registers: the user, and the server where one is known.
fn accounts(group: &Group<'_>, settings: &DeviceSettings) -> Vec<(String, String)> {
    let lines = settings.settings.get("lines").and_then(Json::as_array);
    let usual = server_of(group, settings);
    let lines = lines.into_iter().flatten();
    lines.filter_map(|line| account(line, usual)).collect()
}

fn account(line: &Json, usual: Option<&str>) -> Option<(String, String)> {
    let text = |field| line.get(field).and_then(Json::as_str);
    let server = text("server").or_else(|| text("domain")).or(usual);
    let server = server.map(|server| format!(" at {server}"));
    Some((text("user")?.to_owned(), server.unwrap_or_default()))
}

/// The server that lines without one register at.
fn server_of<'a>(group: &'a Group<'_>, settings: &'a DeviceSettings) -> Option<&'a str> {
    let record = &group.release.record;
    let layers: [Option<&Settings>; 5] = [
        Some(&settings.settings),
        group.model.settings,
        Some(&group.site.layer.settings),
        Some(&record.tenant.settings),
        Some(&record.deployment.settings),
    ];
    let mut given = layers
        .into_iter()
        .flatten()
        .filter_map(|layer| layer.get("sip_server"));
    given.next()?.as_str()
}
