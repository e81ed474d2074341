//! Element types as files store them, and their conversion to `f64`.

/// How a file stores one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Truth values, one byte each.
    Bool,
    /// Signed integers of this many bytes.
    Signed(usize),
    /// Unsigned integers of this many bytes.
    Unsigned(usize),
}

impl ElementType {
    /// Bytes of one element.
    pub(crate) fn n_bytes(self) -> usize {
        match self {
            ElementType::Bool => 1,
            ElementType::F16 | ElementType::Bf16 => 2,
            ElementType::F32 => 4,
            ElementType::F64 => 8,
            ElementType::Signed(n) | ElementType::Unsigned(n) => n,
        }
    }

    /// Whether elements are integers.
    pub(crate) fn is_integral(self) -> bool {
        match self {
            ElementType::Bool | ElementType::Signed(_) | ElementType::Unsigned(_) => true,
            ElementType::F16 | ElementType::Bf16 | ElementType::F32 | ElementType::F64 => false,
        }
    }

    /// Value of little-endian bits, zero-extended. Integers beyond 2^53 round.
    fn value(self, bits: u64) -> f64 {
        match self {
            ElementType::F16 => half(bits as u16),
            ElementType::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            ElementType::F32 => f64::from(f32::from_bits(bits as u32)),
            ElementType::F64 => f64::from_bits(bits),
            ElementType::Bool => f64::from(u8::from(bits != 0)),
            ElementType::Signed(n) => {
                let unused = 64 - 8 * n as u32;
                (((bits << unused) as i64) >> unused) as f64
            }
            ElementType::Unsigned(_) => bits as f64,
        }
    }

    /// Values of consecutive elements; trailing bytes of a part are ignored.
    pub(crate) fn decode(self, bytes: &[u8], big_endian: bool) -> impl Iterator<Item = f64> + '_ {
        bytes.chunks_exact(self.n_bytes()).map(move |element| {
            let mut word = [0; 8];
            word[..element.len()].copy_from_slice(element);
            if big_endian {
                word[..element.len()].reverse();
            }
            self.value(u64::from_le_bytes(word))
        })
    }
}

/// Value of an IEEE half: 1 sign, 5 exponent, 10 fraction bits.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_decode() {
        let one = |kind: ElementType, bytes: &[u8]| kind.decode(bytes, false).next().unwrap();
        assert_eq!(one(ElementType::F16, &[0x00, 0xc1]), -2.5);
        assert_eq!(one(ElementType::F16, &[0x01, 0x00]), 2f64.powi(-24));
        assert!(one(ElementType::F16, &[0x01, 0x7c]).is_nan());
        assert_eq!(one(ElementType::Bf16, &[0x20, 0xc0]), -2.5);
        assert_eq!(one(ElementType::Signed(1), &[0xff]), -1.0);
        assert_eq!(one(ElementType::Unsigned(1), &[0xff]), 255.0);
        assert_eq!(ElementType::Signed(2).decode(&[0xff, 0xfe], true).next(), Some(-2.0));
    }
}
