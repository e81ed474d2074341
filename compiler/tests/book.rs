//! The book tells the truth: its models compile, its commands run, its lists
//! are complete, and the dumps it includes are what the command prints.
//!
//! Blocks of Rust are tested as documentation of `hecc-tests`.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/onnx.rs"]
mod support;

use hecc::diag::{Code, Diagnostics};
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, hec, onnx};
use hecc_ir::SecurityLevel;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names and texts of all pages.
fn pages() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(repository().join("book/src")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    let page = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    pages.iter().map(page).collect()
}

fn page(name: &str) -> String {
    pages().into_iter().find(|page| page.0 == name).unwrap().1
}

/// Contents of a page's code blocks of one kind, such as `sh`.
fn blocks<'p>(page: &'p str, kind: &str) -> Vec<&'p str> {
    let mut parts = page.split("```").skip(1).step_by(2);
    let inside = |block: &'p str| block.strip_prefix(kind)?.strip_prefix('\n');
    parts.by_ref().filter_map(inside).collect()
}

/// Runs `hecc` with the words of a command line.
fn hecc(folder: &Path, line: &str) -> Output {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    Command::new(env!("CARGO_BIN_EXE_hecc")).current_dir(folder).args(&words).output().unwrap()
}

fn printed(line: &str) -> String {
    let output = hecc(&repository(), line);
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Compares with a dump that the book includes, without the head of the file.
fn assert_dump(name: &str, contents: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(repository().join("book/src/dumps"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, contents));
}

#[test]
fn models_translate() {
    let read_example = |name: &str| TensorFile::read(&repository().join("examples/models").join(name));
    let mut n_models = 0;
    for (name, text) in pages() {
        for model in blocks(&text, "hec").into_iter().filter(|block| !block.contains("{{#include")) {
            let (mut problems, options) = (Diagnostics::new(), LoadOptions::default());
            hec::translate(&name, model, &mut |name| read_example(name), &options, &mut problems);
            assert!(problems.is_empty(), "{problems}");
            n_models += 1;
        }
    }
    assert!(n_models >= 3);
}

#[test]
fn commands_run() {
    let mut n_commands = 0;
    for (name, text) in pages() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["examples/models", "examples/data"] {
            copy(&repository().join(part), &folder.path().join(part));
        }
        let lines = blocks(&text, "sh").into_iter().flat_map(str::lines);
        // Lines that train are tested beside the trainer.
        for line in lines.filter(|line| line.starts_with("hecc ") && !line.starts_with("hecc prepare ")) {
            let output = hecc(folder.path(), line);
            assert!(output.status.success(), "{name}: {line}\n{}", String::from_utf8_lossy(&output.stderr));
            n_commands += 1;
        }
    }
    assert!(n_commands >= 10);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn dumps_are_current() {
    for stage in ["network", "packing"] {
        assert_dump(stage, &printed(&format!("hecc inspect examples/models/tiny.hec --stage {stage}")));
    }
    let circuit = printed("hecc inspect examples/models/tiny.hec --stage leveled");
    let (head, rest) = circuit.split_once("\ninput ").unwrap();
    let (_, layers) = rest.split_once("\nlayer ").unwrap();
    assert_dump("leveled", &format!("{head}\n...\n\nlayer {layers}"));
}

#[test]
fn every_code_is_listed() {
    let entry = |code: &Code| format!("## {code}: {}\n\n{}\n", code.title(), code.explanation());
    assert_dump("codes", &Code::ALL.iter().map(entry).collect::<Vec<_>>().join("\n"));
}

/// The names after `the layers are` in the help on an unknown layer.
#[test]
fn every_layer_is_described() {
    let mut problems = Diagnostics::new();
    let text = "model m {\n input x: [1]\n y = zzzzzzzzzzzz(x)\n output y\n}";
    let mut read = |_: &str| unreachable!("the model has no weights");
    hec::translate("m.hec", text, &mut read, &LoadOptions::default(), &mut problems);
    let help = problems.iter().find_map(|problem| problem.help.clone()).unwrap();
    let (page, layers) = (page("language.md"), help.strip_prefix("the layers are ").unwrap().to_owned());
    for layer in layers.split(", ") {
        assert!(page.contains(&format!("| `{layer}(x")), "`{layer}` has no row");
    }
}

/// The names after `rewrite it with:` in the help on an unknown operator.
#[test]
fn every_onnx_operator_is_described() {
    let graph = support::model(&[support::node("Zzzzzzzzzzzz", "odd", &["x"], "y")], &[], &[1, 4], "y");
    let mut problems = Diagnostics::new();
    onnx::import(Path::new("net.onnx"), &graph, &LoadOptions::default(), &mut problems);
    let help = problems.iter().find_map(|problem| problem.help.clone()).unwrap();
    let (page, operators) = (page("onnx.md"), help.strip_prefix("rewrite it with: ").unwrap().to_owned());
    let table: String = page.lines().filter(|line| line.starts_with("| `")).collect();
    for operator in operators.split(", ") {
        assert!(table.contains(&format!("`{operator}`")), "`{operator}` has no row");
    }
}

#[test]
fn every_option_of_compile_is_described() {
    let (page, help) = (page("inspect.md"), printed("hecc compile --help"));
    let words = help.split([' ', '\n', ',']).filter(|word| word.starts_with("--"));
    for option in words.filter(|word| !["--help", "--output"].contains(word)) {
        assert!(page.contains(&format!("| `{option}")), "{option} has no row");
    }
}

/// Cells of a table's row that starts with these words, after the first.
fn row<'p>(page: &'p str, start: &str) -> Vec<&'p str> {
    let line = page.lines().find(|line| line.starts_with(&format!("| {start}"))).unwrap();
    line.trim_matches('|').split('|').skip(1).map(str::trim).collect()
}

#[test]
fn the_table_of_security_is_the_one_that_is_enforced() {
    let page = page("security.md");
    let rings: Vec<usize> = row(&page, "ring degree").iter().map(|ring| ring.parse().unwrap()).collect();
    let rows = [
        (SecurityLevel::Classical128, "bits of all primes, at most, for 128 bits"),
        (SecurityLevel::Classical192, "for 192"),
        (SecurityLevel::Classical256, "for 256"),
    ];
    for (level, start) in rows {
        let enforced: Vec<String> = rings.iter().map(|&ring| level.max_log_qp(ring).to_string()).collect();
        let shown: Vec<&str> =
            row(&page, start).into_iter().map(|bound| if bound.is_empty() { "0" } else { bound }).collect();
        assert_eq!(shown, enforced, "{start}");
    }
}
