//! Programs in a process that has no memory for their weights, which is no damage of their files.

use hecc_ir::machine::{Bound, Excess, bound_process};
use hecc_ir::testing::{circuit_from, program_of};
use hecc_ir::{ArtifactError, Stage, read_manifest, read_program, write_manifest, write_program};

#[test]
fn weights_without_room_are_told_from_damage() {
    let circuit = |seed: usize| {
        circuit_from(Stage::Leveled, &std::array::from_fn::<u32, 60, _>(|i| (i * i + seed) as u32))
    };
    let mut programs = (0..64).map(|seed| program_of(&circuit(seed)));
    let program = programs.find(|program| !program.consts.is_empty()).expect("some have weights");
    let (bytes, manifest) = (write_program(&program), write_manifest(&program.manifest));
    bound_process(Bound::Bytes(1));
    assert!(matches!(read_program(&bytes), Err(ArtifactError::Memory(Excess { available: 0 | 1, .. }))));
    assert_eq!(read_manifest(&manifest), Ok(program.manifest.clone()));
    bound_process(Bound::Free);
    assert_eq!(read_program(&bytes), Ok(program));
}
