//! Ctrl-C ends a command at once. Files appear whole or not at all, so that nothing is left half-written.

use super::form::Form;
use super::{problems, threads};
use std::process::exit;

/// Exit status of a command that Ctrl-C ended, by convention.
const INTERRUPTED: i32 = 130;

/// Ends the process at the next Ctrl-C, and says so in a form.
pub fn listen(form: Form) {
    // A handler without a thread would swallow Ctrl-C.
    if !threads::is_given() {
        return;
    }
    // Where there is no such thing, Ctrl-C does what it always does.
    let _ = ctrlc::set_handler(move || {
        form.diagnostics(&problems::interrupted());
        exit(INTERRUPTED);
    });
}
