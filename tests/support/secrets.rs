//! Every password of a fleet directory, read from its files and not by what is tested.

use std::fs;
use std::path::Path;

/// The passwords of the fixture of this name: passwords of lines, of menus and of web pages.
pub(crate) fn passwords(fixture: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(fixture);
    let mut found = Vec::new();
    for folder in ["devices", "tenants"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let words = text.split([',', '"', '\n', ' ']);
            let secret = |word: &&str| MARKS.iter().any(|mark| word.contains(mark));
            found.extend(words.filter(secret).map(str::to_owned));
        }
    }
    found
}

/// What passwords of the fixtures look like.
const MARKS: [&str; 4] = ["s3cret", "-admin-", "-user-", "Pass123"];
