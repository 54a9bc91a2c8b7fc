//! The Spin component, `build/spin/handset.wasm`, and the host that runs it in tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::parts::cargo;
use crate::parts::root;
use crate::parts::run;
use crate::wasm_targets;
use crate::worker::target_directory;

const TARGET: &str = "wasm32-wasip2";
/// The host and its sample have lock files of their own.
const HOST: &str = "tests/spin-host/Cargo.toml";
const SAMPLE: &str = "tests/spin-host/sample/Cargo.toml";

/// Builds the component and prints its size.
pub(crate) fn build() -> Result<(), String> {
    wasm_targets::ensure_all()?;
    cargo(&[
        "build",
        "--lib",
        "--locked",
        "--target",
        TARGET,
        "--profile",
        "spin",
    ])?;
    let built = target_directory()?.join(TARGET).join("spin/handset.wasm");
    let output = root().join("build/spin");
    let failed = |error| format!("build/spin: {error}");
    fs::create_dir_all(&output).map_err(failed)?;
    let length = fs::copy(&built, output.join("handset.wasm")).map_err(failed)?;
    println!("build/spin/handset.wasm: {length} bytes");
    Ok(())
}

/// The component in its host, and what the host itself promises.
pub(crate) fn test() -> Result<(), String> {
    build()?;
    for manifest in [HOST, SAMPLE] {
        cargo(&["fmt", "--manifest-path", manifest, "--check"])?;
    }
    clippy(HOST, &["--all-targets"])?;
    clippy(SAMPLE, &["--target", TARGET])?;
    cargo(&["test", "--locked", "--manifest-path", HOST])?;
    with_host(&[], &["test", "--locked", "--test", "spin"])
}

/// The component against the native server, over the same S3 service. The host is optimised as the server is.
pub(crate) fn bench() -> Result<(), String> {
    build()?;
    let benchmark = ["bench", "--locked", "--bench", "spin_vs_native"];
    with_host(&["--release"], &benchmark)
}

fn clippy(manifest: &str, what: &[&str]) -> Result<(), String> {
    let begin = ["clippy", "--locked", "--manifest-path", manifest];
    cargo(&[&begin[..], what, &["--", "-D", "warnings"]].concat())
}

/// Runs cargo with the path of the host's program, which is built first, in the environment.
fn with_host(profile: &[&str], arguments: &[&str]) -> Result<(), String> {
    let host = host(profile)?;
    run(Command::new("cargo")
        .args(arguments)
        .env("HANDSET_SPIN_HOST", host))
}

/// The host's program. cargo says where it is, for its target directory may be anywhere.
fn host(profile: &[&str]) -> Result<PathBuf, String> {
    let built = Command::new("cargo")
        .args(["build", "--locked", "--manifest-path", HOST])
        .args(profile)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output();
    let built = built.map_err(|error| format!("cargo build: {error}"))?;
    if !built.status.success() {
        return Err(format!("the host cannot be built: {}", built.status));
    }
    let lines = String::from_utf8_lossy(&built.stdout);
    let mut programs = lines.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    programs
        .next_back()
        .ok_or_else(|| "cargo names no program of the host".to_owned())
}
