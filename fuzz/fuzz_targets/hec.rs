//! Translates a model text; an accepted model is sound.
#![no_main]

use hecc::diag::{Code, Diagnostic, Diagnostics};
use hecc::front::{LoadOptions, hec};

libfuzzer_sys::fuzz_target!(|data: &str| {
    let mut diagnostics = Diagnostics::new();
    let mut read = |_: &str| Err(Diagnostic::error(Code::UnreadableFile, "no files here"));
    let options = LoadOptions::default();
    if let Some(model) = hec::translate("fuzz.hec", data, &mut read, &options, &mut diagnostics) {
        assert_eq!(model.check(), Ok(()));
    }
    diagnostics.render(false);
});
