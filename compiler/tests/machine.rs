//! Which instructions of its machine the command uses.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::process::Command;

#[test]
fn instructions_are_limited_by_those_there_are() {
    let explain = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
        command.args(["explain", "H021"]).env("HECC_INSTRUCTIONS", name).output().unwrap()
    };
    assert!(explain("avx2").status.success());
    let refused = explain("sse9");
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    for part in ["there are no instructions `sse9`", "HECC_INSTRUCTIONS", "portable, avx2, avx512"] {
        assert!(said.contains(part), "{said}");
    }
}
