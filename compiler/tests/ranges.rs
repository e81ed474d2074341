//! Ranges as users meet them: what `compile` says of them, and what `encrypt` refuses.

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
use npz::array;
use serde_json::{Value, json};
use std::fs::File;

const DEEP: &str = "model deep {
  weights \"w.npz\"
  input x: [16] in -10..10
  a = affine(x, scale = 3)
  b = square(a)
  c = square(b)
  y = dense(c, weight = \"w\")
  output y
}
";

/// A folder with a model of fourth powers, samples over a tenth of its range, and samples over all of it.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("deep.hec", DEEP);
    write(&folder, "w.npz", "w", &[2, 16], (0..32).map(|i| if i < 16 { 1.0 } else { -1.0 }).collect());
    write(
        &folder,
        "tenth.npz",
        "x",
        &[8, 16],
        (0..128).map(|i| f64::from(i * 37 % 101) / 50.0 - 1.0).collect(),
    );
    write(
        &folder,
        "whole.npz",
        "x",
        &[8, 16],
        (0..128).map(|i| f64::from(i * 37 % 101) / 5.0 - 10.0).collect(),
    );
    folder
}

fn write(folder: &Folder, file: &str, name: &str, shape: &[u64], values: Vec<f64>) {
    let mut archive = zip::ZipWriter::new(File::create(folder.path(file)).unwrap());
    array(&mut archive, name, shape, values);
    archive.finish().unwrap();
}

/// What `compile` prints and what it warns of.
fn compile(folder: &Folder, options: &str) -> (Value, Vec<Value>) {
    let output = folder.hecc(&format!("compile deep.hec --precision 1e-3 --json {options}"));
    let warnings = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<Value> =
        if warnings.is_empty() { vec![] } else { serde_json::from_str(&warnings).unwrap() };
    (serde_json::from_slice(&output.stdout).unwrap(), warnings)
}

#[test]
fn calibration_that_covers_less_than_the_range_warns_and_its_inputs_are_refused() {
    let folder = folder();
    let (report, warnings) = compile(&folder, "--calibrate tenth.npz");
    assert_eq!(report["served"]["declared"], json!([-10.0, 10.0]));
    let high = report["served"]["range"][1].as_f64().unwrap();
    assert!((1.0..10.0).contains(&high), "{high}");
    assert_eq!(warnings[0]["code"], "H094");
    let help = warnings[0]["help"].as_str().unwrap();
    assert!(["--calibrate", "--range-bound", "--input-range"].iter().all(|option| help.contains(option)));
    folder.prints("keygen deep.hecm");
    folder.prints("encrypt deep.hecm --data tenth.npz --index 2");
    let refused = folder.refuses("encrypt deep.hecm --data whole.npz --index 2 -o new.hect");
    assert!(
        refused.contains("H074") && refused.contains("`x` is") && refused.contains("--range-bound"),
        "{refused}"
    );
}

#[test]
fn the_whole_range_is_served_by_samples_over_it_a_bound_or_a_narrower_one() {
    let folder = folder();
    for (options, basis) in [
        ("--calibrate whole.npz", "samples"),
        ("--range-bound", "bound"),
        ("--calibrate tenth.npz --range-bound", "bound"),
        ("--calibrate tenth.npz --input-range -1,1", "samples"),
    ] {
        let (report, warnings) = compile(&folder, options);
        assert_eq!(warnings, Vec::<Value>::new(), "{options}");
        assert_eq!(report["served"]["range"], report["served"]["declared"], "{options}");
        assert_eq!(report["served"]["basis"], basis, "{options}");
        let has_price = !report["without_range_bound"].is_null();
        assert_eq!(has_price, basis == "bound", "{options}");
    }
}

/// What is served is right under encryption, to its ends.
#[test]
fn bounded_programs_decrypt_right_at_the_ends_of_their_range() {
    let folder = folder();
    write(&folder, "ends.npz", "x", &[1, 16], vec![10.0; 16]);
    compile(&folder, "--range-bound");
    folder.prints("keygen deep.hecm");
    folder.prints("encrypt deep.hecm --data ends.npz");
    folder.prints("eval deep.hecp");
    let result = folder.prints_json("decrypt deep.hecm --json");
    let expected = 16.0 * 30f64.powi(4);
    for (value, expected) in result["values"].as_array().unwrap().iter().zip([expected, -expected]) {
        assert!((value.as_f64().unwrap() / expected - 1.0).abs() < 1e-3, "{value}");
    }
}

#[test]
fn bounds_that_no_ring_has_room_for_are_refused_with_numbers() {
    let folder = folder();
    let deep = DEEP
        .replace("c = square(b)", "c2 = square(b)\n  c3 = square(c2)\n  c4 = square(c3)\n  c = square(c4)");
    folder.write("deep.hec", deep.replace("-10..10", "-10000..10000"));
    let refused = folder.refuses("compile deep.hec --calibrate tenth.npz --range-bound --ring 16384");
    assert!(
        refused.contains("H095") && refused.contains("without --range-bound: ring degree 16384"),
        "{refused}"
    );
}
