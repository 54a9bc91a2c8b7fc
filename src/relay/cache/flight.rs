//! One question to the server for all phones that ask it at once; each reads the answer as it arrives.
//!
//! The question ends when the last of them has given up.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;
use tokio::task::AbortHandle;

use crate::relay::cache::Entry;
use crate::relay::cache::Key;

/// The questions that are being asked.
#[derive(Debug, Default)]
pub(in crate::relay) struct Flights(RefCell<HashMap<Key, Weak<Flight>>>);

/// A question, and what came of it. Whoever has one rides along.
#[derive(Debug, Default)]
pub(in crate::relay) struct Flight {
    landing: RefCell<Option<Landing>>,
    written: Cell<u64>,
    end: Cell<Option<End>>,
    /// The cache has it, or never will.
    settled: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
    task: RefCell<Option<AbortHandle>>,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub(in crate::relay) enum Landing {
    /// An answer without a file.
    Answer(StatusCode, HeaderMap, Bytes),
    /// An entry of the cache.
    Entry(Entry),
    /// It cannot be asked.
    Down,
    /// An answer that is for one phone alone: everybody asks by itself.
    Separate,
    /// A file that is arriving.
    Arriving(Arriving),
}

/// A file that is arriving.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Arriving {
    pub(in crate::relay) headers: HeaderMap,
    pub(in crate::relay) length: Option<u64>,
    pub(in crate::relay) file: Rc<File>,
}

/// How the arrival of a file ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::relay) enum End {
    /// All of it is there.
    Whole,
    /// The server stopped sending.
    Broken,
    /// The disk takes no more.
    Full,
}

/// Why there are no more bytes.
#[derive(Debug)]
pub(in crate::relay) enum Fault {
    /// The server stopped sending.
    Broken,
    /// There is no room for them on the disk: they have to come another way.
    Full,
    /// The disk fails.
    Disk(io::Error),
}

impl Flights {
    /// The flight that asks this, if there is one that others may still join.
    pub(in crate::relay) fn find(&self, key: &Key) -> Option<Rc<Flight>> {
        let mut flights = self.0.borrow_mut();
        let flight = flights.get(key).and_then(Weak::upgrade);
        let flight = flight.filter(|flight| !flight.is_over());
        if flight.is_none() {
            flights.remove(key);
        }
        flight
    }

    /// A new one.
    pub(in crate::relay) fn begin(&self, key: &Key) -> Rc<Flight> {
        let flight = Rc::new(Flight::default());
        let mut flights = self.0.borrow_mut();
        flights.retain(|_, flight| flight.strong_count() > 0);
        flights.insert(key.clone(), Rc::downgrade(&flight));
        flight
    }
}

impl Flight {
    /// Says which task asks; it ends with the last rider.
    pub(in crate::relay) fn set_task(&self, task: AbortHandle) {
        *self.task.borrow_mut() = Some(task);
    }

    /// Says what came of the question.
    pub(in crate::relay) fn land(&self, landing: Landing) {
        *self.landing.borrow_mut() = Some(landing);
        self.wake();
    }

    /// Says how much of the file there is.
    pub(in crate::relay) fn set_written(&self, written: u64) {
        self.written.set(written);
        self.wake();
    }

    /// Says how the file's arrival ended.
    pub(in crate::relay) fn end(&self, end: End) {
        self.end.set(Some(end));
        self.wake();
    }

    /// The task has got all that it needs of the server, and goes on whoever rides.
    pub(in crate::relay) fn detach(&self) {
        self.task.take();
    }

    /// Who comes now finds the file in the cache, or asks anew.
    pub(in crate::relay) fn settle(&self) {
        self.settled.set(true);
    }

    /// What came of the question.
    pub(in crate::relay) async fn landing(&self) -> Landing {
        poll_fn(|context| match &*self.landing.borrow() {
            Some(landing) => Poll::Ready(landing.clone()),
            None => self.wait(context),
        })
        .await
    }

    /// Reads some of the file from `at` on; 0 at its end.
    pub(in crate::relay) fn poll_read(
        &self,
        context: &mut Context<'_>,
        file: &File,
        at: u64,
        into: &mut [u8],
    ) -> Poll<Result<usize, Fault>> {
        let there = self.written.get().saturating_sub(at);
        if there > 0 {
            let room = usize::try_from(there).unwrap_or(usize::MAX).min(into.len());
            let into = into.get_mut(..room).unwrap_or_default();
            return Poll::Ready(file.read_at(into, at).map_err(Fault::Disk));
        }
        match self.end.get() {
            Some(End::Whole) => Poll::Ready(Ok(0)),
            Some(End::Broken) => Poll::Ready(Err(Fault::Broken)),
            Some(End::Full) => Poll::Ready(Err(Fault::Full)),
            None => self.wait(context),
        }
    }

    /// Whether there is nothing left to wait for: who comes then asks anew.
    fn is_over(&self) -> bool {
        let arriving = matches!(*self.landing.borrow(), None | Some(Landing::Arriving(_)));
        let failed = self.end.get().is_some_and(|end| end != End::Whole);
        !arriving || failed || self.settled.get()
    }

    fn wait<T>(&self, context: &Context<'_>) -> Poll<T> {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&self) {
        let wakers = self.wakers.take();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
