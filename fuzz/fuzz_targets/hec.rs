//! Translates a model text; an accepted model is sound, and its own text reads
//! as the same model.
#![no_main]

use hecc::diag::{Code, Diagnostic, Diagnostics};
use hecc::front::hec::{self, WriteError};
use hecc::front::{LoadOptions, weights::TensorFile};
use hecc::model::Model;

libfuzzer_sys::fuzz_target!(|data: &str| {
    for accept_unfriendly in [false, true] {
        let mut diagnostics = Diagnostics::new();
        let mut read = |_: &str| Err(Diagnostic::error(Code::UnreadableFile, "no files here"));
        let options = LoadOptions { accept_unfriendly, ..LoadOptions::default() };
        if let Some(model) = hec::translate("fuzz.hec", data, &mut read, &options, &mut diagnostics) {
            assert_eq!(model.check(), Ok(()));
            write_and_read(&model, &options);
        }
        diagnostics.render(false);
    }
});

fn write_and_read(model: &Model, options: &LoadOptions) {
    let text = match hec::to_hec(model, "w.npz") {
        Ok(text) => text,
        Err(WriteError::TooLong(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let mut read = |name: &str| TensorFile::parse(name, &hec::to_npz(model));
    let mut diagnostics = Diagnostics::new();
    let again = hec::translate("written.hec", &text, &mut read, options, &mut diagnostics);
    assert_eq!(again.as_ref(), Some(model), "{diagnostics}");
}
