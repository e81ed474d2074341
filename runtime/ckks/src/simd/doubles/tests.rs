//! The arithmetic in doubles on any machine, by a portable twin of its vectors, against the kernels in words.

use super::transform::{self, Roots};
use super::{Doubles, Prime};
use crate::kernels::{First, Weighted, portable};
use crate::modulus::Modulus;
use crate::packed::Residues;
use crate::primes;
use crate::simd::Vectors;
use crate::simd::doubles;
use crate::simd::tests::{LEN, at_rest, check, limbs, prime, seeds, slices};
use crate::transform::{Transform, root_of_unity};
use proptest::prelude::*;

/// Four doubles one after the other. It checks that nothing is rounded but what is meant to be: sums never, and of
/// products only `mul` and `mul_add`.
#[derive(Clone, Copy)]
struct Plain;

fn zip(x: [f64; 4], y: [f64; 4], op: impl Fn(f64, f64) -> f64) -> [f64; 4] {
    std::array::from_fn(|i| op(x[i], y[i]))
}

fn zip_bits(x: [f64; 4], y: [f64; 4], op: impl Fn(u64, u64) -> u64) -> [f64; 4] {
    zip(x, y, |x, y| f64::from_bits(op(x.to_bits(), y.to_bits())))
}

fn exact_sum(x: f64, y: f64) -> f64 {
    let sum = x + y;
    let rest = sum - x;
    assert_eq!((x - (sum - rest)) + (y - rest), 0.0, "{x} + {y} is rounded");
    sum
}

/// x · y + z of whole numbers.
fn exact_product(x: f64, y: f64, z: f64) -> f64 {
    let result = x.mul_add(y, z);
    assert_eq!(result as i128, x as i128 * y as i128 + z as i128, "{x} · {y} + {z} is rounded");
    result
}

impl Doubles for Plain {
    type Four = [f64; 4];

    fn splat(self, x: f64) -> [f64; 4] {
        [x; 4]
    }

    fn load(self, doubles: &[f64; 4]) -> [f64; 4] {
        *doubles
    }

    fn store(self, doubles: &mut [f64; 4], x: [f64; 4]) {
        *doubles = x;
    }

    fn unpack<const W: usize>(self, bytes: &[u8; 32]) -> [f64; 4] {
        std::array::from_fn(|i| {
            let mut word = [0; 8];
            word[..W].copy_from_slice(&bytes[i * W..][..W]);
            f64::from_bits(u64::from_le_bytes(word))
        })
    }

    fn add(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip(x, y, exact_sum)
    }

    fn sub(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip(x, y, |x, y| exact_sum(x, -y))
    }

    fn mul(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip(x, y, |x, y| x * y)
    }

    fn mul_add(self, x: [f64; 4], y: [f64; 4], z: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| x[i].mul_add(y[i], z[i]))
    }

    fn mul_sub(self, x: [f64; 4], y: [f64; 4], z: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| exact_product(x[i], y[i], -z[i]))
    }

    fn sub_mul(self, z: [f64; 4], x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        std::array::from_fn(|i| exact_product(-x[i], y[i], z[i]))
    }

    fn or(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip_bits(x, y, |x, y| x | y)
    }

    fn xor(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip_bits(x, y, |x, y| x ^ y)
    }

    fn where_negative(self, x: [f64; 4], y: [f64; 4]) -> [f64; 4] {
        zip(x, y, |x, y| if x < 0.0 { y } else { 0.0 })
    }

    fn transpose(self, rows: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
        std::array::from_fn(|i| rows.map(|row| row[i]))
    }

    fn prefetch(self, _: &[u8], _: usize) {}
}

/// A kernel of pairs of vectors.
type PairsOf<'a> = &'a dyn Fn(&mut [[&mut [u64]; 2]]);

/// One of four.
fn first(four: [f64; 4]) -> i128 {
    four[0] as i128
}

proptest! {
    #[test]
    fn remainders_are_as_small_as_said(bits in 21u32..=50, x in -1.0f64..=1.0, factor: u64) {
        let m = Modulus::with(prime(bits), Vectors::None);
        let (on, p) = (Prime::new(Plain, m.p), i128::from(m.p));
        let factor = m.factor(factor);
        let to = |bound: f64| (x * bound).round();
        for bound in [2.0 * m.p as f64, 4.0 * m.p as f64] {
            let x = to(bound);
            let value = if bound > 3.0 * m.p as f64 { factor.value.min(m.p - factor.value) } else { factor.value };
            let scaled = first(on.scale([x; 4], on.factor(&m, m.factor(value))));
            prop_assert_eq!((x as i128 * i128::from(value) - scaled) % p, 0);
            prop_assert!(scaled.abs() < p);
        }
        let large = to(m.p as f64 * 2f64.powi(53)).abs();
        for (x, limit) in [(to(2f64.powi(52)), (p + 1) / 2), (large, 2 * p)] {
            let reduced = first(on.reduce([x; 4]));
            prop_assert_eq!((x as i128 - reduced) % p, 0);
            prop_assert!(reduced.abs() <= limit, "{} modulo {}: {}", x, p, reduced);
        }
    }

    #[test]
    fn loops_agree(bits in 21u32..=50, from in 20u32..=52, seed in seeds()) {
        let m = Modulus::with(prime(bits), Vectors::None);
        let x = &limbs(1, m.p, seed)[0];
        let y = &limbs(1, m.p, seed.rotate_left(5))[0];
        let factor = m.factor(y[7]);
        check(x, |x| doubles::scale(Plain, &m, x, factor), |x| portable::scale(&m, x, factor));
        check(x, |x| doubles::sub_scale(Plain, &m, x, y, factor), |x| portable::sub_scale(&m, x, y, factor));
        check(x, |x| doubles::add_scaled(Plain, &m, x, y, factor), |x| portable::add_scaled(&m, x, y, factor));
        let words = &limbs(1, 1 << from, seed)[0];
        check(
            x,
            |x| doubles::reduce_offset(Plain, &m, x, words, y[3]),
            |x| portable::reduce_offset(&m, x, words, y[3]),
        );
    }

    #[test]
    fn sums_of_products_agree(
        bits in 21u32..=50, from in 20u32..=50, n in 1usize..40, seed in seeds(), equal: bool,
    ) {
        let m = Modulus::with(prime(bits), Vectors::None);
        let terms = |turn: u32| {
            let limbs = limbs(n, m.p, seed.rotate_left(turn));
            // Equal products are rounded alike, so that what is left adds up.
            if equal { vec![limbs[0].clone(); n] } else { limbs }
        };
        let [a, b, c] = [0, 5, 9].map(terms);
        let bytes: Vec<_> = a.iter().map(|limb| at_rest(limb, m.byte_width())).collect();
        let packed: Vec<_> = bytes.iter().map(|bytes| Residues { bytes, width: m.byte_width(), rows: 1 }).collect();
        let [b, c] = [&b, &c].map(|limbs| limbs.iter().map(|limb| Residues::of_words(limb)).collect::<Vec<_>>());
        check(&[0; LEN], |out| doubles::dot(Plain, &m, out, &packed, &b), |out| portable::dot(&m, out, &packed, &b));
        let pair = |dot2: &dyn Fn(&mut [u64], &mut [u64]), both: &mut [u64]| {
            let (out0, out1) = both.split_at_mut(LEN);
            dot2(out0, out1);
        };
        check(
            &[0; 2 * LEN],
            |both| pair(&|x, y| doubles::dot2(Plain, &m, 0, x, y, &packed, &b, &c), both),
            |both| pair(&|x, y| portable::dot2(&m, 0, x, y, &packed, &b, &c), both),
        );
        let words = limbs(n.min(15), 1 << from, seed);
        let weights = &a[0][..words.len()];
        check(
            &[0; LEN],
            |out| doubles::combine(Plain, &m, out, &slices(&words), weights, 1 << from),
            |out| portable::combine(&m, out, &slices(&words), weights),
        );
    }

    #[test]
    fn sums_with_what_was_there_agree(bits in 21u32..=50, n in 1usize..40, first in 0usize..2, seed in seeds()) {
        let m = Modulus::with(prime(bits), Vectors::None);
        let start = limbs(2, m.p, seed).concat();
        let panel = limbs(n, m.p, seed.rotate_left(5)).concat();
        let terms: Vec<_> = (0..n).map(|i| Weighted { row: i as u32, weight: panel[i] }).collect();
        check(
            &start[..LEN],
            |out| doubles::add_weighted(Plain, &m, out, &panel, &terms),
            |out| portable::add_weighted(&m, out, &panel, &terms),
        );
        let n = n.min(portable_terms());
        let (digits, rows) = (limbs(n, m.p, seed.rotate_left(7)), 2 * (n + first));
        let bytes = at_rest(&limbs(rows, m.p, seed.rotate_left(9)).concat(), m.byte_width());
        let key = [Residues { bytes: &bytes, width: m.byte_width(), rows }];
        let first = || First { digit: first };
        let pair = |both: &mut [u64], run: PairsOf| {
            let (out0, out1) = both.split_at_mut(LEN);
            run(&mut [[out0, out1]]);
        };
        check(
            &start,
            |both| pair(both, &|outs| doubles::key_products(Plain, &m, outs, &slices(&digits), &key, first())),
            |both| pair(both, &|outs| portable::key_products(&m, outs, &slices(&digits), &key, first())),
        );
    }

    #[test]
    fn transforms_agree(bits in 21u32..=50, log_degree in 5u32..=14, seed in seeds()) {
        let degree = 1 << log_degree;
        let m = Modulus::with(primes::below(bits.max(log_degree + 6), degree, 1, &[]).unwrap()[0], Vectors::None);
        let roots = Roots::new(&m, degree, root_of_unity(&m, degree).unwrap());
        let words = Transform::new(&m, degree).unwrap();
        let limb = limbs(degree.div_ceil(LEN), m.p, seed).concat();
        let factor = m.factor(limb[3]);
        check(&limb[..degree], |x| transform::forward(Plain, &roots, x), |x| words.forward(x));
        check(&limb[..degree], |x| transform::inverse(Plain, &roots, x, factor), |x| words.inverse(&m, x, factor));
    }
}

/// Digits that the portable form takes in one go.
fn portable_terms() -> usize {
    Modulus::with(prime(30), Vectors::None).lazy_terms
}
