//! One run of a program: the ready queue, the registers and the counts.
//!
//! At most one instruction per thread is in flight, always the first in the order of the
//! schedule that is ready, which keeps the set of live ciphertexts near that of a
//! sequential run. After a failure only earlier instructions go on, so that the failure
//! reported is the first in program order whatever the threads did.

use super::plains::Lent;
use super::{Prepared, Progress, expect_type};
use crate::report::{Clock, Live, Meter, RunCost, RunReport, What};
use crate::schedule::{mnemonic, position};
use crate::{Backend, Cancel, Error};
use hecc_ir::{Instr, Reg};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A register's ciphertext, while it is alive.
type Slot<Ct> = Mutex<Option<Arc<Live<Ct>>>>;

/// The state of a run.
pub(super) struct Run<'a, B: Backend> {
    prepared: &'a Prepared<B>,
    progress: Progress<'a>,
    started: Instant,
    meter: Arc<Meter>,
    cancel: Cancel,
    registers: Vec<Slot<B::Ct>>,
    uses: Vec<AtomicU32>,
    waits: Vec<AtomicU32>,
    queue: Mutex<Queue>,
    n_threads: usize,
}

/// What the workers share under one lock.
#[derive(Default)]
struct Queue {
    ready: BinaryHeap<Reverse<u32>>,
    in_flight: usize,
    done: usize,
    failed: Option<(u32, Error)>,
    clock: Clock,
}

impl Queue {
    /// The first ready unit, if a thread is free for it and no earlier
    /// instruction has failed.
    fn next(&mut self, n_threads: usize, units: &[Vec<u32>]) -> Option<u32> {
        if self.in_flight >= n_threads {
            return None;
        }
        while let Some(Reverse(unit)) = self.ready.pop() {
            let first = units[unit as usize][0];
            if self.failed.as_ref().is_none_or(|(failed, _)| first < *failed) {
                self.in_flight += 1;
                return Some(unit);
            }
        }
        None
    }

    fn fail(&mut self, index: u32, error: Error) {
        if self.failed.as_ref().is_none_or(|(failed, _)| index < *failed) {
            self.failed = Some((index, error));
        }
    }
}

impl<'a, B: Backend> Run<'a, B> {
    /// Sets up registers and counts and puts the inputs in place.
    pub(super) fn start(
        prepared: &'a Prepared<B>,
        inputs: Vec<Vec<B::Ct>>,
        progress: Progress<'a>,
        cancel: Cancel,
        n_threads: usize,
    ) -> Self {
        let schedule = &prepared.encoded.schedule;
        let counters = |counts: &[u32]| counts.iter().map(|&n| AtomicU32::new(n)).collect();
        let run = Run {
            prepared,
            progress,
            started: Instant::now(),
            meter: Arc::default(),
            cancel,
            registers: schedule.uses.iter().map(|_| Slot::default()).collect(),
            uses: counters(&schedule.uses),
            waits: counters(&schedule.waits),
            queue: Mutex::default(),
            n_threads,
        };
        run.place_inputs(inputs);
        run.queue_first();
        run
    }

    /// Runs all instructions and collects the outputs.
    pub(super) fn finish(self) -> Result<RunReport<B::Ct>, Error> {
        rayon::scope(|scope| self.dispatch(scope));
        self.outcome()
    }

    /// The same on the calling thread alone.
    pub(super) fn finish_here(self) -> Result<RunReport<B::Ct>, Error> {
        while let Some(unit) = self.next() {
            self.step(unit);
        }
        self.outcome()
    }

    /// Units that wait for nothing are ready.
    fn queue_first(&self) {
        let ready = |&(_, &waits): &(usize, &u32)| waits == 0;
        let waits = &self.prepared.encoded.schedule.waits;
        let first = waits.iter().enumerate().filter(ready).map(|(index, _)| Reverse(index as u32));
        lock(&self.queue).ready.extend(first);
    }

    /// Outputs and costs, or the first failure.
    fn outcome(self) -> Result<RunReport<B::Ct>, Error> {
        let mut queue = std::mem::take(&mut *lock(&self.queue));
        match queue.failed.take() {
            Some((_, stopped @ (Error::Cancelled | Error::Deadline))) => Err(stopped),
            Some((index, cause)) => Err(self.located(index, cause)),
            None => Ok(self.report(queue.clock)),
        }
    }

    fn place_inputs(&self, inputs: Vec<Vec<B::Ct>>) {
        let live = |ct| {
            let bytes = self.prepared.backend.ct_bytes(&ct);
            Arc::new(Live::new(ct, bytes, What::Ct, &self.meter))
        };
        let inputs: Vec<Vec<_>> = inputs.into_iter().map(|cts| cts.into_iter().map(live).collect()).collect();
        for instr in &self.prepared.program().instrs {
            if let Instr::Input { dst, input, ct } = instr {
                self.keep(*dst, inputs[*input as usize][*ct as usize].clone());
            }
        }
    }

    /// Hands ready instructions to free threads.
    fn dispatch<'scope>(&'scope self, scope: &rayon::Scope<'scope>) {
        while let Some(unit) = self.next() {
            scope.spawn(move |scope| {
                self.step(unit);
                self.dispatch(scope);
            });
        }
    }

    fn next(&self) -> Option<u32> {
        lock(&self.queue).next(self.n_threads, &self.prepared.encoded.schedule.units)
    }

    /// Runs one unit and releases what waited for it.
    fn step(&self, unit: u32) {
        let program = self.prepared.program();
        let members = &self.prepared.encoded.schedule.units[unit as usize];
        let started = Instant::now();
        let outcome = self.unless_stopped(members);
        let time = started.elapsed();
        for &index in members {
            for reg in program.instrs[index as usize].reads() {
                self.release(reg);
            }
        }
        let mut queue = lock(&self.queue);
        queue.in_flight -= 1;
        match outcome {
            Ok(()) => self.succeed(&mut queue, members, time),
            Err((index, error)) => queue.fail(index, error),
        }
        let done = queue.done;
        drop(queue);
        (self.progress)(done, program.instrs.len());
    }

    /// Counts instructions that ran together, each with its share of the time.
    fn succeed(&self, queue: &mut Queue, members: &[u32], time: Duration) {
        let program = self.prepared.program();
        queue.done += members.len();
        for &index in members {
            let instr = &program.instrs[index as usize];
            let share = time / members.len() as u32;
            queue.clock.add(program.source_of[index as usize], mnemonic(instr), share);
            for reg in instr.writes() {
                for &reader in &self.prepared.encoded.schedule.readers[position(reg)] {
                    if self.waits[reader as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                        queue.ready.push(Reverse(reader));
                    }
                }
            }
        }
    }

    /// Runs the instructions of a unit, unless the run is to stop: then that is why, whatever else fails.
    fn unless_stopped(&self, members: &[u32]) -> Result<(), (u32, Error)> {
        let stopped = || self.cancel.check().map_err(|stopped| (members[0], stopped));
        stopped()?;
        self.execute_unit(members).or_else(|failed| stopped().and(Err(failed)))
    }

    /// Runs the instructions of a unit; names the one that fails.
    fn execute_unit(&self, members: &[u32]) -> Result<(), (u32, Error)> {
        let instrs = &self.prepared.program().instrs;
        // What fails together fails again by itself, where its place is known.
        if members.len() > 1 && self.inner_products(members).unwrap_or(false) {
            return Ok(());
        }
        let run = |&index: &u32| self.execute(&instrs[index as usize]).map_err(|error| (index, error));
        members.iter().try_for_each(run)
    }

    /// Runs several inner products as one, where all their plaintexts are at hand;
    /// tells whether they are.
    fn inner_products(&self, members: &[u32]) -> Result<bool, Error> {
        let rows =
            members.iter().filter_map(|&index| match &self.prepared.program().instrs[index as usize] {
                Instr::InnerProduct { dst, terms } => Some((*dst, terms)),
                _ => None,
            });
        let rows: Vec<(Reg, &Vec<(Reg, u32)>)> = rows.collect();
        let plains = |terms: &[(Reg, u32)]| {
            terms
                .iter()
                .map(|&(_, plain)| self.prepared.encoded.plains.kept(plain))
                .collect::<Option<Vec<_>>>()
        };
        let Some(plains) = rows.iter().map(|(_, terms)| plains(terms)).collect::<Option<Vec<_>>>() else {
            return Ok(false);
        };
        let regs = rows.iter().flat_map(|(_, terms)| terms.iter().map(|term| term.0));
        let cts: BTreeMap<u32, _> = regs.map(|reg| (reg.0, self.read(reg))).collect();
        let pairs: Vec<Vec<_>> = rows
            .iter()
            .zip(plains)
            .map(|((_, terms), plains)| {
                terms.iter().zip(plains).map(|((reg, _), plain)| (cts[&reg.0].get(), plain)).collect()
            })
            .collect();
        let products = self.prepared.backend.inner_products(&pairs, &self.cancel)?;
        rows.iter().zip(products).try_for_each(|((dst, _), product)| self.write(*dst, product))?;
        Ok(true)
    }

    fn execute(&self, instr: &Instr) -> Result<(), Error> {
        let backend = &self.prepared.backend;
        let ct = |reg: &Reg| self.read(*reg);
        match instr {
            Instr::Input { .. } => Ok(()),
            Instr::Zero { dst } => self.write(*dst, backend.zero(self.ty(*dst))?),
            Instr::Rotate { src, outs } => self.rotate(*src, outs),
            Instr::InnerProduct { dst, terms } => self.write(*dst, self.inner_product(terms)?),
            Instr::Sum { dst, terms } => {
                let cts: Vec<_> = terms.iter().map(ct).collect();
                let refs: Vec<_> = cts.iter().map(|ct| ct.get()).collect();
                self.write(*dst, backend.sum(&refs, &self.cancel)?)
            }
            Instr::Sub { dst, a, b } => self.write(*dst, backend.sub(ct(a).get(), ct(b).get())?),
            Instr::Neg { dst, src } => self.write(*dst, backend.neg(ct(src).get())?),
            Instr::AddPlain { dst, src, plain } => {
                let plains = self.lend(&[*plain])?;
                self.write(*dst, backend.add_plain(ct(src).get(), plains[0].get())?)
            }
            Instr::MulScalar { dst, src, scalar, scale } => {
                self.write(*dst, backend.mul_scalar(ct(src).get(), *scalar, *scale)?)
            }
            Instr::Mul { dst, a, b } if a == b => self.write(*dst, backend.square(ct(a).get())?),
            Instr::Mul { dst, a, b } => self.write(*dst, backend.mul(ct(a).get(), ct(b).get())?),
            Instr::Relin { dst, src } => self.write(*dst, backend.relin(ct(src).get())?),
            Instr::Rescale { dst, src } => self.write(*dst, backend.rescale(ct(src).get())?),
            Instr::DropLevel { dst, src } => {
                self.write(*dst, backend.drop_level(ct(src).get(), self.ty(*dst).level)?)
            }
        }
    }

    /// Adds up products with no more plaintexts at once than the budget allows.
    fn inner_product(&self, terms: &[(Reg, u32)]) -> Result<B::Ct, Error> {
        let backend = &self.prepared.backend;
        let mut sum = None;
        for run in self.prepared.encoded.plains.runs(terms) {
            let (regs, plains): (Vec<Reg>, Vec<u32>) = run.iter().copied().unzip();
            let cts: Vec<_> = regs.into_iter().map(|reg| self.read(reg)).collect();
            let plains = self.lend(&plains)?;
            let pairs: Vec<_> = cts.iter().zip(&plains).map(|(ct, plain)| (ct.get(), plain.get())).collect();
            sum = Some(backend.add_products(sum, &pairs, &self.cancel)?);
        }
        backend.total(sum.expect("terms are divided into one run or more"))
    }

    fn lend(&self, plains: &[u32]) -> Result<Vec<Lent<'_, B::Plain>>, Error> {
        let Prepared { encoded, backend } = self.prepared;
        encoded.plains.lend(&encoded.program, backend, &self.meter, plains, &self.cancel)
    }

    fn rotate(&self, src: Reg, outs: &[(hecc_ir::Step, Reg)]) -> Result<(), Error> {
        let steps: Vec<_> = outs.iter().map(|out| out.0).collect();
        let rotated = self.prepared.backend.rotate_many(self.read(src).get(), &steps, &self.cancel)?;
        outs.iter().zip(rotated).try_for_each(|(out, ct)| self.write(out.1, ct))
    }

    fn ty(&self, reg: Reg) -> hecc_ir::CtType {
        self.prepared.program().types[position(reg)]
    }

    fn read(&self, reg: Reg) -> Arc<Live<B::Ct>> {
        let slot = lock(&self.registers[position(reg)]);
        slot.clone().expect("a register is alive from its write to its last read")
    }

    fn write(&self, reg: Reg, ct: B::Ct) -> Result<(), Error> {
        let found = self.prepared.backend.ct_type(&ct);
        expect_type(found, self.ty(reg), || format!("the result in register {}", reg.0))?;
        let bytes = self.prepared.backend.ct_bytes(&ct);
        self.keep(reg, Arc::new(Live::new(ct, bytes, What::Ct, &self.meter)));
        Ok(())
    }

    /// Stores a ciphertext unless nobody will read it.
    fn keep(&self, reg: Reg, ct: Arc<Live<B::Ct>>) {
        if self.uses[position(reg)].load(Ordering::Acquire) > 0 {
            *lock(&self.registers[position(reg)]) = Some(ct);
        }
    }

    /// Counts one read; frees the register after the last.
    fn release(&self, reg: Reg) -> Option<Arc<Live<B::Ct>>> {
        let last = self.uses[position(reg)].fetch_sub(1, Ordering::AcqRel) == 1;
        let mut slot = lock(&self.registers[position(reg)]);
        if last { slot.take() } else { slot.clone() }
    }

    fn located(&self, index: u32, cause: Error) -> Error {
        let program = self.prepared.program();
        let instr = index as usize;
        let layer = program.sources[program.source_of[instr] as usize].clone();
        let mnemonic = mnemonic(&program.instrs[instr]);
        Error::Instruction { instr, mnemonic, layer, cause: Box::new(cause) }
    }

    fn report(&self, clock: Clock) -> RunReport<B::Ct> {
        let program = self.prepared.program();
        let backend = &self.prepared.backend;
        let memory = self.meter.report(self.prepared.plain_bytes(), backend.key_bytes());
        let output = |regs: &Vec<Reg>| regs.iter().map(|&reg| self.output(reg)).collect();
        let outputs = program.outputs.iter().map(output).collect();
        let timings = clock.table(|layer| program.sources[layer as usize].clone());
        let cost = RunCost { timings, wall: self.started.elapsed(), memory, n_threads: self.n_threads };
        RunReport { outputs, cost }
    }

    fn output(&self, reg: Reg) -> B::Ct {
        let ct = self.release(reg).expect("an output register is alive until it is collected");
        Arc::try_unwrap(ct).map_or_else(|shared| shared.get().clone(), Live::take)
    }
}

/// Locks even when another thread panicked: a panic ends the whole run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
