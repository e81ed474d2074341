//! Turns a diagnostic into text: codespan draws the snippets, the places
//! without text and the `note:` and `help:` lines follow in the same style.

use super::{Diagnostic, Label, Place, Severity};
use codespan_reporting::{
    diagnostic as codespan,
    files::SimpleFiles,
    term::{
        self,
        termcolor::{Buffer, Color, ColorSpec, WriteColor},
    },
};
use std::{io, io::Write, sync::Arc};

/// The text of one diagnostic, ending in a newline.
pub(super) fn render(diagnostic: &Diagnostic, colour: bool) -> String {
    let mut out = if colour { Buffer::ansi() } else { Buffer::no_color() };
    write_all(&mut out, diagnostic).expect("writing to memory succeeds");
    String::from_utf8_lossy(out.as_slice()).into_owned()
}

fn write_all(out: &mut Buffer, diagnostic: &Diagnostic) -> io::Result<()> {
    write_snippets(out, diagnostic)?;
    for label in &diagnostic.labels {
        write_plain_place(out, label)?;
    }
    for note in &diagnostic.notes {
        write_trailer(out, "note", Color::Green, note)?;
    }
    match &diagnostic.help {
        Some(help) => write_trailer(out, "help", Color::Cyan, help),
        None => Ok(()),
    }
}

/// Header and every label that points into text.
fn write_snippets(out: &mut Buffer, diagnostic: &Diagnostic) -> io::Result<()> {
    let mut files = SimpleFiles::new();
    let mut sources: Vec<&Arc<super::Source>> = Vec::new();
    let mut labels = Vec::new();
    for label in &diagnostic.labels {
        let Place::Text { source, span } = &label.place else { continue };
        let known = sources.iter().position(|s| Arc::ptr_eq(s, source));
        let file = known.unwrap_or_else(|| {
            sources.push(source);
            files.add(source.name.as_str(), source.text.as_str())
        });
        let style = match labels.is_empty() {
            true => codespan::LabelStyle::Primary,
            false => codespan::LabelStyle::Secondary,
        };
        let end = span.end.min(source.text.len());
        let range = span.start.min(end)..end;
        labels.push(codespan::Label::new(style, file, range).with_message(&label.message));
    }
    let severity = match diagnostic.severity {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
        Severity::Note => codespan::Severity::Note,
    };
    let drawn = codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.title)
        .with_labels(labels);
    let mut text = if out.supports_color() { Buffer::ansi() } else { Buffer::no_color() };
    term::emit_to_write_style(&mut text, &term::Config::default(), &files, &drawn)
        .map_err(io::Error::other)?;
    out.write_all(text.as_slice().trim_ascii_end())?;
    writeln!(out)
}

fn write_plain_place(out: &mut Buffer, label: &Label) -> io::Result<()> {
    let place = match &label.place {
        Place::Text { .. } => return Ok(()),
        Place::Item { file, item } => format!("{file}: {item}"),
        Place::File { path } => path.clone(),
    };
    write_coloured(out, "  ┌─ ", Color::Blue)?;
    writeln!(out, "{place}")?;
    for line in label.message.lines() {
        write_coloured(out, "  │  ", Color::Blue)?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_trailer(out: &mut Buffer, word: &str, colour: Color, text: &str) -> io::Result<()> {
    write_coloured(out, word, colour)?;
    let mut lines = text.lines();
    writeln!(out, ": {}", lines.next().unwrap_or_default())?;
    lines.try_for_each(|line| writeln!(out, "      {line}"))
}

fn write_coloured(out: &mut Buffer, text: &str, colour: Color) -> io::Result<()> {
    out.set_color(ColorSpec::new().set_fg(Some(colour)))?;
    out.write_all(text.as_bytes())?;
    out.reset()
}
