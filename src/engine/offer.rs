//! A Master whose priority falls offers its addresses to whoever is better, and stays Master while nobody takes them.
//!
//! It sends priority 0, twice, and its next advert only when its own skew is over: whoever is better has a shorter
//! skew and is Master by then, `preempt = "never"` or not. All the while it holds the addresses and answers for them.
//! A departure from RFC 9568 section 5.2.4 that the ledger names. One stop before: `engine::health`.

use super::election::skew_time;
use super::handover::repetition;
use super::outbox::Outbox;
use super::output::EventKind;
use super::router::VirtualRouter;
use super::state::State;
use super::sync::Stir;
use super::time::Instant;
use crate::wire::field::Priority;

impl VirtualRouter {
    /// Takes over what the weights have made of the priority.
    ///
    /// A Backup's running timer moves by the difference of the skew.
    pub fn reweigh(&mut self, now: Instant, out: &mut Outbox) {
        let effective = self.weighed();
        if effective == self.effective {
            return;
        }
        let from = std::mem::replace(&mut self.effective, effective);
        out.event(self.key, EventKind::Priority { from, to: effective });
        let is_held_back = self.obstacle().is_some();
        let (before, after) = (self.skew_of(from), self.skew_of(effective));
        match &mut self.state {
            State::Initialize { .. } => {}
            State::Backup(backup) => {
                let moved = (backup.down_at + after).as_nanos().saturating_sub(before.as_nanos() as u64);
                backup.down_at = Instant::from_nanos(moved);
            }
            // The peers count already; only the own skew has changed.
            State::Master(master) => match master.offered_at {
                Some(at) => master.advert_at = (at + after).max(now),
                None if effective < from && !is_held_back => {
                    self.declare(out);
                    self.offer(now, out);
                }
                None => {}
            },
        }
    }

    /// Offers the addresses when some peer may be better.
    fn offer(&mut self, now: Instant, out: &mut Outbox) {
        let (gain, silence) = (self.health.best_gain, self.master_down_interval());
        if !self.peers.may_outrank(now, self.effective, gain, silence) {
            return;
        }
        self.announce_resignation(now, out);
        self.count_from(repetition(now, self.interval()));
    }

    /// Sends the resignation again that is due. Priority 0 of a Master is an offer: its own skew counts from here.
    pub fn repeat_resignation(&mut self, now: Instant, out: &mut Outbox) {
        self.repeat_at = None;
        self.send_resignation(out);
        self.count_from(now);
    }

    fn count_from(&mut self, at: Instant) {
        let skew = self.skew_time();
        if let State::Master(master) = &mut self.state {
            master.offered_at = Some(at);
            master.advert_at = at + skew;
            self.stir = Some(Stir::Offered);
        }
    }

    /// Says whether it has offered the addresses and waits for an answer.
    pub fn is_offering(&self) -> bool {
        matches!(&self.state, State::Master(master) if master.offered_at.is_some())
    }

    /// Another member of its group offers its addresses; this one says that it does not, so that nobody takes hearsay for
    /// its resignation.
    pub fn insist(&mut self, out: &mut Outbox) {
        match &self.state {
            State::Master(master) if master.withheld_until.is_some() => self.declare(out),
            State::Master(_) if !self.is_offering() => self.send_advert(out),
            State::Initialize { .. } | State::Backup(_) | State::Master(_) => {}
        }
    }

    fn skew_of(&self, priority: Priority) -> std::time::Duration {
        skew_time(self.params.version, priority, self.master_adver_interval)
    }
}
