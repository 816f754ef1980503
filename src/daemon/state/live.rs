//! Writes what this process does, so that it can end at any instant.
//!
//! A change of state is written in the turn that made it: becoming Master before the advert leaves, ceasing to be it
//! afterwards. Plain adverts are written together, at most twenty times a second whatever the number of routers. Where
//! that is later than the advert, the time in the file is the earlier one, which is the safe side: the peers have not
//! waited for longer than it says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bytes::{SLOT, Slot, emit_head};
use super::past::Past;
use super::table::Table;
use crate::engine::adopt::{Hold, Imprint};
use crate::engine::input::RouterKey;
use crate::engine::node::Node;
use crate::engine::params::RouterParams;
use crate::engine::time::Instant;

/// The state file of this process. Of the protocol thread, which never waits here: the file is in memory.
#[derive(Debug)]
pub struct State {
    runtime_dir: PathBuf,
    /// `None` after a write failed: what would be stale was removed.
    file: Option<File>,
    /// Where the slots begin.
    begin: u64,
    /// By key, which is a small number.
    slot_of: Vec<Option<u32>>,
    slots: Vec<Slotted>,
    /// The slots as they are in the file, and as they are to be.
    image: Vec<u8>,
    /// Slots with an advert that is not written.
    stale: Vec<u32>,
    written_at: Instant,
    failure: Option<io::Error>,
}

/// What is known of one slot besides its image.
#[derive(Clone, Copy, Debug)]
struct Slotted {
    key: RouterKey,
    advert_at: Instant,
    is_stale: bool,
}

impl State {
    /// Makes the state file of a node that begins: what an earlier process left of the same routers stays in it until they
    /// do something.
    ///
    /// `params`: of a router by its key. Where the runtime directory cannot be written to there is no file, also none of
    /// before, which is told by [`State::take_failure`]: the addresses are worth more than what would become of them.
    pub fn create<'a>(
        runtime_dir: &Path,
        table: Table,
        past: Option<&Past>,
        params: impl Fn(RouterKey) -> Option<&'a RouterParams>,
    ) -> Self {
        let mut state = Self {
            runtime_dir: runtime_dir.to_owned(),
            file: None,
            begin: 0,
            slot_of: Vec::new(),
            slots: Vec::new(),
            image: Vec::new(),
            stale: Vec::new(),
            written_at: Instant::default(),
            failure: None,
        };
        let past = past.map(Past::index);
        if let Err(error) = state.replace(&table, |key| past.as_ref().and_then(|past| past.slot(params(key)?))) {
            let _ = fs::remove_file(super::path(runtime_dir));
            state.failure = Some(error);
        }
        state
    }

    /// Writes another table, for the routers of a node after a reload. Routers that stay keep what is known of them; others
    /// begin with an empty slot.
    ///
    /// **Errors:** the file of before is still there and valid, and goes on to be written.
    pub fn rewrite(&mut self, table: &Table) -> io::Result<()> {
        let known: BTreeMap<RouterKey, Slot> = self
            .slots
            .iter()
            .zip(0..)
            .filter_map(|(slotted, number)| {
                let (chunks, _) = self.image.as_chunks::<SLOT>();
                let slot = chunks.get(number as usize).and_then(|bytes| Slot::parse(number, bytes))?;
                Some((slotted.key, Slot { advert_at: slotted.advert_at, ..slot }))
            })
            .collect();
        self.replace(table, |key| known.get(&key).copied())
    }

    /// Takes note that adverts of a router left at `now`.
    pub fn sent(&mut self, now: Instant, router: RouterKey) {
        let Some(number) = self.slot(router) else { return };
        let Some(slotted) = self.slots.get_mut(number as usize) else { return };
        slotted.advert_at = now;
        if !std::mem::replace(&mut slotted.is_stale, true) {
            self.stale.push(number);
        }
    }

    /// Writes the routers of `changed` that are Master: before what they said leaves.
    pub fn before_sending(&mut self, node: &Node, changed: &[RouterKey]) {
        self.write_changed(node, changed, |hold| hold == Hold::Master);
    }

    /// Writes the routers of `changed` that are Master no longer, after what they said has left, and adverts that wait when
    /// it is their time.
    pub fn after_sending(&mut self, now: Instant, node: &Node, changed: &[RouterKey]) {
        self.write_changed(node, changed, |hold| hold != Hold::Master);
        if !self.stale.is_empty() && now.since(self.written_at) >= EVERY {
            self.settle(now, node);
        }
    }

    /// Writes everything that waits: before this process makes room for another.
    pub fn settle(&mut self, now: Instant, node: &Node) {
        self.written_at = now;
        let stale = std::mem::take(&mut self.stale);
        for &number in &stale {
            self.refresh(node, number);
        }
        if let (Some(&first), Some(&last)) = (stale.iter().min(), stale.iter().max()) {
            self.write(first, last);
        }
        // For its capacity.
        self.stale = stale;
        self.stale.clear();
    }

    /// Returns when adverts that wait are to be written at the latest; `None`: none waits.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.stale.is_empty()).then(|| self.written_at + EVERY * 2)
    }

    /// Returns why the file could not be written, once. It is gone then, and nothing more is written until a reload.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn write_changed(&mut self, node: &Node, changed: &[RouterKey], is_wanted: impl Fn(Hold) -> bool) {
        let mut range: Option<(u32, u32)> = None;
        for key in changed {
            let Some(number) = self.slot(*key) else { continue };
            if self.refresh(node, number).is_some_and(|imprint| is_wanted(imprint.hold)) {
                range = Some(range.map_or((number, number), |(first, last)| (first.min(number), last.max(number))));
            }
        }
        if let Some((first, last)) = range {
            self.write(first, last);
        }
    }

    fn slot(&self, router: RouterKey) -> Option<u32> {
        self.slot_of.get(router.0 as usize).copied().flatten()
    }

    /// Brings the image of a slot up to date.
    fn refresh(&mut self, node: &Node, number: u32) -> Option<Imprint> {
        let slotted = self.slots.get_mut(number as usize)?;
        slotted.is_stale = false;
        let imprint = node.imprint(slotted.key, slotted.advert_at)?;
        let slot = Slot {
            hold: imprint.hold,
            advert_at: imprint.advert_at,
            since: imprint.since,
            priority: Some(imprint.effective),
            source: imprint.source,
            stamp: imprint.stamp,
            ah_sequence: imprint.ah_sequence,
        };
        let (chunks, _) = self.image.as_chunks_mut::<SLOT>();
        *chunks.get_mut(number as usize)? = slot.emit(number);
        Some(imprint)
    }

    /// Writes a range of slots, last included, in one call.
    fn write(&mut self, first: u32, last: u32) {
        let Some(file) = &self.file else { return };
        let range = first as usize * SLOT..(last as usize + 1) * SLOT;
        let Some(bytes) = self.image.get(range.clone()) else { return };
        if let Err(error) = file.write_all_at(bytes, self.begin + range.start as u64) {
            // Better none than one that says what is no longer so.
            let _ = fs::remove_file(super::path(&self.runtime_dir));
            self.file = None;
            self.failure = Some(error);
        }
    }

    /// Puts another file in the place of the one that is there, at one instant.
    fn replace(&mut self, table: &Table, known: impl Fn(RouterKey) -> Option<Slot>) -> io::Result<()> {
        let json = serde_json::to_vec(table).map_err(io::Error::other)?;
        let mut bytes = emit_head(&json, table.keys.len());
        let begin = bytes.len();
        let mut slots = Vec::with_capacity(table.keys.len());
        for (&key, number) in table.keys.iter().zip(0..) {
            let slot = known(key).unwrap_or(Slot::EMPTY);
            bytes.extend_from_slice(&slot.emit(number));
            slots.push(Slotted { key, advert_at: slot.advert_at, is_stale: false });
        }
        self.file = Some(super::replace(&self.runtime_dir, &bytes)?);
        self.begin = begin as u64;
        self.slot_of.clear();
        for (number, slotted) in (0..).zip(&slots) {
            let place = slotted.key.0 as usize;
            self.slot_of.resize(self.slot_of.len().max(place + 1), None);
            if let Some(slot) = self.slot_of.get_mut(place) {
                *slot = Some(number);
            }
        }
        self.slots = slots;
        self.image = bytes.split_off(begin);
        self.stale.clear();
        Ok(())
    }
}

/// Adverts are written at most once in this time.
const EVERY: Duration = Duration::from_millis(50);
