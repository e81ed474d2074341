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

use crate::limits::{Held, Limits};
use crate::memory::{Overflow, PlainBytes, PlainMemory};
use crate::report::{RunCost, RunReport};
use crate::schedule::{Schedule, position};
use crate::{Backend, Cancel, Error, forecast};
use hecc_ir::machine::fitting_threads;
use hecc_ir::{CtType, Manifest, Program, Reg};
use plains::Plains;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::iter::successors;
use std::sync::{Arc, OnceLock};

/// Is told how many steps are done, and of how many; called from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Reports to nobody.
pub fn silent(_done: usize, _total: usize) {}

/// The threads that programs run on, where their plaintexts are, and what they may take.
#[derive(Clone, Debug)]
pub struct Executor {
    pool: Arc<ThreadPool>,
    memory: PlainMemory,
    limits: Limits,
}

/// How plaintexts are encoded ahead of runs.
struct Encodings<'a> {
    /// Most bytes of them in memory; all stay without.
    budget: Option<usize>,
    /// What becomes of the others.
    overflow: &'a Overflow,
    cancel: &'a Cancel,
    progress: Progress<'a>,
}

impl Executor {
    /// As many threads as the machine has cores, or as have room and the system gives if those are fewer, or `n_threads`; with
    /// default [`PlainMemory`] and [`Limits`]: both no more than is free.
    ///
    /// # Errors
    /// [`Error::Threads`] when the system does not give `n_threads`, or none.
    pub fn new(n_threads: Option<usize>) -> Result<Executor, Error> {
        let pool = Arc::new(n_threads.map_or_else(most_threads, threads)?);
        Ok(Executor { pool, memory: PlainMemory::default(), limits: Limits::default() })
    }

    /// The same threads, with another way to keep plaintexts. It holds for every
    /// program that is encoded after.
    pub fn with_plain_memory(self, memory: PlainMemory) -> Executor {
        Executor { memory, ..self }
    }

    /// The same, with other limits. They hold for every program that is encoded after: one whose ciphertexts
    /// and keys take more memory is refused before anything is encoded.
    pub fn with_limits(self, limits: Limits) -> Executor {
        Executor { limits, ..self }
    }

    /// What programs may take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes for plaintexts beside ciphertexts and keys of so many bytes; `None` for all.
    fn budget_beside(&self, ciphertexts: usize, keys: usize) -> Result<Option<usize>, Error> {
        let available = self.limits.memory.available();
        let left = match available {
            None => None,
            Some(available) => {
                let refused = |what, needed| Error::Memory { what, needed, available };
                let left = available.checked_sub(ciphertexts);
                let left = left.ok_or(refused(Held::Ciphertexts, ciphertexts))?.checked_sub(keys);
                Some(left.ok_or(refused(Held::KeysAndCiphertexts, ciphertexts.saturating_add(keys)))?)
            }
        };
        Ok(self.memory.budget_within(left))
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
    /// [`Error::Unmappable`] when the back end does; [`Error::Memory`], [`Error::Cancelled`].
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
        let bytes =
            |reg: Reg| backend.type_bytes(program.types[position(reg)], schedule.bases[position(reg)]);
        let ct_bytes = schedule.most_alive(&program, bytes);
        let budget = self.budget_beside(ct_bytes, backend.missing_key_bytes(&program.manifest))?;
        let (overflow, cancel) = (&self.memory.overflow, &self.limits.cancel);
        let encodings = Encodings { budget, overflow, cancel, progress };
        let plains = self.pool.install(|| Plains::new(&program, types, backend, encodings))?;
        let (executor, plains) = (self.clone(), Arc::new(plains));
        Ok(Encoded { executor, program, schedule, plains, ct_bytes, forecast: Arc::default() })
    }

    /// Verifies and encodes a program for a back end that holds its keys.
    ///
    /// # Errors
    /// As [`Executor::encode`] and [`Encoded::bind`].
    pub fn prepare<B: Backend>(&self, program: Arc<Program>, backend: B) -> Result<Prepared<B>, Error> {
        self.encode(program, &backend, &silent)?.bind(backend)
    }
}

/// So many threads.
fn threads(n_threads: usize) -> Result<ThreadPool, Error> {
    let named = rayon::ThreadPoolBuilder::new().thread_name(|i| format!("hecc-{i}"));
    named.num_threads(n_threads).build().map_err(|e| Error::Threads(e.to_string()))
}

/// As many threads as there is room for, or half as many, and so on, as far as the system gives them.
fn most_threads() -> Result<ThreadPool, Error> {
    let most = fitting_threads();
    let refused = match threads(most) {
        Ok(pool) => return Ok(pool),
        Err(refused) => refused,
    };
    let mut fewer = successors(Some(most / 2), |n| Some(n / 2)).take_while(|&n| n > 0);
    fewer.find_map(|n| threads(n).ok()).ok_or(refused)
}

/// A verified program and its plaintexts, for any client's keys.
pub struct Encoded<B: Backend> {
    executor: Executor,
    program: Arc<Program>,
    schedule: Arc<Schedule>,
    plains: Arc<Plains<B::Plain>>,
    ct_bytes: usize,
    forecast: Arc<OnceLock<Option<RunCost>>>,
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

    /// Most bytes of the ciphertexts that a run on one thread keeps at once. Threads may keep more.
    pub fn ciphertext_bytes(&self) -> usize {
        self.ct_bytes
    }

    /// What a run will take on this machine, which is measured when this is first asked for; nothing of back ends
    /// that measure no steps. Times are within a factor of two or so, memory is at most this on one thread.
    pub fn forecast(&self, backend: &B) -> Option<&RunCost> {
        self.forecast.get_or_init(|| forecast::of(self, backend)).as_ref()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.executor.limits
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.executor.n_threads()
    }

    /// Whether a plaintext need not be encoded when it is read.
    pub(crate) fn keeps(&self, plain: u32) -> bool {
        self.plains.kept(plain).is_some()
    }

    /// Most bytes of plaintexts that all threads hold encoded for their instructions.
    pub(crate) fn most_on_the_fly(&self) -> usize {
        self.plains.most_on_the_fly() * self.n_threads()
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
            forecast: self.forecast.clone(),
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
        self.run_within(inputs, self.limits(), progress)
    }

    /// As [`Prepared::run_with`], within limits of this run instead of those of the executor.
    ///
    /// # Errors
    /// As [`Prepared::run`]. [`Error::Memory`] and [`Error::Time`] when it is predicted to take more than may be
    /// taken, [`Error::Deadline`] when it does take longer, [`Error::Cancelled`].
    pub fn run_within(
        &self,
        inputs: Vec<Vec<B::Ct>>,
        limits: &Limits,
        progress: Progress,
    ) -> Result<RunReport<B::Ct>, Error> {
        self.check_inputs(&inputs)?;
        self.check_limits(limits)?;
        let executor = &self.encoded.executor;
        let cancel = limits.token();
        executor
            .pool
            .install(|| run::Run::start(self, inputs, progress, cancel, executor.n_threads()).finish())
    }

    /// What a run will take, as [`Encoded::forecast`].
    pub fn forecast(&self) -> Option<&RunCost> {
        self.encoded.forecast(&self.backend)
    }

    /// What runs may take unless they have limits of their own.
    pub fn limits(&self) -> &Limits {
        self.encoded.limits()
    }

    /// Refuses a run that is predicted to take more than it may.
    pub(crate) fn check_limits(&self, limits: &Limits) -> Result<(), Error> {
        limits.cancel.check()?;
        limits.allow(Held::Ciphertexts, self.encoded.ct_bytes as u64)?;
        let Some(limit) = limits.time else { return Ok(()) };
        match self.forecast().map(|cost| cost.wall) {
            Some(predicted) if predicted > limit => Err(Error::Time { predicted, limit }),
            Some(_) | None => Ok(()),
        }
    }

    /// As [`Prepared::run`], one instruction after another on the calling thread:
    /// for many runs at once, each on a thread of [`Executor::each`].
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn run_here(&self, inputs: Vec<Vec<B::Ct>>) -> Result<RunReport<B::Ct>, Error> {
        self.check_inputs(&inputs)?;
        self.check_limits(self.limits())?;
        run::Run::start(self, inputs, &silent, self.limits().token(), 1).finish_here()
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
