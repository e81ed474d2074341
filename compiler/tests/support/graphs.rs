//! Graphs of operators with operands, results and settings at random, of which few make sense.

use super::support::{Tensor, float, int, ints, model_in, node_of, text};

const OPERATORS: [&str; 36] = [
    "Conv",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "AveragePool",
    "GlobalAveragePool",
    "ReduceMean",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Neg",
    "Sum",
    "Flatten",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Pad",
    "Identity",
    "Cast",
    "Dropout",
    "Constant",
    "Shape",
    "Gather",
    "Concat",
    "Slice",
    "ConstantOfShape",
    "Sqrt",
    "ReduceProd",
    "Relu",
    "Erf",
    "MaxPool",
    "GlobalMaxPool",
    "Softmax",
];
const SETTINGS: [&str; 24] = [
    "kernel_shape",
    "strides",
    "pads",
    "dilations",
    "axes",
    "perm",
    "axis",
    "group",
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "keepdims",
    "noop_with_empty_axes",
    "transA",
    "transB",
    "alpha",
    "epsilon",
    "to",
    "training_mode",
    "allowzero",
    "mode",
    "value",
    "value_ints",
    "start",
];
const TEXTS: [&str; 6] = ["", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "edge"];
const INTEGERS: [i64; 12] = [0, 1, 2, 3, 4, -1, -2, 8, 1, 2, i64::MAX, i64::MIN];
const INPUTS: [&[i64]; 9] = [
    &[-1, 1, 6, 6],
    &[2, 2, 4, 4],
    &[1, 2, 4, 4],
    &[1, 8],
    &[3, 8],
    &[8],
    &[1, 4, 4],
    &[1, 2, 1, 1],
    &[1 << 19, 1, 2, 2],
];
const OPSETS: [i64; 6] = [7, 9, 11, 13, 14, 18];

/// A file of a graph that a list of choices stands for.
pub fn graph(choices: &[u32]) -> Vec<u8> {
    let mut choices = Choices(choices.iter());
    let (opset, input) = (choices.of(&OPSETS), choices.of(&INPUTS));
    let constants = constants(&mut choices);
    let mut values: Vec<String> = vec!["x".into()];
    let mut nodes = Vec::new();
    while nodes.is_empty() || (choices.0.len() > 0 && nodes.len() < 12) {
        let inputs: Vec<String> = (0..choices.below(5)).map(|n| operand(n, &values, &mut choices)).collect();
        let mut outputs = vec![format!("v{}", nodes.len())];
        outputs.extend((0..choices.below(5).saturating_sub(2)).map(|n| format!("r{n}of{}", nodes.len())));
        if choices.below(16) == 0 {
            outputs[0].clear();
        }
        let settings: Vec<Vec<u8>> = (0..choices.below(4)).map(|_| setting(&mut choices)).collect();
        let [inputs, names] =
            [&inputs, &outputs].map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        nodes.push(node_of(choices.of(&OPERATORS), "", &inputs, &names, &settings));
        values.extend(outputs);
    }
    let output = values[values.len() - 1 - choices.below(2).min(values.len() - 1)].clone();
    model_in(opset, &nodes, &constants, input, &output)
}

struct Choices<'a>(std::slice::Iter<'a, u32>);

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |&choice| choice as usize % bound)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The first operand is most often the value before; others are most often constants.
fn operand(n: usize, values: &[String], choices: &mut Choices<'_>) -> String {
    const NAMES: [&str; 14] =
        ["w", "k", "m", "n", "two", "four", "one", "scalar", "list", "axes", "zeros", "", "nothing", "list"];
    match (n, choices.below(8)) {
        (0, 0..6) | (_, 0) => values[values.len() - 1].clone(),
        (_, 1) => values[choices.below(values.len())].clone(),
        (_, _) => choices.of(&NAMES).to_owned(),
    }
}

fn constants(choices: &mut Choices<'_>) -> Vec<Tensor> {
    let lists: [&[i64]; 8] =
        [&[1, -1], &[0, 0, 0, 0, 0, 0, 1, 1], &[2, 3], &[-1], &[1, 0, -1], &[8], &[], &[1, 2, 4, 4]];
    let mut constants = vec![
        Tensor::new("w", &[2, 1, 3, 3]),
        Tensor::new("k", &[2, 2, 2, 2]),
        Tensor::new("m", &[8, 3]),
        Tensor::new("n", &[36, 4]),
        Tensor::new("two", &[2]),
        Tensor::new("four", &[4]),
        Tensor::new("one", &[1]),
        Tensor::new("scalar", &[]),
        Tensor::list("list", choices.of(&lists)),
        Tensor::list("axes", choices.of(&lists)),
        Tensor::list("zeros", &[0; 8]),
    ];
    constants[4].values = vec![1.0, 2.0];
    constants
}

/// A setting of any name, with a value of any type.
fn setting(choices: &mut Choices<'_>) -> Vec<u8> {
    let name = choices.of(&SETTINGS);
    match choices.below(8) {
        0..4 => {
            let values: Vec<i64> = (0..choices.below(9)).map(|_| choices.of(&INTEGERS)).collect();
            ints(name, &values)
        }
        4 | 5 => int(name, choices.of(&INTEGERS)),
        6 => float(name, choices.of(&[0.0, 1.0, -0.5, f32::INFINITY, f32::NAN])),
        _ => text(name, choices.of(&TEXTS)),
    }
}
