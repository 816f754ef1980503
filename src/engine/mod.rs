//! Decisions, no I/O: the VRRP state machine of one node.
//!
//! [`node::Node::handle`], then `poll_output` until `None`, then `poll_timeout` once. No errors come back.
//!
//! | file | decides or holds |
//! |---|---|
//! | [`node`] | which router a packet is for, whose deadline is due |
//! | `packet`, `receive`, `authenticate`, `replay` | whether a packet is for us and allowed |
//! | `refusal`, `mute` | why it is not, and how often that is said |
//! | `clock` | by which time adverts are signed and judged |
//! | `router`, `initialize`, `backup`, `master`, `state` | when the state changes |
//! | [`health`] | what checks do to the priority and to the right to take part |
//! | [`standing`] | the same arithmetic for a node that does not run |
//! | `offer` | what a Master does whose priority falls |
//! | [`adopt`] | who goes on as Master after the process began anew |
//! | [`drain`] | who stays away on request |
//! | `sync`, `regroup` | routers that move together |
//! | [`change`], `reload` | what another configuration changes |
//! | [`election`] | who wins, how long to wait |
//! | `handover` | how long a resigned Master keeps its addresses |
//! | `send`, `outbox` | the adverts |
//! | `peers` | what is known of the other nodes |
//! | [`verdict`] | what a node that only looks would say to a packet |
//! | [`route`] | routes and rules that move with the addresses |
//! | [`params`], [`input`], [`output`], [`snapshot`], [`time`] | the values that go in and out |

pub mod adopt;
mod authenticate;
mod backup;
pub mod change;
mod clock;
mod deadlines;
pub mod drain;
pub mod election;
#[cfg(test)]
mod footprint;
mod handover;
pub mod health;
mod initialize;
pub mod input;
mod master;
mod mute;
pub mod node;
mod offer;
mod outbox;
pub mod output;
mod packet;
pub mod params;
mod peers;
mod receive;
mod refusal;
mod regroup;
mod reload;
mod replay;
pub mod route;
mod router;
mod send;
pub mod snapshot;
pub mod standing;
mod state;
mod sync;
pub mod time;
pub mod verdict;
mod wires;
