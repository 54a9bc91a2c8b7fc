//! How far a push is: a bar for each step, on a terminal and nowhere else.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use handset::fleet::push::Progress;
use handset::fleet::push::Step;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

/// The bar of the step under way.
pub(crate) struct Bars(Mutex<ProgressBar>);

impl Bars {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(ProgressBar::hidden()))
    }

    /// Takes the last bar away.
    pub(crate) fn finish(&self) {
        self.bar().finish_and_clear();
    }

    fn bar(&self) -> MutexGuard<'_, ProgressBar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, step: Step, total: u64) {
        let (what, template) = match step {
            Step::Begin => ("sites", COUNTED),
            Step::Compare => ("comparing", COUNTED),
            Step::Devices => ("devices", COUNTED),
            Step::Images => ("images", BYTES),
            Step::Publish => ("publishing", COUNTED),
        };
        let mut bar = self.bar();
        bar.finish_and_clear();
        // Nothing is drawn where the standard error is no terminal.
        let next = ProgressBar::new(total).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            next.set_style(style);
        }
        *bar = next;
    }

    fn advance(&self, amount: u64) {
        self.bar().inc(amount);
    }
}

const BYTES: &str = "{msg:<10} [{bar:30}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const COUNTED: &str = "{msg:<10} [{bar:30}] {pos} of {len}, {per_sec}, {eta} left";
