//! Predicts the error of a leveled circuit from the noise of its operations.
//!
//! Runs the circuit on plain slots and carries, slot by slot, the variance of
//! the error each ciphertext would have, in slot units.

use super::draws::Draws;
use super::over_samples;
use hecc_ir::Position;
use hecc_ir::circuit::{Circuit, Const, Op, Output, Value};
use hecc_ir::noise::{NoiseModel, larger};
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
    /// all samples if that is larger; for inputs other than samples half of that, since they may be half as precise.
    pub relative: f64,
}

/// Expected errors for one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Errors {
    /// Largest error of an output element that most runs stay below.
    pub max_error: f64,
    /// Standard deviation of the error of a slot of an output's ciphertexts, where it is largest.
    pub deviation: f64,
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
    let packed = circuit.inputs[0].layout.pack(sample);
    let mut machine = Machine::new(circuit, own_errors, packed, Variances(0.0));
    machine.run(|_, _| ());
    let (mut max_error, mut max_output, mut variance) = (0.0f64, 0.0f64, 0.0f64);
    for output in &circuit.outputs {
        for value in &output.values {
            variance = machine.get(*value).errors.iter().copied().fold(variance, larger);
        }
        for home in &output.layout.home {
            let value = machine.get(output.values[home.ct as usize]);
            let slot = home.slot as usize;
            let error = noise.largest_of(output.layout.home.len(), value.errors[slot].sqrt());
            max_error = larger(max_error, error);
            max_output = larger(max_output, value.slots[slot].abs());
        }
    }
    Errors { max_error, deviation: variance.sqrt(), max_output }
}

/// Runs with errors that are drawn, to see what they have to do with each other.
const N_DRAWS: u64 = 16;

/// How many times larger the errors of an input's results are than their variances say, as far as errors of one ciphertext or
/// plaintext come together on several ways; at least one. The root of a mean square over few draws: right within a fifth or so.
pub(super) fn commonness(circuit: &Circuit, own_errors: &[f64], sample: &[f64]) -> f64 {
    let packed = circuit.inputs[0].layout.pack(sample);
    let squares = |drawn: &[f64]| drawn.iter().map(|e| e * e).sum::<f64>();
    let draws: Vec<u64> = (0..N_DRAWS).collect();
    let drawn = over_samples(&draws, |&seed| {
        let rule = Drawn { draws: Draws::new(seed << 32), plains: HashMap::new() };
        let mut machine = Machine::new(circuit, own_errors, packed.clone(), rule);
        machine.run(|_, _| ());
        circuit.outputs.iter().map(|output| squares(&machine.of_elements(output))).sum::<f64>()
    });
    let mut machine = Machine::new(circuit, own_errors, packed.clone(), Variances(0.0));
    machine.run(|_, _| ());
    let expected = circuit.outputs.iter().flat_map(|output| machine.of_elements(output)).sum::<f64>();
    let found = drawn.iter().sum::<f64>() / N_DRAWS as f64;
    if expected > 0.0 { (found / expected).sqrt().max(1.0) } else { 1.0 }
}

/// A promise for more inputs than it was made for, if a leveled circuit is as precise on these.
pub fn extend(circuit: &Circuit, promise: Promise, inputs: &[Vec<f64>]) -> Option<Promise> {
    let own = own_errors(circuit);
    let found = over_samples(inputs, |input| predict(circuit, &own, input));
    found.into_iter().try_fold(promise, |promise, Errors { max_error, deviation, max_output }| {
        let size = promise.size(max_output);
        let is_kept = max_error <= promise.precision * size;
        let deviation = larger(promise.deviation, deviation / size);
        is_kept.then_some(Promise { deviation, ..promise })
    })
}

/// The largest standard deviation that the error of a slot of each output may have, in slot units, where no slot of a
/// value is larger than `bounds` say.
pub(super) fn largest_errors(circuit: &Circuit, bounds: &[f64]) -> Vec<f64> {
    let own = own_errors(circuit);
    let packed = vec![vec![0.0; circuit.n_slots]; circuit.inputs[0].layout.n_cts];
    let mut machine = Machine::new(circuit, &own, packed, Variances(0.0));
    machine.run(|value, result| result.slots.fill(bounds[value.index()]));
    let variances = |output: &Output| {
        output.values.iter().flat_map(|value| machine.get(*value).errors.iter()).copied().fold(0.0, larger)
    };
    circuit.outputs.iter().map(|output| variances(output).sqrt()).collect()
}

/// How errors come together.
trait Rule {
    /// Adds the error of an operation, of so large a variance in every slot.
    fn add_own(&mut self, errors: &mut [f64], variance: f64);

    /// The errors of an encoded vector, or number, with these elements.
    fn of_plain(&mut self, plain: Encoded, n: usize, variance: f64) -> Cow<'_, [f64]>;

    /// Of a term of a sum that holds the same value `n_copies` times.
    fn term(error: f64, n_copies: f64) -> f64;

    /// Of a number that is subtracted.
    fn negated(error: f64) -> f64;

    /// Of the product of two numbers with their errors.
    fn product(x: f64, of_x: f64, y: f64, of_y: f64) -> f64;

    /// Of the product of a number and a weight with their errors.
    fn weighted(x: f64, of_x: f64, weight: f64, of_weight: f64) -> f64;
}

/// What an encoded plaintext is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Encoded {
    Vector(Const),
    /// Bits of a number.
    Number(u64),
}

/// Variances, as if errors had nothing to do with each other.
struct Variances(f64);

impl Rule for Variances {
    fn add_own(&mut self, errors: &mut [f64], variance: f64) {
        errors.iter_mut().for_each(|v| *v += variance);
    }

    fn of_plain(&mut self, _: Encoded, _: usize, variance: f64) -> Cow<'_, [f64]> {
        self.0 = variance;
        Cow::Borrowed(std::slice::from_ref(&self.0))
    }

    fn term(error: f64, n_copies: f64) -> f64 {
        // n copies of one error have n^2 times its variance: n for each of them.
        n_copies * error
    }

    fn negated(error: f64) -> f64 {
        error
    }

    // Operands are often the same ciphertext, whose errors add up in full, so both parts are added before they
    // are squared.
    fn product(x: f64, of_x: f64, y: f64, of_y: f64) -> f64 {
        let (s, t) = (of_x.sqrt(), of_y.sqrt());
        (x.abs() * t + y.abs() * s + s * t).powi(2)
    }

    fn weighted(x: f64, of_x: f64, weight: f64, of_weight: f64) -> f64 {
        of_x * weight * weight + x * x * of_weight
    }
}

/// Errors as they may turn out, which are the same wherever one ciphertext or one plaintext comes in.
struct Drawn {
    draws: Draws,
    plains: HashMap<(Encoded, u64), Vec<f64>>,
}

impl Drawn {
    /// Even within three times the variance, which is as good as Gaussian when many come together.
    fn draw(draws: &mut Draws, variance: f64) -> f64 {
        (3.0 * variance).sqrt() * (2.0 * draws.unit() - 1.0)
    }
}

impl Rule for Drawn {
    fn add_own(&mut self, errors: &mut [f64], variance: f64) {
        errors.iter_mut().for_each(|e| *e += Drawn::draw(&mut self.draws, variance));
    }

    fn of_plain(&mut self, plain: Encoded, n: usize, variance: f64) -> Cow<'_, [f64]> {
        let draws = &mut self.draws;
        let drawn = || (0..n).map(|_| Drawn::draw(draws, variance)).collect();
        let errors = self.plains.entry((plain, variance.to_bits())).or_insert_with(drawn);
        Cow::Borrowed(errors)
    }

    fn term(error: f64, _: f64) -> f64 {
        error
    }

    fn negated(error: f64) -> f64 {
        -error
    }

    fn product(x: f64, of_x: f64, y: f64, of_y: f64) -> f64 {
        x * of_y + y * of_x + of_x * of_y
    }

    fn weighted(x: f64, of_x: f64, weight: f64, of_weight: f64) -> f64 {
        of_x * (weight + of_weight) + x * of_weight
    }
}

/// Slots, and what is known of each slot's error in slot units: its variance, or what it was drawn to be.
#[derive(Clone, Debug)]
struct Noisy {
    slots: Vec<f64>,
    errors: Vec<f64>,
}

struct Machine<'a, R> {
    circuit: &'a Circuit,
    own_errors: &'a [f64],
    packed: Vec<Vec<f64>>,
    rule: R,
    values: Vec<Option<Noisy>>,
    uses: Vec<u32>,
    /// Products that are computed as their sum takes them in.
    summed: Vec<bool>,
}

impl<'a, R: Rule> Machine<'a, R> {
    fn new(circuit: &'a Circuit, own_errors: &'a [f64], packed: Vec<Vec<f64>>, rule: R) -> Machine<'a, R> {
        Machine {
            circuit,
            own_errors,
            packed,
            rule,
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

    /// What there is about the errors of an output's elements.
    fn of_elements(&self, output: &Output) -> Vec<f64> {
        let element = |home: &Position| self.get(output.values[home.ct as usize]).errors[home.slot as usize];
        output.layout.home.iter().map(element).collect()
    }

    /// An operand, out of the arena at its last use.
    fn consume(&mut self, value: Value) -> Noisy {
        let uses = &mut self.uses[value.index()];
        *uses -= 1;
        let held = &mut self.values[value.index()];
        let found = if *uses == 0 { held.take() } else { held.clone() };
        found.expect("operands precede users")
    }

    /// The same, with the error of an operation.
    fn noisier(&mut self, value: Value, own: f64) -> Noisy {
        let mut result = self.consume(value);
        self.rule.add_own(&mut result.errors, own);
        result
    }

    fn step(&mut self, value: Value) -> Noisy {
        let own = self.own_errors[value.index()];
        match &self.circuit.node(value).op {
            Op::Input { ct, .. } => {
                let mut result = self.zero();
                result.slots.clone_from(&self.packed[*ct as usize]);
                self.rule.add_own(&mut result.errors, own);
                result
            }
            Op::Zero => self.zero(),
            Op::Add(values) => self.sum(values),
            Op::Sub(a, b) => difference::<R>(self.consume(*a), &self.consume(*b)),
            Op::Neg(a) => {
                let zero = self.zero();
                difference::<R>(zero, &self.consume(*a))
            }
            Op::AddPlain(a, constant) => {
                let mut result = self.consume(*a);
                let period = self.circuit.plain(*constant).values();
                let errors = self.rule.of_plain(Encoded::Vector(*constant), period.len(), own);
                add_repeated::<R>(&mut result, &period, &errors);
                result
            }
            Op::Mul(a, b) => product::<R>(self.consume(*a), self.consume(*b)),
            Op::MulPlain(..) | Op::MulScalar(..) => {
                let mut result = self.zero();
                self.add_product(&mut result, value);
                result
            }
            Op::Rotate(a, step) => {
                let mut result = self.noisier(*a, own);
                result.slots.rotate_left(step.get());
                result.errors.rotate_left(step.get());
                result
            }
            Op::Rescale(a) | Op::Relin(a) => self.noisier(*a, own),
            Op::DropLevel(a, _) => self.consume(*a),
        }
    }

    fn zero(&self) -> Noisy {
        let n = self.circuit.n_slots;
        Noisy { slots: vec![0.0; n], errors: vec![0.0; n] }
    }

    fn sum(&mut self, values: &[Value]) -> Noisy {
        let mut copies = HashMap::new();
        values.iter().for_each(|value| *copies.entry(*value).or_insert(0.0) += 1.0);
        let mut sum = self.zero();
        for value in values {
            if self.summed[value.index()] {
                self.add_product(&mut sum, *value);
            } else {
                add::<R>(&mut sum, self.get(*value), copies[value]);
                self.release(*value);
            }
        }
        sum
    }

    /// Adds a product with a plaintext or a number.
    fn add_product(&mut self, sum: &mut Noisy, value: Value) {
        let (operand, plain, factor) = match self.circuit.node(value).op {
            Op::MulPlain(operand, constant) => {
                (operand, Encoded::Vector(constant), self.circuit.plain(constant).values())
            }
            Op::MulScalar(operand, scalar) => {
                (operand, Encoded::Number(scalar.to_bits()), Cow::Owned(vec![scalar]))
            }
            _ => unreachable!("products are with plaintexts and numbers"),
        };
        let errors = self.rule.of_plain(plain, factor.len(), self.own_errors[value.index()]);
        let operand_of = self.values[operand.index()].as_ref().expect("operands precede users");
        add_weighted::<R>(sum, operand_of, &factor, &errors);
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

fn add<R: Rule>(sum: &mut Noisy, term: &Noisy, n_copies: f64) {
    sum.slots.iter_mut().zip(&term.slots).for_each(|(x, y)| *x += y);
    sum.errors.iter_mut().zip(&term.errors).for_each(|(e, f)| *e += R::term(*f, n_copies));
}

/// Adds numbers that repeat, with the error of each, or of all.
fn add_repeated<R: Rule>(sum: &mut Noisy, period: &[f64], errors: &[f64]) {
    let n = period.len();
    for (slots, found) in sum.slots.chunks_mut(n).zip(sum.errors.chunks_mut(n)) {
        slots.iter_mut().zip(period).for_each(|(x, added)| *x += added);
        found.iter_mut().zip(errors.iter().cycle()).for_each(|(e, added)| *e += R::term(*added, 1.0));
    }
}

/// Adds a product with weights that repeat, with the error of each, or of all.
fn add_weighted<R: Rule>(sum: &mut Noisy, operand: &Noisy, period: &[f64], errors: &[f64]) {
    let n = period.len();
    let sums = sum.slots.chunks_mut(n).zip(sum.errors.chunks_mut(n));
    let operands = operand.slots.chunks(n).zip(operand.errors.chunks(n));
    for ((slots, found), (xs, es)) in sums.zip(operands) {
        let weights = period.iter().zip(errors.iter().cycle());
        for (((sum, error), (x, e)), (weight, of_weight)) in
            slots.iter_mut().zip(found).zip(xs.iter().zip(es)).zip(weights)
        {
            *error += R::weighted(*x, *e, *weight, *of_weight);
            *sum += x * weight;
        }
    }
}

fn difference<R: Rule>(mut a: Noisy, b: &Noisy) -> Noisy {
    a.slots.iter_mut().zip(&b.slots).for_each(|(x, y)| *x -= y);
    a.errors.iter_mut().zip(&b.errors).for_each(|(e, f)| *e += R::negated(*f));
    a
}

fn product<R: Rule>(mut a: Noisy, b: Noisy) -> Noisy {
    for i in 0..a.slots.len() {
        a.errors[i] = R::product(a.slots[i], a.errors[i], b.slots[i], b.errors[i]);
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
    fn what_errors_have_in_common_is_seen() {
        let sum = |builder: &mut Builder, ty: CtType, terms: Vec<Value>| {
            let raised = CtType { scale: ty.scale + ty.scale, ..ty };
            let products = terms.into_iter().zip([1.0, 1.25, 1.5, 1.75, 1.0, 0.75, 0.5, 1.375]);
            let products = products.map(|(x, w)| builder.push_typed(Op::MulScalar(x, w), raised)).collect();
            builder.push_typed(Op::Add(products), raised)
        };
        let common = |circuit: &Circuit| commonness(circuit, &own_errors(circuit), &SAMPLE);
        // Eight products of one ciphertext, whose errors are the same up to their weights.
        let of_one = circuit(|builder, x, ty| sum(builder, ty, vec![x; 8]));
        assert!((1.8..3.5).contains(&common(&of_one)), "{}", common(&of_one));
        let alone = circuit(|builder, x, ty| sum(builder, ty, vec![x]));
        assert!(common(&alone) < 1.4, "{}", common(&alone));
    }

    #[test]
    fn errors_of_copies_add_up_in_full() {
        let ratio = error_of_copies(8) / error_of_copies(2);
        assert!((ratio - 4.0).abs() < 1e-9, "{ratio}");
    }
}
