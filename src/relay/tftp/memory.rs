//! How much of files may be held for all transfers together.

use std::cell::Cell;
use std::rc::Rc;

use crate::tftp::options::Options;
use crate::tftp::options::Profile;

/// What is left.
#[derive(Clone, Debug)]
pub(super) struct Budget(Rc<Cell<usize>>);

/// What one transfer has of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    /// Reserves what a transfer with these options holds at most. Where that is not to be had, the profile's window is made
    /// small enough; `None` if not even one block is left.
    pub(super) fn reserve(&self, asked: &Options, profile: &mut Profile) -> Option<Reserved> {
        let block_size = asked.block_size.unwrap_or(512).min(profile.block_size);
        let window = asked.window_size.unwrap_or(1).min(profile.window_size);
        // A sender holds two windows and the last block that is known to have arrived, and sends one at a time.
        let held = |window: u16| usize::from(block_size) * (3 * usize::from(window) + 1);
        let fits = |window: &u16| held(*window).max(LEAST) <= self.0.get();
        let window = (0..=u16::BITS)
            .map(|halvings| window.checked_shr(halvings).unwrap_or(0))
            .take_while(|window| *window > 0)
            .find(fits)?;
        profile.window_size = window;
        let bytes = held(window).max(LEAST);
        self.0.set(self.0.get() - bytes);
        Some(Reserved {
            budget: self.clone(),
            bytes,
        })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.set(self.budget.0.get() + self.bytes);
    }
}

/// What a transfer holds however small its blocks are.
const LEAST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::Budget;
    use crate::tftp::options::Options;
    use crate::tftp::options::Profile;

    #[test]
    fn windows_shrink_before_phones_are_turned_away() {
        let budget = Budget::new(300_000);
        let asked = Options {
            block_size: Some(1428),
            window_size: Some(64),
            ..Options::NONE
        };
        let mut reserved = Vec::new();
        let mut windows = Vec::new();
        loop {
            let mut profile = Profile::DEFAULT;
            let Some(one) = budget.reserve(&asked, &mut profile) else {
                break;
            };
            windows.push(profile.window_size);
            reserved.push(one);
        }
        assert_eq!(windows, [64, 4]);
        drop(reserved);
        assert_eq!(budget.0.get(), 300_000);
    }
}
