//! `vrrpd demo` and the laboratory it stands in.
pub mod clock;
pub mod echo;
pub mod error;
pub mod frame;
pub mod lab;
pub mod namespace;
pub mod netlink;
pub mod plan;
pub mod probe;
pub mod process;
pub mod scratch;
pub mod watch;
