//! Who is Master while something fails, and how long that takes.
//!
//! Bounds, not averages: each time is the longest that the protocol and the checks allow when nothing else is late.

use std::time::Duration;

use super::seats::{Cluster, Seat, VirtualRouter};
use crate::engine::election::{master_down_interval, rank, resignation_repeat, skew_time};
use crate::engine::params::{CheckKind, CheckParams, Effect, FileSense, Preempt, Track};
use crate::engine::standing::standing;
use crate::wire::field::Priority;

/// Something that fails on one node; the node by its place among [`VirtualRouter::nodes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub node: usize,
    /// What.
    pub what: What,
}

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The host, its link, or the daemon without a word.
    Host,
    /// Nothing: the daemon is stopped on purpose.
    Stop,
    /// A check, by its name.
    Check(String),
}

/// What a node is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It takes part with this priority.
    Priority(Priority),
    /// It is in FAULT.
    Fault,
    /// It is not there.
    Gone,
}

/// Where the addresses go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// They stay where they were.
    None,
    /// To another node.
    To {
        /// By its place.
        node: usize,
        /// From the time the failure is seen; from the last advert when nobody sees it.
        within: Duration,
    },
    /// Nobody may hold them.
    Nobody,
}

impl Cluster {
    /// Returns what a node of a virtual router is worth under these failures.
    ///
    /// The fault of one member of a group is that of all.
    pub fn worth(&self, router: &VirtualRouter, node: usize, failures: &[Failure]) -> Worth {
        let Some(seat) = router.node(node) else { return Worth::Gone };
        let here = || failures.iter().filter(|failure| failure.node == node).map(|failure| &failure.what);
        if here().any(|what| matches!(what, What::Host | What::Stop)) {
            return Worth::Gone;
        }
        let fails = |name: &str| here().any(|what| matches!(what, What::Check(check) if check == name));
        let mates = self.group_of(router).into_iter().flat_map(|group| &group.members);
        let mates = self.routers.iter().filter(|other| mates.clone().any(|member| *member == other.name));
        let mut seats = mates.filter_map(|mate| mate.nodes().find(|other| other.node == seat.node));
        if seats.any(|mate| standing(&mate.params, &mate.checks, fails).is_err()) {
            return Worth::Fault;
        }
        standing(&seat.params, &seat.checks, fails).map_or(Worth::Fault, Worth::Priority)
    }

    /// Returns the node that is Master under these failures when all of them have lasted; `None`: nobody may be.
    pub fn master(&self, router: &VirtualRouter, failures: &[Failure]) -> Option<usize> {
        let mut best: Option<(usize, Priority, &Seat)> = None;
        for (node, seat) in router.nodes().enumerate() {
            let Worth::Priority(priority) = self.worth(router, node, failures) else { continue };
            if best.is_none_or(|(_, other, rival)| is_better((priority, seat), (other, rival))) {
                best = Some((node, priority, seat));
            }
        }
        best.map(|(node, _, _)| node)
    }

    /// Returns where the addresses go when this fails while all else is well.
    pub fn consequence(&self, router: &VirtualRouter, failure: &Failure) -> Move {
        let Some(before) = self.master(router, &[]) else { return Move::None };
        let failures = std::slice::from_ref(failure);
        let Some(after) = self.master(router, failures) else { return Move::Nobody };
        let (Some(old), Some(new)) = (router.node(before), router.node(after)) else { return Move::None };
        if before == after {
            return Move::None;
        }
        let Worth::Priority(priority) = self.worth(router, after, failures) else { return Move::None };
        let (version, interval) = (new.params.version, old.params.advertisement_interval.as_duration());
        let down = master_down_interval(version, priority, interval, new.params.master_down_adverts);
        let within = match (failure.node == before, &failure.what) {
            (true, What::Stop | What::Check(_)) => {
                resignation_repeat(interval) + skew_time(version, priority, interval)
            }
            (true, What::Host) => down,
            // The other node became better than a Master that lives.
            (false, _) => match new.params.preempt {
                Preempt::Always => down,
                Preempt::After(delay) => delay + down,
                Preempt::Never if new.params.is_owner() => down,
                Preempt::Never => return Move::None,
            },
        };
        Move::To { node: after, within }
    }
}

/// Says whether a node wins against another.
fn is_better((priority, seat): (Priority, &Seat), (other, rival): (Priority, &Seat)) -> bool {
    match (seat.params.source, rival.params.source) {
        (Some(address), Some(theirs)) => rank((priority, address), (other, theirs)).is_gt(),
        (_, _) => priority > other,
    }
}

impl Seat {
    /// Returns what can fail on this node: itself, a planned stop, and each check that counts.
    pub fn failures(&self, node: usize) -> Vec<Failure> {
        let checks = self.params.tracks.iter().filter(|track| !self.is_number(track));
        let checks = checks.map(|track| What::Check(track.check.clone()));
        [What::Host, What::Stop].into_iter().chain(checks).map(|what| Failure { node, what }).collect()
    }

    /// Returns the tracks whose weight is multiplied by a number that no file of ours holds.
    pub fn numbers(&self) -> impl Iterator<Item = &Track> {
        self.params.tracks.iter().filter(|track| self.is_number(track))
    }

    /// Returns the check of a track.
    pub fn check(&self, name: &str) -> Option<&CheckParams> {
        self.checks.iter().find(|check| check.name == name).map(AsRef::as_ref)
    }

    fn is_number(&self, track: &Track) -> bool {
        let is_weight = matches!(track.effect, Effect::Weight { .. });
        let kind = self.check(&track.check).map(|check| &check.kind);
        is_weight && matches!(kind, Some(CheckKind::File { sense: FileSense::Number, .. }))
    }
}

/// Returns the longest time from a failure to the verdict; `None`: the kernel tells at once.
pub fn detection(check: &CheckParams) -> Option<Duration> {
    match &check.kind {
        CheckKind::Exec(_) | CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Ping(_) => {
            // The failure comes right after a look; the last of the looks that it takes hangs until its timeout.
            let between = check.interval.max(check.timeout);
            Some(check.interval + between * check.fall.saturating_sub(1) + check.timeout)
        }
        CheckKind::Process(process) if !process.loss_delay.is_zero() => Some(process.loss_delay),
        CheckKind::Process(_) | CheckKind::Unit(_) | CheckKind::File { .. } | CheckKind::Interface(_) => None,
    }
}
