//! Translates a model text; an accepted model is sound, and its own text reads
//! as the same model.
#![no_main]
#![allow(dead_code)] // other targets use the rest

#[path = "readers/mod.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = readers::hec(data);
});
