//! A Master whose priority falls offers its addresses: departure D9.

use vrrpd::engine::input::CheckResult;
use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::{
    CheckKind, CheckParams, Effect, Initial, NodeParams, Preempt, RouterParams, Track, Transport,
};

use crate::bench::*;

/// A router that reaches one peer whose priority the node list names.
fn beside(priority: u8) -> RouterParams {
    let mut params = unicast(v3());
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    peers[0].priority = Some(prio(priority));
    params
}

/// A Master with one check, in place 0, of this weight.
fn weighted(params: RouterParams, weight: i16) -> Bench {
    let effect = Effect::Weight { weight, is_reversed: false };
    let track = Track { check: "c".into(), effect, is_urgent: false };
    let params = RouterParams { tracks: vec![track], ..params };
    let kind = CheckKind::Unit("haproxy.service".into());
    let check = CheckParams { name: "c".into(), kind, initial: Initial::Passing, ..number(String::new()) };
    let mut bench =
        Bench::of(NodeParams { routers: vec![params.into()], checks: vec![check.into()], ..NodeParams::default() });
    bench.link(true);
    bench.start();
    let patience = bench.timeout().unwrap();
    bench.wait(patience);
    bench.tick();
    assert_eq!(bench.state(), StateName::Master);
    bench
}

fn offers(seen: &[Seen]) -> bool {
    sent_priorities(seen).contains(&0)
}

#[test]
fn master_whose_priority_falls_offers_its_addresses_and_stays_when_nobody_takes_them() {
    for (params, skew) in [(v3(), us(687_500)), (v2(), us(687_500)), (unicast(v3()), us(687_500))] {
        let mut bench = Bench::master(params);
        bench.wait(ms(900));
        let seen = bench.weigh(80);
        assert_eq!(sent_priorities(&seen), [0]);
        assert_eq!((transitions(&seen), seen.contains(&Seen::Release)), (vec![], false));
        let seen = bench.run(ms(1800));
        let adverts: Vec<_> = seen
            .iter()
            .filter_map(|(at, seen)| sent_priorities(std::slice::from_ref(seen)).pop().map(|p| (*at, p)))
            .collect();
        let first = ms(50) + skew;
        assert_eq!(adverts, [(ms(50), 0), (first, 80), (first + ms(1000), 80)]);
        assert!(transitions(&untimed(seen.clone())).is_empty() && !untimed(seen).contains(&Seen::Release));
        assert_eq!(bench.state(), StateName::Master);
    }
}

#[test]
fn own_skew_that_is_shorter_than_the_repetition_counts_from_that() {
    let mut bench = Bench::master(RouterParams { priority: prio(254), ..v3() });
    bench.weigh(250);
    let sent = |(at, seen): (_, Seen)| sent_priorities(&[seen]).pop().map(|priority| (at, priority));
    let adverts: Vec<_> = bench.run(ms(500)).into_iter().filter_map(sent).collect();
    assert_eq!(adverts, [(ms(50), 0), (ms(50) + us(23_437) + std::time::Duration::from_nanos(500), 250)]);
}

#[test]
fn offer_is_taken_by_the_peer_that_is_better() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(600));
    let seen = bench.accepts(&Packet::like(&v3(), 90));
    let reason = Reason::Outranked { priority: prio(90) };
    assert_eq!(transitions(&seen), [(StateName::Master, StateName::Backup, reason)]);
    assert!(!seen.contains(&Seen::Release), "the successor has no addresses yet");
    let seen = untimed(bench.run(OVERLAP));
    assert!(seen.contains(&Seen::Release));
    assert_eq!(sent_priorities(&seen), [80], "the farewell");
    assert_eq!(bench.timeout(), Some(us(3_687_500) - OVERLAP));
}

#[test]
fn worse_node_that_takes_an_offer_is_answered_at_once() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(600));
    assert_eq!(sent_priorities(&bench.accepts(&Packet::like(&v3(), 70))), [80]);
    assert_eq!(bench.state(), StateName::Master);
}

#[test]
fn equal_node_that_takes_an_offer_is_judged_by_its_address() {
    for (address, state) in [("192.0.2.9", StateName::Master), ("192.0.2.12", StateName::Backup)] {
        let mut bench = Bench::master(v3());
        bench.weigh(80);
        bench.run(ms(600));
        bench.accepts(&Packet::like(&v3(), 80).from(address));
        assert_eq!(bench.state(), state);
    }
}

#[test]
fn successor_that_is_quicker_than_the_repetition_ends_it() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(20));
    bench.accepts(&Packet::like(&v3(), 254));
    assert!(!offers(&untimed(bench.run(ms(500)))), "a repeated resignation would make the successor answer");
}

#[test]
fn resignation_heard_during_an_offer_is_not_answered_and_ends_nothing() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(100));
    assert!(
        adverts(&bench.accepts(&Packet::like(&v3(), 0))).is_empty(),
        "an answer would hold back who never preempts"
    );
    assert_eq!(bench.timeout(), Some(us(637_500)));
}

#[test]
fn priority_that_moves_during_an_offer_moves_the_next_advert_and_resigns_no_further() {
    for (then, skew) in [(10, us(960_937) + std::time::Duration::from_nanos(500)), (228, us(109_375))] {
        let mut bench = Bench::master(v3());
        bench.weigh(80);
        bench.run(ms(60));
        assert!(!offers(&bench.weigh(then)));
        assert_eq!(bench.timeout(), Some(skew - ms(10)));
        let seen = untimed(bench.run(skew - ms(10)));
        assert_eq!(sent_priorities(&seen), [then]);
    }
}

#[test]
fn rise_whose_skew_is_over_already_sends_at_once() {
    let mut bench = Bench::master(v3());
    bench.weigh(10);
    bench.run(ms(300));
    bench.weigh(254);
    assert_eq!(bench.timeout(), Some(ms(0)));
    assert_eq!(sent_priorities(&bench.tick()), [254]);
    assert_eq!(bench.timeout(), Some(ms(1000)), "and no burst follows");
}

#[test]
fn priority_that_falls_again_after_an_offer_is_offered_again() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(800));
    assert!(offers(&bench.weigh(70)));
}

#[test]
fn master_that_is_stopped_during_an_offer_resigns_and_keeps_to_the_bound() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.run(ms(500));
    assert_eq!(sent_priorities(&bench.shutdown()), [0]);
    let seen = bench.run(ms(60_000));
    let released = seen.iter().find(|(_, seen)| *seen == Seen::Release).map(|(at, _)| *at);
    assert_eq!(released, Some(ms(1100)));
    assert_eq!(seen.last().map(|(_, seen)| seen), Some(&Seen::Finished));
}

#[test]
fn offer_that_is_served_late_counts_from_when_it_was_served() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    bench.wait(ms(2000));
    assert_eq!(sent_priorities(&bench.tick()), [0]);
    assert_eq!(bench.timeout(), Some(us(687_500)), "the peers count from the repetition");
}

#[test]
fn priority_that_stays_above_every_peer_is_not_offered() {
    for (peer, is_offered) in [(80, false), (79, false), (81, true)] {
        assert_eq!(offers(&weighted(beside(peer), -20).check(0, CheckResult::Failed)), is_offered, "{peer}");
    }
}

#[test]
fn peer_may_have_gained_as_much_by_its_weights_as_this_node_could() {
    for (peer, is_offered) in [(80, false), (81, true)] {
        let mut bench = weighted(beside(peer), 20);
        assert_eq!(bench.snapshot().effective_priority, prio(120));
        assert_eq!(offers(&bench.check(0, CheckResult::Failed)), is_offered, "{peer} and 20 against 100");
    }
}

#[test]
fn what_a_peer_said_counts_while_it_is_fresh_and_as_a_chance_later() {
    for (configured, said, since, is_offered) in [
        (70, 90, 100, true),
        (70, 90, 60_000, true),
        (90, 70, 100, false),
        (90, 70, 60_000, true),
        (70, 0, 100, false),
        (90, 0, 100, true),
        (70, 75, 60_000, false),
    ] {
        let params = beside(configured);
        let mut bench = weighted(params.clone(), -20);
        bench.accepts(&Packet::like(&params, said));
        bench.run(ms(since));
        let seen = bench.check(0, CheckResult::Failed);
        assert_eq!(offers(&seen), is_offered, "configured {configured}, said {said} {since} ms ago");
    }
}

#[test]
fn peer_of_unknown_priority_may_be_better() {
    assert!(offers(&weighted(unicast(v3()), -20).check(0, CheckResult::Failed)));
    assert!(offers(&weighted(v3(), -20).check(0, CheckResult::Failed)), "by multicast, too");
}

#[test]
fn rise_is_not_offered() {
    let mut bench = Bench::master(v3());
    let seen = bench.weigh(120);
    assert_eq!(events(&seen).last(), Some(&&EventKind::Priority { from: prio(100), to: prio(120) }));
    assert!(!offers(&seen));
}

#[test]
fn backup_that_never_preempts_takes_an_offer() {
    let params = RouterParams { preempt: Preempt::Never, ..v3() };
    let mut bench = Bench::backup(params.clone());
    bench.accepts(&Packet::like(&params, 120));
    bench.accepts(&Packet::like(&params, 0));
    assert_eq!(
        transitions(&untimed(bench.run(us(609_375)))),
        [(StateName::Backup, StateName::Master, Reason::Resigned)]
    );
}
