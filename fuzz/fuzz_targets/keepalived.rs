//! Arbitrary bytes as a keepalived.conf.
#![no_main]

#[path = "../../tests/keepalived/property.rs"]
mod property;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| property::check_keepalived(bytes));
