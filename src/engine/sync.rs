//! Routers that move together: which way a group goes, given how its members stand. No I/O, no deadlines.
//!
//! Each member waits for the others before it becomes Master, and a member that is Master no longer takes the others
//! along, so that no lost packet can leave one behind. One stop before: `engine::regroup`, which asks after each change.

use std::sync::Arc;

use super::output::{Reason, StateName};
use super::snapshot::GroupSnapshot;
use super::time::Instant;

/// One group of the node.
#[derive(Debug)]
pub(super) struct Group {
    pub name: Arc<str>,
    /// Slots of its members in the order of the file; empty when the configuration names no router of the node.
    pub slots: Arc<[u32]>,
    pub state: StateName,
    pub since: Instant,
}

/// What happened to a member that concerns the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stir {
    /// It changed its state, or became willing to be Master.
    Moved,
    /// It heard its Master resign.
    HeardResignation,
    /// It sent an offer.
    Offered,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does not take part.
    Out,
    /// It listens to a Master, or for one.
    Listening,
    /// Its patience with the Master is over.
    Willing,
    /// It is Master.
    Master,
}

/// Which way the members go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// All stay where they are.
    Stay,
    /// Those that are willing become Master.
    Rise,
    /// Those that are Master are Master no longer.
    Leave,
}

impl Group {
    /// Makes a group that has not begun.
    pub fn new(name: &str, slots: Vec<u32>) -> Self {
        Self { name: Arc::from(name), slots: Arc::from(slots), state: StateName::Init, since: Instant::default() }
    }

    /// Returns plain values for status.
    pub fn snapshot(&self) -> GroupSnapshot {
        GroupSnapshot { name: Arc::clone(&self.name), state: self.state, since: self.since }
    }
}

/// Decides which way a group goes: up when nobody is left that waits, down when not all are up.
pub(super) fn course(members: impl Iterator<Item = Standing>) -> Course {
    let (mut is_anyone_master, mut is_anyone_willing, mut is_anyone_behind) = (false, false, false);
    for standing in members {
        match standing {
            Standing::Out | Standing::Listening => is_anyone_behind = true,
            Standing::Willing => is_anyone_willing = true,
            Standing::Master => is_anyone_master = true,
        }
    }
    match (is_anyone_behind, is_anyone_willing, is_anyone_master) {
        (true, _, true) => Course::Leave,
        (false, true, _) => Course::Rise,
        (true, _, false) | (false, false, _) => Course::Stay,
    }
}

/// Returns the state of a group: that of the member that is worst off.
pub(super) fn state(members: impl Iterator<Item = StateName>) -> StateName {
    let burden = |state: &StateName| match state {
        StateName::Master => 0,
        StateName::Backup => 1,
        StateName::Init => 2,
        StateName::Fault => 3,
    };
    members.max_by_key(burden).unwrap_or(StateName::Init)
}

/// Says whether a member moved on its own account and not because of another.
pub(super) fn is_first_cause(reason: &Reason) -> bool {
    !matches!(reason, Reason::GroupFault { .. } | Reason::GroupMoved { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Standing; 4] = [Standing::Out, Standing::Listening, Standing::Willing, Standing::Master];

    #[test]
    fn group_rises_when_every_member_is_willing_or_master() {
        use Standing::{Listening, Master, Out, Willing};
        for (members, expected) in [
            (vec![Willing], Course::Rise),
            (vec![Willing, Willing], Course::Rise),
            (vec![Willing, Listening], Course::Stay),
            (vec![Willing, Out], Course::Stay),
            (vec![Master, Willing], Course::Rise),
            (vec![Master, Master], Course::Stay),
            (vec![Listening, Out], Course::Stay),
            (vec![], Course::Stay),
        ] {
            assert_eq!(course(members.iter().copied()), expected, "{members:?}");
        }
    }

    #[test]
    fn no_member_stays_master_beside_one_that_is_not() {
        for (one, other) in ALL.iter().flat_map(|one| ALL.map(|other| (*one, other))) {
            let is_split = [one, other].contains(&Standing::Master)
                && [one, other].iter().any(|member| matches!(member, Standing::Out | Standing::Listening));
            assert_eq!(course([one, other].into_iter()) == Course::Leave, is_split, "{one:?} {other:?}");
        }
    }

    #[test]
    fn group_is_master_when_all_are_and_fault_when_any_is() {
        use StateName::{Backup, Fault, Init, Master};
        for (members, expected) in [
            (vec![Master, Master], Master),
            (vec![Master, Backup], Backup),
            (vec![Master, Init, Backup], Init),
            (vec![Init, Fault, Master], Fault),
            (vec![Backup, Fault], Fault),
            (vec![], Init),
        ] {
            assert_eq!(state(members.iter().copied()), expected, "{members:?}");
        }
    }
}
