//! What somebody who recorded adverts can do all the same, exactly: each limit is pinned by what happens at it and beyond.
//!
//! A node that was restarted remembers nobody; a signature does not say who has heard it; a clock that is set back shows
//! times again. `docs/testing-simulation.md` lists these limits.

use vrrpd::engine::output::StateName;
use vrrpd::wire::field::Version;

use crate::simulator::attacker::{Attacker, Record};
use crate::simulator::host::Power;
use crate::simulator::secret::{HmacSpec, Secret};
use crate::simulator::segment::Timing;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::{Action, World};
use crate::simulator::{MS, S};

#[test]
fn restarted_backup_believes_one_recorded_resignation_of_the_last_window_for_less_than_an_interval() {
    for (age, is_believed) in [(20 * S, true), (32 * S, false)] {
        let mut world = pair(Some(30));
        let resignation = recorded_resignation(&mut world);
        world.run_until(resignation.at + age - 100 * MS);
        restart_the_backup_after_an_advert(&mut world);
        world.reset_measures();
        for _ in 0..3 {
            replay(&mut world, 1, &resignation);
        }
        go(&mut world, 10 * S);
        let promotions = world.measures[0].promotions;
        assert_eq!(promotions, u64::from(is_believed), "at an age of {age} ns");
        assert!(world.measures[0].longest_rivalry < S, "{}", world.measures[0].longest_rivalry);
        assert_eq!(world.masters(0), [0]);
    }
}

#[test]
fn backup_that_runs_believes_no_recording_at_any_age() {
    for window in [Some(30), Some(1), None] {
        let mut world = pair(window);
        recorded_resignation(&mut world);
        world.reset_measures();
        let records: Vec<Record> = world.records().to_vec();
        let before = [0, 1].map(|host| accepted(&world, host));
        for record in records.iter().cycle().take(400) {
            replay(&mut world, 1, record);
            replay(&mut world, 0, record);
            go(&mut world, 100 * MS);
        }
        assert_eq!((world.measures[0].promotions, world.masters(0)), (0, vec![0]), "{window:?}");
        let sent = (world.records().len() - records.len()) as u64;
        let after = [0, 1].map(|host| accepted(&world, host));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [0, sent], "{window:?}: what the Master sent, once");
    }
}

#[test]
fn restarted_node_without_time_believes_a_recording_of_any_age_once() {
    let mut world = pair(None);
    let resignation = recorded_resignation(&mut world);
    world.run_until(3600 * S);
    restart_the_backup_after_an_advert(&mut world);
    world.reset_measures();
    for _ in 0..3 {
        replay(&mut world, 1, &resignation);
    }
    go(&mut world, 10 * S);
    assert_eq!((world.measures[0].promotions, world.masters(0)), (1, vec![0]));
    assert!(world.measures[0].longest_rivalry < S);
}

#[test]
fn restarted_backup_waits_for_a_dead_master_at_most_the_window_and_a_master_down_interval() {
    let mut world = pair(Some(5));
    world.act(Action::Crash(0));
    world.act(Action::Crash(1));
    let died_at = world.now;
    let records: Vec<Record> = world.records().to_vec();
    world.act(Action::Start(1));
    go(&mut world, 10 * MS);
    // As late as each can be, so that it lasts longest; then all of them again.
    let last = records.iter().rev().take(6).rev();
    for record in last.chain(&records).cycle().take(150) {
        replay(&mut world, 1, record);
        go(&mut world, 100 * MS);
        if world.masters(0) == [1] {
            break;
        }
    }
    let waited = world.now - died_at;
    assert!(waited > DOWN, "the recordings have done nothing: {waited} ns");
    assert!(waited <= 5 * S + S + DOWN, "{waited} ns");
}

#[test]
fn lost_advert_is_believed_late_within_the_window_and_not_after_a_later_one() {
    let mut world = pair(Some(5));
    world.act(Action::Block(0, 1, true));
    go(&mut world, S);
    let lost = world.records().last().cloned().unwrap();
    assert!(world.now - lost.at <= S);
    world.act(Action::Crash(0));
    // Without him the Backup takes over 3 intervals and a skew after the last advert that it heard.
    world.run_until(lost.at + 2 * S);
    replay(&mut world, 1, &lost);
    world.run_until(lost.at + 2 * S + DOWN - 10 * MS);
    assert_eq!(world.masters(0), [0_usize; 0], "it waits from the late advert on");
    replay(&mut world, 1, &lost);
    go(&mut world, 20 * MS);
    assert_eq!(world.masters(0), [1], "and once");
}

#[test]
fn clock_set_back_over_recorded_time_makes_a_silent_sender_believable_beyond_128_adverts() {
    for (step, is_believed) in [(-200, true), (-60, false), (0, false), (60, false)] {
        let mut world = pair(Some(5));
        go(&mut world, 300 * S);
        world.act(Action::Crash(0));
        let died_at = world.now;
        go(&mut world, 20 * S);
        assert_eq!(world.masters(0), [1]);
        world.act(Action::Clock(1, step * S as i64));
        go(&mut world, 2 * S);
        let back = i64::abs(step) as u64 * S;
        let records: Vec<Record> = world.records().to_vec();
        let of_then = records.iter().find(|record| record.at + back >= world.now && is_of(record, 0)).cloned();
        let of_then = of_then.unwrap_or_else(|| records.iter().rfind(|record| is_of(record, 0)).cloned().unwrap());
        assert!(of_then.at <= died_at);
        replay(&mut world, 1, &of_then);
        go(&mut world, 500 * MS);
        let state = if is_believed { StateName::Backup } else { StateName::Master };
        assert_eq!(world.state(1, 0), state, "clock set by {step} s");
        go(&mut world, DOWN);
        assert_eq!(world.masters(0), [1], "what cannot be kept up is over");
    }
}

#[test]
fn what_a_clock_that_ran_ahead_signed_is_good_when_its_time_comes() {
    let mut world = World::new(spec(Some(5)).into(), 2, Timing::EXACT, 1);
    world.act(Action::Clock(0, 600 * S as i64));
    world.unleash(Attacker::new(1, (u64::MAX / 4, u64::MAX / 4)));
    world.act(Action::Start(0));
    go(&mut world, 10 * S);
    world.act(Action::Stop(0));
    go(&mut world, S);
    let early = world.records().iter().rfind(|record| record.packet.priority() == 0).cloned().unwrap();
    world.act(Action::Clock(0, -600 * S as i64));
    (0..2).for_each(|host| world.act(Action::Start(host)));
    world.run_until(early.at + 300 * S);
    world.reset_measures();
    replay(&mut world, 1, &early);
    go(&mut world, 2 * S);
    assert_eq!(world.measures[0].promotions, 0, "nobody believes it before its time");
    world.run_until(early.at + 600 * S - 3 * S);
    replay(&mut world, 1, &early);
    go(&mut world, 20 * S);
    assert_eq!((world.measures[0].promotions, world.masters(0)), (1, vec![0]));
    assert!(world.measures[0].longest_rivalry <= 5 * S, "{}", world.measures[0].longest_rivalry);
}

#[test]
fn node_that_starts_with_another_time_is_a_stranger_until_the_clocks_agree() {
    let mut world = pair(Some(5));
    world.act(Action::Clock(1, 3600 * S as i64));
    world.act(Action::Crash(1));
    go(&mut world, MS);
    world.act(Action::Start(1));
    go(&mut world, 60 * S);
    assert_eq!(world.masters(0), [0, 1], "each refuses what the other signs");
    world.reset_measures();
    world.act(Action::Clock(1, -3600 * S as i64));
    go(&mut world, 30 * S);
    assert_eq!(world.masters(0), [0]);
    assert!(world.measures[0].longest_rivalry <= 5 * S + DOWN, "{}", world.measures[0].longest_rivalry);
}

#[test]
fn with_ah_a_restarted_backup_believes_a_recording_of_any_age_once_and_only_until_the_master_speaks() {
    let mut world = ah_pair();
    let resignation = recorded_resignation(&mut world);
    world.run_until(3600 * S);
    world.reset_measures();
    let promoted = |world: &World| (world.measures[0].promotions, world.masters(0));
    replay(&mut world, 1, &resignation);
    go(&mut world, 10 * S);
    assert_eq!(promoted(&world), (0, vec![0]), "who has heard the Master believes nothing below its number");
    restart_the_backup_after_an_advert(&mut world);
    for _ in 0..3 {
        replay(&mut world, 1, &resignation);
    }
    go(&mut world, 10 * S);
    assert_eq!(promoted(&world), (1, vec![0]));
    assert!(world.measures[0].longest_rivalry < S, "{}", world.measures[0].longest_rivalry);
    replay(&mut world, 1, &resignation);
    go(&mut world, 10 * S);
    assert_eq!(promoted(&world), (1, vec![0]), "and once");
}

#[test]
fn with_ah_a_restarted_backup_waits_for_a_dead_master_as_long_as_there_are_recordings_and_no_longer() {
    let mut world = ah_pair();
    let count = 20;
    go(&mut world, 3600 * S);
    let records: Vec<Record> = world.records().iter().filter(|record| is_of(record, 0)).cloned().collect();
    world.act(Action::Crash(0));
    go(&mut world, 10 * S);
    assert_eq!(world.masters(0), [1], "a Backup that has heard the Master is not deceived");
    world.act(Action::Crash(1));
    world.act(Action::Start(1));
    go(&mut world, 10 * MS);
    let mut last = 0;
    for record in &records[..count] {
        replay(&mut world, 1, record);
        go(&mut world, 3 * S);
        assert_eq!(world.state(1, 0), StateName::Backup, "each is believed once, in their order");
        last = world.now;
    }
    for record in records[..count].iter().cycle().take(3 * count) {
        replay(&mut world, 1, record);
        go(&mut world, 100 * MS);
    }
    assert_eq!(world.masters(0), [1], "none is believed twice");
    let promoted_at = world.hosts[1].snapshot(0).map(|snapshot| snapshot.since.as_nanos());
    assert!(promoted_at.is_some_and(|at| at < last + S), "a down interval after the last: {promoted_at:?}");
}

#[test]
fn with_ah_a_recording_of_a_former_count_makes_two_masters_for_less_than_an_interval() {
    let mut world = ah_pair();
    go(&mut world, 600 * S);
    let former = world.records().iter().rfind(|record| is_of(record, 0)).cloned().unwrap();
    (0..2).for_each(|host| world.act(Action::Crash(host)));
    go(&mut world, S);
    (0..2).for_each(|host| world.act(Action::Start(host)));
    go(&mut world, 10 * S);
    assert_eq!(world.masters(0), [0]);
    world.reset_measures();
    // Its number is higher than all of this life: what the Master says afterwards is a replay, until it is told.
    replay(&mut world, 1, &former);
    go(&mut world, 20 * S);
    assert_eq!((world.measures[0].promotions, world.masters(0)), (1, vec![0]));
    assert!(world.measures[0].longest_rivalry < S, "{}", world.measures[0].longest_rivalry);
    world.reset_measures();
    replay(&mut world, 1, &former);
    go(&mut world, 20 * S);
    assert_eq!((world.measures[0].promotions, world.masters(0)), (0, vec![0]), "and once");
}

/// As [`pair`], with an Authentication Header of version 2.
fn ah_pair() -> World {
    let spec = RouterSpec { version: Version::V2, secret: Secret::Ah, ..RouterSpec::new(&[200, 100]) };
    begun(spec)
}

/// Two hosts by unicast, the first one Master, and somebody who listens.
fn pair(window: Option<u64>) -> World {
    begun(spec(window))
}

fn begun(spec: RouterSpec) -> World {
    let mut world = World::new(spec.into(), 2, Timing::EXACT, 1);
    world.unleash(Attacker::new(1, (u64::MAX / 4, u64::MAX / 4)));
    (0..2).for_each(|host| world.act(Action::Start(host)));
    world.run_until(10 * S);
    assert_eq!((world.masters(0), world.violation.take()), (vec![0], None));
    world
}

fn spec(window: Option<u64>) -> RouterSpec {
    RouterSpec { secret: Secret::Hmac(HmacSpec::enforced(window)), ..RouterSpec::new(&[200, 100]) }
}

/// The Master stops and returns; returns its recorded resignation once it is Master again.
fn recorded_resignation(world: &mut World) -> Record {
    world.act(Action::Stop(0));
    go(world, 2 * S);
    assert_eq!(world.masters(0), [1]);
    world.act(Action::Start(0));
    go(world, 6 * S);
    assert_eq!(world.masters(0), [0]);
    world.records().iter().rfind(|record| record.packet.priority() == 0).cloned().unwrap()
}

/// The Backup forgets everything, as long as possible before the next advert.
fn restart_the_backup_after_an_advert(world: &mut World) {
    let sent = world.records().len();
    while world.records().len() == sent {
        go(world, MS);
    }
    go(world, MS);
    world.act(Action::Crash(1));
    world.act(Action::Start(1));
    go(world, MS);
    assert_eq!(world.hosts[1].power, Power::Running);
}

/// Puts a recorded packet into the socket of a host, as if its sender had sent it.
fn replay(world: &mut World, host: usize, record: &Record) {
    world.inject(host, record.packet.clone());
}

fn accepted(world: &World, host: usize) -> u64 {
    world.hosts[host].snapshot(0).map_or(0, |snapshot| snapshot.counters.advertisements_received)
}

fn is_of(record: &Record, host: usize) -> bool {
    record.packet.source == crate::simulator::spec::address(vrrpd::wire::field::Family::V4, host)
}

fn go(world: &mut World, length: u64) {
    let end = world.now + length;
    world.run_until(end);
    assert_eq!(world.violation, None);
}

/// How long the second host waits for an advert: three intervals and its skew.
const DOWN: u64 = 3 * S + 156 * S / 256;
