//! `hecc prepare` finds the trainer, takes its arguments to it and ends as it does.

#![cfg(unix)]
// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// Held by each test: while a program is written no other test may start one, for that has the file open as well until it runs
/// something else, and what is open for writing cannot be run.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A folder with the command in `bin/`, away from any trainer, and `path/` for the path.
struct Folder(TempDir, #[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Folder {
    fn new() -> Folder {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Folder(tempfile::tempdir().unwrap(), turn);
        fs::create_dir(folder.0.path().join("bin")).unwrap();
        fs::create_dir(folder.0.path().join("path")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_hecc"), folder.0.path().join("bin/hecc")).unwrap();
        folder
    }

    /// Puts a script in the place of the trainer.
    fn trainer(&self, at: &str, mode: u32, script: &str) {
        let path = self.0.path().join(at).join("hecc-prepare");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(self.0.path().join("bin/hecc"));
        let path = format!("{}:/usr/bin:/bin", self.0.path().join("path").display());
        command.current_dir(&self.0).env("PATH", path).args(line.split(' '));
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What the command says when it refuses.
    fn refuses(&self, line: &str, status: i32) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(status), &b""[..]), "{said}");
        said
    }
}

const TRAIN: &str = "prepare train m.hec --data prepare";

#[test]
fn without_a_trainer_it_says_how_to_get_one() {
    let said = Folder::new().refuses(TRAIN, 1);
    assert!(said.starts_with("error[H084]: training is not installed"), "{said}");
    assert!(
        said.contains("bin/hecc-prepare") && said.contains("cargo install --path training/prepare"),
        "{said}"
    );
    let said = Folder::new().refuses(&format!("{TRAIN} --json"), 1);
    let diagnostics: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(diagnostics[0]["code"], "H084");
}

/// Help and refusals of arguments are the command's own.
#[test]
fn arguments_are_known_without_a_trainer() {
    let folder = Folder::new();
    for line in ["prepare --help", "help prepare", "prepare train --help", "prepare help prune"] {
        let output = folder.run(line);
        assert!(output.status.success(), "{line}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: hecc prepare "), "{line}");
    }
    assert!(folder.refuses("prepare train m.hec", 2).starts_with("error[H080]"));
    assert!(folder.refuses("prepare prune m.hec --data d --block h", 2).contains("LAYER=SHAPE"));
}

#[test]
fn the_trainer_gets_all_arguments_and_its_end_is_the_end() {
    let folder = Folder::new();
    folder.trainer("path", 0o755, "cat; echo \"$@\"; echo said >&2; exit 42");
    fs::write(folder.0.path().join("typed"), "typed\n").unwrap();
    let typed = fs::File::open(folder.0.path().join("typed")).unwrap();
    let output = folder.command(&format!("--json {TRAIN} --epochs 2")).stdin(typed).output().unwrap();
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(output.stdout, b"typed\n--json train m.hec --data prepare --epochs 2\n");
    assert_eq!(output.stderr, b"said\n");
}

#[test]
fn the_trainer_beside_the_command_is_taken_first() {
    let folder = Folder::new();
    folder.trainer("path", 0o755, "echo path");
    folder.trainer("bin", 0o755, "echo beside");
    assert_eq!(folder.run(TRAIN).stdout, b"beside\n");
}

/// A signal to the command is one to the trainer.
#[test]
fn signals_reach_the_trainer() {
    let folder = Folder::new();
    folder.trainer("bin", 0o755, "trap 'exit 7' INT; echo ready; while :; do sleep 0.01; done");
    let mut child = folder.command(TRAIN).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_trainer_that_cannot_run_is_named() {
    let folder = Folder::new();
    folder.trainer("bin", 0o644, "exit 0");
    let said = folder.refuses(TRAIN, 1);
    assert!(said.starts_with("error[H085]") && said.contains("bin/hecc-prepare"), "{said}");
}
