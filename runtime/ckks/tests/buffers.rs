//! Recycled memory may be released at any time.
#![allow(clippy::unwrap_used)]

use hecc_ckks::{Ciphertext, Context, Params, SecurityLevel, primes, release_buffers};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn releasing_memory_disturbs_nobody() {
    let q = primes::near(40, 1024, 2, &[]).unwrap();
    let p = primes::below(50, 1024, 1, &q).unwrap();
    let params = Params { ring_degree: 1024, q, p, digit_limbs: 1, security: SecurityLevel::Insecure };
    let ctx = Context::new(&params).unwrap();
    let released = AtomicBool::new(false);
    thread::scope(|scope| {
        let use_memory = || {
            while !released.load(Ordering::Relaxed) {
                drop(Ciphertext::zero(&ctx, 1, 40.0).unwrap());
            }
        };
        let users = [scope.spawn(use_memory), scope.spawn(use_memory)];
        (0..20_000).for_each(|_| release_buffers());
        released.store(true, Ordering::Relaxed);
        assert!(users.into_iter().all(|user| user.join().is_ok()));
    });
}
