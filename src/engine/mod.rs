//! Decisions, no I/O: the VRRP state machine of one node.
//!
//! [`node::Node::handle`], then `poll_output` until `None`, then `poll_timeout` once. No errors come back.
//!
//! | file | decides or holds |
//! |---|---|
//! | [`node`] | which router a packet is for, whose deadline is due |
//! | `receive`, `mute`, `replay` | whether a packet is for us and allowed |
//! | `router`, `backup`, `master`, `state` | when the state changes |
//! | [`election`] | who wins, how long to wait |
//! | `handover` | how long a resigned Master keeps its addresses |
//! | `send`, `outbox` | the adverts |
//! | `peers` | what is known of the other nodes |
//! | [`route`] | routes and rules that move with the addresses |
//! | [`params`], [`input`], [`output`], [`snapshot`], [`time`] | the values that go in and out |

mod backup;
mod deadlines;
pub mod election;
mod handover;
pub mod input;
mod master;
mod mute;
pub mod node;
mod outbox;
pub mod output;
pub mod params;
mod peers;
mod receive;
mod replay;
pub mod route;
mod router;
mod send;
pub mod snapshot;
mod state;
pub mod time;
