//! What happens in a round of the chaos run: all of it from one number, before anything is started.

use std::fmt;
use std::time::Duration;

use vrrpd::demo::lab::Node::{self, A, B, C};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::{Family, Version};

use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::repeat::{PACES, pair};

/// Numbers from a seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// Always the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Returns one of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("a small number")]
    }
}

/// The nodes of a round.
pub struct Setting {
    /// What they are told.
    pub plan: Plan,
    /// What runs on them.
    pub kinds: Vec<Kind>,
}

impl Setting {
    /// Two nodes or three, at any pace, each version and family, sometimes with Keepalived as a Backup.
    pub fn new(dice: &mut Dice) -> Self {
        let interval = dice.pick(&[PACES[0], PACES[1], PACES[1], PACES[2]]);
        let priorities = dice.pick(&[&[200, 100][..], &[200, 100], &[200, 150, 100]]);
        let is_v2 = interval == PACES[0] && dice.below(2) == 0;
        let is_v6 = !is_v2 && dice.below(4) == 0;
        let mut plan = Plan {
            version: if is_v2 { Version::V2 } else { Version::V3 },
            is_multicast: dice.below(3) == 0,
            preempt: dice.below(4) > 0,
            priorities: priorities.to_vec(),
            ..pair(interval)
        };
        if is_v6 {
            plan = Plan { family: Family::V6, addresses: vec![VIP_LINK_LOCAL, VIP_V6], ..plan };
        }
        let mut kinds = vec![Vrrpd; priorities.len()];
        // At 10 ms it loses the address by itself; and only where it preempts is the owner known to be ours.
        if interval > PACES[2] && !is_v6 && dice.below(3) == 0 {
            kinds[1] = Keepalived;
            plan.preempt = true;
        }
        Self { plan, kinds }
    }

    /// The longest time a node waits without adverts.
    pub fn master_down(&self) -> Duration {
        self.plan.nodes().map(|node| self.plan.master_down(node)).max().unwrap_or_default()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { version, family, is_multicast, interval, preempt, .. } = &self.plan;
        let cast = if *is_multicast { "multicast" } else { "unicast" };
        let preempt = if *preempt { "" } else { ", nopreempt" };
        write!(f, "{:?}, {version:?} {family:?} {cast} at {interval:?}{preempt}", self.kinds)
    }
}

/// What goes wrong, and later right again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The daemon is killed, and started again where it was.
    Crash(Node),
    /// It is stopped in order, and started again.
    Stop(Node),
    /// It is stopped by SIGSTOP, and goes on.
    Freeze(Node),
    /// The node sees its carrier go.
    Unplug(Node),
    /// It is cut off, and its carrier stays.
    Split(Node),
    /// Adverts of the first do not reach the second.
    OneWay(Node, Node),
    /// The interface is set down.
    Down(Node),
    /// The interface is gone; the one that comes back has another hardware address.
    Missing(Node),
    /// The interface has another name.
    Renamed(Node),
    /// The node's check fails.
    Sick(Node),
    /// Somebody deletes the address, if the node has it. Over at once.
    Deleted(Node),
    /// Another address in its file, or one less, and SIGHUP. Over at once.
    Reload(Node),
    /// A host that is no node has the address, too.
    Stranger,
}

/// What of a node a trouble concerns: two at a time do not mix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Process(Node),
    Wire(Node),
    Service(Node),
    Elsewhere,
    Instant,
}

impl Trouble {
    /// The node in trouble.
    pub fn node(self) -> Option<Node> {
        match self.part() {
            Part::Process(node) | Part::Wire(node) | Part::Service(node) => Some(node),
            Part::Elsewhere | Part::Instant => None,
        }
    }

    fn part(self) -> Part {
        match self {
            Self::Crash(node) | Self::Stop(node) | Self::Freeze(node) => Part::Process(node),
            Self::Unplug(node)
            | Self::Split(node)
            | Self::OneWay(_, node)
            | Self::Down(node)
            | Self::Missing(node)
            | Self::Renamed(node) => Part::Wire(node),
            Self::Sick(node) => Part::Service(node),
            Self::Deleted(_) | Self::Reload(_) => Part::Instant,
            Self::Stranger => Part::Elsewhere,
        }
    }

    /// Any that this node may be in.
    fn of(dice: &mut Dice, node: Node, other: Node, kind: Kind) -> Self {
        let common =
            [Self::Crash(node), Self::Stop(node), Self::Unplug(node), Self::Split(node), Self::OneWay(other, node)];
        let ours = [
            Self::Freeze(node),
            Self::Down(node),
            Self::Missing(node),
            Self::Renamed(node),
            Self::Sick(node),
            Self::Deleted(node),
            Self::Reload(node),
            Self::Stranger,
        ];
        let all: Vec<Self> = if kind.is_ours() { common.into_iter().chain(ours).collect() } else { common.to_vec() };
        dice.pick(&all)
    }
}

/// Beginning or end of a trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// It goes wrong.
    Begin,
    /// It is well again.
    End,
}

/// One thing that is done.
#[derive(Clone, Copy, Debug)]
pub struct Happening {
    /// When, from the beginning of the episode.
    pub at: Duration,
    /// What it is about.
    pub trouble: Trouble,
    /// What is done.
    pub edge: Edge,
}

/// Returns what happens until the next quiet point: one trouble to four, of up to three master-down intervals each.
pub fn episode(dice: &mut Dice, setting: &Setting) -> Vec<Happening> {
    let unit = setting.master_down();
    let (mut happenings, mut taken) = (Vec::new(), Vec::<(Part, u64, u64)>::new());
    // In tenths of a unit.
    let mut begin = 0;
    for _ in 0..=dice.below(4) {
        begin += dice.pick(&[0, 1, 3, 8, 15]);
        let length = dice.pick(&[1, 3, 6, 9, 12, 18, 30]);
        let node = dice.pick(&[A, A, B, C][..setting.kinds.len() + 1]);
        let other = if node == A { B } else { A };
        let trouble = Trouble::of(dice, node, other, setting.kinds[node.index()]);
        // A link that flaps: the same trouble some times, not for long.
        let is_flapping = trouble.part() == Part::Wire(node) && dice.below(4) == 0;
        let (times, length) = if is_flapping { (3, length.min(6)) } else { (1, length) };
        let last = begin + length * (2 * times - 1);
        let is_free = |(part, from, to): &(Part, u64, u64)| *part != trouble.part() || *to < begin || last < *from;
        if !taken.iter().all(is_free) {
            continue;
        }
        taken.push((trouble.part(), begin, last));
        let at = |tenths: u64| unit.mul_f64(tenths as f64 / 10.0);
        for from in (0..times).map(|time| begin + time * length * 2) {
            happenings.push(Happening { at: at(from), trouble, edge: Edge::Begin });
            happenings.push(Happening { at: at(from + length), trouble, edge: Edge::End });
        }
    }
    happenings.sort_by_key(|happening| happening.at);
    happenings
}

#[test]
fn one_seed_is_one_script() {
    let script = |seed| {
        let mut dice = Dice::new(seed);
        let setting = Setting::new(&mut dice);
        let episodes: Vec<_> = (0..5).map(|_| episode(&mut dice, &setting)).collect();
        format!("{setting} {episodes:?}")
    };
    assert_eq!(script(7), script(7));
    assert_ne!(script(7), script(8));
}

#[test]
fn whatever_begins_ends_and_nothing_is_in_two_troubles_of_one_kind() {
    for seed in 0..2000 {
        let mut dice = Dice::new(seed);
        let setting = Setting::new(&mut dice);
        for _ in 0..5 {
            let mut lasting = Vec::new();
            for Happening { trouble, edge, .. } in episode(&mut dice, &setting) {
                match edge {
                    Edge::Begin => {
                        let is_double = lasting.iter().any(|other: &Trouble| other.part() == trouble.part());
                        assert!(
                            !is_double || trouble.part() == Part::Instant,
                            "seed {seed}: {trouble:?} in {lasting:?}"
                        );
                        lasting.push(trouble);
                    }
                    Edge::End => lasting.retain(|other| *other != trouble),
                }
            }
            assert!(lasting.is_empty(), "seed {seed}: {lasting:?} does not end");
        }
    }
}
