//! Times of single operations on one thread, as JSON lines.
//!
//! `cargo run --release -p hecc-ckks --example op_times -- --op rotate --reps 50`
//!
//! One line per operation: `min_ns` and `median_ns` over the repetitions, each
//! divided by the `units` of work one repetition does (terms of a sum); `bytes`
//! that operands of one unit hold in memory, where that is what bounds the speed;
//! `error` of the decrypted result, where it was checked. Everything runs inside
//! a thread pool, as in an executor. `tests/peers/op_times.py` sets these times
//! beside those of other libraries.

mod common;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use common::{Ring, World};
use hecc_ckks::*;
use std::hint::black_box;
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Times of single operations as JSON lines", long_about = None)]
struct Options {
    #[command(flatten)]
    ring: Ring,
    /// Operation to measure.
    #[arg(long, default_value = "all", value_parser = names())]
    op: String,
    /// Timed repetitions of each.
    #[arg(long, default_value_t = 20)]
    reps: usize,
    /// Baby steps of the dense product; a power of two.
    #[arg(long, default_value_t = 32)]
    babies: usize,
    /// Threads; more than one shows what an executor alone would gain.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Vector instructions to use at most.
    #[arg(long, default_value = "avx512", value_parser = instructions())]
    instructions: Instructions,
}

type Measure = fn(&mut World, &Options) -> Result<Measured, Error>;

/// Every operation by the name it has in all systems.
const OPS: [(&str, Measure); 10] = [
    ("rotate", rotate),
    ("rotate_eight", rotate_eight),
    ("mac", mac),
    ("mul_relin", mul_relin),
    ("rescale", rescale),
    ("encode", encode),
    ("encrypt_symmetric", encrypt_symmetric),
    ("encrypt_public", encrypt_public),
    ("dense", dense),
    ("stream", stream),
];

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(OPS.map(|(name, _)| name).into_iter().chain(["all"]))
}

fn instructions() -> impl TypedValueParser<Value = Instructions> {
    let names = PossibleValuesParser::new(Instructions::ALL.map(Instructions::name));
    names.map(|name| Instructions::named(&name).expect("a possible value"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    Instructions::limit(options.instructions);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    pool.install(|| run(&options))?;
    Ok(())
}

fn run(options: &Options) -> Result<(), Error> {
    let wanted = |name: &str| options.op == "all" || options.op == name;
    for (name, measure) in OPS.iter().filter(|(name, _)| wanted(name)) {
        let mut world = World::new(options.ring)?;
        println!("{}", measure(&mut world, options)?.line(name));
        release_buffers();
    }
    Ok(())
}

/// Sorted times of whole repetitions, and what one consists of.
struct Measured {
    nanos: Vec<u64>,
    units: usize,
    bytes: Option<usize>,
    error: Option<f64>,
}

impl Measured {
    /// Times repetitions after two that warm up; dropping the result counts.
    fn of<T>(reps: usize, mut run: impl FnMut() -> Result<T, Error>) -> Result<Measured, Error> {
        let mut timed = || {
            let start = Instant::now();
            drop(black_box(run()?));
            Ok(start.elapsed().as_nanos() as u64)
        };
        timed()?;
        timed()?;
        let mut nanos = (0..reps.max(1)).map(|_| timed()).collect::<Result<Vec<u64>, Error>>()?;
        nanos.sort_unstable();
        Ok(Measured { nanos, units: 1, bytes: None, error: None })
    }

    fn line(&self, op: &str) -> String {
        let per_unit = |nanos: u64| nanos as f64 / self.units as f64;
        let (min, median) = (per_unit(self.nanos[0]), per_unit(self.nanos[self.nanos.len() / 2]));
        serde_json::json!({
            "op": op,
            "min_ns": min,
            "median_ns": median,
            "reps": self.nanos.len(),
            "units": self.units,
            "bytes": self.bytes,
            "error": self.error,
        })
        .to_string()
    }
}

/// Values between -1 and 1 that look random.
fn values(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i + 1) as f64 * 12.9898 + seed as f64 * 78.233).sin()).collect()
}

impl World {
    fn values(&self, seed: usize) -> Vec<f64> {
        values(self.ctx.n_slots(), seed)
    }

    fn pt(&self, seed: usize) -> Result<Plaintext, Error> {
        self.encode(&self.values(seed))
    }

    fn ct(&self, seed: usize) -> Result<Ciphertext, Error> {
        self.encrypt(&self.values(seed))
    }
}

fn rotate(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let keys = world.galois(&[1])?;
    let ct = world.ct(1)?;
    Measured::of(options.reps, || world.evaluator.rotate(&ct, 1, &keys))
}

fn rotate_eight(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let steps = [1, 2, 3, 4, 5, 6, 7, 8];
    let keys = world.galois(&steps)?;
    let ct = world.ct(1)?;
    Measured::of(options.reps, || world.evaluator.rotate_many(&ct, &steps, &keys))
}

/// A sum of products, per term; no two terms share an operand.
fn mac(world: &mut World, options: &Options) -> Result<Measured, Error> {
    const N_TERMS: usize = 64;
    let cts = (0..N_TERMS).map(|i| world.ct(i)).collect::<Result<Vec<_>, _>>()?;
    let pts = (0..N_TERMS).map(|i| world.pt(N_TERMS + i)).collect::<Result<Vec<_>, _>>()?;
    let terms: Vec<_> = cts.iter().zip(&pts).collect();
    let measured = Measured::of(options.reps, || world.evaluator.inner_product(&terms))?;
    let bytes = cts[0].byte_size() + pts[0].byte_size();
    Ok(Measured { units: N_TERMS, bytes: Some(bytes), ..measured })
}

fn mul_relin(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let key = world.keygen.relin_key(world.level)?;
    let (a, b) = (world.ct(1)?, world.ct(2)?);
    let ev = &world.evaluator;
    Measured::of(options.reps, || ev.relin(&ev.mul(&a, &b)?, &key))
}

fn rescale(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let product = world.evaluator.mul_plain(&world.ct(1)?, &world.pt(2)?)?;
    Measured::of(options.reps, || world.evaluator.rescale(&product))
}

fn encode(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let values = world.values(1);
    Measured::of(options.reps, || world.encode(black_box(&values)))
}

fn encrypt_symmetric(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let pt = world.pt(1)?;
    Measured::of(options.reps, || world.keygen.secret_key().encrypt(&pt))
}

fn encrypt_public(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let pt = world.pt(1)?;
    let key = world.keygen.public_key();
    Measured::of(options.reps, || key.encrypt(&world.ctx, &pt))
}

/// Rows and columns of the dense matrix.
const DENSE: usize = 1024;

fn weight(row: usize, column: usize) -> f64 {
    ((row * DENSE + column) as f64 * 0.618).sin() / 32.0
}

/// The dense matrix as one operation.
struct Dense {
    map: LinearMap,
    keys: GaloisKeys,
}

impl Dense {
    fn new(world: &mut World, n_babies: usize) -> Result<Dense, Error> {
        let diagonal = |step: usize| (0..DENSE).map(|i| weight(i, (i + step) % DENSE)).collect();
        let diagonals = (0..DENSE).map(|step| (step, diagonal(step))).collect();
        let map = LinearMap::encode(&world.encoder, &diagonals, n_babies, world.level, world.scale)?;
        Ok(Dense { keys: world.galois(&map.steps())?, map })
    }

    /// The matrix times a vector that is repeated to fill the slots, rescaled.
    fn apply(&self, ev: &Evaluator, ct: &Ciphertext) -> Result<Ciphertext, Error> {
        ev.rescale(&ev.linear_map(ct, &self.map, &self.keys)?)
    }
}

fn dense(world: &mut World, options: &Options) -> Result<Measured, Error> {
    let dense = Dense::new(world, options.babies)?;
    let vector = values(DENSE, 1);
    let ct = world.encrypt(&vector)?;
    let got = world.decrypt(&dense.apply(&world.evaluator, &ct)?)?;
    let expected = |row: usize| (0..DENSE).map(|column| weight(row, column) * vector[column]).sum::<f64>();
    let error = (0..DENSE).map(|row| (got[row] - expected(row)).abs()).fold(0.0, f64::max);
    let measured = Measured::of(options.reps, || dense.apply(&world.evaluator, &ct))?;
    Ok(Measured { error: Some(error), ..measured })
}

/// Reading memory in order: what a sum of products cannot be faster than.
fn stream(_: &mut World, options: &Options) -> Result<Measured, Error> {
    let words = vec![1u64; 1 << 25];
    let measured = Measured::of(options.reps, || Ok(sum(black_box(&words))))?;
    Ok(Measured { bytes: Some(size_of_val(words.as_slice())), ..measured })
}

/// Independent sums, so that additions do not wait for each other.
fn sum(words: &[u64]) -> u64 {
    const LANES: usize = 32;
    let mut lanes = [0u64; LANES];
    for chunk in words.chunks_exact(LANES) {
        for (lane, word) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}
