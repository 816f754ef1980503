//! RFC 9568 section 8: announcements at the right moment, owners and priorities, one version for each router.

use vrrpd::engine::input::Interface;
use vrrpd::engine::output::{Discard, EventKind, Mismatch, Reason, StateName};
use vrrpd::engine::params::{AnnounceSchedule, RouterParams};

use crate::bench::*;

#[test]
fn rfc9568_8_1_2_nothing_is_announced_before_the_kernel_holds_the_address() {
    for params in [v3(), v6(), RouterParams { priority: prio(255), ..v3() }] {
        let params = RouterParams { announce: AnnounceSchedule::default(), ..params };
        let (mut bench, mut seen) = Bench::started(params);
        seen.extend(untimed(bench.run(ms(70_000))));
        assert_eq!(bench.state(), StateName::Master);
        assert!(!seen.iter().any(|seen| matches!(seen, Seen::Announce(_))), "{seen:?}");
    }
}

#[test]
fn rfc9568_8_1_2_each_address_is_announced_when_it_is_held() {
    let vips = ["192.0.2.110", "192.0.2.111", "192.0.2.112"].map(vip).to_vec();
    let mut bench = Bench::backup(RouterParams { vips, ..v3() });
    bench.run(ms(3700));
    assert_eq!(bench.confirm(0..1), [Seen::Announce(0..1)]);
    assert_eq!(bench.confirm(1..3), [Seen::Announce(1..3)]);
}

#[test]
fn rfc9568_8_1_2_at_boot_a_router_waits_for_its_interface_and_link() {
    let mut bench = Bench::new(RouterParams { priority: prio(255), ..v3() });
    let seen = bench.start();
    assert_eq!(transitions(&seen), [(StateName::Init, StateName::Fault, Reason::InterfaceMissing)]);
    let seen = bench.link(false);
    assert_eq!(transitions(&seen), [(StateName::Fault, StateName::Fault, Reason::LinkDown)]);
    assert!(bench.run(ms(60_000)).is_empty());
    let seen = bench.link(true);
    assert_eq!(transitions(&seen), [(StateName::Fault, StateName::Master, Reason::Owner)]);
}

#[test]
fn rfc9568_8_1_2_master_announces_again_after_its_link_was_down() {
    let mut bench = Bench::master(v3());
    assert!(bench.link(false).contains(&Seen::Release));
    bench.link(true);
    assert!(untimed(bench.run(ms(3700))).contains(&Seen::Acquire));
    assert_eq!(bench.confirm(0..1), [Seen::Announce(0..1)]);
}

#[test]
fn interface_that_was_made_again_is_not_mistaken_for_the_old_one() {
    let mut bench = Bench::master(v3());
    let seen = bench.interface(Interface { index: Some(INDEX + 1), ..interface() });
    assert!(seen.contains(&Seen::Release) && adverts(&seen).is_empty());
    assert_eq!(bench.state(), StateName::Backup);
    bench.refuses(&Packet::like(&v3(), 150), Discard::UnknownVrid);
    bench.accepts(&Packet { interface: INDEX + 1, ..Packet::like(&v3(), 150) });
}

#[test]
fn rfc9568_8_3_2_two_owners_are_told_once() {
    let params = RouterParams { priority: prio(255), ..v3() };
    let other = Packet::like(&params, 255).from("192.0.2.10");
    let mut bench = Bench::master(params);
    let two = EventKind::Mismatch { peer: ip("192.0.2.10"), what: Mismatch::TwoOwners };
    assert!(events(&bench.accepts(&other)).contains(&&two));
    assert!(!events(&bench.accepts(&other)).contains(&&two));
}

#[test]
fn rfc9568_8_3_2_equal_priority_is_told_once() {
    let equal = Packet::like(&v3(), 100);
    let mut bench = Bench::backup(v3());
    let same = EventKind::Mismatch { peer: ip("192.0.2.12"), what: Mismatch::SamePriority };
    assert_eq!(events(&bench.accepts(&equal)).iter().filter(|event| ***event == same).count(), 1);
    assert!(events(&bench.accepts(&equal)).is_empty());
    assert!(events(&bench.accepts(&Packet::like(&v3(), 101).from("192.0.2.13"))).iter().all(|event| **event != same));
}

#[test]
fn rfc9568_8_4_2_version_2_is_refused_by_a_version_3_router_and_the_reverse() {
    let (three, two) = (v3(), RouterParams { vrid: v3().vrid, vips: v3().vips, ..v2() });
    Bench::backup(three.clone()).refuses(&Packet::like(&two, 150), Discard::Version);
    Bench::backup(two).refuses(&Packet::like(&three, 150), Discard::Version);
}

#[test]
fn rfc9568_8_1_2_address_that_the_kernel_never_took_is_not_announced_again() {
    let vips = ["192.0.2.110", "192.0.2.111", "192.0.2.112", "192.0.2.113"].map(vip).to_vec();
    let announce = AnnounceSchedule { repeats: vec![ms(500)], refresh: None };
    let mut bench = Bench::backup(RouterParams { vips, announce, ..v3() });
    bench.run(ms(3700));
    bench.confirm(3..4);
    bench.confirm(1..2);
    bench.confirm(2..3);
    let seen = untimed(bench.run(ms(600)));
    let announced: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Announce(_))).collect();
    assert_eq!(announced, [&Seen::Announce(1..4)], "the first address is still missing");
    let seen = bench.accepts(&Packet::like(&v3(), 50));
    assert!(seen.contains(&Seen::Announce(1..4)) && !seen.contains(&Seen::Announce(0..4)));
}
