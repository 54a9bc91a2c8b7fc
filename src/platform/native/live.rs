//! Requests as they happen, for `handset watch`: lines of the log as server-sent events (the HTML standard, section
//! 9.2), to whoever has a token.
//!
//! Memory is bounded by [`WAITING`] lines for all who watch, whatever the speed they read with: who is too slow loses
//! lines, and is told how many.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time;

/// What happens, and those who watch.
#[derive(Debug)]
pub(super) struct Live {
    events: broadcast::Sender<Arc<Event>>,
    ended: watch::Sender<bool>,
}

/// A request that was answered.
#[derive(Debug)]
struct Event {
    site: Option<String>,
    json: String,
}

/// Where events are written to until whoever reads them goes.
#[derive(Debug)]
pub(super) struct Watching {
    events: broadcast::Receiver<Arc<Event>>,
    ended: watch::Receiver<bool>,
    pieces: mpsc::Sender<Bytes>,
}

impl Default for Live {
    fn default() -> Self {
        let (events, _) = broadcast::channel(WAITING);
        let (ended, _) = watch::channel(false);
        Self { events, ended }
    }
}

impl Live {
    /// Tells those who watch, if there are any.
    pub(super) fn tell(&self, site: Option<&str>, line: &impl Serialize) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let event = Event {
            site: site.map(str::to_owned),
            json: serde_json::to_string(line).unwrap_or_default(),
        };
        // Whoever watched may have gone this moment.
        let _ = self.events.send(Arc::new(event));
    }

    /// Begins to watch, and what is to be sent of it; `None` if too many do already.
    pub(super) fn watch(&self) -> Option<(Watching, mpsc::Receiver<Bytes>)> {
        if self.events.receiver_count() >= MOST {
            return None;
        }
        let (pieces, sent) = mpsc::channel(AHEAD);
        let watching = Watching {
            events: self.events.subscribe(),
            ended: self.ended.subscribe(),
            pieces,
        };
        Some((watching, sent))
    }

    /// Ends every watch: the server stops.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }
}

impl Watching {
    /// Hands events on, those of sites that `may` says, until nobody reads any more or the server stops.
    pub(super) async fn run(mut self, may: impl AsyncFn(Option<&str>) -> bool) {
        let mut ticks = time::interval(QUIET);
        // The first tick is at once: who watches learns that nothing is missed from here on.
        ticks.tick().await;
        if self
            .pieces
            .send(Bytes::from_static(STILL_THERE))
            .await
            .is_err()
        {
            return;
        }
        loop {
            let piece = tokio::select! {
                _ = self.ended.wait_for(|ended| *ended) => return,
                () = self.pieces.closed() => return,
                _ = ticks.tick() => Bytes::from_static(STILL_THERE),
                event = self.events.recv() => match event {
                    Ok(event) if may(event.site.as_deref()).await => of_request(&event.json),
                    Ok(_) => continue,
                    Err(RecvError::Lagged(count)) => of_lost(count),
                    Err(RecvError::Closed) => return,
                },
            };
            tokio::select! {
                _ = self.ended.wait_for(|ended| *ended) => return,
                sent = self.pieces.send(piece) => if sent.is_err() {
                    return;
                },
            }
        }
    }
}

fn of_request(json: &str) -> Bytes {
    format!("data: {json}\n\n").into()
}

fn of_lost(count: u64) -> Bytes {
    format!("event: lost\ndata: {{\"lost\":{count}}}\n\n").into()
}

/// Lines that wait for the slowest of those who watch.
const WAITING: usize = 1024;
/// Lines on their way to one of them.
const AHEAD: usize = 16;
/// How many may watch at once.
const MOST: usize = 32;
/// How often it is said that nothing happened, so that neither side takes the other for gone.
const QUIET: Duration = Duration::from_secs(15);
/// A comment: whoever reads events passes over it.
const STILL_THERE: &[u8] = b": nothing new\n\n";

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::task::LocalSet;

    use super::Live;
    use super::WAITING;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn who_reads_too_slowly_loses_lines_and_is_told() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let live = Live::default();
            live.tell(Some("hq"), &"before anybody watched");
            let (watching, mut sent) = live.watch().unwrap();
            for number in 0..WAITING + 5 {
                live.tell(Some("hq"), &number);
            }
            tokio::task::spawn_local(watching.run(async |_| true));
            assert!(text(&sent.recv().await.unwrap()).starts_with(':'));
            let lost = sent.recv().await.unwrap();
            assert_eq!(text(&lost), "event: lost\ndata: {\"lost\":5}\n\n");
            assert_eq!(text(&sent.recv().await.unwrap()), "data: 5\n\n");
        });
    }

    #[test]
    fn only_what_may_be_seen_is_sent_and_a_server_that_stops_ends_it() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let live = Live::default();
            let (watching, mut sent) = live.watch().unwrap();
            tokio::task::spawn_local(watching.run(async |site| site == Some("hq")));
            assert!(text(&sent.recv().await.unwrap()).starts_with(':'));
            live.tell(Some("branch"), &1);
            live.tell(None, &2);
            live.tell(Some("hq"), &3);
            assert_eq!(text(&sent.recv().await.unwrap()), "data: 3\n\n");
            live.end();
            assert_eq!(sent.recv().await, None);
        });
    }

    #[test]
    fn not_everybody_watches_at_once() {
        let live = Live::default();
        let some: Vec<_> = std::iter::from_fn(|| live.watch()).take(100).collect();
        assert_eq!(some.len(), super::MOST);
        drop(some);
        assert!(live.watch().is_some());
    }
}
