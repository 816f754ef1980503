//! When a story may run: beside some others, or with the machine for itself. Says why when it does not run.

use std::io::Write;
use std::sync::{Condvar, Mutex, Once, PoisonError};

/// How many stories may run at a time. Most of the time each of them waits; four take half of one processor.
const PLACES: usize = 4;

/// Runs one story with the machine for itself: it measures time, or takes all there is.
pub fn in_turn(tell: impl FnOnce()) {
    with_places(PLACES, tell);
}

/// Runs a story that allows for what a loaded machine adds, beside others that do. What it must prove does not depend on it.
pub fn beside_others(tell: impl FnOnce()) {
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

fn with_places(count: usize, tell: impl FnOnce()) {
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
    let _held = take(count);
    tell();
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
