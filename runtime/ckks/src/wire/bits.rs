//! Words of one width, packed bit after bit from the low end.

/// Bytes that `n` words take.
pub(super) fn packed_len(n: usize, width: u32) -> usize {
    (n * width as usize).div_ceil(8)
}

/// Appends words that fit `width` bits.
pub(super) fn pack(words: &[u64], width: u32, bytes: &mut Vec<u8>) {
    let end = bytes.len() + packed_len(words.len(), width);
    let (mut buffer, mut n_bits) = (0u128, 0);
    for &word in words {
        buffer |= u128::from(word) << n_bits;
        n_bits += width;
        if n_bits >= 64 {
            bytes.extend((buffer as u64).to_le_bytes());
            buffer >>= 64;
            n_bits -= 64;
        }
    }
    bytes.extend(&(buffer as u64).to_le_bytes()[..end - bytes.len()]);
}

/// Inverse of [`pack`], of `packed_len` bytes.
pub(super) fn unpack(bytes: &[u8], width: u32, words: &mut [u64]) {
    let mut sources = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mask = u64::MAX >> (64 - width);
    let (mut buffer, mut n_bits) = (0u128, 0);
    for word in words {
        if n_bits < width {
            buffer |= u128::from(sources.next().unwrap_or(0)) << n_bits;
            n_bits += 64;
        }
        *word = buffer as u64 & mask;
        buffer >>= width;
        n_bits -= width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_loses_nothing(width in 1u32..=63, words in prop::collection::vec(any::<u64>(), 0..40)) {
            let words: Vec<u64> = words.iter().map(|word| word >> (64 - width)).collect();
            let mut bytes = vec![9];
            pack(&words, width, &mut bytes);
            prop_assert_eq!(bytes.len(), 1 + packed_len(words.len(), width));
            let mut got = vec![0; words.len()];
            unpack(&bytes[1..], width, &mut got);
            prop_assert_eq!(got, words);
        }
    }
}
