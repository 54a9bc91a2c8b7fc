//! Medians of rounds, and how sure they are.

use std::fmt;

/// The median of paired rounds and the interval that holds the true one with 95 % confidence: that of the
/// sign test, which asks nothing of how rounds are distributed.
#[derive(Clone, Debug)]
pub(crate) struct Median {
    /// The median of what was measured.
    pub(crate) value: f64,
    /// `None` with too few rounds to say anything.
    pub(crate) interval: Option<(f64, f64)>,
}

impl Median {
    /// The median of these values, of which there is at least one.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let value = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        let interval = cut_off(count).map(|cut| (values[cut], values[count - 1 - cut]));
        Self { value, interval }
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval {
            Some((low, high)) => write!(f, "{:.3} [{low:.3}, {high:.3}]", self.value),
            None => write!(f, "{:.3} [too few rounds]", self.value),
        }
    }
}

/// How many of the sorted values lie outside of the interval at each end: as many as a fair coin shows
/// heads at most, in so many throws, with a probability of 2.5 % or less.
fn cut_off(count: usize) -> Option<usize> {
    let mut probability = 0.5_f64.powi(i32::try_from(count).unwrap());
    let mut sum = 0.0;
    let mut heads = 0;
    while sum + probability <= 0.025 {
        sum += probability;
        probability *= (count - heads) as f64 / (heads + 1) as f64;
        heads += 1;
    }
    heads.checked_sub(1)
}
