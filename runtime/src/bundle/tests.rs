//! Headers and pieces, intact and damaged.

use super::*;

const FINGERPRINT: Fingerprint = Fingerprint([7; 32]);

fn bundle() -> Vec<u8> {
    let mut writer = Writer::new(Kind::Inputs, &FINGERPRINT, 64);
    writer.count(3);
    writer.bytes(b"contents");
    writer.finish()
}

fn open(bytes: &[u8]) -> Result<(usize, Vec<u8>), BundleError> {
    let mut reader = Reader::open(bytes, Kind::Inputs, &FINGERPRINT)?;
    let pieces = (reader.count()?, reader.bytes()?.to_vec());
    reader.end()?;
    Ok(pieces)
}

/// The bundle with a byte replaced and its checksum made right again.
fn resealed(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bundle();
    bytes[at] = byte;
    let checksum = checksum(&bytes);
    bytes[CHECKED..HEADER].copy_from_slice(&checksum);
    bytes
}

#[test]
fn pieces_survive_the_way() {
    assert_eq!(open(&bundle()), Ok((3, b"contents".to_vec())));
}

#[test]
fn every_flipped_bit_is_found() {
    for at in 0..bundle().len() {
        for bit in 0..8 {
            let mut damaged = bundle();
            damaged[at] ^= 1 << bit;
            assert!(open(&damaged).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_found() {
    for length in 0..bundle().len() {
        assert!(open(&bundle()[..length]).is_err(), "{length}");
    }
    let mut long = bundle();
    long.push(0);
    assert_eq!(open(&long), Err(BundleError::Length));
}

#[test]
fn refusals_say_what_was_found() {
    let expected = Kind::Inputs;
    let kind = |found| Err(BundleError::Kind { expected, found });
    assert_eq!(open(b"PK\x03\x04"), Err(BundleError::Magic));
    assert_eq!(open(&resealed(4, Kind::EvalKeys as u8)), kind(Some(Kind::EvalKeys)));
    assert_eq!(open(&resealed(4, 99)), kind(None));
    assert_eq!(open(&resealed(5, 2)), Err(BundleError::Format { found: 2 }));
    assert!(matches!(open(&resealed(20, 8)), Err(BundleError::OtherManifest { .. })));
}

#[test]
fn announced_lengths_are_not_trusted() {
    for at in HEADER + 8..HEADER + 16 {
        assert_eq!(open(&resealed(at, 0xff)), Err(BundleError::Length));
    }
}
