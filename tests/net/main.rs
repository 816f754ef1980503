//! `net` against a real kernel, in network namespaces of its own.
//!
//! Runs as root, or as anybody where user namespaces are allowed: each test then runs itself again under `unshare -Urn`.
//! Where neither is possible it prints a line that begins with SKIPPED.
#![forbid(unsafe_code)]

mod service;
mod sockets;
mod world;
