//! The text format of circuits: [`print()`] writes it, [`parse`] reads it back.
//!
//! `parse(&print(c))` is `c`, exactly, for every circuit that passes
//! [`crate::verify()`]. Reading happens in three steps, each bounded by the size
//! of the text: `lexer` and the generated grammar make a tree (`ast`) in which
//! run lengths are still numbers; `resolve` unfolds it within fixed limits and
//! builds the circuit; the verifier's findings are then reported at their line.

mod ast;
mod lexer;
mod print;
mod resolve;
mod runs;

use crate::circuit::Circuit;
use lexer::{Lexer, Token};
use std::fmt;
use std::ops::Range;
use thiserror::Error;

pub use print::{outline, print};

/// The version of the text format this crate writes and reads.
pub const VERSION: u32 = 1;

mod grammar {
    #![allow(missing_docs, clippy::all, clippy::unwrap_used, unused)]
    use lalrpop_util::lalrpop_mod;
    lalrpop_mod!(generated, "/text/grammar.rs");
    pub(super) use generated::FileParser;
}

/// A stretch of text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Range<usize> {
        span.start..span.end
    }
}

/// One thing wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct TextError {
    /// Stable code: `T...` for the text, `V...` for a broken invariant of the circuit.
    pub code: &'static str,
    /// What is wrong, in words.
    pub message: String,
    /// Where, in bytes.
    pub span: Span,
    /// Where: line, from one.
    pub line: usize,
    /// Where: column in characters, from one.
    pub column: usize,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: error[{}]: {}", self.line, self.column, self.code, self.message)
    }
}

/// Codes of errors in the text itself.
mod code {
    pub const CHARACTER: &str = "T001";
    pub const SYNTAX: &str = "T002";
    pub const VERSION: &str = "T003";
    pub const NUMBER: &str = "T004";
    pub const NUMBERING: &str = "T005";
    pub const OP: &str = "T006";
    pub const RUN: &str = "T007";
    pub const LAYER: &str = "T008";
    pub const STRING: &str = "T009";
    pub const LIMIT: &str = "T010";
}

/// A finding before its line is known.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    code: &'static str,
    span: Span,
    message: String,
}

impl Finding {
    fn new(code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        Finding { code, span, message: message.into() }
    }

    fn locate(self, text: &str) -> TextError {
        let before = &text[..text.floor_char_boundary(self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TextError {
            code: self.code,
            message: self.message,
            span: self.span,
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Reads a circuit and verifies it.
///
/// # Errors
/// The first syntax error; or everything that does not resolve; or every
/// broken invariant, each with its place in `text`.
pub fn parse(text: &str) -> Result<Circuit, Vec<TextError>> {
    let located =
        |findings: Vec<Finding>| findings.into_iter().take(MAX_ERRORS).map(|f| f.locate(text)).collect();
    check_version(text).map_err(|finding| located(vec![finding]))?;
    let file = grammar::FileParser::new()
        .parse(Lexer::new(text))
        .map_err(|error| located(vec![syntax(error, text)]))?;
    resolve::resolve(&file).map_err(located)
}

/// Errors reported at most; a broken header can break every line below it.
const MAX_ERRORS: usize = 100;

/// A text of another version is refused before its syntax is judged.
fn check_version(text: &str) -> Result<(), Finding> {
    let mut tokens = Lexer::new(text);
    let header = [tokens.next(), tokens.next()];
    let [Some(Ok((_, Token::Magic, _))), Some(Ok((start, Token::Number(version), end)))] = header else {
        return Err(Finding::new(
            code::VERSION,
            Span::default(),
            format!("a circuit starts with `hecc-ir {VERSION}`"),
        ));
    };
    if version == VERSION.to_string() {
        return Ok(());
    }
    let message = format!("text version {version} is not supported; this build reads version {VERSION}");
    Err(Finding::new(code::VERSION, Span { start, end }, message))
}

type ParseError<'s> = lalrpop_util::ParseError<usize, Token<'s>, Finding>;

fn syntax(error: ParseError<'_>, text: &str) -> Finding {
    match error {
        ParseError::User { error } => error,
        ParseError::InvalidToken { location } => {
            Finding::new(code::SYNTAX, Span { start: location, end: location }, "unreadable text")
        }
        ParseError::UnrecognizedEof { location, expected } => {
            let span = Span { start: location, end: location };
            Finding::new(code::SYNTAX, span, format!("the text ends early{}", expectation(&expected)))
        }
        ParseError::UnrecognizedToken { token: (start, _, end), expected } => {
            let message = format!("unexpected `{}`{}", &text[start..end], expectation(&expected));
            Finding::new(code::SYNTAX, Span { start, end }, message)
        }
        ParseError::ExtraToken { token: (start, _, end) } => Finding::new(
            code::SYNTAX,
            Span { start, end },
            format!("unexpected `{}` after the circuit", &text[start..end]),
        ),
    }
}

/// What the grammar would take, by the names its tokens have there.
fn expectation(expected: &[String]) -> String {
    let names: Vec<_> = expected.iter().map(|name| format!("`{}`", name.trim_matches('"'))).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("; expected {one}"),
        many => format!("; expected one of {}", many.join(", ")),
    }
}
