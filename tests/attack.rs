//! The attacks of tests/support/attacks.rs on the native server, over a bucket that counts what it is asked for.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/attacks.rs"]
mod attacks;
#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "support/proof.rs"]
mod proof;

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;

use attacks::Calls;
use attacks::Fleet;
use attacks::Target;
use bucket::Service;
use client::secret::secrets;

/// A server of a fixture, its bucket and its log.
struct Native {
    server: Server,
    service: Service,
    log: Lines,
}

impl Native {
    fn of_fixture(name: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let fleet = fleet::compile(&fixtures.join(name), &mut Hashes::default()).unwrap();
        let service = Service::start();
        let store = Arc::new(service.filled("", &fleet.snapshot));
        let options = ServeOptions {
            // What is answered after so many failures is another test's: tests/guarded.rs.
            failures: 0,
            secrets: Some(secrets()),
            ..ServeOptions::default()
        };
        let log = Lines::default();
        Self {
            server: Server::start(store, &options, Log::to(log.clone())).unwrap(),
            service,
            log,
        }
    }
}

impl Target for Native {
    const REMEMBERS: bool = true;

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn calls(&mut self) -> Calls {
        let (reads, all) = self.service.calls();
        Calls { reads, all }
    }

    fn logged(&self) -> String {
        let log = self.log.0.lock().unwrap();
        let log = String::from_utf8(log.clone()).unwrap();
        assert!(log.lines().count() > 5, "nothing was logged: {log}");
        log
    }
}

#[test]
fn nobody_gets_what_is_not_theirs() {
    for fixture in ["office", "guarded"] {
        Fleet::of_fixture(fixture).attack(&mut Native::of_fixture(fixture));
    }
}

#[test]
fn a_used_proof_is_refused() {
    Fleet::of_fixture("guarded").replay(&mut Native::of_fixture("guarded"));
}

#[test]
fn tenants_operate_their_own() {
    Fleet::of_fixture("guarded").operate(&mut Native::of_fixture("guarded"));
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
