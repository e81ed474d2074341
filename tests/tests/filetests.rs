//! Small models under `filetests/`, each with snapshots of the stages it names.
//!
//! The comments at the head of a file say with how many slots it is compiled
//! (`# slots 8`), on how many inputs at once if not on one (`# batch 4`), which stages are compared
//! (`# stages network lowered`), and perhaps which layouts it is restricted to (`# layouts tiles`).

// Helpers of tests are not recognised as tests by this lint.
#![allow(clippy::unwrap_used)]

use hecc::front::{LoadOptions, load};
use hecc::packing::{Family, Packing};
use hecc::pipeline::{Options, compile};
use hecc_ir::{eval, text};
use hecc_tests::compiling::options_for;
use hecc_tests::dump;
use hecc_tests::models::input_for;
use std::path::Path;

/// The rest of the comment line that starts with `word`.
fn directive<'t>(text: &'t str, word: &str) -> &'t str {
    optional(text, word).unwrap_or_else(|| panic!("the file has no line `# {word} ...`"))
}

fn optional<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(&format!("# {word} ")))
}

fn family(name: &str) -> Packing {
    let found = Family::ALL.into_iter().find(|family| family.to_string() == name);
    Packing::Only(found.unwrap_or_else(|| panic!("no family of layouts is called `{name}`")))
}

fn check(path: &Path) {
    let file = std::fs::read_to_string(path).unwrap();
    let n_slots: usize = directive(&file, "slots").parse().unwrap();
    let batch = optional(&file, "batch").map_or(1, |batch| batch.parse().unwrap());
    let model = load(path, &LoadOptions::default()).unwrap_or_else(|d| panic!("{d}"));
    let packing = optional(&file, "layouts").map_or_else(Packing::default, family);
    let options = Options { precision: 1e-4, packing, batch: Some(batch), ..options_for(n_slots * batch) };
    let compiled = compile(&model, &options).unwrap();
    let input = input_for(&model, 1);
    for circuit in [&compiled.lowered, &compiled.leveled] {
        assert_eq!(text::parse(&text::print(circuit)).unwrap(), *circuit);
        for (x, y) in eval(circuit, std::slice::from_ref(&input))[0].iter().zip(model.logits(&input)) {
            assert!((x - y).abs() <= 1e-12, "{x} for {y}");
        }
    }
    for stage in directive(&file, "stages").split(' ') {
        insta::assert_snapshot!(stage, dump::stage(&compiled, stage));
    }
}

#[test]
fn stages_of_small_models() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../filetests/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::glob!("../filetests", "*.hec", check));
}
