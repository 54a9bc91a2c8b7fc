//! The native server over real sockets.

use std::path::Path;
use std::sync::Arc;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::store::directory::DirectoryStore;

use crate::case::Answer;
use crate::case::Step;
use crate::replay::Platform;
use crate::wire::over_the_wire;

pub(crate) struct Http {
    server: Server,
    _state: tempfile::TempDir,
}

impl Http {
    /// A server of a fleet directory of `fixtures/`, with a fresh state directory.
    pub(crate) fn of_fixture(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name);
        let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::open(state.path(), fleet.snapshot).unwrap());
        let options = ServeOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            site: None,
            tls: None,
        };
        let server = Server::start(store, &options, Log::to(std::io::sink())).unwrap();
        Self {
            server,
            _state: state,
        }
    }
}

impl Platform for Http {
    fn answer(&mut self, step: &Step) -> Answer {
        over_the_wire(self.server.address(), step)
    }
}
