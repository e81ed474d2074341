//! Assigns levels: every value as low as its users allow, so that ops work on
//! as few primes as possible.

use hecc_ir::circuit::{Circuit, Op};
use hecc_ir::scale::Level;

/// Level of each value; `None` for values nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    of: Vec<Option<Level>>,
    /// Level of the outputs.
    pub base: Level,
    /// Highest level of any value.
    pub top: Level,
}

impl Levels {
    /// Level of a value, if anything reads it.
    pub fn of(&self, value: hecc_ir::Value) -> Option<Level> {
        self.of[value.index()]
    }

    /// Rescales on the longest path.
    pub fn depth(&self) -> u32 {
        self.top.0 - self.base.0
    }
}

/// Assigns levels to a circuit with rescales in place; outputs get `base`.
/// Ciphertexts of one input arrive at one level, read or not.
pub fn assign_levels(circuit: &Circuit, base: Level) -> Levels {
    let mut of: Vec<Option<Level>> = vec![None; circuit.nodes.len()];
    for value in circuit.outputs.iter().flat_map(|o| &o.values) {
        of[value.index()] = Some(base);
    }
    for (index, node) in circuit.nodes.iter().enumerate().rev() {
        let Some(level) = of[index] else { continue };
        let needed = match node.op {
            Op::Rescale(_) => Level(level.0 + 1),
            _ => level,
        };
        for operand in node.op.operands() {
            let known = &mut of[operand.index()];
            *known = Some(known.map_or(needed, |level| level.max(needed)));
        }
    }
    level_inputs(circuit, base, &mut of);
    let top = of.iter().flatten().copied().max().unwrap_or(base);
    Levels { of, base, top }
}

fn level_inputs(circuit: &Circuit, base: Level, of: &mut [Option<Level>]) {
    let mut highest = vec![base; circuit.inputs.len()];
    let input_of = |index: usize| {
        let Op::Input { input, .. } = circuit.nodes[index].op else { return None };
        Some(input as usize)
    };
    for (index, level) in of.iter().enumerate() {
        if let (Some(input), Some(level)) = (input_of(index), level) {
            highest[input] = highest[input].max(*level);
        }
    }
    for (index, level) in of.iter_mut().enumerate() {
        if let Some(input) = input_of(index) {
            *level = Some(highest[input]);
        }
    }
}
