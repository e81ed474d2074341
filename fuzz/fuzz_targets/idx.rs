//! Reads images and labels in MNIST's format; what is read is of equal shapes,
//! labelled and in range. The first two bytes are the length of the images.
#![no_main]
#![allow(dead_code)] // other targets use the rest

#[path = "readers/mod.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = readers::idx(data);
});
