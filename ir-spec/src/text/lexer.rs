//! Tokens of the text format.

use super::{Finding, Span, code};
use logos::Logos;

/// A token; those with a payload keep their spelling.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"#[^\n]*", allow_greedy = true))]
pub(crate) enum Token<'s> {
    #[token("hecc-ir")]
    Magic,
    #[token("circuit")]
    Circuit,
    #[token("abstract")]
    Abstract,
    #[token("leveled")]
    Leveled,
    #[token("slots")]
    Slots,
    #[token("params")]
    Params,
    #[token("ring")]
    Ring,
    #[token("q")]
    Q,
    #[token("p")]
    P,
    #[token("digit_limbs")]
    DigitLimbs,
    #[token("security")]
    Security,
    #[token("classical128")]
    Classical128,
    #[token("classical192")]
    Classical192,
    #[token("classical256")]
    Classical256,
    #[token("insecure")]
    Insecure,
    #[token("layers")]
    Layers,
    #[token("layer")]
    Layer,
    #[token("input")]
    Input,
    #[token("output")]
    Output,
    #[token("range")]
    Range,
    #[token("cts")]
    Cts,
    #[token("home")]
    Home,
    #[token("by")]
    By,
    #[token("replicas")]
    Replicas,
    #[token("dirty")]
    Dirty,
    #[token("const")]
    Const,
    #[token("period")]
    Period,
    #[token("layout")]
    Layout,
    #[token("zero")]
    Zero,
    #[token("deg")]
    Deg,
    #[token("=")]
    Equals,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("*")]
    Times,
    #[token("(")]
    Open,
    #[token(")")]
    Close,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[regex(r"[a-z_][a-z0-9_]*", |lex| lex.slice(), priority = 1)]
    Ident(&'s str),
    #[regex(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", |lex| lex.slice())]
    #[token("inf", |lex| lex.slice())]
    #[token("-inf", |lex| lex.slice())]
    Number(&'s str),
    #[regex(r"[0-9]+:[0-9]+", |lex| lex.slice())]
    Position(&'s str),
    #[regex(r"%[0-9]+", |lex| lex.slice())]
    Value(&'s str),
    #[regex(r"\$[0-9]+", |lex| lex.slice())]
    Constant(&'s str),
    #[regex(r"L[0-9]+", |lex| lex.slice())]
    Level(&'s str),
    #[regex(r"2\^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", |lex| lex.slice())]
    Scale(&'s str),
    #[regex(r"\[[0-9x]*\]", |lex| lex.slice())]
    Shape(&'s str),
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, |lex| lex.slice())]
    Str(&'s str),
}

/// Tokens with their places, as the generated parser takes them.
pub(crate) struct Lexer<'s>(logos::SpannedIter<'s, Token<'s>>);

impl<'s> Lexer<'s> {
    pub(crate) fn new(text: &'s str) -> Lexer<'s> {
        Lexer(Token::lexer(text).spanned())
    }
}

impl<'s> Iterator for Lexer<'s> {
    type Item = Result<(usize, Token<'s>, usize), Finding>;

    fn next(&mut self) -> Option<Self::Item> {
        let (token, span) = self.0.next()?;
        let span = Span { start: span.start, end: span.end };
        Some(match token {
            Ok(token) => Ok((span.start, token, span.end)),
            Err(()) => Err(Finding::new(code::CHARACTER, span, "unexpected character")),
        })
    }
}

/// Writes a name as a string token.
pub(crate) fn quote(name: &str) -> String {
    format!("{name:?}")
}

/// The name a string token stands for; `None` for an unknown escape.
pub(crate) fn unquote(token: &str) -> Option<String> {
    let mut name = String::with_capacity(token.len());
    let mut rest = token.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(c) = rest.next() {
        name.push(if c == '\\' { unescape(&mut rest)? } else { c });
    }
    Some(name)
}

fn unescape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        '0' => Some('\0'),
        'u' => {
            let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
            *rest = after.chars();
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
        quoted @ ('"' | '\\' | '\'') => Some(quoted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_quoting() {
        for name in ["fc1", "", "a \"b\" \\ c", "tab\tnew\nline\r\0", "ü→\u{7f}\u{200b}"] {
            assert_eq!(unquote(&quote(name)).as_deref(), Some(name));
        }
        assert_eq!(unquote(r#""\q""#), None);
        assert_eq!(unquote(r#""\u{110000}""#), None);
    }
}
