//! What keeps a router out, all causes together; how it begins to take part, and how it stops. RFC 9568 section 6.4.1.
//!
//! One stop before: `engine::node`, which notes a cause (interface, check, group) and then asks for
//! [`VirtualRouter::reassess`].

use std::sync::Arc;
use std::time::Duration;

use super::handover::{Handover, repetition};
use super::input::Trouble;
use super::outbox::Outbox;
use super::output::{Mac, Output, Reason};
use super::router::{Local, VirtualRouter};
use super::state::{Backup, State};
use super::time::Instant;

impl VirtualRouter {
    /// Notes what the interface is like: `local` when it can be used, else why not.
    ///
    /// Nobody reaches VIPs through an interface that cannot be used, so a handover ends there.
    pub fn relocate(&mut self, local: Result<Local, Reason>, out: &mut Outbox) {
        let before = self.local.map(|local| local.interface);
        self.local = local.as_ref().ok().copied();
        self.trouble = local.err().map(Box::new);
        if !self.is_started && before.is_some() && before != self.local.map(|local| local.interface) {
            self.repeat_at = None;
            self.release(out);
        }
    }

    /// The interface was deleted, and the VIPs on it are gone, although another has its name already.
    pub fn lose_interface(&mut self, out: &mut Outbox) {
        if self.local.is_some() {
            self.relocate(Err(Reason::InterfaceMissing), out);
        }
    }

    /// Notes what keeps it from holding its addresses; `None`: it is over.
    pub fn dispossess(&mut self, trouble: Option<Trouble>) {
        let reason = trouble.map(|trouble| match trouble {
            Trouble::Removed { address, count } => Reason::Removed { address, count },
            Trouble::Taken { address, mac } => Reason::AddressTaken { address, mac: Mac(mac) },
        });
        self.dispossession = reason.map(Box::new);
    }

    /// Begins to take part as soon as nothing keeps it out.
    pub fn startup(&mut self) {
        self.is_started = true;
    }

    /// Moves to where it belongs after a cause came or went. `may_begin_as_master`: an owner may, as far as its group goes.
    pub fn reassess(&mut self, now: Instant, may_begin_as_master: bool, out: &mut Outbox) {
        if !self.is_started {
            return;
        }
        let may_begin_as_master = may_begin_as_master && !self.is_drained();
        match (self.obstacle(), &self.state) {
            (Some(reason), _) => self.hold_back(now, reason, out),
            (None, State::Initialize { .. }) => self.take_part(now, may_begin_as_master, out),
            (None, State::Backup(_)) if may_begin_as_master && self.is_grouped && self.params.is_owner() => {
                self.begin_as_master(now, out);
            }
            (None, State::Backup(_) | State::Master(_)) => {}
        }
    }

    /// Returns what keeps it out: what it has told already for as long as that lasts, else the worst cause.
    pub fn obstacle(&self) -> Option<Reason> {
        if let State::Initialize { held_back: Some(known) } = &self.state
            && self.still_holds(known)
        {
            return Some(known.clone());
        }
        let mate = self.faulty_mate.as_ref().map(|member| Reason::GroupFault { member: Arc::clone(member) });
        let takes_part = !matches!(self.state, State::Initialize { .. });
        // Who takes part is not held back by a check that a reload added: it has its timeout to say something.
        let is_held_back = !takes_part && !self.is_vouched_for();
        self.own_fault().or(mate).or_else(|| self.health.awaited().filter(|_| is_held_back))
    }

    /// Returns the fault that it has itself, whatever the other members of its group have.
    pub fn own_fault(&self) -> Option<Reason> {
        let here = self.trouble.as_deref().or(self.dispossession.as_deref());
        here.cloned().or_else(|| self.health.failure())
    }

    /// Says whether a fault that was told lasts. A wait for a check gives way to any fault.
    fn still_holds(&self, known: &Reason) -> bool {
        match known {
            Reason::InterfaceMissing | Reason::LinkDown | Reason::NoAddress => self.trouble.as_deref() == Some(known),
            // A later one of its kind is no news.
            Reason::Removed { .. } => matches!(self.dispossession.as_deref(), Some(Reason::Removed { .. })),
            Reason::AddressTaken { .. } => matches!(self.dispossession.as_deref(), Some(Reason::AddressTaken { .. })),
            Reason::CheckFailed { check, .. } => self.health.is_failed_by(check),
            Reason::GroupFault { member } => self.faulty_mate.as_ref() == Some(member),
            Reason::AwaitingCheck { .. }
            | Reason::Started
            | Reason::Adopted { .. }
            | Reason::Owner
            | Reason::MasterDown { .. }
            | Reason::Resigned
            | Reason::Preempted { .. }
            | Reason::HigherPriority { .. }
            | Reason::HigherAddress
            | Reason::Paused { .. }
            | Reason::Outranked { .. }
            | Reason::Stopping
            | Reason::Recovered
            | Reason::Drained { .. }
            | Reason::Resumed
            | Reason::Deconfigured
            | Reason::GroupMoved { .. } => false,
        }
    }

    /// Takes part no longer.
    ///
    /// A Master resigns and keeps its addresses until its successor is heard, unless nothing can be sent or what is
    /// answered is worse than no answer; a handover that runs goes on under the same condition.
    fn hold_back(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let can_send = self.trouble.is_none();
        let withdraws = !can_send || self.health.is_urgent() || self.withdraws_first();
        let is_master = matches!(self.state, State::Master(_));
        if is_master && !withdraws {
            self.resign(now, out);
        } else if withdraws && (is_master || self.handover.take().is_some()) {
            out.push(Output::ReleaseVips { router: self.key });
            if is_master && can_send {
                self.announce_resignation(now, out);
            }
        }
        if !can_send {
            self.repeat_at = None;
        }
        if !matches!(&self.state, State::Initialize { held_back: Some(known) } if *known == reason) {
            self.enter(now, State::Initialize { held_back: Some(reason.clone()) }, reason, None, out);
        }
    }

    /// Says whether a handover would be worse than none: who loses an address again and again cannot answer for it until a
    /// successor does, and nobody waits for a successor that is not there.
    fn withdraws_first(&self) -> bool {
        match self.dispossession.as_deref() {
            Some(Reason::AddressTaken { .. }) => self.peers.is_empty(),
            Some(_) => true,
            None => false,
        }
    }

    /// Takes part from here on: as Master when it owns the addresses, else as Backup for a full master-down interval.
    ///
    /// Who resigned a moment ago and has heard of no successor waits its skew, as every other candidate does: a fault
    /// that was over at once must not leave the addresses to nobody.
    fn take_part(&mut self, now: Instant, may_begin_as_master: bool, out: &mut Outbox) {
        self.master_adver_interval = self.params.advertisement_interval.as_duration();
        if self.params.is_owner() && may_begin_as_master {
            return self.begin_as_master(now, out);
        }
        let is_recovery = matches!(&self.state, State::Initialize { held_back: Some(reason) } if is_fault(reason));
        let reason = match &self.drained {
            Some(drained) => Reason::Drained { words: Arc::clone(&drained.words) },
            None if is_recovery => Reason::Recovered,
            None => Reason::Started,
        };
        self.enter(now, State::Backup(self.listening(now)), reason, None, out);
    }

    /// Returns a Backup that begins to listen: for a master-down interval, or where it has resigned and heard of no successor
    /// for its skew.
    pub fn listening(&self, now: Instant) -> Backup {
        let vacant = self.handover.filter(|handover| handover.is_resignation && handover.successor.is_none());
        match vacant {
            Some(handover) => {
                let down_at = (handover.vacant_at + self.skew_time()).max(now);
                Backup { has_resigned: true, ..Backup::listen(now, down_at) }
            }
            None => Backup::listen(now, now + self.master_down_interval()),
        }
    }

    fn begin_as_master(&mut self, now: Instant, out: &mut Outbox) {
        let interval = self.params.advertisement_interval.as_duration();
        self.promote(now, now + interval, Reason::Owner, None, out);
    }

    /// Stops taking part; a Master hands over and keeps its addresses until that is done.
    pub fn shutdown(&mut self, now: Instant, out: &mut Outbox) {
        self.end(now, Reason::Stopping, out);
    }

    /// Stops taking part because of a `reason`, as [`Self::shutdown`].
    pub fn end(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        self.is_started = false;
        self.forgo(out);
        if matches!(self.state, State::Initialize { held_back: None }) {
            return;
        }
        if matches!(self.state, State::Master(_)) {
            self.resign(now, out);
        }
        let bound = Handover::resign(now, self.interval()).release_at;
        if let Some(handover) = &mut self.handover {
            handover.release_at = handover.release_at.min(bound);
        }
        self.enter(now, State::Initialize { held_back: None }, reason, None, out);
    }

    /// A Master follows another member of its group that is Master no longer.
    pub fn follow(&mut self, now: Instant, member: Arc<str>, out: &mut Outbox) {
        self.resign(now, out);
        let backup = Backup::listen(now, now + self.master_down_interval());
        self.enter(now, State::Backup(backup), Reason::GroupMoved { member }, None, out);
    }

    /// Sends priority 0 and keeps the addresses for the successor's sake.
    pub(super) fn resign(&mut self, now: Instant, out: &mut Outbox) {
        self.announce_resignation(now, out);
        self.handover = Some(Handover::resign(now, self.interval()));
    }

    /// Sends priority 0, and once more a little later.
    pub fn announce_resignation(&mut self, now: Instant, out: &mut Outbox) {
        self.send_resignation(out);
        self.repeat_at = Some(repetition(now, self.interval()));
    }

    /// Returns the own advertisement interval.
    pub fn interval(&self) -> Duration {
        self.params.advertisement_interval.as_duration()
    }
}

fn is_fault(reason: &Reason) -> bool {
    !matches!(reason, Reason::AwaitingCheck { .. })
}
