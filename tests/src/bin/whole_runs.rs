//! Runs random networks from compilation to decryption and looks for answers that are wrong
//! without a word.
//!
//! Every run draws a network, a declared range, a calibration, an input, a packing and a precision.
//! It may be refused at compilation or encryption, flagged at decryption, or answered; an answer is
//! compared with plain evaluation. The program fails if one is further off than promised, or if anything panics.

use clap::Parser;
use fastrand::Rng;
use hecc::cost::default_target;
use hecc::model::{LayerKind, Model};
use hecc::packing::{Family, Packing};
use hecc::pipeline::{CompileError, Compiled, Options, compile};
use hecc_ir::{SecurityLevel, Tensor, artifact};
use hecc_runtime::client::Client;
use hecc_runtime::server::Server;
use hecc_tests::compiling::options_for;
use hecc_tests::models::model_from;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// How far an answer may exceed the precision, which bounds an error that most runs stay below.
const TOLERANCE: f64 = 4.0;

/// Looks for silent errors in whole runs of random networks.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  cargo run --release -p hecc-tests --bin whole_runs -- --runs 10000")]
struct Args {
    /// How many runs to make.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Number of the first run; each number stands for the same choices on every machine.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Use rings of 128-bit security instead of small ones.
    #[arg(long)]
    secure: bool,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The answer is as precise as promised.
    Right,
    /// The compiler refuses the network, for this reason.
    NotCompiled(String),
    /// The client refuses the input.
    NotEncrypted,
    /// The client refuses the result.
    Flagged,
    /// The answer is further off than promised, and nothing says so.
    Wrong,
    /// Something panicked.
    Panicked,
}

impl Outcome {
    fn is_defect(&self) -> bool {
        matches!(self, Outcome::Wrong | Outcome::Panicked)
    }
}

/// How inputs are drawn within a range.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Even,
    Low,
    High,
    Corner,
    OneHot,
    /// Evenly, from a tenth of the range around its middle.
    Tenth,
    /// One element in eight evenly, the others low.
    Sparse,
}

/// Samples to calibrate on.
#[derive(Clone, Copy, Debug)]
struct Calibration {
    n_samples: usize,
    draw: Draw,
}

/// What one run is made of.
#[derive(Debug)]
struct Case {
    model: Model,
    calibration: Calibration,
    input: Draw,
    options: Options,
}

fn pick<T: Clone>(rng: &mut Rng, items: &[T]) -> T {
    items[rng.usize(..items.len())].clone()
}

/// An input of the model within its declared range.
fn draw(rng: &mut Rng, model: &Model, how: Draw) -> Tensor {
    let (layer, (low, high)) = model.input();
    let shape = model.layer(layer).shape.clone();
    let n = shape.n_elements();
    let hot = rng.usize(..n);
    let one = |(i, rng): (usize, &mut Rng)| match how {
        Draw::Even => low + (high - low) * rng.f64(),
        Draw::Low => low,
        Draw::High => high,
        Draw::Corner => {
            if rng.bool() {
                low
            } else {
                high
            }
        }
        Draw::OneHot => {
            if i == hot {
                high
            } else {
                low
            }
        }
        Draw::Tenth => low + (high - low) * (0.45 + 0.1 * rng.f64()),
        Draw::Sparse => low + (high - low) * if rng.usize(..8) == 0 { rng.f64() } else { 0.0 },
    };
    let values = (0..n).map(|i| one((i, rng))).collect();
    Tensor::new(shape, values).expect("an element for each place")
}

fn case(number: u64, secure: bool) -> Case {
    let mut rng = Rng::with_seed(number);
    let choices: Vec<u32> = (0..rng.usize(3..64)).map(|_| rng.u32(..)).collect();
    let mut model = model_from(&choices);
    let ranges = [
        (-1.0, 1.0),
        (0.0, 1.0),
        (0.0, 255.0),
        (-10.0, 10.0),
        (-1e-3, 1e-3),
        (-3.0, -2.0),
        (5.0, 6.0),
        (0.0, 1e4),
    ];
    model.layers[0].kind = LayerKind::Input { range: pick(&mut rng, &ranges) };
    let (usual, ends) = ([Draw::Even, Draw::Even, Draw::Tenth, Draw::Sparse], [Draw::Low, Draw::High]);
    let draws = [&usual[..], &ends, &[Draw::Corner, Draw::OneHot]].concat();
    let calibration = Calibration { n_samples: pick(&mut rng, &[0, 1, 8]), draw: pick(&mut rng, &draws) };
    let input = pick(&mut rng, &draws);
    let options = options(&mut rng, secure);
    Case { model, calibration, input, options }
}

fn options(rng: &mut Rng, secure: bool) -> Options {
    let (n_slots, batch) = pick(rng, &[(64, 1), (512, 1), (64, 4), (8, 32)]);
    let packings = [
        Packing::Searched,
        Packing::ZeroSkipping,
        Packing::Only(Family::Multiplexed),
        Packing::Only(Family::Interleaved),
        Packing::Only(Family::Tiles),
    ];
    let chosen = Options {
        precision: pick(rng, &[1e-2, 1e-3, 1e-4]),
        packing: pick(rng, &packings),
        batch: Some(batch),
        range_bound: rng.usize(..4) == 0,
        ..options_for(n_slots * batch)
    };
    match secure {
        false => chosen,
        true => Options { security: SecurityLevel::Classical128, target: default_target(), ..chosen },
    }
}

fn run(number: u64, secure: bool) -> Outcome {
    let Case { model, calibration, input, mut options } = case(number, secure);
    let mut rng = Rng::with_seed(!number);
    options.samples = (0..calibration.n_samples).map(|_| draw(&mut rng, &model, calibration.draw)).collect();
    let compiled = match compile(&model, &options) {
        Ok(compiled) => compiled,
        Err(error) => return Outcome::NotCompiled(reason(&error)),
    };
    let batch = options.batch.unwrap_or(1);
    let inputs: Vec<Tensor> = (0..batch).map(|_| draw(&mut rng, &model, input)).collect();
    answer(&compiled, &inputs)
        .map_or_else(|outcome| outcome, |found| judge(&model, &compiled, &inputs, &found))
}

/// The first word of an error's debug form: its variant.
fn reason(error: &CompileError) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Results of the inputs by encryption, or who refused.
fn answer(compiled: &Compiled, inputs: &[Tensor]) -> Result<Vec<Vec<f64>>, Outcome> {
    let program = &compiled.program;
    let client = Client::generate_demanding(program.manifest.params.security, &program.manifest);
    let client = client.expect("the manifest is sound");
    let server = Server::load(&artifact::write_program(program)).expect("the program is sound");
    let session = server.session(&client.eval_keys().expect("keys are made")).expect("keys fit");
    let samples: Vec<_> = inputs.iter().map(std::slice::from_ref).collect();
    let sent = client.encrypt_batch(&samples).map_err(|_| Outcome::NotEncrypted)?;
    let reply = session.eval(&sent).expect("the ciphertexts are sound");
    let results = client.decrypt_batch(&reply.bundle, inputs.len()).map_err(|_| Outcome::Flagged)?;
    Ok(results.into_iter().map(|mut outputs| outputs.remove(0)).collect())
}

fn judge(model: &Model, compiled: &Compiled, inputs: &[Tensor], found: &[Vec<f64>]) -> Outcome {
    let expectations = compiled.program.manifest.outputs[0].expected.as_ref();
    let promise = expectations.expect("outputs have expectations").promise;
    let largest = |values: &[f64]| values.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let expected: Vec<Vec<f64>> = inputs.iter().map(|input| model.logits(input.values())).collect();
    let size = promise.size(largest(&expected.concat()));
    let is_right = |(expected, found): (&Vec<f64>, &Vec<f64>)| {
        let error: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
        let (off, promised) = (largest(&error), promise.precision * size);
        // Also false for what is no number.
        let is_right = off <= TOLERANCE * promised && found.iter().all(|x| x.is_finite());
        if !is_right {
            println!("off by {off:.1e} where {promised:.1e} is promised, outputs are up to {size:.1e}");
        }
        is_right
    };
    match expected.iter().zip(found).all(is_right) {
        true => Outcome::Right,
        false => Outcome::Wrong,
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut counts: BTreeMap<Outcome, u64> = BTreeMap::new();
    for number in args.first..args.first + args.runs {
        let outcome = std::panic::catch_unwind(|| run(number, args.secure)).unwrap_or(Outcome::Panicked);
        if outcome.is_defect() {
            println!("run {number}: {outcome:?}");
        }
        *counts.entry(outcome).or_default() += 1;
    }
    for (outcome, count) in &counts {
        println!("{count:8}  {outcome:?}");
    }
    match counts.keys().any(Outcome::is_defect) {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    }
}
