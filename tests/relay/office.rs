//! The whole office boots by TFTP, and by FTP, through a relay in each of its sites, and again while the server is away.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::boots::OFFICE;
use crate::boots::boot_phone;
use crate::boots::phone;
use crate::boots::secret::with_keys;
use crate::programs::Program;

const SITES: [&str; 2] = ["hq", "branch"];

/// The fixture, its sites with a relay that may keep files.
pub(crate) fn office() -> TempDir {
    let fleet = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    copy(&fixture, fleet.path());
    for site in SITES {
        let path = fleet.path().join(format!("sites/{site}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            format!("relays = [\"closet\"]\nrelay_cache = true\n{text}"),
        )
        .unwrap();
    }
    fleet
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn boots_with_the_server_and_without() {
    boots(&[], 0);
}

/// As phones of the article were shipped: PlcmSpIp/PlcmSpIp, binary, passive.
#[cfg(feature = "ftp")]
#[test]
fn boots_by_ftp_with_the_server_and_without() {
    boots(&["--ftp", "127.0.0.1:0"], 1);
}

/// Boots all phones by the relays' address of this number, as they print them.
fn boots(more: &[&str], printed: usize) {
    let (fleet, state) = (office(), tempfile::tempdir().unwrap());
    let listen = ["--listen", "127.0.0.1:0"];
    let server = Program::server(fleet.path(), &state.path().join("server"), &listen);
    let relays = SITES.map(|site| {
        let base = with_keys(&format!("{}/{site}/~@closet", server.addresses[0]));
        let kept = state.path().join(site);
        let common = [
            "--name",
            "closet",
            "--identity",
            "any",
            "--state",
            kept.to_str().unwrap(),
        ];
        Program::relay(&base, &[&common, more].concat()).0
    });
    let boot_all = |when: &str| {
        for (model, mac, site, firmware) in OFFICE {
            let at = SITES.iter().position(|name| name == site).unwrap();
            let url = format!("{}/", relays[at].addresses[printed]);
            let (good, report) = boot_phone(&phone(model, mac, url));
            assert!(good, "{when}: {model} {mac}: {report:#}");
            assert_eq!(report["firmware"], *firmware, "{when}: {model} {mac}");
        }
    };
    boot_all("with the server");
    drop(server);
    boot_all("without");
}
