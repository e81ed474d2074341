//! Tensors without elements whose other extents are very large.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use hecc::diag::{Code, Diagnostics};
use hecc::front::weights::TensorFile;
use hecc::front::{LoadOptions, data::DataSet, hec};

/// A file of one tensor, `x`, without elements.
fn safetensors(shape: &str) -> Vec<u8> {
    let header = format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

fn codes(diagnostics: &Diagnostics) -> Vec<Code> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn extents_that_cannot_be_counted_are_refused() {
    let bytes = safetensors("[0,1099511627776,1099511627776]");
    let file = TensorFile::parse("x", &bytes).unwrap();
    assert_eq!(file.get("x").unwrap_err().code, Code::FileTooLarge);
    assert_eq!(codes(&DataSet::parse("x", &bytes).unwrap_err()), [Code::FileTooLarge]);
}

/// A bias that is one number would have one for each of the outputs.
#[test]
fn weights_without_elements_have_no_outputs() {
    let layers = [
        ("[1099511627776,0]", "dense(x, weight = \"x\", bias = 0.5)"),
        ("[1099511627776,0,1,1]", "conv(x, weight = \"x\", bias = 0.5)"),
    ];
    for (shape, layer) in layers {
        let text =
            format!("model m {{\nweights \"w\"\ninput x: [1, 2, 2] in 0..1\ny = {layer}\noutput y\n}}");
        let weights = TensorFile::parse("w", &safetensors(shape)).unwrap();
        let mut read = |_: &str| Ok(weights.clone());
        let mut diagnostics = Diagnostics::new();
        let model = hec::translate("m.hec", &text, &mut read, &LoadOptions::default(), &mut diagnostics);
        assert!(model.is_none(), "{layer}");
        assert_eq!(codes(&diagnostics), [Code::ShapeMismatch], "{layer}");
    }
}
