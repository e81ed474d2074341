//! Parses a model text and explains what does not parse.

use super::ast::File;
use super::lexer::{Token, words};
use crate::diag::{Code, Diagnostic, Diagnostics, Label, Source, closest};
use lalrpop_util::{ParseError, lalrpop_mod};
use std::sync::Arc;

lalrpop_mod!(
    #[allow(missing_docs, clippy::all, clippy::unwrap_used, unused)]
    grammar,
    "/grammar.rs"
);

/// Words that begin a statement.
const KEYWORDS: [&str; 4] = ["model", "weights", "input", "output"];

/// The text, as far as it parses; problems go to `diagnostics`.
pub(super) fn parse<'source>(
    source: &'source Arc<Source>,
    diagnostics: &mut Diagnostics,
) -> Option<File<'source>> {
    let mut problems = Vec::new();
    let tokens = words(&source.text).into_iter().map(Ok);
    let parsed = grammar::FileParser::new().parse(&mut problems, tokens);
    for problem in problems {
        if !diagnostics.is_full() {
            diagnostics.push(explain(source, problem.error));
        }
    }
    parsed.map_err(|error| diagnostics.push(explain(source, error))).ok()
}

fn explain(source: &Arc<Source>, error: ParseError<usize, Token<'_>, ()>) -> Diagnostic {
    let (title, span, expected) = match error {
        ParseError::UnrecognizedToken { token: (start, token, end), expected } => {
            (unexpected(source, start, token, end), start..end, expected)
        }
        ParseError::UnrecognizedEof { location, expected } => {
            ("the text ends too early".to_owned(), location..location, expected)
        }
        ParseError::ExtraToken { token: (start, token, end) } => {
            (unexpected(source, start, token, end), start..end, Vec::new())
        }
        ParseError::InvalidToken { location } => {
            ("unknown character".to_owned(), location..location, Vec::new())
        }
        ParseError::User { .. } => unreachable!("the grammar raises no errors of its own"),
    };
    let hint = keyword_hint(source, span.start);
    let is_open_text = source.text[span.clone()].starts_with('"')
        && span.len() != 1
        && !source.text[span.clone()].ends_with('"');
    let message = if is_open_text { String::new() } else { expectation(&expected) };
    let label = Label::text(source, span, message);
    let diagnostic = Diagnostic::error(Code::Syntax, title).label(label);
    match hint {
        Some(keyword) => diagnostic.help(format!("did you mean `{keyword}`?")),
        None => diagnostic,
    }
}

fn unexpected(source: &Source, start: usize, token: Token<'_>, end: usize) -> String {
    match token {
        Token::Bad if source.text[start..].starts_with('"') => "a text is not closed".to_owned(),
        Token::Bad => format!("unexpected character `{}`", &source.text[start..end]),
        _ => format!("unexpected {token}"),
    }
}

/// `expected a, b or c`.
fn expectation(expected: &[String]) -> String {
    let shown = |name: &String| match name.trim_matches('"') {
        words @ ("a name" | "a text" | "a number" | "end of line") => words.to_owned(),
        symbol => format!("`{symbol}`"),
    };
    let names: Vec<String> =
        expected.iter().filter(|name| !name.contains("a character")).map(shown).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => format!("expected {last}"),
        Some((last, rest)) => format!("expected {} or {last}", rest.join(", ")),
    }
}

/// A keyword that the first word of the line may have meant.
fn keyword_hint(source: &Source, at: usize) -> Option<&'static str> {
    let before = &source.text[..at.min(source.text.len())];
    let line = &source.text[before.rfind('\n').map_or(0, |i| i + 1)..];
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
    let word = &line[..end];
    closest(word, KEYWORDS).filter(|keyword| *keyword != word)
}
