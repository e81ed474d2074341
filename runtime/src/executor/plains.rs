//! A program's encoded plaintexts: in memory, in a mapped file, or encoded when
//! an instruction reads them.

use super::keep::Keep;
use super::{Encodings, Progress};
use crate::backend::PlainType;
use crate::map::Spill;
use crate::memory::{MappedBytes, Overflow, PlainBytes};
use crate::report::{Live, Meter, What};
use crate::{Backend, Cancel, Error};
use hecc_ir::{Program, Reg};
use rayon::prelude::*;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A register and the plaintext it is multiplied with.
type Term = (Reg, u32);

/// All plaintexts of a program.
pub(crate) struct Plains<P> {
    slots: Vec<Slot<P>>,
    types: Vec<PlainType>,
    /// Most bytes that one instruction may have encoded for itself at once.
    at_once: usize,
    bytes: PlainBytes,
}

/// One plaintext.
enum Slot<P> {
    Kept(P),
    /// Encoded when it is read; with the bytes it then takes.
    Absent(usize),
}

/// A plaintext in the hands of an instruction.
pub(crate) enum Lent<'a, P> {
    Kept(&'a P),
    Fresh(Live<P>),
}

impl<P> Lent<'_, P> {
    /// The plaintext.
    pub(crate) fn get(&self) -> &P {
        match self {
            Lent::Kept(plain) => plain,
            Lent::Fresh(plain) => plain.get(),
        }
    }
}

impl<P: Send + Sync> Plains<P> {
    /// Encodes what is to be kept; told `progress` of each.
    pub(super) fn new<B: Backend<Plain = P>>(
        program: &Program,
        types: Vec<PlainType>,
        backend: &B,
        Encodings { budget, overflow, cancel, progress }: Encodings,
    ) -> Result<Self, Error> {
        let Keep { resident, others, sizes, at_once } = Keep::of(program, &types, backend, budget, overflow);
        let folder = match overflow {
            Overflow::Map(folder) if !others.is_empty() => Some(folder),
            Overflow::Map(_) | Overflow::Encode => None,
        };
        let n_kept = resident.len() + folder.map_or(0, |_| others.len());
        let encoding = Encoding {
            program,
            types: &types,
            backend,
            progress,
            cancel,
            n_kept,
            n_done: AtomicUsize::new(0),
        };
        let mut kept = folder.map_or(Ok(Vec::new()), |folder| encoding.map(folder, &others))?;
        kept.extend(encoding.all(&resident)?);
        let size_of_all = |of: &[usize]| of.iter().map(|&index| sizes[index]).sum();
        let (resident, elsewhere) = (size_of_all(&resident), size_of_all(&others));
        let (mapped, on_the_fly) = if folder.is_some() { (elsewhere, 0) } else { (0, elsewhere) };
        let mut slots: Vec<_> = sizes.into_iter().map(Slot::Absent).collect();
        kept.into_iter().for_each(|(index, plain)| slots[index] = Slot::Kept(plain));
        Ok(Plains { slots, types, at_once, bytes: PlainBytes { resident, mapped, on_the_fly } })
    }

    /// Where they are.
    pub(crate) fn bytes(&self) -> PlainBytes {
        self.bytes
    }

    /// The plaintexts of some terms, which count on the meter while they are lent.
    pub(crate) fn lend<B: Backend<Plain = P>>(
        &self,
        program: &Program,
        backend: &B,
        meter: &Arc<Meter>,
        plains: &[u32],
        cancel: &Cancel,
    ) -> Result<Vec<Lent<'_, P>>, Error> {
        let lend = |&plain: &u32| match &self.slots[plain as usize] {
            Slot::Kept(plain) => Ok(Lent::Kept(plain)),
            Slot::Absent(bytes) => {
                cancel.check()?;
                let index = plain as usize;
                let plain = encode(program, self.types[index], backend, index)?;
                Ok(Lent::Fresh(Live::new(plain, *bytes, What::Plain, meter)))
            }
        };
        match plains.iter().filter(|&&plain| self.bytes_to_encode(plain) > 0).count() {
            0 | 1 => plains.iter().map(lend).collect(),
            _ => plains.par_iter().map(lend).collect::<Vec<_>>().into_iter().collect(),
        }
    }

    /// Divides terms into runs, each of one term or of terms that need no more
    /// plaintexts encoded at once than an instruction may.
    pub(crate) fn runs<'t>(&self, terms: &'t [Term]) -> Vec<&'t [Term]> {
        let (mut runs, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (at, &(_, plain)) in terms.iter().enumerate() {
            let more = self.bytes_to_encode(plain);
            if bytes > 0 && bytes + more > self.at_once {
                runs.push(&terms[start..at]);
                (start, bytes) = (at, 0);
            }
            bytes += more;
        }
        runs.push(&terms[start..]);
        runs
    }

    /// Most bytes that one thread holds encoded for an instruction.
    pub(crate) fn most_on_the_fly(&self) -> usize {
        let absent = (0..self.slots.len() as u32).map(|plain| self.bytes_to_encode(plain));
        match self.bytes.on_the_fly {
            0 => 0,
            _ => self.at_once.max(absent.max().unwrap_or(0)),
        }
    }

    /// A plaintext that need not be encoded first.
    pub(crate) fn kept(&self, plain: u32) -> Option<&P> {
        match &self.slots[plain as usize] {
            Slot::Kept(plain) => Some(plain),
            Slot::Absent(_) => None,
        }
    }

    fn bytes_to_encode(&self, plain: u32) -> usize {
        match self.slots[plain as usize] {
            Slot::Kept(_) => 0,
            Slot::Absent(bytes) => bytes,
        }
    }
}

/// Encodes plaintexts ahead of runs.
struct Encoding<'a, B> {
    program: &'a Program,
    types: &'a [PlainType],
    backend: &'a B,
    progress: Progress<'a>,
    cancel: &'a Cancel,
    n_kept: usize,
    n_done: AtomicUsize,
}

impl<B: Backend> Encoding<'_, B> {
    /// Encodes plaintexts into memory.
    fn all(&self, indices: &[usize]) -> Result<Vec<(usize, B::Plain)>, Error> {
        let encode = |&index: &usize| Ok((index, self.one(index)?));
        indices.par_iter().map(encode).collect::<Vec<_>>().into_iter().collect()
    }

    /// Encodes plaintexts into a file and maps them, one per thread at a time.
    fn map(&self, folder: &Path, indices: &[usize]) -> Result<Vec<(usize, B::Plain)>, Error> {
        let failed = |cause: io::Error| Error::Spill { folder: folder.to_owned(), cause };
        let mut spill = Spill::new(folder).map_err(failed)?;
        let mut places = Vec::with_capacity(indices.len());
        for batch in indices.chunks(rayon::current_num_threads()) {
            for bytes in batch.par_iter().map(|&index| self.written(index)).collect::<Vec<_>>() {
                places.push(spill.append(&bytes?).map_err(failed)?);
            }
        }
        let map = spill.map().map_err(failed)?;
        let mapped = |(&index, place): (&usize, Range<usize>)| {
            let bytes = MappedBytes::new(map.clone(), place);
            Ok((index, self.backend.map_plain(bytes, self.types[index])?))
        };
        indices.iter().zip(places).map(mapped).collect()
    }

    fn written(&self, index: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.backend.write_plain(&self.one(index)?, &mut bytes)?;
        Ok(bytes)
    }

    fn one(&self, index: usize) -> Result<B::Plain, Error> {
        self.cancel.check()?;
        let plain = encode(self.program, self.types[index], self.backend, index)?;
        (self.progress)(self.n_done.fetch_add(1, Ordering::Relaxed) + 1, self.n_kept);
        Ok(plain)
    }
}

fn encode<B: Backend>(
    program: &Program,
    ty: PlainType,
    backend: &B,
    index: usize,
) -> Result<B::Plain, Error> {
    backend.encode(&program.consts[program.plains[index].constant as usize], ty)
}
