//! What can go wrong at the boundary of the crate.
//!
//! Everything that depends on data or parameters from outside is an [`Error`];
//! nothing in this crate panics on such data.

use hecc_security::SecurityLevel;

/// A refused parameter, operand or byte string.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ring degree is not a supported power of two.
    #[error("ring degree {0} is not supported: use a power of two from 16 to 65536")]
    RingDegree(usize),
    /// A prime of the chain cannot be used.
    #[error("prime {prime} cannot be used: {reason}")]
    Prime {
        /// The offending modulus.
        prime: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too few or too many primes, or a digit size outside them.
    #[error("{what}: {got} is outside {min}..={max}")]
    Count {
        /// The quantity that is out of range.
        what: &'static str,
        /// Its value.
        got: usize,
        /// Smallest accepted value.
        min: usize,
        /// Largest accepted value.
        max: usize,
    },
    /// The modulus is too large for the promised security at this ring degree.
    #[error(
        "log2(QP) = {log_qp:.1} exceeds {bound} bits, the limit of {}-bit security at ring \
         degree {ring_degree}: use a larger ring or fewer primes",
        level.bits()
    )]
    Insecure {
        /// Size of the whole modulus in bits.
        log_qp: f64,
        /// Largest size allowed.
        bound: u32,
        /// Ring degree.
        ring_degree: usize,
        /// What is promised.
        level: SecurityLevel,
    },
    /// No parameters of the promised security exist at this ring degree.
    #[error("ring degree {ring_degree} is outside the security table of {} bits: use a larger ring", level.bits())]
    NoSecureParams {
        /// Ring degree.
        ring_degree: usize,
        /// What is promised.
        level: SecurityLevel,
    },
    /// There are not enough primes of the asked size.
    #[error("found {found} of {wanted} primes near 2^{bits} that are 1 modulo {modulus}")]
    NotEnoughPrimes {
        /// Primes found.
        found: usize,
        /// Primes asked for.
        wanted: usize,
        /// Size asked for.
        bits: u32,
        /// Twice the ring degree.
        modulus: u64,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Entropy,
    /// A vector of values has a length that does not divide the slot count.
    #[error("{len} values cannot fill {n_slots} slots: the length must be a power of two up to it")]
    ValueCount {
        /// Length of the vector.
        len: usize,
        /// Slots of a plaintext.
        n_slots: usize,
    },
    /// A value to encode is infinite or not a number.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Position of the value.
        index: usize,
    },
    /// A scale that is not a positive number.
    #[error("scale {0} is not a positive number")]
    Scale(f64),
    /// An encoded value does not fit the modulus of its level.
    #[error(
        "encoded values need {needed:.1} bits and level {level} holds {available:.1}: lower the \
         scale or encode at a higher level"
    )]
    Overflow {
        /// Bits of the largest coefficient with its sign.
        needed: f64,
        /// Bits of the modulus.
        available: f64,
        /// Level encoded at.
        level: usize,
    },
    /// A level outside the chain.
    #[error("level {level} does not exist: the highest is {max}")]
    NoSuchLevel {
        /// Level asked for.
        level: usize,
        /// Highest level.
        max: usize,
    },
    /// A rescale at level zero.
    #[error("cannot rescale at level 0: no prime is left to drop")]
    NoPrimeLeft,
    /// A drop to a higher level.
    #[error("cannot drop a ciphertext at level {from} to level {to}")]
    LevelRises {
        /// Level of the ciphertext.
        from: usize,
        /// Level asked for.
        to: usize,
    },
    /// An operand has the wrong number of parts.
    #[error("{op} takes ciphertexts of degree {wanted}, got degree {got}")]
    Degree {
        /// The operation.
        op: &'static str,
        /// Degree it takes.
        wanted: usize,
        /// Degree it was given.
        got: usize,
    },
    /// A sum over nothing.
    #[error("{0} needs at least one operand")]
    Empty(&'static str),
    /// A rotation without its key.
    #[error("no Galois key for rotation by {step}")]
    MissingGaloisKey {
        /// The rotation.
        step: usize,
    },
    /// A relinearisation without its key.
    #[error("no relinearisation key")]
    MissingRelinKey,
    /// A key made for lower levels than it is used at.
    #[error("key made for levels up to {key} used on a ciphertext at level {ciphertext}")]
    KeyLevel {
        /// Highest level of the key.
        key: usize,
        /// Level of the ciphertext.
        ciphertext: usize,
    },
    /// The caller asked to stop; see [`Evaluator::until`](crate::Evaluator::until).
    #[error("stopped when asked to")]
    Stopped,
    /// Operands of different parameters.
    #[error("operand belongs to other parameters")]
    ForeignContext,
    /// Bytes that are not what they should be.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}
