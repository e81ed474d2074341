//! Checkpoint files, from which work that was stopped goes on.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `HECT` |
//! | 4..6 | format number, little-endian |
//! | 6..38 | SHA-256 of the work: its settings, the model, the samples |
//! | 38..70 | SHA-256 of what follows |
//! | 70.. | where the work is, in postcard's encoding |
//!
//! Whoever takes up the work checks that its place in the file makes sense; here it is only
//! checked that the file is whole and belongs to the same work.

use super::interrupt;
use hecc::cli::files::{Kind, Output, Outputs};
use hecc::cli::form::{Form, notice};
use hecc::diag::{Code, Diagnostic, Diagnostics, Label};
use hecc::front::MAX_BYTES;
use hecc::front::file::read_at_most;
use hecc::model::Model;
use hecc_train::{Flow, Samples};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"HECT";
const FORMAT: u16 = 1;
const HASH: usize = 32;
/// Elements that are hashed at once.
const PIECE: usize = 1 << 12;

/// SHA-256 of some bytes.
type Hash = [u8; HASH];

/// The hash of everything that some work follows from.
pub struct Identity(Sha256);

impl Identity {
    /// Of work that is called so.
    pub fn of(step: &str) -> Identity {
        Identity(Sha256::new()).with(env!("CARGO_PKG_VERSION").as_bytes()).with(step.as_bytes())
    }

    /// And of some bytes.
    pub fn with(mut self, bytes: &[u8]) -> Identity {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// And of all weights of a model.
    pub fn with_weights(mut self, model: &Model) -> Identity {
        let parameters = model.layers.iter().filter_map(|layer| layer.kind.parameters());
        for numbers in parameters.flatten() {
            self = self.with_numbers(numbers);
        }
        self
    }

    fn with_numbers(mut self, numbers: &[f64]) -> Identity {
        self.0.update((numbers.len() as u64).to_le_bytes());
        for piece in numbers.chunks(PIECE) {
            self.0.update(piece.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        self
    }

    /// And of some samples.
    pub fn with_samples(mut self, samples: &Samples) -> Identity {
        self.0.update((samples.elements.len() as u64).to_le_bytes());
        for piece in samples.elements.chunks(PIECE) {
            self.0.update(piece.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        let labels: Vec<u8> = samples.labels.iter().flat_map(|&label| (label as u64).to_le_bytes()).collect();
        self.with(&labels)
    }
}

/// The checkpoint file of some work.
pub struct Checkpoints {
    path: PathBuf,
    work: Hash,
    outputs: Outputs,
    is_there: bool,
    /// Why the last checkpoint could not be written.
    problem: Option<Diagnostics>,
}

impl Checkpoints {
    /// At a path, for some work, under the rules for what it writes.
    pub fn new(path: PathBuf, work: Identity, outputs: Outputs) -> Checkpoints {
        Checkpoints { path, work: work.0.finalize().into(), outputs, is_there: false, problem: None }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the work was stopped, if there is a file; said on standard error. The file is
    /// not looked at when the work is to start over.
    pub fn find<T: DeserializeOwned>(&mut self, restart: bool, form: Form) -> Result<Option<T>, Diagnostics> {
        if restart || !self.path.exists() {
            return Ok(None);
        }
        let bytes = read_at_most(&self.path, MAX_BYTES)?;
        let place = parse(&bytes, &self.work).map_err(|cause| refused(&self.path, cause))?;
        self.is_there = true;
        if form == Form::Text {
            notice(&format!("going on from {}\n", self.path.display()));
        }
        Ok(Some(place))
    }

    /// Writes where the work is. Work that cannot be kept is stopped.
    pub fn keep<T: Serialize>(&mut self, place: &T) -> Flow {
        let bytes = file(&self.work, place);
        match self.outputs.write(&[Output { path: &self.path, kind: Kind::Checkpoint, bytes: &bytes }]) {
            Ok(_) => {
                self.is_there = true;
                if interrupt::is_asked() { Flow::Stop } else { Flow::Continue }
            }
            Err(problem) => {
                self.problem = Some(problem);
                Flow::Stop
            }
        }
    }

    /// Why the work stopped, when it was not by itself.
    pub fn stopped(&mut self) -> Diagnostics {
        if let Some(problem) = self.problem.take() {
            return problem;
        }
        let help = match self.is_there {
            true => "run the same command again, without --restart, to go on from the checkpoint",
            false => "run the same command again: there is no checkpoint yet",
        };
        let place = Label::file(self.path.display().to_string(), "");
        Diagnostic::error(Code::Stopped, "training was stopped").label(place).help(help).into()
    }

    /// Removes the file once there is a result. One that stays does no harm: the same
    /// command would end with the same result.
    pub fn remove(&self) {
        if self.is_there {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A file that cannot be gone on from.
pub fn refused(path: &Path, cause: &str) -> Diagnostics {
    let place = Label::file(path.display().to_string(), cause);
    let help = "run the command that wrote it, choose another --output, or start over with --restart";
    Diagnostic::error(Code::BadCheckpoint, "cannot go on from this checkpoint").label(place).help(help).into()
}

fn file<T: Serialize>(work: &Hash, place: &T) -> Vec<u8> {
    let place = postcard::to_stdvec(place).expect("plain data can be encoded");
    let hash: Hash = Sha256::digest(&place).into();
    [&MAGIC[..], &FORMAT.to_le_bytes(), work, &hash, &place].concat()
}

fn parse<T: DeserializeOwned>(bytes: &[u8], work: &Hash) -> Result<T, &'static str> {
    let (magic, rest) = bytes.split_first_chunk().ok_or("is no checkpoint of hecc")?;
    if magic != MAGIC {
        return Err("is no checkpoint of hecc");
    }
    let (format, rest) = rest.split_first_chunk().ok_or("ends early")?;
    if u16::from_le_bytes(*format) != FORMAT {
        return Err("was written by another version of hecc");
    }
    let (found, rest) = rest.split_first_chunk::<HASH>().ok_or("ends early")?;
    let (hash, place) = rest.split_first_chunk::<HASH>().ok_or("ends early")?;
    if Sha256::digest(place).as_slice() != hash {
        return Err("is damaged");
    }
    if found != work {
        return Err("belongs to work on another model or samples, or with other settings");
    }
    postcard::from_bytes(place).map_err(|_| "does not decode")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(step: &str) -> Hash {
        Identity::of(step).with(b"model").0.finalize().into()
    }

    fn parsed(bytes: &[u8]) -> Result<Vec<f32>, &'static str> {
        parse(bytes, &work("train"))
    }

    #[test]
    fn what_is_written_is_read() {
        let place = vec![0.1f32, -0.0, f32::MIN_POSITIVE / 2.0];
        let found = parsed(&file(&work("train"), &place)).expect("a sound file");
        assert!(found.iter().map(|x| x.to_bits()).eq(place.iter().map(|x| x.to_bits())));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = file(&work("train"), &vec![0.1f32, 2.0]);
        for n in 0..bytes.len() {
            assert!(parsed(&bytes[..n]).is_err(), "cut to {n}");
            let mut changed = bytes.clone();
            changed[n] ^= 1;
            assert!(parsed(&changed).is_err(), "byte {n}");
        }
    }

    #[test]
    fn work_differs_by_all_that_defines_it() {
        let samples = |label| Samples { shape: [1].into(), elements: vec![0.5], labels: vec![label] };
        let of = |step: &str, model: &[u8], label| -> Hash {
            Identity::of(step).with(model).with_samples(&samples(label)).0.finalize().into()
        };
        let all = [of("a", b"b", 0), of("ab", b"", 0), of("a", b"c", 0), of("a", b"b", 1)];
        for (at, hash) in all.iter().enumerate() {
            assert!(!all[..at].contains(hash));
        }
    }

    /// A length from outside takes no memory before there are so many elements.
    #[test]
    fn declared_lengths_are_not_believed() {
        let mut place = vec![0xff; 9];
        place.push(0x01);
        let hash: Hash = Sha256::digest(&place).into();
        let bytes = [&MAGIC[..], &FORMAT.to_le_bytes(), &work("train"), &hash, &place].concat();
        assert_eq!(parsed(&bytes), Err("does not decode"));
    }
}
