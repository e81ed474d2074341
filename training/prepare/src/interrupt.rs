//! Ctrl-C asks training to stop where it can go on later.

use hecc::cli::threads;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals reach the process as a whole.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Exit status of a command that Ctrl-C ended, by convention.
const INTERRUPTED: i32 = 130;

/// Hears of Ctrl-C from now on; the second one ends the process at once.
pub fn listen() {
    // A handler without a thread would swallow Ctrl-C.
    if !threads::is_given() {
        return;
    }
    // Where there is no such thing, Ctrl-C does what it always does.
    let _ = ctrlc::set_handler(|| {
        if IS_ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
    });
}

/// Whether there was a Ctrl-C.
pub fn is_asked() -> bool {
    IS_ASKED.load(Ordering::SeqCst)
}
