//! The commands a deployment runs on two machines: `keygen`, `encrypt` and
//! `decrypt` on the client, `eval` on the server.

use super::accuracy::{NO_CLASS, Task};
use super::args::{DecryptArgs, EncryptArgs, EvalArgs, KeygenArgs, ShareArg};
use super::files::{self, Kind, Output, Outputs, names};
use super::form::Form;
use super::memory::{self, MemoryFigures};
use super::problems::{self, COMPILE_AGAIN};
use super::{digits, progress, session};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::MAX_BYTES;
use hecc::front::data::{DataSet, Part};
use hecc::front::file::read_at_most;
use hecc_ir::program::Port;
use hecc_ir::{Manifest, Program, artifact};
use hecc_runtime::bundle::{BundleError, Question};
use hecc_runtime::client::{Client, Loss, Sharing, promised_error, standing_out};
use hecc_runtime::server::Server;
use hecc_runtime::{Error, bundle};
use serde::Serialize;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Name of encrypted inputs that is not said.
const DEFAULT_INPUT: &str = "input.hect";
const SECRET: Kind = Kind::Bundle(bundle::Kind::SecretKey);
const EVAL_KEYS: Kind = Kind::Bundle(bundle::Kind::EvalKeys);
const INPUTS: Kind = Kind::Bundle(bundle::Kind::Inputs);
const RESULTS: Kind = Kind::Bundle(bundle::Kind::Results);

/// Runs `keygen`.
pub fn keygen(args: &KeygenArgs, form: Form) -> Result<(), Diagnostics> {
    let manifest = manifest(&args.manifest)?;
    let secret_path = secret_path(args.secret.as_deref(), &manifest);
    let keys_path = keys_path(args.eval_keys.as_deref(), &manifest);
    let outputs = Outputs::beside([&args.manifest], args.force);
    outputs.check(&[(&keys_path, EVAL_KEYS), (&secret_path, SECRET)])?;
    let failed = |e: Error| problems::runtime(Code::BadProgram, &args.manifest, &e, COMPILE_AGAIN);
    let spinner = progress::spinner("making keys");
    let demanded = session::security(args.security, args.insecure);
    let client = Client::generate_demanding(demanded, &manifest).map_err(failed)?;
    let eval_keys = client.eval_keys().map_err(failed)?;
    spinner.finish_and_clear();
    let written = outputs.write(&[
        Output { path: &keys_path, kind: EVAL_KEYS, bytes: &eval_keys },
        Output { path: &secret_path, kind: SECRET, bytes: &client.save() },
    ])?;
    let wrote = json!({ "secret": secret_path, "eval_keys": keys_path, "key_bytes": eval_keys.len() });
    form.report(written, &wrote, || {
        let (secret, keys) = (secret_path.display(), keys_path.display());
        let megabytes = eval_keys.len() as f64 / 1e6;
        format!("wrote {secret} (keep it secret)\nwrote {keys} ({megabytes:.1} MB, for the server)\n")
    });
    Ok(())
}

/// Where the secret key is: as named, or called like the model.
fn secret_path(named: Option<&Path>, manifest: &Manifest) -> PathBuf {
    named.map_or_else(|| names::secret(&manifest.name), Path::to_owned)
}

/// Where the evaluation keys are: as named, or called like the model.
fn keys_path(named: Option<&Path>, manifest: &Manifest) -> PathBuf {
    named.map_or_else(|| names::eval_keys(&manifest.name), Path::to_owned)
}

/// Runs `encrypt`.
pub fn encrypt(args: &EncryptArgs, form: Form) -> Result<(), Diagnostics> {
    let manifest = manifest(&args.manifest)?;
    let secret = secret_path(args.secret.as_deref(), &manifest);
    let outputs = Outputs::beside([&args.manifest, &secret, &args.data], args.force.force);
    outputs.check(&[(&args.output, INPUTS)])?;
    let client = client((&args.manifest, &manifest), &secret, args.insecure)?;
    let end = args.index.saturating_add(args.count.get());
    let data = DataSet::read_first(&args.data, Part::Test, end)?;
    data.samples.get(args.index..end).ok_or_else(|| {
        let title = format!("there is no sample {}; the file holds {}", end - 1, data.samples.len());
        Diagnostic::error(Code::BadDataSet, title)
            .label(Label::file(args.data.display().to_string(), ""))
            .help(match (data.samples.len().checked_sub(args.count.get()), data.samples.len()) {
                (Some(last), _) => format!("choose an --index from 0 to {last}"),
                (None, n) if args.index < n => format!("lower --count to at most {}", n - args.index),
                (None, n) => format!("choose an --index below {n}, and lower --count"),
            })
    })?;
    client.manifest().inputs.iter().try_for_each(|port| data.has_shape(&port.layout.shape))?;
    let refused = |e: Error| {
        let e = session::numbered(e, args.index, args.count.get());
        problems::runtime(Code::BadInput, &args.data, &e, problems::input_help(&e))
    };
    let samples = session::batch(&data, args.index, args.count.get());
    let input = client.encrypt_batch(&samples).map_err(refused)?;
    let written = outputs.write(&[Output { path: &args.output, kind: INPUTS, bytes: &input }])?;
    let report = json!({ "input": args.output, "input_bytes": input.len(), "samples": args.count });
    form.report(written, &report, || {
        format!("wrote {} ({:.1} kB)\n", args.output.display(), input.len() as f64 / 1e3)
    });
    Ok(())
}

/// Runs `eval`.
pub fn eval(args: &EvalArgs, form: Form) -> Result<(), Diagnostics> {
    let program = program(&args.program)?;
    let keys_path = keys_path(args.eval_keys.as_deref(), &program.manifest);
    let outputs = Outputs::beside([&args.program, &keys_path, &args.input], args.force.force);
    outputs.check(&[(&args.output, RESULTS)])?;
    let eval_keys = files::bundle(&keys_path, bundle::Kind::EvalKeys, &program.manifest)?;
    let input = files::bundle(&args.input, bundle::Kind::Inputs, &program.manifest)?;
    let refused = |e: Error| problems::runtime(Code::BadProgram, &args.program, &e, COMPILE_AGAIN);
    let executor = memory::executor(&args.machine).map_err(refused)?;
    let spinner = progress::spinner("encoding weights");
    let server = Server::of(program, &executor, &hecc_runtime::executor::silent).map_err(refused)?;
    spinner.finish_and_clear();
    if let Some(notice) = elsewhere(&args.program, &server) {
        form.diagnostics(&notice);
    }
    let keys_refused = |e: Error| problems::bundle(bundle::Kind::EvalKeys, &keys_path, &e);
    let session = server.session(&eval_keys).map_err(keys_refused)?;
    let forecast = server.forecast();
    let bar = progress::bar(format!("evaluating, about {:.1?}", forecast.wall), 0);
    let on_instr = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let input_refused = |e: Error| problems::bundle(bundle::Kind::Inputs, &args.input, &e);
    let reply = session.eval_with(&input, &on_instr).map_err(input_refused)?;
    bar.finish_and_clear();
    let written = outputs.write(&[Output { path: &args.output, kind: RESULTS, bytes: &reply.bundle }])?;
    let seconds = reply.cost.wall.as_secs_f64();
    let report = json!(EvalReport {
        result: &args.output,
        latency_s: seconds,
        predicted_latency_s: forecast.wall.as_secs_f64(),
        predicted_run_bytes: forecast.memory.peak,
        threads: reply.cost.n_threads,
        memory: MemoryFigures::of(&reply.cost.memory),
    });
    form.report(written, &report, || {
        let (shown, memory) = (args.output.display(), memory::describe(&reply.cost.memory));
        format!("wrote {shown}; evaluated in {:.0} ms\npeak memory {memory}\n", seconds * 1e3)
    });
    Ok(())
}

/// Primes of other machines count as slow where everything takes that many times as long for them.
const FAR_OFF: f64 = 1.25;

/// A notice that a program has primes which are slow on this machine.
fn elsewhere(program: &Path, server: &Server) -> Option<Diagnostics> {
    let (native, params) = (session::native_target(), &server.manifest().params);
    let slowdown = native.ring(params.ring_degree)?.slowdown(params);
    (slowdown > FAR_OFF).then(|| problems::elsewhere(program, server.target(), slowdown))
}

/// What `eval` prints.
#[derive(Serialize)]
struct EvalReport<'a> {
    result: &'a Path,
    latency_s: f64,
    /// From the program and from steps measured on this machine, before the run.
    predicted_latency_s: f64,
    predicted_run_bytes: usize,
    threads: usize,
    #[serde(flatten)]
    memory: MemoryFigures,
}

/// Runs `decrypt`.
pub fn decrypt(args: &DecryptArgs, form: Form) -> Result<(), Diagnostics> {
    let manifest = manifest(&args.manifest)?;
    let secret = secret_path(args.secret.as_deref(), &manifest);
    let client = client((&args.manifest, &manifest), &secret, args.insecure)?;
    let result = files::bundle(&args.input, bundle::Kind::Results, &manifest)?;
    let refused = |e: Error| decrypt_refused(args, &e);
    let question = question(args, &result)?;
    let (samples, loss) = match sharing(args) {
        None => {
            let n_samples = args.count.map_or(question.n_samples, NonZeroUsize::get);
            (client.decrypt_batch(&result, n_samples).map_err(refused)?, None)
        }
        Some(sharing) => {
            let shared = client.decrypt_to_share(&result, sharing).map_err(refused)?;
            (vec![shared.tensors], Some(shared.loss))
        }
    };
    for tensors in &samples {
        for (port, tensor) in client.manifest().outputs.iter().zip(tensors) {
            show_output(port, tensor, (args.task, loss), form);
        }
    }
    Ok(())
}

/// The question that a result answers, which is that of the input it is to be the result of.
fn question(args: &DecryptArgs, result: &[u8]) -> Result<Question, Diagnostics> {
    let refused = |e: BundleError| decrypt_refused(args, &e.into());
    let found = Question::answered(result).map_err(refused)?;
    let beside = || Some(args.input.with_file_name(DEFAULT_INPUT)).filter(|path| path.exists());
    let asked = args.answers.clone().or_else(beside).filter(|_| !args.any_input);
    let Some(path) = asked else { return Ok(found) };
    // Its header and question are all that is needed of it.
    let input = read_at_most(&path, MAX_BYTES)?;
    let unreadable = |e: BundleError| {
        let help = "name an input that `hecc encrypt` wrote with --answers, or add --any-input";
        problems::runtime(Code::BadCiphertext, &path, &e.into(), help)
    };
    let question = Question::of(&input).map_err(unreadable)?;
    question.check(found).map_err(|e| problems::other_input(&args.input, &path, &e))?;
    Ok(question)
}

fn sharing(args: &DecryptArgs) -> Option<Sharing> {
    let (share, error) = (args.share?, args.error?);
    Some(match share {
        ShareArg::Flood(bits) => Sharing::Flood { error, bits, releases: args.releases },
        ShareArg::Round(bits) => Sharing::Round { error, bits },
    })
}

fn decrypt_refused(args: &DecryptArgs, error: &Error) -> Diagnostics {
    match error {
        Error::Sharing(reason) => Diagnostic::error(Code::BadSharing, Code::BadSharing.title())
            .label(Label::file("command line", *reason))
            .help("take as --error what `hecc decrypt` without --share prints behind ±, and fewer --releases, or round with --share")
            .into(),
        Error::SharedError { stated, least } => {
            let least = problems::rounded_up(*least, 2);
            let said = format!(
                "--error is {stated:.1e}, but by the manifest the error of this result may be {least:.1e}"
            );
            Diagnostic::error(Code::BadSharing, Code::BadSharing.title())
                .label(Label::file("command line", said))
                .help(format!(
                    "state --error {least:.1e} or more, or compile with a smaller `hecc compile --precision`"
                ))
                .into()
        }
        Error::Batch { .. } | Error::Samples { .. } => {
            Diagnostic::error(Code::BadArguments, error.to_string())
                .label(Label::file("command line", "--count"))
                .help("take the --count that `hecc encrypt` was given, or leave it out")
                .into()
        }
        other => problems::bundle(bundle::Kind::Results, &args.input, other),
    }
}

/// Prints an output with its error, which is what the manifest promises and what was added to share it.
fn show_output(port: &Port, values: &[f64], (task, loss): (Task, Option<Loss>), form: Form) {
    let error = promised_error(port, values) + loss.map_or(0.0, |loss| loss.error());
    let is_classified = task == Task::Classify && values.len() > 1;
    let class = standing_out(values, error).filter(|_| is_classified);
    let mut report = json!({ "output": port.name, "values": values, "error": error, "prediction": class });
    if let Some(Loss { step, noise_std }) = loss {
        report["shared"] = json!({ "step": step, "noise_std": noise_std });
    }
    form.result(&report, || {
        let shown: Vec<String> = values.iter().map(|&value| digits::with_error(value, error)).collect();
        let (shown, error) = (shown.join(", "), digits::plus_minus(error));
        let shared = loss.map_or(String::new(), show_loss);
        let class = match (is_classified, class) {
            (false, _) => String::new(),
            (true, Some(class)) => format!("prediction {class}\n"),
            (true, None) => format!("{NO_CLASS}\n"),
        };
        format!("{} = [{shown}]{error}\n{shared}{class}", port.name)
    });
}

fn show_loss(loss: Loss) -> String {
    let noise = match loss.noise_std > 0.0 {
        true => format!(", with noise of standard deviation {:.1e}", loss.noise_std),
        false => String::new(),
    };
    format!("multiples of {:.1e}{noise}\n", loss.step)
}

/// Reads and verifies a manifest.
pub fn manifest(path: &Path) -> Result<Manifest, Diagnostics> {
    let bytes = files::artifact(path, artifact::Kind::Manifest)?;
    artifact::read_manifest(&bytes).map_err(|e| problems::artifact(path, e))
}

/// Reads and verifies a program.
pub fn program(path: &Path) -> Result<Program, Diagnostics> {
    let bytes = files::artifact(path, artifact::Kind::Program)?;
    artifact::read_program(&bytes).map_err(|e| problems::artifact(path, e))
}

/// A client for the manifest at a path, with the secret key in a file.
fn client(
    (path, manifest): (&Path, &Manifest),
    secret: &Path,
    insecure: bool,
) -> Result<Client, Diagnostics> {
    let kind = bundle::Kind::SecretKey;
    let bytes = zeroize::Zeroizing::new(files::bundle(secret, kind, manifest)?);
    let load = if insecure { Client::load_insecure } else { Client::load };
    load(manifest, &bytes).map_err(|e| match e {
        Error::Security { promised, demanded } => problems::weak(path, promised, demanded),
        e => problems::bundle(kind, secret, &e),
    })
}
