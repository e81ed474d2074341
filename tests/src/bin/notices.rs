//! Measures how often decryption takes for a result what is none, and refuses what is one.
//!
//! ```text
//! cargo run --release -p hecc-tests --bin notices -- --reduced 10000 --real 100
//! ```
//!
//! Every try is made as by somebody who knows the formats: identities and checksums are right. Prints
//! a table; every row counts tries, those that were refused, and those that were taken for results.

use clap::Parser;
use fastrand::Rng;
use hecc::diag::Diagnostics;
use hecc::front::{LoadOptions, hec};
use hecc::pipeline::{Compiled, Options, compile};
use hecc_ir::eval::eval_slots;
use hecc_ir::noise::NoiseModel;
use hecc_ir::{SecurityLevel, Tensor, artifact};
use hecc_runtime::client::Client;
use hecc_runtime::server::{Server, Session};
use hecc_tests::compiling::target_for;
use hecc_tests::models::tensor_for;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::f64::consts::PI;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of a bundle before its payload, and of a result's payload before the residues.
const HEADER: usize = 71;
const BEFORE_RESIDUES: usize = 88;

/// Slots of reduced rings.
const REDUCED_SLOTS: usize = 512;

/// A network, samples in the range that it is calibrated on, and how many share a run.
struct Network {
    name: &'static str,
    text: &'static str,
    n_inputs: usize,
    calibrated: (f64, f64),
    batch: usize,
    n_samples: usize,
}

const NETWORKS: [Network; 4] = [
    Network {
        name: "convolution and square",
        text: include_str!("../../../examples/models/tiny.hec"),
        n_inputs: 16,
        calibrated: (0.0, 1.0),
        batch: 1,
        n_samples: 1,
    },
    Network {
        name: "fourth powers",
        text: POWERS,
        n_inputs: 16,
        calibrated: (-1.0, 1.0),
        batch: 1,
        n_samples: 1,
    },
    Network {
        name: "no empty slot",
        text: FULL,
        n_inputs: 512,
        calibrated: (0.2, 1.0),
        batch: 1,
        n_samples: 1,
    },
    Network {
        name: "fourth powers, 3 samples in 8 lanes",
        text: POWERS,
        n_inputs: 16,
        calibrated: (-1.0, 1.0),
        batch: 8,
        n_samples: 3,
    },
];

const POWERS: &str = "model powers {
  weights random(seed = 3)
  input x: [16] in -1..1
  a = affine(x, scale = 3)
  b = square(a)
  c = square(b)
  y = dense(c, features = 2)
  output y
}";

const FULL: &str = "model full {
  weights random(seed = 3)
  input x: [512] in 0..1
  y = square(x)
  output y
}";

/// A network on a ring, with both halves of a deployment.
struct Bench<'a> {
    network: &'a Network,
    compiled: Compiled,
    client: Client,
    server: Server,
    session: Session,
    numbers: Rng,
}

/// What became of tries.
#[derive(Default)]
struct Tally {
    tries: usize,
    refused: usize,
}

impl Tally {
    fn count(&mut self, is_refused: bool) {
        self.tries += 1;
        self.refused += usize::from(is_refused);
    }
}

impl Bench<'_> {
    fn new(network: &Network, reduced: bool) -> Outcome<Bench<'_>> {
        let mut problems = Diagnostics::new();
        let mut read = |_: &str| unreachable!("the weights are random");
        let model =
            hec::translate("model.hec", network.text, &mut read, &LoadOptions::default(), &mut problems);
        let model = model.ok_or("the model is sound")?;
        let mut numbers = Rng::with_seed(1);
        let samples = (0..16).map(|_| tensor_for(&model, &sample(network, &mut numbers))).collect();
        let batch = (network.batch > 1).then_some(network.batch);
        let mut options = Options { samples, batch, ..Options::default() };
        if reduced {
            let target = target_for(REDUCED_SLOTS);
            options = Options { security: SecurityLevel::Insecure, target, ..options };
        }
        let mut compiled = compile(&model, &options).map_err(|e| format!("{}: {e:?}", network.name))?;
        // What is tried is what decryption notices, not what encryption refuses.
        compiled.program.manifest.inputs[0].range = (f64::NEG_INFINITY, f64::INFINITY);
        let program = &compiled.program;
        let client = Client::generate_insecure(&program.manifest)?;
        let server = Server::load(&artifact::write_program(program))?;
        let session = server.session(&client.eval_keys()?)?;
        Ok(Bench { network, compiled, client, server, session, numbers })
    }

    fn sample(&mut self) -> Vec<f64> {
        sample(self.network, &mut self.numbers)
    }

    fn samples(&mut self) -> Vec<Vec<f64>> {
        (0..self.network.n_samples).map(|_| self.sample()).collect()
    }

    fn encrypt(&self, samples: &[Vec<f64>]) -> Result<Vec<u8>, hecc_runtime::Error> {
        let shape = &self.compiled.program.manifest.inputs[0].layout.shape;
        let tensor = |sample: &Vec<f64>| Ok([Tensor::new(shape.clone(), sample.clone())?]);
        let batch = samples.iter().map(tensor).collect::<Result<Vec<_>, hecc_runtime::Error>>()?;
        self.client.encrypt_batch(&batch)
    }

    fn result(&self, samples: &[Vec<f64>]) -> Outcome<Vec<u8>> {
        Ok(self.session.eval(&self.encrypt(samples)?)?.bundle)
    }

    /// Right results, and the largest imaginary parts relative to the error that is expected at most.
    fn right(&mut self, tries: usize) -> Outcome<(Tally, f64)> {
        let (mut tally, mut largest) = (Tally::default(), 0.0f64);
        let error = self.error();
        for _ in 0..tries {
            let samples = self.samples();
            let result = self.result(&samples)?;
            tally.count(self.client.decrypt(&result).is_err());
            largest = largest.max(self.client.evidence(&result)?[0].imaginary / error);
        }
        Ok((tally, largest))
    }

    fn error(&self) -> f64 {
        self.compiled.program.manifest.outputs[0].expected.as_ref().map_or(0.0, |expected| expected.error)
    }

    /// A right result under other secret keys.
    fn other_secrets(&mut self, tries: usize) -> Outcome<Tally> {
        let mut tally = Tally::default();
        let samples = self.samples();
        let result = self.result(&samples)?;
        for _ in 0..tries {
            let other = Client::generate_insecure(&self.compiled.program.manifest)?;
            tally.count(other.decrypt(&rekeyed(&result, &other.save())).is_err());
        }
        Ok(tally)
    }

    /// Evaluation with the keys of others.
    fn other_eval_keys(&mut self, tries: usize) -> Outcome<Tally> {
        let mut tally = Tally::default();
        if self.compiled.program.manifest.keys.relin.is_none() {
            return Ok(tally);
        }
        let samples = self.samples();
        let input = self.encrypt(&samples)?;
        for _ in 0..tries {
            let other = Client::generate_insecure(&self.compiled.program.manifest)?;
            let mistaken = self.server.session(&rekeyed(&other.eval_keys()?, &input))?;
            tally.count(self.client.decrypt(&mistaken.eval(&input)?.bundle).is_err());
        }
        Ok(tally)
    }

    /// Uniformly random residues in the place of a result's.
    fn random_ciphertexts(&mut self, tries: usize) -> Outcome<Tally> {
        let mut tally = Tally::default();
        let samples = self.samples();
        let result = self.result(&samples)?;
        let manifest = &self.compiled.program.manifest;
        let primes = manifest.params.q[..manifest.outputs[0].ty.level.n_limbs()].to_vec();
        let degree = manifest.params.ring_degree;
        for _ in 0..tries {
            let mut residues = Vec::new();
            for &prime in primes.iter().chain(&primes) {
                pack_random(prime, degree, &mut self.numbers, &mut residues);
            }
            let mut bytes = result.clone();
            bytes[HEADER + BEFORE_RESIDUES..][..residues.len()].copy_from_slice(&residues);
            tally.count(self.client.decrypt(&reseal(bytes)).is_err());
        }
        Ok(tally)
    }

    /// Inputs so large that coefficients outgrow the modulus, the largest of them by a factor from `from` to `to`.
    /// Those that cannot even be encrypted are not counted.
    fn overflows(&mut self, tries: usize, (from, to): (f64, f64)) -> Outcome<Tally> {
        let mut tally = Tally::default();
        while tally.tries < tries {
            let samples = self.samples();
            let factor = from * (to / from).powf(self.numbers.f64());
            let scaled = self.scaled(&samples, factor);
            if let Ok(input) = self.encrypt(&scaled) {
                tally.count(self.client.decrypt(&self.session.eval(&input)?.bundle).is_err());
            }
        }
        Ok(tally)
    }

    /// Samples times the number that makes the largest coefficient of their result `factor` times as large as
    /// what the modulus holds.
    fn scaled(&self, samples: &[Vec<f64>], factor: f64) -> Vec<Vec<f64>> {
        let times = |t: f64| -> Vec<Vec<f64>> {
            samples.iter().map(|sample| sample.iter().map(|x| x * t).collect()).collect()
        };
        let (mut low, mut high) = (0.0f64, 40.0f64);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            match self.share(&times(middle.exp2())) < factor {
                true => low = middle,
                false => high = middle,
            }
        }
        times(high.exp2())
    }

    /// The largest coefficient of the encoded result of samples, without error, over the largest that the
    /// modulus holds.
    fn share(&self, samples: &[Vec<f64>]) -> f64 {
        let manifest = &self.compiled.program.manifest;
        let (circuit, lanes) = (&self.compiled.leveled, manifest.lanes());
        let of_lane = |lane: usize| {
            let packed = circuit.inputs[0].layout.pack(&samples[lane % samples.len()]);
            eval_slots(circuit, &[packed]).remove(0).remove(0)
        };
        let of_lanes: Vec<Vec<f64>> = (0..lanes.min(samples.len())).map(of_lane).collect();
        let n = manifest.params.n_slots();
        let slots: Vec<f64> = (0..n).map(|i| of_lanes[i % lanes % of_lanes.len()][i / lanes]).collect();
        let log_modulus = NoiseModel::new(&manifest.params).log_modulus(manifest.outputs[0].ty.level);
        let half = (log_modulus - manifest.outputs[0].ty.scale.log2() - 1.0).exp2();
        largest_coefficient(&slots) / half
    }
}

/// Coefficients of the polynomial that has real slots: `a[k]` is the mean of `x[j] cos(pi k 5^j / N)`.
fn largest_coefficient(slots: &[f64]) -> f64 {
    let (n, period) = (slots.len(), 4 * slots.len());
    let cosines: Vec<f64> = (0..period).map(|i| (2.0 * PI * i as f64 / period as f64).cos()).collect();
    let occupied: Vec<(usize, f64)> = std::iter::successors(Some(1), |power| Some(power * 5 % period))
        .zip(slots.iter().copied())
        .filter(|(_, x)| *x != 0.0)
        .collect();
    let coefficient =
        |k: usize| occupied.iter().map(|(power, x)| x * cosines[k * power % period]).sum::<f64>() / n as f64;
    (0..n).map(|k| coefficient(k).abs()).fold(0.0, f64::max)
}

fn sample(network: &Network, numbers: &mut Rng) -> Vec<f64> {
    let (low, high) = network.calibrated;
    (0..network.n_inputs).map(|_| low + (high - low) * numbers.f64()).collect()
}

/// Uniform residues of a prime, packed as ciphertexts have them.
fn pack_random(prime: u64, n: usize, numbers: &mut Rng, bytes: &mut Vec<u8>) {
    let width = 64 - prime.leading_zeros();
    let (mut buffer, mut n_bits) = (0u128, 0);
    for _ in 0..n {
        buffer |= u128::from(numbers.u64(..prime)) << n_bits;
        n_bits += width;
        while n_bits >= 8 {
            bytes.push(buffer as u8);
            buffer >>= 8;
            n_bits -= 8;
        }
    }
}

/// A bundle as if made with the keys of another one.
fn rekeyed(bundle: &[u8], sample: &[u8]) -> Vec<u8> {
    let mut bytes = bundle.to_vec();
    bytes[39..55].copy_from_slice(&sample[39..55]);
    reseal(bytes)
}

/// Makes the checksum right again.
fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::new_with_prefix(&bytes[..63]).chain_update(&bytes[HEADER..]).finalize();
    bytes[63..HEADER].copy_from_slice(&digest[..8]);
    bytes
}

fn report(bench: &mut Bench, tries: usize) -> Outcome<()> {
    let ring = bench.compiled.program.manifest.params.ring_degree;
    let name = bench.network.name;
    let row = |kind: &str, tally: &Tally| {
        let accepted = tally.tries - tally.refused;
        println!("| {name} | {ring} | {kind} | {} | {} | {accepted} |", tally.tries, tally.refused);
    };
    let (right, largest) = bench.right(tries)?;
    row(&format!("right; imaginary parts at most {largest:.2} of `error`"), &right);
    row("another secret key", &bench.other_secrets(tries)?);
    row("evaluation keys of another", &bench.other_eval_keys(tries)?);
    row("random ciphertexts", &bench.random_ciphertexts(tries)?);
    row("largest coefficient beyond by up to 2 %", &bench.overflows(tries, (1.0001, 1.02))?);
    row("beyond by up to 100 times", &bench.overflows(tries, (1.02, 100.0))?);
    Ok(())
}

/// How often decryption takes for a result what is none, and refuses what is one.
#[derive(Parser)]
struct Args {
    /// Tries of each kind at reduced rings, which give no security.
    #[arg(long, default_value_t = 100)]
    reduced: usize,
    /// Tries of each kind at rings that give 128 bits of security.
    #[arg(long, default_value_t = 0)]
    real: usize,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    println!(
        "| network | ring | what is decrypted | tries | refused | accepted |\n|---|---|---|---|---|---|"
    );
    for (tries, is_reduced) in [(args.reduced, true), (args.real, false)] {
        for network in NETWORKS.iter().filter(|_| tries > 0) {
            report(&mut Bench::new(network, is_reduced)?, tries)?;
        }
    }
    Ok(())
}
