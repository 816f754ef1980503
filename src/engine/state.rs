//! The states of a virtual router with the deadlines that belong to each. RFC 9568 section 6.3.
//!
//! A deadline is a field of the state it belongs to: leaving the state ends it, so nothing can fire late by mistake.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use super::input::RouterKey;
use super::outbox::Outbox;
use super::output::{Output, Reason, StateName};
use super::params::AnnounceSchedule;
use super::snapshot::RivalSnapshot;
use super::time::Instant;
use crate::wire::field::Priority;

/// The state of a virtual router.
#[derive(Debug)]
pub(super) enum State {
    /// Not taking part.
    Initialize {
        /// What keeps it from taking part; `None` before start and after stop.
        held_back: Option<Reason>,
    },
    /// Listening.
    Backup(Backup),
    /// Holding the addresses.
    Master(Master),
}

/// Listening for the Master.
#[derive(Debug)]
pub(super) struct Backup {
    /// Master_Down_Timer.
    pub down_at: Instant,
    /// The last accepted advert, or when it began to listen.
    pub heard_at: Instant,
    /// The last thing heard of the Master was its resignation.
    pub has_resigned: bool,
    /// The Master got one more skew because this node itself was late.
    pub has_excused: bool,
    /// A worse Master is endured until then (`preempt = "after"`).
    pub preempt_at: Option<Instant>,
    /// The last worse Master that was heard and discarded.
    pub worse: Option<Worse>,
    /// Its patience is over and it waits for the other members of its group, or stays away on request; the down timer is
    /// off.
    pub is_willing: bool,
}

/// A Master that this Backup is going to preempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worse {
    pub address: IpAddr,
    pub priority: Priority,
    pub at: Instant,
}

/// Holding the addresses.
#[derive(Debug)]
pub(super) struct Master {
    /// Adver_Timer.
    pub advert_at: Instant,
    /// The VIPs that the kernel confirmed: ascending, apart from each other.
    held: Vec<Range<u16>>,
    /// VIPs that were announced before a reload and will be confirmed once more.
    known: BTreeSet<u16>,
    /// When to announce the addresses again.
    pub announce: Announcing,
    /// When a losing advert was last answered.
    pub answered_at: Option<Instant>,
    /// When the last two resignations were answered, the older one first.
    resignations_answered_at: [Option<Instant>; RESIGNATIONS_PER_INTERVAL],
    /// When a rival was last reported.
    pub rival_told_at: Option<Instant>,
    /// The other Master that was last heard.
    pub rival: Option<RivalSnapshot>,
    /// A living Master that made way and has not said farewell yet.
    pub predecessor: Option<IpAddr>,
    /// It preempts a living Master: its first advert waits for the addresses, until then at the latest.
    pub withheld_until: Option<Instant>,
    /// It has offered the addresses to whoever is better, and is silent until its own skew is over: from when on the
    /// peers count theirs.
    pub offered_at: Option<Instant>,
}

/// The times at which a Master repeats its announcement.
#[derive(Debug)]
pub(super) struct Announcing {
    base: Instant,
    step: usize,
    /// The next one; `None`: never.
    pub at: Option<Instant>,
    repaired_at: Option<Instant>,
    /// `at` stands for a repair that had to wait.
    is_deferred: bool,
}

impl State {
    /// Returns the state's name for operators.
    pub fn name(&self) -> StateName {
        match self {
            Self::Initialize { held_back: None | Some(Reason::AwaitingCheck { .. }) } => StateName::Init,
            Self::Initialize { held_back: Some(_) } => StateName::Fault,
            Self::Backup(_) => StateName::Backup,
            Self::Master(_) => StateName::Master,
        }
    }
}

impl Backup {
    /// Begins to listen.
    pub fn listen(now: Instant, down_at: Instant) -> Self {
        Self {
            down_at,
            heard_at: now,
            has_resigned: false,
            has_excused: false,
            preempt_at: None,
            worse: None,
            is_willing: false,
        }
    }
}

impl Master {
    /// Begins to hold the addresses; the first advert went out at `now` or was due at `deadline`.
    pub fn begin(advert_at: Instant, now: Instant, schedule: &AnnounceSchedule, predecessor: Option<IpAddr>) -> Self {
        Self {
            advert_at,
            held: Vec::new(),
            known: BTreeSet::new(),
            announce: Announcing::begin(now, schedule),
            answered_at: None,
            resignations_answered_at: [None; RESIGNATIONS_PER_INTERVAL],
            rival_told_at: None,
            rival: None,
            predecessor,
            withheld_until: None,
            offered_at: None,
        }
    }

    /// Takes note of another Master; one that was silent for longer than `memory` begins afresh.
    ///
    /// Of several the one that was there first is told of for as long as it lives.
    pub fn meet(&mut self, now: Instant, address: IpAddr, priority: Priority, memory: Duration) {
        let known = self.rival.filter(|rival| now.since(rival.heard_at) <= memory);
        self.rival = match known {
            Some(rival) if rival.address == address => Some(RivalSnapshot { priority, heard_at: now, ..rival }),
            Some(rival) => Some(rival),
            None => Some(RivalSnapshot { address, priority, since: now, heard_at: now }),
        };
    }

    /// Says whether to answer a resignation, and takes note that it is: as many in one interval as one node sends.
    pub fn may_answer_resignation(&mut self, now: Instant, interval: Duration) -> bool {
        let [oldest, ..] = &mut self.resignations_answered_at;
        if oldest.is_some_and(|at| now.since(at) < interval) {
            return false;
        }
        *oldest = Some(now);
        self.resignations_answered_at.rotate_left(1);
        true
    }

    /// Takes note of addresses that the kernel confirms.
    pub fn hold(&mut self, vips: Range<u16>) {
        self.held.push(vips);
        self.held.sort_by_key(|vips| vips.start);
        self.held.dedup_by(|next, kept| {
            let is_joined = next.start <= kept.end;
            if is_joined {
                kept.end = kept.end.max(next.end);
            }
            is_joined
        });
    }

    /// Returns how many VIPs the kernel confirmed.
    pub fn held_count(&self) -> usize {
        self.held.iter().map(|vips| usize::from(vips.end.saturating_sub(vips.start))).sum()
    }

    /// Takes over other addresses: `was_at` says where each of them was before. What was held stays so, and its next
    /// confirmation is no news to the neighbours.
    pub fn rearrange(&mut self, was_at: &[Option<u16>]) {
        let held = std::mem::take(&mut self.held);
        self.known.clear();
        for (index, was) in (0u16..).zip(was_at) {
            if was.is_some_and(|was| held.iter().any(|vips| vips.contains(&was))) {
                self.hold(index..index.saturating_add(1));
                self.known.insert(index);
            }
        }
    }

    /// Takes note of addresses that the kernel confirms; returns those that the neighbours do not know.
    pub fn confirm(&mut self, vips: Range<u16>) -> Vec<Range<u16>> {
        self.hold(vips.clone());
        if self.known.is_empty() {
            return vec![vips];
        }
        let mut unknown: Vec<Range<u16>> = Vec::new();
        for index in vips {
            if self.known.remove(&index) {
                continue;
            }
            match unknown.last_mut() {
                Some(last) if last.end == index => last.end = index.saturating_add(1),
                Some(_) | None => unknown.push(index..index.saturating_add(1)),
            }
        }
        unknown
    }

    /// Announces every address that is held, and no other: RFC 9568 sections 8.1.2 and 8.2.2.
    pub fn announce_held(&self, router: RouterKey, out: &mut Outbox) {
        for vips in &self.held {
            out.push(Output::Announce { router, vips: vips.clone() });
        }
    }
}

impl Announcing {
    pub fn begin(base: Instant, schedule: &AnnounceSchedule) -> Self {
        let mut announcing = Self { base, step: 0, at: None, repaired_at: None, is_deferred: false };
        announcing.at = announcing.next(schedule);
        announcing
    }

    fn next(&self, schedule: &AnnounceSchedule) -> Option<Instant> {
        match (schedule.repeats.get(self.step), schedule.refresh) {
            (Some(repeat), _) => Some(self.base + *repeat),
            (None, Some(refresh)) => Some(self.base + refresh),
            (None, None) => None,
        }
    }

    /// Goes on to the repetition after the one that is due.
    pub fn advance(&mut self, now: Instant, schedule: &AnnounceSchedule) {
        if self.is_deferred {
            *self = Self { repaired_at: Some(now), ..Self::begin(now, schedule) };
            return;
        }
        if self.step >= schedule.repeats.len() {
            self.base = now;
        } else {
            self.step += 1;
        }
        self.at = self.next(schedule).map(|at| if at <= now { now + SOONEST } else { at });
    }

    /// Starts over because the neighbours may have been misled; says whether to announce at once.
    ///
    /// At most once per `gap`: a second call within it moves the announcement to its end.
    pub fn repair(&mut self, now: Instant, gap: Duration, schedule: &AnnounceSchedule) -> bool {
        let allowed_at = self.repaired_at.map(|at| at + gap);
        if let Some(later) = allowed_at.filter(|&at| at > now) {
            self.at = Some(later);
            self.is_deferred = true;
            return false;
        }
        *self = Self { repaired_at: Some(now), ..Self::begin(now, schedule) };
        true
    }
}

/// A resignation is sent twice.
const RESIGNATIONS_PER_INTERVAL: usize = 2;

/// A repetition that was missed (a pause) is not made up in a burst.
const SOONEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn announcements_follow_the_schedule_and_then_the_refresh() {
        let schedule = AnnounceSchedule::default();
        let mut announcing = Announcing::begin(at(0), &schedule);
        let mut times = Vec::new();
        for _ in 0..4 {
            let due = announcing.at.unwrap();
            times.push(due.as_nanos() / 1_000_000);
            announcing.advance(due, &schedule);
        }
        assert_eq!(times, [1_000, 5_000, 60_000, 120_000]);
    }

    #[test]
    fn repairs_are_rate_limited_but_none_is_lost() {
        let schedule = AnnounceSchedule::default();
        let mut announcing = Announcing::begin(at(0), &schedule);
        let gap = Duration::from_millis(100);
        assert!(announcing.repair(at(10), gap, &schedule));
        assert!(!announcing.repair(at(11), gap, &schedule));
        assert_eq!(announcing.at, Some(at(110)), "made up at the end of the gap");
        announcing.advance(at(110), &schedule);
        assert_eq!(announcing.at, Some(at(1110)), "and the repetitions start over");
        assert!(announcing.repair(at(220), gap, &schedule));
    }
}
