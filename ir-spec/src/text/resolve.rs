//! From the tree of a text to the circuit it stands for.
//!
//! Everything that a text can blow up (home runs, plaintext runs) is counted
//! against a limit before it is unfolded.

mod layout;
mod op;

use super::ast::{At, Const, File, Group, Input, Node, Output, Params, PlainRun, Repeat, Type, Word};
use super::lexer::unquote;
use super::{Finding, MAX_ERRORS, Span, code};
use crate::circuit::{self, Circuit, CtType, Op, Plain, Source, Value};
use crate::limits::{MAX_PLAIN_VALUES, MAX_SLOTS};
use crate::machine::free_memory;
use crate::params;
use crate::scale::{Level, Scale};
use crate::verify::{Place, VerifyError, verify};
use layout::HomeBudget;
use std::collections::HashMap;
use std::str::FromStr;

/// Builds and verifies the circuit of a file.
pub(super) fn resolve(file: &File<'_>) -> Result<Circuit, Vec<Finding>> {
    let mut resolver = Resolver { findings: Vec::new(), homes: HomeBudget::default() };
    resolver.limit_plains(&file.consts);
    if !resolver.findings.is_empty() {
        return Err(resolver.findings);
    }
    let circuit = resolver.circuit(file);
    if !resolver.findings.is_empty() {
        return Err(resolver.findings);
    }
    match verify(&circuit) {
        Ok(()) => Ok(circuit),
        Err(errors) => Err(errors.into_iter().take(MAX_ERRORS).map(|error| anchor(error, file)).collect()),
    }
}

/// Puts a broken invariant at the text it is about.
fn anchor(error: VerifyError, file: &File<'_>) -> Finding {
    let span = match error.place {
        Place::Circuit => file.name.span,
        Place::Layers => file.layers.span,
        Place::Params => file.params.as_ref().map_or(file.name.span, |params| params.span),
        Place::Input(index) => file.inputs[index].span,
        Place::Const(index) => file.consts[index].span,
        Place::Output(index) => file.outputs[index].span,
        Place::Value(value) => nodes(file).nth(value.index()).expect("values are nodes of the text").span,
    };
    Finding::new(error.rule.code(), span, error.message)
}

fn nodes<'f, 's>(file: &'f File<'s>) -> impl Iterator<Item = &'f At<Node<'s>>> {
    file.groups.iter().flat_map(|group| &group.nodes)
}

struct Resolver {
    findings: Vec<Finding>,
    homes: HomeBudget,
}

impl Resolver {
    fn report(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.findings.push(Finding::new(code, span, message));
    }

    /// Parses a token's number; reports and returns the default otherwise.
    fn number<T: FromStr + Default>(&mut self, word: Word<'_>, what: &str) -> T {
        word.node.parse().unwrap_or_else(|_| {
            self.report(code::NUMBER, word.span, format!("`{}` is no valid {what}", word.node));
            T::default()
        })
    }

    fn float(&mut self, word: Word<'_>) -> f64 {
        let value: f64 = self.number(word, "number");
        if value.is_infinite() && !word.node.ends_with("inf") {
            self.report(code::NUMBER, word.span, format!("`{}` is too large", word.node));
        }
        value
    }

    /// The number behind the sigil of a handle or level.
    fn handle(&mut self, span: Span, token: &str) -> u32 {
        self.number(At { span, node: &token[1..] }, "index")
    }

    fn name(&mut self, word: Word<'_>) -> String {
        unquote(word.node).unwrap_or_else(|| {
            self.report(code::STRING, word.span, "unknown escape in a name");
            String::new()
        })
    }

    fn circuit(&mut self, file: &File<'_>) -> Circuit {
        let n_slots = self.n_slots(file.slots);
        let sources: Vec<String> = file.layers.node.iter().map(|&layer| self.name(layer)).collect();
        let layer_of =
            sources.iter().enumerate().map(|(index, name)| (name.clone(), Source::new(index))).collect();
        Circuit {
            name: self.name(file.name),
            stage: file.stage,
            n_slots,
            params: file.params.as_ref().map(|params| self.params(&params.node)),
            inputs: file.inputs.iter().map(|input| self.input(&input.node, n_slots)).collect(),
            consts: file.consts.iter().enumerate().map(|(index, plain)| self.plain(index, plain)).collect(),
            nodes: self.nodes(&file.groups, &layer_of, n_slots),
            outputs: file.outputs.iter().map(|output| self.output(&output.node, n_slots)).collect(),
            sources,
        }
    }

    fn n_slots(&mut self, word: Word<'_>) -> usize {
        let n_slots = self.number(word, "slot count");
        if n_slots == 0 || n_slots > MAX_SLOTS {
            self.report(code::LIMIT, word.span, format!("the slot count is from 1 to {MAX_SLOTS}"));
            return MAX_SLOTS;
        }
        n_slots
    }

    fn params(&mut self, ast: &Params<'_>) -> params::Params {
        params::Params {
            ring_degree: self.number(ast.ring, "ring degree"),
            q: ast.q.iter().map(|&prime| self.number(prime, "prime")).collect(),
            p: ast.p.iter().map(|&prime| self.number(prime, "prime")).collect(),
            digit_limbs: self.number(ast.digit_limbs, "count"),
            security: ast.security,
        }
    }

    fn input(&mut self, ast: &Input<'_>, n_slots: usize) -> circuit::Input {
        circuit::Input {
            name: self.name(ast.name),
            layout: self.layout(&ast.layout, n_slots),
            range: (self.float(ast.range.0), self.float(ast.range.1)),
        }
    }

    fn output(&mut self, ast: &Output<'_>, n_slots: usize) -> circuit::Output {
        circuit::Output {
            name: self.name(ast.name),
            layout: self.layout(&ast.layout, n_slots),
            values: ast
                .values
                .iter()
                .map(|word| Value::new(self.handle(word.span, word.node) as usize))
                .collect(),
        }
    }

    /// Handles are numbered from zero in the order they are defined.
    fn defines(&mut self, word: Word<'_>, index: usize) {
        if self.handle(word.span, word.node) as usize != index {
            let sigil = &word.node[..1];
            self.report(
                code::NUMBERING,
                word.span,
                format!("defined out of order: {sigil}{index} comes next"),
            );
        }
    }

    /// Refuses plaintexts that together unfold to too much, or to more than is free, before any does.
    fn limit_plains(&mut self, consts: &[At<Const<'_>>]) {
        let free = free_memory().map_or(usize::MAX, |free| free / size_of::<f64>());
        let (most, mut total) = (MAX_PLAIN_VALUES.min(free), 0usize);
        let why = if free < MAX_PLAIN_VALUES { ", for which memory is free" } else { "" };
        for ast in consts {
            total = total.saturating_add(self.number(ast.node.period, "period"));
            if total > most {
                return self.report(
                    code::LIMIT,
                    ast.span,
                    format!("plaintexts unfold to more than {most} values{why}"),
                );
            }
        }
    }

    fn plain(&mut self, index: usize, ast: &At<Const<'_>>) -> Plain {
        self.defines(ast.node.handle, index);
        let period: usize = self.number(ast.node.period, "period");
        if !period.is_power_of_two() || period > MAX_SLOTS {
            self.report(
                code::LIMIT,
                ast.node.period.span,
                format!("a period is a power of two up to {MAX_SLOTS}"),
            );
            return Plain::new(vec![0.0]);
        }
        Plain::new(self.unfold(ast, period).unwrap_or_else(|| vec![0.0]))
    }

    /// Values of all runs, or `None` where they do not fill the period.
    fn unfold(&mut self, ast: &At<Const<'_>>, period: usize) -> Option<Vec<f64>> {
        let mut values = Vec::new();
        for run in &ast.node.runs {
            let room = period - values.len();
            let (items, times) = match &run.node {
                PlainRun::One(item) => (std::slice::from_ref(item), 1),
                PlainRun::Group(items, times) => (items.as_slice(), self.count(*times)),
            };
            let pattern = self.pattern(items, room);
            if pattern.len().saturating_mul(times) > room {
                self.report(code::RUN, run.span, format!("the run reaches past the period of {period}"));
                return None;
            }
            (0..times).for_each(|_| values.extend_from_slice(&pattern));
        }
        if values.len() != period {
            self.report(
                code::RUN,
                ast.span,
                format!("{} values are given for a period of {period}", values.len()),
            );
            return None;
        }
        Some(values)
    }

    /// One repetition of a run; one value too long if it exceeds the room.
    fn pattern(&mut self, items: &[Repeat<'_>], room: usize) -> Vec<f64> {
        let mut pattern = Vec::new();
        for item in items {
            let value = self.float(item.value);
            let count = item.count.map_or(1, |count| self.count(count));
            pattern.resize(pattern.len().saturating_add(count).min(room + 1), value);
        }
        pattern
    }

    /// A number of repetitions, at least one.
    fn count(&mut self, word: Word<'_>) -> usize {
        match self.number(word, "count") {
            0 => {
                self.report(code::NUMBER, word.span, "nothing is repeated less than once");
                1
            }
            count => count,
        }
    }

    fn nodes(
        &mut self,
        groups: &[Group<'_>],
        layer_of: &HashMap<String, Source>,
        n_slots: usize,
    ) -> Vec<circuit::Node> {
        let mut nodes = Vec::new();
        for group in groups {
            let name = self.name(group.layer);
            let source = layer_of.get(&name).copied().unwrap_or_else(|| {
                self.report(
                    code::LAYER,
                    group.layer.span,
                    format!("layer `{name}` is not listed in `layers`"),
                );
                Source::new(0)
            });
            for node in &group.nodes {
                self.defines(node.node.handle, nodes.len());
                nodes.push(self.node(&node.node, source, n_slots));
            }
        }
        nodes
    }

    /// A node; its op is `zero` where the text's is not understood.
    fn node(&mut self, ast: &Node<'_>, source: Source, n_slots: usize) -> circuit::Node {
        let op = self.op(ast, n_slots).unwrap_or(Op::Zero);
        let ty = ast.ty.as_ref().map(|ty| self.ct_type(ty));
        circuit::Node { op, ty, source }
    }

    fn ct_type(&mut self, ast: &Type<'_>) -> CtType {
        let log2: f64 = self.number(At { span: ast.scale.span, node: &ast.scale.node[2..] }, "scale");
        CtType {
            level: Level(self.handle(ast.level.span, ast.level.node)),
            scale: Scale::from_log2(log2),
            degree: ast.degree.map_or(1, |degree| self.number(degree, "degree")),
        }
    }
}
