//! The component in its host, over an S3 service and a key-value store filled from a fleet directory.

#[path = "../support/secret.rs"]
#[expect(dead_code, reason = "the host takes the secret alone")]
mod secret;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
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

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use handset::fleet::entries::Entry;
use handset::fleet::entries::Place;
use handset::fleet::fill::fill;
use handset::platform::native::s3::HttpWire;
use handset::store::StoreError;
use handset::store::directory::Upload;
use handset::store::keyed::KeyValue;
use handset::store::keyed::Objects;
use handset::store::keyed::WritableValues;
use handset::store::s3::S3;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::bucket;
use crate::bucket::Service;
use crate::bucket::block_on;

/// A host in a process of its own. Its key-value store is in memory unless a file is given.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    process: Child,
    control: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    /// What was written to its key-value store: the control channel reads none.
    values: RefCell<BTreeMap<String, Vec<u8>>>,
    work: TempDir,
}

/// A deployment: a service, and a host over it.
pub(crate) struct Deployment {
    pub(crate) host: Host,
    pub(crate) service: Service,
    pub(crate) bucket: S3<HttpWire>,
    entries: Vec<Entry>,
}

/// The variables that name a bucket at an endpoint.
pub(crate) fn variables(endpoint: SocketAddr) -> BTreeMap<String, String> {
    let pairs = [
        ("s3_endpoint", format!("http://{endpoint}")),
        ("s3_bucket", bucket::BUCKET.to_owned()),
        ("s3_prefix", String::new()),
        ("s3_region", "us-east-1".to_owned()),
        ("s3_style", "path".to_owned()),
        ("s3_insecure", "false".to_owned()),
        ("s3_access_key", bucket::KEY.to_owned()),
        ("s3_secret_key", bucket::SECRET.to_owned()),
        ("s3_session_token", String::new()),
        ("secret", secret::SECRET.to_owned()),
        ("behind_proxy", "true".to_owned()),
        ("client_subject_header", "x-client-subject".to_owned()),
        ("s3_patience", "20000".to_owned()),
    ];
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

impl Host {
    /// A host with these variables, which may send requests to where they say.
    pub(crate) fn start(variables: &BTreeMap<String, String>, file: Option<&Path>) -> Self {
        let endpoint: Vec<&str> = variables
            .get("s3_endpoint")
            .map(String::as_str)
            .into_iter()
            .collect();
        Self::allowed(variables, file, &endpoint)
    }

    /// A host with these variables, which may send requests to these hosts only.
    pub(crate) fn allowed(
        variables: &BTreeMap<String, String>,
        file: Option<&Path>,
        hosts: &[&str],
    ) -> Self {
        let hosts: Vec<_> = hosts.iter().filter(|host| host.contains("://")).collect();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = std::env::var("HANDSET_SPIN_HOST");
        let program =
            program.expect("`cargo xtask test spin` builds the host and runs these tests");
        let work = tempfile::tempdir().unwrap();
        let settings = json!({
            "component": root.join("build/spin/handset.wasm"),
            "key_value": file,
            "variables": variables,
            "allowed_outbound_hosts": hosts,
            // Tests that count must not depend on how fast they are.
            "idle_milliseconds": 600_000,
        });
        fs::write(work.path().join("settings.json"), settings.to_string()).unwrap();
        let mut process = Command::new(program)
            .arg("--settings")
            .arg(work.path().join("settings.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(work.path().join("said")).unwrap())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let hello = line(&mut output);
        Self {
            address: hello["address"].as_str().unwrap().parse().unwrap(),
            process,
            control: RefCell::new((input, output)),
            values: RefCell::default(),
            work,
        }
    }

    /// A command on the control channel.
    pub(crate) fn control(&self, command: &Value) -> Value {
        let (input, output) = &mut *self.control.borrow_mut();
        writeln!(input, "{command}").unwrap();
        let answer = line(output);
        assert!(answer["error"].is_null(), "{answer}");
        answer
    }

    /// The counters, from the start on.
    pub(crate) fn counts(&self) -> Value {
        self.control(&json!({ "counts": true }))
    }

    /// Everything that the component and the host wrote to standard error.
    pub(crate) fn said(&self) -> String {
        let said = fs::read(self.work.path().join("said")).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The most memory that the process ever had, in bytes, where the system says so.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.map_or(0, |number| number.parse::<u64>().unwrap() * 1024)
    }

    /// Fills its key-value store, and a bucket with the rest.
    pub(crate) fn fill(&self, bucket: &S3<HttpWire>, entries: &[Entry]) {
        block_on(fill(
            self,
            bucket,
            Some(&secret::secrets()),
            entries,
            Upload::of_file,
        ))
        .unwrap();
    }
}

/// The host is killed, so that every test also ends it in the middle.
impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the host said: {}", self.said());
        }
    }
}

impl KeyValue for Host {
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.values.borrow().get(key).cloned())
    }
}

impl WritableValues for Host {
    async fn set(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let text = String::from_utf8(bytes.clone()).unwrap();
        self.control(&json!({ "key_value": { "key": key, "text": text } }));
        self.values.borrow_mut().insert(key.to_owned(), bytes);
        Ok(())
    }
}

impl Deployment {
    /// Of a fleet directory of `fixtures/`.
    pub(crate) fn of_fixture(name: &str) -> Self {
        Self::start(&fixture(name), None)
    }

    /// Of any fleet directory; the key-value store may lie in a file.
    pub(crate) fn start(fleet: &Path, file: Option<&Path>) -> Self {
        let service = Service::start();
        let entries = compiled(fleet);
        let bucket = bucket::store(service.place("")).bucket;
        let host = Host::start(&variables(service.address), file);
        host.fill(&bucket, &entries);
        Self {
            host,
            service,
            bucket,
            entries,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.address
    }

    /// Without what phones wrote.
    pub(crate) fn reset(&self) {
        for beginning in ["device/", "uploads/", "contacts/"] {
            for key in block_on(self.bucket.list(beginning)).unwrap() {
                block_on(Objects::delete(&self.bucket, &key)).unwrap();
            }
        }
        let devices = self.entries.iter();
        let devices: Vec<_> = devices
            .filter(|entry| entry.place == Place::Devices)
            .cloned()
            .collect();
        self.host.fill(&self.bucket, &devices);
    }

    /// Another host over the same bucket.
    pub(crate) fn another(&self) -> Host {
        self.misled(&variables(self.service.address))
    }

    /// Brings everything into another host's store, and the bucket.
    pub(crate) fn fill(&self, host: &Host) {
        host.fill(&self.bucket, &self.entries);
    }

    /// Another host over the same values, whose bucket is elsewhere.
    pub(crate) fn misled(&self, variables: &BTreeMap<String, String>) -> Host {
        let host = Host::start(variables, None);
        self.fill(&host);
        host
    }
}

/// What a fleet directory is in the stores.
pub(crate) fn compiled(fleet: &Path) -> Vec<Entry> {
    let fleet = fleet::compile(fleet, &mut Hashes::default()).unwrap();
    entries::of(&fleet.snapshot)
}

/// A fleet directory of `fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures").join(name)
}

fn line(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}
