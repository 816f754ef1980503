//! D6: who goes on as Master after its process began anew. The stories with peers are in `scenarios`.

use vrrpd::engine::adopt::{Hold, Imprint};
use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::RouterParams;

use crate::bench::*;

fn waiting(params: RouterParams) -> Bench {
    let mut bench = Bench::new(params);
    bench.link(true);
    bench
}

#[test]
fn adopted_master_asks_for_its_addresses_and_sends_nothing_before_its_time() {
    for params in [v3(), v2(), v6(), unicast(v3())] {
        let mut bench = waiting(params);
        let imprint = bench.imprint(ms(400));
        assert!(bench.adopt(imprint).is_empty());
        let seen = bench.start();
        assert_eq!(seen.first(), Some(&Seen::Acquire));
        let adopted = Reason::Adopted { silence: ms(400) };
        assert_eq!(transitions(&seen), [(StateName::Init, StateName::Master, adopted)]);
        assert!(adverts(&seen).is_empty());
        let sent = bench.run(ms(1000));
        let times: Vec<_> = sent.iter().filter(|(_, seen)| matches!(seen, Seen::Sent(_))).map(|(at, _)| *at).collect();
        assert_eq!(times.first(), Some(&ms(600)));
    }
}

#[test]
fn only_a_master_of_less_than_a_master_down_interval_ago_goes_on() {
    let limit = us(3_609_375);
    for (hold, ago, expected) in [
        (Hold::Master, limit - us(1), StateName::Master),
        (Hold::Master, limit, StateName::Backup),
        (Hold::HandingOver, ms(100), StateName::Backup),
        (Hold::Nothing, ms(100), StateName::Backup),
    ] {
        let mut bench = waiting(v3());
        let imprint = bench.imprint(ago);
        bench.adopt(Imprint { hold, ..imprint });
        let seen = bench.start();
        assert_eq!(bench.state(), expected, "{hold:?} {ago:?}");
        assert!(!sent_priorities(&seen).contains(&0));
    }
}

#[test]
fn advert_from_the_future_is_of_another_clock() {
    let mut bench = waiting(v3());
    let imprint = bench.imprint(ms(0));
    bench.adopt(Imprint { advert_at: imprint.advert_at + ms(1), ..imprint });
    bench.start();
    assert_eq!(bench.state(), StateName::Backup);
}

#[test]
fn master_that_is_heard_before_the_start_makes_it_a_newcomer() {
    for (priority, expected) in [(50, StateName::Backup), (150, StateName::Backup), (0, StateName::Master)] {
        let mut bench = waiting(v3());
        let imprint = bench.imprint(ms(100));
        bench.adopt(imprint);
        let seen = bench.accepts(&Packet::like(&v3(), priority));
        assert_eq!(seen.contains(&Seen::Release), expected == StateName::Backup);
        bench.start();
        assert_eq!(bench.state(), expected, "priority {priority}");
    }
}

#[test]
fn shorter_of_two_intervals_counts_after_a_change() {
    for (before, after) in [(ms(1000), 300), (ms(3000), 100)] {
        let params = RouterParams { advertisement_interval: cs(after), ..v3() };
        let mut bench = waiting(params);
        let imprint = bench.imprint(ms(500));
        bench.adopt(Imprint { interval: before, ..imprint });
        bench.start();
        assert_eq!(bench.state(), StateName::Master);
        assert_eq!(bench.timeout(), Some(ms(500)), "the peers count by the interval they know");
    }
}

#[test]
fn priority_of_another_configuration_is_forgotten() {
    let mut bench = waiting(v3());
    let imprint = bench.imprint(ms(500));
    bench.adopt(Imprint { configured: prio(90), effective: prio(120), ..imprint });
    bench.start();
    assert_eq!(bench.snapshot().effective_priority, prio(100));
}

#[test]
fn stop_before_the_start_leaves_nothing_behind() {
    let mut bench = waiting(v3());
    let imprint = bench.imprint(ms(500));
    bench.adopt(imprint);
    let seen = bench.shutdown();
    assert!(seen.contains(&Seen::Release) && seen.contains(&Seen::Finished), "{seen:?}");
}

#[test]
fn numbers_of_an_authentication_header_go_on_from_the_last_one() {
    let mut bench = waiting(v2());
    let imprint = bench.imprint(ms(500));
    bench.adopt(Imprint { ah_sequence: 1000, stamp: Some(7 << 32), ..imprint });
    bench.start();
    // What was not written down in time is left out, or peers would see it twice.
    let left = bench.left();
    assert!(left.ah_sequence > 1000 && left.stamp.is_some_and(|stamp| stamp > 7 << 32), "{left:?}");
}
