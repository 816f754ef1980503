//! Memory of sequences seen and sent: what makes an advert that was recorded worthless.
//!
//! One stop before: `engine::authenticate`, which moves a mark only after every check has passed, and `engine::send`.
//!
//! | | sequence | memory |
//! |---|---|---|
//! | Authentication Header | 32 bits, counts adverts | one counter for all senders, as Keepalived has it: whoever becomes Master goes on from the highest number heard |
//! | HMAC trailer | 64 bits, [`Sequence`] | one [`Accepted`] for each sender, the last one sent |

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::output::ClockOffset;
use super::params::ReplayGuard;
use crate::wire::auth::Sequence;

/// What one virtual router has sent, and what it has heard under an Authentication Header.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    highest: u32,
    /// Who sent the highest number, when it was not this node.
    latest: Option<(IpAddr, Ways)>,
    ip_id: u16,
    /// The last stamp that was signed; `None`: nothing yet, which no number can say.
    last: Option<Sequence>,
}

/// What was accepted from one sender of signed adverts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    last: Option<Mark>,
    /// The latest stamps that were accepted by time, oldest first; never more than [`RECENT_MAX`]. A clock that is set back
    /// shows times again for which there are recordings, and only these stamps tell them from what is said at last.
    recent: VecDeque<Sequence>,
}

/// The last sequence accepted from one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    sequence: Sequence,
    ways: Ways,
    era: Era,
}

/// How often the clock of this node was set to another time than the one that stamps were judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Era(u32);

/// By which time a stamp is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub time: Sequence,
    pub era: Era,
}

/// How an advert came: a router that sends to its peers and to a group sends each twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this node alone.
    Unicast,
    /// To a group.
    Group,
}

/// The ways by which one advert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ways {
    One(Way),
    Both,
}

/// What memory says of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// Not seen before.
    Fresh,
    /// The second copy of the last one, by the other way.
    Copy,
    /// Seen before, or older than one that was.
    Replayed,
}

impl Replay {
    /// Judges the sequence number of an Authentication Header.
    pub fn judge(&self, source: IpAddr, sequence: u32, way: Way) -> Novelty {
        match self.latest {
            _ if sequence > self.highest => Novelty::Fresh,
            Some((sender, ways)) if sequence == self.highest && sender == source && ways.lack(way) => Novelty::Copy,
            Some(_) | None => Novelty::Replayed,
        }
    }

    /// Remembers a number that was judged fresh or a copy; only after every other check has passed.
    pub fn accept(&mut self, source: IpAddr, sequence: u32, way: Way) {
        let ways = if sequence > self.highest { Ways::One(way) } else { Ways::Both };
        self.highest = self.highest.max(sequence);
        self.latest = Some((source, ways));
    }

    /// Returns the sequence number and the IP id of the next advert; the id is never 0.
    pub fn next(&mut self) -> (u32, u16) {
        self.highest = self.highest.saturating_add(1);
        self.latest = None;
        self.ip_id = self.ip_id.checked_add(1).unwrap_or(1);
        (self.highest, self.ip_id)
    }

    /// Returns the last stamp that was signed.
    pub fn stamped(&self) -> Option<Sequence> {
        self.last
    }

    /// Returns the highest number of an Authentication Header, heard or sent; 0: none.
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// Goes on where an earlier process ended. What it wrote down may be a few adverts old: beyond those, so that
    /// no peer sees a number twice.
    pub fn resume(&mut self, stamp: Option<Sequence>, highest: u32) {
        self.last = stamp.map(|stamp| Sequence::from_bits(stamp.bits().wrapping_add(UNWRITTEN_STAMPS)));
        self.highest = if highest == 0 { 0 } else { highest.saturating_add(UNWRITTEN_NUMBERS) };
    }

    /// Returns the stamp of the next signed advert: `now`, or the one after the last when that is not behind `now`.
    ///
    /// A last stamp far ahead comes from a clock that was wrong: receivers that go by time refuse what follows it, so `now`
    /// is right. Far is beyond all that a receiver may have accepted, whose clock is ahead of ours by half a window: it
    /// would refuse `now` for longer than it has to wait for what follows the last stamp.
    pub fn stamp(&mut self, now: Sequence, guard: ReplayGuard) -> Sequence {
        let stamp = match (self.last, guard) {
            (None, _) => now,
            (Some(last), _) if now.is_after(last) => now,
            (Some(last), ReplayGuard::Time { window }) if offset(last, now).length >= far(window) => now,
            (Some(last), ReplayGuard::Time { .. } | ReplayGuard::Monotonic) => last.next(),
        };
        self.last = Some(stamp);
        stamp
    }
}

impl Accepted {
    /// Returns the last stamp that was accepted.
    pub fn last(&self) -> Option<Sequence> {
        self.last.map(|mark| mark.sequence)
    }

    /// Says whether nothing was accepted yet.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Judges a stamp by what was accepted from its sender.
    pub fn judge(&self, sequence: Sequence, moment: Moment, guard: ReplayGuard, way: Way) -> Novelty {
        match self.last {
            Some(mark) if sequence == mark.sequence && mark.ways.lack(way) => Novelty::Copy,
            Some(mark) if mark.is_valid(moment, guard) && !sequence.is_after(mark.sequence) => Novelty::Replayed,
            Some(_) | None if self.recent.contains(&sequence) => Novelty::Replayed,
            Some(_) | None => Novelty::Fresh,
        }
    }

    /// Remembers a stamp that was judged fresh or a copy; only after every other check has passed.
    pub fn accept(&mut self, sequence: Sequence, era: Era, guard: ReplayGuard, way: Way) {
        if self.last() == Some(sequence) {
            self.last = Some(Mark { sequence, ways: Ways::Both, era });
            return;
        }
        self.last = Some(Mark { sequence, ways: Ways::One(way), era });
        match guard {
            ReplayGuard::Time { .. } => {
                if self.recent.len() >= RECENT_MAX {
                    self.recent.pop_front();
                }
                self.recent.push_back(sequence);
            }
            ReplayGuard::Monotonic => {}
        }
    }
}

impl Mark {
    /// Says whether what comes must come after it.
    ///
    /// Not when it lies outside the window: it comes from a clock that was wrong, and what it guards against is stale. Nor
    /// when it is of an earlier era and lies ahead: its sender, whose clock differs a little, may have found it outside,
    /// and started over.
    fn is_valid(&self, moment: Moment, guard: ReplayGuard) -> bool {
        let ReplayGuard::Time { window } = guard else { return true };
        let is_in_doubt = self.era != moment.era && self.sequence.is_after(moment.time);
        is_within(self.sequence, moment.time, window) && !is_in_doubt
    }
}

impl Era {
    /// Returns the era after this one.
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl Ways {
    fn lack(self, way: Way) -> bool {
        match self {
            Self::One(known) => known != way,
            Self::Both => false,
        }
    }
}

/// Says whether two stamps are at most `window` apart, counted in whole seconds.
pub(super) fn is_within(a: Sequence, b: Sequence, window: Duration) -> bool {
    u64::from(a.seconds_ahead_of(b).unsigned_abs()) <= window.as_secs()
}

/// Returns how far ahead a stamp is that no receiver can have accepted: windows count whole seconds.
fn far(window: Duration) -> Duration {
    window + Duration::from_secs(1) + window / 2
}

/// Returns how far a stamp is from our time, in whole milliseconds.
pub(super) fn offset(theirs: Sequence, ours: Sequence) -> ClockOffset {
    let difference = theirs.bits().wrapping_sub(ours.bits()).cast_signed();
    // 32 bits of seconds, 32 of their fraction.
    let ms = (u128::from(difference.unsigned_abs()) * 1000) >> 32;
    ClockOffset { length: Duration::from_millis(ms as u64), is_ahead: difference > 0 }
}

/// A fifth of a second of stamps: what was signed since the state was last written down, twice over.
const UNWRITTEN_STAMPS: u64 = (1 << 32) / 5;

/// As many numbers as no router sends in that time: where they are used the interval is a second at least.
const UNWRITTEN_NUMBERS: u32 = 16;

/// Stamps of one sender that are remembered: 1 KiB for each; two minutes at one advert a second.
const RECENT_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: ReplayGuard = ReplayGuard::Time { window: Duration::from_secs(5) };
    const GUARDS: [ReplayGuard; 2] = [TIME, ReplayGuard::Monotonic];

    fn at(seconds: u32) -> Sequence {
        Sequence::from_bits(u64::from(seconds) << 32)
    }

    fn sent(last: Sequence) -> Replay {
        Replay { last: Some(last), ..Replay::default() }
    }

    fn moment(seconds: u32) -> Moment {
        Moment { time: at(seconds), era: Era::default() }
    }

    fn accepted(sequences: impl IntoIterator<Item = u32>, guard: ReplayGuard) -> Accepted {
        let mut accepted = Accepted::default();
        sequences.into_iter().for_each(|sequence| accepted.accept(at(sequence), Era::default(), guard, Way::Unicast));
        accepted
    }

    fn judge(mark: u32, sequence: u32, now: u32, guard: ReplayGuard) -> Novelty {
        accepted([mark], guard).judge(at(sequence), moment(now), guard, Way::Unicast)
    }

    #[test]
    fn first_stamp_is_the_clock_whatever_the_year() {
        for (now, guard) in [at(1), at(0x7fff_ffff), at(0x8000_0000), at(u32::MAX)].into_iter().zip(GUARDS.repeat(2)) {
            assert_eq!(Replay::default().stamp(now, guard), now);
        }
    }

    #[test]
    fn stamps_of_one_moment_differ_and_carry() {
        for guard in GUARDS {
            let last = Sequence::from_bits(0x0000_0064_8000_fffe);
            let mut replay = sent(last);
            let now = Sequence::from_bits(0x0000_0064_8000_0000);
            let stamps = [0; 3].map(|_| replay.stamp(now, guard).bits());
            assert_eq!(stamps, [0x64_8000_ffff, 0x64_8001_0000, 0x64_8001_0001]);
        }
        assert_eq!(sent(Sequence::from_bits(0x64_ffff_ffff)).stamp(at(100), TIME), at(101), "into the seconds");
    }

    #[test]
    fn sender_whose_clock_goes_back_goes_on_while_it_may_be_believed_and_starts_over_beyond() {
        for (behind, by_time) in
            [(1, at(1000).next()), (5, at(1000).next()), (8, at(1000).next()), (9, at(991)), (900, at(100))]
        {
            let now = at(1000 - behind);
            assert_eq!(sent(at(1000)).stamp(now, TIME), by_time, "{behind} s");
            assert_eq!(sent(at(1000)).stamp(now, ReplayGuard::Monotonic), at(1000).next(), "{behind} s");
        }
    }

    #[test]
    fn sender_goes_on_across_the_wrap_of_the_seconds() {
        for guard in GUARDS {
            assert_eq!(sent(at(u32::MAX)).stamp(at(0), guard), at(0));
            assert_eq!(sent(at(1)).stamp(at(u32::MAX), guard), at(1).next(), "back across it");
        }
    }

    #[test]
    fn mark_lets_later_stamps_alone_pass() {
        for guard in GUARDS {
            for (mark, sequence, now, expected) in [
                (100, 101, 101, Novelty::Fresh),
                (100, 100, 100, Novelty::Replayed),
                (100, 99, 100, Novelty::Replayed),
                (u32::MAX, 0, 0, Novelty::Fresh),
                (0, u32::MAX, 0, Novelty::Replayed),
                (105, 104, 100, Novelty::Replayed),
            ] {
                assert_eq!(judge(mark, sequence, now, guard), expected, "{mark} {sequence} {guard:?}");
            }
        }
    }

    #[test]
    fn mark_beyond_the_window_counts_in_monotonic_mode_alone() {
        assert_eq!(judge(3700, 100, 100, TIME), Novelty::Fresh);
        assert_eq!(judge(106, 100, 100, TIME), Novelty::Fresh);
        assert_eq!(judge(7300, 100, 100, ReplayGuard::Monotonic), Novelty::Replayed);
    }

    #[test]
    fn mark_of_the_time_before_a_step_back_is_void_and_what_was_accepted_is_never_accepted_again() {
        let accepted = accepted(1..=100, TIME);
        let anew = Era::default().next();
        let judge = |now: u32, era, stamp| {
            accepted.judge(Sequence::from_bits(stamp), Moment { time: at(now), era }, TIME, Way::Unicast)
        };
        for now in [60, 96, 99] {
            let (recorded, said) = (at(now).bits(), at(now).bits() + 1);
            assert_eq!(judge(now, anew, recorded), Novelty::Replayed, "{now}");
            assert_eq!(judge(now, anew, said), Novelty::Fresh, "{now}: its sender may have started over");
        }
        assert_eq!(judge(96, Era::default(), at(96).bits() + 1), Novelty::Replayed, "no step");
        assert_eq!(judge(101, anew, at(99).bits() + 1), Novelty::Replayed, "a mark that lies behind");
    }

    #[test]
    fn memory_of_stamps_is_bounded() {
        let count = RECENT_MAX as u32 + 10;
        let accepted = accepted(1..=count, TIME);
        assert_eq!(accepted.recent.len(), RECENT_MAX);
        let judge =
            |stamp| accepted.judge(at(stamp), Moment { time: at(1), era: Era::default().next() }, TIME, Way::Group);
        assert_eq!([judge(10), judge(11)], [Novelty::Fresh, Novelty::Replayed]);
        assert!(super::tests::accepted(1..=count, ReplayGuard::Monotonic).recent.is_empty(), "a mark never ends there");
    }

    #[test]
    fn second_copy_is_known_once_and_by_the_other_way_alone() {
        for guard in GUARDS {
            let mut accepted = accepted([100], guard);
            let judge = |accepted: &Accepted, way| accepted.judge(at(100), moment(100), guard, way);
            assert_eq!(judge(&accepted, Way::Unicast), Novelty::Replayed);
            assert_eq!(judge(&accepted, Way::Group), Novelty::Copy);
            accepted.accept(at(100), Era::default(), guard, Way::Group);
            assert_eq!([Way::Unicast, Way::Group].map(|way| judge(&accepted, way)), [Novelty::Replayed; 2]);
        }
    }

    #[test]
    fn numbers_of_headers_are_one_count_for_all() {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut replay = Replay::default();
        replay.accept(address(1), 7, Way::Unicast);
        assert_eq!(replay.judge(address(2), 7, Way::Group), Novelty::Replayed, "of another sender");
        assert_eq!(replay.judge(address(1), 7, Way::Group), Novelty::Copy);
        replay.accept(address(1), 7, Way::Group);
        assert_eq!(replay.judge(address(1), 7, Way::Group), Novelty::Replayed);
        assert_eq!(replay.next(), (8, 1));
        assert_eq!(replay.judge(address(1), 8, Way::Group), Novelty::Replayed, "our own");
        assert_eq!(replay.judge(address(1), 9, Way::Group), Novelty::Fresh);
    }

    #[test]
    fn offset_is_exact_to_the_millisecond_in_both_directions() {
        let ours = Sequence::from_utc(Duration::from_millis(10_250));
        let of = |ms| offset(Sequence::from_utc(Duration::from_millis(ms)), ours);
        let is = |ms, is_ahead| ClockOffset { length: Duration::from_millis(ms), is_ahead };
        assert_eq!([of(10_250), of(12_750), of(7_750)], [is(0, false), is(2500, true), is(2500, false)]);
    }
}
