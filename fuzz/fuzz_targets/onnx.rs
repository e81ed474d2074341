//! Imports an ONNX file; an accepted model is sound.
#![no_main]

use hecc::diag::Diagnostics;
use hecc::front::{LoadOptions, onnx};
use std::path::Path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for accept_unfriendly in [false, true] {
        let mut diagnostics = Diagnostics::new();
        let path = Path::new("no/such/folder/fuzz.onnx");
        let options = LoadOptions { accept_unfriendly, ..LoadOptions::default() };
        if let Some(model) = onnx::import(path, data, &options, &mut diagnostics) {
            assert_eq!(model.check(), Ok(()));
        }
        diagnostics.render(false);
    }
});
