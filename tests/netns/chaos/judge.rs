//! What must hold between the quiet points of a chaos run: never two owners, never none, for longer than is stated here,
//! except where that cannot be helped.
//!
//! Two owners cannot be helped while the nodes are split or adverts of one get lost, while a daemon is frozen (without a
//! lease its addresses stay), and while a dead daemon's addresses wait for somebody to take them away.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::lab::Node;
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::Log;

use super::RELEASES;
use super::script::{Edge, Happening, Trouble};
use crate::driver::Kind;
use crate::holding::{Stretch, stretches};

/// What a handover may take beyond an interval, and what a machine with two busy cores may add.
const OVERLAP: Duration = Duration::from_millis(100 + 250);
/// How long two owners may last after the cause is over, beyond two intervals: a kernel asks once a second for a neighbour
/// that did not answer, and sends it no unicast advert before.
const TAIL: Duration = Duration::from_millis(1500);
/// Within which a kernel tells that carrier was lost: at once, or up to a second after it told of another change.
const NOTICED: Duration = Duration::from_millis(1200);
/// What a start takes, or a change of links until the daemon hears of it, on a busy machine.
const START: Duration = Duration::from_millis(1700);

/// Something that was done, and how long doing it took.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    /// When it began.
    pub from: Duration,
    /// When it was done.
    pub to: Duration,
    /// What.
    pub happening: Happening,
}

/// What is known of an episode, and the worst of all that were judged.
pub struct Judge {
    plan: Plan,
    kinds: Vec<Kind>,
    since: Duration,
    deeds: Vec<Deed>,
    doubled: Duration,
    missing: Duration,
}

impl Judge {
    /// Nothing has happened yet.
    pub fn new(plan: &Plan, kinds: &[Kind]) -> Self {
        let (since, doubled, missing) = Default::default();
        Self { plan: plan.clone(), kinds: kinds.to_vec(), since, deeds: Vec::new(), doubled, missing }
    }

    /// An episode begins.
    pub fn begin(&mut self, since: Duration) {
        self.since = since;
        self.deeds.clear();
    }

    /// Something was done.
    pub fn note(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// Judges the episode, at its quiet point.
    pub fn judge(&mut self, log: &Log, address: IpAddr, to: Duration) -> Result<(), String> {
        let mut doubled: Vec<Stretch> = Vec::new();
        for stretch in stretches(log, address, self.since, to) {
            match (stretch.holders.len(), doubled.last_mut()) {
                (0, _) => self.judge_missing(&stretch, to)?,
                (1, _) => {}
                // A third one is no relief.
                (_, Some(last)) if last.to == stretch.from => last.to = stretch.to,
                (_, _) => doubled.push(stretch),
            }
        }
        let excuses = self.excuses(to);
        let limit = self.plan.interval + OVERLAP;
        for piece in doubled.iter().flat_map(|stretch| stretch.outside(&excuses)) {
            let (holders, length) = (&piece.holders, piece.length());
            self.doubled = self.doubled.max(length);
            if length > limit {
                let at = (piece.from - self.since).as_secs_f64() * 1e3;
                return Err(format!(
                    "{holders:?} held the address for {length:.0?}, at most {limit:?} (from {at:.1} ms)"
                ));
            }
        }
        Ok(())
    }

    /// Nobody's: not for longer than it takes to take over, wherever some node was well all the time.
    fn judge_missing(&mut self, stretch: &Stretch, to: Duration) -> Result<(), String> {
        let limit = self.plan.nodes().map(|node| self.plan.master_down(node)).max().unwrap_or_default() + START;
        // Whatever is done may begin the waiting anew.
        let mut times: Vec<Duration> = self.deeds.iter().flat_map(|deed| [deed.from, deed.to]).collect();
        times.extend([stretch.from, stretch.to]);
        times.retain(|at| (stretch.from..=stretch.to).contains(at));
        times.sort_unstable();
        for pair in times.windows(2) {
            let [from, end] = pair else { continue };
            let length = end.saturating_sub(*from);
            let is_well = |node: Node| {
                let concerns = |(trouble, begin, over): &(Trouble, Duration, Duration)| {
                    trouble.node() == Some(node) && begin < end && over > from
                };
                !self.lasting(to).iter().any(concerns)
            };
            if !self.plan.nodes().any(is_well) {
                continue;
            }
            self.missing = self.missing.max(length);
            if length > limit {
                let at = (*from - self.since).as_secs_f64() * 1e3;
                return Err(format!("nobody held the address for {length:.0?}, at most {limit:?} (from {at:.1} ms)"));
            }
        }
        Ok(())
    }

    /// When two owners cannot be helped.
    fn excuses(&self, to: Duration) -> Vec<(Duration, Duration)> {
        let mut windows = Vec::new();
        for (trouble, from, over) in self.lasting(to) {
            let tail = over + self.plan.interval * 2 + TAIL;
            match trouble {
                Trouble::Split(_) | Trouble::OneWay(..) | Trouble::Freeze(_) => windows.push((from, tail)),
                Trouble::Crash(node) if !RELEASES || !self.kinds[node.index()].is_ours() => windows.push((from, tail)),
                // Who has no carrier disturbs nobody.
                Trouble::Unplug(_) => windows.extend([(from, over.min(from + NOTICED)), (over, tail)]),
                Trouble::Down(_) | Trouble::Missing(_) | Trouble::Renamed(_) => windows.push((over, tail)),
                Trouble::Crash(_)
                | Trouble::Stop(_)
                | Trouble::Sick(_)
                | Trouble::Deleted(_)
                | Trouble::Reload(_)
                | Trouble::Stranger => {}
            }
        }
        // Until `vrrpd release` has run nobody can take a dead daemon's addresses away.
        let is_kill =
            |deed: &&Deed| matches!(deed.happening.trouble, Trouble::Crash(_)) && deed.happening.edge == Edge::Begin;
        windows.extend(self.deeds.iter().filter(is_kill).map(|deed| (deed.from, deed.to)));
        windows
    }

    /// Returns the troubles, and when each lasted.
    fn lasting(&self, to: Duration) -> Vec<(Trouble, Duration, Duration)> {
        let begins = self.deeds.iter().enumerate().filter(|(_, deed)| deed.happening.edge == Edge::Begin);
        let window = |(number, begin): (usize, &Deed)| {
            let trouble = begin.happening.trouble;
            let is_end = |deed: &&Deed| deed.happening.trouble == trouble && deed.happening.edge == Edge::End;
            let end = self.deeds.iter().skip(number).find(is_end);
            (trouble, begin.from, end.map_or(to, |end| end.to))
        };
        begins.map(window).collect()
    }

    /// Returns what was done and who held the address, for a failed round.
    pub fn account(&self, log: &Log, address: IpAddr, since: Duration) -> String {
        let ms = |at: Duration| (at.as_secs_f64() - since.as_secs_f64()) * 1e3;
        let deeds = self.deeds.iter().map(|deed| {
            let Happening { trouble, edge, .. } = deed.happening;
            (deed.from, format!("  {:9.1} {edge:?} {trouble:?}, took {:.1?}\n", ms(deed.from), deed.to - deed.from))
        });
        let held = stretches(log, address, since, now()).into_iter();
        let held =
            held.map(|stretch| (stretch.from, format!("  {:9.1} held by {:?}\n", ms(stretch.from), stretch.holders)));
        let mut lines: Vec<_> = deeds.chain(held).collect();
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two owners for {:.0?} at most, none for {:.0?}", self.doubled, self.missing)
    }
}
