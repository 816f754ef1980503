//! Who held an address when, by the kernel's notifications: what was doubled, and what was nobody's.

use std::net::IpAddr;
use std::time::Duration;

use vrrpd::demo::lab::Node;
use vrrpd::demo::watch::{Log, Sight};

/// A stretch of time in which the same nodes held the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// Who held the address, in the order of the nodes.
    pub holders: Vec<Node>,
}

impl Stretch {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// Returns what is left of it outside of these windows.
    pub fn outside(&self, windows: &[(Duration, Duration)]) -> Vec<Self> {
        let mut pieces = vec![self.clone()];
        for (from, to) in windows {
            let cut = |piece: Self| {
                let before = Self { to: piece.to.min(*from), ..piece.clone() };
                let after = Self { from: piece.from.max(*to), ..piece };
                [before, after].into_iter().filter(|left| left.from < left.to)
            };
            pieces = pieces.into_iter().flat_map(cut).collect();
        }
        pieces
    }
}

/// Returns who held `address` from `from` to `to`, without holes.
pub fn stretches(log: &Log, address: IpAddr, from: Duration, to: Duration) -> Vec<Stretch> {
    let (mut found, mut holders, mut since) = (Vec::new(), Vec::new(), from);
    for seen in log.sightings().iter().take_while(|seen| seen.at < to) {
        let is_taken = seen.what == Sight::Acquired(address);
        if !is_taken && seen.what != Sight::Released(address) {
            continue;
        }
        if seen.at > since {
            found.push(Stretch { from: since, to: seen.at, holders: holders.clone() });
            since = seen.at;
        }
        holders.retain(|node| *node != seen.node);
        if is_taken {
            holders.push(seen.node);
            holders.sort_unstable();
        }
    }
    found.push(Stretch { from: since, to, holders });
    found.retain(|stretch| stretch.from < stretch.to);
    found
}

/// Returns the longest time in which several nodes held `address`.
pub fn longest_doubled(log: &Log, address: IpAddr, from: Duration, to: Duration) -> Duration {
    longest(log, address, from, to, |holders| holders > 1)
}

/// Returns the longest time in which nobody held `address`.
pub fn longest_missing(log: &Log, address: IpAddr, from: Duration, to: Duration) -> Duration {
    longest(log, address, from, to, |holders| holders == 0)
}

fn longest(log: &Log, address: IpAddr, from: Duration, to: Duration, is_it: impl Fn(usize) -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    let mut current = Duration::ZERO;
    for stretch in stretches(log, address, from, to) {
        current = if is_it(stretch.holders.len()) { current + stretch.length() } else { Duration::ZERO };
        longest = longest.max(current);
    }
    longest
}

#[test]
fn a_stretch_is_cut_by_windows() {
    let at = Duration::from_millis;
    let whole = Stretch { from: at(10), to: at(50), holders: Vec::new() };
    let pieces = |windows: &[(u64, u64)]| {
        let windows: Vec<_> = windows.iter().map(|(from, to)| (at(*from), at(*to))).collect();
        let pieces = whole.outside(&windows);
        pieces.iter().map(|piece| (piece.from.as_millis(), piece.to.as_millis())).collect::<Vec<_>>()
    };
    assert_eq!(pieces(&[]), [(10, 50)]);
    assert_eq!(pieces(&[(0, 20), (30, 40)]), [(20, 30), (40, 50)]);
    assert_eq!(pieces(&[(0, 5), (60, 70)]), [(10, 50)]);
    assert_eq!(pieces(&[(10, 50)]), []);
    assert_eq!(pieces(&[(0, 30), (20, 60)]), []);
}
