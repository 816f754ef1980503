//! When a story may run: beside some others, or with the machine for itself. Says why when it does not run.
//!
//! A machine that is not ours alone stands still at times, and its kernel makes one change to its networks at a time for all of them. So
//! a story that fails is told once more with the machine for itself, and a line that begins with `AGAIN` says so
//! whatever comes of it. Who fails twice has failed. Not in the nightly form, which counts each failure.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, Once, PoisonError};

use crate::repeat::is_nightly;

/// How many stories may run at a time. Most of the time each of them waits; four take half of one processor.
const PLACES: usize = 4;

/// Runs one story with the machine for itself: it measures time, or takes all there is.
pub fn in_turn(tell: impl Fn()) {
    with_places(PLACES, tell);
}

/// Runs a story that allows for what a loaded machine adds, beside others that do. What it must prove does not depend on it.
pub fn beside_others(tell: impl Fn()) {
    with_places(1, tell);
}

/// The places that are free, and how many stories wait for all of them.
struct Places {
    free: usize,
    want_all: usize,
}

static TURN: Mutex<Places> = Mutex::new(Places { free: PLACES, want_all: 0 });
static CHANGED: Condvar = Condvar::new();

/// Gives its places back also when a story fails.
struct Held(usize);

impl Drop for Held {
    fn drop(&mut self) {
        TURN.lock().unwrap_or_else(PoisonError::into_inner).free += self.0;
        CHANGED.notify_all();
    }
}

fn with_places(count: usize, tell: impl Fn()) {
    static SAY_ONCE: Once = Once::new();
    if std::env::var_os("VRRPD_NETNS").is_none_or(|value| value != "1") {
        // Not `eprintln!`, which the test harness keeps to itself when a test passes.
        SAY_ONCE.call_once(|| {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the stories on the real kernel: VRRPD_NETNS is not 1 (./tests/run sets it; needs root)"
            );
        });
        return;
    }
    let Err(failure) = told(count, &tell) else { return };
    if is_nightly() {
        resume_unwind(failure);
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a story");
    let reason = failure.downcast_ref::<String>().map_or("", |text| text.lines().next().unwrap_or_default());
    let _ = writeln!(std::io::stderr(), "AGAIN: {name} failed and is told once more, alone: {reason}");
    if let Err(failure) = told(PLACES, &tell) {
        resume_unwind(failure);
    }
}

/// Tells a story once; an error is what it panicked with.
fn told(count: usize, tell: &impl Fn()) -> std::thread::Result<()> {
    let _held = take(count);
    catch_unwind(AssertUnwindSafe(tell))
}

fn take(count: usize) -> Held {
    let wants_all = count == PLACES;
    let mut places = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    places.want_all += usize::from(wants_all);
    // Nobody overtakes a story that wants all, or it would never come to its turn.
    while places.free < count || (places.want_all > 0 && !wants_all) {
        places = CHANGED.wait(places).unwrap_or_else(PoisonError::into_inner);
    }
    places.want_all -= usize::from(wants_all);
    places.free -= count;
    Held(count)
}
