//! `hecc bench`: one table, or one JSON object, of everything worth measuring.

use super::accuracy::{Accuracy, Judge};
use super::args::BenchArgs;
use super::form::Form;
use super::memory::{self, MemoryFigures};
use super::session::{self, Built, Deployment, Outcome};
use super::simulate::{Simulated, simulate};
use super::{problems, progress, show};
use hecc::diag::Diagnostics;
use hecc::front::data::DataSet;
use hecc_ir::program::OpCounts;
use hecc_runtime::LayerTime;
use serde::Serialize;
use std::time::Duration;

/// What a benchmark run measured. Times are seconds, medians over runs where there are
/// several; a run takes a batch of samples, one for each lane. Sizes are bytes.
#[derive(Debug, Serialize)]
pub struct Figures {
    model: String,
    /// Name of the profile of the machine it was compiled for.
    target: String,
    latency_s: f64,
    latency_min_s: f64,
    latency_max_s: f64,
    /// Samples that one run takes.
    lanes: usize,
    /// Samples that full batches compute in a second, without the client's part.
    samples_per_s: f64,
    encrypt_s: f64,
    decrypt_s: f64,
    compile_s: f64,
    keygen_s: f64,
    encode_s: f64,
    predicted_latency_one_thread_s: f64,
    predicted_run_bytes: usize,
    rotations: usize,
    key_switches: usize,
    mul_plain: usize,
    mul_scalar: usize,
    mul_ct: usize,
    relins: usize,
    rescales: usize,
    /// Rotations, products of all kinds, relinearisations and rescales.
    he_operations: usize,
    depth: usize,
    ring_degree: usize,
    log_qp: f64,
    q_bits: Vec<f64>,
    p_bits: Vec<f64>,
    digit_limbs: usize,
    /// Bits of security that ring and modulus leave, by estimate: against classical attacks, and
    /// quantum ones.
    security_bits: u32,
    quantum_security_bits: u32,
    rotation_keys: usize,
    key_bytes: usize,
    plaintext_bytes: usize,
    ciphertext_bytes: usize,
    #[serde(flatten)]
    memory: MemoryFigures,
    threads: usize,
    predicted_max_abs_err: f64,
    /// Weights of convolutions and dense layers.
    weights: usize,
    /// Those that are exactly zero.
    zero_weights: usize,
    #[serde(flatten)]
    accuracy: Accuracy,
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated: Option<Simulated>,
    layers: Vec<LayerFigure>,
}

/// Where the time of one evaluation went, summed over threads.
#[derive(Debug, Serialize)]
struct LayerFigure {
    layer: String,
    instruction: &'static str,
    count: usize,
    seconds: f64,
}

/// Runs the command.
pub fn bench(args: &BenchArgs, form: Form) -> Result<(), Diagnostics> {
    if args.plot.is_some() {
        return Err(problems::nothing_to_plot());
    }
    let BenchArgs { data: args, simulate: n_simulated, .. } = args;
    let data = session::samples(args)?;
    let built = session::build_to_run(args, &data, form)?;
    let judge = Judge::of(args.task, &data, &built)?;
    let deployment = Deployment::start(args, &built.compiled.program)?;
    let bar = progress::bar("evaluating", data.samples.len());
    let (path, n_samples, lanes) = (&args.model.model, data.samples.len(), deployment.lanes());
    let outcomes = session::each_batch(path, n_samples, lanes, |first| {
        bar.set_position(first as u64);
        deployment.predict(path, &data, first)
    })?;
    bar.finish_and_clear();
    let mut figures = figures((&built, &judge), &deployment, &data, &outcomes);
    figures.simulated = n_simulated.map(|n| simulate(args, &built, n.get())).transpose()?;
    let figures = serde_json::to_value(&figures).expect("figures serialise");
    form.result(&figures, || show::table(&figures));
    Ok(())
}

fn figures(
    (built, judge): (&Built, &Judge),
    deployment: &Deployment,
    data: &DataSet,
    outcomes: &[Outcome],
) -> Figures {
    let program = &built.compiled.program;
    let params = &program.manifest.params;
    let (strength, counts) = (params.strength(), program.op_counts());
    let plain: Vec<Vec<f64>> = data.samples.iter().map(|sample| built.model.logits(sample)).collect();
    let encrypted: Vec<Vec<f64>> = outcomes.iter().flat_map(|outcome| outcome.logits.clone()).collect();
    let latencies = sorted(outcomes.iter().map(|o| o.cost.wall));
    let weights = || built.model.layers.iter().filter_map(|layer| layer.kind.weights()).flatten();
    let bits = |primes: &[u64]| primes.iter().map(|&p| round2((p as f64).log2())).collect();
    Figures {
        model: built.model.name.clone(),
        target: program.target.clone(),
        latency_s: median(&latencies),
        latency_min_s: latencies[0],
        latency_max_s: latencies[latencies.len() - 1],
        lanes: deployment.lanes(),
        samples_per_s: deployment.lanes() as f64 / median(&latencies),
        encrypt_s: median(&sorted(outcomes.iter().map(|o| o.encrypt_time))),
        decrypt_s: median(&sorted(outcomes.iter().map(|o| o.decrypt_time))),
        compile_s: built.compile_time.as_secs_f64(),
        keygen_s: deployment.keygen_time.as_secs_f64(),
        encode_s: deployment.encode_time.as_secs_f64(),
        predicted_latency_one_thread_s: built.compiled.cost_ns * 1e-9,
        predicted_run_bytes: built.compiled.memory().total(),
        rotations: counts.rotations,
        key_switches: counts.key_switches,
        mul_plain: counts.mul_plain,
        mul_scalar: counts.mul_scalar,
        mul_ct: counts.mul_ct,
        relins: counts.relins,
        rescales: counts.rescales,
        he_operations: he_operations(&counts),
        depth: built.compiled.leveled.depth(),
        ring_degree: params.ring_degree,
        log_qp: round2(params.log_qp()),
        q_bits: bits(&params.q),
        p_bits: bits(&params.p),
        digit_limbs: params.digit_limbs,
        security_bits: strength.classical,
        quantum_security_bits: strength.quantum,
        rotation_keys: program.manifest.keys.rotations.len(),
        key_bytes: deployment.key_bytes,
        plaintext_bytes: deployment.plain_bytes().total(),
        ciphertext_bytes: outcomes[0].input_bytes,
        memory: MemoryFigures::of(&memory::most(outcomes.iter().map(|o| o.cost.memory))),
        threads: outcomes[0].cost.n_threads,
        predicted_max_abs_err: built.compiled.prediction.max_error,
        weights: weights().count(),
        zero_weights: weights().filter(|&&weight| weight == 0.0).count(),
        accuracy: Accuracy::of(&plain, &encrypted, judge),
        simulated: None,
        layers: layers(&outcomes[outcomes.len() - 1]),
    }
}

/// What `hecc compile` lists by layer, added up; additions and drops of levels are
/// not counted.
fn he_operations(counts: &OpCounts) -> usize {
    let products = counts.mul_plain + counts.mul_scalar + counts.mul_ct;
    counts.rotations + products + counts.relins + counts.rescales
}

fn layers(outcome: &Outcome) -> Vec<LayerFigure> {
    let row = |time: &LayerTime| LayerFigure {
        layer: time.layer.clone(),
        instruction: time.mnemonic,
        count: time.count,
        seconds: time.time.as_secs_f64(),
    };
    outcome.cost.timings.iter().map(row).collect()
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut seconds: Vec<f64> = times.map(|t| t.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

/// Median of numbers in order, of which there are some.
pub fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn round2(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}
