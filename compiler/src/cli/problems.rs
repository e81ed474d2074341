//! Turns refusals of the compiler and the runtime into diagnostics.

use super::args::ModelArgs;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::packing::{Family, Unplaced};
use hecc::pipeline::{CompileError, Likeness, Served};
use hecc::rewrite::Saturation;
use hecc::validate::Mismatch;
use hecc_ckks::Instructions;
use hecc_ir::limits::MAX_ENCODED_BITS;
use hecc_ir::machine::{Excess, left_by_limits};
use hecc_ir::{ArtifactError, SecurityLevel};
use hecc_runtime::bundle::BundleError;
use hecc_runtime::limits::Held;
use hecc_runtime::notice::Cause;
use hecc_runtime::{Error, bundle};
use std::ffi::OsStr;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// The next step after a program or manifest was refused.
pub const COMPILE_AGAIN: &str = "compile the model again, and use the files it writes";
const KEYS_AGAIN: &str = "make keys with `hecc keygen` and this program's manifest";
const ENCRYPT_AGAIN: &str = "encrypt with `hecc encrypt` and this program's manifest";
const EVALUATE_AGAIN: &str = "use the file that `hecc eval` wrote for this program";

/// A model that cannot be compiled.
pub fn compile(args: &ModelArgs, error: CompileError) -> Diagnostics {
    let file = args.model.display().to_string();
    let diagnostic = match error {
        CompileError::TooDeep { depth, ring_degree, max_log_qp } => {
            let title =
                format!("the model needs {depth} levels, more than ring degree {ring_degree} carries");
            let message = format!("it has room for {max_log_qp} bits of modulus");
            Diagnostic::error(Code::NotEnoughLevels, title)
                .label(Label::item(&file, "the whole network", message))
                .help(match args.ring {
                    Some(_) => "lower the degree of activations, remove layers, or leave --ring out",
                    None => "lower the degree of activations, or remove layers: there is no larger ring",
                })
        }
        CompileError::TooLarge { ring_degree, largest, base_bits, encoded_bits } => {
            let title = format!("values are too large for ring degree {ring_degree}");
            let message = if encoded_bits > MAX_ENCODED_BITS {
                format!(
                    "encoding its weights takes {encoded_bits:.0} bits, {MAX_ENCODED_BITS} at most are encoded"
                )
            } else if largest.is_finite() {
                format!("results reach {largest:.1e}: holding values takes {base_bits:.0} bits of modulus")
            } else {
                String::from("there is no bound of its results")
            };
            Diagnostic::error(Code::Overflow, title)
                .label(Label::item(&file, "the whole network", message))
                .help(match args.ring {
                    Some(_) => "scale weights down, narrow the range with --input-range, or leave --ring out",
                    None => "scale weights down, or narrow the range with --input-range",
                })
        }
        CompileError::TooCoarse { requested, reached } => {
            let title = format!("a relative error of {requested:e} cannot be reached");
            let message = format!("the best parameters are expected to reach {reached:.1e}");
            Diagnostic::error(Code::PrecisionNotReached, title)
                .label(Label::file(&file, message))
                .help(coarser(args, reached))
        }
        CompileError::BatchTooLarge { batch, limit } => {
            let title = format!("a batch of {batch} is larger than a ciphertext");
            let message = format!("the largest ring to be used has {limit} slots");
            Diagnostic::error(Code::BatchTooLarge, title)
                .label(Label::file(&file, message))
                .help(format!("ask for at most {limit} with --batch, or add `--optimize throughput`"))
        }
        CompileError::UnknownRing { ring_degree, available } => {
            let available: Vec<String> = available.iter().map(ToString::to_string).collect();
            let title = format!("the target has no measurements for ring degree {ring_degree}");
            Diagnostic::error(Code::UnknownRing, title)
                .label(Label::file(&file, ""))
                .help(format!("the target has {}", available.join(", ")))
        }
        CompileError::SampleShape { expected, found } => {
            let title = format!("calibration samples have shape {found}, the model takes {expected}");
            Diagnostic::error(Code::DataMismatch, title).label(Label::file(&file, ""))
        }
        CompileError::NoMemory(Excess { needed, available }) => {
            let [needed, available] = [needed, available].map(megabytes);
            let said =
                format!("compiling its weights takes at least {needed:.1} MB, {available:.1} MB are free");
            Diagnostic::error(Code::NoMemory, Code::NoMemory.title())
                .label(Label::file(&file, said))
                .help("use a smaller model; `--memory SIZE` allows more, `--memory all` any")
        }
        CompileError::Mismatch(mismatch) => return changed_meaning(&file, &mismatch),
        CompileError::NotHeFriendly { layer } => {
            let title = format!("layer `{layer}` has no encrypted form");
            Diagnostic::error(Code::NotHeFriendly, title)
                .label(Label::item(&file, format!("layer `{layer}`"), ""))
                .help("`hecc prepare friendly` replaces it by training")
        }
        CompileError::NotFinite { layer } => {
            let title = format!("layer `{layer}` overflows on sample inputs");
            Diagnostic::error(Code::Overflow, title)
                .label(Label::item(&file, format!("layer `{layer}`"), "its values are not finite"))
                .help("check the weights and activation coefficients, or narrow the input range")
        }
        CompileError::Unplaced(unplaced) => return no_place(&file, &unplaced),
        CompileError::BoundTooLarge { cause, without_bound } => {
            return bound_too_large(args, *cause, without_bound);
        }
    };
    diagnostic.into()
}

/// A program that no ring has room for, when it is to have room for all inputs.
fn bound_too_large(
    args: &ModelArgs,
    cause: CompileError,
    without_bound: Option<(Likeness, f64)>,
) -> Diagnostics {
    let Some((Likeness { ring_degree, log_qp, cost_ns, max_output }, bound)) = without_bound else {
        return compile(args, cause);
    };
    let title = "no ring has room for the bound of what inputs of the declared range give";
    let sizes = format!("outputs may be {bound:.1e} by the bound, {max_output:.1e} on the samples");
    let without = format!(
        "without --range-bound: ring degree {ring_degree}, log2(QP) {log_qp:.1}, {:.0} ms on one thread",
        cost_ns * 1e-6
    );
    let cause = compile(args, cause).into_iter().map(|diagnostic| diagnostic.title);
    Diagnostic::error(Code::RangeBound, title)
        .label(Label::file(args.model.display().to_string(), sizes))
        .note(cause.collect::<Vec<_>>().join("; "))
        .note(without)
        .help("narrow the range with --input-range, or leave --range-bound out")
        .into()
}

/// A program that serves less than its model declares.
pub fn serves_less(model: &Path, served: &Served) -> Diagnostics {
    let Served { range: (low, high), declared: (from, to), .. } = served;
    let title = format!("inputs from {low} to {high} are served, the model declares {from} to {to}");
    let help = "calibrate with samples over the whole range (--calibrate), ask for room by bounds (--range-bound), or declare \
                a narrower range (--input-range)";
    Diagnostic::warning(Code::ServesLess, title)
        .label(Label::file(model.display().to_string(), "other inputs are refused when they are encrypted"))
        .help(help)
        .into()
}

/// What to do about an input that was refused.
pub fn input_help(error: &Error) -> &'static str {
    match error {
        Error::Sample { cause, .. } => input_help(cause),
        Error::Shape { .. } => "use samples of the model's input shape",
        Error::Batch { .. } => {
            "compile the model with a larger `hecc compile --batch`, or encrypt batch by batch"
        }
        Error::OutOfRange { is_declared: true, .. } => {
            "compile the model with samples that reach so far (`hecc compile --calibrate`), or with `hecc compile --range-bound`"
        }
        _ => "scale the samples as in training (pixels of 0..255: divide by 255)",
    }
}

/// A layer that the packing asked for cannot hold.
fn no_place(file: &str, unplaced: &Unplaced) -> Diagnostics {
    let Unplaced { layer, family, .. } = unplaced;
    let (why, help) = why_no_place(unplaced);
    Diagnostic::error(Code::NoLayout, format!("no place for layer `{layer}` in the packing `{family}`"))
        .label(Label::item(file, format!("layer `{layer}`"), why))
        .help(help)
        .into()
}

/// What a layer lacks in a packing, and what to do.
pub fn why_no_place(unplaced: &Unplaced) -> (String, &'static str) {
    let Unplaced { layer, needs_slots, n_slots, n_inputs, family } = unplaced;
    match (needs_slots, n_inputs) {
        (Some(needed), _) if *family == Family::Tiles => (
            format!("one tile of `{layer}` takes {needed} slots, each of {n_inputs} inputs has {n_slots}"),
            "choose fewer inputs at once with --batch, or a larger ring with --ring",
        ),
        (Some(needed), 0 | 1) => (
            format!("one plane of `{layer}` takes {needed} slots, a ciphertext has {n_slots}"),
            "choose a larger ring with --ring, or `--packing tiles`, which divides planes",
        ),
        (Some(needed), _) => (
            format!("one plane of `{layer}` takes {needed} slots, each of {n_inputs} inputs has {n_slots}"),
            "choose fewer inputs at once with --batch, a larger ring with --ring, or `--packing tiles`, which divides planes",
        ),
        (None, _) => (
            format!("the elements of `{layer}` form no image on the grid of the input"),
            "leave --packing out: vectors have a layout of their own",
        ),
    }
}

/// A defect of ours: shows both circuits.
pub fn changed_meaning(file: &str, mismatch: &Mismatch) -> Diagnostics {
    let Mismatch { pass, output, element, position, expected, found, circuits } = mismatch;
    let title = format!("the pass `{pass}` changed what the circuit computes");
    let slot = format!("slot {} of ciphertext {}", position.slot, position.ct);
    let what = element.map_or_else(|| String::from("no element"), |element| format!("element {element}"));
    let message = format!("{slot}, which holds {what}, is {found}, not {expected}");
    Diagnostic::error(Code::Mismatch, title)
        .label(Label::item(file, format!("output `{output}`"), message))
        .note(format!("before:\n{}", circuits[0]))
        .note(format!("after:\n{}", circuits[1]))
        .help("this is a defect of hecc: please report it with the model")
        .into()
}

/// A search that was not finished.
pub fn bounded(model: &Path, saturation: &Saturation) -> Diagnostics {
    let Saturation { nodes_before, nodes, rounds, .. } = saturation;
    let message = format!("{nodes_before} nodes had become {nodes} after {rounds} rounds");
    Diagnostic::warning(Code::Bounded, "the search for equal circuits stopped at a bound")
        .label(Label::file(model.display().to_string(), message))
        .help("nothing is wrong: the best circuit found so far is used")
        .into()
}

/// What to do where errors stay larger than was asked for.
fn coarser(args: &ModelArgs, reached: f64) -> String {
    let ring = if args.ring.is_some() { ", or leave --ring out" } else { "" };
    match rounded_up(reached, 1) {
        reached if reached < 1.0 => format!("ask for less with --precision {reached:.0e}{ring}"),
        _ => format!(
            "the error is as large as the outputs, which are small beside the values they come from: \
             scale the weights of the last layers{ring}"
        ),
    }
}

/// The next number of so many significant digits.
pub fn rounded_up(x: f64, n_digits: i32) -> f64 {
    let unit = 10f64.powi(x.log10().floor() as i32 - n_digits + 1);
    ((x / unit).ceil() * unit).max(x)
}

/// A file or value that the runtime refused.
pub fn runtime(code: Code, file: &Path, error: &Error, help: &str) -> Diagnostics {
    match error {
        Error::Artifact(ArtifactError::Memory(excess)) => return no_memory_to_read(file, *excess),
        Error::Threads(cause) => return no_threads(file, cause),
        Error::Spill { folder, cause } => return spill(folder, cause),
        Error::Unmappable => return unmappable(),
        Error::Memory { what, needed, available } => return no_memory(file, *what, *needed, *available),
        Error::Time { predicted, limit } => return no_time(file, *predicted, *limit),
        Error::Deadline => return out_of_time(file),
        Error::Security { promised, demanded } => return weak(file, *promised, *demanded),
        Error::Implausible { notices, .. } => return implausible(file, error, Cause::of(notices)),
        Error::Bundle(BundleError::OtherKeys { .. }) => return other_keys(file, error),
        _ => {}
    }
    let place = Label::file(file.display().to_string(), error.to_string());
    let problem = Diagnostic::error(code, code.title()).label(place);
    // Without a next step, the command points to the explanation of the code.
    if help.is_empty() { problem.into() } else { problem.help(help).into() }
}

/// A result that is none, and what may have come between.
fn implausible(file: &Path, error: &Error, cause: Cause) -> Diagnostics {
    let help = match cause {
        Cause::Foreign => {
            "encrypt and evaluate again with the keys of one `hecc keygen`; if this input is refused again, compile with `hecc compile --calibrate` and samples that are as large"
        }
        Cause::Overflow => {
            "compile with `hecc compile --calibrate` and samples that are as large as this input, then make keys and encrypt again"
        }
        Cause::Coarse => {
            "compile with `hecc compile --calibrate` and samples like this input, or with a larger `--precision`, then make keys and encrypt again"
        }
    };
    let place = Label::file(file.display().to_string(), error.to_string());
    Diagnostic::error(Code::Implausible, Code::Implausible.title()).label(place).help(help).into()
}

/// What is wrong with a result of some samples, from the `first` on.
pub fn of_samples(problem: Diagnostics, first: usize, n_samples: usize) -> Diagnostics {
    let samples = match n_samples {
        1 => format!("the result of sample {first}"),
        n => format!("the result of samples {first} to {}", first + n - 1),
    };
    let mut noted = Diagnostics::new();
    noted.extend(problem.into_iter().map(|diagnostic| diagnostic.note(&samples)));
    noted
}

/// How many results were refused.
pub fn count_refused(model: &Path, n_refused: usize, n_samples: usize) -> Diagnostic {
    let title = format!("{n_refused} of {n_samples} results were refused as not plausible");
    Diagnostic::error(Code::Implausible, title)
        .label(Label::file(model.display().to_string(), ""))
        .help("show the compiler samples that are as large with --calibrate")
}

/// Files of two key pairs.
fn other_keys(file: &Path, error: &Error) -> Diagnostics {
    let place = Label::file(file.display().to_string(), error.to_string());
    let help =
        "use the secret key, the evaluation keys and what was encrypted with them of one `hecc keygen`";
    Diagnostic::error(Code::OtherKeys, Code::OtherKeys.title()).label(place).help(help).into()
}

/// A result of something else than was asked.
pub fn other_input(result: &Path, input: &Path, error: &BundleError) -> Diagnostics {
    let said = format!("compared with `{}`: {error}", input.display());
    Diagnostic::error(Code::OtherInput, Code::OtherInput.title())
        .label(Label::file(result.display().to_string(), said))
        .help("name the input that this is the result of with --answers, or evaluate again; --any-input decrypts it all the same")
        .into()
}

/// Bytes that are no program or manifest.
pub fn artifact(file: &Path, error: ArtifactError) -> Diagnostics {
    runtime(Code::BadProgram, file, &Error::from(error), COMPILE_AGAIN)
}

/// A bundle of some kind that the runtime refused.
pub fn bundle(kind: bundle::Kind, file: &Path, error: &Error) -> Diagnostics {
    let (code, help) = of_bundle(kind);
    runtime(code, file, error, help)
}

/// The code of what is wrong with a bundle of some kind, and the next step.
pub fn of_bundle(kind: bundle::Kind) -> (Code, &'static str) {
    match kind {
        bundle::Kind::EvalKeys | bundle::Kind::SecretKey => (Code::BadKeys, KEYS_AGAIN),
        bundle::Kind::Inputs => (Code::BadCiphertext, ENCRYPT_AGAIN),
        bundle::Kind::Results => (Code::BadCiphertext, EVALUATE_AGAIN),
    }
}

/// A manifest that promises less than a client demands.
pub fn weak(manifest: &Path, promised: SecurityLevel, demanded: SecurityLevel) -> Diagnostics {
    let refusal = Error::Security { promised, demanded };
    let compile_again = format!("compile the model with `hecc compile --security {}`", demanded.bits());
    Diagnostic::error(Code::Weak, Code::Weak.title())
        .label(Label::file(manifest.display().to_string(), refusal.to_string()))
        .help(match promised {
            SecurityLevel::Insecure => format!("{compile_again}; `--insecure` accepts it, for experiments"),
            SecurityLevel::Classical128 | SecurityLevel::Classical192 | SecurityLevel::Classical256 => {
                compile_again
            }
        })
        .into()
}

/// Characters of a name from outside that are shown.
const MAX_SHOWN: usize = 64;

/// A program whose primes suit another machine. Its target is data from outside.
pub fn elsewhere(program: &Path, target: &str, slowdown: f64) -> Diagnostics {
    let target = target.chars().take(MAX_SHOWN).collect::<String>().escape_debug().to_string();
    let said = format!("`{target}`; its primes take {slowdown:.1} times as long here as narrow ones");
    Diagnostic::warning(Code::OtherMachine, "the program was compiled for another machine")
        .label(Label::file(program.display().to_string(), said))
        .help("`hecc compile --target native` on this machine makes a faster one, with the same results")
        .into()
}

/// A folder that cannot hold a file of weights.
fn spill(folder: &Path, cause: &std::io::Error) -> Diagnostics {
    let place = Label::file(folder.display().to_string(), cause.to_string());
    let help = "choose a folder with room for the weights for --plain-map, or leave it out";
    Diagnostic::error(Code::UnwritableFile, "cannot keep weights in a file").label(place).help(help).into()
}

/// Weights in a file, for a back end that wants them in memory.
fn unmappable() -> Diagnostics {
    let place = Label::file("command line", "--plain-map");
    let help = "leave it out, and weights that do not fit are encoded when they are needed";
    Diagnostic::error(Code::BadArguments, Error::Unmappable.to_string()).label(place).help(help).into()
}

/// A page that there is none of.
pub fn no_page(title: &str, help: &str) -> Diagnostics {
    let place = Label::file("command line", "--html");
    Diagnostic::error(Code::BadArguments, title).label(place).help(help).into()
}

/// Work that would hold more bytes than may be taken.
fn no_memory(file: &Path, what: Held, needed: usize, available: usize) -> Diagnostics {
    let help = match what {
        Held::Ciphertexts => {
            "compile with a packing other than `batch`, `hecc compile --optimize memory`, or for fewer inputs at once \
             (`hecc compile --batch`); `--memory SIZE` allows more, `--memory all` any"
        }
        Held::Ring | Held::Keys | Held::KeysAndCiphertexts => {
            "compile with `hecc compile --optimize memory`; `--memory SIZE` allows more, `--memory all` any"
        }
    };
    lacking(file, &what.to_string(), Excess { needed, available }, help)
}

/// A file whose contents, most often weights, take more memory than may be taken.
fn no_memory_to_read(file: &Path, excess: Excess) -> Diagnostics {
    lacking(file, "its contents", excess, "`--memory SIZE` allows more, `--memory all` any")
}

/// Something in a file that takes more bytes than there are.
fn lacking(file: &Path, what: &str, Excess { needed, available }: Excess, help: &str) -> Diagnostics {
    let [needed, available] = [needed, available].map(megabytes);
    let said = format!("{what} take at least {needed:.1} MB, {available:.1} MB are free");
    let help = match left_by_limits() {
        Some(_) => format!("{help}; whatever it says, limits of the process hold: {RAISE_LIMITS}"),
        None => help.to_owned(),
    };
    Diagnostic::error(Code::NoMemory, Code::NoMemory.title())
        .label(Label::file(file.display().to_string(), said))
        .help(help)
        .into()
}

/// What to do about limits of the process.
const RAISE_LIMITS: &str = "raise them with `ulimit -v` and `ulimit -d`";

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// A bound on memory below what the command takes before it has begun.
pub fn no_memory_to_start(Excess { needed, available }: Excess) -> Diagnostics {
    let [needed, available] = [needed, available].map(megabytes);
    let said = format!("--memory: the command itself takes {needed:.1} MB, {available:.1} MB are allowed");
    Diagnostic::error(Code::NoMemory, Code::NoMemory.title())
        .label(Label::file("command line", said))
        .help("allow more with --memory")
        .into()
}

/// Limits of the process that leave no memory to work with.
pub fn limited() -> Diagnostics {
    let said = "the limits on its address space or data leave too little to begin";
    Diagnostic::error(Code::NoMemory, Code::NoMemory.title())
        .label(Label::file("this process", said))
        .help(RAISE_LIMITS)
        .into()
}

/// A run that would take longer than it may.
fn no_time(file: &Path, predicted: Duration, limit: Duration) -> Diagnostics {
    let said = format!("about {predicted:.1?} are predicted, {limit:.1?} are allowed");
    Diagnostic::error(Code::TooLong, Code::TooLong.title())
        .label(Label::file(file.display().to_string(), said))
        .help("allow more with --time-limit, or use more --threads")
        .into()
}

/// A run that did take longer than it may.
fn out_of_time(file: &Path) -> Diagnostics {
    let place = Label::file(file.display().to_string(), Error::Deadline.to_string());
    let help = "allow more with --time-limit, or use more --threads";
    Diagnostic::error(Code::TooLong, Code::TooLong.title()).label(place).help(help).into()
}

/// A command that Ctrl-C ended.
pub fn interrupted() -> Diagnostics {
    Diagnostic::error(Code::Stopped, Code::Stopped.title())
        .label(Label::file("terminal", "Ctrl-C"))
        .help("start it again; it left no file behind")
        .into()
}

/// An operation that the encryption engine refused.
pub fn engine(file: &Path, error: &hecc_ckks::Error) -> Diagnostics {
    let place = Label::file(file.display().to_string(), error.to_string());
    Diagnostic::error(Code::RunFailed, Code::RunFailed.title()).label(place).into()
}

/// Threads that the system does not give to a command that is told how many to start.
fn no_threads(file: &Path, cause: &str) -> Diagnostics {
    let help = "ask for fewer with --threads, or raise the limits on processes and memory (`ulimit -u`, `ulimit -v`)";
    without_threads(file, cause).help(help).into()
}

/// A thread that the system does not give.
pub fn no_thread(file: &Path, cause: &str) -> Diagnostics {
    let help = "raise the limits on processes and memory (`ulimit -u`, `ulimit -v`)";
    without_threads(file, cause).help(help).into()
}

fn without_threads(file: &Path, cause: &str) -> Diagnostic {
    let place = Label::file(file.display().to_string(), cause);
    Diagnostic::error(Code::RunFailed, "the system gives no threads to compute on").label(place)
}

/// A file of a kind that was not asked for.
pub fn other_kind(code: Code, file: &Path, [found, wanted]: [&dyn Display; 2], help: &str) -> Diagnostics {
    let said = format!("holds {found}, not {wanted}");
    Diagnostic::error(code, code.title())
        .label(Label::file(file.display().to_string(), said))
        .help(help)
        .into()
}

/// Words on the command line that make no command.
pub fn arguments(error: &clap::Error) -> Diagnostics {
    let text = error.to_string();
    let mut parts = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let title = parts.next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    Diagnostic::error(Code::BadArguments, title)
        .label(Label::file("command line", ""))
        .help(parts.collect::<Vec<_>>().join("\n"))
        .into()
}

/// Vector instructions that no kernel is written in.
pub fn unknown_instructions(variable: &'static str, name: &OsStr) -> Diagnostics {
    let known = Instructions::ALL.map(Instructions::name).join(", ");
    Diagnostic::error(Code::BadArguments, format!("there are no instructions `{}`", name.display()))
        .label(Label::file("environment", variable))
        .help(format!("set {variable} to one of {known}, or unset it to use what the machine has"))
        .into()
}

/// A plot of one model.
pub fn nothing_to_plot() -> Diagnostics {
    Diagnostic::error(Code::BadArguments, "a plot compares several models")
        .label(Label::file("command line", "--plot"))
        .help("name further models after the first, or leave --plot out")
        .into()
}

/// A plot of accuracies that nobody can know.
pub fn no_classes(data: &Path) -> Diagnostics {
    Diagnostic::error(Code::BadDataSet, "samples without classes have no accuracy to plot")
        .label(Label::file(data.display().to_string(), ""))
        .help("label the samples with classes `y`, or leave --plot out")
        .into()
}

/// A code nobody knows.
pub fn unknown_code(code: &str) -> Diagnostics {
    let title = format!("there is no diagnostic `{code}`");
    Diagnostic::error(Code::UnknownName, title).help("`hecc explain all` lists the codes").into()
}
