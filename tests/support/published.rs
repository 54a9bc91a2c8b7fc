//! A native server over a directory of objects, to be pushed to, that counts what it has answered.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;

use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::secret::DeploymentSecrets;
use handset::store::files::Files;
use handset::store::single::SingleStore;
use handset::token::Scope;
use handset::token::Token;
use tempfile::TempDir;

/// Drawn once, for the tests alone.
const SECRET: &str = include_str!("secret.txt");

/// The server, and where it keeps everything.
pub(crate) struct Published {
    server: Server,
    root: TempDir,
    heard: Heard,
}

/// How many requests were answered.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<(Mutex<usize>, Condvar)>);

impl Published {
    pub(crate) fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        let heard = Heard::default();
        Self {
            server: serve(&root, &heard),
            root,
            heard,
        }
    }

    /// Another server over the same directory, which has nothing in memory.
    pub(crate) fn renew(&mut self) {
        self.server = serve(&self.root, &self.heard);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// A token for everything.
    pub(crate) fn token(&self) -> String {
        self.token_of(None)
    }

    /// One for the sites of a tenant.
    pub(crate) fn token_of(&self, tenant: Option<&str>) -> String {
        let secrets = DeploymentSecrets::parse(SECRET).unwrap();
        let token = Token {
            scope: Scope::Write,
            tenant: tenant.map(str::to_owned),
        };
        token.text(&secrets).expose_text().unwrap().to_owned()
    }

    /// How many requests it has answered.
    pub(crate) fn heard(&self) -> usize {
        *self.heard.0.0.lock().unwrap()
    }

    /// Waits until it has answered so many, or `over` says that no more will come.
    pub(crate) fn wait_for(&self, count: usize, mut over: impl FnMut() -> bool) {
        let (answered, changed) = &*self.heard.0;
        let mut now = answered.lock().unwrap();
        while *now < count && !over() {
            now = changed.wait_timeout(now, PATIENCE).unwrap().0;
        }
    }
}

fn serve(root: &TempDir, heard: &Heard) -> Server {
    let secrets = DeploymentSecrets::parse(SECRET).unwrap();
    let files = Files::open(&root.path().join("objects")).unwrap();
    let store = SingleStore::new(files, Some(secrets.clone()));
    let options = ServeOptions {
        secrets: Some(secrets),
        ..ServeOptions::default()
    };
    let log = Log::to(heard.clone());
    Server::start(Arc::new(store), &options, log).unwrap()
}

impl Write for Heard {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let (answered, changed) = &*self.0;
        *answered.lock().unwrap() += lines.iter().filter(|byte| **byte == b'\n').count();
        changed.notify_all();
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long it takes at most to notice that nothing more comes.
const PATIENCE: Duration = Duration::from_millis(20);
