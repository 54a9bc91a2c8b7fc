//! Workers under miniflare as a process of their own, and what the kernel knows of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// A running miniflare. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    workerd: u32,
}

/// A Worker: its name and its modules, the main one first.
pub(crate) type Worker<'a> = (&'a str, &'a [PathBuf]);

impl Server {
    /// Starts these Workers over the stores in `persist`, which `entries` fills first if it is there.
    pub(crate) fn start(persist: &Path, entries: Option<&Path>, workers: &[Worker<'_>]) -> Self {
        let modules: BTreeMap<&str, &[PathBuf]> = workers.iter().copied().collect();
        let configuration = serde_json::json!({
            "persist": persist,
            "entries": entries,
            "workers": modules,
        });
        let mut child = Command::new("node")
            .arg(root().join("benches/worker/serve.mjs"))
            .arg(configuration.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let workerd = child_named(child.id(), "workerd").unwrap();
        let addresses = workers.iter().map(|(name, _)| {
            let url = ready["urls"][name].as_str().unwrap();
            ((*name).to_owned(), url["http://".len()..].parse().unwrap())
        });
        Self {
            addresses: addresses.collect(),
            child,
            workerd,
        }
    }

    /// Where a Worker listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// CPU time that all threads of workerd have taken so far, in seconds (proc(5), schedstat).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.workerd)).unwrap();
        let nanoseconds = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        });
        nanoseconds.sum::<f64>() / 1e9
    }

    /// Resident memory of workerd, in megabytes.
    pub(crate) fn megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.workerd)).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1.024e-3
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its input does, and takes workerd with it; but it waits for one that hangs.
        drop(self.child.stdin.take());
        for _ in 0..100 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let workerd = self.workerd.to_string();
        let _ = Command::new("kill").args(["-9", &workerd]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn child_named(parent: u32, name: &str) -> Option<u32> {
    let mut processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    processes.find(|process| {
        // "PID (NAME) STATE PARENT …"
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let Some((before, after)) = stat.rsplit_once(") ") else {
            return false;
        };
        before.ends_with(&format!("({name}"))
            && after.split(' ').nth(1) == Some(&parent.to_string())
    })
}
