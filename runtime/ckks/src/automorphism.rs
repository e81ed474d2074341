//! The automorphisms X → X^g on transformed values.
//!
//! Value i is taken at the root to the power 2·reverse(i) + 1, so eight neighbours
//! are the cosets of one exponent modulo N/4, and an automorphism moves them
//! together: each block of eight comes from one block, permuted within.

/// Values that move together.
pub(crate) const BLOCK: usize = 8;

/// Where the values of a(X^g) come from in those of a.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Automorphism {
    /// Per block: `BLOCK ·` the block it comes from, plus its pattern.
    pub sources: Vec<u32>,
    /// Places within a source block, by pattern.
    pub patterns: [[u64; BLOCK]; BLOCK],
}

impl Automorphism {
    /// The automorphism of a Galois element, an odd number below 2N.
    pub fn new(degree: usize, element: usize) -> Automorphism {
        let bits = degree.ilog2();
        let coset = degree / 4;
        let source = |block: usize| {
            let exponent = (2 * reversed(BLOCK * block, bits) + 1) * element % (2 * degree);
            let (shift, base) = (exponent / coset, exponent % coset);
            (reversed(base / 2, bits) + shift) as u32
        };
        let pattern = |shift: usize| {
            std::array::from_fn(|lane| reversed((reversed(lane, 3) * element + shift) % BLOCK, 3) as u64)
        };
        Automorphism {
            sources: (0..degree / BLOCK).map(source).collect(),
            patterns: std::array::from_fn(pattern),
        }
    }
}

/// The lowest `bits` bits in reverse.
fn reversed(i: usize, bits: u32) -> usize {
    i.reverse_bits() >> (usize::BITS - bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_their_exponent() {
        for degree in [16usize, 64, 1024] {
            let bits = degree.ilog2();
            let exponent = |i: usize| 2 * reversed(i, bits) + 1;
            for element in [1, 5, 25, 2 * degree - 1] {
                let map = Automorphism::new(degree, element);
                for i in 0..degree {
                    let source = map.sources[i / BLOCK] as usize;
                    let within = map.patterns[source % BLOCK][i % BLOCK] as usize;
                    let from = source / BLOCK * BLOCK + within;
                    assert_eq!(exponent(from), exponent(i) * element % (2 * degree));
                }
            }
        }
    }
}
