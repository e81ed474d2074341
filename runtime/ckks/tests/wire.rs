//! What is written can be read; what is damaged is refused or at least harmless.

#![allow(clippy::unwrap_used)] // A refusal fails the test.

mod common;

use common::*;
use hecc_ckks::*;
use proptest::prelude::*;

fn world() -> World {
    World::new(Shape { ring_degree: 32, n_limbs: 3, digit_limbs: 2, ..Shape::SMALL })
}

/// The byte form of one of everything.
fn forms(world: &mut World) -> Vec<Vec<u8>> {
    let ctx = world.ctx.clone();
    let ct = world.encrypt(&values(16, 1), 2);
    let square = world.evaluator.square(&ct).unwrap();
    let keys = world.keygen.eval_keys(Some(2), &[(1, 2), (5, 1), (0, 0)]).unwrap();
    vec![
        ct.to_bytes(&ctx).unwrap(),
        square.to_bytes(&ctx).unwrap(),
        world.keygen.public_key().to_bytes(&ctx).unwrap(),
        keys.to_bytes(&ctx).unwrap(),
        world.keygen.secret_key().to_secret_bytes().to_vec(),
    ]
}

/// Reads bytes as everything they might be; true if something accepts them.
fn read_all(world: &World, bytes: &[u8]) -> bool {
    let ctx = &world.ctx;
    let results = [
        Ciphertext::from_bytes(ctx, bytes).is_ok(),
        PublicKey::from_bytes(ctx, bytes).is_ok(),
        EvalKeys::from_bytes(ctx, bytes).is_ok(),
        SecretKey::from_secret_bytes(ctx, bytes).is_ok(),
    ];
    results.contains(&true)
}

#[test]
fn round_trips() {
    let mut world = world();
    let ctx = world.ctx.clone();
    let ct = world.encrypt(&values(16, 1), 2);
    let rescaled = world.evaluator.rescale(&world.evaluator.square(&ct).unwrap()).unwrap();
    for ct in [&ct, &rescaled] {
        assert_eq!(&Ciphertext::from_bytes(&ctx, &ct.to_bytes(&ctx).unwrap()).unwrap(), ct);
    }
    let public = world.keygen.public_key();
    assert_eq!(PublicKey::from_bytes(&ctx, &public.to_bytes(&ctx).unwrap()).unwrap(), public);
    let keys = world.keygen.eval_keys(Some(2), &[(1, 2), (5, 1)]).unwrap();
    assert_eq!(EvalKeys::from_bytes(&ctx, &keys.to_bytes(&ctx).unwrap()).unwrap(), keys);
    let secret = world.keygen.secret_key().to_secret_bytes();
    let secret = SecretKey::from_secret_bytes(&ctx, &secret).unwrap();
    let slots = world.encoder.decode(&secret.decrypt(&ct).unwrap(), world.scale).unwrap();
    assert_close(&slots, &values(16, 1), 1e-7);
}

#[test]
fn seeds_halve_what_travels() {
    let mut world = World::new(Shape::SMALL);
    let ct = world.encrypt(&[1.0], 3);
    let sum = world.evaluator.add(&ct, &ct).unwrap();
    let size = |ct: &Ciphertext| ct.to_bytes(&world.ctx).unwrap().len();
    assert!(size(&ct) < size(&sum) * 51 / 100 + 40);
    assert!(size(&sum) < sum.byte_size() * 41 / 64 + 64);
    let keys = world.keygen.eval_keys(Some(3), &[]).unwrap();
    assert!(keys.to_bytes(&world.ctx).unwrap().len() < keys.byte_size() / 2 + 100);
}

#[test]
fn truncation_and_extension_are_refused() {
    let mut world = world();
    for mut bytes in forms(&mut world) {
        assert!(read_all(&world, &bytes));
        for len in 0..bytes.len() {
            assert!(!read_all(&world, &bytes[..len]), "{len} of {}", bytes.len());
        }
        bytes.push(0);
        assert!(!read_all(&world, &bytes));
    }
}

#[test]
fn other_parameters_formats_and_kinds_are_refused() {
    let mut world = world();
    let other = World::new(Shape { ring_degree: 32, n_limbs: 3, ..Shape::SMALL });
    let bytes = forms(&mut world).swap_remove(0);
    assert_eq!(Ciphertext::from_bytes(&other.ctx, &bytes), Err(Error::ForeignContext));
    for (at, reason) in [
        (0, "it does not start as one"),
        (4, "another version made it, in a format that this one does not read"),
        (6, "it holds something else"),
    ] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let refused = Error::Malformed { what: "ciphertext", reason };
        assert_eq!(Ciphertext::from_bytes(&world.ctx, &changed), Err(refused));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn mutations_never_panic(form in 0usize..5, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut world = world();
        let mut bytes = forms(&mut world).swap_remove(form);
        for (at, byte) in changes {
            // Half of the changes hit the fields before the residues.
            let range = if at % 2 == 0 { bytes.len() } else { bytes.len().min(40) };
            bytes[at / 2 % range] = byte;
        }
        if let Ok(ct) = Ciphertext::from_bytes(&world.ctx, &bytes) {
            world.keygen.secret_key().decrypt(&ct).unwrap();
            let _ = world.evaluator.rescale(&ct);
        }
        read_all(&world, &bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!read_all(&world(), &bytes));
    }
}
