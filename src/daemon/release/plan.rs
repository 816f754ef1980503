//! What is to become of the addresses that a dead daemon left. No I/O.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::daemon::state::past::{Slot, imprint};
use crate::daemon::state::table::{self, Entry};
use crate::engine::adopt::Hold;
use crate::engine::election::master_down_interval;
use crate::engine::time::Instant;
use crate::net::netlink::dump::Dump;
use crate::net::netlink::{OUR_PROTOCOL, Place};
use crate::wire::field::Version;

/// What becomes of a router's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The kernel removes them by itself, before the peers take over.
    Lent {
        /// After so many.
        seconds: u32,
    },
    /// They go at once.
    Withdrawn {
        /// The peers still wait for an advert, and are told that none comes.
        is_missed: bool,
    },
}

/// An address that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftover<'a> {
    /// As it was configured.
    pub entry: &'a table::Held,
    /// Where.
    pub place: Place,
    /// The other end of a point-to-point link, as the kernel has it.
    pub peer: Option<Ipv4Addr>,
}

/// Decides about a router at `now`; `None` for the slot: nobody knows what it was.
pub(super) fn fate(entry: &Entry, slot: Option<&Slot>, now: Instant) -> Fate {
    let gone = Fate::Withdrawn { is_missed: false };
    let Some(imprint) = slot.and_then(|slot| imprint(entry, slot)) else { return gone };
    if imprint.hold != Hold::Master {
        return gone;
    }
    let version = if entry.version == 2 { Version::V2 } else { Version::V3 };
    let patience = entry.interval() * u32::from(entry.master_down_adverts);
    // The best peer's skew is next to nothing, and the kernel may be late by half a second.
    let rest = (imprint.advert_at + patience).since(now).saturating_sub(LATENESS);
    match u32::try_from(rest.as_secs()).unwrap_or(u32::MAX) {
        0 => {
            let adverts = entry.master_down_adverts;
            let until = imprint.advert_at + master_down_interval(version, imprint.effective, entry.interval(), adverts);
            Fate::Withdrawn { is_missed: now < until }
        }
        seconds => Fate::Lent { seconds },
    }
}

/// Returns which of a router's addresses are there and are not the host's own.
///
/// With our mark they are ours. Without it, on a kernel that keeps none, they are ours if the router was Master and does not
/// own them.
pub(super) fn held<'a>(entry: &'a Entry, slot: Option<&Slot>, dump: &Dump) -> Vec<Leftover<'a>> {
    let was_master = slot.is_some_and(|slot| slot.hold != Hold::Nothing) && !entry.is_owner();
    let of = |one: &'a table::Held| {
        let link = dump.links.iter().find(|link| link.name == one.interface)?;
        let place = Place { interface: link.index, address: one.address, prefix_len: one.prefix_len };
        let address = dump.addresses.iter().find(|address| address.place == place)?;
        let is_ours = address.protocol == OUR_PROTOCOL || (was_master && address.protocol == 0);
        is_ours.then_some(Leftover { entry: one, place, peer: address.peer })
    };
    entry.addresses.iter().filter_map(of).collect()
}

/// By how much the kernel may be late in removing an address whose time is over.
const LATENESS: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;
    use crate::daemon::state::table::Table;
    use crate::engine::input::RouterKey;
    use crate::net::netlink::{Address, Link};
    use crate::wire::field::Priority;

    fn entry() -> Entry {
        let params = samples::params("web");
        Table::new("x".as_ref(), [(RouterKey(0), &params)].into_iter()).routers.remove(0)
    }

    fn slot(hold: Hold) -> Slot {
        Slot { hold, advert_at: at(10_000), priority: Priority::new(100), ..Slot::EMPTY }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn addresses_are_lent_for_whole_seconds_that_end_before_the_peers_take_over() {
        let withdrawn = |is_missed| Fate::Withdrawn { is_missed };
        for (interval_ms, ms_after, expected) in [
            (1000, 0, Fate::Lent { seconds: 2 }),
            (1000, 500, Fate::Lent { seconds: 2 }),
            (1000, 501, Fate::Lent { seconds: 1 }),
            (1000, 1500, Fate::Lent { seconds: 1 }),
            (1000, 1501, withdrawn(true)),
            (1000, 3608, withdrawn(true)),
            (1000, 3610, withdrawn(false)),
            (100, 0, withdrawn(true)),
            (100, 361, withdrawn(false)),
            (10_000, 0, Fate::Lent { seconds: 29 }),
        ] {
            let entry = Entry { interval_ms, ..entry() };
            let fate = fate(&entry, Some(&slot(Hold::Master)), at(10_000 + ms_after));
            assert_eq!(fate, expected, "{interval_ms} ms, {ms_after} ms after the last advert");
        }
    }

    #[test]
    fn who_was_no_master_has_nothing_to_lend_and_nobody_to_tell() {
        for slot in [None, Some(slot(Hold::Nothing)), Some(slot(Hold::HandingOver))] {
            assert_eq!(fate(&entry(), slot.as_ref(), at(10_000)), Fate::Withdrawn { is_missed: false });
        }
    }

    #[test]
    fn only_what_is_ours_goes() {
        let mut entry = entry();
        let first = entry.addresses.first().cloned().unwrap();
        let link = Link { index: 2, name: first.interface.clone(), is_up: true, is_running: true, mac: None };
        let place = Place { interface: 2, address: first.address, prefix_len: first.prefix_len };
        let found = |entry: &Entry, hold, protocol, place| {
            let address = Address {
                place,
                protocol,
                scope: 0,
                is_secondary: false,
                is_usable: true,
                is_duplicate: false,
                is_deprecated: false,
                lifetime: None,
                peer: None,
            };
            let dump = Dump { links: vec![link.clone()], addresses: vec![address] };
            held(entry, Some(&slot(hold)), &dump).len()
        };
        let count = |entry: &Entry, hold, protocol| found(entry, hold, protocol, place);
        assert_eq!(count(&entry, Hold::Nothing, OUR_PROTOCOL), 1, "what a daemon had no time to remove");
        assert_eq!(count(&entry, Hold::Nothing, 0), 0, "the host's own");
        assert_eq!([Hold::Master, Hold::HandingOver].map(|hold| count(&entry, hold, 0)), [1, 1], "an old kernel");
        assert_eq!(count(&entry, Hold::Master, 18), 0, "another program's");
        assert_eq!(found(&entry, Hold::Master, OUR_PROTOCOL, Place { prefix_len: 8, ..place }), 0);
        entry.priority = 255;
        assert_eq!([0, OUR_PROTOCOL].map(|protocol| count(&entry, Hold::Master, protocol)), [0, 1], "an owner");
    }
}
