//! Which transfers are under way: a client's port has one at most.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The transfers, by the address and port of their clients.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Rc<RefCell<HashMap<SocketAddr, Row>>>,
    latest: Option<SocketAddr>,
}

#[derive(Debug)]
struct Row {
    request: Vec<u8>,
    state: Rc<State>,
    task: Option<AbortHandle>,
}

/// What the desk and a transfer know of each other.
#[derive(Debug)]
struct State {
    moved: Cell<bool>,
    heard: Cell<Instant>,
    inbox: RefCell<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

/// A transfer's place in the table, until it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    rows: Rc<RefCell<HashMap<SocketAddr, Row>>>,
    peer: SocketAddr,
    state: Rc<State>,
}

/// What came for a transfer that has no socket of its own.
#[derive(Clone, Debug)]
pub(super) struct InboxHandle(Rc<State>);

impl Table {
    pub(super) fn len(&self) -> usize {
        self.rows.borrow().len()
    }

    /// Whether this very request is being served: clients repeat it when the answer is late. One that was served and fell
    /// silent is asked anew.
    pub(super) fn is_under_way(&self, peer: SocketAddr, request: &[u8]) -> bool {
        let rows = self.rows.borrow();
        rows.get(&peer).is_some_and(|row| {
            let fell_silent = row.state.moved.get() && row.state.heard.get().elapsed() > SILENCE;
            row.request == request && !fell_silent
        })
    }

    /// Whatever this client asked for before, it does not any more.
    pub(super) fn end(&mut self, peer: SocketAddr) {
        let row = self.rows.borrow_mut().remove(&peer);
        if let Some(task) = row.and_then(|row| row.task) {
            task.abort();
        }
    }

    pub(super) fn enter(&mut self, peer: SocketAddr, request: &[u8]) -> Entry {
        let state = Rc::new(State {
            moved: Cell::new(false),
            heard: Cell::new(Instant::now()),
            inbox: RefCell::default(),
        });
        let row = Row {
            request: request.to_vec(),
            state: state.clone(),
            task: None,
        };
        self.rows.borrow_mut().insert(peer, row);
        self.latest = Some(peer);
        Entry {
            rows: self.rows.clone(),
            peer,
            state,
        }
    }

    /// The one that entered last has a task.
    pub(super) fn begun(&mut self, task: AbortHandle) {
        let mut rows = self.rows.borrow_mut();
        if let Some(row) = self.latest.take().and_then(|peer| rows.get_mut(&peer)) {
            row.task = Some(task);
        }
    }

    /// Hands a datagram to the client's transfer; `false` if there is none.
    pub(super) fn deliver(&self, peer: SocketAddr, datagram: &[u8]) -> bool {
        let rows = self.rows.borrow();
        let Some(row) = rows.get(&peer) else {
            return false;
        };
        let mut inbox = row.state.inbox.borrow_mut();
        // A full socket would drop it, too.
        if inbox.datagrams.len() < MOST_DATAGRAMS {
            inbox.datagrams.push_back(datagram.to_vec());
        }
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
        true
    }
}

impl Entry {
    pub(super) fn inbox(&self) -> InboxHandle {
        InboxHandle(self.state.clone())
    }

    /// A datagram came.
    pub(super) fn heard(&self, moved: bool) {
        self.state.moved.set(moved);
        self.state.heard.set(Instant::now());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut rows = self.rows.borrow_mut();
        // Its place may have another by now.
        if rows
            .get(&self.peer)
            .is_some_and(|row| Rc::ptr_eq(&row.state, &self.state))
        {
            rows.remove(&self.peer);
        }
    }
}

impl InboxHandle {
    pub(super) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut inbox = self.0.inbox.borrow_mut();
        match inbox.datagrams.pop_front() {
            Some(datagram) => Poll::Ready(datagram),
            None => {
                inbox.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Longer than the timers of clients that are there.
const SILENCE: Duration = Duration::from_secs(1);

/// A window, and what is repeated of it.
const MOST_DATAGRAMS: usize = 128;
