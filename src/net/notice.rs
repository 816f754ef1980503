//! What the service thread found worth a line in the journal.
//!
//! One stop after: `daemon::journal`.

use std::net::IpAddr;

use super::netlink::{Place, Refusal};
use crate::engine::input::RouterKey;

/// Something an operator may want to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A VIP vanished while it was wanted and was put back; once for each time.
    PutBack {
        /// Whose.
        router: RouterKey,
        /// Which.
        address: IpAddr,
        /// How often since the router acquired its VIPs, over all of them.
        count: u32,
    },
    /// Somebody changed a VIP, and it was made again as it should be; few times a minute.
    Restored {
        /// Whose.
        router: RouterKey,
        /// Which.
        address: IpAddr,
    },
    /// The kernel refused to add a VIP; once until it takes it or refuses for another reason.
    Refused {
        /// Whose.
        router: RouterKey,
        /// Which.
        address: IpAddr,
        /// The interface's name.
        interface: String,
        /// Why.
        refusal: Refusal,
    },
    /// The kernel took a VIP that it had refused.
    Accepted {
        /// Whose.
        router: RouterKey,
        /// Which.
        address: IpAddr,
    },
    /// Another host has VIPs too; once for each host while it has them.
    Conflict {
        /// Whose.
        router: RouterKey,
        /// The first of them.
        address: IpAddr,
        /// How many more that host has.
        others: usize,
        /// That host.
        mac: [u8; 6],
        /// Which peer that is; `None`: none.
        peer: Option<IpAddr>,
    },
    /// No other host has VIPs any more.
    ConflictOver {
        /// Whose.
        router: RouterKey,
        /// The first of them.
        address: IpAddr,
        /// How many more.
        others: usize,
    },
    /// The kernel refused to delete an address; once, tried again.
    Stuck {
        /// Which.
        place: Place,
        /// Why.
        refusal: Refusal,
    },
    /// Addresses that an earlier run left behind are being removed.
    Leftovers {
        /// How many.
        count: usize,
    },
    /// A route or rule vanished while it was wanted and was put back; once for each time.
    EntryPutBack {
        /// Whose.
        router: RouterKey,
        /// `route` or `rule` and the words of `ip`.
        entry: String,
        /// How often since the router acquired its addresses, over all of them.
        count: u32,
    },
    /// The kernel refused to add a route or rule; once until it takes it or refuses for another reason.
    EntryRefused {
        /// Whose.
        router: RouterKey,
        /// Which.
        entry: String,
        /// Why.
        refusal: Refusal,
    },
    /// The kernel took a route or rule that it had refused.
    EntryAccepted {
        /// Whose.
        router: RouterKey,
        /// Which.
        entry: String,
    },
    /// The kernel refused to delete a route or rule; tried again.
    EntryStuck {
        /// Which.
        entry: String,
        /// Why.
        refusal: Refusal,
    },
    /// Routes and rules that an earlier run left behind are being removed.
    LeftoverEntries {
        /// How many.
        count: usize,
    },
    /// Announcements were dropped because too many were pending.
    AnnounceOverflow {
        /// How many since the last such notice.
        count: u64,
    },
    /// Notifications were lost; everything was read again.
    Overrun,
    /// Netlink failed and is being opened again.
    Netlink {
        /// Why.
        error: String,
    },
}
