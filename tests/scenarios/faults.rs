//! The interface or its address goes away.

use vrrpd::engine::output::{Reason, StateName};

use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{DELAY, SECOND, Story, skew};

#[test]
fn master_whose_link_goes_down_withdraws_at_once_and_listens_first_when_it_returns() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Link(0, false));
    story.go(10 * SECOND);
    assert_eq!(story.changes(0), [(at, StateName::Fault, Reason::LinkDown)]);
    assert_eq!((story.released(0), story.masters()), (vec![at], vec![1]));
    assert_eq!(story.sent(0), [], "nothing can be sent");
    let up_at = story.now();
    story.act(Action::Link(0, true));
    story.go(10 * SECOND);
    let changes = story.changes(0);
    assert_eq!(changes[1], (up_at, StateName::Backup, Reason::Recovered));
    assert_eq!((changes[2].0, changes[2].1), (up_at + 3 * SECOND + skew(200, SECOND), StateName::Master));
}

#[test]
fn missing_source_address_is_a_fault_until_it_is_there() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Addresses(0, false));
    story.go(SECOND);
    story.act(Action::Addresses(0, true));
    story.go(0);
    let recovered = (at + SECOND, StateName::Backup, Reason::Recovered);
    assert_eq!(story.changes(0), [(at, StateName::Fault, Reason::NoAddress), recovered]);
}

#[test]
fn interface_that_is_deleted_and_made_again_takes_the_addresses_with_it() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Recreate(0));
    story.go(0);
    let changes = [(at, StateName::Fault, Reason::InterfaceMissing), (at, StateName::Backup, Reason::Recovered)];
    assert_eq!(story.changes(0), changes);
    assert_eq!(story.released(0), [at]);
    story.go(10 * SECOND);
    assert_eq!(story.masters(), [0], "packets on the other interface index are found");
    assert_eq!(story.snapshot(1).master, story.snapshot(0).master);
}

#[test]
fn backup_in_fault_does_not_take_over() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.act(Action::Link(1, false));
    story.act(Action::Crash(0));
    story.go(60 * SECOND);
    assert_eq!(story.state(1), StateName::Fault);
}

#[test]
fn link_that_goes_down_during_a_handover_ends_it() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(10 * DELAY);
    story.act(Action::Link(0, false));
    story.go(0);
    assert_eq!(story.released(0), [at + 10 * DELAY], "nobody can reach the addresses through a dead link");
    assert_eq!(story.words(0).last(), Some(&"finished"));
}
