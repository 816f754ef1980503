//! By which time adverts are signed and judged: the boot clock, set once by the wall clock.
//!
//! A wall clock that is stepped is not followed at once: peers believed the time before a moment ago, and following a wrong
//! step would make two Masters for as long as the clock is wrong. The time before is kept, the wall clock is remembered,
//! and a peer whose good advert fits the wall clock alone settles it. Deadlines never look at this clock.
//! One stop before: `engine::node`, which shows it both clocks at every turn. One stop after: `engine::send` stamps by
//! it, `engine::authenticate` judges by it.

use std::time::Duration;

use super::output::{ClockOffset, ClockTrouble};
use super::replay::{Era, Moment};
use super::time::{Instant, Now};
use crate::wire::auth::Sequence;

/// The time of this node, as time since 1970-01-01 UTC.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// What is signed and judged by; goes on with the boot clock.
    kept: Duration,
    /// The wall clock at the last look.
    wall: Duration,
    /// When that was; `None` before the first look.
    looked_at: Option<Instant>,
    /// The wall clock was set, and `kept` is the time before that.
    is_stepped: bool,
    /// Some peer may know `kept`: an advert was signed by it.
    is_known: bool,
    /// Some peer goes by `kept`: its advert was believed by it.
    is_shared: bool,
    /// Goes up when `kept` is another time than the one before.
    era: Era,
    /// When a step was told of; a clock that is set again and again does not fill the log.
    told_at: Option<Instant>,
}

impl Clock {
    /// Takes note of both clocks; returns what is worth telling.
    pub fn look(&mut self, now: Now) -> Option<ClockTrouble> {
        let Some(looked_at) = self.looked_at.replace(now.mono) else {
            (self.kept, self.wall) = (now.utc, now.utc);
            return (now.utc < RELEASE).then_some(ClockTrouble::BeforeRelease { utc: now.utc });
        };
        let elapsed = now.mono.since(looked_at);
        let expected = self.wall.saturating_add(elapsed);
        self.kept = self.kept.saturating_add(elapsed);
        self.wall = now.utc;
        if !self.is_worth_keeping() || self.wall.abs_diff(self.kept) < STEP {
            self.kept = self.wall;
            let was_told = std::mem::take(&mut self.is_stepped) && self.told_at.is_some();
            return was_told.then_some(ClockTrouble::Restored);
        }
        let is_set = !std::mem::replace(&mut self.is_stepped, true) || self.wall.abs_diff(expected) >= STEP;
        if !is_set || self.told_at.is_some_and(|at| now.mono.since(at) < TELL_AGAIN) {
            return None;
        }
        self.told_at = Some(now.mono);
        Some(ClockTrouble::Stepped { by: self.step() })
    }

    /// Returns the time that is signed and judged by.
    pub fn time(&self) -> Sequence {
        Sequence::from_utc(self.kept)
    }

    /// Returns the time that is signed by where stamps only must not go back: a clock that was set forward is followed, or
    /// a node that began without a clock would stay behind what its peers remember of it.
    pub fn latest(&self) -> Sequence {
        Sequence::from_utc(self.kept.max(self.wall))
    }

    /// Returns the time that is signed and judged by, and its era.
    pub fn moment(&self) -> Moment {
        Moment { time: self.time(), era: self.era }
    }

    /// Returns the time of a wall clock that was set and is not followed, and the era that begins when it is.
    pub fn alternative(&self) -> Option<Moment> {
        self.is_stepped.then(|| Moment { time: Sequence::from_utc(self.wall), era: self.era.next() })
    }

    /// Takes note that an advert was signed by this time, so that others may go by it.
    pub fn mark_known(&mut self) {
        self.is_known = true;
    }

    /// Takes note that an advert was believed by this time, so that others do go by it.
    pub fn mark_shared(&mut self) {
        self.is_shared = true;
    }

    /// Goes by the wall clock from here on, because a peer does.
    pub fn follow(&mut self) -> ClockTrouble {
        let by = self.step();
        self.kept = self.wall;
        self.era = self.era.next();
        self.is_stepped = false;
        ClockTrouble::Followed { by }
    }

    /// Says whether anybody may miss the time that is kept: not one that nobody knows, nor one that is wrong beyond doubt
    /// (a host without a clock of its own begins in 1970) and that no peer shares.
    fn is_worth_keeping(&self) -> bool {
        let is_absurd = self.kept < RELEASE && self.wall >= RELEASE;
        self.is_shared || (self.is_known && !is_absurd)
    }

    /// Returns how far the wall clock is from the time that is kept.
    fn step(&self) -> ClockOffset {
        ClockOffset { length: self.wall.abs_diff(self.kept), is_ahead: self.wall > self.kept }
    }
}

/// A wall clock that moves by less is slewed, or read a little late, and followed.
const STEP: Duration = Duration::from_secs(1);

/// A further step is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// 2026-11-01, before which this program did not exist.
const RELEASE: Duration = Duration::from_secs(1_793_491_200);

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01.
    const BEGIN: u64 = 1_796_083_200_000;

    /// A clock that was looked at once and is known to peers, at 100 s after boot.
    fn clock() -> Clock {
        let mut clock = Clock::default();
        assert_eq!(clock.look(at(0, 0)), None);
        clock.mark_known();
        clock
    }

    /// Both clocks `ms` later, the wall clock `step` ms off.
    fn at(ms: u64, step: i64) -> Now {
        let utc = Duration::from_millis((BEGIN + ms).checked_add_signed(step).unwrap());
        Now { mono: Instant::from_nanos((100_000 + ms) * 1_000_000), utc }
    }

    fn ahead(ms: u64) -> ClockOffset {
        ClockOffset { length: Duration::from_millis(ms), is_ahead: true }
    }

    fn behind(ms: u64) -> ClockOffset {
        ClockOffset { is_ahead: false, ..ahead(ms) }
    }

    fn shows(clock: &Clock, ms: u64) -> bool {
        clock.time() == Sequence::from_utc(Duration::from_millis(BEGIN + ms))
    }

    #[test]
    fn small_moves_are_followed_and_steps_are_kept_off() {
        let mut clock = clock();
        assert_eq!(clock.look(at(1000, 999)), None);
        assert!(shows(&clock, 1999) && clock.alternative().is_none());
        assert_eq!(clock.look(at(2000, -1)), Some(ClockTrouble::Stepped { by: behind(1000) }));
        assert!(shows(&clock, 2999), "goes on with the boot clock");
        let wall = clock.alternative().map(|moment| moment.time);
        assert_eq!(wall, Some(Sequence::from_utc(Duration::from_millis(BEGIN + 1999))));
    }

    #[test]
    fn step_is_told_once_and_so_is_its_end() {
        let mut clock = clock();
        assert_eq!(clock.look(at(1000, 3_600_000)), Some(ClockTrouble::Stepped { by: ahead(3_600_000) }));
        assert_eq!(clock.look(at(2000, 3_600_000)), None);
        assert_eq!(clock.look(at(3000, 3_600_500)), None, "slewed");
        assert_eq!(clock.look(at(4000, 900)), Some(ClockTrouble::Restored));
        assert!(shows(&clock, 4900) && clock.alternative().is_none());
        assert_eq!(clock.look(at(5000, 0)), None);
    }

    #[test]
    fn clock_that_is_set_again_and_again_is_told_once_a_minute() {
        let mut clock = clock();
        let told: Vec<u64> = (1..180)
            .filter(|second| clock.look(at(second * 1000, 10_000 * (*second as i64 % 7 + 1))).is_some())
            .collect();
        assert_eq!(told, [1, 61, 121]);
    }

    #[test]
    fn clock_that_a_peer_goes_by_is_followed() {
        let mut clock = clock();
        clock.look(at(1000, -3_600_000));
        assert_eq!(clock.follow(), ClockTrouble::Followed { by: behind(3_600_000) });
        assert!(clock.alternative().is_none() && clock.moment().era == Era::default().next());
        assert_eq!(clock.look(at(2000, -3_600_000)), None);
        assert_eq!(clock.time(), Sequence::from_utc(at(2000, -3_600_000).utc));
    }

    #[test]
    fn step_before_anybody_knows_our_time_is_followed_in_silence() {
        let mut clock = Clock::default();
        assert_eq!(clock.look(at(0, 0)), None);
        assert_eq!(clock.look(at(1000, 3_600_000)), None);
        assert!(shows(&clock, 3_601_000) && clock.alternative().is_none());
    }

    #[test]
    fn time_before_the_release_is_kept_only_when_a_peer_shares_it() {
        for is_shared in [false, true] {
            let mut clock = Clock::default();
            clock.look(Now { utc: Duration::from_secs(50), ..at(0, 0) });
            clock.mark_known();
            if is_shared {
                clock.mark_shared();
            }
            assert_eq!(clock.look(at(1000, 0)).is_some(), is_shared);
            assert_eq!(shows(&clock, 1000), !is_shared);
        }
    }

    #[test]
    fn latest_time_goes_forward_with_a_step_and_never_back() {
        for (step, latest) in [(3_600_000, 3_601_000), (-3_600_000, 1000)] {
            let mut clock = clock();
            clock.look(at(1000, step));
            assert_eq!(clock.latest(), Sequence::from_utc(Duration::from_millis(BEGIN + latest)));
        }
    }

    #[test]
    fn clock_before_the_release_is_told_at_the_first_look_alone() {
        let mut clock = Clock::default();
        let utc = Duration::from_secs(1);
        let now = Now { utc, ..at(0, 0) };
        assert_eq!(clock.look(now), Some(ClockTrouble::BeforeRelease { utc }));
        assert_eq!(clock.look(now), None);
    }
}
