//! The two forms of what commands print: text for people, JSON for scripts.

use super::files::Written;
use hecc::diag::Diagnostics;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// How results and diagnostics are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON value per line.
    Json,
}

impl Form {
    /// Prints a result on standard output.
    pub fn result(self, value: &Value, text: impl FnOnce() -> String) {
        self.report(Written::default(), value, text);
    }

    /// Prints what was written where: on standard error if standard output was written to.
    pub fn report(self, written: Written, value: &Value, text: impl FnOnce() -> String) {
        let said = match self {
            Form::Text => text(),
            Form::Json => format!("{value}\n"),
        };
        if written.on_standard_output { notice(&said) } else { output(&said) }
    }

    /// Prints diagnostics on standard error.
    pub fn diagnostics(self, diagnostics: &Diagnostics) {
        match self {
            Form::Text => {
                let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                notice(&diagnostics.render(colour));
            }
            Form::Json => {
                let list = serde_json::to_string(diagnostics).expect("diagnostics serialise");
                notice(&format!("{list}\n"));
            }
        }
    }
}

/// Writes to standard output. A reader that has gone away is no error of ours.
pub fn output(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error, which may be a file on the disk that is full.
pub fn notice(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
