//! The key-value store: a file of JSON lines, one a change, that is whole after a crash.
//!
//! A line is `{"key":…,"text":…}`, `{"key":…,"hex":…}` for bytes that are not UTF-8, or `{"key":…}` for a key
//! that was deleted. A change is synced before it is said to be made; a last line without its end was never
//! said to be made, and is left out.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde::Deserialize;
use serde::Serialize;

/// A store, open.
#[derive(Debug)]
pub(crate) struct Values(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    values: BTreeMap<String, Vec<u8>>,
    file: Option<File>,
}

/// A value that is set, or a key that is deleted.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Values {
    /// Opens a file that may not exist yet, or a store in memory.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self(Mutex::default()));
        };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let values = replay(&text)?;
        let file = rewrite(path, &values)?;
        Ok(Self(Mutex::new(Inner {
            values,
            file: Some(file),
        })))
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().values.get(key).cloned()
    }

    pub(crate) fn exists(&self, key: &str) -> bool {
        self.lock().values.contains_key(key)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.lock().values.keys().cloned().collect()
    }

    pub(crate) fn make(&self, change: Change) -> io::Result<()> {
        let mut inner = self.lock();
        if let Some(file) = &mut inner.file {
            file.write_all(&line(&change)?)?;
            file.sync_data()?;
        }
        apply(&mut inner.values, change)
    }

    /// A change is applied after it is written, in one step, so that another thread's panic leaves none half.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    pub(crate) fn set(key: String, value: Vec<u8>) -> Self {
        let (text, hex) = match String::from_utf8(value) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(to_hex(error.as_bytes()))),
        };
        Self { key, text, hex }
    }

    pub(crate) fn delete(key: String) -> Self {
        Self {
            key,
            text: None,
            hex: None,
        }
    }
}

fn replay(text: &str) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut values = BTreeMap::new();
    for line in text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        apply(&mut values, serde_json::from_str(line)?)?;
    }
    Ok(values)
}

fn apply(values: &mut BTreeMap<String, Vec<u8>>, change: Change) -> io::Result<()> {
    let value = match (change.text, change.hex) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(hex)) => from_hex(&hex).ok_or(io::ErrorKind::InvalidData)?,
        (None, None) => {
            values.remove(&change.key);
            return Ok(());
        }
    };
    values.insert(change.key, value);
    Ok(())
}

/// Writes what there is beside the file and renames it, and gives the file to append to.
fn rewrite(path: &Path, values: &BTreeMap<String, Vec<u8>>) -> io::Result<File> {
    let mut beside = PathBuf::from(path);
    beside.as_mut_os_string().push(".new");
    let mut file = File::create(&beside)?;
    for (key, value) in values {
        file.write_all(&line(&Change::set(key.clone(), value.clone()))?)?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn line(change: &Change) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(change)?;
    line.push(b'\n');
    Ok(line)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_left_out_and_what_follows_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values");
        fs::write(&path, "{\"key\":\"a\",\"text\":\"1\"}\n{\"key\":\"b\",\"te").unwrap();
        let values = Values::open(Some(&path)).unwrap();
        assert_eq!(values.keys(), ["a"]);
        let binary = Change::set("b".to_owned(), vec![0, 255]);
        values.make(binary).unwrap();
        values.make(Change::delete("a".to_owned())).unwrap();
        drop(values);
        let values = Values::open(Some(&path)).unwrap();
        assert_eq!(values.keys(), ["b"]);
        assert_eq!(values.get("b"), Some(vec![0, 255]));
    }
}
