//! Rewrites circuits to cheaper ones with the same meaning.
//!
//! Expects an abstract circuit; leaves one that computes the same tensors, where
//! elements may sit in other slots. First an e-graph (`rules`) finds what is equal,
//! and the cheapest of it is selected; then `turn` decides where rotations stand.
//! What is found competes with the circuit as it was: by nominal prices
//! it is never worse.

mod demand;
mod flow;
mod graph;
mod period;
mod rules;
mod saturate;
mod select;
mod slots;
mod turn;

pub use crate::cost::Objective;
pub use saturate::{Fired, Saturation};

use crate::cost::{self, Memory, Nominal};
use crate::schedule::{Policy, assign_levels, place_rescales};
use flow::Contents;
use hecc_ir::circuit::{Circuit, Value};
use hecc_ir::scale::Level;
use saturate::Bounds;
use serde::Serialize;

/// What a circuit is expected to take once it is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// Time, nanoseconds on one thread.
    pub ns: f64,
    /// Bytes that a run holds, see [`Memory`].
    pub bytes: usize,
}

/// A rewritten circuit and what was done to it.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The best circuit found.
    pub circuit: Circuit,
    /// What the e-graph held.
    pub saturation: Saturation,
    /// The circuit as it was, after the e-graph, and at the end.
    pub footprints: [Footprint; 3],
}

/// Bounds that circuits of thousands of products stay below.
const BOUNDS: Bounds = Bounds { rounds: 12, growth: 8, allowance: 4096 };

/// Whether there may be anything to find. With one slot nothing is rotated, no slot is
/// spared and every plaintext is a number: what rules could still do, folding numbers and
/// sums, lowering has done. Such circuits have a product for each weight.
pub fn has_room(circuit: &Circuit) -> bool {
    circuit.n_slots > 1
}

/// Runs all rewriting passes and takes the best circuit by the objective. It takes
/// no more time than `circuit`, by price, unless memory is all that counts.
pub fn rewrite(circuit: &Circuit, nominal: &Nominal, objective: Objective) -> Rewritten {
    rewrite_without(circuit, nominal, objective, &[])
}

/// As [`rewrite`], without some of the rules of the e-graph.
fn rewrite_without(
    circuit: &Circuit,
    nominal: &Nominal,
    objective: Objective,
    without: &[&str],
) -> Rewritten {
    let (selected, saturation) = equal_circuit(circuit, nominal, without);
    let before = footprint(circuit, nominal);
    let equal = [before, footprint(&selected, nominal)];
    let simplified = choose(&equal, objective);
    let base = if simplified == 0 { circuit.clone() } else { selected };
    let turnings = turn::search(&base, nominal);
    let turned = (0..turnings.len()).map(|i| footprint(&turnings.circuit(i, Contents::Names), nominal));
    let candidates: Vec<Footprint> = [before, equal[simplified]].into_iter().chain(turned).collect();
    let best = choose(&candidates, objective);
    let rewritten = match best {
        0 => circuit.clone(),
        1 => base,
        turned => turnings.circuit(turned - 2, Contents::Values),
    };
    Rewritten { circuit: rewritten, saturation, footprints: [before, equal[simplified], candidates[best]] }
}

/// What each rule is worth to one circuit.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What the e-graph held.
    pub saturation: Saturation,
    /// The circuit as it was, after the e-graph, and at the end.
    pub footprints: [Footprint; 3],
    /// Nanoseconds that the result would take more without each rule that fired, in
    /// the order of [`Saturation::fired`]. Rules make up for each other, and some
    /// serve memory: zero is common, and so are small negative numbers.
    pub saved_ns: Vec<f64>,
}

/// Rewrites once with all rules and once without each that fired.
pub fn account(circuit: &Circuit, nominal: &Nominal, objective: Objective) -> Account {
    let Rewritten { saturation, footprints, .. } = rewrite(circuit, nominal, objective);
    let without = |fired: &Fired| rewrite_without(circuit, nominal, objective, &[fired.rule]).footprints[2];
    let saved_ns = saturation.fired.iter().map(|fired| without(fired).ns - footprints[2].ns).collect();
    Account { saturation, footprints, saved_ns }
}

/// Why the way to compute a value that the e-graph's selection takes is equal to that
/// of the circuit: terms from one to the other, with the rule of each step.
/// Plaintexts are numbered as they were met. Nothing when the selection was given up.
pub fn explain_value(circuit: &Circuit, nominal: &Nominal, value: Value) -> Option<String> {
    let (mut graph, classes) = graph::explained(circuit);
    saturate::saturate(&mut graph, BOUNDS, &[]);
    let class = classes[value.index()];
    let (mut chosen, _) = select::choice(&graph, circuit, &classes, nominal)?;
    let node = chosen.remove(&graph.find(class))?;
    let selected = graph.add_uncanonical(node);
    Some(graph.explain_id_equivalence(class, selected).get_string_with_let())
}

/// The cheapest circuit that the e-graph holds, or the one it was made of when it
/// has grown too large to choose from.
fn equal_circuit(circuit: &Circuit, nominal: &Nominal, without: &[&str]) -> (Circuit, Saturation) {
    let restricted = demand::restrict_plaintexts(circuit);
    let (mut graph, classes) = graph::of_circuit(&restricted);
    let saturation = saturate::saturate(&mut graph, BOUNDS, without);
    match select::select(&graph, &restricted, &classes, nominal) {
        Some(selected) => (selected, saturation),
        None => (restricted, Saturation { is_bounded: true, ..saturation }),
    }
}

/// How much longer than the fastest a circuit may take to save memory.
const BALANCED_SLACK: f64 = 1.1;

/// Index of the best candidate; the first is the circuit as it was.
fn choose(candidates: &[Footprint], objective: Objective) -> usize {
    let fastest = candidates.iter().map(|c| c.ns).fold(f64::INFINITY, f64::min);
    let limit = match objective {
        Objective::Latency | Objective::Throughput => fastest,
        Objective::Balanced => candidates[0].ns.min(fastest * BALANCED_SLACK),
        Objective::Memory => f64::INFINITY,
    };
    let within = candidates.iter().enumerate().filter(|(_, c)| c.ns <= limit);
    let best = within.min_by(|(_, a), (_, b)| a.bytes.cmp(&b.bytes).then(a.ns.total_cmp(&b.ns)));
    best.expect("the fastest is within its own limit").0
}

/// Weighs an abstract circuit with the cheaper placement of its rescales.
pub fn footprint(circuit: &Circuit, nominal: &Nominal) -> Footprint {
    let weigh = |policy: Policy| {
        let placed = place_rescales(circuit, policy);
        let levels = assign_levels(&placed, nominal.level(0));
        let level_of = |value: Value| -> Option<Level> { levels.of(value) };
        Footprint {
            ns: cost::price(&placed, level_of, &nominal.ops()),
            bytes: Memory::of(&placed, level_of, nominal.params()).total(),
        }
    };
    let [early, late] = [Policy::Early, Policy::Late].map(weigh);
    if late.ns < early.ns { late } else { early }
}
