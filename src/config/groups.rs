//! `[group.NAME]`: instances that move together.
//!
//! What a group names counts for each member, so it ends up in their tracks. One stop before: `tracks`; one stop after:
//! `weights`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::checks::Check;
use super::error::{CheckError, Doubt, GroupError, HealthDoubt};
use super::hooks::hooks;
use super::problem::Report;
use super::resolve::{Draft, name};
use super::schema;
use super::seats::Member;
use super::source::{Place, Written};
use super::suggest;
use super::tracks::{self, LISTED_MAX};
use crate::engine::params::{GroupParams, Track};
use crate::wire::field::Priority;

/// The groups as far as they are right, and what they name.
pub(super) struct Groups {
    /// `None`: something was reported.
    pub list: Option<Vec<GroupParams>>,
    /// What all of them name.
    pub tracks: Vec<Written<Track>>,
}

/// Reads all groups and adds what they name to their members.
pub(super) fn resolve(
    written: &[schema::Group<'_>],
    checks: &[Check<'_>],
    drafts: &mut [Draft],
    report: &mut Report<'_>,
) -> Groups {
    // Instance to group and place.
    let mut taken: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let mut list = Vec::with_capacity(written.len());
    let mut all_tracks = Vec::new();
    for group in written {
        let name = name("group", &group.name, report);
        let hooks = hooks(&group.hooks, report);
        let tracks = tracks::resolve(&group.checks, checks, report);
        let members = members(group, drafts, &mut taken, report);
        for (at, _) in &members {
            if let Some(draft) = drafts.get_mut(*at) {
                add_tracks(draft, &tracks, report);
            }
        }
        check_orders(&members, drafts, report);
        all_tracks.extend(tracks);
        let members: Option<Vec<_>> =
            members.iter().map(|(at, _)| drafts.get(*at).and_then(|draft| draft.name.clone())).collect();
        if let (Some(name), Some(members), Some(hooks)) = (name, members, hooks) {
            list.push(GroupParams { name, members, hooks });
        }
    }
    let is_complete = list.len() == written.len();
    Groups { list: is_complete.then_some(list), tracks: all_tracks }
}

/// Finds the members of a group among the instances; each with its place in the list.
fn members(
    group: &schema::Group<'_>,
    drafts: &[Draft],
    taken: &mut BTreeMap<String, (String, Place)>,
    report: &mut Report<'_>,
) -> Vec<(usize, Place)> {
    let mut members = Vec::new();
    let Some(list) = group.instances.here() else { return members };
    for written in &list.value.items {
        let found = drafts.iter().position(|draft| draft.written.value == written.value);
        let Some(at) = found else {
            let names = || drafts.iter().map(|draft| draft.written.value.as_str());
            let known = names().take(LISTED_MAX).map(str::to_owned).collect();
            let meant = suggest::closest(written.value, names()).map(str::to_owned);
            report.error(written.place, GroupError::Undefined { name: written.value.to_owned(), known, meant });
            continue;
        };
        let name = written.value.to_owned();
        match taken.get(written.value) {
            Some((other, place)) => {
                let line = report.line(*place);
                let error = if other == group.name.value {
                    GroupError::Twice { name, first_line: line }
                } else {
                    GroupError::OfAnother { name, group: other.clone(), line }
                };
                report.error(written.place, error);
            }
            None => {
                taken.insert(name, (group.name.value.to_owned(), written.place));
                members.push((at, written.place));
            }
        }
    }
    match list.value.items.as_slice() {
        [] if list.value.is_complete => report.error(list.place, GroupError::Empty),
        [_] if list.value.is_complete => report.warn(list.place, Doubt::Health(HealthDoubt::LonelyGroup)),
        _ => {}
    }
    members
}

/// Adds what a group names to a member that does not name it itself.
fn add_tracks(draft: &mut Draft, tracks: &[Written<Track>], report: &mut Report<'_>) {
    for track in tracks {
        match draft.tracks.iter().find(|own| own.value.check == track.value.check) {
            None => draft.tracks.push(track.clone()),
            Some(own) => {
                let (name, instance) = (track.value.check.clone(), draft.written.value.clone());
                let line = report.line(own.place);
                report.error(track.place, CheckError::OfInstanceAndGroup { name, instance, line });
            }
        }
    }
}

/// Warns of members that want to be on different nodes.
fn check_orders(members: &[(usize, Place)], drafts: &[Draft], report: &mut Report<'_>) {
    let Some((first, _)) = members.first() else { return };
    let Some(first) = drafts.get(*first) else { return };
    for (second, place) in members.iter().skip(1) {
        let Some(second) = drafts.get(*second) else { continue };
        if let Some(doubt) = difference(first, second) {
            report.warn(*place, Doubt::Health(doubt));
        }
    }
}

/// Compares the node lists of two members; `None` also where one of them has no list.
fn difference(first: &Draft, second: &Draft) -> Option<HealthDoubt> {
    let (of_first, of_second) = (nodes(first), nodes(second));
    if of_first.len() < 2 || of_second.len() < 2 {
        return None;
    }
    let names = |draft: &Draft| draft.written.value.clone();
    for (mine, theirs, one, other) in [(&of_first, &of_second, first, second), (&of_second, &of_first, second, first)] {
        // Nodes without names have other addresses in other lists.
        let is_named = |node: &&NodeKey<'_>| matches!(node, NodeKey::Name(_));
        if theirs.keys().all(|node| is_named(&node))
            && let Some(alone) = mine.keys().filter(is_named).find(|node| !theirs.contains_key(*node))
        {
            return Some(HealthDoubt::NodeOfOneMember { node: alone.shown(), first: names(one), second: names(other) });
        }
    }
    let common: Vec<_> = of_first.iter().filter_map(|(node, one)| Some((node, *one, *of_second.get(node)?))).collect();
    for (at, (node, one, two)) in common.iter().enumerate() {
        for (other, other_one, other_two) in common.iter().skip(at + 1) {
            let (better, worse) = match (one.cmp(other_one), two.cmp(other_two)) {
                (Ordering::Greater, Ordering::Less) => (node, other),
                (Ordering::Less, Ordering::Greater) => (other, node),
                (_, _) => continue,
            };
            let (better, worse) = (better.shown(), worse.shown());
            return Some(HealthDoubt::OrderDiffers { better, worse, first: names(first), second: names(second) });
        }
    }
    None
}

/// What tells that two entries of different lists are one node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum NodeKey<'d> {
    Name(&'d str),
    Address(IpAddr),
}

impl NodeKey<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("{name:?}"),
            Self::Address(address) => address.to_string(),
        }
    }
}

fn nodes(draft: &Draft) -> BTreeMap<NodeKey<'_>, Priority> {
    let node = |member: &'_ Member| member.priority;
    let key = |member| node_key(member);
    draft.seats.members.iter().filter_map(|member| Some((key(member)?, node(member)?))).collect()
}

fn node_key(member: &Member) -> Option<NodeKey<'_>> {
    match &member.name {
        Some(name) => Some(NodeKey::Name(&name.value)),
        None => member.address.map(NodeKey::Address),
    }
}
