//! Version 2: what RFC 3768 asks for, where it differs from RFC 9568 and where it says the same.

use vrrpd::engine::election::{master_down_interval, skew_time};
use vrrpd::engine::output::{Discard, EventKind, Evidence, Mismatch, Reason, Refusal, StateName};
use vrrpd::engine::params::{Auth, AuthMode, Preempt, RouterParams};
use vrrpd::wire::auth::Password;
use vrrpd::wire::field::{AdverInterval, Version};

use crate::bench::*;

fn with_password() -> RouterParams {
    RouterParams { auth: Auth::Password { password: Password::new(b"s3cr3t77"), mode: AuthMode::Enforce }, ..v2() }
}

fn with_ah() -> RouterParams {
    RouterParams { auth: Auth::Ah(Password::new(b"ahkey12")), ..v2() }
}

fn every_seconds(params: RouterParams, seconds: u8) -> RouterParams {
    RouterParams { advertisement_interval: AdverInterval::from_seconds(seconds).unwrap(), ..params }
}

#[test]
fn rfc3768_5_3_4_owner_is_255_and_leaving_is_0() {
    let (mut bench, seen) = Bench::started(RouterParams { priority: prio(255), ..v2() });
    assert_eq!(sent_priorities(&seen), [255]);
    assert_eq!(sent_priorities(&bench.shutdown()), [0]);
}

#[test]
fn rfc3768_5_3_6_other_auth_type_is_refused() {
    for (params, own) in [(v2(), 0), (with_password(), 1)] {
        let auth = Some(if own == 1 { *b"s3cr3t77" } else { [0; 8] });
        let good = Packet { byte_4: own, auth, ..Packet::like(&params, 150) };
        let mut bench = Bench::backup(params);
        for kind in (0..=255).filter(|kind| *kind != own) {
            bench.refuses(&Packet { byte_4: kind, ..good.clone() }, Discard::AuthType);
        }
        bench.accepts(&good);
    }
}

#[test]
fn password_is_compared_whole() {
    let good = Packet { byte_4: 1, auth: Some(*b"s3cr3t77"), ..Packet::like(&with_password(), 150) };
    let mut bench = Bench::backup(with_password());
    for auth in [*b"s3cr3t7\0", *b"s3cr3t78", *b"S3cr3t77", [0; 8]] {
        bench.refuses(&Packet { auth: Some(auth), ..good.clone() }, Discard::Auth);
    }
    bench.accepts(&good);
    let mut bench = Bench::master(with_password());
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(adverts(&seen)[0].message()[4], 1);
    assert_eq!(adverts(&seen)[0].message()[12..], *b"s3cr3t77");
}

#[test]
fn authentication_header_is_required_checked_and_used_once() {
    let packet = Packet { byte_4: 2, ..Packet::like(&with_ah(), 150) };
    let mut bench = Bench::backup(with_ah());
    for (bytes, reason) in [
        (packet.bytes(), Discard::Auth),
        (Packet { byte_4: 0, ..packet.clone() }.bytes(), Discard::AuthType),
        (Packet { byte_4: 1, ..packet.clone() }.bytes(), Discard::AuthType),
        (authenticated(&packet, b"wrong", 1), Discard::Auth),
        (authenticated(&Packet { ttl: 254, ..packet.clone() }, b"ahkey12", 1), Discard::Ttl),
    ] {
        let before = bench.refused(reason);
        bench.hear_v4(INDEX, &bytes);
        assert_eq!(bench.refused(reason), before + 1, "{:?}", bench.refusals());
    }
    bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", 5));
    assert_eq!(bench.accepted(), 1);
    for sequence in [5, 4, 1, 0] {
        bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", sequence));
    }
    assert_eq!((bench.accepted(), bench.refused(Discard::Replay)), (1, 4));
}

#[test]
fn authentication_header_goes_on_from_the_highest_number_heard() {
    let packet = Packet { byte_4: 2, ..Packet::like(&with_ah(), 150) };
    let mut bench = Bench::backup(with_ah());
    bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", 41));
    let seen = untimed(bench.run(ms(4000)));
    let sent = adverts(&seen)[0];
    assert_eq!(sent.payload[8..12], 42u32.to_be_bytes());
    assert_ne!(sent.ah.unwrap().ip_id, 0);
    assert_eq!(sent.message()[4], 2);
}

#[test]
fn rfc3768_7_1_authenticated_packet_with_another_auth_type_inside_is_refused() {
    let params = with_ah();
    let mut bench = Bench::backup(params.clone());
    for (sequence, kind) in [(1, 0), (2, 1), (3, 3), (4, 255)] {
        let packet = Packet { byte_4: kind, ..Packet::like(&params, 150) };
        bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", sequence));
        assert_eq!(bench.refused(Discard::AuthType), u64::from(sequence), "type {kind}: {:?}", bench.refusals());
    }
    let packet = Packet { byte_4: 2, ..Packet::like(&params, 150) };
    bench.hear_v4(INDEX, &authenticated(&packet, b"ahkey12", 1));
    assert_eq!(bench.accepted(), 1, "and a refused packet does not move the mark: {:?}", bench.refusals());
}

#[test]
fn rfc3768_5_3_7_interval_travels_in_whole_seconds() {
    assert_eq!(AdverInterval::DEFAULT.seconds(), 1);
    for seconds in [1, 2, 255] {
        let mut bench = Bench::master(every_seconds(v2(), seconds));
        let seen = untimed(bench.run(ms(u64::from(seconds) * 1000)));
        assert_eq!(adverts(&seen)[0].message()[5], seconds);
    }
}

#[test]
fn rfc3768_5_3_8_checksum_covers_message_and_auth_bytes_and_no_pseudo_header() {
    let good = Packet { byte_4: 1, auth: Some(*b"s3cr3t77"), ..Packet::like(&with_password(), 150) };
    let mut bench = Bench::backup(with_password());
    bench.refuses(&Packet { sum: Summed::Pseudo, ..good.clone() }, Discard::Checksum);
    let message = good.message();
    let partial = [&message[..6], &[0, 0], &message[8..12]].concat();
    bench.refuses(&Packet { sum: Summed::Fixed(internet_checksum(&partial)), ..good.clone() }, Discard::Checksum);
    bench.accepts(&good);
    let seen = untimed(bench.run(ms(4000)));
    assert_eq!(internet_checksum(adverts(&seen)[0].message()), 0);
}

#[test]
fn rfc3768_5_3_10_auth_bytes_without_authentication_are_sent_as_zero_and_ignored() {
    let mut bench = Bench::backup(v2());
    bench.accepts(&Packet { auth: Some([0xff; 8]), ..Packet::like(&v2(), 150) });
    let seen = untimed(bench.run(ms(4000)));
    assert_eq!(adverts(&seen)[0].message()[4], 0);
    assert_eq!(adverts(&seen)[0].message()[12..], [0; 8]);
}

#[test]
fn rfc3768_6_1_skew_does_not_scale_with_the_interval() {
    for priority in 1..=255u8 {
        let nanos = u128::from(256 - u64::from(priority)) * 1_000_000_000 / 256;
        for seconds in [1, 10, 255] {
            assert_eq!(skew_time(Version::V2, prio(priority), ms(seconds * 1000)).as_nanos(), nanos);
        }
    }
}

#[test]
fn rfc3768_6_1_down_interval_is_three_own_intervals_and_skew() {
    assert_eq!(master_down_interval(Version::V2, prio(100), ms(7000), 3), us(21_609_375));
    let params = every_seconds(v2(), 7);
    let mut bench = Bench::backup(params.clone());
    assert_eq!(bench.timeout(), Some(us(21_609_375)));
    bench.wait(ms(3000));
    bench.accepts(&Packet::like(&params, 150));
    assert_eq!(bench.timeout(), Some(us(21_609_375)), "restarted, nothing learnt");
}

#[test]
fn rfc3768_6_4_2_advert_that_is_not_worse_or_not_preempted_restarts_the_timer() {
    for (preempt, priority) in [(Preempt::Always, 100), (Preempt::Always, 200), (Preempt::Never, 1)] {
        let params = RouterParams { preempt, ..v2() };
        let mut bench = Bench::backup(params.clone());
        bench.wait(ms(2000));
        bench.accepts(&Packet::like(&params, priority));
        assert_eq!(bench.timeout(), Some(us(3_609_375)));
    }
}

#[test]
fn rfc3768_6_4_2_worse_advert_is_discarded() {
    let mut bench = Bench::backup(v2());
    bench.wait(ms(2000));
    bench.accepts(&Packet::like(&v2(), 99));
    assert_eq!(bench.timeout(), Some(us(1_609_375)));
}

#[test]
fn rfc3768_6_4_2_priority_0_sets_the_timer_to_skew() {
    let params = every_seconds(v2(), 10);
    let mut bench = Bench::backup(params.clone());
    bench.accepts(&Packet::like(&params, 0));
    assert_eq!(bench.timeout(), Some(us(609_375)));
    let seen = untimed(bench.run(ms(1000)));
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Master, Reason::Resigned)]);
}

#[test]
fn rfc3768_6_4_2_shutdown_of_a_backup_is_silent() {
    let mut bench = Bench::backup(v2());
    assert!(adverts(&bench.shutdown()).is_empty());
    assert_eq!(bench.timeout(), None);
}

#[test]
fn rfc3768_6_4_3_better_advert_makes_a_backup() {
    for (priority, source) in [(101, "192.0.2.1"), (255, "192.0.2.1"), (100, "192.0.2.12")] {
        let mut bench = Bench::master(v2());
        bench.accepts(&Packet::like(&v2(), priority).from(source));
        assert!(untimed(bench.run(OVERLAP)).contains(&Seen::Release));
        assert_eq!((bench.state(), bench.timeout()), (StateName::Backup, Some(us(3_609_375) - OVERLAP)));
    }
}

#[test]
fn rfc3768_6_4_3_priority_0_is_answered_and_restarts_the_advert_timer() {
    let mut bench = Bench::master(v2());
    bench.wait(ms(700));
    assert_eq!(sent_priorities(&bench.accepts(&Packet::like(&v2(), 0))), [100]);
    assert_eq!(bench.timeout(), Some(ms(1000)));
}

#[test]
fn rfc3768_6_4_3_advert_timer_sends_and_restarts() {
    let mut bench = Bench::master(every_seconds(v2(), 2));
    let times: Vec<_> = bench.run(ms(6000)).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [ms(2000), ms(4000), ms(6000)]);
}

#[test]
fn version_2_answers_a_losing_advert_too() {
    for (priority, source) in [(99, "192.0.2.200"), (100, "192.0.2.10")] {
        let mut bench = Bench::master(v2());
        bench.wait(ms(300));
        assert_eq!(sent_priorities(&bench.accepts(&Packet::like(&v2(), priority).from(source))), [100]);
        assert_eq!((bench.state(), bench.timeout()), (StateName::Master, Some(ms(700))));
    }
}

#[test]
fn rfc3768_7_1_other_version_is_refused() {
    let good = Packet::like(&v2(), 150);
    let mut bench = Bench::backup(v2());
    for version in (0..=15).filter(|version| *version != 2) {
        bench.refuses(&Packet { version, ..good.clone() }, Discard::Version);
    }
    bench.accepts(&good);
}

#[test]
fn rfc3768_7_1_message_without_its_auth_bytes_is_refused() {
    let good = Packet::like(&v2(), 150);
    let mut bench = Bench::backup(v2());
    bench.refuses(&Packet { auth: None, ..good.clone() }, Discard::Incomplete);
    bench.refuses(&Packet { count: Some(2), ..good.clone() }, Discard::Incomplete);
    bench.refuses(&Packet { extra: vec![0; 4], ..good.clone() }, Discard::Length);
    bench.accepts(&good);
}

#[test]
fn rfc3768_7_1_unknown_vrid_is_refused() {
    Bench::backup(v2()).refuses(&Packet { vrid: 52, ..Packet::like(&v2(), 150) }, Discard::UnknownVrid);
    Bench::backup(v2()).refuses(&Packet { vrid: 0, ..Packet::like(&v2(), 150) }, Discard::Vrid);
}

#[test]
fn rfc3768_7_1_strict_owner_refuses_every_advert() {
    let params = RouterParams { priority: prio(255), strict: true, ..v2() };
    let mut bench = Bench::master(params.clone());
    for priority in [0, 100, 255] {
        bench.refuses(&Packet::like(&params, priority), Discard::Owner);
    }
}

#[test]
fn rfc3768_7_1_other_interval_is_refused_and_told() {
    let mut bench = Bench::backup(v2());
    for seconds in [0, 2, 255] {
        bench.refuses(&Packet { byte_5: seconds, ..Packet::like(&v2(), 150) }, Discard::Interval);
    }
    let mut bench = Bench::backup(v2());
    let seen = bench.hear(&Packet { byte_5: 2, ..Packet::like(&v2(), 150) });
    let peer = Some(ip("192.0.2.12"));
    let refusal = Refusal { reason: Discard::Interval, evidence: Evidence::Interval { found: ms(2000) } };
    assert_eq!(events(&seen), [&EventKind::Discarded { refusal, peer, count: 1 }]);
}

#[test]
fn rfc3768_7_1_strict_refuses_another_list_unless_an_owner_sends_it() {
    let params = RouterParams { strict: true, ..v2() };
    let good = Packet::like(&params, 150);
    let other = Packet { addresses: vec![ip("192.0.2.101")], ..good.clone() };
    let empty = Packet { addresses: Vec::new(), ..good.clone() };
    let mut bench = Bench::backup(params);
    bench.refuses(&other, Discard::AddressList);
    bench.refuses(&empty, Discard::AddressList);
    bench.refuses(&Packet { priority: 0, ..other.clone() }, Discard::AddressList);
    bench.accepts(&Packet { priority: 255, ..other });
    bench.accepts(&good);
}

#[test]
fn version_2_with_another_list_or_none_is_honoured_and_told_once() {
    for (addresses, what) in [
        (vec![ip("192.0.2.101")], Mismatch::AddressList { missing: ip("192.0.2.100") }),
        (vec![], Mismatch::AddressCount { theirs: 0, ours: 1 }),
    ] {
        let other = Packet { addresses, ..Packet::like(&v2(), 150) };
        let mut bench = Bench::backup(v2());
        bench.wait(ms(2000));
        let told = EventKind::Mismatch { peer: ip("192.0.2.12"), what };
        assert_eq!(events(&bench.accepts(&other)), [&told]);
        assert_eq!(bench.timeout(), Some(us(3_609_375)));
        assert!(bench.accepts(&other).is_empty());
    }
}

#[test]
fn rfc3768_7_2_every_field_of_an_advert() {
    let mut bench = Bench::master(v2());
    let seen = untimed(bench.run(ms(1000)));
    let sent = adverts(&seen)[0];
    let fields = [0x21, 51, 100, 1, 0, 1];
    assert_eq!(sent.message()[..6], fields);
    assert_eq!(sent.message()[8..], [192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(internet_checksum(sent.message()), 0);
    assert_eq!((sent.source, sent.destination), (ip("192.0.2.11"), ip("224.0.0.18")));
}
