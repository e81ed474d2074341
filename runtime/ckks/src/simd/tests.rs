//! Vector forms against portable ones, through the entry points of the kernels.

use super::*;
use crate::automorphism::Automorphism;
use crate::kernels::{self, First, Weighted, portable};
use crate::modulus::Modulus;
use crate::packed::{Residues, SLACK};
use crate::primes;
use proptest::prelude::*;

pub(super) const LEN: usize = 2 * BLOCK;

/// The vector forms of this machine that take a prime.
fn forms(p: u64) -> Vec<Modulus> {
    let form = if Avx2::PRIMES.contains(&p) { Vectors::Avx2 } else { Vectors::Sums };
    let avx2 = Avx2::detect().map(form);
    let fma = Fma::detect().filter(|_| Fma::PRIMES.contains(&p)).map(Vectors::Fma);
    let ifma = Ifma::detect().filter(|_| p < NARROW).map(Vectors::Ifma);
    avx2.into_iter().chain(fma).chain(ifma).map(|vectors| Modulus::with(p, vectors)).collect()
}

pub(super) fn prime(bits: u32) -> u64 {
    primes::below(bits, LEN, 1, &[]).expect("small rings have primes")[0]
}

/// Residues of `n` limbs, with the extremes among them; seed 0 gives only those.
pub(super) fn limbs(n: usize, bound: u64, seed: u64) -> Vec<Vec<u64>> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 61 {
            _ if seed == 0 => bound - 1,
            0 => 0,
            1 | 2 => bound - 1,
            _ => (state >> 3) % bound,
        }
    };
    (0..n).map(|_| (0..LEN).map(|_| next()).collect()).collect()
}

pub(super) fn slices(limbs: &[Vec<u64>]) -> Vec<&[u64]> {
    limbs.iter().map(Vec::as_slice).collect()
}

/// Words in `width` bytes each, and what vector loads may touch.
pub(super) fn at_rest(words: &[u64], width: usize) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(width));
    bytes.chain([0xff; SLACK]).collect()
}

/// Checks that two forms make the same of `start`.
pub(super) fn check(start: &[u64], vector: impl Fn(&mut [u64]), plain: impl Fn(&mut [u64])) {
    let (mut x, mut y) = (start.to_vec(), start.to_vec());
    vector(&mut x);
    plain(&mut y);
    assert_eq!(x, y);
}

pub(super) fn seeds() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 9 => any::<u64>()]
}

/// Longer than the stretches that sums of products are computed by, with more terms
/// than are read side by side.
#[test]
fn long_sums_of_products_agree_with_portable() {
    const LONG: usize = 2 * 4096 + BLOCK;
    for m in [31, 40, 50].into_iter().flat_map(|bits| forms(prime(bits))) {
        let words = |seed: u64| -> Vec<u64> {
            (0..LONG as u64).map(|i| m.reduce((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
        };
        let limbs: Vec<_> = (0..27).map(words).collect();
        let bytes: Vec<_> = limbs[..9].iter().map(|limb| at_rest(limb, m.byte_width())).collect();
        let a: Vec<_> =
            bytes.iter().map(|bytes| Residues { bytes, width: m.byte_width(), rows: 1 }).collect();
        let rest: Vec<_> = limbs[9..].iter().map(|limb| Residues::of_words(limb)).collect();
        let (b0, b1) = rest.split_at(9);
        let [mut out, mut expected] = [(); 2].map(|()| [vec![1; LONG], vec![2; LONG]]);
        let [out0, out1] = &mut out;
        kernels::dot2(&m, 0, out0, out1, &a, b0, b1);
        let [expected0, expected1] = &mut expected;
        portable::dot2(&m, 0, expected0, expected1, &a, b0, b1);
        assert_eq!(out, expected);
    }
}

proptest! {
    #[test]
    fn loops_agree_with_portable(bits in 20u32..=60, seed in seeds()) {
        for m in forms(prime(bits)) {
            let x = &limbs(1, m.p, seed)[0];
            let y = &limbs(1, m.p, seed.rotate_left(5))[0];
            let factor = m.factor(y[7]);
            check(x, |x| kernels::add_assign(&m, x, y), |x| portable::add_assign(&m, x, y));
            check(x, |x| kernels::sub_assign(&m, x, y), |x| portable::sub_assign(&m, x, y));
            check(x, |x| kernels::scale(&m, x, factor), |x| portable::scale(&m, x, factor));
            check(x, |x| kernels::add_scalar(&m, x, m.p - 1), |x| portable::add_scalar(&m, x, m.p - 1));
            check(x, |x| kernels::sub_scale(&m, x, y, factor), |x| portable::sub_scale(&m, x, y, factor));
            check(x, |x| kernels::add_scaled(&m, x, y, factor), |x| portable::add_scaled(&m, x, y, factor));
        }
    }

    #[test]
    fn conversions_agree_with_portable(bits in 20u32..=50, from in 20u32..=61, n in 1usize..=15, seed in seeds()) {
        for m in forms(prime(bits)) {
            let words = limbs(n, 1 << from, seed);
            let weights = &limbs(1, m.p, seed.rotate_left(5))[0][..n];
            let bound = 1 << from;
            let offset = weights[0];
            check(
                &words[0],
                |x| kernels::reduce_offset(&m, x, &words[0], offset, bound > NARROW),
                |x| portable::reduce_offset(&m, x, &words[0], offset),
            );
            check(
                &words[0],
                |x| kernels::combine(&m, x, &slices(&words), weights, bound),
                |x| portable::combine(&m, x, &slices(&words), weights),
            );
            let residues = limbs(n, m.p, seed);
            let reciprocals = vec![1.0 / m.p as f64; n];
            check(
                &words[0],
                |x| kernels::overflow(m.vectors, x, &slices(&residues), &reciprocals),
                |x| portable::overflow(x, &slices(&residues), &reciprocals),
            );
        }
    }

    #[test]
    fn weighted_sums_agree_with_portable(
        bits in 20u32..=60, seed in seeds(), n_rows in 1usize..140, every in 1usize..4,
    ) {
        for m in forms(prime(bits)) {
            let panel = limbs(n_rows, m.p, seed).concat();
            let weights = limbs(n_rows.div_ceil(LEN), m.p, seed.rotate_left(5)).concat();
            let term = |row: usize| Weighted { row: row as u32, weight: weights[row] };
            let terms: Vec<Weighted> = (0..n_rows).step_by(every).map(term).collect();
            check(
                &panel[..LEN],
                |out| kernels::add_weighted(&m, out, &panel, &terms),
                |out| portable::add_weighted(&m, out, &panel, &terms),
            );
        }
    }

    #[test]
    fn sums_of_products_agree_with_portable(bits in 20u32..=50, seed in seeds(), n_terms in 1usize..70) {
        for m in forms(prime(bits)) {
            let a = limbs(n_terms, m.p, seed);
            let b = limbs(n_terms, m.p, seed.rotate_left(5));
            let start = &a[0];
            let width = m.byte_width();
            let packed: Vec<_> = b.iter().map(|limb| at_rest(limb, width)).collect();
            let packed: Vec<_> = packed.iter().map(|bytes| Residues { bytes, width, rows: 1 }).collect();
            let [a, b] = [&a, &b].map(|limbs| limbs.iter().map(|limb| Residues::of_words(limb)).collect::<Vec<_>>());
            let mut expected = vec![0; LEN];
            portable::dot(&m, &mut expected, &a, &b);
            for (x, y) in [(&a, &b), (&a, &packed), (&packed, &a)] {
                check(start, |out| kernels::dot(&m, out, x, y), |out| out.copy_from_slice(&expected));
                check(start, |out| portable::dot(&m, out, x, y), |out| out.copy_from_slice(&expected));
                for at in [0, BLOCK] {
                    let part = || vec![1; LEN - at];
                    check(
                        &start[at..],
                        |out| kernels::dot2(&m, at, &mut part(), out, x, y, y),
                        |out| out.copy_from_slice(&expected[at..]),
                    );
                    check(
                        &start[at..],
                        |out| kernels::dot2(&m, at, out, &mut part(), x, y, y),
                        |out| out.copy_from_slice(&expected[at..]),
                    );
                }
            }
        }
    }

    #[test]
    fn key_products_agree_with_portable(
        bits in 20u32..=50,
        seed in seeds(),
        n_digits in 1usize..40,
        digit in 0usize..3,
        n_keys in 1usize..3,
    ) {
        for m in forms(prime(bits)) {
            let n_digits = n_digits.min(m.lazy_terms);
            let digits = limbs(n_digits, m.p, seed);
            let rows = 2 * (n_digits + digit);
            let words: Vec<_> = (0..n_keys as u64).map(|k| limbs(rows, m.p, seed.rotate_left(5) ^ k).concat()).collect();
            for width in [m.byte_width(), 8] {
                let bytes: Vec<_> = words.iter().map(|words| at_rest(words, width)).collect();
                let keys: Vec<_> = bytes.iter().map(|bytes| Residues { bytes, width, rows }).collect();
                let run = |kernel: KeyProducts| {
                    let mut outs = limbs(2 * n_keys, m.p, seed);
                    let mut halves: Vec<_> = outs.as_chunks_mut::<2>().0.iter_mut().map(|[a, b]| [&mut a[..], &mut b[..]]).collect();
                    kernel(&m, &mut halves, &slices(&digits), &keys, First { digit });
                    outs
                };
                prop_assert_eq!(run(kernels::key_products), run(portable::key_products));
            }
        }
    }

    #[test]
    fn automorphisms_agree(element in 0usize..1024, seed: u64) {
        let map = Automorphism::new(512, 2 * element % 1024 + 1);
        let x: Vec<u64> = (0..512).map(|i| seed.rotate_left(i)).collect();
        for m in forms(prime(30)) {
            check(&x, |out| kernels::permute(m.vectors, out, &x, &map), |out| portable::permute(out, &x, &map));
        }
    }
}

type Kernel<'a> = &'a mut dyn FnMut(&Modulus, &mut [Vec<u64>], &mut [u64]);
type KeyProducts = fn(&Modulus, &mut [[&mut [u64]; 2]], &[&[u64]], &[Residues], First);

/// Prints how much longer the portable form of each kernel takes than the vector ones:
/// `cargo test --release -p hecc-ckks --lib simd -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speedups() {
    const DEGREE: usize = 8192;
    const TERMS: usize = 24;
    for bits in [28, 30, 31, 32, 36, 40, 49, 50] {
        let p = primes::below(bits, DEGREE, 1, &[]).unwrap()[0];
        let fill = |n: usize| -> Vec<Vec<u64>> {
            (0..n).map(|i| limbs(DEGREE / LEN, p, 3 + i as u64).concat()).collect()
        };
        let (a, b, c, mut out, mut out1) = (fill(TERMS), fill(TERMS), fill(TERMS), fill(8), fill(1));
        let width = Modulus::with(p, Vectors::None).byte_width();
        let bytes: Vec<_> = a.iter().map(|limb| at_rest(limb, width)).collect();
        let packed: Vec<_> = bytes.iter().map(|bytes| Residues { bytes, width, rows: 1 }).collect();
        let key_bytes: Vec<_> = (0..4).map(|_| at_rest(&fill(16).concat(), width)).collect();
        let keys: Vec<_> = key_bytes.iter().map(|bytes| Residues { bytes, width, rows: 16 }).collect();
        let words = |limbs: &'static [Vec<u64>]| {
            limbs.iter().map(|limb| Residues::of_words(limb)).collect::<Vec<_>>()
        };
        let [b, c]: [&'static [Vec<u64>]; 2] = [b.leak(), c.leak()];
        let (b_words, c_words) = (words(b), words(c));
        let map = Automorphism::new(DEGREE, 5);
        let digits = slices(&b[..8]);
        let factor = Modulus::with(p, Vectors::None).factor(p / 3);
        let weights = &b[0][..5];
        let reciprocals = [1.0 / p as f64; 3];
        let mut row = |name: &str, run: Kernel| {
            let mut times = vec![];
            for m in [Modulus::with(p, Vectors::None)].into_iter().chain(forms(p)) {
                let time = |_| {
                    let start = std::time::Instant::now();
                    (0..4).for_each(|_| run(&m, &mut out, &mut out1[0]));
                    start.elapsed().as_secs_f64() / 4.0
                };
                times.push((0..300).map(time).fold(f64::MAX, f64::min));
            }
            let ratios: Vec<_> = times.iter().map(|time| format!("{:.2}", times[0] / time)).collect();
            println!("{bits} {name:14} {:8.2} us  {}", times[0] * 1e6, ratios[1..].join("  "));
        };
        row("add_assign", &mut |m, x, _| kernels::add_assign(m, &mut x[0], &b[0]));
        row("sub_assign", &mut |m, x, _| kernels::sub_assign(m, &mut x[0], &b[0]));
        row("add_scalar", &mut |m, x, _| kernels::add_scalar(m, &mut x[0], p / 2));
        row("scale", &mut |m, x, _| kernels::scale(m, &mut x[0], factor));
        row("add_scaled", &mut |m, x, _| kernels::add_scaled(m, &mut x[0], &b[0], factor));
        row("sub_scale", &mut |m, x, _| kernels::sub_scale(m, &mut x[0], &b[0], factor));
        row("reduce_offset", &mut |m, x, _| kernels::reduce_offset(m, &mut x[0], &b[0], p / 2, false));
        row("combine 2", &mut |m, x, _| kernels::combine(m, &mut x[0], &digits[..2], weights, p));
        row("combine 4", &mut |m, x, _| kernels::combine(m, &mut x[0], &digits[..4], weights, p));
        row("combine 4 long", &mut |m, x, _| kernels::combine(m, &mut x[0], &digits[..4], weights, NARROW));
        row("overflow 3", &mut |m, x, _| kernels::overflow(m.vectors, &mut x[0], &digits[..3], &reciprocals));
        row("dot 1", &mut |m, x, _| kernels::dot(m, &mut x[0], &b_words[..1], &c_words[..1]));
        row("dot 8", &mut |m, x, _| kernels::dot(m, &mut x[0], &b_words[..8], &c_words[..8]));
        row("dot2 1", &mut |m, x, y| {
            kernels::dot2(m, 0, &mut x[0], y, &packed[..1], &b_words[..1], &c_words[..1])
        });
        for n in [8, 24] {
            row(&format!("dot2 {n}"), &mut |m, x, y| {
                kernels::dot2(m, 0, &mut x[0], y, &packed[..n], &b_words[..n], &c_words[..n])
            });
        }
        row("permute", &mut |m, x, _| kernels::permute(m.vectors, &mut x[0], &b[0], &map));
        for (name, n_keys) in [("key_products 1", 1), ("key_products 4", 4)] {
            row(name, &mut |m, x, _| {
                let mut halves: Vec<_> = x
                    .as_chunks_mut::<2>()
                    .0
                    .iter_mut()
                    .take(n_keys)
                    .map(|[a, b]| [&mut a[..], &mut b[..]])
                    .collect();
                kernels::key_products(m, &mut halves, &digits, &keys, First { digit: 0 });
            });
        }
    }
}
