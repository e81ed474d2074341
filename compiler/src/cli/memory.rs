//! Memory and time of commands: what the user allows, and what runs took.

use super::args::MachineArgs;
use super::problems;
use hecc::diag::Diagnostics;
use hecc_ir::machine::{Bound, Excess, held_memory, left_by_limits, peak_memory, process_bound};
use hecc_runtime::limits::{Held, Limits};
use hecc_runtime::{Error, Executor, Overflow, PlainMemory, RunMemory};
use serde::Serialize;
use std::time::Duration;

/// Reads `all` or a number of bytes; K, M, G and T count in powers of 1024.
pub fn parse_memory(text: &str) -> Result<Bound, String> {
    if text == "all" {
        return Ok(Bound::All);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<usize>().ok()?.checked_mul(1 << unit));
    bytes.map(Bound::Bytes).ok_or_else(|| String::from("a size such as 512M or 2G, or `all`"))
}

/// Reads a size of which a command needs some, as [`parse_memory`] does.
pub fn parse_most_memory(text: &str) -> Result<Bound, String> {
    match parse_memory(text)? {
        Bound::Bytes(0) => Err(String::from("more than 0, such as 512M or 2G, or `all`")),
        bound => Ok(bound),
    }
}

/// Reads a time: a number of seconds, or of minutes, hours or milliseconds with `m`, `h` or `ms` behind it.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => Some(1e-3),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = unit.and_then(|unit| Some(digits.parse::<f64>().ok()? * unit));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| String::from("a time such as 30s, 500ms, 10m or 2h"))
}

/// A bound as [`parse_memory`] reads it; nothing for what is free.
pub fn spell_memory(bound: Bound) -> Option<String> {
    match bound {
        Bound::Free => None,
        Bound::Bytes(bytes) => Some(bytes.to_string()),
        Bound::All => Some(String::from("all")),
    }
}

/// The threads, the memory and the time that a command was given.
///
/// # Errors
/// When the system does not give the threads.
pub fn executor(args: &MachineArgs) -> Result<Executor, Error> {
    let overflow = args.plain_map.clone().map_or(Overflow::Encode, Overflow::Map);
    let memory = PlainMemory { budget: args.plain_memory.unwrap_or_default(), overflow };
    let limits = Limits { time: args.time_limit, ..Limits::default() };
    Ok(Executor::new(args.threads)?.with_plain_memory(memory).with_limits(limits))
}

/// Refuses to begin where a bound is below what the process holds already, or its limits leave nothing.
pub fn has_room_to_start() -> Result<(), Diagnostics> {
    if let (Bound::Bytes(available), Some(needed)) = (process_bound(), held_memory())
        && needed >= available
    {
        return Err(problems::no_memory_to_start(Excess { needed, available }));
    }
    match left_by_limits() {
        Some(0) => Err(problems::limited()),
        _ => Ok(()),
    }
}

/// Whether ciphertexts of so many bytes have room in runs.
///
/// # Errors
/// [`Error::Memory`].
pub fn has_room(needed: usize) -> Result<(), Error> {
    let refused = |Excess { needed, available }| Error::Memory { what: Held::Ciphertexts, needed, available };
    Bound::Free.check(needed).map_err(refused)
}

/// Memory of a run as scripts read it, in bytes; the last is that of the whole
/// process so far.
#[derive(Debug, Serialize)]
pub struct MemoryFigures {
    peak_live_ciphertext_bytes: usize,
    resident_plaintext_bytes: usize,
    peak_on_the_fly_plaintext_bytes: usize,
    mapped_plaintext_bytes: usize,
    key_memory_bytes: usize,
    peak_run_bytes: usize,
    peak_rss_bytes: Option<usize>,
}

impl MemoryFigures {
    /// The figures of a run.
    pub fn of(memory: &RunMemory) -> MemoryFigures {
        MemoryFigures {
            peak_live_ciphertext_bytes: memory.ciphertexts,
            resident_plaintext_bytes: memory.resident_plains,
            peak_on_the_fly_plaintext_bytes: memory.on_the_fly_plains,
            mapped_plaintext_bytes: memory.mapped_plains,
            key_memory_bytes: memory.keys,
            peak_run_bytes: memory.peak,
            peak_rss_bytes: peak_memory(),
        }
    }
}

/// The most of each kind over several runs of one program.
pub fn most(runs: impl Iterator<Item = RunMemory>) -> RunMemory {
    runs.fold(RunMemory::default(), |most, run| RunMemory {
        ciphertexts: most.ciphertexts.max(run.ciphertexts),
        on_the_fly_plains: most.on_the_fly_plains.max(run.on_the_fly_plains),
        peak: most.peak.max(run.peak),
        ..run
    })
}

/// Memory of a run as people read it.
pub fn describe(memory: &RunMemory) -> String {
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let weights = megabytes(memory.resident_plains + memory.on_the_fly_plains);
    let mapped = match memory.mapped_plains {
        0 => String::new(),
        bytes => format!("; {:.1} MB of weights in a mapped file", megabytes(bytes)),
    };
    format!(
        "{:.1} MB: keys {:.1} MB, weights {weights:.1} MB, ciphertexts {:.1} MB{mapped}",
        megabytes(memory.peak),
        megabytes(memory.keys),
        megabytes(memory.ciphertexts),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let read = |text| parse_memory(text).ok();
        assert_eq!(read("all"), Some(Bound::All));
        assert_eq!(read("0"), Some(Bound::Bytes(0)));
        assert_eq!(read("512M"), Some(Bound::Bytes(512 << 20)));
        assert_eq!(read("2g"), Some(Bound::Bytes(2 << 30)));
        for refused in ["", "G", "-1", "1.5G", "2GB", "all of it", "99999999T"] {
            assert_eq!(read(refused), None, "{refused}");
        }
        let most = |text| parse_most_memory(text).ok();
        assert_eq!((most("0"), most("0G"), most("1")), (None, None, Some(Bound::Bytes(1))));
    }

    #[test]
    fn times_are_read() {
        let read = |text| parse_time(text).ok();
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(read("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(read("2h"), Some(Duration::from_secs(7200)));
        for refused in ["", "s", "0", "-1s", "1d", "nan", "inf", "1e400s"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
