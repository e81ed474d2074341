//! Turns ordered nodes into layers.
//!
//! Each value of the graph is a constant or a [`Flow`]: a polynomial of one
//! layer's elements, seen in a shape. Layers for polynomials are made when
//! something other than a product or a sum needs them, so that an activation
//! spelt as several nodes becomes one layer.

use super::node::{Failure, Node};
use super::polynomial::{Coefficient, Polynomial};
use super::tensor::TensorReader;
use crate::diag::{Code, Diagnostics, Label};
use crate::front::shapes;
use crate::front::weights::Tensor;
use crate::model::{LayerId, LayerKind, ModelBuilder, ShapeError};
use hecc_ir::Shape;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Elements that constants and coefficients may take in all, those that are computed on the way to others among them.
const BUDGET: usize = 1 << 27;
/// Smaller ones are not counted.
const UNCOUNTED: usize = 64;

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Value {
    /// Known when compiling.
    Constant(Arc<Tensor>),
    /// Depends on the input.
    Flow(Flow),
    /// Images that depend on the input, with zeros around them.
    Padded(Padded),
    /// A problem was reported.
    Unknown,
}

/// Images and the zeros around them, as far as no layer holds them yet.
#[derive(Clone)]
pub(super) struct Padded {
    /// The images.
    pub flow: Flow,
    /// Zeros at top, left, bottom and right.
    pub margin: [usize; 4],
}

/// A value that depends on the input.
#[derive(Clone)]
pub(super) struct Flow {
    /// The layer it is computed from.
    pub base: LayerId,
    /// What is computed from each element of it.
    pub polynomial: Polynomial,
    /// Shape as ONNX sees it, with the batch.
    pub shape: Vec<usize>,
    /// Nothing else reads the layer.
    pub exclusive: bool,
}

/// A model in the making.
pub(super) struct Importer<'a> {
    /// Layers so far.
    pub builder: ModelBuilder,
    /// Values so far.
    pub values: HashMap<&'a str, Value>,
    /// Results that nodes have beside their first; none of them is computed.
    pub uncomputed: HashMap<&'a str, Node<'a>>,
    /// Reads constants.
    pub reader: TensorReader<'a>,
    /// How often each value is read.
    pub uses: HashMap<&'a str, usize>,
    /// Samples per run that the graph was exported for.
    pub batch: usize,
    /// Elements that constants and coefficients may still take.
    pub budget: usize,
    /// Layers without encrypted form may be made.
    pub accept_unfriendly: bool,
    /// Layers that stand for an `Erf` until it is found to be part of a GELU.
    pub erfs: BTreeMap<LayerId, Node<'a>>,
}

impl<'a> Importer<'a> {
    /// Nothing known but how often values will be read.
    pub fn new(
        uses: HashMap<&'a str, usize>,
        batch: usize,
        accept_unfriendly: bool,
        reader: TensorReader<'a>,
    ) -> Importer<'a> {
        Importer {
            builder: ModelBuilder::new(),
            values: HashMap::new(),
            uncomputed: HashMap::new(),
            reader,
            uses,
            batch,
            budget: BUDGET,
            accept_unfriendly,
            erfs: BTreeMap::new(),
        }
    }

    /// Nodes `Erf` that are no part of a GELU and that the output depends on.
    pub fn lone_erfs(&self, output: LayerId) -> impl Iterator<Item = Node<'a>> {
        let needed = self.builder.needed(output);
        self.erfs.iter().filter(move |(id, _)| needed[id.0]).map(|(_, node)| *node)
    }

    /// Translates one node and records its first result; others are known not to be computed.
    pub fn run(&mut self, node: Node<'a>, diagnostics: &mut Diagnostics) {
        let value = match super::ops::translate(self, node, diagnostics) {
            Ok(value) => value,
            Err(Failure::Operand) => Value::Unknown,
            Err(Failure::Problem(problem)) => {
                diagnostics.push(*problem);
                Value::Unknown
            }
        };
        let named = |name: &&String| !name.is_empty();
        self.uncomputed
            .extend(node.proto.output.iter().skip(1).filter(named).map(|name| (name.as_str(), node)));
        if node.output().is_empty() {
            return;
        }
        self.values.insert(node.output(), value);
        if let Err(Failure::Problem(problem)) = self.settle(node) {
            diagnostics.push(*problem);
        }
    }

    /// Operand `n`.
    pub fn operand(&self, node: Node<'a>, n: usize) -> Result<Value, Failure> {
        match self.padded(node, n)? {
            Value::Padded(_) => {
                let title = format!("`{}` of `{}` is padded", node.input(n), node.op());
                let help = "`Pad` is read before `Conv` and `AveragePool` alone: put it there";
                Err(node.problem(Code::UnsupportedOp, title).help(help).into())
            }
            value => Ok(value),
        }
    }

    /// Operand `n`, which may have zeros around it.
    fn padded(&self, node: Node<'a>, n: usize) -> Result<Value, Failure> {
        let name = node.input(n);
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Failure::Operand),
            Some(value) => Ok(value.clone()),
            None if self.uncomputed.contains_key(name) => Err(self.uncomputed(name, node.label("reads it"))),
            None if name.is_empty() => {
                let title = format!("`{}` lacks operand {}", node.op(), n + 1);
                Err(node.problem(Code::UndefinedValue, title).into())
            }
            None => {
                let title = format!("nothing defines `{name}`");
                let help = "the file is incomplete: export the model again";
                Err(node.problem(Code::UndefinedValue, title).help(help).into())
            }
        }
    }

    /// The refusal of a result that is not computed.
    pub fn uncomputed(&self, name: &str, reader: Label) -> Failure {
        let node = self.uncomputed[name];
        let place = node.proto.output.iter().position(|output| output == name).unwrap_or_default();
        let title = format!("result {} of `{}`, `{name}`, is not computed", place + 1, node.op());
        let help = match node.op() {
            "Dropout" | "BatchNormalization" => "only training needs it: export the model in inference mode",
            _ => "use the first result alone",
        };
        node.problem(Code::UnsupportedOp, title).label(reader).help(help).into()
    }

    /// The layer that holds operand `n`, its shape as ONNX sees it, and zeros to be added around.
    pub fn padded_layer(
        &mut self,
        node: Node<'a>,
        n: usize,
    ) -> Result<(LayerId, Vec<usize>, [usize; 4]), Failure> {
        let Value::Padded(Padded { flow, margin }) = self.padded(node, n)? else {
            let (layer, shape) = self.layer(node, n)?;
            return Ok((layer, shape, [0; 4]));
        };
        let settled = self.materialise(node, node.input(n), flow)?;
        let (base, shape) = (settled.base, settled.shape.clone());
        self.values.insert(node.input(n), Value::Padded(Padded { flow: settled, margin }));
        Ok((base, shape, margin))
    }

    /// Operand `n`, which must be known when compiling.
    pub fn constant(&self, node: Node<'a>, n: usize) -> Result<Arc<Tensor>, Failure> {
        match self.operand(node, n)? {
            Value::Constant(tensor) => Ok(tensor),
            Value::Flow(_) | Value::Padded(_) | Value::Unknown => {
                let title = format!("`{}` of `{}` depends on the input", node.input(n), node.op());
                Err(node.problem(Code::NeedsConstant, title).into())
            }
        }
    }

    /// Operand `n` if it is there; it must be known when compiling.
    pub fn optional(&self, node: Node<'a>, n: usize) -> Result<Option<Arc<Tensor>>, Failure> {
        match node.input(n) {
            "" => Ok(None),
            _ => self.constant(node, n).map(Some),
        }
    }

    /// Operand `n`, which must depend on the input.
    pub fn flow(&self, node: Node<'a>, n: usize) -> Result<Flow, Failure> {
        match self.operand(node, n)? {
            Value::Flow(flow) => Ok(flow),
            Value::Constant(_) | Value::Padded(_) | Value::Unknown => {
                let title = format!("`{}` of `{}` is a constant", node.input(n), node.op());
                let help = "hecc takes the encrypted value as the first operand here";
                Err(node.problem(Code::UnsupportedOp, title).help(help).into())
            }
        }
    }

    /// The layer that holds operand `n`, and its shape as ONNX sees it.
    pub fn layer(&mut self, node: Node<'a>, n: usize) -> Result<(LayerId, Vec<usize>), Failure> {
        let flow = self.flow(node, n)?;
        if flow.polynomial.is_identity() {
            return Ok((flow.base, flow.shape));
        }
        let settled = self.materialise(node, node.input(n), flow)?;
        self.values.insert(node.input(n), Value::Flow(settled.clone()));
        Ok((settled.base, settled.shape))
    }

    /// Adds a layer for a node.
    pub fn push(
        &mut self,
        node: Node<'a>,
        kind: LayerKind,
        inputs: &[LayerId],
        stated: Option<Shape>,
    ) -> Result<LayerId, Failure> {
        self.push_as(node, node.layer_name(), kind, inputs, stated)
    }

    fn push_as(
        &mut self,
        node: Node<'a>,
        name: &str,
        kind: LayerKind,
        inputs: &[LayerId],
        stated: Option<Shape>,
    ) -> Result<LayerId, Failure> {
        self.builder.push(name, kind, inputs, stated).map_err(|error| shape_problem(node, &error))
    }

    /// The shape of one sample within an ONNX shape: without the batch.
    pub fn sample_shape(&self, shape: &[usize]) -> Vec<usize> {
        match shape {
            [batch, rest @ ..] if *batch == self.batch && !rest.is_empty() => rest.to_vec(),
            [] => vec![1],
            [..] => shape.to_vec(),
        }
    }

    /// The value of a new layer with one leading batch axis.
    pub fn fresh(&self, base: LayerId) -> Value {
        let mut shape = vec![self.batch];
        shape.extend(&self.builder.shape(base).0);
        let polynomial = Polynomial::identity();
        Value::Flow(Flow { base, polynomial, shape, exclusive: true })
    }

    /// Whether a node is the only reader of operand `n`'s layer, so that its
    /// result may change the layer.
    pub fn stays_exclusive(&self, node: Node<'a>, n: usize, flow: &Flow) -> bool {
        flow.exclusive && self.uses.get(node.input(n)) == Some(&1)
    }

    /// Takes elements of constants or coefficients from the budget, before they are computed.
    pub fn spend(&mut self, node: Node<'a>, n_elements: usize) -> Result<(), Failure> {
        let counted = if n_elements > UNCOUNTED { n_elements } else { 0 };
        self.budget = self.budget.checked_sub(counted).ok_or_else(|| {
            let title = format!("constants and polynomials of this model take more than {BUDGET} elements");
            node.problem(Code::TensorTooLarge, title)
        })?;
        Ok(())
    }

    /// Makes a layer for a value that several nodes will read, if it is a
    /// multiple by channel: once, rather than in each of them.
    fn settle(&mut self, node: Node<'a>) -> Result<(), Failure> {
        let name = node.output();
        let Some(Value::Flow(flow)) = self.values.get(name) else { return Ok(()) };
        let is_plain = flow.polynomial.is_identity() || flow.polynomial.degree() > 1;
        let is_shared = self.uses.get(name).is_some_and(|&uses| uses > 1);
        if is_plain || !is_shared || !self.is_worth_a_layer(flow) {
            return Ok(());
        }
        let settled = self.materialise(node, name, flow.clone())?;
        self.values.insert(name, Value::Flow(settled));
        Ok(())
    }

    /// Whether a linear polynomial can vanish in the weights of its base, or
    /// would make higher powers differ by channel.
    pub fn is_worth_a_layer(&self, flow: &Flow) -> bool {
        let folds = flow.exclusive && self.builder.kind(flow.base).has_weights();
        folds || flow.polynomial.as_uniform().is_none()
    }

    /// A layer whose elements are the flow's polynomial, called `name`.
    pub fn materialise(&mut self, node: Node<'a>, name: &str, flow: Flow) -> Result<Flow, Failure> {
        if flow.polynomial.is_identity() {
            return Ok(flow);
        }
        let base = match (flow.polynomial.degree(), flow.polynomial.as_uniform()) {
            (0 | 1, _) => self.affine(node, name, &flow)?,
            (_, Some(coefficients)) => {
                let kind = LayerKind::Polynomial { coefficients };
                self.push_as(node, name, kind, &[flow.base], None)?
            }
            (_, None) => self.polynomial_by_channel(node, name, &flow)?,
        };
        Ok(Flow { base, polynomial: Polynomial::identity(), exclusive: true, ..flow })
    }

    /// `c1 x + c0`, within the weights of the base if nothing else reads it.
    fn affine(&mut self, node: Node<'a>, name: &str, flow: &Flow) -> Result<LayerId, Failure> {
        let zero = Coefficient::uniform(0.0);
        let coefficients = &flow.polynomial.coefficients;
        let (scale, shift) = (coefficients.get(1).unwrap_or(&zero), &coefficients[0]);
        let shape = self.builder.shape(flow.base).clone();
        let channels = shape.0[0];
        if let (Some(scale), Some(shift)) = (scale.expand(channels), shift.expand(channels)) {
            if flow.exclusive && self.builder.kind_mut(flow.base).fold(&scale, &shift) {
                return Ok(flow.base);
            }
            let kind = LayerKind::Affine { scale, shift };
            return self.push_as(node, name, kind, &[flow.base], None);
        }
        let n = shape.n_elements();
        self.spend(node, 4 * n)?;
        let stay = || LayerKind::Move { source: (0..n).collect() };
        let every = "blocks divide the elements";
        let kind =
            LayerKind::Affine { scale: scale.expand(n).expect(every), shift: shift.expand(n).expect(every) };
        let flat = self.push_as(node, name, stay(), &[flow.base], Some(Shape(vec![n])))?;
        let moved = self.push_as(node, name, kind, &[flat], None)?;
        self.push_as(node, name, stay(), &[moved], Some(shape))
    }

    /// A sum of powers, each with factors of its own per channel.
    fn polynomial_by_channel(&mut self, node: Node<'a>, name: &str, flow: &Flow) -> Result<LayerId, Failure> {
        let coefficients = &flow.polynomial.coefficients;
        let linear = Polynomial { coefficients: coefficients[..2].to_vec() };
        let part = |base, polynomial| Flow { base, polynomial, exclusive: false, ..flow.clone() };
        let mut sum = self.affine(node, name, &part(flow.base, linear))?;
        for (power, factor) in coefficients.iter().enumerate().skip(2) {
            let mut monomial = vec![0.0; power];
            monomial.push(1.0);
            let kind = LayerKind::Polynomial { coefficients: monomial };
            let raised = self.push_as(node, name, kind, &[flow.base], None)?;
            let scaled = Polynomial::affine(factor.clone(), Coefficient::uniform(0.0));
            let term = self.affine(node, name, &part(raised, scaled))?;
            sum = self.push_as(node, name, LayerKind::Add, &[sum, term], None)?;
        }
        Ok(sum)
    }
}

/// A shape error as a problem of a node.
pub(super) fn shape_problem(node: Node<'_>, error: &ShapeError) -> Failure {
    let mut diagnostic = shapes::diagnostic(error, node.layer_name());
    diagnostic.labels.push(node.label(""));
    diagnostic.into()
}
