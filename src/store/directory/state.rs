//! The state directory: files that are written beside, synced and renamed, so that each is whole or not there.
//!
//! Several processes may share one: a lock file for each last digit of a hardware address keeps their
//! conditional writes apart, and each keeps its unfinished files in a folder of its own, which it holds
//! locked for as long as it lives.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::mac::MacAddress;
use crate::release::sha256_hex;

/// An open state directory.
#[derive(Debug)]
pub(in crate::store) struct State {
    root: PathBuf,
    /// Where this process keeps its unfinished files.
    unfinished: PathBuf,
    serial: AtomicU64,
    locks: Vec<Mutex<File>>,
    /// Locked for as long as the process lives.
    _alive: File,
}

/// The right to write the devices that share a lock file.
#[derive(Debug)]
pub(in crate::store) struct Locked<'a> {
    file: MutexGuard<'a, File>,
}

/// An unfinished file: gone when dropped, unless it is kept.
#[derive(Debug)]
pub(in crate::store) struct Temporary {
    file: File,
    path: PathBuf,
}

impl State {
    /// Opens the directory, making it if need be, and clears away what killed processes left unfinished.
    pub(in crate::store) fn open(root: &Path) -> io::Result<Self> {
        for folder in ["", "locks", "unfinished"] {
            make_directory(&root.join(folder))?;
        }
        // Nobody clears away while another makes a folder that is not locked yet.
        let opening = writable(&root.join("locks/opening"))?;
        opening.lock()?;
        clear_unfinished(&root.join("unfinished"))?;
        let random = RandomState::new().hash_one(std::process::id());
        let unfinished = root.join(format!("unfinished/{random:016x}"));
        make_directory(&unfinished)?;
        let alive = writable(&unfinished.join(ALIVE))?;
        alive.lock()?;
        opening.unlock()?;
        let locks = (0..16).map(|digit| writable(&root.join(format!("locks/{digit:x}"))));
        Ok(Self {
            root: root.to_owned(),
            unfinished,
            serial: AtomicU64::new(0),
            locks: locks
                .map(|file| file.map(Mutex::new))
                .collect::<io::Result<_>>()?,
            _alive: alive,
        })
    }

    /// A file's bytes, or `None` if it is not there.
    pub(in crate::store) fn read(&self, place: &str) -> io::Result<Option<Vec<u8>>> {
        found(fs::read(self.root.join(place)))
    }

    /// The names in a folder, in no order; none if it is not there.
    pub(in crate::store) fn names(&self, place: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in found(fs::read_dir(self.root.join(place)))?
            .into_iter()
            .flatten()
        {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    /// A file, or `None` if it is not there.
    pub(in crate::store) fn open_file(&self, place: &str) -> io::Result<Option<File>> {
        found(File::open(self.root.join(place)))
    }

    /// Replaces a file, durably.
    pub(in crate::store) fn write(&self, place: &str, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        temporary.file.write_all(bytes)?;
        temporary.keep(self, place)
    }

    /// Replaces a file; a power cut may undo it.
    pub(in crate::store) fn write_soon(&self, place: &str, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        temporary.file.write_all(bytes)?;
        temporary.rename(&self.root.join(place))
    }

    /// Takes a file away, if it is there.
    pub(in crate::store) fn remove(&self, place: &str) -> io::Result<()> {
        found(fs::remove_file(self.root.join(place))).map(|_| ())
    }

    /// Begins a file.
    pub(in crate::store) fn temporary(&self) -> io::Result<Temporary> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.unfinished.join(serial.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)?;
        Ok(Temporary { file, path })
    }

    /// Waits until no other thread and no other process writes the device's state.
    pub(in crate::store) fn lock(&self, mac: MacAddress) -> io::Result<Locked<'_>> {
        let digit = mac.to_string().pop().and_then(|digit| digit.to_digit(16));
        self.lock_digit(digit)
    }

    /// Waits until nobody else writes what lies under a key, whatever kind of key it is.
    pub(in crate::store) fn lock_key(&self, key: &str) -> io::Result<Locked<'_>> {
        let hash = sha256_hex(key.as_bytes());
        self.lock_digit(hash.chars().next().and_then(|digit| digit.to_digit(16)))
    }

    fn lock_digit(&self, digit: Option<u32>) -> io::Result<Locked<'_>> {
        let lock = digit.and_then(|digit| self.locks.get(usize::try_from(digit).ok()?));
        let lock = lock.ok_or(io::ErrorKind::InvalidInput)?;
        let file = lock.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock()?;
        Ok(Locked { file })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Best effort: the next process clears away what is left.
        let _ = fs::remove_dir_all(&self.unfinished);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Fails only if the descriptor is none, and then the lock is gone already.
        let _ = self.file.unlock();
    }
}

impl Temporary {
    /// The file, to write to.
    pub(in crate::store) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its place, durably: its bytes, its name and the directories above it.
    pub(in crate::store) fn keep(self, state: &State, place: &str) -> io::Result<()> {
        self.file.sync_all()?;
        let path = state.root.join(place);
        self.rename(&path)?;
        // All of them and each time: another thread may have made one and not come to syncing it yet.
        let directories = path.ancestors().skip(1);
        for directory in directories.take_while(|it| it.starts_with(&state.root)) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    fn rename(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            make_directory(directory)?;
        }
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A file that was kept has another name by now.
        let _ = fs::remove_file(&self.path);
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
}

fn writable(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
}

/// Removes the folders whose owners no longer hold them locked.
fn clear_unfinished(unfinished: &Path) -> io::Result<()> {
    for folder in fs::read_dir(unfinished)? {
        let folder = folder?.path();
        let alive = writable(&folder.join(ALIVE))?;
        match alive.try_lock() {
            Ok(()) => fs::remove_dir_all(&folder)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// State holds what phones upload, passwords among it: it is its owner's alone.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
const ALIVE: &str = "alive";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::State;

    #[test]
    fn what_a_killed_process_left_is_cleared_away_and_what_a_living_one_holds_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("unfinished/0123");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("7"), "half a file").unwrap();
        let first = State::open(directory.path()).unwrap();
        assert!(!left.exists());
        let held = first.temporary().unwrap();
        let second = State::open(directory.path()).unwrap();
        assert!(held.path.exists());
        drop((first, second));
        assert_eq!(
            fs::read_dir(directory.path().join("unfinished"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn a_dropped_file_leaves_nothing_and_a_kept_one_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        drop(state.temporary().unwrap());
        state.write("a/b/c", b"kept").unwrap();
        assert_eq!(state.read("a/b/c").unwrap().unwrap(), b"kept");
        assert_eq!(state.read("a/b/d").unwrap(), None);
        let mode = |place: &str| {
            let path = directory.path().join(place);
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(
            (mode("a/b/c"), mode("a/b"), mode("a")),
            (0o600, 0o700, 0o700)
        );
        let unfinished = fs::read_dir(&state.unfinished).unwrap().count();
        assert_eq!(unfinished, 1, "only the lock");
    }
}
