//! D21: who preempts a living Master has the addresses before its first advert leaves.

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::RouterParams;
use vrrpd::wire::field::AdverInterval;

use crate::bench::*;

fn two_vips() -> RouterParams {
    RouterParams { vips: vec![vip("192.0.2.110"), vip("192.0.2.111")], ..v3() }
}

/// A Backup whose patience with a worse Master has just ended, and what it did.
fn preempting(params: RouterParams) -> (Bench, Vec<Seen>) {
    let mut bench = Bench::backup(params.clone());
    let patience = bench.timeout().unwrap();
    bench.wait(patience - us(50));
    bench.accepts(&Packet::like(&params, 50));
    bench.wait(us(50));
    let seen = bench.tick();
    assert_eq!(bench.state(), StateName::Master);
    (bench, seen)
}

#[test]
fn advert_that_preempts_waits_for_the_last_address() {
    let (mut bench, seen) = preempting(two_vips());
    assert_eq!(seen.first(), Some(&Seen::Acquire));
    assert!(adverts(&seen).is_empty());
    let reason = Reason::Preempted { priority: prio(50) };
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Master, reason)]);
    assert!(bench.confirm(0..1).is_empty(), "nothing is announced before the advert");
    bench.wait(ms(2));
    let seen = bench.confirm(1..2);
    assert_eq!(sent_priorities(&seen), [100]);
    assert_eq!(seen.get(1..), Some(&[Seen::Announce(0..2)][..]), "advert, then announcements");
    assert_eq!(bench.timeout(), Some(ms(998)), "in the rhythm of the deadline");
}

#[test]
fn advert_that_preempts_waits_for_a_tenth_of_a_second_or_half_an_interval() {
    for (cs, bound) in [(100, ms(100)), (10, ms(50)), (1, ms(5))] {
        let interval = AdverInterval::from_centiseconds(cs).unwrap();
        let (mut bench, _) = preempting(RouterParams { advertisement_interval: interval, ..two_vips() });
        bench.confirm(0..1);
        let seen = bench.run(interval.as_duration());
        let sent: Vec<_> = seen.iter().filter(|(_, seen)| matches!(seen, Seen::Sent(_))).map(|(at, _)| *at).collect();
        assert_eq!(sent, [bound, interval.as_duration()]);
        assert!(seen.contains(&(bound, Seen::Announce(0..1))), "what is there by then");
        assert_eq!(bench.confirm(1..2), [Seen::Announce(1..2)], "the rest when it comes");
    }
}

#[test]
fn losing_master_is_not_answered_before_the_addresses_are_there() {
    let (mut bench, _) = preempting(two_vips());
    assert!(bench.accepts(&Packet::like(&two_vips(), 50)).is_empty(), "nor told as a rival");
    let seen = bench.confirm(0..2);
    assert_eq!(sent_priorities(&seen), [100]);
}

#[test]
fn resignation_of_the_losing_master_ends_the_wait() {
    let (mut bench, _) = preempting(two_vips());
    let seen = bench.accepts(&Packet::like(&two_vips(), 0));
    assert_eq!(sent_priorities(&seen).first(), Some(&100));
}

#[test]
fn better_master_ends_the_wait_without_an_advert_of_a_master() {
    let (mut bench, _) = preempting(two_vips());
    let seen = bench.accepts(&Packet::like(&two_vips(), 150));
    assert_eq!(bench.state(), StateName::Backup);
    assert!(adverts(&seen).is_empty());
    let seen = untimed(bench.run(ms(100)));
    assert!(seen.contains(&Seen::Release));
}

#[test]
fn who_follows_a_dead_master_does_not_wait() {
    let (bench, seen) = {
        let mut bench = Bench::backup(two_vips());
        let patience = bench.timeout().unwrap();
        bench.wait(patience);
        let seen = bench.tick();
        (bench, seen)
    };
    assert_eq!(bench.state(), StateName::Master);
    assert!(matches!(seen.first(), Some(Seen::Sent(_))), "{seen:?}");
}

#[test]
fn router_without_addresses_has_nothing_to_wait_for() {
    let (_, seen) = preempting(RouterParams { vips: Vec::new(), ..v2() });
    assert!(matches!(seen.first(), Some(Seen::Sent(_))), "{seen:?}");
    assert!(!events(&seen).iter().any(|kind| matches!(kind, EventKind::Rival { .. })));
}
