//! Routers that stay away on request: they hand over as at a stop, listen, and are never Master until that is taken back.
//!
//! The request is by name and for good: a reload that keeps, changes or replaces a router of that name, or brings it into a
//! group with one that is drained, finds it here. A group drains as one. A departure from RFC 9568 section 6.4.2 that
//! the ledger names. One stop before: `daemon::drains`, which keeps it beyond a reboot. One stop after: `engine::router`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::node::Node;
use super::outbox::Outbox;
use super::output::{EventKind, Reason};
use super::router::VirtualRouter;
use super::state::{Backup, State};
use super::time::Instant;

/// Who stays away, and what an operator said why; an empty text: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drains {
    /// The whole node, routers that a reload adds among it.
    pub node: Option<Arc<str>>,
    /// By name; names of no router count for nothing.
    pub routers: BTreeMap<String, Arc<str>>,
}

/// That a router stays away.
#[derive(Clone, Debug)]
pub(super) struct Drained {
    pub words: Arc<str>,
    /// When it was last told that nobody is Master.
    told_at: Option<Instant>,
}

impl Node {
    /// Goes on with these drains and no others.
    pub(super) fn drain(&mut self, now: Instant, drains: Arc<Drains>) {
        self.drains = drains;
        let touched: Vec<u32> = self.settle_drains(now).into_iter().collect();
        self.reassess(now, &touched);
    }

    /// Drains and resumes the routers that are not as they should be; returns them. Their groups are to be looked at.
    pub(super) fn settle_drains(&mut self, now: Instant) -> BTreeSet<u32> {
        let mut touched = BTreeSet::new();
        for slot in self.order.clone() {
            let words = self.drain_of(slot);
            let known = self.router(slot).and_then(|router| router.drained.as_ref()).map(|drained| &drained.words);
            if known != words.as_ref() {
                touched.insert(slot);
                self.touch(slot, |router, out| match words {
                    Some(words) => router.drain(now, words, out),
                    None => router.resume(now),
                });
            }
        }
        touched
    }

    /// Says what keeps a router away: that of the node, its own, or that of the first member of its group that has one.
    fn drain_of(&self, slot: u32) -> Option<Arc<str>> {
        let drains = &self.drains;
        let by_name = |slot| drains.routers.get(&self.router(slot)?.params.name).cloned();
        let mates = || self.members(self.group_of(slot)?).find_map(by_name);
        drains.node.clone().or_else(|| by_name(slot)).or_else(mates)
    }
}

impl VirtualRouter {
    /// Stays away from here on; a Master resigns and keeps its addresses until its successor is heard.
    fn drain(&mut self, now: Instant, words: Arc<str>, out: &mut Outbox) {
        self.drained = Some(Box::new(Drained { words: Arc::clone(&words), told_at: None }));
        self.forgo(out);
        let reason = Reason::Drained { words };
        match &self.state {
            State::Initialize { .. } => {}
            // No change of state, but what it is Backup for.
            State::Backup(_) => {
                self.reason = reason;
                self.listen_anew(now);
            }
            State::Master(_) => {
                self.resign(now, out);
                let backup = Backup::listen(now, now + self.master_down_interval());
                self.enter(now, State::Backup(backup), reason, None, out);
            }
        }
    }

    /// Takes part as any other from here on: a Backup that waits a whole master-down interval, or its skew where it has just
    /// resigned and nobody followed.
    fn resume(&mut self, now: Instant) {
        self.drained = None;
        if matches!(self.state, State::Backup(_)) {
            self.reason = Reason::Resumed;
            self.listen_anew(now);
        }
    }

    /// Forgets how long the Master was silent, and whatever it waited for.
    fn listen_anew(&mut self, now: Instant) {
        let listening = self.listening(now);
        if let State::Backup(backup) = &mut self.state {
            *backup = listening;
        }
    }

    /// Says whether it stays away on request.
    pub fn is_drained(&self) -> bool {
        self.drained.is_some()
    }

    /// The patience of a drained Backup is over: when that of every other Backup would be, it says that nobody is there, and
    /// waits on.
    pub fn miss_master(&mut self, now: Instant, out: &mut Outbox) {
        let adverts = u32::from(self.params.master_down_adverts) + SLACK;
        let (State::Backup(backup), Some(drained)) = (&mut self.state, &mut self.drained) else { return };
        let until = backup.heard_at + self.master_adver_interval * adverts;
        if now < until {
            backup.down_at = until;
            return;
        }
        // The timer is off until a Master is heard.
        backup.is_willing = true;
        self.master = None;
        if drained.told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN) {
            drained.told_at = Some(now);
            let silence = now.since(backup.heard_at);
            out.event(self.key, EventKind::Vacant { silence });
        }
    }
}

/// Intervals beyond those of a master-down interval: the longest skew, and as much for whoever is late.
const SLACK: u32 = 2;

/// That nobody is Master is told again after this, when a Master was heard meanwhile.
const TELL_AGAIN: Duration = Duration::from_secs(60);
