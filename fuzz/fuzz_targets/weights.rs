//! Reads an archive of tensors, also as a data set.
#![no_main]
#![allow(dead_code)] // other targets use the rest

#[path = "readers/mod.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = readers::weights(data);
});
