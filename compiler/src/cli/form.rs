//! The two forms of what commands print: text for people, JSON for scripts.

use super::files::Written;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

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

/// Why something could not be written to standard output, if anything.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output. A reader that has gone away is no error of ours; [`written`] tells of others.
pub fn output(text: &str) {
    let mut out = io::stdout().lock();
    let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        *UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// # Errors
/// [`Code::UnwritableFile`] when standard output did not take all that was to be written there, say on a full disk.
pub fn written() -> Result<(), Diagnostics> {
    match UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => Err(Diagnostic::error(Code::UnwritableFile, "cannot write to standard output")
            .label(Label::file("standard output", error.to_string()))
            .help("make room where it leads, or let it lead elsewhere")
            .into()),
    }
}

/// Writes to standard error, which may be a file on the disk that is full.
pub fn notice(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
