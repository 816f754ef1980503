//! `net` against a real kernel, in network namespaces of its own.
//!
//! Runs as root, or as anybody where user namespaces are allowed: each test then runs itself again under `unshare -Urn`.
//! Where neither is possible it prints a line that begins with SKIPPED.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "measures what the kernel does in real time")]

mod announcements;
mod ownership;
mod routes;
mod service;
mod sockets;
mod world;
