//! How the hooks of one subject are doing: plain values for `vrrpd status`.

use std::sync::Arc;

use super::subject::{Cause, ToldState};
use crate::child::Ended;
use crate::engine::params::HookEvent;
use crate::engine::time::Now;

/// How the hooks of one subject are doing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HookStatus {
    /// What was last told; `None`: nothing yet.
    pub state: Option<ToldState>,
    /// When that happened.
    pub told_at: Option<Now>,
    /// The number of the last occasion; 0 before the first.
    pub sequence: u64,
    /// The call that runs; else the last one that failed of the present state; else the last one.
    pub last: Option<CallStatus>,
    /// Failed attempts in a row in the present state; each is tried again while the state lasts.
    pub failures: u32,
    /// Occasions whose programs were not all called because something newer happened.
    pub superseded: u64,
}

/// One call of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallStatus {
    /// When the hook is called.
    pub event: HookEvent,
    /// The program.
    pub program: Arc<str>,
    /// The state it is told.
    pub state: ToldState,
    /// Why it is called.
    pub cause: Cause,
    /// The number of the occasion.
    pub sequence: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it was started.
    pub began_at: Now,
    /// How and when it ended; `None`: it runs.
    pub ended: Option<(Now, Ended)>,
}
