//! Results with the error that their manifest promises: what is printed of them, which class they name, and how they
//! are shared.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/folder.rs"]
mod folder;
#[path = "support/idx.rs"]
mod idx;
#[path = "support/npz.rs"]
mod npz;

use folder::Folder;
use npz::array;
use serde_json::Value;

/// Three times the input.
const TRIPLE: &str = "model triple {
  input x: [4] in 0..1
  y = affine(x, scale = 3)
  output y
}
";

/// The same of one number.
const ONE: &str = "model one {
  input x: [1] in 0..1
  y = affine(x, scale = 3)
  output y
}
";

/// The first sample has two largest outputs that differ by 3e-5, those of the second are far apart.
const SAMPLES: [[f64; 4]; 2] = [[0.5, 0.50001, 0.1, 0.0], [0.9, 0.2, 0.1, 0.0]];

impl Folder {
    /// Samples of so many elements each, and the model that takes them.
    fn model(&self, name: &str, text: &str, n_elements: u64, values: Vec<f64>) {
        self.write(&format!("{name}.hec"), text);
        let mut npz = zip::ZipWriter::new(std::fs::File::create(self.path("x.npz")).unwrap());
        array(&mut npz, "x", &[values.len() as u64 / n_elements, n_elements], values);
        npz.finish().unwrap();
    }

    fn triple() -> Folder {
        let folder = Folder::new();
        folder.model("triple", TRIPLE, 4, SAMPLES.concat());
        folder
    }

    /// Compiles, makes keys, encrypts a sample, evaluates.
    fn evaluated(&self, name: &str, index: usize) {
        self.prints(&format!("compile {name}.hec"));
        self.prints(&format!("keygen {name}.hecm --force"));
        self.prints(&format!("encrypt {name}.hecm --data x.npz --index {index}"));
        self.prints(&format!("eval {name}.hecp"));
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// How many digits stand behind the points of the numbers in brackets.
fn decimals(shown: &str) -> Vec<usize> {
    let (_, list) = shown.split_once('[').unwrap();
    let numbers = list.split_once(']').unwrap().0.split(", ");
    numbers.map(|word| word.split_once('.').map_or(0, |(_, digits)| digits.len())).collect()
}

#[test]
fn a_class_is_named_where_it_stands_out() {
    let folder = Folder::triple();
    for (index, class) in [None, Some(0)].into_iter().enumerate() {
        folder.evaluated("triple", index);
        let result = folder.prints_json("decrypt triple.hecm --json");
        let error = number(&result["error"]);
        assert!(error > 1e-4 && error < 2e-3, "{result}");
        assert_eq!(result["prediction"].as_u64(), class);
        let (shown, said) = (folder.prints("decrypt triple.hecm"), format!("] ± {error:.1e}\n"));
        assert!(shown.contains(&said), "{shown}");
        let n_decimals = -error.log10().floor() as usize;
        assert!(decimals(&shown).into_iter().all(|n| n <= n_decimals), "{shown}");
        assert_eq!(shown.contains("\nno class stands out\n"), class.is_none(), "{shown}");
        assert_eq!(shown.contains("\nprediction 0\n"), class.is_some(), "{shown}");
        let values = folder.prints("decrypt triple.hecm --task regress");
        assert!(values.contains(&said) && values.lines().count() == 1, "{values}");
    }
}

#[test]
fn run_names_a_class_where_it_stands_out() {
    let folder = Folder::triple();
    let line = "run triple.hec --data x.npz --task classify";
    let run = folder.prints_json(&format!("{line} --json"));
    let classes = |name: &str| [0, 1].map(|sample| run["samples"][sample][name].as_u64());
    assert_eq!((classes("plain"), classes("decrypted")), ([Some(1), Some(0)], [None, Some(0)]));
    assert!((0..2).all(|sample| number(&run["samples"][sample]["error"]) > 1e-4), "{run}");
    let shown = folder.prints(line);
    assert!(shown.contains("decrypted prediction  no class stands out\n"), "{shown}");
    assert!(shown.contains("decrypted prediction  0   same"), "{shown}");
    assert!(shown.contains("; no class stands out in 1 of 2"), "{shown}");
    assert_eq!(shown.matches(" ± ").count(), 2, "{shown}");
}

#[test]
fn values_are_printed_with_their_error() {
    let folder = Folder::new();
    folder.model("one", ONE, 1, vec![0.5, 0.25]);
    folder.evaluated("one", 0);
    let error = number(&folder.prints_json("decrypt one.hecm --json")["error"]);
    let shown = folder.prints("decrypt one.hecm");
    assert!(shown.contains(&format!("] ± {error:.1e}\n")) && !shown.contains("class"), "{shown}");
    let run = folder.prints("run one.hec --data x.npz");
    assert_eq!(run.matches(" ± ").count(), 2, "{run}");
}

#[test]
fn results_are_shared_with_the_promised_error_or_a_larger_one() {
    let folder = Folder::triple();
    folder.evaluated("triple", 1);
    let promised = number(&folder.prints_json("decrypt triple.hecm --json")["error"]);
    let small = promised / 10.0;
    let refused = folder.refuses(&format!("decrypt triple.hecm --share flood:10 --error {small}"));
    assert!(refused.contains("error[H076]"), "{refused}");
    let (_, least) = refused.split_once("state --error ").unwrap();
    let least = least.split_once(' ').unwrap().0;
    assert!((1.0..1.11).contains(&(least.parse::<f64>().unwrap() / promised)), "{refused}");
    for how in ["flood:1 --releases 1", "round:1"] {
        let shared = folder.prints_json(&format!("decrypt triple.hecm --json --share {how} --error {least}"));
        assert!(number(&shared["error"]) > promised, "{shared}");
        assert_eq!(shared["prediction"].as_u64(), Some(0), "{shared}");
    }
}

/// Noise and steps as large as the values leave nothing of them.
#[test]
fn no_class_is_named_where_sharing_leaves_none() {
    let folder = Folder::triple();
    folder.evaluated("triple", 1);
    for how in ["flood:30", "round:16"] {
        let line = format!("decrypt triple.hecm --share {how} --error 2e-3");
        assert_eq!(folder.prints_json(&format!("{line} --json"))["prediction"], Value::Null);
        let shown = folder.prints(&line);
        assert!(shown.contains("no class stands out\n") && !shown.contains("prediction"), "{shown}");
        assert_eq!(decimals(&shown), [0; 4], "{shown}");
    }
}
