//! Parameters of the scheme and the checks they pass before use.

use crate::error::Error;
use crate::primes::is_prime;
use hecc_security::SecurityLevel;

/// A ring, its prime chain and the decomposition of key switching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Ring degree N, a power of two; a ciphertext has N/2 slots.
    pub ring_degree: usize,
    /// Ciphertext primes; a level-`l` ciphertext holds `q[..=l]`.
    pub q: Vec<u64>,
    /// Special primes of hybrid key switching.
    pub p: Vec<u64>,
    /// Ciphertext primes per key-switching digit. The noise of a key switch
    /// stays small while no product of that many primes exceeds the product of `p`.
    pub digit_limbs: usize,
    /// What the parameters promise.
    pub security: SecurityLevel,
}

/// Most ciphertext primes.
const MAX_LIMBS: usize = 64;
/// Most primes that are converted together: sums over them are reduced once.
pub(crate) const MAX_BASE: usize = 13;

impl Params {
    /// Slots per ciphertext.
    pub fn n_slots(&self) -> usize {
        self.ring_degree / 2
    }

    /// The level of a ciphertext that holds every prime of `q`.
    pub fn max_level(&self) -> usize {
        self.q.len() - 1
    }

    /// Bits of the whole modulus QP, which security depends on.
    pub fn log_qp(&self) -> f64 {
        self.q.iter().chain(&self.p).map(|&prime| (prime as f64).log2()).sum()
    }

    /// Key-switching digits of a ciphertext at `level`.
    pub fn n_digits(&self, level: usize) -> usize {
        (level + 1).div_ceil(self.digit_limbs)
    }

    /// A hash that tells parameter sets apart (FNV-1a); not a commitment.
    pub fn fingerprint(&self) -> u64 {
        let shape = [self.ring_degree as u64, self.q.len() as u64, self.digit_limbs as u64];
        let words = shape.iter().chain(&self.q).chain(&self.p);
        words.flat_map(|word| word.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    /// Everything a context relies on.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if !self.ring_degree.is_power_of_two() || !(16..=65536).contains(&self.ring_degree) {
            return Err(Error::RingDegree(self.ring_degree));
        }
        check_count("ciphertext primes", self.q.len(), 1, MAX_LIMBS)?;
        check_count("special primes", self.p.len(), 1, MAX_BASE)?;
        check_count("primes per digit", self.digit_limbs, 1, self.q.len().min(MAX_BASE))?;
        let primes: Vec<u64> = self.q.iter().chain(&self.p).copied().collect();
        for (i, &prime) in primes.iter().enumerate() {
            self.check_prime(prime, &primes[..i])?;
        }
        self.check_security()
    }

    fn check_prime(&self, prime: u64, earlier: &[u64]) -> Result<(), Error> {
        let refuse = |reason| Err(Error::Prime { prime, reason });
        match () {
            () if !(19.5..60.5).contains(&(prime as f64).log2()) => refuse("it is not 20 to 60 bits wide"),
            () if prime % (2 * self.ring_degree as u64) != 1 => refuse("it is not 1 modulo 2N"),
            () if earlier.contains(&prime) => refuse("it is repeated"),
            () if !is_prime(prime) => refuse("it is not prime"),
            () => Ok(()),
        }
    }

    fn check_security(&self) -> Result<(), Error> {
        let Params { ring_degree, security: level, .. } = *self;
        match (self.log_qp(), level.max_log_qp(ring_degree)) {
            (_, 0) => Err(Error::NoSecureParams { ring_degree, level }),
            (log_qp, bound) if log_qp > f64::from(bound) => {
                Err(Error::Insecure { log_qp, bound, ring_degree, level })
            }
            (_, _) => Ok(()),
        }
    }
}

fn check_count(what: &'static str, got: usize, min: usize, max: usize) -> Result<(), Error> {
    match (min..=max).contains(&got) {
        true => Ok(()),
        false => Err(Error::Count { what, got, min, max }),
    }
}
