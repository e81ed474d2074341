//! Prices packed operations before the circuit exists.
//!
//! Packing decides among layouts while ring parameters are not chosen yet, so
//! it prices with nominal ones: a chain of the network's depth at the ring
//! degree under consideration. Costs come from the target's measurements.

pub(crate) mod memory;

pub use memory::Memory;

use hecc_ir::circuit::{Circuit, Op, Value};
use hecc_ir::params::{Params, SecurityLevel};
use hecc_ir::scale::Level;
use hecc_ir::target::{Basis, OpCost, RingCost, Target};
use std::collections::HashSet;

/// Measured costs of the engine on the machine it was developed on.
pub const DEFAULT_TARGET: &str = include_str!("../targets/ckks-avx512.json");

/// The same on a machine without AVX-512, where wide primes take a little longer.
const AVX2_TARGET: &str = include_str!("../targets/ckks-avx2.json");

/// The shipped target profile that is taken where none is named.
pub fn default_target() -> Target {
    read_shipped(DEFAULT_TARGET)
}

/// A shipped target profile by the vector instructions of its machine: `avx512`, which is the default, or
/// `avx2`.
pub fn shipped_target(name: &str) -> Option<Target> {
    match name {
        "avx512" => Some(default_target()),
        "avx2" => Some(read_shipped(AVX2_TARGET)),
        _ => None,
    }
}

fn read_shipped(profile: &str) -> Target {
    serde_json::from_str(profile).expect("the shipped target profiles are valid")
}

/// What a program is to be small in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Time of a run.
    Latency,
    /// Time of the runs that many inputs take, as many in each as makes it least.
    Throughput,
    /// Time of a run; and its memory, where that costs little time.
    #[default]
    Balanced,
    /// Memory of a run.
    Memory,
}

/// What packings are priced in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Time, nanoseconds on one thread.
    #[default]
    Ns,
    /// Memory: keys, plaintexts and ciphertexts, added up over layers.
    Bytes,
}

/// Nominal parameters of one network at one ring degree, and the unit to price packings in.
#[derive(Clone, Debug)]
pub struct Nominal {
    ring: RingCost,
    params: Params,
    unit: Unit,
}

/// Ciphertext limbs below the levels a network uses.
const NOMINAL_BASE_LIMBS: usize = 2;
const NOMINAL_PRIME: u64 = 1 << 30;
const NOMINAL_DIGIT_LIMBS: usize = 2;

impl Nominal {
    /// Prices a network of `depth` levels on one ring, in time.
    pub fn new(ring: &RingCost, depth: usize) -> Nominal {
        let ring_degree = ring.ring_degree;
        let params = Params {
            ring_degree,
            q: vec![NOMINAL_PRIME; depth + NOMINAL_BASE_LIMBS],
            p: vec![NOMINAL_PRIME; NOMINAL_DIGIT_LIMBS],
            digit_limbs: NOMINAL_DIGIT_LIMBS,
            security: SecurityLevel::Insecure,
        };
        Nominal { ring: ring.clone(), params, unit: Unit::default() }
    }

    /// The same parameters, with packings priced in another unit.
    pub fn in_unit(self, unit: Unit) -> Nominal {
        Nominal { unit, ..self }
    }

    /// What packings are priced in.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The parameters it prices with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Times of single operations, whatever the unit.
    pub fn ops(&self) -> OpCost<'_> {
        OpCost { ring: &self.ring, params: &self.params }
    }

    /// The level of a value from which `remaining` levels are still needed.
    pub fn level(&self, remaining: usize) -> Level {
        Level((remaining + NOMINAL_BASE_LIMBS - 1) as u32)
    }
}

/// Price of a circuit with rescales in place, nanoseconds on one thread.
/// Rotations of one value share a decomposition, and whatever needs a reduced
/// value pays the division that rotations put off.
pub fn price(circuit: &Circuit, level_of: impl Fn(Value) -> Option<Level>, ops: &OpCost<'_>) -> f64 {
    let basis_of = bases(circuit);
    let basis = |value: Value| basis_of[value.index()];
    let mut decomposed = HashSet::new();
    let mut reduced = HashSet::new();
    let mut gathered = HashSet::new();
    let mut total = 0.0;
    for value in circuit.values() {
        let Some(level) = level_of(value) else { continue };
        let mut reduce = |operand: Value| match basis(operand) {
            Basis::Extended if reduced.insert((operand, level)) => ops.reduce(level),
            Basis::Extended | Basis::Reduced => 0.0,
        };
        total += match &circuit.node(value).op {
            Op::Input { .. } | Op::Zero | Op::DropLevel(..) => 0.0,
            Op::Add(values) => n_additions(circuit, values) as f64 * ops.add(level, basis(value)),
            Op::Sub(..) | Op::Neg(_) | Op::AddPlain(..) => ops.add(level, basis(value)),
            Op::Mul(a, b) => reduce(*a) + reduce(*b) + ops.mul(level),
            op @ (Op::MulPlain(a, _) | Op::MulScalar(a, _)) => {
                let product = match op {
                    Op::MulPlain(..) => ops.mul_plain(level, basis(value)),
                    _ => ops.mul_scalar(level, basis(value)),
                };
                let gather = if gathered.insert((*a, level)) { ops.gather(level, basis(value)) } else { 0.0 };
                product + gather + if basis(value) < basis(*a) { reduce(*a) } else { 0.0 }
            }
            Op::Rotate(a, _) if !decomposed.insert((*a, level)) => ops.apply_key(level),
            Op::Rotate(a, _) if basis(*a) == Basis::Extended => ops.divide(level) + ops.rotate(level),
            Op::Rotate(..) => ops.rotate(level),
            Op::Rescale(a) => ops.rescale(level, basis(*a)),
            Op::Relin(_) => ops.relin(level),
        };
    }
    let outputs = circuit.outputs.iter().flat_map(|output| &output.values);
    let extended = outputs.filter(|&&value| basis(value) == Basis::Extended);
    total + extended.filter_map(|&value| level_of(value)).map(|level| ops.reduce(level)).sum::<f64>()
}

/// Additions of a sum; an inner product adds up its terms as it multiplies.
fn n_additions(circuit: &Circuit, values: &[Value]) -> usize {
    let n_products = products(circuit, values).count();
    values.len() - 1 - n_products.saturating_sub(1)
}

/// Terms of a sum that an inner product takes in, with their operands.
fn products<'a>(circuit: &'a Circuit, values: &'a [Value]) -> impl Iterator<Item = (Value, Value)> + 'a {
    values.iter().filter_map(|&value| Some((value, term(circuit, value)?)))
}

/// The operand of a product that can be a term of an inner product.
pub fn term(circuit: &Circuit, value: Value) -> Option<Value> {
    match circuit.node(value).op {
        Op::MulPlain(operand, _) => Some(operand),
        Op::MulScalar(operand, _) if circuit.node(operand).ty.is_none_or(|ty| ty.degree == 1) => {
            Some(operand)
        }
        _ => None,
    }
}

/// The basis in which the engine leaves each value. A key switch leaves its
/// result extended, and so does what follows up to a division. An inner product
/// is extended when the better half of its operands are.
fn bases(circuit: &Circuit) -> Vec<Basis> {
    let mut bases = vec![Basis::Reduced; circuit.nodes.len()];
    for value in circuit.values() {
        let node = circuit.node(value);
        if let Op::Add(values) = &node.op {
            let n_products = products(circuit, values).count();
            let is_extended = |&(_, operand): &(Value, Value)| bases[operand.index()] == Basis::Extended;
            let n_extended = products(circuit, values).filter(is_extended).count();
            let basis = if 2 * n_extended >= n_products { Basis::Extended } else { Basis::Reduced };
            products(circuit, values).for_each(|(product, _)| bases[product.index()] = basis);
        }
        bases[value.index()] = match &node.op {
            Op::Rotate(..) => Basis::Extended,
            Op::Input { .. } | Op::Zero | Op::Mul(..) | Op::Relin(_) | Op::Rescale(_) => Basis::Reduced,
            Op::Add(..)
            | Op::Sub(..)
            | Op::Neg(_)
            | Op::AddPlain(..)
            | Op::MulPlain(..)
            | Op::MulScalar(..)
            | Op::DropLevel(..) => {
                let operands = node.op.operands().into_iter();
                operands.map(|operand| bases[operand.index()]).max().unwrap_or(Basis::Reduced)
            }
        };
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All operations but additions take longer over wide primes, where a machine has no instructions for them.
    #[test]
    fn wide_primes_cost_what_a_profile_says() {
        let price = |target: &Target, special: u64| {
            let ring = &target.rings[0];
            let mut params = Nominal::new(ring, 3).params().clone();
            params.p.fill(special);
            let ops = OpCost { ring, params: &params };
            (
                ops.rotate(Level(2)),
                ops.mul_plain(Level(2), Basis::Extended),
                ops.add(Level(2), Basis::Extended),
            )
        };
        let (narrow, wide) = (1 << 30, 1 << 49);
        let avx512 = default_target();
        assert_eq!(price(&avx512, narrow), price(&avx512, wide));
        let avx2 = shipped_target("avx2").expect("it is shipped");
        let (few, many) = (price(&avx2, narrow), price(&avx2, wide));
        assert!(1.02 * few.0 < many.0 && 1.02 * few.1 < many.1 && few.2 == many.2);
    }

    /// Profiles from before there was a time for products with numbers.
    #[test]
    fn profiles_without_a_time_for_numbers_price_them_as_plaintexts() {
        let mut profile: serde_json::Value = serde_json::from_str(DEFAULT_TARGET).expect("it is JSON");
        for ring in profile["rings"].as_array_mut().expect("rings are a list") {
            ring.as_object_mut().expect("a ring has times").remove("mul_scalar_ns");
        }
        let old: Target = serde_json::from_value(profile).expect("older profiles are read");
        for (old, new) in old.rings.iter().zip(&default_target().rings) {
            let [old, new] = [old, new].map(|ring| Nominal::new(ring, 3));
            let (level, basis) = (old.level(1), Basis::Reduced);
            assert_eq!(old.ops().mul_scalar(level, basis), old.ops().mul_plain(level, basis));
            assert!(new.ops().mul_scalar(level, basis) < new.ops().mul_plain(level, basis));
        }
    }
}
