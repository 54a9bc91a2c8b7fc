//! schemathesis (MIT), which asks the operator's endpoints whatever their document allows and what it does not: in a
//! virtual environment of Python's below `target/`, at a pinned version.

use std::path::PathBuf;
use std::process::Command;

use crate::parts::root;
use crate::parts::run;

const VERSION: &str = "4.32.5";

/// Holds the document against the implementation.
pub(crate) fn test() -> Result<(), String> {
    let program = ensure()?;
    run(Command::new("cargo")
        .args(["test", "--locked", "--test", "schemathesis"])
        .env("HANDSET_SCHEMATHESIS", program))
}

/// The program, installed if it is not there at this version.
fn ensure() -> Result<PathBuf, String> {
    let place = root().join("target/schemathesis");
    let program = place.join("bin/schemathesis");
    let version = place.join(VERSION);
    if version.exists() {
        return Ok(program);
    }
    let environment = || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&place))
    };
    // Debian has the module in a package of its own.
    let made = environment().or_else(|_| {
        run(Command::new("apt-get").args(["install", "-qq", "-y", "python3-venv"]))
            .and_then(|()| environment())
    });
    made.map_err(|problem| format!("{problem}\nremedy: apt-get install python3-venv"))?;
    let package = format!("schemathesis=={VERSION}");
    run(Command::new(place.join("bin/pip")).args(["install", "--quiet", &package]))?;
    std::fs::write(&version, "").map_err(|error| format!("{}: {error}", version.display()))?;
    Ok(program)
}
