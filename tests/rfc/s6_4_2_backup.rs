//! RFC 9568 section 6.4.2: Backup.

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::{Preempt, RouterParams};

use crate::bench::*;

#[test]
fn rfc9568_6_4_2_backup_wants_no_addresses_and_announces_nothing() {
    let mut bench = Bench::backup(v3());
    assert!(!bench.snapshot().wants_vips);
    assert!(bench.confirm(0..1).is_empty(), "a late answer of the kernel is no reason to announce");
    bench.accepts(&Packet::like(&v3(), 150));
    assert!(bench.run(ms(3000)).is_empty());
}

#[test]
fn rfc9568_6_4_2_shutdown_stops_the_down_timer() {
    let mut bench = Bench::backup(v3());
    let seen = bench.shutdown();
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Init, Reason::Stopping)]);
    assert!(adverts(&seen).is_empty(), "only a Master resigns");
    assert_eq!(seen.last(), Some(&Seen::Finished));
    assert_eq!(bench.timeout(), None);
    assert!(bench.run(ms(60_000)).is_empty());
}

#[test]
fn rfc9568_6_4_2_down_timer_makes_a_master_that_sends_first_and_announces_what_it_holds() {
    for params in [v3(), v6(), v2()] {
        let count = params.vips.len() as u16;
        let mut bench = Bench::backup(params);
        bench.wait(us(3_609_374));
        assert!(bench.tick().is_empty(), "not a moment before");
        bench.wait(us(1));
        let seen = bench.tick();
        let [Seen::Sent(sent), Seen::Acquire, Seen::Event(EventKind::Transition(_))] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(sent.priority(), 100);
        let silence = us(3_609_375);
        assert_eq!(
            transitions(&seen),
            [(StateName::Backup, StateName::Master, Reason::MasterDown { silence, missed: 3 })]
        );
        assert_eq!(bench.timeout(), Some(ms(1000)), "the advert timer");
        assert_eq!(bench.confirm(0..count), [Seen::Announce(0..count)]);
    }
}

#[test]
fn rfc9568_6_4_2_priority_0_sets_the_down_timer_to_skew() {
    for (priority, skew) in [(100, 609_375), (254, 7_812), (1, 996_093)] {
        let params = RouterParams { priority: prio(priority), ..v3() };
        let mut bench = Bench::backup(params.clone());
        bench.accepts(&Packet::like(&params, 254));
        bench.wait(ms(500));
        bench.accepts(&Packet::like(&params, 0));
        assert_eq!(bench.timeout().unwrap().as_micros(), skew);
        assert_eq!(bench.state(), StateName::Backup, "not at once");
        let seen = untimed(bench.run(ms(1000)));
        assert_eq!(transitions(&seen)[0], (StateName::Backup, StateName::Master, Reason::Resigned));
    }
}

#[test]
fn rfc9568_6_4_2_priority_0_teaches_no_interval() {
    let mut bench = Bench::backup(v3());
    bench.accepts(&Packet::like(&v3(), 0).every_cs(4000));
    assert_eq!(bench.timeout(), Some(us(609_375)), "skew of the interval known before");
    assert_eq!(bench.snapshot().master_down, us(3_609_375));
}

#[test]
fn rfc9568_6_4_2_advert_that_is_not_worse_teaches_its_interval_and_restarts_the_timer() {
    for priority in [100, 101, 255] {
        let mut bench = Bench::backup(v3());
        bench.wait(ms(3000));
        bench.accepts(&Packet::like(&v3(), priority).every_cs(20));
        assert_eq!(bench.timeout(), Some(us(600_000 + 121_875)), "priority {priority}");
        assert_eq!(bench.snapshot().master.unwrap().priority, prio(priority));
    }
}

#[test]
fn rfc9568_6_4_2_equal_priority_is_accepted_whatever_the_address() {
    for source in ["192.0.2.1", "192.0.2.200"] {
        let mut bench = Bench::backup(v3());
        bench.wait(ms(3000));
        bench.accepts(&Packet::like(&v3(), 100).from(source));
        assert_eq!(bench.timeout(), Some(us(3_609_375)), "only a Master compares addresses: {source}");
    }
}

#[test]
fn rfc9568_6_4_2_with_preempt_off_a_worse_advert_is_accepted_too() {
    let params = RouterParams { preempt: Preempt::Never, ..v3() };
    let mut bench = Bench::backup(params.clone());
    bench.wait(ms(3000));
    bench.accepts(&Packet::like(&params, 1).every_cs(20));
    assert_eq!(bench.timeout(), Some(us(600_000 + 121_875)));
}

#[test]
fn rfc9568_6_4_2_worse_advert_is_discarded_and_moves_nothing() {
    let mut bench = Bench::backup(v3());
    bench.accepts(&Packet::like(&v3(), 150).every_cs(50));
    bench.wait(ms(1000));
    let (left, before) = (bench.timeout(), bench.snapshot());
    for priority in [1, 99] {
        let seen = bench.accepts(&Packet::like(&v3(), priority).from("192.0.2.13").every_cs(10));
        assert!(adverts(&seen).is_empty() && transitions(&seen).is_empty());
        assert_eq!(bench.timeout(), left);
        assert_eq!(bench.snapshot().master_down, before.master_down);
        assert_eq!(bench.snapshot().master, before.master);
    }
}

#[test]
fn a_clean_resignation_promotes_the_best_backup_first() {
    let promoted_after = |priority| {
        let params = RouterParams { priority: prio(priority), ..v3() };
        let mut bench = Bench::backup(params.clone());
        bench.accepts(&Packet::like(&params, 0));
        bench.timeout().unwrap()
    };
    assert!(promoted_after(120) < promoted_after(110) && promoted_after(110) < promoted_after(100));
}
