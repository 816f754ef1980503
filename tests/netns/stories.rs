//! The stories. Node a has the better priority unless a story says otherwise.

use std::time::Duration;

use vrrpd::demo::lab::Node::{A, B, C};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V4, VIP_V6};
use vrrpd::demo::plan::{Plan, VRID};
use vrrpd::demo::site::Site;
use vrrpd::wire::field::{Family, Version};

use crate::story::Act::{Die, Heal, Isolate, Start, Stop, Unplug};
use crate::story::{Miss, Step, Story};

/// Version 3, IPv4, unicast, five adverts a second: quick, and far above this machine's noise.
pub fn quick() -> Plan {
    Plan {
        site: Site::USUAL,
        vrid: VRID,
        version: Version::V3,
        family: Family::V4,
        is_multicast: false,
        interval: Duration::from_millis(200),
        priorities: vec![200, 100],
        preempt: true,
        addresses: vec![VIP_V4],
    }
}

macro_rules! steps {
    ($($act:expr => [$($holder:expr),*], $miss:ident;)+) => {
        vec![$(Step { act: $act, holders: vec![$($holder),*], miss: Miss::$miss }),+]
    };
}
pub(crate) use steps;

/// A master's host dies; the backup takes over in the time the protocol says.
pub fn host_death() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Die(A) => [B], Death;
    };
    Story { name: "host death", plan: quick(), steps }
}

/// A master is stopped on purpose.
pub fn graceful_stop() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Stop(A) => [B], Handover;
    };
    Story { name: "graceful stop", plan: quick(), steps }
}

/// The better node comes back, after a stop and after a death.
pub fn failback() -> Story {
    let steps = steps! {
        Start(B) => [B], Anything;
        Start(A) => [A], Handover;
        Die(A) => [B], Death;
        Start(A) => [A], Handover;
    };
    Story { name: "failback", plan: quick(), steps }
}

/// Two nodes of one priority: who has the address keeps it; after a split the higher address wins.
pub fn equal_priority() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Stop(A) => [B], Handover;
        Start(A) => [B], Nothing;
        Isolate(B) => [A, B], Death;
        Heal(B) => [B], Anything;
    };
    Story { name: "equal priority", plan: Plan { priorities: vec![100, 100], ..quick() }, steps }
}

/// With preemption off the better node stays backup until it is needed.
pub fn nopreempt() -> Story {
    let steps = steps! {
        Start(B) => [B], Anything;
        Start(A) => [B], Nothing;
        Stop(B) => [A], Handover;
        Start(B) => [A], Nothing;
    };
    Story { name: "nopreempt", plan: Plan { preempt: false, ..quick() }, steps }
}

/// The nodes lose sight of each other: two masters, each for its side; afterwards the better one.
pub fn partition() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Isolate(A) => [A, B], Death;
        Heal(A) => [A], Anything;
        Isolate(B) => [A, B], Nothing;
        Heal(B) => [A], Anything;
    };
    Story { name: "partition", plan: quick(), steps }
}

/// The master's cable is pulled: it withdraws the address itself, and listens before it takes it back.
pub fn link_loss() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Unplug(A) => [B], Death;
        Heal(A) => [A], Handover;
    };
    Story { name: "link loss", plan: quick(), steps }
}

/// Of three nodes the best one left takes over, and only that one.
pub fn three_nodes() -> Story {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Start(C) => [A], Nothing;
        Stop(A) => [B], Handover;
        Die(B) => [C], Death;
        Start(A) => [A], Handover;
    };
    Story { name: "three nodes", plan: Plan { priorities: vec![200, 150, 100], ..quick() }, steps }
}

/// Version 2 as most clusters run it: one advert a second.
pub fn v2_unicast() -> Story {
    let plan = Plan { version: Version::V2, interval: Duration::from_secs(1), ..quick() };
    Story { name: "v2 unicast", plan, steps: cycle() }
}

/// Version 2 as RFC 3768 has it; short, since a second is long.
pub fn v2_multicast() -> Story {
    let plan = Plan { version: Version::V2, interval: Duration::from_secs(1), is_multicast: true, ..quick() };
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Stop(A) => [B], Handover;
    };
    Story { name: "v2 multicast", plan, steps }
}

/// IPv6, the link-local address first as RFC 9568 wants it.
pub fn v3_unicast_ipv6() -> Story {
    let plan = Plan { family: Family::V6, addresses: vec![VIP_LINK_LOCAL, VIP_V6], ..quick() };
    Story { name: "v3 unicast IPv6", plan, steps: cycle() }
}

/// Version 3 as RFC 9568 has it.
pub fn v3_multicast() -> Story {
    Story { name: "v3 multicast", plan: Plan { is_multicast: true, ..quick() }, steps: cycle() }
}

/// Version 3 over IPv6 as RFC 9568 has it.
pub fn v3_multicast_ipv6() -> Story {
    let addresses = vec![VIP_LINK_LOCAL, VIP_V6];
    let plan = Plan { family: Family::V6, is_multicast: true, addresses, ..quick() };
    Story { name: "v3 multicast IPv6", plan, steps: cycle() }
}

/// What happens to a pair in a year: stop, failback, death, failback.
fn cycle() -> Vec<Step> {
    steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Stop(A) => [B], Handover;
        Start(A) => [A], Handover;
        Die(A) => [B], Death;
        Start(A) => [A], Handover;
    }
}
