//! RFC 9568 sections 6.1 and 6.2: parameters, formulas, and which timer runs when.

use vrrpd::engine::election::{master_down_interval, skew_time};
use vrrpd::engine::output::{Discard, Reason, StateName};
use vrrpd::engine::params::{Preempt, RouterParams};
use vrrpd::wire::field::{AdverInterval, Version};

use crate::bench::*;

#[test]
fn rfc9568_6_1_interval_is_1_to_4095_centiseconds_and_100_by_default() {
    assert_eq!(AdverInterval::from_centiseconds(0), None);
    assert_eq!(AdverInterval::from_centiseconds(4096), None);
    assert_eq!(AdverInterval::DEFAULT.centiseconds(), 100);
    for interval in [1, 4095] {
        let mut bench = Bench::backup(v3());
        bench.accepts(&Packet::like(&v3(), 150).every_cs(interval));
        let learnt = ms(u64::from(interval) * 10);
        assert_eq!(bench.snapshot().master_down, learnt * 3 + learnt * 156 / 256);
    }
}

#[test]
fn rfc9568_6_1_learnt_interval_starts_as_the_own_one() {
    let mut bench = Bench::backup(RouterParams { advertisement_interval: cs(200), ..v3() });
    assert_eq!(bench.timeout(), Some(us(6_000_000 + 1_218_750)));
}

#[test]
fn rfc9568_6_1_skew_is_exact_for_every_priority() {
    for priority in 1..=255u8 {
        for interval in [1u64, 3, 100, 101, 4095] {
            let nanos = u128::from(256 - u64::from(priority)) * u128::from(interval) * 10_000_000 / 256;
            let skew = skew_time(Version::V3, prio(priority), ms(interval * 10));
            assert_eq!(skew.as_nanos(), nanos, "{priority} {interval}");
            assert!(nanos > 0, "never cut to nothing");
        }
    }
}

#[test]
fn rfc9568_6_1_down_interval_is_three_learnt_intervals_and_skew() {
    for interval in [1u64, 50, 4095] {
        let learnt = ms(interval * 10);
        let expected = learnt * 3 + skew_time(Version::V3, prio(100), learnt);
        assert_eq!(master_down_interval(Version::V3, prio(100), learnt, 3), expected);
        let mut bench = Bench::backup(v3());
        bench.accepts(&Packet::like(&v3(), 150).every_cs(interval as u16));
        assert_eq!(bench.timeout(), Some(expected));
    }
}

#[test]
fn rfc9568_6_1_preempt_off_leaves_a_worse_master_alone() {
    let params = RouterParams { preempt: Preempt::Never, ..v3() };
    let worse = Packet::like(&params, 50);
    let mut bench = Bench::backup(params);
    for _ in 0..10 {
        bench.run(ms(1000));
        bench.accepts(&worse);
    }
    assert_eq!(bench.state(), StateName::Backup);
}

#[test]
fn rfc9568_6_1_preempt_on_takes_over_from_a_worse_master() {
    let worse = Packet::like(&v3(), 50);
    let mut bench = Bench::backup(v3());
    for _ in 0..3 {
        bench.run(ms(1000));
        bench.accepts(&worse);
    }
    let seen = bench.run(ms(1000));
    assert_eq!(seen[0].0, us(609_375), "at the end of the down interval it began with");
    assert_eq!(
        transitions(&untimed(seen)),
        [(StateName::Backup, StateName::Master, Reason::Preempted { priority: prio(50) })]
    );
}

#[test]
fn preempt_delay_endures_a_worse_master_for_that_long() {
    let params = RouterParams { preempt: Preempt::After(ms(5000)), ..v3() };
    let worse = Packet::like(&params, 50);
    let mut bench = Bench::backup(params);
    let mut heard = 0;
    while bench.state() == StateName::Backup && heard < 20 {
        bench.run(ms(1000));
        bench.accepts(&worse);
        heard += 1;
    }
    // Endured from the first advert for five seconds, then a down interval from the last one that counted.
    assert_eq!(heard, 1 + 4 + 4);
}

#[test]
fn rfc9568_6_1_owner_preempts_even_with_preempt_off() {
    let params = RouterParams { priority: prio(255), preempt: Preempt::Never, ..v3() };
    let worse = Packet::like(&params, 100);
    // A long pause makes even an owner a newcomer; the worse Master it finds must not keep the addresses.
    let mut bench = Bench::master(params);
    bench.wait(ms(10_000));
    bench.accepts(&worse);
    assert_eq!(bench.state(), StateName::Backup);
    for _ in 0..3 {
        bench.wait(ms(1000));
        bench.accepts(&worse);
    }
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(bench.state(), StateName::Master, "{seen:?}");
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Master, Reason::Preempted { priority: prio(100) })]);
}

#[test]
fn rfc9568_6_1_one_vrid_in_two_families_is_two_virtual_routers() {
    let (four, six) = (v3(), RouterParams { vrid: v3().vrid, name: "web6".into(), ..v6() });
    let mut bench = Bench::with_routers(vec![four.clone(), six.clone()]);
    bench.link(true);
    bench.start();
    bench.run(ms(2000));
    bench.hear(&Packet::like(&four, 150));
    bench.run(ms(2000));
    let states: Vec<_> = bench.snapshots().iter().map(|router| router.state).collect();
    assert_eq!(states, [StateName::Backup, StateName::Master]);
    bench.hear(&Packet::like(&six, 150));
    let counts: Vec<_> = bench.snapshots().iter().map(|router| router.counters.advertisements_received).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn rfc9568_6_2_only_the_down_timer_runs_in_backup() {
    let mut bench = Bench::backup(v3());
    assert_eq!(bench.timeout(), Some(us(3_609_375)));
    assert!(bench.run(us(3_609_374)).is_empty(), "a Backup sends nothing");
}

#[test]
fn rfc9568_6_2_only_the_advert_timer_runs_in_master() {
    let mut bench = Bench::master(v3());
    let seen = bench.run(ms(60_000));
    assert_eq!(seen.len(), 60);
    assert!(seen.iter().all(|(_, seen)| matches!(seen, Seen::Sent(_))), "no takeover, no step down");
}

#[test]
fn rfc9568_6_2_no_timer_runs_in_initialize() {
    let mut bench = Bench::new(v3());
    bench.link(true);
    assert_eq!(bench.timeout(), None);
    bench.start();
    bench.link(false);
    assert_eq!((bench.state(), bench.timeout()), (StateName::Fault, None));
}

#[test]
fn early_timeout_is_harmless() {
    for mut bench in [Bench::backup(v3()), Bench::master(v3())] {
        let before = bench.fingerprint();
        bench.wait(ms(500));
        assert!(bench.tick().is_empty());
        assert_eq!(bench.fingerprint(), before);
        assert_eq!(bench.refused(Discard::Ttl), 0);
    }
}
