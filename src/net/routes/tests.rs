//! Tests of wanted routes and rules, with a kernel made of a list.

use super::*;
use crate::engine::params::Fixed;
use crate::engine::route::{Hop, RuleAction};
use crate::net::fixed::as_router;
use crate::net::netlink::{Event, Link};
use crate::wire::field::Family;

const A: RouterKey = RouterKey(1);
const B: RouterKey = RouterKey(2);

fn route(third: u8) -> Route {
    let via = Some([10, 0, 0, 254].into());
    let hops = vec![Hop { via, interface: Some("eth0".into()), is_onlink: false, weight: 1 }];
    Route { hops, ..Route::new(Prefix::new([10, 8, third, 0].into(), 24).unwrap()) }
}

fn rule(preference: u32) -> Rule {
    Rule { preference: Some(preference), ..Rule::new(Family::V4, RuleAction::Table(100)) }
}

fn params(routes: Vec<Route>, rules: Vec<Rule>) -> Arc<RouterParams> {
    as_router(&Fixed { addresses: Vec::new(), routes, rules })
}

/// Wanted entries, the view of interfaces, and a kernel.
struct World {
    routes: Routes,
    links: Links,
    kernel: Vec<Entry>,
    refuse: Option<i32>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { routes: Routes::new(), links: Links::new(), kernel: Vec::new(), refuse: None };
        world.link(true);
        world
    }

    fn link(&mut self, is_up: bool) {
        let link = Link { index: 2, name: "eth0".into(), is_up, is_running: is_up, mac: None };
        let mut changes = Vec::new();
        self.links.apply(Event::Link(link), &mut changes);
        for change in changes {
            self.routes.apply(&change);
        }
    }

    /// Works until there is nothing to do, and returns what was asked for.
    fn work(&mut self) -> Vec<String> {
        let (mut asked, mut batch, mut turns) = (Vec::new(), Vec::new(), 0);
        while self.routes.has_work() {
            turns += 1;
            assert!(turns < 1000, "work without end");
            self.routes.next_deletions(&mut batch);
            if batch.is_empty() {
                self.routes.next_additions(&self.links, &mut batch);
            }
            for job in batch.drain(..) {
                let (text, result) = self.answer(&job.request);
                asked.push(text);
                self.routes.done(job, result);
            }
        }
        asked
    }

    fn answer(&mut self, request: &Request) -> (String, Result<(), Refusal>) {
        let refused = |errno: i32| Err(Refusal { errno, text: None });
        let (sign, entry) = match request {
            Request::AddEntry(entry) => ('+', entry),
            Request::DeleteEntry(entry) => ('-', entry),
            other => panic!("{other:?}"),
        };
        let text = match entry {
            Entry::Route(route, _) => format!("{sign}{}", route.to),
            Entry::Rule(rule) => format!("{sign}{}", rule.preference.unwrap()),
        };
        let at = self.kernel.iter().position(|held| held == entry);
        let result = match (sign, at, self.refuse) {
            (_, _, Some(errno)) => refused(errno),
            ('+', Some(_), None) => refused(Errno::EEXIST as i32),
            ('+', None, None) => {
                self.kernel.push(entry.clone());
                Ok(())
            }
            (_, Some(at), None) => {
                self.kernel.remove(at);
                Ok(())
            }
            (_, None, None) => Ok(()),
        };
        (text, result)
    }

    /// Somebody takes away what the kernel holds.
    fn steal(&mut self, at: usize) {
        let touch = match self.kernel.remove(at) {
            Entry::Route(route, _) => Touch::Route(route.to, route.table),
            Entry::Rule(rule) => Touch::Rule(Box::new(Leftover::as_told(&rule))),
        };
        self.routes.touched(touch);
    }
}

#[test]
fn routes_come_before_rules_and_go_after_them() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![route(1), route(2)], vec![rule(7), rule(8)]));
    assert!(!world.routes.is_withdrawing());
    assert_eq!(world.work(), ["+10.8.1.0/24", "+10.8.2.0/24", "+7", "+8"]);
    world.routes.release(A);
    assert!(world.routes.is_withdrawing() && world.routes.is_deleting());
    assert_eq!(world.work(), ["-8", "-7", "-10.8.2.0/24", "-10.8.1.0/24"]);
    assert!(world.kernel.is_empty() && !world.routes.is_deleting() && !world.routes.follows());
    assert_eq!(world.routes.take_notices(), []);
}

#[test]
fn stolen_entry_is_put_back_and_told_of() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![route(1), route(2)], vec![rule(7)]));
    world.work();
    world.steal(1);
    assert_eq!(world.work(), ["+10.8.2.0/24"], "the others are not asked for");
    world.steal(1);
    assert_eq!(world.work(), ["+7"]);
    let entries: Vec<(String, u32)> = world
        .routes
        .take_notices()
        .into_iter()
        .map(|notice| match notice {
            Notice::EntryPutBack { router: A, entry, count } => (entry, count),
            other => panic!("{other:?}"),
        })
        .collect();
    let route = "route 10.8.2.0/24 via 10.0.0.254 dev eth0".to_owned();
    assert_eq!(entries, [(route, 1), ("rule inet preference 7 table 100".to_owned(), 2)]);
    world.routes.touched(Touch::Lost);
    assert_eq!(world.work().len(), 3, "everything is asked for");
    assert_eq!(world.routes.take_notices(), [], "and nothing was gone");
}

#[test]
fn stranger_route_is_no_reason_to_ask() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![route(1)], vec![]));
    world.work();
    world.routes.touched(Touch::Route(route(9).to, 254));
    world.routes.touched(Touch::Route(route(1).to, 100));
    assert!(!world.routes.has_work());
}

#[test]
fn untracked_entry_stays_away() {
    let mut world = World::new();
    let free = Route { is_untracked: true, ..route(1) };
    world.routes.acquire(A, &params(vec![free], vec![]));
    assert!(!world.routes.follows());
    world.work();
    world.steal(0);
    assert_eq!(world.work(), [""; 0]);
    assert!(world.kernel.is_empty());
}

#[test]
fn route_waits_for_its_interface() {
    let mut world = World::new();
    world.link(false);
    world.routes.acquire(A, &params(vec![route(1)], vec![rule(7)]));
    assert_eq!(world.work(), ["+7"]);
    world.link(true);
    assert_eq!(world.work(), ["+10.8.1.0/24"]);
    world.link(false);
    // The kernel drops it without a word.
    world.kernel.remove(1);
    assert_eq!(world.work(), [""; 0]);
    world.link(true);
    assert_eq!(world.work(), ["+10.8.1.0/24"]);
    assert_eq!(world.routes.take_notices(), [], "nobody took it away");
    assert_eq!(world.kernel.len(), 2);
}

#[test]
fn refused_route_is_told_of_once_and_tried_again() {
    let mut world = World::new();
    world.refuse = Some(Errno::ENETUNREACH as i32);
    world.routes.acquire(A, &params(vec![route(1)], vec![]));
    let mut attempts = world.work().len();
    for _ in 0..20 {
        world.routes.tick();
        attempts += world.work().len();
    }
    assert_eq!(attempts, 5, "after 1, 2, 4 and 8 ticks");
    let notices = world.routes.take_notices();
    assert!(matches!(notices.as_slice(), [Notice::EntryRefused { .. }]), "{notices:?}");
    world.refuse = None;
    for _ in 0..MAX_WAIT {
        world.routes.tick();
    }
    world.work();
    let notices = world.routes.take_notices();
    assert!(matches!(notices.as_slice(), [Notice::EntryAccepted { .. }]), "{notices:?}");
    assert!(!world.routes.is_waiting() && world.kernel.len() == 1);
}

#[test]
fn entry_of_two_routers_goes_with_the_last() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![route(1)], vec![rule(7)]));
    world.routes.acquire(B, &params(vec![route(1)], vec![]));
    world.work();
    world.routes.release(A);
    assert_eq!(world.work(), ["-7"]);
    world.routes.release(B);
    assert_eq!(world.work(), ["-10.8.1.0/24"]);
}

#[test]
fn reload_touches_only_what_is_different() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![route(1), route(2)], vec![rule(7)]));
    world.work();
    world.routes.acquire(A, &params(vec![route(2), route(3)], vec![rule(7)]));
    assert_eq!(world.work(), ["-10.8.1.0/24", "+10.8.3.0/24"]);
    assert_eq!(world.routes.take_notices(), []);
    world.routes.acquire(A, &params(vec![], vec![]));
    assert_eq!(world.work(), ["-7", "-10.8.3.0/24", "-10.8.2.0/24"]);
}

#[test]
fn entry_that_cannot_be_deleted_is_told_of_and_tried_again() {
    let mut world = World::new();
    world.routes.acquire(A, &params(vec![], vec![rule(7)]));
    world.work();
    world.refuse = Some(Errno::EPERM as i32);
    world.routes.release(A);
    assert_eq!(world.work(), ["-7"]);
    assert!(world.routes.is_deleting() && matches!(world.routes.take_notices()[..], [Notice::EntryStuck { .. }]));
    world.refuse = None;
    for _ in 0..8 {
        world.routes.tick();
    }
    assert_eq!(world.work(), ["-7"]);
    assert!(!world.routes.is_deleting() && world.kernel.is_empty());
}

#[test]
fn rule_without_a_place_is_asked_for_only_when_it_is_gone() {
    let mut world = World::new();
    let anywhere = Rule::new(Family::V4, RuleAction::Table(100));
    world.routes.acquire(A, &params(vec![], vec![anywhere.clone(), rule(7)]));
    let mut batch = Vec::new();
    world.routes.next_additions(&world.links, &mut batch);
    batch.drain(..).for_each(|job| world.routes.done(job, Ok(())));
    world.routes.touched(Touch::Rule(Box::new(Leftover::as_told(&rule(8)))));
    assert!(world.routes.is_stale() && !world.routes.has_work(), "perhaps another rule");
    world.routes.compare(&[Leftover::as_told(&rule(7)), Leftover::as_told(&anywhere)]);
    assert!(!world.routes.is_stale() && !world.routes.has_work(), "it was another rule");
    world.routes.touched(Touch::Lost);
    let held = [Leftover::as_told(&anywhere)];
    assert!(world.routes.is_stale());
    world.routes.compare(&held);
    world.routes.next_additions(&world.links, &mut batch);
    assert_eq!(batch.len(), 1, "the one with a place: {batch:?}");
    world.routes.touched(Touch::Rule(Box::new(held[0].clone())));
    world.routes.compare(&[Leftover::as_told(&rule(7))]);
    world.routes.next_additions(&world.links, &mut batch);
    assert_eq!(batch.len(), 1, "the one without: {batch:?}");
    batch.drain(..).for_each(|job| world.routes.done(job, Ok(())));
    world.routes.touched(Touch::Lost);
    world.routes.compare(&[]);
    world.routes.next_additions(&world.links, &mut batch);
    assert_eq!(batch.len(), 2, "both: {batch:?}");
}
