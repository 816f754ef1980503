//! Memory of sequences seen and sent: what makes an advert that was recorded worthless.
//!
//! One stop before: `engine::authenticate`, which moves a mark only after every check has passed, and `engine::send`.
//!
//! | | sequence | memory |
//! |---|---|---|
//! | Authentication Header | 32 bits, counts adverts | one counter for all senders, as Keepalived has it: whoever becomes Master goes on from the highest number heard |
//! | HMAC trailer | 64 bits, [`Sequence`] | one [`Mark`] for each sender, the last one sent |

use std::net::IpAddr;
use std::time::Duration;

use super::output::ClockOffset;
use super::params::ReplayGuard;
use crate::wire::auth::Sequence;

/// What one virtual router has sent, and what it has heard under an Authentication Header.
#[derive(Debug, Default)]
pub(super) struct Replay {
    highest: u32,
    /// Who sent the highest number, when it was not this node.
    latest: Option<(IpAddr, Ways)>,
    ip_id: u16,
    /// The last stamp that was signed; `None`: nothing yet, which no number can say.
    last: Option<Sequence>,
}

/// The last sequence accepted from one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub sequence: Sequence,
    ways: Ways,
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
    /// A last stamp further ahead than the window comes from a clock that was wrong: receivers that go by time refuse
    /// what follows it, so `now` is right.
    pub fn stamp(&mut self, now: Sequence, guard: ReplayGuard) -> Sequence {
        let stamp = match (self.last, guard) {
            (None, _) => now,
            (Some(last), _) if now.is_after(last) => now,
            (Some(last), ReplayGuard::Time { window }) if !is_within(last, now, window) => now,
            (Some(last), ReplayGuard::Time { .. } | ReplayGuard::Monotonic) => last.next(),
        };
        self.last = Some(stamp);
        stamp
    }
}

impl Mark {
    /// Judges a sequence by what was accepted from its sender; `now`: the time that the router judges by.
    pub fn judge(mark: Option<Self>, sequence: Sequence, now: Sequence, guard: ReplayGuard, way: Way) -> Novelty {
        // A mark outside the window comes from a clock that was wrong; what it guards against is stale.
        let is_valid = |mark: &Self| match guard {
            ReplayGuard::Time { window } => is_within(mark.sequence, now, window),
            ReplayGuard::Monotonic => true,
        };
        match mark.filter(is_valid) {
            None => Novelty::Fresh,
            Some(mark) if sequence.is_after(mark.sequence) => Novelty::Fresh,
            Some(mark) if sequence == mark.sequence && mark.ways.lack(way) => Novelty::Copy,
            Some(_) => Novelty::Replayed,
        }
    }

    /// Returns the mark after a sequence that was judged fresh or a copy.
    pub fn after(mark: Option<Self>, sequence: Sequence, way: Way) -> Self {
        let is_copy = mark.is_some_and(|mark| mark.sequence == sequence);
        Self { sequence, ways: if is_copy { Ways::Both } else { Ways::One(way) } }
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

    fn judge(mark: u32, sequence: u32, now: u32, guard: ReplayGuard) -> Novelty {
        let mark = Mark::after(None, at(mark), Way::Unicast);
        Mark::judge(Some(mark), at(sequence), at(now), guard, Way::Unicast)
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
    fn sender_whose_clock_goes_back_goes_on_within_the_window_and_starts_over_beyond() {
        for (behind, by_time) in [(1, at(1000).next()), (5, at(1000).next()), (6, at(994)), (3600, at(1000 - 900))] {
            let now = at(1000 - if behind == 3600 { 900 } else { behind });
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
    fn second_copy_is_known_once_and_by_the_other_way_alone() {
        for guard in GUARDS {
            let judge = |mark, way| Mark::judge(Some(mark), at(100), at(100), guard, way);
            let once = Mark::after(None, at(100), Way::Unicast);
            assert_eq!(judge(once, Way::Unicast), Novelty::Replayed);
            assert_eq!(judge(once, Way::Group), Novelty::Copy);
            let twice = Mark::after(Some(once), at(100), Way::Group);
            assert_eq!([Way::Unicast, Way::Group].map(|way| judge(twice, way)), [Novelty::Replayed; 2]);
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
