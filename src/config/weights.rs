//! Weights that move nothing, as far as the node list proves it.
//!
//! One stop before: `groups`, after which each instance has all that counts for it; one stop after: nothing.

use std::collections::BTreeSet;

use super::checks::Check;
use super::error::{Doubt, HealthDoubt};
use super::problem::Report;
use super::resolve::Draft;
use super::source::{Place, Written};
use crate::engine::params::{Effect, Track};

/// A track with a weight.
struct Weighted<'d> {
    check: &'d str,
    place: Place,
    weight: i16,
    /// What is added in one of its two states; nothing in the other.
    swing: i32,
}

/// Warns of weights without effect, in instances with a node list.
pub(super) fn check(drafts: &[Draft], checks: &[Check<'_>], report: &mut Report<'_>) {
    for draft in drafts {
        let weighted: Vec<_> = draft.tracks.iter().filter_map(weighted).collect();
        check_owner(draft, &weighted, report);
        let has_number =
            |track: &Weighted<'_>| checks.iter().any(|check| check.name.value == track.check && check.has_number());
        // A number may add anything.
        if weighted.len() <= WEIGHTS_MAX && !weighted.iter().any(has_number) {
            check_weak(draft, &weighted, report);
        }
    }
}

fn weighted(track: &Written<Track>) -> Option<Weighted<'_>> {
    match track.value.effect {
        Effect::Fault { .. } => None,
        Effect::Weight { weight, is_reversed } => {
            let swing = i32::from(if is_reversed { -weight } else { weight });
            Some(Weighted { check: &track.value.check, place: track.place, weight, swing })
        }
    }
}

fn check_owner(draft: &Draft, weighted: &[Weighted<'_>], report: &mut Report<'_>) {
    let Some(first) = weighted.first() else { return };
    if let Some((node, _)) = draft.seats.shown_priorities().into_iter().find(|(_, priority)| *priority == u8::MAX) {
        let (instance, check) = (draft.written.value.clone(), first.check.to_owned());
        report.warn(first.place, Doubt::Health(HealthDoubt::WeightOfOwner { instance, check, node }));
    }
}

/// A weight has an effect when on some node, with some other weights added there and on another node, it decides which
/// of the two is better. Nobody is better than an owner.
fn check_weak(draft: &Draft, weighted: &[Weighted<'_>], report: &mut Report<'_>) {
    if !draft.seats.has_list() {
        return;
    }
    let mut nodes = draft.seats.shown_priorities();
    nodes.retain(|(_, priority)| *priority != u8::MAX);
    nodes.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    let neighbours = nodes.iter().zip(nodes.iter().skip(1));
    let Some((better, worse)) = neighbours.min_by_key(|(better, worse)| better.1 - worse.1) else { return };
    if nodes.len() > NODES_MAX {
        return;
    }
    let all = sums(weighted.iter());
    for (at, track) in weighted.iter().enumerate() {
        let others = sums(weighted.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, track)| track));
        let pairs = nodes.iter().enumerate().flat_map(|(at, own)| {
            nodes.iter().enumerate().filter(move |(other, _)| *other != at).map(move |(_, rival)| (own.1, rival.1))
        });
        if !pairs.into_iter().any(|(own, rival)| decides(track.swing, own, &others, rival, &all)) {
            let doubt = HealthDoubt::WeakWeight {
                instance: draft.written.value.clone(),
                check: track.check.to_owned(),
                weight: track.weight,
                better: better.clone(),
                worse: worse.clone(),
            };
            report.warn(track.place, Doubt::Health(doubt));
        }
    }
}

/// Says whether a swing makes `own` better than `rival` in one state and worse in the other, for some of these sums.
fn decides(swing: i32, own: u8, others: &BTreeSet<i32>, rival: u8, all: &BTreeSet<i32>) -> bool {
    let rivals: BTreeSet<i32> = all.iter().map(|sum| effective(rival, *sum)).collect();
    others.iter().any(|sum| {
        let (with, without) = (effective(own, sum + swing), effective(own, *sum));
        let (low, high) = (with.min(without), with.max(without));
        low + 1 < high && rivals.range(low + 1..high).next().is_some()
    })
}

/// Returns every sum that these weights can have together.
fn sums<'a>(weighted: impl Iterator<Item = &'a Weighted<'a>>) -> BTreeSet<i32> {
    weighted.fold(BTreeSet::from([0]), |sums, track| sums.iter().flat_map(|sum| [*sum, sum + track.swing]).collect())
}

/// Returns what a priority is worth after weights.
fn effective(priority: u8, sum: i32) -> i32 {
    (i32::from(priority) + sum).clamp(1, 254)
}

/// With more weights or nodes than this no combination is tried: together they can move anything, and the work has an end.
const WEIGHTS_MAX: usize = 8;
const NODES_MAX: usize = 16;
