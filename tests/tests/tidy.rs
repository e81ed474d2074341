//! The rules of `ARCHITECTURE.md` that a compiler does not check: who may import
//! whom, what a server can name, where `unsafe` may stand, how long files are.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file's path below the repository, and its text.
type File = (String, String);

/// Files below a folder with one of the extensions, in order.
fn files(folder: &str, extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    collect(&repository().join(folder), extensions, &mut found);
    assert!(!found.is_empty(), "{folder} holds files");
    found
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<File>) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let skipped = name.starts_with('.') || name == "target";
        if path.is_dir() && !skipped {
            collect(&path, extensions, found);
        } else if path.extension().is_some_and(|e| extensions.iter().any(|&known| e == known)) {
            let shown = path.strip_prefix(repository()).unwrap().display().to_string();
            found.push((shown, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Code lines, without comments, up to the module of unit tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    code.map(|line| line.split("//").next().unwrap_or_default())
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What stands after each `crate::` of a line.
fn imports(line: &str) -> Vec<&str> {
    let after = line.split("crate::").skip(1).filter(|_| line.contains("crate::"));
    after.map(|rest| words(rest).next().unwrap_or_default()).collect()
}

#[test]
fn crates_import_what_they_may() {
    let ours = [
        "hecc",
        "hecc_model",
        "hecc_train",
        "hecc_prepare",
        "hecc_security",
        "hecc_ir",
        "hecc_ckks",
        "hecc_runtime",
        "hecc_tests",
        "hecc_examples",
    ];
    let rooms: [(&str, &[&str]); 7] = [
        ("ir-spec/security/src", &[]),
        ("ir-spec/src", &["hecc_security"]),
        ("compiler/model/src", &["hecc_ir"]),
        ("training/src", &["hecc_model"]),
        ("training/prepare/src", &["hecc", "hecc_ir", "hecc_train"]),
        ("runtime/ckks/src", &["hecc_security"]),
        ("runtime/src", &["hecc_ir", "hecc_ckks"]),
    ];
    for (folder, allowed) in rooms {
        for (path, text) in files(folder, &["rs"]) {
            for line in code(&text) {
                let named = words(line).filter(|word| line.contains(&format!("{word}::")));
                let mut foreign = named.filter(|word| ours.contains(word) && !allowed.contains(word));
                assert_eq!(foreign.next(), None, "{path}: {line}");
            }
        }
    }
}

#[test]
fn the_compiler_library_knows_no_runtime() {
    for (path, text) in files("compiler/src", &["rs"]) {
        let binary = path.starts_with("compiler/src/cli") || path == "compiler/src/main.rs";
        let found = code(&text)
            .flat_map(words)
            .any(|word| ["hecc_runtime", "hecc_ckks", "hecc_train"].contains(&word));
        assert!(binary || !found, "{path} is part of the library and names the runtime");
    }
}

/// Modules of the compiler, `model` from its own crate; each may import those before it.
const MODULES: [&str; 12] = [
    "diag", "model", "front", "sparsity", "cost", "packing", "lower", "schedule", "rewrite", "validate",
    "emit", "pipeline",
];

/// Position in [`MODULES`].
fn rank(module: &str) -> usize {
    MODULES.iter().position(|&known| known == module).unwrap_or_else(|| panic!("`{module}` has no rank"))
}

#[test]
fn modules_of_the_compiler_import_those_before_them() {
    for (path, text) in files("compiler/src", &["rs"]) {
        let below = path.strip_prefix("compiler/src/").unwrap();
        let module = below.split(['/', '.']).next().unwrap();
        if ["cli", "main", "lib"].contains(&module) {
            continue;
        }
        for line in code(&text) {
            for import in imports(line) {
                let own = import == module;
                let front = import == "front" && module != "front";
                assert!(own || (rank(import) < rank(module) && !front), "{path}: {line}");
            }
        }
    }
}

#[test]
fn every_module_of_the_compiler_has_a_rank() {
    let (_, text) =
        files("compiler/src", &["rs"]).into_iter().find(|f| f.0 == "compiler/src/lib.rs").unwrap();
    let declared = code(&text).filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let declared: Vec<&str> = declared.filter(|module| *module != "cli").collect();
    declared.iter().for_each(|module| assert!(MODULES.contains(module), "{module}"));
    assert_eq!(declared.len() + 1, MODULES.len());
}

/// Without the feature `client` nothing of the runtime can hold a secret key.
#[test]
fn a_server_cannot_name_a_secret_key() {
    for (path, text) in files("runtime/src", &["rs"]) {
        if path == "runtime/src/client.rs" {
            let (_, root) =
                files("runtime/src", &["rs"]).into_iter().find(|f| f.0 == "runtime/src/lib.rs").unwrap();
            assert!(root.contains("#[cfg(feature = \"client\")]\npub mod client;"));
            continue;
        }
        for paragraph in text.split("\n\n") {
            let names_type =
                words(paragraph).any(|w| w == "hecc_ckks") && words(paragraph).any(|w| w == "SecretKey");
            let imports_client = paragraph.contains("client::Client") && !paragraph.contains("//!");
            let gated = paragraph.contains("#[cfg(feature = \"client\")]");
            assert!(gated || !(names_type || imports_client), "{path}:\n{paragraph}");
        }
    }
}

const ROOMS: [&str; 6] = ["ir-spec", "runtime", "compiler", "training", "tests", "examples"];

fn sources() -> Vec<File> {
    ROOMS.iter().flat_map(|room| files(room, &["rs"])).collect()
}

/// Modules that are there for their unsafe code, beside those of vector instructions.
const UNSAFE: [&str; 2] = ["runtime/src/map.rs", "runtime/tests/counting/mod.rs"];

#[test]
fn unsafe_code_stays_in_modules_of_its_own() {
    for (path, text) in sources() {
        let apart = path.ends_with("simd.rs") || path.contains("/simd/") || UNSAFE.contains(&path.as_str());
        let found =
            code(&text).any(|line| ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|u| line.contains(u)));
        assert!(apart || !found || path == "tests/tests/tidy.rs", "{path} has unsafe code");
    }
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    for (path, text) in sources() {
        assert!(text.lines().count() <= 800, "{path} is longer than 800 lines: split it by idea");
        assert!(text.starts_with("//!"), "{path} does not say what it holds");
    }
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let machine = ["/ho\u{6d}e/", "/ro\u{6f}t/", "/Us\u{65}rs/", "/w\u{6f}rk/"];
    for (path, text) in files("", &["rs", "md", "toml", "hec", "json", "snap", "yml", "lalrpop"]) {
        for folder in machine {
            assert!(!text.contains(folder), "{path} mentions {folder}");
        }
    }
}
