//! The cases of `tests/fleet/broken.txt`: files over a small sound fleet, and everything that is said.
//!
//! `=== name` begins a case, `--- file` a file, `--- says` what `handset check` finds, which
//! `UPDATE_FIXTURES=1 cargo test --test fleet` rewrites. In a file, `\r`, `\0` and the byte `\xff` stand for themselves.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::finding;
use handset::fleet::finding::FINDINGS;
use handset::fleet::finding::Finding;

const SOUND: [(&str, &str); 3] = [
    ("handset.toml", ""),
    (
        "sites/s.toml",
        "access = \"open\"\npublic_url = \"http://prov.example\"\n",
    ),
    ("devices/d.csv", "mac,site,model\n0004f2000001,s,VVX 400\n"),
];

#[test]
fn every_fault_is_named_with_its_remedy() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/broken.txt");
    let text = fs::read_to_string(&path).unwrap();
    let mut cases: Vec<Case<'_>> = text.split("=== ").skip(1).map(Case::parse).collect();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    for case in &mut cases {
        let says = case.run();
        assert!(
            updating() || says == case.says,
            "{}:\n{says}instead of\n{}",
            case.name,
            case.says
        );
        case.says = says;
    }
    if updating() {
        fs::write(path, cases.iter().map(Case::write).collect::<String>()).unwrap();
    }
}

/// What is said of findings is one page, and every finding of the table has a case.
#[test]
fn every_finding_is_documented_and_provoked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join("docs/check.md");
    if updating() {
        fs::write(&page, finding::document()).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(written, finding::document(), "docs/check.md is out of date");
    let cases = fs::read_to_string(root.join("tests/fleet/broken.txt")).unwrap();
    for Finding { code, .. } in FINDINGS {
        let elsewhere = UNPROVOKED.iter().any(|(known, _)| known == code);
        let provoked = cases.contains(&format!(" [{code}]\n"));
        assert_eq!(provoked, !elsewhere, "{code} has no case");
    }
}

/// Findings without a case, and why.
const UNPROVOKED: &[(&str, &str)] = &[
    (
        "name-not-utf8",
        "the cases are UTF-8, and so are the names of some file systems",
    ),
    ("no-site", "every case stands on a fleet that has one"),
    (
        "sealed-without-key",
        "only a server says it: see tests/secrets.rs",
    ),
];

fn unescaped(text: &str) -> Vec<u8> {
    let text = text.replace("\\r", "\r").replace("\\0", "\0");
    let mut parts = text.split("\\xff").map(str::as_bytes);
    let first = parts.next().unwrap().to_vec();
    parts.fold(first, |before, after| {
        [&before, &b"\xff"[..], after].concat()
    })
}

fn updating() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

struct Case<'t> {
    name: &'t str,
    files: Vec<(&'t str, &'t str)>,
    says: String,
}

impl<'t> Case<'t> {
    fn parse(text: &'t str) -> Self {
        let (name, rest) = text.split_once('\n').unwrap();
        let mut case = Self {
            name,
            files: Vec::new(),
            says: String::new(),
        };
        for part in rest.split("--- ").skip(1) {
            let (file, text) = part.split_once('\n').unwrap();
            match file {
                "says" => case.says = text.trim_end_matches('\n').to_owned() + "\n",
                _ => case.files.push((file, text)),
            }
        }
        case
    }

    fn run(&self) -> String {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in SOUND.iter().chain(&self.files) {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, unescaped(text)).unwrap();
        }
        let found = match fleet::compile(directory.path(), &mut Hashes::default()) {
            Ok(fleet) => fleet::check::check(&fleet),
            Err(found) => found,
        };
        assert!(!found.is_empty(), "{}: nothing is wrong", self.name);
        found.iter().fold(String::new(), |mut text, found| {
            let _ = match &found.silenced {
                None => writeln!(text, "{found}"),
                Some(reason) => writeln!(text, "silenced {found}\n  reason: {reason}"),
            };
            text
        })
    }

    fn write(&self) -> String {
        let mut text = format!("=== {}\n", self.name);
        for (file, content) in &self.files {
            let _ = write!(text, "--- {file}\n{content}");
        }
        let _ = write!(text, "--- says\n{}\n", self.says);
        text
    }
}
