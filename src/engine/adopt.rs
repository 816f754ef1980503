//! A process that begins where another of this node ended a moment ago goes on as Master: same addresses, next advert
//! in time.
//!
//! What the process before wrote down comes as [`Imprint`]. Whether it is still true is decided here: the peers wait a
//! master-down interval after the last advert, and nobody else has been Master until then. A departure from RFC 9568
//! section 6.4.1 that the ledger names (D6). One stop before: `daemon::state`, which read it; one stop after:
//! `engine::master`.

use std::net::IpAddr;
use std::time::Duration;

use super::election::master_down_interval;
use super::health::Health;
use super::input::RouterKey;
use super::node::Node;
use super::outbox::Outbox;
use super::output::{Output, Reason};
use super::router::VirtualRouter;
use super::state::{Master, State};
use super::time::Instant;
use crate::wire::auth::Sequence;
use crate::wire::field::Priority;

/// What a process leaves behind of one router for the next process of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imprint {
    /// What the kernel was to hold.
    pub hold: Hold,
    /// When the state was entered.
    pub since: Instant,
    /// When an advert left last; boot when none did.
    pub advert_at: Instant,
    /// The interval that the peers know.
    pub interval: Duration,
    /// Priority as configured.
    pub configured: Priority,
    /// Priority after weights.
    pub effective: Priority,
    /// The address that adverts left from; `None` while there was none.
    pub source: Option<IpAddr>,
    /// The last stamp that was signed, as on the wire.
    pub stamp: Option<u64>,
    /// The highest number under an Authentication Header, heard or sent; 0: none.
    pub ah_sequence: u32,
}

/// What a router's addresses were to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not on the interfaces.
    Nothing,
    /// There, as Master.
    Master,
    /// There, until a successor is heard: the peers know that this node leaves.
    HandingOver,
}

/// Mastership that waits to be taken up again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adoption {
    /// The last advert.
    advert_at: Instant,
    /// When the next one is due.
    due_at: Instant,
    /// From then on somebody else may be Master.
    pub until: Instant,
    /// The effective priority that the peers know.
    priority: Option<Priority>,
}

/// What is to become of a mastership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes on.
    GoesOn,
    /// Not yet: the start or the interface is missing.
    Waits,
    /// It is over.
    IsOver,
}

impl VirtualRouter {
    /// Returns what the next process has to know.
    ///
    /// `advert_at`: when the last advert left, which the engine does not see.
    pub fn imprint(&self, advert_at: Instant) -> Imprint {
        let hold = match (&self.state, &self.handover) {
            (State::Master(_), _) => Hold::Master,
            (State::Initialize { .. } | State::Backup(_), Some(_)) => Hold::HandingOver,
            (State::Initialize { .. } | State::Backup(_), None) if self.adoption.is_some() => Hold::Master,
            (State::Initialize { .. } | State::Backup(_), None) => Hold::Nothing,
        };
        Imprint {
            hold,
            since: self.since,
            advert_at: self.adoption.as_ref().map_or(advert_at, |adoption| adoption.advert_at),
            interval: self.interval(),
            configured: self.params.priority,
            effective: self.adoption.as_ref().and_then(|adoption| adoption.priority).unwrap_or(self.effective),
            source: self.local.map(|local| local.source),
            stamp: self.replay.stamped().map(Sequence::bits),
            ah_sequence: self.replay.highest(),
        }
    }

    /// Takes over what the process before left: what it has signed and counted in any case, its mastership when the peers
    /// are still waiting for its next advert.
    pub fn inherit(&mut self, now: Instant, imprint: &Imprint) {
        self.replay.resume(imprint.stamp.map(Sequence::from_bits), imprint.ah_sequence);
        if imprint.hold != Hold::Master || imprint.advert_at > now || self.is_drained() {
            return;
        }
        // Where the two intervals differ, the peers count by one of them; the shorter one is safe.
        let interval = self.interval().min(imprint.interval);
        let patience =
            master_down_interval(self.params.version, imprint.effective, interval, self.params.master_down_adverts);
        let until = imprint.advert_at + patience;
        if now < until {
            let priority = Some(imprint.effective).filter(|_| imprint.configured == self.params.priority);
            let due_at = imprint.advert_at + interval;
            self.adoption = Some(Box::new(Adoption { advert_at: imprint.advert_at, due_at, until, priority }));
        }
    }

    fn fate(&self, now: Instant) -> Fate {
        match &self.adoption {
            None => Fate::IsOver,
            Some(adoption) if adoption.until <= now || self.health.failure().is_some() => Fate::IsOver,
            Some(_) if !self.is_started || self.trouble.is_some() => Fate::Waits,
            Some(_) => Fate::GoesOn,
        }
    }

    /// Goes on as Master. The addresses are asked for again, which confirms those that are there.
    fn adopt(&mut self, now: Instant, out: &mut Outbox) {
        let Some(adoption) = self.adoption.take() else { return };
        if let Some(priority) = adoption.priority {
            self.effective = priority;
        }
        self.vouched = self.health.is_open().then_some(self.effective);
        self.master_adver_interval = self.interval();
        self.counters.became_master += 1;
        self.master = None;
        out.push(Output::AcquireVips { router: self.key });
        let master = Master::begin(adoption.due_at, now, &self.params.announce, None);
        let silence = now.since(adoption.advert_at);
        self.enter(now, State::Master(master), Reason::Adopted { silence }, None, out);
    }

    /// Somebody else may be or is Master: this node is a newcomer, and what it left on the interfaces goes.
    pub fn forgo(&mut self, out: &mut Outbox) {
        if self.adoption.take().is_some() {
            out.push(Output::ReleaseVips { router: self.key });
        }
    }

    /// Returns the effective priority: that which the peers know, while checks that made it have not answered again.
    pub fn weighed(&mut self) -> Priority {
        self.vouched = self.vouched.filter(|_| self.health.is_open());
        self.vouched.unwrap_or_else(|| self.health.effective())
    }

    /// Says whether a check that has not answered yet holds nobody back: it was passing a moment ago.
    pub fn is_vouched_for(&self) -> bool {
        self.adoption.is_some() || self.vouched.is_some()
    }

    /// Ends what was taken on trust.
    pub fn disown(&mut self) {
        if self.vouched.take().is_some() {
            self.effective = Health::effective(&self.health);
        }
    }
}

impl Node {
    /// Returns what the next process of this node has to know of a router; `advert_at`: when its last advert left.
    pub fn imprint(&self, router: RouterKey, advert_at: Instant) -> Option<Imprint> {
        self.routers.get(router.0 as usize).map(|router| router.imprint(advert_at))
    }

    /// Returns the routers whose mastership is to be taken up again: their VIPs are to stay.
    pub fn adopting(&self) -> impl Iterator<Item = RouterKey> {
        let is_adopting = |slot: u32| self.routers.get(slot as usize).is_some_and(|router| router.adoption.is_some());
        let is_whole = move |slot: u32| match self.group_of(slot) {
            Some(group) => self.members(group).all(is_adopting),
            None => true,
        };
        (0..self.routers.len() as u32).filter(move |slot| is_adopting(*slot) && is_whole(*slot)).map(RouterKey)
    }

    /// Takes up again, or gives up, what a router without a group was Master of.
    pub(super) fn settle_adoption(&mut self, now: Instant, slot: u32) {
        let fate = |router: &VirtualRouter| router.adoption.as_ref().map(|_| router.fate(now));
        match self.routers.get(slot as usize).and_then(fate) {
            Some(Fate::GoesOn) => self.touch(slot, |router, out| router.adopt(now, out)),
            Some(Fate::IsOver) => self.touch(slot, |router, out| router.forgo(out)),
            Some(Fate::Waits) | None => {}
        }
    }

    /// The same for a group: all of its members, or none.
    pub(super) fn settle_adoption_of_group(&mut self, now: Instant, group: usize) {
        let members = || self.members(group).filter_map(|slot| self.routers.get(slot as usize));
        if members().all(|router| router.adoption.is_none()) {
            return;
        }
        if members().any(|router| router.fate(now) == Fate::IsOver) {
            self.members(group).for_each(|slot| self.touch(slot, |router, out| router.forgo(out)));
        } else if members().all(|router| router.fate(now) == Fate::GoesOn) {
            self.members(group).for_each(|slot| self.touch(slot, |router, out| router.adopt(now, out)));
        }
    }
}
