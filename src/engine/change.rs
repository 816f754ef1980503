//! What another configuration means for each virtual router: it stays as it is, changes in place, or another one comes in
//! its place. No I/O, no state.
//!
//! One stop before: `daemon::reload`, which has read the file. One stop after: `engine::reload`, which does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::input::{CheckKey, RouterKey};
use super::params::{CheckParams, RouterParams, Transport};
use crate::wire::field::{Family, Version};

/// What becomes of the routers of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One for each router of the other configuration, in its order.
    pub fates: Vec<Fate>,
    /// Routers in whose place nobody comes, in the order they had.
    pub removed: Vec<RouterKey>,
}

/// Where a router of the other configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is as it was: nothing at all happens to it.
    Kept(RouterKey),
    /// It goes on, with other parameters.
    Updated(RouterKey),
    /// It is another one: this one hands over, and it begins anew.
    Replaced(RouterKey),
    /// There was none.
    Added,
}

/// What a reload has made of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// What became of the routers before.
    pub plan: Plan,
    /// The routers in the order of the configuration.
    pub routers: Vec<(RouterKey, Arc<RouterParams>)>,
    /// The checks in the order of the configuration; one that was equal before has its old number.
    pub checks: Vec<(CheckKey, Arc<CheckParams>)>,
    /// Routers that are gone but still hold their addresses for a successor; `Output::ReleaseVips` says when they do not.
    pub parting: Vec<RouterKey>,
}

/// What makes two routers the same one, besides the name.
type Wire<'a> = (&'a str, u8, Family, Version);

impl Plan {
    /// Compares the routers of a node with those of another configuration.
    ///
    /// A router is the same one as long as name, interface, VRID, family and version are. Who has the name of one that is
    /// different, or its place on the wire under another name, comes in its place.
    pub fn new(before: &[(RouterKey, Arc<RouterParams>)], after: &[Arc<RouterParams>]) -> Self {
        let by_name: BTreeMap<&str, usize> = before.iter().map(|(_, router)| router.name.as_str()).zip(0..).collect();
        let names: BTreeSet<&str> = after.iter().map(|router| router.name.as_str()).collect();
        let nameless = (0..).zip(before).filter(|(_, (_, router))| !names.contains(router.name.as_str()));
        let mut by_wire: BTreeMap<Wire<'_>, Vec<usize>> = BTreeMap::new();
        for (at, (_, router)) in nameless {
            by_wire.entry(wire(router)).or_default().push(at);
        }
        let mut is_taken = vec![false; before.len()];
        let mut fates = Vec::with_capacity(after.len());
        for router in after {
            let by_name = by_name.get(router.name.as_str()).copied();
            // Several share a VRID only by unicast to different peers; then nobody can say which one it was.
            let by_wire = || match by_wire.get(&wire(router)).map(Vec::as_slice) {
                Some(&[only]) => Some(only),
                Some(_) | None => None,
            };
            let found = by_name.or_else(by_wire).filter(|at| is_taken.get(*at) == Some(&false));
            let Some((at, (key, old))) = found.and_then(|at| Some((at, before.get(at)?))) else {
                fates.push(Fate::Added);
                continue;
            };
            if let Some(taken) = is_taken.get_mut(at) {
                *taken = true;
            }
            fates.push(if **old == **router {
                Fate::Kept(*key)
            } else if old.name == router.name && wire(old) == wire(router) {
                Fate::Updated(*key)
            } else {
                Fate::Replaced(*key)
            });
        }
        let removed = before.iter().zip(is_taken).filter(|(_, is_taken)| !is_taken).map(|((key, _), _)| *key);
        Self { fates, removed: removed.collect() }
    }

    /// Returns the routers that end: removed, or another comes in their place.
    pub fn ending(&self) -> impl Iterator<Item = RouterKey> + '_ {
        let replaced = self.fates.iter().filter_map(|fate| match fate {
            Fate::Replaced(key) => Some(*key),
            Fate::Kept(_) | Fate::Updated(_) | Fate::Added => None,
        });
        replaced.chain(self.removed.iter().copied())
    }
}

/// Says whether what a Master holds is different: addresses, routes, rules, or whether it owns them.
pub(super) fn has_other_holdings(before: &RouterParams, after: &RouterParams) -> bool {
    before.vips != after.vips
        || before.routes != after.routes
        || before.rules != after.rules
        || before.is_owner() != after.is_owner()
}

/// Returns the multicast group that a router listens to.
pub(super) fn group_of(params: &RouterParams) -> Option<std::net::IpAddr> {
    match &params.transport {
        Transport::Multicast { group } => Some(*group),
        Transport::Unicast { also, .. } => *also,
    }
}

fn wire(router: &RouterParams) -> Wire<'_> {
    (&router.interface, router.vrid.get(), router.family, router.version)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::wire::field::{Priority, Vrid};

    fn router(name: &str, vrid: u8) -> RouterParams {
        let transport = Transport::Multicast { group: IpAddr::from([224, 0, 0, 18]) };
        RouterParams::plain(name, "eth0", Vrid::new(vrid).unwrap(), Family::V4, transport)
    }

    fn plan(before: &[RouterParams], after: &[RouterParams]) -> Plan {
        let before: Vec<_> = (7..).map(RouterKey).zip(before.iter().cloned().map(Arc::new)).collect();
        Plan::new(&before, &after.iter().cloned().map(Arc::new).collect::<Vec<_>>())
    }

    const FIRST: RouterKey = RouterKey(7);

    #[test]
    fn order_means_nothing_and_equal_ones_are_kept() {
        let (a, b) = (router("a", 1), router("b", 2));
        let plan = plan(&[a.clone(), b.clone()], &[b, a]);
        assert_eq!(plan, Plan { fates: vec![Fate::Kept(RouterKey(8)), Fate::Kept(FIRST)], removed: vec![] });
    }

    #[test]
    fn what_is_not_identity_changes_in_place() {
        let other = RouterParams { priority: Priority::new(7).unwrap(), ..router("a", 1) };
        assert_eq!(plan(&[router("a", 1)], &[other]).fates, [Fate::Updated(FIRST)]);
    }

    #[test]
    fn each_part_of_the_identity_makes_another_one() {
        let a = router("a", 1);
        let others = [
            RouterParams { vrid: Vrid::new(2).unwrap(), ..a.clone() },
            RouterParams { interface: "eth1".into(), ..a.clone() },
            RouterParams { version: Version::V2, ..a.clone() },
            RouterParams { family: Family::V6, ..a.clone() },
            RouterParams { name: "b".into(), ..a.clone() },
        ];
        for other in others {
            let plan = plan(std::slice::from_ref(&a), std::slice::from_ref(&other));
            assert_eq!(plan, Plan { fates: vec![Fate::Replaced(FIRST)], removed: vec![] }, "{other:?}");
        }
    }

    #[test]
    fn names_that_change_places_are_found_by_their_names() {
        let plan = plan(&[router("a", 1), router("b", 2)], &[router("a", 2), router("c", 9)]);
        assert_eq!(plan, Plan { fates: vec![Fate::Replaced(FIRST), Fate::Added], removed: vec![RouterKey(8)] });
        assert_eq!(plan.ending().collect::<Vec<_>>(), [FIRST, RouterKey(8)]);
    }
}
