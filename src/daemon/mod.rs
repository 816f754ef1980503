//! The daemon: joins engine and adapters. No protocol decisions.
//!
//! | file | does |
//! |---|---|
//! | `start` | checks and opens everything, then starts the threads |
//! | `event_loop`, `effects` | the protocol thread |
//! | `service` | the service thread |
//! | `channel` | what the threads say to each other |
//! | [`journal`] | engine events to log lines; the last transitions |
//! | [`logging`] | where log lines go, and how diagnostics of `tracing` get there |
//! | [`record`] | one log line as values, and its three written forms |
//! | [`systemd`] | readiness |

mod channel;
mod effects;
mod event_loop;
pub mod journal;
pub mod logging;
mod notices;
pub mod record;
mod service;
mod start;
pub mod systemd;

pub use start::{Options, run};
