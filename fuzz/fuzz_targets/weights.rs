//! Reads an archive of tensors, also as a data set.
#![no_main]

use hecc::front::{data::DataSet, weights::TensorFile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(file) = TensorFile::parse("fuzz", data) {
        for name in file.names() {
            let _ = file.get(name);
        }
    }
    let _ = DataSet::parse("fuzz", data);
});
