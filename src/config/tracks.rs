//! `checks` of an instance or a group: which check counts there, and how much.
//!
//! One stop before: `checks`; one stop after: `groups`, which adds the checks of a group to those of its members, and
//! `weights`.

use std::net::IpAddr;

use super::checks::Check;
use super::error::{CheckError, Doubt, HealthDoubt, excerpt};
use super::hooks::unfit_number;
use super::problem::Report;
use super::resolve::Draft;
use super::schema::{self, Items};
use super::source::Written;
use super::suggest;
use super::table::Key;
use crate::engine::params::{CheckKind, Effect, Endpoint, Track};

/// Reads a list; what is wrong in it was reported and is left out.
pub(super) fn resolve(
    written: &Key<Items<schema::Track<'_>>>,
    checks: &[Check<'_>],
    report: &mut Report<'_>,
) -> Vec<Written<Track>> {
    let mut tracks: Vec<Written<Track>> = Vec::new();
    let Some(list) = written.here() else { return tracks };
    for entry in &list.value.items {
        let name = &entry.name;
        if !checks.iter().any(|check| check.name.value == name.value) {
            let known: Vec<String> = checks.iter().take(LISTED_MAX).map(|check| check.name.value.to_owned()).collect();
            let meant = suggest::closest(name.value, checks.iter().map(|check| check.name.value)).map(str::to_owned);
            report.error(name.place, CheckError::Undefined { name: name.value.to_owned(), known, meant });
            continue;
        }
        if let Some(first) = tracks.iter().find(|track| track.value.check == name.value) {
            let first_line = report.line(first.place);
            report.error(name.place, CheckError::Twice { name: excerpt(name.value), first_line });
            continue;
        }
        let effect = effect(entry, report);
        let is_urgent = entry.urgent.clone().or(false);
        if let (Some(effect), Some(is_urgent)) = (effect, is_urgent) {
            let track = Track { check: name.value.to_owned(), effect, is_urgent };
            check_urgent(&track, entry, checks, report);
            tracks.push(Written { value: track, place: name.place });
        }
    }
    tracks
}

fn effect(entry: &schema::Track<'_>, report: &mut Report<'_>) -> Option<Effect> {
    let is_reversed = entry.reverse.clone().or(false);
    let weight = entry.weight.and_then(|number| match i16::try_from(number.value) {
        Ok(0) => {
            report.error(number.place, CheckError::WeightZero);
            None
        }
        Ok(weight @ -254..=254) => Some(weight),
        Ok(_) | Err(_) => unfit_number("weight", number, "a number from -254 to 254", report),
    });
    let (weight, is_reversed) = (weight.optional()?, is_reversed?);
    Some(match weight {
        None => Effect::Fault { is_reversed },
        Some(weight) => Effect::Weight { weight, is_reversed },
    })
}

/// A number can mean FAULT in spite of its weight.
fn check_urgent(track: &Track, entry: &schema::Track<'_>, checks: &[Check<'_>], report: &mut Report<'_>) {
    let is_number = checks.iter().any(|check| check.name.value == track.check && check.has_number());
    if let (Effect::Weight { .. }, true, Some(urgent), false) =
        (track.effect, track.is_urgent, entry.urgent.here(), is_number)
    {
        report.warn(urgent.place, Doubt::Health(HealthDoubt::UrgentWeight));
    }
}

/// Warns of checks that nobody names, and of those that ask an address that moves with who names them.
///
/// `of_groups`: what groups name, whether or not they have members.
pub(super) fn check_use(checks: &[Check<'_>], drafts: &[Draft], of_groups: &[Written<Track>], report: &mut Report<'_>) {
    for check in checks {
        let names = |track: &&Written<Track>| track.value.check == check.name.value;
        let is_used = |draft: &&Draft| draft.tracks.iter().any(|track| names(&track));
        if !drafts.iter().any(|draft| is_used(&draft)) && !of_groups.iter().any(|track| names(&track)) {
            let name = check.name.value.to_owned();
            report.warn(check.name.place, Doubt::Health(HealthDoubt::Unused { name }));
        }
        let Some((address, place)) = check.asked() else { continue };
        let is_moved = |draft: &&Draft| draft.vips.list.iter().any(|vip| vip.value.address == address);
        if let Some(draft) = drafts.iter().filter(is_used).find(is_moved) {
            let (check, instance) = (check.name.value.to_owned(), draft.name.clone().unwrap_or_default());
            report.warn(place, Doubt::Health(HealthDoubt::AsksVip { check, address, instance }));
        }
    }
}

impl Check<'_> {
    /// Says whether it gives a number instead of a verdict.
    pub fn has_number(&self) -> bool {
        match self.params.as_ref().map(|params| &params.kind) {
            Some(CheckKind::File { sense, .. }) => *sense == crate::engine::params::FileSense::Number,
            Some(
                CheckKind::Exec(_)
                | CheckKind::Http(_)
                | CheckKind::Tcp(_)
                | CheckKind::Process(_)
                | CheckKind::Unit(_)
                | CheckKind::Interface(_)
                | CheckKind::Ping(_),
            )
            | None => false,
        }
    }

    /// Returns the address it asks, and where the check stands.
    fn asked(&self) -> Option<(IpAddr, super::source::Place)> {
        let address = match &self.params.as_ref()?.kind {
            CheckKind::Http(http) => address_of(&http.endpoint)?,
            CheckKind::Tcp(endpoint) => address_of(endpoint)?,
            CheckKind::Ping(address) => *address,
            CheckKind::Exec(_)
            | CheckKind::Process(_)
            | CheckKind::Unit(_)
            | CheckKind::File { .. }
            | CheckKind::Interface(_) => return None,
        };
        Some((address, self.name.place))
    }
}

fn address_of(endpoint: &Endpoint) -> Option<IpAddr> {
    match endpoint {
        Endpoint::Inet(address) => Some(address.ip()),
        Endpoint::Unix(_) => None,
    }
}

/// How many names a message lists.
pub(super) const LISTED_MAX: usize = 10;
