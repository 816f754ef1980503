//! What a Backup does with an advert, and when its patience ends. RFC 9568 section 6.4.2.

use std::net::IpAddr;
use std::time::Duration;

use super::election::rank;
use super::outbox::Outbox;
use super::output::{EventKind, Reason};
use super::params::Preempt;
use super::receive::Heard;
use super::router::VirtualRouter;
use super::snapshot::MasterSnapshot;
use super::state::{State, Worse};
use super::sync::Stir;
use super::time::Instant;
use crate::wire::field::{Priority, Version};

impl VirtualRouter {
    /// A Backup hears an advert that passed every check.
    pub(super) fn backup_hears(&mut self, now: Instant, heard: &Heard, out: &mut Outbox) {
        let skew = self.skew_time();
        let State::Backup(backup) = &mut self.state else { return };
        let Some(priority) = heard.priority else {
            // Only the Master can resign (RFC 9568 section 5.2.4). The repeated resignation of its predecessor may
            // come after its first advert and must not make it look dead.
            if self.master.is_some_and(|master| master.address != heard.source) {
                return;
            }
            backup.down_at = now + skew;
            backup.has_resigned = true;
            backup.is_willing = false;
            self.stir = Some(Stir::HeardResignation);
            return;
        };
        // Worse than this node and than a Master that lives: a farewell, or a mistake that the Master answers. Neither its
        // interval nor its name is to be learnt.
        let is_outdone = priority < self.effective
            && self.master.is_some_and(|master| {
                let is_fresh = !backup.has_resigned && now.since(backup.heard_at) < self.master_adver_interval;
                is_fresh && rank((priority, heard.source), (master.priority, master.address)).is_lt()
            });
        if is_outdone {
            return;
        }
        // Who stays away endures whatever Master there is.
        if priority >= self.effective || self.drained.is_some() {
            backup.preempt_at = None;
        } else if self.is_preempting(now, heard.source, out) {
            if let State::Backup(backup) = &mut self.state {
                backup.worse = Some(Worse { address: heard.source, priority, at: now });
            }
            return;
        }
        self.accept_master(now, heard.source, priority, heard.interval);
    }

    /// Takes a Master for granted: learns its interval and waits a full master-down interval from here on.
    pub(super) fn accept_master(&mut self, now: Instant, address: IpAddr, priority: Priority, interval: Duration) {
        if self.params.version == Version::V3 {
            self.master_adver_interval = interval;
        }
        self.master = Some(MasterSnapshot { address, priority });
        let down_at = now + self.master_down_interval();
        if let State::Backup(backup) = &mut self.state {
            backup.down_at = down_at;
            backup.heard_at = now;
            backup.has_resigned = false;
            backup.has_excused = false;
            backup.worse = None;
            backup.is_willing = false;
        }
    }

    /// Another member of its group heard its Master resign, which gave up its whole group: it counts as heard here.
    pub(super) fn hear_of_resignation(&mut self, now: Instant) {
        let skew = self.skew_time();
        let State::Backup(backup) = &mut self.state else { return };
        if !backup.is_willing {
            backup.down_at = backup.down_at.min(now + skew);
            backup.has_resigned = true;
        }
    }

    /// The down timer is due: nobody better is there, unless this node did not run and the Master stood still with it.
    ///
    /// A member of a group waits for the others.
    pub(super) fn backup_expires(&mut self, now: Instant, out: &mut Outbox) {
        if self.excuses(now) {
            return;
        }
        if self.is_drained() {
            return self.miss_master(now, out);
        }
        match &mut self.state {
            State::Backup(backup) if self.is_grouped => {
                backup.is_willing = true;
                self.stir = Some(Stir::Moved);
            }
            State::Backup(_) => self.take_over(now, out),
            State::Initialize { .. } | State::Master(_) => {}
        }
    }

    /// A Backup whose patience is over becomes Master.
    pub(super) fn take_over(&mut self, now: Instant, out: &mut Outbox) {
        let State::Backup(backup) = &self.state else { return };
        if self.is_drained() {
            return;
        }
        let interval = self.params.advertisement_interval.as_duration();
        let recent = backup.worse.filter(|worse| now.since(worse.at) < self.master_down_interval());
        let known = self.master.map(|master| master.address);
        let (reason, peer) = if let Some(worse) = recent {
            (Reason::Preempted { priority: worse.priority }, Some(worse.address))
        } else if backup.has_resigned {
            (Reason::Resigned, known)
        } else {
            let silence = now.since(backup.heard_at);
            let interval = self.master_adver_interval.as_nanos().max(1);
            let missed = u32::try_from(silence.as_nanos() / interval).unwrap_or(u32::MAX);
            (Reason::MasterDown { silence, missed }, known)
        };
        // Counted from the deadline and not from when it was served: lateness must not add up.
        let due = if now.since(backup.down_at) < interval { backup.down_at.min(now) } else { now };
        self.promote(now, due + interval, reason, peer, out);
    }

    /// Gives the Master one skew more when this node itself is late by more than an interval; says whether it did.
    ///
    /// Two nodes on one host, or on hosts that are stopped together, wake up together: the Master's next advert is on its
    /// way. Once for each advert, so that a node that is always late takes over all the same; who still holds the
    /// addresses does not wait.
    fn excuses(&mut self, now: Instant) -> bool {
        let (skew, interval) = (self.skew_time(), self.master_adver_interval);
        let State::Backup(backup) = &mut self.state else { return false };
        if backup.has_excused || self.handover.is_some() || now.since(backup.down_at) <= interval {
            return false;
        }
        backup.has_excused = true;
        backup.down_at = now + skew;
        true
    }

    /// Says whether a worse Master is discarded, so that the down timer runs on; begins the delay when there is one.
    ///
    /// An owner preempts whatever the configuration says. RFC 9568 section 6.1.
    fn is_preempting(&mut self, now: Instant, peer: IpAddr, out: &mut Outbox) -> bool {
        if self.params.is_owner() {
            return true;
        }
        let State::Backup(backup) = &mut self.state else { return false };
        match self.params.preempt {
            Preempt::Always => true,
            Preempt::Never => false,
            Preempt::After(length) => match backup.preempt_at {
                Some(at) => at <= now,
                None => {
                    backup.preempt_at = Some(now + length);
                    out.event(self.key, EventKind::PreemptDelay { length, peer });
                    false
                }
            },
        }
    }
}
