//! Copies of fleet directories, for tests that change them.

use std::fs;
use std::path::Path;

/// Copies a directory but for what has one of these names.
pub(crate) fn copy(from: &Path, to: &Path, but: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let target = to.join(&name);
        match entry.path().is_dir() {
            _ if but.iter().any(|but| name == *but) => {}
            true => copy(&entry.path(), &target, but),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
