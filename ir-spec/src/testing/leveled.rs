//! Types of random leveled circuits.

use super::decode::Decoder;
use crate::circuit::{CtType, Op, Value};
use crate::params::{Params, SecurityLevel};
use crate::primes::is_ntt_prime;
use crate::scale::{Level, Scale};
use crate::verify::range_problems;

/// A toy chain of distinct 20-bit primes.
pub(super) fn params(ring_degree: usize, extra_levels: usize) -> Params {
    let candidates = (1u64 << 19..).filter(|&candidate| is_ntt_prime(candidate, ring_degree));
    let primes: Vec<u64> = candidates.take(4 + extra_levels).collect();
    let (q, p) = primes.split_at(3 + extra_levels);
    Params { ring_degree, q: q.to_vec(), p: p.to_vec(), digit_limbs: 1, security: SecurityLevel::Insecure }
}

pub(super) fn fresh(params: &Params) -> CtType {
    CtType { level: params.max_level(), scale: Scale::from_log2(15.3), degree: 1 }
}

impl Decoder<'_> {
    /// An op of leveled circuits on `a`; `neg` in an abstract one.
    pub(super) fn scheduled(&mut self, a: Value) -> Op {
        let Some(ty) = self.circuit.node(a).ty else { return Op::Neg(a) };
        match self.choices.below(3) {
            0 => Op::Rescale(a),
            1 => Op::Relin(a),
            _ => Op::DropLevel(a, Level(self.choices.below(ty.level.0.max(1) as usize) as u32)),
        }
    }

    /// The type of an op's result; `None` where the op is not allowed.
    pub(super) fn result(&mut self, op: &Op) -> Option<CtType> {
        let params = self.circuit.params.clone()?;
        let operands: Vec<CtType> = op.operands().into_iter().map(|v| self.circuit.ty(v)).collect();
        let degree = operands.iter().map(|ty| ty.degree).max().unwrap_or(1);
        let ty = match op {
            Op::Input { .. } | Op::Zero => fresh(&params),
            Op::Add(_) | Op::Sub(..) | Op::Neg(_) | Op::AddPlain(..) => CtType { degree, ..operands[0] },
            Op::Mul(..) if degree == 2 => return None,
            Op::Mul(..) => CtType { scale: operands[0].scale + operands[1].scale, degree: 2, ..operands[0] },
            Op::MulPlain(..) | Op::MulScalar(..) => {
                let factor = Scale::from_log2(3.0 + self.choices.below(1 << 16) as f64 / 4096.0);
                CtType { scale: operands[0].scale + factor, ..operands[0] }
            }
            Op::Rotate(..) => (degree == 1).then_some(operands[0])?,
            Op::Rescale(_) => {
                let level = operands[0].level.below()?;
                CtType {
                    level,
                    scale: operands[0].scale - Scale::of_prime(params.q[level.n_limbs()]),
                    degree,
                }
            }
            Op::Relin(_) => (degree == 2).then_some(CtType { degree: 1, ..operands[0] })?,
            Op::DropLevel(_, level) => {
                (*level < operands[0].level).then_some(CtType { level: *level, ..operands[0] })?
            }
        };
        range_problems(ty, &params).is_empty().then_some(ty)
    }
}
