//! Runs programs on a back end.
//!
//! Everything that can be refused is refused before the first instruction:
//! [`Executor::encode`] verifies the program and encodes the plaintexts that
//! stay ([`memory`](crate::memory)), [`Encoded::bind`] checks the keys of one client, [`Prepared::run`] checks
//! the inputs. Instructions run as soon as their operands are there, earlier
//! ones first, on a fixed number of threads which the back end's own
//! parallelism shares; the results do not depend on that number.

mod keep;
mod plains;
mod run;

use crate::memory::{PlainBytes, PlainMemory};
use crate::report::RunReport;
use crate::schedule::Schedule;
use crate::{Backend, Error};
use hecc_ir::{CtType, Manifest, Program};
use plains::Plains;
use rayon::prelude::*;
use std::sync::Arc;

/// Is told how many steps are done, and of how many; called from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Reports to nobody.
pub fn silent(_done: usize, _total: usize) {}

/// The threads that programs run on, and the memory for their plaintexts and ciphertexts.
#[derive(Clone, Debug)]
pub struct Executor {
    pool: Arc<rayon::ThreadPool>,
    memory: PlainMemory,
    run_memory: Option<usize>,
}

impl Executor {
    /// As many threads as the machine has cores, or `n_threads`; all plaintexts
    /// stay in memory.
    ///
    /// # Errors
    /// When the system does not give the threads.
    pub fn new(n_threads: Option<usize>) -> Result<Executor, Error> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(n_threads.unwrap_or(0));
        let named = threads.thread_name(|i| format!("hecc-{i}"));
        let pool = named.build().map_err(|e| Error::Threads(e.to_string()))?;
        Ok(Executor { pool: Arc::new(pool), memory: PlainMemory::default(), run_memory: None })
    }

    /// The same threads, with another way to keep plaintexts. It holds for every
    /// program that is encoded after.
    pub fn with_plain_memory(self, memory: PlainMemory) -> Executor {
        Executor { memory, ..self }
    }

    /// The same, with most bytes that a run may keep. Programs whose ciphertexts take more are refused
    /// before anything is encoded; a budget for plaintexts is never more than what these leave.
    pub fn with_run_memory(self, bytes: Option<usize>) -> Executor {
        Executor { run_memory: bytes, ..self }
    }

    /// Memory for plaintexts beside ciphertexts of so many bytes.
    fn memory_beside(&self, ciphertexts: usize) -> Result<PlainMemory, Error> {
        let left = |available: usize| {
            let left = available.checked_sub(ciphertexts);
            left.ok_or(Error::RunMemory { needed: ciphertexts, available })
        };
        let left = self.run_memory.map_or(Ok(usize::MAX), left)?;
        let budget = self.memory.budget.map(|budget| budget.min(left));
        Ok(PlainMemory { budget, ..self.memory.clone() })
    }

    /// Worker threads.
    pub fn n_threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Does `n` independent pieces of work on these threads; results are in order.
    pub fn each<T: Send>(&self, n: usize, work: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
        self.pool.install(|| (0..n).into_par_iter().map(work).collect())
    }

    /// Verifies a program and encodes the plaintexts that stay; `backend` needs no
    /// keys, `progress` is told of each plaintext.
    ///
    /// # Errors
    /// When the program is invalid, made for another ring or a plaintext that
    /// stays cannot be encoded; [`Error::Spill`] when the system refuses a file,
    /// [`Error::Unmappable`] when the back end does; [`Error::RunMemory`].
    pub fn encode<B: Backend>(
        &self,
        program: Arc<Program>,
        backend: &B,
        progress: Progress,
    ) -> Result<Encoded<B>, Error> {
        program.verify().map_err(Error::Program)?;
        expect_ring(&program.manifest, backend)?;
        let schedule = Arc::new(Schedule::of(&program));
        let types = schedule.plains.clone();
        let ct_bytes = schedule.most_alive(&program, |reg| backend.type_bytes(program.types[reg.0 as usize]));
        let memory = self.memory_beside(ct_bytes)?;
        let plains = self.pool.install(|| Plains::new(&program, types, backend, &memory, progress))?;
        Ok(Encoded { executor: self.clone(), program, schedule, plains: Arc::new(plains), ct_bytes })
    }

    /// Verifies and encodes a program for a back end that holds its keys.
    ///
    /// # Errors
    /// As [`Executor::encode`] and [`Encoded::bind`].
    pub fn prepare<B: Backend>(&self, program: Arc<Program>, backend: B) -> Result<Prepared<B>, Error> {
        self.encode(program, &backend, &silent)?.bind(backend)
    }
}

/// A verified program and its plaintexts, for any client's keys.
pub struct Encoded<B: Backend> {
    executor: Executor,
    program: Arc<Program>,
    schedule: Arc<Schedule>,
    plains: Arc<Plains<B::Plain>>,
    ct_bytes: usize,
}

impl<B: Backend> Encoded<B> {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes of its plaintexts and where they are.
    pub fn plain_bytes(&self) -> PlainBytes {
        self.plains.bytes()
    }

    /// Bytes of the ciphertexts that a run on one thread keeps at once. Threads may keep more, and what was
    /// rotated a few primes more for a while.
    pub fn ciphertext_bytes(&self) -> usize {
        self.ct_bytes
    }

    /// Joins the program with a back end that holds the keys it needs; shares
    /// the plaintexts.
    ///
    /// # Errors
    /// [`Error::Params`] for another ring or other lanes, [`Error::MissingKeys`] with every
    /// key an instruction needs and the back end lacks.
    pub fn bind(&self, backend: B) -> Result<Prepared<B>, Error> {
        expect_ring(&self.program.manifest, &backend)?;
        backend.check_keys(&self.program.required_keys())?;
        Ok(Prepared { encoded: self.clone(), backend })
    }
}

impl<B: Backend> Clone for Encoded<B> {
    fn clone(&self) -> Self {
        Encoded {
            executor: self.executor.clone(),
            program: self.program.clone(),
            schedule: self.schedule.clone(),
            plains: self.plains.clone(),
            ct_bytes: self.ct_bytes,
        }
    }
}

/// A program that is ready to run: verified, encoded, its keys present.
pub struct Prepared<B: Backend> {
    encoded: Encoded<B>,
    backend: B,
}

impl<B: Backend> Prepared<B> {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.encoded.program
    }

    /// Bytes of its plaintexts and where they are.
    pub fn plain_bytes(&self) -> PlainBytes {
        self.encoded.plain_bytes()
    }

    /// The back end.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Runs the program on the ciphertexts of each input, in manifest order.
    ///
    /// # Errors
    /// When an input has the wrong number or type of ciphertexts, or an
    /// instruction fails, as it does when a plaintext that did not stay cannot
    /// be encoded; of several failures the first in program order.
    pub fn run(&self, inputs: Vec<Vec<B::Ct>>) -> Result<RunReport<B::Ct>, Error> {
        self.run_with(inputs, &silent)
    }

    /// As [`Prepared::run`]; tells `progress` of every finished instruction.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn run_with(&self, inputs: Vec<Vec<B::Ct>>, progress: Progress) -> Result<RunReport<B::Ct>, Error> {
        self.check_inputs(&inputs)?;
        let executor = &self.encoded.executor;
        executor.pool.install(|| run::Run::start(self, inputs, progress, executor.n_threads()).finish())
    }

    /// As [`Prepared::run`], one instruction after another on the calling thread:
    /// for many runs at once, each on a thread of [`Executor::each`].
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn run_here(&self, inputs: Vec<Vec<B::Ct>>) -> Result<RunReport<B::Ct>, Error> {
        self.check_inputs(&inputs)?;
        run::Run::start(self, inputs, &silent, 1).finish_here()
    }

    fn check_inputs(&self, inputs: &[Vec<B::Ct>]) -> Result<(), Error> {
        let ports = &self.program().manifest.inputs;
        if ports.len() != inputs.len() {
            return Err(Error::InputCount { expected: ports.len(), found: inputs.len() });
        }
        for (port, cts) in ports.iter().zip(inputs) {
            if cts.len() != port.layout.n_cts {
                let (expected, found) = (port.layout.n_cts, cts.len());
                return Err(Error::CtCount { port: port.name.clone(), expected, found });
            }
            for (i, ct) in cts.iter().enumerate() {
                let place = || format!("ciphertext {i} of input `{}`", port.name);
                expect_type(self.backend.ct_type(ct), port.ty, place)?;
            }
        }
        Ok(())
    }
}

/// Refuses a back end for another ring or other lanes.
fn expect_ring<B: Backend>(manifest: &Manifest, backend: &B) -> Result<(), Error> {
    match manifest.params == *backend.params() && manifest.lanes() == backend.lanes() {
        true => Ok(()),
        false => Err(Error::Params),
    }
}

/// Refuses a ciphertext of another type than the program's.
pub(crate) fn expect_type(found: CtType, expected: CtType, place: impl Fn() -> String) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::CtType { place: place(), expected, found })
}
