//! Builds, tests and measures Handset: `cargo xtask test [PART]`, `bench`, `soak`, `wasm-targets`.
#![forbid(unsafe_code)]

mod deb;
mod dev;
mod fail2ban;
mod node;
mod parts;
mod schemathesis;
mod spin;
mod wasm_targets;
mod worker;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [PART]      every test there is, or one part of them
       cargo xtask build worker     the Worker's bundle, into build/worker
       cargo xtask build spin       the Spin component, into build/spin
       cargo xtask build deb        the relay's Debian package, into build/deb
       cargo xtask dev [DIR]        a local Worker over a fleet directory, fixtures/lync if none is given
       cargo xtask bench [NAME]     the benchmarks, or one of them
       cargo xtask bench spin       the Spin component in the test host beside the native server
       cargo xtask bench worker [--quick | --control]
                                    the Worker beside one written in JavaScript
       cargo xtask soak [SECONDS]   long fuzzing: each target for 300 seconds, or as given
       cargo xtask wasm-targets     makes the wasm targets usable with this toolchain";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test"] => parts::test(None),
        ["test", part] => parts::test(Some(part)),
        ["build", "worker"] => success(worker::build()),
        ["build", "spin"] => success(spin::build()),
        ["build", "deb"] => success(deb::build()),
        ["dev"] => success(dev::dev(None)),
        ["dev", directory] => success(dev::dev(Some(directory))),
        ["bench"] => success(parts::bench(None)),
        ["bench", "spin"] => success(spin::bench()),
        ["bench", "worker", options @ ..] => success(parts::bench_worker(options)),
        ["bench", name] => success(parts::bench(Some(name))),
        ["soak"] => success(parts::soak("300")),
        ["soak", seconds] => success(parts::soak(seconds)),
        ["wasm-targets"] => success(wasm_targets::ensure_all()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn success(done: Result<(), String>) -> Result<ExitCode, String> {
    done.map(|()| ExitCode::SUCCESS)
}
