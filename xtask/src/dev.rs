//! A local Worker: `cargo xtask dev [DIR]`.

use std::fs;
use std::path::Path;
use std::process::Command;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use serde_json::json;

use crate::parts::root;
use crate::parts::run;
use crate::worker;

/// Where a local Worker listens, unless `HANDSET_DEV_PORT` says otherwise.
const PORT: u16 = 8787;

/// Builds the Worker and runs it over a fleet directory until it is interrupted. What phones upload is
/// kept from one run to the next.
pub(crate) fn dev(directory: Option<&str>) -> Result<(), String> {
    let directory = directory.map_or_else(|| root().join("fixtures/lync"), |given| given.into());
    let records = records(&directory)?;
    worker::build()?;
    let work = root().join("build/dev");
    let persist = work.join(directory.file_name().unwrap_or_default());
    let port = match std::env::var("HANDSET_DEV_PORT") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("HANDSET_DEV_PORT: {text} is no port"))?,
        Err(_) => PORT,
    };
    write(&work.join("records.json"), &records)?;
    let settings = json!({
        "bundle": root().join("build/worker"),
        "commands": false,
        "failures": 60,
        "listen": [{ "host": "127.0.0.1", "port": port }],
        "observed": false,
        "operator": root().join("build/operator"),
        "persist": persist,
        "records": work.join("records.json"),
    });
    write(&work.join("settings.json"), settings.to_string().as_bytes())?;
    println!("stores: {} (remove it to begin anew)", persist.display());
    run(Command::new("node")
        .arg(root().join("xtask/node/serve.mjs"))
        .arg(work.join("settings.json")))
}

/// What a fleet directory is in the stores, as `serve.mjs` reads it.
fn records(directory: &Path) -> Result<Vec<u8>, String> {
    let compiled = fleet::compile(directory, &mut Hashes::default());
    let fleet = compiled.map_err(|diagnostics| {
        let lines = diagnostics.iter().map(ToString::to_string);
        lines.collect::<Vec<_>>().join("\n")
    })?;
    serde_json::to_vec(&entries::of(&fleet.snapshot)).map_err(|error| error.to_string())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, bytes).map_err(failed)
}
