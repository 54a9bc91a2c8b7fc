//! Which entries there are, how much room they take, and which go first when there is none: those that were not used for
//! longest, and never one that is being read. Pure, but for what time it is noted to be.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

/// The entries by name.
#[derive(Debug)]
pub(super) struct Index {
    limit: u64,
    rows: HashMap<String, Row>,
    /// Names by when they were last used; the first was not for longest.
    used: BTreeMap<u64, String>,
    turn: u64,
    bytes: u64,
    negatives: usize,
}

/// What is known of an entry.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) bytes: u64,
    /// Whether it says that there is no such file.
    pub(super) negative: bool,
    /// When the server was last asked.
    pub(super) checked: Option<Instant>,
    /// As what it was found to be whole.
    pub(super) verified: Verified,
    pub(super) used: u64,
    pub(super) reader: Reader,
}

/// Somebody reads an entry for as long as there is one of these.
pub(super) type Reader = Rc<()>;

/// Inode and time of change, in seconds and nanoseconds.
pub(super) type Stamp = (u64, i64, i64);

/// A file's stamp and the length of its bytes.
pub(super) type Verified = Option<(Stamp, u64)>;

impl Row {
    pub(super) fn of(bytes: u64) -> Self {
        Self {
            bytes,
            negative: false,
            checked: None,
            verified: None,
            used: 0,
            reader: Reader::default(),
        }
    }
}

impl Index {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            rows: HashMap::new(),
            used: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            negatives: 0,
        }
    }

    /// All that is taken, entries that are being written included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes an entry, in place of what there was.
    pub(super) fn enter(&mut self, name: &str, row: Row) {
        self.remove(name);
        self.turn += 1;
        self.bytes += row.bytes;
        self.negatives += usize::from(row.negative);
        self.used.insert(self.turn, name.to_owned());
        let used = self.turn;
        self.rows.insert(name.to_owned(), Row { used, ..row });
    }

    /// Forgets an entry; says whether there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(row) = self.rows.remove(name) else {
            return false;
        };
        self.used.remove(&row.used);
        self.bytes = self.bytes.saturating_sub(row.bytes);
        self.negatives -= usize::from(row.negative);
        true
    }

    /// An entry is being read: when the server was last asked for it, and what shows that somebody reads it.
    pub(super) fn read(&mut self, name: &str) -> Option<(Option<Instant>, Reader)> {
        self.turn += 1;
        let row = self.rows.get_mut(name)?;
        self.used.remove(&row.used);
        row.used = self.turn;
        self.used.insert(self.turn, name.to_owned());
        Some((row.checked, row.reader.clone()))
    }

    pub(super) fn verified(&self, name: &str) -> Verified {
        self.rows.get(name)?.verified
    }

    pub(super) fn set_verified(&mut self, name: &str, verified: Verified) {
        if let Some(row) = self.rows.get_mut(name) {
            row.verified = verified;
        }
    }

    pub(super) fn set_checked(&mut self, name: &str, now: Instant) {
        if let Some(row) = self.rows.get_mut(name) {
            row.checked = Some(now);
        }
    }

    /// So many bytes are being written.
    pub(super) fn take(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// They are an entry now, or none.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Forgets entries until there is room for so many bytes: which, and whether there is.
    pub(super) fn make_room(&mut self, bytes: u64) -> (Vec<String>, bool) {
        let mut names = Vec::new();
        while self.bytes.saturating_add(bytes) > self.limit || self.negatives > NEGATIVES {
            let full = self.bytes.saturating_add(bytes) > self.limit;
            let goes = |row: &Row| Rc::strong_count(&row.reader) == 1 && (full || row.negative);
            let mut oldest = self.used.values();
            let name = oldest
                .find(|name| self.rows.get(*name).is_some_and(goes))
                .cloned();
            let Some(name) = name else {
                return (names, !full);
            };
            self.remove(&name);
            names.push(name);
        }
        (names, true)
    }
}

/// Phones that ask for names that there are not must not push out the files that there are.
const NEGATIVES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::Index;
    use super::NEGATIVES;
    use super::Row;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut index = Index::new(100);
        for name in ["a", "b", "c"] {
            index.enter(name, Row::of(30));
        }
        let reading = index.read("a");
        index.read("b");
        assert_eq!(index.make_room(30), (vec!["c".to_owned()], true));
        // a is being read, b was used last.
        assert_eq!(index.make_room(60), (vec!["b".to_owned()], true));
        assert_eq!(index.make_room(80), (vec![], false));
        drop(reading);
        assert_eq!(index.make_room(80), (vec!["a".to_owned()], true));
        assert_eq!(index.bytes(), 0);
        index.take(90);
        assert!(!index.make_room(20).1);
        index.give_back(90);
        assert!(index.make_room(20).1);
    }

    #[test]
    fn names_that_are_missing_push_out_no_files() {
        let mut index = Index::new(u64::MAX);
        index.enter("image", Row::of(1 << 20));
        for number in 0..NEGATIVES + 10 {
            let negative = Row {
                negative: true,
                ..Row::of(300)
            };
            index.enter(&number.to_string(), negative);
            index.make_room(0);
        }
        assert_eq!(index.rows.len(), NEGATIVES + 1);
        assert!(index.rows.contains_key("image"));
    }
}
