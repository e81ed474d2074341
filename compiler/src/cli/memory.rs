//! Memory for encoded weights: what `--plain-memory` says, and what the machine
//! has where nothing is said.

use super::args::MachineArgs;
use super::problems;
use hecc::diag::Diagnostics;
use hecc_runtime::{Error, Executor, Overflow, PlainMemory, RunMemory};
use serde::Serialize;
use std::path::Path;

/// What a user allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// No bound.
    All,
    /// So many bytes.
    Bytes(usize),
}

impl Budget {
    /// Bytes, if there is a bound.
    fn bytes(self) -> Option<usize> {
        match self {
            Budget::All => None,
            Budget::Bytes(bytes) => Some(bytes),
        }
    }
}

/// Reads `all` or a number of bytes; K, M, G and T count in powers of 1024.
pub fn parse_budget(text: &str) -> Result<Budget, String> {
    if text == "all" {
        return Ok(Budget::All);
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
    bytes.map(Budget::Bytes).ok_or_else(|| String::from("a size such as 512M or 2G, or `all`"))
}

/// The threads and the memory that a command was given.
///
/// # Errors
/// When the system does not give the threads.
pub fn executor(args: &MachineArgs) -> Result<Executor, Error> {
    let budget = args.plain_memory.map_or_else(|| free_memory().map(|bytes| bytes / 2), Budget::bytes);
    let overflow = args.plain_map.clone().map_or(Overflow::Encode, Overflow::Map);
    Ok(Executor::new(args.threads)?.with_plain_memory(PlainMemory { budget, overflow }))
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
    peak_rss_bytes: Option<u64>,
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
            peak_rss_bytes: peak_rss(),
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

/// Refuses a run whose ciphertexts take more bytes than are free.
pub fn check(file: &Path, needed: usize) -> Result<(), Diagnostics> {
    match free_memory() {
        Some(free) if needed > free => Err(problems::no_memory(file, needed, free)),
        _ => Ok(()),
    }
}

/// Bytes of memory a new process may take, where the system tells: what the
/// kernel calls available, or the limit of a container if that is less.
pub fn free_memory() -> Option<usize> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse().ok()).unwrap_or(usize::MAX);
    Some(kibibytes.saturating_mul(1024).min(limit))
}

/// Most memory the process ever held, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_cannot_fit_are_refused() {
        let file = Path::new("large.hec");
        assert!(check(file, 1 << 20).is_ok());
        if free_memory().is_some() {
            let refused = check(file, usize::MAX).unwrap_err().to_string();
            assert!(refused.contains("H082") && refused.contains("large.hec"), "{refused}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let read = |text| parse_budget(text).ok();
        assert_eq!(read("all"), Some(Budget::All));
        assert_eq!(read("0"), Some(Budget::Bytes(0)));
        assert_eq!(read("512M"), Some(Budget::Bytes(512 << 20)));
        assert_eq!(read("2g"), Some(Budget::Bytes(2 << 30)));
        for refused in ["", "G", "-1", "1.5G", "2GB", "all of it", "99999999T"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
