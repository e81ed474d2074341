//! Machines that give less than is wanted: no threads, little memory. Commands do with less, or say what they lack.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/folder.rs"]
#[allow(dead_code)]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::{Folder, MODEL};
use std::process::{Command, Output};

/// Runs a command in a process that gets no thread: stacks would be larger than any address space.
fn alone(folder: &Folder, line: &str) -> Output {
    folder.command(line).env("RUST_MIN_STACK", (1u64 << 50).to_string()).output().unwrap()
}

/// Runs a command under a limit of the shell.
fn limited(folder: &Folder, limit: &str, line: &str) -> Output {
    let script = format!("ulimit {limit}; exec '{}' {line}", env!("CARGO_BIN_EXE_hecc"));
    let mut command = Command::new("sh");
    command.current_dir(folder.path("")).env("NO_COLOR", "1").env("MALLOC_ARENA_MAX", "1");
    command.args(["-c", &script]).output().unwrap()
}

/// What a refusal says, which ends with status 1.
fn said(output: Output, line: &str) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}\n{said}");
    assert!(said.starts_with("error[H") && said.contains("help: "), "{line}\n{said}");
    said
}

#[test]
fn commands_do_without_threads_or_say_that_they_need_them() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    for line in [
        "compile small.hec",
        "keygen small.hecm --force",
        "inspect small.hec",
        "explain small.hec",
        "decrypt small.hecm --secret small.hecs.1",
        "encrypt small.hecm --data data.npz",
    ] {
        let output = alone(&folder, line);
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    for line in [
        "eval small.hecp",
        "run small.hec --data data.npz",
        "bench small.hec --data data.npz",
        "check small.hec --data data.npz",
        "check small.hec --data data.npz --backend clear",
    ] {
        let said = said(alone(&folder, line), line);
        assert!(
            said.contains("error[H075]: the system gives no threads") && said.contains("--threads"),
            "{said}"
        );
    }
    let said = said(alone(&folder, "calibrate --samples 1"), "calibrate");
    assert!(said.contains("the system gives no threads") && !said.contains("--threads"), "{said}");
}

#[test]
fn more_threads_than_there_is_room_for_are_refused() {
    let folder = Folder::deployed();
    let line = "eval small.hecp --threads 1000";
    let said = said(limited(&folder, "-v 1048576", line), line);
    assert!(
        said.contains("error[H075]: the system gives no threads") && said.contains("--threads"),
        "{said}"
    );
}

/// Beyond such a limit an allocation ends the process.
#[test]
fn runs_are_refused_where_limits_leave_no_room() {
    let folder = Folder::deployed();
    let eval = |mebibytes: usize, options: &str| {
        let line = format!("eval small.hecp {options}");
        let output = limited(&folder, &format!("-d {}", mebibytes << 10), &line);
        if output.status.success() {
            return true;
        }
        let said = said(output, &line);
        assert!(said.contains("error[H082]") || said.contains("error[H004]"), "{mebibytes} {said}");
        false
    };
    let sizes = [12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 4096];
    let done = sizes.map(|mebibytes| eval(mebibytes, ""));
    assert!(!done[0] && done[done.len() - 1], "{done:?}");
    // Whatever is allowed otherwise, limits hold.
    assert!(!eval(sizes[0], "--memory all") && !eval(sizes[0], "--memory 100G"));
}

#[test]
fn bounds_on_memory_hold_for_small_commands() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    for line in [
        "compile small.hec",
        "keygen small.hecm --secret new.hecs --eval-keys new.heck",
        "encrypt small.hecm --data data.npz",
        "eval small.hecp",
        "decrypt small.hecm",
        "run small.hec --data data.npz",
        "inspect small.hecm",
    ] {
        assert_eq!(folder.hecc(&format!("{line} --memory 0")).status.code(), Some(2), "{line}");
        let said = folder.refuses(&format!("{line} --memory 1M"));
        assert!(said.contains("error[H082]") && said.contains("1.0 MB are allowed"), "{said}");
    }
}

#[test]
fn values_that_are_too_large_are_not_called_too_deep() {
    let folder = Folder::new();
    folder.write("large.hec", MODEL.replace("square(h)", "poly(h, [0, 0, 1e60])"));
    for options in ["", "--range-bound", "--optimize throughput"] {
        let said = folder.refuses(&format!("compile large.hec {options}"));
        assert!(said.contains("values are too large") && !said.contains("levels"), "{said}");
    }
    let said = folder.refuses("compile large.hec");
    assert!(said.contains("error[H062]") && said.contains("encoding its weights takes"), "{said}");
}

#[test]
fn samples_are_mentioned_where_there_were_some() {
    let folder = Folder::new();
    let served = |options: &str| {
        let said = folder.prints(&format!("compile small.hec {options}"));
        said.lines().find(|line| line.starts_with("serves inputs")).unwrap().to_owned()
    };
    assert!(served("").contains("there were no samples (see --calibrate)"));
    assert!(served("--calibrate data.npz").contains("like the samples"));
}
