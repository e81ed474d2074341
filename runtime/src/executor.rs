//! Runs programs on a back end.
//!
//! Everything that can be refused is refused before the first instruction:
//! [`Executor::encode`] verifies the program and encodes its plaintexts,
//! [`Encoded::bind`] checks the keys of one client, [`Prepared::run`] checks
//! the inputs. Instructions run as soon as their operands are there, earlier
//! ones first, on a fixed number of threads which the back end's own
//! parallelism shares; the results do not depend on that number.

mod run;

use crate::report::RunReport;
use crate::schedule::Schedule;
use crate::{Backend, Error};
use hecc_ir::{CtType, Program};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Is told how many steps are done, and of how many; called from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Reports to nobody.
pub fn silent(_done: usize, _total: usize) {}

/// The threads that programs run on.
#[derive(Clone, Debug)]
pub struct Executor {
    pool: Arc<rayon::ThreadPool>,
}

impl Executor {
    /// As many threads as the machine has cores, or `n_threads`.
    ///
    /// # Errors
    /// When the system does not give the threads.
    pub fn new(n_threads: Option<usize>) -> Result<Executor, Error> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(n_threads.unwrap_or(0));
        let named = threads.thread_name(|i| format!("hecc-{i}"));
        let pool = named.build().map_err(|e| Error::Threads(e.to_string()))?;
        Ok(Executor { pool: Arc::new(pool) })
    }

    /// Worker threads.
    pub fn n_threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Verifies a program and encodes its plaintexts; `backend` needs no keys.
    ///
    /// # Errors
    /// When the program is invalid, made for another ring or cannot be encoded;
    /// of several plaintexts the first.
    pub fn encode<B: Backend>(
        &self,
        program: Arc<Program>,
        backend: &B,
        progress: Progress,
    ) -> Result<Encoded<B>, Error> {
        program.verify().map_err(Error::Program)?;
        if program.manifest.params != *backend.params() {
            return Err(Error::Params);
        }
        let plains = self.pool.install(|| encode_all(&program, backend, progress))?;
        let schedule = Arc::new(Schedule::of(&program));
        Ok(Encoded { executor: self.clone(), program, schedule, plains: Arc::new(plains) })
    }

    /// Verifies and encodes a program for a back end that holds its keys.
    ///
    /// # Errors
    /// As [`Executor::encode`] and [`Encoded::bind`].
    pub fn prepare<B: Backend>(&self, program: Arc<Program>, backend: B) -> Result<Prepared<B>, Error> {
        self.encode(program, &backend, &silent)?.bind(backend)
    }
}

/// A verified program with its plaintexts encoded, for any client's keys.
pub struct Encoded<B: Backend> {
    executor: Executor,
    program: Arc<Program>,
    schedule: Arc<Schedule>,
    plains: Arc<Vec<B::Plain>>,
}

impl<B: Backend> Encoded<B> {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Bytes of memory its plaintexts take.
    pub fn plain_bytes(&self, backend: &B) -> usize {
        self.plains.iter().map(|plain| backend.plain_bytes(plain)).sum()
    }

    /// Joins the program with a back end that holds the keys it needs; shares
    /// the plaintexts.
    ///
    /// # Errors
    /// [`Error::Params`] for another ring, [`Error::MissingKeys`] with every
    /// key an instruction needs and the back end lacks.
    pub fn bind(&self, backend: B) -> Result<Prepared<B>, Error> {
        if self.program.manifest.params != *backend.params() {
            return Err(Error::Params);
        }
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

    /// Bytes of memory its plaintexts take.
    pub fn plain_bytes(&self) -> usize {
        self.encoded.plain_bytes(&self.backend)
    }

    /// The back end.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Runs the program on the ciphertexts of each input, in manifest order.
    ///
    /// # Errors
    /// When an input has the wrong number or type of ciphertexts, or an
    /// instruction fails; of several failures the first in program order.
    pub fn run(&self, inputs: Vec<Vec<B::Ct>>) -> Result<RunReport<B::Ct>, Error> {
        self.run_with(inputs, &silent)
    }

    /// As [`Prepared::run`]; tells `progress` of every finished instruction.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn run_with(&self, inputs: Vec<Vec<B::Ct>>, progress: Progress) -> Result<RunReport<B::Ct>, Error> {
        self.check_inputs(&inputs)?;
        self.encoded.executor.pool.install(|| run::Run::start(self, inputs, progress).finish())
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

/// Refuses a ciphertext of another type than the program's.
pub(crate) fn expect_type(found: CtType, expected: CtType, place: impl Fn() -> String) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::CtType { place: place(), expected, found })
}

fn encode_all<B: Backend>(
    program: &Program,
    backend: &B,
    progress: Progress,
) -> Result<Vec<B::Plain>, Error> {
    let done = AtomicUsize::new(0);
    let encode = |used: &hecc_ir::program::PlainUse| {
        let plain = &program.consts[used.constant as usize];
        let encoded = backend.encode(plain, used.level, used.scale)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, program.plains.len());
        Ok(encoded)
    };
    let encoded: Vec<_> = program.plains.par_iter().map(encode).collect();
    encoded.into_iter().collect()
}
