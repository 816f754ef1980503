//! `vrrp_sync_group`: instances that move together.
//!
//! Kept as typed values and not run; said so. One stop before: the tree; one stop after: `document`.

use std::collections::BTreeMap;

use super::document::SyncGroup;
use super::fates;
use super::remark::{Remark, excerpt};
use super::report::{Report, Spot};
use super::script;
use super::track::{self, Defined};
use super::tree::Node;
use super::value::no_more_words;
use crate::config::keepalived::document::{Track, TrackKind};

/// Reads a block; its track blocks name what was defined before.
pub(super) fn read(
    block: &Node,
    defined: &mut [Defined],
    ahead: &[(TrackKind, String, Spot)],
    report: &mut Report,
) -> Option<SyncGroup> {
    let name = block.word(0)?.value.clone();
    no_more_words(block, 1, report);
    let mut group =
        SyncGroup { name, members: Vec::new(), tracks: Vec::new(), hooks: Vec::new(), keeps_weights: false };
    for node in &block.body {
        if let Some(kind) = track::kind(&node.keyword) {
            let tracks: Vec<(Track, Spot)> = track::block(node, kind, defined, ahead, report);
            for (track, spot) in tracks.iter().filter(|(track, _)| track.kind == TrackKind::Interface) {
                track::interface_not_run(track, *spot, report);
            }
            group.tracks.extend(tracks.into_iter().map(|(track, _)| track));
            continue;
        }
        match node.keyword.as_str() {
            "group" => {
                for entry in &node.body {
                    group.members.extend(entry.entry().map(|word| word.value.to_owned()));
                }
            }
            "sync_group_tracking_weight" | "global_tracking" => group.keeps_weights = true,
            _ => match script::hook(node, &format!("group {}", group.name), report) {
                Some(hook) => group.hooks.push(hook),
                None if node.keyword.starts_with("notify_") && node.keyword != "notify_priority_changes" => {}
                None => fates::tell(node, fates::INSTANCE, report),
            },
        }
    }
    Some(group)
}

/// Checks the members of all groups; `instances`: their names with the places of weighted trackers.
pub(super) fn check(groups: &[(SyncGroup, Spot)], instances: &BTreeMap<&str, Option<Spot>>, report: &mut Report) {
    let mut member_of: BTreeMap<&str, u32> = BTreeMap::new();
    for (group, spot) in groups {
        let what = format!("vrrp_sync_group {}", excerpt(&group.name));
        let mut count = 0;
        for member in &group.members {
            let what = format!("instance {}", excerpt(member));
            let Some(weighted) = instances.get(member.as_str()) else {
                report.remark(*spot, Remark::Undefined { what: format!("{what} of this group"), defined_at: None });
                continue;
            };
            if let Some(line) = member_of.insert(member, spot.line) {
                report.remark(*spot, Remark::Twice { what: format!("{what} in a group"), line });
                continue;
            }
            count += 1;
            if let (false, Some(weighted)) = (group.keeps_weights, weighted) {
                let text = "Keepalived removes weights of members of a sync group; write the tracker into the group, \
                            or sync_group_tracking_weight";
                report.remark(*weighted, Remark::Contradiction { text });
            }
        }
        match count {
            0 => report.remark(*spot, Remark::Undefined { what: format!("any member of {what}"), defined_at: None }),
            1 => {
                let text = "a group of one instance does nothing";
                report.remark(*spot, Remark::Contradiction { text });
            }
            _ => {
                let effect = "each of its instances moves on its own, so their addresses may be on different nodes";
                report.remark(*spot, Remark::NotRun { what, effect });
            }
        }
    }
}
