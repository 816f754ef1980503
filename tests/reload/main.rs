//! What a reload does to a node: each kind of change by itself, and random pairs of configurations.

#![forbid(unsafe_code)]

mod changes;
mod drain;
mod many;
mod pairs;

#[allow(dead_code)] // a part of it is for the requirements of the RFCs
#[path = "../rfc/bench.rs"]
mod bench;
#[allow(dead_code)] // as above
#[path = "../rfc/packet.rs"]
mod packet;
