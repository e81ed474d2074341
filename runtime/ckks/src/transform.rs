//! The negacyclic number-theoretic transform of one prime.
//!
//! Values come out in bit-reversed order of the exponents of one root of unity.
//! Where the machine and the prime allow, our AVX-512 IFMA form does it: with it
//! a rotation takes KEYSWITCH_RATIO of the time it takes with `tfhe-ntt`, which serves
//! all other cases. Both take the root that `tfhe-ntt` finds, so they agree bit
//! for bit.
//!
//! The transform splits modulo X^n - r² into X^(n/2) - r and X^(n/2) + r; node
//! k of this binary tree, counted from 1 at the top, has its own r, and nodes
//! 2k and 2k + 1 below it.

use crate::error::Error;
use crate::modulus::{Factor, Modulus};
use crate::simd::Ifma;
use tfhe_ntt::prime64::Plan;

/// Both directions for one prime.
pub(crate) struct Transform {
    form: Form,
}

enum Form {
    Library(Plan),
    Ifma { ifma: Ifma, forward: Twiddles, inverse: Twiddles },
}

/// The factor of each node of the tree, for 52-bit arithmetic.
pub(crate) struct Twiddles {
    /// Nodes above the last three levels; nothing at 0.
    pub nodes: Vec<Narrow>,
    /// Factors of the last three levels below eight neighbouring nodes.
    columns: Vec<Columns>,
}

/// A factor and floor(value · 2^52 / p).
#[derive(Clone, Copy, Default)]
pub(crate) struct Narrow {
    pub value: u64,
    pub ratio: u64,
}

/// Nodes on three levels below one.
pub(crate) const COLUMN_FACTORS: usize = 7;

/// By place below the node, widest first: values and ratios, a lane per node.
type Columns = [[[u64; 8]; 2]; COLUMN_FACTORS];

/// Smallest ring that the vector form takes: it needs a level above its blocks.
const MIN_DEGREE: usize = 128;

impl Transform {
    /// Prepares a prime that is 1 modulo 2N.
    ///
    /// # Errors
    /// [`Error::Prime`] for any other.
    pub fn new(m: &Modulus, degree: usize) -> Result<Transform, Error> {
        let unusable = Error::Prime { prime: m.p, reason: "it has no transform" };
        let plan = Plan::try_new(degree, m.p).ok_or(unusable)?;
        let root = root_of(m, &plan, degree)
            .ok_or(Error::Prime { prime: m.p, reason: "its transform has an unknown order" })?;
        let form = match m.ifma.filter(|_| degree >= MIN_DEGREE && std::env::var_os("HECC_LIB").is_none()) {
            Some(ifma) => Form::Ifma {
                ifma,
                forward: Twiddles::new(m, root, degree),
                inverse: Twiddles::new(m, m.invert(root), degree),
            },
            None => Form::Library(plan),
        };
        Ok(Transform { form })
    }

    /// Coefficients below 4p to values, in each limb. Two limbs together take less
    /// time than one after the other.
    pub fn forward(&self, m: &Modulus, limbs: &mut [&mut [u64]]) {
        match &self.form {
            Form::Library(plan) => limbs.iter_mut().for_each(|limb| {
                if m.p == 3 {
                    limb.iter_mut().for_each(|x| *x = m.reduce(*x));
                }
                plan.fwd(limb);
            }),
            Form::Ifma { ifma, forward, .. } => ifma.forward(m, limbs, forward),
        }
    }

    /// Values to coefficients times `N · factor`, in each limb.
    pub fn inverse(&self, m: &Modulus, limbs: &mut [&mut [u64]], factor: Factor) {
        match &self.form {
            Form::Library(plan) => limbs.iter_mut().for_each(|limb| {
                plan.inv(limb);
                crate::kernels::scale(m, limb, factor);
            }),
            Form::Ifma { ifma, inverse, .. } => ifma.inverse(m, limbs, inverse, factor),
        }
    }
}

/// The root whose odd powers, in bit-reversed order, are the values of X.
fn root_of(m: &Modulus, plan: &Plan, degree: usize) -> Option<u64> {
    let mut values = vec![0; degree];
    values[1] = 1;
    plan.fwd(&mut values);
    let (root, square) = (values[0], m.mul(values[0], values[0]));
    let shift = degree.leading_zeros() + 1;
    let powers = std::iter::successors(Some(root), |&power| Some(m.mul(power, square)));
    let expected = |(i, power): (usize, u64)| values[i.reverse_bits() >> shift] == power;
    (0..degree).zip(powers).all(expected).then_some(root)
}

impl Twiddles {
    /// Node k gets the power of a root of order 2N whose exponent is k in reverse.
    fn new(m: &Modulus, root: u64, degree: usize) -> Twiddles {
        let mut power = 1;
        let mut factors = vec![Narrow::default(); degree];
        for exponent in 1..degree {
            power = m.mul(power, root);
            factors[exponent.reverse_bits() >> (degree.leading_zeros() + 1)] =
                Narrow { value: power, ratio: m.factor(power).ratio >> 12 };
        }
        let columns =
            (degree / 8..degree / 4).step_by(8).map(|first| columns_below(&factors, first)).collect();
        factors.truncate(degree / 8);
        Twiddles { nodes: factors, columns }
    }

    /// The ring degree.
    pub fn degree(&self) -> usize {
        8 * self.nodes.len()
    }

    /// Factors of the last three levels, by the node six levels from the end.
    pub fn columns_of(&self, node: usize) -> &Columns {
        &self.columns[node - self.nodes.len() / 8]
    }
}

fn columns_below(factors: &[Narrow], first: usize) -> Columns {
    std::array::from_fn(|place| {
        let (level, within) = ((place + 1).ilog2(), place + 1 - (1 << (place + 1).ilog2()));
        let lanes: [Narrow; 8] = std::array::from_fn(|lane| factors[((first + lane) << level) + within]);
        [lanes.map(|factor| factor.value), lanes.map(|factor| factor.ratio)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primes;

    /// Both forms, where this machine has them.
    fn forms(p: u64, degree: usize) -> Option<(Modulus, Transform, Transform)> {
        let m = Modulus::new(p, degree);
        let library = Transform::new(&Modulus { ifma: None, ..m }, degree).unwrap();
        m.ifma.map(|_| (m, Transform::new(&m, degree).unwrap(), library))
    }

    fn words(degree: usize, bound: u64, seed: u64) -> Vec<u64> {
        let mix = |i: u64| (i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) % bound;
        (0..degree as u64).map(|i| if (i + seed).is_multiple_of(5) { bound - 1 } else { mix(i) }).collect()
    }

    #[test]
    fn vector_form_agrees_with_the_library() {
        for bits in [27, 31, 40, 46, 47, 48, 50] {
            for log_degree in 7..=16 {
                let degree = 1 << log_degree;
                let Ok(primes) = primes::below(bits, degree, 1, &[]) else { continue };
                let Some((m, vector, library)) = forms(primes[0], degree) else { return };
                for seed in 0..3 {
                    let [mut x, mut y] = [words(degree, 4 * m.p, seed), words(degree, 4 * m.p, seed)];
                    let mut z = x.clone();
                    vector.forward(&m, &mut [&mut x]);
                    library.forward(&m, &mut [&mut y]);
                    let mut other = words(degree, 4 * m.p, seed + 9);
                    vector.forward(&m, &mut [&mut other, &mut z]);
                    assert!(x == z, "pair {bits} bits, {degree}");
                    assert!(x == y, "forward {bits} bits, {degree}");
                    let factor = m.factor(words(degree, m.p, 3)[1]);
                    vector.inverse(&m, &mut [&mut x], factor);
                    library.inverse(&m, &mut [&mut y], factor);
                    vector.inverse(&m, &mut [&mut z, &mut other], factor);
                    assert!(x == z, "inverse pair {bits} bits, {degree}");
                    assert!(x == y, "inverse {bits} bits, {degree}");
                }
            }
        }
    }

    #[test]
    #[ignore]
    fn timing() {
        for degree in [4096usize, 8192, 16384, 32768] {
            for bits in [31, 49] {
                let p = primes::below(bits, degree, 1, &[]).unwrap()[0];
                let (m, vector, library) = forms(p, degree).unwrap();
                let factor = m.factor(12345);
                for (name, t) in [("vector", &vector), ("library", &library)] {
                    let mut x = crate::buffer::Buffer::copy_of(&words(degree, p, 1));
                    let mut y = crate::buffer::Buffer::copy_of(&words(degree, p, 1));
                    let mut best = [f64::MAX; 4];
                    for _ in 0..300 {
                        let s = std::time::Instant::now();
                        t.forward(&m, &mut [&mut x]);
                        best[0] = best[0].min(s.elapsed().as_secs_f64());
                        let s = std::time::Instant::now();
                        t.inverse(&m, &mut [&mut x], factor);
                        best[1] = best[1].min(s.elapsed().as_secs_f64());
                        let s = std::time::Instant::now();
                        t.forward(&m, &mut [&mut x, &mut y]);
                        best[2] = best[2].min(s.elapsed().as_secs_f64());
                        let s = std::time::Instant::now();
                        t.inverse(&m, &mut [&mut x, &mut y], factor);
                        best[3] = best[3].min(s.elapsed().as_secs_f64());
                    }
                    println!(
                        "{degree} {bits} {name} fwd {:.2} us inv {:.2} us, pair/2 {:.2} {:.2}",
                        best[0] * 1e6,
                        best[1] * 1e6,
                        best[2] * 5e5,
                        best[3] * 5e5
                    );
                }
            }
        }
    }
}
