//! What a component did, counted, so that a test can say how much a request may cost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde::Serialize;

/// The counters of a host, from its start on.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Requests to the component.
    pub(crate) requests: u64,
    /// Those that it did not answer.
    pub(crate) failed: u64,
    /// Instances made.
    pub(crate) instances: u64,
    /// Instances that ended, for whatever reason.
    pub(crate) ended: u64,
    /// Instances that ended in a trap.
    pub(crate) traps: u64,
    /// Calls of the key-value store, by function.
    pub(crate) key_value: BTreeMap<&'static str, u64>,
    /// Variables read.
    pub(crate) variables: u64,
    /// Requests sent, by method.
    pub(crate) outbound: BTreeMap<String, u64>,
    /// Requests to hosts that are not allowed.
    pub(crate) refused: u64,
    /// Bytes of the largest linear memory that an instance had.
    pub(crate) memory: usize,
}

/// Counters that several threads count on.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counts>);

impl Counters {
    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
    }

    /// Numbers are whole at every moment, so that another thread's panic spoils none.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
