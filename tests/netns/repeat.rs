//! How often a case is repeated, and at which intervals.
//!
//! Three times in CI; `VRRPD_NETNS_REPEAT=20` is the nightly form.

use std::time::Duration;

use vrrpd::demo::plan::Plan;

use crate::stories::quick;

/// From one advert to the next: what people run, what version 3 is for, and the shortest there is.
pub const PACES: [Duration; 3] = [Duration::from_secs(1), Duration::from_millis(100), Duration::from_millis(10)];

/// How often a case is repeated.
pub fn repeats() -> u32 {
    std::env::var("VRRPD_NETNS_REPEAT").map_or(3, |text| text.parse().expect("VRRPD_NETNS_REPEAT: a number"))
}

/// Whether this is the nightly form.
pub fn is_nightly() -> bool {
    repeats() >= 20
}

/// How many splits are healed at this interval: each form of it once at least, and a hundred in the nightly form.
pub fn heals(interval: Duration) -> u32 {
    let few = if interval < Duration::from_secs(1) { 16 } else { 4 };
    if is_nightly() { 100 } else { few }
}

/// The usual pair at this interval.
pub fn pair(interval: Duration) -> Plan {
    Plan { interval, ..quick() }
}
