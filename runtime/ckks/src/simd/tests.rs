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
                &|out| ifma.dot2(&m, &mut [0; LEN], out, x, y, y),
                &|out| portable::dot2(&m, &mut [0; LEN], out, x, y, y),
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

#[test]
#[ignore]
fn kp_timing() {
    use crate::buffer::Buffer;
    let ifma = Ifma::detect().unwrap();
    let degree = 16384;
    let m = Modulus::new(primes::below(48, degree, 1, &[]).unwrap()[0], degree);
    for (nd, nkeys, pad) in [(8usize, 1usize, 0usize), (8, 1, 64), (4, 1, 0), (4,1,64), (8, 8, 0), (8,8,64)] {
        let w = 6;
        let digits: Vec<Buffer> = (0..nd).map(|_| { let mut b = Buffer::scratch(degree + pad); b.fill(12345678901); b }).collect();
        let keys: Vec<Vec<Buffer>> = (0..9).map(|_| (0..nkeys).map(|_| { let mut b = Buffer::scratch(degree * 2 * nd * w / 8 + 64); b.fill(0x0102030405060708); b }).collect()).collect();
        let mut outs: Vec<Buffer> = (0..2 * nkeys).map(|_| Buffer::zeroed(degree + pad)).collect();
        let mut best = [f64::MAX; 2];
        for rep in 0..10 {
            let s = std::time::Instant::now();
            for t in 0..9 {
                let t = if rep % 2 == 0 { t } else { 0 };
                let rows: Vec<Residues> = keys[t].iter().map(|k| Residues { bytes: bytemuck::cast_slice(k), width: w, rows: 2 * nd }).collect();
                let d: Vec<&[u64]> = digits.iter().map(|d| &d[..degree]).collect();
                let mut it = outs.iter_mut().map(|o| &mut o[..degree]);
                let mut o: Vec<[&mut [u64]; 2]> = Vec::new();
                while let (Some(a), Some(b)) = (it.next(), it.next()) { o.push([a, b]); }
                ifma.key_products(&m, &mut o, &d, &rows, crate::kernels::First { digit: 0 });
            }
            best[rep % 2] = best[rep % 2].min(s.elapsed().as_secs_f64());
        }
        let bytes = 9.0 * (nkeys * degree * 2 * nd * w) as f64;
        println!("digits {nd} keys {nkeys} pad {pad}: dram {:.3} ms {:.1} GB/s, cached {:.3} ms {:.1} GB/s", best[0]*1e3, bytes/best[0]/1e9, best[1]*1e3, bytes/best[1]/1e9);
    }
}
