//! What an earlier process of this node left behind.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::bytes;
pub use super::bytes::Slot;
use super::table::{Entry, Table};
use crate::engine::adopt::{Hold, Imprint};
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

    /// Makes what finds routers of a configuration in it.
    pub fn index(&self) -> Index<'_> {
        let mut index = BTreeMap::<_, Vec<_>>::new();
        for (entry, slot) in self.routers() {
            index.entry(entry.name.as_str()).or_default().push((entry, slot));
        }
        Index(index)
    }

    /// Returns the addresses that it held last, as far as they are not the host's own: interface, address, prefix length.
    pub fn left(&self) -> impl Iterator<Item = (String, IpAddr, u8)> + '_ {
        let has_held = |slot: Option<&Slot>| slot.is_none_or(|slot| slot.hold != Hold::Nothing);
        let holding = self.routers().filter(move |(entry, slot)| !entry.is_owner() && has_held(*slot));
        holding.flat_map(|(entry, _)| &entry.addresses).map(|held| {
            let interface = held.interface.clone();
            (interface, held.address, held.prefix_len)
        })
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
}

/// The routers of a state file by name.
#[derive(Debug)]
pub struct Index<'a>(BTreeMap<&'a str, Vec<(&'a Entry, Option<&'a Slot>)>>);

impl<'a> Index<'a> {
    /// Returns what is left of a router; `None`: it was not there, or its slot is unknown.
    pub fn imprint(&self, params: &RouterParams) -> Option<Imprint> {
        let (entry, slot) = self.find(params)?;
        imprint(entry, slot?)
    }

    pub(super) fn slot(&self, params: &RouterParams) -> Option<Slot> {
        self.find(params).and_then(|(_, slot)| slot.copied())
    }

    fn find(&self, params: &RouterParams) -> Option<(&'a Entry, Option<&'a Slot>)> {
        self.0.get(params.name.as_str())?.iter().find(|(entry, _)| entry.is(params)).copied()
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
