//! The control socket: what a running daemon tells and how a person reads it. No decisions about addresses.
//!
//! | file | does |
//! |---|---|
//! | [`message`] | requests and replies as values |
//! | [`changes`] | what a reload changes, as values and as text |
//! | [`drain`] | drain and resume: request, answer, text |
//! | [`status`] | the status reply from engine snapshots |
//! | [`history`] | what happened, as values and as text |
//! | [`upgrade`] | a live upgrade: the answer, the status, the wait |
//! | [`summands`] | the effective priority as a sum in words |
//! | [`group`] | whose group the sockets belong to |
//! | [`lock`] | one daemon per runtime directory |
//! | [`server`] | the daemon's side of the socket |
//! | [`client`] | the command line's side |
//! | [`metrics`] | the status as Prometheus reads it |
//! | [`http`] | the daemon's side of the endpoint for metrics and health |
//! | [`render`] | the text of `vrrpd status` |
//! | [`watch`] | that text again and again, in place |
//! | [`rfc3339`] | points in time as text |
//!
//! One stop before: `engine::snapshot`. One stop after: `cli`.

use std::path::{Path, PathBuf};

pub mod changes;
pub mod client;
pub mod drain;
pub mod group;
pub mod history;
pub mod http;
pub mod lock;
pub mod message;
pub mod metrics;
pub mod render;
pub mod rfc3339;
#[cfg(test)]
pub(crate) mod samples;
pub mod server;
pub mod status;
pub mod summands;
pub mod upgrade;
pub mod watch;

/// Returns where the control socket of a runtime directory is.
pub fn socket_path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("vrrpd.sock")
}
