//! Gives names their meaning: declarations, layers in order, the output.

use super::arguments::{Arguments, size};
use super::ast::{Argument, Call, Expression, File, Input, Spanned, Statement};
use super::layers::{kinds, unfriendly};
use super::weights::{Random, Reader, Weights};
use crate::diag::{Code, Diagnostic, Diagnostics, Label, Source, closest};
use crate::front::LoadOptions;
use crate::front::shapes;
use crate::model::{LayerId, LayerKind, Model, ModelBuilder};
use hecc_ir::Shape;
use indexmap::IndexMap;
use std::{ops::Range, sync::Arc};

/// Input range of a model that does not state one.
const DEFAULT_RANGE: (f64, f64) = (0.0, 1.0);

/// A name's definition.
struct Definition {
    /// Where it stands.
    span: Range<usize>,
    /// Its layer, unless a problem was reported.
    layer: Option<LayerId>,
}

/// A model in the making.
pub(super) struct Resolver<'r> {
    /// The text.
    pub source: &'r Arc<Source>,
    /// Layers so far.
    pub builder: ModelBuilder,
    /// Where weights come from.
    pub weights: Weights,
    definitions: IndexMap<String, Definition>,
    /// An input is declared.
    has_input: bool,
    /// Every statement parses, so that every definition is known.
    is_whole: bool,
    /// Layers without encrypted form may be used.
    accept_unfriendly: bool,
}

/// The model that a text describes; problems go to `diagnostics`.
pub(super) fn resolve(
    source: &Arc<Source>,
    file: &File<'_>,
    read: Reader<'_>,
    options: &LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Option<Model> {
    // What is missing may stand in a statement that does not parse.
    let is_whole = !file.statements.contains(&Statement::Bad);
    let has_input = diagnostics.take(single(source, file, "input", input_span)).flatten().is_some();
    let weights = weights(source, file, read, diagnostics);
    let (builder, definitions) = (ModelBuilder::new(), IndexMap::new());
    let accept_unfriendly = options.accept_unfriendly;
    let mut resolver =
        Resolver { source, builder, weights, definitions, has_input, is_whole, accept_unfriendly };
    for statement in &file.statements {
        if diagnostics.is_full() {
            break;
        }
        match statement {
            Statement::Input(input) => resolver.input(input, options, diagnostics),
            Statement::Layer(name, call) => resolver.layer(name, call, diagnostics),
            Statement::WeightsFile(_)
            | Statement::WeightsRandom(_)
            | Statement::Output(_)
            | Statement::Bad => {}
        }
    }
    let output = diagnostics.take(single(source, file, "output", output_span)).flatten()?;
    let name = &source.text[output.clone()];
    let output = diagnostics.take(resolver.lookup(name, output))??;
    if diagnostics.has_errors() {
        return None;
    }
    resolver.warn_of_unused(output, diagnostics);
    Some(resolver.builder.finish(file.name.value, output))
}

fn input_span(statement: &Statement<'_>) -> Option<Range<usize>> {
    match statement {
        Statement::Input(input) => Some(input.name.span.clone()),
        Statement::WeightsFile(_)
        | Statement::WeightsRandom(_)
        | Statement::Layer(..)
        | Statement::Output(_)
        | Statement::Bad => None,
    }
}

fn output_span(statement: &Statement<'_>) -> Option<Range<usize>> {
    match statement {
        Statement::Output(name) => Some(name.span.clone()),
        Statement::WeightsFile(_)
        | Statement::WeightsRandom(_)
        | Statement::Layer(..)
        | Statement::Input(_)
        | Statement::Bad => None,
    }
}

fn weights_span(statement: &Statement<'_>) -> Option<Range<usize>> {
    match statement {
        Statement::WeightsFile(path) => Some(path.span.clone()),
        Statement::WeightsRandom(call) => Some(call.span.clone()),
        Statement::Layer(..) | Statement::Input(_) | Statement::Output(_) | Statement::Bad => None,
    }
}

/// Where the one declaration of a kind stands, if not in a statement that does
/// not parse.
fn single(
    source: &Arc<Source>,
    file: &File<'_>,
    what: &str,
    find: impl Fn(&Statement<'_>) -> Option<Range<usize>>,
) -> Result<Option<Range<usize>>, Diagnostic> {
    let found: Vec<_> = file.statements.iter().filter_map(find).collect();
    match &found[..] {
        [one] => Ok(Some(one.clone())),
        [] if file.statements.contains(&Statement::Bad) => Ok(None),
        [] => {
            let title = format!("the model has no {what}");
            let label = Label::text(source, file.name.span.clone(), format!("add a line `{what} ...`"));
            Err(Diagnostic::error(Code::BadDeclaration, title).label(label))
        }
        [first, second, ..] => {
            let title = format!("the model has {} {what}s, one is allowed", found.len());
            Err(Diagnostic::error(Code::BadDeclaration, title)
                .label(Label::text(source, second.clone(), "again here"))
                .label(Label::text(source, first.clone(), "first here")))
        }
    }
}

fn weights(
    source: &Arc<Source>,
    file: &File<'_>,
    read: Reader<'_>,
    diagnostics: &mut Diagnostics,
) -> Weights {
    let is_weights = |statement: &&Statement<'_>| weights_span(statement).is_some();
    let Some(statement) = file.statements.iter().find(is_weights) else { return Weights::None };
    diagnostics.take(single(source, file, "weights declaration", weights_span));
    let weights = match statement {
        Statement::WeightsFile(path) => {
            let placed = |d: Diagnostic| d.label(Label::text(source, path.span.clone(), "read from here"));
            read(path.value).map(Weights::File).map_err(placed)
        }
        Statement::WeightsRandom(call) => random(source, call).map(Weights::Random),
        Statement::Layer(..) | Statement::Input(_) | Statement::Output(_) | Statement::Bad => {
            Ok(Weights::None)
        }
    };
    diagnostics.take(weights).unwrap_or(Weights::Broken)
}

fn random(source: &Arc<Source>, call: &Call<'_>) -> Result<Random, Diagnostic> {
    let kind = super::layers::Kind {
        name: "random",
        n_operands: 0,
        settings: &["seed"],
        first_unnamed: true,
        usage: "write weights random(seed = 1)",
    };
    let arguments = Arguments::sort(source, call, &kind).map_err(|mut problems| problems.remove(0))?;
    let seed = arguments.size("seed")?.ok_or_else(|| arguments.missing("seed"))?;
    Ok(Random::new(seed as u64))
}

impl Resolver<'_> {
    fn input(&mut self, input: &Input<'_>, options: &LoadOptions, diagnostics: &mut Diagnostics) {
        let stated = input.range.as_ref().map_or(DEFAULT_RANGE, |range| range.value);
        let range = options.input_range.unwrap_or(stated);
        let layer = diagnostics.take(self.add_input(input, range));
        self.define(&input.name, layer, diagnostics);
    }

    fn add_input(&mut self, input: &Input<'_>, range: (f64, f64)) -> Result<LayerId, Diagnostic> {
        let place = |span: &Range<usize>| Label::text(self.source, span.clone(), "");
        let extents: Option<Vec<usize>> = input.shape.value.iter().map(|&d| size(d)).collect();
        let Some(extents) = extents.filter(|extents| !extents.is_empty()) else {
            let title = "the input shape is not a list of whole numbers";
            let diagnostic = Diagnostic::error(Code::InputShape, title);
            return Err(diagnostic.label(place(&input.shape.span)));
        };
        let kind = LayerKind::Input { range };
        let span = input.range.as_ref().map_or(&input.shape.span, |range| &range.span).clone();
        self.builder.push(input.name.value, kind, &[], Some(Shape(extents))).map_err(|error| {
            let span = if shapes::code(&error) == Code::BadParameter { &span } else { &input.shape.span };
            shapes::diagnostic(&error, input.name.value).label(place(span))
        })
    }

    fn layer(&mut self, name: &Spanned<&str>, call: &Call<'_>, diagnostics: &mut Diagnostics) {
        let layer = self.translate(name.value, call, diagnostics);
        self.define(name, layer, diagnostics);
    }

    fn translate(&mut self, name: &str, call: &Call<'_>, diagnostics: &mut Diagnostics) -> Option<LayerId> {
        let mut kinds = kinds(self.accept_unfriendly);
        let Some(kind) = kinds.find(|kind| kind.name == call.function.value) else {
            diagnostics.push(self.unknown_kind(call));
            return None;
        };
        let arguments = match Arguments::sort(self.source, call, kind) {
            Ok(arguments) => arguments,
            Err(problems) => {
                diagnostics.extend(problems);
                return None;
            }
        };
        let mut operands = Vec::new();
        for n in 0..kind.n_operands {
            let found = arguments.operand(n).and_then(|(name, span)| self.lookup(name, span));
            operands.push(diagnostics.take(found).flatten());
        }
        let operands: Option<Vec<LayerId>> = operands.into_iter().collect();
        let needs_file = |argument: &Argument<'_>| matches!(argument.value.value, Expression::Text(_));
        if matches!(self.weights, Weights::Broken) && call.arguments.iter().any(needs_file) {
            return None;
        }
        diagnostics.take(self.build(name, &arguments, &operands?))
    }

    fn unknown_kind(&self, call: &Call<'_>) -> Diagnostic {
        let name = call.function.value;
        let label = |message: &str| Label::text(self.source, call.function.span.clone(), message);
        if let Some(help) = unfriendly(name) {
            let title = format!("`{name}` has no encrypted form");
            return Diagnostic::error(Code::NotHeFriendly, title).label(label("")).help(help);
        }
        let names = kinds(self.accept_unfriendly).map(|kind| kind.name);
        let help = match closest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the layers are {}", names.collect::<Vec<_>>().join(", ")),
        };
        let title = format!("there is no layer `{name}`");
        Diagnostic::error(Code::UnknownLayerKind, title).label(label("not known")).help(help)
    }

    /// The layer behind a name, or none if it was reported as broken.
    fn lookup(&self, name: &str, span: Range<usize>) -> Result<Option<LayerId>, Diagnostic> {
        if let Some(definition) = self.definitions.get(name) {
            return Ok(definition.layer);
        }
        if !self.is_whole {
            return Ok(None);
        }
        let title = format!("nothing before this line is called `{name}`");
        let label = Label::text(self.source, span, "not defined");
        let diagnostic = Diagnostic::error(Code::UnknownName, title).label(label);
        let near = closest(name, self.definitions.keys().map(String::as_str));
        Err(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None if !self.has_input => diagnostic.help("declare it: `input x: [1, 28, 28] in 0..1`"),
            None => diagnostic,
        })
    }

    fn define(&mut self, name: &Spanned<&str>, layer: Option<LayerId>, diagnostics: &mut Diagnostics) {
        if let Some(first) = self.definitions.get(name.value) {
            let title = format!("`{}` is defined twice", name.value);
            let diagnostic = Diagnostic::error(Code::DuplicateName, title)
                .label(Label::text(self.source, name.span.clone(), "again here"))
                .label(Label::text(self.source, first.span.clone(), "first here"));
            diagnostics.push(diagnostic);
            return;
        }
        let definition = Definition { span: name.span.clone(), layer };
        self.definitions.insert(name.value.to_owned(), definition);
    }

    fn warn_of_unused(&self, output: LayerId, diagnostics: &mut Diagnostics) {
        let needed = self.builder.needed(output);
        for (name, definition) in &self.definitions {
            if diagnostics.is_full() {
                break;
            }
            if definition.layer.is_some_and(|layer| !needed[layer.0]) {
                let title = format!("the output does not depend on `{name}`");
                let label = Label::text(self.source, definition.span.clone(), "left out");
                diagnostics.push(Diagnostic::warning(Code::UnusedLayer, title).label(label));
            }
        }
    }
}
