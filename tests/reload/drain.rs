//! Drains go by name: they outlast whatever a reload does to an instance.

use std::sync::Arc;

use vrrpd::engine::drain::Drains;
use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::{GroupParams, Hooks, NodeParams, RouterParams};
use vrrpd::wire::field::Vrid;

use crate::bench::*;

fn named(name: &str, vrid: u8, priority: u8) -> Arc<RouterParams> {
    Arc::new(RouterParams { name: name.into(), vrid: Vrid::new(vrid).unwrap(), priority: prio(priority), ..v3() })
}

fn node(routers: &[Arc<RouterParams>]) -> NodeParams {
    NodeParams { routers: routers.to_vec(), ..NodeParams::default() }
}

fn drained(names: &[&str]) -> Drains {
    Drains { node: None, routers: names.iter().map(|name| ((*name).to_owned(), "x".into())).collect() }
}

/// Starts a node whose instances are Master, unless they are drained.
fn settled(params: NodeParams, drains: Drains) -> Bench {
    let mut bench = Bench::of(params);
    bench.keep_away(drains);
    bench.link(true);
    bench.start();
    bench.run(ms(10_000));
    bench
}

fn states(bench: &Bench) -> Vec<(String, StateName)> {
    bench.snapshots().into_iter().map(|router| (router.params.name.clone(), router.state)).collect()
}

fn reason() -> Reason {
    Reason::Drained { words: "x".into() }
}

#[test]
fn drained_instance_stays_so_when_it_changes_and_when_another_comes_in_its_place() {
    let mut bench = settled(node(&[named("a", 1, 100)]), drained(&["a"]));
    for (vrid, priority) in [(1, 200), (2, 200), (3, 255)] {
        bench.reload(&node(&[named("a", vrid, priority)]));
        bench.run(ms(20_000));
        let snapshot = bench.snapshot();
        assert_eq!((snapshot.state, snapshot.drained.as_deref()), (StateName::Backup, Some("x")), "{vrid} {priority}");
    }
    bench.keep_away(Drains::default());
    bench.run(ms(10_000));
    assert_eq!(bench.state(), StateName::Master);
}

#[test]
fn what_a_reload_adds_to_a_drained_node_is_drained_and_to_another_is_not() {
    let whole = Drains { node: Some("x".into()), ..Drains::default() };
    for (drains, expected) in [(whole, StateName::Backup), (drained(&["a"]), StateName::Master)] {
        let mut bench = settled(node(&[named("a", 1, 100)]), drains);
        bench.reload(&node(&[named("a", 1, 100), named("b", 2, 255)]));
        bench.run(ms(10_000));
        assert_eq!(states(&bench), [("a".to_owned(), StateName::Backup), ("b".to_owned(), expected)]);
    }
}

#[test]
fn master_that_joins_the_group_of_a_drained_instance_hands_over() {
    let routers = [named("a", 1, 100), named("b", 2, 100)];
    let mut bench = settled(node(&routers), drained(&["a"]));
    assert_eq!(states(&bench)[1].1, StateName::Master);
    let members = vec!["a".to_owned(), "b".to_owned()];
    let group = Arc::new(GroupParams { name: "g".into(), members, hooks: Hooks::default() });
    let (_, seen) = bench.reload(&NodeParams { groups: vec![group], ..node(&routers) });
    assert_eq!(sent_priorities(&seen), [0]);
    assert_eq!(transitions(&seen), [(StateName::Master, StateName::Backup, reason())]);
    bench.run(ms(20_000));
    assert_eq!(states(&bench)[1].1, StateName::Backup);
    bench.reload(&node(&routers));
    bench.run(ms(10_000));
    assert_eq!(states(&bench)[1].1, StateName::Master, "it was never named itself");
}

#[test]
fn drained_routers_see_nothing_of_a_reload_without_a_change() {
    let params = node(&[named("a", 1, 100)]);
    let mut bench = settled(params.clone(), drained(&["a"]));
    let before = bench.fingerprint();
    assert_eq!(bench.reload(&params).1, []);
    assert_eq!(bench.fingerprint(), before);
}
