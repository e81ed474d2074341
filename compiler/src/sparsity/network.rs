//! The normal form of a model: linear nodes and activations in alternation.
//!
//! Constants of activations live in their neighbours: `ax^2 + bx + c` becomes
//! a square of the shifted operand, the shift joins the bias before it and
//! `a` and the rest join the map after it, so it costs one ciphertext product.

use super::layers::layer_matrix;
use super::matrix::Matrix;
use crate::model::{AvgPool, LayerId, LayerKind, Model};
use hecc_ir::Shape;

/// Handle of a node; index into [`Network::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A model as linear nodes and activations, operands before users.
#[derive(Clone, Debug)]
pub struct Network {
    /// Nodes in dependency order; the first is the input.
    pub nodes: Vec<Node>,
    /// The node whose value is the prediction.
    pub output: NodeId,
}

/// One node and the shape of its value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Names of the model layers in it, joined by `+`.
    pub name: String,
    /// Shape of its value.
    pub shape: Shape,
    /// What it computes.
    pub kind: NodeKind,
}

/// What a node computes.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// The encrypted input.
    Input,
    /// Sum of sparse maps of other nodes, plus a bias.
    Linear(Linear),
    /// A monic polynomial of another node, element by element.
    Activation(Activation),
}

impl NodeKind {
    /// The nodes it reads, once for each term.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (terms, activation) = match self {
            NodeKind::Input => (&[][..], None),
            NodeKind::Linear(linear) => (&linear.terms[..], None),
            NodeKind::Activation(activation) => (&[][..], Some(activation.operand)),
        };
        terms.iter().map(|term| term.operand).chain(activation)
    }
}

/// `bias + sum over terms of scale * factors(operand)`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Summands.
    pub terms: Vec<Term>,
    /// One summand per element; all zero for none.
    pub bias: Vec<f64>,
}

/// One summand of a linear node.
#[derive(Clone, Debug)]
pub struct Term {
    /// The node it reads.
    pub operand: NodeId,
    /// Factor on the whole term.
    pub scale: f64,
    /// Maps in order of application; none means the identity.
    pub factors: Vec<Factor>,
    /// The model layers whose matrices they compose, in order of application.
    pub layers: Vec<LayerId>,
}

/// A sparse map with what packing wants to know of its origin.
#[derive(Clone, Debug)]
pub struct Factor {
    /// The map.
    pub matrix: Matrix,
    /// Shape of its result.
    pub shape: Shape,
    /// Rows and columns an image-to-image map moves by per result pixel.
    pub stride: Option<[usize; 2]>,
    /// Present when the map is a mean over full windows.
    pub pool: Option<Pool>,
}

/// A mean over full windows, without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window rows and columns.
    pub kernel: [usize; 2],
    /// Rows and columns the window moves by.
    pub stride: [usize; 2],
}

/// `x^degree + ...` with `shift` added to the operand first.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// The node it reads.
    pub operand: NodeId,
    /// Summand on the operand that no bias could take.
    pub shift: f64,
    /// Coefficients below the leading one, constant first; the constant is
    /// always zero because the next map took it.
    pub lower: Vec<f64>,
}

impl Activation {
    /// Degree of the polynomial.
    pub fn degree(&self) -> usize {
        self.lower.len()
    }

    /// Levels it needs.
    pub fn depth(&self) -> usize {
        self.degree().next_power_of_two().trailing_zeros() as usize
    }
}

/// A linear expression that no node holds yet.
#[derive(Clone, Debug)]
struct Expr {
    names: Vec<String>,
    shape: Shape,
    terms: Vec<Term>,
    bias: Vec<f64>,
}

/// How much a composed map may outgrow its parts before it is kept apart until packing
/// prices it.
const COMPOSE_GROWTH: usize = 4;

impl Network {
    /// Non-zero entries of all maps.
    pub fn n_nonzeros(&self) -> usize {
        let linear = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Linear(linear) => Some(linear),
            NodeKind::Input | NodeKind::Activation(_) => None,
        });
        let factors = linear.flat_map(|linear| &linear.terms).flat_map(|term| &term.factors);
        factors.map(|factor| factor.matrix.n_nonzeros()).sum()
    }

    /// The normal form of a model.
    pub fn of(model: &Model) -> Network {
        let mut lowering = Lowering { model, nodes: Vec::new(), exprs: Vec::new(), uses: use_counts(model) };
        for index in 0..model.layers.len() {
            lowering.layer(LayerId(index));
        }
        let output = lowering.exprs[model.output.0].clone();
        let output = lowering.materialise(output);
        Network { nodes: lowering.nodes, output }
    }

    /// The node behind a handle.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Handles of all nodes, operands before users.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }
}

fn use_counts(model: &Model) -> Vec<usize> {
    let mut uses = vec![0; model.layers.len()];
    model.layers.iter().flat_map(|layer| &layer.inputs).for_each(|id| uses[id.0] += 1);
    uses[model.output.0] += 1;
    uses
}

struct Lowering<'a> {
    model: &'a Model,
    nodes: Vec<Node>,
    exprs: Vec<Expr>,
    uses: Vec<usize>,
}

impl Lowering<'_> {
    fn layer(&mut self, id: LayerId) {
        let layer = self.model.layer(id);
        let operands: Vec<Expr> = layer.inputs.iter().map(|i| self.exprs[i.0].clone()).collect();
        let shape = &layer.shape;
        let expr = match &layer.kind {
            LayerKind::Input { .. } => {
                let node = self.push(layer.name.clone(), shape.clone(), NodeKind::Input);
                self.plain_expr(node)
            }
            LayerKind::Conv(conv) => {
                let matrix = layer_matrix(self.model, id, &layer.kind);
                let bias = per_channel(&conv.bias, shape);
                self.apply(operands, factor(matrix, shape, Some(conv.stride), None), bias)
            }
            LayerKind::Dense(dense) => {
                let matrix = layer_matrix(self.model, id, &layer.kind);
                self.apply(operands, factor(matrix, shape, None, None), per_channel(&dense.bias, shape))
            }
            LayerKind::AvgPool(pool) => {
                let matrix = layer_matrix(self.model, id, &layer.kind);
                let full = full_windows(pool).filter(|_| self.keeps_shapes(&operands));
                let bias = vec![0.0; shape.n_elements()];
                self.apply(operands, factor(matrix, shape, Some(pool.stride), full), bias)
            }
            LayerKind::Affine { scale, shift } => {
                affine(only(operands), scale, &per_channel(shift, shape), shape)
            }
            LayerKind::Polynomial { coefficients } => {
                self.polynomial(only(operands), coefficients, &layer.name)
            }
            LayerKind::MaxPool(_) | LayerKind::Nonlinear(_) => {
                unreachable!("layers without encrypted form are refused before")
            }
            LayerKind::Add => sum(operands),
            LayerKind::Move { source } => movement(only(operands), source, shape),
        };
        let named = self.named(expr, id);
        self.exprs.push(named);
    }

    /// Adds the layer's name, and gives the value a node of its own when
    /// several layers read it and computing it twice would cost something.
    fn named(&mut self, mut expr: Expr, id: LayerId) -> Expr {
        let layer = self.model.layer(id);
        let computes = matches!(
            layer.kind,
            LayerKind::Conv(_)
                | LayerKind::Dense(_)
                | LayerKind::AvgPool(_)
                | LayerKind::Affine { .. }
                | LayerKind::Add
        );
        if computes {
            expr.names.push(layer.name.clone());
        }
        let has_matrix = matches!(
            layer.kind,
            LayerKind::Conv(_) | LayerKind::Dense(_) | LayerKind::AvgPool(_) | LayerKind::Move { .. }
        );
        if has_matrix {
            expr.terms.iter_mut().for_each(|term| term.layers.push(id));
        }
        let costs = expr.terms.len() > 1 || expr.terms.iter().any(|t| !t.factors.is_empty());
        if self.uses[id.0] > 1 && costs {
            let node = self.materialise(expr);
            return self.plain_expr(node);
        }
        expr
    }

    /// True when no term reads its node as a tensor of another shape.
    fn keeps_shapes(&self, operands: &[Expr]) -> bool {
        operands
            .iter()
            .all(|expr| expr.terms.iter().all(|term| self.nodes[term.operand.0].shape == expr.shape))
    }

    fn push(&mut self, name: String, shape: Shape, kind: NodeKind) -> NodeId {
        self.nodes.push(Node { name, shape, kind });
        NodeId(self.nodes.len() - 1)
    }

    fn plain_expr(&self, node: NodeId) -> Expr {
        let shape = self.nodes[node.0].shape.clone();
        let bias = vec![0.0; shape.n_elements()];
        Expr {
            names: Vec::new(),
            shape,
            terms: vec![Term { operand: node, scale: 1.0, factors: Vec::new(), layers: Vec::new() }],
            bias,
        }
    }

    /// The node of an expression; no new one when it is just a node's value.
    fn materialise(&mut self, expr: Expr) -> NodeId {
        if let [Term { operand, scale: 1.0, factors, .. }] = &expr.terms[..]
            && factors.is_empty()
            && expr.bias.iter().all(|&b| b == 0.0)
        {
            return *operand;
        }
        let name = if expr.names.is_empty() { String::from("scale") } else { expr.names.join("+") };
        self.push(name, expr.shape, NodeKind::Linear(Linear { terms: expr.terms, bias: expr.bias }))
    }

    /// Applies one more map, composed into the last one when it stays small.
    fn apply(&mut self, operands: Vec<Expr>, next: Factor, bias: Vec<f64>) -> Expr {
        let mut expr = only(operands);
        if !expr.terms.iter().all(|term| composes(term, &next)) {
            let node = self.materialise(expr);
            expr = self.plain_expr(node);
        }
        let carried = next.matrix.apply(&expr.bias);
        expr.bias = carried.iter().zip(&bias).map(|(a, b)| a + b).collect();
        expr.shape = next.shape.clone();
        for term in &mut expr.terms {
            append(&mut term.factors, next.clone());
        }
        expr
    }

    /// Splits `c (x^d + ...)` into a monic node and a scale for the next map.
    fn polynomial(&mut self, expr: Expr, coefficients: &[f64], name: &str) -> Expr {
        if let [constant, ref rest @ ..] = *coefficients
            && rest.len() <= 1
        {
            let slope = rest.first().copied().unwrap_or(0.0);
            let shape = expr.shape.clone();
            let channels = shape.0[0];
            let shift = per_channel(&vec![constant; channels], &shape);
            return affine(expr, &vec![slope; channels], &shift, &shape);
        }
        let (&leading, rest) = coefficients.split_last().expect("a polynomial has a leading coefficient");
        let mut lower: Vec<f64> = rest.iter().map(|c| c / leading).collect();
        let shape = expr.shape.clone();
        let operand = self.materialise(expr);
        let mut shift = 0.0;
        if lower.len() == 2 {
            shift = lower[1] / 2.0;
            lower = vec![lower[0] - shift * shift, 0.0];
        }
        let constant = std::mem::take(&mut lower[0]);
        let shift = self.shift(operand, shift);
        let activation = Activation { operand, shift, lower };
        let node = self.push(name.to_owned(), shape, NodeKind::Activation(activation));
        let mut result = self.plain_expr(node);
        result.terms[0].scale = leading;
        result.bias.fill(leading * constant);
        result
    }

    /// Moves a shift into the operand's bias when nobody else reads it;
    /// returns what is left.
    fn shift(&mut self, operand: NodeId, shift: f64) -> f64 {
        let fresh = operand.0 + 1 == self.nodes.len();
        let shared =
            self.exprs.iter().any(|e| e.terms.iter().any(|t| t.operand == operand && t.factors.is_empty()));
        match &mut self.nodes[operand.0].kind {
            NodeKind::Linear(linear) if fresh && !shared => {
                linear.bias.iter_mut().for_each(|b| *b += shift);
                0.0
            }
            NodeKind::Linear(_) | NodeKind::Input | NodeKind::Activation(_) => shift,
        }
    }
}

fn only(operands: Vec<Expr>) -> Expr {
    operands.into_iter().next().expect("the layer has an operand")
}

fn factor(matrix: Matrix, shape: &Shape, stride: Option<[usize; 2]>, pool: Option<Pool>) -> Factor {
    Factor { matrix, shape: shape.clone(), stride, pool }
}

/// One value per element from one value per channel (first axis).
fn per_channel(values: &[f64], shape: &Shape) -> Vec<f64> {
    let n = shape.n_elements();
    if values.is_empty() {
        return vec![0.0; n];
    }
    let plane = n / shape.0[0].max(1);
    values.iter().flat_map(|&v| std::iter::repeat_n(v, plane)).collect()
}

fn full_windows(pool: &AvgPool) -> Option<Pool> {
    (pool.padding == [0; 4]).then_some(Pool { kernel: pool.kernel, stride: pool.stride })
}

/// A leading pool stays apart: packing may compute it by rotations alone.
fn composes(term: &Term, next: &Factor) -> bool {
    let Some(last) = term.factors.last() else { return true };
    if term.factors.len() == 1 && last.pool.is_some() {
        return true;
    }
    let parts = last.matrix.n_nonzeros() + next.matrix.n_nonzeros();
    let bound = next.matrix.n_products_after(&last.matrix);
    bound <= COMPOSE_GROWTH * parts || next.matrix.after(&last.matrix).n_nonzeros() <= COMPOSE_GROWTH * parts
}

/// Puts a map after others: a leading pool stays apart.
pub(super) fn append(factors: &mut Vec<Factor>, next: Factor) {
    match factors.pop() {
        None => factors.push(next),
        Some(pool) if factors.is_empty() && pool.pool.is_some() => factors.extend([pool, next]),
        Some(last) => factors.push(compose(last, next)),
    }
}

/// The single map of two in sequence.
pub(crate) fn compose(first: Factor, next: Factor) -> Factor {
    let stride = first.stride.zip(next.stride).map(|(a, b)| [a[0] * b[0], a[1] * b[1]]);
    Factor { matrix: next.matrix.after(&first.matrix), shape: next.shape, stride, pool: None }
}

fn affine(mut expr: Expr, scale: &[f64], shift: &[f64], shape: &Shape) -> Expr {
    let scale = per_channel(scale, shape);
    expr.bias = expr.bias.iter().zip(&scale).zip(shift).map(|((b, s), t)| b * s + t).collect();
    let uniform = scale.iter().all(|&s| s == scale[0]);
    for term in &mut expr.terms {
        if uniform {
            term.scale *= scale[0];
        } else {
            rescale_rows(term, &scale, shape);
        }
    }
    expr
}

fn rescale_rows(term: &mut Term, scale: &[f64], shape: &Shape) {
    let last = term.factors.pop().unwrap_or_else(|| {
        factor(Matrix::identity(scale.len()), shape, (shape.0.len() == 3).then_some([1, 1]), None)
    });
    let matrix = last.matrix.scale_rows(|r| scale[r]);
    term.factors.push(Factor { matrix, pool: None, ..last });
}

fn movement(mut expr: Expr, source: &[usize], shape: &Shape) -> Expr {
    let n_elements = expr.shape.n_elements();
    expr.shape = shape.clone();
    if source.iter().copied().eq(0..n_elements) {
        for last in expr.terms.iter_mut().filter_map(|t| t.factors.last_mut()) {
            last.shape = shape.clone();
        }
        return expr;
    }
    expr.bias = source.iter().map(|&i| expr.bias[i]).collect();
    for term in &mut expr.terms {
        let matrix = match term.factors.pop() {
            Some(last) => last.matrix.select_rows(source),
            None => Matrix::identity(n_elements).select_rows(source),
        };
        term.factors.push(factor(matrix, shape, None, None));
    }
    expr
}

fn sum(operands: Vec<Expr>) -> Expr {
    let mut operands = operands.into_iter();
    let mut total = operands.next().expect("a sum has operands");
    for other in operands {
        total.bias.iter_mut().zip(&other.bias).for_each(|(a, b)| *a += b);
        total.names.extend(other.names);
        total.terms.extend(other.terms);
    }
    total
}
