//! Files of the relay's own: bytes, then what they are, then what shows that both are whole. They come into being by writing
//! beside, syncing, renaming and syncing the directory, so that after a crash there is all of one or nothing.
//!
//! What stands at the end: the length of the bytes and of what they are, each as eight bytes, big-endian; the SHA-256 of both;
//! and a mark. What is damaged in any way is not there.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use sha2::Digest as _;
use sha2::Sha256;

/// A directory of sealed files, and one beside for those that are being written.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    beside: PathBuf,
}

/// A file that is being written; it is gone when it is dropped.
pub(super) struct Draft {
    file: Rc<File>,
    hash: Sha256,
    length: u64,
    beside: Beside,
}

/// A file that is written and may get its name. The work takes a thread that may wait for the disk.
pub(super) struct Finished {
    file: File,
    beside: Beside,
    directory: PathBuf,
}

/// A file that was found whole, as far as its ends show.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: Rc<File>,
    /// Of the bytes.
    pub(super) length: u64,
    /// What they are.
    pub(super) about: Vec<u8>,
    hash: [u8; 32],
}

/// The name that a file has while it is written.
struct Beside(Option<PathBuf>);

impl Shelf {
    /// Makes the directories where there are none, and takes away what a crash left half written.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        let beside = directory.join("new");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&beside)?;
        for entry in fs::read_dir(&beside)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { directory, beside })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The names of its files, with how much room they take and when they were last written or read, in seconds.
    pub(super) fn list(&self) -> io::Result<Vec<(String, Shown)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                let shown = Shown {
                    bytes: metadata.len(),
                    used: metadata.atime().max(metadata.mtime()),
                };
                found.push((name, shown));
            }
        }
        Ok(found)
    }

    /// Begins a file.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let path = self.beside.join(number.to_string());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        Ok(Draft {
            file: Rc::new(file),
            hash: Sha256::new(),
            length: 0,
            beside: Beside(Some(path)),
        })
    }

    /// Finishes a file: what it is comes after its bytes.
    pub(super) fn finish(&self, mut draft: Draft, about: &[u8]) -> io::Result<Finished> {
        let length = draft.length;
        draft.write(about)?;
        let mut end = Vec::with_capacity(END);
        end.extend(length.to_be_bytes());
        end.extend((draft.length - length).to_be_bytes());
        end.extend(draft.hash.clone().finalize());
        end.extend(MARK);
        (&*draft.file).write_all(&end)?;
        Ok(Finished {
            file: draft.file.try_clone()?,
            beside: draft.beside,
            directory: self.directory.clone(),
        })
    }

    /// Looks for a file; `None` where there is none that is whole.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        open(&self.path(name)).ok().flatten()
    }

    /// Takes a file away.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))?;
        sync(&self.directory)
    }
}

/// What a directory says of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) bytes: u64,
    pub(super) used: i64,
}

impl Draft {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file).write_all(bytes)?;
        self.hash.update(bytes);
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The file, for those who read it while it is written.
    pub(super) fn reader(&self) -> Rc<File> {
        self.file.clone()
    }
}

impl Finished {
    /// Gives the file its name, for good.
    pub(super) fn place(mut self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        let beside = self.beside.0.take().ok_or(io::ErrorKind::NotFound)?;
        if let Err(error) = fs::rename(&beside, self.directory.join(name)) {
            self.beside.0 = Some(beside);
            return Err(error);
        }
        sync(&self.directory)
    }
}

impl Found {
    /// Whether the bytes and what they are are what was written. It reads all of them.
    pub(super) fn verify(&self) -> bool {
        verify(&self.file, self.length, &self.about, &self.hash).unwrap_or(false)
    }

    /// The same, for a thread that may wait for the disk.
    pub(super) fn verifier(&self) -> io::Result<impl FnOnce() -> bool + Send + 'static> {
        let file = self.file.try_clone()?;
        let (length, about, hash) = (self.length, self.about.clone(), self.hash);
        Ok(move || verify(&file, length, &about, &hash).unwrap_or(false))
    }

    /// All of the bytes.
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What stays is taken away at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// A name is there after a crash if its directory was synced, too.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn open(path: &Path) -> io::Result<Option<Found>> {
    let file = File::open(path)?;
    let whole = file.metadata()?.len();
    let mut end = [0; END];
    let Some(at) = whole.checked_sub(END as u64) else {
        return Ok(None);
    };
    file.read_exact_at(&mut end, at)?;
    let mut end = end.as_slice();
    let (length, about) = (number(&mut end)?, number(&mut end)?);
    let mut hash = [0; 32];
    end.read_exact(&mut hash)?;
    // Checked before anything is read by them: they may be damaged themselves.
    if end != MARK || about > LONGEST_ABOUT || length.checked_add(about) != Some(at) {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(about).unwrap_or_default()];
    file.read_exact_at(&mut bytes, length)?;
    Ok(Some(Found {
        file: Rc::new(file),
        length,
        about: bytes,
        hash,
    }))
}

fn number(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut number = [0; 8];
    bytes.read_exact(&mut number)?;
    Ok(u64::from_be_bytes(number))
}

fn verify(file: &File, length: u64, about: &[u8], expected: &[u8; 32]) -> io::Result<bool> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < length {
        let room = usize::try_from(length - at).unwrap_or(usize::MAX);
        let room = room.min(buffer.len());
        let read = file.read_at(buffer.get_mut(..room).unwrap_or_default(), at)?;
        if read == 0 {
            return Ok(false);
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        at += u64::try_from(read).unwrap_or(u64::MAX);
    }
    hash.update(about);
    Ok(hash.finalize().as_slice() == expected)
}

static DRAFTS: AtomicU64 = AtomicU64::new(0);
const MARK: &[u8] = b"handset1";
/// Two numbers, the hash and the mark.
const END: usize = 8 + 8 + 32 + 8;
const LONGEST_ABOUT: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Shelf;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(directory.path().join("shelf")).unwrap();
        (directory, shelf)
    }

    fn write(shelf: &Shelf, name: &str, bytes: &[u8], about: &[u8]) {
        let mut draft = shelf.draft().unwrap();
        draft.write(bytes).unwrap();
        shelf.finish(draft, about).unwrap().place(name).unwrap();
    }

    #[test]
    fn what_is_written_is_found() {
        let (_directory, shelf) = shelf();
        for (bytes, about) in [(&b""[..], &b""[..]), (b"abc", b"{}"), (&[7; 200_000], b"x")] {
            write(&shelf, "a", bytes, about);
            let found = shelf.find("a").unwrap();
            assert!(found.verify());
            assert_eq!(
                (found.bytes().unwrap().as_slice(), found.about.as_slice()),
                (bytes, about)
            );
        }
    }

    /// Every byte counts, and every length.
    #[test]
    fn what_is_damaged_is_not_there() {
        let (_directory, shelf) = shelf();
        write(&shelf, "a", b"some bytes", b"{\"about\": 1}");
        let path = shelf.path("a");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&path, &flipped).unwrap();
            assert!(!shelf.find("a").is_some_and(|it| it.verify()), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(!shelf.find("a").is_some_and(|it| it.verify()), "{at} bytes");
        }
        fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
        assert!(shelf.find("a").is_none());
        assert!(shelf.find("b").is_none());
    }

    #[test]
    fn what_is_dropped_leaves_nothing() {
        let (directory, shelf) = shelf();
        let mut draft = shelf.draft().unwrap();
        draft.write(b"abc").unwrap();
        drop(shelf.finish(draft, b"").unwrap());
        let left = shelf.draft().unwrap();
        std::mem::forget(left);
        assert_eq!(
            fs::read_dir(directory.path().join("shelf/new"))
                .unwrap()
                .count(),
            1
        );
        Shelf::open(directory.path().join("shelf")).unwrap();
        assert_eq!(
            fs::read_dir(directory.path().join("shelf/new"))
                .unwrap()
                .count(),
            0
        );
        assert!(shelf.list().unwrap().is_empty());
    }
}
