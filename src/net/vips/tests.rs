//! Tests of wanted against held, with a kernel made of [`Links`] alone.

use std::sync::Arc;

use super::*;
use crate::engine::params::{PeerParams, RouterParams, Scope, Transport, Vip, VipOptions};
use crate::net::netlink::{Event, Link};
use crate::wire::field::{Family, Priority, Vrid};

mod keep;

const A: RouterKey = RouterKey(1);
const B: RouterKey = RouterKey(2);

fn params(vips: &[&str]) -> Arc<RouterParams> {
    let vip = |text: &&str| {
        let (address, prefix_len) = text.split_once('/').unwrap();
        Vip {
            address: address.parse().unwrap(),
            prefix_len: prefix_len.parse().unwrap(),
            interface: None,
            advertise: true,
            label: None,
            broadcast: None,
            scope: Scope::Global,
            options: VipOptions::default(),
        }
    };
    let peers = vec![PeerParams { address: "10.0.0.2".parse().unwrap(), priority: None, min_ttl: None, max_ttl: None }];
    let transport = Transport::Unicast { peers, also: None };
    Arc::new(RouterParams {
        vips: vips.iter().map(vip).collect(),
        ..RouterParams::plain("web", "eth0", Vrid::new(1).unwrap(), Family::V4, transport)
    })
}

fn owner(vips: &[&str]) -> Arc<RouterParams> {
    Arc::new(RouterParams { priority: Priority::OWNER, ..(*params(vips)).clone() })
}

fn link(index: u32, is_up: bool) -> Event {
    Event::Link(Link { index, name: "eth0".into(), is_up, is_running: is_up, mac: None })
}

fn place(text: &str) -> Place {
    let (address, prefix_len) = text.split_once('/').unwrap();
    Place { interface: 2, address: address.parse().unwrap(), prefix_len: prefix_len.parse().unwrap() }
}

fn foreign(text: &str) -> Address {
    Address {
        place: place(text),
        protocol: 0,
        scope: 0,
        is_secondary: false,
        is_usable: true,
        is_duplicate: false,
        is_deprecated: false,
        lifetime: None,
        peer: None,
    }
}

/// Wanted VIPs, the view, and what was asked of the kernel.
struct World {
    vips: Vips,
    links: Links,
    asked: Vec<String>,
    batches: Vec<usize>,
    refuse: Option<i32>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { vips: Vips::new(), links: Links::new(), asked: vec![], batches: vec![], refuse: None };
        world.tell(link(2, true));
        world
    }

    /// The kernel tells of something.
    fn tell(&mut self, event: Event) {
        let mut changes = Vec::new();
        self.links.apply(event, &mut changes);
        for change in changes {
            self.vips.apply(&change, &self.links);
        }
    }

    fn acquire(&mut self, key: RouterKey, params: Arc<RouterParams>) {
        self.vips.acquire(key, params, &self.links);
    }

    /// Works until there is nothing to do, and returns what was asked for.
    fn work(&mut self) -> Vec<String> {
        let mut batch = Vec::new();
        let mut turns = 0;
        while self.vips.has_work() {
            turns += 1;
            assert!(turns < 10_000, "work without end");
            self.vips.next_batch(&self.links, &mut batch);
            self.batches.push(batch.len());
            for job in &batch {
                self.asked.push(match &job.request {
                    Request::Add(new) => format!("+{}", new.place.address),
                    Request::Delete(place) | Request::DeletePeer(place, _) => format!("-{}", place.address),
                    other => panic!("{other:?}"),
                });
                let result = match self.refuse {
                    Some(errno) => Err(Refusal { errno, text: None }),
                    None => Ok(()),
                };
                self.vips.done(job, result, &mut self.links);
            }
        }
        std::mem::take(&mut self.asked)
    }

    fn reports(&mut self) -> Vec<(RouterKey, Range<u16>)> {
        self.vips.take_reports()
    }
}

#[test]
fn vips_are_added_in_order_in_growing_batches_and_reported_as_ranges() {
    let mut world = World::new();
    let texts: Vec<String> = (1..=40).map(|host| format!("10.0.1.{host}/32")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.acquire(A, params(&texts));
    let asked = world.work();
    assert_eq!(asked.first().map(String::as_str), Some("+10.0.1.1"));
    assert_eq!(asked.last().map(String::as_str), Some("+10.0.1.40"));
    assert_eq!(world.batches, [1, 2, 4, 8, 16, 9]);
    assert_eq!(world.reports(), [(A, 0..40)]);
}

#[test]
fn first_vip_of_each_router_goes_before_the_rest_of_any() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32", "10.0.1.2/32", "10.0.1.3/32"]));
    world.acquire(B, params(&["10.0.2.1/32"]));
    assert_eq!(world.work(), ["+10.0.1.1", "+10.0.2.1", "+10.0.1.2", "+10.0.1.3"]);
}

#[test]
fn release_deletes_unless_another_router_wants_the_address() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32", "10.0.1.2/32"]));
    world.acquire(B, params(&["10.0.1.2/32"]));
    world.work();
    world.vips.release(A, &world.links);
    assert_eq!(world.work(), ["-10.0.1.1"]);
    assert!(!world.vips.is_deleting());
    assert_eq!(world.vips.held((B, 0)), Some(place("10.0.1.2/32")));
}

#[test]
fn acquire_right_after_release_keeps_the_address_without_asking() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32"]));
    world.work();
    world.reports();
    world.vips.release(A, &world.links);
    world.acquire(A, params(&["10.0.1.1/32"]));
    assert_eq!(world.reports(), [(A, 0..1)]);
    assert_eq!(world.work(), [""; 0]);
}

#[test]
fn other_vips_of_a_kept_router_touch_only_the_difference() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32", "10.0.1.2/32"]));
    world.work();
    world.acquire(A, params(&["10.0.1.2/32", "10.0.1.3/32"]));
    assert_eq!(world.work(), ["-10.0.1.1", "+10.0.1.3"]);
}

#[test]
fn vip_removed_by_somebody_else_is_put_back_and_reported_again() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32", "10.0.1.2/32"]));
    world.work();
    world.reports();
    for count in 1..=2 {
        world.tell(Event::AddressGone(place("10.0.1.2/32")));
        assert_eq!(world.work(), ["+10.0.1.2"]);
        assert_eq!(world.reports(), [(A, 1..2)]);
        let address = place("10.0.1.2/32").address;
        assert_eq!(world.vips.take_notices(), [Notice::PutBack { router: A, address, count }]);
    }
}

#[test]
fn ipv6_vips_wait_for_the_link_and_come_back_with_it() {
    let mut world = World::new();
    world.acquire(A, params(&["2001:db8::1/128", "10.0.1.1/32"]));
    world.work();
    world.reports();
    world.tell(link(2, false));
    world.tell(Event::AddressGone(place("2001:db8::1/128")));
    assert_eq!(world.work(), [""; 0], "not while the link is down");
    assert_eq!(world.vips.held((A, 0)), None);
    world.tell(link(2, true));
    assert_eq!(world.work(), ["+2001:db8::1"]);
    assert_eq!(world.reports(), [(A, 0..1)]);
    assert_eq!(world.vips.take_notices(), [], "nobody is to blame");
}

#[test]
fn missing_interface_is_waited_for_and_a_recreated_one_served() {
    let mut world = World::new();
    world.tell(Event::LinkGone { index: 2 });
    world.acquire(A, params(&["10.0.1.1/32"]));
    assert_eq!(world.work(), [""; 0]);
    world.tell(link(7, true));
    assert_eq!(world.work(), ["+10.0.1.1"]);
    assert_eq!(world.vips.held((A, 0)).map(|place| place.interface), Some(7));
    world.tell(Event::LinkGone { index: 7 });
    assert_eq!(world.vips.held((A, 0)), None);
    world.tell(link(8, true));
    assert_eq!(world.work(), ["+10.0.1.1"]);
}

#[test]
fn refusal_is_told_once_and_tried_again_with_growing_pauses() {
    let mut world = World::new();
    world.refuse = Some(1);
    world.acquire(A, params(&["10.0.1.1/32"]));
    let mut attempts = Vec::new();
    for tick in 0..40 {
        if !world.work().is_empty() {
            attempts.push(tick);
        }
        world.vips.tick();
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15, 31]);
    assert_eq!(world.vips.take_notices().len(), 1);
    world.refuse = None;
    for _ in 0..64 {
        world.vips.tick();
        world.work();
    }
    let address = place("10.0.1.1/32").address;
    assert_eq!(world.vips.take_notices(), [Notice::Accepted { router: A, address }]);
    assert_eq!(world.reports(), [(A, 0..1)]);
    assert!(!world.vips.is_waiting());
}

#[test]
fn refused_deletion_is_tried_again_until_the_address_is_gone() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32"]));
    world.work();
    world.refuse = Some(1);
    world.vips.release(A, &world.links);
    assert_eq!(world.work(), ["-10.0.1.1"]);
    assert!(world.vips.is_deleting());
    world.refuse = None;
    world.vips.tick();
    assert_eq!(world.work(), ["-10.0.1.1"]);
    assert!(!world.vips.is_deleting());
}

#[test]
fn leftovers_are_swept_but_not_what_is_wanted_or_foreign() {
    let mut world = World::new();
    for (text, protocol) in [("10.0.1.1/32", OUR_PROTOCOL), ("10.0.1.2/32", OUR_PROTOCOL), ("10.0.1.3/32", 0)] {
        world.tell(Event::Address(Address { protocol, ..foreign(text) }));
    }
    world.acquire(A, params(&["10.0.1.1/32"]));
    world.vips.sweep(&world.links, &[]);
    assert_eq!(world.work(), ["-10.0.1.2"]);
    assert_eq!(world.reports(), [(A, 0..1)], "adopted without a request");
    assert_eq!(world.vips.take_notices(), [Notice::Leftovers { count: 1 }]);
}

#[test]
fn unmarked_leftovers_are_swept_when_an_earlier_run_is_known_to_have_held_them() {
    let mut world = World::new();
    for (text, protocol) in [("10.0.1.1/32", 0), ("10.0.1.2/32", 0), ("10.0.1.3/32", 18), ("10.0.1.4/32", 0)] {
        world.tell(Event::Address(Address { protocol, ..foreign(text) }));
    }
    world.acquire(A, params(&["10.0.1.1/32"]));
    let held = |last, prefix_len| ("eth0".to_owned(), IpAddr::from([10, 0, 1, last]), prefix_len);
    world.vips.sweep(&world.links, &[held(1, 32), held(2, 32), held(3, 32), held(4, 24), held(5, 32)]);
    let work = world.work();
    assert!(work.contains(&"-10.0.1.2".to_owned()), "{work:?}");
    assert!(!work.iter().any(|request| request.starts_with('-') && request != "-10.0.1.2"), "{work:?}");
}

#[test]
fn adopted_address_that_would_expire_is_renewed() {
    let mut world = World::new();
    let dying = Address { protocol: OUR_PROTOCOL, lifetime: Some(60), ..foreign("10.0.1.1/32") };
    world.tell(Event::Address(dying));
    world.acquire(A, params(&["10.0.1.1/32"]));
    assert_eq!(world.work(), ["+10.0.1.1"]);
}

#[test]
fn owner_keeps_the_address_that_was_there_before() {
    let mut world = World::new();
    world.tell(Event::Address(foreign("10.0.1.1/24")));
    world.acquire(A, owner(&["10.0.1.1/24"]));
    assert_eq!(world.work(), [""; 0]);
    assert_eq!(world.reports(), [(A, 0..1)]);
    world.vips.release(A, &world.links);
    assert_eq!(world.work(), [""; 0]);
    world.acquire(B, params(&["10.0.1.1/24"]));
    assert_eq!(world.work(), ["+10.0.1.1"], "anybody else takes it over");
    world.vips.release(B, &world.links);
    assert_eq!(world.work(), ["-10.0.1.1"]);
}

#[test]
fn dump_after_lost_notifications_finds_what_vanished_meanwhile() {
    let mut world = World::new();
    world.acquire(A, params(&["10.0.1.1/32", "10.0.1.2/32"]));
    world.work();
    world.reports();
    let dump = crate::net::netlink::Dump {
        links: vec![Link { index: 2, name: "eth0".into(), is_up: true, is_running: true, mac: None }],
        addresses: vec![Address { protocol: OUR_PROTOCOL, ..foreign("10.0.1.2/32") }],
    };
    world.links.replace(dump);
    world.vips.compare(&world.links);
    assert_eq!(world.work(), ["+10.0.1.1"]);
    assert_eq!(world.reports(), [(A, 0..1)]);
}

#[test]
fn work_grows_with_the_number_of_changes_and_not_faster() {
    let mut world = World::new();
    for key in 0..4080u32 {
        let text = format!("10.{}.{}.1/32", key / 256, key % 256);
        world.acquire(RouterKey(key), params(&[&text]));
    }
    assert_eq!(world.work().len(), 4080);
    for key in 0..4080u32 {
        world.vips.release(RouterKey(key), &world.links);
    }
    assert_eq!(world.work().len(), 4080);
    assert!(world.vips.wanting().next().is_none() && !world.vips.is_deleting());
}

#[test]
fn a_router_is_leaving_until_its_own_addresses_are_deleted() {
    let mut world = World::new();
    let (one, two) = (params(&["10.0.1.1/32", "10.0.1.2/32"]), params(&["10.0.2.1/32"]));
    world.acquire(A, Arc::clone(&one));
    world.acquire(B, Arc::clone(&two));
    world.work();
    let is_leaving = |world: &World, params| world.vips.is_leaving(params, &world.links);
    assert!(!is_leaving(&world, &one), "held and wanted");
    world.vips.release(A, &world.links);
    assert!(is_leaving(&world, &one) && !is_leaving(&world, &two));
    world.work();
    assert!(!is_leaving(&world, &one));
    world.vips.release(B, &world.links);
    assert!(is_leaving(&world, &two) && !is_leaving(&world, &one), "others are not waited for");
}
