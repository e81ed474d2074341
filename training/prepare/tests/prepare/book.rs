//! What the book says about training, as a reader would type it.

#![cfg(unix)]

use hecc::front::{LoadOptions, load};
use std::path::Path;
use std::process::Command;

/// Lines of a page's code blocks that are to run.
fn lines(page: &str) -> impl Iterator<Item = &str> {
    page.split("\n```").filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines)
}

#[test]
fn commands_run() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(repository.join("examples"), folder.path().join("examples")).unwrap();
    let page = std::fs::read_to_string(repository.join("book/src/preparing.md")).unwrap();
    let steps: Vec<&str> = lines(&page).filter_map(|line| line.strip_prefix("hecc prepare ")).collect();
    for step in &steps {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc-prepare"));
        let output = command.current_dir(folder.path()).args(step.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{step}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(steps.len(), 2);
    load(&folder.path().join("grouped/lenet5.hec"), &LoadOptions::default()).unwrap();
}
