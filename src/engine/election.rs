//! Who wins, and how long to wait: the arithmetic of RFC 9568 section 6.1 and RFC 3768 section 6.1.
//!
//! Pure functions; one stop after: the deadlines in `engine::router`.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

use crate::wire::field::{Priority, Version};

/// Returns how long a Backup waits after a resignation, so that the best one is the first.
///
/// Exact to the nanosecond, division last: priority 254 at 10 ms gives 78.125 us.
/// `master_adver_interval`: learnt interval of the Master; version 2 takes one second whatever the interval.
/// Never panics. RFC 9568 section 6.1, RFC 3768 section 6.1.
pub fn skew_time(version: Version, priority: Priority, master_adver_interval: Duration) -> Duration {
    let base = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => master_adver_interval,
    };
    base * (256 - u32::from(priority.get())) / 256
}

/// Returns how long a Backup waits without adverts before it takes over.
///
/// Exact to the nanosecond. `adverts`: how many intervals make the Master dead, 3 by the RFC.
/// Never panics. RFC 9568 section 6.1 (Active_Down_Interval there), RFC 3768 section 6.1.
pub fn master_down_interval(
    version: Version,
    priority: Priority,
    master_adver_interval: Duration,
    adverts: u8,
) -> Duration {
    master_adver_interval * u32::from(adverts) + skew_time(version, priority, master_adver_interval)
}

/// Returns how long after a resignation it is sent once more: a Backup counts its skew from the later one.
pub fn resignation_repeat(interval: Duration) -> Duration {
    (interval / REPEAT_PART).min(REPEAT_LATEST)
}

/// Compares a heard Master with this node as two Masters do: `Greater` means that the other one wins.
///
/// First the priority, then the source address as an unsigned number in network order; addresses of two families
/// never meet here. `Equal` only for our own address. RFC 9568 section 6.4.3.
pub fn rank(theirs: (Priority, IpAddr), ours: (Priority, IpAddr)) -> Ordering {
    theirs.cmp(&ours)
}

/// The repetition comes after this part of the interval; a later one would restart the peers' skew for nothing.
const REPEAT_PART: u32 = 20;

/// The repetition comes at the latest after this.
const REPEAT_LATEST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn prio(number: u8) -> Priority {
        Priority::new(number).unwrap()
    }

    #[test]
    fn rfc9568_6_1_skew_scales_with_the_learnt_interval() {
        let ms = Duration::from_millis;
        for (version, priority, interval, skew_ns) in [
            (Version::V3, 254, ms(10), 78_125),
            (Version::V3, 100, ms(1000), 609_375_000),
            (Version::V3, 100, ms(200), 121_875_000),
            (Version::V3, 255, ms(10), 39_062),
            (Version::V3, 1, ms(40_950), 40_790_039_062),
            (Version::V2, 100, ms(1000), 609_375_000),
            (Version::V2, 100, ms(7000), 609_375_000),
            (Version::V2, 1, ms(1000), 996_093_750),
        ] {
            let skew = skew_time(version, prio(priority), interval);
            assert_eq!(skew.as_nanos(), skew_ns, "{version:?} {priority} {interval:?}");
        }
    }

    #[test]
    fn rfc9568_6_1_master_down_is_three_intervals_and_skew() {
        let second = Duration::from_secs(1);
        assert_eq!(master_down_interval(Version::V3, prio(100), second, 3), Duration::from_nanos(3_609_375_000));
        assert_eq!(master_down_interval(Version::V2, prio(100), 2 * second, 3), Duration::from_nanos(6_609_375_000));
        assert_eq!(master_down_interval(Version::V3, prio(100), second, 5), Duration::from_nanos(5_609_375_000));
    }

    #[test]
    fn rfc9568_6_4_3_addresses_compare_unsigned_in_network_order() {
        let ours = (prio(100), "10.0.0.127".parse().unwrap());
        let theirs = |priority, address: &str| (prio(priority), address.parse().unwrap());
        assert_eq!(rank(theirs(101, "10.0.0.1"), ours), Ordering::Greater);
        assert_eq!(rank(theirs(99, "10.0.0.200"), ours), Ordering::Less);
        assert_eq!(rank(theirs(100, "10.0.0.128"), ours), Ordering::Greater, "not as signed bytes");
        assert_eq!(rank(theirs(100, "9.255.255.255"), ours), Ordering::Less, "not in host order, not as text");
        assert_eq!(rank(theirs(100, "10.0.0.127"), ours), Ordering::Equal);
        let ours = (prio(100), "fe80::7fff".parse().unwrap());
        assert_eq!(rank(theirs(100, "fe80::8000"), ours), Ordering::Greater);
    }
}
