//! Rewrites circuits to cheaper ones with the same meaning.
//!
//! Expects an abstract circuit; leaves one that computes the same tensors, where
//! elements may sit in other slots. [`turn`] decides where rotations stand. What is
//! found competes with the circuit as it was: by price the result is never worse.

mod flow;
mod turn;

use crate::cost::{self, Nominal};
use crate::schedule::{Policy, assign_levels, place_rescales};
use hecc_ir::circuit::{Circuit, Value};
use hecc_ir::scale::Level;

/// What a program is to be small in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Time.
    Latency,
    /// Memory of keys and plaintexts, where it costs little time.
    #[default]
    Balanced,
    /// Memory of keys and plaintexts.
    Memory,
}

/// What a circuit is expected to take once it is scheduled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Time, nanoseconds on one thread.
    pub ns: f64,
    /// Bytes of rotation keys and encoded plaintexts.
    pub bytes: usize,
}

/// Runs all rewriting passes and takes the best circuit by the objective. It takes
/// no more time than `circuit`, by price, unless memory is all that counts.
pub fn rewrite(circuit: &Circuit, nominal: &Nominal, objective: Objective) -> Circuit {
    let candidates = std::iter::once(circuit.clone()).chain(turn::turn(circuit, nominal));
    let weighed: Vec<(Footprint, Circuit)> =
        candidates.map(|circuit| (footprint(&circuit, nominal), circuit)).collect();
    choose(weighed, objective)
}

/// How much longer than the fastest a circuit may take to save memory.
const BALANCED_SLACK: f64 = 1.05;

/// The best candidate; the first is the circuit as it was.
fn choose(candidates: Vec<(Footprint, Circuit)>, objective: Objective) -> Circuit {
    let fastest = candidates.iter().map(|c| c.0.ns).fold(f64::INFINITY, f64::min);
    let limit = match objective {
        Objective::Latency => fastest,
        Objective::Balanced => candidates[0].0.ns.min(fastest * BALANCED_SLACK),
        Objective::Memory => f64::INFINITY,
    };
    let within = candidates.into_iter().filter(|c| c.0.ns <= limit);
    let order = |a: &Footprint, b: &Footprint| a.bytes.cmp(&b.bytes).then(a.ns.total_cmp(&b.ns));
    within.min_by(|a, b| order(&a.0, &b.0)).expect("the fastest is within its own limit").1
}

/// Weighs an abstract circuit with the cheaper placement of its rescales.
pub fn footprint(circuit: &Circuit, nominal: &Nominal) -> Footprint {
    let weigh = |policy: Policy| {
        let placed = place_rescales(circuit, policy);
        let levels = assign_levels(&placed, nominal.level(0));
        let level_of = |value: Value| -> Option<Level> { levels.of(value) };
        Footprint {
            ns: cost::price(&placed, level_of, &nominal.ops()),
            bytes: cost::memory(&placed, level_of, nominal.params()),
        }
    };
    let [early, late] = [Policy::Early, Policy::Late].map(weigh);
    if late.ns < early.ns { late } else { early }
}
