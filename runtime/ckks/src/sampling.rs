//! Randomness: uniform residues, ternary secrets, Gaussian errors.
//!
//! All of it is ChaCha20, keyed by the operating system; generators wipe their
//! state on drop. Samplers of secret values run the same instructions, on the
//! same addresses, whatever they draw.

mod wide;

pub use wide::WideGaussian;

use crate::context::Context;
use crate::error::Error;
use crate::modulus::Modulus;
use crate::poly::Poly;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// 32 bytes that expand to uniform polynomials.
pub(crate) type Seed = [u8; 32];

/// Small secret coefficients, wiped on drop.
pub(crate) type Small = Zeroizing<Vec<i64>>;

/// Random bytes of the operating system, for identities that anyone may know.
///
/// # Errors
/// [`Error::Entropy`].
pub fn public_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Entropy)?;
    Ok(bytes)
}

/// A stream of secret random words.
pub(crate) struct Prng(ChaCha20Rng);

impl Prng {
    /// Keyed by the operating system.
    pub fn from_entropy() -> Result<Prng, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_| Error::Entropy)?;
        Ok(Prng::from_seed(*seed))
    }

    /// Repeatable.
    pub fn from_seed(seed: Seed) -> Prng {
        Prng(ChaCha20Rng::from_seed(seed))
    }

    /// A fresh seed for [`expand`]; what it expands to is public.
    pub fn public_seed(&mut self) -> Seed {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// Uniform over -1, 0, 1 up to a bias of 2^-64.
    pub fn ternary(&mut self, n: usize) -> Small {
        let words = self.words(n);
        Zeroizing::new(words.iter().map(|&word| ((u128::from(word) * 3) >> 64) as i64 - 1).collect())
    }

    /// Discrete Gaussian of width 3.2 by inversion of its distribution table,
    /// read to the end for each sample; distance from the ideal below 2^-60.
    pub fn gaussian(&mut self, n: usize) -> Small {
        Zeroizing::new(self.words(n).iter().map(|&word| gaussian_from(word)).collect())
    }

    fn words(&mut self, n: usize) -> Zeroizing<Vec<u64>> {
        let mut words = Zeroizing::new(vec![0; n]);
        fill(&mut self.0, &mut words);
        words
    }
}

/// One Gaussian sample from 63 uniform bits and a sign.
#[inline]
fn gaussian_from(word: u64) -> i64 {
    let (sign, point) = (-((word & 1) as i64), (word >> 1) as i64);
    let below: i64 = AT_MOST.iter().map(|&bound| (point - bound) >> 63).sum();
    ((AT_MOST.len() as i64 + below) ^ sign) - sign
}

/// floor(2^63 · P(|x| ≤ k)) for k = 0, 1, …, where P(x) ~ exp(-x²/2·3.2²).
///
/// With w(k) = exp(-25k²/512) and S(k) = w(0) + 2 (w(1) + … + w(k)), the entries
/// are floor(2^63 · S(k) / S(∞)). A test derives them in fixed point; so does
///
/// ```sh
/// python3 -c "from mpmath import mp, exp, floor; mp.dps = 60
/// w = [exp(-mp.mpf(25) * k * k / 512) * (2 if k else 1) for k in range(99)]
/// print([int(floor(2**63 * sum(w[:k + 1]) / sum(w))) for k in range(29)])"
/// ```
const AT_MOST: [i64; 29] = [
    1149872835429266008,
    3340023666152832877,
    5231742854224525755,
    6713673034491318533,
    7766573326200196558,
    8445050402542556633,
    8841576285654612683,
    9051758678878186096,
    9152802451769415979,
    9196859074767746705,
    9214281206174004120,
    9220529764022708440,
    9222562339745873205,
    9223161995634596963,
    9223322447917711088,
    9223361386320111732,
    9223369956674611011,
    9223371667508612690,
    9223371977254386295,
    9223372028116140532,
    9223372035690845298,
    9223372036713969870,
    9223372036839307001,
    9223372036853232777,
    9223372036854636067,
    9223372036854764319,
    9223372036854774950,
    9223372036854775749,
    9223372036854775804,
];

/// Words of a key stream, which is cheaper in bulk.
fn fill(rng: &mut ChaCha20Rng, words: &mut [u64]) {
    rng.fill_bytes(bytemuck::cast_slice_mut(words));
    words.iter_mut().for_each(|word| *word = u64::from_le(*word));
}

/// Fills a limb with uniform residues: stream `stream` of a public seed.
///
/// Words from the largest multiple of the prime on are rejected, which leaks
/// nothing, since what is expanded is public. The words that take their places
/// are those that follow the first draw, in order.
pub(crate) fn expand(seed: &Seed, stream: u64, m: &Modulus, limb: &mut [u64]) {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(stream);
    fill(&mut rng, limb);
    let accepted = u64::MAX / m.p * m.p;
    for word in limb {
        while *word >= accepted {
            *word = rng.next_u64();
        }
        *word = m.reduce(*word);
    }
}

/// A uniform polynomial over the first `n_limbs` primes, in transformed form.
pub(crate) fn expand_poly(ctx: &Context, seed: &Seed, n_limbs: usize) -> Poly {
    Poly::build(ctx.ring_degree(), n_limbs, |t, limb| expand(seed, t as u64, &ctx.moduli()[t], limb))
}

/// Small coefficients modulo the given primes, in transformed form.
pub(crate) fn transform_small(ctx: &Context, small: &[i64], primes: &[usize]) -> Zeroizing<Poly> {
    let mut poly = Zeroizing::new(Poly::zero(ctx.ring_degree(), primes.len()));
    poly.par_limbs_mut().zip(primes).for_each(|((_, limb), &prime)| {
        lift_small(&ctx.moduli()[prime], small, limb);
        ctx.forward(prime, limb);
    });
    poly
}

/// Coefficients smaller than the prime to residues, without branches on them.
fn lift_small(m: &Modulus, small: &[i64], limb: &mut [u64]) {
    for (word, &x) in limb.iter_mut().zip(small) {
        *word = (x as u64).wrapping_add(m.p & (x >> 63) as u64);
    }
}

#[cfg(test)]
mod tests;
