//! Diagnostics as data: what is wrong, where in the user's own files, and what
//! to do next.
//!
//! Every stage that can refuse a user's input returns [`Diagnostics`]; only the
//! command line turns them into text ([`Diagnostics::render`]) or JSON (they
//! implement [`Serialize`]). Codes are stable and explained in [`codes`].

pub mod codes;
mod render;
mod suggest;

pub use codes::Code;
pub use suggest::closest;
pub(crate) use suggest::list;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{fmt, ops::Range, sync::Arc};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the reader's information.
    Note,
    /// The result is usable but probably not what was meant.
    Warning,
    /// There is no result.
    Error,
}

/// A text file that labels point into.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Name as the user gave it, usually a path.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A shared source, ready to be pointed into.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), text: text.into() })
    }

    /// Line and column, both from one, of a byte offset (clamped to the text).
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A byte range of a text file.
    Text {
        /// The file.
        source: Arc<Source>,
        /// Bytes of it.
        span: Range<usize>,
    },
    /// A named part of a file without text: a node, a tensor, a layer.
    Item {
        /// The file.
        file: String,
        /// The part, such as ``node `conv1` (Conv)``.
        item: String,
    },
    /// A file as a whole.
    File {
        /// Path as the user gave it.
        path: String,
    },
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Place::Text { source, span } => serialize_text_place(source, span, serializer),
            Place::Item { file, item } => {
                let mut s = serializer.serialize_struct("Place", 2)?;
                s.serialize_field("file", file)?;
                s.serialize_field("item", item)?;
                s.end()
            }
            Place::File { path } => {
                let mut s = serializer.serialize_struct("Place", 1)?;
                s.serialize_field("file", path)?;
                s.end()
            }
        }
    }
}

fn serialize_text_place<S: Serializer>(
    source: &Source,
    span: &Range<usize>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (line, column) = source.line_column(span.start);
    let (end_line, end_column) = source.line_column(span.end);
    let mut s = serializer.serialize_struct("Place", 6)?;
    s.serialize_field("file", &source.name)?;
    s.serialize_field("span", &[span.start, span.end])?;
    s.serialize_field("line", &line)?;
    s.serialize_field("column", &column)?;
    s.serialize_field("end_line", &end_line)?;
    s.serialize_field("end_column", &end_column)?;
    s.end()
}

/// A place and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What; may be empty.
    pub message: String,
}

impl Label {
    /// Points into a text.
    pub fn text(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Label {
        Label { place: Place::Text { source: source.clone(), span }, message: message.into() }
    }

    /// Points at a named part of a file.
    pub fn item(file: &str, item: impl Into<String>, message: impl Into<String>) -> Label {
        let place = Place::Item { file: file.to_owned(), item: item.into() };
        Label { place, message: message.into() }
    }

    /// Points at a file.
    pub fn file(path: impl Into<String>, message: impl Into<String>) -> Label {
        Label { place: Place::File { path: path.into() }, message: message.into() }
    }
}

/// One thing to tell the user. The first label is the place of the problem,
/// further ones give context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable code, explained by [`Code::explanation`].
    pub code: Code,
    /// One line that says what is wrong.
    pub title: String,
    /// Where.
    pub labels: Vec<Label>,
    /// Background that helps to understand.
    pub notes: Vec<String>,
    /// The next step.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without places yet.
    pub fn error(code: Code, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, title.into())
    }

    /// A warning without places yet.
    pub fn warning(code: Code, title: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, title.into())
    }

    fn new(severity: Severity, code: Code, title: String) -> Diagnostic {
        Diagnostic { severity, code, title, labels: Vec::new(), notes: Vec::new(), help: None }
    }

    /// Adds a label.
    pub fn label(mut self, label: Label) -> Diagnostic {
        self.labels.push(label);
        self
    }

    /// Adds a note.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Sets the next step.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// What a stage found, in the order it found it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// None so far.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds the error of a failed step and goes on without its result.
    pub fn take<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.push(diagnostic)).ok()
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there are so many that more would not help. Stages stop looking
    /// then, which also bounds the time that a crafted input can take.
    pub fn is_full(&self) -> bool {
        const ENOUGH: usize = 64;
        self.list.len() >= ENOUGH
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Text for a terminal or a log, with ANSI colours if asked.
    pub fn render(&self, colour: bool) -> String {
        self.list.iter().map(|d| render::render(d, colour)).collect::<Vec<_>>().join("\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics { list: vec![diagnostic] }
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, iter: I) {
        self.list.extend(iter);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
