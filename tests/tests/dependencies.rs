//! Foreign crates: which of ours are built from which, their licences, and those that are there twice.
//!
//! All is asked of cargo, for the machine that tests. Whether crates have known defects is asked in `.ci/advisories`,
//! which needs the network.

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Lines of `cargo tree` in a format, for what its arguments choose.
fn tree(format: &str, arguments: &[&str]) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(repository()).args(["tree", "--offline", "--prefix", "none", "--format", format]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Asserts what crates one of ours is built from: some, and not others.
fn assert_built(package: &[&str], [from, not_from]: [&[&str]; 2]) {
    let lines = tree("{p}", &[&["-e", "normal", "-p"], package].concat());
    let names: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    from.iter().for_each(|name| assert!(names.contains(name), "{package:?} was to need {name}"));
    not_from.iter().for_each(|name| assert!(!names.contains(name), "{package:?} depends on {name}"));
}

#[test]
fn the_runtime_needs_no_compiler_and_no_parser() {
    let compiler =
        ["hecc", "hecc-train", "lalrpop", "lalrpop-util", "logos", "prost", "clap", "egg", "proptest"];
    assert_built(&["hecc-runtime"], [&["hecc-ir", "hecc-ckks"], &compiler]);
}

/// Tensors with gradients take longer to build than all the rest.
#[test]
fn the_command_needs_no_training() {
    let training = ["hecc-train", "hecc-prepare", "burn-tensor"];
    assert_built(&["hecc"], [&["hecc-runtime", "clap"], &training]);
    assert_built(&["hecc-prepare"], [&training, &[]]);
}

#[test]
fn the_compiler_needs_no_terminal_and_no_runtime() {
    let of_commands = ["hecc-runtime", "hecc-ckks", "clap", "indicatif", "comfy-table", "plotters"];
    assert_built(&["hecc", "--no-default-features"], [&["hecc-model", "egg"], &of_commands]);
}

/// Compressions that no archive of arrays has take minutes to build, some of them in C.
#[test]
fn archives_need_deflate_alone() {
    let others = ["zstd-sys", "bzip2-sys", "lzma-rust2", "zopfli", "aes"];
    assert_built(&["hecc-prepare"], [&["zip", "flate2"], &others]);
}

/// Licences that ask for no more than a notice.
const PERMISSIVE: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Crates under a licence that the README has to name.
const NAMED: [[&str; 2]; 1] = [["tfhe-ntt", "BSD-3-Clause-Clear"]];

/// Whether an expression of SPDX is met by licences of the list: `OR` of `AND` of licences.
fn is_met(expression: &str, accepted: &[&str]) -> bool {
    let any =
        |operator: &str| split(expression, operator).map(|parts| parts.iter().any(|p| is_met(p, accepted)));
    let all = split(expression, " AND ").map(|parts| parts.iter().all(|part| is_met(part, accepted)));
    any(" OR ").or_else(|| any("/")).or(all).unwrap_or_else(|| {
        let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        inner.map_or(accepted.contains(&expression), |inner| is_met(inner, accepted))
    })
}

/// Operands of an operator outside of brackets, if there is one.
fn split<'e>(expression: &'e str, operator: &str) -> Option<[&'e str; 2]> {
    let depth = |at: usize| {
        let before = expression[..at].chars();
        before.map(|c| i32::from(c == '(') - i32::from(c == ')')).sum::<i32>()
    };
    let (at, _) = expression.match_indices(operator).find(|(at, _)| depth(*at) == 0)?;
    Some([expression[..at].trim(), expression[at + operator.len()..].trim()])
}

#[test]
fn expressions_of_licences_are_understood() {
    let met = |expression: &str| is_met(expression, &["MIT", "Zlib"]);
    for permissive in ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Zlib", "MIT / X"] {
        assert!(met(permissive), "{permissive}");
    }
    for other in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "GPL-3.0 OR (MIT AND X)", "MIT-0"]
    {
        assert!(!met(other), "{other}");
    }
}

#[test]
fn licences_are_permissive_or_named_in_the_readme() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, licence) = readme.split_once("## Licence").unwrap();
    let crates = tree("{p}|{l}", &["--workspace", "-e", "normal,build,dev"]);
    let (mut named, mut n_crates) = (BTreeSet::new(), 0);
    for line in &crates {
        let (package, expression) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        n_crates += 1;
        if is_met(expression, &PERMISSIVE) {
            continue;
        }
        let is_named = NAMED.contains(&[name, expression]);
        assert!(is_named, "{package} is under `{expression}`: avoid it, or name it here and in the README");
        assert!(licence.contains(&format!("`{name}`")) && licence.contains(expression), "{package}");
        named.insert(name);
    }
    assert_eq!(named.into_iter().collect::<Vec<_>>(), NAMED.map(|[name, _]| name));
    assert!(n_crates > 100, "cargo lists the crates");
}

/// Crates that are built in several versions, because others ask for them.
const TWICE: [&str; 11] = [
    "darling",
    "darling_core",
    "darling_macro",
    "foldhash",
    "hashbrown",
    "itertools",
    "miniz_oxide",
    "object",
    "syn",
    "thiserror",
    "thiserror-impl",
];

#[test]
fn crates_that_are_there_twice_are_known() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree("{p}", &["--workspace", "-e", "normal,build,dev"]) {
        let mut words = line.split(' ').map(str::to_owned);
        versions.entry(words.next().unwrap()).or_default().insert(words.next().unwrap());
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: Vec<&str> = versions.keys().map(String::as_str).collect();
    assert_eq!(found, TWICE, "keep versions together where it can be, and this list as short: {versions:#?}");
}
