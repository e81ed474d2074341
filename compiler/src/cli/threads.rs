//! Threads of the process: as many as have room, or this one alone where the system does not give them.

use hecc_ir::machine::fitting_threads;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::thread::Builder;

/// Starts the threads that parallel work is divided among. Where the system does not give them, all work is done on the
/// calling thread, in the pool that is returned, as long as that is kept.
pub fn start() -> Option<ThreadPool> {
    let common = ThreadPoolBuilder::new().num_threads(fitting_threads()).build_global();
    match common {
        Ok(()) => None,
        Err(_) => ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok(),
    }
}

/// Whether the system gives this process another thread.
pub fn is_given() -> bool {
    Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())
}
