//! Watches a fleet directory and puts its changes in force, whole.
//!
//! A directory is looked at once a second, for that works on every file system (network mounts, bind
//! mounts of containers, `..data` links of Kubernetes). A change counts when two looks agree, so that a
//! copy under way is over, and only if nothing changed while it was compiled.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::fs::Metadata;
use std::hash::Hash;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use serde::Serialize;

use crate::platform::native::log::Log;
use crate::platform::native::log::rfc3339;
use crate::store::directory::DirectoryStore;
use crate::store::directory::Snapshot;

/// A directory tree, and what it looked like.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    except: PathBuf,
    fingerprint: u64,
}

/// Compiles a fleet directory again whenever it changes.
#[derive(Debug)]
pub struct Watcher<C> {
    tree: Tree,
    store: Arc<DirectoryStore>,
    compile: C,
    seen: u64,
}

/// What one look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Looked {
    /// It changed since the last look: wait for it to come to rest.
    Changing,
    /// It changed and cannot be compiled, for these reasons; what was in force stays.
    Failed(String),
    /// It changed and is in force.
    Replaced,
    /// Nothing changed.
    Unchanged,
}

/// A thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tree {
    /// A tree as it is now, but for one directory below it. To be asked before the first compilation, or
    /// a change during that would be missed.
    pub fn new(root: &Path, except: &Path) -> Self {
        let mut tree = Self {
            root: root.to_owned(),
            except: except.to_owned(),
            fingerprint: 0,
        };
        tree.fingerprint = tree.look();
        tree
    }

    /// A number that is another one when a file comes, goes, grows or changes. Names that begin with a
    /// dot are editors' and version control's.
    fn look(&self) -> u64 {
        self.directory(&self.root, 0)
    }

    fn directory(&self, path: &Path, depth: usize) -> u64 {
        let Ok(entries) = fs::read_dir(path) else {
            return hash(&(path, "unreadable"));
        };
        let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
        // A sum, for a directory has no order.
        entries
            .filter(|path| !is_hidden(path) && *path != self.except)
            .map(|path| self.entry(&path, depth))
            .fold(1, u64::wrapping_add)
    }

    fn entry(&self, path: &Path, depth: usize) -> u64 {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() && depth < DEEPEST => {
                hash(&(path, self.directory(path, depth + 1)))
            }
            Ok(metadata) => of_file(path, &metadata),
            Err(error) => hash(&(path, error.kind() == io::ErrorKind::NotFound)),
        }
    }
}

impl<C: FnMut() -> Result<Snapshot, String>> Watcher<C> {
    /// A watcher over a tree that has been compiled into the store once.
    pub fn new(tree: Tree, store: Arc<DirectoryStore>, compile: C) -> Self {
        Self {
            seen: tree.fingerprint,
            tree,
            store,
            compile,
        }
    }

    /// Looks once.
    pub fn look(&mut self) -> Looked {
        let now = self.tree.look();
        let last = std::mem::replace(&mut self.seen, now);
        if now != last {
            return Looked::Changing;
        }
        if now == self.tree.fingerprint {
            // By the next look no request is still being routed that began before the change.
            self.store.forget_previous();
            return Looked::Unchanged;
        }
        self.compile(now)
    }

    fn compile(&mut self, now: u64) -> Looked {
        let compiled = (self.compile)();
        self.seen = self.tree.look();
        if self.seen != now {
            return Looked::Changing;
        }
        self.tree.fingerprint = now;
        match compiled {
            Ok(snapshot) => {
                self.store.replace(snapshot);
                Looked::Replaced
            }
            Err(problems) => Looked::Failed(problems),
        }
    }
}

impl<C: FnMut() -> Result<Snapshot, String> + Send + 'static> Watcher<C> {
    /// Looks about once a second, in a thread of its own, and logs what comes of it.
    pub fn watch(mut self, log: Log) -> io::Result<Watching> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("watch".to_owned());
        let thread = thread.spawn(move || {
            let mut pause = PAUSE;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let began = Instant::now();
                note(&log, &self.look());
                // Looking at a large tree is not to take more than a twentieth of a core.
                pause = PAUSE.max(began.elapsed() * 20);
            }
        })?;
        Ok(Watching {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// A change's line in the log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    outcome: &'a str,
    reason: &'a str,
}

fn note(log: &Log, looked: &Looked) {
    let (outcome, reason) = match looked {
        Looked::Changing | Looked::Unchanged => return,
        Looked::Failed(problems) => ("keep", problems.as_str()),
        Looked::Replaced => ("reload", "the fleet directory has changed"),
    };
    log.line(&Line {
        time: rfc3339(SystemTime::now()),
        outcome,
        reason,
    });
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn of_file(path: &Path, metadata: &Metadata) -> u64 {
    hash(&(
        path,
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

const PAUSE: Duration = Duration::from_secs(1);
/// Links can go in circles.
const DEEPEST: usize = 16;
