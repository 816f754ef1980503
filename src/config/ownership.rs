//! How long the kernel keeps an address without the daemon, and what a foreign owner of it means.
//!
//! One stop before: `schema`; one stop after: `net::vips`, by way of the parameters.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Report;
use super::resolve::{Draft, length, unfit, unknown_word};
use super::schema;
use super::sense::Doubt;
use super::source::{Place, Written};
use super::table::Key;
use crate::engine::params::{OnConflict, Ownership};
use crate::wire::field::{Priority, Version};

/// How addresses are held, and where the lease is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub ownership: Ownership,
    lease_place: Option<Place>,
}

/// Reads `vip_lease` of `[daemon]`; `None` when it was reported.
pub(super) fn of_node(written: &schema::Daemon<'_>, report: &mut Report<'_>) -> Option<Held> {
    held(&written.vip_lease, Held::default(), report)
}

/// Reads what an instance says; `node`: what holds where it says nothing.
pub(super) fn of_instance(written: &schema::Instance<'_>, node: Option<Held>, report: &mut Report<'_>) -> Option<Held> {
    let on_conflict = written.on_conflict.and_then(|text| match text.value {
        "warn" => Some(OnConflict::Warn),
        "yield" => Some(OnConflict::Yield),
        _ => unknown_word("on_conflict", text, &["warn", "yield"], report),
    });
    let held = held(&written.vip_lease, node.unwrap_or_default(), report);
    let on_conflict = on_conflict.or(OnConflict::default())?;
    held.map(|held| Held { ownership: Ownership { on_conflict, ..held.ownership }, ..held })
}

/// Warns of a lease that ends when a peer has the addresses already.
pub(super) fn check(draft: &Draft, report: &mut Report<'_>) {
    let (Some(held), Some(version), Some(interval), Some(adverts)) =
        (draft.held, draft.version, draft.interval, draft.master_down_adverts)
    else {
        return;
    };
    let (Some(lease), Some(place)) = (held.ownership.lease, held.lease_place) else { return };
    let base = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval.as_duration(),
    };
    // Of a list the quickest may be the peer; where there is none, nothing is known of the peers' priorities.
    let listed = draft.seats.members.iter().filter(|_| draft.seats.has_list()).filter_map(|member| member.priority);
    let best = listed.max().unwrap_or(Priority::OWNER);
    let skew = base * (256 - u32::from(best.get())) / 256;
    let takeover = interval.as_duration() * u32::from(adverts) + skew;
    if lease + LATENESS >= takeover {
        let instance = draft.written.value.clone();
        report.warn(place, Doubt::LongLease { instance, lease, takeover });
    }
}

fn held(written: &Key<&str>, otherwise: Held, report: &mut Report<'_>) -> Option<Held> {
    let read = |text: &Written<&str>, report: &mut Report<'_>| {
        if text.value == "off" {
            return Some(None);
        }
        let lease = length("vip_lease", text, report)?;
        let is_whole = lease.subsec_nanos() == 0 && LEASE.contains(&lease);
        if is_whole {
            Some(Some(lease))
        } else {
            unfit("vip_lease", text, "whole seconds from \"2s\" to \"1h\", or \"off\"", report)
        }
    };
    match written.and_then(|text| read(text, report)) {
        Key::Absent => Some(otherwise),
        Key::Wrong => None,
        Key::Here(Written { value: lease, place }) => {
            Some(Held { ownership: Ownership { lease, ..otherwise.ownership }, lease_place: Some(place) })
        }
    }
}

/// The kernel's timers may be late by this.
const LATENESS: Duration = Duration::from_secs(1);
/// A lease of a second would have to be renewed more often than the kernel counts.
const LEASE: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(3600);
