//! Decisions, no I/O: the VRRP state machine of one node.
//!
//! `Node::handle(now, input)`, then `poll_output()` until `None`, then `poll_timeout()` once. No errors come back.

pub mod input;
pub mod output;
pub mod params;
pub mod snapshot;
pub mod time;
