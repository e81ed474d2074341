//! Programs that together use every instruction, and what they compute.

use crate::common::Draft;
use hecc_ir::{CtType, Reg};

/// Slots of an input by slot index.
pub type Slots = Vec<f64>;

/// A program of one ciphertext output and what it computes.
pub struct Case {
    pub name: &'static str,
    pub build: fn(&mut Draft) -> Reg,
    pub expected: fn(&[Slots]) -> Slots,
}

pub const CASES: &[Case] = &[
    Case { name: "input", build: |d| d.input(), expected: |x| x[0].clone() },
    Case { name: "zero", build: zero_plus_input, expected: |x| x[0].clone() },
    Case {
        name: "rotate",
        build: |d| {
            let x = d.input();
            d.rotate(x, &[5])[0]
        },
        expected: |x| shift(&x[0], 5),
    },
    Case {
        name: "rotate-many",
        build: rotate_many,
        expected: |x| map(|i| at(x, 0, i + 1) + at(x, 0, i + 7) + at(x, 0, i + 3 * n(x) - 3), x),
    },
    Case {
        name: "rotate-by-nothing",
        build: |d| {
            let x = d.input();
            d.rotate(x, &[0, 1])[0]
        },
        expected: |x| x[0].clone(),
    },
    Case {
        name: "inner-product",
        build: inner_product,
        expected: |x| map(|i| x[0][i] * weight(i) + x[1][i] * (0.25 + (i % 2) as f64), x),
    },
    Case {
        name: "sum",
        build: |d| {
            let (x, y, z) = three(d);
            d.sum(vec![x, y, z])
        },
        expected: |x| map(|i| x[0][i] + x[1][i] + x[2][i], x),
    },
    Case {
        name: "sub",
        build: |d| {
            let (x, y, _) = three(d);
            d.sub(x, y)
        },
        expected: |x| map(|i| x[0][i] - x[1][i], x),
    },
    Case {
        name: "neg",
        build: |d| {
            let x = d.input();
            d.neg(x)
        },
        expected: |x| map(|i| -x[0][i], x),
    },
    Case {
        name: "add-plain",
        build: |d| {
            let x = d.input();
            d.add_plain(x, vec![1.0, -2.0, 0.5, 0.0])
        },
        expected: |x| map(|i| x[0][i] + [1.0, -2.0, 0.5, 0.0][i % 4], x),
    },
    Case {
        name: "mul-scalar",
        build: |d| {
            let x = d.input();
            let y = d.mul_scalar(x, -0.3);
            d.rescale(y)
        },
        expected: |x| map(|i| -0.3 * x[0][i], x),
    },
    Case {
        name: "mul",
        build: |d| {
            let (x, y, _) = three(d);
            product(d, x, y)
        },
        expected: |x| map(|i| x[0][i] * x[1][i], x),
    },
    Case {
        name: "square",
        build: |d| {
            let x = d.input();
            product(d, x, x)
        },
        expected: |x| map(|i| x[0][i] * x[0][i], x),
    },
    Case {
        name: "degree-two",
        build: degree_two,
        expected: |x| map(|i| 0.5 * (x[0][i] * x[0][i] + x[1][i] - x[2][i] * x[0][i]) + 1.0, x),
    },
    Case { name: "mixed-degrees", build: mixed_degrees, expected: |x| map(|i| -x[0][i] * x[0][i], x) },
    Case {
        name: "rescale-before-relin",
        build: rescale_before_relin,
        expected: |x| map(|i| x[0][i] * x[1][i], x),
    },
    Case {
        name: "drop-level",
        build: |d| {
            let x = d.input();
            let y = d.drop_level(x, 1);
            product(d, y, y)
        },
        expected: |x| map(|i| x[0][i] * x[0][i], x),
    },
    Case {
        name: "level-zero",
        build: |d| {
            let x = d.input();
            let y = d.drop_level(x, 0);
            d.rotate(y, &[2])[0]
        },
        expected: |x| shift(&x[0], 2),
    },
    Case {
        name: "dense-and-square",
        build: dense_and_square,
        expected: |x| {
            map(
                |i| {
                    let h = (0..8).map(|k| at(x, 0, i + k) * weight(i + k)).sum::<f64>() + 0.5;
                    h * h
                },
                x,
            )
        },
    },
];

fn n(x: &[Slots]) -> usize {
    x[0].len()
}

fn at(x: &[Slots], input: usize, slot: usize) -> f64 {
    x[input][slot % n(x)]
}

fn map(f: impl Fn(usize) -> f64, x: &[Slots]) -> Slots {
    (0..n(x)).map(f).collect()
}

fn shift(x: &[f64], step: usize) -> Slots {
    (0..x.len()).map(|i| x[(i + step) % x.len()]).collect()
}

/// A weight of period 16 that no symmetry hides.
fn weight(i: usize) -> f64 {
    ((i % 16) as f64 * 0.7).sin() * 0.4
}

fn weights() -> Vec<f64> {
    (0..16).map(weight).collect()
}

fn three(d: &mut Draft) -> (Reg, Reg, Reg) {
    (d.input(), d.input(), d.input())
}

fn product(d: &mut Draft, a: Reg, b: Reg) -> Reg {
    let squared = d.mul(a, b);
    let linear = d.relin(squared);
    d.rescale(linear)
}

fn zero_plus_input(d: &mut Draft) -> Reg {
    let x = d.input();
    let zero = d.zero(d.ty(x));
    d.sum(vec![zero, x])
}

fn rotate_many(d: &mut Draft) -> Reg {
    let x = d.input();
    let rotated = d.rotate(x, &[1, 7, -3]);
    d.sum(rotated)
}

fn inner_product(d: &mut Draft) -> Reg {
    let (x, y) = (d.input(), d.input());
    let sum = d.inner_product(vec![(x, weights()), (y, vec![0.25, 1.25])]);
    d.rescale(sum)
}

fn degree_two(d: &mut Draft) -> Reg {
    let (x, y, z) = three(d);
    let square = d.mul(x, x);
    let one = d.zero(d.ty(x));
    let one = d.add_plain(one, vec![1.0]);
    let linear = d.mul(y, one);
    let sum = d.sum(vec![square, linear]);
    let cross = d.mul(z, x);
    let difference = d.sub(sum, cross);
    let linear = d.relin(difference);
    let linear = d.rescale(linear);
    let half = d.mul_scalar(linear, 0.5);
    let half = d.rescale(half);
    d.add_plain(half, vec![1.0])
}

fn mixed_degrees(d: &mut Draft) -> Reg {
    let x = d.input();
    let square = d.mul(x, x);
    let offset = d.zero(CtType { degree: 1, ..d.ty(square) });
    let offset = d.add_plain(offset, vec![0.25]);
    let sum = d.sum(vec![offset, square, offset]);
    let sum = d.sub(sum, offset);
    let sum = d.sub(offset, sum);
    let linear = d.relin(sum);
    d.rescale(linear)
}

fn rescale_before_relin(d: &mut Draft) -> Reg {
    let (x, y, _) = three(d);
    let product = d.mul(x, y);
    let product = d.rescale(product);
    d.relin(product)
}

fn dense_and_square(d: &mut Draft) -> Reg {
    let x = d.input();
    let steps: Vec<i64> = (0..8).collect();
    let rotated = d.rotate(x, &steps);
    let shifted = |k: usize| (0..16).map(|i| weight(i + k)).collect();
    let terms = rotated.into_iter().enumerate().map(|(k, reg)| (reg, shifted(k))).collect();
    let sum = d.inner_product(terms);
    let dense = d.rescale(sum);
    let biased = d.add_plain(dense, vec![0.5]);
    product(d, biased, biased)
}
