//! What the relay counts of itself, for whoever asks how it is.

use std::cell::Cell;
use std::time::Duration;

use serde::Serialize;

/// How a phone reaches the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 959.
    Ftp,
    /// RFC 9112, without TLS.
    Http,
    /// RFC 1350.
    Tftp,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The file is there.
    Completed,
    /// There is no such file.
    Missing,
    /// The phone may not have it.
    Denied,
    /// The server or the relay failed.
    Failed,
    /// The phone gave up, or did not speak its protocol.
    Abandoned,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ftp, Self::Http, Self::Tftp];

    /// As it begins addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Http => "http",
            Self::Tftp => "tftp",
        }
    }
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Missing,
        Self::Denied,
        Self::Failed,
        Self::Abandoned,
    ];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// What an answer's status says of the transfer.
    pub fn of(status: u16) -> Self {
        match status {
            200..=399 => Self::Completed,
            404 | 410 => Self::Missing,
            401 | 403 | 405 => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// Counters since the start, and gauges.
#[derive(Debug, Default)]
pub struct Metrics {
    transfers: [[Cell<u64>; 5]; 3],
    bytes: [Cell<u64>; 3],
    /// Files that were served from the cache because the server said that they are the newest.
    pub cache_hits: Counter,
    /// Files that came from the server.
    pub cache_misses: Counter,
    /// Files, and the news that there is none, that were put into the cache.
    pub cache_writes: Counter,
    /// Files that were served although the server could not be asked.
    pub stale_serves: Counter,
    /// Missing files that the server was not asked for again.
    pub negative_hits: Counter,
    /// Files of the cache that were damaged.
    pub damaged: Counter,
    /// Phones that asked by SIP multicast, and were told where their files are.
    pub pnp_answers: Counter,
    /// Requests for other phones' files.
    pub refusals: Counter,
    /// Uploads that the server accepted.
    pub delivered: Counter,
    /// Uploads that it did not, and never will.
    pub rejected: Counter,
    /// Bytes of the cache.
    pub cache_bytes: Gauge,
    /// Uploads that wait for the server.
    pub spool_depth: Gauge,
    /// Their bytes.
    pub spool_bytes: Gauge,
    /// The age of the oldest, in seconds.
    pub spool_age: Gauge,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(Cell<u64>);

impl Metrics {
    /// A transfer ended.
    pub fn transferred(&self, protocol: Protocol, ending: Ending, bytes: u64) {
        if let Some(cell) = self.cell(protocol, ending) {
            cell.set(cell.get() + 1);
        }
        if let Some(cell) = self.bytes.get(protocol as usize) {
            cell.set(cell.get() + bytes);
        }
    }

    /// How many transfers ended so.
    pub fn transfers(&self, protocol: Protocol, ending: Ending) -> u64 {
        self.cell(protocol, ending).map_or(0, Cell::get)
    }

    /// How many bytes of files were moved.
    pub fn bytes(&self, protocol: Protocol) -> u64 {
        self.bytes.get(protocol as usize).map_or(0, Cell::get)
    }

    fn cell(&self, protocol: Protocol, ending: Ending) -> Option<&Cell<u64>> {
        self.transfers.get(protocol as usize)?.get(ending as usize)
    }
}

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// How many.
    pub fn total(&self) -> u64 {
        self.0.get()
    }
}

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    /// The same for a time, in seconds.
    pub fn set_seconds(&self, value: Duration) {
        self.0.set(value.as_secs());
    }

    /// What it is.
    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Ending;
    use super::Metrics;
    use super::Protocol;

    #[test]
    fn each_ending_is_counted_by_itself() {
        let metrics = Metrics::default();
        for protocol in Protocol::ALL {
            for ending in Ending::ALL {
                metrics.transferred(protocol, ending, 10);
                assert_eq!(metrics.transfers(protocol, ending), 1);
            }
            assert_eq!(metrics.bytes(protocol), 50);
        }
    }
}
