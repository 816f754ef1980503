//! Arbitrary bytes as a configuration and a sequence of inputs with times, against one node.
#![no_main]

#[path = "../../tests/simulator/facts.rs"]
mod facts;
#[path = "../../tests/simulator/property.rs"]
mod property;
#[path = "../../tests/simulator/shapes.rs"]
mod shapes;
#[path = "../../tests/simulator/watch.rs"]
#[allow(dead_code)] // the simulation asks it for more
mod watch;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    property::check(bytes);
});
