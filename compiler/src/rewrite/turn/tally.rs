//! What a turning costs, kept up to date while it changes.

use crate::cost::Nominal;
use crate::rewrite::flow::{Edge, Factor, Flow, Kind, Turning};
use hecc_ir::scale::Level;
use hecc_ir::target::Basis;
use std::collections::BTreeMap;

/// Integers, so that no order of additions matters.
pub(super) type Picoseconds = i64;

/// What rotations of one node cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// More for the first rotation than for others.
    first: Picoseconds,
    /// For each rotation.
    baby: Picoseconds,
    /// For each giant step of the sum that the node is.
    giant: Picoseconds,
    /// For applying one key.
    key: Picoseconds,
}

impl Rates {
    /// As if every rotation applied its key some more times.
    pub fn with_keys(self, weight: i64) -> Rates {
        let more = weight * self.key;
        Rates { baby: self.baby + more, giant: self.giant + more, ..self }
    }
}

/// The rates of every node at the level that it will have.
pub(super) fn rates(flow: &Flow, nominal: &Nominal) -> Vec<Rates> {
    let ops = nominal.ops();
    let pico = |ns: f64| (ns * 1e3).round() as Picoseconds;
    let rotate = |level: Level| ops.decompose(level) + ops.divide(level) + ops.apply_key(level);
    let (remaining, bases) = (remaining_levels(flow), bases(flow));
    let rates = |node: usize| {
        let level = nominal.level(remaining[node]);
        let above = nominal.level(remaining[node] + 1);
        let division = if bases[node] == Basis::Extended { ops.divide(level) } else { 0.0 };
        Rates {
            first: pico(ops.decompose(level) + division),
            baby: pico(ops.apply_key(level) + ops.gather(level, Basis::Extended)),
            giant: pico(rotate(above) + ops.add(above, Basis::Extended)),
            key: pico(ops.apply_key(level)),
        }
    };
    (0..flow.nodes.len()).map(rates).collect()
}

/// Levels still needed from each node to the outputs.
fn remaining_levels(flow: &Flow) -> Vec<usize> {
    let mut remaining = vec![0; flow.nodes.len()];
    for node in (0..flow.nodes.len()).rev() {
        for &edge in &flow.nodes[node].operands {
            let multiplies = flow.nodes[node].kind == Kind::Mul || flow.is_product(edge);
            let needed = remaining[node] + usize::from(multiplies);
            let known = &mut remaining[flow.edges[edge].from];
            *known = needed.max(*known);
        }
    }
    remaining
}

/// The basis that each node's value is left in, as far as its kind tells.
fn bases(flow: &Flow) -> Vec<Basis> {
    let mut bases = vec![Basis::Reduced; flow.nodes.len()];
    for (index, node) in flow.nodes.iter().enumerate() {
        let operand = |&edge: &usize| {
            let Edge { from, step, factor, .. } = flow.edges[edge];
            let rotates = step != 0 && factor == Factor::One;
            if rotates { Basis::Extended } else { bases[from] }
        };
        bases[index] = match node.kind {
            Kind::Input { .. } | Kind::Zero | Kind::Mul => Basis::Reduced,
            Kind::Sum if node.operands.iter().any(|&edge| flow.is_product(edge)) => Basis::Reduced,
            Kind::Sum | Kind::Sub | Kind::Neg | Kind::AddPlain(_) | Kind::Output => {
                node.operands.iter().map(operand).max().unwrap_or(Basis::Reduced)
            }
        };
    }
    bases
}

/// A turning, what it makes of every node's rotations, and its price.
#[derive(Clone, Debug)]
pub(super) struct Tally<'a> {
    flow: &'a Flow,
    rates: &'a [Rates],
    pub turning: Turning,
    /// Rotations that each node is read at, with the number of edges.
    pub babies: Vec<BTreeMap<usize, u32>>,
    /// Giant steps of each sum, with the number of edges.
    pub giants: Vec<BTreeMap<usize, u32>>,
    pub price: Picoseconds,
}

impl<'a> Tally<'a> {
    pub fn of(flow: &'a Flow, turning: Turning, rates: &'a [Rates]) -> Tally<'a> {
        let steps = vec![BTreeMap::new(); flow.nodes.len()];
        let mut tally = Tally { flow, rates, turning, babies: steps.clone(), giants: steps, price: 0 };
        (0..flow.edges.len()).for_each(|edge| tally.link(edge));
        tally
    }

    /// The rotation before the product of an edge.
    pub fn baby(&self, edge: usize) -> usize {
        self.flow.baby(&self.turning, edge)
    }

    /// Adds what an edge costs.
    pub fn link(&mut self, edge: usize) {
        let Edge { from, to, .. } = self.flow.edges[edge];
        let baby = self.baby(edge);
        if enter(&mut self.babies[from], baby) {
            self.price += self.rates[from].baby;
            self.price += if self.n_rotations(from) == 1 { self.rates[from].first } else { 0 };
        }
        if enter(&mut self.giants[to], self.turning.giant[edge]) {
            self.price += self.rates[to].giant;
        }
    }

    /// Takes away what [`Tally::link`] added.
    pub fn unlink(&mut self, edge: usize) {
        let Edge { from, to, .. } = self.flow.edges[edge];
        let baby = self.baby(edge);
        if leave(&mut self.babies[from], baby) {
            self.price -= self.rates[from].baby;
            self.price -= if self.n_rotations(from) == 0 { self.rates[from].first } else { 0 };
        }
        if leave(&mut self.giants[to], self.turning.giant[edge]) {
            self.price -= self.rates[to].giant;
        }
    }

    fn n_rotations(&self, node: usize) -> usize {
        self.babies[node].len() - usize::from(self.babies[node].contains_key(&0))
    }

    /// Puts a linked edge behind another giant step.
    pub fn set_giant(&mut self, edge: usize, giant: usize) {
        self.unlink(edge);
        self.turning.giant[edge] = giant;
        self.link(edge);
    }
}

/// Counts a step; true when it is new and not null.
fn enter(steps: &mut BTreeMap<usize, u32>, step: usize) -> bool {
    let count = steps.entry(step).or_insert(0);
    *count += 1;
    *count == 1 && step != 0
}

/// Counts a step less; true when it is gone and not null.
fn leave(steps: &mut BTreeMap<usize, u32>, step: usize) -> bool {
    let count = steps.get_mut(&step).expect("a linked edge is counted");
    *count -= 1;
    let is_gone = *count == 0;
    if is_gone {
        steps.remove(&step);
    }
    is_gone && step != 0
}
