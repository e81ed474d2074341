//! What a run of a circuit holds in memory, before there is anything to run.
//!
//! The one estimate of it: rewriting, packing and commands all ask here. Keys and plaintexts
//! are exact but for padding; ciphertexts are those alive when values are computed one after
//! the other in the circuit's order. An executor with several threads may hold more, and one that
//! finds a better order less. Before there is a circuit there is a bound, of runs with an element in each
//! ciphertext.

use super::bases;
use crate::sparsity::{Factor, Network, Node, NodeId, NodeKind, Term};
use hecc_ir::circuit::{Circuit, Const, Op, Value};
use hecc_ir::params::Params;
use hecc_ir::scale::{Level, Step};
use hecc_ir::size::Sizes;
use hecc_ir::target::Basis;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a run holds, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Evaluation keys, each at the highest level that uses it.
    pub keys: usize,
    /// Encoded plaintexts, if all of them are kept.
    pub plains: usize,
    /// Ciphertexts alive at once, inputs included.
    pub cts: usize,
}

impl Memory {
    /// All of them.
    pub fn total(&self) -> usize {
        self.keys + self.plains + self.cts
    }

    /// Of a circuit with rescales in place.
    pub fn of(circuit: &Circuit, level_of: impl Fn(Value) -> Option<Level>, params: &Params) -> Memory {
        let (sizes, bases) = (Sizes(params), bases(circuit));
        let (mut rotations, mut relin): (BTreeMap<Step, Level>, Option<Level>) = (BTreeMap::new(), None);
        let mut plains: BTreeSet<(Const, Level, Basis)> = BTreeSet::new();
        let is_number = |constant: Const| circuit.plain(constant).uniform().is_some();
        for value in circuit.values() {
            let Some(level) = level_of(value) else { continue };
            let op = &circuit.node(value).op;
            if let Op::Rotate(_, step) = *op {
                let highest = rotations.entry(step).or_insert(level);
                *highest = level.max(*highest);
            }
            if let Op::Relin(_) = op {
                relin = relin.max(Some(level));
            }
            if let Some(constant) = op.constant().filter(|&constant| !is_number(constant)) {
                let is_added = matches!(op, Op::AddPlain(..));
                let basis = if is_added { Basis::Reduced } else { bases[value.index()] };
                plains.insert((constant, level, basis));
            }
        }
        let plain = |&(_, level, basis): &(Const, Level, Basis)| sizes.plain(level, basis);
        Memory {
            keys: rotations.into_values().chain(relin).map(|level| sizes.key(level)).sum(),
            plains: plains.iter().map(plain).sum(),
            cts: most_alive(circuit, |value| {
                level_of(value).map_or(0, |level| sizes.ct(level, bases[value.index()]))
            }),
        }
    }
}

/// Levels that are still needed from each node of a network on, however it is packed: neighbouring maps may be
/// composed, so that one is needed between two activations, where elements are mixed.
pub(crate) fn least_remaining(network: &Network) -> Vec<usize> {
    let mut remaining = vec![0; network.nodes.len()];
    for id in network.ids().collect::<Vec<_>>().into_iter().rev() {
        let kind = &network.node(id).kind;
        for operand in kind.operands() {
            let levels = match (kind, &network.node(operand).kind) {
                (NodeKind::Activation(activation), _) => activation.depth(),
                (NodeKind::Linear(_), NodeKind::Linear(_)) | (NodeKind::Input, _) => 0,
                (NodeKind::Linear(linear), NodeKind::Input | NodeKind::Activation(_)) => {
                    usize::from(linear.terms.iter().any(mixes))
                }
            };
            remaining[operand.0] = remaining[operand.0].max(remaining[id.0] + levels);
        }
    }
    remaining
}

/// Bytes of the largest tensor that is there as a whole, with each element that matters in a ciphertext
/// of its own, at the level of [`least_remaining`]: an activation whose elements are mixed, for others go
/// element by element, and maps may be composed.
pub(crate) fn least_ct_bytes(network: &Network, remaining: &[usize], ring_degree: usize) -> usize {
    let (read, encrypted) = (read_elements(network), encrypted_elements(network));
    let is_mixed = |id: NodeId| {
        let mixed = |node: &Node| match &node.kind {
            NodeKind::Linear(linear) => linear.terms.iter().any(|term| term.operand == id && mixes(term)),
            NodeKind::Input | NodeKind::Activation(_) => false,
        };
        network.nodes.iter().any(mixed)
    };
    let is_whole = |id: &NodeId| matches!(network.node(*id).kind, NodeKind::Activation(_)) && is_mixed(*id);
    let bytes = |id: NodeId| {
        let elements = read[id.0].iter().zip(&encrypted[id.0]);
        let n_elements = elements.filter(|&(&read, &encrypted)| read && encrypted).count();
        n_elements.saturating_mul(2 * remaining[id.0].max(1) * ring_degree * size_of::<u64>())
    };
    network.ids().filter(is_whole).map(bytes).max().unwrap_or(0)
}

/// Whether a term computes elements from several: moves and factors on single ones are no reason to wait.
fn mixes(term: &Term) -> bool {
    term.factors.iter().any(|Factor { matrix, .. }| matrix.n_nonzeros() > matrix.n_rows())
}

/// Of each node the elements that the output depends on.
fn read_elements(network: &Network) -> Vec<Vec<bool>> {
    let mut read: Vec<Vec<bool>> =
        network.nodes.iter().map(|node| vec![false; node.shape.n_elements()]).collect();
    read[network.output.0].fill(true);
    for id in network.ids().collect::<Vec<_>>().into_iter().rev() {
        let rows = std::mem::take(&mut read[id.0]);
        match &network.node(id).kind {
            NodeKind::Linear(linear) => {
                for term in &linear.terms {
                    let columns = term.factors.iter().rev().fold(rows.clone(), columns_of);
                    add(&mut read[term.operand.0], &columns);
                }
            }
            NodeKind::Activation(activation) => add(&mut read[activation.operand.0], &rows),
            NodeKind::Input => {}
        }
        read[id.0] = rows;
    }
    read
}

/// Of each node the elements that depend on the input.
fn encrypted_elements(network: &Network) -> Vec<Vec<bool>> {
    let mut encrypted: Vec<Vec<bool>> = Vec::new();
    for node in &network.nodes {
        let n_elements = node.shape.n_elements();
        encrypted.push(match &node.kind {
            NodeKind::Input => vec![true; n_elements],
            NodeKind::Linear(linear) => {
                let mut elements = vec![false; n_elements];
                for term in &linear.terms {
                    let rows = term.factors.iter().fold(encrypted[term.operand.0].clone(), rows_of);
                    add(&mut elements, &rows);
                }
                elements
            }
            NodeKind::Activation(activation) => encrypted[activation.operand.0].clone(),
        });
    }
    encrypted
}

/// The rows of a map that read some columns.
fn rows_of(columns: Vec<bool>, Factor { matrix, .. }: &Factor) -> Vec<bool> {
    (0..matrix.n_rows()).map(|row| matrix.row(row).any(|(column, _)| columns[column])).collect()
}

/// The columns that some rows of a map read.
fn columns_of(rows: Vec<bool>, Factor { matrix, .. }: &Factor) -> Vec<bool> {
    let mut columns = vec![false; matrix.n_cols()];
    for row in (0..matrix.n_rows()).filter(|&row| rows[row]) {
        matrix.row(row).for_each(|(column, _)| columns[column] = true);
    }
    columns
}

fn add(elements: &mut [bool], others: &[bool]) {
    elements.iter_mut().zip(others).for_each(|(element, other)| *element |= other);
}

/// Most bytes of values alive at once: inputs from the start, outputs to the end, terms of sums never,
/// for an inner product makes no values of them.
fn most_alive(circuit: &Circuit, bytes: impl Fn(Value) -> usize) -> usize {
    let is_term = circuit.summed_products();
    let mut size_of: Vec<usize> = circuit.values().map(&bytes).collect();
    let is_input = |value: &Value| matches!(circuit.node(*value).op, Op::Input { .. });
    let mut now: usize = circuit.values().filter(is_input).map(|value| size_of[value.index()]).sum();
    let mut most = now;
    let last_reader = last_readers(circuit, &is_term);
    for value in circuit.values().filter(|value| !is_term[value.index()]) {
        if !is_input(&value) {
            now += size_of[value.index()];
            most = most.max(now);
        }
        for read in reads(circuit, &is_term, value) {
            if last_reader[read.index()] == Some(value) {
                now -= std::mem::take(&mut size_of[read.index()]);
            }
        }
    }
    most
}

/// What a value is computed from, through the terms of a sum.
fn reads(circuit: &Circuit, is_term: &[bool], value: Value) -> Vec<Value> {
    let operands = circuit.node(value).op.operands().into_iter();
    let through = |operand: Value| match is_term[operand.index()] {
        true => circuit.node(operand).op.operands(),
        false => vec![operand],
    };
    operands.flat_map(through).collect()
}

/// Of each value the last that reads it; `None` for outputs and for what nothing reads.
fn last_readers(circuit: &Circuit, is_term: &[bool]) -> Vec<Option<Value>> {
    let mut last = vec![None; circuit.nodes.len()];
    for value in circuit.values().filter(|value| !is_term[value.index()]) {
        reads(circuit, is_term, value).into_iter().for_each(|read| last[read.index()] = Some(value));
    }
    circuit.outputs.iter().flat_map(|output| &output.values).for_each(|value| last[value.index()] = None);
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Nominal, default_target};
    use hecc_ir::circuit::{Builder, Input, Output, Plain};
    use hecc_ir::layout::{Layout, Shape};

    const N_SLOTS: usize = 4;

    /// Of a circuit that sums products of a value's rotations by some steps with plaintexts.
    fn of_rotations(steps: &[i64], plains: &[Vec<f64>]) -> Memory {
        let mut builder = Builder::new("sum", N_SLOTS);
        let layout = Layout::contiguous(Shape(vec![N_SLOTS]), N_SLOTS);
        builder.declare_input(Input { name: "x".into(), layout: layout.clone(), range: (0.0, 1.0) });
        let x = builder.push(Op::Input { input: 0, ct: 0 });
        let rotated: Vec<Value> = steps.iter().map(|&step| builder.rotate(x, step)).collect();
        let product = |(&value, plain): (&Value, &Vec<f64>)| (value, Plain::new(plain.clone()));
        let terms: Vec<_> = rotated.iter().zip(plains).map(product).collect();
        let products = terms.into_iter().map(|(value, plain)| builder.mul_plain(value, plain)).collect();
        let values = vec![builder.sum(products)];
        builder.output(Output { name: "y".into(), layout, values });
        let target = default_target();
        Memory::of(&builder.finish(), |_| Some(LEVEL), Nominal::new(&target.rings[0], 1).params())
    }

    const LEVEL: Level = Level(1);

    #[test]
    fn what_is_shared_counts_once() {
        let (first, second) = (vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 1.0, 4.0, 3.0]);
        let target = default_target();
        let nominal = Nominal::new(&target.rings[0], 1);
        let sizes = Sizes(nominal.params());
        let (key, plain) = (sizes.key(LEVEL), sizes.plain(LEVEL, Basis::Extended));
        let both = of_rotations(&[1, 2], &[first.clone(), second]);
        // The operand goes when it is rotated, products are never there, the sum comes.
        let cts = 3 * sizes.ct(LEVEL, Basis::Extended);
        assert_eq!(both, Memory { keys: 2 * key, plains: 2 * plain, cts });
        let same = of_rotations(&[1, 2], &[first.clone(), first]);
        assert_eq!(same, Memory { plains: plain, ..both });
        let numbers = of_rotations(&[1, 2], &[vec![2.0; N_SLOTS], vec![3.0; N_SLOTS]]);
        assert_eq!(numbers, Memory { plains: 0, ..both });
    }
}
