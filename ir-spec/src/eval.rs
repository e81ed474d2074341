//! The reference evaluator: what a circuit computes, on plain slots.
//!
//! This is the definition of a circuit's meaning. Types play no part:
//! `rescale`, `relin` and `drop_level` are the identity on slots. Expects a
//! circuit that passes [`crate::verify()`]. Slots hold numbers, or any other [`Scalar`],
//! such as the [`Interval`](crate::interval::Interval)s that numbers lie in.

use crate::circuit::{Circuit, Const, Op, Value};
use std::borrow::Cow;

/// The slots of one ciphertext.
pub type Slots<T = f64> = Vec<T>;

/// What a slot may hold.
pub trait Scalar: Copy {
    /// Zero.
    const ZERO: Self;
    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Product of different values.
    fn mul(self, other: Self) -> Self;
    /// Product of a value with itself.
    fn square(self) -> Self;
    /// Sum with a number.
    fn plus(self, number: f64) -> Self;
    /// Product with a number.
    fn times(self, number: f64) -> Self;
}

impl Scalar for f64 {
    const ZERO: f64 = 0.0;

    fn add(self, other: f64) -> f64 {
        self + other
    }

    fn sub(self, other: f64) -> f64 {
        self - other
    }

    fn mul(self, other: f64) -> f64 {
        self * other
    }

    fn square(self) -> f64 {
        self * self
    }

    fn plus(self, number: f64) -> f64 {
        self + number
    }

    fn times(self, number: f64) -> f64 {
        self * number
    }
}

/// Runs a circuit on tensors (row-major, one per input) and returns its output
/// tensors (row-major, one per output).
///
/// # Panics
/// If the number of tensors or their lengths do not match the inputs.
pub fn eval(circuit: &Circuit, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    assert_eq!(inputs.len(), circuit.inputs.len(), "one tensor per input");
    let packed: Vec<_> =
        circuit.inputs.iter().zip(inputs).map(|(input, tensor)| input.layout.pack(tensor)).collect();
    let slots = eval_slots(circuit, &packed);
    circuit.outputs.iter().zip(slots).map(|(output, slots)| output.layout.unpack(&slots)).collect()
}

/// Runs a circuit on packed inputs (`inputs[i][ct]` are the slots of ciphertext
/// `ct` of input `i`) and returns packed outputs in the same form. A value is
/// freed after its last use.
///
/// # Panics
/// If the inputs do not have the shape the circuit declares.
pub fn eval_slots<T: Scalar>(circuit: &Circuit, inputs: &[Vec<Slots<T>>]) -> Vec<Vec<Slots<T>>> {
    let mut machine = Machine::new(circuit, inputs);
    machine.run(&mut |_, _| {});
    let outputs = circuit.outputs.iter();
    outputs.map(|output| output.values.iter().map(|&value| machine.consume(value)).collect()).collect()
}

/// As [`eval_slots`], but returns the slots of every value, in value order.
///
/// # Panics
/// If the inputs do not have the shape the circuit declares.
pub fn eval_values(circuit: &Circuit, inputs: &[Vec<Slots>]) -> Vec<Slots> {
    let mut machine = Machine::new(circuit, inputs);
    machine.uses.iter_mut().for_each(|uses| *uses = u32::MAX);
    machine.summed.fill(false);
    machine.run(&mut |_, _| {});
    machine.slots.into_iter().map(|slots| slots.expect("nothing is freed while uses remain")).collect()
}

/// As [`eval_slots`], but hands the slots of every value to `visit` and returns
/// nothing; memory stays bounded by what is live. Operands are visited before users.
///
/// # Panics
/// If the inputs do not have the shape the circuit declares.
pub fn eval_each<T: Scalar>(circuit: &Circuit, inputs: &[Vec<Slots<T>>], mut visit: impl FnMut(Value, &[T])) {
    Machine::new(circuit, inputs).run(&mut visit);
}

struct Machine<'a, T> {
    circuit: &'a Circuit,
    inputs: &'a [Vec<Slots<T>>],
    slots: Vec<Option<Slots<T>>>,
    uses: Vec<u32>,
    /// Products that are computed when their sum is.
    summed: Vec<bool>,
    /// Where they are.
    product: Slots<T>,
}

impl<'a, T: Scalar> Machine<'a, T> {
    fn new(circuit: &'a Circuit, inputs: &'a [Vec<Slots<T>>]) -> Machine<'a, T> {
        assert_eq!(inputs.len(), circuit.inputs.len(), "one list of ciphertexts per input");
        for (input, cts) in circuit.inputs.iter().zip(inputs) {
            assert_eq!(cts.len(), input.layout.n_cts, "one slot vector per ciphertext of an input");
            assert!(cts.iter().all(|slots| slots.len() == circuit.n_slots), "slot vectors are full");
        }
        Machine {
            circuit,
            inputs,
            slots: vec![None; circuit.nodes.len()],
            uses: circuit.use_counts(),
            summed: circuit.summed_products(),
            product: Slots::new(),
        }
    }

    fn run(&mut self, visit: &mut impl FnMut(Value, &[T])) {
        let circuit = self.circuit;
        for value in circuit.values() {
            if self.summed[value.index()] {
                continue;
            }
            let result = self.compute(&circuit.node(value).op, visit);
            visit(value, &result);
            if self.uses[value.index()] > 0 {
                self.slots[value.index()] = Some(result);
            }
        }
    }

    fn compute(&mut self, op: &Op, visit: &mut impl FnMut(Value, &[T])) -> Slots<T> {
        match op {
            Op::Input { input, ct } => self.inputs[*input as usize][*ct as usize].clone(),
            Op::Zero => vec![T::ZERO; self.circuit.n_slots],
            Op::Add(values) => self.sum(values, visit),
            Op::Sub(a, b) => self.zip(*a, *b, T::sub),
            Op::Neg(a) => self.map(*a, |x| x.times(-1.0)),
            Op::AddPlain(a, c) => self.with_plain(*a, *c, plus),
            Op::Mul(a, b) if a == b => self.squared(*a),
            Op::Mul(a, b) => self.zip(*a, *b, T::mul),
            Op::MulPlain(a, c) => self.with_plain(*a, *c, times),
            Op::MulScalar(a, s) => self.map(*a, |x| x.times(*s)),
            Op::Rotate(a, step) => {
                let mut slots = self.consume(*a);
                slots.rotate_left(step.get());
                slots
            }
            Op::Rescale(a) | Op::Relin(a) | Op::DropLevel(a, _) => self.consume(*a),
        }
    }

    /// The slots of an operand: its own buffer at the last use, else a copy.
    fn consume(&mut self, value: Value) -> Slots<T> {
        let uses = &mut self.uses[value.index()];
        *uses -= 1;
        let slots = &mut self.slots[value.index()];
        let found = if *uses == 0 { slots.take() } else { slots.clone() };
        found.expect("operands precede users")
    }

    fn map(&mut self, a: Value, f: impl Fn(T) -> T) -> Slots<T> {
        let mut slots = self.consume(a);
        slots.iter_mut().for_each(|x| *x = f(*x));
        slots
    }

    fn with_plain(&mut self, a: Value, plain: Const, combine: impl Fn(&mut [T], &[f64])) -> Slots<T> {
        let mut slots = self.consume(a);
        combine(&mut slots, &self.circuit.plain(plain).values());
        slots
    }

    fn zip(&mut self, a: Value, b: Value, f: impl Fn(T, T) -> T) -> Slots<T> {
        let mut slots = self.consume(a);
        let other = self.slots[b.index()].as_ref().expect("operands precede users");
        slots.iter_mut().zip(other).for_each(|(x, &y)| *x = f(*x, y));
        self.release(b);
        slots
    }

    fn squared(&mut self, a: Value) -> Slots<T> {
        self.release(a);
        self.map(a, T::square)
    }

    fn sum(&mut self, values: &[Value], visit: &mut impl FnMut(Value, &[T])) -> Slots<T> {
        let mut total = self.term(values[0], visit);
        for &value in &values[1..] {
            if self.summed[value.index()] {
                self.multiply(value, visit);
                total.iter_mut().zip(&self.product).for_each(|(x, &y)| *x = x.add(y));
            } else {
                let term = self.slots[value.index()].as_ref().expect("operands precede users");
                total.iter_mut().zip(term).for_each(|(x, &y)| *x = x.add(y));
                self.release(value);
            }
        }
        total
    }

    /// The first term of a sum.
    fn term(&mut self, value: Value, visit: &mut impl FnMut(Value, &[T])) -> Slots<T> {
        if !self.summed[value.index()] {
            return self.consume(value);
        }
        self.multiply(value, visit);
        self.product.clone()
    }

    /// Leaves a product where its sum looks for it.
    fn multiply(&mut self, value: Value, visit: &mut impl FnMut(Value, &[T])) {
        let (operand, factor) = match self.circuit.node(value).op {
            Op::MulPlain(operand, constant) => (operand, self.circuit.plain(constant).values()),
            Op::MulScalar(operand, scalar) => (operand, Cow::Owned(vec![scalar])),
            _ => unreachable!("products are with plaintexts and numbers"),
        };
        let slots = self.slots[operand.index()].as_ref().expect("operands precede users");
        self.product.clone_from(slots);
        times(&mut self.product, &factor);
        self.release(operand);
        visit(value, &self.product);
    }

    fn release(&mut self, value: Value) {
        self.uses[value.index()] -= 1;
        if self.uses[value.index()] == 0 {
            self.slots[value.index()] = None;
        }
    }
}

fn times<T: Scalar>(slots: &mut [T], period: &[f64]) {
    if let [factor] = period {
        return slots.iter_mut().for_each(|x| *x = x.times(*factor));
    }
    for slots in slots.chunks_mut(period.len()) {
        slots.iter_mut().zip(period).for_each(|(x, &y)| *x = x.times(y));
    }
}

fn plus<T: Scalar>(slots: &mut [T], period: &[f64]) {
    for slots in slots.chunks_mut(period.len()) {
        slots.iter_mut().zip(period).for_each(|(x, &y)| *x = x.plus(y));
    }
}
