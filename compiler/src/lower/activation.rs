//! Monic polynomials at minimal depth.
//!
//! `p = q * x^m + r` with `m` the largest power of two below the degree splits
//! a polynomial into a monic `q` and a rest `r` of smaller degree; coefficients
//! multiply at the leaves. A monic polynomial of degree `d` takes
//! `ceil(log2(d))` levels when `d` is a power of two (Paterson, Stockmeyer, "On
//! the number of nonscalar multiplications", 1973).

use crate::sparsity::Activation;
use hecc_ir::circuit::{Builder, Op, Plain, Value};

/// Emits an activation of one ciphertext.
pub(super) fn emit(builder: &mut Builder, activation: &Activation, operand: Value) -> Value {
    let x = add_constant(builder, operand, activation.shift);
    let mut coefficients = activation.lower.clone();
    coefficients.push(1.0);
    let mut powers = Powers { by_log2: vec![x] };
    evaluate(builder, &mut powers, &coefficients)
}

/// `x^(2^k)` by repeated squaring.
struct Powers {
    by_log2: Vec<Value>,
}

impl Powers {
    fn get(&mut self, builder: &mut Builder, log2: usize) -> Value {
        while self.by_log2.len() <= log2 {
            let last = *self.by_log2.last().expect("x itself is a power");
            self.by_log2.push(builder.push(Op::Mul(last, last)));
        }
        self.by_log2[log2]
    }
}

fn evaluate(builder: &mut Builder, powers: &mut Powers, coefficients: &[f64]) -> Value {
    let degree = coefficients.iter().rposition(|&c| c != 0.0).unwrap_or(0);
    if degree == 0 {
        let zero = builder.push(Op::Zero);
        return add_constant(builder, zero, coefficients[0]);
    }
    if degree == 1 {
        let x = powers.get(builder, 0);
        let scaled = builder.push(Op::MulScalar(x, coefficients[1]));
        return add_constant(builder, scaled, coefficients[0]);
    }
    let log2 = degree.ilog2() as usize;
    let split = 1 << log2;
    let (rest, quotient) = coefficients[..=degree].split_at(split);
    let power = powers.get(builder, log2);
    let head = match quotient {
        [leading] => builder.push(Op::MulScalar(power, *leading)),
        _ => {
            let quotient = evaluate(builder, powers, quotient);
            builder.push(Op::Mul(quotient, power))
        }
    };
    if rest.iter().all(|&c| c == 0.0) {
        return head;
    }
    let rest = evaluate(builder, powers, rest);
    builder.sum(vec![head, rest])
}

fn add_constant(builder: &mut Builder, value: Value, constant: f64) -> Value {
    builder.add_plain(value, Plain::new(vec![constant]))
}
