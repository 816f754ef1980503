//! Modes, keys and ways: who believes whom while nodes change over to authenticated adverts, or from a group to peers.

use vrrpd::engine::output::{Discard, Evidence, StateName};
use vrrpd::engine::params::{Auth, AuthMode, ReplayGuard, RouterParams, Transport};
use vrrpd::wire::auth::Password;

use crate::bench::*;
use crate::trailer::*;

fn with_password(params: RouterParams, mode: AuthMode) -> RouterParams {
    RouterParams { auth: Auth::Password { password: Password::new(b"s3cr3t77"), mode }, ..params }
}

/// The first advert of a Master of this router.
fn sent_by(params: &RouterParams) -> Sent {
    let mut bench = master(params.clone());
    let seen = untimed(bench.run(ms(1000)));
    adverts(&seen)[0].clone()
}

/// The two nodes have the same clock: the advert was sent at this moment.
fn at_that_moment(params: RouterParams) -> Bench {
    let mut bench = backup(params);
    bench.run(ms(1000));
    bench.wait(us(3_609_375));
    bench
}

/// Listens with a Backup that does not become Master meanwhile.
fn believes(receiver: &RouterParams, sent: &Sent) -> Result<(), Vec<(Discard, u64)>> {
    let mut bench = at_that_moment(receiver.clone());
    bench.hear_sent(sent);
    if bench.accepted() == 1 { Ok(()) } else { Err(bench.refusals()) }
}

#[test]
fn each_mode_believes_and_sends_what_it_says() {
    let of_hmac = |params: RouterParams, mode| hmac(unicast(params), mode, TIME);
    let of_password = |params: RouterParams, mode| with_password(unicast(params), mode);
    type Make<'a> = &'a dyn Fn(RouterParams, AuthMode) -> RouterParams;
    let cases: [(RouterParams, Make<'_>, Discard); 4] = [
        (v3(), &of_hmac, Discard::AuthMissing),
        (v2(), &of_hmac, Discard::AuthMissing),
        (v6(), &of_hmac, Discard::AuthMissing),
        (v2(), &of_password, Discard::AuthType),
    ];
    for (plain, make, reason) in cases {
        for sends in MODES {
            let sent = sent_by(&mirror(&make(plain.clone(), sends)));
            for hears in MODES {
                let expected = if sends.signs() || !hears.requires() { Ok(()) } else { Err(vec![(reason, 1)]) };
                let receiver = make(plain.clone(), hears);
                assert_eq!(believes(&receiver, &sent), expected, "{:?} {sends:?} to {hears:?}", plain.version);
            }
        }
    }
}

#[test]
fn plain_router_and_one_that_asks_for_nothing_believe_each_other() {
    for plain in [v3(), v2(), v6()] {
        let plain = unicast(plain);
        let listening = hmac(plain.clone(), AuthMode::ReceiveOnly, TIME);
        assert_eq!(believes(&listening, &sent_by(&mirror(&plain))), Ok(()));
        assert_eq!(sent_by(&listening).payload.len(), sent_by(&plain).payload.len(), "sends no trailer");
        assert_eq!(believes(&plain, &sent_by(&mirror(&listening))), Ok(()));
        let signing = hmac(plain.clone(), AuthMode::Permissive, TIME);
        assert_eq!(believes(&plain, &sent_by(&mirror(&signing))), Err(vec![(Discard::Length, 1)]));
    }
}

#[test]
fn password_that_is_wrong_is_refused_in_every_mode() {
    for mode in MODES {
        let params = with_password(unicast(v2()), mode);
        let good = Packet { byte_4: 1, auth: Some(*b"s3cr3t77"), ..Packet::like(&params, 150) };
        let mut bench = backup(params);
        bench.refuses(&Packet { auth: Some(*b"s3cr3t78"), ..good.clone() }, Discard::Auth);
        bench.refuses(&Packet { byte_4: 2, ..good.clone() }, Discard::AuthType);
        let plain = Packet { byte_4: 0, auth: Some([0; 8]), ..good.clone() };
        if mode.requires() {
            bench.refuses(&plain, Discard::AuthType)
        } else {
            drop(bench.accepts(&plain))
        }
        bench.accepts(&good);
    }
}

#[test]
fn password_is_sent_by_the_modes_that_sign() {
    for mode in MODES {
        let sent = sent_by(&with_password(unicast(v2()), mode));
        let expected = if mode.signs() { (1, *b"s3cr3t77") } else { (0, [0; 8]) };
        assert_eq!((sent.message()[4], sent.message()[12..].try_into().unwrap()), expected);
    }
}

#[test]
fn signed_version_2_advert_has_auth_type_0_and_zeros() {
    let params = enforced(v2());
    let sent = sent_by(&params);
    assert_eq!((sent.payload.len(), sent.message()[4], &sent.message()[12..20]), (48, 0, &[0; 8][..]));
    let mut bench = backup(params.clone());
    let now = stamp(bench.utc());
    for kind in 1..=255 {
        bench.refuses(&signed(&Packet { byte_4: kind, ..Packet::like(&params, 150) }, now), Discard::AuthType);
    }
    bench.accepts(&signed(&Packet::like(&params, 150), now));
}

#[test]
fn key_rotates_without_a_refused_advert() {
    let (old, other) = ((1, &KEY[..]), (2, &[9; 48][..]));
    let node = |keys: &[(u8, &[u8])], active| keyed(unicast(v3()), keys, active, AuthMode::Enforce, TIME);
    let steps = [node(&[old], 1), node(&[old, other], 1), node(&[old, other], 2), node(&[other], 2)];
    for pair in steps.windows(2) {
        for (sends, hears) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            assert_eq!(believes(hears, &sent_by(&mirror(sends))), Ok(()));
        }
    }
    assert_eq!(sent_by(&steps[1]).payload[13], 1);
    assert_eq!(sent_by(&steps[2]).payload[13], 2);
    assert_eq!(
        believes(&steps[3], &sent_by(&mirror(&steps[1]))),
        Err(vec![(Discard::UnknownKey, 1)]),
        "one step left out"
    );
}

#[test]
fn one_advert_has_one_stamp_for_all_and_two_adverts_have_two() {
    for plain in [v3(), v2(), v6()] {
        let mut params = enforced(plain);
        let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
        let mut third = peers[0].clone();
        third.address = if third.address.is_ipv4() { host(13) } else { ip("2001:db8:1::13") };
        peers.push(third);
        let mut bench = master(params);
        let seen = untimed(bench.run(ms(2000)));
        let stamps: Vec<u64> = adverts(&seen).iter().map(|sent| stamp_of(&sent.payload)).collect();
        assert_eq!(stamps.len(), 4);
        assert!(stamps[0] == stamps[1] && stamps[2] == stamps[3] && stamps[1] < stamps[2], "{stamps:x?}");
        let trailer = |place: usize| adverts(&seen)[place].payload[adverts(&seen)[place].payload.len() - 28..].to_vec();
        assert_eq!(trailer(0), trailer(1), "one digest");
        let at_once: Vec<u64> =
            [bench.shutdown(), untimed(bench.run(ms(50)))].concat().iter().filter_map(resignation).collect();
        assert_eq!(at_once.len(), 4, "sent twice to two");
        assert!(at_once[0] == at_once[1] && at_once[1] < at_once[2] && stamps[3] < at_once[0]);
    }
}

fn resignation(seen: &Seen) -> Option<u64> {
    match seen {
        Seen::Sent(sent) if sent.priority() == 0 => Some(stamp_of(&sent.payload)),
        Seen::Sent(_) | Seen::Acquire | Seen::Release | Seen::Announce(_) | Seen::Event(_) | Seen::Finished => None,
    }
}

#[test]
fn adverts_of_one_moment_are_all_believed_in_their_order() {
    let params = enforced(v3());
    let mut sender = master(mirror(&params));
    let mut receiver = at_that_moment(params.clone());
    sender.run(ms(1000));
    let losing = signed(&Packet::like(&mirror(&params), 50), stamp(sender.utc()));
    let mut sent = sender.accepts(&losing);
    sent.extend(sender.shutdown());
    let sent = adverts(&sent).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(sent.iter().map(Sent::priority).collect::<Vec<_>>(), [100, 0], "an answer and a resignation at once");
    sent.iter().for_each(|sent| drop(receiver.accepts_sent(sent)));
    sent.iter().for_each(|sent| receiver.refuses_sent(sent, Discard::Replay));
}

#[test]
fn resignation_of_nobody_who_knows_the_key_is_refused() {
    for (plain, guard) in [(v3(), TIME), (v2(), ReplayGuard::Monotonic), (v6(), TIME)] {
        let params = hmac(unicast(plain), AuthMode::Enforce, guard);
        let mut bench = backup(params.clone());
        let now = stamp(bench.utc());
        bench.accepts(&signed(&Packet::like(&params, 150), now));
        let resignation = Packet::like(&params, 0);
        bench.refuses(&resignation, Discard::AuthMissing);
        bench.refuses(&signed_by(&resignation, 1, &[1; 32], now + 1), Discard::Hmac);
        bench.accepts(&signed(&resignation, now + 1));
        assert_eq!(bench.timeout(), Some(us(609_375)));
    }
}

#[test]
fn ipv6_checksum_covers_the_trailer_and_ipv4_does_not() {
    for plain in [v3(), v2(), v6()] {
        let params = enforced(plain);
        let sent = sent_by(&params);
        let (message, _) = sent.payload.split_last_chunk::<28>().unwrap();
        let sum = match (params.version, sent.source.is_ipv6()) {
            (_, true) => internet_checksum(&with_pseudo(sent.source, sent.destination, &sent.payload)),
            (vrrpd::wire::field::Version::V2, false) => internet_checksum(message),
            (vrrpd::wire::field::Version::V3, false) => {
                internet_checksum(&with_pseudo(sent.source, sent.destination, message))
            }
        };
        assert_eq!(sum, 0, "{:?}", params.version);
    }
}

/// Unicast to one peer, and to the group.
fn both_ways(plain: RouterParams) -> RouterParams {
    let Transport::Multicast { group } = plain.transport else { panic!("multicast") };
    let mut params = unicast(plain);
    let Transport::Unicast { also, .. } = &mut params.transport else { panic!("unicast") };
    *also = Some(group);
    params
}

#[test]
fn router_that_sends_both_ways_sends_each_advert_to_peers_and_group() {
    let password = |params| with_password(params, AuthMode::Enforce);
    let ah = |params| RouterParams { auth: Auth::Ah(Password::new(b"ahkey12")), ..params };
    let signed = |params| hmac(params, AuthMode::Enforce, TIME);
    for params in [
        both_ways(v3()),
        both_ways(v6()),
        password(both_ways(v2())),
        ah(both_ways(v2())),
        signed(both_ways(v3())),
        signed(both_ways(v6())),
    ] {
        let Transport::Unicast { also: Some(group), .. } = params.transport else { panic!("both") };
        let mut bench = master(params.clone());
        let mut seen = untimed(bench.run(ms(1000)));
        seen.extend(bench.shutdown());
        let sent: Vec<_> = adverts(&seen).iter().map(|sent| (sent.priority(), sent.destination)).collect();
        let peer = params.peers()[0].address;
        assert_eq!(sent, [(100, peer), (100, group), (0, peer), (0, group)]);
    }
}

#[test]
fn second_copy_of_a_signed_advert_is_passed_over_in_silence() {
    for plain in [v3(), v2(), v6()] {
        let params = hmac(both_ways(plain), AuthMode::Enforce, TIME);
        let mut sender = master(mirror(&params));
        let seen = untimed(sender.run(ms(1000)));
        let sent = adverts(&seen);
        for (first, second) in [(sent[0], sent[1]), (sent[1], sent[0])] {
            let mut bench = at_that_moment(params.clone());
            bench.accepts_sent(first);
            let before = bench.fingerprint();
            assert!(bench.hear_sent(second).is_empty());
            assert_eq!((bench.fingerprint(), bench.refusals()), (before, vec![]));
            bench.refuses_sent(second, Discard::Replay);
            bench.refuses_sent(first, Discard::Replay);
        }
    }
}

#[test]
fn second_copy_with_an_authentication_header_is_passed_over_in_silence() {
    let params = RouterParams { auth: Auth::Ah(Password::new(b"ahkey12")), ..both_ways(v2()) };
    let packet = Packet { byte_4: 2, ..Packet::like(&params, 150) };
    let by_group = Packet { destination: ip("224.0.0.18"), ..packet.clone() };
    let copies = [packet, by_group].map(|packet| authenticated(&packet, b"ahkey12", 5));
    let mut bench = backup(params);
    for _ in 0..2 {
        copies.iter().for_each(|copy| drop(bench.hear_v4(INDEX, copy)));
    }
    assert_eq!((bench.accepted(), bench.refusals()), (1, vec![(Discard::Replay, 2)]));
}

#[test]
fn group_that_is_heard_beside_unicast_believes_peers_of_the_link_alone() {
    for plain in [v3(), v6()] {
        let params = both_ways(plain);
        let Transport::Unicast { also: Some(group), .. } = params.transport else { panic!("both") };
        let good = Packet { destination: group, ..Packet::like(&params, 150) };
        let stranger = if good.source.is_ipv4() { "192.0.2.99" } else { "fe80::99" };
        let other_group = if good.source.is_ipv4() { ip("224.0.0.19") } else { ip("ff02::13") };
        let mut bench = backup(params.clone());
        bench.refuses(&Packet { ttl: 254, ..good.clone() }, Discard::Ttl);
        bench.refuses(&good.clone().from(stranger), Discard::NotAPeer);
        bench.refuses(&Packet { destination: other_group, ..good.clone() }, Discard::Destination);
        bench.accepts(&good);
        bench.accepts(&Packet { ttl: 64, ..Packet::like(&params, 150) });
        let mut bench = backup(unicast(params));
        bench.refuses(&good, Discard::Destination);
    }
}

#[test]
fn node_that_hears_both_ways_follows_one_that_sends_by_the_group_alone() {
    let params = both_ways(v3());
    let Packet { source, .. } = Packet::like(&params, 150);
    let old = Packet { source, ..Packet::like(&v3(), 150) };
    let mut bench = backup(params);
    bench.accepts(&old);
    assert_eq!((bench.state(), bench.snapshot().master.unwrap().address), (StateName::Backup, source));
}

#[test]
fn peer_may_be_held_to_a_range_of_ttls() {
    let mut params = unicast(v3());
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    (peers[0].min_ttl, peers[0].max_ttl) = (Some(60), Some(64));
    let good = Packet::like(&params, 150);
    let mut bench = backup(params);
    for ttl in 0..=255 {
        let packet = Packet { ttl, ..good.clone() };
        if (60..=64).contains(&ttl) { drop(bench.accepts(&packet)) } else { bench.refuses(&packet, Discard::Ttl) }
    }
    let seen = Bench::backup(unicast(v3())).hear(&Packet { destination: ip("224.0.0.18"), ttl: 7, ..good });
    assert!(!format!("{seen:?}").contains("Number"), "a TTL is told only where it is the reason: {seen:?}");
    let seen = Bench::backup(v3()).hear(&Packet { ttl: 7, ..Packet::like(&v3(), 150) });
    assert!(format!("{seen:?}").contains(&format!("{:?}", Evidence::Number { found: 7 })), "{seen:?}");
}
