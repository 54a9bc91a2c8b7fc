//! The small deployment with a site that asks for keys, behind the native server.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::site::Access;
use handset::site::Deployment;
use handset::site::Refusal;
use handset::site::Terms;
use handset::store::directory::DirectoryStore;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::secret::secrets;
use crate::deployment;

/// A server whose one site takes keys.
pub(crate) struct Guarded {
    server: Option<Server>,
    at: SocketAddr,
    log: Lines,
    _directories: [TempDir; 2],
}

impl Guarded {
    pub(crate) fn new(refusal: Refusal, terms: Terms, options: ServeOptions) -> Self {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [fleet, state] = directories.each_ref().map(TempDir::path);
        let store = store(fleet, state, refusal, terms);
        let options = ServeOptions {
            secrets: Some(secrets()),
            ..options
        };
        let log = Lines::default();
        let server = Server::start(Arc::new(store), &options, Log::to(log.clone())).unwrap();
        Self {
            at: server.address(),
            server: Some(server),
            log,
            _directories: directories,
        }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Stops the server; gives the whole log.
    pub(crate) fn log(mut self) -> Vec<Value> {
        drop(self.server.take());
        let bytes = self.log.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// The same, as it was written.
    pub(crate) fn raw_log(mut self) -> Vec<u8> {
        drop(self.server.take());
        self.log.0.lock().unwrap().clone()
    }
}

/// Terms of a site whose files may go over plain HTTP.
pub(crate) fn plain_http() -> Terms {
    Terms {
        plain_http: true,
        ..Terms::default()
    }
}

fn store(fleet: &Path, state: &Path, refusal: Refusal, terms: Terms) -> DirectoryStore {
    let mut snapshot = deployment::snapshot(fleet, 1000);
    snapshot.deployment = Arc::new(Deployment {
        sites: [(deployment::SITE.to_owned(), Access::Keys(terms))].into(),
        refusal,
        ..Deployment::default()
    });
    DirectoryStore::open(state, snapshot).unwrap()
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
