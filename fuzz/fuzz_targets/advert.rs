//! Arbitrary bytes as a message of each version and family, and as a whole IPv4 packet.
#![no_main]

#[path = "../../tests/wire/properties.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    properties::check_advert(bytes);
    properties::check_packet(bytes);
});
