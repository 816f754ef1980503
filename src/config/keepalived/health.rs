//! Puts definitions, instances and groups together: who watches what, with which effect.
//!
//! The arithmetic is the engine's. One stop before: `track`, `group` and `finish`; one stop after: the checks and tracks
//! of a `Config`.

use std::sync::Arc;

use super::group::SyncGroup;
use super::instance::Draft;
use super::remark::Remark;
use super::report::Report;
use super::track::{Defined, Target, TrackKind, Tracked, watched};
use super::value::Weight;
use crate::engine::params::{CheckKind, CheckParams, Effect, RouterParams, Track};

/// Names checks and remembers which are used.
pub(super) struct Checks<'d> {
    defined: &'d [Defined],
    /// Of each definition.
    is_used: Vec<bool>,
    /// Interfaces that are watched, in the order they are met, with the names of their checks.
    interfaces: Vec<(String, String)>,
}

impl<'d> Checks<'d> {
    /// Begins with no check used.
    pub fn new(defined: &'d [Defined]) -> Self {
        Self { defined, is_used: vec![false; defined.len()], interfaces: Vec::new() }
    }

    /// Returns what an instance tracks: its own, that of its group, and the interfaces of its addresses.
    pub fn tracks(
        &mut self,
        draft: &Draft,
        params: &RouterParams,
        group: Option<&SyncGroup>,
        report: &mut Report,
    ) -> Vec<Track> {
        let mut tracks = Vec::new();
        let counts = group.is_none_or(|group| group.keeps_weights);
        for track in &draft.tracks {
            let mut track = track.clone();
            if is_own(&track.target, params) {
                let text = "the instance's own interface is watched anyway, and its loss is FAULT whatever the weight, as \
                            in Keepalived";
                report.remark(track.spot, Remark::Note { text });
                continue;
            }
            if let Some(weight) = self.weight(&track, counts, params, report) {
                track.weight = weight;
                tracks.push(track);
            }
        }
        for track in group.iter().flat_map(|group| &group.tracks) {
            add_of_group(&mut tracks, track, params, report);
        }
        for interface in carriers(params) {
            add_carrier(&mut tracks, interface, draft, report);
        }
        tracks.into_iter().map(|track| self.track(&track)).collect()
    }

    /// Returns the checks that some instance tracks, definitions first, in the order of the file.
    pub fn finish(self) -> Vec<Arc<CheckParams>> {
        let used = self.defined.iter().zip(&self.is_used).filter(|(_, is_used)| **is_used);
        let defined = used.filter_map(|(defined, _)| defined.check.clone());
        let interfaces = self.interfaces.into_iter().map(|(name, check)| watched(check, CheckKind::Interface(name)));
        defined.chain(interfaces).map(Arc::new).collect()
    }

    /// Returns what a weight of the instance's own is worth; `None`: it is not tracked. `counts`: it is in no group, or in
    /// one that leaves weights to its members.
    fn weight(&self, track: &Tracked, counts: bool, params: &RouterParams, report: &mut Report) -> Option<Weight> {
        let weight = track.weight;
        let mut say = |text: &'static str| report.remark(track.spot, Remark::Contradiction { text });
        if weight.value == 0 {
            return Some(weight);
        }
        if params.is_owner() {
            say("priority 255 is never moved by weights, so this one is not tracked, as in Keepalived; write a lower \
                 priority");
            return None;
        }
        let zero = Weight { value: 0, ..weight };
        match &track.target {
            _ if counts => Some(weight),
            Target::Interface(_) => {
                say(
                    "weights of members of a sync group do not count, as in Keepalived: its failure is FAULT; write it \
                     into the group, or sync_group_tracking_weight",
                );
                Some(zero)
            }
            Target::Defined(at) => match self.defined.get(*at).map(|defined| defined.kind) {
                // Keepalived leaves these alone.
                Some(TrackKind::Process) => Some(weight),
                Some(TrackKind::File) if weight.value == 1 => {
                    say(
                        "weights of members of a sync group do not count, as in Keepalived: any number but 0 is FAULT; \
                         write it into the group, or sync_group_tracking_weight",
                    );
                    Some(zero)
                }
                Some(TrackKind::File | TrackKind::Script | TrackKind::Bfd | TrackKind::Interface) | None => {
                    say(
                        "weights of members of a sync group do not count, so this one is not tracked, as in Keepalived; \
                         write it into the group, or sync_group_tracking_weight",
                    );
                    None
                }
            },
        }
    }

    fn track(&mut self, track: &Tracked) -> Track {
        let check = match &track.target {
            Target::Defined(at) => {
                if let Some(is_used) = self.is_used.get_mut(*at) {
                    *is_used = true;
                }
                let check = self.defined.get(*at).and_then(|defined| defined.check.as_ref());
                check.map(|check| check.name.clone()).unwrap_or_default()
            }
            Target::Interface(name) => self.interface(name),
        };
        let Weight { value: weight, is_reversed } = track.weight;
        let effect = if weight == 0 { Effect::Fault { is_reversed } } else { Effect::Weight { weight, is_reversed } };
        Track { check, effect, is_urgent: false }
    }

    /// Returns the name of the check of an interface.
    fn interface(&mut self, interface: &str) -> String {
        if let Some((_, check)) = self.interfaces.iter().find(|(name, _)| name == interface) {
            return check.clone();
        }
        let is_taken = |name: &str| {
            let defined = self.defined.iter().filter_map(|defined| defined.check.as_ref()).map(|check| &check.name);
            defined.chain(self.interfaces.iter().map(|(_, check)| check)).any(|check| check == name)
        };
        let check = super::value::unique_name(interface, is_taken);
        self.interfaces.push((interface.to_owned(), check.clone()));
        check
    }
}

fn is_own(target: &Target, params: &RouterParams) -> bool {
    *target == Target::Interface(params.interface.clone())
}

/// Adds what the group watches; its weight replaces one of the member's own, but not a FAULT.
fn add_of_group(tracks: &mut Vec<Tracked>, track: &Tracked, params: &RouterParams, report: &mut Report) {
    if is_own(&track.target, params) || (track.weight.value != 0 && params.is_owner()) {
        return;
    }
    let Some(own) = tracks.iter_mut().find(|own| own.target == track.target) else {
        tracks.push(track.clone());
        return;
    };
    let text = "the group of this instance tracks the same; the weight of the group holds unless this one is 0, as in \
                Keepalived; take one of them out";
    report.remark(own.spot, Remark::Contradiction { text });
    if own.weight.value != 0 {
        own.weight = track.weight;
    }
}

/// Returns the other interfaces that carry addresses of the instance.
fn carriers(params: &RouterParams) -> impl Iterator<Item = &str> {
    let watched = params.vips.iter().filter(|vip| !vip.options.is_untracked);
    watched.filter_map(|vip| vip.interface.as_deref()).filter(|interface| *interface != params.interface)
}

/// Adds an interface that carries an address: when it is down, the address is nowhere.
fn add_carrier(tracks: &mut Vec<Tracked>, interface: &str, draft: &Draft, report: &mut Report) {
    let target = Target::Interface(interface.to_owned());
    let Some(own) = tracks.iter_mut().find(|own| own.target == target) else {
        tracks.push(Tracked { target, weight: Weight::default(), spot: draft.spot });
        return;
    };
    if own.weight.value != 0 {
        let text = "an address of the instance is on this interface, so its loss is FAULT whatever the weight, as in \
                    Keepalived; take the weight out, or write no_track behind the address";
        report.remark(own.spot, Remark::Contradiction { text });
        own.weight = Weight::default();
    }
}
