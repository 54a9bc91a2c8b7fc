//! Uploads that wait for the server: a phone hears that its file is stored when it is on this disk, for good.
//!
//! Each is a sealed file named by its place in the order. One that the server will never take is put aside with the reason. What
//! this deliberately does not do: speak to the server; whoever runs it is given a call that does.

mod schedule;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::io;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task;
use tokio::task::JoinSet;
use tokio::time;

use crate::mac::MacAddress;
use crate::relay::identity::Word;
use crate::relay::journal::Journal;
use crate::relay::metrics::Metrics;
use crate::relay::sealed::Draft;
use crate::relay::sealed::Found;
use crate::relay::sealed::Shelf;
use crate::relay::sealed::sync;
use crate::relay::spool::schedule::Schedule;
use crate::relay::spool::schedule::Setback;

/// The spool; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Spool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    shelf: Shelf,
    /// Where those go that the server will never take.
    aside: PathBuf,
    limit: u64,
    /// By those that wait and those that are being written.
    taken: Cell<u64>,
    number: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    /// Those that wait no more, whose files could not be moved away.
    left: RefCell<BTreeMap<u64, Left>>,
    schedule: RefCell<Schedule<Place>>,
    changed: Notify,
    /// The warning was given, and there has been no room since.
    warned: Cell<bool>,
    metrics: Rc<Metrics>,
    journal: Journal,
}

/// Whose file of which name: what is sent in order.
pub(super) type Place = (Option<MacAddress>, String);

#[derive(Clone, Debug)]
struct Waiting {
    about: Rc<About>,
    bytes: u64,
}

/// A file that is only in the way.
#[derive(Clone, Debug)]
struct Left {
    about: Rc<About>,
    bytes: u64,
    /// Why the server did not take it; `None` where it did.
    rejected: Option<String>,
}

/// What is known of an upload.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct About {
    /// The method that the phone used, or would have.
    pub(super) method: String,
    /// The file below the server's address.
    pub(super) target: String,
    /// Whose it is, and how that is known.
    pub(super) device: Option<(MacAddress, String)>,
    /// Who sent it.
    pub(super) peer: IpAddr,
    /// The address by which it reached the relay.
    pub(super) base: String,
    /// Where it continues what was uploaded before.
    pub(super) append: Option<u64>,
    /// Headers that describe it and its sender.
    pub(super) headers: Vec<(String, String)>,
    /// When it came, in seconds since 1970.
    pub(super) at: u64,
}

/// An upload that comes in; it is gone when it is dropped.
pub(super) struct Upload {
    spool: Spool,
    draft: Option<Draft>,
    taken: u64,
}

/// What came of sending an upload.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The server has it.
    Accepted,
    /// The server will never take it, and says why.
    Rejected(String),
    /// The server, or this relay, could not take it this time.
    Failed,
    /// The server cannot be reached; or it answers that it takes nothing now, for so long if it says.
    Away(Option<Duration>),
}

impl About {
    fn place(&self) -> Place {
        let mac = self.device.as_ref().map(|(mac, _)| *mac);
        (mac, self.target.clone())
    }
}

impl Spool {
    /// The spool in a directory, with what waits in it, of so many bytes at most.
    pub(super) fn open(
        state: &Path,
        limit: u64,
        metrics: Rc<Metrics>,
        journal: Journal,
    ) -> io::Result<Self> {
        let aside = state.join("rejected");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&aside)?;
        let spool = Self(Rc::new(Shared {
            shelf: Shelf::open(state.join("spool"))?,
            number: Cell::new(last_number(&aside)?),
            aside,
            limit,
            taken: Cell::default(),
            waiting: RefCell::default(),
            left: RefCell::default(),
            schedule: RefCell::default(),
            changed: Notify::new(),
            warned: Cell::default(),
            metrics,
            journal,
        }));
        for (name, shown) in spool.0.shelf.list()? {
            spool.take_up(&name, shown.bytes);
        }
        spool.count();
        Ok(spool)
    }

    /// Takes up what an earlier run has left.
    fn take_up(&self, name: &str, bytes: u64) {
        let Ok(number) = name.parse() else {
            return;
        };
        self.0.number.set(self.0.number.get().max(number));
        let found = self.0.shelf.find(name).filter(Found::verify);
        let about = found.and_then(|found| serde_json::from_slice(&found.about).ok());
        match about {
            Some(about) => self.enter(number, Rc::new(about), bytes),
            // What cannot be moved is tried again at the next start, and takes room until then.
            None => {
                if self.put_aside(number, "it is damaged").is_err() {
                    self.0.taken.set(self.0.taken.get() + bytes);
                }
            }
        }
    }

    fn enter(&self, number: u64, about: Rc<About>, bytes: u64) {
        self.0.taken.set(self.0.taken.get() + bytes);
        self.0.schedule.borrow_mut().add(about.place(), number);
        let waiting = Waiting { about, bytes };
        self.0.waiting.borrow_mut().insert(number, waiting);
    }

    /// Begins an upload.
    pub(super) fn begin(&self) -> io::Result<Upload> {
        self.room(ROOM)?;
        Ok(Upload {
            spool: self.clone(),
            draft: Some(self.0.shelf.draft()?),
            taken: 0,
        })
    }

    /// The file that a phone has uploaded and the server has not, in parts: the newest, with what was appended to it.
    pub(super) fn pending(&self, device: Option<MacAddress>, target: &str) -> Option<Vec<Found>> {
        // Of who is unknown there may be many.
        let device = Some(device?);
        let mut parts: Vec<Found> = Vec::new();
        let waiting = self.0.waiting.borrow();
        for (number, it) in waiting.iter() {
            let same = it.about.target == target
                && it.about.device.as_ref().map(|(mac, _)| *mac) == device;
            if !same {
                continue;
            }
            let before: u64 = parts.iter().map(|part| part.length).sum();
            match it.about.append {
                Some(offset) if parts.is_empty() || offset != before => return None,
                Some(_) => {}
                None => parts.clear(),
            }
            parts.push(self.0.shelf.find(&name_of(*number))?);
        }
        (!parts.is_empty()).then_some(parts)
    }

    /// How long the phone's file will be once the server has what waits of it: what an append goes on from.
    ///
    /// The server itself may know of the newest part or not, as it is under way.
    pub(super) fn end(&self, word: &Word, target: &str) -> Option<u64> {
        let waiting = self.0.waiting.borrow();
        let mut newest = waiting.iter().rev().filter(|(_, it)| {
            let mac = it.about.device.as_ref().map(|(mac, _)| *mac);
            let same = mac == word.mac() && (mac.is_some() || it.about.peer == word.peer);
            same && it.about.target == target
        });
        let (number, it) = newest.next()?;
        let found = self.0.shelf.find(&name_of(*number))?;
        Some(it.about.append.unwrap_or(0) + found.length)
    }

    /// Somebody has reached the server.
    pub(super) fn reached(&self) {
        self.0.schedule.borrow_mut().reached();
        self.0.changed.notify_one();
    }

    /// Sends what waits, for ever.
    pub(super) async fn run<D, F>(&self, deliver: D)
    where
        D: Fn(Rc<About>, Vec<u8>) -> F,
        F: Future<Output = Delivery> + 'static,
    {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        loop {
            self.clear().await;
            self.count();
            let next = self.0.schedule.borrow_mut().next(start.elapsed());
            if let Some((place, number)) = next {
                let sending = self.send(number, &deliver);
                tasks.spawn_local(async move { (place, number, sending.await) });
                continue;
            }
            let due = self.0.schedule.borrow().due();
            let pause = due.map_or(IDLE, |due| due.saturating_sub(start.elapsed()));
            tokio::select! {
                Some(sent) = tasks.join_next() => {
                    // A task that panicked has said so on standard error.
                    if let Ok((place, number, delivery)) = sent {
                        self.settle(&place, number, delivery, start.elapsed()).await;
                    }
                }
                () = self.0.changed.notified() => {}
                () = time::sleep(pause.min(IDLE)) => {}
            }
        }
    }

    fn send<D, F>(
        &self,
        number: u64,
        deliver: &D,
    ) -> impl Future<Output = Delivery> + 'static + use<D, F>
    where
        D: Fn(Rc<About>, Vec<u8>) -> F,
        F: Future<Output = Delivery> + 'static,
    {
        let found = self.0.shelf.find(&name_of(number)).filter(Found::verify);
        let about = self
            .0
            .waiting
            .borrow()
            .get(&number)
            .map(|it| it.about.clone());
        let sending = match (found.map(|found| found.bytes()), about) {
            (Some(Ok(bytes)), Some(about)) => Ok(deliver(about, bytes)),
            (Some(Err(_)), _) => Err(Delivery::Failed),
            _ => Err(Delivery::Rejected("it is damaged".to_owned())),
        };
        async move {
            match sending {
                Ok(sending) => sending.await,
                Err(delivery) => delivery,
            }
        }
    }

    async fn settle(&self, place: &Place, number: u64, delivery: Delivery, now: Duration) {
        let setback = match delivery {
            Delivery::Accepted => {
                self.0.metrics.delivered.count();
                let removed = self.remove(number).await;
                self.leave(number, None, removed);
                None
            }
            Delivery::Rejected(reason) => {
                let moved = self.put_aside(number, &reason);
                self.leave(number, Some(reason), moved);
                None
            }
            Delivery::Failed => Some(Setback::File),
            Delivery::Away(said) => Some(Setback::Server(said)),
        };
        let mut schedule = self.0.schedule.borrow_mut();
        match setback {
            None => schedule.done(place),
            Some(setback) => schedule.failed(place, now, setback, chance()),
        }
    }

    /// An upload waits no more. Its room is given back once its file is gone.
    fn leave(&self, number: u64, rejected: Option<String>, gone: io::Result<()>) {
        let Some(Waiting { about, bytes }) = self.0.waiting.borrow_mut().remove(&number) else {
            return;
        };
        let Err(error) = gone else {
            return self.give_back(bytes);
        };
        let name = name_of(number);
        let reason = format!(
            "spool/{name} need not wait any more and is still there: {error}; it takes room, and is sent again after a restart"
        );
        self.0.journal.event("spool", &reason);
        let left = Left {
            about,
            bytes,
            rejected,
        };
        self.0.left.borrow_mut().insert(number, left);
    }

    /// Tries again to move away what need not wait.
    async fn clear(&self) {
        let left = self.0.left.borrow().clone();
        for (number, it) in left {
            let gone = match &it.rejected {
                None => self.remove(number).await,
                Some(reason) => {
                    let upload = Some(&*it.about);
                    self.move_aside(&name_of(number), &Rejected { reason, upload })
                }
            };
            if gone.is_ok() {
                self.0.left.borrow_mut().remove(&number);
                self.give_back(it.bytes);
            }
        }
    }

    /// Removes a file. Should the system end before that is on the disk, the server gets it twice.
    async fn remove(&self, number: u64) -> io::Result<()> {
        let (shelf, name) = (self.0.shelf.clone(), name_of(number));
        let removing = task::spawn_blocking(move || shelf.remove(&name));
        match removing.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn give_back(&self, bytes: u64) {
        let taken = &self.0.taken;
        taken.set(taken.get().saturating_sub(bytes));
    }

    /// Puts an upload aside that will never be taken. What cannot be moved stays.
    fn put_aside(&self, number: u64, reason: &str) -> io::Result<()> {
        self.0.metrics.rejected.count();
        let name = name_of(number);
        let waiting = self.0.waiting.borrow().get(&number).cloned();
        let about = waiting.map(|waiting| waiting.about);
        let report = Rejected {
            reason,
            upload: about.as_deref(),
        };
        let moved = self.move_aside(&name, &report);
        let said = match &moved {
            Ok(()) => format!("{reason}; it is kept as rejected/{name}"),
            Err(error) => format!("{reason}; it could not be put aside: {error}"),
        };
        match about {
            Some(about) => {
                let mac = about.device.as_ref().map(|(mac, _)| *mac);
                let (file, peer) = (about.target.as_str(), about.peer);
                self.0
                    .journal
                    .about("upload-rejected", &said, file, peer, mac);
            }
            None => self.0.journal.event("upload-rejected", &said),
        }
        moved
    }

    fn move_aside(&self, name: &str, report: &Rejected<'_>) -> io::Result<()> {
        self.bound_aside()?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut sidecar = options.open(self.0.aside.join(format!("{name}.json")))?;
        serde_json::to_writer_pretty(&sidecar, report).map_err(io::Error::from)?;
        sidecar.write_all(b"\n")?;
        sidecar.sync_all()?;
        fs::rename(self.0.shelf.path(name), self.0.aside.join(name))?;
        sync(&self.0.aside)
    }

    /// The oldest of what was put aside goes where it would take more than a quarter of the spool.
    fn bound_aside(&self) -> io::Result<()> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.0.aside)? {
            let entry = entry?;
            files.insert(entry.file_name(), entry.metadata()?.len());
        }
        let (mut bytes, mut count) = (files.values().sum::<u64>(), files.len());
        for (name, length) in &files {
            if bytes <= self.0.limit / 4 && count < MOST_ASIDE {
                break;
            }
            fs::remove_file(self.0.aside.join(name))?;
            bytes = bytes.saturating_sub(*length);
            count -= 1;
            let reason = format!("the oldest that was put aside goes: {}", name.display());
            self.0.journal.event("rejected-full", &reason);
        }
        Ok(())
    }

    /// Whether there is room for so many bytes more. Whoever runs the relay hears of it before there is none.
    fn room(&self, bytes: u64) -> io::Result<()> {
        let (taken, limit) = (self.0.taken.get(), self.0.limit);
        let full = taken.saturating_add(bytes) > limit;
        let warn = taken > limit / 5 * 4 || full;
        if warn && !self.0.warned.replace(true) {
            let waiting = self.0.waiting.borrow().len();
            self.0.journal.event(
                "spool-filling",
                &format!(
                    "{waiting} uploads wait for the server and take {taken} of {limit} bytes (--spool-bytes): soon no phone can \
                     upload any more"
                ),
            );
        }
        if full {
            let reason = format!(
                "an upload was refused: {taken} of {limit} bytes are taken (--spool-bytes)"
            );
            self.0.journal.event("spool-full", &reason);
            return Err(io::ErrorKind::StorageFull.into());
        }
        if taken < limit / 2 {
            self.0.warned.set(false);
        }
        Ok(())
    }

    fn count(&self) {
        let waiting = self.0.waiting.borrow();
        let metrics = &self.0.metrics;
        metrics
            .spool_depth
            .set(waiting.len().try_into().unwrap_or(u64::MAX));
        metrics.spool_bytes.set(self.0.taken.get());
        let oldest = waiting.values().next().map_or(0, |it| it.about.at);
        let age = if oldest == 0 {
            0
        } else {
            seconds().saturating_sub(oldest)
        };
        metrics.spool_age.set(age);
    }
}

impl Upload {
    /// Writes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.spool.room(length.saturating_add(ROOM))?;
        let draft = self.draft.as_mut().ok_or(io::ErrorKind::NotFound)?;
        draft.write(bytes)?;
        self.taken += length;
        self.spool.0.taken.set(self.spool.0.taken.get() + length);
        Ok(())
    }

    /// All of them.
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let draft = self.draft.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; usize::try_from(draft.length()).map_err(io::Error::other)?];
        draft.reader().read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Keeps it until the server has it: it is on the disk when this is done.
    pub(super) async fn commit(mut self, about: About) -> io::Result<()> {
        let shared = self.spool.0.clone();
        let draft = self.draft.take().ok_or(io::ErrorKind::NotFound)?;
        let text = serde_json::to_vec(&about).map_err(io::Error::other)?;
        let finished = shared.shelf.finish(draft, &text)?;
        let number = shared.number.get() + 1;
        shared.number.set(number);
        let place = move || finished.place(&name_of(number));
        task::spawn_blocking(place)
            .await
            .map_err(io::Error::other)??;
        let bytes = fs::metadata(shared.shelf.path(&name_of(number)))?.len();
        self.spool.enter(number, Rc::new(about), bytes);
        self.spool.count();
        shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.spool.give_back(self.taken);
    }
}

/// Why an upload was put aside, for people.
#[derive(Serialize)]
struct Rejected<'r> {
    reason: &'r str,
    upload: Option<&'r About>,
}

/// Seconds since 1970.
pub(super) fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// Names sort as their numbers do.
fn name_of(number: u64) -> String {
    format!("{number:020}")
}

/// The highest number of what was put aside: no other upload may take its name.
fn last_number(aside: &Path) -> io::Result<u64> {
    let mut last = 0;
    for entry in fs::read_dir(aside)? {
        let name = entry?.file_name();
        last = last.max(
            name.to_str()
                .and_then(|name| name.parse().ok())
                .unwrap_or(0),
        );
    }
    Ok(last)
}

/// Anything from 0 to 1.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// What an upload takes besides its bytes, at most.
const ROOM: u64 = 4 << 10;
/// How often what is counted is brought up to date when nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// Files that were put aside, reasons included.
const MOST_ASIDE: usize = 2000;
