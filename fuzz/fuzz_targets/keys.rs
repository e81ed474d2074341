//! Gives a server evaluation keys and a client a key file made of any bytes.
#![no_main]

mod halves;

use halves::HALVES;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = HALVES.server.session(&HALVES.sealed(1, data));
    let _ = hecc_runtime::client::Client::load_insecure(HALVES.client.manifest(), &HALVES.sealed(4, data));
});
