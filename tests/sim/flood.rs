//! Somebody without a key sends what he can, slowly and fast: the run is the run without him, output for output.

use std::collections::BTreeMap;

use vrrpd::engine::output::{EventKind, Output};
use vrrpd::wire::field::{Family, Version};

use crate::run::Run;
use crate::simulator::attacker::Attacker;
use crate::simulator::clock::Clock;
use crate::simulator::secret::{HmacSpec, Secret};
use crate::simulator::segment::Timing;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::{Action, Seen, World};
use crate::simulator::{MS, S};

#[test]
fn a_run_with_an_attacker_is_the_run_without_him() {
    let mut compared = 0;
    for seed in 0.. {
        let mut attacked = Run::new(seed, true);
        if attacked.case.attacker.is_none() {
            continue;
        }
        let mut quiet = Run::new(seed, true);
        quiet.world.withdraw();
        assert_eq!((attacked.finish(), quiet.finish()), (Ok(()), Ok(())), "seed {seed}");
        assert_same(&attacked.world, &quiet.world, &format!("seed {seed}"));
        compared += 1;
        if compared == RUNS {
            return;
        }
    }
}

#[test]
fn a_flood_changes_neither_state_nor_cadence_at_2_and_at_1000_packets_a_second() {
    let mut tally = BTreeMap::new();
    for spec in routers() {
        let quiet = flooded(&spec, None);
        let adverts = sends(&quiet).len();
        assert!(adverts > 30, "the Master sent {adverts} adverts in a minute");
        for pause in [500 * MS, MS] {
            let world = flooded(&spec, Some(pause));
            let name = format!("{spec:?}, one packet in {pause} ns");
            assert_eq!(world.violation, None, "{name}");
            assert_same(&world, &quiet, &name);
            let told = world.tally.get("told of refusals").copied().unwrap_or_default();
            // A reason and a sender: at once, after 1 min; and there are so many reasons and senders.
            assert!(told <= TOLD_MAX, "{name}: told {told} times");
            world.tally.into_iter().for_each(|(what, times)| *tally.entry(what).or_insert(0) += times);
        }
    }
    println!("{tally:#?}");
    for what in KINDS {
        assert!(tally.get(what).is_some_and(|times| *times > 50), "{what}: {:?}", tally.get(what));
    }
}

/// A minute of two hosts, of which one is Master; `pause`: from one forged packet to the next.
fn flooded(spec: &RouterSpec, pause: Option<u64>) -> World {
    let mut world = World::new(spec.clone().into(), 2, Timing::EXACT, 5);
    world.seen = Some(Vec::new());
    world.hosts[1].clock = Clock::ahead(400 * MS as i64);
    for host in 0..2 {
        world.act(Action::Start(host));
    }
    world.run_until(5 * S);
    if let Some(pause) = pause {
        world.unleash(Attacker::new(9, (pause, pause)));
    }
    world.run_until(65 * S);
    // The clock is set while it goes on: what is forged does not gain by it.
    world.act(Action::Clock(0, 3600 * S as i64));
    world.run_until(75 * S);
    world
}

/// Every kind of router that asks for a proof.
fn routers() -> Vec<RouterSpec> {
    let mut specs = Vec::new();
    for (version, family) in [(Version::V2, Family::V4), (Version::V3, Family::V4), (Version::V3, Family::V6)] {
        for is_multicast in [false, true] {
            for window in [Some(5), None] {
                let secret = Secret::Hmac(HmacSpec::enforced(window));
                specs.push(RouterSpec { version, family, is_multicast, secret, ..RouterSpec::new(&[200, 100]) });
            }
        }
    }
    for (secret, is_multicast) in
        [Secret::Ah, Secret::Password].into_iter().flat_map(|s| [(s.clone(), false), (s, true)])
    {
        specs.push(RouterSpec { version: Version::V2, is_multicast, secret, ..RouterSpec::new(&[200, 100]) });
    }
    specs
}

/// Asserts that two runs brought forth the same at the same times, but for what is told of refused packets and clocks.
fn assert_same(one: &World, other: &World, name: &str) {
    let (one, other) = (outputs(one), outputs(other));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other, "{name}");
    }
    assert_eq!(one.len(), other.len(), "{name}");
}

fn outputs(world: &World) -> Vec<&Seen> {
    let is_wanted = |seen: &&Seen| match &seen.output {
        Output::Event(event) => !matches!(event.kind, EventKind::Discarded { .. } | EventKind::Clock(_)),
        Output::Send(_)
        | Output::AcquireVips { .. }
        | Output::ReleaseVips { .. }
        | Output::Announce { .. }
        | Output::Finished => true,
    };
    world.seen.iter().flatten().filter(is_wanted).collect()
}

fn sends(world: &World) -> Vec<&Seen> {
    outputs(world).into_iter().filter(|seen| matches!(seen.output, Output::Send(_))).collect()
}

/// Runs that are compared.
const RUNS: usize = 100;

/// How often refused packets may be told of in a minute.
const TOLD_MAX: u64 = 60;

/// What must have been sent.
const KINDS: [&str; 14] = [
    "replayed",
    "replayed on any link",
    "replayed to another address",
    "another source",
    "no trailer",
    "checksum turned over",
    "one bit turned over",
    "another priority",
    "another time",
    "another key",
    "another kind of trailer",
    "a made up digest",
    "cut",
    "longer",
];
