//! Wrong keys and passwords, counted by network: who brings too many hears 429 (RFC 6585 section 4).

use std::num::NonZeroU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use governor::Quota;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;

/// How often each network has failed of late.
pub(super) struct Failures<C: Clock = MonotonicClock> {
    counts: Option<Counts<C>>,
    since_sweep: AtomicUsize,
}

impl Failures {
    /// Allows so many a minute, all at once or one by one; any number if that is 0.
    pub(super) fn a_minute(most: u32) -> Self {
        Self::by_clock(most, MonotonicClock)
    }
}

impl<C: Clock> Failures<C> {
    fn by_clock(most: u32, clock: C) -> Self {
        let quota = NonZeroU32::new(most).map(Quota::per_minute);
        Self {
            counts: quota.map(|quota| RateLimiter::hashmap_with_clock(quota, clock)),
            since_sweep: AtomicUsize::new(0),
        }
    }

    /// Counts a failure; whether that is one too many.
    pub(super) fn too_many(&self, network: Option<&str>) -> bool {
        let Some(counts) = &self.counts else {
            return false;
        };
        let network = network.filter(|_| self.has_room(counts));
        counts
            .check_key(&network.unwrap_or(CROWD).to_owned())
            .is_err()
    }

    /// Whether networks may still be told apart. Those that have not failed for a while are forgotten when
    /// there are too many, and not at each failure after that: going through them all takes a while.
    fn has_room(&self, counts: &Counts<C>) -> bool {
        if counts.len() < MOST_NETWORKS {
            return true;
        }
        let failures = self.since_sweep.fetch_add(1, Ordering::Relaxed);
        if failures.is_multiple_of(SWEEP_EVERY) {
            counts.retain_recent();
        }
        counts.len() < MOST_NETWORKS
    }
}

impl<C: Clock> std::fmt::Debug for Failures<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failures").finish_non_exhaustive()
    }
}

type Counts<C> =
    RateLimiter<String, HashMapStateStore<String>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Networks that are told apart: some ten megabytes.
const MOST_NETWORKS: usize = 1 << 16;
const SWEEP_EVERY: usize = 1 << 10;
/// All others together, and those without an address. Nobody with a good key hears of them.
const CROWD: &str = "";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::Failures;
    use super::MOST_NETWORKS;

    #[test]
    fn a_network_fails_so_often_a_minute() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::by_clock(3, clock.clone());
        for (network, seconds, too_many) in [
            ("192.0.2.1", 0, false),
            ("192.0.2.1", 0, false),
            ("192.0.2.1", 0, false),
            ("192.0.2.1", 0, true),
            ("192.0.2.2", 0, false),
            ("192.0.2.1", 20, false),
            ("192.0.2.1", 0, true),
        ] {
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(failures.too_many(Some(network)), too_many, "{network}");
        }
        let any = Failures::by_clock(0, clock);
        assert!((0..1000).all(|_| !any.too_many(Some("192.0.2.1"))));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::by_clock(1, clock.clone());
        let fail = |range: std::ops::Range<usize>| {
            for number in range {
                failures.too_many(Some(&number.to_string()));
            }
            failures.counts.as_ref().unwrap().len()
        };
        assert!(fail(0..2 * MOST_NETWORKS) <= MOST_NETWORKS + 1);
        assert!(failures.too_many(Some("the crowd's count is used up")));
        clock.advance(Duration::from_secs(120));
        assert!(fail(0..2000) < 2001);
    }
}
