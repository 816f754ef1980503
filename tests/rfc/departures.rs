//! What we do on purpose where it is not what an RFC says; each is in the ledger with its reason.

use vrrpd::engine::input::Interface;
use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::{Preempt, RouterParams};

use crate::bench::*;

fn announcements(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Announce(_))).count()
}

#[test]
fn leaving_master_keeps_its_addresses_until_the_successor_is_heard() {
    let mut bench = Bench::master(v3());
    let seen = bench.shutdown();
    assert!(!seen.contains(&Seen::Release) && bench.snapshot().wants_vips);
    assert!(!untimed(bench.run(ms(400))).contains(&Seen::Release));
    assert!(!bench.accepts(&Packet::like(&v3(), 90)).contains(&Seen::Release), "it has no addresses yet");
    assert_eq!(bench.timeout(), Some(OVERLAP));
    let seen = untimed(bench.run(OVERLAP));
    assert!(seen.contains(&Seen::Release));
    assert_eq!(sent_priorities(&seen), [1], "a farewell that makes it announce once more");
    assert!(events(&seen).contains(&&EventKind::HandedOver { peer: Some(ip("192.0.2.12")) }));
    assert_eq!(seen.last(), Some(&Seen::Finished));
    assert!(bench.run(ms(60_000)).is_empty());
}

#[test]
fn leaving_master_does_not_take_another_resignation_for_a_successor() {
    let mut bench = Bench::master(v3());
    bench.shutdown();
    let seen = bench.accepts(&Packet::like(&v3(), 0));
    assert!(!seen.contains(&Seen::Release) && adverts(&seen).is_empty(), "{seen:?}");
    assert!(bench.snapshot().wants_vips);
}

#[test]
fn leaving_master_keeps_its_addresses_no_longer_than_the_bound() {
    for (interval, bound) in [(1, 110), (100, 1100), (400, 4100), (4095, 5000)] {
        let mut bench = Bench::master(RouterParams { advertisement_interval: cs(interval), ..v3() });
        bench.shutdown();
        let seen = bench.run(ms(60_000));
        let released: Vec<_> = seen.iter().filter(|(_, seen)| *seen == Seen::Release).map(|(at, _)| *at).collect();
        assert_eq!(released, [ms(bound)]);
        assert_eq!(seen.last().map(|(_, seen)| seen), Some(&Seen::Finished));
    }
}

#[test]
fn resignation_is_sent_twice() {
    for (interval, gap) in [(1, us(500)), (20, ms(10)), (100, ms(50)), (4095, ms(50))] {
        let mut bench = Bench::master(RouterParams { advertisement_interval: cs(interval), ..v3() });
        assert_eq!(sent_priorities(&bench.shutdown()), [0]);
        let seen = bench.run(ms(60_000));
        let sent: Vec<_> = seen.iter().filter(|(_, seen)| matches!(seen, Seen::Sent(_))).collect();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, gap);
        assert_eq!(bench.snapshot().counters.priority_zero_sent, 2);
    }
}

#[test]
fn answers_to_losing_adverts_are_rate_limited_and_the_rhythm_stays() {
    for params in [v3(), v2()] {
        let losing = Packet::like(&params, 50);
        let mut bench = Bench::master(params);
        let (mut answers, mut announced) = (0, 0);
        for _ in 0..999 {
            bench.wait(ms(1));
            let seen = bench.accepts(&losing);
            answers += adverts(&seen).len();
            announced += announcements(&seen);
        }
        assert!((1..=2).contains(&answers), "{answers}");
        assert!(announced <= 1, "{announced}");
        assert_eq!(bench.timeout(), Some(ms(1)));
    }
}

#[test]
fn master_that_heard_a_rival_announces_its_addresses_again() {
    let mut bench = Bench::master(v3());
    assert_eq!(announcements(&bench.accepts(&Packet::like(&v3(), 50))), 1);
    assert_eq!(announcements(&bench.accepts(&Packet::like(&v3(), 50))), 0, "not for every advert");
    assert_eq!(announcements(&untimed(bench.run(ms(999)))), 0);
    assert_eq!(announcements(&untimed(bench.run(ms(2)))), 1, "but the last one is made up for");
}

#[test]
fn loser_of_a_rivalry_sends_the_winner_one_last_advert() {
    for params in [v3(), v2(), unicast(v3())] {
        let better = Packet::like(&params, 150);
        let mut bench = Bench::master(params);
        let seen = bench.accepts(&better);
        assert!(adverts(&seen).is_empty() && !seen.contains(&Seen::Release), "not before the winner answers");
        let seen = untimed(bench.run(OVERLAP));
        assert_eq!(sent_priorities(&seen), [100]);
        assert!(seen.contains(&Seen::Release));
        assert!(adverts(&bench.accepts(&better)).is_empty());
    }
}

#[test]
fn farewell_of_the_predecessor_is_answered_but_not_told_as_a_rival() {
    for (before, after) in [(200, 0), (50, 50)] {
        let mut bench = Bench::backup(v3());
        bench.accepts(&Packet::like(&v3(), before));
        bench.wait(ms(3000));
        bench.accepts(&Packet::like(&v3(), after));
        bench.wait(us(609_375));
        bench.tick();
        assert_eq!(bench.state(), StateName::Master);
        bench.confirm(0..1);
        let is_rival = |seen: &Seen| matches!(seen, Seen::Event(EventKind::Rival { .. }));
        let seen = bench.accepts(&Packet::like(&v3(), 1));
        assert_eq!(sent_priorities(&seen), [100]);
        assert!(!seen.iter().any(is_rival));
        bench.wait(ms(1000));
        assert!(bench.accepts(&Packet::like(&v3(), 1)).iter().any(is_rival), "the second is one");
    }
}

#[test]
fn unicast_source_may_be_on_another_interface_of_the_host() {
    let source = ip("10.255.0.1");
    for (transport, found) in [(unicast(v3()).transport, Some(source)), (v3().transport, None)] {
        let mut bench = Bench::new(RouterParams { source: Some(source), transport, ..v3() });
        bench.interface(Interface { elsewhere: vec![ip("10.254.0.1"), source], ..interface() });
        bench.start();
        let seen = untimed(bench.run(ms(4000)));
        assert_eq!(adverts(&seen).first().map(|sent| sent.source), found, "a group is of one link");
    }
}

#[test]
fn weight_moves_the_running_down_timer_by_the_difference_of_the_skew() {
    let mut bench = Bench::backup(v3());
    bench.wait(ms(1000));
    bench.weigh(228);
    assert_eq!(bench.timeout(), Some(us(2_109_375)), "28/256 of a second instead of 156/256");
    bench.weigh(100);
    assert_eq!(bench.timeout(), Some(us(2_609_375)));
}

#[test]
fn master_that_did_not_run_is_a_newcomer_when_another_took_over() {
    for (priority, preempt, state_later) in [
        (150, Preempt::Always, StateName::Backup),
        (50, Preempt::Never, StateName::Backup),
        (50, Preempt::Always, StateName::Master),
    ] {
        let params = RouterParams { preempt, ..v3() };
        let rival = Packet::like(&params, priority);
        let mut bench = Bench::master(params);
        bench.wait(ms(5000));
        let seen = bench.accepts(&rival);
        assert_eq!(transitions(&seen)[0], (StateName::Master, StateName::Backup, Reason::Paused { length: ms(4000) }));
        assert!(seen.contains(&Seen::Release));
        assert_eq!(sent_priorities(&seen), [1], "tells the other of the rivalry and loses against it");
        for _ in 0..4 {
            bench.run(ms(900));
            bench.accepts(&rival);
        }
        bench.run(ms(100));
        assert_eq!(bench.state(), state_later, "{priority} {preempt:?}");
    }
}

#[test]
fn master_that_did_not_run_and_was_not_missed_goes_on() {
    let mut bench = Bench::master(v3());
    bench.wait(ms(5000));
    let seen = bench.tick();
    assert_eq!(sent_priorities(&seen), [100]);
    assert_eq!(bench.state(), StateName::Master);
    let seen = bench.accepts(&Packet::like(&v3(), 50));
    assert_eq!(sent_priorities(&seen), [100], "a rival heard after that is answered");
}

#[test]
fn advert_of_a_returning_master_does_not_unseat_a_master_of_the_lowest_priority() {
    let params = RouterParams { priority: prio(1), ..v3() };
    let rival = Packet::like(&params, 1).from("192.0.2.9");
    let mut bench = Bench::master(params);
    bench.wait(ms(10_000));
    let seen = bench.accepts(&rival);
    assert_eq!(
        transitions(&seen),
        [(StateName::Master, StateName::Backup, Reason::Paused { length: ms(9_000) })],
        "the rival was there first"
    );
    assert!(adverts(&seen).is_empty(), "an advert of priority 1 from a higher address would make the rival step down");
}

#[test]
fn status_of_a_master_shows_the_priority_and_address_it_sends() {
    let mut bench = Bench::master(v3());
    bench.weigh(80);
    let master = bench.snapshot().master.unwrap();
    assert_eq!((master.address, master.priority), (ip("192.0.2.11"), prio(80)));
    bench.interface(Interface { addresses: vec![ip("192.0.2.13")], ..interface() });
    assert_eq!(bench.snapshot().master.unwrap().address, ip("192.0.2.13"));
}

#[test]
fn link_that_is_down_is_a_fault_unless_it_is_ignored() {
    for (ignores_link, state) in [(false, StateName::Fault), (true, StateName::Backup)] {
        let mut bench = Bench::new(RouterParams { ignores_link, ..v3() });
        bench.link(false);
        bench.start();
        assert_eq!(bench.state(), state, "{ignores_link}");
    }
    let mut bench = Bench::backup(RouterParams { ignores_link: true, ..v3() });
    bench.interface(Interface { index: None, ..interface() });
    assert_eq!(bench.state(), StateName::Fault, "an interface that is not there is");
}

#[test]
fn backup_that_never_preempts_learns_nothing_from_a_farewell_while_its_master_lives() {
    let params = RouterParams { preempt: Preempt::Never, ..v3() };
    let master = Packet::like(&params, 150);
    let quick = RouterParams { advertisement_interval: cs(1), ..params.clone() };
    let farewell = Packet::like(&quick, 50).from("192.0.2.9");
    let better = Packet::like(&quick, 120).from("192.0.2.9");
    for (resigns, since, packet, known) in [
        (false, 999, &farewell, "192.0.2.12"),
        (false, 1000, &farewell, "192.0.2.9"),
        (true, 10, &farewell, "192.0.2.9"),
        (false, 10, &better, "192.0.2.9"),
    ] {
        let mut bench = Bench::backup(params.clone());
        bench.accepts(&master);
        if resigns {
            bench.accepts(&Packet::like(&params, 0));
        }
        bench.wait(ms(since));
        let before = bench.timeout();
        bench.accepts(packet);
        assert_eq!(bench.snapshot().master.unwrap().address, ip(known), "{since} ms after its Master");
        assert_eq!(bench.timeout() == before, known == "192.0.2.12", "its interval is not learnt");
    }
}
