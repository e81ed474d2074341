//! Files: exact round trips, one error per kind of damage, no panics.

use hecc_ir::artifact::Kind;
use hecc_ir::testing::{circuit_from, program_of, programs};
use hecc_ir::{ArtifactError, Program, Stage, read_manifest, read_program, write_manifest, write_program};
use proptest::prelude::*;

fn sample() -> Program {
    program_of(&circuit_from(Stage::Leveled, &std::array::from_fn::<u32, 60, _>(|i| (i * i) as u32)))
}

/// A file with a checksum that matches its altered contents.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..15]);
    hasher.update(&bytes[19..]);
    bytes[15..19].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

proptest! {
    #[test]
    fn generated_programs_verify(program in programs()) {
        prop_assert_eq!(program.verify(), Ok(()));
    }

    #[test]
    fn files_survive_a_round_trip(program in programs()) {
        prop_assert_eq!(&read_program(&write_program(&program)).unwrap(), &program);
        prop_assert_eq!(&read_manifest(&write_manifest(&program.manifest)).unwrap(), &program.manifest);
    }

    #[test]
    fn damage_is_found(program in programs(), at: prop::sample::Index, flip in 1u8..) {
        let mut bytes = write_program(&program);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(read_program(&bytes).is_err());
    }

    /// Forged files are refused or verify; they never panic.
    #[test]
    fn forged_files_are_checked(
        program in programs(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = write_program(&program);
        for (at, value) in edits {
            let at = 19 + at.index(bytes.len() - 19);
            bytes[at] = value;
        }
        if let Ok(forged) = read_program(&resealed(bytes)) {
            prop_assert_eq!(forged.verify(), Ok(()));
        }
    }
}

#[test]
fn each_damage_has_its_error() {
    let program = sample();
    let bytes = write_program(&program);
    let altered = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        read_program(&bytes)
    };
    let manifest = write_manifest(&program.manifest);
    let kinds = (Kind::Program, Kind::Manifest);
    assert_eq!(read_program(b""), Err(ArtifactError::NotAnArtifact));
    assert_eq!(altered(0, b'X'), Err(ArtifactError::NotAnArtifact));
    assert_eq!(read_program(&manifest), Err(ArtifactError::WrongKind { expected: kinds.0, found: kinds.1 }));
    assert_eq!(altered(5, 9), Err(ArtifactError::OtherFormat { kind: Kind::Program, found: 9 }));
    assert_eq!(altered(bytes.len() - 1, bytes[bytes.len() - 1] ^ 1), Err(ArtifactError::Checksum));
    assert_eq!(read_program(&[bytes.as_slice(), b"more"].concat()), Err(ArtifactError::TrailingBytes(4)));
    for length in 1..bytes.len() {
        assert!(
            matches!(read_program(&bytes[..length]), Err(ArtifactError::Truncated { .. })),
            "{length} bytes"
        );
    }
    let mut invalid = program.clone();
    invalid.outputs.clear();
    assert!(matches!(read_program(&write_program(&invalid)), Err(ArtifactError::Invalid(_))));
    let mut longer = bytes.clone();
    longer.push(0);
    let length = longer.len() as u64 - 19;
    longer[7..15].copy_from_slice(&length.to_le_bytes());
    assert_eq!(read_program(&resealed(longer)), Err(ArtifactError::TrailingBytes(1)));
}
