//! Gives a session inputs and a client results made of any bytes.
#![no_main]

mod halves;

use halves::HALVES;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = HALVES.session.eval(data);
    let _ = HALVES.session.eval(&HALVES.sealed(2, data));
    let _ = HALVES.client.decrypt(&HALVES.sealed(3, data));
});
