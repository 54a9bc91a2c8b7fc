//! The tools from npm that build, run and measure the Worker, at the versions of `xtask/node`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::parts::root;
use crate::parts::run;

/// Installs what the lock file says, if that is not what is installed.
pub(crate) fn ensure() -> Result<(), String> {
    let folder = folder();
    let locked = fs::read(folder.join("package-lock.json"))
        .map_err(|error| format!("xtask/node/package-lock.json: {error}"))?;
    let stamp = folder.join("node_modules/.installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == locked) {
        return Ok(());
    }
    if Command::new("npm").arg("--version").output().is_err() {
        return Err("npm is not there: install Node 20.3 or newer".to_owned());
    }
    run(Command::new("npm")
        .args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "--prefix",
        ])
        .arg(&folder))?;
    fs::write(&stamp, locked).map_err(|error| format!("{}: {error}", stamp.display()))
}

fn folder() -> PathBuf {
    root().join("xtask/node")
}
