//! A fleet from its first line to its first rollback, by the tool's own commands: the same script for every platform,
//! which is where that listens and the deployment's secret.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use handset::boot::Arguments;
use serde_json::Value;
use tempfile::TempDir;

use crate::boots::boot_phone;
use crate::boots::phone;
use crate::boots::secret::SECRET;
use crate::scene::Scene;

/// Vendors' phones: address block, model, how many there are, and the parameter that shows the display name.
const MODELS: [(&str, &str, usize, &str); 3] = [
    ("0004f2", "VVX 400", 200, "reg.1.displayName"),
    ("00908f", "420HD", 150, "voip/line/0/description"),
    ("0080f0", "KX-UT136", 150, "DISPLAY_NAME_1"),
];

/// Phones of each vendor that are switched on.
const BOOTED: usize = 20;

/// A fleet directory and the server that it is published to.
struct Story<'s, S> {
    directory: TempDir,
    scene: &'s mut S,
    token: String,
}

/// The host that phones' addresses name, wherever the server is.
const HOST: &str = "prov.example.net";

/// All of it.
pub(crate) fn story(scene: &mut impl Scene) {
    let mut story = Story {
        directory: tempfile::tempdir().unwrap(),
        scene,
        token: String::new(),
    };
    story.token = story.says("token", 0, "write.").trim().to_owned();
    story.describe();
    story.says("check FLEET", 0, "500 devices");
    story.says("push FLEET --to BASE --dry-run", 0, "new site");
    story.publishes(
        "push FLEET --to BASE",
        "hq: publication 1 takes the place of 0: 500 devices",
    );
    story.says(
        "push FLEET --to BASE",
        0,
        "hq: nothing changes, publication 1",
    );
    story.says(
        "diff FLEET --against BASE",
        0,
        "nothing changes for any phone",
    );
    story.boot_all();
    let [changed, other] = [mac("0004f2", 3), mac("0004f2", 4)];
    story.rename(&changed, " the Third");
    let diff = story.says("diff FLEET --against BASE", 1, &changed);
    assert!(
        diff.contains("hq    polycom          200        1      0        0"),
        "{diff}"
    );
    assert_eq!(diff.matches("\n# ").count(), 1, "{diff}");
    assert!(!diff.contains("pass-"), "{diff}");
    let dry = story.says("push FLEET --to BASE --dry-run", 0, "as it is");
    assert!(
        dry.contains("hq              1      500        1        0  as it is"),
        "{dry}"
    );
    story.publishes(
        &format!("push FLEET --to BASE --canary {changed}"),
        "hq: publication 2 is a canary beside 1: 1 device new or changed",
    );
    story.says("releases BASE hq", 0, "  canary");
    assert_eq!(story.name(&changed), "Person 3 the Third");
    assert_eq!(story.name(&other), "Person 4");
    story.publishes("canary promote BASE hq", "hq: publication 2");
    assert_eq!(story.name(&changed), "Person 3 the Third");
    story.publishes("rollback BASE hq", "hq: publication 1");
    assert_eq!(story.name(&changed), "Person 3");
    story.says("rollback BASE hq", 1, "push the state that you want");
    story.publishes(
        "push FLEET --to BASE",
        "hq: publication 3 takes the place of 1: 1 device",
    );
    assert_eq!(story.name(&changed), "Person 3 the Third");
    story.status();
}

impl<S: Scene> Story<'_, S> {
    /// `init`, a site, and 500 phones out of somebody's table.
    fn describe(&self) {
        fs::remove_dir(self.directory.path()).unwrap();
        self.says("init FLEET", 0, "wrote");
        fs::remove_file(self.path("sites/lab.toml")).unwrap();
        fs::remove_file(self.path("devices/lab.csv")).unwrap();
        let site = format!(
            "access = \"keys\"\nplain_http = true\npublic_url = \"http://{HOST}\"\n[settings]\nsip_server = \"sip.example.net\"\n"
        );
        fs::write(self.path("sites/hq.toml"), site).unwrap();
        let table = self.directory.path().with_extension("csv");
        fs::write(&table, phones()).unwrap();
        let shown = table.display();
        self.says(
            &format!("import FLEET {shown} --site hq --map mac=Serial\u{a0}number --table phones --commit"),
            0,
            "",
        );
        fs::remove_file(table).unwrap();
    }

    /// Puts something behind a phone's name.
    fn rename(&self, mac: &str, after: &str) {
        let path = self.path("devices/phones.csv");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.find("Person ") {
            Some(start) if line.contains(mac) => {
                let (before, rest) = line.split_at(start);
                let end = rest.find(',').unwrap_or(rest.len());
                let (name, rest) = rest.split_at(end);
                format!("{before}{name}{after}{rest}\n")
            }
            _ => format!("{line}\n"),
        });
        let text: String = lines.collect();
        fs::write(path, text).unwrap();
    }

    /// Twenty of each vendor at once, each at its own address.
    fn boot_all(&self) {
        let server = self.scene.address();
        for (block, model, _, _) in MODELS {
            let addresses: Vec<(String, String)> = (0..BOOTED)
                .map(|number| mac(block, number))
                .map(|mac| (self.address(&mac), mac))
                .collect();
            thread::scope(|scope| {
                for (number, (address, mac)) in addresses.into_iter().enumerate() {
                    scope.spawn(move || {
                        let report = booted(model, &mac, address, server);
                        let shown = serde_json::to_string(&report["parameters"]).unwrap();
                        assert!(shown.contains(&format!("Person {number}\"")), "{report:#}");
                    });
                }
            });
        }
    }

    /// The display name that a phone has after a boot.
    fn name(&self, mac: &str) -> String {
        let (_, model, _, parameter) = MODELS
            .into_iter()
            .find(|(block, ..)| mac.starts_with(block))
            .unwrap();
        let report = booted(model, mac, self.address(mac), self.scene.address());
        let name = report["parameters"][parameter].as_str();
        name.unwrap_or_else(|| panic!("{report:#}")).to_owned()
    }

    fn address(&self, mac: &str) -> String {
        let address = self.says(&format!("key FLEET hq {mac}"), 0, HOST);
        address.trim().to_owned()
    }

    fn status(&self) {
        let json = self.says("status --url BASE --site hq --json", 0, "");
        let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
        let mut seen = BTreeMap::new();
        for row in &rows {
            *seen.entry(row["seen"].as_str().unwrap()).or_insert(0) += 1;
        }
        let booted = MODELS.len() * BOOTED;
        let expected = [("lately", booted), ("never", 500 - booted)];
        assert_eq!(seen, BTreeMap::from(expected), "{json}");
        let changed = mac("0004f2", 3);
        let row = rows.iter().find(|row| row["mac"] == *changed).unwrap();
        assert_eq!(
            (&row["fetched"], &row["enrolment"]),
            (&3.into(), &"enrolled".into()),
            "{row}"
        );
        let text = self.says(
            "status --url BASE --site hq",
            0,
            "500 devices: 440 never seen, 60 seen",
        );
        assert!(text.contains("VVX 400"), "{text}");
        let table = self.says("status --url BASE --csv", 0, "site,mac,model");
        assert_eq!(table.lines().count(), 501, "{table}");
        self.says(&format!("logs {changed} --url BASE --site hq"), 0, "");
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.directory.path(), name)
    }

    /// What changes what phones get.
    fn publishes(&mut self, line: &str, wanted: &str) {
        self.says(line, 0, wanted);
        self.scene.later();
    }

    /// What the tool says, which has this in it.
    fn says(&self, line: &str, code: i32, wanted: &str) -> String {
        let fleet = self.directory.path().to_string_lossy();
        let words = line.split(' ').map(|word| match word {
            "BASE" => format!("http://{}", self.scene.address()),
            "FLEET" => fleet.to_string(),
            word => word.replace('\u{a0}', " "),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_handset"))
            .args(words)
            .env("HANDSET_SECRET", SECRET)
            .env("HANDSET_TOKEN", &self.token)
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        assert!(text.contains(wanted), "{line}: {text}");
        text
    }
}

fn booted(model: &str, mac: &str, address: String, server: SocketAddr) -> Value {
    let arguments = Arguments {
        resolve: vec![format!("{HOST}={server}")],
        ..phone(model, mac, address)
    };
    boot_phone(&arguments).1
}

fn mac(block: &str, number: usize) -> String {
    format!("{block}{number:06x}")
}

/// A table as others keep it.
fn phones() -> String {
    let mut table = "Serial number,model,line1.user,line1.password,line1.display_name\n".to_owned();
    for (block, model, count, _) in MODELS {
        for number in 0..count {
            let mac = mac(block, number);
            let _ = writeln!(
                table,
                "{mac},{model},{number},pass-{block}-{number},Person {number}"
            );
        }
    }
    table
}
