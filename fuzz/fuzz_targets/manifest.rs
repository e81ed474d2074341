//! Reads a manifest from a file; what is read survives a round trip.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(hecc_ir::testing::readers::manifest(data)));
