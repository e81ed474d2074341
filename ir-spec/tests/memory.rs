//! Files with long lists of nothing are refused before these take much memory.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers outside of test functions

use hecc_ir::artifact::Kind;
use hecc_ir::machine::{Bound, bound_process};
use hecc_ir::testing::{circuit_from, program_of};
use hecc_ir::{
    ArtifactError, Manifest, Program, Stage, read_manifest, read_program, write_manifest, write_program,
};
use serde::Serialize;

/// Elements of a list.
const MANY: usize = 1 << 23;
/// Memory of this process: more than its files take, less than such a list would.
const BOUND: usize = 112 << 20;

fn encoded(part: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(part).unwrap()
}

/// A list of many elements of so many bytes each, all zero.
fn hollow(n_bytes: usize) -> Vec<u8> {
    [encoded(&MANY), vec![0; n_bytes * MANY]].concat()
}

/// A file of these contents, in parts.
fn file(kind: Kind, parts: &[Vec<u8>]) -> Vec<u8> {
    let tag: u8 = match kind {
        Kind::Program => 1,
        Kind::Manifest => 2,
    };
    let payload = parts.concat();
    let n_bytes = (payload.len() as u64).to_le_bytes();
    let header = [&b"HECA"[..], &[tag], &kind.format().to_le_bytes(), &n_bytes].concat();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header);
    hasher.update(&payload);
    [header, hasher.finalize().to_le_bytes().to_vec(), payload].concat()
}

/// The fields of a program, in order.
fn fields(program: &Program) -> [Vec<u8>; 9] {
    [
        encoded(&program.manifest),
        encoded(&program.target),
        encoded(&program.consts),
        encoded(&program.plains),
        encoded(&program.types),
        encoded(&program.instrs),
        encoded(&program.source_of),
        encoded(&program.sources),
        encoded(&program.outputs),
    ]
}

/// A file whose first output has this list of the slots that are zero in each ciphertext.
fn with_zeros(manifest: &Manifest, zeros: Vec<u8>) -> Vec<u8> {
    let port = &manifest.outputs[0];
    let expected = port.expected.as_ref().unwrap();
    let parts = [
        encoded(&(&manifest.name, &manifest.params, &manifest.inputs)),
        vec![1],
        encoded(&(&port.name, &port.layout, port.ty, port.range, port.declared, port.basis)),
        vec![1],
        encoded(&(expected.error, expected.coefficient)),
        zeros,
        encoded(&(expected.promise, &manifest.keys)),
    ];
    file(Kind::Manifest, &parts)
}

#[test]
fn lists_of_nothing_are_refused() {
    let program = program_of(&circuit_from(Stage::Leveled, &[7; 60]));
    let mut manifest = program.manifest.clone();
    manifest.outputs.truncate(1);
    let zeros = encoded(&manifest.outputs[0].expected.as_ref().unwrap().zeros);
    assert_eq!(with_zeros(&manifest, zeros), write_manifest(&manifest));
    assert_eq!(file(Kind::Program, &fields(&program)), write_program(&program));
    bound_process(Bound::Bytes(BOUND));
    assert_eq!(read_program(&write_program(&program)).as_ref(), Ok(&program));
    // A plaintext of period one that is stored as runs.
    let runs = [vec![1, 1, 1], hollow(2)].concat();
    for (field, list) in [(2, runs), (5, hollow(4)), (7, hollow(1)), (8, hollow(1))] {
        let mut fields = fields(&program);
        fields[field] = list;
        let bytes = file(Kind::Program, &fields);
        drop(fields);
        let refused = read_program(&bytes).map(|_| ());
        assert!(matches!(refused, Err(ArtifactError::Memory(_))), "field {field}: {refused:?}");
    }
    let refused = read_manifest(&with_zeros(&manifest, hollow(1))).map(|_| ());
    assert!(matches!(refused, Err(ArtifactError::Memory(_))), "{refused:?}");
}
