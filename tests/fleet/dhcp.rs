//! `handset dhcp print`: the fixture's plans in the words of each server, and what the real servers say of them.
//!
//! `UPDATE_FIXTURES=1 cargo test --test fleet` rewrites the files of `tests/fleet/dhcp/`. dnsmasq and Kea are Debian's
//! `dnsmasq-base` and `kea-dhcp4-server`; where one is not installed, its check is passed over.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::dhcp::SERVERS;
use handset::fleet::dhcp::Wishes;
use handset::fleet::dhcp::plan;
use handset::fleet::keys;
use handset::secret::DeploymentSecrets;

const KEY: Option<&str> = Some("aoohnirlv76fug766r5uuy3krqe");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(name: &str) -> Fleet {
    fleet::compile(&root().join("fixtures").join(name), &mut Hashes::default()).unwrap()
}

fn written(server: &str) -> String {
    let wishes = Wishes {
        key: KEY,
        tftp_server: Some([192, 0, 2, 5].into()),
    };
    let plan = plan(&fixture("office"), "hq", &wishes).unwrap();
    let (_, write) = SERVERS.iter().find(|(name, _)| *name == server).unwrap();
    write(&plan)
}

#[test]
fn every_server_is_told_in_its_own_words() {
    for (server, _) in SERVERS {
        let path = root().join(format!("tests/fleet/dhcp/{server}.txt"));
        let text = written(server);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, known, "{} is out of date", path.display());
    }
}

/// A URL that ended in the key would be taken for a file of that name.
#[test]
fn no_half_of_an_address_ends_in_the_key() {
    for (server, _) in SERVERS {
        let text = written(server);
        assert!(
            text.contains("420HD.img;hq/") || *server == "kea",
            "{server}"
        );
        for end in ["\"", "'", ";"] {
            assert!(
                !text.contains(&format!("{}{end}", KEY.unwrap())),
                "{server}"
            );
        }
    }
}

#[test]
fn real_servers_take_it() {
    check("dnsmasq", &["--test", "-C"]);
    check("kea-dhcp4", &["-t"]);
}

fn check(program: &str, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("configuration");
    let name = program.split('-').next().unwrap();
    fs::write(&path, written(name)).unwrap();
    let found = find(program);
    let Some(found) = found else {
        return println!("{program} is not installed: its check is passed over");
    };
    let output = Command::new(found)
        .args(arguments)
        .arg(&path)
        // Kea wants to write a lock and a log file, even to look at a configuration.
        .env("KEA_LOCKFILE_DIR", "none")
        .env("KEA_LOGGER_DESTINATION", "stdout")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && !said.contains("ERROR"),
        "{program}: {said}"
    );
}

/// Debian has servers where only the superuser's path leads.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join(program));
    programs.find(|program| Path::is_file(program))
}

/// A site that asks for keys would turn away phones that are given its bare address.
#[test]
fn a_site_with_keys_needs_one() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("handset.toml", "");
    let site = "access = \"keys\"\npublic_url = \"https://prov.example\"\n";
    write("sites/s.toml", site);
    write("devices/d.csv", "mac,site,model\n0004f2000001,s,VVX 400\n");
    let fleet = fleet::compile(directory.path(), &mut Hashes::default()).unwrap();
    let error = plan(&fleet, "s", &Wishes::default()).unwrap_err();
    assert!(error.contains("--key"), "{error}");
    let secret = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    let secrets = DeploymentSecrets::parse(secret).unwrap();
    let key = keys::site_key(&fleet, &secrets, "s").unwrap();
    let wishes = Wishes {
        key: key.expose_text(),
        ..Wishes::default()
    };
    assert_eq!(plan(&fleet, "s", &wishes).unwrap().classes.len(), 1);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let fleet = fixture("office");
    let error = plan(&fleet, "nowhere", &Wishes::default()).unwrap_err();
    assert_eq!(error, "there is no site \"nowhere\"; known: branch, hq");
    let wishes = Wishes {
        key: Some("hq"),
        ..Wishes::default()
    };
    assert!(
        plan(&fleet, "hq", &wishes)
            .unwrap_err()
            .contains("no path key")
    );
}

#[test]
fn long_addresses_are_refused_before_dhcp_cuts_them() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let host = "long.".repeat(30);
    write("handset.toml", "");
    let site = format!("access = \"open\"\npublic_url = \"http://{host}example\"\n");
    write("sites/s.toml", &site);
    write("devices/d.csv", "mac,site,model\n00908f000001,s,420HD\n");
    let fleet = fleet::compile(directory.path(), &mut Hashes::default()).unwrap();
    let wishes = Wishes {
        key: KEY,
        ..Wishes::default()
    };
    let error = plan(&fleet, "s", &wishes).unwrap_err();
    assert!(
        error.contains("255") && error.contains("public_url"),
        "{error}"
    );
}
