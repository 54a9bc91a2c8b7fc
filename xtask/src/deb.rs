//! The Debian package of the relay, `build/deb/handset-relay_VERSION_ARCHITECTURE.deb`, made by cargo-deb.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::parts::cargo;
use crate::parts::install;
use crate::parts::root;
use crate::parts::run;
use crate::worker::target_directory;

/// The tool that writes the package, exactly.
const VERSION: &str = "3.8.0";

/// Builds the program as it is shipped, and the package with it.
pub(crate) fn build() -> Result<(), String> {
    cargo(&["build", "--release", "--locked", "--bin", "handset-relay"])?;
    let built = target_directory()?.join("release/handset-relay");
    let package = pack(&built, &[])?;
    println!("{}", package.display());
    Ok(())
}

/// Packs the program of the tests, which differs in its speed only, and installs and runs it in a root of its own.
pub(crate) fn test() -> Result<(), String> {
    install(&[
        ("dpkg-shlibdeps", "dpkg-dev"),
        ("systemd-analyze", "systemd"),
    ]);
    let suite = ["test", "--workspace", "--locked", "--test", "deb"];
    cargo(&[&suite[..], &["--no-run"]].concat())?;
    let package = pack(
        &target_directory()?.join("debug/handset-relay"),
        &["--fast"],
    )?;
    let mut testing = Command::new("cargo");
    run(testing.args(suite).env("HANDSET_DEB", package))
}

/// Makes the package with this program in it; `options` are the tool's.
fn pack(program: &Path, options: &[&str]) -> Result<PathBuf, String> {
    let tool = tool()?;
    let folder = root().join("build/deb");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    // Where the tool looks for what was built for release.
    let staged = folder.join("target/release");
    fs::create_dir_all(&staged).map_err(failed)?;
    fs::copy(program, staged.join("handset-relay")).map_err(failed)?;
    run(Command::new(program).arg("man").arg(folder.join("man")))?;
    for shell in ["bash", "fish", "zsh"] {
        let script = fs::File::create(folder.join(format!("handset-relay.{shell}")));
        let mut printing = Command::new(program);
        printing.args(["completions", shell]);
        run(printing.stdout(Stdio::from(script.map_err(failed)?)))?;
    }
    let package = folder.join("handset-relay.deb");
    run(Command::new(tool)
        .args([
            "deb",
            "--no-build",
            "--locked",
            "--offline",
            "--quiet",
            "--output",
        ])
        .arg(&package)
        .args(options)
        .env("CARGO_TARGET_DIR", folder.join("target")))?;
    Ok(package)
}

/// The tool's program, which is installed if it is not there.
fn tool() -> Result<PathBuf, String> {
    let place = target_directory()?.join("tools");
    let program = place.join("bin/cargo-deb");
    let known = Command::new(&program).arg("--version").output();
    if known.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(VERSION)) {
        return Ok(program);
    }
    // Unoptimised: it takes longer to build than it is ever used.
    let version = format!("={VERSION}");
    let what = ["install", "cargo-deb", "--version", &version, "--locked"];
    let how = ["--no-default-features", "--debug", "--force", "--root"];
    run(Command::new("cargo").args(what).args(how).arg(&place))?;
    Ok(program)
}
