//! Headers and pieces, intact and damaged.

use super::*;

const MANIFEST: Fingerprint = Fingerprint([7; 32]);
const KEY_PAIR: KeyId = KeyId([9; 16]);

fn bundle() -> Vec<u8> {
    let mut writer = Writer::new(Kind::Inputs, &MANIFEST, &KEY_PAIR, 64);
    writer.count(3);
    writer.bytes(b"contents");
    writer.finish()
}

fn open(bytes: &[u8]) -> Result<(usize, Vec<u8>), BundleError> {
    let mut reader = Reader::open(bytes, Kind::Inputs, &MANIFEST)?;
    reader.expect_keys(KEY_PAIR)?;
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
    assert_eq!(open(&resealed(5, 1)), Err(BundleError::Format { found: 1 }));
    assert!(matches!(open(&resealed(20, 8)), Err(BundleError::OtherManifest { .. })));
    assert!(matches!(open(&resealed(40, 8)), Err(BundleError::OtherKeys { .. })));
}

#[test]
fn announced_lengths_are_not_trusted() {
    for at in HEADER + 8..HEADER + 16 {
        assert_eq!(open(&resealed(at, 0xff)), Err(BundleError::Length));
    }
}

/// A bundle that asks or answers.
fn asking(kind: Kind, question: Question) -> Vec<u8> {
    let mut writer = Writer::new(kind, &MANIFEST, &KEY_PAIR, 0);
    question.write(&mut writer);
    writer.finish()
}

#[test]
fn answers_to_other_questions_are_refused() {
    let asked = |byte, n_samples| Question { input: InputId([byte; 16]), n_samples };
    let question = Question::of(&asking(Kind::Inputs, asked(1, 2))).unwrap();
    assert_eq!(question, asked(1, 2));
    let answer = |found| question.check(Question::answered(&asking(Kind::Results, found)).unwrap());
    assert_eq!(answer(question), Ok(()));
    for other in [asked(2, 2), asked(1, 3)] {
        let refused = BundleError::OtherQuestion { expected: question, found: other };
        assert_eq!(answer(other), Err(refused));
    }
    assert!(matches!(Question::of(&asking(Kind::Results, question)), Err(BundleError::Kind { .. })));
    let mut damaged = asking(Kind::Results, question);
    damaged[HEADER] ^= 1;
    assert_eq!(Question::answered(&damaged), Err(BundleError::Checksum));
}
