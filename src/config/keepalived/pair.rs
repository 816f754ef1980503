//! Two nodes' files side by side: weights that can never move the address between them.
//!
//! One file cannot prove it, for it does not say what the other node is worth. One stop before: `vrrpd check` with several
//! files.

use super::super::Loaded;
use super::super::placement::{Config, Instance};
use super::super::problem::{Finding, Problem};
use super::super::sense::Doubt;
use super::document::InstanceParts;
use super::remark::Remark;
use crate::engine::params::{CheckKind, Effect, FileSense, RouterParams, Transport};

/// One file: its name as it was given, and what it holds.
pub type File<'a> = (&'a str, &'a Loaded);

/// An instance of one file.
struct Seat<'a> {
    file: &'a str,
    params: &'a RouterParams,
    parts: &'a InstanceParts,
    config: &'a Config,
}

/// Returns a warning for each weight whose failure leaves its node above the other one.
///
/// Looks at files in the language of Keepalived alone; compares instances that are each other's peers. A weight that
/// moves the address only together with others is told too: its own failure does nothing. Weights of files are left
/// out, since the number in the file decides.
pub fn weak_weights(files: &[File<'_>]) -> Vec<Problem> {
    // A pair takes two; of one file with thousands of instances nothing is looked at.
    if files.len() < 2 {
        return Vec::new();
    }
    let seats: Vec<Seat<'_>> = files.iter().flat_map(|(name, loaded)| seats(name, loaded)).collect();
    let mut problems = Vec::new();
    for seat in &seats {
        for other in seats.iter().filter(|other| is_peer(seat, other)) {
            let (best, rival) = (seat.best(), other.best());
            // A reversed weight raises the priority when what is watched fails.
            let weak = seat.weights().filter(|(_, weight, is_reversed)| {
                !is_reversed && best > rival && best - i32::from(*weight).abs() >= rival
            });
            problems.extend(weak.map(|(name, weight, _)| seat.problem(name, weight, other.file, best - rival)));
        }
    }
    problems
}

fn seats<'a>(file: &'a str, loaded: &'a Loaded) -> Vec<Seat<'a>> {
    let Some(document) = &loaded.document else { return Vec::new() };
    let config = &loaded.config;
    let parts = |instance: &Instance| document.instances.iter().find(|parts| parts.name == instance.params.name);
    let seat = |instance: &'a Instance| Some(Seat { file, params: &instance.params, parts: parts(instance)?, config });
    config.instances.iter().filter_map(seat).collect()
}

/// Says whether two instances of different files elect one Master between them.
fn is_peer(one: &Seat<'_>, other: &Seat<'_>) -> bool {
    let (a, b) = (one.params, other.params);
    let lists = |a: &RouterParams, b: &RouterParams| a.peers().iter().any(|peer| Some(peer.address) == b.source);
    let is_reached = match (&a.transport, &b.transport) {
        (Transport::Unicast { .. }, Transport::Unicast { .. }) => lists(a, b) && lists(b, a),
        (Transport::Multicast { group }, Transport::Multicast { group: other }) => group == other,
        (Transport::Unicast { .. }, Transport::Multicast { .. })
        | (Transport::Multicast { .. }, Transport::Unicast { .. }) => false,
    };
    one.file != other.file && (a.vrid, a.family, a.version) == (b.vrid, b.family, b.version) && is_reached
}

impl Seat<'_> {
    /// Returns the priority when nothing has failed, before it is cut to 1 to 254.
    fn best(&self) -> i32 {
        // A positive weight counts while all is well: it is added, reversed it is taken away.
        let counted = self.weights().map(|(_, weight, is_reversed)| {
            let value = i32::from(weight.max(0));
            if is_reversed { -value } else { value }
        });
        i32::from(self.params.priority.get()) + counted.sum::<i32>()
    }

    /// Returns the checks that count with a weight, and whether it is reversed.
    fn weights(&self) -> impl Iterator<Item = (&str, i16, bool)> {
        self.params.tracks.iter().filter(|track| !self.is_number(&track.check)).filter_map(|track| match track.effect {
            Effect::Weight { weight, is_reversed } => Some((track.check.as_str(), weight, is_reversed)),
            Effect::Fault { .. } => None,
        })
    }

    fn is_number(&self, check: &str) -> bool {
        let check = self.config.checks.iter().find(|other| other.name == check);
        check.is_some_and(|check| matches!(check.kind, CheckKind::File { sense: FileSense::Number, .. }))
    }

    fn problem(&self, name: &str, weight: i16, peer: &str, lead: i32) -> Problem {
        let remark = Remark::WeakWeight {
            instance: self.params.name.clone(),
            name: name.to_owned(),
            weight,
            peer: peer.to_owned(),
            lead,
        };
        Problem {
            file: self.file.to_owned(),
            line: self.parts.spot.line as usize,
            column: self.parts.spot.column as usize,
            finding: Finding::Warning(Doubt::Keepalived(remark)),
        }
    }
}
