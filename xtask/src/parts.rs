//! The parts of `cargo xtask test`, in the order that finds a fault the soonest.

use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::time::Instant;

use crate::deb;
use crate::fail2ban;
use crate::node;
use crate::schemathesis;
use crate::spin;
use crate::wasm_targets;
use crate::wasm_targets::TARGETS;
use crate::worker;

/// One part: its name and what runs it.
type Part = (&'static str, fn() -> Result<(), String>);

const PARTS: &[Part] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("native", native),
    ("deb", deb::test),
    ("schemathesis", schemathesis::test),
    ("wasm", wasm),
    ("worker", worker_suite),
    ("spin", spin::test),
    ("doc", doc),
    ("bench", bench_short),
    ("fuzz", fuzz_short),
];

/// Not of the workspace, so that cargo-fuzz finds its own layout.
const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

/// The fuzz targets: names of files in `fuzz/fuzz_targets/`.
const FUZZ_TARGETS: &[&str] = &[
    "credential",
    "master_file",
    "path",
    "pattern",
    "range",
    "sip",
    "tftp",
    "user_agent",
    "well_formed",
];

/// Runs one part or all of them; a failure does not keep the others from running.
/// The last line counts the parts.
pub(crate) fn test(wanted: Option<&str>) -> Result<ExitCode, String> {
    let parts: Vec<&Part> = PARTS
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
        .collect();
    if parts.is_empty() {
        let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no such part; known: {}", known.join(", ")));
    }
    let mut failed = Vec::new();
    for (name, run) in &parts {
        println!("== {name}");
        let start = Instant::now();
        let result = run();
        if result.is_err() {
            failed.push(*name);
        }
        let verdict = result.map_or_else(
            |problem| format!("FAILED: {problem}"),
            |()| "passed".to_owned(),
        );
        println!(
            "== {name}: {verdict} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
    }
    // Their names once more: whoever sees only the end of a long run sees where to look.
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    let passed = parts.len() - failed.len();
    println!("{passed} passed, {} failed", failed.len());
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The benchmarks in full.
pub(crate) fn bench(name: Option<&str>) -> Result<(), String> {
    let name: Vec<&str> = name
        .into_iter()
        .flat_map(|name| ["--bench", name])
        .collect();
    cargo(&[&["bench", "--locked"], &name[..]].concat())
}

/// The Worker beside one written in JavaScript; the benchmark itself says what the options are.
pub(crate) fn bench_worker(options: &[&str]) -> Result<(), String> {
    worker::build()?;
    let benchmark = ["bench", "--locked", "--bench", "worker_vs_javascript", "--"];
    cargo(&[&benchmark[..], options].concat())
}

/// Every fuzz target for so many seconds.
pub(crate) fn soak(seconds: &str) -> Result<(), String> {
    fuzz(seconds)
}

fn fmt() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", FUZZ_MANIFEST, "--check"])
}

fn clippy() -> Result<(), String> {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])
}

fn native() -> Result<(), String> {
    install(CLIENTS);
    cargo(&["test", "--workspace", "--locked"])?;
    fail2ban::ensure()?;
    cargo(&["test", "--test", "fail2ban", "--locked"])
}

/// Programs from Debian's packages, where it is Debian and we may; tests say which they go without.
pub(crate) fn install(programs: &[(&str, &str)]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !installed(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() || !installed("apt-get") {
        return;
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "-qq", "-y", "--no-install-recommends"]);
    if let Err(problem) = run(install.args(&missing)) {
        println!("without {}: {problem}", missing.join(", "));
    }
}

/// TFTP and FTP clients that nobody here wrote, and what sets a program's clock.
const CLIENTS: &[(&str, &str)] = &[
    ("atftp", "atftp"),
    ("busybox", "busybox"),
    ("curl", "curl"),
    ("faketime", "faketime"),
    ("lftp", "lftp"),
    ("tftp", "tftp-hpa"),
    ("tnftp", "tnftp"),
];

fn wasm() -> Result<(), String> {
    wasm_targets::ensure_all()?;
    for target in TARGETS {
        cargo(&[
            "clippy", "--lib", "--locked", "--target", target, "--", "-D", "warnings",
        ])?;
        // In the many units of an incremental build, rust-lld of 1.95 crashes on some sets of crates.
        let whole = ["--config", "profile.dev.incremental=false"];
        let build = ["build", "--lib", "--locked", "--target", target];
        cargo(&[&build[..], &whole].concat())?;
    }
    Ok(())
}

/// The bundles, what Wrangler makes of them, and the tests that run it in workerd.
fn worker_suite() -> Result<(), String> {
    worker::build()?;
    for manifest in ["wrangler.toml", "wrangler.operator.toml"] {
        run(Command::new(node::tool("wrangler"))
            .args(["deploy", "--config", manifest, "--dry-run"])
            .args(["--outdir", "build/wrangler"])
            .env("CI", "1")
            .env("WRANGLER_SEND_METRICS", "false"))?;
    }
    cargo(&["test", "--test", "worker", "--locked"])
}

fn doc() -> Result<(), String> {
    run(Command::new("cargo")
        .args(["doc", "--no-deps", "--lib", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}

/// Each benchmark once, to see that it works.
fn bench_short() -> Result<(), String> {
    cargo(&["test", "--bench", "*", "--locked", "--", "--test"])
}

fn fuzz_short() -> Result<(), String> {
    fuzz("3")
}

/// The driver needs no nightly; the same targets run under cargo-fuzz, see CONTRIBUTING.md.
fn fuzz(seconds: &str) -> Result<(), String> {
    for target in FUZZ_TARGETS {
        let driver = [
            "run",
            "--release",
            "--locked",
            "--manifest-path",
            FUZZ_MANIFEST,
            "--bin",
            "drive",
            "--",
        ];
        cargo(&[&driver[..], &[target, seconds]].concat())?;
    }
    Ok(())
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("cargo").args(arguments))
}

/// Runs a command in the repository; its output is ours.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(error) => Err(format!("{shown} cannot be run: {error}")),
    }
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
