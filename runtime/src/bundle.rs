//! The bytes a client and a server exchange, and the client's key file.
//!
//! Every bundle starts with a header: magic, [`Kind`], format number, the
//! [`Fingerprint`] of the manifest it belongs to, the [`KeyId`] of the key pair it was
//! made with, length of the payload and a checksum of all of it. The checksum finds
//! damage, not forgery. A reader allocates nothing that the bytes at hand do not pay for.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `HECB` |
//! | 4 | kind |
//! | 5..7 | format number, little-endian as all numbers |
//! | 7..39 | fingerprint |
//! | 39..55 | key pair |
//! | 55..63 | payload length |
//! | 63..71 | first bytes of SHA-256 of bytes 0..63 and the payload |
//! | 71.. | payload |
//!
//! Inputs and their results start with the same [`Question`].

pub(crate) mod cts;

use hecc_ir::Manifest;
use hecc_ir::program::Port;
use sha2::{Digest, Sha256};
use std::fmt;

/// Format number written; others are refused.
pub const FORMAT: u16 = 2;

const MAGIC: [u8; 4] = *b"HECB";
const FINGERPRINT: usize = 7;
const KEYS: usize = 39;
const LENGTH: usize = 55;
const CHECKED: usize = 63;
/// Bytes before the payload: those that [`announced`] looks at.
pub const HEADER: usize = 71;
/// Bytes that a bundle has besides keys and residues, and that each key or ciphertext in it has, at most.
const OVERHEAD: u64 = 1 << 10;

/// What a bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Evaluation keys of one client for one program.
    EvalKeys = 1,
    /// Encrypted inputs.
    Inputs = 2,
    /// Encrypted results.
    Results = 3,
    /// A client's secret key. Never leaves the client.
    SecretKey = 4,
}

impl Kind {
    /// The kind of the bundle that starts with these bytes, if it is one.
    pub fn of(start: &[u8]) -> Option<Kind> {
        let &tag = start.strip_prefix(&MAGIC)?.first()?;
        let all = [Kind::EvalKeys, Kind::Inputs, Kind::Results, Kind::SecretKey];
        all.into_iter().find(|&kind| kind as u8 == tag)
    }

    /// Most bytes that a bundle of this kind has for a manifest, which is expected to verify.
    pub fn max_bytes(self, manifest: &Manifest) -> u64 {
        let n_cts = |ports: &[Port]| ports.iter().map(|port| port.layout.n_cts as u64).sum::<u64>();
        let (contents, n_pieces) = match self {
            Kind::EvalKeys => (manifest.key_bytes(), manifest.keys.rotations.len() as u64 + 1),
            Kind::Inputs => (manifest.port_bytes(), n_cts(&manifest.inputs)),
            Kind::Results => (manifest.port_bytes(), n_cts(&manifest.outputs)),
            Kind::SecretKey => (manifest.params.ring_degree as u64, 1),
        };
        contents.saturating_add(OVERHEAD * (n_pieces + 1))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::EvalKeys => "evaluation keys",
            Kind::Inputs => "encrypted inputs",
            Kind::Results => "encrypted results",
            Kind::SecretKey => "a secret key",
        })
    }
}

/// Why bytes are not the bundle that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The bytes do not start like a bundle.
    #[error("these bytes are not a hecc bundle")]
    Magic,
    /// A bundle that holds something else.
    #[error("expected {expected}, found {}", .found.map_or("an unknown kind".into(), |kind| kind.to_string()))]
    Kind {
        /// What was needed.
        expected: Kind,
        /// What the header says, if it is known.
        found: Option<Kind>,
    },
    /// A bundle of another version of hecc.
    #[error("bundle format {found}, this version reads format {FORMAT}")]
    Format {
        /// Format number in the header.
        found: u16,
    },
    /// A bundle made for another program.
    #[error("made for another program: its manifest is {found}, this one is {expected}")]
    OtherManifest {
        /// Fingerprint of the manifest in use.
        expected: Fingerprint,
        /// Fingerprint in the header.
        found: Fingerprint,
    },
    /// A bundle made with the keys of another key pair.
    #[error("made with another key pair: its keys are {found}, these are {expected}")]
    OtherKeys {
        /// Identity of the keys in use.
        expected: KeyId,
        /// Identity in the header.
        found: KeyId,
    },
    /// Results of other inputs.
    #[error("the result of another input: it answers {found}, asked was {expected}")]
    OtherQuestion {
        /// What was asked.
        expected: Question,
        /// What is answered.
        found: Question,
    },
    /// The bytes end early, or go on after the end.
    #[error("the bundle is cut off or too long")]
    Length,
    /// The bytes were changed.
    #[error("the bundle is damaged: its checksum does not match")]
    Checksum,
    /// The header is fine, the contents are not.
    #[error("the bundle is malformed: {0}")]
    Malformed(String),
}

/// Identity of a manifest: SHA-256 of its serialisation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a manifest.
    pub fn of(manifest: &Manifest) -> Fingerprint {
        let bytes = postcard::to_allocvec(manifest).expect("a manifest serialises to memory");
        Fingerprint(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0[..6], f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Defines random bytes that tell things of one kind apart and say nothing else of them.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws one.
            #[cfg(feature = "client")]
            pub(crate) fn draw() -> Result<$name, hecc_ckks::Error> {
                Ok($name(hecc_ckks::public_bytes()?))
            }
        }

        /// Its first bytes, as hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0[..6], f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

random_id! {
    /// Identity of a secret key and the evaluation keys made of it. It is drawn beside the secret, not
    /// derived from it, and anyone may know it.
    KeyId
}

random_id! {
    /// Identity of one encryption of inputs.
    InputId
}

/// The encryption that a bundle of inputs is, and that a bundle of results answers. A client
/// keeps it to know the answer from those to other inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Which encryption.
    pub input: InputId,
    /// Samples that were encrypted together.
    pub n_samples: usize,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input {} with {} samples", self.input, self.n_samples)
    }
}

impl Question {
    /// What a bundle of inputs asks.
    ///
    /// # Errors
    /// When the bytes are no such bundle, or a damaged one.
    pub fn of(inputs: &[u8]) -> Result<Question, BundleError> {
        Question::read(&mut Reader::sound(inputs, Kind::Inputs)?)
    }

    /// What a bundle of results answers.
    ///
    /// # Errors
    /// When the bytes are no such bundle, or a damaged one.
    pub fn answered(results: &[u8]) -> Result<Question, BundleError> {
        Question::read(&mut Reader::sound(results, Kind::Results)?)
    }

    /// Refuses another question than this one.
    ///
    /// # Errors
    /// [`BundleError::OtherQuestion`].
    pub fn check(&self, found: Question) -> Result<(), BundleError> {
        match found == *self {
            true => Ok(()),
            false => Err(BundleError::OtherQuestion { expected: *self, found }),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.0.extend(self.input.0);
        writer.count(self.n_samples);
    }

    fn read(reader: &mut Reader) -> Result<Question, BundleError> {
        let input = InputId(reader.array()?);
        Ok(Question { input, n_samples: reader.count()? })
    }
}

/// Builds a bundle.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Starts a bundle; `capacity` bytes of payload fit without reallocation,
    /// which would leave copies of secrets behind.
    pub(crate) fn new(kind: Kind, fingerprint: &Fingerprint, keys: &KeyId, capacity: usize) -> Writer {
        let mut bytes = Vec::with_capacity(HEADER + capacity);
        bytes.extend(MAGIC);
        bytes.push(kind as u8);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(fingerprint.0);
        bytes.extend(keys.0);
        bytes.resize(HEADER, 0);
        Writer(bytes)
    }

    /// Appends a number.
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    /// Appends a count.
    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// Appends a string of bytes and its length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    /// Appends what `write` appends, and its length before it.
    pub(crate) fn part<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let at = self.0.len();
        self.count(0);
        write(&mut self.0)?;
        let length = (self.0.len() - at - size_of::<u64>()) as u64;
        self.0[at..at + size_of::<u64>()].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Fills in length and checksum.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - HEADER) as u64;
        self.0[LENGTH..CHECKED].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&self.0);
        self.0[CHECKED..HEADER].copy_from_slice(&checksum);
        self.0
    }
}

/// Reads a payload piece by piece.
pub(crate) struct Reader<'a> {
    keys: KeyId,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the header of a bundle for a manifest.
    pub(crate) fn open(bytes: &'a [u8], kind: Kind, fingerprint: &Fingerprint) -> Result<Self, BundleError> {
        announced(bytes, kind, fingerprint)?;
        Reader::sound(bytes, kind)
    }

    /// Checks the header of a bundle for any manifest.
    fn sound(bytes: &'a [u8], kind: Kind) -> Result<Self, BundleError> {
        if length(bytes, kind)? != bytes.len() as u64 {
            return Err(BundleError::Length);
        }
        if checksum(bytes) != bytes[CHECKED..HEADER] {
            return Err(BundleError::Checksum);
        }
        Ok(Reader { keys: KeyId(bytes_at(bytes, KEYS)?), rest: &bytes[HEADER..] })
    }

    /// The key pair that the bundle was made with.
    pub(crate) fn keys(&self) -> KeyId {
        self.keys
    }

    /// Refuses a bundle that was made with other keys.
    pub(crate) fn expect_keys(&self, expected: KeyId) -> Result<(), BundleError> {
        match self.keys == expected {
            true => Ok(()),
            false => Err(BundleError::OtherKeys { expected, found: self.keys }),
        }
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Result<u64, BundleError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BundleError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(BundleError::Length)?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next count.
    pub(crate) fn count(&mut self) -> Result<usize, BundleError> {
        usize::try_from(self.number()?).map_err(|_| BundleError::Length)
    }

    /// The next string of bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], BundleError> {
        let length = self.count()?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(BundleError::Length)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), BundleError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BundleError::Length) }
    }
}

/// Bytes of the whole bundle that starts with these: the first [`HEADER`] of it, or all of a shorter one.
/// Whoever reads from elsewhere than memory learns from it how much there is to read.
///
/// # Errors
/// When they do not start a bundle of this kind and format for this manifest.
pub fn announced(start: &[u8], expected: Kind, fingerprint: &Fingerprint) -> Result<u64, BundleError> {
    let length = length(start, expected)?;
    match Fingerprint(bytes_at(start, FINGERPRINT)?) {
        found if found == *fingerprint => Ok(length),
        found => Err(BundleError::OtherManifest { expected: *fingerprint, found }),
    }
}

/// The same of a bundle for any manifest.
fn length(start: &[u8], expected: Kind) -> Result<u64, BundleError> {
    if !start.starts_with(&MAGIC) {
        return Err(BundleError::Magic);
    }
    if start.len() < HEADER {
        return Err(BundleError::Length);
    }
    let found = u16::from_le_bytes(bytes_at(start, 5)?);
    if found != FORMAT {
        return Err(BundleError::Format { found });
    }
    let found = Kind::of(start);
    if found != Some(expected) {
        return Err(BundleError::Kind { expected, found });
    }
    Ok(u64::from_le_bytes(bytes_at(start, LENGTH)?).saturating_add(HEADER as u64))
}

/// The bytes of a field of the header.
fn bytes_at<const N: usize>(bytes: &[u8], start: usize) -> Result<[u8; N], BundleError> {
    bytes.get(start..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(BundleError::Length)
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::new_with_prefix(&bytes[..CHECKED]).chain_update(&bytes[HEADER..]).finalize();
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests;
