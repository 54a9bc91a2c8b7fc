//! When a packet is sent again: measured as TCP does (RFC 6298), with a floor, or as the client chose (RFC 2349).

use std::time::Duration;

/// The retransmission timer of one transfer. Whoever uses it keeps to Karn's rule: round trips of packets that were sent
/// twice are not measured.
#[derive(Clone, Debug)]
pub(super) struct RetransmissionTimer {
    smoothed: Option<Duration>,
    variation: Duration,
    floor: Duration,
    chosen: Option<Duration>,
    backed_off: u32,
}

impl RetransmissionTimer {
    pub(super) fn new(floor: Duration) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            floor,
            chosen: None,
            backed_off: 0,
        }
    }

    /// The client chose the time, if it did.
    pub(super) fn choose(&mut self, timeout: Option<Duration>) {
        self.chosen = timeout;
    }

    /// A round trip was measured (RFC 6298 sections 2.2 and 2.3).
    pub(super) fn measured(&mut self, sample: Duration) {
        self.backed_off = 0;
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// How long to wait for an answer.
    pub(super) fn timeout(&self) -> Duration {
        if let Some(chosen) = self.chosen {
            return chosen;
        }
        let measured = self.smoothed.map(|it| it + self.variation * 4);
        let once = measured.unwrap_or(UNMEASURED).max(self.floor);
        (once * 2_u32.pow(self.backed_off)).min(CEILING.max(self.floor))
    }

    /// There was an answer, which may be one to a packet that was sent twice. Where no round trip was ever measured, the longer
    /// time stays: a round trip that takes longer than the timer would otherwise never be.
    pub(super) fn moved(&mut self) {
        if self.smoothed.is_some() {
            self.backed_off = 0;
        }
    }

    /// There was no answer in time.
    pub(super) fn back_off(&mut self) {
        self.backed_off = (self.backed_off + 1).min(6);
    }

    /// How long after a packet its answer can be called late, though not yet lost; `None` while nothing is known, and where
    /// the client chose.
    pub(super) fn lateness(&self) -> Option<Duration> {
        let smoothed = self.smoothed.filter(|_| self.chosen.is_none())?;
        let late = smoothed
            + (smoothed / 2)
                .max(self.variation * 4)
                .max(SHORTEST_LATENESS);
        (late < self.timeout()).then_some(late)
    }

    /// Whether an answer that comes so soon cannot be one to what was sent then.
    pub(super) fn is_too_soon(&self, after: Duration) -> bool {
        after < self.smoothed.unwrap_or_else(|| self.timeout()) / 4 * 3
    }
}

/// RFC 6298 section 2.1.
const UNMEASURED: Duration = Duration::from_secs(1);
const CEILING: Duration = Duration::from_secs(8);

/// A client that is busy for less than this need not be asked whether it is there.
const SHORTEST_LATENESS: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RetransmissionTimer;

    #[test]
    fn timeouts() {
        let chosen = Some(3000);
        for (samples, backed_off, choice, expected) in [
            (&[][..], 0, None, 1000),
            (&[], 1, None, 2000),
            (&[], 9, None, 8000),
            (&[1], 0, None, 250),
            (&[1], 1, None, 500),
            (&[200], 0, None, 600),
            (&[200, 200], 0, None, 500),
            (&[200, 200, 200, 200, 200, 200, 200, 200], 0, None, 253),
            (&[10_000], 0, None, 8000),
            (&[200], 2, chosen, 3000),
            (&[], 0, chosen, 3000),
        ] {
            let mut timer = RetransmissionTimer::new(Duration::from_millis(250));
            timer.choose(choice.map(Duration::from_millis));
            samples
                .iter()
                .for_each(|sample| timer.measured(Duration::from_millis(*sample)));
            (0..backed_off).for_each(|_| timer.back_off());
            let timeout = timer.timeout().as_millis();
            assert_eq!(timeout, expected, "{samples:?} {backed_off} {choice:?}");
        }
    }
}
