//! `vrrpd release`: takes care of the addresses that a dead daemon left on the interfaces. For `ExecStopPost=`.
//!
//! A daemon that is started again soon goes on as Master (`engine::adopt`), so the addresses are not torn down where there is
//! time for that: the kernel gets a lifetime for them that ends before the peers take over. Where there is none they go at
//! once, and the peers are told.
//!
//! | file | does |
//! |---|---|
//! | `plan` | what is to become of a router's addresses; no I/O |
//! | `farewell` | the resignation, by an engine that speaks for the dead daemon |
//!
//! Works from the state file alone; the configuration is read only where a resignation has to be authenticated. One stop
//! before: `cli::release`.

mod farewell;
mod plan;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use farewell::Farewell;
pub use plan::Fate;
use plan::{Leftover, fate, held};

use super::event_loop::read_clocks;
use super::state;
use super::state::past::Past;
use crate::control::lock::{LockError, lock};
use crate::engine::adopt::Hold;
use crate::net::netlink::{DumpError, Dumper, NewAddress, Place, Refusal, Request, Requests};

/// What became of one router's addresses.
#[derive(Debug)]
pub struct Released {
    /// Name of the instance.
    pub name: String,
    /// What was done.
    pub fate: Fate,
    /// How many addresses.
    pub count: usize,
    /// The peers were told, or why they were not; `None`: there was no need.
    pub told: Option<Result<(), String>>,
    /// What the kernel refused.
    pub refused: Vec<(Place, Refusal)>,
}

/// Why nothing could be done.
#[derive(Debug)]
pub enum ReleaseError {
    /// A daemon that lives uses the runtime directory, or it cannot be used.
    Lock(LockError),
    /// The state file cannot be read or written.
    State(PathBuf, io::Error),
    /// Netlink cannot be used.
    Netlink(String),
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::State(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            Self::Netlink(problem) => write!(f, "cannot use netlink: {problem}"),
        }
    }
}

impl std::error::Error for ReleaseError {}

/// Releases what is left, and says what it did for each router that had something; nothing when there is nothing.
///
/// **Errors:** see [`ReleaseError`]; what the kernel refuses is in the answer.
pub fn release(runtime_dir: &Path) -> Result<Vec<Released>, ReleaseError> {
    let path = state::path(runtime_dir);
    if !path.exists() {
        return Ok(Vec::new());
    }
    // Held to the end, so that no daemon starts in between.
    let _lock = lock(runtime_dir).map_err(ReleaseError::Lock)?;
    let past = Past::read(runtime_dir).map_err(|error| ReleaseError::State(path.clone(), error))?;
    let Some(mut past) = past else { return Ok(Vec::new()) };
    let netlink = |error: &dyn fmt::Display| ReleaseError::Netlink(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| netlink(&error))?;
    let dump = runtime.block_on(async {
        Dumper::open().map_err(|error| netlink(&error))?.dump().await.map_err(|error: DumpError| netlink(&error))
    })?;
    let mut requests = Requests::open().map_err(|error| netlink(&error))?;
    let mut farewell = Farewell::new(&past.table.config);
    let mut all = Vec::new();
    for (number, (entry, slot)) in past.routers().enumerate() {
        let held = held(entry, slot, &dump);
        if held.is_empty() {
            continue;
        }
        let now = read_clocks().mono;
        let fate = fate(entry, slot, now);
        let refused = carry_out(&mut requests, fate, &held);
        let told = match (fate, slot) {
            (Fate::Withdrawn { is_missed: true }, Some(slot)) => {
                let interface = held.first().map(|_| dump.links.iter().find(|link| link.name == entry.interface));
                Some(farewell.prepare(number, entry, slot, interface.flatten().map(|link| link.index)))
            }
            (Fate::Withdrawn { .. } | Fate::Lent { .. }, _) => None,
        };
        all.push((number, Released { name: entry.name.clone(), fate, count: held.len(), told, refused }));
    }
    let spoken = runtime.block_on(farewell.say());
    for (number, released) in &mut all {
        let slot = past.slots.get_mut(*number).and_then(Option::as_mut);
        let Some(slot) = slot.filter(|_| matches!(released.fate, Fate::Withdrawn { .. })) else { continue };
        slot.hold = Hold::Nothing;
        if let Some(spoken) = spoken.iter().find(|spoken| spoken.number == *number) {
            (slot.stamp, slot.ah_sequence) = (spoken.stamp, spoken.ah_sequence);
            if let Err(problem) = &spoken.result {
                released.told = Some(Err(problem.clone()));
            }
        }
    }
    past.write(runtime_dir).map_err(|error| ReleaseError::State(path, error))?;
    Ok(all.into_iter().map(|(_, released)| released).collect())
}

/// Asks the kernel; returns what it refused.
fn carry_out(requests: &mut Requests, fate: Fate, held: &[Leftover<'_>]) -> Vec<(Place, Refusal)> {
    let request = |one: &Leftover<'_>| match fate {
        Fate::Lent { seconds } => Request::Add(NewAddress {
            place: one.place,
            label: one.entry.label.clone(),
            broadcast: one.entry.broadcast,
            scope: one.entry.scope,
            lifetime: Some(seconds),
            options: one.entry.options(),
        }),
        Fate::Withdrawn { .. } => match one.peer {
            Some(peer) => Request::DeletePeer(one.place, peer),
            None => Request::Delete(one.place),
        },
    };
    let mut refused = Vec::new();
    let mut results = Vec::new();
    for part in held.chunks(BATCH) {
        let batch: Vec<Request> = part.iter().map(request).collect();
        requests.carry_out(&batch, &mut results);
        let failed = part.iter().zip(results.drain(..)).filter_map(|(one, result)| Some((one.place, result.err()?)));
        refused.extend(failed);
    }
    refused
}

/// Requests in one system call.
const BATCH: usize = 64;
