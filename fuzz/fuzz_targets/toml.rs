//! Arbitrary bytes as the TOML configuration.
#![no_main]

#[path = "../bodies/toml.rs"]
mod property;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| property::check_toml(bytes));
