//! Memory of the machine at hand: how much there is to take, and the bounds that callers set.
//!
//! Whatever takes memory on behalf of data from outside asks here before it takes it. Linux tells what is
//! free; where no system tells, only bounds that somebody set hold.

use std::fs::read_to_string;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// A bound on bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// No more than is free when memory is asked for.
    #[default]
    Free,
    /// So many bytes.
    Bytes(usize),
    /// No bound.
    All,
}

/// More memory was asked for than may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{needed} bytes of memory are needed, {available} are available")]
pub struct Excess {
    /// Bytes asked for.
    pub needed: usize,
    /// Bytes that may be taken.
    pub available: usize,
}

/// Less than this is taken without asking the system for what is free, unless a bound was set for the process.
const SMALL: usize = 1 << 20;

impl Bound {
    /// Bytes that may be taken now; `None` without a bound, and where the system does not tell what is free.
    pub fn available(self) -> Option<usize> {
        match self {
            Bound::Free => free_memory(),
            Bound::Bytes(bytes) => Some(bytes),
            Bound::All => None,
        }
    }

    /// Refuses to take more than may be taken.
    ///
    /// # Errors
    /// [`Excess`].
    pub fn check(self, needed: usize) -> Result<(), Excess> {
        let is_unbounded = self == Bound::Free && process_bound() == Bound::Free;
        if is_unbounded && needed < SMALL {
            return Ok(());
        }
        match self.available() {
            Some(available) if available < needed => Err(Excess { needed, available }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Memory that is taken in pieces on behalf of data from outside, none of which need be large.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes counted since the system was asked last.
    unchecked: usize,
}

impl Tally {
    /// Counts bytes before they are taken. Asks for what is free as soon as those that were counted since it asked
    /// last are no longer few, so that many small pieces cost little time.
    ///
    /// # Errors
    /// [`Excess`].
    pub fn take(&mut self, bytes: usize) -> Result<(), Excess> {
        self.unchecked = self.unchecked.saturating_add(bytes);
        if self.unchecked < SMALL {
            return Ok(());
        }
        Bound::Free.check(std::mem::take(&mut self.unchecked))
    }
}

/// Bytes that this process may hold in all; two values stand for what the system has free and for no bound.
static PROCESS: AtomicUsize = AtomicUsize::new(AS_FREE);
const AS_FREE: usize = usize::MAX;
const UNBOUNDED: usize = usize::MAX - 1;

/// Says what [`Bound::Free`] means in this process from now on: what the system has free, which it is until
/// something else is said, so many bytes less what the process holds already, or no bound.
pub fn bound_process(bound: Bound) {
    let bytes = match bound {
        Bound::Free => AS_FREE,
        Bound::Bytes(bytes) => bytes.min(UNBOUNDED - 1),
        Bound::All => UNBOUNDED,
    };
    PROCESS.store(bytes, Ordering::Relaxed);
}

/// What [`bound_process`] said last.
pub fn process_bound() -> Bound {
    match PROCESS.load(Ordering::Relaxed) {
        AS_FREE => Bound::Free,
        UNBOUNDED => Bound::All,
        bytes => Bound::Bytes(bytes),
    }
}

/// Bytes of memory that this process may still take, if that is known: by [`bound_process`], or else what the
/// kernel calls available, or what a container leaves if that is less; and never more than [`left_by_limits`].
pub fn free_memory() -> Option<usize> {
    let free = match PROCESS.load(Ordering::Relaxed) {
        AS_FREE => free_in_system(),
        UNBOUNDED => None,
        bytes => Some(bytes.saturating_sub(held_memory().unwrap_or(0))),
    };
    free.into_iter().chain(left_by_limits()).min()
}

/// Bytes of memory that this process holds, where the system tells.
pub fn held_memory() -> Option<usize> {
    of_process("VmRSS:")
}

/// Most bytes of memory that this process ever held, where the system tells.
pub fn peak_memory() -> Option<usize> {
    of_process("VmHWM:")
}

fn free_in_system() -> Option<usize> {
    let available = kilobytes(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let memberships = read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups(&memberships).into_iter().filter_map(|group| group.left()).chain([available]).min()
}

/// A limit of a process, and what it has taken of it.
type Limited = (&'static str, &'static str);
const ADDRESS_SPACE: Limited = ("Max address space", "VmSize:");
const DATA: Limited = ("Max data size", "VmData:");
/// What is left free of a limit, for what nobody counts: stacks, scratch memory, what allocators set aside.
const UNCOUNTED: usize = 32 << 20;
/// Address space of a thread in each of two pools: stacks, and what an allocator reserves for their threads.
const PER_THREAD: usize = 160 << 20;

/// Bytes that the limits of this process on its address space and data leave, if there are any. Beyond them
/// memory is not refused but the process ends, so that some are kept back for what nobody counts.
pub fn left_by_limits() -> Option<usize> {
    let limits = limits()?;
    let left = [ADDRESS_SPACE, DATA].into_iter().filter_map(|limit| left_of(&limits, limit)).min()?;
    Some(left.saturating_sub(UNCOUNTED))
}

/// Threads that have room: as many as the machine has cores, or fewer where the address space of this process is
/// limited, and one at least.
pub fn fitting_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let left = limits().and_then(|limits| left_of(&limits, ADDRESS_SPACE));
    left.map_or(cores, |left| (left / PER_THREAD).clamp(1, cores))
}

/// The limits of this process, as the system lists them.
fn limits() -> Option<String> {
    read_to_string("/proc/self/limits").ok()
}

/// What one of the limits of this process leaves, if it is set.
fn left_of(limits: &str, (limit, held): Limited) -> Option<usize> {
    Some(soft_limit(limits, limit)?.saturating_sub(of_process(held)?))
}

/// A quantity of this process.
fn of_process(name: &str) -> Option<usize> {
    kilobytes(&read_to_string("/proc/self/status").ok()?, name)
}

/// A control group that bounds memory, and how its version spells that.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    caches: [&'static str; 2],
}

impl Group {
    fn of_version_2(folder: PathBuf) -> Group {
        let caches = ["inactive_file", "active_file"];
        Group { folder, limit: "memory.max", usage: "memory.current", caches }
    }

    fn of_version_1(folder: PathBuf) -> Group {
        let caches = ["total_inactive_file", "total_active_file"];
        Group { folder, limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", caches }
    }

    /// What its members may still take.
    fn left(&self) -> Option<usize> {
        let read = |name: &str| read_to_string(self.folder.join(name)).ok();
        left(&read(self.limit)?, &read(self.usage)?, &read("memory.stat").unwrap_or_default(), self.caches)
    }
}

/// The groups that a process is in, by what the kernel says of it, with all that they are in themselves.
/// Inside a container the path may be one of the host, so that the outermost is always among them.
fn groups(memberships: &str) -> Vec<Group> {
    const ROOT: &str = "/sys/fs/cgroup";
    let folders = |root: PathBuf, path: &str| {
        let path = Path::new(path.trim_start_matches('/')).to_owned();
        let folders: Vec<PathBuf> = path.ancestors().map(|part| root.join(part)).collect();
        folders
    };
    let of_line = |line: &str| -> Option<Vec<Group>> {
        let mut parts = line.splitn(3, ':');
        let (_, kinds, path) = (parts.next()?, parts.next()?, parts.next()?);
        match kinds {
            "" => Some(folders(ROOT.into(), path).into_iter().map(Group::of_version_2).collect()),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                let root = Path::new(ROOT).join("memory");
                Some(folders(root, path).into_iter().map(Group::of_version_1).collect())
            }
            _ => None,
        }
    };
    memberships.lines().filter_map(of_line).flatten().collect()
}

/// What a group may still take: caches of files go when they must.
fn left(limit: &str, usage: &str, stat: &str, caches: [&str; 2]) -> Option<usize> {
    let caches = caches.map(|name| number(stat, name).unwrap_or(0));
    let taken = usage.trim().parse::<usize>().ok()?.saturating_sub(caches.iter().sum());
    Some(limit.trim().parse::<usize>().ok()?.saturating_sub(taken))
}

/// The soft limit in a line that starts with a name.
fn soft_limit(limits: &str, name: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The number after a name at the start of a line.
fn number(text: &str, name: &str) -> Option<usize> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut line| (line.next()? == name).then(|| line.next()?.parse().ok()).flatten())
}

fn kilobytes(text: &str, name: &str) -> Option<usize> {
    Some(number(text, name)?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHES: [&str; 2] = ["inactive_file", "active_file"];

    #[test]
    fn groups_have_left_what_they_do_not_hold_but_for_caches() {
        let stat = "anon 700\nfile 300\ninactive_file 200\nactive_file 100\n";
        assert_eq!(left("4000\n", "1000\n", stat, CACHES), Some(3300));
        assert_eq!(left("4000\n", "1000\n", "", CACHES), Some(3000));
        assert_eq!(left("500\n", "1000\n", stat, CACHES), Some(0));
        assert_eq!(left("max\n", "1000\n", stat, CACHES), None);
    }

    #[test]
    fn groups_are_found_with_those_around_them() {
        let folders = |memberships: &str| -> Vec<String> {
            groups(memberships).iter().map(|group| group.folder.display().to_string()).collect()
        };
        assert_eq!(
            folders("0::/user.slice/job\n"),
            ["/sys/fs/cgroup/user.slice/job", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/"]
        );
        assert_eq!(folders("0::/\n"), ["/sys/fs/cgroup/"]);
        let first = folders("5:cpu,cpuacct:/a\n4:memory:/docker/b\n");
        assert_eq!(first, ["docker/b", "docker", ""].map(|path| format!("/sys/fs/cgroup/memory/{path}")));
    }

    #[test]
    fn soft_limits_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         2147483648           unlimited            bytes     \n";
        assert_eq!(soft_limit(limits, "Max address space"), Some(2 << 30));
        assert_eq!(soft_limit(limits, "Max data size"), None);
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(Bound::Bytes(10).check(10), Ok(()));
        assert_eq!(Bound::Bytes(10).check(11), Err(Excess { needed: 11, available: 10 }));
        assert_eq!(Bound::All.check(usize::MAX), Ok(()));
    }

    #[test]
    fn small_pieces_are_counted_together() {
        let mut tally = Tally::default();
        assert_eq!((tally.take(SMALL / 2), tally.take(SMALL / 4)), (Ok(()), Ok(())));
        assert_eq!(tally.unchecked, SMALL / 2 + SMALL / 4);
        assert_eq!((tally.take(SMALL / 4), tally.unchecked), (Ok(()), 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_what_is_free() {
        let free = free_memory().expect("Linux tells");
        assert!((1 << 20..1 << 50).contains(&free), "{free}");
        assert!(matches!(Bound::Free.check(1 << 60), Err(Excess { needed, .. }) if needed == 1 << 60));
    }
}
