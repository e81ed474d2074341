//! Progress of long work, on standard error when it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A spinner with a message, for work of unknown length.
pub fn spinner(message: impl Into<String>) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message.into());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar over a known number of steps.
pub fn bar(message: impl Into<String>, steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:28} {wide_bar} {pos}/{len} {eta}").expect("the template is valid");
    ProgressBar::new(steps as u64).with_style(style).with_message(message.into())
}
