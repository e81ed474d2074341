//! How large the outputs of a circuit become: on sample inputs, or at most on any input of a range.
//!
//! Only what is decrypted has to fit its modulus ([`hecc_ir::overflow`]), so only outputs are looked at.

use super::over_samples;
use hecc_ir::circuit::{Circuit, Op, Value};
use hecc_ir::eval::{Scalar, Slots, eval_each, eval_slots};
use hecc_ir::interval::Interval;
use hecc_ir::layout::Position;
use hecc_ir::overflow::{coefficient_bound, encodable_bits, room_bits};

/// Largest magnitudes of outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// Bound of the coefficients of their ciphertexts, in slot units.
    pub coefficient: f64,
    /// Largest element.
    pub element: f64,
}

impl Outputs {
    /// Nothing yet.
    pub const NONE: Outputs = Outputs { coefficient: 0.0, element: 0.0 };

    /// The larger of both.
    pub fn or(self, other: Outputs) -> Outputs {
        Outputs {
            coefficient: larger(self.coefficient, other.coefficient),
            element: larger(self.element, other.element),
        }
    }

    /// Bits by which coefficients could grow before they outgrow the modulus of a leveled circuit's outputs;
    /// negative when they have.
    pub fn bits_left(&self, leveled: &Circuit) -> f64 {
        let params = leveled.params.as_ref().expect("a leveled circuit has parameters");
        let values = leveled.outputs.iter().flat_map(|output| &output.values);
        let room = values.map(|&value| room_bits(params, leveled.ty(value))).fold(f64::INFINITY, f64::min);
        let needed = self.coefficient.max(f64::MIN_POSITIVE).log2();
        if self.coefficient.is_nan() { f64::NEG_INFINITY } else { room - needed }
    }

    /// Bound of the coefficients with errors of a relative size, or of that size where outputs are zero.
    pub(super) fn with_errors(&self, precision: f64) -> f64 {
        let output = if self.element > 0.0 { self.element } else { 1.0 };
        self.coefficient + precision.min(1.0) * output
    }

    /// True unless a value is infinite or no number.
    pub fn is_finite(&self) -> bool {
        self.coefficient.is_finite() && self.element.is_finite()
    }

    fn of(circuit: &Circuit, results: &[Vec<Slots>]) -> Outputs {
        let mut found = Outputs::NONE;
        for (output, slots) in circuit.outputs.iter().zip(results) {
            for slots in slots {
                found.coefficient = larger(found.coefficient, coefficient_bound(slots));
            }
            let element = |p: &Position| slots[p.ct as usize][p.slot as usize].abs();
            found.element = output.layout.home.iter().map(element).fold(found.element, larger);
        }
        found
    }

    /// On inputs, which are tensors.
    pub fn on(circuit: &Circuit, tensors: &[Vec<f64>]) -> Outputs {
        Outputs::on_each(circuit, tensors).into_iter().fold(Outputs::NONE, Outputs::or)
    }

    fn on_each(circuit: &Circuit, tensors: &[Vec<f64>]) -> Vec<Outputs> {
        over_samples(tensors, |tensor| {
            let packed = [circuit.inputs[0].layout.pack(tensor)];
            Outputs::of(circuit, &eval_slots(circuit, &packed))
        })
    }

    /// At most, on any input whose elements lie in a range.
    pub fn at_most(circuit: &Circuit, range: (f64, f64)) -> Outputs {
        let bounds = eval_slots(circuit, &[pack_range(circuit, range)]);
        let magnitudes = |slots: Slots<Interval>| slots.into_iter().map(Interval::magnitude).collect();
        let magnitudes: Vec<Vec<Slots>> =
            bounds.into_iter().map(|cts| cts.into_iter().map(magnitudes).collect()).collect();
        let found = Outputs::of(circuit, &magnitudes);
        // Bounds that are no number bound nothing.
        let unbounded = Outputs { coefficient: f64::INFINITY, element: f64::INFINITY };
        if found.is_finite() { found } else { unbounded }
    }
}

/// Inputs that precision is judged on.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Tensors, at least one.
    pub inputs: Vec<&'a [f64]>,
    /// The largest outputs of all samples.
    pub outputs: Outputs,
    /// How many of them are samples; the others follow.
    pub n_samples: usize,
    /// Largest element of the output of the middle one of all samples; of the other inputs, where that is zero, and one, where
    /// that is zero too.
    pub typical: f64,
    /// Bound of the coefficients of all inputs, in slot units.
    pub input: f64,
    /// What the errors of each input are relative to, times its [`Evidence::allowance`]: its largest output, or
    /// [`Evidence::typical`] if that is larger, so that a small output by chance does not ask for more precision than others.
    pub(super) references: Vec<f64>,
}

impl<'a> Evidence<'a> {
    /// What samples show of a circuit, and other inputs that it serves. Those on which it is not finite show nothing.
    pub fn of(circuit: &Circuit, samples: &'a [Vec<f64>], others: &'a [Vec<f64>]) -> Evidence<'a> {
        let of_samples = Outputs::on_each(circuit, samples);
        let of_others = Outputs::on_each(circuit, others);
        let outputs = of_samples.iter().copied().fold(Outputs::NONE, Outputs::or);
        let shown = others.iter().zip(of_others).filter(|(_, found)| found.is_finite());
        let elements_of_others = shown.clone().map(|(_, found)| found.element);
        let typical = middle(of_samples.iter().map(|found| found.element))
            .or_else(|| middle(elements_of_others))
            .unwrap_or(1.0);
        let all = samples.iter().zip(of_samples).chain(shown);
        let (inputs, references): (Vec<_>, _) =
            all.map(|(x, found)| (x.as_slice(), found.element.max(typical))).unzip();
        let input = inputs.iter().map(|input| largest_input(circuit, input)).fold(0.0, f64::max);
        let n_samples = samples.len();
        let mut evidence = Evidence { inputs, n_samples, outputs, typical, input, references };
        for index in n_samples..evidence.inputs.len() {
            evidence.references[index] *= evidence.allowance(index);
        }
        evidence
    }

    /// How many times less precise results for an input may be than those for samples.
    pub(super) fn allowance(&self, index: usize) -> f64 {
        if index < self.n_samples { 1.0 } else { OTHERS_ALLOWANCE }
    }

    /// The input to look at first: larger outputs have larger errors, relative to the same.
    pub(super) fn hardest(&self) -> usize {
        let largest =
            (0..self.inputs.len()).max_by(|&a, &b| self.references[a].total_cmp(&self.references[b]));
        largest.expect("there is a sample")
    }
}

/// Results for inputs unlike all samples may be half as precise: more would make the others dearer.
const OTHERS_ALLOWANCE: f64 = 2.0;

/// Bound of the coefficients of an input, in slot units.
fn largest_input(circuit: &Circuit, tensor: &[f64]) -> f64 {
    let packed = circuit.inputs[0].layout.pack(tensor);
    packed.iter().map(|slots| coefficient_bound(slots)).fold(0.0, f64::max)
}

/// True when an input can be encoded as a leveled circuit takes it.
pub fn fits_input(leveled: &Circuit, tensor: &[f64]) -> bool {
    let params = leveled.params.as_ref().expect("a leveled circuit has parameters");
    let inputs = leveled.values().filter(|&value| matches!(leveled.node(value).op, Op::Input { .. }));
    let room = inputs.map(|value| encodable_bits(params, leveled.ty(value))).fold(f64::INFINITY, f64::min);
    largest_input(leveled, tensor).log2() < room
}

/// The middle one of some magnitudes, unless it is zero.
fn middle(magnitudes: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = magnitudes.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().filter(|&x| x > 0.0)
}

/// The slots of an input whose elements lie in a range.
pub(super) fn pack_range(circuit: &Circuit, (low, high): (f64, f64)) -> Vec<Slots<Interval>> {
    let layout = &circuit.inputs[0].layout;
    let mut packed = vec![vec![Interval::ZERO; circuit.n_slots]; layout.n_cts];
    for position in (0..layout.home.len()).flat_map(|index| layout.positions(index)) {
        packed[position.ct as usize][position.slot as usize] = Interval { low, high };
    }
    packed
}

/// The larger number, and no number if one is none.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The first value that is infinite or no number for one of some tensors, if any.
pub fn first_infinite(circuit: &Circuit, tensors: &[Vec<f64>]) -> Option<Value> {
    let mut first: Option<Value> = None;
    for tensor in tensors {
        eval_each(circuit, &[circuit.inputs[0].layout.pack(tensor)], |value, slots: &[f64]| {
            if slots.iter().any(|x| !x.is_finite()) {
                first = Some(first.map_or(value, |known| known.min(value)));
            }
        });
    }
    first
}
