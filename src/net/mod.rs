//! The network as the kernel shows it: adverts in and out, VIPs, interfaces, announcements.
//!
//! | file | thread | does |
//! |---|---|---|
//! | [`socket`] | protocol | raw sockets: adverts in and out, group memberships |
//! | [`netlink`] | service | all that knows netlink: requests, notifications, dumps |
//! | [`links`] | service | the view of interfaces and addresses; no I/O |
//! | [`vips`] | service | wanted against held: what to add and delete; no I/O |
//! | [`routes`] | service | wanted routes and rules; no I/O |
//! | `fixed` | service | static entries as if of a router that is always Master |
//! | [`conflict`] | service | whether another host has our addresses; no I/O |
//! | [`asking`] | service | whether hosts on the link are there; no I/O |
//! | [`prober`] | service | hears who answers for an address |
//! | [`trouble`] | service | what keeps routers from holding addresses; no I/O |
//! | [`notice`] | service | what is worth a line in the journal |
//! | [`announce`] | service | gratuitous ARP and neighbour advertisements, paced |
//! | [`service`] | service | joins all but the first into one task |
//!
//! The protocol thread never waits for anything here: it puts [`service::Wish`] values into a channel and takes
//! [`service::Report`] values out of another.

pub mod announce;
pub mod asking;
pub mod conflict;
mod fixed;
mod introduce;
pub mod links;
pub mod netlink;
pub mod notice;
pub mod prober;
pub mod routes;
pub mod service;
pub mod socket;
pub mod trouble;
pub mod vips;
