//! The server's half: evaluates a program on what clients encrypted.
//!
//! Nothing here can hold a secret key. A [`Server`] is made once per program,
//! a [`Session`] once per client, and both serve any number of threads.

use crate::backend::ckks::{self, Ckks};
use crate::bundle::cts::{Asked, Binding};
use crate::bundle::{Fingerprint, KeyId, Kind, Reader};
use crate::executor::{Progress, silent};
use crate::limits::{Held, Limits};
use crate::{Encoded, Error, Executor, PlainBytes, Prepared, RunCost};
use hecc_ckks::{Context, EvalKeys};
use hecc_ir::{Manifest, Program, artifact};
use std::sync::Arc;

/// A program, verified and encoded, ready for the keys of any client.
pub struct Server {
    context: Arc<Context>,
    fingerprint: Fingerprint,
    encoded: Encoded<Ckks>,
}

impl Server {
    /// Reads a program file, on all cores, within the memory that is free: plaintexts of half of it stay
    /// encoded, and the others are encoded when they are needed.
    ///
    /// # Errors
    /// When the bytes are no valid program, or ciphertexts and keys take more than is free.
    pub fn load(program: &[u8]) -> Result<Server, Error> {
        Server::load_with(program, &Executor::new(None)?, &silent)
    }

    /// Reads a program file for an executor, whose memory for plaintexts and limits bound
    /// what the program can make a server take; `progress` follows the encoding.
    ///
    /// # Errors
    /// When the bytes are no valid program, and as [`Executor::encode`].
    pub fn load_with(program: &[u8], executor: &Executor, progress: Progress) -> Result<Server, Error> {
        Server::of(artifact::read_program(program)?, executor, progress)
    }

    /// As [`Server::load_with`] for a program that was read before and verifies.
    ///
    /// # Errors
    /// As [`Executor::encode`].
    pub fn of(program: Program, executor: &Executor, progress: Progress) -> Result<Server, Error> {
        executor.limits().allow(Held::Ring, program.manifest.ring_bytes())?;
        let context = Context::new(&ckks::params(&program.manifest.params))?;
        let fingerprint = Fingerprint::of(&program.manifest);
        let keyless = backend(&context, &program.manifest, EvalKeys::default());
        let encoded = executor.encode(Arc::new(program), &keyless, progress)?;
        Ok(Server { context, fingerprint, encoded })
    }

    /// What clients need to know.
    pub fn manifest(&self) -> &Manifest {
        &self.encoded.program().manifest
    }

    /// Name of the profile of the machine that the program was compiled for.
    pub fn target(&self) -> &str {
        &self.encoded.program().target
    }

    /// Bytes of ciphertexts in a run, as [`Encoded::ciphertext_bytes`].
    pub fn ciphertext_bytes(&self) -> usize {
        self.encoded.ciphertext_bytes()
    }

    /// What a run will take on this machine, before there are keys: time within a factor of two or so, and most
    /// memory on one thread.
    pub fn forecast(&self) -> RunCost {
        let keyless = backend(&self.context, self.manifest(), EvalKeys::default());
        self.encoded.forecast(&keyless).cloned().unwrap_or_default()
    }

    /// Reads a client's bundle of evaluation keys.
    ///
    /// # Errors
    /// When the bytes are no such bundle for this program, or a key is missing; [`Error::Memory`].
    pub fn session(&self, eval_keys: &[u8]) -> Result<Session, Error> {
        self.encoded.limits().allow(Held::Keys, self.key_bytes(eval_keys.len() as u64))?;
        let mut reader = Reader::open(eval_keys, Kind::EvalKeys, &self.fingerprint)?;
        let (context, fingerprint) = (self.context.clone(), self.fingerprint);
        let binding = Binding { context, fingerprint, keys: reader.keys() };
        let keys = EvalKeys::from_bytes(&self.context, reader.bytes()?)?;
        reader.end()?;
        let prepared = self.encoded.bind(backend(&self.context, self.manifest(), keys))?;
        Ok(Session { binding, prepared })
    }
}

/// Most times as long that residues are in memory as in a bundle: two halves instead of one, in whole bytes.
const UNPACKED: u64 = 4;

impl Server {
    /// Most bytes of memory that a bundle of evaluation keys takes when it is read.
    fn key_bytes(&self, bundle: u64) -> u64 {
        let manifest = self.manifest();
        let is_planned = bundle <= manifest.sent_key_bytes() + manifest.sent_key_bytes() / 8 + (1 << 20);
        if is_planned { manifest.key_bytes() } else { bundle.saturating_mul(UNPACKED) }
    }
}

fn backend(context: &Arc<Context>, manifest: &Manifest, keys: EvalKeys) -> Ckks {
    Ckks::new(context, &manifest.params, keys).with_lanes(manifest.lanes())
}

/// A program with the keys of one client.
pub struct Session {
    binding: Binding,
    prepared: Prepared<Ckks>,
}

/// Encrypted results and what they cost.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Bundle of results for the client.
    pub bundle: Vec<u8>,
    /// Time and memory of the run.
    pub cost: RunCost,
}

impl Session {
    /// The key pair whose evaluation keys these are.
    pub fn keys(&self) -> KeyId {
        self.binding.keys
    }

    /// Evaluates the program on a bundle of inputs.
    ///
    /// # Errors
    /// When the bytes are no bundle of inputs for this program, or were not encrypted with the secret
    /// key that the evaluation keys are of.
    pub fn eval(&self, inputs: &[u8]) -> Result<Reply, Error> {
        self.eval_with(inputs, &silent)
    }

    /// As [`Session::eval`]; tells `progress` of every finished instruction.
    ///
    /// # Errors
    /// As [`Session::eval`].
    pub fn eval_with(&self, inputs: &[u8], progress: Progress) -> Result<Reply, Error> {
        self.eval_within(inputs, self.prepared.limits(), progress)
    }

    /// As [`Session::eval_with`], within limits of this run instead of those of the executor.
    ///
    /// # Errors
    /// As [`Session::eval`], and [`Prepared::run_within`].
    pub fn eval_within(&self, inputs: &[u8], limits: &Limits, progress: Progress) -> Result<Reply, Error> {
        self.prepared.check_limits(limits)?;
        let manifest = &self.prepared.program().manifest;
        let Asked { question, ports } = self.binding.read(Kind::Inputs, inputs, manifest)?;
        let report = self.prepared.run_within(ports, limits, progress)?;
        let results = Asked { question, ports: report.outputs };
        Ok(Reply { bundle: self.binding.write(Kind::Results, &results)?, cost: report.cost })
    }

    /// The program with these keys, to run on ciphertexts directly.
    pub fn prepared(&self) -> &Prepared<Ckks> {
        &self.prepared
    }

    /// Bytes of the encoded weights, which all sessions share, and where they are.
    pub fn plain_bytes(&self) -> PlainBytes {
        self.prepared.plain_bytes()
    }
}
