//! `vrrp_sync_group`: instances that move together.
//!
//! One stop before: the tree; one stop after: `health`, which gives what the group watches to its members.

use std::collections::BTreeMap;

use super::document::{Block, Table};
use super::fates;
use super::hooks::NodeScripts;
use super::remark::{Remark, excerpt};
use super::report::{Report, Spot};
use super::script;
use super::track::{self, Defined, TrackKind, Tracked};
use super::tree::Node;
use super::value::no_more_words;
use crate::engine::params::Hook;

/// A `vrrp_sync_group` as it is written.
#[derive(Debug)]
pub(super) struct SyncGroup {
    /// Its name in the parameters.
    pub name: String,
    /// Its name as it is written.
    pub written: String,
    /// Instances that move together, as they are written.
    pub members: Vec<String>,
    /// What is watched on behalf of all members.
    pub tracks: Vec<Tracked>,
    /// What is called when its state changes.
    pub calls: Vec<Hook>,
    /// Weights of its members' own trackers count.
    pub keeps_weights: bool,
    /// Where it begins.
    pub spot: Spot,
    /// Line of its `}`.
    pub last_line: u32,
}

impl SyncGroup {
    /// Returns where its block is.
    pub fn block(&self) -> Block {
        Block { table: Table::Group, name: self.name.clone(), spot: self.spot, last_line: self.last_line }
    }
}

/// Reads a block; its track blocks name what was defined before. `name`: in the parameters.
pub(super) fn read(
    block: &Node,
    name: String,
    defined: &mut [Defined],
    ahead: &[(TrackKind, String, Spot)],
    scripts: &mut NodeScripts,
    report: &mut Report,
) -> Option<SyncGroup> {
    no_more_words(block, 1, report);
    let mut group = SyncGroup {
        name,
        written: block.word(0)?.value.clone(),
        members: Vec::new(),
        tracks: Vec::new(),
        calls: Vec::new(),
        keeps_weights: false,
        spot: block.spot,
        last_line: block.last_line,
    };
    for node in &block.body {
        if let Some(kind) = track::kind(&node.keyword) {
            track::block(node, kind, defined, ahead, &mut group.tracks, report);
            continue;
        }
        match node.keyword.as_str() {
            "group" => {
                for entry in &node.body {
                    group.members.extend(entry.entry().map(|word| word.value.to_owned()));
                }
            }
            "sync_group_tracking_weight" | "global_tracking" => group.keeps_weights = true,
            "notify_priority_changes" => scripts.priority_changes(node, report),
            _ if script::hook(node, &mut group.calls, report) => {}
            _ => fates::tell(node, fates::INSTANCE, report),
        }
    }
    Some(group)
}

/// Takes out members that are no instances or in a group already, and groups without any.
pub(super) fn settle(groups: &mut Vec<SyncGroup>, instances: &[String], report: &mut Report) {
    let mut member_of: BTreeMap<String, u32> = BTreeMap::new();
    groups.retain_mut(|group| {
        let line = group.spot.line;
        group.members.retain(|member| {
            let what = format!("instance {}", excerpt(member));
            if !instances.contains(member) {
                let what = format!("{what} of this group");
                report.remark(group.spot, Remark::Undefined { what, defined_at: None });
                return false;
            }
            if let Some(line) = member_of.get(member) {
                report.remark(group.spot, Remark::Twice { what: format!("{what} in a group"), line: *line });
                return false;
            }
            member_of.insert(member.clone(), line);
            true
        });
        match group.members.len() {
            0 => {
                let what = format!("any member of vrrp_sync_group {}", excerpt(&group.written));
                report.remark(group.spot, Remark::Undefined { what, defined_at: None });
            }
            1 => {
                let text = "a group of one instance moves nothing together, yet the weights of that instance do not \
                            count, as in Keepalived; name the others or take the group out";
                report.remark(group.spot, Remark::Contradiction { text });
            }
            _ => {}
        }
        !group.members.is_empty()
    });
}
