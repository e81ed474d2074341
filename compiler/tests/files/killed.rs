//! Commands that are killed at any moment. `HECC_KILLS=1000` kills that often.

use crate::folder::Folder;
use crate::{DRAFT, MODEL};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Times that a command is killed.
fn n_kills() -> u32 {
    std::env::var("HECC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

impl Folder {
    fn start(&self, line: &str) -> std::process::Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
        command.current_dir(self.path("")).args(line.split(' '));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command and signals it at several moments between its start and its end; `then` looks at what it leaves
    /// each time.
    fn killed(&self, line: &str, signal: &str, mut then: impl FnMut(&Folder)) {
        let start = Instant::now();
        assert!(self.start(line).wait().unwrap().success(), "{line}");
        then(self);
        let whole = start.elapsed();
        for kill in 0..n_kills() {
            // The end is where names change.
            let share = 1.2 - 0.8 * f64::from(kill * 13 % 29) / 29.0;
            let mut child = self.start(line);
            std::thread::sleep(whole.mul_f64(share).min(Duration::from_secs(60)));
            let id = child.id().to_string();
            let _ = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status();
            child.wait().unwrap();
            then(self);
        }
    }

    fn has_drafts(&self) -> bool {
        self.names().iter().any(|name| name.starts_with(DRAFT))
    }
}

#[test]
fn new_keys_are_there_together_or_not_at_all() {
    let folder = Folder::new();
    folder.prints("compile small.hec");
    folder.killed("keygen small.hecm", "-KILL", |folder| {
        let names = folder.names();
        let (secret, keys) = (names.contains("small.hecs"), names.contains("small.heck"));
        assert!(keys || !secret, "a secret without keys");
        assert!(!secret || folder.goes_round("small.hecs", "small.heck"));
        assert!(!folder.has_drafts());
        for name in ["small.hecs", "small.heck"] {
            let _ = std::fs::remove_file(folder.path(name));
        }
    });
}

#[test]
fn keys_that_are_replaced_are_old_or_new() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    let first = folder.contents(&["small.hecs", "small.heck"]);
    for signal in ["-KILL", "-TERM", "-INT"] {
        folder.killed("keygen small.hecm --force", signal, |folder| {
            // Whatever was left unfinished is tidied up before it is refused.
            folder.hecc("keygen small.hecm");
            assert!(!folder.has_drafts());
            assert!(folder.goes_round("small.hecs", "small.heck"));
        });
    }
    assert!(folder.contents(&["small.hecs.1", "small.heck.1"]) == first);
    assert!(folder.decrypts_right("small.hecs.1", "result.hect"));
}

#[test]
fn other_outputs_are_old_or_new() {
    let folder = Folder::deployed();
    folder.write("small.hec", MODEL);
    folder.prints("eval small.hecp");
    folder.killed("eval small.hecp", "-KILL", |folder| {
        assert!(folder.decrypts_right("small.hecs", "result.hect"))
    });
    folder.killed("encrypt small.hecm --data data.npz", "-KILL", |folder| {
        folder.prints("eval small.hecp");
        assert!(folder.decrypts_right("small.hecs", "result.hect"));
    });
    assert!(!folder.has_drafts());
}

/// Drafts of a process that was killed where files have names from the start.
#[test]
fn what_others_left_is_swept() {
    let folder = Folder::deployed();
    folder.write(".hecc-0123456789ab.tmp", "left");
    folder.write(".hecc-notes.tmp", "a file of someone else");
    folder.prints("encrypt small.hecm --data data.npz");
    let names = folder.names();
    assert!(!names.contains(".hecc-0123456789ab.tmp") && names.contains(".hecc-notes.tmp"));
}
