//! The native server over real sockets, with either of its stores.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::Store;
use handset::platform::native::log::Log;
use handset::store::directory::DirectoryStore;

use crate::bucket::Service;
use crate::case::Answer;
use crate::case::Step;
use crate::client::secret::secrets;
use crate::replay::Platform;
use crate::wire::over_the_wire;

pub(crate) struct Http {
    server: Server,
    _state: Option<tempfile::TempDir>,
}

impl Http {
    /// A server of a fleet directory of `fixtures/`, with a fresh state directory.
    pub(crate) fn of_fixture(name: &str) -> Self {
        let fleet = fleet::compile(&fixture(name), &mut Hashes::default()).unwrap();
        let state = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(state.path(), fleet.snapshot).unwrap();
        Self {
            server: start(store),
            _state: Some(state),
        }
    }

    /// A server of the same, brought into a part of a bucket that nobody has used.
    pub(crate) fn of_bucket(service: &Service, prefix: &str, name: &str) -> Self {
        let fleet = fleet::compile(&fixture(name), &mut Hashes::default()).unwrap();
        Self {
            server: start(service.filled(prefix, &fleet.snapshot)),
            _state: None,
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures").join(name)
}

fn start(store: impl Store) -> Server {
    let options = ServeOptions {
        secrets: Some(secrets()),
        ..ServeOptions::default()
    };
    Server::start(Arc::new(store), &options, Log::to(std::io::sink())).unwrap()
}

impl Platform for Http {
    fn answer(&mut self, step: &Step) -> Answer {
        over_the_wire(self.server.address(), step)
    }
}
