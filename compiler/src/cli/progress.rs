//! Progress of long work, on standard error when it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// A spinner with a message, for work of unknown length.
pub fn spinner(message: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message.into());
    if !bar.is_hidden() {
        turn(&bar);
    }
    bar
}

/// How long a spinner stands still.
const PAUSE: Duration = Duration::from_millis(100);

/// Turns a spinner as long as it is there, from a thread of its own; without one it stands still. The library's own
/// way ends the process where the system gives no thread.
fn turn(bar: &ProgressBar) {
    let bar = bar.downgrade();
    let turning = move || {
        while let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) {
            bar.tick();
            drop(bar);
            sleep(PAUSE);
        }
    };
    // Nothing depends on it.
    let _ = Builder::new().spawn(turning);
}

/// A bar over a known number of steps.
pub fn bar(message: impl Into<String>, steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len} {eta}").expect("the template is valid");
    ProgressBar::new(steps as u64).with_style(style).with_message(message.into())
}
