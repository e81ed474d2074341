//! The command line: the only part of the compiler that touches files, the
//! terminal and the runtime.
//!
//! Commands return [`Diagnostics`]; they are printed here, as text or JSON, and
//! make the exit status non-zero.

mod ablate;
mod accuracy;
mod args;
mod bench;
mod calibrate;
mod check;
mod child;
mod choice;
mod compare;
mod deploy;
mod files;
mod form;
mod inspect;
mod memory;
mod names;
mod page;
mod plot;
#[cfg(feature = "train")]
mod prepare;
mod problems;
mod progress;
mod rewriting;
mod session;
mod show;
mod simulate;
mod summary;

use args::{Cli, Command, ExplainArgs};
use clap::Parser;
use form::{Form, output};
use hecc::diag::{Code, Diagnostic, Diagnostics};
use hecc_ckks::Instructions;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs the command given by the process arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let form = if cli.json { Form::Json } else { Form::Text };
    match limit_instructions().and_then(|()| dispatch(&cli.command, form)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(diagnostics) => {
            form.diagnostics(&with_next_steps(diagnostics));
            ExitCode::FAILURE
        }
    }
}

/// The environment variable that has the engine use fewer vector instructions than the machine has.
const INSTRUCTIONS: &str = "HECC_INSTRUCTIONS";

fn limit_instructions() -> Result<(), Diagnostics> {
    if let Some(name) = std::env::var_os(INSTRUCTIONS) {
        let known = name.to_str().and_then(Instructions::named);
        Instructions::limit(known.ok_or_else(|| problems::unknown_instructions(INSTRUCTIONS, &name))?);
    }
    Ok(())
}

/// Exit status of a command line that makes no command, by convention.
const USAGE_FAILURE: u8 = 2;

/// Help that was asked for is printed as it is; everything else is a mistake.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let form = if std::env::args_os().any(|word| word == "--json") { Form::Json } else { Form::Text };
    if !error.use_stderr() {
        output(&error.to_string());
        return ExitCode::SUCCESS;
    }
    form.diagnostics(&problems::arguments(error));
    ExitCode::from(USAGE_FAILURE)
}

fn dispatch(command: &Command, form: Form) -> Result<(), Diagnostics> {
    match command {
        Command::Compile(args) => summary::compile(args, form),
        Command::Inspect(args) => inspect::inspect(args, form),
        Command::Run(args) => show::run(args, form),
        Command::Bench(args) if args.ablate => ablate::ablate(&args.data, &args.ablation, form),
        Command::Bench(args) if args.others.is_empty() && !args.packings => bench::bench(args, form),
        Command::Bench(args) => compare::compare(args, form),
        Command::Check(args) => check::check(args, form),
        Command::Keygen(args) => deploy::keygen(args, form),
        Command::Encrypt(args) => deploy::encrypt(args, form),
        Command::Eval(args) => deploy::eval(args, form),
        Command::Decrypt(args) => deploy::decrypt(args, form),
        Command::Calibrate(args) => calibrate::calibrate(args, form),
        #[cfg(feature = "train")]
        Command::Prepare(args) => prepare::prepare(&args.step, form),
        Command::Explain(args) => explain(args, form),
    }
}

/// Where no better next step is known, the explanation of the code is one.
fn with_next_steps(diagnostics: Diagnostics) -> Diagnostics {
    let mut complete = Diagnostics::new();
    complete.extend(diagnostics.into_iter().map(|diagnostic| {
        let explain = format!("`hecc explain {}` says more", diagnostic.code);
        Diagnostic { help: diagnostic.help.or(Some(explain)), ..diagnostic }
    }));
    complete
}

/// What a diagnostic code means, or how a model is packed.
fn explain(args: &ExplainArgs, form: Form) -> Result<(), Diagnostics> {
    match args.subject.model.to_str().filter(|word| *word == "all" || Code::resembles(word)) {
        Some(code) => explain_code(code, form),
        None => choice::explain(&args.subject, form),
    }
}

fn explain_code(code: &str, form: Form) -> Result<(), Diagnostics> {
    let about =
        |code: &Code| json!({ "code": code, "title": code.title(), "explanation": code.explanation() });
    if code == "all" {
        let line = |code: &Code| format!("{code}  {}\n", code.title());
        let all: Vec<Value> = Code::ALL.iter().map(about).collect();
        form.result(&json!(all), || Code::ALL.iter().map(line).collect());
        return Ok(());
    }
    let found = Code::parse(code).ok_or_else(|| problems::unknown_code(code))?;
    form.result(&about(&found), || format!("{found}: {}\n\n{}\n", found.title(), found.explanation()));
    Ok(())
}
