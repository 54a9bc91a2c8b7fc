//! Images and resources that change: a line each, for their bytes are nothing to read.

use std::collections::BTreeSet;

use super::Collected;
use super::Found;
use super::Phone;
use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::outputs;
use crate::fleet::outputs::Group;
use crate::release::BlobRecord;
use crate::variables::pinned_version;

/// The image of phones without a version of their own.
pub(super) fn pinned(old: &Group<'_>, new: &Group<'_>) -> Option<Found> {
    image(&describe(old, None), &describe(new, None))
}

/// The image of a phone with a version of its own, then or now.
pub(super) fn own(old: &Phone<'_>, new: &Phone<'_>) -> Option<Found> {
    let pins = old.settings.firmware.is_some() || new.settings.firmware.is_some();
    let was = describe(old.group, Some(old.settings));
    let is = describe(new.group, Some(new.settings));
    pins.then(|| image(&was, &is)).flatten()
}

/// The resources of each site that is there then and now.
pub(super) fn resources(old: &Fleet, new: &Fleet, collected: &mut Collected) {
    let sites: BTreeSet<&String> = new.snapshot.sites.keys().collect();
    for site in sites {
        let places = outputs::place_of(old, site).zip(outputs::place_of(new, site));
        let Some(((_, was), (_, is))) = places else {
            continue;
        };
        let (was, is) = (&was.record.resources, &is.record.resources);
        let paths: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for path in paths {
            let found = change(path, &blob(was.get(path)), &blob(is.get(path)));
            if let Some(found) = found {
                collected.add_shared(site, "whoever asks", found);
            }
        }
    }
}

/// A version and its image, told apart by the bytes.
fn describe(group: &Group<'_>, phone: Option<&DeviceSettings>) -> (String, String) {
    let pin = group.vendor().and_then(|vendor| {
        pinned_version(group.site, group.release, vendor, Some(&group.model), phone)
    });
    let Some((version, _)) = pin.filter(|_| !group.model.image.is_empty()) else {
        return ("no image".to_owned(), String::new());
    };
    let file = group.model.image.replace("{version}", version);
    let image = group.release.image(group.model.vendor, version, &file);
    (format!("{version} ({file})"), blob(image))
}

fn image(was: &(String, String), is: &(String, String)) -> Option<Found> {
    let shown = |(version, bytes): &(String, String)| format!("{version}, {bytes}");
    change("firmware", &shown(was), &shown(is))
}

fn blob(record: Option<&BlobRecord>) -> String {
    let Some(record) = record else {
        return "nothing".to_owned();
    };
    let short = record.sha256.get(..12).unwrap_or_default();
    format!("{} bytes, SHA-256 {short}…", record.length)
}

fn change(what: &str, was: &str, is: &str) -> Option<Found> {
    (was != is).then(|| Found {
        key: format!("{what}\n{was}\n{is}"),
        text: format!("{what}:\n-{was}\n+{is}\n"),
    })
}
