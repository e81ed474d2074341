//! Proof by example: a program beside the model, and a circuit before and after a pass, on the same tensors.
//!
//! A program is the work of every transformation, so what it computes is compared with what the model does, on plain slots; only
//! when they differ is it looked for which stage was the first to.
//!
//! A pass may turn the ciphertexts of inputs and outputs when it changes their layouts,
//! so slots are compared where the layouts say that they correspond.

use crate::model::Model;
use crate::schedule::{Draws, Prediction};
use hecc_ir::circuit::Circuit;
use hecc_ir::eval::{Slots, eval_slots};
use hecc_ir::layout::{Layout, Position};
use hecc_ir::program::Program;
use hecc_ir::{text, verify};
use std::collections::BTreeMap;

/// Where a circuit differs from the one that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The pass between them.
    pub pass: &'static str,
    /// Name of the output.
    pub output: String,
    /// Row-major index of the element; none for a slot without one.
    pub element: Option<usize>,
    /// The slot of the later circuit.
    pub position: Position,
    /// What the earlier circuit computes.
    pub expected: f64,
    /// What the later one does.
    pub found: f64,
    /// Both circuits as text, without constants.
    pub circuits: [String; 2],
}

/// Difference that rounding may explain, relative to the largest element.
const TOLERANCE: f64 = 1e-7;

/// Errors of plain arithmetic are below this part of those of encryption, which cancellation makes as much worse.
const PLAIN_SHARE: f64 = 0.01;

/// Random inputs of the served range that a program is run on, beside those at its ends.
const N_RANDOM: u64 = 3;

/// The circuits between a model and its program.
#[derive(Clone, Copy, Debug)]
pub struct Stages<'a> {
    /// As it was packed and lowered.
    pub lowered: &'a Circuit,
    /// After rewriting.
    pub rewritten: &'a Circuit,
    /// With levels and scales.
    pub leveled: &'a Circuit,
}

/// Compares what a program computes on plain slots with the model: on random inputs of the range that it serves, and
/// with all elements at its ends.
///
/// # Errors
/// The first slot that differs, after the first stage where it does. Values that are not finite differ from all.
pub fn validate_program(
    model: &Model,
    stages: Stages,
    program: &Program,
    prediction: &Prediction,
) -> Result<(), Box<Mismatch>> {
    let emitted = program.circuit();
    for tensor in inputs_of(program) {
        let expected = Expected::of(model, &tensor, prediction);
        let Err(last) = expected.compare("emit", &emitted, &tensor) else { continue };
        let passes = [("lower", stages.lowered), ("rewrite", stages.rewritten), ("schedule", stages.leveled)];
        let found = passes.into_iter().map(|(pass, circuit)| expected.compare(pass, circuit, &tensor));
        let mut mismatch = found.filter_map(Result::err).next().unwrap_or(last);
        let before = match mismatch.pass {
            "lower" => String::from("the model"),
            "rewrite" => text::outline(stages.lowered),
            "schedule" => text::outline(stages.rewritten),
            _ => text::outline(stages.leveled),
        };
        mismatch.circuits[0] = before;
        return Err(mismatch);
    }
    Ok(())
}

fn inputs_of(program: &Program) -> Vec<Vec<f64>> {
    let port = &program.manifest.inputs[0];
    let (n, (low, high)) = (port.layout.home.len(), finite(port.range));
    let random = (0..N_RANDOM).map(|seed| spread(n, (low, high), !seed));
    let ends = |is_high: fn(usize) -> bool| (0..n).map(|i| if is_high(i) { high } else { low }).collect();
    random.chain([ends(|_| false), ends(|_| true), ends(|i| i % 2 == 0)]).collect()
}

/// What the model computes for an input.
struct Expected {
    output: Vec<f64>,
    tolerance: f64,
}

impl Expected {
    fn of(model: &Model, tensor: &[f64], prediction: &Prediction) -> Expected {
        let output = model.logits(tensor);
        let largest = output.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let growth = (largest / prediction.max_output.max(f64::MIN_POSITIVE)).max(1.0);
        let of_encryption = PLAIN_SHARE * prediction.max_error * growth;
        Expected { output, tolerance: (TOLERANCE * largest).max(of_encryption) }
    }

    fn compare(&self, pass: &'static str, circuit: &Circuit, tensor: &[f64]) -> Result<(), Box<Mismatch>> {
        let found = run(circuit, &[tensor.to_vec()]).remove(0);
        let output = &circuit.outputs[0];
        let expected = output.layout.pack(&self.output);
        let is_close = |a: f64, b: f64| (a - b).abs() <= self.tolerance;
        let elements = (0..output.layout.home.len())
            .flat_map(|i| output.layout.positions(i).map(move |position| (Some(i), position)));
        let slots = |ct: u32| (0..output.layout.n_slots as u32).map(move |slot| Position { ct, slot });
        let others = (0..output.layout.n_cts as u32).flat_map(slots).map(|position| (None, position));
        let others = others.filter(|_| !output.layout.dirty);
        let at = |slots: &[Slots], p: Position| slots[p.ct as usize][p.slot as usize];
        let differs = |&(_, p): &(Option<usize>, Position)| !is_close(at(&expected, p), at(&found, p));
        let Some((element, position)) = elements.chain(others).find(differs) else { return Ok(()) };
        Err(Box::new(Mismatch {
            pass,
            output: output.name.clone(),
            element,
            position,
            expected: at(&expected, position),
            found: at(&found, position),
            circuits: [String::new(), text::outline(circuit)],
        }))
    }
}

/// A circuit that a pass left, which is valid.
///
/// # Panics
/// If it breaks an invariant of circuits.
pub fn verified(pass: &str, circuit: Circuit) -> Circuit {
    if let Err(error) = verify(&circuit) {
        panic!("`{pass}` leaves a valid circuit: {error:?}");
    }
    circuit
}

/// Verifies `after` and compares it with `before` on tensors, one per input.
///
/// # Errors
/// The first slot that differs.
///
/// # Panics
/// If `after` breaks an invariant of circuits, or lost an output: passes leave valid
/// circuits.
pub fn validate(
    pass: &'static str,
    before: &Circuit,
    after: &Circuit,
    tensors: &[Vec<f64>],
) -> Result<(), Box<Mismatch>> {
    if let Err(error) = verify(after) {
        panic!("`{pass}` leaves a valid circuit: {error:?}");
    }
    assert_eq!(before.outputs.len(), after.outputs.len(), "`{pass}` keeps the outputs");
    let results = [before, after].map(|circuit| run(circuit, tensors));
    for (index, output) in after.outputs.iter().enumerate() {
        let sides = [before, after].map(|circuit| &circuit.outputs[index].layout);
        let [expected, found] = [&results[0][index], &results[1][index]];
        if let Some((element, from, to)) = first_difference(sides, [expected, found]) {
            let at = |slots: &[Slots], p: Position| slots[p.ct as usize][p.slot as usize];
            return Err(Box::new(Mismatch {
                pass,
                output: output.name.clone(),
                element,
                position: to,
                expected: at(expected, from),
                found: at(found, to),
                circuits: [before, after].map(text::outline),
            }));
        }
    }
    Ok(())
}

fn run(circuit: &Circuit, tensors: &[Vec<f64>]) -> Vec<Vec<Slots>> {
    let packed: Vec<_> = circuit.inputs.iter().zip(tensors).map(|(input, x)| input.layout.pack(x)).collect();
    eval_slots(circuit, &packed)
}

/// The first place that differs: the element that sits there, if any, and its
/// positions before and after. All positions of elements count, and all other slots
/// too unless they may hold anything. Values that are not finite differ from all.
fn first_difference(
    layouts: [&Layout; 2],
    slots: [&Vec<Slots>; 2],
) -> Option<(Option<usize>, Position, Position)> {
    let at = |side: usize, p: Position| slots[side][p.ct as usize][p.slot as usize];
    let largest = slots[0].iter().flatten().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let is_close = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * largest;
    let differs = |from: Position, to: Position| !is_close(at(0, from), at(1, to));
    let n_elements = layouts[0].home.len();
    let pairs = |i: usize| layouts[0].positions(i).zip(layouts[1].positions(i)).map(move |(a, b)| (i, a, b));
    if let Some((i, from, to)) = (0..n_elements).flat_map(pairs).find(|&(_, from, to)| differs(from, to)) {
        return Some((Some(i), from, to));
    }
    if layouts[0].dirty {
        return None;
    }
    // One element tells by how much its ciphertext is turned.
    let homes = layouts[0].home.iter().zip(&layouts[1].home);
    let turned: BTreeMap<u32, (&Position, &Position)> =
        homes.map(|(from, to)| (from.ct, (from, to))).collect();
    let n = layouts[0].n_slots as u32;
    let further = |p: &Position, k: u32| Position { slot: (p.slot + k) % n, ..*p };
    let slots =
        turned.into_values().flat_map(|(from, to)| (0..n).map(move |k| (further(from, k), further(to, k))));
    let found = slots.into_iter().find(|&(from, to)| differs(from, to));
    found.map(|(from, to)| (None, from, to))
}

/// Reproducible values spread over a range (SplitMix64), or over what of it is finite.
pub fn spread(n: usize, range: (f64, f64), seed: u64) -> Vec<f64> {
    let (low, high) = finite(range);
    let mut draws = Draws::new(seed);
    (0..n).map(|_| low + (high - low) * draws.unit()).collect()
}

/// A range, cut off where it has no end.
pub fn finite((low, high): (f64, f64)) -> (f64, f64) {
    let beyond = |other: f64| if other.is_finite() { LARGE.max(2.0 * other.abs()) } else { LARGE };
    let low_end = if low.is_finite() { low } else { -beyond(high) };
    (low_end, if high.is_finite() { high } else { beyond(low) })
}

/// Where ranges without an end are cut off, unless they begin there.
const LARGE: f64 = 1e3;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Dense, LayerKind, ModelBuilder};
    use crate::pipeline::{Compiled, Options, compile};
    use hecc_ir::circuit::{Builder, Input, Op, Output, Plain};
    use hecc_ir::{Shape, Stage, testing};
    use proptest::prelude::*;

    /// A compiled network of two dense layers around a square.
    fn compiled() -> Compiled {
        let mut builder = ModelBuilder::new();
        let dense = |n: usize, m: usize| {
            let weight = (0..n * m).map(|i| (i % 7) as f64 / 4.0 - 0.7).collect();
            LayerKind::Dense(Dense { weight, bias: vec![0.25; m] })
        };
        let input = LayerKind::Input { range: (-1.0, 1.0) };
        let square = LayerKind::Polynomial { coefficients: vec![0.0, 0.0, 1.0] };
        let x = builder.push("x", input, &[], Some(Shape(vec![8]))).unwrap();
        let h = builder.push("h", dense(8, 5), &[x], None).unwrap();
        let a = builder.push("a", square, &[h], None).unwrap();
        let y = builder.push("y", dense(5, 3), &[a], None).unwrap();
        compile(&builder.finish("net", y), &Options::default()).unwrap()
    }

    fn first_to_differ(compiled: &Compiled) -> Result<(), &'static str> {
        let Compiled { model, lowered, rewritten, leveled, program, prediction, .. } = compiled;
        let stages = Stages { lowered, rewritten, leveled };
        validate_program(model, stages, program, prediction).map_err(|mismatch| mismatch.pass)
    }

    /// The values of one constant, all changed a little: not every slot reaches an output.
    fn change(consts: &mut [Plain]) {
        let changed = consts.last_mut().unwrap();
        let mut values = changed.values().into_owned();
        values.iter_mut().for_each(|value| *value += 0.01);
        *changed = Plain::new(values);
    }

    #[test]
    fn programs_compute_the_model() {
        assert_eq!(first_to_differ(&compiled()), Ok(()));
    }

    #[test]
    fn the_first_stage_that_differs_is_named() {
        let right = compiled();
        let mut wrong = right.clone();
        change(&mut wrong.program.consts);
        assert_eq!(first_to_differ(&wrong), Err("emit"));
        change(&mut wrong.leveled.consts);
        assert_eq!(first_to_differ(&wrong), Err("schedule"));
        change(&mut wrong.rewritten.consts);
        assert_eq!(first_to_differ(&wrong), Err("rewrite"));
        let LayerKind::Dense(dense) = &mut wrong.model.layers[1].kind else { panic!("it is dense") };
        dense.bias[0] += 0.01;
        assert_eq!(first_to_differ(&wrong), Err("lower"));
    }

    #[test]
    fn values_that_are_not_finite_differ() {
        let mut wrong = compiled();
        wrong.program.consts.iter_mut().for_each(|plain| *plain = Plain::new(vec![f64::MAX]));
        assert_eq!(first_to_differ(&wrong), Err("emit"));
        let LayerKind::Polynomial { coefficients } = &mut wrong.model.layers[2].kind else {
            panic!("it is one")
        };
        coefficients[2] = f64::INFINITY;
        assert_eq!(first_to_differ(&wrong), Err("lower"));
    }

    /// A circuit that turns its input.
    fn turning(step: i64) -> Circuit {
        let mut builder = Builder::new("turn", 8);
        let layout = Layout::contiguous(Shape(vec![8]), 8);
        let input = Input { name: "x".into(), layout: layout.clone(), range: (-1.0, 1.0) };
        let input = builder.declare_input(input);
        let x = builder.push(Op::Input { input, ct: 0 });
        let y = builder.rotate(x, step);
        builder.output(Output { name: "y".into(), layout, values: vec![y] });
        builder.finish()
    }

    proptest! {
        #[test]
        fn circuits_equal_themselves(circuit in testing::circuits(Stage::Abstract), seed: u64) {
            let tensors = testing::inputs_for(&circuit, seed);
            prop_assert_eq!(validate("nothing", &circuit, &circuit, &tensors), Ok(()));
        }
    }

    #[test]
    fn a_wrong_step_is_found() {
        let tensor: Vec<f64> = (0..8).map(f64::from).collect();
        let mismatch = validate("turn", &turning(1), &turning(2), &[tensor]).unwrap_err();
        let Mismatch { pass, output, element, position, expected, found, circuits } = *mismatch;
        assert_eq!((pass, output.as_str(), element, position.slot), ("turn", "y", Some(0), 0));
        assert_eq!((expected, found), (1.0, 2.0));
        assert!(circuits[0].contains("rotate %0, 1") && circuits[1].contains("rotate %0, 2"));
    }
}
