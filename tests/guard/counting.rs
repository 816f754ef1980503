//! An allocator that counts what each thread asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and how often it was asked.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// No destructor and no allocation of its own, so that it can be used from within the allocator.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator unchanged; the counter is a plain number of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Returns how often this thread asked for memory while `act` ran, and what that returned.
pub fn allocations<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.get();
    let result = act();
    (ASKED.get() - before, result)
}

#[test]
fn counter_counts() {
    let (asked, kept) = allocations(|| (Box::new(1), vec![0u8; 4096]));
    assert_eq!((asked, *kept.0, kept.1.len()), (2, 1, 4096));
    assert_eq!(allocations(|| 1 + 1), (0, 2));
}
