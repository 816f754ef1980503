//! Arbitrary bytes as a configuration and a sequence of inputs with times, against one node.
#![no_main]

#[path = "../../tests/simulator/property.rs"]
mod property;
#[path = "../../tests/simulator/watch.rs"]
mod watch;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    property::check(bytes);
});
