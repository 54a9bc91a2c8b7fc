//! A relay within the test, on a state directory of its own, and phones that ask it.

use std::future::Future;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use handset::platform::native::log::Log;
use handset::relay::carrier::Carrier;
use handset::relay::carrier::Limits;
use handset::relay::carrier::Parts;
use handset::relay::carrier::Visitor;
use handset::relay::carrier::failure::Failure;
use handset::relay::carrier::failure::FailureKind;
use handset::relay::identity::Policy;
use handset::relay::journal::Journal;
use handset::relay::metrics::Protocol;
use handset::relay::neighbours::Neighbours;
use handset::relay::upstream::Deadlines;
use handset::relay::upstream::Trust;
use handset::relay::upstream::Upstream;
use handset::tftp::name::FileName;
use http::HeaderValue;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::site::Site;

/// The phones of a branch: address and hardware address.
pub(crate) const PHONES: [(&str, &str); 3] = [
    ("192.0.2.7", "0004f2000500"),
    ("192.0.2.8", "0004f2000501"),
    ("2001:db8::9", "0004f2000502"),
];

/// What a relay is started with.
pub(crate) struct Branch {
    pub(crate) site: Site,
    pub(crate) state: TempDir,
    pub(crate) limits: Limits,
    pub(crate) policy: &'static str,
    pub(crate) deadlines: Deadlines,
    pub(crate) log: Lines,
}

impl Branch {
    pub(crate) fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let rows = PHONES.map(|(ip, mac)| format!("{ip} {mac}\n")).concat();
        std::fs::write(state.path().join("neighbours"), rows).unwrap();
        Self {
            site: Site::start(),
            state,
            limits: Limits {
                cache: 64 << 20,
                spool: 16 << 20,
            },
            policy: "own-mac",
            deadlines: Deadlines::default(),
            log: Lines::default(),
        }
    }

    /// Must be called within a runtime.
    pub(crate) fn carrier(&self) -> Carrier {
        let state = self.state.path();
        let base = self.site.base().parse().unwrap();
        let parts = Parts {
            upstream: Upstream::with_deadlines(base, &Trust::default(), self.deadlines).unwrap(),
            name: HeaderValue::from_static("closet"),
            policy: self.policy.parse::<Policy>().unwrap(),
            neighbours: Neighbours::new(Some(&state.join("neighbours"))).unwrap(),
            journal: Journal::new(Log::to(self.log.clone())),
        };
        Carrier::with_state(parts, state, self.limits).unwrap()
    }

    pub(crate) fn cache(&self) -> Vec<std::path::PathBuf> {
        files(&self.state.path().join("cache"))
    }

    /// What was logged, once the log is closed.
    pub(crate) fn logged(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }
}

/// The files of a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// A phone at an address, by TFTP.
pub(crate) fn visitor(peer: &str) -> Visitor {
    Visitor {
        peer: peer.parse().unwrap(),
        base: "tftp://192.0.2.1".to_owned(),
        protocol: Protocol::Tftp,
    }
}

/// Reads a file whole.
pub(crate) async fn fetch(carrier: &Carrier, peer: &str, name: &str) -> Result<Vec<u8>, Failure> {
    let name = FileName::parse(name.as_bytes()).unwrap();
    let mut body = carrier.fetch(&visitor(peer), &name, 0).await?;
    let length = body.length();
    let mut bytes = Vec::new();
    let mut piece = vec![0; 3000];
    loop {
        match body.next(&mut piece).await? {
            0 => break,
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
    assert!(length.is_none_or(|length| length == bytes.len() as u64));
    Ok(bytes)
}

/// Waits for what happens beside the test.
pub(crate) async fn until(happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap();
}

/// Waits until so many files were put into the cache: phones do not wait for that.
pub(crate) async fn kept(carrier: &Carrier, count: u64) {
    until(|| carrier.metrics().cache_writes.total() >= count).await;
}

/// The same of a relay that is a program, which is asked until it has what it keeps: phones do not wait for its disk.
pub(crate) fn until_kept(mut asked: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !asked() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

/// How it comes to nothing.
pub(crate) async fn failure(carrier: &Carrier, peer: &str, name: &str) -> FailureKind {
    fetch(carrier, peer, name).await.unwrap_err().kind
}

/// Uploads a file.
pub(crate) async fn store(
    carrier: &Carrier,
    peer: &str,
    name: &str,
    append: Option<u64>,
    bytes: &[u8],
) -> Result<(), Failure> {
    let name = FileName::parse(name.as_bytes()).unwrap();
    let mut storing = carrier.store(&visitor(peer), &name, append).await?;
    for piece in bytes.chunks(1000) {
        storing.write(piece)?;
    }
    std::future::poll_fn(|context| storing.poll_store(context)).await
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
