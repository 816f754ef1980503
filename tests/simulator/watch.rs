//! The contract of the engine for one router, checked output by output and after every turn.
//!
//! Knows nothing of the simulation: the fuzz target uses it as well.

use std::collections::VecDeque;
use std::time::Duration;

use vrrpd::engine::output::{EventKind, Output, Reason, StateName, Transition};
use vrrpd::engine::params::Preempt;
use vrrpd::engine::snapshot::{PeerSnapshot, RouterSnapshot};
use vrrpd::wire::field::Version;

/// What was seen of one router so far.
#[derive(Debug)]
pub struct Watch {
    interval: u64,
    /// It is in a group: a mate's offer makes it say twice that it makes none.
    is_grouped: bool,
    pub state: StateName,
    reason: Option<Reason>,
    /// Its last wish about the VIPs.
    pub wants_vips: bool,
    /// VIPs before this index are confirmed since the last `AcquireVips`.
    confirmed_end: u16,
    handover: Option<Handover>,
    /// It wants the addresses again before it gave them away: what it waits for began with its own resignation.
    takes_back: bool,
    /// Resignations since it was heard of as Master for the last time.
    zeros: Option<Zeros>,
    /// A Master resigned in this turn: it leaves, or it offers its addresses.
    has_resigned: bool,
    /// A Master that offered its addresses may be silent until then.
    offers_until: u64,
    /// The last output was an advert that is no resignation.
    has_just_sent: bool,
    /// A handover ended in this turn: the farewell may follow, to a peer and to the group.
    farewells: u8,
    /// An advert left while not Master: `AcquireVips` is owed.
    owes_acquire: bool,
    /// The kernel confirmed addresses that the neighbours do not know of yet.
    owes_announcement: bool,
    /// Mastership of an earlier process, which may go on until then.
    inherited_until: Option<u64>,
    /// Master without an advert so far: the first is due before that.
    first_until: Option<u64>,
    /// The last advert may have been the farewell after a handover, and not the first of a Master.
    may_be_farewell: bool,
    /// `AcquireVips` without a change to Master, or `ReleaseVips` or a resignation of a Master without leaving.
    owes_transition: Option<StateName>,
    /// When the last advert that was no resignation went out.
    pub advert_at: u64,
    pub announced_at: Option<u64>,
    rhythm: Option<Rhythm>,
    /// What the node waited for after the last turn.
    timeout: Option<u64>,
    window: VecDeque<Sample>,
    /// The snapshot after the last turn.
    pub last: Option<RouterSnapshot>,
    zero_heard_at: u64,
    releases: u64,
    /// It stays away on request since then.
    drained_at: Option<u64>,
}

/// Addresses that are kept although the router is Master no longer.
#[derive(Clone, Copy, Debug)]
struct Handover {
    began_at: u64,
    /// When a successor was heard.
    succeeded_at: Option<u64>,
}

/// The resignations of one departure or one offer.
#[derive(Clone, Copy, Debug)]
struct Zeros {
    began_at: u64,
    last_at: u64,
    /// Moments at which they were sent.
    rounds: u64,
}

/// Since when a Master has sent without an interruption, and its count of adverts before that.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    since: u64,
    sent_before: u64,
}

/// Counters at one time, for rates.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    sent: u64,
    zero_sent: u64,
    zero_heard: u64,
    changes: u64,
    /// Each may be followed by a farewell, also long after the change when the node did not run in between.
    releases: u64,
}

impl Watch {
    pub fn new(interval: Duration, is_grouped: bool) -> Self {
        Self {
            interval: interval.as_nanos() as u64,
            is_grouped,
            state: StateName::Init,
            reason: None,
            wants_vips: false,
            confirmed_end: 0,
            handover: None,
            takes_back: false,
            zeros: None,
            has_resigned: false,
            offers_until: 0,
            has_just_sent: false,
            farewells: 0,
            owes_acquire: false,
            owes_announcement: false,
            inherited_until: None,
            first_until: None,
            may_be_farewell: false,
            owes_transition: None,
            advert_at: 0,
            announced_at: None,
            rhythm: None,
            timeout: None,
            window: VecDeque::new(),
            last: None,
            zero_heard_at: 0,
            releases: 0,
            drained_at: None,
        }
    }

    /// The node is to go on as the Master that an earlier process was, which wanted the addresses.
    pub fn inherit(&mut self, until: u64) {
        self.inherited_until = Some(until);
        self.wants_vips = true;
    }

    /// The router stays away on request from then on; `None`: no longer.
    pub fn drain(&mut self, at: Option<u64>) {
        self.drained_at = at.map(|at| self.drained_at.unwrap_or(at));
    }

    /// Takes note that the kernel confirmed VIPs.
    pub fn confirm(&mut self, end: u16) {
        if self.wants_vips && end > 0 {
            self.confirmed_end = self.confirmed_end.max(end);
            self.owes_announcement = true;
        }
    }

    /// Checks one output of this router; `priority`: of the advert, if it is one.
    pub fn observe(&mut self, now: u64, output: &Output, priority: Option<u8>) -> Result<(), String> {
        let had_just_sent = std::mem::take(&mut self.has_just_sent);
        match output {
            Output::Send(_) if priority == Some(0) => self.resignation(now),
            Output::Send(_) => {
                self.has_just_sent = true;
                self.first_until = None;
                let is_farewell = self.farewells > 0;
                self.may_be_farewell = is_farewell;
                self.farewells = self.farewells.saturating_sub(1);
                if !is_farewell {
                    self.advert_at = now;
                    self.zeros = None;
                    self.owes_acquire = self.state != StateName::Master;
                }
                Ok(())
            }
            Output::AcquireVips { .. } => {
                let is_double = self.wants_vips && self.handover.is_none() && self.inherited_until.is_none();
                self.may_be_farewell &= had_just_sent;
                self.first_until = (!had_just_sent || self.may_be_farewell).then_some(now);
                self.owes_acquire = false;
                self.advert_at = now;
                self.wants_vips = true;
                // A confirmation from before the addresses went away may still be on the channel: nothing tells them
                // apart.
                if !std::mem::take(&mut self.owes_announcement) {
                    self.confirmed_end = 0;
                }
                self.takes_back = self.handover.take().is_some();
                // What was sent with this wish was no farewell.
                self.zeros = None;
                self.farewells = 0;
                self.owes_transition = Some(StateName::Master);
                demand(!is_double, "addresses are wanted twice")
            }
            Output::ReleaseVips { .. } => {
                let had = std::mem::replace(&mut self.wants_vips, false);
                self.inherited_until = None;
                self.releases += 1;
                self.farewells = if self.handover.take().is_some() { 2 } else { 0 };
                if self.state == StateName::Master {
                    self.owes_transition = Some(StateName::Backup);
                }
                demand(!self.owes_acquire, "an advert was sent by a node that is no Master")?;
                demand(had, "addresses are released that were not wanted")
            }
            Output::Announce { vips, .. } => {
                self.announced_at = Some(now);
                self.owes_announcement = false;
                demand(!self.owes_acquire, "an advert was sent by a node that is no Master")?;
                demand(self.state == StateName::Master, "a node that is no Master announces")?;
                demand(self.wants_vips && vips.end <= self.confirmed_end, "addresses are announced that are not held")
            }
            Output::Event(event) => match &event.kind {
                EventKind::Transition(transition) => self.transition(now, transition),
                EventKind::Discarded { .. }
                | EventKind::ClockSkew { .. }
                | EventKind::Clock(_)
                | EventKind::Mismatch { .. }
                | EventKind::Rival { .. }
                | EventKind::Checksum { .. }
                | EventKind::PreemptDelay { .. }
                | EventKind::Paused { .. }
                | EventKind::Priority { .. }
                | EventKind::HandedOver { .. }
                | EventKind::Vacant { .. }
                | EventKind::Check { .. }
                | EventKind::Group(_) => Ok(()),
            },
            Output::Finished => Err("the end of the node is no output of a router".into()),
        }
    }

    /// One datagram for each peer.
    fn resignation(&mut self, now: u64) -> Result<(), String> {
        let is_master = self.state == StateName::Master;
        demand(is_master || self.zeros.is_some(), "a node resigns that is no Master, or that has a successor")?;
        self.has_resigned |= is_master;
        let zeros = self.zeros.get_or_insert(Zeros { began_at: now, last_at: now, rounds: 1 });
        zeros.rounds += u64::from(now != zeros.last_at);
        zeros.last_at = now;
        Ok(())
    }

    fn transition(&mut self, now: u64, transition: &Transition) -> Result<(), String> {
        let Transition { from, to, ref reason, .. } = *transition;
        let owed = std::mem::take(&mut self.owes_transition);
        let before = std::mem::replace(&mut self.state, to);
        demand(from == before, "a change leaves a state the node was not in")?;
        demand(!self.owes_acquire, "an advert was sent by a node that is no Master")?;
        let previous = self.reason.replace(reason.clone());
        demand(
            from != to || (to == StateName::Fault && previous.as_ref() != Some(reason)),
            "a change that changes nothing",
        )?;
        if to == StateName::Master {
            // In the turn in which it was told, it may have been before.
            demand(self.drained_at.is_none_or(|at| at == now), "a drained node becomes Master")?;
            self.rhythm = None;
            demand(owed == Some(StateName::Master), "Master without wanting the addresses")?;
            self.check_patience(now, transition)?;
            self.check_first_advert(now, reason)?;
        } else {
            self.first_until = None;
        }
        if from == StateName::Master {
            let is_outdone =
                matches!(reason, Reason::HigherPriority { .. } | Reason::HigherAddress | Reason::Outranked { .. });
            let has_resigned = std::mem::take(&mut self.has_resigned);
            let may = owed.is_some() || is_outdone || has_resigned;
            demand(may, "Master no longer, without a resignation or a release")?;
            if self.wants_vips {
                let succeeded_at = is_outdone.then_some(now);
                self.handover = Some(Handover { began_at: now, succeeded_at });
            }
            if is_outdone {
                self.zeros = None;
            } else {
                // An offer is over; what is sent with this change belongs to the departure.
                self.zeros = self.zeros.map(|_| Zeros { began_at: now, last_at: now, rounds: 1 });
            }
            self.offers_until = 0;
        }
        Ok(())
    }

    /// A Backup must have waited as long as its snapshot before this turn said.
    fn check_patience(&self, now: u64, transition: &Transition) -> Result<(), String> {
        let Some(last) = &self.last else { return Ok(()) };
        let params = &last.params;
        let is_same_priority = last.effective_priority == transition.priority;
        if let Reason::MasterDown { silence, .. } = transition.reason {
            // In a group it may have been ready, and a priority that fell since then does not make it wait again.
            let adverts = 256 * u32::from(params.master_down_adverts);
            let least = if self.is_grouped { last.master_down * adverts / (adverts + 256) } else { last.master_down };
            let is_patient = !is_same_priority || silence >= least;
            demand(is_patient, "a Backup took over before its master-down interval was over")?;
        }
        if transition.reason == Reason::Resigned && is_same_priority && self.zero_heard_at > 0 && !self.takes_back {
            let part = 256 - u32::from(transition.priority.get());
            let skew = match params.version {
                Version::V2 => Duration::from_secs(1) * part / 256,
                // What is left of a master-down interval without its whole intervals, also of a learnt length.
                Version::V3 => last.master_down * part / (256 * u32::from(params.master_down_adverts) + part),
            };
            let waited = Duration::from_nanos(now - self.zero_heard_at + 10);
            demand(waited >= skew, "a Backup did not wait its skew after a resignation")?;
        }
        let is_forbidden = params.preempt == Preempt::Never && !params.is_owner();
        let is_preempting = matches!(transition.reason, Reason::Preempted { .. });
        demand(!(is_forbidden && is_preempting), "a Backup that never preempts preempted")
    }

    /// The advert comes before the addresses, but where a living Master is preempted a moment after them, and where
    /// mastership goes on when it is due.
    fn check_first_advert(&mut self, now: u64, reason: &Reason) -> Result<(), String> {
        let inherited_until = self.inherited_until.take();
        if matches!(reason, Reason::Adopted { .. }) {
            self.first_until = Some(now + self.interval);
            return demand(inherited_until.is_some_and(|until| now < until), "a mastership goes on that is over");
        }
        if self.first_until.is_some() {
            self.first_until = Some(now + WITHHELD.min(self.interval / 2));
            let is_preempting = matches!(reason, Reason::Preempted { .. });
            // What was sent right before the wish was its advert then, and no farewell.
            if !is_preempting && std::mem::take(&mut self.may_be_farewell) {
                self.first_until = None;
                return Ok(());
            }
            return demand(is_preempting, "addresses are wanted before the advert that says so");
        }
        Ok(())
    }

    /// Returns when the running departure or offer began with a resignation.
    pub fn resigned_at(&self) -> Option<u64> {
        self.zeros.map(|zeros| zeros.began_at)
    }

    /// Checks what holds between two turns. `timeout`: of the node.
    pub fn settle(&mut self, now: u64, after: RouterSnapshot, timeout: Option<u64>) -> Result<(), String> {
        let is_master = after.state == StateName::Master;
        self.has_just_sent = false;
        demand(!self.owes_acquire, "an advert was sent by a node that is no Master")?;
        demand(self.owes_transition.is_none(), "outputs of a change of state without the change")?;
        demand(after.state == self.state, "the snapshot names another state than the last event")?;
        demand(after.wants_vips == self.wants_vips, "the snapshot wants other addresses than the outputs said")?;
        demand(!is_master || self.wants_vips, "a Master that does not want the addresses")?;
        demand(!is_master || self.drained_at.is_none(), "a drained node is Master")?;
        demand(after.drained.is_some() == self.drained_at.is_some(), "the snapshot is wrong about who is drained")?;
        let owes_announcement = std::mem::take(&mut self.owes_announcement);
        self.check_confirmed(now, &after, owes_announcement)?;
        demand(
            !(is_master && owes_announcement && self.first_until.is_none()),
            "confirmed addresses are not announced",
        )?;
        demand(timeout.is_none_or(|at| at > now), "a deadline is not later than the turn that served it")?;
        if is_master {
            let own = after.master.map(|master| master.priority);
            demand(own == Some(after.effective_priority), "a Master does not show itself as the Master")?;
        }
        self.farewells = 0;
        self.check_handover(now, &after)?;
        self.check_zeros(now, &after)?;
        let known = self.last.as_ref().and_then(|last| last.master).map(|master| master.address);
        let resigns = |peer: &PeerSnapshot| {
            let is_from_now = peer.last_heard_at.is_some_and(|at| at.as_nanos() == now);
            is_from_now && peer.priority == Some(0) && known.is_none_or(|known| known == peer.address)
        };
        if after.peers.iter().any(resigns) {
            self.zero_heard_at = now;
        }
        if is_master {
            self.check_rhythm(now, &after)?;
        }
        self.check_answer(now, &after)?;
        self.timeout = timeout;
        self.check_rate(now, &after)?;
        self.last = Some(after);
        Ok(())
    }

    /// The first advert waits for the last address, and no longer than it may.
    fn check_confirmed(&mut self, now: u64, after: &RouterSnapshot, is_unannounced: bool) -> Result<(), String> {
        let Some(until) = self.first_until.filter(|_| after.state == StateName::Master) else { return Ok(()) };
        self.owes_announcement = is_unannounced;
        demand(now < until, "a Master is silent for longer than it may be at first")
    }

    /// Addresses are kept only while they are handed over, and not for longer than that may take.
    fn check_handover(&mut self, now: u64, after: &RouterSnapshot) -> Result<(), String> {
        if !self.wants_vips || after.state == StateName::Master || self.inherited_until.is_some_and(|at| now < at) {
            return Ok(());
        }
        let Some(handover) = &mut self.handover else { return Err("addresses are kept without a handover".into()) };
        let is_successor = |peer: &PeerSnapshot| {
            peer.priority > Some(0)
                && peer.last_heard_at.is_some_and(|at| at.as_nanos() == now && now > handover.began_at)
        };
        if after.peers.iter().any(is_successor) {
            handover.succeeded_at.get_or_insert(now);
        }
        let work = OVERLAP + OVERLAP_PER_VIP * after.params.vips.len() as u64;
        let overlap = work.max((self.interval / 10).min(OVERLAP_LONGEST));
        let alone = handover.began_at + (self.interval + GRACE).min(LONGEST);
        let until = handover.succeeded_at.map_or(alone, |at| alone.min(at + overlap));
        demand(now < until, "addresses are kept for longer than a handover may take")
    }

    /// A departure or an offer is told twice, no more.
    fn check_zeros(&mut self, now: u64, after: &RouterSnapshot) -> Result<(), String> {
        if after.state == StateName::Master && std::mem::take(&mut self.has_resigned) {
            // It waits its skew, which is less than an interval, or a second in version 2.
            let skew = if after.params.version == Version::V2 { 1_000_000_000 } else { self.interval };
            self.offers_until = now + REPETITION + skew;
        }
        let Some(zeros) = self.zeros else { return Ok(()) };
        let is_successor = |peer: &PeerSnapshot| {
            peer.priority > Some(0) && peer.last_heard_at.is_some_and(|at| at.as_nanos() == now && now > zeros.began_at)
        };
        if after.state != StateName::Master && after.peers.iter().any(is_successor) {
            self.zeros = None;
        }
        demand(zeros.rounds <= 2, "more than two resignations in one departure or offer")
    }

    /// A Master sends at least one advert in each interval, and lateness does not add up.
    fn check_rhythm(&mut self, now: u64, after: &RouterSnapshot) -> Result<(), String> {
        if now < self.offers_until {
            self.rhythm = None;
            return Ok(());
        }
        if self.first_until.is_some() {
            self.rhythm = None;
            return Ok(());
        }
        demand(now < self.advert_at + self.interval, "a Master let an interval pass without an advert")?;
        let sent = after.counters.advertisements_sent;
        // When the loop came late by an interval or more, what was missed is not made up; the answer to a resignation
        // starts the interval afresh.
        let zero_before = self.last.as_ref().map_or(0, |last| last.counters.priority_zero_received);
        let is_afresh = self.timeout.is_some_and(|at| now >= at + self.interval)
            || after.counters.priority_zero_received > zero_before;
        let begins = Rhythm { since: now, sent_before: sent - 1 };
        let rhythm = *self.rhythm.get_or_insert(begins);
        if is_afresh {
            self.rhythm = Some(begins);
            return Ok(());
        }
        let due = (now - rhythm.since) / self.interval + 1;
        demand(sent - rhythm.sent_before >= due, "lateness adds up: fewer adverts than intervals")
    }

    /// A Master answers a resignation at once, unless it has answered two within the interval. RFC 9568 section 6.4.3.
    fn check_answer(&self, now: u64, after: &RouterSnapshot) -> Result<(), String> {
        let Some(last) = &self.last else { return Ok(()) };
        let stays = last.state == StateName::Master && after.state == StateName::Master && last.since == after.since;
        let (before, after) = (&last.counters, &after.counters);
        let has_heard = after.priority_zero_received > before.priority_zero_received;
        let is_answered = after.advertisements_sent > before.advertisements_sent;
        let mut samples = self.window.iter().rev();
        let first = samples.find(|sample| sample.at + self.interval <= now).or(self.window.front());
        let recent = first.map_or(0, |first| after.advertisements_sent - first.sent);
        let is_excused = recent >= 2 || now < self.offers_until;
        demand(!(stays && has_heard) || is_answered || is_excused, "a Master did not answer a resignation")
    }

    /// No storm: in any interval at most one advert of the timer, two answers and one of each kind more that fell on the
    /// edge, two beside a mate's offer, besides one for each resignation heard, the own ones, and two for each change of state.
    fn check_rate(&mut self, now: u64, after: &RouterSnapshot) -> Result<(), String> {
        let counters = &after.counters;
        let sample = Sample {
            at: now,
            sent: counters.advertisements_sent,
            zero_sent: counters.priority_zero_sent,
            zero_heard: counters.priority_zero_received,
            changes: counters.became_master + counters.released_master,
            releases: self.releases,
        };
        // The first sample is the last one from before the interval that ends here.
        while self.window.get(1).is_some_and(|next| next.at + self.interval <= now) {
            self.window.pop_front();
        }
        self.window.push_back(sample);
        let first = self.window.front().copied().unwrap_or(sample);
        let farewells = sample.releases - first.releases;
        let zeros = sample.zero_heard - first.zero_heard + sample.zero_sent - first.zero_sent;
        let insists = if self.is_grouped { 2 } else { 0 };
        let budget = 4 + insists + zeros + 2 * (sample.changes - first.changes) + farewells;
        demand(sample.sent - first.sent <= budget, "more adverts in one interval than its budget")
    }
}

fn demand(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// How long a handover takes at most: without a successor, and after the successor was heard.
const GRACE: u64 = 100_000_000;
const LONGEST: u64 = 5_000_000_000;
/// How long the first advert waits for the addresses.
const WITHHELD: u64 = 100_000_000;
const REPETITION: u64 = 50_000_000;
const OVERLAP: u64 = 10_000_000;
const OVERLAP_PER_VIP: u64 = 100_000;
const OVERLAP_LONGEST: u64 = 100_000_000;
