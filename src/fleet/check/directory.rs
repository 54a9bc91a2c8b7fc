//! The fleet directory as files: what nobody reads, what came of an article, names that mean something else.

use std::fs;
use std::path::Path;

use crate::fleet::Fleet;
use crate::fleet::article;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::nearest;
use crate::key::Key;
use crate::vendor::ALL;
use crate::vendor::habits;

/// Looks at every file of the directory but `state/`.
pub(super) fn check(fleet: &Fleet, diagnostics: &mut Diagnostics) {
    for file in files(&fleet.directory) {
        check_place(fleet, &file, diagnostics);
        check_zeros(&file, diagnostics);
        check_keys(&file, diagnostics);
        if is_written(&file)
            && let Ok(text) = fs::read_to_string(fleet.directory.join(&file))
        {
            check_pasted(&file, &text, diagnostics);
        }
    }
}

/// What a fleet directory holds: folder, ending of the files that are read.
const PLACES: &[(&str, &str)] = &[
    ("devices", ".csv"),
    ("devices", ".toml"),
    ("firmware", ""),
    ("models", ".toml"),
    ("resources", ""),
    ("sites", ".toml"),
    ("templates", ""),
    ("tenants", ".toml"),
];

/// What a site's own folder holds.
const SITE_PLACES: &[&str] = &["resources", "templates"];

fn files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}{name}");
            match entry.path().is_dir() {
                _ if name.starts_with('.') || path == "state" => {}
                true => folders.push(format!("{path}/")),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// Text that a person wrote for Handset; resources and images are the phones'.
fn is_written(file: &str) -> bool {
    file.ends_with(".toml") || file.ends_with(".csv") || file.contains("templates/")
}

fn check_place(fleet: &Fleet, file: &str, diagnostics: &mut Diagnostics) {
    if is_read(fleet, file) {
        return;
    }
    let folder = file.split('/').next().unwrap_or_default();
    let known = PLACES.iter().map(|(folder, _)| *folder);
    let remedy = match nearest(folder, known.clone().chain(["handset.toml"])) {
        Some(near) if near != folder => format!("did you mean {near:?}?"),
        _ => "move it where it is read (see README.md), or silence this with the reason".to_owned(),
    };
    diagnostics.report("unknown-place", &Place::file(file), "is not read", remedy);
}

fn is_read(fleet: &Fleet, file: &str) -> bool {
    let parts: Vec<&str> = file.split('/').collect();
    match parts.as_slice() {
        ["handset.toml"] => true,
        // Whoever looks at the folder reads that one first.
        ["README.md"] => true,
        ["sites", name, place, _, ..] => {
            fleet.snapshot.sites.contains_key(*name) && SITE_PLACES.contains(place)
        }
        [folder, _, ..] => PLACES
            .iter()
            .any(|(known, ending)| known == folder && file.ends_with(ending)),
        _ => false,
    }
}

/// A default master is a number of zeros, and articles print too few.
fn check_zeros(file: &str, diagnostics: &mut Diagnostics) {
    let name = file.rsplit('/').next().unwrap_or_default();
    let stem = name.strip_suffix(".cfg").unwrap_or_default();
    let zeros = !stem.is_empty() && stem.bytes().all(|byte| byte == b'0');
    let mut masters = ALL.iter().filter_map(|vendor| habits::find(vendor.name));
    let meant = masters.find(|habits| !habits.zeros.is_empty());
    let Some(meant) = meant.filter(|habits| zeros && name != habits.zeros) else {
        return;
    };
    let problem = format!("has {} zeros, phones ask for {}", stem.len(), meant.zeros);
    let remedy = format!("name it {}", meant.zeros);
    diagnostics.report("zeros-master", &Place::file(file), problem, remedy);
}

/// A segment of an address that has the shape of a key is never taken for a name.
fn check_keys(file: &str, diagnostics: &mut Diagnostics) {
    let bare = file.strip_suffix(".toml").unwrap_or(file);
    for segment in bare.split('/').filter(|part| Key::parse(part).is_some()) {
        let problem = format!("{segment} has the shape of a path key");
        let remedy = "rename it: a dash or a dot in it is enough";
        diagnostics.report("name-like-a-key", &Place::file(file), problem, remedy);
    }
}

fn check_pasted(file: &str, text: &str, diagnostics: &mut Diagnostics) {
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(found) = article::pasted(line) {
            let place = Place {
                file: file.to_owned(),
                line: number,
                column: found.column,
            };
            diagnostics.report(found.code, &place, found.problem, found.remedy);
        }
    }
}
