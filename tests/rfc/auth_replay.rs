//! Recorded adverts: windows, marks of many senders, and what a refusal leaves behind.

use std::net::IpAddr;
use std::time::Duration;

use vrrpd::engine::output::{ClockOffset, Discard, EventKind, StateName};
use vrrpd::engine::params::{AuthMode, PeerParams, ReplayGuard, RouterParams, Transport};

use crate::bench::*;
use crate::trailer::*;

const SECOND: u64 = 1 << 32;

fn multicast(guard: ReplayGuard) -> RouterParams {
    hmac(v3(), AuthMode::Enforce, guard)
}

fn from(params: &RouterParams, number: u8, stamp: u64) -> Packet {
    signed(&Packet { source: host(number), ..Packet::like(params, 150) }, stamp)
}

#[test]
fn window_counts_whole_seconds_in_both_directions() {
    let params = enforced(v3());
    let packet = Packet::like(&params, 150);
    for fraction in [0, 999] {
        for (seconds, is_fresh) in
            [(-100, false), (-6, false), (-5, true), (0, true), (5, true), (6, false), (100, false)]
        {
            let mut bench = backup(params.clone());
            let whole = bench.utc().as_secs();
            bench.set_clock(Duration::from_secs(whole) + ms(fraction));
            let moment = Duration::from_secs(whole.checked_add_signed(seconds).unwrap());
            for stamped in [moment, moment + us(999_999)] {
                let packet = signed(&packet, stamp(stamped));
                let mut bench = backup(params.clone());
                bench.set_clock(Duration::from_secs(whole) + ms(fraction));
                if is_fresh { drop(bench.accepts(&packet)) } else { bench.refuses(&packet, Discard::Stale) }
            }
        }
    }
}

#[test]
fn window_and_mark_reach_across_the_wrap_of_the_seconds() {
    for guard in [TIME, ReplayGuard::Monotonic] {
        let params = hmac(unicast(v3()), AuthMode::Enforce, guard);
        let packet = Packet::like(&params, 150);
        let mut bench = Bench::new(params.clone());
        bench.set_clock(Duration::from_secs(0xffff_fffd));
        let mut bench = begin(bench);
        bench.accepts(&signed(&packet, 0xffff_fffe * SECOND));
        bench.accepts(&signed(&packet, 0));
        bench.refuses(&signed(&packet, 0xffff_ffff * SECOND), Discard::Replay);
        bench.accepts(&signed(&packet, 2 * SECOND));
        if guard == TIME {
            bench.refuses(&signed(&packet, 4 * SECOND), Discard::Stale);
        }
        bench.run(ms(3000));
        bench.accepts(&signed(&packet, 3 * SECOND));
        let mut sender = Bench::new(mirror(&params));
        sender.set_clock(Duration::from_secs(0xffff_fff0));
        let seen = untimed(begin(sender).run(ms(20_000)));
        let stamps: Vec<u64> = adverts(&seen).iter().map(|sent| stamp_of(&sent.payload) >> 32).collect();
        assert!(stamps.contains(&0xffff_ffff) && stamps.contains(&0) && stamps.ends_with(&[3]), "{stamps:x?}");
    }
}

#[test]
fn same_advert_is_used_once_at_each_receiver() {
    for guard in [TIME, ReplayGuard::Monotonic] {
        let params = hmac(unicast(v3()), AuthMode::Enforce, guard);
        let mut receivers = [backup(params.clone()), backup(params.clone())];
        let packet = signed(&Packet::like(&params, 150), stamp(receivers[0].utc()));
        for bench in &mut receivers {
            bench.accepts(&packet);
            for _ in 0..3 {
                bench.refuses(&packet, Discard::Replay);
            }
        }
    }
}

#[test]
fn recorded_advert_is_refused_at_any_later_time() {
    for (guard, state) in
        [(TIME, StateName::Backup), (TIME, StateName::Master), (ReplayGuard::Monotonic, StateName::Master)]
    {
        let params = hmac(unicast(v3()), AuthMode::Enforce, guard);
        for priority in [0, 50, 150, 255] {
            let mut bench = backup(params.clone());
            let recorded = signed(&Packet::like(&params, priority), stamp(bench.utc()));
            bench.accepts(&recorded);
            if state == StateName::Master {
                bench.run(ms(9_000));
                assert_eq!(bench.state(), state);
            }
            for pause in [0, 1, 900, 4_000, 5_000, 7_000, 60_000, 3_600_000] {
                bench.wait(ms(pause));
                let is_stale = guard == TIME && bench.utc().as_secs() - (recorded_at(&recorded) >> 32) > WINDOW;
                bench.refuses(&recorded, if is_stale { Discard::Stale } else { Discard::Replay });
            }
        }
    }
}

fn recorded_at(packet: &Packet) -> u64 {
    stamp_of(&packet.message())
}

#[test]
fn five_senders_of_a_group_have_a_mark_each() {
    for guard in [TIME, ReplayGuard::Monotonic] {
        let params = multicast(guard);
        let mut bench = backup(params.clone());
        let now = stamp(bench.utc());
        let packets: Vec<Packet> = (1..=5).map(|number| from(&params, 20 + number, now)).collect();
        packets.iter().for_each(|packet| drop(bench.accepts(packet)));
        packets.iter().for_each(|packet| bench.refuses(packet, Discard::Replay));
        bench.accepts(&from(&params, 21, now + 1));
        packets.iter().for_each(|packet| bench.refuses(packet, Discard::Replay));
    }
}

#[test]
fn seventeenth_sender_of_a_group_waits_until_one_is_forgotten() {
    for (guard, memory) in [
        (TIME, 60_000),
        (ReplayGuard::Monotonic, 60_000),
        (ReplayGuard::Time { window: Duration::from_secs(300) }, 601_000),
    ] {
        let params = multicast(guard);
        let mut bench = backup(params.clone());
        let begin = stamp(bench.utc());
        for number in 1..=16 {
            bench.accepts(&from(&params, 20 + number, begin));
        }
        bench.wait(ms(1000));
        bench.refuses(&from(&params, 99, begin + SECOND), Discard::Replay);
        bench.accepts(&from(&params, 21, begin + SECOND));
        bench.wait(ms(memory - 1000 - 1));
        bench.refuses(&from(&params, 99, stamp(bench.utc())), Discard::Replay);
        bench.wait(ms(1));
        bench.accepts(&from(&params, 99, stamp(bench.utc())));
        assert_eq!(bench.snapshot().peers.len(), 16);
        bench.refuses(
            &from(&params, 21, begin + SECOND),
            if guard == ReplayGuard::Monotonic { Discard::Replay } else { Discard::Stale },
        );
    }
}

#[test]
fn forged_senders_do_not_push_out_a_good_one() {
    let params = multicast(TIME);
    let mut bench = backup(params.clone());
    let good = from(&params, 21, stamp(bench.utc()));
    bench.accepts(&good);
    for number in 0..=255 {
        let forged = Packet { source: IpAddr::from([198, 51, 100, number]), ..Packet::like(&params, 150) };
        bench.refuses(&signed_by(&forged, 1, &[5; 32], stamp(bench.utc())), Discard::Hmac);
    }
    assert_eq!(bench.snapshot().peers.len(), 1);
    bench.refuses(&good, Discard::Replay);
}

#[test]
fn stamp_of_a_packet_that_fails_a_later_check_is_not_used_up() {
    let params = RouterParams { strict: true, ..enforced(v2()) };
    let mut bench = backup(params.clone());
    let now = stamp(bench.utc());
    let good = Packet::like(&params, 150);
    bench.refuses(&signed(&Packet { byte_5: 2, ..good.clone() }, now), Discard::Interval);
    bench.refuses(&signed(&Packet { addresses: vec![ip("192.0.2.101")], ..good.clone() }, now), Discard::AddressList);
    bench.accepts(&signed(&good, now));
}

#[test]
fn advert_without_trailer_moves_no_mark() {
    let params = hmac(unicast(v3()), AuthMode::Permissive, TIME);
    let mut bench = backup(params.clone());
    let signed = signed(&Packet::like(&params, 150), stamp(bench.utc()));
    bench.accepts(&Packet::like(&params, 150));
    bench.accepts(&signed);
    bench.accepts(&Packet::like(&params, 150));
    bench.refuses(&signed, Discard::Replay);
}

#[test]
fn by_count_alone_a_clock_may_be_anywhere_but_never_go_back() {
    let params = hmac(unicast(v3()), AuthMode::Enforce, ReplayGuard::Monotonic);
    let packet = Packet::like(&params, 150);
    let mut bench = backup(params);
    let now = stamp(bench.utc());
    bench.accepts(&signed(&packet, now - 3_600 * SECOND));
    bench.accepts(&signed(&packet, now + 7_200 * SECOND));
    for stamp in [now, now + 7_199 * SECOND, now + 7_200 * SECOND] {
        bench.refuses(&signed(&packet, stamp), Discard::Replay);
    }
    bench.accepts(&signed(&packet, now + 7_200 * SECOND + 1));
}

#[test]
fn refusals_are_counted_for_the_peer_that_they_name() {
    let mut params = enforced(v3());
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    peers.push(PeerParams { address: host(13), ..peers[0].clone() });
    let mut bench = backup(params.clone());
    let packet = Packet::like(&params, 150);
    for _ in 0..3 {
        bench.refuses(&packet, Discard::AuthMissing);
    }
    bench.refuses(&packet.clone().from("192.0.2.13"), Discard::AuthMissing);
    bench.refuses(&packet.clone().from("192.0.2.99"), Discard::NotAPeer);
    let peers = bench.snapshot().peers;
    let counts: Vec<_> =
        peers.iter().map(|peer| (peer.discarded.count(Discard::AuthMissing), peer.discarded.total())).collect();
    assert_eq!(counts, [(3, 3), (1, 1)]);
    assert_eq!(bench.snapshot().counters.discarded.total(), 5);
}

#[test]
fn refusals_are_told_for_each_reason_and_peer_and_once_for_all_strangers() {
    let mut params = enforced(v3());
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    peers.push(PeerParams { address: host(13), ..peers[0].clone() });
    let mut bench = backup(params.clone());
    let packet = Packet::like(&params, 150);
    let mut told = Vec::new();
    for round in 0..200u8 {
        for source in [host(12), host(13), IpAddr::from([198, 51, 100, round])] {
            told.extend(bench.hear(&Packet { source, ..packet.clone() }));
            told.extend(bench.hear(&signed_by(&Packet { source, ..packet.clone() }, 7, &KEY, stamp(bench.utc()))));
        }
    }
    let told: Vec<_> = events(&told)
        .into_iter()
        .map(|event| match event {
            EventKind::Discarded { refusal, peer: Some(peer), count: 1 } => (refusal.reason, *peer),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (Discard::AuthMissing, host(12)),
        (Discard::UnknownKey, host(12)),
        (Discard::AuthMissing, host(13)),
        (Discard::UnknownKey, host(13)),
        (Discard::NotAPeer, ip("198.51.100.0")),
    ];
    assert_eq!(told, expected);
}

#[test]
fn clock_of_a_peer_is_shown_and_told_beyond_half_the_window() {
    let window = Duration::from_secs(WINDOW);
    let params = enforced(v3());
    let packet = Packet::like(&params, 150);
    let mut bench = backup(params);
    for (pause, behind, is_told) in
        [(0, 2_500, false), (1_000, 2_501, true), (59_000, 4_000, false), (1_000, 4_250, true)]
    {
        bench.wait(ms(pause));
        let seen = bench.accepts(&signed(&packet, stamp(bench.utc() - ms(behind))));
        let skew = ClockOffset { length: ms(behind), is_ahead: false };
        // The fraction on the wire is cut to 1/65536 s.
        let shown = bench.snapshot().peers[0].clock.unwrap();
        assert!(!shown.is_ahead && shown.length.abs_diff(skew.length) <= ms(1), "{shown:?}");
        let expected = EventKind::ClockSkew { peer: host(12), skew: shown, window };
        assert_eq!(events(&seen).contains(&&expected), is_told, "{behind} ms: {seen:?}");
    }
    let seen = bench.accepts(&signed(&packet, stamp(bench.utc() + ms(2_000))));
    let shown = bench.snapshot().peers[0].clock.unwrap();
    assert!(shown.is_ahead && events(&seen).is_empty(), "{shown:?} {seen:?}");
}
