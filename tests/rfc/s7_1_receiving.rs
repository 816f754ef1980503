//! RFC 9568 section 7.1: what is checked on receipt, what is said about it, and what is not held against a sender.

use vrrpd::engine::output::{Discard, EventKind, Evidence, Mismatch, Refusal, StateName};
use vrrpd::engine::params::{RouterParams, Transport};

use crate::bench::*;

fn mismatches(seen: &[Seen]) -> Vec<Mismatch> {
    let events = events(seen).into_iter();
    events.filter_map(|event| if let EventKind::Mismatch { what, .. } = event { Some(*what) } else { None }).collect()
}

#[test]
fn rfc9568_7_1_other_version_is_refused() {
    for params in [v3(), v6()] {
        let good = Packet::like(&params, 150);
        let mut bench = Bench::backup(params);
        for version in (0..=15).filter(|version| *version != 3) {
            bench.refuses(&Packet { version, ..good.clone() }, Discard::Version);
        }
        bench.accepts(&good);
    }
}

#[test]
fn rfc9568_7_1_type_1_alone_is_an_advert() {
    let mut bench = Bench::master(v3());
    bench.refuses(&Packet { kind: 2, ..Packet::like(&v3(), 200) }, Discard::Type);
    assert_eq!(bench.state(), StateName::Master);
}

#[test]
fn rfc9568_7_1_list_shorter_or_longer_than_its_count_is_refused() {
    for params in [v3(), v6()] {
        let good = Packet::like(&params, 150);
        let count = good.addresses.len() as u8;
        let mut bench = Bench::backup(params);
        bench.refuses(&Packet { count: Some(count + 1), ..good.clone() }, Discard::Incomplete);
        bench.refuses(&Packet { count: Some(255), ..good.clone() }, Discard::Incomplete);
        for extra in [1, 4, 28] {
            bench.refuses(&Packet { extra: vec![0; extra], ..good.clone() }, Discard::Length);
        }
        bench.accepts(&good);
    }
}

#[test]
fn rfc9568_7_1_unknown_vrid_is_refused_and_only_counted() {
    let mut bench = Bench::backup(v3());
    let stranger = Packet { vrid: 62, ..Packet::like(&v3(), 150) };
    let seen = bench.hear(&stranger);
    let told: Vec<&EventKind> = events(&seen).into_iter().collect();
    let refusal = Refusal { reason: Discard::UnknownVrid, evidence: Evidence::Number { found: 62 } };
    let expected = EventKind::Discarded { refusal, peer: Some(stranger.source), count: 1 };
    assert_eq!(told, [&expected], "once, for a while");
    assert!((0..100).all(|_| bench.hear(&stranger).is_empty()), "other routers may share the link");
    assert_eq!(bench.refusals(), [(Discard::UnknownVrid, 101)]);
}

#[test]
fn rfc9568_7_1_vrid_counts_on_its_own_interface_alone() {
    let mut bench = Bench::backup(v3());
    bench.refuses(&Packet { interface: INDEX + 1, ..Packet::like(&v3(), 150) }, Discard::UnknownVrid);
    bench.accepts(&Packet::like(&v3(), 150));
}

#[test]
fn rfc9568_7_1_interval_0_is_refused() {
    for params in [v3(), v6()] {
        let mut bench = Bench::backup(params.clone());
        for interval in [0, 0xf000] {
            bench.refuses(&Packet::like(&params, 150).every_cs(interval), Discard::Interval);
        }
    }
}

#[test]
fn rfc9568_7_1_ipv6_list_that_does_not_begin_link_local_is_refused_when_strict() {
    let strict = RouterParams { strict: true, ..v6() };
    let good = Packet::like(&strict, 150);
    let global = Packet { addresses: vec![ip("2001:db8:1::100"), ip("fe80::65")], ..good.clone() };
    let mut bench = Bench::backup(strict);
    bench.refuses(&global, Discard::AddressList);
    bench.accepts(&good);
}

#[test]
fn ipv6_list_that_does_not_begin_link_local_is_honoured_and_told_once() {
    let global = Packet { addresses: vec![ip("2001:db8:1::100"), ip("fe80::65")], ..Packet::like(&v6(), 150) };
    let mut bench = Bench::backup(v6());
    assert!(mismatches(&bench.accepts(&global)).contains(&Mismatch::FirstNotLinkLocal));
    assert!(mismatches(&bench.accepts(&global)).is_empty());
    assert!(bench.snapshot().peers[0].differences.contains(&Mismatch::FirstNotLinkLocal), "and shown in status");
    assert_eq!(bench.timeout(), Some(us(3_609_375)));
}

#[test]
fn rfc9568_7_1_refused_flood_does_not_touch_a_master() {
    let mut bench = Bench::master(v3());
    let good = Packet::like(&v3(), 200);
    for number in 0..1000 {
        bench.wait(us(900));
        match number % 4 {
            0 => bench.refuses(&Packet { sum: Summed::Fixed(1), ..good.clone() }, Discard::Checksum),
            1 => bench.refuses(&Packet { ttl: 254, ..good.clone() }, Discard::Ttl),
            2 => bench.refuses(&good.clone().every_cs(0), Discard::Interval),
            _ => bench.refuses(&Packet { version: 2, ..good.clone() }, Discard::Version),
        }
    }
    assert_eq!(bench.timeout(), Some(ms(100)));
}

#[test]
fn rfc9568_7_1_discards_are_told_ever_more_seldom_with_their_number() {
    let mut bench = Bench::backup(v3());
    let bad = Packet { sum: Summed::Fixed(1), ..Packet::like(&v3(), 150) };
    let mut told = Vec::new();
    for _ in 0..1900 {
        bench.wait(ms(100));
        let seen = bench.hear(&bad);
        told.extend(events(&seen).into_iter().cloned());
    }
    let event = |count| EventKind::Discarded { refusal: Discard::Checksum.into(), peer: Some(ip("192.0.2.12")), count };
    assert_eq!(told, [event(1), event(600), event(1200)], "after 1 minute, then after 2");
    assert_eq!(bench.refused(Discard::Checksum), 1900);
}

#[test]
fn rfc9568_7_1_other_interval_is_told_once_and_not_held_against_the_sender() {
    let mut bench = Bench::backup(v3());
    let other = Packet::like(&v3(), 150).every_cs(50);
    let what = Mismatch::Interval { theirs: ms(500), ours: ms(1000) };
    assert_eq!(mismatches(&bench.accepts(&other)), [what]);
    for _ in 0..3 {
        assert!(mismatches(&bench.accepts(&other)).is_empty());
        bench.wait(ms(120_000));
    }
    assert_eq!(bench.snapshot().peers[0].differences, [what]);
}

#[test]
fn rfc9568_7_1_other_list_is_told_once_and_never_dropped() {
    for strict in [false, true] {
        let params = RouterParams { strict, ..v3() };
        let other = Packet { addresses: vec![ip("192.0.2.111")], ..Packet::like(&params, 150) };
        let longer = Packet { addresses: vec![ip("192.0.2.110"), ip("192.0.2.111")], ..other.clone() };
        let mut bench = Bench::backup(params);
        assert_eq!(mismatches(&bench.accepts(&other)), [Mismatch::AddressList { missing: ip("192.0.2.110") }]);
        assert!(mismatches(&bench.accepts(&other)).is_empty());
        assert_eq!(mismatches(&bench.accepts(&longer)), [Mismatch::AddressCount { theirs: 2, ours: 1 }]);
    }
}

#[test]
fn rfc9568_7_1_good_adverts_are_not_told() {
    let mut bench = Bench::backup(v6());
    assert!(bench.accepts(&Packet::like(&v6(), 150)).is_empty());
    assert!(bench.snapshot().peers[0].differences.is_empty());
}

#[test]
fn rfc9568_7_1_status_counts_every_refusal_by_its_reason() {
    let mut bench = Bench::backup(v3());
    bench.hear(&Packet { ttl: 1, ..Packet::like(&v3(), 150) });
    bench.hear(&Packet { kind: 2, ..Packet::like(&v3(), 150) });
    bench.hear(&Packet { kind: 3, ..Packet::like(&v3(), 150) });
    assert_eq!(bench.refusals(), [(Discard::Ttl, 1), (Discard::Type, 2)]);
    assert_eq!(bench.snapshot().counters.advertisements_received, 0);
}

#[test]
fn rfc9568_7_1_owner_tells_of_an_advert_and_judges_it() {
    for params in [v3(), v6(), v2(), RouterParams { strict: true, ..v3() }] {
        let params = RouterParams { priority: prio(255), ..params };
        let mut bench = Bench::master(params.clone());
        let seen = bench.accepts(&Packet::like(&params, 150));
        assert!(events(&seen).iter().any(|event| matches!(event, EventKind::Rival { .. })), "{seen:?}");
        assert_eq!(sent_priorities(&seen), [255]);
    }
}

#[test]
fn rfc9568_7_1_of_two_owners_the_smaller_address_yields() {
    let params = RouterParams { priority: prio(255), ..v3() };
    let mut bench = Bench::master(params.clone());
    let seen = bench.accepts(&Packet::like(&params, 255).from("192.0.2.10"));
    assert!(mismatches(&seen).contains(&Mismatch::TwoOwners));
    assert_eq!(bench.state(), StateName::Master);
    bench.accepts(&Packet::like(&params, 255).from("192.0.2.12"));
    assert_eq!(bench.state(), StateName::Backup);
}

#[test]
fn unicast_believes_configured_peers_alone() {
    for params in [unicast(v3()), unicast(v2())] {
        let good = Packet::like(&params, 150);
        let mut bench = Bench::backup(params);
        bench.refuses(&good.clone().from("192.0.2.13"), Discard::NotAPeer);
        bench.refuses(&Packet { destination: ip("224.0.0.18"), ..good.clone() }, Discard::Destination);
        bench.accepts(&good);
    }
}

#[test]
fn multicast_refuses_what_was_sent_to_one_node() {
    for (params, own) in [(v3(), "192.0.2.11"), (v6(), "fe80::11"), (v2(), "192.0.2.11")] {
        let stray = Packet { destination: ip(own), ..Packet::like(&params, 150) };
        Bench::backup(params).refuses(&stray, Discard::Destination);
    }
}

#[test]
fn changing_senders_or_checksums_cannot_fill_the_log() {
    let mut bench = Bench::backup(v3());
    let mut told = 0;
    for number in 0..600u32 {
        bench.wait(ms(100));
        let sum = if number % 2 == 0 { Summed::Message } else { Summed::Pseudo };
        let from = format!("192.0.2.{}", 100 + number % 100);
        let packet = Packet { sum, addresses: vec![ip("192.0.2.9")], ..Packet::like(&v3(), 150) };
        told += events(&bench.accepts(&packet.clone().from(&from))).len();
        told += events(&bench.accepts(&packet)).len();
    }
    assert!(told <= 16 * 2 + 1, "{told} events in a minute");
}

#[test]
fn unicast_routers_may_share_a_vrid_when_their_peers_differ() {
    let one = unicast(v3());
    let mut two = RouterParams { name: "other".into(), ..one.clone() };
    let Transport::Unicast { peers, .. } = &mut two.transport else { panic!("unicast") };
    peers[0].address = ip("192.0.2.13");
    let packet = Packet::like(&two, 150);
    let mut bench = Bench::with_routers(vec![one, two]);
    bench.link(true);
    bench.start();
    bench.hear(&packet);
    let counts: Vec<_> = bench.snapshots().iter().map(|router| router.counters.advertisements_received).collect();
    assert_eq!(counts, [0, 1]);
}
