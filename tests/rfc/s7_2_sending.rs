//! RFC 9568 section 7.2: what is sent, from where and to whom.

use vrrpd::engine::input::Interface;
use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{PeerParams, RouterParams, Transport};

use crate::bench::*;

fn first_advert(params: RouterParams) -> Sent {
    let mut bench = Bench::backup(params);
    let seen = untimed(bench.run(ms(4000)));
    adverts(&seen)[0].clone()
}

#[test]
fn rfc9568_7_2_every_field_of_an_ipv4_advert() {
    let params =
        RouterParams { vips: vec![vip("192.0.2.110"), vip("192.0.2.111")], advertisement_interval: cs(50), ..v3() };
    let sent = first_advert(params);
    assert_eq!(sent.message()[..6], [0x31, 61, 100, 2, 0, 50]);
    assert_eq!(sent.message()[8..], [192, 0, 2, 110, 192, 0, 2, 111]);
    assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
}

#[test]
fn rfc9568_7_2_every_field_of_an_ipv6_advert() {
    let sent = first_advert(v6());
    assert_eq!(sent.message()[..6], [0x31, 65, 100, 2, 0, 100]);
    assert_eq!(sent.message()[8..], [octets(ip("fe80::65")), octets(ip("2001:db8:1::100"))].concat());
    assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
}

#[test]
fn rfc9568_7_2_next_advert_carries_the_changed_priority() {
    let mut bench = Bench::master(v3());
    assert_eq!(sent_priorities(&untimed(bench.run(ms(1000)))), [100]);
    bench.weigh(142);
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(sent_priorities(&seen), [142]);
    let sent = adverts(&seen)[0];
    assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0, "no stale checksum");
}

#[test]
fn rfc9568_7_2_next_advert_leaves_from_the_changed_source_address() {
    let mut bench = Bench::master(v3());
    bench.run(ms(1000));
    bench.interface(Interface { addresses: vec![ip("192.0.2.99")], ..interface() });
    let seen = untimed(bench.run(ms(1000)));
    let sent = adverts(&seen)[0];
    assert_eq!(sent.source, ip("192.0.2.99"));
    assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
}

#[test]
fn rfc9568_7_2_multicast_goes_to_the_group_of_the_family() {
    assert_eq!(first_advert(v3()).destination, ip("224.0.0.18"));
    assert_eq!(first_advert(v6()).destination, ip("ff02::12"));
    assert_eq!(first_advert(v2()).destination, ip("224.0.0.18"));
}

#[test]
fn unicast_sends_one_advert_to_each_peer_with_a_checksum_of_its_own() {
    let mut params = unicast(v3());
    let peer = |address| PeerParams { address: ip(address), priority: None, min_ttl: None, max_ttl: None };
    params.transport = Transport::Unicast { peers: vec![peer("192.0.2.12"), peer("192.0.2.13")], also: None };
    let mut bench = Bench::master(params);
    let seen = untimed(bench.run(ms(1000)));
    let sent = adverts(&seen);
    assert_eq!(sent.iter().map(|sent| sent.destination).collect::<Vec<_>>(), [ip("192.0.2.12"), ip("192.0.2.13")]);
    for sent in sent {
        assert_eq!(internet_checksum(&with_pseudo(sent.source, sent.destination, sent.message())), 0);
    }
    assert_eq!(bench.snapshot().counters.advertisements_sent, 2, "one for all peers counts once");
}

#[test]
fn rfc9568_7_2_master_that_loses_its_source_address_sends_nothing() {
    for addresses in [vec![], vec![ip("fe80::11")]] {
        let mut bench = Bench::master(v3());
        let seen = bench.interface(Interface { addresses, ..interface() });
        assert!(seen.contains(&Seen::Release));
        assert_eq!(bench.state(), StateName::Fault);
        assert!(bench.run(ms(10_000)).is_empty());
    }
}
