//! Samples, labels and results of every form: which are taken, what is said about the others, and
//! what is printed.

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

/// Shape and elements.
type Array<'a> = (&'a [u64], Vec<f64>);

const IMAGES: &str = "model images {
  weights random(seed = 3)
  input x: [3, 8, 8] in 0..1
  c = conv(x, out_channels = 2, kernel = 3)
  s = square(c)
  f = flatten(s)
  y = dense(f, features = 4)
  output y
}
";

/// Outputs around 1e-5 times the input.
const FAINT: &str = "model faint {
  input x: [4] in 0..1
  y = affine(x, scale = 0.00001)
  output y
}
";

/// Three times the input.
const ONE: &str = "model one {
  input x: [1] in 0..1
  y = affine(x, scale = 3)
  output y
}
";

impl Folder {
    /// Arrays `x` and, if there are labels, `y`.
    fn data(&self, name: &str, (shape, x): Array, y: Option<Array>) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        let mut npz = zip::ZipWriter::new(std::io::BufWriter::new(file));
        array(&mut npz, "x", shape, x);
        if let Some((shape, y)) = y {
            array(&mut npz, "y", shape, y);
        }
    }

    /// Two samples of the model `one`, labelled.
    fn pair(&self, name: &str, y: Option<Array>) {
        self.data(name, (&[2, 1], vec![0.5, 1.0]), y);
    }
}

fn images() -> Folder {
    let folder = Folder::new();
    folder.write("images.hec", IMAGES);
    folder.samples("nchw.npz", &[3, 8, 8], 0.5);
    folder
}

#[test]
fn samples_of_another_shape_are_refused_by_every_command() {
    let folder = images();
    folder.prints("compile images.hec --calibrate nchw.npz --insecure --ring 2048");
    folder.prints("keygen images.hecm --insecure");
    let shapes: [(&str, &[u64]); 4] =
        [("nhwc", &[8, 8, 3]), ("other", &[3, 4, 16]), ("flat", &[192]), ("less", &[3, 8, 7])];
    for (name, shape) in shapes {
        folder.samples(&format!("{name}.npz"), shape, 0.5);
        for line in [
            "run images.hec --data",
            "bench images.hec --data nchw.npz --calibrate",
            "bench images.hec --simulate 3 --data",
            "bench images.hec images.hec --data",
            "bench images.hec --ablate --data",
            "check images.hec --data",
            "check images.hec --backend sim --data",
            "check images.hec --backend clear --data",
            "compile images.hec -o new --calibrate",
            "inspect images.hec --calibrate",
            "explain images.hec --calibrate",
            "encrypt images.hecm --insecure -o new.hect --data",
        ] {
            let refused = folder.refuses(&format!("{line} {name}.npz"));
            assert!(refused.contains("error[H051]"), "{refused}");
            assert_eq!(refused.contains("channels last"), name == "nhwc", "{refused}");
        }
    }
    folder.prints("encrypt images.hecm --insecure --data nchw.npz");
    let run = folder.prints_json("run images.hec --insecure --ring 2048 --data nchw.npz --json");
    assert!(run["samples"].as_array().unwrap().iter().all(|sample| sample["same"] == true), "{run}");
}

/// The transposition that is proposed is one that makes samples fit.
#[test]
fn samples_that_fit_are_taken() {
    let folder = images();
    folder.write(
        "flat.hec",
        IMAGES
            .replace("[3, 8, 8]", "[192]")
            .replace("conv(x, out_channels = 2, kernel = 3)", "dense(x, features = 6)"),
    );
    folder.write("grey.hec", IMAGES.replace("[3, 8, 8]", "[1, 8, 8]"));
    let takes = |model: &str, shape: &[u64]| {
        folder.samples("x.npz", shape, 0.5);
        folder.prints_json(&format!("check {model}.hec --backend clear --data x.npz --json"))["n"] == 3
    };
    assert!(takes("flat", &[192]) && takes("flat", &[3, 8, 8]));
    assert!(takes("grey", &[1, 8, 8]) && takes("grey", &[8, 8]) && takes("grey", &[8, 8, 1]));
    folder.samples("one.npz", &[8, 8], 0.5);
    assert!(folder.refuses("run images.hec --data one.npz").contains("`x[None]`"));
    folder.samples("nhwc.npz", &[8, 8, 3], 0.5);
    assert!(folder.refuses("run images.hec --data nhwc.npz").contains("`x.transpose(0, 3, 1, 2)`"));
}

#[test]
fn labels_that_are_no_class_are_refused_by_every_command() {
    let folder = Folder::new();
    let x = || -> (&[u64], Vec<f64>) { (&[3, 1, 4, 4], vec![0.5; 48]) };
    let labels: [(&str, &[u64], Vec<f64>, &str); 5] = [
        ("large", &[3], vec![0.0, 3.0, 1.0], "label 3 of sample 1"),
        ("negative", &[3], vec![0.0, 2.0, -1.0], "label -1 of sample 2"),
        ("part", &[3], vec![0.5, 2.0, 1.0], "label 0.5 of sample 0"),
        ("pairs", &[3, 2], vec![1.0; 6], "`y` has shape [2]"),
        ("few", &[2], vec![0.0; 2], "`y` has shape [2]"),
    ];
    for (name, shape, y, said) in labels {
        folder.data(&format!("{name}.npz"), x(), Some((shape, y)));
        for command in ["run", "bench", "check --backend sim", "check --backend clear", "bench --simulate 3"]
        {
            let refused = folder.refuses(&format!("{command} small.hec --count 3 --data {name}.npz"));
            let code = if name == "few" { "error[H050]" } else { "error[H051]" };
            assert!(refused.contains(code) && refused.contains(said), "{refused}");
        }
    }
    // The wrong label is beyond the samples that are run, but not beyond those simulated.
    let beyond = folder.refuses("bench small.hec --count 1 --simulate 3 --data large.npz");
    assert!(beyond.contains("label 3 of sample 1"), "{beyond}");
}

#[test]
fn labels_say_whether_results_are_classes() {
    let folder = Folder::new();
    let x = || -> (&[u64], Vec<f64>) { (&[2, 1, 4, 4], (0..32).map(|i| f64::from(i) / 32.0).collect()) };
    let labels: [(&str, Option<Array>, &str); 4] = [
        ("classes", Some((&[2], vec![2.0, 0.0])), "classify"),
        ("column", Some((&[2, 1], vec![2.0, 0.0])), "classify"),
        ("values", Some((&[2, 3], vec![1.0; 6])), "regress"),
        ("none", None, "regress"),
    ];
    for (name, y, task) in labels {
        folder.data(&format!("{name}.npz"), x(), y);
        let check = folder.prints_json(&format!("check small.hec --backend clear --data {name}.npz --json"));
        assert_eq!((&check["task"], &check["agree"]), (&json!(task), &json!(2)), "{name}: {check}");
        assert_eq!(check["correct"].is_number(), task == "classify", "{check}");
        assert_eq!(check["label_err"]["mean_abs"].is_number(), name == "values", "{check}");
    }
    let asked = folder.prints_json("check small.hec --backend clear --task classify --data none.npz --json");
    assert_eq!(
        (&asked["task"], &asked["agree"], &asked["correct"]),
        (&json!("classify"), &json!(2), &Value::Null)
    );
    let refused = folder.refuses("check small.hec --backend clear --task classify --data values.npz");
    assert!(refused.contains("error[H051]") && refused.contains("y.argmax(1)"), "{refused}");
    let refused = folder.refuses("check small.hec --backend clear --task regress --data classes.npz");
    assert!(refused.contains("error[H051]"), "{refused}");
}

#[test]
fn one_output_is_a_value() {
    let folder = Folder::new();
    folder.write("one.hec", ONE);
    folder.pair("numbers.npz", Some((&[2], vec![1.25, 3.5])));
    folder.pair("whole.npz", Some((&[2], vec![1.0, 3.0])));
    let line = "run one.hec --insecure --ring 1024 --data numbers.npz";
    let run = folder.prints_json(&format!("{line} --json"));
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-3;
    let sample = &run["samples"][0];
    assert_eq!((&sample["plain"], &sample["decrypted"]), (&Value::Null, &Value::Null));
    assert!(near(&sample["logits"][0], 1.5) && sample["same"] == true && sample["label"] == 1.25, "{run}");
    let shown = folder.prints(line);
    assert!(
        !shown.contains("prediction") && shown.contains("2 of 2 encrypted results are within 1e-4"),
        "{shown}"
    );
    let check = folder.prints_json("check one.hec --backend clear --data numbers.npz --json");
    assert!(near(&check["label_err"]["mean_abs"], 0.375), "{check}");
    assert!(near(&check["label_err"]["relative"], 0.75 / 4.75), "{check}");
    let check = folder.prints_json("check one.hec --backend clear --data whole.npz --json");
    assert!(near(&check["label_err"]["mean_abs"], 0.25), "{check}");
    assert!(folder.refuses("check one.hec --data whole.npz --task classify").contains("names no class"));
    folder.prints("compile one.hec --insecure --ring 1024");
    folder.prints("keygen one.hecm --insecure");
    folder.prints("encrypt one.hecm --insecure --data numbers.npz");
    folder.prints("eval one.hecp");
    let decrypted = folder.prints_json("decrypt one.hecm --insecure --json");
    assert_eq!(decrypted["prediction"], Value::Null);
    assert!(!folder.prints("decrypt one.hecm --insecure").contains("prediction"));
}

/// Values that are off by more than the precision are not the same, whichever is largest.
#[test]
fn values_are_the_same_within_the_precision() {
    let folder = Folder::new();
    folder.data("x.npz", (&[1, 1, 4, 4], vec![0.5; 16]), None);
    let check = |precision: &str| {
        let line = format!("check small.hec --insecure --ring 1024 --data x.npz {precision} --json");
        let check = folder.prints_json(&line);
        (check["agree"].as_u64().unwrap(), check["relative_err"].as_f64().unwrap())
    };
    let (agree, error) = check("--precision 0.5");
    assert!(agree == 1 && error < 0.5, "{error}");
}

#[test]
fn small_results_keep_their_digits() {
    let folder = Folder::new();
    folder.write("faint.hec", FAINT);
    folder.data("x.npz", (&[1, 4], vec![0.9, 0.2, 0.4, 0.1]), None);
    folder.prints("compile faint.hec");
    folder.prints("keygen faint.hecm");
    folder.prints("encrypt faint.hecm --data x.npz");
    folder.prints("eval faint.hecp");
    let shown = folder.prints("decrypt faint.hecm");
    let (_, numbers) = shown.split_once('[').unwrap();
    let numbers = numbers.split_once(']').unwrap().0.split(", ").map(|word| word.parse::<f64>().unwrap());
    for (found, expected) in numbers.zip([9e-6, 2e-6, 4e-6, 1e-6]) {
        assert!((found - expected).abs() < 2e-3 * expected, "{shown}");
    }
    assert!(shown.contains("prediction 0"), "{shown}");
    assert!(!folder.prints("decrypt faint.hecm --task regress").contains("prediction"));
    let run = folder.prints("run faint.hec --data x.npz");
    assert!(run.contains("e-6") && !run.contains("0.0000"), "{run}");
}
