//! Says what the decryption of a leveled circuit's outputs shows, so that a client can tell results
//! from noise.

use super::outputs::pack_range;
use super::over_samples;
use super::predict::largest_errors;
use hecc_ir::circuit::{Circuit, Output, Value};
use hecc_ir::eval::{eval_each, eval_slots};
use hecc_ir::interval::Interval;
use hecc_ir::overflow::coefficient_bound;
use hecc_ir::program::{Expected, Promise, SlotRun};

/// What is known of an output beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Bounds of its elements.
    pub range: (f64, f64),
    /// Bounds of everything else that decryption shows.
    pub expected: Expected,
}

/// For each output and each of its ciphertexts, the slots that are zero whatever the input is.
pub(super) type Zeros = Vec<Vec<Vec<SlotRun>>>;

/// Finds the slots of outputs that are zero.
///
/// A slot is a polynomial in the elements of the input: one that is not zero itself is not zero at
/// an irregular point either.
pub(super) fn zero_slots(circuit: &Circuit) -> Zeros {
    let inputs: Vec<_> = circuit
        .inputs
        .iter()
        .map(|input| {
            let tensor: Vec<f64> = (0..input.layout.home.len()).map(|i| irregular(i, input.range)).collect();
            input.layout.pack(&tensor)
        })
        .collect();
    let is_zero = |slots: &Vec<f64>| SlotRun::of(&slots.iter().map(|&x| x == 0.0).collect::<Vec<_>>());
    let outputs = eval_slots(circuit, &inputs).into_iter();
    outputs.map(|cts| cts.iter().map(is_zero).collect()).collect()
}

/// A number within a range, or next to its end if it has one only, that has nothing to do with the others.
fn irregular(index: usize, (low, high): (f64, f64)) -> f64 {
    let (low, high) = match (low.is_finite(), high.is_finite()) {
        (true, true) => (low, high),
        (true, false) => (low, low + 1.0),
        (false, true) => (high - 1.0, high),
        (false, false) => (-1.0, 1.0),
    };
    let share = (((index as f64 + 1.0) * 12.9898).sin() * 43758.5453).rem_euclid(1.0);
    low * (1.0 - share) + high * share
}

/// What to expect of every output of a leveled circuit, for values up to `headroom_bits` larger than the sample inputs (tensors)
/// show.
pub fn outlooks(
    circuit: &Circuit,
    samples: &[Vec<f64>],
    headroom_bits: f64,
    promise: Promise,
) -> Vec<Outlook> {
    outlooks_of(circuit, &Seen::over(circuit, samples), headroom_bits, promise)
}

/// The same for all inputs with elements in a range, and values up to `margin_bits` larger than intervals bound them.
pub fn bounded_outlooks(
    circuit: &Circuit,
    range: (f64, f64),
    margin_bits: f64,
    promise: Promise,
) -> Vec<Outlook> {
    outlooks_of(circuit, &Seen::at_most(circuit, range), margin_bits, promise)
}

fn outlooks_of(circuit: &Circuit, seen: &Seen, headroom_bits: f64, promise: Promise) -> Vec<Outlook> {
    let growth = headroom_bits.exp2();
    let zeros = zero_slots(circuit);
    let bounds: Vec<f64> = seen.values.iter().map(|largest| growth * largest).collect();
    let errors = largest_errors(circuit, &bounds);
    let outputs = errors.into_iter().zip(&seen.outputs).zip(&zeros);
    let outlook = |((error, largest), zeros): ((f64, &Largest), &Vec<Vec<SlotRun>>)| {
        let (error, coefficient) = (error.max(f64::MIN_POSITIVE), growth * largest.mean + error);
        let coefficient = coefficient.max(f64::MIN_POSITIVE);
        let expected = Expected { error, coefficient, zeros: zeros.clone(), promise };
        Outlook { range: (-growth * largest.element, growth * largest.element), expected }
    };
    outputs.map(outlook).collect()
}

/// The largest that sample inputs showed of an output.
#[derive(Clone, Copy, Debug, Default)]
struct Largest {
    /// Magnitude of an element.
    element: f64,
    /// Mean of the magnitudes of a ciphertext's slots, which no coefficient of its encoding exceeds.
    mean: f64,
}

struct Seen {
    /// Largest magnitude of each value's slots.
    values: Vec<f64>,
    outputs: Vec<Largest>,
}

impl Seen {
    fn over(circuit: &Circuit, samples: &[Vec<f64>]) -> Seen {
        let of_one = |sample: &Vec<f64>| {
            let mut seen = Seen::nothing(circuit);
            let packed = [circuit.inputs[0].layout.pack(sample)];
            eval_each(circuit, &packed, |value, slots: &[f64]| seen.see(circuit, value, slots));
            seen
        };
        over_samples(samples, of_one).into_iter().fold(Seen::nothing(circuit), Seen::or)
    }

    /// The larger of both.
    fn or(mut self, other: Seen) -> Seen {
        self.values.iter_mut().zip(other.values).for_each(|(a, b)| *a = a.max(b));
        for (a, b) in self.outputs.iter_mut().zip(other.outputs) {
            *a = Largest { element: a.element.max(b.element), mean: a.mean.max(b.mean) };
        }
        self
    }

    /// Bounds over all inputs with elements in a range.
    fn at_most(circuit: &Circuit, range: (f64, f64)) -> Seen {
        let mut seen = Seen::nothing(circuit);
        eval_each(circuit, &[pack_range(circuit, range)], |value, slots: &[Interval]| {
            let magnitudes: Vec<f64> = slots.iter().map(|slot| slot.magnitude()).collect();
            seen.see(circuit, value, &magnitudes);
        });
        seen
    }

    fn nothing(circuit: &Circuit) -> Seen {
        let outputs = vec![Largest::default(); circuit.outputs.len()];
        Seen { values: vec![0.0; circuit.nodes.len()], outputs }
    }

    fn see(&mut self, circuit: &Circuit, value: Value, slots: &[f64]) {
        let largest = &mut self.values[value.index()];
        *largest = slots.iter().fold(*largest, |max, x| max.max(x.abs()));
        for (output, largest) in circuit.outputs.iter().zip(&mut self.outputs) {
            let cts = output.values.iter().enumerate().filter(|(_, v)| **v == value);
            cts.for_each(|(ct, _)| largest.see(output, ct, slots));
        }
    }
}

impl Largest {
    fn see(&mut self, output: &Output, ct: usize, slots: &[f64]) {
        let homes = output.layout.home.iter().filter(|home| home.ct as usize == ct);
        self.element = homes.fold(self.element, |max, home| max.max(slots[home.slot as usize].abs()));
        self.mean = self.mean.max(coefficient_bound(slots));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::predict::tests::circuit;
    use hecc_ir::circuit::{Op, Plain};
    use hecc_ir::scale::Step;

    /// Four of eight slots are masked, two of these are filled again.
    fn masked() -> Circuit {
        circuit(|builder, x, ty| {
            let raised = hecc_ir::CtType { scale: ty.scale + ty.scale, ..ty };
            let mask = builder.constant(Plain::new(vec![2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]));
            let half = builder.push_typed(Op::MulPlain(x, mask), raised);
            let turned = builder.push_typed(Op::Rotate(half, Step::new(6, 8)), raised);
            builder.push_typed(Op::Add(vec![half, turned]), raised)
        })
    }

    #[test]
    fn irregular_numbers_differ_in_every_range() {
        let infinite = f64::INFINITY;
        for range in [(-1.0, 1.0), (5.0, 10.0), (3.0, infinite), (-infinite, -3.0), (-infinite, infinite)] {
            let numbers: Vec<f64> = (0..4).map(|index| irregular(index, range)).collect();
            assert!(numbers.iter().all(|x| (range.0..=range.1).contains(x)), "{numbers:?}");
            let curvatures = numbers.windows(3).map(|x| x[0] - 2.0 * x[1] + x[2]);
            assert!(curvatures.into_iter().all(|curvature| curvature != 0.0), "{numbers:?}");
        }
    }

    #[test]
    fn slots_that_nothing_reaches_are_zero() {
        assert_eq!(zero_slots(&masked()), [[[SlotRun { start: 6, len: 2 }]]]);
    }

    const PROMISE: Promise = Promise { precision: 1e-3, deviation: 1e-5, typical: 1.0 };

    #[test]
    fn outlooks_follow_samples_and_headroom() {
        let circuit = masked();
        let sample = vec![0.5, -0.25, 0.125, 1.0, -1.0, 0.75, 0.0, -0.5];
        let look = |headroom| outlooks(&circuit, std::slice::from_ref(&sample), headroom, PROMISE).remove(0);
        // Slots 0 to 5 hold 2 (x0, x1, x2 + x0, x3 + x1, x2, x3).
        let (one, two) = (look(0.0), look(1.0));
        assert_eq!((one.range, two.range), ((-2.0, 2.0), (-4.0, 4.0)));
        let mean = 2.0 * (0.5 + 0.25 + 0.625 + 0.75 + 0.125 + 1.0) / 8.0;
        assert!((one.expected.coefficient - mean - one.expected.error).abs() < 1e-12);
        assert!(two.expected.error > one.expected.error && one.expected.error > 0.0);
    }
}
