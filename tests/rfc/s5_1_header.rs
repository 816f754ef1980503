//! RFC 9568 sections 2.5 and 5.1: late adverts, and the IP header they travel in.

use std::net::Ipv4Addr;

use vrrpd::engine::input::Interface;
use vrrpd::engine::output::{Discard, EventKind, Reason, StateName};
use vrrpd::engine::params::{RouterParams, Transport};
use vrrpd::wire::ip::{Ipv4Header, Protocol};

use crate::bench::*;

#[test]
fn rfc9568_2_5_master_that_was_kept_from_running_says_so() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(1000 + 3700));
    let seen = bench.tick();
    assert_eq!(events(&seen), [&EventKind::Paused { length: ms(3700) }]);
    assert_eq!(sent_priorities(&seen), [100]);
}

#[test]
fn rfc9568_2_5_small_lateness_is_not_worth_a_word() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(1000 + 900));
    let seen = bench.tick();
    assert!(events(&seen).is_empty(), "{seen:?}");
    assert_eq!(bench.timeout(), Some(ms(100)), "and does not add up");
}

#[test]
fn rfc9568_5_1_1_1_adverts_leave_from_the_first_ipv4_address_of_the_interface() {
    let mut bench = Bench::master(v3());
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].source, ip("192.0.2.11"));
    assert_eq!(adverts(&seen)[0].interface, INDEX);
}

#[test]
fn rfc9568_5_1_1_1_without_its_source_address_a_router_sends_nothing() {
    let configured = RouterParams { source: Some(ip("192.0.2.99")), ..v3() };
    for (params, addresses) in [(v3(), vec![ip("fe80::11")]), (configured, vec![ip("192.0.2.11")])] {
        let mut bench = Bench::new(params);
        bench.interface(Interface { addresses, ..interface() });
        let seen = bench.start();
        assert_eq!(transitions(&seen), [(StateName::Init, StateName::Fault, Reason::NoAddress)]);
        assert!(adverts(&untimed(bench.run(ms(20_000)))).is_empty());
    }
}

#[test]
fn rfc9568_5_1_1_3_ipv4_header_we_write_has_ttl_255() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 11), Ipv4Addr::new(224, 0, 0, 18));
    let header = Ipv4Header { source, destination, id: 1, protocol: Protocol::Ah }.emit(44);
    assert_eq!(header[8], 255);
}

#[test]
fn rfc9568_5_1_1_3_other_ttl_is_refused() {
    for params in [v3(), v2()] {
        let good = Packet::like(&params, 150);
        let mut bench = Bench::backup(params);
        for ttl in [0, 1, 64, 254] {
            bench.refuses(&Packet { ttl, ..good.clone() }, Discard::Ttl);
        }
        bench.accepts(&good);
    }
}

#[test]
fn unicast_peer_may_have_any_ttl_unless_min_ttl_or_strict_asks() {
    for params in [unicast(v3()), unicast(v2()), unicast(v6())] {
        let low = Packet { ttl: 64, ..Packet::like(&params, 150) };
        Bench::backup(params.clone()).accepts(&low);
        let strict = RouterParams { strict: true, ..params.clone() };
        Bench::backup(strict).refuses(&low, Discard::Ttl);
        let mut guarded = params;
        let Transport::Unicast { peers, .. } = &mut guarded.transport else { panic!("unicast") };
        peers[0].min_ttl = Some(65);
        let mut bench = Bench::backup(guarded);
        bench.refuses(&low, Discard::Ttl);
        bench.accepts(&Packet { ttl: 65, ..low });
    }
}

#[test]
fn rfc9568_5_1_1_4_other_ip_protocol_is_refused() {
    let mut bench = Bench::backup(v3());
    let good = Packet::like(&v3(), 150);
    for protocol in (0..=255).filter(|protocol| ![51, 112].contains(protocol)) {
        bench.refuses(&Packet { protocol, ..good.clone() }, Discard::Protocol);
    }
    bench.accepts(&good);
}

#[test]
fn rfc9568_5_1_2_1_ipv6_adverts_leave_from_the_link_local_address() {
    let mut bench = Bench::master(v6());
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].source, ip("fe80::11"));
}

#[test]
fn rfc9568_5_1_2_1_ipv6_multicast_from_a_global_address_is_refused() {
    let mut bench = Bench::backup(v6());
    bench.refuses(&Packet::like(&v6(), 150).from("2001:db8:1::12"), Discard::SourceNotLinkLocal);
}

#[test]
fn rfc9568_5_1_2_1_without_a_link_local_address_ipv6_multicast_sends_nothing() {
    let mut bench = Bench::new(v6());
    bench.interface(Interface { addresses: vec![ip("2001:db8:1::11")], ..interface() });
    assert_eq!(transitions(&bench.start()), [(StateName::Init, StateName::Fault, Reason::NoAddress)]);
}

#[test]
fn unicast_over_ipv6_uses_global_addresses_when_the_peers_have_them() {
    let params = RouterParams { source: None, ..unicast(v6()) };
    let mut bench = Bench::master(params);
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].source, ip("2001:db8:1::11"));
    assert_eq!(adverts(&seen)[0].destination, ip("2001:db8:1::12"));
}

#[test]
fn rfc9568_5_1_2_3_other_hop_limit_is_refused() {
    let good = Packet::like(&v6(), 150);
    let mut bench = Bench::backup(v6());
    for ttl in [0, 1, 64, 254] {
        bench.refuses(&Packet { ttl, ..good.clone() }, Discard::Ttl);
    }
    bench.accepts(&good);
}
