//! `spin-host`: serves a Spin component until standard input ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use spin_host::Server;
use spin_host::Settings;
use spin_host::control;
use tokio::io::BufReader;
use tokio::io::stdin;
use tokio::io::stdout;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spin-host: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> wasmtime::Result<()> {
    let settings = Settings::from_arguments(std::env::args().skip(1))?;
    // Spin has a thread a core. On one thread it is certain which instance gets a request, and tests may count: an
    // instance's turn is over before the next request is looked at.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let server = Server::start(settings).await?;
        tokio::select! {
            served = server.serve() => served?,
            ended = control(&server, BufReader::new(stdin()), stdout()) => ended?,
        }
        Ok(())
    });
    // The thread that reads standard input cannot be ended, and instances that are dropped report a panic; the
    // store is safe at every moment, so that the end of the process is end enough.
    std::mem::forget(runtime);
    done
}
