//! Each kind of change that a reload brings to a router in each state: what it does at once, and what it leaves alone.

use std::sync::Arc;

use vrrpd::engine::change::Fate;
use vrrpd::engine::input::{CheckResult, RouterKey};
use vrrpd::engine::output::{Discard, EventKind, Reason, StateName};
use vrrpd::engine::params::{
    Auth, AuthMode, CheckParams, Effect, GroupParams, HmacParams, NodeParams, Preempt, ReplayGuard, RouterParams,
    Track, Transport,
};
use vrrpd::wire::auth::Key;
use vrrpd::wire::field::{KeyId, Version, Vrid};

use crate::bench::*;

/// A node with one router and no checks.
fn node(params: &RouterParams) -> NodeParams {
    NodeParams { routers: vec![Arc::new(params.clone())], ..NodeParams::default() }
}

fn begin(params: &RouterParams) -> Bench {
    let mut bench = Bench::of(node(params));
    bench.link(true);
    bench.start();
    bench
}

fn master(params: &RouterParams) -> Bench {
    let mut bench = begin(params);
    let patience = bench.timeout().unwrap();
    bench.wait(patience);
    bench.tick();
    bench.confirm(0..params.vips.len() as u16);
    assert_eq!(bench.state(), StateName::Master);
    bench
}

fn better(params: &RouterParams) -> Packet {
    Packet::like(params, 200)
}

#[test]
fn reload_without_a_change_is_not_felt() {
    let params = unicast(v3());
    for mut bench in [master(&params), begin(&params)] {
        bench.wait(ms(300));
        let before = bench.fingerprint();
        let (reloaded, seen) = bench.reload(&node(&params));
        assert_eq!(seen, []);
        assert_eq!(bench.fingerprint(), before);
        assert_eq!(reloaded.unwrap().plan.fates, [Fate::Kept(RouterKey(0))]);
    }
}

#[test]
fn master_with_another_priority_says_so_in_its_next_advert_and_not_before() {
    let params = v3();
    let mut bench = master(&params);
    bench.wait(ms(400));
    let seen = bench.become_like(RouterParams { priority: prio(150), ..params });
    assert_eq!(seen, [Seen::Event(EventKind::Priority { from: prio(100), to: prio(150) })]);
    assert_eq!(bench.timeout(), Some(ms(600)));
    bench.wait(ms(600));
    assert_eq!(sent_priorities(&bench.tick()), [150]);
}

#[test]
fn master_whose_priority_falls_offers_and_stays_master_when_nobody_is_better() {
    let params = unicast(v3());
    let mut bench = master(&params);
    let seen = bench.become_like(RouterParams { priority: prio(50), ..params });
    assert_eq!(sent_priorities(&seen), [0]);
    let seen = untimed(bench.run(ms(2000)));
    assert_eq!((bench.state(), transitions(&seen).len()), (StateName::Master, 0));
    assert!(!seen.contains(&Seen::Release));
}

#[test]
fn shorter_interval_brings_the_next_advert_forward_and_a_longer_one_does_not_put_it_off() {
    for (interval, due) in [(20, ms(200)), (90, ms(400)), (500, ms(400))] {
        let params = v3();
        let mut bench = master(&params);
        bench.wait(ms(600));
        assert_eq!(bench.become_like(RouterParams { advertisement_interval: cs(interval), ..params }), []);
        assert_eq!(bench.timeout(), Some(due), "{interval} cs");
        bench.wait(due);
        let seen = bench.tick();
        assert_eq!(adverts(&seen)[0].message()[5], (interval % 256) as u8, "{interval} cs");
        assert_eq!(bench.timeout(), Some(ms(u64::from(interval) * 10)), "{interval} cs");
    }
}

#[test]
fn backup_that_has_learnt_the_interval_of_its_master_waits_as_before() {
    let params = v3();
    let mut bench = begin(&params);
    bench.accepts(&better(&params));
    bench.wait(ms(500));
    let due = bench.timeout();
    bench.become_like(RouterParams { advertisement_interval: cs(500), ..params });
    assert_eq!(bench.timeout(), due);
}

#[test]
fn backup_of_version_2_gives_a_master_that_is_to_be_quicker_its_time() {
    let params = RouterParams { advertisement_interval: cs(1000), ..v2() };
    let mut bench = begin(&params);
    bench.accepts(&better(&params));
    bench.wait(ms(9000));
    bench.become_like(RouterParams { advertisement_interval: cs(100), ..params });
    // 3 s and a skew of 156/256 s, from the reload on.
    assert_eq!(bench.timeout(), Some(us(3_609_375)));
}

#[test]
fn new_address_is_acquired_and_announced_and_the_others_are_left_alone() {
    let params = RouterParams { vips: ["192.0.2.110", "192.0.2.111"].map(vip).to_vec(), ..v3() };
    let mut bench = master(&params);
    bench.wait(ms(100));
    let vips = ["192.0.2.112", "192.0.2.111"].map(vip).to_vec();
    let after = RouterParams { vips, ..params };
    assert_eq!(bench.become_like(after.clone()), [Seen::Acquire]);
    assert_eq!(bench.timeout(), Some(ms(900)));
    // The kernel holds the second one already: its neighbours know.
    assert_eq!(bench.confirm(1..2), []);
    assert_eq!(bench.confirm(0..1), [Seen::Announce(0..1)]);
    assert_eq!(bench.confirm(1..2), [Seen::Announce(1..2)], "put back later, it is news");
    bench.wait(ms(900));
    let seen = bench.tick();
    assert_eq!(adverts(&seen)[0].message()[8..16], [192, 0, 2, 112, 192, 0, 2, 111]);
}

#[test]
fn addresses_of_a_backup_are_nobodys_business_yet() {
    let params = v3();
    let mut bench = begin(&params);
    assert_eq!(bench.become_like(RouterParams { vips: vec![vip("192.0.2.200")], ..params }), []);
}

#[test]
fn peer_that_comes_is_sent_to_and_believed_and_one_that_goes_is_neither() {
    let params = unicast(v3());
    let mut bench = master(&params);
    let mut after = params.clone();
    let Transport::Unicast { peers, .. } = &mut after.transport else { panic!("unicast") };
    peers[0].address = ip("192.0.2.13");
    bench.become_like(after.clone());
    bench.wait(ms(1000));
    let seen = bench.tick();
    assert_eq!(adverts(&seen).iter().map(|sent| sent.destination).collect::<Vec<_>>(), [ip("192.0.2.13")]);
    bench.refuses(&better(&params), Discard::NotAPeer);
    bench.accepts(&better(&after));
    assert_eq!(bench.state(), StateName::Backup);
}

#[test]
fn preempt_counts_from_the_next_advert_on() {
    let params = RouterParams { preempt: Preempt::Never, ..v3() };
    let worse = Packet::like(&params, 50);
    let mut bench = begin(&params);
    bench.accepts(&worse);
    bench.become_like(RouterParams { preempt: Preempt::Always, ..params });
    bench.wait(ms(1000));
    bench.accepts(&worse);
    let seen = untimed(bench.run(ms(3000)));
    assert_eq!(transitions(&seen), [(StateName::Backup, StateName::Master, Reason::Preempted { priority: prio(50) })]);
}

#[test]
fn each_part_of_the_identity_hands_over_and_begins_anew() {
    let params = v3();
    let others = [
        RouterParams { name: "other".into(), ..params.clone() },
        RouterParams { vrid: Vrid::new(62).unwrap(), ..params.clone() },
        RouterParams { version: Version::V2, ..params.clone() },
    ];
    for other in others {
        let mut bench = master(&params);
        let (reloaded, seen) = bench.reload(&node(&other));
        let reloaded = reloaded.unwrap();
        assert_eq!(reloaded.plan.fates, [Fate::Replaced(RouterKey(0))]);
        assert_eq!((&reloaded.routers[0].0, reloaded.parting), (&RouterKey(1), vec![RouterKey(0)]));
        assert_eq!(sent_priorities(&seen), [0]);
        let changes = [
            (StateName::Master, StateName::Init, Reason::Deconfigured),
            (StateName::Init, StateName::Backup, Reason::Started),
        ];
        assert_eq!(transitions(&seen), changes);
        let seen = untimed(bench.run(ms(5000)));
        assert!(seen.contains(&Seen::Release) && bench.state() == StateName::Master, "{other:?}");
    }
}

#[test]
fn who_comes_in_the_place_of_a_master_takes_over_before_the_addresses_go() {
    let params = v3();
    let mut bench = master(&params);
    bench.become_like(RouterParams { name: "other".into(), ..params });
    let seen = untimed(bench.run(ms(3000)));
    let place = |what: &Seen| seen.iter().position(|seen| seen == what).unwrap();
    assert!(place(&Seen::Acquire) < place(&Seen::Release), "{seen:?}");
}

#[test]
fn router_that_is_gone_hears_its_successor_although_another_has_its_vrid() {
    let params = v3();
    let mut bench = master(&params);
    bench.become_like(RouterParams { name: "other".into(), ..params.clone() });
    bench.wait(ms(100));
    bench.hear(&better(&params));
    assert_eq!(bench.timeout(), Some(OVERLAP));
    bench.wait(OVERLAP);
    assert!(bench.tick().contains(&Seen::Release));
}

#[test]
fn number_of_a_router_is_not_given_twice() {
    let params = v3();
    let mut bench = begin(&params);
    bench.reload(&NodeParams::default());
    assert!(bench.snapshots().is_empty());
    let (reloaded, _) = bench.reload(&node(&params));
    assert_eq!(reloaded.unwrap().routers[0].0, RouterKey(1));
    assert_eq!(bench.state(), StateName::Backup);
    bench.accepts(&better(&params));
}

fn key(byte: u8) -> Arc<Key> {
    Arc::new(Key::new(&[byte; 32]).unwrap())
}

fn signed(keys: &[u8], active: u8) -> RouterParams {
    let id = |number: u8| KeyId::new(number).unwrap();
    let keys = keys.iter().map(|number| (id(*number), key(*number))).collect();
    let guard = ReplayGuard::Time { window: ms(5000) };
    let auth = Auth::Hmac(HmacParams { keys, active: id(active), mode: AuthMode::Enforce, guard });
    RouterParams { auth, ..unicast(v3()) }
}

/// The other node of a pair.
fn other_side(params: RouterParams) -> RouterParams {
    let (own, peer) = (params.source.unwrap(), params.peers()[0].address);
    let mut params = RouterParams { source: Some(peer), ..params };
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    peers[0].address = own;
    params
}

/// A Master and its Backup, which has heard it.
fn pair() -> (Bench, Bench) {
    let (master, mut backup) = (master(&signed(&[1], 1)), Bench::of(node(&other_side(signed(&[1], 1)))));
    let mut interface = interface();
    interface.addresses[0] = ip("192.0.2.12");
    backup.interface(interface);
    backup.start();
    backup.wait(ms(3609));
    (master, backup)
}

/// The Master's next advert.
fn next(master: &mut Bench, backup: &mut Bench) -> Sent {
    let due = master.timeout().unwrap();
    master.wait(due);
    backup.wait(due);
    let seen = master.tick();
    adverts(&seen)[0].clone()
}

#[test]
fn keys_are_rotated_between_two_adverts_and_none_is_refused() {
    let (mut master, mut backup) = pair();
    let steps: [(&[u8], u8); 3] = [(&[1, 2], 1), (&[1, 2], 2), (&[2], 2)];
    for (keys, active) in steps {
        for is_backup_first in [true, false] {
            if is_backup_first {
                backup.become_like(other_side(signed(keys, active)));
            } else {
                master.become_like(signed(keys, active));
            }
            let sent = next(&mut master, &mut backup);
            assert_eq!(
                sent.message()[8 + 4 + 1],
                if is_backup_first && keys.len() == 2 && active == 2 { 1 } else { active }
            );
            backup.accepts_sent(&sent);
        }
    }
    assert_eq!((master.state(), backup.state()), (StateName::Master, StateName::Backup));
}

#[test]
fn recording_is_known_after_a_change_of_keys_and_after_its_sender_was_away() {
    let (mut master, mut backup) = pair();
    let sent = next(&mut master, &mut backup);
    backup.accepts_sent(&sent);
    backup.become_like(other_side(signed(&[1, 2], 2)));
    backup.refuses_sent(&sent, Discard::Replay);
    let mut without = other_side(signed(&[1], 1));
    let Transport::Unicast { peers, .. } = &mut without.transport else { panic!("unicast") };
    peers[0].address = ip("192.0.2.99");
    backup.become_like(without);
    backup.become_like(other_side(signed(&[1], 1)));
    backup.refuses_sent(&sent, Discard::Replay);
    backup.become_like(RouterParams { name: "other".into(), ..other_side(signed(&[1], 1)) });
    backup.refuses_sent(&sent, Discard::Replay);
}

#[test]
fn stamps_go_on_after_a_change_of_keys() {
    let mut bench = master(&signed(&[1], 1));
    let stamp = |seen: Vec<Seen>| {
        let sent = adverts(&seen)[0].clone();
        let at = 8 + 4 + 4;
        u64::from_be_bytes(sent.message()[at..at + 8].try_into().unwrap())
    };
    bench.wait(ms(1000));
    let first = stamp(bench.tick());
    // The wall clock goes back a little, which a stamp must not.
    bench.set_clock(bench.utc() - ms(3000));
    bench.become_like(signed(&[1, 2], 2));
    bench.wait(ms(1000));
    assert!(stamp(bench.tick()) > first);
}

fn with_check(params: &RouterParams, check: CheckParams, effect: Effect) -> NodeParams {
    let track = Track { check: check.name.clone(), effect, is_urgent: false };
    let router = RouterParams { tracks: vec![track], ..params.clone() };
    NodeParams { routers: vec![Arc::new(router)], checks: vec![Arc::new(check)], ..NodeParams::default() }
}

const FAULT: Effect = Effect::Fault { is_reversed: false };

#[test]
fn check_that_a_reload_adds_holds_nobody_back_until_it_fails() {
    let params = v3();
    let mut bench = master(&params);
    let (reloaded, seen) = bench.reload(&with_check(&params, number("new".into()), FAULT));
    assert_eq!((seen, bench.state()), (vec![], StateName::Master));
    assert_eq!(reloaded.unwrap().checks[0].0.0, 0);
    bench.check(0, CheckResult::Failed);
    assert_eq!(bench.state(), StateName::Fault);
}

#[test]
fn check_that_looks_otherwise_keeps_its_verdict_and_what_the_old_one_says_counts_for_nothing() {
    let params = v3();
    let check = |interval| CheckParams { interval: ms(interval), ..number("c".into()) };
    let mut bench = Bench::of(with_check(&params, check(1000), FAULT));
    bench.link(true);
    bench.start();
    bench.check(0, CheckResult::Passed);
    let patience = bench.timeout().unwrap();
    bench.wait(patience);
    bench.tick();
    assert_eq!(bench.state(), StateName::Master);
    let (reloaded, seen) = bench.reload(&with_check(&params, check(500), FAULT));
    assert_eq!(seen, []);
    assert_eq!(reloaded.unwrap().checks[0].0.0, 1);
    assert_eq!(bench.check(0, CheckResult::Failed), []);
    assert_eq!(bench.state(), StateName::Master);
    bench.check(1, CheckResult::Failed);
    assert_eq!(bench.state(), StateName::Fault);
    // Equal: the same number, and the verdict stays.
    let (reloaded, seen) = bench.reload(&with_check(&params, check(500), FAULT));
    assert_eq!((reloaded.unwrap().checks[0].0.0, seen), (1, vec![]));
    // Without it there is nothing to hold the router back.
    bench.reload(&node(&params));
    assert_eq!(bench.state(), StateName::Backup);
}

#[test]
fn group_that_a_reload_makes_moves_together_from_then_on() {
    let (a, b) = (v3(), RouterParams { name: "b".into(), vrid: Vrid::new(62).unwrap(), ..v3() });
    let mut params = NodeParams { routers: vec![Arc::new(a), Arc::new(b.clone())], ..NodeParams::default() };
    let mut bench = Bench::of(params.clone());
    bench.link(true);
    bench.start();
    let patience = bench.timeout().unwrap();
    bench.wait(patience);
    bench.tick();
    bench.accepts_to(|bench| {
        let seen = bench.hear(&better(&b));
        bench.hear(&better(&v3()));
        seen
    });
    params.groups.push(Arc::new(GroupParams {
        name: "both".into(),
        members: vec!["web".into(), "b".into()],
        hooks: Default::default(),
    }));
    let (_, seen) = bench.reload(&params);
    assert!(transitions(&seen).is_empty(), "both are Backup: {seen:?}");
    let seen = untimed(bench.run(ms(4000)));
    assert_eq!(transitions(&seen).len(), 2, "both at once: {seen:?}");
}

#[test]
fn node_that_stops_is_not_reloaded() {
    let params = v3();
    let mut bench = master(&params);
    bench.shutdown();
    assert_eq!(bench.reload(&NodeParams::default()), (None, vec![]));
}

#[test]
fn strictness_counts_from_the_next_advert_on() {
    let params = v2();
    let mut bench = begin(&params);
    let other = Packet { addresses: vec![ip("192.0.2.77")], ..better(&params) };
    bench.accepts(&other);
    bench.become_like(RouterParams { strict: true, ..params });
    bench.refuses(&other, Discard::AddressList);
}
