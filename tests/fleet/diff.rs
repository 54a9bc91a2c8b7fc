//! `handset diff`: what an edit of the fixture changes for its phones, in `tests/fleet/diff.txt`.
//!
//! `UPDATE_FIXTURES=1 cargo test --test fleet` rewrites it.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diff::Difference;
use handset::fleet::diff::diff;

use crate::tree;

/// File, what stands there, and what takes its place.
type Edit = (&'static str, &'static str, &'static str);

/// A name, and what is done to the fixture.
const CASES: &[(&str, &[Edit])] = &[
    ("nothing", &[]),
    (
        "a time zone of a site",
        &[("sites/hq.toml", "America/Chicago", "America/New_York")],
    ),
    (
        "a name and a password",
        &[
            ("devices/phones.csv", "Grace", "Gracie"),
            ("devices/phones.csv", "s3cret-two", "n3w-secret"),
        ],
    ),
    (
        "a phone comes, one goes, one moves",
        &[
            (
                "devices/phones.csv",
                "0080f0000113,branch,KX-UT113",
                "0080f0000114,branch,KX-UT113",
            ),
            (
                "devices/phones.csv",
                "0004f2000501,branch,VVX 500",
                "0004f2000501,hq,VVX 500",
            ),
        ],
    ),
    (
        "images",
        &[
            (
                "sites/branch.toml",
                "polycom = \"5.9.5\"",
                "polycom = \"5.9.7\"",
            ),
            ("devices/phones.csv", "VVX450,5.9.5", "VVX450,5.9.7"),
        ],
    ),
    (
        "a password of all phones, and a parameter that is one by its name",
        &[(
            "sites/branch.toml",
            "[settings]\n",
            "[settings]\nadmin_password = \"n3w-secret\"\nparameters.polycom.\"reg.9.auth.password\" = \"n3w-secret-too\"\n",
        )],
    ),
    (
        "a resource and a template",
        &[
            ("resources/tones/440HD-tones.dat", "", "x"),
            (
                "templates/polycom/{mac}-badge.cfg",
                "badge up",
                "badge x.y=\"1\" up",
            ),
        ],
    ),
];

#[test]
fn edits_show_where_they_arrive() {
    let path = root().join("tests/fleet/diff.txt");
    let found = CASES.iter().fold(String::new(), |mut text, (name, edits)| {
        let _ = writeln!(text, "=== {name}\n{}", shown(&compared(edits)));
        text
    });
    assert!(
        !found.contains("s3cret") && !found.contains("n3w-secret"),
        "a secret shows"
    );
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default());
}

fn shown(difference: &Difference) -> String {
    if difference.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let changes: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
    format!("{}\n{}", difference.table(), changes.join("\n"))
}

fn compared(edits: &[Edit]) -> Difference {
    let directory = tempfile::tempdir().unwrap();
    tree::copy(
        &root().join("fixtures/office"),
        directory.path(),
        &["state"],
    );
    for (file, from, to) in edits {
        let path = directory.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        let text = match from.is_empty() {
            true => (*to).to_owned(),
            false => text.replacen(from, to, 1),
        };
        fs::write(path, text).unwrap();
    }
    diff(
        &compile(&root().join("fixtures/office")),
        &compile(directory.path()),
    )
}

fn compile(directory: &Path) -> Fleet {
    let fleet = fleet::compile(directory, &mut Hashes::default());
    fleet.unwrap_or_else(|found| panic!("{found:?}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
