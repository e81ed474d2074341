//! Vector forms against portable ones.

use super::*;
use crate::automorphism::Automorphism;
use crate::kernels::portable;
use crate::modulus::Modulus;
use crate::packed::{Residues, SLACK};
use crate::primes;
use proptest::prelude::*;

const LEN: usize = 2 * BLOCK;

/// Residues of `n` limbs, with the extremes among them.
fn limbs(n: usize, bound: u64, seed: u64) -> Vec<Vec<u64>> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 61 {
            0 => 0,
            1 | 2 => bound - 1,
            _ => (state >> 3) % bound,
        }
    };
    (0..n).map(|_| (0..LEN).map(|_| next()).collect()).collect()
}

fn slices(limbs: &[Vec<u64>]) -> Vec<&[u64]> {
    limbs.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn vector_forms_agree_with_portable(bits in 20u32..=50, seed: u64, n_terms in 1usize..70) {
        let Some(ifma) = Ifma::detect() else { return Ok(()) };
        let m = Modulus::new(primes::below(bits, LEN, 1, &[]).unwrap()[0], LEN);
        let a = limbs(n_terms, m.p, seed);
        let b = limbs(n_terms, m.p, seed ^ 0xabcdef);
        let factor = m.factor(b[0][7]);
        let check = |vector: &dyn Fn(&mut [u64]), plain: &dyn Fn(&mut [u64])| {
            let (mut x, mut y) = (a[0].clone(), a[0].clone());
            vector(&mut x);
            plain(&mut y);
            assert_eq!(x, y);
        };
        check(&|x| ifma.add_assign(&m, x, &b[0]), &|x| portable::add_assign(&m, x, &b[0]));
        check(&|x| ifma.sub_assign(&m, x, &b[0]), &|x| portable::sub_assign(&m, x, &b[0]));
        check(&|x| ifma.scale(&m, x, factor), &|x| portable::scale(&m, x, factor));
        check(&|x| ifma.add_scalar(&m, x, m.p - 1), &|x| portable::add_scalar(&m, x, m.p - 1));
        check(&|x| ifma.sub_scale(&m, x, &b[0], factor), &|x| portable::sub_scale(&m, x, &b[0], factor));
        check(&|x| ifma.add_scaled(&m, x, &b[0], factor), &|x| portable::add_scaled(&m, x, &b[0], factor));
        let reciprocals = vec![1.0 / m.p as f64; n_terms];
        check(
            &|x| ifma.overflow(x, &slices(&a), &reciprocals),
            &|x| portable::overflow(x, &slices(&a), &reciprocals),
        );
        let wide = limbs(15, 1 << 50, seed ^ 77);
        check(
            &|x| ifma.reduce_offset(&m, x, &wide[0], m.p - 1),
            &|x| portable::reduce_offset(&m, x, &wide[0], m.p - 1),
        );
        let weights = &b[0][..15];
        check(
            &|x| ifma.combine(&m, x, &slices(&wide), weights),
            &|x| portable::combine(&m, x, &slices(&wide), weights),
        );
        let packed = b.iter().map(|limb| at_rest(limb, m.byte_width())).collect::<Vec<_>>();
        let at_rest: Vec<_> = packed.iter().map(|bytes| Residues { bytes, width: m.byte_width(), rows: 1 }).collect();
        let [a, b] = [&a, &b].map(|limbs| limbs.iter().map(|limb| Residues::of_words(limb)).collect::<Vec<_>>());
        let mut expected = vec![0; LEN];
        portable::dot(&m, &mut expected, &a, &b);
        for (x, y) in [(&a, &b), (&a, &at_rest), (&at_rest, &a)] {
            check(&|out| ifma.dot(&m, out, x, y), &|out| out.copy_from_slice(&expected));
            check(&|out| portable::dot(&m, out, x, y), &|out| out.copy_from_slice(&expected));
            check(
                &|out| ifma.dot2(&m, 0, &mut [0; LEN], out, x, y, y),
                &|out| portable::dot2(&m, 0, &mut [0; LEN], out, x, y, y),
            );
        }
    }

    #[test]
    fn automorphisms_agree(element in 0usize..1024, seed: u64) {
        let Some(ifma) = Ifma::detect() else { return Ok(()) };
        let map = Automorphism::new(512, 2 * element % 1024 + 1);
        let x: Vec<u64> = (0..512).map(|i| seed.rotate_left(i)).collect();
        let [mut vector, mut plain] = [vec![0; 512], vec![0; 512]];
        ifma.permute(&mut vector, &x, &map);
        portable::permute(&mut plain, &x, &map);
        prop_assert!(vector == plain);
    }
}

/// Words in `width` bytes each, and what vector loads may touch.
fn at_rest(words: &[u64], width: usize) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(width));
    bytes.chain([0xff; SLACK]).collect()
}
