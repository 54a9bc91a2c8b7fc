//! Publishing to native servers: over a directory of objects and over a bucket; and a fleet directory takes nothing.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "support/pushing.rs"]
#[expect(dead_code, reason = "other suites stop on the way")]
mod pushing;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/story.rs"]
mod story;

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::Store;
use handset::platform::native::log::Log;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Snapshot;
use handset::store::files::Files;
use handset::store::single::SingleStore;
use handset::token::Scope;
use handset::token::Token;

use bucket::Service;
use client::secret::secrets;
use pushing::Api;
use scene::Scene;
use story::Remote;
use story::publish;

/// A server, and how another one over the same store is begun.
struct Native<F> {
    server: Server,
    begin: F,
}

impl<F: Fn() -> Server> Native<F> {
    fn new(begin: F) -> Self {
        Self {
            server: begin(),
            begin,
        }
    }
}

impl<F: Fn() -> Server> Scene for Native<F> {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Who publishes by a process sees it there at once.
    fn later(&mut self) {}
}

/// The same by a server that was not the one that was published by.
struct Anew<F>(Native<F>);

impl<F: Fn() -> Server> Scene for Anew<F> {
    fn address(&self) -> SocketAddr {
        self.0.server.address()
    }

    fn later(&mut self) {
        self.0.server = (self.0.begin)();
    }
}

fn serve(store: impl Store) -> Server {
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        secrets: Some(secrets()),
        ..ServeOptions::default()
    };
    Server::start(Arc::new(store), &options, Log::to(std::io::sink())).unwrap()
}

#[test]
fn publishing_to_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let begin = || {
        let files = Files::open(root.path()).unwrap();
        serve(SingleStore::new(files, Some(secrets())))
    };
    publish(&mut Native::new(begin));
}

#[test]
fn publishing_to_a_bucket() {
    let service = Service::start();
    let begin = || serve(bucket::store(service.place("")));
    publish(&mut Native::new(begin));
}

#[test]
fn what_was_published_is_there_for_another_process() {
    let root = tempfile::tempdir().unwrap();
    let begin = || {
        let files = Files::open(root.path()).unwrap();
        serve(SingleStore::new(files, Some(secrets())))
    };
    // An operator keeps the address of the first, which lives on until it is asked no more.
    let first = begin();
    let operator = Remote {
        address: first.address(),
        token: Token {
            scope: Scope::Write,
            tenant: None,
        },
    };
    let version = pushing::Version::of(1, &handset::site::Access::Open);
    pushing::Pusher::new(&version).push(&operator).unwrap();
    let mut other = Anew(Native::new(begin));
    other.later();
    let site = Remote {
        address: other.address(),
        ..operator
    };
    let heard = site.call("GET", "sites/hq", &[], b"");
    assert_eq!(heard.json()["publication"], 1);
}

#[test]
fn a_fleet_directory_takes_nothing_and_says_what_does() {
    let state = tempfile::tempdir().unwrap();
    let server = serve(DirectoryStore::open(state.path(), Snapshot::default()).unwrap());
    let operator = Remote {
        address: server.address(),
        token: Token {
            scope: Scope::Write,
            tenant: None,
        },
    };
    for (method, path) in [
        ("GET", "sites"),
        ("POST", "sites/hq/publications"),
        ("GET", "audit"),
    ] {
        let heard = operator.call(method, path, &[], b"");
        assert_eq!(heard.status, 409, "{method} {path}");
        let json = heard.json();
        assert!(
            json["detail"].as_str().unwrap().contains("--store DIR"),
            "{json}"
        );
    }
    assert_eq!(operator.call("GET", "openapi.json", &[], b"").status, 200);
}

/// A program that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program itself, over a directory that is not there yet; killed, and begun again over the same.
#[test]
fn serve_takes_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("store");
    let version = pushing::Version::of(1, &handset::site::Access::Open);
    for pushed in [false, true] {
        let process = Command::new(env!("CARGO_BIN_EXE_handset"))
            .args(["serve", "--listen", "127.0.0.1:0", "--store"])
            .arg(&store)
            .env("HANDSET_SECRET", client::secret::SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = Killed(process.unwrap());
        let mut line = String::new();
        let mut said = BufReader::new(process.0.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        let operator = Remote {
            address: address.parse().unwrap(),
            token: Token {
                scope: Scope::Write,
                tenant: None,
            },
        };
        if !pushed {
            pushing::Pusher::new(&version).push(&operator).unwrap();
        }
        let heard = operator.call("GET", "sites/hq", &[], b"");
        assert_eq!(heard.json()["publication"], 1);
    }
}
