//! The host as a process, with the sample component.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::client::Answer;
use crate::client::Connection;

/// A host that runs; it is killed when this is dropped, so that every test also ends it in the middle.
pub(crate) struct Running {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Running {
    /// Starts a host whose component may send requests to `origin`.
    pub(crate) fn start(origin: SocketAddr) -> Self {
        Self::start_with(origin, json!({}))
    }

    /// Starts a host with settings of a test's own.
    pub(crate) fn start_with(origin: SocketAddr, settings: Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), origin, settings)
    }

    fn start_in(folder: TempDir, origin: SocketAddr, further: Value) -> Self {
        let mut settings = json!({
            "component": sample(),
            "key_value": folder.path().join("values"),
            "variables": { "origin": format!("http://{origin}"), "greeting": "hello" },
            "allowed_outbound_hosts": [format!("http://{origin}")],
            // Tests that count must not depend on how fast they are.
            "idle_milliseconds": 600_000,
        });
        let further = further.as_object().unwrap().clone();
        settings.as_object_mut().unwrap().extend(further);
        let file = folder.path().join("settings.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_spin-host"))
            .arg("--settings")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let hello = read_line(&mut output);
        Self {
            address: hello["address"].as_str().unwrap().parse().unwrap(),
            process: Process(process),
            input,
            output,
            folder,
        }
    }

    /// Kills the host and starts another over the same files.
    pub(crate) fn restart(self, origin: SocketAddr) -> Self {
        let Self {
            process, folder, ..
        } = self;
        drop(process);
        Self::start_in(folder, origin, json!({}))
    }

    /// A command on the control channel.
    pub(crate) fn control(&mut self, command: &Value) -> Value {
        writeln!(self.input, "{command}").unwrap();
        read_line(&mut self.output)
    }

    pub(crate) fn counts(&mut self) -> Value {
        self.control(&json!({ "counts": true }))
    }

    /// A GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        Connection::open(self.address).request("GET", path, Some(b""))
    }

    /// Closes the control channel and waits for the host to end.
    pub(crate) fn end(self) -> bool {
        let Self {
            mut process, input, ..
        } = self;
        drop(input);
        process.0.wait().unwrap().success()
    }

    /// The most memory that the process ever had, in KiB, where the system says so.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.map_or(0, |number| number.parse().unwrap())
    }
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read_line(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// Builds the sample, once, beside the host's own build so that neither waits for the other.
fn sample() -> &'static Path {
    static SAMPLE: OnceLock<PathBuf> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = here.join("target/sample");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--target", "wasm32-wasip2"])
            .arg("--manifest-path")
            .arg(here.join("sample/Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target)
            .status();
        assert!(built.unwrap().success());
        target.join("wasm32-wasip2/debug/handset_spin_sample.wasm")
    })
}
