//! ONNX models, as PyTorch's two exporters write them.
//!
//! Batch normalisation and scaling vanish in the weights before them,
//! activations spelt as products and sums become one polynomial layer, and
//! shape arithmetic is computed away. The batch is one sample.
//!
//! Where layers without encrypted form are accepted, `Gelu` is read as the exact
//! function, also if the file asks for its approximation by `tanh`, and a value
//! times its own `Sigmoid` or one and its own `Erf` as one activation.

mod fold;
mod forms;
mod graph;
mod import;
mod node;
mod ops;
mod polynomial;
mod proto;
mod tensor;
mod wire;

use super::{LoadOptions, Loaded, Room};
use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::front::shapes;
use crate::model::{LayerId, LayerKind, Model};
use graph::Signature;
use hecc_ir::Shape;
use import::{Flow, Importer, Value};
use node::{Failure, Node};
use polynomial::Polynomial;
use prost::Message;
use std::path::Path;
use std::sync::Arc;
use tensor::TensorReader;

/// Input range of a model that does not state one.
const DEFAULT_RANGE: (f64, f64) = (0.0, 1.0);
/// Name of the metadata entry that states it as `low,high`.
const RANGE_KEY: &str = "hecc.input_range";
/// Oldest and newest version of the standard operator set that was tried.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;

/// Translates a model that is in memory. `path` names it in messages and says
/// where data files beside it are. There is a model exactly if no error was
/// added to `diagnostics`.
pub fn import(
    path: &Path,
    bytes: &[u8],
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Model> {
    load(path, bytes, options, diagnostics).map(|loaded| loaded.model)
}

/// As [`import`], with the files that the model was read from.
pub(super) fn load(
    path: &Path,
    bytes: &[u8],
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Loaded> {
    let shown = path.display().to_string();
    let mut found = Diagnostics::new();
    let model = translate(path, &shown, bytes, options, &mut found);
    let model = model.filter(|_| !found.has_errors());
    let silent = model.is_none() && !found.has_errors();
    assert!(!silent, "a refused model has an error");
    diagnostics.extend(found);
    model
}

fn translate(
    path: &Path,
    shown: &str,
    bytes: &[u8],
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Loaded> {
    let model = diagnostics.take(decode(shown, bytes))?;
    let opset = diagnostics.take(opset(shown, &model)).unwrap_or(*OPSETS.end());
    let range = options.input_range.map_or_else(|| stated_range(shown, &model), Ok);
    let range = diagnostics.take(range).unwrap_or(DEFAULT_RANGE);
    let Some(graph) = &model.graph else {
        let title = "the file holds no graph";
        let place = Label::file(shown, "");
        diagnostics.push(Diagnostic::error(Code::MalformedFile, title).label(place));
        return None;
    };
    let signature = graph::signature(shown, graph, diagnostics)?;
    let view = |proto| Node { proto, file: shown, opset };
    let order = graph::order(graph, signature.output, view, diagnostics);
    let reader = TensorReader::new(path, shown);
    let mut importer = Importer::new(order.uses, signature.batch, options.accept_unfriendly, reader);
    importer.values.extend(order.cyclic.iter().map(|name| (*name, Value::Unknown)));
    read_constants(graph, &mut importer, diagnostics);
    add_input(shown, &signature, range, &mut importer, diagnostics)?;
    for node in order.nodes {
        if diagnostics.is_full() {
            return None;
        }
        importer.run(node, diagnostics);
    }
    let output = output_layer(shown, graph, &signature, &mut importer, view, diagnostics)?;
    importer.lone_erfs(output).for_each(|node| diagnostics.push(ops::lone_erf(node)));
    if diagnostics.has_errors() {
        return None;
    }
    let name = path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy());
    let model = importer.builder.finish(&name, output);
    report_broken(shown, &model, diagnostics);
    Some(Loaded {
        model,
        files: std::iter::once(path.to_owned()).chain(importer.reader.into_files()).collect(),
    })
}

fn decode(shown: &str, bytes: &[u8]) -> Result<proto::Model, Diagnostic> {
    Room::default().take(Label::file(shown, ""), wire::memory(bytes))?;
    proto::Model::decode(bytes).map_err(|error| {
        Diagnostic::error(Code::MalformedFile, "this is not a readable ONNX model")
            .label(Label::file(shown, error.to_string()))
            .help("export the model again")
    })
}

/// The version of the standard operator set.
fn opset(shown: &str, model: &proto::Model) -> Result<i64, Diagnostic> {
    let is_standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = model.opset_import.iter().find(|s| is_standard(&s.domain)).map(|s| s.version);
    match version {
        Some(version) if OPSETS.contains(&version) => Ok(version),
        Some(_) | None => {
            let title = match version {
                Some(version) => format!("operator set {version} is not supported"),
                None => "the file states no operator set".to_owned(),
            };
            Err(Diagnostic::error(Code::OnnxVersion, title)
                .label(Label::file(shown, ""))
                .help("export with `opset_version=17`"))
        }
    }
}

/// The range in the model's metadata, else the default.
fn stated_range(shown: &str, model: &proto::Model) -> Result<(f64, f64), Diagnostic> {
    let Some(entry) = model.metadata_props.iter().find(|e| e.key == RANGE_KEY) else {
        return Ok(DEFAULT_RANGE);
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let range = entry.value.split_once(',').and_then(|(low, high)| number(low).zip(number(high)));
    range.ok_or_else(|| {
        let title = format!("`{}` is not an input range", entry.value);
        Diagnostic::error(Code::BadParameter, title)
            .label(Label::item(shown, format!("metadata `{RANGE_KEY}`"), ""))
            .help("write two numbers, such as `0,1`")
    })
}

fn read_constants<'a>(graph: &'a proto::Graph, importer: &mut Importer<'a>, diagnostics: &mut Diagnostics) {
    for tensor in &graph.initializer {
        let name = tensor.name.as_str();
        if !importer.uses.contains_key(name) || diagnostics.is_full() {
            continue;
        }
        let value = match diagnostics.take(importer.reader.read(tensor, name)) {
            Some(tensor) => Value::Constant(Arc::new(tensor)),
            None => Value::Unknown,
        };
        importer.values.insert(name, value);
    }
}

fn add_input<'a>(
    shown: &str,
    signature: &Signature<'a>,
    range: (f64, f64),
    importer: &mut Importer<'a>,
    diagnostics: &mut Diagnostics,
) -> Option<()> {
    let shape = importer.sample_shape(&signature.shape);
    let kind = LayerKind::Input { range };
    match importer.builder.push(signature.input, kind, &[], Some(Shape(shape))) {
        Ok(base) => {
            let (polynomial, shape) = (Polynomial::identity(), signature.shape.clone());
            let flow = Flow { base, polynomial, shape, exclusive: false };
            importer.values.insert(signature.input, Value::Flow(flow));
            Some(())
        }
        Err(error) => {
            let place = Label::item(shown, format!("input `{}`", signature.input), "");
            diagnostics.push(shapes::diagnostic(&error, signature.input).label(place));
            None
        }
    }
}

fn output_layer<'a>(
    shown: &str,
    graph: &'a proto::Graph,
    signature: &Signature<'a>,
    importer: &mut Importer<'a>,
    view: impl Fn(&'a proto::Node) -> Node<'a>,
    diagnostics: &mut Diagnostics,
) -> Option<LayerId> {
    let name = signature.output;
    let unusable = |code, title: String| {
        Diagnostic::error(code, title).label(Label::item(shown, format!("output `{name}`"), ""))
    };
    match importer.values.get(name).cloned() {
        Some(Value::Flow(flow)) => {
            let defines = |node: &&proto::Node| node.output.iter().any(|output| output == name);
            let Some(node) = graph.node.iter().find(defines) else { return Some(flow.base) };
            match importer.materialise(view(node), name, flow) {
                Ok(flow) => Some(flow.base),
                Err(Failure::Problem(problem)) => {
                    diagnostics.push(*problem);
                    None
                }
                Err(Failure::Operand) => None,
            }
        }
        Some(Value::Padded(_)) => {
            let title = format!("the output `{name}` is padded");
            let help = "`Pad` is read before `Conv` and `AveragePool` alone: leave it out at the end";
            diagnostics.push(unusable(Code::UnsupportedOp, title).help(help));
            None
        }
        Some(Value::Constant(_)) => {
            let title = format!("the output `{name}` does not depend on the input");
            diagnostics.push(unusable(Code::InputsAndOutputs, title));
            None
        }
        Some(Value::Unknown) => None,
        None if importer.uncomputed.contains_key(name) => {
            let reader = Label::item(shown, format!("output `{name}`"), "");
            if let Failure::Problem(problem) = importer.uncomputed(name, reader) {
                diagnostics.push(*problem);
            }
            None
        }
        None => {
            if !diagnostics.has_errors() {
                let title = format!("nothing defines the output `{name}`");
                diagnostics.push(unusable(Code::UndefinedValue, title));
            }
            None
        }
    }
}

/// Folding may overflow; everything else was checked layer by layer.
fn report_broken(shown: &str, model: &Model, diagnostics: &mut Diagnostics) {
    let Err(problems) = model.check() else { return };
    for (id, error) in problems {
        let name = &model.layer(id).name;
        let place = Label::item(shown, format!("layer `{name}`"), "");
        diagnostics.push(shapes::diagnostic(&error, name).label(place));
    }
}
