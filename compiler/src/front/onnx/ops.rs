//! What each ONNX operator becomes.

mod activation;
mod linear;
mod pad;
mod pointwise;
pub(super) mod reshape;
mod window;

use super::import::{Importer, Value};
use super::node::{Failure, Node};
use super::{fold, forms};
use crate::diag::{Code, Diagnostic, Diagnostics, closest};

/// The value of a node's first result. Operators that only lack an encrypted
/// form are reported here and passed over, so that what follows them is
/// checked too.
pub(super) fn translate<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    diagnostics: &mut Diagnostics,
) -> Result<Value, Failure> {
    if !matches!(node.proto.domain.as_str(), "" | "ai.onnx") {
        let title = format!("`{}` belongs to the operator set `{}`", node.op(), node.proto.domain);
        let help = "export with standard ONNX operators only";
        return Err(node.problem(Code::UnsupportedOp, title).help(help).into());
    }
    forms::check(node)?;
    not_in_training(importer, node)?;
    let is_accepted = importer.accept_unfriendly && is_replaceable(node);
    if let Some(problem) = unfriendly(node).filter(|_| !is_accepted) {
        diagnostics.push(problem);
        return stand_in(importer, node);
    }
    if let Some(constant) = fold::fold(importer, node)? {
        return Ok(constant);
    }
    match node.op() {
        "Conv" => window::conv(importer, node),
        "AveragePool" => window::average_pool(importer, node),
        "GlobalAveragePool" => window::global_average_pool(importer, node),
        "ReduceMean" => window::reduce_mean(importer, node),
        "Gemm" => linear::gemm(importer, node),
        "MatMul" => linear::mat_mul(importer, node),
        "BatchNormalization" => linear::batch_normalization(importer, node),
        "Add" | "Sum" => pointwise::sum(importer, node),
        "Sub" => pointwise::difference(importer, node),
        "Mul" => pointwise::product(importer, node),
        "Div" => pointwise::quotient(importer, node),
        "Pow" => pointwise::power(importer, node),
        "Neg" => pointwise::negation(importer, node),
        "Identity" | "Cast" | "Dropout" => same(importer, node),
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => reshape::reshape(importer, node),
        "Transpose" => reshape::transpose(importer, node),
        "Pad" => pad::pad(importer, node),
        "Relu" | "Sigmoid" | "Tanh" | "Gelu" | "Swish" => activation::nonlinear(importer, node),
        "Erf" => activation::erf(importer, node)?.ok_or_else(|| lone_erf(node).into()),
        "MaxPool" => window::max_pool(importer, node),
        "GlobalMaxPool" => window::global_max_pool(importer, node),
        _ => Err(unsupported(node).into()),
    }
}

/// Refuses operators that would update statistics or drop values at random.
fn not_in_training<'a>(importer: &Importer<'a>, node: Node<'a>) -> Result<(), Failure> {
    let is_training = match node.op() {
        // Before operator set 14, statistics of the batch as further results say so.
        "BatchNormalization" => {
            let has_statistics = node.proto.output.iter().skip(1).any(|name| !name.is_empty());
            node.int("training_mode", 0) != 0 || (node.opset < 14 && has_statistics)
        }
        "Dropout" => importer.optional(node, 2)?.is_some_and(|mode| mode.values != [0.0]),
        _ => false,
    };
    match is_training {
        false => Ok(()),
        true => {
            let title = format!("`{}` is in its form for training", node.op());
            let help = "export the model in inference mode: in PyTorch, call `model.eval()` before";
            Err(node.problem(Code::UnsupportedAttribute, title).help(help).into())
        }
    }
}

/// The operand itself: what changes it, types and training, is not here.
fn same<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    if node.op() == "Cast" && !matches!(node.int("to", 0), 1 | 10 | 11 | 16) {
        let title = "the encrypted value is cast to something else than floats";
        return Err(node.problem(Code::UnsupportedOp, title).help("keep it a float").into());
    }
    let mut flow = importer.flow(node, 0)?;
    flow.exclusive = importer.stays_exclusive(node, 0, &flow);
    Ok(Value::Flow(flow))
}

/// A value of the right shape for an operator without encrypted form.
fn stand_in<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Value, Failure> {
    match node.op() {
        "MaxPool" => window::average_pool(importer, node),
        "GlobalMaxPool" => window::global_average_pool(importer, node),
        _ => match importer.operand(node, 0)? {
            Value::Flow(flow) => Ok(Value::Flow(flow)),
            Value::Constant(_) | Value::Padded(_) | Value::Unknown => Err(Failure::Operand),
        },
    }
}

/// Whether the operator has no encrypted form but can become a layer that
/// training replaces.
fn is_replaceable(node: Node<'_>) -> bool {
    matches!(node.op(), "Relu" | "Sigmoid" | "Tanh" | "Gelu" | "Swish" | "Erf" | "MaxPool" | "GlobalMaxPool")
}

/// The message for an operator that needs a polynomial in its place.
fn unfriendly(node: Node<'_>) -> Option<Diagnostic> {
    let help = match node.op() {
        "Relu" | "Sigmoid" | "Tanh" | "Gelu" | "Swish" => {
            "`hecc prepare friendly` replaces it by a polynomial through training"
        }
        "MaxPool" | "GlobalMaxPool" => {
            "`hecc prepare friendly` replaces it by an average pool through training"
        }
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Clip" | "HardSwish" | "HardSigmoid"
        | "ThresholdedRelu" | "Mish" | "Softplus" | "Softsign" | "Exp" | "Log" | "Abs" | "Sign" => {
            "hecc cannot yet make it HE-friendly: replace it by a square (x * x) or another \
             low-degree polynomial and retrain"
        }
        "Erf" => {
            "within GELU, `hecc prepare friendly` replaces it by a polynomial through training; \
             write other uses as a low-degree polynomial and retrain"
        }
        "Softmax" | "LogSoftmax" | "Hardmax" => {
            "leave it out of the export: the largest output stays the largest, and the client \
             can apply it after decryption"
        }
        "ArgMax" | "TopK" => "leave it out of the export and let the client do it after decryption",
        _ => return None,
    };
    let title = format!("`{}` has no encrypted form", node.op());
    Some(node.problem(Code::NotHeFriendly, title).help(help))
}

/// The message for an error function outside of GELU.
pub(super) fn lone_erf(node: Node<'_>) -> Diagnostic {
    unfriendly(node).unwrap_or_else(|| unsupported(node))
}

fn unsupported(node: Node<'_>) -> Diagnostic {
    let title = format!("the operator `{}` is not supported", node.op());
    let problem = node.problem(Code::UnsupportedOp, title);
    match node.op() {
        "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "ReduceSum"
        | "ReduceMax"
        | "Sqrt"
        | "Reciprocal" => problem.help("statistics of encrypted values are costly: use batch normalisation"),
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => {
            problem.help("only feed-forward networks are supported: unroll or replace it")
        }
        op => match closest(op, forms::encrypted()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => {
                let known: Vec<&str> = forms::encrypted().collect();
                problem.help(format!("rewrite it with: {}", known.join(", ")))
            }
        },
    }
}
