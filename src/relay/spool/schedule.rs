//! When which upload is sent. Pure: time since the start and chance come in as arguments.
//!
//! A file's uploads go in the order in which they came, one at a time. One that the server could not take now is tried again
//! later and later; while the server cannot be reached at all, one is tried for all.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

/// What waits, by file. A number is an upload's place in the order of all.
#[derive(Debug)]
pub(super) struct Schedule<F> {
    files: HashMap<F, Queue>,
    busy: usize,
    /// While the server cannot be reached.
    held: Option<Held>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<u64>,
    failures: u32,
    due: Duration,
    busy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    failures: u32,
    until: Duration,
    /// It answered: that it answers others says nothing.
    answered: bool,
}

/// Why an upload has to be tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Setback {
    /// The server, or this relay, could not take it this time.
    File,
    /// The server cannot be reached; or it answers that it takes nothing now, for so long if it says.
    Server(Option<Duration>),
}

impl<F> Default for Schedule<F> {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            busy: 0,
            held: None,
        }
    }
}

impl<F: Clone + Eq + Hash> Schedule<F> {
    /// An upload came.
    pub(super) fn add(&mut self, file: F, number: u64) {
        let waiting = &mut self.files.entry(file).or_default().waiting;
        // Two that came at once may be known in another order.
        let at = waiting.partition_point(|other| *other < number);
        waiting.insert(at, number);
    }

    /// The upload to send now, if there is one; [`Self::done`] or [`Self::failed`] has to follow.
    pub(super) fn next(&mut self, now: Duration) -> Option<(F, u64)> {
        let most = if self.held.is_some() { 1 } else { AT_ONCE };
        let held = self.held.is_some_and(|held| held.until > now);
        if held || self.busy >= most {
            return None;
        }
        let ready = self
            .files
            .iter()
            .filter(|(_, queue)| !queue.busy && queue.due <= now);
        let firsts = ready.filter_map(|(file, queue)| Some((file, *queue.waiting.front()?)));
        let (file, number) = firsts.min_by_key(|(_, number)| *number)?;
        let file = file.clone();
        if let Some(queue) = self.files.get_mut(&file) {
            queue.busy = true;
            self.busy += 1;
        }
        Some((file, number))
    }

    /// When there is something to send, if nothing happens before.
    pub(super) fn due(&self) -> Option<Duration> {
        let waiting = self.files.values().filter(|queue| !queue.busy);
        let first = waiting.map(|queue| queue.due).min()?;
        Some(first.max(self.held.map_or(Duration::ZERO, |held| held.until)))
    }

    /// The server has taken a file's first upload, or never will.
    pub(super) fn done(&mut self, file: &F) {
        self.held = None;
        let Some(queue) = self.files.get_mut(file) else {
            return;
        };
        self.busy -= usize::from(std::mem::take(&mut queue.busy));
        queue.waiting.pop_front();
        queue.failures = 0;
        queue.due = Duration::ZERO;
        if queue.waiting.is_empty() {
            self.files.remove(file);
        }
    }

    /// A file's first upload has to be tried again; `chance` is anything from 0 to 1.
    pub(super) fn failed(&mut self, file: &F, now: Duration, setback: Setback, chance: f64) {
        let Some(queue) = self.files.get_mut(file) else {
            return;
        };
        self.busy -= usize::from(std::mem::take(&mut queue.busy));
        match setback {
            Setback::File => {
                self.held = None;
                queue.failures += 1;
                queue.due = now + pause(queue.failures, chance);
            }
            Setback::Server(said) => {
                let failures = self.held.map_or(0, |held| held.failures) + 1;
                let answered = said.is_some();
                let said = said.unwrap_or_default().min(LONGEST_SAID);
                let until = now + pause(failures, chance).max(said);
                self.held = Some(Held {
                    failures,
                    until,
                    answered,
                });
            }
        }
    }

    /// The server was reached by somebody else: there is no reason to wait for it.
    pub(super) fn reached(&mut self) {
        self.held = self.held.filter(|held| held.answered);
    }
}

/// Twice as long each time; by chance up to half of it less, so that not all relays of a city come at once after an outage.
fn pause(failures: u32, chance: f64) -> Duration {
    let doubled = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let longest = FIRST.saturating_mul(doubled).min(LONGEST);
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// The most that a server's word counts.
const LONGEST_SAID: Duration = Duration::from_secs(600);
/// Uploads under way. Phones should notice nothing of it.
const AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::AT_ONCE;
    use super::Schedule;
    use super::Setback;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_file_goes_in_order_and_files_beside_each_other() {
        let mut schedule = Schedule::default();
        for (file, number) in [("a", 1), ("a", 3), ("b", 4), ("a", 2)] {
            schedule.add(file, number);
        }
        let now = Duration::ZERO;
        assert_eq!(schedule.next(now), Some(("a", 1)));
        assert_eq!(schedule.next(now), Some(("b", 4)));
        assert_eq!(schedule.next(now), None);
        schedule.done(&"a");
        assert_eq!(schedule.next(now), Some(("a", 2)));
        schedule.failed(&"a", now, Setback::File, 1.0);
        assert_eq!(schedule.next(now), None);
        assert_eq!(schedule.due(), Some(SECOND));
        assert_eq!(schedule.next(SECOND), Some(("a", 2)));
        schedule.done(&"a");
        assert_eq!(schedule.next(SECOND), Some(("a", 3)));
        schedule.done(&"a");
        schedule.done(&"b");
        assert_eq!((schedule.next(SECOND), schedule.due()), (None, None));
    }

    #[test]
    fn later_and_later() {
        for (chance, expected) in [
            (1.0, [1000, 2000, 4000, 8000, 16_000]),
            (0.0, [500, 1000, 2000, 4000, 8000]),
            (0.5, [750, 1500, 3000, 6000, 12_000]),
        ] {
            for setback in [Setback::File, Setback::Server(None)] {
                let mut schedule = Schedule::default();
                schedule.add("a", 1);
                let mut now = Duration::ZERO;
                for pause in expected {
                    assert!(schedule.next(now).is_some());
                    schedule.failed(&"a", now, setback, chance);
                    let due = schedule.due().unwrap();
                    assert_eq!(due - now, Duration::from_millis(pause), "{setback:?}");
                    now = due;
                }
                for _ in 0..100 {
                    assert!(schedule.next(now).is_some());
                    schedule.failed(&"a", now, setback, chance);
                    let due = schedule.due().unwrap();
                    assert!(due - now <= 300 * SECOND);
                    now = due;
                }
            }
        }
    }

    #[test]
    fn one_is_tried_for_all_while_the_server_is_away() {
        let mut schedule = Schedule::default();
        let files: Vec<String> = (0..10).map(|number| format!("file {number}")).collect();
        for (number, file) in (0..).zip(&files) {
            schedule.add(file.clone(), number);
        }
        let now = Duration::ZERO;
        let mut under_way = Vec::new();
        while let Some((file, _)) = schedule.next(now) {
            under_way.push(file);
        }
        assert_eq!(under_way.len(), AT_ONCE);
        for file in &under_way {
            schedule.failed(file, now, Setback::Server(None), 1.0);
        }
        let due = schedule.due().unwrap();
        assert!(due >= SECOND && schedule.next(now).is_none());
        let (probe, _) = schedule.next(due).unwrap();
        assert!(schedule.next(due).is_none());
        schedule.failed(&probe, due, Setback::Server(Some(60 * SECOND)), 0.0);
        assert_eq!(schedule.due(), Some(due + 60 * SECOND));
        schedule.reached();
        assert!(schedule.next(due).is_none(), "it said for how long");
        let due = due + 60 * SECOND;
        let (probe, _) = schedule.next(due).unwrap();
        schedule.failed(&probe, due, Setback::Server(None), 0.0);
        assert!(schedule.next(due).is_none());
        schedule.reached();
        let (probe, _) = schedule.next(due).unwrap();
        schedule.done(&probe);
        let mut under_way = 0;
        while schedule.next(due).is_some() {
            under_way += 1;
        }
        assert_eq!(under_way, AT_ONCE);
    }
}
