//! Compares the instances of a file with each other.
//!
//! One stop before: `resolve`, which checked each alone; one stop after: nothing, what is left is right.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::is_link_local;
use super::error::{ConflictError, excerpt};
use super::problem::Report;
use super::resolve::Draft;
use super::source::{Place, Written};
use super::suggest;
use crate::engine::params::Transport;

/// Reports addresses, identifiers and node names that contradict each other between instances.
///
/// `node`: the name that `[daemon]` gives this host.
pub(super) fn check(drafts: &[Draft], node: Option<&Written<&str>>, report: &mut Report<'_>) {
    check_routers(drafts, report);
    check_vips(drafts, report);
    check_names(drafts, report);
    if let Some(node) = node {
        check_own_name(drafts, node, report);
    }
}

/// Two instances must differ in interface, family or identifier: an advert says no more.
fn check_routers(drafts: &[Draft], report: &mut Report<'_>) {
    let mut seen: BTreeMap<_, Vec<(&Draft, Place)>> = BTreeMap::new();
    for draft in drafts {
        let (Some(interface), Some(family), Some(vrid)) = (&draft.interface, draft.family, draft.vrid) else {
            continue;
        };
        let others = seen.entry((interface, family, vrid.value)).or_default();
        let transport = draft.seats.transport(0, family);
        let same = others.iter().find(|(other, _)| !is_told_apart(&other.seats.transport(0, family), &transport));
        match same {
            None => others.push((draft, vrid.place)),
            Some((other, first)) => {
                let (instance, line) = (shown(other), report.line(*first));
                let interface = interface.clone();
                report.error(
                    vrid.place,
                    ConflictError::SameRouter { interface, family, vrid: vrid.value, instance, line },
                );
            }
        }
    }
}

/// Says whether adverts of two routers of one identifier on one interface can be told apart: by unicast or multicast,
/// or by who sends them. One that sends to a group beside its peers speaks for its identifier there.
pub(super) fn is_told_apart(one: &Transport, other: &Transport) -> bool {
    match (one, other) {
        (Transport::Unicast { peers: one, also: at }, Transport::Unicast { peers: other, also: too }) => {
            let share_group = at.is_some() && too.is_some();
            !share_group && one.iter().all(|peer| other.iter().all(|another| another.address != peer.address))
        }
        (Transport::Multicast { .. }, Transport::Multicast { .. }) => false,
        (Transport::Unicast { also, .. }, Transport::Multicast { .. })
        | (Transport::Multicast { .. }, Transport::Unicast { also, .. }) => also.is_none(),
    }
}

fn check_vips(drafts: &[Draft], report: &mut Report<'_>) {
    let mut seen: BTreeMap<(IpAddr, Option<&str>), (usize, Place)> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        for vip in &draft.vips.list {
            let address = vip.value.address;
            // A link-local address may be there once on each link.
            let link = if is_link_local(&address) {
                vip.value.interface.as_deref().or(draft.interface.as_deref())
            } else {
                None
            };
            match seen.get(&(address, link)) {
                None => {
                    seen.insert((address, link), (at, vip.place));
                }
                // Twice in one instance was found there.
                Some((first, _)) if *first == at => {}
                Some((first, place)) => {
                    let instance = drafts.get(*first).map(shown).unwrap_or_default();
                    let line = report.line(*place);
                    report.error(vip.place, ConflictError::VipOfAnother { address, instance, line });
                }
            }
        }
    }
}

/// One address is one node, so it has one name in all lists.
fn check_names(drafts: &[Draft], report: &mut Report<'_>) {
    let mut seen: BTreeMap<IpAddr, &Written<String>> = BTreeMap::new();
    for member in drafts.iter().flat_map(|draft| &draft.seats.members) {
        let (Some(address), Some(name)) = (member.address, &member.name) else { continue };
        if is_link_local(&address) {
            continue;
        }
        match seen.get(&address) {
            None => {
                seen.insert(address, name);
            }
            Some(first) if first.value == name.value => {}
            // Within one list the address itself was reported; it is wrong there under any name.
            Some(first) => {
                let (other, line) = (first.value.clone(), report.line(first.place));
                report.error(name.place, ConflictError::TwoNames { address, other, line });
            }
        }
    }
}

/// The name of this host must be in a list, where lists have names.
fn check_own_name(drafts: &[Draft], node: &Written<&str>, report: &mut Report<'_>) {
    let mut listed: Vec<String> = Vec::new();
    for name in drafts.iter().flat_map(|draft| &draft.seats.members).filter_map(|member| member.name.as_ref()) {
        if name.value == node.value {
            return;
        }
        if listed.len() < LISTED_MAX && !listed.contains(&name.value) {
            listed.push(name.value.clone());
        }
    }
    if !listed.is_empty() {
        let meant = suggest::closest(node.value, listed.iter().map(String::as_str)).map(str::to_owned);
        report.error(node.place, ConflictError::NodeNotListed { name: excerpt(node.value), listed, meant });
    }
}

fn shown(draft: &Draft) -> String {
    draft.name.clone().unwrap_or_default()
}

/// How many names a message lists.
const LISTED_MAX: usize = 10;
