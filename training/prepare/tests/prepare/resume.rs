//! Preparation stops, goes on, and ends as if it had not stopped.

#![cfg(unix)]

use crate::bars::Folder;
use crate::group;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TRAIN: &str = "train bars.hec --data bars --epochs 100 --minibatch 20 --rate 5e-3";
const FRIENDLY: &str = "friendly bars.hec --data bars --epochs 100 --minibatch 20 --distill 0";

const GROUP: &str = "group deep.hec --data bars --groups d=4 --groups e=2 --epochs 50 --last-epochs 20 --minibatch 20 \
    --max-loss 100";

const PRUNE: &str = "prune bars.hec --data bars --block h=1x1 --keep 0 --steps 500 --epochs 1 --minibatch 20 \
    --max-loss 100 --last-epochs 1";

impl Folder {
    /// Starts a command and signals it as soon as a checkpoint is there.
    fn signalled(&self, line: &str, signal: &str, checkpoint: &str) -> String {
        let mut command = self.command(line);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while !self.path(checkpoint).exists() {
            assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint in time");
            std::thread::sleep(Duration::from_millis(2));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success(), "it was to be stopped");
        assert!(self.path(checkpoint).exists());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs with files of at most a block, and returns what it says.
    fn without_room(&self, line: &str) -> String {
        let hecc = env!("CARGO_BIN_EXE_hecc-prepare");
        let script = format!("trap '' XFSZ; ulimit -f 1; exec '{hecc}' {line}");
        let output = Command::new("sh").current_dir(self.path("")).args(["-c", &script]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// What a preparation leaves behind when it is done.
const RESULT: [&str; 3] = ["bars-samples.npz", "bars.hec", "bars.npz"];

fn assert_goes_on(line: &str, signal: &str, checkpoint: &str) -> String {
    let folder = group::folder();
    folder.json(&format!("{line} -o whole"));
    let said = folder.signalled(&format!("{line} -o out"), signal, &format!("out/{checkpoint}"));
    assert_eq!(folder.names("out"), [checkpoint]);
    let output = folder.run(&format!("{line} -o out"));
    assert!(output.status.success());
    let goes_on = String::from_utf8(output.stderr).unwrap();
    assert!(goes_on.contains(&format!("going on from out/{checkpoint}")), "{goes_on}");
    assert_eq!(folder.names("out"), RESULT);
    for name in RESULT {
        assert_eq!(folder.bytes(&format!("out/{name}")), folder.bytes(&format!("whole/{name}")), "{name}");
    }
    said
}

#[test]
fn training_that_was_interrupted_goes_on() {
    let said = assert_goes_on(TRAIN, "-INT", "bars-train.checkpoint");
    assert!(said.contains("H077") && said.contains("run the same command again"), "{said}");
}

#[test]
fn a_conversion_that_was_killed_goes_on() {
    let said = assert_goes_on(FRIENDLY, "-KILL", "bars-friendly.checkpoint");
    assert!(!said.contains("H077"), "{said}");
}

#[test]
fn pruning_that_was_interrupted_goes_on() {
    let said = assert_goes_on(PRUNE, "-INT", "bars-prune.checkpoint");
    assert!(said.contains("H077") && said.contains("run the same command again"), "{said}");
}

#[test]
fn grouping_that_was_interrupted_goes_on() {
    let said = assert_goes_on(GROUP, "-INT", "bars-group.checkpoint");
    assert!(said.contains("H077") && said.contains("run the same command again"), "{said}");
}

#[test]
fn checkpoints_of_other_work_are_refused() {
    let folder = Folder::new();
    let checkpoint = "out/bars-train.checkpoint";
    folder.signalled(&format!("{TRAIN} -o out"), "-INT", checkpoint);
    let sound = folder.bytes(checkpoint);
    let others = [
        format!("{TRAIN} --seed 2"),
        format!("{TRAIN} --limit 90"),
        TRAIN.replace("--epochs 100", "--epochs 101"),
        TRAIN.replace("--minibatch 20", "--minibatch 21"),
    ];
    for other in others {
        assert_eq!(folder.code(&format!("{other} -o out")), "H069", "{other}");
    }
    for broken in [&sound[..20], &[0; 200][..], &[&sound[..], &[0]].concat()[..], &[][..]] {
        std::fs::write(folder.path(checkpoint), broken).unwrap();
        assert_eq!(folder.code(&format!("{TRAIN} -o out")), "H069");
        assert_eq!(folder.bytes(checkpoint), broken, "it is left as it is");
    }
    folder.json("train bars.hec --data bars --epochs 1 --limit 60 -o out --restart");
    assert_eq!(folder.names("out"), RESULT);
}

/// A full disk costs no more than the present epoch.
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let folder = Folder::new();
    let (line, checkpoint) = (format!("{TRAIN} -o out"), "out/bars-train.checkpoint");
    let said = folder.without_room(&line);
    assert!(said.contains("H070") && said.contains("bars-train.checkpoint"), "{said}");
    assert_eq!(folder.names("out"), [""; 0]);
    folder.signalled(&line, "-INT", checkpoint);
    let before = folder.bytes(checkpoint);
    assert!(folder.without_room(&line).contains("H070"));
    assert_eq!((folder.bytes(checkpoint), folder.names("out").len()), (before, 1));
    std::fs::write(folder.path("file"), "").unwrap();
    assert_eq!(folder.code(&format!("{TRAIN} -o file/out")), "H070");
}
