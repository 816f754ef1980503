//! An allocator that counts what each thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and how much of it is in use.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// No destructor and no allocation of its own, so that it can be used from within the allocator.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator unchanged; the counter is a plain number of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + taken(layout.size()));
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - taken(layout.size()));
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.set(HELD.get() + taken(size) - taken(layout.size()));
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Returns how much the allocator of glibc takes for a piece: 8 bytes more, a multiple of 16, and 32 at least.
fn taken(size: usize) -> i64 {
    let rounded = (size + 8).next_multiple_of(16).max(32);
    rounded as i64
}

/// Returns how much more this thread holds after `make` than before, in bytes, and what was made.
pub fn held_by<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let before = HELD.get();
    let made = make();
    (HELD.get() - before, made)
}

#[test]
fn counter_counts_what_is_held() {
    let (held, kept) = held_by(|| {
        drop(vec![0u8; 4096]);
        (Box::new(1u8), vec![0u8; 1000])
    });
    assert_eq!((held, *kept.0, kept.1.len()), (32 + 1008, 1, 1000));
}
