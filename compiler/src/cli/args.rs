//! What each command takes.

use super::accuracy::Task;
use super::form::Form;
use super::memory::{parse_memory, parse_most_memory, parse_time};
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use hecc_ir::machine::Bound;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Compiles neural networks to run on encrypted data, and runs them.
#[derive(Debug, Parser)]
#[command(name = "hecc", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to print.
    #[command(flatten)]
    pub form: FormArgs,
}

/// What every command takes: how to print results and errors, and most memory.
#[derive(Clone, Copy, Debug, Args)]
pub struct FormArgs {
    /// Print results, and errors, as JSON for scripts.
    #[arg(long, global = true)]
    pub json: bool,
    /// Most memory to take: 512M, 16G, `all`; what is free when not given. What is known to take more is refused
    /// before it is begun.
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_most_memory)]
    pub memory: Option<Bound>,
}

impl FormArgs {
    /// The form asked for.
    pub fn form(self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

const EXAMPLES: &str = "Examples:
  hecc run examples/models/lola.onnx --data examples/data/mnist_test_sample.npz
  hecc compile model.onnx --calibrate samples.npz -o build
  hecc compile model.onnx --optimize throughput --batch 1000 -o build
  hecc bench model.hec --data digits.npz --count 20 --json
  hecc inspect model.hec --stage leveled | less
  hecc explain H021";

/// The machine that the command runs on.
pub const NATIVE: &str = "native";

/// The default of commands that run at once what they compile.
fn native(target: Arg) -> Arg {
    target.default_value(NATIVE)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a model to a program (for the server) and a manifest (for clients).
    Compile(CompileArgs),
    /// Print any stage of a compilation, or a compiled file.
    Inspect(InspectArgs),
    /// Compile, encrypt, evaluate and decrypt samples, and show the predictions.
    #[command(mut_arg("target", native))]
    Run(DataArgs),
    /// Measure a model: latency, sizes, operation counts, accuracy.
    #[command(mut_arg("target", native))]
    Bench(BenchArgs),
    /// Compare encrypted (or simulated) results with plain evaluation.
    #[command(mut_arg("target", native))]
    Check(CheckArgs),
    /// Client: make a secret key and the evaluation keys the server needs.
    Keygen(KeygenArgs),
    /// Client: encrypt one sample, or a batch.
    Encrypt(EncryptArgs),
    /// Server: evaluate a program on encrypted inputs. Never sees a secret.
    Eval(EvalArgs),
    /// Client: decrypt a result.
    Decrypt(DecryptArgs),
    /// Measure the engine on this machine and write a target profile.
    Calibrate(CalibrateArgs),
    /// Train a network for encrypted inference.
    Prepare(super::prepare::PrepareArgs),
    /// Explain a diagnostic code, or how a model is packed and why.
    Explain(ExplainArgs),
}

/// A model and how to compile it.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model: a `.hec` description or an ONNX file.
    pub model: PathBuf,
    /// Largest error to allow, relative to the largest output.
    #[arg(long, default_value_t = 1e-4, value_name = "ERROR", value_parser = parse_precision, allow_negative_numbers = true)]
    pub precision: f64,
    /// Ring degree to use instead of the smallest that fits.
    #[arg(long, value_name = "N")]
    pub ring: Option<usize>,
    /// Inputs to compute; 1 when not given. One run takes them all: they share ciphertexts, more take no
    /// longer, up to the next power of two, and one takes longer than alone. With `--optimize throughput`
    /// they may be spread over runs, and without N any number may come.
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
    /// Smallest and largest input element, instead of what the model says.
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    pub input_range: Option<(f64, f64)>,
    /// Samples (`.npz`, or a folder with MNIST or CIFAR-10) that show how large values inside the network become.
    #[arg(long, value_name = "SAMPLES.npz")]
    pub calibrate: Option<PathBuf>,
    /// Machine to compile for: `native`, this one, which `run`, `bench` and `check` take if not told; `avx512`, which
    /// all others take, so that programs are the same bytes wherever they are compiled; `avx2`,
    /// or a profile (JSON) that `hecc calibrate` measured.
    #[arg(long, value_name = "TARGET")]
    pub target: Option<PathBuf>,
    /// Bits of security to keep against classical attacks.
    #[arg(long, value_enum, default_value = "128", value_name = "BITS", conflicts_with = "insecure")]
    pub security: SecurityArg,
    /// Allow parameters without security, for experiments only.
    #[arg(long)]
    pub insecure: bool,
    /// What to make the program small in: which layouts, how many inputs at once, which rewrites.
    #[arg(long, value_enum, default_value = "balanced", value_name = "OBJECTIVE")]
    pub optimize: OptimizeArg,
    /// Use layouts of one kind alone.
    #[arg(long, value_enum, value_name = "KIND")]
    pub packing: Option<PackingArg>,
    /// Make a program whose values outgrow nothing for any input of the declared range, by bounds through the
    /// network; without it, for inputs like the samples.
    #[arg(long)]
    pub range_bound: bool,
    /// Do not compare the program with the model.
    #[arg(long)]
    pub no_validate: bool,
}

/// Levels of security, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityArg {
    /// As most deployments have it.
    #[value(name = "128")]
    Bits128,
    /// More, for less depth on each ring.
    #[value(name = "192")]
    Bits192,
    /// The most that there are tables for.
    #[value(name = "256")]
    Bits256,
}

/// What to make programs small in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizeArg {
    /// Time of a run.
    Latency,
    /// Time of all inputs: how many share a run is chosen for it.
    Throughput,
    /// Time of a run, and memory where it costs little time.
    Balanced,
    /// Memory of a run.
    Memory,
    /// Time of a run by layouts alone: leave circuits as they were lowered.
    None,
}

/// Kinds of layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PackingArg {
    /// Channels of one image side by side and in each other's gaps.
    Multiplexed,
    /// Neighbouring channels in different ciphertexts.
    Interleaved,
    /// Neighbouring pixels in different planes.
    Tiles,
    /// One element per ciphertext, one input per slot: for throughput.
    Batch,
}

/// Arguments of `compile`.
#[derive(Debug, Args)]
#[command(
    after_help = "Writes NAME.hecp (program, with weights) and NAME.hecm (manifest, without) for a model called NAME."
)]
pub struct CompileArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Folder to write to.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub output: PathBuf,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
}

/// What outputs may replace.
#[derive(Clone, Copy, Debug, Args)]
pub struct ForceArgs {
    /// Replace a file of another kind that is in the way of the output; never an input.
    #[arg(long)]
    pub force: bool,
}

/// A stage of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// Layers and shapes.
    Model,
    /// Linear maps and activations.
    Network,
    /// Placements, folds, diagonals.
    #[value(alias = "layout")]
    Packing,
    /// The circuit before levels.
    Lowered,
    /// The same, rewritten.
    Rewrite,
    /// The circuit with levels and scales.
    Leveled,
    /// Instructions of the executor.
    Program,
}

/// How to print a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For reading; circuits in the text format of the IR.
    Text,
    /// For scripts.
    Json,
    /// Graphviz.
    Dot,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Compiled files (.hecp, .hecm) are inspected as they are; --stage is for models.\nA circuit as text (.hecir) is verified, and rewritten with `--stage rewrite`."
)]
pub struct InspectArgs {
    /// The model, or a compiled `.hecp` or `.hecm` file.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Stage to print.
    #[arg(long, value_enum, default_value = "leveled")]
    pub stage: StageArg,
    /// Form to print it in.
    #[arg(long, value_enum, default_value = "text")]
    pub format: FormatArg,
    /// Print a page for a browser (stage `layout`): where elements sit, and which diagonals zero
    /// weights saved.
    #[arg(long, conflicts_with_all = ["format", "constants", "explain", "explain_value"])]
    pub html: bool,
    /// Print the values of constants too, so that the text can be read back.
    #[arg(long)]
    pub constants: bool,
    /// Instead of a stage: which rewrite rules found what, and what each saves.
    #[arg(long)]
    pub explain: bool,
    /// Instead of a stage: why what the e-graph takes for value %N of the stage `lowered`
    /// equals it.
    #[arg(long, value_name = "N", conflicts_with = "explain")]
    pub explain_value: Option<usize>,
}

/// Threads and memory of an evaluation.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Threads; all cores when not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Memory for encoded weights: 512M, 2G, `all`; half of what is free when not given.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub plain_memory: Option<Bound>,
    /// Folder for a file of the weights beyond that, instead of encoding them when needed.
    #[arg(long, value_name = "DIR")]
    pub plain_map: Option<PathBuf>,
    /// Longest time of an evaluation: 500ms, 30s, 10m. One that is predicted to take longer is not started, and
    /// one that does is stopped.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub time_limit: Option<Duration>,
}

/// Arguments of `run` and `bench`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Samples `x` [n, channels, height, width], labels `y`, one or as many as outputs for each; or a folder with the test files of MNIST or CIFAR-10.
    #[arg(long, value_name = "SAMPLES.npz")]
    pub data: PathBuf,
    /// How many samples to use.
    #[arg(long, default_value_t = 10)]
    pub count: usize,
    /// How to compare results; by the class they name where each sample is labelled with one, else by
    /// their values.
    #[arg(long, value_enum, value_name = "TASK")]
    pub task: Option<Task>,
    /// Threads and memory.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// Model, samples, count.
    #[command(flatten)]
    pub data: DataArgs,
    /// Further models, to be compared with the first; each is run in a process of its own.
    #[arg(value_name = "OTHER_MODEL")]
    pub others: Vec<PathBuf>,
    /// Also predict N samples of the data without encryption: in plain arithmetic, and with the
    /// program on plain slots.
    #[arg(long, value_name = "N")]
    pub simulate: Option<NonZeroUsize>,
    /// Also draw the accuracy of several models over their latency.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Compare the packings of the one model instead: what the compiler chooses, and each kind alone.
    #[arg(long, conflicts_with_all = ["others", "plot", "ablate", "packing"])]
    pub packings: bool,
    /// Print instead what each step of the compiler is worth.
    #[arg(long, conflicts_with_all = ["others", "simulate", "plot"])]
    pub ablate: bool,
    /// How to ablate.
    #[command(flatten)]
    pub ablation: AblationArgs,
}

const BENCH_EXAMPLES: &str = "Example of a comparison, with the accuracy on 10000 digits:
  hecc bench dense/lenet.hec pruned/lenet.hec --data mnist --simulate 10000 --plot lenet.svg

Example of an ablation, dense and with 80 and 90 % of all diagonals zero:
  hecc bench model.onnx --data digits.npz --count 5 --ablate --sparsity 0,0.8,0.9";

/// Sparsities of an ablation.
#[derive(Debug, Args)]
pub struct AblationArgs {
    /// Shares of the weights' diagonals that random masks make zero.
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_value = "0,0.5,0.8,0.9,0.98", requires = "ablate", value_parser = parse_share_of_zeros)]
    pub sparsity: Vec<f64>,
    /// Leave out the first row, whose circuit is very large.
    #[arg(long, requires = "ablate")]
    pub skip_naive: bool,
    /// Seed of the masks.
    #[arg(long, default_value_t = 1, requires = "ablate")]
    pub seed: u64,
}

fn parse_share_of_zeros(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| String::from("a number from 0 to below 1"))
}

/// Where `check` evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// Real encryption.
    Ckks,
    /// Plain slots with a noise model: fast, predicts errors.
    Sim,
    /// Plain slots: what the program means.
    Clear,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Model, samples, count.
    #[command(flatten)]
    pub data: DataArgs,
    /// Where to evaluate.
    #[arg(long, value_enum, default_value = "ckks")]
    pub backend: BackendArg,
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Manifest of the program.
    pub manifest: PathBuf,
    /// File for the secret key; readable by its owner alone. NAME.hecs for a model called NAME when not given.
    #[arg(long, value_name = "NAME.hecs")]
    pub secret: Option<PathBuf>,
    /// File for the evaluation keys, to be sent to the server; NAME.heck when not given.
    #[arg(long, value_name = "NAME.heck")]
    pub eval_keys: Option<PathBuf>,
    /// Make new keys where there are some. The old ones are kept beside them, as NAME.hecs.1 and so on.
    #[arg(long)]
    pub force: bool,
    /// Refuse a manifest that promises fewer bits of security.
    #[arg(long, value_enum, default_value = "128", value_name = "BITS", conflicts_with = "insecure")]
    pub security: SecurityArg,
    /// Accept a manifest without security.
    #[arg(long)]
    pub insecure: bool,
}

/// Arguments of `encrypt`.
#[derive(Debug, Args)]
pub struct EncryptArgs {
    /// Manifest of the program.
    pub manifest: PathBuf,
    /// Secret key; NAME.hecs for a model called NAME when not given.
    #[arg(long, value_name = "NAME.hecs")]
    pub secret: Option<PathBuf>,
    /// Samples, as for `run --data`.
    #[arg(long, value_name = "SAMPLES.npz")]
    pub data: PathBuf,
    /// Which sample to encrypt.
    #[arg(long, default_value_t = 0)]
    pub index: usize,
    /// How many samples to encrypt together, for programs compiled with --batch.
    #[arg(long, default_value = "1")]
    pub count: NonZeroUsize,
    /// File for the encrypted input.
    #[arg(short, long, default_value = "input.hect")]
    pub output: PathBuf,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Accept a manifest without security.
    #[arg(long)]
    pub insecure: bool,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Compiled program.
    pub program: PathBuf,
    /// Evaluation keys of the client; NAME.heck for a model called NAME when not given.
    #[arg(long, value_name = "NAME.heck")]
    pub eval_keys: Option<PathBuf>,
    /// Encrypted input.
    #[arg(long, default_value = "input.hect")]
    pub input: PathBuf,
    /// File for the encrypted result.
    #[arg(short, long, default_value = "result.hect")]
    pub output: PathBuf,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Threads and memory.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// How errors in shared results are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareArg {
    /// Under noise, with bits of statistical security.
    Flood(u32),
    /// By rounding, bits coarser than the error.
    Round(u32),
}

const DECRYPT_HELP: &str = "Without --share, results are for whoever holds the secret key: their last digits
depend on it. --share hides that. Take the error that `hecc decrypt` without
--share prints behind ±, or a larger one.

  hecc decrypt model.hecm --share flood:30 --error 1e-6 --releases 10
  hecc decrypt model.hecm --share round:12 --error 1e-6";

/// Arguments of `decrypt`.
#[derive(Debug, Args)]
#[command(after_help = DECRYPT_HELP)]
pub struct DecryptArgs {
    /// Manifest of the program.
    pub manifest: PathBuf,
    /// Secret key; NAME.hecs for a model called NAME when not given.
    #[arg(long, value_name = "NAME.hecs")]
    pub secret: Option<PathBuf>,
    /// Encrypted result.
    #[arg(long, default_value = "result.hect")]
    pub input: PathBuf,
    /// The encrypted input that this must be the result of; without it, `input.hect` beside
    /// the result, if there is one.
    #[arg(long, value_name = "INPUT.hect")]
    pub answers: Option<PathBuf>,
    /// Decrypt whichever input it is the result of.
    #[arg(long, conflicts_with = "answers")]
    pub any_input: bool,
    /// How many samples to decrypt; without it, all that were encrypted together.
    #[arg(long, conflicts_with = "share")]
    pub count: Option<NonZeroUsize>,
    /// What the outputs are for: `regress` names no class. One output never does.
    #[arg(long, value_enum, value_name = "TASK", default_value = "classify")]
    pub task: Task,
    /// Make the result fit for others to see: `flood:BITS` adds noise for BITS of
    /// security, `round:BITS` rounds BITS coarser than the error.
    #[arg(long, value_name = "HOW:BITS", value_parser = parse_share, requires = "error")]
    pub share: Option<ShareArg>,
    /// Largest error a result may have; what --share hides.
    #[arg(long, value_name = "ERROR", value_parser = parse_error, requires = "share", allow_negative_numbers = true)]
    pub error: Option<f64>,
    /// Results that will be shared under this secret key, at most (for `flood`).
    #[arg(long, value_name = "COUNT", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub releases: u64,
    /// Accept a manifest without security.
    #[arg(long)]
    pub insecure: bool,
}

/// Arguments of `calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "Use the profile with `--target`. Measure on an idle machine.")]
pub struct CalibrateArgs {
    /// File for the profile.
    #[arg(short, long, default_value = "target.json")]
    pub output: PathBuf,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Measurements of each operation; the shortest counts.
    #[arg(long, default_value_t = 40)]
    pub samples: usize,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    mut_arg("model", |model| model.help("Code such as `H021`, or `all`; or a model").value_name("CODE|MODEL")),
    after_help = EXPLAIN_EXAMPLES
)]
pub struct ExplainArgs {
    /// What to explain, and how a model is compiled.
    #[command(flatten)]
    pub subject: ModelArgs,
}

const EXPLAIN_EXAMPLES: &str =
    "Of a model: which layouts were weighed, what each would cost, and which were taken.
  hecc explain H021
  hecc explain examples/models/mlp.onnx --optimize throughput --batch 1000
  hecc explain examples/models/lola.onnx
  hecc explain examples/models/lola.onnx --packing interleaved";

fn parse_precision(text: &str) -> Result<f64, String> {
    let error: f64 = text.parse().map_err(|e| format!("{e}"))?;
    let is_precision = error > 0.0 && error < 1.0;
    is_precision.then_some(error).ok_or_else(|| String::from("a number between 0 and 1, such as 1e-4"))
}

fn parse_share(text: &str) -> Result<ShareArg, String> {
    let share = |(how, bits): (&str, &str)| match (how, bits.parse().ok().filter(|&bits: &u32| bits > 0)?) {
        ("flood", bits) => Some(ShareArg::Flood(bits)),
        ("round", bits) => Some(ShareArg::Round(bits)),
        _ => None,
    };
    let refused = || String::from("`flood:BITS` or `round:BITS`, such as flood:30");
    text.split_once(':').and_then(share).ok_or_else(refused)
}

fn parse_error(text: &str) -> Result<f64, String> {
    let error: f64 = text.parse().map_err(|e| format!("{e}"))?;
    let is_error = error > 0.0 && error.is_finite();
    is_error.then_some(error).ok_or_else(|| String::from("a positive number, such as 1e-6"))
}

/// More threads than any machine we know has cores.
const MAX_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<usize, String> {
    let n_threads = text.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n));
    n_threads.ok_or_else(|| format!("a whole number from 1 to {MAX_THREADS}"))
}

fn parse_range(text: &str) -> Result<(f64, f64), String> {
    let (low, high) = text.split_once(',').ok_or("two numbers with a comma between, such as 0,1")?;
    let number = |part: &str| part.trim().parse::<f64>().map_err(|e| format!("`{part}`: {e}"));
    let (low, high) = (number(low)?, number(high)?);
    if low.is_finite() && high.is_finite() && low < high {
        Ok((low, high))
    } else {
        Err(String::from("the first number must be smaller than the second"))
    }
}
