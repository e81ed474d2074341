//! `hecc calibrate`: measures the engine on this machine and writes a target
//! profile.
//!
//! The profile holds four primitive times per ring degree. Two of them are
//! read off single operations; the transform and the basis conversion are
//! solved from a rotation and from eight that share a decomposition, by the
//! same formulas that [`OpCost`](hecc_ir::target::OpCost) prices with, so that
//! prices reproduce what was measured.

use super::args::CalibrateArgs;
use super::files::{self, Access};
use super::form::Form;
use super::{problems, progress};
use hecc::diag::Diagnostics;
use hecc_ckks::{Context, Encoder, Error, EvalKeys, Evaluator, KeyGenerator, Params, Security, primes};
use hecc_ir::target::{RingCost, Target};
use std::hint::black_box;
use std::time::Instant;

const LIMBS: usize = 6;
const SPECIAL_LIMBS: usize = 2;
const DIGIT_LIMBS: usize = 2;
const PRIME_BITS: u32 = 30;
const SPECIAL_BITS: u32 = 34;
const HOISTED: usize = 8;
const INNER_TERMS: usize = 32;
const RING_DEGREES: [usize; 7] = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
/// Widest primes the vector kernels take.
const MAX_PRIME_BITS: u32 = 50;

/// Runs the command.
pub fn calibrate(args: &CalibrateArgs, form: Form) -> Result<(), Diagnostics> {
    let failed = |e: Error| problems::engine(&args.output, &e);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| problems::threads(&args.output, &e.to_string()))?;
    let bar = progress::bar("measuring", RING_DEGREES.len());
    let mut rings = Vec::new();
    for ring_degree in RING_DEGREES {
        rings.push(pool.install(|| measure(ring_degree, args.samples.max(1))).map_err(failed)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let target = Target { name: String::from("ckks-cpu"), max_prime_bits: MAX_PRIME_BITS, rings };
    let json = serde_json::to_string_pretty(&target).expect("profiles serialise");
    files::write(&args.output, format!("{json}\n").as_bytes(), Access::Normal)?;
    let report = serde_json::json!({ "profile": args.output });
    form.result(&report, || format!("wrote {}\n", args.output.display()));
    Ok(())
}

/// Everything a measurement needs, at one ring degree.
struct Bench {
    encoder: Encoder,
    evaluator: Evaluator,
    generator: KeyGenerator,
    keys: EvalKeys,
    n_samples: usize,
}

impl Bench {
    fn new(ring_degree: usize, n_samples: usize) -> Result<Bench, Error> {
        let q = primes::near(PRIME_BITS, ring_degree, LIMBS, &[])?;
        let p = primes::near(SPECIAL_BITS, ring_degree, SPECIAL_LIMBS, &q)?;
        let security = Security::InsecureByName;
        let ctx = Context::new(&Params { ring_degree, q, p, digit_limbs: DIGIT_LIMBS, security })?;
        let mut generator = KeyGenerator::new(&ctx)?;
        let steps: Vec<(usize, usize)> = (1..=HOISTED).map(|step| (step, LIMBS - 1)).collect();
        let keys = generator.eval_keys(None, &steps)?;
        Ok(Bench { encoder: Encoder::new(&ctx), evaluator: Evaluator::new(&ctx), generator, keys, n_samples })
    }

    /// Median time of an operation, nanoseconds.
    fn time<T>(&self, mut operation: impl FnMut() -> Result<T, Error>) -> Result<f64, Error> {
        black_box(operation()?);
        let mut times = Vec::with_capacity(self.n_samples);
        for _ in 0..self.n_samples {
            let start = Instant::now();
            black_box(operation()?);
            times.push(start.elapsed().as_secs_f64() * 1e9);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

fn measure(ring_degree: usize, n_samples: usize) -> Result<RingCost, Error> {
    let bench = Bench::new(ring_degree, n_samples)?;
    let scale = 2f64.powi(PRIME_BITS as i32);
    let values: Vec<f64> = (0..ring_degree / 2).map(|i| (i % 17) as f64 / 17.0).collect();
    let plain = |_| bench.encoder.encode(&values, LIMBS - 1, scale);
    let plains = (0..INNER_TERMS).map(plain).collect::<Result<Vec<_>, _>>()?;
    let ct = bench.generator.secret_key().encrypt(&plains[0])?;
    let cts: Vec<_> = (0..INNER_TERMS).map(|_| ct.clone()).collect();
    let terms: Vec<_> = cts.iter().zip(&plains).collect();
    let steps: Vec<usize> = (1..=HOISTED).collect();
    let add = bench.time(|| bench.evaluator.add(&cts[0], &cts[1]))?;
    let inner = bench.time(|| bench.evaluator.inner_product(&terms))?;
    let rotate = bench.time(|| bench.evaluator.rotate_many(&ct, &steps[..1], &bench.keys.galois))?;
    let hoisted = bench.time(|| bench.evaluator.rotate_many(&ct, &steps, &bench.keys.galois))?;
    let limbs_moved = (2 * LIMBS) as f64;
    let mul_acc_ns = inner / (limbs_moved * INNER_TERMS as f64);
    let (ntt_ns, convert_ns) = solve(rotate, hoisted, mul_acc_ns);
    Ok(RingCost { ring_degree, ntt_ns, mul_acc_ns, add_ns: add / limbs_moved, convert_ns })
}

/// Transform and conversion times that reproduce a rotation and eight hoisted
/// ones: two linear equations, a negative solution cut to zero.
fn solve(rotate: f64, hoisted: f64, mul_acc_ns: f64) -> (f64, f64) {
    let (limbs, special, digit) = (LIMBS as f64, SPECIAL_LIMBS as f64, DIGIT_LIMBS as f64);
    let digits = (LIMBS / DIGIT_LIMBS) as f64;
    let apply_key = (hoisted - rotate) / (HOISTED - 1) as f64;
    let switch = apply_key - 2.0 * digits * (limbs + special) * mul_acc_ns;
    let decompose = rotate - apply_key;
    let (a, b) = (2.0 * (limbs + special), 2.0 * limbs * special);
    let (c, d) = (limbs + digits * (limbs + special - digit), digits * (limbs + special) * digit);
    let determinant = a * d - b * c;
    let ntt = (switch * d - b * decompose) / determinant;
    let convert = (a * decompose - switch * c) / determinant;
    if convert < 0.0 {
        return (((switch + decompose) / (a + c)).max(0.0), 0.0);
    }
    if ntt < 0.0 {
        return (0.0, ((switch + decompose) / (b + d)).max(0.0));
    }
    (ntt, convert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hecc_ir::params::SecurityLevel;
    use hecc_ir::scale::Level;
    use hecc_ir::target::OpCost;

    #[test]
    fn solved_times_price_what_was_measured() {
        let ring =
            RingCost { ring_degree: 8192, ntt_ns: 11.0, mul_acc_ns: 2.0, add_ns: 1.0, convert_ns: 3.0 };
        let params = hecc_ir::Params {
            ring_degree: 8192,
            q: vec![1 << PRIME_BITS; LIMBS],
            p: vec![1 << SPECIAL_BITS; SPECIAL_LIMBS],
            digit_limbs: DIGIT_LIMBS,
            security: SecurityLevel::Insecure,
        };
        let (ops, level) = (OpCost { ring: &ring, params: &params }, Level(LIMBS as u32 - 1));
        let hoisted = ops.decompose(level) + HOISTED as f64 * ops.apply_key(level);
        let (ntt, convert) = solve(ops.rotate(level), hoisted, ring.mul_acc_ns);
        assert!((ntt - ring.ntt_ns).abs() < 1e-9 && (convert - ring.convert_ns).abs() < 1e-9);
    }
}
