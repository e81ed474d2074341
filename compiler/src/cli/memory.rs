//! Memory for encoded weights: what `--plain-memory` says, and what the machine
//! has where nothing is said.

use super::args::MachineArgs;
use hecc_runtime::{Error, Executor, Overflow, PlainMemory, RunMemory};
use serde::Serialize;

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

/// The same for runs on ciphertexts, which have to fit in what is free beside evaluation keys of so many bytes
/// in a file. Whoever wants all weights kept asks for no bound at all.
///
/// # Errors
/// As [`executor`].
pub fn server_executor(args: &MachineArgs, key_bytes: usize) -> Result<Executor, Error> {
    // Residues are packed in files and words in memory.
    let bound = run_memory(args).map(|free| free.saturating_sub(key_bytes.saturating_mul(2)));
    Ok(executor(args)?.with_run_memory(bound))
}

/// Whether ciphertexts of so many bytes have room in runs.
///
/// # Errors
/// [`Error::RunMemory`].
pub fn has_room(args: &MachineArgs, needed: usize) -> Result<(), Error> {
    match run_memory(args) {
        Some(available) if available < needed => Err(Error::RunMemory { needed, available }),
        Some(_) | None => Ok(()),
    }
}

/// Bytes that runs may keep, if there is a bound and the system tells.
fn run_memory(args: &MachineArgs) -> Option<usize> {
    if args.plain_memory == Some(Budget::All) { None } else { free_memory() }
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

/// Bytes of memory that are to be had, where the system tells: what the kernel calls available, or what a
/// container has left if that is less.
pub fn free_memory() -> Option<usize> {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    let of_group = |name: &str| read(&format!("/sys/fs/cgroup/memory.{name}"));
    let available = field(&read("/proc/meminfo")?, "MemAvailable:")?.saturating_mul(1024);
    let left = || left(&of_group("max")?, &of_group("current")?, &of_group("stat").unwrap_or_default());
    Some(left().map_or(available, |left| left.min(available)))
}

/// What a container may still take: caches of files go when they must.
fn left(max: &str, current: &str, stat: &str) -> Option<usize> {
    let caches = ["inactive_file", "active_file"].map(|name| field(stat, name).unwrap_or(0));
    let taken = current.trim().parse::<usize>().ok()?.saturating_sub(caches.iter().sum());
    Some(max.trim().parse::<usize>().ok()?.saturating_sub(taken))
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> Option<usize> {
    let mut words = text.lines().map(str::split_whitespace);
    words.find_map(|mut line| (line.next()? == name).then(|| line.next()?.parse().ok()).flatten())
}

/// Most memory the process ever held, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(field(&status, "VmHWM:")? as u64 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_have_left_what_they_do_not_hold_but_for_caches() {
        let stat = "anon 700\nfile 300\ninactive_file 200\nactive_file 100\n";
        assert_eq!(left("4000\n", "1000\n", stat), Some(3300));
        assert_eq!(left("4000\n", "1000\n", ""), Some(3000));
        assert_eq!(left("500\n", "1000\n", stat), Some(0));
        assert_eq!(left("max\n", "1000\n", stat), None);
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
