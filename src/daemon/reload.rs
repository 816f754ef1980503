//! Reads the configuration again and goes on with it: all of it, or nothing.
//!
//! The file is read and checked beside both threads. What differs goes to the protocol thread in one message, and to the
//! network service, the checks and the hooks as wishes of their own; what is equal is not mentioned to anybody.
//! One stop before: SIGHUP or the control socket. One stop after: `engine::reload`, and what `daemon::service` owns.

mod forecast;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::apart;
use super::channel::ReloadRefusal;
use super::start::host_name;
use crate::config::{self, DaemonSettings, LocalHost, Problems, Unplaced};
use crate::control::changes::{Changes, Update};
use crate::engine::change::{Fate, Plan};
use crate::engine::input::RouterKey;
use crate::engine::params::{Endpoint, NodeParams, RouterParams};
use crate::engine::snapshot::RouterSnapshot;
use crate::net::links::Watch;

/// What is read again.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its language; `None`: by its name.
    pub format: Option<config::Format>,
    /// What the process was started with, which nothing changes.
    pub settings: DaemonSettings,
}

/// A configuration that can be used, as this host sees it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub params: Arc<NodeParams>,
    /// The name of this node.
    pub node: String,
    /// Where metrics are asked for.
    pub metrics: Option<Endpoint>,
    warnings: Vec<String>,
    needs_restart: Vec<String>,
}

/// Why everything stays as it is.
#[derive(Debug)]
pub(super) enum ReloadError {
    /// The configuration is wrong.
    Config(Problems),
    /// It does not say which node this is.
    Unplaced(Unplaced),
    /// The protocol thread cannot.
    Refused(ReloadRefusal),
    /// The daemon stops.
    Stopping,
}

impl ReloadError {
    /// Returns what is wrong with the configuration, a line each; empty: it is not to blame.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Config(_) | Self::Unplaced(_) => self.to_string().lines().map(str::to_owned).collect(),
            Self::Refused(_) | Self::Stopping => Vec::new(),
        }
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Unplaced(unplaced) => unplaced.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Stopping => f.write_str("the daemon is stopping"),
        }
    }
}

/// Reads the configuration and finds this host in it; blocks. `addresses`: those of this host.
///
/// At start the daemon waits for an address that is not there yet; here it goes on as it was.
pub(super) fn prepare(source: &Source, addresses: &[IpAddr]) -> Result<Prepared, ReloadError> {
    let loaded = apart::load(&source.path, source.format).map_err(ReloadError::Config)?;
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    let host_name = host_name();
    let host = LocalHost { addresses, host_name: &host_name };
    let params = loaded.config.for_this_host(&host).map_err(ReloadError::Unplaced)?;
    let needs_restart = needing_restart(&source.settings, &loaded.config.daemon);
    let (node, metrics) = (loaded.config.node_name(&host), loaded.config.daemon.metrics.clone());
    apart::unload(loaded);
    Ok(Prepared { params: Arc::new(params), node, metrics, warnings, needs_restart })
}

fn needing_restart(before: &DaemonSettings, after: &DaemonSettings) -> Vec<String> {
    let mut found = Vec::new();
    if before.runtime_dir != after.runtime_dir {
        found.push(format!("runtime_dir stays {} until a restart", before.runtime_dir.display()));
    }
    if before.control_group != after.control_group {
        let group = before.control_group.as_deref().unwrap_or("as it is");
        found.push(format!("control_group stays {group} until a restart"));
    }
    found
}

/// Says what another configuration changes. `states`: how things are before.
pub(super) fn changes(
    before: &NodeParams,
    routers: &BTreeMap<RouterKey, Arc<RouterParams>>,
    states: &[RouterSnapshot],
    prepared: &Prepared,
    plan: &Plan,
) -> Changes {
    let after = &prepared.params;
    let mut changes = Changes {
        state_changes: forecast::state_changes(states, plan, after),
        other: others(before, after),
        needs_restart: prepared.needs_restart.clone(),
        warnings: prepared.warnings.clone(),
        ..Changes::default()
    };
    for (fate, wanted) in plan.fates.iter().zip(&after.routers) {
        let name = wanted.name.clone();
        match fate {
            Fate::Kept(_) => changes.kept.push(name),
            Fate::Updated(key) => {
                let what = routers.get(key).map(|router| words::differences(router, wanted)).unwrap_or_default();
                changes.updated.push(Update { name, what });
            }
            Fate::Replaced(_) => changes.replaced.push(name),
            Fate::Added => changes.added.push(name),
        }
    }
    changes.removed =
        plan.removed.iter().filter_map(|key| routers.get(key)).map(|router| router.name.clone()).collect();
    changes
}

/// Says what is about no instance.
fn others(before: &NodeParams, after: &NodeParams) -> Vec<String> {
    let mut found = Vec::new();
    let names = |params: &NodeParams| -> BTreeMap<String, _> {
        params.checks.iter().map(|check| (check.name.clone(), Arc::clone(check))).collect()
    };
    let mut old = names(before);
    for (name, check) in names(after) {
        match old.remove(&name) {
            Some(known) if known == check => {}
            Some(_) => found.push(format!("check {name} changes")),
            None => found.push(format!("check {name} begins")),
        }
    }
    found.extend(old.into_keys().map(|name| format!("check {name} ends")));
    let mut old: BTreeMap<&str, _> = before.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    for group in &after.groups {
        match old.remove(group.name.as_str()) {
            Some(known) if known == group => {}
            Some(_) => found.push(format!("group {} changes", group.name)),
            None => found.push(format!("group {} begins", group.name)),
        }
    }
    found.extend(old.into_keys().map(|name| format!("group {name} ends")));
    for (what, is_other) in [
        ("static addresses, routes or rules change", before.fixed != after.fixed),
        ("pipes and programs of the daemon change", before.hooks != after.hooks),
    ] {
        found.extend(is_other.then(|| what.to_owned()));
    }
    found
}

/// Watches what either configuration names: while one is followed by the other.
pub(super) fn both(before: Watch, after: &Watch) -> Watch {
    let mut both = before;
    both.interfaces.extend(after.interfaces.iter().cloned());
    both.vips.extend(&after.vips);
    both.fixed.extend(&after.fixed);
    both.sources.extend(&after.sources);
    for (interface, home) in &after.homes {
        both.homes.entry(interface.clone()).or_default().extend(home);
    }
    both.patience = both.patience.min(after.patience);
    both
}
