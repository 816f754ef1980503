//! What an earlier process of this node left behind.

use std::io;
use std::path::Path;

use super::bytes;
pub use super::bytes::Slot;
use super::table::{Entry, Table};
use crate::engine::adopt::Imprint;
use crate::engine::params::RouterParams;
use crate::wire::field::Priority;

/// A state file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Whose.
    pub table: Table,
    /// One for each router of the table; `None`: the process ended while it wrote it, or somebody changed it.
    pub slots: Vec<Option<Slot>>,
}

impl Past {
    /// Reads the state file of a runtime directory; `None` when there is none that was written whole during this run of the
    /// kernel.
    ///
    /// **Errors:** the file is there and cannot be read.
    pub fn read(runtime_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(super::path(runtime_dir)) {
            Ok(bytes) => Ok(Self::parse(&bytes).filter(|past| past.table.is_of_this_boot())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (table, slots) = bytes::parse(bytes)?;
        let table = Table::parse(table)?;
        (table.routers.len() == slots.len()).then_some(Self { table, slots })
    }

    /// Returns each router with its slot.
    pub fn routers(&self) -> impl Iterator<Item = (&Entry, Option<&Slot>)> {
        self.table.routers.iter().zip(self.slots.iter().map(Option::as_ref))
    }

    /// Returns what is left of a router; `None`: it was not there, or its slot is unknown.
    pub fn imprint(&self, params: &RouterParams) -> Option<Imprint> {
        let (entry, slot) = self.routers().find(|(entry, _)| entry.is(params))?;
        imprint(entry, slot?)
    }

    /// Writes it back after slots were changed, in one rename.
    ///
    /// **Errors:** the runtime directory cannot be written to; the file is as before.
    pub fn write(&self, runtime_dir: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(&self.table).map_err(io::Error::other)?;
        let mut bytes = bytes::emit_head(&json, self.slots.len());
        for (slot, number) in self.slots.iter().zip(0..) {
            bytes.extend_from_slice(&slot.unwrap_or(Slot::EMPTY).emit(number));
        }
        super::replace(runtime_dir, &bytes).map(drop)
    }

    pub(super) fn slot(&self, params: &RouterParams) -> Option<Slot> {
        self.routers().find(|(entry, _)| entry.is(params)).and_then(|(_, slot)| slot.copied())
    }
}

/// Joins what table and slot say.
pub fn imprint(entry: &Entry, slot: &Slot) -> Option<Imprint> {
    Some(Imprint {
        hold: slot.hold,
        since: slot.since,
        advert_at: slot.advert_at,
        interval: entry.interval(),
        configured: Priority::new(entry.priority)?,
        effective: slot.priority?,
        source: slot.source,
        stamp: slot.stamp,
        ah_sequence: slot.ah_sequence,
    })
}
