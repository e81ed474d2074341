//! A small ring with keys, and comparisons of slots.

#![allow(dead_code)] // Each test file uses its own part of it.

use hecc_ckks::*;
use std::sync::Arc;

/// Chain sizes of a test ring.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub ring_degree: usize,
    pub bits: u32,
    pub n_limbs: usize,
    pub digit_limbs: usize,
    pub special_bits: u32,
}

impl Shape {
    pub const SMALL: Shape =
        Shape { ring_degree: 256, bits: 40, n_limbs: 4, digit_limbs: 1, special_bits: 50 };

    pub fn params(self) -> Params {
        let q = primes::near(self.bits, self.ring_degree, self.n_limbs, &[]).unwrap();
        let p = primes::below(self.special_bits, self.ring_degree, self.digit_limbs, &q).unwrap();
        let (ring_degree, digit_limbs) = (self.ring_degree, self.digit_limbs);
        Params { ring_degree, q, p, digit_limbs, security: SecurityLevel::Insecure }
    }
}

/// One client and one server.
pub struct World {
    pub ctx: Arc<Context>,
    pub keygen: KeyGenerator,
    pub encoder: Encoder,
    pub evaluator: Evaluator,
    pub scale: f64,
}

impl World {
    pub fn new(shape: Shape) -> World {
        let ctx = Context::new(&shape.params()).unwrap();
        World {
            keygen: KeyGenerator::insecure_from_seed(&ctx, 7),
            encoder: Encoder::new(&ctx),
            evaluator: Evaluator::new(&ctx),
            scale: f64::from(shape.bits).exp2(),
            ctx,
        }
    }

    pub fn top(&self) -> usize {
        self.ctx.max_level()
    }

    pub fn encode(&self, values: &[f64], level: usize) -> Plaintext {
        self.encoder.encode(values, level, self.scale).unwrap()
    }

    pub fn encrypt(&self, values: &[f64], level: usize) -> Ciphertext {
        let pt = self.encode(values, level);
        self.keygen.secret_key().insecure_encrypt_from_seed(&pt, [3; 32]).unwrap()
    }

    pub fn decrypt(&self, ct: &Ciphertext) -> Vec<f64> {
        let pt = self.keygen.secret_key().decrypt(ct).unwrap();
        self.encoder.decode(&pt, ct.scale_log2().exp2()).unwrap()
    }
}

/// Slot values between -1 and 1 that look random.
pub fn values(n: usize, seed: u64) -> Vec<f64> {
    (0..n).map(|i| ((i as f64 + 1.0) * 12.9898 + seed as f64 * 78.233).sin()).collect()
}

/// Slots rotated to the left.
pub fn rotated(values: &[f64], step: usize) -> Vec<f64> {
    (0..values.len()).map(|i| values[(i + step) % values.len()]).collect()
}

pub fn zip(a: &[f64], b: &[f64], op: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| op(a, b)).collect()
}

#[track_caller]
pub fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    let error = max_error(got, expected);
    assert!(error <= tolerance, "error {error:e} exceeds {tolerance:e}");
}

pub fn max_error(got: &[f64], expected: &[f64]) -> f64 {
    let pairs = got.iter().zip(expected.iter().cycle());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |max, e| if e.is_nan() { f64::INFINITY } else { max.max(e) })
}
