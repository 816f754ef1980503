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
    let ms = u128::from(difference.unsigned_abs()) * 1000 >> 32;
    ClockOffset { length: Duration::from_millis(ms as u64), is_ahead: difference > 0 }
}
