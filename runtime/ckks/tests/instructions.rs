//! Results are the same bits with all instructions: what is encrypted with some is computed on with others.

#![allow(clippy::unwrap_used)]

use hecc_ckks::*;

/// Narrow and wide primes in all roles: for rescales, as digits of two, and special.
const CHAINS: [[u32; 2]; 4] = [[28, 30], [36, 49], [45, 50], [30, 55]];

/// A key switch, products of both kinds, conversions and divisions, at a ciphertext that is the same for all.
fn computed(ctx: &std::sync::Arc<Context>, ct: &Ciphertext) -> Vec<Ciphertext> {
    let (top, scale) = (ctx.max_level(), 2f64.powi(20));
    let keys = KeyGenerator::insecure_from_seed(ctx, 7).eval_keys(Some(top), &[(1, top), (3, top)]).unwrap();
    let (encoder, evaluator) = (Encoder::new(ctx), Evaluator::new(ctx));
    let rotated = evaluator.rotate_many_extended(ct, &[1, 3], &keys.galois).unwrap();
    let values: Vec<f64> = (0..ctx.n_slots()).map(|i| (i as f64).cos()).collect();
    let plain = encoder.encode_extended(&values, top, scale).unwrap();
    let number = encoder.encode(&[0.7], top, scale).unwrap();
    let terms: Vec<_> = (0..30).map(|i| (&rotated[i % 2], &plain)).collect();
    let sum = evaluator.inner_product(&terms).unwrap();
    let numbers = evaluator.inner_product(&[(ct, &number); 20]).unwrap();
    let product = evaluator.mul(ct, &evaluator.reduce(&rotated[0]).unwrap()).unwrap();
    let product = evaluator.relin(&product, keys.relin_key().unwrap()).unwrap();
    vec![evaluator.rescale(&sum).unwrap(), evaluator.rescale(&numbers).unwrap(), product]
}

#[test]
fn results_are_the_same_with_all_instructions() {
    for (ring_degree, [bits, special_bits]) in
        [64, 2048].into_iter().flat_map(|n| CHAINS.map(|chain| (n, chain)))
    {
        let q = primes::near(bits, ring_degree, 5, &[]).unwrap();
        let p = primes::below(special_bits, ring_degree, 2, &q).unwrap();
        let params = Params { ring_degree, q, p, digit_limbs: 2, security: SecurityLevel::Insecure };
        let ct = {
            Instructions::limit(Instructions::Portable);
            let ctx = Context::new(&params).unwrap();
            let values: Vec<f64> = (0..ctx.n_slots()).map(|i| (i as f64).sin()).collect();
            let pt = Encoder::new(&ctx).encode(&values, ctx.max_level(), 2f64.powi(20)).unwrap();
            KeyGenerator::insecure_from_seed(&ctx, 7).secret_key().encrypt(&pt).unwrap()
        };
        let results = Instructions::ALL.map(|most| {
            Instructions::limit(most);
            computed(&Context::new(&params).unwrap(), &ct)
        });
        assert!(
            results[1..].iter().all(|result| *result == results[0]),
            "{ring_degree} {bits} {special_bits}"
        );
    }
}

#[test]
fn names_are_read_back() {
    for instructions in Instructions::ALL {
        assert_eq!(Instructions::named(instructions.name()), Some(instructions));
    }
    assert_eq!(Instructions::named("sse"), None);
}
