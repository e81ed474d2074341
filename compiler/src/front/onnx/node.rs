//! A node with typed access to its settings and messages that name it.

use super::proto;
use crate::diag::{Code, Diagnostic, Label, list};

/// Why a node has no value.
pub(super) enum Failure {
    /// An operand has none, which was reported before.
    Operand,
    /// A problem of this node.
    Problem(Box<Diagnostic>),
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Problem(Box::new(diagnostic))
    }
}

/// A node of the graph.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    /// As in the file.
    pub proto: &'a proto::Node,
    /// Path of the model, for messages.
    pub file: &'a str,
    /// Version of the operator set it is written in.
    pub opset: i64,
}

impl<'a> Node<'a> {
    /// Operator.
    pub fn op(self) -> &'a str {
        &self.proto.op_type
    }

    /// Name of the first result.
    pub fn output(self) -> &'a str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// Name of operand `n`, empty if there is none.
    pub fn input(self, n: usize) -> &'a str {
        self.proto.input.get(n).map_or("", String::as_str)
    }

    /// Name for the layer this node becomes.
    pub fn layer_name(self) -> &'a str {
        if self.proto.name.is_empty() { self.output() } else { &self.proto.name }
    }

    /// The node as a place.
    pub fn label(self, message: impl Into<String>) -> Label {
        let item = format!("node `{}` ({})", self.layer_name(), self.op());
        let message = message.into();
        match (message.is_empty(), self.output()) {
            (false, _) | (true, "") => Label::item(self.file, item, message),
            (true, output) => Label::item(self.file, item, format!("computes `{output}`")),
        }
    }

    /// An error at this node.
    pub fn problem(self, code: Code, title: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, title).label(self.label(""))
    }

    /// A setting that is known but has a value that is not supported.
    pub fn unsupported(self, setting: &str, help: &str) -> Diagnostic {
        let title = format!("`{}` with {setting} is not supported", self.op());
        self.problem(Code::UnsupportedAttribute, title).help(help)
    }

    fn attribute(self, name: &str) -> Option<&'a proto::Attribute> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    /// Whether a setting is given.
    pub fn has(self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer setting.
    pub fn int(self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// A numeric setting.
    pub fn float(self, name: &str, default: f64) -> f64 {
        self.attribute(name).map_or(default, |a| f64::from(a.f))
    }

    /// A list of integers.
    pub fn ints(self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    /// A list of numbers.
    pub fn floats(self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|a| a.floats.as_slice())
    }

    /// A text; empty if there is none.
    pub fn text(self, name: &str) -> &'a [u8] {
        self.attribute(name).map_or(b"", |a| a.s.as_slice())
    }

    /// A constant.
    pub fn tensor(self, name: &str) -> Option<&'a proto::Tensor> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// `n` sizes, `default` each if not given.
    pub fn sizes<const N: usize>(self, name: &str, default: usize) -> Result<[usize; N], Diagnostic> {
        let Some(given) = self.ints(name) else { return Ok([default; N]) };
        let sizes: Option<Vec<usize>> = given.iter().map(|&v| usize::try_from(v).ok()).collect();
        sizes.and_then(|sizes| sizes.try_into().ok()).ok_or_else(|| {
            let title = format!("`{name}` of {} is not {N} sizes", list(given));
            self.problem(Code::BadParameter, title).help("only two-dimensional images are supported")
        })
    }
}

/// Position of an axis counted from the front or, if negative, from the back.
pub(super) fn axis(node: Node<'_>, axis: i64, rank: usize) -> Result<usize, Diagnostic> {
    let from_front = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(from_front).ok().filter(|&a| a < rank).ok_or_else(|| {
        let title = format!("axis {axis} does not exist in a tensor of rank {rank}");
        node.problem(Code::BadParameter, title)
    })
}
