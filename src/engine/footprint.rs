//! How much room the values take of which there is one for each router, each peer or each deadline.
//!
//! A thousand routers are a thousand of each. Who makes one larger says so here, with what it is for; how much a router
//! takes altogether is judged by `tests/guard/bytes.rs`.

use std::mem::size_of;

use super::output::{Output, Transmit};
use super::params::{RouterParams, Vip};
use super::peers::Peer;
use super::router::VirtualRouter;
use super::snapshot::Counters;
use super::state::State;
use super::time::Instant;

#[test]
fn values_of_each_router_are_as_large_as_they_need_to_be() {
    let small = [
        // Eight deadlines of a Master are off most of the time; an extra word for each would be 64 bytes.
        ("Option<Instant>", size_of::<Option<Instant>>(), 8),
        // What a Master remembers of rivals is in place: it is needed when there is no time to ask for memory.
        ("State", size_of::<State>(), 216),
        // With its counters and its state; faults, drains and adoptions are apart.
        ("VirtualRouter", size_of::<VirtualRouter>(), 776),
        ("Counters", size_of::<Counters>(), 72),
        // Marks of signed adverts, refusals and differences are apart: few peers have any.
        ("Peer", size_of::<Peer>(), 48),
        // One for each advert that is on its way: with a Master of 4080 routers, so many in one turn.
        ("Transmit", size_of::<Transmit>(), 56),
        ("Output", size_of::<Output>(), 80),
        // Kept once, and shared by everybody who asks.
        ("RouterParams", size_of::<RouterParams>(), 408),
        ("Vip", size_of::<Vip>(), 112),
    ];
    let large: Vec<_> = small.iter().filter(|(_, size, most)| size > most).collect();
    assert!(large.is_empty(), "larger than they were, (name, bytes, at most): {large:?}");
}
