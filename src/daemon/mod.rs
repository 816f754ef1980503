//! The daemon: joins engine and adapters. No protocol decisions.
//!
//! | file | does |
//! |---|---|
//! | [`journal`] | engine events to log lines; the last transitions |
//! | [`logging`] | where log lines go, and how diagnostics of `tracing` get there |
//! | [`record`] | one log line as values, and its three written forms |
//! | [`systemd`] | readiness |

pub mod journal;
pub mod logging;
pub mod record;
pub mod systemd;
