//! RFC 9568 section 5.2: the fields of a message.

use vrrpd::engine::output::{Discard, EventKind, Mismatch, StateName};
use vrrpd::engine::params::{ChecksumPolicy, RouterParams};
use vrrpd::wire::field::{Priority, Vrid};

use crate::bench::*;

#[test]
fn rfc9568_5_2_2_unknown_type_is_refused() {
    for params in [v3(), v6(), v2()] {
        let good = Packet::like(&params, 150);
        let mut bench = Bench::backup(params);
        for kind in (0..=15).filter(|kind| *kind != 1) {
            bench.refuses(&Packet { kind, ..good.clone() }, Discard::Type);
        }
        bench.accepts(&good);
    }
}

#[test]
fn rfc9568_5_2_3_vrid_is_1_to_255() {
    assert_eq!(Vrid::new(0), None);
    for number in 1..=255 {
        let params = RouterParams { vrid: Vrid::new(number).unwrap(), ..v3() };
        Bench::backup(params.clone()).accepts(&Packet::like(&params, 150));
    }
    Bench::backup(v3()).refuses(&Packet { vrid: 0, ..Packet::like(&v3(), 150) }, Discard::Vrid);
}

#[test]
fn rfc9568_5_2_4_owner_sends_priority_255_whatever_its_weights() {
    let (mut bench, seen) = Bench::started(RouterParams { priority: prio(255), ..v3() });
    assert_eq!(sent_priorities(&seen), [255]);
    bench.weigh(100);
    assert_eq!(sent_priorities(&untimed(bench.run(ms(1000)))), [255]);
}

#[test]
fn rfc9568_5_2_4_weights_never_make_an_owner() {
    let mut bench = Bench::master(v3());
    bench.weigh(254);
    assert_eq!(sent_priorities(&untimed(bench.run(ms(1000)))), [254]);
    bench.weigh(255);
    assert_eq!(sent_priorities(&untimed(bench.run(ms(1000)))), [254], "refused");
}

#[test]
fn rfc9568_5_2_4_priority_0_means_leaving_and_100_is_the_default() {
    assert_eq!(Priority::new(0), None);
    assert_eq!(Priority::DEFAULT.get(), 100);
    let mut bench = Bench::master(v3());
    assert_eq!(sent_priorities(&bench.shutdown()), [0]);
}

#[test]
fn rfc9568_5_2_5_count_0_is_refused() {
    for params in [v3(), v6()] {
        let empty = Packet { addresses: Vec::new(), ..Packet::like(&params, 150) };
        let claimed = Packet { count: Some(0), ..Packet::like(&params, 150) };
        let mut bench = Bench::backup(params);
        bench.refuses(&empty, Discard::CountZero);
        bench.refuses(&claimed, Discard::CountZero);
    }
}

#[test]
fn rfc9568_5_2_6_reserved_bits_are_sent_as_zero() {
    let mut bench = Bench::master(RouterParams { advertisement_interval: cs(4095), ..v3() });
    let seen = untimed(bench.run(ms(40_950)));
    assert_eq!(adverts(&seen)[0].message()[4..6], [0x0f, 0xff]);
}

#[test]
fn rfc9568_5_2_6_reserved_bits_are_not_looked_at() {
    for (nibble, interval) in [(0x1, 50), (0x8, 50), (0xf, 4000)] {
        let mut bench = Bench::backup(v3());
        bench.accepts(&Packet::like(&v3(), 150).every_cs(nibble << 12 | interval));
        let interval = ms(u64::from(interval) * 10);
        assert_eq!(bench.timeout(), Some(interval * 3 + interval * 156 / 256), "only the low 12 bits count");
    }
}

#[test]
fn rfc9568_5_2_7_master_sends_its_own_interval_after_having_learnt_another() {
    let params = RouterParams { advertisement_interval: cs(300), ..v3() };
    let mut bench = Bench::backup(params.clone());
    bench.accepts(&Packet::like(&params, 150).every_cs(50));
    let seen = untimed(bench.run(ms(2000)));
    assert_eq!(bench.state(), StateName::Master);
    assert_eq!(adverts(&seen)[0].message()[4..6], 300u16.to_be_bytes());
}

#[test]
fn rfc9568_5_2_8_wrong_checksum_is_refused() {
    for params in [v3(), v6(), unicast(v3()), unicast(v6()), v2()] {
        let good = Packet::like(&params, 150);
        let message = good.message();
        let right = u16::from_be_bytes([message[6], message[7]]);
        let mut bench = Bench::backup(params);
        for bit in 0..16 {
            bench.refuses(&Packet { sum: Summed::Fixed(right ^ 1 << bit), ..good.clone() }, Discard::Checksum);
        }
        bench.refuses(&Packet { sum: Summed::Fixed(0), ..good.clone() }, Discard::Checksum);
        bench.accepts(&good);
    }
}

#[test]
fn rfc9568_5_2_8_checksum_field_counts_as_zero_and_both_zeros_are_one() {
    let params = RouterParams { checksum: ChecksumPolicy::Rfc9568, ..v3() };
    let base = Packet { sum: Summed::Fixed(0), addresses: vec![ip("192.0.0.0")], ..Packet::like(&params, 150) };
    // The last word of the address makes the sum of the rest 0xffff, so that the checksum is 0.
    let [high, low] = internet_checksum(&base.message()).to_be_bytes();
    let packet = Packet { addresses: vec![[192, 0, high, low].into()], ..base };
    assert_eq!(internet_checksum(&packet.message()), 0);
    let mut bench = Bench::backup(params);
    bench.accepts(&packet);
    bench.accepts(&Packet { sum: Summed::Fixed(0xffff), ..packet });
}

#[test]
fn rfc9568_5_2_8_ipv4_checksum_without_pseudo_header_is_believed_and_answered_in_kind() {
    let mut bench = Bench::backup(v3());
    let seen = bench.accepts(&Packet { sum: Summed::Message, ..Packet::like(&v3(), 150) });
    assert!(events(&seen).iter().any(|event| matches!(event, EventKind::Checksum { .. })));
    let seen = untimed(bench.run(ms(4000)));
    assert_eq!(internet_checksum(adverts(&seen)[0].message()), 0, "a sum over the message alone");
}

#[test]
fn ipv4_checksum_with_pseudo_header_is_sent_until_another_is_heard() {
    for params in [v3(), unicast(v3())] {
        let mut bench = Bench::master(params);
        let seen = untimed(bench.run(ms(1000)));
        let sent = adverts(&seen)[0];
        assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
    }
}

#[test]
fn rfc9568_5_2_8_option_rfc9568_sends_and_believes_the_message_sum_alone() {
    let params = RouterParams { checksum: ChecksumPolicy::Rfc9568, ..v3() };
    let good = Packet { sum: Summed::Message, ..Packet::like(&params, 50) };
    let mut bench = Bench::master(params);
    bench.refuses(&Packet { sum: Summed::Pseudo, ..good.clone() }, Discard::Checksum);
    let seen = bench.accepts(&good);
    assert_eq!(internet_checksum(adverts(&seen)[0].message()), 0);
}

#[test]
fn old_unicast_checksum_is_believed_in_unicast_only() {
    let old = |params: &RouterParams| Packet { sum: Summed::PseudoGroup, ..Packet::like(params, 150) };
    let params = unicast(v3());
    Bench::backup(params.clone()).accepts(&old(&params));
    let params = RouterParams { checksum: ChecksumPolicy::OldUnicast, ..unicast(v3()) };
    let mut bench = Bench::backup(params.clone());
    bench.refuses(&Packet::like(&params, 150), Discard::Checksum);
    bench.accepts(&old(&params));
}

#[test]
fn rfc9568_5_2_8_ipv6_checksum_covers_the_pseudo_header_whatever_the_option_says() {
    for checksum in [ChecksumPolicy::Auto, ChecksumPolicy::Rfc9568] {
        let params = RouterParams { checksum, ..v6() };
        let good = Packet::like(&params, 50);
        let mut bench = Bench::master(params);
        bench.refuses(&Packet { sum: Summed::Message, ..good.clone() }, Discard::Checksum);
        let seen = bench.accepts(&good);
        let sent = adverts(&seen)[0];
        assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
    }
}

#[test]
fn rfc9568_5_2_9_ipv6_list_begins_with_the_link_local_address_that_is_configured_first() {
    let mut bench = Bench::master(v6());
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].message()[8..24], octets(ip("fe80::65")));
}

#[test]
fn rfc9568_5_2_9_addresses_of_the_other_family_are_never_listed() {
    let rider = vip("2001:db8:1::100");
    let params = RouterParams { vips: vec![rider, vip("192.0.2.110"), vip("192.0.2.111")], ..v3() };
    let mut bench = Bench::master(params);
    let seen = untimed(bench.run(ms(1000)));
    let message = adverts(&seen)[0].message();
    assert_eq!(message[3], 2);
    assert_eq!(message[8..], [192, 0, 2, 110, 192, 0, 2, 111]);
}

#[test]
fn rfc9568_5_2_9_unadvertised_addresses_are_not_listed() {
    let hidden = vrrpd::engine::params::Vip { advertise: false, ..vip("192.0.2.109") };
    let mut bench = Bench::master(RouterParams { vips: vec![hidden, vip("192.0.2.110")], ..v3() });
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].message()[8..], [192, 0, 2, 110]);
}

#[test]
fn rfc9568_5_2_9_addresses_travel_in_configured_order_and_another_order_is_told() {
    let params = RouterParams { vips: vec![vip("192.0.2.112"), vip("192.0.2.110")], ..v3() };
    let mut bench = Bench::backup(params.clone());
    let turned = vec![ip("192.0.2.110"), ip("192.0.2.112")];
    let seen = bench.accepts(&Packet { addresses: turned, ..Packet::like(&params, 150) });
    let what = Mismatch::AddressList { missing: ip("192.0.2.112") };
    assert!(events(&seen).contains(&&EventKind::Mismatch { peer: ip("192.0.2.12"), what }));
    let seen = untimed(bench.run(ms(4000)));
    assert_eq!(adverts(&seen)[0].message()[8..], [192, 0, 2, 112, 192, 0, 2, 110]);
}
