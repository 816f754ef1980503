//! What a Master does with an advert and with its deadlines. RFC 9568 section 6.4.3.

use std::cmp::Ordering;
use std::time::Duration;

use super::election::{master_down_interval, rank};
use super::handover::{Handover, Successor};
use super::outbox::Outbox;
use super::output::{EventKind, Output, Reason};
use super::receive::Heard;
use super::router::VirtualRouter;
use super::state::{Backup, State};
use super::time::Instant;
use crate::wire::field::Priority;

impl VirtualRouter {
    /// A Master hears an advert that passed every check.
    pub(super) fn master_hears(&mut self, now: Instant, heard: &Heard, out: &mut Outbox) {
        let interval = self.params.advertisement_interval.as_duration();
        let State::Master(master) = &mut self.state else { return };
        if master.withheld_until.is_some() {
            let Some(local) = self.local else { return };
            match heard.priority {
                // It has not been told yet, and is not to be before the addresses are here.
                Some(priority) if rank((priority, heard.source), (self.effective, local.source)).is_lt() => return,
                Some(_) => {}
                None => self.declare(out),
            }
        }
        let State::Master(master) = &mut self.state else { return };
        let lateness = now.since(master.advert_at);
        let Some(priority) = heard.priority else {
            // Who has offered its addresses is silent: an answer would hold back a better one that never preempts.
            if master.offered_at.is_some() {
                return;
            }
            // Without a bound each one would draw an advert. The timer moves with an advert alone, so that the peers never
            // wait for longer than an interval.
            if master.may_answer_resignation(now, interval) {
                master.advert_at = now + interval;
                self.send_advert(out);
            }
            self.repair(now, out);
            return;
        };
        if lateness > self.own_master_down_interval() {
            return self.rejoin(now, heard, lateness, out);
        }
        let Some(local) = self.local else { return };
        match rank((priority, heard.source), (self.effective, local.source)) {
            Ordering::Greater if priority > self.effective => {
                // With what it is configured to have it would have stayed Master, or it has just said that it may not.
                let is_outranked = self.is_offering() || priority < self.params.priority;
                let reason =
                    if is_outranked { Reason::Outranked { priority } } else { Reason::HigherPriority { priority } };
                self.step_down(now, heard, priority, reason, out);
            }
            Ordering::Greater => self.step_down(now, heard, priority, Reason::HigherAddress, out),
            Ordering::Less | Ordering::Equal => self.answer(now, heard, priority, out),
        }
    }

    /// Serves the advert timer and the announcements.
    pub(super) fn master_expires(&mut self, now: Instant, out: &mut Outbox) {
        let interval = self.params.advertisement_interval.as_duration();
        let State::Master(master) = &mut self.state else { return };
        if let Some(at) = master.withheld_until {
            if master.advert_at <= now {
                let lateness = now.since(master.advert_at);
                master.advert_at = master.advert_at + interval * (1 + whole_intervals(lateness, interval));
                self.declare(out);
            } else if at <= now {
                self.declare(out);
            }
            return;
        }
        if master.announce.at.is_some_and(|at| at <= now) {
            master.announce.advance(now, &self.params.announce);
            master.announce_held(self.key, out);
        }
        if master.advert_at > now {
            return;
        }
        master.offered_at = None;
        let lateness = now.since(master.advert_at);
        // The next deadline keeps to the old rhythm, whatever was missed.
        master.advert_at = master.advert_at + interval * (1 + whole_intervals(lateness, interval));
        if lateness > self.own_master_down_interval() {
            out.event(self.key, EventKind::Paused { length: lateness });
        }
        self.send_advert(out);
    }

    /// Discards a losing advert, but lets the loser know at once and repairs the neighbours it may have misled.
    ///
    /// The answer is rate limited: two mistaken routers must not answer each other without end. RFC 9568 section
    /// 6.4.3; RFC 3768 is silent here.
    fn answer(&mut self, now: Instant, heard: &Heard, priority: Priority, out: &mut Outbox) {
        let gap = self.params.advertisement_interval.as_duration() / ANSWERS_PER_INTERVAL;
        let memory = self.master_down_interval();
        let State::Master(master) = &mut self.state else { return };
        let is_allowed = master.answered_at.is_none_or(|at| now.since(at) >= gap);
        if is_allowed {
            master.answered_at = Some(now);
        }
        let is_farewell = master.predecessor.take_if(|known| *known == heard.source).is_some();
        if !is_farewell {
            master.meet(now, heard.source, priority, memory);
        }
        if !is_farewell && master.rival_told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN) {
            master.rival_told_at = Some(now);
            out.event(self.key, EventKind::Rival { peer: heard.source, priority, ours: self.effective });
        }
        if is_allowed {
            self.send_advert(out);
        }
        self.repair(now, out);
    }

    /// After a rivalry: announces the addresses again, at once or when the last repair is long enough ago.
    fn repair(&mut self, now: Instant, out: &mut Outbox) {
        let gap = self.params.advertisement_interval.as_duration().clamp(REPAIR_SOONEST, REPAIR_LATEST);
        let State::Master(master) = &mut self.state else { return };
        if master.announce.repair(now, gap, &self.params.announce) {
            master.announce_held(self.key, out);
        }
    }

    /// This node did not run for longer than a master-down interval and another is Master: it is a newcomer.
    ///
    /// An advert of priority 1 tells the other Master that there was a rival, and cannot unseat it: not sent to one of
    /// priority 1, against whom a higher address would win.
    fn rejoin(&mut self, now: Instant, heard: &Heard, length: Duration, out: &mut Outbox) {
        if heard.priority != Some(LOSING) {
            self.send_to(LOSING, heard.source, out);
        }
        self.repeat_at = None;
        out.push(Output::ReleaseVips { router: self.key });
        let backup = Backup::listen(now, now + self.own_master_down_interval());
        self.master = None;
        self.enter(now, State::Backup(backup), Reason::Paused { length }, Some(heard.source), out);
        self.backup_hears(now, heard, out);
    }

    /// Becomes Backup of a better Master, which learns from the farewell that it had a rival.
    fn step_down(&mut self, now: Instant, heard: &Heard, priority: Priority, reason: Reason, out: &mut Outbox) {
        self.repeat_at = None;
        let successor = Successor { address: heard.source, farewell: Some(self.effective) };
        self.handover = Some(Handover::yield_to(now, self.overlap(), successor));
        self.enter(now, State::Backup(Backup::listen(now, now)), reason, Some(heard.source), out);
        self.accept_master(now, heard.source, priority, heard.interval);
    }

    fn own_master_down_interval(&self) -> Duration {
        let params = &self.params;
        let interval = params.advertisement_interval.as_duration();
        master_down_interval(params.version, self.effective, interval, params.master_down_adverts)
    }
}

fn whole_intervals(lateness: Duration, interval: Duration) -> u32 {
    u32::try_from(lateness.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u32::MAX - 1)
}

/// A rival at our own interval sends one losing advert in each; one more leaves room for a second rival.
const ANSWERS_PER_INTERVAL: u32 = 2;

/// A rival is reported again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The shortest and the longest time between two repairs.
const REPAIR_SOONEST: Duration = Duration::from_millis(20);
const REPAIR_LATEST: Duration = Duration::from_secs(1);

/// The priority of an advert that loses against every Master of a higher one.
const LOSING: Priority = Priority::LOWEST;
