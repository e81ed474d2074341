//! `hecc prepare`: starts `hecc-prepare`, the binary that trains.
//!
//! The command line is parsed here too, so that help and refusals of arguments need no training; then the
//! trainer takes over arguments, terminal, signals and exit status.

mod args;

pub use args::*;

use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the trainer's file, and of the package it is built from.
const TRAINER: &str = "hecc-prepare";

/// Runs the trainer with the arguments of this process, in its place.
pub fn prepare() -> Result<(), Diagnostics> {
    let beside = env::current_exe().ok().and_then(|command| Some(command.parent()?.to_owned()));
    let trainer = find(beside.as_deref(), env::var_os("PATH").as_deref().unwrap_or_default());
    let trainer = trainer.ok_or_else(|| not_installed(beside.as_deref()))?;
    let refused = start(Command::new(&trainer).args(passed_on(env::args_os().skip(1))));
    Err(not_started(&trainer, &refused))
}

/// The trainer in the command's own folder, or else on the path.
fn find(beside: Option<&Path>, path: &std::ffi::OsStr) -> Option<PathBuf> {
    let folders = beside.map(Path::to_owned).into_iter().chain(env::split_paths(path));
    let mut files = folders.map(|folder| folder.join(TRAINER).with_extension(env::consts::EXE_EXTENSION));
    files.find(|file| file.is_file())
}

/// What the trainer is told: everything but the word that leads here.
fn passed_on(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    if let Some(at) = words.iter().position(|word| word == "prepare") {
        words.remove(at);
    }
    words
}

/// Becomes the program: the same process, so that signals find it. Returns only why it did not.
#[cfg(unix)]
fn start(program: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(program)
}

/// Runs the program and ends as it does. Ctrl-C reaches both, and the trainer decides when to stop.
#[cfg(not(unix))]
fn start(program: &mut Command) -> io::Error {
    const KILLED: i32 = 1;
    let _ = ctrlc::set_handler(|| {});
    match program.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(KILLED)),
        Err(refused) => refused,
    }
}

fn not_installed(beside: Option<&Path>) -> Diagnostics {
    let beside = beside.unwrap_or(Path::new("."));
    let place = Label::file(beside.join(TRAINER).display().to_string(), "is not there, and not on the path");
    let help = match build_of(beside) {
        Some("debug") => format!("build it with `cargo build -p {TRAINER}`"),
        Some("release") => format!("build it with `cargo build --release -p {TRAINER}`"),
        Some(_) | None => String::from(
            "in hecc's sources, `cargo install --path training/prepare` builds it and puts it on the path",
        ),
    };
    Diagnostic::error(Code::NoTrainer, Code::NoTrainer.title()).label(place).help(help).into()
}

/// The profile of a folder that cargo builds to.
fn build_of(folder: &Path) -> Option<&str> {
    let is_target = folder.parent()?.file_name()? == "target";
    folder.file_name()?.to_str().filter(|_| is_target)
}

fn not_started(trainer: &Path, refused: &io::Error) -> Diagnostics {
    let place = Label::file(trainer.display().to_string(), refused.to_string());
    let help = format!("build or install {TRAINER} anew, on this machine");
    Diagnostic::error(Code::TrainerRefused, Code::TrainerRefused.title()).label(place).help(help).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the trainer is told of a command line.
    fn told(line: &str) -> String {
        let words = passed_on(line.split(' ').map(OsString::from));
        words.into_iter().map(|word| word.into_string().expect("it was text")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_the_first_word_of_its_name_is_left_out() {
        assert_eq!(told("prepare train prepare --data prepare"), "train prepare --data prepare");
        assert_eq!(told("--json prepare friendly a.hec"), "--json friendly a.hec");
    }

    #[test]
    fn folders_that_cargo_builds_to_are_known() {
        assert_eq!(build_of(Path::new("a/target/release")), Some("release"));
        assert_eq!(build_of(Path::new("a/bin/release")), None);
        assert_eq!(build_of(Path::new("/")), None);
    }
}
