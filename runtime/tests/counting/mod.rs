//! An allocator that counts large blocks. `unsafe` because allocators are; all
//! it does beside counting is to pass every call on to the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts blocks of at least so many bytes.
static LARGE: AtomicUsize = AtomicUsize::new(usize::MAX);
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub struct Counting;

fn count(size: usize) {
    if size >= LARGE.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every method returns what the system's allocator returns for the same
// arguments, and callers promise the same of them. Counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Blocks of `large` bytes or more that are allocated, by any thread, while `work` runs.
pub fn large_blocks(large: usize, work: impl FnOnce()) -> usize {
    COUNT.store(0, Ordering::Relaxed);
    LARGE.store(large, Ordering::Relaxed);
    work();
    LARGE.store(usize::MAX, Ordering::Relaxed);
    COUNT.load(Ordering::Relaxed)
}
