//! When hooks and pipes are told of a state: as soon as what they rely on is true, and not much later.
//!
//! MASTER is told when the kernel holds the addresses and they were announced; BACKUP and FAULT when the addresses are
//! gone. Either has a limit, a newer state replaces one that was not told yet, and a group is told after its members.
//! INIT comes at once: it ends what goes on for the state before. No I/O, no clock. One stop before: `daemon::service`. One stop after: `notify`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crate::engine::input::RouterKey;
use crate::engine::output::{GroupTransition, StateName, Transition};
use crate::engine::params::{GroupParams, RouterParams};
use crate::engine::time::{Instant, Now};

/// What is yet to be told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    routers: BTreeMap<RouterKey, Seat>,
    groups: Vec<Group>,
    serial: u64,
    /// Routers of which something changed since it was last looked at what is due.
    touched: BTreeSet<RouterKey>,
    /// Routers of which a state waits, by when it is told at the latest.
    limits: BTreeSet<(Instant, RouterKey)>,
    /// Places of groups of which a state waits.
    waiting: BTreeSet<usize>,
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A router entered a state; `from` is the state that was told before.
    Instance(Now, RouterKey, Transition),
    /// A group entered a state; `from` is the state that was told before.
    Group(Now, GroupTransition),
}

/// Names one withdrawal of addresses; an answer to an older one counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Withdrawal(u64);

#[derive(Debug)]
struct Seat {
    addresses: Addresses,
    vips: u16,
    pending: Option<Pending<Transition>>,
    /// The last state that was noted, told or not.
    state: StateName,
    /// The last state that was told.
    told: StateName,
}

#[derive(Debug)]
struct Group {
    name: String,
    members: Vec<RouterKey>,
    pending: Option<Pending<GroupTransition>>,
    state: StateName,
    told: StateName,
}

/// A state that waits.
#[derive(Debug)]
struct Pending<T> {
    at: Now,
    transition: T,
    /// It is told then, whatever is true.
    until: Instant,
}

/// Where a router's addresses are, as far as its wishes and the answers tell.
#[derive(Debug, PartialEq, Eq)]
enum Addresses {
    Gone,
    /// Wanted; what was not announced yet, ascending and apart from each other.
    Wanted(Vec<Range<u16>>),
    /// Given up, and perhaps still there.
    Leaving(Withdrawal),
}

impl Telling {
    /// Waits for nothing yet; keys are those of the node.
    pub fn new<'a>(
        routers: impl Iterator<Item = (RouterKey, &'a RouterParams)> + Clone,
        groups: impl Iterator<Item = &'a GroupParams>,
    ) -> Self {
        let group = |group: &GroupParams| Group {
            name: group.name.clone(),
            members: routers.clone().filter(|(_, it)| group.members.contains(&it.name)).map(|(key, _)| key).collect(),
            pending: None,
            state: StateName::Init,
            told: StateName::Init,
        };
        let groups = groups.map(group).collect();
        let seat = |router: &RouterParams| Seat {
            addresses: Addresses::Gone,
            vips: u16::try_from(router.vips.len()).unwrap_or(u16::MAX),
            pending: None,
            state: StateName::Init,
            told: StateName::Init,
        };
        Self { routers: routers.map(|(key, router)| (key, seat(router))).collect(), groups, ..Self::default() }
    }

    /// Goes on with other routers and groups; what is known of those that are still there stays.
    pub fn replace<'a>(
        &mut self,
        routers: impl Iterator<Item = (RouterKey, &'a RouterParams)> + Clone,
        groups: impl Iterator<Item = &'a GroupParams>,
    ) {
        let mut new = Self::new(routers, groups);
        for (key, seat) in &mut new.routers {
            if let Some(known) = self.routers.remove(key) {
                *seat = Seat { vips: seat.vips, ..known };
            }
        }
        for group in &mut new.groups {
            if let Some(at) = self.groups.iter().position(|known| known.name == group.name) {
                let known = self.groups.swap_remove(at);
                (group.pending, group.state, group.told) = (known.pending, known.state, known.told);
            }
        }
        new.serial = self.serial;
        new.touched = new.routers.keys().copied().collect();
        let limit = |(key, seat): (&RouterKey, &Seat)| Some((seat.pending.as_ref()?.until, *key));
        new.limits = new.routers.iter().filter_map(limit).collect();
        new.waiting = (0..).zip(&new.groups).filter(|(_, group)| group.pending.is_some()).map(|(at, _)| at).collect();
        *self = new;
    }

    /// A router's addresses are wanted.
    pub fn acquire(&mut self, router: RouterKey) {
        if let Some(seat) = self.routers.get_mut(&router) {
            seat.addresses = Addresses::Wanted(std::iter::once(0..seat.vips).filter(|all| !all.is_empty()).collect());
            self.touched.insert(router);
        }
    }

    /// Some of a router's addresses are held by the kernel, and the wish to announce them was passed on.
    pub fn announce(&mut self, router: RouterKey, vips: &Range<u16>) {
        if let Some(Seat { addresses: Addresses::Wanted(missing), .. }) = self.routers.get_mut(&router) {
            *missing = missing.iter().flat_map(|range| without(range, vips)).collect();
            self.touched.insert(router);
        }
    }

    /// A router's addresses are given up; [`Telling::withdrawn`] with the same number says when they are gone.
    pub fn release(&mut self, router: RouterKey) -> Withdrawal {
        self.serial += 1;
        let withdrawal = Withdrawal(self.serial);
        if let Some(seat) = self.routers.get_mut(&router) {
            seat.addresses = Addresses::Leaving(withdrawal);
        }
        withdrawal
    }

    /// The kernel has none of the addresses any more.
    pub fn withdrawn(&mut self, router: RouterKey, withdrawal: Withdrawal) {
        if let Some(seat) = self.routers.get_mut(&router)
            && seat.addresses == Addresses::Leaving(withdrawal)
        {
            seat.addresses = Addresses::Gone;
            self.touched.insert(router);
        }
    }

    /// A router changed its state.
    pub fn enter(&mut self, at: Now, router: RouterKey, transition: &Transition) {
        let Some(seat) = self.routers.get_mut(&router) else { return };
        seat.state = transition.to;
        let until = at.mono + patience(transition.to);
        if let Some(before) = seat.pending.replace(Pending { at, transition: transition.clone(), until }) {
            self.limits.remove(&(before.until, router));
        }
        self.limits.insert((until, router));
        self.touched.insert(router);
    }

    /// A group changed its state.
    pub fn enter_group(&mut self, at: Now, transition: &GroupTransition) {
        let found = (0..).zip(&mut self.groups).find(|(_, group)| *group.name == *transition.group);
        let Some((place, group)) = found else { return };
        self.waiting.insert(place);
        group.state = transition.to;
        let until = at.mono + patience(transition.to) + GROUP_PATIENCE;
        group.pending = Some(Pending { at, transition: transition.clone(), until });
    }

    /// Makes up for lost events: a router is as this says, and its addresses are where they belong.
    pub fn correct(&mut self, at: Now, router: RouterKey, transition: &Transition, wants_vips: bool) {
        let Some(seat) = self.routers.get_mut(&router) else { return };
        seat.addresses = if wants_vips { Addresses::Wanted(Vec::new()) } else { Addresses::Gone };
        self.touched.insert(router);
        if seat.state != transition.to {
            self.enter(at, router, transition);
        }
    }

    /// Makes up for lost events of a group.
    pub fn correct_group(&mut self, at: Now, transition: &GroupTransition) {
        let state = self.groups.iter().find(|group| *group.name == *transition.group).map(|group| group.state);
        if state.is_some_and(|state| state != transition.to) {
            self.enter_group(at, transition);
        }
    }

    /// Takes what is to be told at this moment: routers first, then groups whose members have been told.
    pub fn take_due(&mut self, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        let mut looked_at = std::mem::take(&mut self.touched);
        looked_at.extend(self.limits.iter().take_while(|(until, _)| *until <= now).map(|(_, router)| *router));
        for router in looked_at {
            let Some(seat) = self.routers.get_mut(&router) else { continue };
            let is_true = |pending: &mut Pending<Transition>| {
                pending.until <= now || is_true(pending.transition.to, &seat.addresses)
            };
            if let Some(pending) = seat.pending.take_if(is_true) {
                self.limits.remove(&(pending.until, router));
                let from = std::mem::replace(&mut seat.told, pending.transition.to);
                told.push(Told::Instance(pending.at, router, Transition { from, ..pending.transition }));
            }
        }
        for place in std::mem::take(&mut self.waiting) {
            let Some(group) = self.groups.get_mut(place) else { continue };
            let is_waiting = |key: &RouterKey| self.routers.get(key).is_some_and(|seat| seat.pending.is_some());
            let is_complete = !group.members.iter().any(is_waiting);
            if let Some(pending) = group.pending.take_if(|pending| is_complete || pending.until <= now) {
                let from = std::mem::replace(&mut group.told, pending.transition.to);
                told.push(Told::Group(pending.at, GroupTransition { from, ..pending.transition }));
            } else {
                self.waiting.insert(place);
            }
        }
        told
    }

    /// Returns when something is told at the latest; `None`: nothing waits.
    pub fn deadline(&self) -> Option<Instant> {
        let router = self.limits.first().map(|(until, _)| *until);
        let groups = self.waiting.iter().filter_map(|place| Some(self.groups.get(*place)?.pending.as_ref()?.until));
        groups.chain(router).min()
    }

    /// Forgets what waits: something else is told instead.
    pub fn clear(&mut self) {
        self.routers.values_mut().for_each(|seat| seat.pending = None);
        self.groups.iter_mut().for_each(|group| group.pending = None);
        self.limits.clear();
        self.waiting.clear();
    }
}

/// Says whether a program that is told of a state finds it so.
fn is_true(state: StateName, addresses: &Addresses) -> bool {
    match (state, addresses) {
        (StateName::Master, Addresses::Wanted(missing)) => missing.is_empty(),
        (StateName::Master, Addresses::Gone | Addresses::Leaving(_)) => false,
        (StateName::Backup | StateName::Fault, addresses) => *addresses == Addresses::Gone,
        (StateName::Init, _) => true,
    }
}

/// Returns how long a state may wait.
const fn patience(state: StateName) -> Duration {
    match state {
        StateName::Init => Duration::ZERO,
        StateName::Master => MASTER_PATIENCE,
        StateName::Backup | StateName::Fault => LEAVING_PATIENCE,
    }
}

/// Returns what of a range is not in another.
fn without(range: &Range<u16>, other: &Range<u16>) -> impl Iterator<Item = Range<u16>> + use<> {
    let before = range.start..range.end.min(other.start);
    let after = range.start.max(other.end)..range.end;
    [before, after].into_iter().filter(|range| !range.is_empty())
}

/// An address that the kernel refuses must not keep MASTER from being told.
const MASTER_PATIENCE: Duration = Duration::from_secs(1);

/// The longest handover, and a second for the kernel.
const LEAVING_PATIENCE: Duration = Duration::from_secs(6);

/// What a group waits beyond its members.
const GROUP_PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;
    use crate::engine::output::Reason;
    use crate::engine::params::Hooks;

    const A: RouterKey = RouterKey(0);
    const B: RouterKey = RouterKey(1);

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn at(time: u64) -> Now {
        Now { mono: ms(time), utc: Duration::ZERO }
    }

    /// Two routers with two addresses each, in one group.
    fn telling() -> Telling {
        let routers = [samples::params("web"), samples::params("mail")];
        let group = GroupParams {
            name: "front".to_owned(),
            members: vec!["web".to_owned(), "mail".to_owned()],
            hooks: Hooks::default(),
        };
        Telling::new([A, B].into_iter().zip(&routers), std::iter::once(&group))
    }

    fn transition(from: StateName, to: StateName) -> Transition {
        Transition { from, to, reason: Reason::Started, priority: samples::params("web").priority, peer: None }
    }

    fn group(to: StateName) -> GroupTransition {
        GroupTransition { group: "front".into(), from: StateName::Init, to, reason: Reason::Started }
    }

    /// Returns what is told, as `KEY STATE after STATE`, or the name of the group in the place of the key.
    fn told(telling: &mut Telling, now: u64) -> Vec<String> {
        let words = |told| match told {
            Told::Instance(_, router, transition) => {
                format!("{} {} after {}", router.0, transition.to, transition.from)
            }
            Told::Group(_, transition) => format!("{} {} after {}", transition.group, transition.to, transition.from),
        };
        telling.take_due(ms(now)).into_iter().map(words).collect()
    }

    #[test]
    fn master_is_told_when_all_addresses_are_announced() {
        let mut telling = telling();
        telling.acquire(A);
        telling.enter(at(0), A, &transition(StateName::Backup, StateName::Master));
        assert!(told(&mut telling, 0).is_empty());
        telling.announce(A, &(1..2));
        assert!(told(&mut telling, 1).is_empty(), "one is missing");
        telling.announce(A, &(0..1));
        assert_eq!(told(&mut telling, 2), ["0 MASTER after INIT"]);
        assert_eq!(telling.deadline(), None);
    }

    #[test]
    fn an_address_that_never_comes_delays_master_by_a_second() {
        let mut telling = telling();
        telling.acquire(A);
        telling.enter(at(0), A, &transition(StateName::Backup, StateName::Master));
        telling.announce(A, &(0..1));
        assert_eq!(telling.deadline(), Some(ms(1000)));
        assert!(told(&mut telling, 999).is_empty());
        assert_eq!(told(&mut telling, 1000), ["0 MASTER after INIT"]);
    }

    #[test]
    fn backup_and_fault_are_told_when_the_addresses_are_gone() {
        for state in [StateName::Backup, StateName::Fault] {
            let mut telling = telling();
            telling.enter(at(0), A, &transition(StateName::Init, state));
            assert_eq!(told(&mut telling, 0), [format!("0 {state} after INIT")], "it never had them");
            telling.acquire(A);
            telling.enter(at(0), A, &transition(StateName::Master, state));
            assert!(told(&mut telling, 10).is_empty(), "it still answers");
            let older = telling.release(A);
            let withdrawal = telling.release(A);
            telling.withdrawn(A, older);
            assert!(told(&mut telling, 20).is_empty(), "not this withdrawal");
            telling.withdrawn(A, withdrawal);
            assert_eq!(told(&mut telling, 20), [format!("0 {state} after {state}")]);
            telling.acquire(A);
            telling.enter(at(100), A, &transition(StateName::Master, state));
            assert_eq!(telling.deadline(), Some(ms(6100)), "but not for ever");
            assert_eq!(told(&mut telling, 6100), [format!("0 {state} after {state}")]);
        }
    }

    #[test]
    fn a_newer_state_replaces_one_that_was_not_told() {
        let mut telling = telling();
        telling.acquire(A);
        telling.enter(at(0), A, &transition(StateName::Backup, StateName::Master));
        let withdrawal = telling.release(A);
        telling.enter(at(1), A, &transition(StateName::Master, StateName::Backup));
        telling.withdrawn(A, withdrawal);
        assert_eq!(told(&mut telling, 1), ["0 BACKUP after INIT"], "MASTER was told to nobody");
        assert!(told(&mut telling, 9000).is_empty());
        telling.acquire(A);
        telling.enter(at(2), A, &transition(StateName::Backup, StateName::Master));
        telling.enter(at(3), A, &transition(StateName::Master, StateName::Init));
        assert_eq!(told(&mut telling, 3), ["0 INIT after BACKUP"], "at once, and MASTER is over");
    }

    #[test]
    fn a_group_is_told_after_its_members() {
        let mut telling = telling();
        for key in [A, B] {
            telling.acquire(key);
            telling.enter(at(0), key, &transition(StateName::Backup, StateName::Master));
        }
        telling.enter_group(at(0), &group(StateName::Master));
        telling.announce(A, &(0..2));
        assert_eq!(told(&mut telling, 5), ["0 MASTER after INIT"]);
        telling.announce(B, &(0..2));
        assert_eq!(told(&mut telling, 6), ["1 MASTER after INIT", "front MASTER after INIT"]);
        telling.enter_group(at(7), &group(StateName::Init));
        assert_eq!(told(&mut telling, 7), ["front INIT after MASTER"]);
    }

    #[test]
    fn lost_events_are_made_up_for_once() {
        let mut telling = telling();
        let master = transition(StateName::Init, StateName::Master);
        telling.correct(at(0), A, &master, true);
        telling.correct_group(at(0), &group(StateName::Master));
        assert_eq!(told(&mut telling, 0), ["0 MASTER after INIT", "front MASTER after INIT"]);
        telling.correct(at(1), A, &master, true);
        telling.correct_group(at(1), &group(StateName::Master));
        assert!(told(&mut telling, 9000).is_empty());
    }

    #[test]
    fn what_waits_can_be_forgotten() {
        let mut telling = telling();
        telling.acquire(A);
        telling.enter(at(0), A, &transition(StateName::Backup, StateName::Master));
        telling.enter_group(at(0), &group(StateName::Master));
        telling.clear();
        assert_eq!(telling.deadline(), None);
        assert!(told(&mut telling, 9000).is_empty());
    }
}
