//! `hecc bench` of several models: figures side by side, simulation of more samples,
//! a plot, and what is said when one of them fails.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[path = "support/idx.rs"]
mod idx;

use serde_json::Value;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A network of 4 x 4 pixels and three classes with this many hidden features.
fn model(features: usize) -> String {
    format!(
        "model small {{
  weights random(seed = 1)
  input x: [1, 4, 4] in 0..1
  f = flatten(x)
  h = dense(f, features = {features})
  a = square(h)
  y = dense(a, features = 3)
  output y
}}
"
    )
}

/// Models `wide/net.hec` and `narrow/net.hec`, and three samples `digits`.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("wide/net.hec", model(6));
        folder.write("narrow/net.hec", model(2));
        let pixels: Vec<u8> = (0..48).map(|i| (i * 37 % 256) as u8).collect();
        folder.write("digits/t10k-images-idx3-ubyte", idx::idx(&[3, 4, 4], &pixels));
        folder.write("digits/t10k-labels-idx1-ubyte", idx::idx(&[3], &[0, 1, 2]));
        folder
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    fn hecc(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hecc"));
        command.current_dir(self.0.path()).env("NO_COLOR", "1").args(line.split_whitespace());
        command.output().unwrap()
    }

    /// Standard output and standard error of a command that succeeds.
    fn prints(&self, line: &str) -> [String; 2] {
        let output = self.hecc(line);
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{line}\n{stderr}");
        [stdout, stderr]
    }

    /// Exit status and message of a command that fails.
    fn refuses(&self, line: &str) -> String {
        let output = self.hecc(line);
        assert!(!output.status.success() && output.stdout.is_empty(), "{line}");
        let message = String::from_utf8(output.stderr).unwrap();
        format!("$ hecc {line}\n{message}")
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn packings_are_measured_side_by_side() {
    let folder = Folder::new();
    let line = "bench wide/net.hec --packings --data digits --count 3 --threads 1 --json";
    let [stdout, _] = folder.prints(line);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    let rows = found.as_array().unwrap();
    let labels: Vec<&str> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["any", "multiplexed", "interleaved", "tiles", "batch"]);
    assert!(rows.iter().all(|row| row["agree"] == 3), "{found}");
    assert_eq!(rows[4]["rotations"], 0);
    assert!(number(&rows[4]["lanes"]) >= 4096.0);
    assert!(
        folder.refuses("bench wide/net.hec narrow/net.hec --packings --data digits").contains("--packings")
    );
}

#[test]
fn models_are_measured_side_by_side() {
    let folder = Folder::new();
    let line = "bench wide/net.hec narrow/net.hec --data digits --count 2 --threads 1 --simulate 3 --json";
    let [figures, progress] = folder.prints(line);
    let models: Vec<Value> = serde_json::from_str(&figures).unwrap();
    let [wide, narrow] = &models[..] else { panic!("{figures}") };
    assert_eq!(progress, "");
    assert_eq!((&wide["label"], &narrow["label"]), (&"wide".into(), &"narrow".into()));
    assert_eq!(narrow["path"], "narrow/net.hec");
    for [figure, factor] in [
        ["latency_s", "latency_factor"],
        ["peak_run_bytes", "peak_run_factor"],
        ["peak_rss_bytes", "peak_rss_factor"],
    ] {
        assert_eq!(number(&wide[factor]), 1.0);
        let expected = number(&wide[figure]) / number(&narrow[figure]);
        assert!((number(&narrow[factor]) / expected - 1.0).abs() < 1e-9, "{factor}");
    }
    for figures in &models {
        let kinds = ["rotations", "mul_plain", "mul_scalar", "mul_ct", "relins", "rescales"];
        assert_eq!(
            number(&figures["he_operations"]),
            kinds.iter().map(|kind| number(&figures[*kind])).sum::<f64>()
        );
        assert_eq!((&figures["n"], &figures["threads"]), (&2.into(), &1.into()));
        assert_eq!((&figures["simulated"]["n"], &figures["simulated"]["agree"]), (&3.into(), &3.into()));
        assert_eq!(figures["simulated"]["correct"], figures["simulated"]["plain_correct"]);
        assert_eq!(number(&figures["zero_weights_percent"]), 0.0);
    }
    let left = number(&narrow["he_operations"]) / number(&wide["he_operations"]);
    let removed = number(&narrow["he_operations_removed_percent"]);
    assert!(
        (removed - 100.0 * (1.0 - left)).abs() < 1e-9
            && number(&wide["he_operations_removed_percent"]) == 0.0
    );
}

#[test]
fn tables_and_plots_name_every_model() {
    let folder = Folder::new();
    let line = "bench wide/net.hec narrow/net.hec --data digits --count 1 --threads 1 --plot plots/net.svg";
    let [table, progress] = folder.prints(line);
    for word in ["wide", "narrow", "accuracy, encrypted", "HE operations", "the baseline is wide"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(!table.contains("simulated"), "{table}");
    assert!(
        progress.contains("model 1 of 2: wide\n") && progress.contains("model 2 of 2: narrow\n"),
        "{progress}"
    );
    let svg = std::fs::read_to_string(folder.0.path().join("plots/net.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("wide (baseline)") && svg.contains("narrow"));
}

#[test]
fn one_model_is_simulated_too() {
    let folder = Folder::new();
    let [figures, _] = folder.prints("bench wide/net.hec --data digits --count 1 --simulate 100 --json");
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert_eq!((&figures["n"], &figures["simulated"]["n"]), (&1.into(), &3.into()));
    assert!(number(&figures["simulated"]["expected_max_abs_err"]) > 0.0);
    let [table, _] = folder.prints("bench wide/net.hec --data digits --count 1 --simulate 2");
    assert!(table.contains("simulated.plain_correct"), "{table}");
}

#[test]
fn what_a_model_fails_with_is_told() {
    let folder = Folder::new();
    folder.write("odd/net.hec", model(6).replace("square", "sqaure"));
    let squares: String = (0..100).map(|i| format!("  s{} = square(s{i})\n", i + 1)).collect();
    let deep = format!("model deep {{\n  input s0: [1, 4, 4]\n{squares}  output s100\n}}\n");
    folder.write("deep/net.hec", deep);
    folder.write("samples/t10k-images-idx3-ubyte", idx::idx(&[1, 5, 5], &[0; 25]));
    folder.write("samples/t10k-labels-idx1-ubyte", idx::idx(&[1], &[0]));
    let messages = [
        "bench wide/net.hec deep/net.hec --data digits --count 1 --input-range -1,1",
        "bench wide/net.hec odd/net.hec nowhere.hec --data digits",
        "bench wide/net.hec narrow/net.hec --data samples",
        "bench wide/net.hec narrow/net.hec --data digits --simulate 0",
        "bench wide/net.hec --data digits --plot net.svg",
        "bench wide/net.hec narrow/net.hec --data digits --ablate",
        "bench wide/net.hec --data digits --ablate --simulate 3",
    ];
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(messages.map(|line| folder.refuses(line)).join("\n"));
    });
    let output = folder.hecc("bench wide/net.hec deep/net.hec --data digits --count 1 --json");
    let errors: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&errors[0]["code"], errors.as_array().unwrap().len()), (&"H021".into(), 1));
}

/// With the lines that they are about, though a process of its own found them.
#[test]
fn warnings_about_a_model_are_shown() {
    let folder = Folder::new();
    folder.write("odd/net.hec", model(6).replace("  output", "  z = square(y)\n  output"));
    let [_, progress] = folder.prints("bench wide/net.hec odd/net.hec --data digits --count 1");
    let (_, warning) = progress.split_once("model 2 of 2: odd\n").unwrap();
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(warning) });
}
