//! The log: one JSON object a line, or one sentence. Requests never wait for whoever reads it.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::date::civil;

/// A log; clones write to the same place.
#[derive(Clone)]
pub struct Log(Arc<Closing>);

/// The last clone closes the log.
struct Closing(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// The line for lines that were lost.
    lost: &'static [u8],
}

/// Lines on their way to the writer.
#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    writing: bool,
    closed: bool,
}

impl Log {
    /// A log that a thread of its own writes to `sink`.
    pub fn to(sink: impl Write + Send + 'static) -> Self {
        Self::with(sink, LOST)
    }

    /// The same for a person: what it says of itself is no JSON either.
    pub fn to_person(sink: impl Write + Send + 'static) -> Self {
        Self::with(sink, LOST_IN_WORDS)
    }

    fn with(sink: impl Write + Send + 'static, lost: &'static [u8]) -> Self {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            lost,
        });
        let of_writer = queue.clone();
        // Without a thread the log stays full, and requests go on.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || of_writer.write(sink));
        Self(Arc::new(Closing(queue)))
    }

    /// Writes a line, soon. Characters that could break a line are escaped, as JSON has it.
    pub fn line(&self, value: &impl Serialize) {
        let mut line = serde_json::to_vec(value).unwrap_or_default();
        line.push(b'\n');
        self.0.0.push(&line);
    }

    /// Writes a line of words, soon: `words` has no character that could break it.
    pub fn words(&self, words: &str) {
        self.0.0.push(format!("{words}\n").as_bytes());
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > MOST_WAITING {
            waiting.lost += 1;
            return;
        }
        let wake = waiting.lines.is_empty() && !waiting.writing;
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Writes what waits, all at once, until the log is closed.
    fn write(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            // Nobody is left to tell that nobody reads.
            let _ = sink.write_all(&batch).and_then(|()| sink.flush());
        }
    }

    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.changed.notify_all();
        while waiting.lines.is_empty() && !waiting.closed {
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        batch.clear();
        std::mem::swap(batch, &mut waiting.lines);
        if std::mem::take(&mut waiting.lost) > 0 {
            batch.extend_from_slice(self.lost);
        }
        waiting.writing = !batch.is_empty();
        waiting.writing
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        self.0.changed.notify_all();
        // Bounded: whoever should read may have stopped reading.
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        drop(self.0.changed.wait_timeout_while(waiting, LAST_WORDS, busy));
    }
}

/// A time as RFC 3339 writes it, in UTC with milliseconds.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis(),
    )
}

const MOST_WAITING: usize = 1 << 20;
const LAST_WORDS: Duration = Duration::from_secs(1);
const LOST_IN_WORDS: &[u8] = b"lines were lost: the log is read too slowly\n";
const LOST: &[u8] = b"{\"reason\":\"lines were lost: the log is read too slowly\"}\n";

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use super::rfc3339;

    #[test]
    fn times() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_609_459_199_001, "2020-12-31T23:59:59.001Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            assert_eq!(rfc3339(time), text);
        }
    }
}
