//! Words of the model language. Line ends count outside parentheses and
//! brackets, where they separate statements.

use logos::Logos;
use std::fmt;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Logos)]
#[logos(skip r"[ \t\r\f]+")]
#[logos(skip(r"(#|//)[^\n]*", allow_greedy = true))]
pub enum Token<'source> {
    /// `model`
    #[token("model")]
    Model,
    /// `weights`
    #[token("weights")]
    Weights,
    /// `random`
    #[token("random")]
    Random,
    /// `input`
    #[token("input")]
    Input,
    /// `output`
    #[token("output")]
    Output,
    /// `in`
    #[token("in")]
    In,
    /// A name.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Name(&'source str),
    /// A text without its quotes.
    #[regex("\"[^\"\n]*\"", |lex| &lex.slice()[1..lex.slice().len() - 1])]
    Text(&'source str),
    /// A number without its sign.
    #[regex(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", |lex| lex.slice().parse::<f64>().ok())]
    Number(f64),
    /// `{`
    #[token("{")]
    BraceOpen,
    /// `}`
    #[token("}")]
    BraceClose,
    /// `(`
    #[token("(")]
    ParenOpen,
    /// `)`
    #[token(")")]
    ParenClose,
    /// `[`
    #[token("[")]
    BracketOpen,
    /// `]`
    #[token("]")]
    BracketClose,
    /// `=`
    #[token("=")]
    Equals,
    /// `:`
    #[token(":")]
    Colon,
    /// `,`
    #[token(",")]
    Comma,
    /// `-`
    #[token("-")]
    Minus,
    /// `..`
    #[token("..")]
    Range,
    /// End of a statement.
    #[token("\n")]
    #[token(";")]
    End,
    /// Anything else.
    Bad,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Name(name) => write!(f, "`{name}`"),
            Token::Text(text) => write!(f, "\"{text}\""),
            Token::Number(number) => write!(f, "`{number}`"),
            Token::End => f.write_str("end of line"),
            Token::Bad => f.write_str("character"),
            Token::Model => f.write_str("`model`"),
            Token::Weights => f.write_str("`weights`"),
            Token::Random => f.write_str("`random`"),
            Token::Input => f.write_str("`input`"),
            Token::Output => f.write_str("`output`"),
            Token::In => f.write_str("`in`"),
            Token::BraceOpen => f.write_str("`{`"),
            Token::BraceClose => f.write_str("`}`"),
            Token::ParenOpen => f.write_str("`(`"),
            Token::ParenClose => f.write_str("`)`"),
            Token::BracketOpen => f.write_str("`[`"),
            Token::BracketClose => f.write_str("`]`"),
            Token::Equals => f.write_str("`=`"),
            Token::Colon => f.write_str("`:`"),
            Token::Comma => f.write_str("`,`"),
            Token::Minus => f.write_str("`-`"),
            Token::Range => f.write_str("`..`"),
        }
    }
}

/// Start, word and end, as the parser takes them.
pub(super) type Spanned<'source> = (usize, Token<'source>, usize);

/// All words of a text. Unknown characters become [`Token::Bad`], so that the
/// parser can report them and go on.
pub(super) fn words(text: &str) -> Vec<Spanned<'_>> {
    let mut words: Vec<Spanned<'_>> = Vec::new();
    let mut depth = 0usize;
    for (token, span) in Token::lexer(text).spanned() {
        let token = token.unwrap_or(Token::Bad);
        match token {
            Token::ParenOpen | Token::BracketOpen => depth += 1,
            Token::ParenClose | Token::BracketClose => depth = depth.saturating_sub(1),
            // These begin or end statements: a parenthesis was left open.
            Token::Weights | Token::Input | Token::Output | Token::BraceClose if depth > 0 => {
                depth = 0;
                words.push((span.start, Token::End, span.start));
            }
            Token::End if begins_layer(&text[span.end..]) => depth = 0,
            Token::End if depth > 0 && text[span.clone()] == *"\n" => continue,
            _ => {}
        }
        // An error at the end of a line is shown there, not on the next.
        let end = if token == Token::End { span.start } else { span.end };
        words.push((span.start, token, end));
    }
    words
}

/// Whether a line reads `name = kind(`, which no argument does.
fn begins_layer(line: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let blank = [' ', '\t'];
    let after_name = |text: &'_ str| {
        let text = text.trim_start_matches(blank);
        let rest = text.trim_start_matches(is_name);
        (rest.len() < text.len()).then_some(rest.len())
    };
    let tail = |length: usize| line[line.len() - length..].trim_start_matches(blank);
    let Some(equals) = after_name(line) else { return false };
    let Some(kind) = tail(equals).strip_prefix('=') else { return false };
    after_name(kind).is_some_and(|length| tail(length).starts_with('('))
}
