//! What a keepalived.conf says, as typed values: the parts that a [`Config`](crate::config::Config) has no room for.
//!
//! Checks, hooks, groups and routes are kept whole, so that the machinery that runs them finds them here. One stop
//! before: the readers of the blocks; one stop after: `convert`, and whoever runs checks and hooks.

use std::time::Duration;

use super::expand::Comment;
use super::report::Spot;
use super::route::{Route, Rule};
use super::value::Weight;
use crate::engine::params::Vip;

/// Everything beside the instances' parameters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Document {
    /// `vrrp_script` blocks, names unique.
    pub scripts: Vec<Script>,
    /// `track_file` blocks.
    pub files: Vec<TrackFile>,
    /// `vrrp_track_process` blocks.
    pub processes: Vec<TrackProcess>,
    /// `bfd_instance` blocks.
    pub bfds: Vec<BfdSession>,
    /// `vrrp_sync_group` blocks.
    pub groups: Vec<SyncGroup>,
    /// What belongs to single instances, in their order.
    pub instances: Vec<InstanceParts>,
    /// `static_ipaddress`.
    pub static_addresses: Vec<Vip>,
    /// `static_routes`.
    pub static_routes: Vec<Route>,
    /// `static_rules`.
    pub static_rules: Vec<Rule>,
    /// Who runs scripts that name no user.
    pub script_user: Option<User>,
    /// `enable_script_security`.
    pub has_script_security: bool,
    /// Pipes that get a line for each event.
    pub fifos: Vec<Fifo>,
    /// Hooks of the daemon as a whole: its start and its end.
    pub hooks: Vec<Hook>,
    /// Comments of the file that was named.
    pub comments: Vec<Comment>,
}

/// What belongs to one instance beside its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct InstanceParts {
    /// Its name in the parameters.
    pub name: String,
    /// Where its block begins.
    pub spot: Spot,
    /// What is watched on its behalf.
    pub tracks: Vec<Track>,
    /// What is called when its state changes.
    pub hooks: Vec<Hook>,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// Its keywords with their lines, for `convert` to put comments where they were.
    pub(super) keywords: Vec<(String, u32)>,
    /// Line of its `}`.
    pub(super) last_line: u32,
    /// The password as it is written, for `convert`.
    pub(super) password: Option<Password>,
}

/// A password as it is written; never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A user and a group that a script runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub name: String,
    /// The group; `None`: that of the user.
    pub group: Option<String>,
}

/// A command: words without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
    /// Who runs it; `None`: see [`Document::script_user`].
    pub user: Option<User>,
}

/// A `vrrp_script` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is run; exit code 0 is good.
    pub command: Command,
    /// From start to start.
    pub interval: Duration,
    /// How long it may run; `None`: the interval.
    pub timeout: Option<Duration>,
    /// Where no track block says otherwise.
    pub weight: Weight,
    /// Successes in a row until it passes.
    pub rise: u32,
    /// Failures in a row until it fails.
    pub fall: u32,
    /// It counts as failed until it has passed.
    pub fails_first: bool,
}

/// A `track_file` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: String,
    /// The file whose number is watched.
    pub path: String,
    /// By what the number is multiplied.
    pub weight: Weight,
}

/// A `vrrp_track_process` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub words: Vec<String>,
    /// Where no track block says otherwise.
    pub weight: Weight,
    /// At least so many.
    pub quorum: u32,
    /// At most so many.
    pub quorum_max: Option<u32>,
}

/// A `bfd_instance` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// Its name.
    pub name: String,
    /// The other end.
    pub neighbor: std::net::IpAddr,
    /// Where no track block says otherwise.
    pub weight: Weight,
}

/// What kind of thing a track block names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrackKind {
    /// An interface.
    Interface,
    /// A `vrrp_script`.
    Script,
    /// A `track_file`.
    File,
    /// A `vrrp_track_process`.
    Process,
    /// A `bfd_instance`.
    Bfd,
}

/// One entry of a track block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What it is.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// `None`: that of its definition.
    pub weight: Option<Weight>,
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookEvent {
    /// On each of the others; TYPE NAME STATE PRIORITY are appended.
    Any,
    /// On becoming MASTER.
    Master,
    /// On becoming BACKUP.
    Backup,
    /// On falling into FAULT.
    Fault,
    /// When the daemon ends.
    Stop,
    /// When a reload removes the instance.
    Deleted,
    /// When a MASTER hears a lower priority.
    MasterHearsLower,
    /// Before anything else.
    DaemonStart,
    /// After everything else.
    DaemonEnd,
}

/// A command that is called on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub event: HookEvent,
    /// What.
    pub command: Command,
}

/// A pipe that gets a line for each event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Its path.
    pub path: String,
    /// Its owner.
    pub user: Option<User>,
}

/// A `vrrp_sync_group` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// Instances that move together.
    pub members: Vec<String>,
    /// What is watched on behalf of all members.
    pub tracks: Vec<Track>,
    /// What is called when its state changes.
    pub hooks: Vec<Hook>,
    /// Weights of its members' own trackers count.
    pub keeps_weights: bool,
}
