//! Held VIPs that others remove or change, and leases.

use std::time::Duration;

use super::*;
use crate::engine::input::Trouble;
use crate::engine::params::Ownership;
use crate::engine::time::Instant;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn leased(vips: &[&str]) -> Arc<RouterParams> {
    let ownership = Ownership { lease: Some(Duration::from_secs(3)), ..Ownership::default() };
    Arc::new(RouterParams { ownership, ..(*params(vips)).clone() })
}

fn ours(text: &str) -> Address {
    Address { protocol: OUR_PROTOCOL, ..foreign(text) }
}

const VIP: &str = "10.0.1.1/32";

/// A world where a router holds its VIP at 1 s, and the protocol thread was well then.
fn holding(params: Arc<RouterParams>) -> World {
    let mut world = World::new();
    world.vips.turn(at(1000));
    world.vips.beat(at(1000));
    world.acquire(A, params);
    assert_eq!(world.work(), ["+10.0.1.1"]);
    assert_eq!(world.reports(), [(A, 0..1)]);
    world
}

#[test]
fn ten_removals_in_a_minute_are_trouble_and_nine_are_not() {
    let mut world = holding(params(&[VIP]));
    for second in (0..90).step_by(10) {
        world.vips.turn(at(1000 * second));
        world.tell(Event::AddressGone(place(VIP)));
        assert_eq!(world.work(), ["+10.0.1.1"]);
    }
    assert_eq!(world.vips.take_troubles(), []);
    for _ in 0..5 {
        world.tell(Event::AddressGone(place(VIP)));
        assert_eq!(world.work(), ["+10.0.1.1"], "put back all the same");
    }
    let trouble = Trouble::Removed { address: place(VIP).address, count: 10 };
    // At 20 s to 80 s seven, and five more; those of the minute before count no longer.
    assert_eq!(world.vips.take_troubles(), [(A, trouble)]);
}

#[test]
fn removals_with_the_interface_are_nobodys_doing() {
    let mut world = holding(params(&[VIP]));
    for _ in 0..20 {
        world.tell(link(2, false));
        world.tell(Event::AddressGone(place(VIP)));
        world.work();
        world.tell(link(2, true));
    }
    assert_eq!(world.vips.take_troubles(), []);
}

#[test]
fn removal_of_many_at_once_is_no_trouble_and_few_lines() {
    let texts: Vec<String> = (1..=100).map(|host| format!("10.0.1.{host}/32")).collect();
    let mut world = World::new();
    world.acquire(A, params(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
    world.work();
    texts.iter().for_each(|text| world.tell(Event::AddressGone(place(text))));
    assert_eq!(world.work().len(), 100);
    assert_eq!((world.vips.take_troubles(), world.vips.take_notices().len()), (vec![], 10));
}

#[test]
fn changed_vip_is_asked_for_again_without_being_announced_again() {
    let changes = [
        Address { lifetime: Some(60), ..ours(VIP) },
        Address { is_deprecated: true, ..ours(VIP) },
        Address { protocol: 18, ..ours(VIP) },
    ];
    for change in changes {
        let mut world = holding(params(&[VIP]));
        world.tell(Event::Address(change));
        assert_eq!(world.work(), ["+10.0.1.1"], "{change:?}");
        assert_eq!(world.reports(), [], "it was held all the time");
        let restored = Notice::Restored { router: A, address: place(VIP).address };
        assert_eq!(world.vips.take_notices(), [restored]);
        world.tell(Event::Address(ours(VIP)));
        assert_eq!(world.work(), [""; 0], "and that is that");
    }
}

#[test]
fn two_programs_that_undo_each_others_work_slow_down() {
    let mut world = holding(params(&[VIP]));
    let mut requests = 0;
    for _ in 0..1000 {
        world.tell(Event::Address(Address { lifetime: Some(60), ..ours(VIP) }));
        requests += world.work().len();
    }
    assert_eq!(requests, 10);
    (0..64).for_each(|_| world.vips.tick());
    assert_eq!(world.work(), ["+10.0.1.1"], "later all the same");
}

#[test]
fn kernel_without_marks_is_no_other_program() {
    let mut world = World::new();
    world.acquire(A, params(&[VIP, "2001:db8::1/128"]));
    world.work();
    for text in [VIP, "2001:db8::1/128"] {
        world.tell(Event::Address(foreign(text)));
    }
    assert_eq!(world.work(), [""; 0]);
    assert_eq!(world.vips.held((A, 1)), Some(place("2001:db8::1/128")));
}

#[test]
fn failed_duplicate_detection_is_repaired_by_deletion_and_tried_with_pauses() {
    let text = "2001:db8::1/128";
    let failed = Address { is_usable: false, is_duplicate: true, ..ours(text) };
    let mut world = World::new();
    world.acquire(A, params(&[text]));
    world.work();
    world.tell(Event::Address(ours(text)));
    world.tell(Event::Address(failed));
    assert_eq!(world.vips.held((A, 0)), None);
    assert_eq!(world.work(), ["-2001:db8::1", "+2001:db8::1"], "at once while it was held");
    world.tell(Event::AddressGone(place(text)));
    world.tell(Event::Address(failed));
    assert_eq!(world.work(), [""; 0], "the other host has it still");
    assert!(matches!(world.vips.take_notices()[..], [Notice::Refused { .. }]));
    let mut attempts = Vec::new();
    for tick in 1..20 {
        world.vips.tick();
        if world.work() == ["-2001:db8::1", "+2001:db8::1"] {
            attempts.push(tick);
            world.tell(Event::AddressGone(place(text)));
            world.tell(Event::Address(failed));
        }
    }
    assert_eq!((attempts, world.vips.take_notices()), (vec![1, 3, 7, 15], vec![]));
    (0..64).for_each(|_| world.vips.tick());
    world.work();
    world.tell(Event::AddressGone(place(text)));
    world.tell(Event::Address(ours(text)));
    assert_eq!(world.vips.held((A, 0)), Some(place(text)));
    assert!(matches!(world.vips.take_notices()[..], [Notice::Accepted { .. }]));
}

#[test]
fn lease_is_renewed_at_a_third_on_a_sign_of_life_and_nothing_is_announced() {
    let mut world = holding(leased(&[VIP]));
    assert_eq!(world.vips.pulse_at(), Some(at(2000)));
    world.vips.turn(at(2000));
    world.vips.pulse_asked();
    assert_eq!(world.work(), [""; 0], "not without a sign of life");
    assert_eq!(world.vips.pulse_at(), Some(at(3000)), "asked again later");
    world.vips.beat(at(2000));
    assert_eq!(world.work(), ["+10.0.1.1"]);
    world.tell(Event::Address(Address { lifetime: Some(3), ..ours(VIP) }));
    assert_eq!((world.work(), world.reports()), (vec![], vec![]));
    assert_eq!(world.vips.pulse_at(), Some(at(3000)));
    world.vips.turn(at(2500));
    world.vips.beat(at(2500));
    assert_eq!(world.work(), [""; 0], "not before a third");
}

#[test]
fn lease_that_ended_is_nobodys_doing_and_waits_for_a_sign_of_life_since() {
    let mut world = holding(leased(&[VIP]));
    world.vips.turn(at(11_000));
    world.tell(Event::AddressGone(place(VIP)));
    assert_eq!(world.work(), [""; 0]);
    assert_eq!((world.vips.held((A, 0)), world.vips.take_notices()), (None, vec![]));
    assert_eq!(world.vips.pulse_at(), Some(at(11_000)), "asked for at once");
    world.vips.pulse_asked();
    world.vips.beat(at(3000));
    assert_eq!(world.work(), [""; 0], "that turn began before it stood still");
    assert_eq!(world.vips.pulse_at(), Some(at(11_000)), "asked for again");
    world.vips.beat(at(11_000));
    assert_eq!(world.work(), ["+10.0.1.1"]);
    assert_eq!(world.reports(), [(A, 0..1)], "announced again");
}

#[test]
fn leased_vip_that_somebody_removes_or_makes_permanent_is_put_right_at_once() {
    let mut world = holding(leased(&[VIP]));
    world.tell(Event::AddressGone(place(VIP)));
    assert_eq!(world.work(), ["+10.0.1.1"]);
    world.reports();
    world.tell(Event::Address(Address { lifetime: None, ..ours(VIP) }));
    assert_eq!((world.work(), world.reports()), (vec!["+10.0.1.1".to_owned()], vec![]));
}

#[test]
fn wish_of_a_thread_that_stood_still_since_is_not_fulfilled() {
    let mut world = World::new();
    world.vips.turn(at(11_000));
    world.vips.beat(at(1000));
    world.acquire(A, leased(&[VIP]));
    assert_eq!(world.work(), [""; 0]);
    world.vips.release(A, &world.links);
    assert_eq!((world.work(), world.vips.pulse_at()), (vec![], None));
}
