//! The Worker's bundle in workerd, with stores filled from a fleet directory.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use handset::fleet::entries::Entry;
use handset::seal::aes::at_once;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::client;
use crate::client::secret::SECRET;
use crate::client::secret::secrets;

/// One or more isolates over the same stores, in a process of their own.
pub(crate) struct Local {
    pub(crate) addresses: Vec<SocketAddr>,
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    work: TempDir,
}

impl Local {
    /// Requests of strangers that an address has a minute.
    pub(crate) const FAILURES: usize = 20;

    /// An isolate over a fleet directory of `fixtures/`, its stores in memory.
    pub(crate) fn of_fixture(name: &str) -> Self {
        Self::start(&fixture(name), 1, None)
    }

    /// So many isolates over a fleet directory; `persist` is where their stores lie.
    pub(crate) fn start(fleet: &Path, isolates: usize, persist: Option<&Path>) -> Self {
        let sealed = at_once(entries::sealed(compiled(fleet), &secrets()));
        Self::over(&sealed.unwrap().unwrap(), isolates, persist)
    }

    /// Over a fleet directory of `fixtures/` whose secrets nobody has sealed yet.
    pub(crate) fn in_the_clear(name: &str) -> Self {
        Self::over(&compiled(&fixture(name)), 1, None)
    }

    /// Over nothing but what lies in `persist`, which may be nothing.
    pub(crate) fn over_what_lies_in(persist: &Path) -> Self {
        Self::over(&[], 1, Some(persist))
    }

    fn over(entries: &[Entry], isolates: usize, persist: Option<&Path>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bundle = root.join("build/worker");
        assert!(
            bundle.join("index.js").exists(),
            "no bundle: `cargo xtask test worker` builds it and runs these tests"
        );
        let work = tempfile::tempdir().unwrap();
        let records = work.path().join("records.json");
        fs::write(&records, serde_json::to_vec(entries).unwrap()).unwrap();
        let settings = json!({
            "bundle": bundle,
            "commands": true,
            "failures": Self::FAILURES,
            "listen": vec![json!({ "host": "127.0.0.1", "port": 0 }); isolates],
            "observed": true,
            "operator": root.join("build/operator"),
            "persist": persist,
            "records": records,
        });
        let file = work.path().join("settings.json");
        fs::write(&file, settings.to_string()).unwrap();
        // Miniflare's start fails now and then on a busy machine, see serve.mjs.
        let said = work.path().join(SAID);
        let mut ups = (0..STARTS).filter_map(|_| Self::up(&file, &said));
        let (process, commands, answers, addresses) =
            ups.next().expect("the Worker does not start");
        Self {
            addresses,
            commands: Some(commands),
            answers,
            process,
            work,
        }
    }

    /// A process, what it reads and writes, and where it listens; `None` if it ended before it said so.
    fn up(
        settings: &Path,
        said: &Path,
    ) -> Option<(Child, ChildStdin, BufReader<ChildStdout>, Vec<SocketAddr>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("node")
            .arg(root.join("xtask/node/serve.mjs"))
            .env("HANDSET_SECRET", SECRET)
            // What miniflare leaves behind goes with the test's own folder.
            .env("TMPDIR", said.parent().unwrap())
            .arg(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(said).unwrap())
            .spawn()
            .unwrap();
        let (commands, answers) = (process.stdin.take(), process.stdout.take());
        let mut answers = BufReader::new(answers.unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let Ok(up) = serde_json::from_str::<Value>(&line) else {
            process.wait().unwrap();
            return None;
        };
        let addresses = up["addresses"].as_array().unwrap();
        let parse = |address: &Value| address.as_str().unwrap().parse().unwrap();
        let addresses = addresses.iter().map(parse).collect();
        Some((process, commands.unwrap(), answers, addresses))
    }

    /// The first isolate's.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Stores as after publishing, without what phones wrote.
    pub(crate) fn reset(&mut self) {
        writeln!(self.commands.as_mut().unwrap(), "reset").unwrap();
        assert_eq!(self.line()["done"], "reset");
    }

    /// The calls of bindings since this was asked last, as `R2.get`.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let answer = client::ask(self.address(), "GET", "/.observed/counts", "");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// From now on these calls fail so; all others work.
    pub(crate) fn fail(&self, faults: &[(&str, &str)]) {
        let faults: BTreeMap<_, _> = faults.iter().copied().collect();
        let body = serde_json::to_vec(&faults).unwrap();
        client::put(self.address(), "/.observed/faults", "", &body);
    }

    /// What lies in the bucket under a key.
    pub(crate) fn object(&mut self, key: &str) -> String {
        writeln!(self.commands.as_mut().unwrap(), "read {key}").unwrap();
        self.line()["text"].as_str().unwrap().to_owned()
    }

    /// Everything that the Worker and what runs it wrote to standard error.
    pub(crate) fn said(&self) -> String {
        let said = fs::read(self.work.path().join(SAID)).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the Worker's process ended early")
    }
}

/// Where the process writes what it has to say.
const SAID: &str = "said";
/// How often it is tried to start one.
const STARTS: usize = 5;

/// The process ends when its input does.
impl Drop for Local {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the Worker said: {}", self.said());
        }
    }
}

fn compiled(fleet: &Path) -> Vec<Entry> {
    let fleet = fleet::compile(fleet, &mut Hashes::default()).unwrap();
    entries::of(&fleet.snapshot)
}

/// A fleet directory of `fixtures/`.
pub(crate) fn fixture(name: &str) -> std::path::PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join(name)
}
