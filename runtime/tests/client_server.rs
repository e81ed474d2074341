//! The two halves of an application, in one process: what they exchange works
//! when it is right and is refused with a reason when it is not.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Draft, params, rms, values};
use hecc_ir::primes::nearest_ntt_prime;
use hecc_ir::program::{Expected, Promise, SlotRun};
use hecc_ir::{KeyPlan, Layout, Manifest, Params, Program, SecurityLevel, Shape, Tensor, artifact};
use hecc_runtime::bundle::{BundleError, Question};
use hecc_runtime::client::{Client, Sharing};
use hecc_runtime::notice::Notice;
use hecc_runtime::server::{Server, Session};
use hecc_runtime::{Clear, Error, Executor};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a bundle before its payload.
const HEADER: usize = 71;

/// (x + rotated x)², on two inputs of which one is ignored.
fn program(ring_degree: usize) -> Program {
    program_with_lanes(ring_degree, 1)
}

fn program_with_lanes(ring_degree: usize, lanes: usize) -> Program {
    let mut draft = Draft::with_lanes(&params(ring_degree, 2, 1), lanes);
    let (x, _) = (draft.input(), draft.input());
    let rotated = draft.rotate(x, &[1])[0];
    let sum = draft.sum(vec![x, rotated]);
    let square = draft.mul(sum, sum);
    let linear = draft.relin(square);
    let result = draft.rescale(linear);
    draft.output(result);
    draft.finish()
}

fn serve(program: &Program) -> Server {
    Server::load(&artifact::write_program(program)).unwrap()
}

/// A small program with both halves set up.
fn connected() -> (Client, Session) {
    let program = program(64);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    (client, session)
}

fn tensors(manifest: &Manifest) -> Vec<Tensor> {
    let n_slots = manifest.params.n_slots();
    pair(n_slots, 1)
}

/// Two inputs of a sample.
fn pair(n_slots: usize, seed: u64) -> Vec<Tensor> {
    vec![values(n_slots, seed).into(), values(n_slots, seed + 1).into()]
}

fn expect_bundle(error: Error) -> BundleError {
    match error {
        Error::Bundle(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn results_come_back() {
    let program = program(1024);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    let inputs = tensors(client.manifest());
    let reply = session.eval(&client.encrypt(&inputs).unwrap()).unwrap();
    let results = client.decrypt(&reply.bundle).unwrap();
    let x = inputs[0].values();
    for (i, found) in results[0].iter().enumerate() {
        let expected = (x[i] + x[(i + 1) % x.len()]).powi(2);
        assert!((found - expected).abs() < 1e-6, "slot {i}: {found} {expected}");
    }
    assert!(reply.cost.memory.ciphertexts > 0);
    assert!(!reply.cost.timings.is_empty());
}

#[test]
fn batches_come_back_sample_by_sample() {
    let program = program_with_lanes(1024, 8);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    for n_samples in [1, 5, 8] {
        let sample = |seed: u64| pair(64, 2 * seed + 1);
        let batch: Vec<_> = (0..n_samples as u64).map(sample).collect();
        let reply = session.eval(&client.encrypt_batch(&batch).unwrap()).unwrap();
        let results = client.decrypt_batch(&reply.bundle, n_samples).unwrap();
        assert_eq!(results.len(), n_samples);
        for (inputs, result) in batch.iter().zip(&results) {
            let x = inputs[0].values();
            let expected: Vec<f64> = (0..64).map(|i| (x[i] + x[(i + 1) % 64]).powi(2)).collect();
            assert!(rms(&result[0], &expected) < 1e-6);
        }
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let program = program_with_lanes(64, 4);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let sample = pair(8, 1);
    let error = |batch: &[Vec<Tensor>]| client.encrypt_batch(batch).unwrap_err().to_string();
    assert_eq!(error(&vec![sample.clone(); 5]), "a batch holds 1 to 4 samples, found 5");
    assert_eq!(error(&[]), "a batch holds 1 to 4 samples, found 0");
    let short = vec![values(8, 1).into(), values(7, 2).into()];
    assert_eq!(error(&[sample.clone(), short]), "sample 1: `x1` takes tensors of shape [8], found [7]");
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    let reply = session.eval(&client.encrypt_batch(&[&sample]).unwrap()).unwrap();
    let refused = |n| client.decrypt_batch(&reply.bundle, n).unwrap_err();
    assert!(matches!(refused(5), Error::Batch { lanes: 4, found: 5 }));
    assert!(matches!(refused(2), Error::Samples { encrypted: 1, asked: 2 }));
    assert_eq!(refused(2).to_string(), "the result is of 1 samples, asked for 2");
}

/// A back end for one sample does not run a program for several.
#[test]
fn back_ends_for_other_lanes_are_refused() {
    let program = Arc::new(program_with_lanes(64, 4));
    let clear = Clear::new(&program.manifest.params);
    let executor = Executor::new(Some(1)).unwrap();
    assert!(matches!(executor.prepare(program.clone(), clear.clone()), Err(Error::Params)));
    assert!(executor.prepare(program, clear.with_lanes(4)).is_ok());
}

#[test]
fn results_do_not_depend_on_threads() {
    let program = program(64);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let keys = client.eval_keys().unwrap();
    let inputs = client.encrypt(&tensors(client.manifest())).unwrap();
    let bytes = artifact::write_program(&program);
    let results = [1, 2, 5].map(|n_threads| {
        let executor = Executor::new(Some(n_threads)).unwrap();
        let server = Server::load_with(&bytes, &executor, &|_, _| ()).unwrap();
        server.session(&keys).unwrap().eval(&inputs).unwrap().bundle
    });
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn a_saved_key_decrypts() {
    let (client, session) = connected();
    let inputs = tensors(client.manifest());
    let reply = session.eval(&client.encrypt(&inputs).unwrap()).unwrap();
    let again = Client::load_insecure(client.manifest(), &client.save()).unwrap();
    assert_eq!(again.decrypt(&reply.bundle).unwrap(), client.decrypt(&reply.bundle).unwrap());
}

#[test]
fn shared_results_agree_within_the_stated_loss() {
    let program = program(1024);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    let reply = session.eval(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap();
    let exact = client.decrypt(&reply.bundle).unwrap().remove(0);
    let (error, n) = (1e-8, exact.len() as f64);
    for sharing in [Sharing::Flood { error, bits: 20, releases: 4 }, Sharing::Round { error, bits: 12 }] {
        let mut shared = client.decrypt_to_share(&reply.bundle, sharing).unwrap();
        let loss = sharing.loss(exact.len()).unwrap();
        assert_eq!(shared.loss, loss);
        let found = rms(&shared.tensors.remove(0), &exact);
        let expected = loss.noise_std.hypot(loss.step / 12f64.sqrt());
        // The root mean square of n errors varies by less than 1 / sqrt(n) of itself.
        assert!((found / expected - 1.0).abs() < 5.0 / n.sqrt(), "{sharing:?}: {found} {expected}");
    }
}

#[test]
fn sharing_hides_nothing_without_an_error() {
    let (client, session) = connected();
    let reply = session.eval(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap();
    let sharing = Sharing::Flood { error: 0.0, bits: 30, releases: 1 };
    let refused = client.decrypt_to_share(&reply.bundle, sharing).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "results cannot be shared like this: the error must be a positive number"
    );
    assert!(matches!(client.decrypt_to_share(b"", sharing), Err(Error::Bundle(_))));
}

/// Nothing that a client does with a secret is offered for such parameters by another name.
#[test]
fn damaged_promises_of_security_are_refused_everywhere() {
    let mut manifest = program(64).manifest;
    let file = Client::generate_insecure(&manifest).unwrap().save();
    manifest.params.security = SecurityLevel::Classical128;
    let bytes = artifact::write_manifest(&program(64).manifest);
    assert!(matches!(Client::from_manifest(&bytes), Err(Error::Security { .. })));
    let refusals = [
        Client::generate(&manifest).unwrap_err(),
        Client::generate_insecure(&manifest).unwrap_err(),
        Client::load(&manifest, &file).unwrap_err(),
        Client::load_insecure(&manifest, &file).unwrap_err(),
    ];
    assert!(refusals.iter().all(|e| matches!(e, Error::Manifest(_))), "{refusals:?}");
}

#[test]
fn a_client_prints_no_secret() {
    let (client, _) = connected();
    assert!(format!("{client:?}").len() < 60);
}

#[test]
fn insecure_parameters_must_be_asked_for() {
    let manifest = program(64).manifest;
    assert!(matches!(Client::generate(&manifest), Err(Error::Security { .. })));
    let file = Client::generate_insecure(&manifest).unwrap().save();
    assert!(matches!(Client::load(&manifest, &file), Err(Error::Security { .. })));
    let mut promised = manifest;
    promised.params.security = SecurityLevel::Classical128;
    assert!(Client::generate(&promised).is_err());
}

/// The parameters keep 192 bits, whatever is promised.
#[test]
fn a_client_may_demand_more_security() {
    let q = vec![nearest_ntt_prime(34.0, 4096, 50, &[]).unwrap()];
    let p = vec![nearest_ntt_prime(36.0, 4096, 50, &q).unwrap()];
    let manifest = |security| Manifest {
        name: String::from("none"),
        params: Params { ring_degree: 4096, q: q.clone(), p: p.clone(), digit_limbs: 1, security },
        inputs: Vec::new(),
        outputs: Vec::new(),
        keys: KeyPlan::default(),
    };
    for promised in SecurityLevel::ALL {
        let manifest = manifest(promised);
        if promised == SecurityLevel::Classical256 {
            assert!(matches!(Client::generate(&manifest), Err(Error::Manifest(_))));
            continue;
        }
        let file = Client::generate_insecure(&manifest).unwrap().save();
        for demanded in SecurityLevel::ALL {
            let made = Client::generate_demanding(demanded, &manifest).map(drop);
            let loaded = Client::load_demanding(demanded, &manifest, &file).map(drop);
            for result in [made, loaded] {
                assert_eq!(result.is_ok(), promised.bits() >= demanded.bits(), "{promised:?} {demanded:?}");
                let refusal = result.err();
                assert!(refusal.is_none_or(|e| matches!(e, Error::Security { promised: p, demanded: d }
                    if (p, d) == (promised, demanded))));
            }
        }
    }
}

#[test]
fn tensors_are_checked() {
    let (client, _) = connected();
    let good = tensors(client.manifest());
    let refusal = |change: &dyn Fn(&mut Vec<Vec<f64>>)| {
        let mut tensors: Vec<Vec<f64>> = good.iter().cloned().map(Tensor::into_values).collect();
        change(&mut tensors);
        client.encrypt(&common::tensors(&tensors)).unwrap_err().to_string()
    };
    assert_eq!(refusal(&|t| t.truncate(1)), "expected 2 inputs, found 1");
    assert_eq!(refusal(&|t| t[1].truncate(7)), "`x1` takes tensors of shape [32], found [7]");
    let nan = refusal(&|t| t[0][3] = f64::NAN);
    assert_eq!(nan, "element 3 of `x0` is NaN; only finite numbers can be encrypted");
    assert!(refusal(&|t| t[0][3] = f64::INFINITY).contains("inf"));
    let large = refusal(&|t| t[1][31] = 1.5);
    assert_eq!(large, "element 31 of `x1` is 1.5, outside the declared range -1 to 1");
}

/// As many elements along other axes are another tensor.
#[test]
fn tensors_of_another_shape_are_refused() {
    let mut manifest = program(64).manifest;
    manifest.inputs[0].layout.shape = [2, 4, 4].into();
    let client = Client::generate_insecure(&manifest).unwrap();
    let encrypt = |shape: &[usize]| {
        let x = Tensor::new(Shape(shape.to_vec()), values(32, 1)).unwrap();
        client.encrypt(&[x, values(32, 2).into()])
    };
    for shape in [&[2, 4, 4][..], &[1, 2, 4, 4], &[2, 4, 1, 4]] {
        assert!(encrypt(shape).is_ok(), "{shape:?}");
    }
    for shape in [&[4, 4, 2][..], &[2, 16], &[32], &[4, 8]] {
        let refused = encrypt(shape).unwrap_err();
        assert!(matches!(&refused, Error::Shape { found, .. } if found.0 == shape), "{refused}");
    }
    let refused = encrypt(&[4, 4, 2]).unwrap_err().to_string();
    assert_eq!(refused, "`x0` takes tensors of shape [2x4x4], found [4x4x2]");
    assert!(Tensor::new([2, 3], vec![0.0; 5]).is_err());
}

#[test]
fn bundles_of_another_program_are_refused() {
    let (client, session) = connected();
    let mut other = program(64);
    other.manifest.name = "other".into();
    let stranger = Client::generate_insecure(&other.manifest).unwrap();
    let is_other = |error| matches!(expect_bundle(error), BundleError::OtherManifest { .. });
    let inputs = stranger.encrypt(&tensors(stranger.manifest())).unwrap();
    assert!(is_other(session.eval(&inputs).unwrap_err()));
    assert!(is_other(serve(&other).session(&client.eval_keys().unwrap()).err().unwrap()));
    assert!(is_other(Client::load_insecure(&other.manifest, &client.save()).unwrap_err()));
    let reply = session.eval(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap();
    assert!(is_other(stranger.decrypt(&reply.bundle).unwrap_err()));
}

#[test]
fn bundles_of_another_kind_are_refused() {
    let (client, session) = connected();
    let error = expect_bundle(session.eval(&client.save()).unwrap_err());
    assert_eq!(error.to_string(), "expected encrypted inputs, found a secret key");
    let inputs = client.encrypt(&tensors(client.manifest())).unwrap();
    let error = expect_bundle(client.decrypt(&inputs).unwrap_err());
    assert_eq!(error.to_string(), "expected encrypted results, found encrypted inputs");
}

#[test]
fn missing_keys_are_named() {
    let program = program(64);
    let mut modest = program.manifest.clone();
    modest.keys.rotations.clear();
    modest.keys.relin = None;
    let client = Client::generate_insecure(&modest).unwrap();
    let keys = rebranded(&client.eval_keys().unwrap(), &program.manifest);
    let error = serve(&program).session(&keys).err().unwrap();
    assert_eq!(error.to_string(), "missing evaluation keys: rotation by 1 at L2, relinearisation at L2");
}

/// A bundle as if made for `manifest`, with a right checksum.
fn rebranded(bundle: &[u8], manifest: &Manifest) -> Vec<u8> {
    let sample = Client::generate_insecure(manifest).unwrap().save();
    with_header(bundle, 7..39, &sample)
}

/// A bundle as if made with the keys of another one, with a right checksum.
fn rekeyed(bundle: &[u8], sample: &[u8]) -> Vec<u8> {
    with_header(bundle, 39..55, sample)
}

fn with_header(bundle: &[u8], field: Range<usize>, sample: &[u8]) -> Vec<u8> {
    let mut bytes = bundle.to_vec();
    bytes[field.clone()].copy_from_slice(&sample[field]);
    reseal(bytes)
}

/// Makes the checksum right again, as an attacker would.
fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    if bytes.len() >= HEADER {
        let length = (bytes.len() as u64 - HEADER as u64).to_le_bytes();
        bytes[55..63].copy_from_slice(&length);
        let digest = Sha256::new_with_prefix(&bytes[..63]).chain_update(&bytes[HEADER..]).finalize();
        bytes[63..HEADER].copy_from_slice(&digest[..8]);
    }
    bytes
}

#[test]
fn results_of_another_type_are_refused() {
    let (client, session) = connected();
    let reply = session.eval(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap();
    // An identity, three counts, then the scale of the first ciphertext.
    let altered = |at: usize, number: i64| {
        let mut bytes = reply.bundle.clone();
        bytes[HEADER + 8 * at..HEADER + 8 * at + 8].copy_from_slice(&number.to_le_bytes());
        client.decrypt(&reseal(bytes)).unwrap_err()
    };
    for scale in [0, i64::MIN, i64::MAX] {
        assert!(matches!(altered(5, scale), Error::CtType { .. }));
    }
    let malformed = |at, number| expect_bundle(altered(at, number)).to_string();
    assert_eq!(malformed(3, 2), "the bundle is malformed: it holds 2 tensors instead of 1");
    assert_eq!(malformed(2, 2), "the bundle is malformed: it holds 2 samples in 1 lanes");
    assert_eq!(malformed(2, 0), "the bundle is malformed: it holds 0 samples in 1 lanes");
}

/// Damaged copies of a bundle: bytes changed, cut, or grown at various places.
fn mutations(bundle: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let stride = (bundle.len() / 150).max(1);
    let places = (0..bundle.len().min(160)).chain((160..bundle.len()).step_by(stride));
    places.flat_map(move |at| {
        let changed = [0x00, 0x01, 0x7f, 0xff].map(|byte| {
            let mut bytes = bundle.to_vec();
            bytes[at] = byte;
            bytes
        });
        let grown = [&bundle[..at], &[0xff; 8], &bundle[at..]].concat();
        changed.into_iter().chain([bundle[..at].to_vec(), grown])
    })
}

#[test]
fn damaged_bundles_never_panic() {
    let (client, session) = connected();
    let server = serve(&program(64));
    let keys = client.eval_keys().unwrap();
    let inputs = client.encrypt(&tensors(client.manifest())).unwrap();
    let results = session.eval(&inputs).unwrap().bundle;
    let secret = client.save();
    let mut refused = 0;
    for resealed in [false, true] {
        let dress = |bytes: Vec<u8>| if resealed { reseal(bytes) } else { bytes };
        refused += mutations(&keys).filter(|b| server.session(&dress(b.clone())).is_err()).count();
        refused += mutations(&inputs).filter(|b| session.eval(&dress(b.clone())).is_err()).count();
        refused += mutations(&results).filter(|b| client.decrypt(&dress(b.clone())).is_err()).count();
        let load = |b: &Vec<u8>| Client::load_insecure(client.manifest(), &dress(b.clone())).is_err();
        refused += mutations(&secret).filter(load).count();
    }
    assert!(refused > 4000, "{refused}");
}

#[test]
fn damaged_programs_never_panic() {
    let bytes = artifact::write_program(&program(64));
    for damaged in mutations(&bytes) {
        let _ = Server::load(&damaged).map(|_| ());
    }
}

/// Two clients of one program, and a session for the first.
fn rivals(ring_degree: usize) -> (Client, Client, Server, Session) {
    let program = program(ring_degree);
    let server = serve(&program);
    let [one, other] = [(); 2].map(|()| Client::generate_insecure(&program.manifest).unwrap());
    let session = server.session(&one.eval_keys().unwrap()).unwrap();
    (one, other, server, session)
}

fn is_of_other_keys(error: Error) -> bool {
    matches!(expect_bundle(error), BundleError::OtherKeys { .. })
}

/// Signs that a result is none.
fn notices(error: Error) -> Vec<Notice> {
    match error {
        Error::Implausible { notices, .. } => notices,
        other => panic!("{other}"),
    }
}

fn is_noise(error: Error) -> bool {
    notices(error).iter().any(|notice| matches!(notice, Notice::Imaginary { .. }))
}

#[test]
fn bundles_of_another_key_pair_are_refused() {
    let (one, other, _, session) = rivals(64);
    let inputs = |client: &Client| client.encrypt(&tensors(client.manifest())).unwrap();
    assert_eq!(session.keys(), one.keys());
    assert_ne!(one.keys(), other.keys());
    assert!(is_of_other_keys(session.eval(&inputs(&other)).unwrap_err()));
    let result = session.eval(&inputs(&one)).unwrap().bundle;
    assert!(is_of_other_keys(other.decrypt(&result).unwrap_err()));
    let again = Client::load_insecure(one.manifest(), &one.save()).unwrap();
    assert_eq!(again.keys(), one.keys());
    assert_eq!(
        session.eval(&inputs(&again)).map(|reply| again.decrypt(&reply.bundle).is_ok()).ok(),
        Some(true)
    );
}

#[test]
fn results_of_other_keys_decrypt_to_nothing() {
    let (one, other, server, session) = rivals(1024);
    let inputs = one.encrypt(&tensors(one.manifest())).unwrap();
    let result = session.eval(&inputs).unwrap().bundle;
    assert!(is_noise(other.decrypt(&rekeyed(&result, &other.save())).unwrap_err()));
    let mistaken = server.session(&rekeyed(&other.eval_keys().unwrap(), &inputs)).unwrap();
    assert!(is_noise(one.decrypt(&mistaken.eval(&inputs).unwrap().bundle).unwrap_err()));
}

#[test]
fn results_with_a_flipped_bit_decrypt_to_nothing() {
    let (client, _, _, session) = rivals(1024);
    let result = session.eval(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap().bundle;
    // Behind the question, the counts, and what a ciphertext says of itself.
    let first = HEADER + 90;
    for at in (first..result.len()).step_by(result.len() / 40) {
        let mut damaged = result.clone();
        damaged[at] ^= 1 << (at % 8);
        match client.decrypt(&reseal(damaged)).unwrap_err() {
            Error::Implausible { .. } => {}
            other => assert!(other.to_string().contains("exceeds its prime"), "{at}: {other}"),
        }
    }
}

#[test]
fn results_of_other_inputs_are_refused() {
    let (client, session) = connected();
    let input = || client.encrypt(&tensors(client.manifest())).unwrap();
    let (older, newer) = (input(), input());
    let [old, new] = [&older, &newer].map(|input| session.eval(input).unwrap().bundle);
    let question = Question::of(&newer).unwrap();
    assert_eq!(client.decrypt_answer(&new, &question).unwrap(), [client.decrypt(&new).unwrap()]);
    let refused = expect_bundle(client.decrypt_answer(&old, &question).unwrap_err());
    let found = Question::of(&older).unwrap();
    assert_eq!(refused, BundleError::OtherQuestion { expected: question, found });
    assert!(
        expect_bundle(client.decrypt_answer(&newer, &question).unwrap_err()).to_string().contains("expected")
    );
}

/// 2000 x, whose modulus holds numbers up to 512, for inputs up to 0.1; only the first half of the slots
/// hold elements.
fn narrow_program(zeros: Vec<SlotRun>) -> Program {
    narrow_program_with_lanes(1, zeros)
}

fn narrow_program_with_lanes(lanes: usize, zeros: Vec<SlotRun>) -> Program {
    let mut draft = Draft::with_lanes(&params(1024, 1, 1), lanes);
    let x = draft.input();
    let product = draft.inner_product(vec![(x, vec![2000.0])]);
    let rescaled = draft.rescale(product);
    draft.output(rescaled);
    let mut program = draft.finish();
    let Manifest { inputs, outputs, .. } = &mut program.manifest;
    for port in [&mut inputs[0], &mut outputs[0]] {
        port.layout = Layout::contiguous(Shape(vec![256 / lanes]), 512 / lanes);
    }
    outputs[0].range = (-200.0, 200.0);
    outputs[0].expected =
        Some(Expected { coefficient: 200.0, zeros: vec![zeros], ..Expected::of_error(1e-5, 1) });
    program
}

/// The result of samples of equal numbers each, and who may decrypt it.
fn answered(program: &Program, samples: &[f64]) -> (Client, Vec<u8>) {
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(program).session(&client.eval_keys().unwrap()).unwrap();
    let n = program.manifest.inputs[0].layout.home.len();
    let batch: Vec<[Tensor; 1]> = samples.iter().map(|&x| [vec![x; n].into()]).collect();
    let result = session.eval(&client.encrypt_batch(&batch).unwrap()).unwrap().bundle;
    (client, result)
}

/// What such a result shows.
fn shown_of(program: &Program, samples: &[f64]) -> Vec<Notice> {
    let (client, result) = answered(program, samples);
    let [evidence] = &client.evidence(&result).unwrap()[..] else { panic!("one output") };
    assert_eq!(evidence.notices().is_empty(), client.decrypt_batch(&result, samples.len()).is_ok());
    evidence.notices()
}

fn shown(program: &Program, x: f64) -> Vec<Notice> {
    shown_of(program, &[x])
}

#[test]
fn values_that_outgrow_the_modulus_are_noticed() {
    let zeros = vec![SlotRun { start: 256, len: 256 }];
    let (masked, full) = (narrow_program(zeros), narrow_program(Vec::new()));
    let of = |program: &Program, x: f64| shown(program, x).iter().map(name).collect::<Vec<_>>();
    assert_eq!(of(&masked, 0.1), [""; 0]);
    assert_eq!(of(&full, 0.1), [""; 0]);
    // The first coefficient is half of a value: 1500 still fits, wraps around beyond 1024.
    assert_eq!(of(&full, 0.4), ["range", "coefficient"]);
    assert!(of(&masked, 0.9).contains(&"zeros"));
    // A whole number of times around the modulus: the first coefficient is small again.
    assert!(of(&masked, 1.0).contains(&"zeros"));
}

#[test]
fn results_are_as_precise_as_promised() {
    let mut program = narrow_program(vec![SlotRun { start: 256, len: 256 }]);
    let mut of = |promise: Promise, x: f64| {
        program.manifest.outputs[0].expected.as_mut().unwrap().promise = promise;
        shown(&program, x).iter().map(name).collect::<Vec<_>>()
    };
    // Errors are some 1e-6 whatever the input is, results 2000 times the input.
    let fine = Promise { precision: 1e-5, deviation: 1e-9, typical: 1.0 };
    assert_eq!(of(fine, 0.1), [""; 0]);
    let too_fine = Promise { precision: 1e-12, deviation: 1e-15, typical: 1.0 };
    assert_eq!(of(too_fine, 0.1), ["coarse"]);
    // Small results are measured by the typical one.
    assert_eq!(of(fine, 0.0), [""; 0]);
    assert_eq!(of(Promise { typical: 1e-6, ..fine }, 0.0), ["coarse"]);
}

#[test]
fn a_coarse_sample_does_not_hide_among_precise_ones() {
    let mut program = narrow_program_with_lanes(4, vec![SlotRun { start: 64, len: 64 }]);
    let promise = Promise { precision: 1e-5, deviation: 1e-9, typical: 1e-6 };
    program.manifest.outputs[0].expected.as_mut().unwrap().promise = promise;
    let of = |samples: &[f64]| shown_of(&program, samples).iter().map(name).collect::<Vec<_>>();
    assert_eq!(of(&[0.1, 0.05, 0.1, 0.02]), [""; 0]);
    // Errors are as large for a sample whose results are next to nothing.
    assert_eq!(of(&[0.1, 0.05, 0.0, 0.02]), ["coarse"]);
    assert_eq!(of(&[0.1, 0.0]), ["coarse"]);
}

#[test]
fn results_are_shared_with_a_bound_that_their_manifest_promises() {
    let mut program = narrow_program(vec![SlotRun { start: 256, len: 256 }]);
    let promise = Promise { precision: 1e-5, deviation: 1e-9, typical: 1.0 };
    program.manifest.outputs[0].expected.as_mut().unwrap().promise = promise;
    let (client, result) = answered(&program, &[0.1]);
    for sharing in
        [Sharing::Round { error: 1e-3, bits: 4 }, Sharing::Flood { error: 1e-3, bits: 4, releases: 1 }]
    {
        // Values are 200.
        let refused = client.decrypt_to_share(&result, sharing).unwrap_err();
        let Error::SharedError { stated, least } = refused else { panic!("{refused}") };
        assert!(stated == 1e-3 && (1.99e-3..2.01e-3).contains(&least), "{stated} {least}");
        assert!(client.decrypt_to_share(&result, Sharing::Round { error: least, bits: 4 }).is_ok());
    }
    // What is no result is called that, whatever the bound.
    let (client, result) = answered(&program, &[0.9]);
    let sharing = Sharing::Round { error: 1e-3, bits: 4 };
    assert!(
        notices(client.decrypt_to_share(&result, sharing).unwrap_err()).iter().any(|n| name(n) == "zeros")
    );
}

fn name(notice: &Notice) -> &'static str {
    match notice {
        Notice::Imaginary { .. } => "imaginary",
        Notice::Zeros { .. } => "zeros",
        Notice::Lanes { .. } => "lanes",
        Notice::Coarse { .. } => "coarse",
        Notice::Range { .. } => "range",
        Notice::Coefficient { .. } => "coefficient",
    }
}

#[test]
fn lanes_that_repeat_a_sample_have_its_result() {
    let mut program = program_with_lanes(1024, 8);
    program.manifest.outputs[0].range = (-10.0, 10.0);
    let client = Client::generate_insecure(&program.manifest).unwrap();
    let session = serve(&program).session(&client.eval_keys().unwrap()).unwrap();
    let sample = |seed: u64| pair(64, 2 * seed + 1);
    let batch: Vec<_> = (0..3).map(sample).collect();
    let [sent, full] = [&batch[..], &(0..8).map(sample).collect::<Vec<_>>()]
        .map(|batch| session.eval(&client.encrypt_batch(batch).unwrap()).unwrap().bundle);
    let lanes = |bundle: &[u8]| client.evidence(bundle).unwrap().remove(0).lanes;
    assert!(lanes(&sent).is_some_and(|difference| difference < 1e-6));
    assert_eq!(lanes(&full), None);
    let sharing = Sharing::Round { error: 1e-6, bits: 4 };
    assert!(matches!(client.decrypt_to_share(&sent, sharing), Err(Error::Sharing(_))));
    // Full results that say that they are of fewer samples.
    let mut claimed = full;
    claimed[HEADER + 16..HEADER + 24].copy_from_slice(&3u64.to_le_bytes());
    let refused = notices(client.decrypt_batch(&reseal(claimed), 3).unwrap_err());
    assert_eq!(refused.iter().map(name).collect::<Vec<_>>(), ["lanes"]);
}

#[test]
fn identities_are_drawn_anew() {
    let (client, _) = connected();
    let input = || Question::of(&client.encrypt(&tensors(client.manifest())).unwrap()).unwrap();
    assert_ne!(input(), input());
}
