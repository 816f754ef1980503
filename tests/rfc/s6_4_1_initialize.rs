//! RFC 9568 section 6.4.1: Initialize.

use vrrpd::engine::output::{EventKind, Reason, StateName, Transition};
use vrrpd::engine::params::RouterParams;

use crate::bench::*;

fn owner(params: RouterParams) -> RouterParams {
    RouterParams { priority: prio(255), ..params }
}

#[test]
fn rfc9568_6_4_1_owner_sends_an_advert_first_and_is_master() {
    for params in [owner(v3()), owner(v6()), owner(v2())] {
        let (mut bench, seen) = Bench::started(params);
        let [Seen::Sent(sent), Seen::Acquire, Seen::Event(EventKind::Transition(transition))] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(sent.priority(), 255);
        let Transition { from, to, reason, .. } = transition;
        assert_eq!((*from, *to, reason), (StateName::Init, StateName::Master, &Reason::Owner));
        assert_eq!(bench.timeout(), Some(ms(1000)), "the advert timer");
    }
}

#[test]
fn rfc9568_6_4_1_owner_announces_each_address_that_the_kernel_holds() {
    let (mut bench, _) =
        Bench::started(owner(RouterParams { vips: vec![vip("192.0.2.110"), vip("192.0.2.111")], ..v3() }));
    assert_eq!(bench.confirm(0..2), [Seen::Announce(0..2)]);
}

#[test]
fn rfc9568_6_4_1_others_become_backup_and_wait_a_down_interval() {
    for params in [v3(), v6(), v2(), RouterParams { priority: prio(254), ..v3() }] {
        let skew = us(u64::from(256 - u32::from(params.priority.get())) * 1_000_000 / 256);
        let (mut bench, seen) = Bench::started(params);
        assert_eq!(transitions(&seen), [(StateName::Init, StateName::Backup, Reason::Started)]);
        assert_eq!(seen.len(), 1, "nothing is sent or wanted");
        let left = bench.timeout().unwrap();
        assert!(left - ms(3000) - skew < us(1), "{left:?}");
    }
}

#[test]
fn rfc9568_6_4_1_nothing_happens_before_startup() {
    let mut bench = Bench::new(v3());
    bench.link(true);
    let seen = bench.hear(&Packet::like(&v3(), 0));
    assert!(adverts(&seen).is_empty() && transitions(&seen).is_empty());
    bench.hear(&Packet::like(&v3(), 50));
    bench.wait(ms(60_000));
    assert!(bench.tick().is_empty());
    assert_eq!((bench.state(), bench.timeout()), (StateName::Init, None));
}

#[test]
fn adverts_heard_while_in_fault_move_nothing() {
    let mut bench = Bench::backup(v3());
    bench.link(false);
    let seen = bench.hear(&Packet::like(&v3(), 50));
    assert!(adverts(&seen).is_empty() && transitions(&seen).is_empty());
    assert_eq!((bench.state(), bench.timeout()), (StateName::Fault, None));
}

#[test]
fn link_that_comes_back_starts_with_a_full_down_interval() {
    let mut bench = Bench::backup(v3());
    bench.accepts(&Packet::like(&v3(), 150).every_cs(10));
    bench.link(false);
    bench.wait(ms(60_000));
    let seen = bench.link(true);
    assert_eq!(transitions(&seen), [(StateName::Fault, StateName::Backup, Reason::Recovered)]);
    assert_eq!(bench.timeout(), Some(us(3_609_375)), "with its own interval, not the one learnt before");
}
