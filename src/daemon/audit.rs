//! What keeps the programs of a configuration from running, said before they are needed.
//!
//! One stop before: `vrrpd check`, and the start of the daemon. One stop after: `child::audit`, which looks.

use std::sync::Arc;

use crate::child::{Obstacle, audit};
use crate::config::Config;
use crate::engine::params::{
    CheckKind, CheckParams, Command, DaemonHook, GroupParams, HookEvent, NodeHooks, NodeParams, RouterParams, Scripts,
};

/// Something that is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose program it is: `check apache`, `notify_master of instance web`.
    pub whose: String,
    /// The program as the configuration names it.
    pub program: String,
    /// It is a check's.
    pub is_check: bool,
    /// What is wrong with it.
    pub obstacle: Obstacle,
    /// The program runs all the same.
    pub is_bearable: bool,
}

/// Looks at every program of a configuration, in its order; each finding once.
pub fn of_config(config: &Config) -> Vec<Finding> {
    look(&config.checks, config.routers(), &config.groups, &config.hooks)
}

/// Says whether a node would run any program.
pub(super) fn runs_programs(params: &NodeParams) -> bool {
    let hooks = &params.hooks;
    let mut all =
        params.routers.iter().map(|router| &router.hooks).chain(params.groups.iter().map(|group| &group.hooks));
    params.checks.iter().any(|check| matches!(check.kind, CheckKind::Exec(_)))
        || hooks.startup.is_some()
        || hooks.shutdown.is_some()
        || hooks.fifos.iter().any(|fifo| fifo.reader.is_some())
        || all.any(|hooks| !hooks.calls.is_empty())
}

/// Writes what is wrong to the log. The daemon runs all the same: a check that cannot run has failed.
pub(super) fn warn(params: &NodeParams) {
    let routers = params.routers.iter().map(AsRef::as_ref);
    for finding in look(&params.checks, routers, &params.groups, &params.hooks) {
        tracing::warn!("{}: {}", finding.whose, finding.obstacle);
    }
}

fn look<'a>(
    checks: &[Arc<CheckParams>],
    routers: impl Iterator<Item = &'a RouterParams>,
    groups: &[Arc<GroupParams>],
    daemon: &NodeHooks,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let scripts = &daemon.scripts;
    for check in checks {
        if let CheckKind::Exec(command) = &check.kind {
            let found = note(&mut found, &format!("check {}", check.name), command, scripts);
            found.iter_mut().for_each(|finding| finding.is_check = true);
        }
    }
    let instances = routers.map(|router| (format!("instance {}", router.name), &router.hooks));
    let groups = groups.iter().map(|group| (format!("group {}", group.name), &group.hooks));
    for (owner, hooks) in instances.chain(groups) {
        for hook in &hooks.calls {
            note(&mut found, &format!("{} of {owner}", keyword(hook.event)), &hook.command, scripts);
        }
    }
    for (whose, hook) in [("startup_script", &daemon.startup), ("shutdown_script", &daemon.shutdown)] {
        if let Some(DaemonHook { command, .. }) = hook {
            note(&mut found, whose, command, scripts);
        }
    }
    for fifo in &daemon.fifos {
        if let Some(reader) = &fifo.reader {
            note(&mut found, &format!("reader of {}", fifo.path.display()), reader, scripts);
        }
    }
    found
}

/// Adds what is wrong with one program, unless the same was found before; returns what was added.
fn note<'f>(found: &'f mut Vec<Finding>, whose: &str, command: &Command, scripts: &Scripts) -> &'f mut [Finding] {
    let before = found.len();
    for obstacle in audit(command, scripts) {
        if !found.iter().any(|known| known.obstacle == obstacle) {
            let is_bearable = obstacle.is_bearable(scripts);
            let program = command.words.first().cloned().unwrap_or_default();
            found.push(Finding { whose: whose.to_owned(), program, is_check: false, obstacle, is_bearable });
        }
    }
    found.get_mut(before..).unwrap_or_default()
}

/// Returns the word that both languages have for it.
const fn keyword(event: HookEvent) -> &'static str {
    match event {
        HookEvent::Any => "notify",
        HookEvent::Master => "notify_master",
        HookEvent::Backup => "notify_backup",
        HookEvent::Fault => "notify_fault",
        HookEvent::Stop => "notify_stop",
        HookEvent::Deleted => "notify_deleted",
        HookEvent::MasterHearsLower => "notify_master_rx_lower_pri",
    }
}
