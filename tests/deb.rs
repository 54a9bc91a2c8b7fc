//! The relay's Debian package, as dpkg and systemd's own tools take it: installed into a root of its own, run as its unit says,
//! removed, purged. `HANDSET_DEB` names it (`cargo xtask test deb`).
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

const SETTINGS: &str = "etc/handset-relay/handset-relay.toml";
const UNIT: &str = "usr/lib/systemd/system/handset-relay.service";

fn package() -> PathBuf {
    let path = std::env::var_os("HANDSET_DEB");
    path.expect("HANDSET_DEB names the package: cargo xtask test deb")
        .into()
}

/// A root with nothing in it but dpkg's own files.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(root.at("var/lib/dpkg/info")).unwrap();
        fs::create_dir_all(root.at("var/lib/dpkg/updates")).unwrap();
        fs::write(root.at("var/lib/dpkg/status"), "").unwrap();
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Its scripts run here, and are told where the package is; nothing that it depends on is there.
    fn dpkg(&self, action: &str, what: &Path) {
        let output = Command::new("dpkg")
            .arg(format!("--root={}", self.0.path().display()))
            .args(["--force-script-chrootless", "--force-depends", action])
            .arg(what)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dpkg {action} (as root): {said}");
    }

    /// Everything that is no directory, and not dpkg's.
    fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.0.path()).unwrap();
                let name = name.to_str().unwrap().to_owned();
                if name == "var/lib/dpkg" {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(name);
                }
            }
        }
        files
    }
}

/// A program that says where it listens, and ends with the test.
struct Running(Child, Vec<String>);

impl Running {
    fn start(command: &mut Command, lines: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = said.take(lines).map(|line| {
            let line = line.unwrap();
            line.rsplit(' ').next().unwrap_or_default().to_owned()
        });
        Self(child, said.collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn installed_run_removed_purged() {
    let root = Root::new();
    root.dpkg("--install", &package());
    let mode = |path| fs::metadata(root.at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(SETTINGS), 0o600);
    assert_eq!(mode("usr/bin/handset-relay"), 0o755);
    let installed = root.files();
    for path in [
        UNIT,
        "usr/lib/systemd/system/handset-relay-tftp.socket",
        "usr/lib/sysctl.d/60-handset-relay.conf",
        "usr/share/man/man1/handset-relay.1.gz",
        "usr/share/bash-completion/completions/handset-relay",
        "usr/share/doc/handset-relay/copyright",
    ] {
        assert!(installed.contains(path), "{path}: {installed:#?}");
    }

    boot_a_phone(&root);
    assert!(root.at("var/lib/handset-relay/cache").is_dir());

    root.dpkg("--remove", Path::new("handset-relay"));
    let kept = root.files();
    let state = |path: &String| path.starts_with("var/lib/handset-relay/");
    let left: Vec<&String> = kept.iter().filter(|path| !state(path)).collect();
    assert_eq!(left, [SETTINGS]);
    assert!(kept.iter().any(state), "what waits for the server stays");
    root.dpkg("--purge", Path::new("handset-relay"));
    assert_eq!(root.files(), BTreeSet::new());
    assert!(!root.at("etc/handset-relay").exists());
    assert!(!root.at("var/lib/handset-relay").exists());
}

/// Runs what the unit says, with what systemd would put in, and boots a phone by it.
fn boot_a_phone(root: &Root) {
    let fleet = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/lync");
    let state = tempfile::tempdir().unwrap();
    let mut serving = Command::new(env!("CARGO_BIN_EXE_handset"));
    serving.args(["serve", fleet, "--listen", "127.0.0.1:0", "--state"]);
    serving.arg(state.path()).stderr(Stdio::null());
    let server = Running::start(&mut serving, 1);
    let address = server.1.first().unwrap();

    let example = fs::read_to_string(root.at(SETTINGS)).unwrap();
    let (upstream, tftp) = ("https://prov.example.net/SITE/KEY", "#tftp = \"[::]:69\"");
    assert!(example.contains(upstream) && example.contains(tftp));
    let settings = example
        .replace(upstream, &format!("{address}/lync"))
        .replace(tftp, "tftp = \"127.0.0.1:0\"")
        .replace("#identity = \"own-mac\"", "identity = \"any\"");
    fs::write(root.at(SETTINGS), settings).unwrap();

    let unit = fs::read_to_string(root.at(UNIT)).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let within = |path: &str| root.at(path).to_str().unwrap().to_owned();
    let start = start
        .unwrap()
        .replace("%d", &within("etc/handset-relay"))
        .replace("/var/lib/handset-relay", &within("var/lib/handset-relay"))
        .replace("/usr/bin/handset-relay", &within("usr/bin/handset-relay"));
    let mut words = start.split(' ');
    let mut running = Command::new(words.next().unwrap());
    running.args(words).stderr(Stdio::null());
    let relay = Running::start(&mut running, 1);

    let url = format!("{}/", relay.1.first().unwrap());
    let booted = Command::new(env!("CARGO_BIN_EXE_handset"))
        .args([
            "boot",
            "--url",
            &url,
            "--model",
            "VVX 400",
            "--mac",
            "0004f28062d6",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&booted.stdout);
    assert!(
        booted.status.success() && said.contains("shared.cfg") && url.starts_with("tftp://"),
        "{said}"
    );
}

/// systemd's own tools, where they are: nothing to complain of, and no more exposed than the page says.
#[test]
fn the_units_are_good() {
    let analyze = |arguments: &[&str], root: &Root| {
        let at = format!("--root={}", root.0.path().display());
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(at)
            .output();
        output.map(|it| (it.status.success(), [it.stdout, it.stderr].concat()))
    };
    let root = Root::new();
    let mut unpacking = Command::new("dpkg");
    unpacking.arg("-x").arg(package()).arg(root.0.path());
    assert!(unpacking.status().unwrap().success());
    // The targets that any system has.
    for target in [
        "basic",
        "multi-user",
        "network-online",
        "shutdown",
        "sockets",
        "sysinit",
    ] {
        let path = root.at(&format!("usr/lib/systemd/system/{target}.target"));
        fs::write(path, "[Unit]\nDescription=any\n").unwrap();
    }
    let units = [
        "verify",
        "handset-relay.service",
        "handset-relay-tftp.socket",
        "handset-relay-ftp.socket",
        "handset-relay-http.socket",
    ];
    let Ok((good, said)) = analyze(&units, &root) else {
        eprintln!("systemd-analyze is not there: the units were not looked at");
        return;
    };
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(good && said.is_empty(), "{said}");
    let security = ["security", "--offline=true", "handset-relay.service"];
    let (_, said) = analyze(&security, &root).unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    let exposure = said.lines().find_map(|line| {
        let (_, figure) = line.split_once("Overall exposure level for handset-relay.service: ")?;
        figure.split(' ').next()?.parse::<f64>().ok()
    });
    assert!(exposure.is_some_and(|it| it <= EXPOSURE), "{said}");
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/relay.md")).unwrap();
    assert!(page.contains(&format!("an exposure of {EXPOSURE}")));
}

/// Of 10; what systemd 252 says, and a later one may look at more.
const EXPOSURE: f64 = 1.6;
