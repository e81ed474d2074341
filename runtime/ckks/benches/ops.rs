//! Times of the operations a program is made of.
//!
//! `RAYON_NUM_THREADS=1 cargo bench -p hecc-ckks` measures one thread. Everything
//! runs inside the thread pool, as an executor does: entering it from outside
//! costs a hand-over per operation. `HECC_INSTRUCTIONS=avx2` measures without AVX-512.

#![allow(clippy::unwrap_used)] // Setting up fails loudly.

use divan::{Bencher, black_box};
use hecc_ckks::*;
use std::fmt;

fn main() {
    if let Ok(name) = std::env::var("HECC_INSTRUCTIONS") {
        Instructions::limit(Instructions::named(&name).unwrap());
    }
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    pool.install(divan::main);
}

/// A parameter set.
#[derive(Clone, Copy)]
struct Ring {
    ring_degree: usize,
    bits: u32,
    n_limbs: usize,
    special_bits: u32,
    digit_limbs: usize,
}

const RINGS: [Ring; 6] = [
    Ring { ring_degree: 8192, bits: 40, n_limbs: 4, special_bits: 50, digit_limbs: 1 },
    Ring { ring_degree: 8192, bits: 30, n_limbs: 6, special_bits: 33, digit_limbs: 1 },
    Ring { ring_degree: 16384, bits: 28, n_limbs: 9, special_bits: 30, digit_limbs: 5 },
    Ring { ring_degree: 16384, bits: 40, n_limbs: 8, special_bits: 50, digit_limbs: 1 },
    Ring { ring_degree: 32768, bits: 40, n_limbs: 16, special_bits: 50, digit_limbs: 4 },
    Ring { ring_degree: 65536, bits: 40, n_limbs: 24, special_bits: 50, digit_limbs: 6 },
];

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.ring_degree, self.n_limbs, self.bits)
    }
}

/// One client, one server and one ciphertext.
struct World {
    keygen: KeyGenerator,
    encoder: Encoder,
    evaluator: Evaluator,
    level: usize,
    scale: f64,
    values: Vec<f64>,
    pt: Plaintext,
    ct: Ciphertext,
}

impl World {
    fn new(ring: Ring) -> World {
        let q = primes::near(ring.bits, ring.ring_degree, ring.n_limbs, &[]).unwrap();
        let p = primes::below(ring.special_bits, ring.ring_degree, ring.digit_limbs, &q).unwrap();
        let security = SecurityLevel::Classical128;
        let params = Params { ring_degree: ring.ring_degree, q, p, digit_limbs: ring.digit_limbs, security };
        let ctx = Context::new(&params).unwrap();
        let keygen = KeyGenerator::insecure_from_seed(&ctx, 1);
        let encoder = Encoder::new(&ctx);
        let (level, scale) = (ctx.max_level(), f64::from(ring.bits).exp2());
        let values: Vec<f64> = (0..ctx.n_slots()).map(|i| (i as f64).sin()).collect();
        let pt = encoder.encode(&values, level, scale).unwrap();
        let ct = keygen.secret_key().encrypt(&pt).unwrap();
        World { evaluator: Evaluator::new(&ctx), keygen, encoder, level, scale, values, pt, ct }
    }

    fn galois(&mut self, steps: &[usize]) -> GaloisKeys {
        let rotations: Vec<_> = steps.iter().map(|&step| (step, self.level)).collect();
        self.keygen.eval_keys(None, &rotations).unwrap().galois
    }
}

#[divan::bench(args = RINGS)]
fn rotate(bencher: Bencher, ring: Ring) {
    let mut world = World::new(ring);
    let keys = world.galois(&[1]);
    bencher.bench(|| world.evaluator.rotate(&world.ct, 1, &keys));
}

#[divan::bench(args = RINGS)]
fn rotate_eight_hoisted(bencher: Bencher, ring: Ring) {
    let mut world = World::new(ring);
    let steps = [1, 2, 3, 4, 5, 6, 7, 8];
    let keys = world.galois(&steps);
    bencher.bench(|| world.evaluator.rotate_many(&world.ct, &steps, &keys));
}

#[divan::bench(args = RINGS)]
fn mul_relin(bencher: Bencher, ring: Ring) {
    let mut world = World::new(ring);
    let key = world.keygen.relin_key(world.level).unwrap();
    let ev = &world.evaluator;
    bencher.bench(|| ev.relin(&ev.mul(&world.ct, &world.ct).unwrap(), &key));
}

#[divan::bench(args = RINGS)]
fn mul_plain(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.evaluator.mul_plain(&world.ct, &world.pt));
}

#[divan::bench(args = RINGS)]
fn inner_product_of_64(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    let cts = vec![world.ct.clone(); 64];
    let pts = vec![world.pt.clone(); 64];
    let terms: Vec<_> = cts.iter().zip(&pts).collect();
    bencher.bench(|| world.evaluator.inner_product(black_box(&terms)));
}

/// Sixteen sums over the same ciphertexts, of weights that come from memory.
#[divan::bench(args = [RINGS[2], RINGS[3]])]
fn inner_products_of_24(bencher: Bencher, ring: Ring) {
    const TERMS: usize = 24;
    const ROWS: usize = 16;
    let world = World::new(ring);
    let cts: Vec<_> = (0..TERMS).map(|_| world.keygen.secret_key().encrypt(&world.pt).unwrap()).collect();
    let encode = |_| world.encoder.encode(&world.values, world.level, world.scale).unwrap();
    let pts: Vec<_> = (0..ROWS * TERMS).map(encode).collect();
    let rows: Vec<Vec<_>> = pts.chunks(TERMS).map(|pts| cts.iter().zip(pts).collect()).collect();
    bencher.bench(|| world.evaluator.inner_products(black_box(&rows)));
}

/// One limb; everything else is a multiple of it.
#[divan::bench(args = [8192, 16384])]
fn transform(bencher: Bencher, ring_degree: usize) {
    let prime = primes::near(40, ring_degree, 1, &[]).unwrap()[0];
    let plan = tfhe_ntt::prime64::Plan::try_new(ring_degree, prime).unwrap();
    let mut limb: Vec<u64> = (0..ring_degree as u64).collect();
    bencher.bench_local(move || plan.fwd(black_box(&mut limb)));
}

#[divan::bench(args = RINGS)]
fn add(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.evaluator.add(&world.ct, &world.ct));
}

#[divan::bench(args = RINGS)]
fn rescale(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.evaluator.rescale(&world.ct));
}

#[divan::bench(args = RINGS)]
fn encode(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.encoder.encode(black_box(&world.values), world.level, world.scale));
}

#[divan::bench(args = RINGS)]
fn decode(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.encoder.decode(black_box(&world.pt), world.scale));
}

#[divan::bench(args = RINGS)]
fn encrypt(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.keygen.secret_key().encrypt(&world.pt));
}

#[divan::bench(args = RINGS)]
fn decrypt(bencher: Bencher, ring: Ring) {
    let world = World::new(ring);
    bencher.bench(|| world.keygen.secret_key().decrypt(&world.ct));
}

#[divan::bench(args = RINGS)]
fn galois_key(bencher: Bencher, ring: Ring) {
    let mut world = World::new(ring);
    let level = world.level;
    bencher.bench_local(|| world.keygen.galois_key(1, level));
}
