//! What decryption refuses: results of other keys, of other inputs, of more samples, and of values
//! that outgrew what the program was compiled for.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[path = "support/folder.rs"]
#[allow(dead_code)]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::Folder;

/// Files of two key pairs, and results that claim to be of another one.
#[test]
fn files_of_other_keys_are_refused() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    folder.prints("keygen small.hecm --secret other.hecs --eval-keys other.heck");
    folder.prints("encrypt small.hecm --secret other.hecs --data data.npz -o other.hect");
    let mut forged = folder.read("result.hect");
    forged[39..55].copy_from_slice(&folder.read("other.hecs")[39..55]);
    folder.write("forged.hect", resealed(forged));
    let lines = [
        ("eval small.hecp --eval-keys other.heck -o new.hect", "H087"),
        ("eval small.hecp --input other.hect -o new.hect", "H087"),
        ("decrypt small.hecm --secret other.hecs", "H087"),
        ("decrypt small.hecm --secret other.hecs --input forged.hect", "H086"),
        ("decrypt small.hecm --secret other.hecs --input forged.hect --share round:12 --error 1e-6", "H086"),
    ];
    for (line, code) in lines {
        assert!(folder.refuses(line).contains(code), "{line}");
    }
}

/// Makes the checksum of a bundle right again.
fn resealed(mut bundle: Vec<u8>) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new_with_prefix(&bundle[..63]).chain_update(&bundle[71..]).finalize();
    bundle[63..71].copy_from_slice(&digest[..8]);
    bundle
}

#[test]
fn results_of_other_inputs_are_refused() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    folder.write("first.hect", folder.read("input.hect"));
    folder.prints("encrypt small.hecm --data data.npz --index 1");
    let older = folder.refuses("decrypt small.hecm");
    assert!(older.contains("H088") && older.contains("--answers"), "{older}");
    assert!(folder.refuses("decrypt small.hecm --answers input.hect").contains("H088"));
    assert!(folder.refuses("decrypt small.hecm --answers data.npz").contains("H073"));
    assert!(folder.prints("decrypt small.hecm --answers first.hect").contains("prediction"));
    assert!(folder.prints("decrypt small.hecm --any-input").contains("prediction"));
    folder.prints("eval small.hecp");
    assert!(folder.prints("decrypt small.hecm").contains("prediction"));
}

#[test]
fn more_samples_than_were_encrypted_are_not_decrypted() {
    let folder = Folder::new();
    folder.prints("compile small.hec --batch 4");
    folder.prints("keygen small.hecm");
    folder.prints("encrypt small.hecm --data data.npz --count 2");
    folder.prints("eval small.hecp");
    assert_eq!(folder.prints("decrypt small.hecm").matches("prediction ").count(), 2);
    assert_eq!(folder.prints("decrypt small.hecm --count 1").matches("prediction ").count(), 1);
    for n in [3, 5] {
        let refused = folder.refuses(&format!("decrypt small.hecm --count {n}"));
        assert!(refused.contains("H080") && refused.contains("--count"), "{refused}");
    }
}

/// Values in the declared range that are ten times as large as those of calibration, and their fourth powers: wherever
/// they are refused, no number is printed.
#[test]
fn values_beyond_calibration_give_no_number() {
    let folder = Folder::new();
    folder.write(
        "power.hec",
        "model power {
  weights random(seed = 1)
  input x: [16] in -10..10
  a = affine(x, scale = 3)
  b = square(a)
  c = square(b)
  y = dense(c, features = 2)
  output y
}
",
    );
    folder.samples("small.npz", &[16], 0.3);
    folder.samples("large.npz", &[16], 8.0);
    folder.prints("compile power.hec --calibrate small.npz");
    folder.prints("keygen power.hecm");
    let way = ["encrypt power.hecm --data large.npz", "eval power.hecp", "decrypt power.hecm"];
    let refused = way.iter().find(|line| !folder.hecc(line).status.success()).expect("it is refused");
    let message = folder.refuses(refused);
    assert!(message.contains("H086") || message.contains("H074"), "{message}");
    for command in ["run", "check", "bench"] {
        let line = format!("{command} power.hec --calibrate small.npz --data large.npz --count 2");
        let message = folder.refuses(&line);
        let is_counted = message.contains("H086") && message.contains("2 of 2 results were refused");
        assert!(is_counted || message.contains("H074"), "{message}");
    }
}
