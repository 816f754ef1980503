//! What keeps a router out, all causes together; how it begins to take part, and how it stops. RFC 9568 section 6.4.1.
//!
//! One stop before: `engine::node`, which notes a cause (interface, check, group) and then asks for
//! [`VirtualRouter::reassess`].

use std::sync::Arc;
use std::time::Duration;

use super::handover::{Handover, repetition};
use super::outbox::Outbox;
use super::output::{Output, Reason};
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
        self.trouble = local.err();
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

    /// Begins to take part as soon as nothing keeps it out.
    pub fn startup(&mut self) {
        self.is_started = true;
    }

    /// Moves to where it belongs after a cause came or went. `may_begin_as_master`: an owner may, as far as its group goes.
    pub fn reassess(&mut self, now: Instant, may_begin_as_master: bool, out: &mut Outbox) {
        if !self.is_started {
            return;
        }
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
        self.own_fault().or(mate).or_else(|| self.health.awaited().filter(|_| !self.is_vouched_for()))
    }

    /// Returns the fault that it has itself, whatever the other members of its group have.
    pub fn own_fault(&self) -> Option<Reason> {
        self.trouble.clone().or_else(|| self.health.failure())
    }

    /// Says whether a fault that was told lasts. A wait for a check gives way to any fault.
    fn still_holds(&self, known: &Reason) -> bool {
        match known {
            Reason::InterfaceMissing | Reason::LinkDown | Reason::NoAddress => self.trouble.as_ref() == Some(known),
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
            | Reason::GroupMoved { .. } => false,
        }
    }

    /// Takes part no longer.
    ///
    /// A Master resigns and keeps its addresses until its successor is heard, unless nothing can be sent or what is
    /// answered is worse than no answer; a handover that runs goes on under the same condition.
    fn hold_back(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let can_send = self.trouble.is_none();
        let withdraws = !can_send || self.health.is_urgent();
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
        let reason = if is_recovery { Reason::Recovered } else { Reason::Started };
        let vacant = self.handover.filter(|handover| handover.is_resignation && handover.successor.is_none());
        let backup = match vacant {
            Some(handover) => {
                let down_at = (handover.vacant_at + self.skew_time()).max(now);
                Backup { has_resigned: true, ..Backup::listen(now, down_at) }
            }
            None => Backup::listen(now, now + self.master_down_interval()),
        };
        self.enter(now, State::Backup(backup), reason, None, out);
    }

    fn begin_as_master(&mut self, now: Instant, out: &mut Outbox) {
        let interval = self.params.advertisement_interval.as_duration();
        self.promote(now, now + interval, Reason::Owner, None, out);
    }

    /// Stops taking part; a Master hands over and keeps its addresses until that is done.
    pub fn shutdown(&mut self, now: Instant, out: &mut Outbox) {
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
        self.enter(now, State::Initialize { held_back: None }, Reason::Stopping, None, out);
    }

    /// A Master follows another member of its group that is Master no longer.
    pub fn follow(&mut self, now: Instant, member: Arc<str>, out: &mut Outbox) {
        self.resign(now, out);
        let backup = Backup::listen(now, now + self.master_down_interval());
        self.enter(now, State::Backup(backup), Reason::GroupMoved { member }, None, out);
    }

    /// Sends priority 0 and keeps the addresses for the successor's sake.
    fn resign(&mut self, now: Instant, out: &mut Outbox) {
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
