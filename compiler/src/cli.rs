//! The command line: the only part of the compiler that touches files, the
//! terminal and the runtime.
//!
//! Commands return [`Diagnostics`]; they are printed here, as text or JSON, and
//! make the exit status non-zero.

mod ablate;
mod accuracy;
pub mod args;
mod bench;
mod calibrate;
mod check;
mod child;
mod choice;
mod compare;
mod deploy;
mod digits;
pub mod files;
pub mod form;
mod inspect;
mod interrupt;
mod memory;
mod names;
mod page;
mod plot;
pub mod prepare;
pub mod problems;
pub mod progress;
mod rewriting;
pub mod session;
pub mod show;
mod simulate;
pub mod summary;
pub mod threads;

use args::{Cli, Command, ExplainArgs, FormArgs};
use clap::Parser;
use form::{Form, output};
use hecc::diag::{Code, Diagnostic, Diagnostics};
use hecc_ckks::Instructions;
use hecc_ir::machine::bound_process;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs the command given by the process arguments.
pub fn main() -> ExitCode {
    run(
        |cli: &Cli| cli.form,
        |cli, form| {
            // The trainer hears of Ctrl-C itself.
            if !matches!(cli.command, Command::Prepare(_)) {
                interrupt::listen(form);
            }
            dispatch(&cli.command, form)
        },
    )
}

/// Parses the process arguments and does what they ask for, in the form they ask for. Refusals are
/// printed; the status says how it ended.
pub fn run<C: Parser>(
    form: fn(&C) -> FormArgs,
    command: fn(&C, Form) -> Result<(), Diagnostics>,
) -> ExitCode {
    let arguments = match C::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_arguments(&error),
    };
    let common = form(&arguments);
    let form = common.form();
    bound_process(common.memory.unwrap_or_default());
    let _alone = threads::start();
    let done = memory::has_room_to_start()
        .and_then(|()| limit_instructions())
        .and_then(|()| command(&arguments, form))
        .and_then(|()| form::written());
    end(done, form)
}

/// The status of a command that ended so; refusals are printed.
fn end(done: Result<(), Diagnostics>, form: Form) -> ExitCode {
    match done {
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
        return end(form::written(), form);
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
        Command::Prepare(_) => prepare::prepare(),
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
