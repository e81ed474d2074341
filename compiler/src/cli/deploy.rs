//! The commands a deployment runs on two machines: `keygen`, `encrypt` and
//! `decrypt` on the client, `eval` on the server.

use super::args::{DecryptArgs, EncryptArgs, EvalArgs, KeygenArgs};
use super::files::{self, Access};
use super::session::argmax;
use super::{problems, progress};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::data::DataSet;
use hecc_ir::{Manifest, artifact};
use hecc_runtime::client::Client;
use hecc_runtime::server::Server;
use hecc_runtime::{Error, Executor};
use serde_json::json;
use std::path::Path;

const COMPILE_AGAIN: &str = "compile the model again, and use the files it writes";
const KEYS_AGAIN: &str = "make keys with `hecc keygen` and this program's manifest";
const ENCRYPT_AGAIN: &str = "encrypt with `hecc encrypt` and this program's manifest";

/// Runs `keygen`.
pub fn keygen(args: &KeygenArgs) -> Result<(), Diagnostics> {
    let manifest = manifest(&args.manifest)?;
    let failed = |e: Error| problems::runtime(Code::BadProgram, &args.manifest, &e, COMPILE_AGAIN);
    let spinner = progress::spinner("making keys");
    let generate = if args.insecure { Client::generate_insecure } else { Client::generate };
    let client = generate(&manifest).map_err(failed)?;
    let eval_keys = client.eval_keys().map_err(failed)?;
    spinner.finish_and_clear();
    files::write(&args.secret, &client.save(), Access::Secret)?;
    files::write(&args.eval_keys, &eval_keys, Access::Normal)?;
    super::output(&format!("wrote {} (keep it secret)\n", args.secret.display()));
    super::output(&format!(
        "wrote {} ({:.1} MB, for the server)\n",
        args.eval_keys.display(),
        eval_keys.len() as f64 / 1e6
    ));
    Ok(())
}

/// Runs `encrypt`.
pub fn encrypt(args: &EncryptArgs) -> Result<(), Diagnostics> {
    let client = client(&args.manifest, &args.secret, args.insecure)?;
    let data = DataSet::read(&args.data)?;
    let sample = data.samples.get(args.index).ok_or_else(|| {
        let title = format!("there is no sample {}; the file holds {}", args.index, data.samples.len());
        Diagnostic::error(Code::BadDataSet, title).label(Label::file(args.data.display().to_string(), ""))
    })?;
    let help = "scale the samples as in training (pixels of 0..255: divide by 255)";
    let refused = |e: Error| problems::runtime(Code::BadInput, &args.data, &e, help);
    let input = client.encrypt(std::slice::from_ref(sample)).map_err(refused)?;
    files::write(&args.output, &input, Access::Normal)?;
    super::output(&format!("wrote {} ({:.1} kB)\n", args.output.display(), input.len() as f64 / 1e3));
    Ok(())
}

/// Runs `eval`.
pub fn eval(args: &EvalArgs, as_json: bool) -> Result<(), Diagnostics> {
    let program = files::read(&args.program)?;
    let eval_keys = files::read(&args.eval_keys)?;
    let input = files::read(&args.input)?;
    let refused = |e: Error| problems::runtime(Code::BadProgram, &args.program, &e, COMPILE_AGAIN);
    let executor = Executor::new(args.threads).map_err(refused)?;
    let spinner = progress::spinner("encoding weights");
    let server = Server::load_with(&program, &executor, &hecc_runtime::executor::silent).map_err(refused)?;
    spinner.finish_and_clear();
    let keys_refused = |e: Error| problems::runtime(Code::BadKeys, &args.eval_keys, &e, KEYS_AGAIN);
    let session = server.session(&eval_keys).map_err(keys_refused)?;
    let bar = progress::bar("evaluating", 0);
    let on_instr = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let input_refused = |e: Error| problems::runtime(Code::BadCiphertext, &args.input, &e, ENCRYPT_AGAIN);
    let reply = session.eval_with(&input, &on_instr).map_err(input_refused)?;
    bar.finish_and_clear();
    files::write(&args.output, &reply.bundle, Access::Normal)?;
    let seconds = reply.cost.wall.as_secs_f64();
    if as_json {
        super::output(&format!(
            "{}\n",
            json!({ "result": args.output, "latency_s": seconds, "threads": reply.cost.n_threads })
        ));
    } else {
        super::output(&format!("wrote {}; evaluated in {:.0} ms\n", args.output.display(), seconds * 1e3));
    }
    Ok(())
}

/// Runs `decrypt`.
pub fn decrypt(args: &DecryptArgs, as_json: bool) -> Result<(), Diagnostics> {
    let client = client(&args.manifest, &args.secret, args.insecure)?;
    let result = files::read(&args.input)?;
    let help = "use the file that `hecc eval` wrote for this program";
    let refused = |e: Error| problems::runtime(Code::BadCiphertext, &args.input, &e, help);
    let tensors = client.decrypt(&result).map_err(refused)?;
    for (port, tensor) in client.manifest().outputs.iter().zip(&tensors) {
        if as_json {
            super::output(&format!(
                "{}\n",
                json!({ "output": port.name, "values": tensor, "prediction": argmax(tensor) })
            ));
        } else {
            let values: Vec<String> = tensor.iter().map(|v| format!("{v:.4}")).collect();
            super::output(&format!(
                "{} = [{}]\nprediction {}\n",
                port.name,
                values.join(", "),
                argmax(tensor)
            ));
        }
    }
    Ok(())
}

fn manifest(path: &Path) -> Result<Manifest, Diagnostics> {
    let bytes = files::read(path)?;
    artifact::read_manifest(&bytes)
        .map_err(|e| problems::runtime(Code::BadProgram, path, &Error::from(e), COMPILE_AGAIN))
}

fn client(manifest_path: &Path, secret: &Path, insecure: bool) -> Result<Client, Diagnostics> {
    let manifest = manifest(manifest_path)?;
    let bytes = zeroize::Zeroizing::new(files::read(secret)?);
    let load = if insecure { Client::load_insecure } else { Client::load };
    load(&manifest, &bytes).map_err(|e| problems::runtime(Code::BadKeys, secret, &e, KEYS_AGAIN))
}
