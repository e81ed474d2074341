//! Everything in one process: compile, make keys, encrypt, evaluate, decrypt.

use super::accuracy::Task;
use super::args::{DataArgs, ModelArgs, NATIVE, OptimizeArg, PackingArg, SecurityArg};
use super::form::Form;
use super::{files, memory, problems, progress};
use hecc::cost::{default_target, shipped_target};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::data::{DataSet, Part};
use hecc::front::{self, LoadOptions, Loaded};
use hecc::model::Model;
use hecc::packing::{Family, Packing};
use hecc::pipeline::{self, Compiled, Options};
use hecc::rewrite::Objective;
use hecc_ckks::Instructions;
use hecc_ir::limits::MAX_PRIME_BITS;
use hecc_ir::params::SecurityLevel;
use hecc_ir::{Program, Target, Tensor, artifact};
use hecc_runtime::bundle::Question;
use hecc_runtime::client::Client;
use hecc_runtime::server::{Server, Session};
use hecc_runtime::{PlainBytes, RunCost};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A compiled model and how long that took.
pub struct Built {
    /// The network as the user wrote it.
    pub model: Model,
    /// What the arguments asked for.
    pub options: Options,
    /// Every stage of it.
    pub compiled: Compiled,
    /// Time from the model in memory to the program.
    pub compile_time: Duration,
}

/// Samples to run, cut to the number asked for.
pub fn samples(args: &DataArgs) -> Result<DataSet, Diagnostics> {
    first_samples(&args.data, args.count)
}

/// The first samples of a data set, or all if it has fewer; at least one.
pub fn first_samples(path: &Path, count: usize) -> Result<DataSet, Diagnostics> {
    let data = DataSet::read_first(path, Part::Test, count.max(1))?;
    if data.samples.is_empty() || count == 0 {
        let title = "there are no samples to run";
        let place = Label::file(path.display().to_string(), "");
        return Err(Diagnostic::error(Code::BadDataSet, title).label(place).into());
    }
    Ok(data)
}

/// Loads a model and prints what there is to notice.
pub fn load(args: &ModelArgs, accept_unfriendly: bool, form: Form) -> Result<Loaded, Diagnostics> {
    let mut notices = Diagnostics::new();
    let load = LoadOptions { input_range: args.input_range, accept_unfriendly };
    let loaded = front::load_reporting(&args.model, &load, &mut notices);
    let Some(loaded) = loaded else { return Err(notices) };
    if !notices.is_empty() {
        form.diagnostics(&notices);
    }
    Ok(loaded)
}

/// The files that a compilation of a model from `files` reads, which no output may replace.
pub fn inputs(args: &ModelArgs, files: &[PathBuf]) -> Vec<PathBuf> {
    files.iter().chain(&args.calibrate).chain(&args.target).cloned().collect()
}

/// Loads and compiles a model.
pub fn build(args: &ModelArgs, form: Form) -> Result<Built, Diagnostics> {
    build_loaded(args, load(args, false, form)?.model, form)
}

/// The same for a model that is loaded.
pub fn build_loaded(args: &ModelArgs, model: Model, form: Form) -> Result<Built, Diagnostics> {
    let options = options(args, &model, None)?;
    compile(args, model, options, form)
}

/// As [`build`], for samples that will be run and that fit the model. They also show how large its
/// values become, unless others were named for that.
pub fn build_for(args: &DataArgs, data: &DataSet, form: Form) -> Result<Built, Diagnostics> {
    let (model, options) = fitting(args, data, form)?;
    compile(&args.model, model, options, form)
}

/// As [`build_for`], for runs on ciphertexts: what clearly has no room in this machine is not compiled.
pub fn build_to_run(args: &DataArgs, data: &DataSet, form: Form) -> Result<Built, Diagnostics> {
    let (model, options) = fitting(args, data, form)?;
    memory::has_room(pipeline::least_ct_bytes(&model, &options))
        .map_err(|e| problems::runtime(Code::RunFailed, &args.model.model, &e, ""))?;
    compile(&args.model, model, options, form)
}

/// The model and what to compile it with, if samples and their labels are for it.
fn fitting(args: &DataArgs, data: &DataSet, form: Form) -> Result<(Model, Options), Diagnostics> {
    let model = load(&args.model, false, form)?.model;
    data.fits(&model)?;
    Task::of(args.task, data, &model)?;
    let options = options(&args.model, &model, Some(data))?;
    Ok((model, options))
}

fn compile(args: &ModelArgs, model: Model, options: Options, form: Form) -> Result<Built, Diagnostics> {
    let spinner = progress::spinner(format!("compiling {}", model.name));
    let start = Instant::now();
    let compiled = pipeline::compile(&model, &options).map_err(|e| problems::compile(args, e))?;
    spinner.finish_and_clear();
    if let Some(saturation) = compiled.saturation.as_ref().filter(|saturation| saturation.is_bounded) {
        form.diagnostics(&problems::bounded(&args.model, saturation));
    }
    Ok(Built { model, options, compiled, compile_time: start.elapsed() })
}

/// Samples that are read to find those that calibration looks at.
const MAX_CALIBRATION_SAMPLES: usize = 1024;

/// What the arguments ask a compilation for.
pub fn options(args: &ModelArgs, model: &Model, data: Option<&DataSet>) -> Result<Options, Diagnostics> {
    let first = |path: &Path| DataSet::read_first(path, Part::Test, MAX_CALIBRATION_SAMPLES);
    let named = args.calibrate.as_deref().map(first).transpose()?;
    let mut samples = Vec::new();
    if let Some(data) = named.as_ref().or(data) {
        data.fits(model)?;
        let chosen = pipeline::representative(model, &data.samples).into_iter();
        samples = chosen.flat_map(|sample| data.tensors(sample..sample + 1)).collect();
    }
    let options = Options {
        precision: args.precision,
        security: security(args.security, args.insecure),
        ring_degree: args.ring,
        batch: args.batch.map(NonZeroUsize::get),
        samples,
        objective: objective(args.optimize),
        packing: args.packing.map_or_else(Packing::default, Packing::from),
        range_bound: args.range_bound,
        validate: !args.no_validate,
        target: target_of(args)?,
        ..Options::default()
    };
    Ok(options)
}

/// The level that was asked for.
pub fn security(level: SecurityArg, insecure: bool) -> SecurityLevel {
    match level {
        _ if insecure => SecurityLevel::Insecure,
        SecurityArg::Bits128 => SecurityLevel::Classical128,
        SecurityArg::Bits192 => SecurityLevel::Classical192,
        SecurityArg::Bits256 => SecurityLevel::Classical256,
    }
}

/// The target profile that was named, this machine's, a built-in one or a file, or the default.
pub fn target_of(args: &ModelArgs) -> Result<Target, Diagnostics> {
    let named = |path: &Path| match path.to_str() {
        Some(NATIVE) => Ok(native_target()),
        name => name.and_then(shipped_target).map_or_else(|| target(path), Ok),
    };
    args.target.as_deref().map_or_else(|| Ok(default_target()), named)
}

/// The shipped profile that is nearest to this machine by the vector instructions that the engine uses here.
/// None was measured without any, so that machines with fewer have that of AVX2.
pub fn native_target() -> Target {
    let nearest = Instructions::in_use().max(Instructions::Avx2);
    shipped_target(nearest.name()).expect("there is a profile for these instructions")
}

impl From<PackingArg> for Packing {
    fn from(asked: PackingArg) -> Packing {
        match asked {
            PackingArg::Multiplexed => Packing::Only(Family::Multiplexed),
            PackingArg::Interleaved => Packing::Only(Family::Interleaved),
            PackingArg::Tiles => Packing::Only(Family::Tiles),
            PackingArg::Batch => Packing::Batch,
        }
    }
}

/// What the rewriter is asked for; `None` keeps it out.
pub fn objective(asked: OptimizeArg) -> Option<Objective> {
    match asked {
        OptimizeArg::Latency => Some(Objective::Latency),
        OptimizeArg::Throughput => Some(Objective::Throughput),
        OptimizeArg::Balanced => Some(Objective::Balanced),
        OptimizeArg::Memory => Some(Objective::Memory),
        OptimizeArg::None => None,
    }
}

fn target(path: &Path) -> Result<Target, Diagnostics> {
    let refused = |cause: String| {
        let place = Label::file(path.display().to_string(), cause);
        let help = "write a profile with `hecc calibrate`";
        Diagnostic::error(Code::BadTarget, "this is not a target profile").label(place).help(help)
    };
    let target: Target = serde_json::from_slice(&files::text(path)?).map_err(|e| refused(e.to_string()))?;
    match target_problem(&target) {
        Some(cause) => Err(refused(cause).into()),
        None => Ok(target),
    }
}

/// What the search for parameters could not work with.
fn target_problem(target: &Target) -> Option<String> {
    let (bits, rings) = (target.max_prime_bits, &target.rings);
    let prime_bits = MIN_TARGET_PRIME_BITS..=MAX_PRIME_BITS;
    if !prime_bits.contains(&bits) {
        let (low, high) = (prime_bits.start(), prime_bits.end());
        return Some(format!("`max_prime_bits` is {bits}, not {low} to {high}"));
    }
    if rings.is_empty() || !rings.is_sorted_by(|a, b| a.ring_degree < b.ring_degree) {
        return Some(String::from("`rings` are to be one or more, by ascending `ring_degree`"));
    }
    rings.iter().find_map(|ring| {
        let degree = ring.ring_degree;
        let times = [ring.ntt_ns, ring.mul_acc_ns, ring.add_ns, ring.convert_ns];
        let mut costs = times.into_iter().chain(ring.mul_scalar_ns);
        let is_cost = |ns: f64| ns.is_finite() && ns >= 0.0;
        let is_factor = ring.wide.is_none_or(|wide| {
            prime_bits.contains(&wide.narrow_bits) && wide.factor.is_finite() && wide.factor >= 1.0
        });
        if SecurityLevel::Classical128.max_log_qp(degree) == 0 {
            Some(format!("`ring_degree` {degree} is not in the security table"))
        } else if !is_factor {
            Some(format!("ring degree {degree} has wide primes that are not wide or take less time"))
        } else {
            (!costs.all(is_cost)).then(|| format!("ring degree {degree} has a negative time"))
        }
    })
}

/// Narrower primes leave no room for a scale.
const MIN_TARGET_PRIME_BITS: u32 = 24;

/// Both halves of a deployment in one process.
pub struct Deployment {
    client: Client,
    session: Session,
    /// Time to make all keys.
    pub keygen_time: Duration,
    /// Time to read the program and encode its plaintexts.
    pub encode_time: Duration,
    /// Bytes of evaluation keys as they travel.
    pub key_bytes: usize,
}

/// The way of some samples through encryption, in one run.
pub struct Outcome {
    /// Decrypted output of each sample.
    pub logits: Vec<Vec<f64>>,
    /// Time to pack, encrypt and serialise.
    pub encrypt_time: Duration,
    /// Time and memory of the evaluation.
    pub cost: RunCost,
    /// Time to deserialise, decrypt and unpack.
    pub decrypt_time: Duration,
    /// Bytes of the encrypted input as it travels.
    pub input_bytes: usize,
}

/// What is made of every batch of samples, each named by its first. Where results are refused as not plausible,
/// the others are made all the same, and there are none in the end: it is told how many were refused.
pub fn each_batch<T>(
    model: &Path,
    n_samples: usize,
    lanes: usize,
    mut of: impl FnMut(usize) -> Result<T, Diagnostics>,
) -> Result<Vec<T>, Diagnostics> {
    let (mut made, mut refused, mut n_refused) = (Vec::new(), Diagnostics::new(), 0);
    for first in (0..n_samples).step_by(lanes) {
        match of(first) {
            Ok(one) => made.push(one),
            Err(problems) if problems.iter().all(|problem| problem.code == Code::Implausible) => {
                n_refused += lanes.min(n_samples - first);
                refused.extend(problems.into_iter().filter(|_| n_refused <= MAX_SHOWN * lanes));
            }
            Err(problems) => return Err(problems),
        }
    }
    if n_refused == 0 {
        return Ok(made);
    }
    refused.push(problems::count_refused(model, n_refused, n_samples));
    Err(refused)
}

/// Refused results of which each is shown.
const MAX_SHOWN: usize = 8;

/// As many samples as share a run, from one on, as a batch: each has one input.
pub fn batch(data: &DataSet, first: usize, lanes: usize) -> Vec<[Tensor; 1]> {
    let end = data.samples.len().min(first.saturating_add(lanes));
    data.tensors(first..end).into_iter().map(|tensor| [tensor]).collect()
}

/// What was refused of a batch, with the number that the sample has in its file; without one
/// where it was the only sample.
pub fn numbered(error: hecc_runtime::Error, first: usize, n_samples: usize) -> hecc_runtime::Error {
    match error {
        hecc_runtime::Error::Sample { cause, .. } if n_samples == 1 => *cause,
        hecc_runtime::Error::Sample { sample, cause } => {
            hecc_runtime::Error::Sample { sample: first + sample, cause }
        }
        other => other,
    }
}

impl Deployment {
    /// Loads the program and makes keys, as server and client would.
    pub fn start(args: &DataArgs, program: &Program) -> Result<Deployment, Diagnostics> {
        let DataArgs { model: args, machine, .. } = args;
        let failed = |e: hecc_runtime::Error| problems::runtime(Code::RunFailed, &args.model, &e, "");
        let bytes = artifact::write_program(program);
        let spinner = progress::spinner("making keys");
        let start = Instant::now();
        let demanded = security(args.security, args.insecure);
        let client = Client::generate_demanding(demanded, &program.manifest).map_err(failed)?;
        let eval_keys = client.eval_keys().map_err(failed)?;
        let keygen_time = start.elapsed();
        spinner.finish_and_clear();
        let bar = progress::bar("encoding weights", 0);
        let on_plain = |done: usize, total: usize| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        let executor = memory::executor(machine).map_err(failed)?;
        let start = Instant::now();
        let server = Server::load_with(&bytes, &executor, &on_plain).map_err(failed)?;
        let encode_time = start.elapsed();
        bar.finish_and_clear();
        let session = server.session(&eval_keys).map_err(failed)?;
        Ok(Deployment { client, session, keygen_time, encode_time, key_bytes: eval_keys.len() })
    }

    /// Bytes of the encoded weights and where they are.
    pub fn plain_bytes(&self) -> PlainBytes {
        self.session.plain_bytes()
    }

    /// Samples that one run takes.
    pub fn lanes(&self) -> usize {
        self.client.manifest().lanes()
    }

    /// Encrypts, evaluates and decrypts together as many samples from the `first` on as one
    /// run takes.
    pub fn predict(&self, model: &Path, data: &DataSet, first: usize) -> Result<Outcome, Diagnostics> {
        let samples = batch(data, first, self.lanes());
        let refused = |e: hecc_runtime::Error| {
            let e = numbered(e, first, samples.len());
            problems::runtime(Code::BadInput, model, &e, problems::input_help(&e))
        };
        let failed = |e: hecc_runtime::Error| problems::runtime(Code::RunFailed, model, &e, "");
        let unlikely = |e: hecc_runtime::Error| problems::of_samples(failed(e), first, samples.len());
        let start = Instant::now();
        let input = self.client.encrypt_batch(&samples).map_err(refused)?;
        let encrypt_time = start.elapsed();
        let reply = self.session.eval(&input).map_err(failed)?;
        let question = Question::of(&input).map_err(|e| failed(e.into()))?;
        let start = Instant::now();
        let outputs = self.client.decrypt_answer(&reply.bundle, &question).map_err(unlikely)?;
        let logits = outputs.into_iter().map(|mut outputs| outputs.remove(0)).collect();
        let decrypt_time = start.elapsed();
        Ok(Outcome { logits, encrypt_time, cost: reply.cost, decrypt_time, input_bytes: input.len() })
    }
}
