//! When a value outgrows its modulus.
//!
//! A ciphertext holds a polynomial modulo Q, the product of the primes at its level. All operations
//! are those of that ring, and a rescale divides the polynomial and Q alike: what wraps around on the
//! way is the same modulo Q and unwraps when later values are small again. So a run is
//! wrong exactly if a *coefficient* of what is decrypted exceeds Q/2, whatever its slots do and
//! whatever other values did.
//!
//! Coefficient k of real slots z is the mean over j of Re(z_j conj(ζ_j^k)), times the scale, with ζ_j of
//! magnitude one. So no coefficient exceeds the mean magnitude of the slots, and that of slots of
//! one sign reaches it.

use crate::circuit::CtType;
use crate::limits::MAX_ENCODED_BITS;
use crate::params::Params;

/// The largest magnitude that a coefficient of slots can have, in slot units, whatever their signs.
///
/// The mean magnitude over lanes that share a ciphertext is no larger than that of the largest
/// lane, so what holds for each lane alone holds for all together.
pub fn coefficient_bound(slots: &[f64]) -> f64 {
    // Divided first, so that the sum of large numbers stays finite.
    let share = 1.0 / slots.len().max(1) as f64;
    slots.iter().map(|x| x.abs() * share).sum::<f64>()
}

/// Base-2 logarithm of the largest coefficient, in slot units, that fits the modulus at the level of
/// a type.
///
/// # Panics
/// If the level is above the chain.
pub fn room_bits(params: &Params, ty: CtType) -> f64 {
    let log_q = params.log_q(ty.level).expect("types are within the chain");
    log_q - 1.0 - ty.scale.log2()
}

/// Base-2 logarithm of the largest coefficient, in slot units, that can be encoded for a type: it fits the modulus, and an
/// integer of [`MAX_ENCODED_BITS`].
///
/// # Panics
/// As [`room_bits`].
pub fn encodable_bits(params: &Params, ty: CtType) -> f64 {
    room_bits(params, ty).min(MAX_ENCODED_BITS - 1.0 - ty.scale.log2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::SecurityLevel;
    use crate::scale::{Level, Scale};

    #[test]
    fn coefficients_are_bounded_by_mean_magnitudes() {
        assert_eq!(coefficient_bound(&[1.0, -3.0, 0.0, 0.0]), 1.0);
        assert_eq!(coefficient_bound(&[f64::MAX; 4]), f64::MAX);
    }

    #[test]
    fn half_of_the_modulus_is_room() {
        let (q, p, security) = (vec![65537, 114_689], vec![], SecurityLevel::Insecure);
        let params = Params { ring_degree: 16, q, p, digit_limbs: 1, security };
        let ty = CtType { level: Level(0), scale: Scale::from_log2(10.0), degree: 1 };
        assert!((room_bits(&params, ty) - 5.0).abs() < 1e-4);
        assert_eq!(encodable_bits(&params, ty), room_bits(&params, ty));
        let wide = Params { q: vec![(1 << 61) - 1; 3], ..params };
        let ty = CtType { level: Level(2), scale: Scale::from_log2(100.0), degree: 1 };
        assert_eq!(encodable_bits(&wide, ty), MAX_ENCODED_BITS - 101.0);
    }
}
