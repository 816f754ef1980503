//! The daemon: joins engine and adapters. No protocol decisions.
//!
//! | file | does |
//! |---|---|
//! | `start` | checks and opens everything, then starts the threads |
//! | `event_loop`, `effects` | the protocol thread |
//! | `secrecy` | hides the memory of the process where it holds secrets |
//! | `service` | the service thread |
//! | `checks` | runs the checks |
//! | `reload` | reads the configuration again, and says what it changes |
//! | `apart` | work that needs much memory for a moment, such as reading the configuration |
//! | `drains` | who was drained, and keeps it beyond a reboot |
//! | `telling`, `hooks` | when hooks are told of a state, and what |
//! | `audit` | what keeps programs from running, before they do |
//! | `beside` | other programs of this host that speak VRRP |
//! | `metrics` | how things are for those who ask over HTTP |
//! | `heartbeat` | whether the protocol thread turns in time |
//! | [`history`] | the last thousand things that happened, over restarts |
//! | `channel` | what the threads say to each other |
//! | [`journal`] | engine events to log lines; the last transitions |
//! | [`logging`] | where log lines go, and how diagnostics of `tracing` get there |
//! | [`record`] | one log line as values, and its three written forms |
//! | [`release`] | takes care of what a dead daemon left |
//! | [`report`] | all that people who help from afar need, without secrets |
//! | [`state`] | what this process leaves to the next one |
//! | [`state_dir`] | what outlives a reboot |
//! | `sniff` | shows adverts as they pass, and what this node would say to each |
//! | [`systemd`] | readiness, watchdog |
//! | `upgrade`, `preflight`, `guard` | becomes another program; its rehearsal; the way back |

mod apart;
pub mod audit;
pub(crate) mod beside;
mod channel;
mod checks;
mod drains;
mod effects;
mod event_loop;
mod guard;
mod heartbeat;
pub mod history;
mod hooks;
pub mod journal;
pub mod logging;
mod metrics;
mod notices;
mod preflight;
pub mod record;
pub mod release;
mod reload;
pub mod report;
mod secrecy;
mod service;
mod sniff;
mod start;
pub mod state;
pub mod state_dir;
pub mod systemd;
mod telling;
mod upgrade;

pub use preflight::preflight;
pub(crate) use secrecy::hide_for_good as hide_memory;
pub(crate) use sniff::{Line as SniffedAdvert, decode as decode_advert};
pub use sniff::{SniffOptions, sniff};
pub use start::{Options, run};
