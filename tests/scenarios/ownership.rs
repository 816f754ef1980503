//! The addresses cannot be held: another program removes them, or another host has them.

use vrrpd::engine::input::Trouble;
use vrrpd::engine::output::{Mac, Reason, StateName};

use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{SECOND, Story, skew};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn removed(count: u32) -> Option<Trouble> {
    Some(Trouble::Removed { address: "10.0.0.100".parse().unwrap(), count })
}

fn taken() -> Option<Trouble> {
    Some(Trouble::Taken { address: "10.0.0.100".parse().unwrap(), mac: MAC })
}

#[test]
fn master_whose_address_is_removed_again_and_again_withdraws_and_resigns() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Trouble(0, removed(10)));
    story.go(SECOND);
    let reason = Reason::Removed { address: "10.0.0.100".parse().unwrap(), count: 10 };
    assert_eq!(story.changes(0), [(at, StateName::Fault, reason)]);
    assert_eq!(story.released(0), [at], "first");
    assert_eq!(story.sent(0).first(), Some(&(at, 0)));
    assert_eq!(story.masters(), [1]);
    let (taken_at, to, _) = story.changes(1)[0].clone();
    assert!(to == StateName::Master && taken_at <= at + skew(100, SECOND) + SECOND / 10, "after its skew");
}

#[test]
fn trouble_that_lasts_is_no_news_and_its_end_is_a_recovery() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.act(Action::Trouble(0, removed(10)));
    story.go(SECOND);
    story.forget();
    story.act(Action::Trouble(0, removed(12)));
    story.go(SECOND);
    assert_eq!(story.changes(0), []);
    let at = story.now();
    story.act(Action::Trouble(0, None));
    story.go(10 * SECOND);
    let changes = story.changes(0);
    assert_eq!(changes[0], (at, StateName::Backup, Reason::Recovered));
    assert_eq!(story.masters(), [0], "by the rules");
    story.act(Action::Trouble(0, None));
    story.go(SECOND);
    assert_eq!(story.changes(0).len(), 2, "nothing to end");
}

#[test]
fn address_of_another_host_is_handed_over_to_a_known_peer() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Trouble(0, taken()));
    story.go(10 * SECOND);
    let reason = Reason::AddressTaken { address: "10.0.0.100".parse().unwrap(), mac: Mac(MAC) };
    assert_eq!(story.changes(0), [(at, StateName::Fault, reason)]);
    assert!(story.released(0)[0] > at, "kept for the successor");
    assert_eq!((story.masters(), story.longest_gap()), (vec![1], 0));
}

#[test]
fn backup_in_trouble_does_not_take_over() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.act(Action::Trouble(1, taken()));
    story.act(Action::Crash(0));
    story.go(60 * SECOND);
    assert_eq!((story.state(1), story.masters()), (StateName::Fault, vec![]));
}
