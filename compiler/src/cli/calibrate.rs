//! `hecc calibrate`: measures the engine on this machine and writes a target
//! profile.
//!
//! The profile holds five primitive times per ring degree. Operations are
//! measured whole, as programs use them, with few and with many primes per
//! key-switching digit, so that transforms and conversions occur in different
//! proportions. Each measurement is an equation for the primitives by the
//! formula that [`OpCost`] prices the operation with, and the times that fit all
//! equations best, by the squares of relative errors, make the profile. A last measurement tells how many times as
//! long primes take that are too wide for some vector instructions.

use super::args::CalibrateArgs;
use super::files::{Kind, Output, Outputs};
use super::form::Form;
use super::{problems, progress};
use hecc::diag::Diagnostics;
use hecc_ckks::{Ciphertext, Context, Encoder, Error, EvalKeys, Evaluator, KeyGenerator, Plaintext, primes};
use hecc_ir::params::{Params, SecurityLevel};
use hecc_ir::scale::Level;
use hecc_ir::target::{Basis, OpCost, RingCost, Target, WidePrimes};
use hecc_runtime::backend::ckks;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Ciphertext primes per key-switching digit, and special primes.
const SHAPES: [usize; 3] = [1, 2, 6];
const TOP: Level = Level(5);
const BELOW: Level = Level(4);
/// Bits of primes, and of special ones, that all vector instructions take, and of some that not all do.
const NARROW: [u32; 2] = [30, 30];
const WIDE: [u32; 2] = [40, 49];
/// Primes of so many bits have the fast forms of AVX2.
const NARROW_BITS: u32 = 31;
/// Wide primes that take less time than this, compared with narrow ones, are not worth telling apart.
const LEAST_FACTOR: f64 = 1.25;
const HOISTED: usize = 8;
/// Times of a ring in a profile.
const N_TIMES: usize = 5;
/// Which of them is that of additions.
const ADDITIONS: usize = 2;
/// Primes per digit where wide ones are measured.
const WIDE_SHAPE: usize = 2;
/// Inner products with numbers that share operands.
const NUMBER_ROWS: usize = 32;
/// Inner products that share operands, and their operands.
const ROWS: usize = 6;
const TERMS: usize = 16;
const RING_DEGREES: [usize; 7] = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
/// Widest primes the vector kernels take.
const MAX_PRIME_BITS: u32 = 50;

/// Runs the command.
pub fn calibrate(args: &CalibrateArgs, form: Form) -> Result<(), Diagnostics> {
    let outputs = Outputs::beside([] as [&Path; 0], args.force.force);
    outputs.check(&[(&args.output, Kind::Json)])?;
    let failed = |e: Error| problems::engine(&args.output, &e);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| problems::no_thread(&args.output, &e.to_string()))?;
    let bar = progress::bar("measuring", RING_DEGREES.len());
    let mut rings = Vec::new();
    for ring_degree in RING_DEGREES {
        rings.push(pool.install(|| measure(ring_degree, args.samples.max(1))).map_err(failed)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let target = Target { name: String::from("ckks-cpu"), max_prime_bits: MAX_PRIME_BITS, rings };
    let json = serde_json::to_string_pretty(&target).expect("profiles serialise");
    let bytes = format!("{json}\n").into_bytes();
    let written = outputs.write(&[Output { path: &args.output, kind: Kind::Json, bytes: &bytes }])?;
    let report = serde_json::json!({ "profile": args.output });
    form.report(written, &report, || format!("wrote {}\n", args.output.display()));
    Ok(())
}

/// Everything a measurement needs, at one ring degree.
struct Bench {
    params: Params,
    evaluator: Evaluator,
    keys: EvalKeys,
    cts: Vec<Ciphertext>,
    plains: Vec<Plaintext>,
    /// Ciphertexts without special primes, and plaintexts whose slots are all equal.
    reduced: Vec<Ciphertext>,
    numbers: Vec<Plaintext>,
}

/// What an operation costs by the formulas, and how to do it once.
type Operation<'a> = (fn(&OpCost) -> f64, Box<dyn Fn() -> Result<(), Error> + 'a>);

/// How often each primitive occurs in an operation, and the time of the whole.
struct Equation {
    counts: [f64; N_TIMES],
    ns: f64,
}

impl Bench {
    fn new(ring_degree: usize, digit_limbs: usize, [bits, special_bits]: [u32; 2]) -> Result<Bench, Error> {
        let q = primes::near(bits, ring_degree, TOP.n_limbs(), &[])?;
        let p = primes::near(special_bits, ring_degree, digit_limbs, &q)?;
        let params = Params { ring_degree, q, p, digit_limbs, security: SecurityLevel::Insecure };
        let ctx = Context::new(&ckks::params(&params))?;
        let mut generator = KeyGenerator::new(&ctx)?;
        let (evaluator, encoder, top) = (Evaluator::new(&ctx), Encoder::new(&ctx), TOP.0 as usize);
        let steps: Vec<usize> = (1..=HOISTED.max(TERMS)).collect();
        let switched: Vec<(usize, usize)> = steps.iter().map(|&step| (step, top)).collect();
        let keys = generator.eval_keys(None, &switched)?;
        let scale = 2f64.powi(bits as i32);
        let values: Vec<f64> = (0..ring_degree / 2).map(|i| (i % 17) as f64 / 17.0).collect();
        let fresh = generator.secret_key().encrypt(&encoder.encode(&values, top, scale)?)?;
        let mut cts = vec![fresh];
        cts.extend(evaluator.rotate_many_extended(&cts[0], &steps, &keys.galois)?);
        let plain = |_| encoder.encode_extended(&values, top, scale);
        let plains = (0..ROWS * TERMS).map(plain).collect::<Result<_, _>>()?;
        let reduced = cts[1..=TERMS].iter().map(|ct| evaluator.reduce(ct)).collect::<Result<_, _>>()?;
        let number = |i: usize| encoder.encode(&[(i % 17) as f64 / 17.0], top, scale);
        let numbers = (1..=NUMBER_ROWS * TERMS).map(number).collect::<Result<_, _>>()?;
        Ok(Bench { params, evaluator, keys, cts, plains, reduced, numbers })
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let (evaluator, fresh, rotated) = (&self.evaluator, &self.cts[0], &self.cts[1..=TERMS]);
        let chunks = self.plains.chunks(TERMS);
        let rows: Vec<Vec<_>> = chunks.map(|plains| rotated.iter().zip(plains).collect()).collect();
        let numbers = self.numbers.chunks(TERMS);
        let number_rows: Vec<Vec<_>> =
            numbers.map(|numbers| self.reduced.iter().zip(numbers).collect()).collect();
        let rotate = |n: usize| {
            let steps: Vec<usize> = (1..=n).collect();
            move || evaluator.rotate_many_extended(fresh, &steps, &self.keys.galois)
        };
        vec![
            (|ops| ops.add(TOP, Basis::Reduced), once(|| evaluator.add(fresh, fresh))),
            (|ops| ops.add(TOP, Basis::Extended), once(|| evaluator.add(&rotated[0], &rotated[1]))),
            (
                |ops| {
                    let products = (ROWS * TERMS) as f64 * ops.mul_plain(TOP, Basis::Extended);
                    products + TERMS as f64 * ops.gather(TOP, Basis::Extended)
                },
                once(move || evaluator.inner_products(&rows)),
            ),
            (
                |ops| {
                    let products = (NUMBER_ROWS * TERMS) as f64 * ops.mul_scalar(TOP, Basis::Reduced);
                    products + TERMS as f64 * ops.gather(TOP, Basis::Reduced)
                },
                once(move || evaluator.inner_products(&number_rows)),
            ),
            (|ops| ops.rotate(TOP), once(rotate(1))),
            (|ops| ops.decompose(TOP) + HOISTED as f64 * ops.apply_key(TOP), once(rotate(HOISTED))),
            (|ops| ops.rescale(BELOW, Basis::Reduced), once(|| evaluator.rescale(fresh))),
            (|ops| ops.rescale(BELOW, Basis::Extended), once(|| evaluator.rescale(&rotated[0]))),
        ]
    }

    /// Takes turns, so that each operation finds the caches as others left
    /// them; the shortest time of each counts.
    fn equations(&self, n_samples: usize) -> Result<Vec<Equation>, Error> {
        let operations = self.operations();
        let mut shortest = vec![f64::INFINITY; operations.len()];
        for _ in 0..=n_samples {
            for (ns, (_, run)) in shortest.iter_mut().zip(&operations) {
                let start = Instant::now();
                run()?;
                *ns = ns.min(start.elapsed().as_secs_f64() * 1e9);
            }
        }
        let equation = |((price, _), &ns): (&Operation, &f64)| Equation::of(&self.params, price, ns);
        Ok(operations.iter().zip(&shortest).map(equation).collect())
    }
}

impl Equation {
    /// Prices are linear: with one primitive at 1 and the others at 0, a price
    /// is that primitive's count.
    fn of(params: &Params, price: impl Fn(&OpCost) -> f64, ns: f64) -> Equation {
        let count = |primitive: usize| {
            let unit = std::array::from_fn(|i| f64::from(u8::from(i == primitive)));
            price(&OpCost { ring: &ring_cost(params.ring_degree, unit), params })
        };
        Equation { counts: std::array::from_fn(count), ns }
    }
}

fn once<'a, T>(operation: impl Fn() -> Result<T, Error> + 'a) -> Box<dyn Fn() -> Result<(), Error> + 'a> {
    Box::new(move || operation().map(|result| drop(black_box(result))))
}

fn ring_cost(
    ring_degree: usize,
    [ntt_ns, mul_acc_ns, add_ns, convert_ns, mul_scalar_ns]: [f64; N_TIMES],
) -> RingCost {
    let mul_scalar_ns = Some(mul_scalar_ns);
    RingCost { ring_degree, ntt_ns, mul_acc_ns, add_ns, convert_ns, mul_scalar_ns, wide: None }
}

fn measure(ring_degree: usize, n_samples: usize) -> Result<RingCost, Error> {
    let mut equations = Vec::new();
    for digit_limbs in SHAPES {
        equations.extend(Bench::new(ring_degree, digit_limbs, NARROW)?.equations(n_samples)?);
    }
    let times = solve(&equations);
    let factor = factor(&times, &Bench::new(ring_degree, WIDE_SHAPE, WIDE)?.equations(n_samples)?);
    let wide = WidePrimes { narrow_bits: NARROW_BITS, factor };
    Ok(RingCost { wide: Some(wide).filter(|_| factor >= LEAST_FACTOR), ..ring_cost(ring_degree, times) })
}

/// How many times as long as the times say what was measured takes, without additions: the median.
fn factor(times: &[f64; N_TIMES], measured: &[Equation]) -> f64 {
    let factor = |Equation { counts, ns }: &Equation| {
        let parts: Vec<f64> = counts.iter().zip(times).map(|(count, time)| count * time).collect();
        let rest = parts.iter().sum::<f64>() - parts[ADDITIONS];
        (rest > 0.0).then(|| (ns - parts[ADDITIONS]) / rest)
    };
    let mut factors: Vec<f64> = measured.iter().filter_map(factor).collect();
    factors.sort_by(f64::total_cmp);
    factors[factors.len() / 2]
}

/// Far more than coordinates take to settle.
const SWEEPS: usize = 100_000;

/// Times, none negative, with the least sum of squared relative errors: one
/// coordinate after the other takes its best value.
fn solve(equations: &[Equation]) -> [f64; N_TIMES] {
    let mut times = [0.0; N_TIMES];
    for sweep in 0..SWEEPS * times.len() {
        let i = sweep % times.len();
        let (mut along, mut square) = (0.0, 0.0);
        for Equation { counts, ns } in equations {
            let others: f64 = (0..times.len()).filter(|&k| k != i).map(|k| counts[k] * times[k]).sum();
            along += counts[i] / ns * (1.0 - others / ns);
            square += (counts[i] / ns).powi(2);
        }
        times[i] = (along / square).max(0.0);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solved_times_price_what_was_measured() {
        let wanted = [11e3, 2e3, 1e3, 3e3, 5e2];
        let mut equations = Vec::new();
        for digit_limbs in SHAPES {
            let bench = Bench::new(1024, digit_limbs, NARROW).unwrap();
            let ring = ring_cost(1024, wanted);
            let ops = OpCost { ring: &ring, params: &bench.params };
            let equation = |(price, _): &Operation| Equation::of(&bench.params, price, price(&ops));
            equations.extend(bench.operations().iter().map(equation));
        }
        let twice = |equation: &Equation| Equation { ns: 2.0 * equation.ns, ..*equation };
        assert!((factor(&wanted, &equations.iter().map(twice).collect::<Vec<_>>()) - 2.0).abs() < 0.5);
        for (found, wanted) in solve(&equations).into_iter().zip(wanted) {
            assert!((found / wanted - 1.0).abs() < 1e-6, "{found} instead of {wanted}");
        }
    }
}
