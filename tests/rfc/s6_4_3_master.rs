//! RFC 9568 section 6.4.3: Master (Active there).

use vrrpd::engine::input::Interface;
use vrrpd::engine::output::{Discard, EventKind, Reason, StateName};
use vrrpd::engine::params::{Preempt, RouterParams};

use crate::bench::*;

#[test]
fn rfc9568_6_4_3_shutdown_sends_priority_0_and_ends_in_initialize() {
    let mut bench = Bench::master(v3());
    let seen = bench.shutdown();
    assert_eq!(sent_priorities(&seen), [0]);
    assert_eq!(transitions(&seen), [(StateName::Master, StateName::Init, Reason::Stopping)]);
    let seen = untimed(bench.run(ms(60_000)));
    assert_eq!(sent_priorities(&seen), [0], "the repeated resignation and no advert of a Master");
    assert_eq!(bench.timeout(), None);
}

#[test]
fn rfc9568_6_4_3_advert_timer_sends_at_the_own_interval_without_drift() {
    let mut bench = Bench::master(RouterParams { advertisement_interval: cs(1), ..v3() });
    let seen = bench.run(ms(1000));
    let times: Vec<_> = seen.iter().map(|(at, _)| at.as_nanos()).collect();
    assert_eq!(times, (1..=100).map(|number| number * 10_000_000).collect::<Vec<u128>>());
}

#[test]
fn rfc9568_6_4_3_priority_0_is_answered_and_restarts_the_advert_timer() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(700));
    let seen = bench.accepts(&Packet::like(&v3(), 0));
    assert_eq!(sent_priorities(&seen), [100]);
    assert_eq!(bench.timeout(), Some(ms(1000)));
    assert_eq!(bench.state(), StateName::Master);
}

#[test]
fn rfc9568_6_4_3_higher_priority_makes_a_backup_that_learns_the_interval() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(700));
    let seen = bench.accepts(&Packet::like(&v3(), 101).from("192.0.2.1").every_cs(20));
    let reason = Reason::HigherPriority { priority: prio(101) };
    assert_eq!(transitions(&seen), [(StateName::Master, StateName::Backup, reason)]);
    assert!(untimed(bench.run(OVERLAP)).contains(&Seen::Release));
    let down = us(600_000 + 121_875) - OVERLAP;
    assert_eq!(bench.timeout(), Some(down), "down interval, advert timer stopped");
    assert_eq!(bench.snapshot().master.unwrap().address, ip("192.0.2.1"));
}

#[test]
fn rfc9568_6_4_3_equal_priority_and_greater_address_makes_a_backup() {
    let mut bench = Bench::master(v3());
    let seen = bench.accepts(&Packet::like(&v3(), 100).from("192.0.2.12"));
    assert_eq!(transitions(&seen), [(StateName::Master, StateName::Backup, Reason::HigherAddress)]);
    assert!(untimed(bench.run(OVERLAP)).contains(&Seen::Release));
    assert_eq!(bench.timeout(), Some(us(3_609_375) - OVERLAP));
}

#[test]
fn rfc9568_6_4_3_equal_priority_and_smaller_address_is_answered() {
    let mut bench = Bench::master(v3());
    let seen = bench.accepts(&Packet::like(&v3(), 100).from("192.0.2.10"));
    assert_eq!(sent_priorities(&seen), [100]);
    assert_eq!(bench.state(), StateName::Master);
}

#[test]
fn rfc9568_6_4_3_addresses_compare_as_unsigned_big_endian_numbers() {
    for (ours, theirs, is_greater) in [
        ("10.0.0.127", "10.0.0.128", true),
        ("10.0.0.128", "10.0.0.127", false),
        ("127.0.0.1", "128.0.0.0", true),
        ("10.0.0.9", "10.0.0.10", true),
        ("10.0.1.0", "10.0.0.255", false),
        ("fe80::7fff", "fe80::8000", true),
        ("fe80::1:0", "fe80::ffff", false),
    ] {
        let params = if ours.contains(':') { v6() } else { v3() };
        let mut bench = Bench::new(params.clone());
        bench.interface(Interface { addresses: vec![ip(ours)], ..interface() });
        bench.start();
        bench.run(ms(3700));
        assert_eq!(bench.state(), StateName::Master);
        bench.accepts(&Packet::like(&params, 100).from(theirs));
        assert_eq!(bench.state() == StateName::Backup, is_greater, "{theirs} against {ours}");
    }
}

#[test]
fn rfc9568_6_4_3_losing_advert_is_answered() {
    for params in [v3(), v6(), unicast(v3())] {
        let losing = Packet::like(&params, 99);
        let mut bench = Bench::master(params);
        bench.wait(ms(300));
        let seen = bench.accepts(&losing);
        assert_eq!(sent_priorities(&seen), [100]);
        assert_eq!(bench.timeout(), Some(ms(700)), "the advert timer runs on");
        assert_eq!(bench.state(), StateName::Master);
        assert_eq!(bench.snapshot().master_down, us(3_609_375), "nothing is learnt");
    }
}

#[test]
fn rfc9568_6_4_3_losing_advert_teaches_no_interval() {
    let mut bench = Bench::master(v3());
    bench.accepts(&Packet::like(&v3(), 99).every_cs(4000));
    assert_eq!(bench.snapshot().master_down, us(3_609_375));
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].message()[4..6], 100u16.to_be_bytes());
}

#[test]
fn rfc9568_6_4_3_preempt_plays_no_part() {
    for preempt in [Preempt::Always, Preempt::Never, Preempt::After(ms(60_000))] {
        let params = RouterParams { preempt, ..v3() };
        let mut bench = Bench::master(params.clone());
        bench.accepts(&Packet::like(&params, 50));
        assert_eq!(bench.state(), StateName::Master, "a worse one never wins");
        bench.accepts(&Packet::like(&params, 150));
        assert_eq!(bench.state(), StateName::Backup, "a better one always does");
    }
}

#[test]
fn own_source_address_is_refused_and_never_answered() {
    for params in [v3(), v2(), v6()] {
        let own = if params.family == vrrpd::wire::field::Family::V6 { "fe80::11" } else { "192.0.2.11" };
        for priority in [0, 50, 100, 200] {
            let mut bench = Bench::master(params.clone());
            bench.refuses(&Packet::like(&params, priority).from(own), Discard::OwnAddress);
        }
    }
    let mut bench = Bench::master(v3());
    let seen = bench.hear(&Packet::like(&v3(), 100).from("192.0.2.11"));
    let reason = Discard::OwnAddress;
    assert_eq!(
        events(&seen),
        [&EventKind::Discarded { refusal: reason.into(), peer: Some(ip("192.0.2.11")), count: 1 }]
    );
}
