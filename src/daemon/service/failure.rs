//! Why the service thread ended before its time.

use std::fmt;
use std::io;

use crate::net::service::ServiceError;

/// Why the service thread ended before its time.
#[derive(Debug)]
pub(in crate::daemon) enum ServiceFailure {
    /// Netlink or the packet socket cannot be opened.
    Net(ServiceError),
    /// The network service ended by itself.
    NetEnded,
    /// The checks ended by themselves.
    ChecksEnded,
    /// The control socket cannot be used.
    Control(io::Error),
    /// Neither another program nor this one once more could be executed.
    Upgrade(io::Error),
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::NetEnded => f.write_str("the network service ended by itself"),
            Self::ChecksEnded => f.write_str("the checks ended by themselves"),
            Self::Upgrade(error) => write!(f, "cannot execute any program: {error}"),
            Self::Control(error) => write!(f, "cannot use the control socket: {error}"),
        }
    }
}
