//! The settings file, and what `check` says of it.

use std::fs;
use std::process::Command;

use handset::relay::tftp::client::Client;
use tempfile::TempDir;

use crate::branch::block_on;
use crate::programs::Program;
use crate::site::Site;

/// A file of settings in a directory of its own.
fn written(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("handset-relay.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// How it ends, and what it says.
fn relay(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_handset-relay"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_file_stands_for_flags_and_flags_count() {
    let text = "# of this branch\nupstream = \"http://127.0.0.1:1/\"\ntftp = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\ncache-bytes = 1000000\n";
    let (_directory, path) = written(text);
    let executable = env!("CARGO_BIN_EXE_handset-relay");
    let both = Program::start(executable, &["--settings", &path], 2);
    assert!(both.addresses[0].starts_with("tftp://127.0.0.1:"));
    assert!(both.addresses[1].starts_with("http://127.0.0.1:"));
    let arguments = ["--tftp", "none", "--settings", &path];
    let one = Program::start(executable, &arguments, 1);
    assert!(one.addresses[0].starts_with("http://127.0.0.1:"));
}

#[test]
fn what_is_wrong_has_its_line() {
    let upstream = "upstream = \"https://prov.example.net/\"\n";
    for (text, expected) in [
        (
            "tfpt = \"[::]:69\"\n",
            ":2: there is no `tfpt`; known: upstream, ",
        ),
        (
            "\ntftp = \"here\"\n",
            ":3: invalid value 'here' for '--tftp <ADDRESS>': give ADDRESS:PORT, or none",
        ),
        ("cache-bytes = \"much\"\n", ":2: invalid value 'much'"),
        (
            "ftp-active = \"yes\"\n",
            ":2: ftp-active: give true or false",
        ),
        ("http = [1]\n", ":2: http: give a text in quotes"),
        ("http = \n", ":2: "),
        ("name = \"a\"\nname = \"b\"\n", ":3: "),
        ("settings = \"b.toml\"\n", ":2: there is no `settings`"),
    ] {
        let (_directory, path) = written(&format!("{upstream}{text}"));
        for (more, code) in [(None, 2), (Some("check"), 1)] {
            let arguments = ["--settings", &path];
            let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
            let (ended, said) = relay(&arguments);
            assert!(
                ended == Some(code) && said.contains(&format!("{path}{expected}")),
                "{text}: {ended:?} {said}"
            );
        }
    }
    let (ended, said) = relay(&["--settings", "/none.toml"]);
    assert!(
        ended == Some(2) && said.contains("/none.toml: "),
        "{ended:?} {said}"
    );
}

#[test]
fn check_tries_what_does_no_harm() {
    let (site, state) = (Site::start(), tempfile::tempdir().unwrap());
    let (_directory, path) = written(&format!("upstream = \"{}\"\n", site.base()));
    let below = state.path().join("to/be/made");
    let good = ["--settings", &path, "--state", below.to_str().unwrap()];
    let (ended, said) = relay(&[&good[..], &["check"]].concat());
    assert!(
        ended == Some(0) && said.contains("will be made") && !said.contains("wrong"),
        "{said}"
    );
    assert!(!below.exists());
    assert_eq!(site.requests().len(), 1);
    site.set_away(true);
    for (arguments, expected) in [
        (&[][..], "wrong  --upstream: "),
        (
            &["--state", "/proc/1/none"],
            "wrong  --state /proc/1/none: ",
        ),
        (
            &["--upstream-ca", "/none.pem"],
            "wrong  --upstream-ca /none.pem",
        ),
        (&["--neighbours", "/none"], "wrong  --neighbours: "),
    ] {
        let arguments = [&["--settings", &path][..], arguments, &["check"]].concat();
        let (ended, said) = relay(&arguments);
        assert!(
            ended == Some(1) && said.contains(expected),
            "{arguments:?}: {ended:?} {said}"
        );
    }
}

/// Whoever reads the log hears the same of a transfer, as an object or in words.
#[test]
fn the_log_is_for_programs_or_for_people() {
    use std::io::BufRead as _;
    let site = Site::start();
    site.put("a.cfg", "no-cache", b"0123456789");
    for (form, expected) in [
        (
            "json",
            &[
                "{\"time\":\"",
                "\"file\":\"a.cfg\"",
                "\"outcome\":\"completed\"",
                "\"bytes\":10",
            ][..],
        ),
        (
            "text",
            &[
                "Z tftp read a.cfg for 127.0.0.1:",
                ": completed, 10 bytes, ",
            ],
        ),
    ] {
        let arguments = [
            "--upstream",
            &site.base(),
            "--tftp",
            "127.0.0.1:0",
            "--identity",
            "any",
            "--log",
            form,
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_handset-relay"))
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.next().unwrap().unwrap();
        let client = Client::new(address.strip_prefix("tftp://").unwrap().parse().unwrap());
        block_on(client.read(b"a.cfg")).unwrap();
        let said = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let line = said.map(Result::unwrap).find(|line| line.contains("a.cfg"));
        let line = line.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            expected.iter().all(|part| line.contains(part)),
            "{form}: {line}"
        );
    }
}

#[test]
fn the_programs_own_pages() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().to_str().unwrap();
    let (ended, said) = relay(&["man", pages]);
    assert_eq!(ended, Some(0), "{said}");
    for (page, line) in [
        ("handset-relay.1", "\\-\\-identity"),
        ("handset-relay.1", "prov.example.net"),
        ("handset-relay-check.1", "without harm"),
        ("handset-relay-status.1", "metrics"),
    ] {
        let text = fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(line), "{page}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (ended, script) = relay(&["completions", shell]);
        assert!(
            ended == Some(0) && script.contains("tftp-ports"),
            "{script}"
        );
    }
    let (ended, help) = relay(&["--help"]);
    assert!(
        ended == Some(0) && help.contains("Examples:\n  handset-relay --upstream https://"),
        "{help}"
    );
}
