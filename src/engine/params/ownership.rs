//! How a router holds its addresses against the death of its daemon and against other hosts.

use std::time::Duration;

/// How a router holds its addresses; the default is for good, and a foreign owner is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The kernel takes the addresses away this long after the daemon was last well; whole seconds, at least 2. `None`:
    /// never.
    pub lease: Option<Duration>,
    /// What to do when a host that is no peer has an address too.
    pub on_conflict: OnConflict,
}

/// What to do when a host that is no peer has an address too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Say so and hold the address.
    #[default]
    Warn,
    /// Say so and leave the address to others until that host is gone.
    Yield,
}
