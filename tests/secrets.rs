//! `handset secret`, and what the other commands show of secrets: the tool as its operator uses it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/secret.rs"]
#[expect(dead_code, reason = "the secret alone is needed")]
mod secret;
#[path = "support/secrets.rs"]
mod secrets;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use secrets::passwords;
use tempfile::TempDir;

/// A copy of `fixtures/office`, and a key beside it.
struct Fleet {
    work: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let office = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
        copy(&office, &work.path().join("fleet"));
        let fleet = Self { work };
        assert_eq!(fleet.run(&["secret", "key", "key"]).status.code(), Some(0));
        fleet
    }

    /// The same with every secret sealed.
    fn sealed() -> Self {
        let fleet = Self::new();
        let files = [
            "fleet/devices/phones.csv",
            "fleet/devices/reception.toml",
            "fleet/tenants/acme.toml",
        ];
        let words = [&["secret", "seal", "--key-file", "key"], &files[..]].concat();
        assert_eq!(fleet.run(&words).status.code(), Some(0));
        fleet
    }

    fn run(&self, words: &[&str]) -> Output {
        self.run_with("", words)
    }

    fn run_with(&self, input: &str, words: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_handset"))
            .args(words)
            .env_clear()
            .env("HANDSET_SECRET", secret::SECRET)
            .current_dir(self.work.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        process.wait_with_output().unwrap()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.work.path().join(file)).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            _ if entry.file_name() == "state" => {}
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn said(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{out}{errors}")
}

#[test]
fn a_key_is_the_operators_alone_and_is_never_overwritten() {
    let fleet = Fleet::new();
    let mode = fs::metadata(fleet.work.path().join("key"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let before = fleet.read("key");
    let again = fleet.run(&["secret", "key", "key"]);
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    assert_eq!(fleet.read("key"), before);
    assert!(!said(&again).contains(before.trim()));
}

#[test]
fn sealed_files_hold_no_secret_and_open_to_what_they_were() {
    let (plain, fleet) = (Fleet::new(), Fleet::sealed());
    let files = [
        "fleet/devices/phones.csv",
        "fleet/devices/reception.toml",
        "fleet/tenants/acme.toml",
    ];
    for file in files {
        let text = fleet.read(file);
        for password in passwords("office") {
            assert!(!text.contains(&password), "{file} holds {password}");
        }
        assert!(text.contains("sealed:1:"), "{text}");
    }
    let sealed = files.map(|file| fleet.read(file));
    let again = [&["secret", "seal", "--key-file", "key"], &files[..]].concat();
    assert_eq!(said(&fleet.run(&again)), "", "nothing is left to seal");
    assert_eq!(files.map(|file| fleet.read(file)), sealed);
    let back = [&["secret", "open", "--key-file", "key"], &files[..]].concat();
    assert!(said(&fleet.run(&back)).contains("phones.csv: line 3: line1.password"));
    assert_eq!(
        files.map(|file| fleet.read(file)),
        files.map(|file| plain.read(file))
    );
}

#[test]
fn a_value_goes_through_the_standard_input() {
    let fleet = Fleet::new();
    let sealed = fleet.run_with("p\u{e4}ss word\n", &["secret", "seal", "--key-file", "key"]);
    let text = String::from_utf8(sealed.stdout).unwrap();
    assert!(
        text.starts_with("sealed:1:") && text.lines().count() == 1,
        "{text}"
    );
    let opened = fleet.run_with(&text, &["secret", "open", "--key-file", "key"]);
    assert_eq!(said(&opened), "p\u{e4}ss word\n");
    let other = fleet.run_with("hunter2", &["secret", "open", "--key-file", "key"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(!said(&other).contains("hunter2"));
    let keyless = fleet.run_with("hunter2", &["secret", "seal"]);
    assert_eq!(keyless.status.code(), Some(2));
    assert!(
        said(&keyless).contains("handset secret key"),
        "{}",
        said(&keyless)
    );
}

#[test]
fn files_are_rewritten_all_or_none() {
    let fleet = Fleet::new();
    fs::write(fleet.work.path().join("broken.toml"), "[settings\n").unwrap();
    let before = fleet.read("fleet/devices/phones.csv");
    let words = [
        "secret",
        "seal",
        "--key-file",
        "key",
        "fleet/devices/phones.csv",
        "broken.toml",
    ];
    let failed = fleet.run(&words);
    assert_eq!(failed.status.code(), Some(2));
    assert!(said(&failed).contains("broken.toml"), "{}", said(&failed));
    assert_eq!(fleet.read("fleet/devices/phones.csv"), before);
}

const FILE: &str = "/hq/0004f2000500-device.cfg";

#[test]
fn phones_of_a_sealed_fleet_get_what_they_got() {
    let (plain, fleet) = (Fleet::new(), Fleet::sealed());
    for file in [
        FILE,
        "/hq/00908f000420.cfg",
        "/hq/ut/Config0080F0000136.cfg",
        "/hq/000000000000.cfg",
    ] {
        let shown = plain.run(&["render", "fleet", file, "--show-secrets"]);
        let words = [
            "render",
            "fleet",
            file,
            "--show-secrets",
            "--key-file",
            "key",
        ];
        assert_eq!(said(&fleet.run(&words)), said(&shown), "{file}");
    }
}

#[test]
fn a_sealed_fleet_is_looked_at_without_its_key_and_not_served() {
    let fleet = Fleet::sealed();
    let checked = fleet.run(&["check", "fleet"]);
    let plain = Fleet::new().run(&["check", "fleet"]);
    assert_eq!(said(&checked), said(&plain));
    let rendered = fleet.run(&["render", "fleet", FILE]);
    assert_eq!(rendered.status.code(), Some(0), "{}", said(&rendered));
    assert!(
        !said(&rendered).contains("sealed:1:"),
        "{}",
        said(&rendered)
    );
    let diff = fleet.run(&["diff", "fleet", "--against", "fleet"]);
    assert_eq!(diff.status.code(), Some(0), "{}", said(&diff));
    let served = fleet.run(&["serve", "fleet", "--listen", "127.0.0.1:0"]);
    assert_eq!(served.status.code(), Some(1), "{}", said(&served));
    for needed in [
        "tenants/acme.toml:4",
        "admin_password is sealed, and so are 15 more",
        "--key-file",
        "[sealed-without-key]",
    ] {
        assert!(
            said(&served).contains(needed),
            "{needed}: {}",
            said(&served)
        );
    }
}

#[test]
fn another_key_is_an_error_that_names_the_line() {
    let fleet = Fleet::sealed();
    fleet.run(&["secret", "key", "other"]);
    let checked = fleet.run(&["check", "fleet", "--key-file", "other"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = said(&checked);
    assert!(said.contains("devices/phones.csv:3"), "{said}");
    assert!(
        said.contains("line1.password does not open with this key"),
        "{said}"
    );
}

#[test]
fn render_shows_no_secret_unless_it_is_told_to() {
    let fleet = Fleet::new();
    let site = fleet.work.path().join("fleet/sites/hq.toml");
    let more = "[settings.parameters.audiocodes]\n\"system/password\" = \"1234\"\n";
    let text = fs::read_to_string(&site).unwrap();
    fs::write(&site, format!("{text}{more}")).unwrap();
    let mut hidden = 0;
    for file in [
        FILE,
        "/hq/64167f000450-device.cfg",
        "/hq/00908f000420.cfg",
        "/hq/ut/Config0080F0000136.cfg",
        "/hq/000000000000.cfg",
    ] {
        let shown = fleet.run(&["render", "fleet", file]);
        assert_eq!(shown.status.code(), Some(0), "{file}: {}", said(&shown));
        let text = said(&shown);
        for password in passwords("office") {
            assert!(!text.contains(&password), "{file}: {password} in {text}");
        }
        for secret in ["&quot;one&quot;", "1234\n", "secret \"one\""] {
            assert!(!text.contains(secret), "{file}: {secret} in {text}");
        }
        let whole = said(&fleet.run(&["render", "fleet", file, "--show-secrets"]));
        assert_eq!(text == whole, !text.contains("(secret)"), "{file}");
        let words = whole.split(|c: char| !c.is_ascii_alphanumeric());
        let keys = words.filter(|word| word.len() == 27);
        for key in keys {
            assert!(!text.contains(key), "{file}: {key} in {text}");
        }
        hidden += text.matches("(secret)").count();
    }
    assert!(hidden > 10, "only {hidden}");
}
