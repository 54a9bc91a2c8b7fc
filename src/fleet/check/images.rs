//! Firmware images: those that no phone asks for, and those under another model's name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::path::RequestPath;
use crate::release::Release;
use crate::vendor::FileKind;
use crate::vendor::Vendor;

/// Looks at every image once; all releases have the same. And at how each site sends them.
pub(super) fn check(fleet: &Fleet, groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    for group in groups {
        check_redirects(group, diagnostics);
    }
    let Some(release) = groups.first().map(|group| group.release) else {
        return;
    };
    for (vendor, versions) in &release.record.firmware {
        let Some(vendor) = Vendor::find(vendor) else {
            continue;
        };
        for (version, names) in versions {
            for name in names.keys() {
                let folder = format!("firmware/{}/{version}", vendor.name);
                let file = spelled(&fleet.directory, &folder, name);
                check_image(fleet, release, vendor, &file, name, diagnostics);
            }
        }
    }
}

/// A phone that does not follow a redirect does not get its firmware.
fn check_redirects(group: &Group<'_>, diagnostics: &mut Diagnostics) {
    let vendor = group.vendor().filter(|vendor| !vendor.follows_redirects);
    let (Some(bytes), Some(vendor)) = (group.site.images.redirect_over, vendor) else {
        return;
    };
    let problem = format!(
        "images over {bytes} bytes are redirected, and phones of {} are not known to follow",
        vendor.name
    );
    let remedy = "try it with one of them, or say `[images] redirect_over = 0` for the site";
    let place = Place::file(format!("sites/{}.toml", group.site.name));
    diagnostics.report("redirect-not-followed", &place, problem, remedy);
}

/// The file as its owner spells it: records know names in lower case.
fn spelled(root: &Path, folder: &str, name: &str) -> String {
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let own = names.into_iter().find(|own| own.eq_ignore_ascii_case(name));
    format!("{folder}/{}", own.as_deref().unwrap_or(name))
}

fn check_image(
    fleet: &Fleet,
    release: &Release,
    vendor: &'static Vendor,
    file: &str,
    name: &str,
    diagnostics: &mut Diagnostics,
) {
    let place = Place::file(file);
    let own = file.rsplit('/').next().unwrap_or(name);
    if !is_known(release, vendor, own) {
        let remedy = "describe its model in models/ (`image = …`), or remove the file";
        diagnostics.report(
            "unknown-image",
            &place,
            "no known model asks for it",
            remedy,
        );
        return;
    }
    if let Some(other) = other_model(release, vendor, own, &fleet.directory.join(file)) {
        let problem = format!("says of itself that it is for {other}");
        let remedy = "take the image from the release package under its own name";
        diagnostics.report("image-of-another-model", &place, problem, remedy);
    }
}

/// Whether a model asks for it, or a rule that is about no model's image.
fn is_known(release: &Release, vendor: &'static Vendor, name: &str) -> bool {
    let of_model = release.model_by_image(vendor, name).is_some();
    let ending = |name: &str| name.split_once('.').map(|(_, ending)| ending.to_owned());
    let endings: BTreeSet<_> = vendor
        .models
        .iter()
        .map(|model| ending(model.image))
        .collect();
    let served = || {
        let path = RequestPath::parse(name).ok();
        let rules = path.as_ref().map(|path| release.matching(path));
        let firmware = |kind| matches!(kind, FileKind::FirmwareImage | FileKind::FirmwareVersion);
        let mut rules = rules.iter().flatten();
        rules.any(|(rule, captured)| {
            firmware(rule.kind) && (captured.name.is_none() || captured.part_number.is_some())
        })
    };
    of_model || (!endings.contains(&ending(name)) && served())
}

/// The model that an image's head names, if it names one and not its own.
fn other_model(
    release: &Release,
    vendor: &'static Vendor,
    name: &str,
    path: &Path,
) -> Option<&'static str> {
    let (own, _) = release.model_by_image(vendor, name)?;
    let head = significant(&head(path)?);
    let named = |names: [&str; 2]| {
        let names = names.map(|name| significant(name.as_bytes()));
        let long = names.iter().filter(|name| name.len() >= SHORTEST_NAME);
        long.into_iter().any(|name| head.contains(name.as_str()))
    };
    let same_image = vendor
        .models
        .iter()
        .filter(|model| model.image == own.image);
    let mut mine = same_image.map(|model| [model.name, model.user_agent]);
    if mine.any(named) || named([own.name, own.user_agent]) {
        return None;
    }
    let mut others = vendor
        .models
        .iter()
        .filter(|model| model.image != own.image);
    let other = others.find(|model| named([model.name, model.user_agent]))?;
    Some(other.name)
}

/// A shorter name stands in any image by chance.
const SHORTEST_NAME: usize = 5;

fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(4096)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

fn significant(bytes: &[u8]) -> String {
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphanumeric());
    letters
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}
