//! The form of every operator that is read: how many operands it takes and which settings it has.
//!
//! A node is held to its form before anything is made of it, so that no operand and no setting
//! is passed over in silence.

use super::node::Node;
use super::proto;
use crate::diag::{Code, Diagnostic};
use Kind::{Float, Floats, Int, Ints, Tensor, Text};

/// Type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Int,
    Text,
    Tensor,
    Floats,
    Ints,
}

impl Kind {
    /// ONNX's number for it, and words.
    fn about(self) -> (i32, &'static str) {
        match self {
            Float => (1, "a number"),
            Int => (2, "an integer"),
            Text => (3, "a text"),
            Tensor => (4, "a tensor"),
            Floats => (6, "a list of numbers"),
            Ints => (7, "a list of integers"),
        }
    }

    /// Whether a setting is of this type and holds nothing of another.
    fn holds(self, setting: &proto::Attribute) -> bool {
        let filled = [
            (Float, setting.f != 0.0),
            (Int, setting.i != 0),
            (Text, !setting.s.is_empty()),
            (Tensor, setting.t.is_some()),
            (Floats, !setting.floats.is_empty()),
            (Ints, !setting.ints.is_empty()),
        ];
        // Files older than the field for it state no type.
        let is_stated = setting.r#type == 0 || setting.r#type == self.about().0;
        is_stated && filled.into_iter().all(|(kind, is_filled)| kind == self || !is_filled)
    }
}

/// An operator: its name, the operands it takes at most, its settings.
type Form = (&'static str, usize, &'static [(&'static str, Kind)]);

/// Settings of windows.
const AUTO_PAD: (&str, Kind) = ("auto_pad", Text);
const CEIL_MODE: (&str, Kind) = ("ceil_mode", Int);
const DILATIONS: (&str, Kind) = ("dilations", Ints);
const KERNEL: (&str, Kind) = ("kernel_shape", Ints);
const PADS: (&str, Kind) = ("pads", Ints);
const STRIDES: (&str, Kind) = ("strides", Ints);
/// Settings of reductions.
const REDUCTION: &[(&str, Kind)] = &[("axes", Ints), ("keepdims", Int), ("noop_with_empty_axes", Int)];
/// Constants in their several spellings.
const CONSTANT: &[(&str, Kind)] = &[
    ("value", Tensor),
    ("value_float", Float),
    ("value_floats", Floats),
    ("value_int", Int),
    ("value_ints", Ints),
];

/// Operators of encrypted values, also of those that training replaces.
const ENCRYPTED: &[Form] = &[
    ("Conv", 3, &[AUTO_PAD, DILATIONS, ("group", Int), KERNEL, PADS, STRIDES]),
    ("Gemm", 3, &[("alpha", Float), ("beta", Float), ("transA", Int), ("transB", Int)]),
    ("MatMul", 2, &[]),
    (
        "BatchNormalization",
        5,
        &[("epsilon", Float), ("momentum", Float), ("spatial", Int), ("training_mode", Int)],
    ),
    ("AveragePool", 1, &[AUTO_PAD, CEIL_MODE, ("count_include_pad", Int), DILATIONS, KERNEL, PADS, STRIDES]),
    ("GlobalAveragePool", 1, &[]),
    ("ReduceMean", 2, REDUCTION),
    ("Add", 2, &[]),
    ("Sub", 2, &[]),
    ("Mul", 2, &[]),
    ("Div", 2, &[]),
    ("Pow", 2, &[]),
    ("Neg", 1, &[]),
    ("Sum", usize::MAX, &[]),
    ("Flatten", 1, &[("axis", Int)]),
    ("Reshape", 2, &[("allowzero", Int)]),
    ("Transpose", 1, &[("perm", Ints)]),
    ("Squeeze", 2, &[("axes", Ints)]),
    ("Unsqueeze", 2, &[("axes", Ints)]),
    ("Pad", 4, &[("mode", Text), PADS, ("value", Float)]),
    ("Identity", 1, &[]),
    ("Cast", 1, &[("to", Int), ("saturate", Int), ("round_mode", Text)]),
    ("Dropout", 3, &[("ratio", Float), ("seed", Int)]),
];

/// Operators that yield constants.
const CONSTANTS: &[Form] = &[
    ("Constant", 0, CONSTANT),
    ("Shape", 1, &[("start", Int), ("end", Int)]),
    ("Gather", 2, &[("axis", Int)]),
    ("Concat", usize::MAX, &[("axis", Int)]),
    ("Slice", 5, &[("axes", Ints), ("starts", Ints), ("ends", Ints)]),
    ("ConstantOfShape", 1, &[("value", Tensor)]),
    ("Sqrt", 1, &[]),
    ("ReduceProd", 2, REDUCTION),
];

/// Operators that training replaces.
const REPLACED: &[Form] = &[
    ("Relu", 1, &[]),
    ("Sigmoid", 1, &[]),
    ("Tanh", 1, &[]),
    ("Erf", 1, &[]),
    ("Gelu", 1, &[("approximate", Text)]),
    ("Swish", 1, &[("alpha", Float)]),
    ("MaxPool", 1, &[AUTO_PAD, CEIL_MODE, DILATIONS, KERNEL, PADS, ("storage_order", Int), STRIDES]),
    ("GlobalMaxPool", 1, &[]),
];

/// Names of the operators that encrypted values may be given to.
pub(super) fn encrypted() -> impl Iterator<Item = &'static str> + Clone {
    ENCRYPTED.iter().map(|form| form.0)
}

/// Holds a node to the form of its operator; operators without one are refused elsewhere.
pub(super) fn check(node: Node<'_>) -> Result<(), Diagnostic> {
    let mut forms = ENCRYPTED.iter().chain(CONSTANTS).chain(REPLACED);
    let Some((op, most, settings)) = forms.find(|form| form.0 == node.op()) else { return Ok(()) };
    let n_operands = node.proto.input.len();
    if n_operands > *most {
        let title = format!("`{op}` takes at most {most} operands, {n_operands} are given");
        return Err(node.problem(Code::BadParameter, title).help("export the model again"));
    }
    let given = &node.proto.attribute;
    given.iter().enumerate().try_for_each(|(at, setting)| {
        let name = setting.name.as_str();
        if given[..at].iter().any(|before| before.name == name) {
            let title = format!("the setting `{name}` of `{op}` is given twice");
            return Err(node.problem(Code::BadParameter, title).help("export the model again"));
        }
        match settings.iter().find(|known| known.0 == name) {
            Some((_, kind)) if kind.holds(setting) => Ok(()),
            Some((_, kind)) => {
                let title = format!("the setting `{name}` of `{op}` is not {}", kind.about().1);
                Err(node.problem(Code::BadParameter, title).help("export the model again"))
            }
            None => {
                let help = "leave it out, or export with operator set 17";
                Err(node.unsupported(&format!("the setting `{name}`"), help))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_hold_what_their_type_says() {
        let ints = |kind: i32| proto::Attribute { ints: vec![2], r#type: kind, ..Default::default() };
        assert!(Ints.holds(&ints(7)) && Ints.holds(&ints(0)));
        assert!(!Int.holds(&ints(7)) && !Int.holds(&ints(0)) && !Int.holds(&ints(2)));
        assert!(Int.holds(&proto::Attribute { r#type: 2, ..Default::default() }));
    }

    #[test]
    fn operators_have_one_form() {
        let mut names: Vec<&str> =
            [ENCRYPTED, CONSTANTS, REPLACED].concat().iter().map(|form| form.0).collect();
        let n_forms = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n_forms);
    }
}
