//! Hundreds of phones that boot at once, after a power cut in the building: all come up, and the server is asked once for an image.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Instant;

use handset::boot::Arguments;
use serde_json::Value;

use crate::boots::OFFICE;
use crate::boots::boot_phone;
use crate::boots::phone;
use crate::boots::secret::with_keys;
use crate::office::office;
use crate::programs::Program;

/// As many as `HANDSET_STORM` says; without it, what a machine that builds something else at the same time gets done before phones
/// give up.
fn count() -> usize {
    std::env::var("HANDSET_STORM").map_or(100, |text| text.parse().unwrap())
}

const SITE: &str = "hq";

/// Phones of the office's kinds, in equal parts: model, hardware address, and the firmware that they end with.
fn phones() -> Vec<(&'static str, String, &'static str)> {
    let kinds = OFFICE.iter().filter(|(_, _, site, _)| *site == SITE);
    let kinds = kinds.cycle().take(count()).zip(0x10_0000..);
    kinds
        .map(|((model, mac, _, firmware), number)| {
            let maker = mac.split_at(6).0;
            (*model, format!("{maker}{number:06x}"), *firmware)
        })
        .collect()
}

#[test]
fn all_at_once() {
    let (fleet, state) = (office(), tempfile::tempdir().unwrap());
    let phones = phones();
    let mut table = "mac,site,model,firmware,line1.user,line1.password\n".to_owned();
    for (model, mac, firmware) in &phones {
        writeln!(table, "{mac},{SITE},{model},{firmware},{mac},of-{mac}").unwrap();
    }
    fs::write(fleet.path().join("devices/storm.csv"), table).unwrap();
    let log = state.path().join("log");
    let server = Program::server_with_log(
        fleet.path(),
        &state.path().join("server"),
        &["--listen", "127.0.0.1:0"],
        File::create(&log).unwrap(),
    );
    let base = with_keys(&format!("{}/{SITE}/~@closet", server.addresses[0]));
    let kept = state.path().join("relay");
    let common = ["--name", "closet", "--identity", "any", "--state"];
    let more = [&common[..], &[kept.to_str().unwrap()]].concat();
    let (relay, _) = Program::relay(&base, &more);
    let url = format!("{}/", relay.addresses[0]);
    boot_all("cold", &phones, &url);
    let cold = asked(&log);
    boot_all("warm", &phones, &url);
    drop(server);
    let all = asked(&log);
    let mut images = 0;
    for (name, times) in cold.iter().filter(|(name, _)| is_image(name)) {
        images += 1;
        assert_eq!(*times, 1, "{name} was fetched again in the cold storm");
        assert_eq!(all[name], 1, "{name} was fetched again in the warm storm");
    }
    let (cold, all): (usize, usize) = (cold.values().sum(), all.values().sum());
    println!(
        "{images} images and {cold} files in all for {} phones, {} more in the warm storm",
        phones.len(),
        all - cold
    );
    assert!(images >= 6, "{images}");
}

fn boot_all(when: &str, phones: &[(&'static str, String, &'static str)], url: &str) {
    let begun = Instant::now();
    thread::scope(|scope| {
        for (model, mac, firmware) in phones {
            scope.spawn(move || {
                let arguments = Arguments {
                    show_secrets: true,
                    ..phone(model, mac, url.to_owned())
                };
                let (good, report) = boot_phone(&arguments);
                assert!(good, "{when}: {model} {mac}: {report:#}");
                assert_eq!(report["firmware"], *firmware, "{when}: {model} {mac}");
                let shown = report.to_string();
                let passwords: Vec<&str> = shown.split("of-").skip(1).collect();
                assert!(!passwords.is_empty(), "{when}: {mac}: {report:#}");
                let own = passwords.iter().all(|it| it.starts_with(mac.as_str()));
                assert!(own, "{when}: {mac} has another's password");
            });
        }
    });
    println!("{when}: {:.1} s", begun.elapsed().as_secs_f64());
}

fn is_image(name: &str) -> bool {
    [".sip.ld", ".img", ".fw"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// How often the server sent each file, by its path without the key.
fn asked(log: &Path) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["path"].is_string(), "{line}");
        if line["status"] == 200 && line["method"] == "GET" {
            let path = line["path"].as_str().unwrap();
            *asked.entry(path.to_owned()).or_default() += 1;
        }
    }
    asked
}
