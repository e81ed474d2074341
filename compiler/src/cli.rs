//! The command line: the only part of the compiler that touches files, the
//! terminal and the runtime.
//!
//! Commands return [`Diagnostics`]; they are printed here, as text or JSON, and
//! make the exit status non-zero.

mod args;
mod bench;
mod calibrate;
mod check;
mod deploy;
mod files;
mod inspect;
mod problems;
mod progress;
mod session;
mod show;
mod summary;

use args::{Cli, Command};
use clap::Parser;
use hecc::diag::{Code, Diagnostic, Diagnostics};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Runs the command given by the process arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(diagnostics) => {
            report(&with_next_steps(diagnostics), cli.json);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli) -> Result<(), Diagnostics> {
    match &cli.command {
        Command::Compile(args) => summary::compile(args, cli.json),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Run(args) => show::run(args, cli.json),
        Command::Bench(args) => bench::bench(args, cli.json),
        Command::Check(args) => check::check(args, cli.json),
        Command::Keygen(args) => deploy::keygen(args),
        Command::Encrypt(args) => deploy::encrypt(args),
        Command::Eval(args) => deploy::eval(args, cli.json),
        Command::Decrypt(args) => deploy::decrypt(args, cli.json),
        Command::Calibrate(args) => calibrate::calibrate(args),
        Command::Explain(args) => explain(&args.code),
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

/// Prints diagnostics to standard error.
fn report(diagnostics: &Diagnostics, json: bool) {
    if json {
        eprintln!("{}", serde_json::to_string(diagnostics).expect("diagnostics serialise"));
    } else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        eprint!("{}", diagnostics.render(colour));
    }
}

/// Writes to standard output. A reader that has gone away is no error of ours.
fn output(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints warnings of a model that can be used all the same.
fn report_notices(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        report(diagnostics, false);
    }
}

fn explain(code: &str) -> Result<(), Diagnostics> {
    if code == "all" {
        Code::ALL.iter().for_each(|code| output(&format!("{code}  {}\n", code.title())));
        return Ok(());
    }
    let found = Code::parse(code).ok_or_else(|| problems::unknown_code(code))?;
    output(&format!("{found}: {}\n\n{}\n", found.title(), found.explanation()));
    Ok(())
}
