//! Typed access to the arguments of one layer.

use super::ast::{Argument, Call, Expression};
use super::layers::Kind;
use crate::diag::{Code, Diagnostic, Label, Source, closest};
use std::{ops::Range, sync::Arc};

/// Arguments of one call, sorted into operands and settings.
pub(super) struct Arguments<'c, 'source> {
    /// The text.
    pub source: &'c Arc<Source>,
    /// The call.
    pub call: &'c Call<'source>,
    operands: Vec<&'c Argument<'source>>,
    settings: Vec<(&'c str, &'c Argument<'source>)>,
}

impl<'c, 'source> Arguments<'c, 'source> {
    /// Sorts arguments: first as many operands as `kind` takes, then settings,
    /// of which the first may lack its name.
    pub fn sort(
        source: &'c Arc<Source>,
        call: &'c Call<'source>,
        kind: &'c Kind,
    ) -> Result<Arguments<'c, 'source>, Vec<Diagnostic>> {
        let (operands, settings) = (Vec::new(), Vec::new());
        let mut sorted = Arguments { source, call, operands, settings };
        let problems: Vec<_> =
            call.arguments.iter().filter_map(|argument| sorted.place(argument, kind).err()).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        match sorted.operands.len() == kind.n_operands {
            true => Ok(sorted),
            false => {
                let title = format!("`{}` takes {}", kind.name, count(kind.n_operands));
                Err(vec![sorted.problem(title, call.span.clone(), kind.usage)])
            }
        }
    }

    fn place(&mut self, argument: &'c Argument<'source>, kind: &'c Kind) -> Result<(), Diagnostic> {
        let span = argument.value.span.clone();
        let name = match &argument.name {
            Some(name) => name.value,
            None if self.operands.len() < kind.n_operands => {
                self.operands.push(argument);
                return Ok(());
            }
            None => match kind.settings.first() {
                Some(first) if self.settings.is_empty() && kind.first_unnamed => first,
                Some(_) | None => {
                    let title = format!("`{}` takes {}", kind.name, count(kind.n_operands));
                    return Err(self.problem(title, span, "one too many").help(kind.usage));
                }
            },
        };
        if !kind.settings.contains(&name) {
            return Err(self.unknown_setting(argument, name, kind));
        }
        if self.settings.iter().any(|(known, _)| *known == name) {
            return Err(self.problem(format!("`{name}` is given twice"), span, "again here"));
        }
        self.settings.push((name, argument));
        Ok(())
    }

    fn unknown_setting(&self, argument: &Argument<'_>, name: &str, kind: &Kind) -> Diagnostic {
        let span = argument.name.as_ref().map_or(argument.value.span.clone(), |n| n.span.clone());
        let title = format!("`{}` has no argument `{name}`", kind.name);
        let near = closest(name, kind.settings.iter().copied());
        let help = near.map_or(kind.usage.to_owned(), |near| format!("did you mean `{near}`?"));
        self.problem(title, span, "not known here").help(help)
    }

    /// An error about a part of the call.
    pub fn problem(&self, title: String, span: Range<usize>, message: &str) -> Diagnostic {
        let label = Label::text(self.source, span, message);
        Diagnostic::error(Code::BadArgument, title).label(label)
    }

    /// Name and place of operand `n`.
    pub fn operand(&self, n: usize) -> Result<(&'source str, Range<usize>), Diagnostic> {
        let argument = self.operands[n];
        let span = argument.value.span.clone();
        match argument.value.value {
            Expression::Name(name) => Ok((name, span)),
            Expression::Text(_) | Expression::Number(_) | Expression::List(_) => {
                let title = format!("an operand of `{}` is not a layer", self.call.function.value);
                Err(self.problem(title, span, "expected the name of an earlier layer"))
            }
        }
    }

    /// A setting as written.
    pub fn get(&self, name: &str) -> Option<&'c Argument<'source>> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, argument)| *argument)
    }

    /// The error of a setting that must be there.
    pub fn missing(&self, name: &str) -> Diagnostic {
        let title = format!("`{}` needs `{name}`", self.call.function.value);
        self.problem(title, self.call.span.clone(), &format!("`{name} = ...` is missing"))
    }

    fn wrong(&self, argument: &Argument<'_>, name: &str, expected: &str) -> Diagnostic {
        let title = format!("`{name}` has the wrong form");
        self.problem(title, argument.value.span.clone(), &format!("expected {expected}"))
    }

    /// A list of sizes; a single number counts as a list of one.
    pub fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, Diagnostic> {
        let Some(argument) = self.get(name) else { return Ok(None) };
        let sizes = match &argument.value.value {
            Expression::Number(number) => size(*number).map(|n| vec![n]),
            Expression::List(numbers) => numbers.iter().map(|&n| size(n)).collect(),
            Expression::Name(_) | Expression::Text(_) => None,
        };
        sizes.map(Some).ok_or_else(|| self.wrong(argument, name, "whole numbers, not negative"))
    }

    /// One size.
    pub fn size(&self, name: &str) -> Result<Option<usize>, Diagnostic> {
        match (self.sizes(name)?.as_deref(), self.get(name)) {
            (None, _) | (_, None) => Ok(None),
            (Some(&[size]), _) => Ok(Some(size)),
            (Some(_), Some(argument)) => Err(self.wrong(argument, name, "one whole number")),
        }
    }

    /// A size for rows and one for columns.
    pub fn pair(&self, name: &str) -> Result<Option<[usize; 2]>, Diagnostic> {
        match (self.sizes(name)?.as_deref(), self.get(name)) {
            (None, _) | (_, None) => Ok(None),
            (Some(&[both]), _) => Ok(Some([both; 2])),
            (Some(&[rows, columns]), _) => Ok(Some([rows, columns])),
            (Some(_), Some(argument)) => Err(self.wrong(argument, name, "a number or [rows, columns]")),
        }
    }

    /// Zeros at top, left, bottom and right.
    pub fn padding(&self) -> Result<[usize; 4], Diagnostic> {
        match (self.sizes("padding")?.as_deref(), self.get("padding")) {
            (None, _) | (_, None) => Ok([0; 4]),
            (Some(&[all]), _) => Ok([all; 4]),
            (Some(&[rows, columns]), _) => Ok([rows, columns, rows, columns]),
            (Some(&[top, left, bottom, right]), _) => Ok([top, left, bottom, right]),
            (Some(_), Some(argument)) => {
                let expected = "a number, [rows, columns] or [top, left, bottom, right]";
                Err(self.wrong(argument, "padding", expected))
            }
        }
    }

    /// A number.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, Diagnostic> {
        match self.get(name) {
            None => Ok(default),
            Some(Argument { value, .. }) if matches!(value.value, Expression::Number(_)) => {
                match value.value {
                    Expression::Number(number) => Ok(number),
                    Expression::Name(_) | Expression::Text(_) | Expression::List(_) => Ok(default),
                }
            }
            Some(argument) => Err(self.wrong(argument, name, "a number")),
        }
    }

    /// `true` or `false`.
    pub fn truth(&self, name: &str, default: bool) -> Result<bool, Diagnostic> {
        match self.get(name).map(|argument| (argument, &argument.value.value)) {
            None => Ok(default),
            Some((_, Expression::Name("true"))) => Ok(true),
            Some((_, Expression::Name("false"))) => Ok(false),
            Some((argument, _)) => Err(self.wrong(argument, name, "true or false")),
        }
    }

    /// A list of numbers.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, Diagnostic> {
        match self.get(name).map(|argument| (argument, &argument.value.value)) {
            None => Err(self.missing(name)),
            Some((_, Expression::List(numbers))) => Ok(numbers.clone()),
            Some((argument, _)) => Err(self.wrong(argument, name, "a list of numbers")),
        }
    }
}

fn count(n: usize) -> String {
    match n {
        1 => "one layer as operand".to_owned(),
        n => format!("{n} layers as operands"),
    }
}

/// A whole number that is not negative.
pub(super) fn size(number: f64) -> Option<usize> {
    let is_size = number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
    is_size.then_some(number as usize)
}
