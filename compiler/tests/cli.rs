//! The command as users meet it: what it prints, what it writes, and what it
//! says about everything that can be wrong with a file.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::{Folder, MODEL};
use hecc::front::{LoadOptions, load};
use npz::array;
use serde_json::{Value, json};
use std::path::Path;

const WIDE_MODEL: &str = "model wide {
  weights random(seed = 1)
  input x: [1, 256, 256] in 0..1
  c = conv(x, out_channels = 16, kernel = 1)
  a = square(c)
  p = avg_pool(a, kernel = 256)
  f = flatten(p)
  y = dense(f, features = 3)
  output y
}
";

const MOVED_MODEL: &str = "model moved {
  weights random(seed = 1)
  input x: [1, 12, 12] in 0..1
  a = square(x)
  r = reshape(a, shape = [1, 12, 12])
  p = avg_pool(r, kernel = 2)
  y = conv(p, out_channels = 1, kernel = 2, bias = [0])
  output y
}
";

const ONE_MODEL: &str = "model one {
  weights random(seed = 1)
  input x: [4] in 0..1
  y = dense(x, features = 4)
  output y
}
";

/// Compares with a snapshot that holds messages alone.
macro_rules! assert_messages {
    ($messages:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($messages) })
    };
}

#[test]
fn batches_are_run_together_and_counted_one_by_one() {
    let folder = Folder::new();
    let bench = folder.prints_json("bench small.hec --data data.npz --batch 2 --simulate 3 --json");
    assert_eq!((&bench["lanes"], &bench["n"], &bench["agree"]), (&json!(2), &json!(3), &json!(3)));
    assert_eq!((&bench["simulated"]["n"], &bench["simulated"]["agree"]), (&json!(3), &json!(3)));
    let (lanes, latency) = (2.0, bench["latency_s"].as_f64().unwrap());
    assert!((bench["samples_per_s"].as_f64().unwrap() * latency / lanes - 1.0).abs() < 1e-9);
    let run = folder.prints_json("run small.hec --data data.npz --batch 4 --json");
    let samples = run["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3);
    assert!(samples.iter().all(|sample| sample["plain"] == sample["decrypted"]));
    for backend in ["ckks", "sim", "clear"] {
        let check = format!("check small.hec --data data.npz --batch 2 --backend {backend} --json");
        assert_eq!(folder.prints_json(&check)["agree"], json!(3), "{backend}");
    }
}

#[test]
fn batches_are_deployed_like_single_samples() {
    let folder = Folder::new();
    let compiled = folder.prints_json("compile small.hec --batch 4 --json");
    assert_eq!(compiled["lanes"], json!(4));
    assert_eq!(folder.prints_json("inspect small.hecm")["lanes"], json!(4));
    assert!(folder.prints("inspect small.hecp").contains("\n# 4 samples at once, "));
    folder.prints("keygen small.hecm");
    folder.prints("encrypt small.hecm --data data.npz --index 1 --count 2");
    folder.prints("eval small.hecp");
    let predictions = folder.prints("decrypt small.hecm --count 2");
    assert_eq!(predictions.matches("prediction ").count(), 2, "{predictions}");
    let refusals = [
        ("encrypt small.hecm --data data.npz --index 2 --count 2", "H050"),
        ("decrypt small.hecm --count 5", "H080"),
    ];
    for (line, code) in refusals {
        assert!(folder.refuses(line).contains(code), "{line}");
    }
    assert_eq!(folder.hecc("compile small.hec --batch 0").status.code(), Some(2));
}

#[test]
fn help_says_what_commands_take() {
    let folder = Folder::new();
    let help = |command: &str| folder.prints(&format!("{command} --help"));
    let all = help("");
    let (_, list) = all.split_once("Commands:\n").unwrap();
    let commands = list.lines().take_while(|line| !line.is_empty());
    let names = commands.map(|line| line.split_whitespace().next().unwrap());
    let pages =
        names.filter(|name| *name != "help").map(|name| format!("$ hecc {name} --help\n{}", help(name)));
    assert_messages!(format!("$ hecc --help\n{all}\n{}", pages.collect::<Vec<_>>().join("\n")));
}

#[test]
fn deployment_goes_round() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    let result = folder.prints_json("decrypt small.hecm --json");
    let found: Vec<f64> = serde_json::from_value(result["values"].clone()).unwrap();
    let model = load(&folder.path("small.hec"), &LoadOptions::default()).unwrap();
    let sample: Vec<f64> = (0..16).map(|i| 0.5 + 0.4 * f64::from(i).sin()).collect();
    let expected = model.logits(&sample);
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} for {expected:?}");
    assert_eq!(result["prediction"], model.predict(&sample));
    assert!(folder.prints("decrypt small.hecm").contains("prediction"));
}

#[test]
fn results_do_not_depend_on_memory() {
    let folder = Folder::deployed();
    let eval = |memory: &str| {
        let cost = folder.prints_json(&format!("eval small.hecp --plain-memory {memory} --json"));
        let weights = ["resident_plaintext_bytes", "peak_on_the_fly_plaintext_bytes"];
        (folder.read("result.hect"), weights.map(|key| cost[key].as_u64().unwrap()))
    };
    let ((all, [kept, fresh]), (none, [few, anew])) = (eval("all"), eval("0"));
    assert!(all == none);
    assert!(kept > 0 && fresh == 0 && few == 0 && anew > 0 && anew < kept);
    assert!(folder.prints("eval small.hecp").contains("peak memory"));
}

/// A machine that takes several times as long for wide primes gets narrow ones.
#[test]
fn primes_are_as_wide_as_the_target_likes() {
    let folder = Folder::new();
    let mut slow: Value = serde_json::from_str(include_str!("../targets/ckks-avx2.json")).unwrap();
    for ring in slow["rings"].as_array_mut().unwrap() {
        ring["wide"]["factor"] = json!(5.0);
    }
    folder.write("slow.json", slow.to_string());
    let widest = |target: &str| {
        let bench = folder.prints_json(&format!("bench small.hec --data data.npz {target} --json"));
        assert_eq!((bench["agree"].as_u64(), bench["n"].as_u64()), (Some(3), Some(3)));
        let bits = ["q_bits", "p_bits"].map(|key| bench[key].as_array().unwrap().clone()).concat();
        bits.iter().map(|bits| bits.as_f64().unwrap()).fold(0.0, f64::max)
    };
    assert!(widest("--target slow.json") < 31.0);
    assert!(widest("--target avx2") > 31.0);
    assert!(widest("--target avx512") > 31.0);
    assert_eq!(widest(""), widest("--target native"));
}

/// What is run at once is compiled for this machine. What is kept is the same bytes everywhere, and its
/// author hears what that takes here.
#[test]
fn programs_are_for_the_machine_at_hand_or_say_which() {
    let folder = Folder::new();
    let target = |options: &str| {
        let line = format!("bench small.hec --data data.npz --count 1 {options} --json");
        folder.prints_json_without_vectors(&line)["target"].clone()
    };
    assert_eq!(target(""), "ckks-avx2");
    assert_eq!(target("--target native"), "ckks-avx2");
    assert_eq!(target("--target avx512"), "ckks-avx512");

    let abroad = folder.prints_json_without_vectors("compile small.hec --json");
    let bytes = folder.read("small.hecp");
    folder.prints("compile small.hec");
    assert!(bytes == folder.read("small.hecp"));
    assert!(folder.prints("inspect small.hecp").starts_with("# compiled for ckks-avx512\n"));
    let native = folder.prints_json_without_vectors("compile small.hec --target native --json");
    assert!(folder.prints("inspect small.hecp").starts_with("# compiled for ckks-avx2\n"));

    let seconds = |figures: &Value, key: &str| figures[key].as_f64();
    let here = seconds(&abroad, "expected_time_here_s").unwrap();
    let rescheduled = seconds(&abroad, "expected_time_native_s").unwrap();
    let compiled = seconds(&native, "expected_time_one_thread_s").unwrap();
    assert!(here >= rescheduled && here > seconds(&abroad, "expected_time_one_thread_s").unwrap());
    assert!((0.7..1.5).contains(&(rescheduled / compiled)), "{rescheduled} {compiled}");
    assert_eq!(seconds(&native, "expected_time_here_s"), None);
}

/// More security takes narrower moduli or larger rings, and clients may demand it.
#[test]
fn as_much_security_is_kept_as_is_asked_for() {
    let folder = Folder::new();
    let mut before = 0;
    for bits in [128, 192, 256] {
        let line = format!("bench small.hec --data data.npz --count 1 --security {bits} --json");
        let figures = folder.prints_json(&line);
        assert_eq!(figures["agree"], 1);
        let [found, ring] = ["security_bits", "ring_degree"].map(|key| figures[key].as_u64().unwrap());
        assert!(found >= bits && ring >= before, "{figures}");
        before = ring;
    }
    folder.prints("compile small.hec --security 192");
    folder.prints("keygen small.hecm --security 192 --secret some.hecs --eval-keys some.heck");
    let keys = "--secret more.hecs --eval-keys more.heck";
    let refused = folder.refuses(&format!("keygen small.hecm --security 256 {keys}"));
    assert!(refused.contains("H097") && refused.contains("promise 192 bits of security, 256 are demanded"));
    assert!(refused.contains("--security 256"));
}

/// Two special primes that share what is a little too much for one would be narrower than engines take.
#[test]
fn special_primes_are_as_wide_as_engines_want() {
    let folder = Folder::new();
    folder.write("one.hec", ONE_MODEL);
    folder.samples("one.npz", &[4], 0.5);
    let line = "bench one.hec --data one.npz --target avx2 --ring 4096 --precision 2e-6 --json";
    let bench = folder.prints_json(line);
    assert_eq!((bench["agree"].as_u64(), bench["n"].as_u64()), (Some(3), Some(3)));
}

/// Samples with far larger values than those that were shown to the compiler are counted, not computed wrongly.
#[test]
fn simulated_samples_that_are_not_served_are_counted() {
    let folder = Folder::new();
    folder.write("steep.hec", MODEL.replace("square(h)", "poly(h, [0, 0, 100000])"));
    let write = |name: &str, means: &[f64]| {
        let file = std::fs::File::create(folder.path(name)).unwrap();
        let mut npz = zip::ZipWriter::new(file);
        let values = means.iter().flat_map(|&mean| (0..16).map(move |i| mean * (1.0 + f64::from(i) / 16.0)));
        array(&mut npz, "x", &[means.len() as u64, 1, 4, 4], values.collect());
        array(&mut npz, "y", &[means.len() as u64], vec![0i64; means.len()]);
        npz.finish().unwrap();
    };
    write("faint.npz", &[1e-4]);
    write("mixed.npz", &[1e-4, 0.3, 0.4]);
    let line = "bench steep.hec --data mixed.npz --count 1 --simulate 3 --json";
    let counted = |calibrate: &str| {
        let bench = folder.hecc(&format!("{line} {calibrate}"));
        let bench: Value = serde_json::from_slice(&bench.stdout).unwrap();
        ["outside", "agree"].map(|name| bench["simulated"][name].as_u64().unwrap())
    };
    assert_eq!(counted("--calibrate mixed.npz"), [0, 3]);
    assert_eq!(counted("--calibrate faint.npz"), [2, 1]);
}

/// Rotations do the mean, whatever moved its operand without changing it.
#[test]
fn pools_of_reshaped_images_are_counted_once() {
    let folder = Folder::new();
    folder.write("moved.hec", MOVED_MODEL);
    let page = folder.prints("inspect moved.hec --stage layout --html --packing multiplexed");
    assert!(page.contains("\"model\":\"moved\""));
    folder.prints("compile moved.hec --packing multiplexed -o .");
}

/// A tensor of a million ciphertexts, found before a circuit of as many values is made.
#[test]
fn batches_without_room_are_refused_before_they_are_compiled() {
    let folder = Folder::new();
    folder.write("wide.hec", WIDE_MODEL);
    folder.samples("wide.npz", &[1, 256, 256], 0.5);
    for command in ["bench", "run", "check --backend ckks"] {
        for one_slot in ["--packing batch", "--batch 8192 --ring 16384"] {
            let line = format!("{command} wide.hec --data wide.npz {one_slot}");
            let refused = folder.refuses(&line);
            assert!(refused.contains("error[H082]") && refused.contains("wide.hec"), "{refused}");
        }
    }
}

#[test]
fn weights_are_kept_only_where_a_file_can_be() {
    let folder = Folder::deployed();
    assert_messages!(folder.refuses("eval small.hecp --plain-memory 0 --plain-map nowhere"));
}

#[cfg(unix)]
#[test]
fn secret_keys_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::deployed();
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("small.hecs"), 0o600);
    assert_eq!(mode("small.heck"), 0o644);
}

#[test]
fn bench_measures_everything() {
    let folder = Folder::new();
    let line = "bench small.hec --data data.npz --count 2 --threads 1";
    let figures = folder.prints_json(&format!("{line} --json"));
    let keys = [
        "latency_s",
        "encrypt_s",
        "decrypt_s",
        "compile_s",
        "keygen_s",
        "encode_s",
        "rotations",
        "key_switches",
        "mul_plain",
        "mul_scalar",
        "mul_ct",
        "depth",
        "ring_degree",
        "log_qp",
        "security_bits",
        "quantum_security_bits",
        "key_bytes",
        "plaintext_bytes",
        "ciphertext_bytes",
        "peak_live_ciphertext_bytes",
        "resident_plaintext_bytes",
        "peak_on_the_fly_plaintext_bytes",
        "mapped_plaintext_bytes",
        "key_memory_bytes",
        "peak_run_bytes",
        "peak_rss_bytes",
        "threads",
        "max_abs_err",
        "n",
        "agree",
        "correct",
    ];
    for key in keys {
        assert!(figures[key].is_number(), "{key} is {}", figures[key]);
    }
    assert_eq!((&figures["n"], &figures["threads"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(figures["agree"], 2);
    let bits = |key: &str| figures[key].as_u64().unwrap();
    assert!((128..192).contains(&bits("security_bits")), "{figures}");
    assert!((1..bits("security_bits")).contains(&bits("quantum_security_bits")), "{figures}");
    assert!(folder.prints(line).contains("latency_s"));
}

#[test]
fn run_shows_predictions() {
    let folder = Folder::new();
    let shown = folder.prints("run small.hec --data data.npz --count 2");
    assert!(shown.contains("2 of 2 encrypted predictions equal the plain ones"), "{shown}");
    let value: Value = folder.prints_json("run small.hec --data data.npz --count 1 --json");
    assert!(value.to_string().contains("max_abs_err"), "{value}");
}

#[test]
fn check_compares_on_every_back_end() {
    let folder = Folder::new();
    for backend in ["clear", "sim", "ckks"] {
        let report =
            folder.prints_json(&format!("check small.hec --data data.npz --backend {backend} --json"));
        assert_eq!((&report["n"], &report["agree"]), (&Value::from(3), &Value::from(3)), "{report}");
        assert!(report["relative_err"].as_f64().unwrap() < 1e-4, "{report}");
        assert_eq!(report["backend"], backend);
    }
}

#[test]
fn every_stage_is_inspected_in_every_form() {
    let folder = Folder::new();
    folder.prints("compile small.hec");
    for stage in ["model", "network", "packing", "lowered", "leveled", "program"] {
        let print =
            |format: &str| folder.prints(&format!("inspect small.hec --stage {stage} --format {format}"));
        assert!(!print("text").is_empty());
        serde_json::from_str::<Value>(&print("json")).unwrap();
        assert!(print("dot").starts_with("digraph {"));
    }
    let page = folder.prints("inspect small.hec --stage layout --html");
    assert!(page.starts_with("<!doctype html>") && page.contains("\"model\":\"small\""));
    for refused in ["--stage program --html", "--stage layout --html --json"] {
        assert_eq!(folder.hecc(&format!("inspect small.hec {refused}")).status.code(), Some(1));
    }
    assert!(folder.prints("inspect small.hecp").contains("InnerProduct"));
    assert!(folder.prints("inspect small.hecm").contains("\"keys\""));
}

#[test]
fn codes_are_explained() {
    let folder = Folder::new();
    assert!(folder.prints("explain h021").starts_with("H021: "));
    assert!(folder.prints("explain all").lines().count() > 20);
    let output = folder.hecc("explain H999");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("`hecc explain all` lists the codes"));
}

#[test]
fn packings_are_explained() {
    let folder = Folder::new();
    assert!(folder.prints("explain small.hec").contains("chosen"));
    let explained: Value = serde_json::from_str(&folder.prints("explain small.hec --json")).unwrap();
    let packings = explained["packings"].as_array().unwrap();
    let named: Vec<&str> = packings.iter().map(|row| row["packing"].as_str().unwrap()).collect();
    assert_eq!(named, ["any", "multiplexed", "interleaved", "tiles", "batch"]);
    for layer in explained["layers"].as_array().unwrap() {
        let chosen = layer["layouts"].as_array().unwrap().iter().filter(|layout| layout["chosen"] == true);
        assert_eq!(chosen.count(), 1, "{layer}");
    }
}

/// The figures of each packing that has a place; the first is the one that was chosen.
fn estimates(explained: &Value) -> Vec<&Value> {
    let rows = explained["packings"].as_array().unwrap();
    let chosen: Vec<bool> = rows.iter().map(|row| row["chosen"].as_bool().unwrap()).collect();
    assert_eq!(chosen, [true, false, false, false, false]);
    rows.iter().map(|row| &row["estimate"]).filter(|estimate| !estimate.is_null()).collect()
}

#[test]
fn packings_are_chosen_by_the_objective() {
    let folder = Folder::new();
    let explain = |options: &str| folder.prints_json(&format!("explain small.hec {options} --json"));
    let best = [
        ("latency", "seconds", false, " ms, next best "),
        ("throughput", "inputs_per_second", true, " inputs/s, next best "),
        ("memory", "memory_bytes", false, " MB, next best "),
    ];
    let mut lanes = Vec::new();
    for (objective, figure, is_large, said) in best {
        let explained = explain(&format!("--optimize {objective}"));
        assert_eq!(explained["objective"], objective);
        let why = explained["packings"][0]["why"].as_str().unwrap();
        assert!(why.starts_with("chosen: ") && why.contains(said), "{why}");
        let found = estimates(&explained);
        let figures = found.iter().map(|estimate| estimate[figure].as_f64().unwrap());
        let chosen = found[0][figure].as_f64().unwrap();
        let best = figures.reduce(if is_large { f64::max } else { f64::min }).unwrap();
        assert!((chosen / best - 1.0).abs() < 1e-9, "{explained}");
        lanes.push(found[0]["inputs_at_once"].as_u64().unwrap());
        let compiled = folder.prints_json(&format!("compile small.hec --optimize {objective} --json"));
        assert_eq!(compiled["lanes"], found[0]["inputs_at_once"]);
    }
    assert!(lanes[0] == 1 && lanes[1] > 1 && lanes[2] == 1, "{lanes:?}");
    let table = folder.prints("explain small.hec --optimize throughput --batch 2");
    assert!(table.contains("objective throughput") && table.contains("inputs/s, next best"), "{table}");
}

#[test]
fn packings_that_were_asked_for_are_not_called_chosen() {
    let folder = Folder::new();
    for kind in ["multiplexed", "tiles", "batch"] {
        let explained = folder.prints_json(&format!("explain small.hec --packing {kind} --json"));
        let packings = explained["packings"].as_array().unwrap();
        let why = |row: &Value| row["why"].as_str().unwrap().to_owned();
        assert!(
            packings[0]["packing"] == kind && why(&packings[0]).starts_with("asked for: "),
            "{explained}"
        );
        assert!(packings.iter().all(|row| !why(row).contains("the search")), "{explained}");
    }
}

/// What a search for memory found is explained in bytes.
#[test]
fn layouts_that_save_memory_are_priced_in_memory() {
    let folder = Folder::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/lola.onnx");
    let explain = |objective| folder.prints_json(&format!("explain {model} --optimize {objective} --json"));
    let (fast, small) = (explain("latency"), explain("memory"));
    let of = |explained: &Value, figure: &str| estimates(explained)[0][figure].as_f64().unwrap();
    assert!(of(&small, "memory_bytes") < of(&fast, "memory_bytes"));
    assert!(of(&small, "seconds") > of(&fast, "seconds"));
    for (explained, [there, absent]) in
        [(fast, ["network_seconds", "network_bytes"]), (small, ["network_bytes", "network_seconds"])]
    {
        for layer in explained["layers"].as_array().unwrap() {
            let layouts = layer["layouts"].as_array().unwrap();
            assert!(layouts.iter().all(|layout| layout[there].is_f64() && layout[absent].is_null()));
            assert_eq!(layouts.iter().filter(|layout| layout["chosen"] == true).count(), 1, "{layer}");
        }
    }
}

#[test]
fn many_inputs_are_spread_over_runs_for_throughput() {
    let folder = Folder::new();
    let line = "--optimize throughput --batch 40000 --json";
    let lanes = folder.prints_json(&format!("compile small.hec {line}"))["lanes"].as_u64().unwrap();
    assert!((2..40000).contains(&lanes), "{lanes}");
    let bench = "bench small.hec --data data.npz --optimize throughput --batch 3 --json";
    let bench = folder.prints_json(bench);
    assert_eq!((&bench["n"], &bench["agree"]), (&json!(3), &json!(3)));
    assert!(bench["lanes"].as_u64().unwrap() > 1);
    let [predicted, peak] = ["predicted_run_bytes", "peak_run_bytes"].map(|key| bench[key].as_f64().unwrap());
    assert!((0.5..2.0).contains(&(predicted / peak)), "{predicted} {peak}");
    assert_messages!(folder.refuses("compile small.hec --optimize latency --batch 40000"));
}

#[test]
fn layouts_without_a_place_are_refused() {
    let folder = Folder::new();
    let large = "model large {\n  weights random(seed = 1)\n  input x: [1, 80, 80] in 0..1\n  \
                 y = conv(x, out_channels = 1, kernel = 3, bias = [0])\n  output y\n}\n";
    folder.write("large.hec", large);
    let output = folder.hecc("compile large.hec --ring 8192 --packing multiplexed");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("H078") && said.contains("8192 slots") && said.contains("--packing tiles"),
        "{said}"
    );
    folder.prints("compile large.hec --ring 8192 --packing tiles");
}

#[test]
fn models_that_cannot_be_compiled_are_refused() {
    let folder = Folder::new();
    folder.write("empty.hec", "");
    folder.write("typo.hec", MODEL.replace("dense(f", "desne(f"));
    folder.write("shape.hec", MODEL.replace("dense(f", "dense(x"));
    folder.write("binary.hec", [0xff, 0xfe, 0x00]);
    folder.write("damaged.onnx", b"\x08\x08\x3a\xff\xff\x03");
    folder.write("table.csv", "1,2,3");
    let squares: String = (0..100).map(|i| format!("  s{} = square(s{i})\n", i + 1)).collect();
    folder.write("deep.hec", format!("model deep {{\n  input s0: [4]\n{squares}  output s100\n}}\n"));
    assert_messages!(folder.all_refused(&[
        "compile nowhere.hec",
        "compile empty.hec",
        "compile typo.hec",
        "compile shape.hec",
        "compile binary.hec",
        "compile damaged.onnx",
        "compile table.csv",
        "compile deep.hec",
        "compile small.hec --ring 5000",
        "compile small.hec --target table.csv",
        "compile small.hec --calibrate table.csv",
        "inspect table.csv",
    ]));
}

#[test]
fn weights_that_cannot_be_used_are_refused() {
    let folder = Folder::new();
    let model = |weights: &str| {
        format!(
            "model w {{\n  weights \"{weights}\"\n  input x: [4]\n  y = dense(x, weight = \"w\")\n  output y\n}}\n"
        )
    };
    let npz = |name: &str, shape: &[u64], values: Vec<f64>| {
        let file = std::io::BufWriter::new(std::fs::File::create(folder.path(name)).unwrap());
        array(&mut zip::ZipWriter::new(file), "w", shape, values);
    };
    npz("nan.npz", &[2, 4], vec![f64::NAN; 8]);
    npz("shape.npz", &[2, 5], vec![1.0; 10]);
    npz("good.npz", &[2, 4], vec![1.0; 8]);
    let good = folder.read("good.npz");
    folder.write("cut.npz", &good[..good.len() / 2]);
    folder.write("text.npz", "weights");
    let names = ["nan", "shape", "cut", "text", "absent"];
    names.iter().for_each(|name| folder.write(&format!("{name}.hec"), model(&format!("{name}.npz"))));
    let lines: Vec<String> = names.iter().map(|name| format!("compile {name}.hec")).collect();
    assert_messages!(folder.all_refused(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn samples_that_do_not_fit_are_refused() {
    let folder = Folder::deployed();
    folder.samples("wide.npz", &[1, 5, 5], 0.5);
    folder.samples("bright.npz", &[1, 4, 4], 200.0);
    folder.write("text.npz", "samples");
    folder.digits("wide", [5, 5]);
    std::fs::create_dir(folder.path("empty")).unwrap();
    assert_messages!(folder.all_refused(&[
        "run small.hec --data wide.npz",
        "run small.hec --data bright.npz",
        "bench small.hec --data text.npz",
        "check small.hec --data data.npz --count 0",
        "encrypt small.hecm --data wide.npz -o new.hect",
        "encrypt small.hecm --data bright.npz -o new.hect",
        "encrypt small.hecm --data data.npz --index 3 -o new.hect",
        "encrypt small.hecm --data nowhere.npz -o new.hect",
        "encrypt small.hecm --data empty -o new.hect",
        "run small.hec --data wide",
    ]));
}

#[test]
fn samples_may_be_a_folder() {
    let folder = Folder::new();
    folder.digits("digits", [4, 4]);
    let run = folder.prints_json("run small.hec --data digits --count 2 --json");
    let labels: Vec<_> = run["samples"].as_array().unwrap().iter().map(|s| &s["label"]).collect();
    assert_eq!(labels, [0, 1]);
}

#[test]
fn files_of_other_kinds_and_programs_are_refused() {
    let folder = Folder::deployed();
    folder.write("other.hec", MODEL.replace("model small", "model other").replace("seed = 1", "seed = 2"));
    folder.prints("compile other.hec");
    folder.prints("keygen other.hecm --secret other.hecs --eval-keys other.heck");
    folder.prints("encrypt other.hecm --secret other.hecs --data data.npz -o other.hect");
    assert_messages!(folder.all_refused(&[
        "eval small.hecp --eval-keys other.heck",
        "eval small.hecp --input other.hect",
        "eval small.hecm",
        "eval small.hecp --eval-keys input.hect",
        "eval small.hecp --input small.heck",
        "eval small.hecp --eval-keys nowhere.heck",
        "keygen small.hecp --secret new.hecs --eval-keys new.heck",
        "encrypt small.hecm --secret other.hecs --data data.npz -o new.hect",
        "decrypt small.hecm --secret other.hecs --input input.hect",
        "decrypt small.hecm --input input.hect",
        "decrypt small.hecm --input nowhere.hect",
    ]));
}

#[test]
fn damaged_files_are_refused() {
    let folder = Folder::deployed();
    for (name, line) in [
        ("small.hecp", "eval damaged"),
        ("small.hecm", "keygen damaged --secret new.hecs --eval-keys new.heck"),
        ("small.hecp", "inspect damaged.hecp"),
        ("small.heck", "eval small.hecp --eval-keys damaged"),
        ("input.hect", "eval small.hecp --input damaged"),
        ("small.hecs", "encrypt small.hecm --data data.npz --secret damaged -o new.hect"),
    ] {
        let to = if line.contains("damaged.hecp") { "damaged.hecp" } else { "damaged" };
        let whole = folder.read(name);
        for part in [0, 1, 2, 3, 5, 8, 12] {
            folder.flip(name, to, (whole.len() - 1) * part / 12);
            folder.refuses(line);
        }
        for kept in [0, 3, 20, whole.len() / 2, whole.len() - 1] {
            folder.write(to, &whole[..kept]);
            folder.refuses(line);
        }
        folder.write(to, [whole, vec![0]].concat());
        folder.refuses(line);
    }
}

/// The precision that a refusal proposes is one that works.
#[test]
fn proposed_precisions_are_reached() {
    let folder = Folder::new();
    let message = folder.refuses("compile small.hec --ring 4096 --precision 1e-9");
    let (_, proposal) = message.split_once("--precision 1e-9\n").unwrap();
    let (_, proposal) = proposal.split_once("--precision ").unwrap();
    let precision = proposal.split(',').next().unwrap();
    folder.prints(&format!("compile small.hec --ring 4096 --precision {precision}"));
}

/// The format number is the third field of the header.
#[test]
fn files_of_other_versions_are_refused() {
    let folder = Folder::deployed();
    for (from, to) in [("small.hecp", "next.hecp"), ("small.hecm", "next.hecm")] {
        let mut bytes = folder.read(from);
        bytes[5] = 200;
        folder.write(to, bytes);
    }
    assert_messages!(folder.all_refused(&[
        "eval next.hecp",
        "inspect next.hecp",
        "inspect next.hecm",
        "keygen next.hecm --secret new.hecs --eval-keys new.heck",
    ]));
}

/// Programs without security run only for those who say so.
#[test]
fn insecure_programs_are_refused_unless_asked_for() {
    let folder = Folder::new();
    folder.prints("compile small.hec --insecure --ring 1024");
    let model = folder.refuses("compile small.hec --ring 1024");
    let keygen = folder.refuses("keygen small.hecm");
    folder.prints("keygen small.hecm --insecure");
    let encrypt = folder.refuses("encrypt small.hecm --data data.npz");
    folder.prints("encrypt small.hecm --insecure --data data.npz");
    folder.prints("eval small.hecp");
    let decrypt = folder.refuses("decrypt small.hecm");
    let share = folder.refuses("decrypt small.hecm --share flood:30 --error 1e-9");
    folder.prints("decrypt small.hecm --insecure");
    let runs =
        ["run", "bench", "check"].map(|command| format!("{command} small.hec --ring 1024 --data data.npz"));
    let runs = folder.all_refused(&runs.each_ref().map(String::as_str));
    assert_messages!([model, keygen, encrypt, decrypt, share, runs].join("\n"));
}

#[test]
fn results_are_shared_with_noise_or_rounded() {
    let folder = Folder::new();
    folder.prints("compile small.hec");
    folder.prints("keygen small.hecm");
    folder.prints("encrypt small.hecm --data data.npz");
    folder.prints("eval small.hecp");
    let exact = folder.prints_json("decrypt small.hecm --json");
    assert_eq!(exact["shared"], Value::Null);
    let number = |value: &Value| value.as_f64().unwrap();
    for share in ["flood:10 --error 1e-2 --releases 3", "round:8 --error 1e-2"] {
        let shared = folder.prints_json(&format!("decrypt small.hecm --json --share {share}"));
        let (step, noise) = (number(&shared["shared"]["step"]), number(&shared["shared"]["noise_std"]));
        let pairs = (0..3).map(|i| (number(&shared["values"][i]), number(&exact["values"][i])));
        for (found, exact) in pairs {
            assert!((found - exact).abs() <= step + 8.0 * noise, "{share}: {found} {exact}");
            let multiple = found / step;
            assert!((multiple - multiple.round()).abs() < 1e-6, "{share}: {multiple}");
        }
    }
    let text = folder.prints("decrypt small.hecm --share flood:10 --error 1e-2");
    assert!(text.contains("with noise of standard deviation"), "{text}");
}

#[test]
fn senseless_sharing_is_refused() {
    let folder = Folder::deployed();
    folder.prints("eval small.hecp");
    assert_messages!(folder.refuses("decrypt small.hecm --share flood:100 --error 1e-6"));
    for words in ["--share flood:30", "--error 1e-6", "--share flood:0 --error 1", "--share sink:3 --error 1"]
        .into_iter()
        .chain(["--share flood:30 --error -1", "--share flood --error 1"])
    {
        let output = folder.hecc(&format!("decrypt small.hecm {words}"));
        assert_eq!(output.status.code(), Some(2), "{words}");
    }
}

#[test]
fn nothing_is_written_where_nothing_may_be() {
    let folder = Folder::new();
    folder.write("file", "");
    assert_messages!(folder.refuses("compile small.hec -o file/below"));
    assert!(!Path::new("small.hecp").exists());
}

#[test]
fn errors_are_json_for_scripts() {
    let folder = Folder::new();
    let output = folder.hecc("compile nowhere.hec --json");
    let errors: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(errors.to_string().contains("H001"), "{errors}");
}
