//! Bounds every circuit, program and file must keep, so that data from outside
//! cannot ask for more memory than a model that could run would need.

pub(crate) mod list;

pub use hecc_security::MAX_ENCODED_BITS;

/// Most slots per ciphertext: the largest ring of the security table, halved
/// for complex packing.
pub const MAX_SLOTS: usize = 1 << 16;

/// Most slots of all ciphertexts of one layout together.
pub const MAX_LAYOUT_SLOTS: usize = 1 << 26;

/// Most plaintext values a text may unfold to.
pub const MAX_PLAIN_VALUES: usize = 1 << 28;

/// Bytes that a plaintext is counted to take beside its values.
pub const PLAIN_OVERHEAD: usize = 128;

/// Most bytes of memory that the plaintexts of a file may take, each with its overhead.
pub const MAX_PLAIN_BYTES: usize = 1 << 31;

/// Most bytes of memory that any list of a file may take, with what its elements hold.
pub const MAX_LIST_BYTES: usize = 1 << 31;

/// Most primes of one chain; keeps every scale below it exact in `f64`.
pub const MAX_PRIMES: usize = 96;

/// Widest prime in bits.
pub const MAX_PRIME_BITS: u32 = 62;

/// Most bytes of memory that a manifest may ask of a client for evaluation keys,
/// and most for the ciphertexts of all inputs and outputs.
pub const MAX_CLIENT_BYTES: u64 = 1 << 37;

/// Most bytes of a program file: its plaintexts as doubles, and as much again for everything else.
pub const MAX_PROGRAM_BYTES: u64 = 2 * MAX_PLAIN_BYTES as u64;

/// Most bytes of a manifest file. Those of networks that fit in one ciphertext have some kilobytes; elements that have a
/// ciphertext each take a few bytes each.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 28;

/// Bytes that an allocation is counted to take beside what was asked for.
const ALLOCATION_BYTES: usize = 32;

/// Bytes that an allocation of so many takes; of none, no allocation is made.
pub const fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(ALLOCATION_BYTES) }
}
