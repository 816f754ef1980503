//! An allocator that counts what each thread asks for, and what it holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, how often it was asked, and how much of it is in use.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    // No destructors and no allocations of their own, so that they can be used from within the allocator.
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator unchanged; the counters are plain numbers of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
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
        ASKED.set(ASKED.get() + 1);
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

/// Returns how often this thread asked for memory while `act` ran, and what that returned.
pub fn allocations<T>(act: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.get();
    let result = act();
    (ASKED.get() - before, result)
}

/// Returns how much more this thread holds after `make` than before, in bytes, and what was made.
pub fn held_by<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let before = HELD.get();
    let made = make();
    (HELD.get() - before, made)
}

#[test]
fn counter_counts_what_is_asked_for_and_what_is_held() {
    let (asked, (held, kept)) = allocations(|| {
        held_by(|| {
            drop(vec![0u8; 4096]);
            (Box::new(1u8), vec![0u8; 1000])
        })
    });
    assert_eq!((asked, held, *kept.0, kept.1.len()), (3, 32 + 1008, 1, 1000));
    assert_eq!(allocations(|| 1 + 1), (0, 2));
}
