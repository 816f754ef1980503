//! Hooks: programs and pipes that are told when a state changes. Written by `config`, read by `notify` and `child`.

use std::path::PathBuf;
use std::time::Duration;

/// A program without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
    /// Who runs it; `None`: [`Scripts::user`].
    pub user: Option<UserParams>,
}

/// A user and a group that a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserParams {
    /// Name or number of the user.
    pub name: String,
    /// Name or number of the group; `None`: that of the user.
    pub group: Option<String>,
}

/// How programs run unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scripts {
    /// Who runs them; `None`: see `fallback`.
    pub user: Option<UserParams>,
    /// Who runs them when nobody is named.
    pub fallback: Fallback,
    /// Refuse to run anything as root that somebody else could change (`enable_script_security`); warned about otherwise.
    pub refuses_unsafe: bool,
}

/// Who runs programs when nobody is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fallback {
    /// The daemon's own user unless that is root; then `vrrpd_script` if there is such a user, else `nobody`.
    #[default]
    Unprivileged,
    /// As Keepalived: `keepalived_script` if there is such a user, else the daemon's own user.
    Keepalived,
}

/// What one instance or group tells, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// What is called; for one event in this order.
    pub calls: Vec<Hook>,
    /// How long one call may take.
    pub timeout: Duration,
    /// The hooks of the state are called again and again after this; `None`: never.
    pub refresh: Option<Duration>,
}

impl Default for Hooks {
    /// No calls; 30 s for each.
    fn default() -> Self {
        Self { calls: Vec::new(), timeout: Duration::from_secs(30), refresh: None }
    }
}

/// A program that is called on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub event: HookEvent,
    /// What.
    pub command: Command,
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookEvent {
    /// On each of the others but `MasterHearsLower`; TYPE NAME STATE PRIORITY are appended.
    Any,
    /// On becoming MASTER.
    Master,
    /// On becoming BACKUP.
    Backup,
    /// On falling into FAULT.
    Fault,
    /// When the daemon stops, whatever the state.
    Stop,
    /// When a reload removes the instance.
    Deleted,
    /// When a MASTER hears a lower priority.
    MasterHearsLower,
}

/// Pipes and programs of the daemon as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeHooks {
    /// How programs run unless they say otherwise; holds for checks and hooks of instances too.
    pub scripts: Scripts,
    /// Called and waited for before anything else happens.
    pub startup: Option<DaemonHook>,
    /// Called and waited for after everything else.
    pub shutdown: Option<DaemonHook>,
    /// Pipes that get a line for each event.
    pub fifos: Vec<FifoParams>,
    /// Pipes get lines for changes of the effective priority too.
    pub tells_priority: bool,
    /// The pipes get a line for the state of each instance and group after a reload.
    pub tells_states_on_reload: bool,
}

/// A program at the start or the end of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonHook {
    /// What.
    pub command: Command,
    /// How long it may take.
    pub timeout: Duration,
}

/// A named pipe that gets a line for each event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoParams {
    /// Absolute; made unless it is there.
    pub path: PathBuf,
    /// Its owner; `None`: the daemon.
    pub user: Option<UserParams>,
    /// A program that reads it, started by the daemon with the path as last argument; started again when it ends.
    pub reader: Option<Command>,
}
