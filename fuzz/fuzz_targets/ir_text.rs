//! Reads a circuit from text; what is read survives a round trip.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(hecc_ir::testing::readers::ir_text(data)));
