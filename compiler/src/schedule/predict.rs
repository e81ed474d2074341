//! Predicts the error of a leveled circuit from the noise of its operations.
//!
//! Runs the circuit on plain slots and carries, slot by slot, the variance of
//! the error each ciphertext would have, in slot units.

use super::over_samples;
use hecc_ir::circuit::{Circuit, Const, Op, Output, Value};
use hecc_ir::noise::NoiseModel;
use hecc_ir::program::Promise;
use std::borrow::Cow;
use std::collections::HashMap;

/// What encrypted runs are expected to deliver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Largest error of an output element that most runs stay below.
    pub max_error: f64,
    /// Largest output element seen.
    pub max_output: f64,
    /// Largest error relative to the largest output element of the same sample, or to that of the middle one of
    /// all samples if that is larger.
    pub relative: f64,
}

/// Expected errors for one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Errors {
    /// Largest error of an output element that most runs stay below.
    pub max_error: f64,
    /// Root mean square of the errors of all slots of an output's ciphertext, where it is largest.
    pub rms: f64,
    /// Largest output element.
    pub max_output: f64,
}

/// The variance, in slot units, of the error that each value's own operation adds. For products with
/// plaintexts and numbers it is that of the factor.
///
/// What [`predict`] finds never falls when one of these rises.
pub(super) fn own_errors(circuit: &Circuit) -> Vec<f64> {
    let params = circuit.params.as_ref().expect("a leveled circuit has parameters");
    let lanes = params.lanes(circuit.n_slots).expect("the slots of a circuit divide those of its ring");
    let noise = NoiseModel::new(params);
    let encode = |constant: Const| noise.encode(circuit.plain(constant).widened_period(lanes));
    let own = |value: Value| {
        let ty = circuit.ty(value);
        let factor = |operand: Value| ty.scale - circuit.ty(operand).scale;
        let (error, scale) = match circuit.node(value).op {
            Op::Input { .. } => (noise.fresh(), ty.scale),
            Op::AddPlain(_, constant) => (encode(constant), ty.scale),
            Op::MulPlain(operand, constant) => (encode(constant), factor(operand)),
            Op::MulScalar(operand, _) => (noise.scalar(), factor(operand)),
            Op::Rotate(..) | Op::Relin(_) => (noise.key_switch(ty.level), ty.scale),
            Op::Rescale(_) => (noise.rescale(ty.degree), ty.scale),
            Op::Zero | Op::Add(_) | Op::Sub(..) | Op::Neg(_) | Op::Mul(..) | Op::DropLevel(..) => return 0.0,
        };
        (error / scale.factor()).powi(2)
    };
    circuit.values().map(own).collect()
}

/// Runs the prediction on one input (a tensor), with the circuit's [`own_errors`].
pub(super) fn predict(circuit: &Circuit, own_errors: &[f64], sample: &[f64]) -> Errors {
    let noise = NoiseModel::new(circuit.params.as_ref().expect("a leveled circuit has parameters"));
    let mut machine = Machine::new(circuit, own_errors, circuit.inputs[0].layout.pack(sample));
    machine.run(|_, _| ());
    let (mut max_error, mut max_output, mut rms) = (0.0f64, 0.0f64, 0.0f64);
    for output in &circuit.outputs {
        for value in &output.values {
            let variance = &machine.get(*value).variance;
            rms = rms.max((variance.iter().sum::<f64>() / variance.len() as f64).sqrt());
        }
        for home in &output.layout.home {
            let value = machine.get(output.values[home.ct as usize]);
            let slot = home.slot as usize;
            let error = noise.largest_of(output.layout.home.len(), value.variance[slot].sqrt());
            max_error = max_error.max(error);
            max_output = max_output.max(value.slots[slot].abs());
        }
    }
    Errors { max_error, rms, max_output }
}

/// A promise for more inputs than it was made for, if a leveled circuit is as precise on these.
pub fn extend(circuit: &Circuit, promise: Promise, inputs: &[Vec<f64>]) -> Option<Promise> {
    let own = own_errors(circuit);
    let found = over_samples(inputs, |input| predict(circuit, &own, input));
    found.into_iter().try_fold(promise, |promise, Errors { max_error, rms, max_output }| {
        let size = promise.size(max_output);
        let is_kept = max_error <= promise.precision * size;
        is_kept.then_some(Promise { rms: promise.rms.max(rms / size), ..promise })
    })
}

/// The largest standard deviation that the error of a slot of each output may have, in slot units, where no slot of a
/// value is larger than `bounds` say.
pub(super) fn largest_errors(circuit: &Circuit, bounds: &[f64]) -> Vec<f64> {
    let own = own_errors(circuit);
    let packed = vec![vec![0.0; circuit.n_slots]; circuit.inputs[0].layout.n_cts];
    let mut machine = Machine::new(circuit, &own, packed);
    machine.run(|value, result| result.slots.fill(bounds[value.index()]));
    let variances = |output: &Output| {
        output
            .values
            .iter()
            .flat_map(|value| machine.get(*value).variance.iter())
            .copied()
            .fold(0.0, f64::max)
    };
    circuit.outputs.iter().map(|output| variances(output).sqrt()).collect()
}

/// Slots, and the variance of each slot's error in slot units.
#[derive(Clone, Debug)]
struct Noisy {
    slots: Vec<f64>,
    variance: Vec<f64>,
}

struct Machine<'a> {
    circuit: &'a Circuit,
    own_errors: &'a [f64],
    packed: Vec<Vec<f64>>,
    values: Vec<Option<Noisy>>,
    uses: Vec<u32>,
    /// Products that are computed as their sum takes them in.
    summed: Vec<bool>,
}

impl<'a> Machine<'a> {
    fn new(circuit: &'a Circuit, own_errors: &'a [f64], packed: Vec<Vec<f64>>) -> Machine<'a> {
        Machine {
            circuit,
            own_errors,
            packed,
            values: vec![None; circuit.nodes.len()],
            uses: circuit.use_counts(),
            summed: circuit.summed_products(),
        }
    }

    /// Computes every value, which `adjust` may change before others read it.
    fn run(&mut self, adjust: impl Fn(Value, &mut Noisy)) {
        for value in self.circuit.values() {
            if self.summed[value.index()] {
                continue;
            }
            let mut result = self.step(value);
            adjust(value, &mut result);
            self.values[value.index()] = (self.uses[value.index()] > 0).then_some(result);
        }
    }

    fn get(&self, value: Value) -> &Noisy {
        self.values[value.index()].as_ref().expect("operands precede users")
    }

    /// An operand, out of the arena at its last use.
    fn consume(&mut self, value: Value) -> Noisy {
        let uses = &mut self.uses[value.index()];
        *uses -= 1;
        let held = &mut self.values[value.index()];
        let found = if *uses == 0 { held.take() } else { held.clone() };
        found.expect("operands precede users")
    }

    fn step(&mut self, value: Value) -> Noisy {
        let own = self.own_errors[value.index()];
        match &self.circuit.node(value).op {
            Op::Input { ct, .. } => {
                let slots = self.packed[*ct as usize].clone();
                Noisy { variance: vec![own; slots.len()], slots }
            }
            Op::Zero => self.zero(),
            Op::Add(values) => self.sum(values),
            Op::Sub(a, b) => difference(self.consume(*a), &self.consume(*b)),
            Op::Neg(a) => {
                let mut result = self.consume(*a);
                result.slots.iter_mut().for_each(|x| *x = -*x);
                result
            }
            Op::AddPlain(a, c) => {
                let mut result = noisier(self.consume(*a), own);
                let period = self.circuit.plain(*c).values();
                for slots in result.slots.chunks_mut(period.len()) {
                    slots.iter_mut().zip(&*period).for_each(|(x, added)| *x += added);
                }
                result
            }
            Op::Mul(a, b) => product(self.consume(*a), self.consume(*b)),
            Op::MulPlain(..) | Op::MulScalar(..) => {
                let mut result = self.zero();
                self.add_product(&mut result, value);
                result
            }
            Op::Rotate(a, step) => {
                let mut result = noisier(self.consume(*a), own);
                result.slots.rotate_left(step.get());
                result.variance.rotate_left(step.get());
                result
            }
            Op::Rescale(a) | Op::Relin(a) => noisier(self.consume(*a), own),
            Op::DropLevel(a, _) => self.consume(*a),
        }
    }

    fn zero(&self) -> Noisy {
        let n = self.circuit.n_slots;
        Noisy { slots: vec![0.0; n], variance: vec![0.0; n] }
    }

    fn sum(&mut self, values: &[Value]) -> Noisy {
        let mut copies = HashMap::new();
        values.iter().for_each(|value| *copies.entry(*value).or_insert(0.0) += 1.0);
        let mut sum = self.zero();
        for value in values {
            if self.summed[value.index()] {
                self.add_product(&mut sum, *value);
            } else {
                // n copies of one error have n^2 times its variance: n for each of them.
                add(&mut sum, self.get(*value), copies[value]);
                self.release(*value);
            }
        }
        sum
    }

    /// Adds a product with a plaintext or a number.
    fn add_product(&mut self, sum: &mut Noisy, value: Value) {
        let (operand, factor) = match self.circuit.node(value).op {
            Op::MulPlain(operand, constant) => (operand, self.circuit.plain(constant).values()),
            Op::MulScalar(operand, scalar) => (operand, Cow::Owned(vec![scalar])),
            _ => unreachable!("products are with plaintexts and numbers"),
        };
        add_weighted(sum, self.get(operand), &factor, self.own_errors[value.index()]);
        self.release(operand);
    }

    fn release(&mut self, value: Value) {
        let uses = &mut self.uses[value.index()];
        *uses -= 1;
        if *uses == 0 {
            self.values[value.index()] = None;
        }
    }
}

fn noisier(mut value: Noisy, added: f64) -> Noisy {
    value.variance.iter_mut().for_each(|v| *v += added);
    value
}

fn add(sum: &mut Noisy, term: &Noisy, n_copies: f64) {
    sum.slots.iter_mut().zip(&term.slots).for_each(|(x, y)| *x += y);
    sum.variance.iter_mut().zip(&term.variance).for_each(|(v, w)| *v += n_copies * w);
}

/// Adds a product with weights that repeat and have an error of some variance.
fn add_weighted(sum: &mut Noisy, operand: &Noisy, period: &[f64], rounding: f64) {
    let n = period.len();
    let sums = sum.slots.chunks_mut(n).zip(sum.variance.chunks_mut(n));
    let operands = operand.slots.chunks(n).zip(operand.variance.chunks(n));
    for ((slots, variances), (xs, vs)) in sums.zip(operands) {
        let sums = slots.iter_mut().zip(variances);
        for (((sum, variance), (x, v)), weight) in sums.zip(xs.iter().zip(vs)).zip(period) {
            *variance += v * weight * weight + x * x * rounding;
            *sum += x * weight;
        }
    }
}

fn difference(mut a: Noisy, b: &Noisy) -> Noisy {
    a.slots.iter_mut().zip(&b.slots).for_each(|(x, y)| *x -= y);
    a.variance.iter_mut().zip(&b.variance).for_each(|(v, w)| *v += w);
    a
}

/// Errors of a product. Operands are often the same ciphertext, whose errors
/// add up in full, so both parts are added before they are squared.
fn product(mut a: Noisy, b: Noisy) -> Noisy {
    for i in 0..a.slots.len() {
        let (x, y) = (a.slots[i].abs(), b.slots[i].abs());
        let (s, t) = (a.variance[i].sqrt(), b.variance[i].sqrt());
        a.variance[i] = (x * t + y * s + s * t).powi(2);
        a.slots[i] *= b.slots[i];
    }
    a
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hecc_ir::circuit::{Builder, Input, Plain};
    use hecc_ir::layout::Layout;
    use hecc_ir::params::{Params, SecurityLevel};
    use hecc_ir::scale::{Level, Scale, Step};
    use hecc_ir::{CtType, Shape};

    /// A circuit of what is made of a fresh ciphertext.
    pub fn circuit(make: impl Fn(&mut Builder, Value, CtType) -> Value) -> Circuit {
        let mut builder = Builder::new("copies", 8);
        let (q, p, digit_limbs) = (vec![65537], vec![114_689], 1);
        let security = SecurityLevel::Insecure;
        builder.set_params(Params { ring_degree: 16, q, p, digit_limbs, security });
        let layout = Layout::contiguous(Shape(vec![8]), 8);
        let input =
            builder.declare_input(Input { name: "x".into(), layout: layout.clone(), range: (-1.0, 1.0) });
        let ty = CtType { level: Level(0), scale: Scale::from_log2(10.0), degree: 1 };
        let x = builder.push_typed(Op::Input { input, ct: 0 }, ty);
        let y = make(&mut builder, x, ty);
        builder.output(Output { name: "y".into(), layout, values: vec![y] });
        builder.finish()
    }

    const SAMPLE: [f64; 8] = [0.5, -0.25, 0.125, 1.0, -1.0, 0.75, 0.0, -0.5];

    /// Expected error of a sum of so many copies of a fresh ciphertext.
    fn error_of_copies(n: usize) -> f64 {
        let circuit = circuit(|builder, x, ty| builder.push_typed(Op::Add(vec![x; n]), ty));
        predict(&circuit, &own_errors(&circuit), &SAMPLE).max_error
    }

    /// A sum of products, turned.
    fn products() -> Circuit {
        circuit(|builder, x, ty| {
            let raised = CtType { scale: ty.scale + ty.scale, ..ty };
            let weights = builder.constant(Plain::new(vec![2.0, -3.0]));
            let first = builder.push_typed(Op::MulPlain(x, weights), raised);
            let second = builder.push_typed(Op::MulScalar(x, 0.5), raised);
            let sum = builder.push_typed(Op::Add(vec![first, second]), raised);
            builder.push_typed(Op::Rotate(sum, Step::new(3, 8)), raised)
        })
    }

    #[test]
    fn errors_of_products_add_up() {
        let (circuit, own) = (products(), own_errors(&products()));
        let [fresh, plain, scalar, _, turned] = own[..] else { panic!("five values") };
        let variance = |(i, x): (usize, &f64)| {
            let weight = [2.0, -3.0][i % 2];
            fresh * (weight * weight + 0.25) + x * x * (plain + scalar) + turned
        };
        let largest = SAMPLE.iter().enumerate().map(variance).fold(0.0, f64::max).sqrt();
        let expected =
            NoiseModel::new(circuit.params.as_ref().expect("it is leveled")).largest_of(8, largest);
        let ratio = predict(&circuit, &own, &SAMPLE).max_error / expected;
        assert!((ratio - 1.0).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn larger_errors_of_operations_never_make_a_smaller_one() {
        let (circuit, own) = (products(), own_errors(&products()));
        let error = |own: &[f64]| predict(&circuit, own, &SAMPLE).max_error;
        for value in 0..own.len() {
            let mut larger = own.clone();
            larger[value] += own[0];
            assert!(error(&larger) >= error(&own), "{value}");
        }
    }

    #[test]
    fn errors_under_bounds_are_no_smaller_than_any_that_keep_them() {
        let (circuit, own) = (products(), own_errors(&products()));
        let bounds = vec![4.0; circuit.nodes.len()];
        let noise = NoiseModel::new(circuit.params.as_ref().expect("it is leveled"));
        let [largest] = largest_errors(&circuit, &bounds)[..] else { panic!("one output") };
        let predicted = predict(&circuit, &own, &SAMPLE).max_error / noise.largest_of(8, 1.0);
        assert!(largest > predicted && largest < 4.0 * predicted, "{largest:e} {predicted:e}");
    }

    #[test]
    fn errors_of_copies_add_up_in_full() {
        let ratio = error_of_copies(8) / error_of_copies(2);
        assert!((ratio - 4.0).abs() < 1e-9, "{ratio}");
    }
}
