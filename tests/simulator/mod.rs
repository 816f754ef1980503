//! A segment of nodes on virtual time: real `engine::node::Node`s, everything around them simulated.
//!
//! | file | stands for |
//! |---|---|
//! | `world` | time, and what happens next |
//! | `host` | one machine: the event loop, the socket queue, the VIP worker, the kernel's addresses |
//! | `heir` | what a killed process leaves to the next one |
//! | `segment` | the network: delay, loss, duplication, partitions |
//! | `attacker` | somebody on the wire who records, replays and forges |
//! | `clock` | the wall clock of a host |
//! | `secret` | how adverts are proven |
//! | `watch` | the contract of the engine, checked output by output |
//! | `spec` | configurations |
//! | `tally` | words for what happened |
//! | `measure` | how long nobody wanted the addresses, and how long several did |
//! | `facts` | what a refused packet must not change |
//! | `shapes` | configurations from arbitrary bytes |
//! | `property` | arbitrary inputs against one node, for the fuzz target too |
#![allow(dead_code)] // each test program uses a part of it

pub mod attacker;
pub mod clock;
pub mod facts;
pub mod heir;
pub mod host;
pub mod measure;
pub mod property;
pub mod rng;
pub mod secret;
pub mod segment;
pub mod shapes;
pub mod spec;
pub mod tally;
pub mod watch;
pub mod world;

/// One millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;
/// One microsecond in nanoseconds.
pub const US: u64 = 1_000;
/// One second in nanoseconds.
pub const S: u64 = 1_000_000_000;
