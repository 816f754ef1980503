//! Random pairs of configurations: routers that are equal in both do not notice a reload, then or later.
//!
//! Two nodes do the same until one of them goes on with the other configuration; from then on both are asked to serve
//! every deadline of either, and the equal routers must want the same things at the same moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use vrrpd::engine::change::Fate;
use vrrpd::engine::input::RouterKey;
use vrrpd::engine::params::{GroupParams, NodeParams, Preempt, RouterParams};
use vrrpd::engine::time::Instant;
use vrrpd::wire::field::{Version, Vrid};

use crate::bench::*;

const PAIRS: u64 = 400;

#[test]
fn routers_that_are_equal_in_both_configurations_see_no_output_and_keep_their_deadlines() {
    let first = std::env::var("VRRPD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..PAIRS, |seed: u64| seed..seed + 1);
    let mut kept = 0;
    for seed in seeds {
        let result = std::panic::catch_unwind(|| compare(seed));
        kept += result.unwrap_or_else(|_| panic!("VRRPD_SEED={seed} repeats this"));
    }
    assert!(first.is_some() || kept as u64 > PAIRS, "hardly anything was compared: {kept}");
}

/// Compares one pair; returns how many routers were equal in both.
fn compare(seed: u64) -> usize {
    let mut rng = Rng(seed);
    let before = configuration(&mut rng);
    let after = changed(&mut rng, &before);
    let [mut control, mut subject] = [(); 2].map(|()| Bench::of(before.clone()));
    for bench in [&mut control, &mut subject] {
        bench.link(true);
        bench.start();
    }
    // The same adverts to both, from a Master for some of the routers.
    let rounds = rng.below(12);
    for round in 0..rounds {
        let length = ms(rng.below(1500));
        let heard: Vec<_> = before.routers.iter().filter(|_| rng.below(3) == 0).collect();
        let priority = [1, 90, 200, 0][rng.below(4) as usize];
        for bench in [&mut control, &mut subject] {
            bench.run(length);
            for router in &heard {
                bench.hear(&Packet::like(router, priority));
            }
            if round == 0 {
                bench.tick();
            }
        }
    }
    let (reloaded, _) = {
        let (reloaded, seen) = subject.reload(&after);
        (reloaded.expect("it runs"), seen)
    };
    let groups = |params: &NodeParams, name: &str| {
        params.groups.iter().find(|group| group.members.iter().any(|member| member == name)).cloned()
    };
    let pairs = reloaded.plan.fates.iter().zip(&after.routers);
    let equal: BTreeMap<RouterKey, String> = pairs
        .filter_map(|(fate, router)| match fate {
            Fate::Kept(key) => Some((*key, router.name.clone())),
            Fate::Updated(_) | Fate::Replaced(_) | Fate::Added => None,
        })
        .collect();
    // Who is in a group waits for its mates: they must be equal, too.
    let has_equal_mates = |name: &String| match groups(&before, name) {
        Some(group) => group.members.iter().all(|mate| equal.values().any(|equal| equal == mate)),
        None => true,
    };
    let is_undisturbed = |name: &String| groups(&before, name) == groups(&after, name) && has_equal_mates(name);
    let kept: BTreeMap<RouterKey, String> =
        equal.iter().filter(|(_, name)| is_undisturbed(name)).map(|(key, name)| (*key, name.clone())).collect();
    follow(&mut control, &mut subject, &before, &kept);
    kept.len()
}

/// Lets both nodes go on, and compares what the kept routers want.
fn follow(control: &mut Bench, subject: &mut Bench, before: &NodeParams, kept: &BTreeMap<RouterKey, String>) {
    let state = |bench: &Bench| -> BTreeMap<String, String> {
        let all = bench.snapshots().into_iter().filter(|router| kept.contains_key(&router.key));
        all.map(|router| (router.params.name.clone(), format!("{router:?}"))).collect()
    };
    assert_eq!(state(control), state(subject), "at the reload itself");
    let end = control.now() + ms(10_000);
    for _ in 0..2000 {
        let due = [control.due_at(), subject.due_at()].into_iter().flatten().min();
        let Some(at) = due.filter(|at| *at <= end) else { break };
        let wants = |bench: &mut Bench, at: Instant| -> Vec<_> {
            bench.tick_at(at).into_iter().filter(|(key, _)| key.is_some_and(|key| kept.contains_key(&key))).collect()
        };
        // Adverts come in the order of slots or of a heap; each router's own order counts.
        let (mut expected, mut found) = (wants(control, at), wants(subject, at));
        expected.sort_by_key(|(key, _)| *key);
        found.sort_by_key(|(key, _)| *key);
        assert_eq!(expected, found, "of {} routers", before.routers.len());
    }
    assert_eq!(state(control), state(subject), "in the end");
}

fn configuration(rng: &mut Rng) -> NodeParams {
    let count = 1 + rng.below(6);
    let routers: Vec<Arc<RouterParams>> = (0..count).map(|place| Arc::new(router(rng, place as u8))).collect();
    let mut groups = Vec::new();
    if count > 2 && rng.below(2) == 0 {
        let members = routers.iter().take(2).map(|router| router.name.clone()).collect();
        groups.push(Arc::new(GroupParams { name: "pair".into(), members, hooks: Default::default() }));
    }
    NodeParams { routers, groups, ..NodeParams::default() }
}

fn router(rng: &mut Rng, place: u8) -> RouterParams {
    let plain = if rng.below(4) == 0 { v2() } else { v3() };
    let plain = RouterParams {
        name: format!("r{place}"),
        vrid: Vrid::new(10 + place).unwrap(),
        priority: prio([50, 100, 150, 255][rng.below(4) as usize]),
        vips: vec![vip(&format!("192.0.2.{}", 100 + place))],
        ..plain
    };
    if rng.below(2) == 0 { unicast(plain) } else { plain }
}

/// Another configuration: some routers change, go or come, and the order may be another.
fn changed(rng: &mut Rng, before: &NodeParams) -> NodeParams {
    let mut routers = Vec::new();
    for router in &before.routers {
        match rng.below(8) {
            0 => {}
            1 => routers.push(Arc::new(RouterParams { priority: prio(77), ..RouterParams::clone(router) })),
            2 => routers.push(Arc::new(RouterParams { vips: vec![vip("192.0.2.210")], ..RouterParams::clone(router) })),
            3 => {
                let (name, preempt) = (format!("{}x", router.name), Preempt::Never);
                routers.push(Arc::new(RouterParams { name, preempt, ..RouterParams::clone(router) }));
            }
            4 => {
                let version = if router.version == Version::V2 { Version::V3 } else { Version::V2 };
                routers.push(Arc::new(RouterParams { version, ..RouterParams::clone(router) }));
            }
            _ => routers.push(Arc::clone(router)),
        }
    }
    if rng.below(2) == 0 {
        routers.push(Arc::new(router(rng, 40)));
    }
    if rng.below(2) == 0 {
        routers.reverse();
    }
    let is_there = |member: &String| routers.iter().any(|router| router.name == *member);
    let groups = before.groups.iter().filter(|group| group.members.iter().all(is_there) && rng.below(4) > 0);
    NodeParams { groups: groups.cloned().collect(), routers, ..NodeParams::default() }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
