//! When it is asked who has an address, and what answers mean.

use super::*;
use crate::engine::params::{Ownership, PeerParams, Scope, Transport, Vip, VipOptions};
use crate::net::netlink::{Event, Link};
use crate::wire::field::{Family, Vrid};

const KEY: RouterKey = RouterKey(1);
const OWN: Mac = [2, 0, 0, 0, 0, 1];
const PEER: Mac = [2, 0, 0, 0, 0, 2];
const STRANGER: Mac = [2, 0, 0, 0, 0, 9];
const VIP: &str = "10.0.0.30";
const PEER_ADDRESS: &str = "10.0.0.21";

struct World {
    conflicts: Conflicts,
    links: Links,
    now: Instant,
    /// Who answers for what.
    answers: Answers,
    /// When what was asked.
    asked: Vec<(u64, String)>,
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

impl World {
    fn new(on_conflict: OnConflict) -> Self {
        let mut links = Links::new();
        let link = Link { index: 2, name: "eth0".into(), is_up: true, is_running: true, mac: Some(OWN) };
        links.apply(Event::Link(link), &mut Vec::new());
        let peers = vec![PeerParams { address: ip(PEER_ADDRESS), priority: None, min_ttl: None, max_ttl: None }];
        let transport = Transport::Unicast { peers, also: None };
        let vip = Vip {
            address: ip(VIP),
            prefix_len: 32,
            interface: None,
            advertise: true,
            label: None,
            broadcast: None,
            scope: Scope::Global,
            options: VipOptions::default(),
        };
        let params = Arc::new(RouterParams {
            vips: vec![vip],
            ownership: Ownership { on_conflict, lease: None },
            ..RouterParams::plain("web", "eth0", Vrid::new(51).unwrap(), Family::V4, transport)
        });
        let mut conflicts = Conflicts::default();
        conflicts.claim(at(0), KEY, &params);
        Self { conflicts, links, now: at(0), answers: Answers::new(), asked: Vec::new() }
    }

    fn answer(&mut self, address: &str, mac: Mac) {
        self.answers.insert((2, ip(address)), vec![mac]);
    }

    /// Goes on until a time, serving every deadline.
    fn go(&mut self, until: u64) {
        let mut steps = 0;
        while let Some(due) = self.conflicts.deadline().filter(|due| *due <= at(until)) {
            steps += 1;
            assert!(steps < 1000, "deadlines without end");
            self.now = self.now.max(due);
            if self.conflicts.is_heard(self.now) {
                self.conflicts.judge(&self.answers, |mac| *mac == OWN);
            }
            for question in self.conflicts.next_questions(self.now, &self.links) {
                self.asked.push((self.now.as_nanos() / 1_000_000, question.address.to_string()));
            }
        }
    }

    fn taken(&mut self) -> bool {
        let taken = Trouble::Taken { address: ip(VIP), mac: STRANGER };
        self.conflicts.take_troubles().contains(&(KEY, taken))
    }
}

fn told(mac: Mac, peer: Option<&str>) -> Notice {
    Notice::Conflict { router: KEY, address: ip(VIP), others: 0, mac, peer: peer.map(ip) }
}

#[test]
fn it_is_asked_after_the_handover_and_some_seconds_later_and_every_minute() {
    let mut world = World::new(OnConflict::Warn);
    world.go(130_000);
    let times: Vec<u64> = world.asked.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [1500, 6500, 66_500, 126_500]);
    assert_eq!(world.conflicts.take_notices(), []);
}

#[test]
fn stranger_that_answers_twice_is_told_of_once_and_when_it_is_gone() {
    let mut world = World::new(OnConflict::Warn);
    world.answer(VIP, STRANGER);
    world.go(60_000);
    assert_eq!(world.conflicts.take_notices(), [told(STRANGER, None)]);
    assert_eq!(world.conflicts.troubles_of(KEY), ["10.0.0.30 is also at 02:00:00:00:00:09, which is no peer"]);
    assert_eq!(world.conflicts.duplicates_of(KEY).first(), Some(&true));
    assert!(!world.taken(), "it is only said");
    world.answers.clear();
    world.go(120_000);
    let over = Notice::ConflictOver { router: KEY, address: ip(VIP), others: 0 };
    assert_eq!((world.conflicts.take_notices(), world.conflicts.troubles_of(KEY)), (vec![over], vec![]));
    assert!(!world.conflicts.duplicates_of(KEY).contains(&true));
}

#[test]
fn one_answer_and_our_own_and_the_virtual_one_are_no_conflict() {
    let mut world = World::new(OnConflict::Yield);
    world.answer(VIP, STRANGER);
    world.go(1799);
    world.go(1800);
    world.answers.clear();
    world.go(6000);
    world.answer(VIP, OWN);
    world.go(70_000);
    world.answer(VIP, [0, 0, 0x5e, 0, 1, 51]);
    world.go(200_000);
    assert_eq!((world.conflicts.take_notices(), world.taken()), (vec![], false));
    world.answer(VIP, [0, 0, 0x5e, 0, 1, 52]);
    world.go(300_000);
    assert_eq!(world.conflicts.take_notices().len(), 1, "of another router");
}

#[test]
fn peer_is_named_and_never_yielded_to() {
    let mut world = World::new(OnConflict::Yield);
    world.answer(VIP, PEER);
    world.answer(PEER_ADDRESS, PEER);
    world.go(60_000);
    assert_eq!(world.conflicts.take_notices(), [told(PEER, Some(PEER_ADDRESS))]);
    assert!(!world.taken() && world.conflicts.take_troubles().is_empty());
}

#[test]
fn left_address_is_watched_until_the_stranger_is_gone_whoever_else_answers() {
    let mut world = World::new(OnConflict::Yield);
    world.answer(VIP, STRANGER);
    world.go(5000);
    assert!(world.taken());
    world.conflicts.release(KEY);
    world.go(30_000);
    assert!(world.taken(), "still there");
    world.answer(VIP, PEER);
    world.go(60_000);
    world.conflicts.take_troubles();
    world.go(200_000);
    assert_eq!(
        (world.conflicts.take_troubles(), world.conflicts.deadline()),
        (vec![], None),
        "the successor is no foe"
    );
}

#[test]
fn released_router_asks_no_more() {
    let mut world = World::new(OnConflict::Warn);
    world.answer(VIP, STRANGER);
    world.go(5000);
    world.conflicts.release(KEY);
    world.asked.clear();
    world.go(200_000);
    assert_eq!((world.asked.len(), world.conflicts.deadline()), (0, None));
}
