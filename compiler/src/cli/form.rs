//! The two forms of what commands print: text for people, JSON for scripts.

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
        match self {
            Form::Text => output(&text()),
            Form::Json => output(&format!("{value}\n")),
        }
    }

    /// Prints diagnostics on standard error.
    pub fn diagnostics(self, diagnostics: &Diagnostics) {
        match self {
            Form::Text => {
                let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                eprint!("{}", diagnostics.render(colour));
            }
            Form::Json => {
                eprintln!("{}", serde_json::to_string(diagnostics).expect("diagnostics serialise"));
            }
        }
    }
}

/// Writes to standard output. A reader that has gone away is no error of ours.
pub fn output(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
