//! `SPEC.md` says what the code does.

use hecc_ir::artifact::Kind;
use hecc_ir::program::ProgramRule;
use hecc_ir::verify::Rule;
use hecc_ir::{ops, text};

const SPEC: &str = include_str!("../SPEC.md");

#[test]
fn the_op_table_is_the_code_s() {
    for op in &ops::TABLE {
        let operands = if op.operands.is_empty() { String::new() } else { format!("`{}` ", op.operands) };
        let stage = if op.leveled_only { "leveled" } else { "both" };
        let row = format!("| `{}` | {operands}| {} | {stage} |", op.mnemonic, op.meaning);
        assert!(SPEC.contains(&row), "SPEC.md lacks {row}");
    }
}

#[test]
fn every_code_is_listed() {
    let codes =
        Rule::ALL.iter().map(|rule| rule.code()).chain(ProgramRule::ALL.iter().map(|rule| rule.code()));
    for code in codes {
        assert!(SPEC.contains(code), "SPEC.md lacks {code}");
    }
}

#[test]
fn versions_agree() {
    let (program, manifest) = (Kind::Program.format(), Kind::Manifest.format());
    assert!(SPEC.contains(&format!("text version **{}**", text::VERSION)));
    assert!(SPEC.contains(&format!("program format **{program}**, manifest format **{manifest}**")));
}

#[test]
fn the_sample_parses() {
    let sample = SPEC.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let circuit = text::parse(sample.expect("SPEC.md holds a sample")).unwrap();
    assert_eq!(circuit.name, "square");
}
