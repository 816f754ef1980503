//! The history of this node: the last thousand things that happened, kept over restarts and reboots.
//!
//! Whoever adds an entry never waits: it is in memory at once, and a thread of its own brings it into the file, so neither
//! the protocol thread nor a slow disk is concerned. The thread also reads what earlier processes left; until then
//! numbers begin at 1. One stop before: `daemon::journal`. One stop after: [`mod@file`], and clients of the control socket.

pub mod file;
mod writer;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::state::table::boot_id;
use super::state_dir::StateDir;
use crate::control::history::{Cursor, Entry, HistoryReply, Kind, MAX_ENTRIES};
use crate::control::status::TransitionStatus;

/// The history; clones are the same.
#[derive(Clone, Debug)]
pub struct History(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is to be written.
    queued: Condvar,
    /// Everything was written, or nothing can be.
    written: Condvar,
    /// There is another entry.
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first, numbers ascending; those of this process without a gap.
    entries: VecDeque<Entry>,
    last: u64,
    /// By how much the numbers of this process grew when what was before was read.
    shifted_by: u64,
    /// What earlier processes left is there, or there is nothing to wait for.
    is_loaded: bool,
    /// How much was found out by this process, and about which entries: the last few.
    findings: u64,
    found: VecDeque<u64>,
    /// What is not in the file yet; `None`: nobody writes.
    pending: Option<VecDeque<Pending>>,
    is_writing: bool,
}

/// Something for the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// The entry with this number.
    Entry(u64),
    /// What was found about it.
    Finding(u64),
}

/// Names an entry that this process added; its number may change when what was before is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number that it had.
    n: u64,
    was_loaded: bool,
}

impl History {
    /// Keeps the history in memory only.
    pub fn in_memory() -> Self {
        let state = State { is_loaded: true, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }))
    }

    /// Keeps the history in a state directory, too; nothing is waited for.
    pub fn open(state_dir: StateDir) -> Self {
        let state = State { pending: Some(VecDeque::new()), ..State::default() };
        let history = Self(Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }));
        let shared = Arc::clone(&history.0);
        let started = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || writer::write_for_ever(&shared, &state_dir));
        if let Err(error) = started {
            tracing::warn!("the history is not written: {error}");
            let mut state = history.state();
            (state.pending, state.is_loaded) = (None, true);
        }
        history
    }

    /// Adds an entry, and returns what names it.
    pub fn add(&self, mut entry: Entry) -> Mark {
        if entry.kind == Kind::Start {
            entry.boot = Some(boot_id());
        }
        let mut state = self.state();
        state.last += 1;
        entry.n = state.last;
        let mark = Mark { n: entry.n, was_loaded: state.is_loaded };
        state.push(entry);
        state.queue(Pending::Entry(mark.n));
        drop(state);
        self.0.queued.notify_one();
        self.0.grown.notify_waiters();
        mark
    }

    /// Adds to an entry what was found out later; nothing, when the entry is forgotten.
    pub fn find(&self, mark: Mark, finding: &str) {
        let mut state = self.state();
        // Numbers were given before it was known where they begin.
        let shift = if mark.was_loaded || !state.is_loaded { 0 } else { state.shifted_by };
        let n = mark.n + shift;
        let Ok(index) = state.entries.binary_search_by_key(&n, |entry| entry.n) else { return };
        state.entries[index].finding = Some(finding.to_owned());
        state.queue(Pending::Finding(n));
        state.findings += 1;
        state.found.push_back(n);
        if state.found.len() > MAX_FOUND {
            state.found.pop_front();
        }
        drop(state);
        self.0.queued.notify_one();
        self.0.grown.notify_waiters();
    }

    /// Returns the last transitions, oldest first.
    pub fn transitions(&self, count: usize) -> Vec<TransitionStatus> {
        let state = self.state();
        let mut found: Vec<_> = state.entries.iter().rev().filter_map(Entry::as_status).take(count).collect();
        found.reverse();
        found
    }

    /// Returns the last entries, of an instance or of all; waits until those of earlier processes are there.
    pub async fn last(&self, count: usize, instance: Option<&str>) -> HistoryReply {
        loop {
            let grown = self.0.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if let Some(reply) =
                self.look(|state| HistoryReply::new(state.entries.iter(), count, instance, state.cursor()))
            {
                return reply;
            }
            grown.await;
        }
    }

    /// Returns the entries that came or of which something was found since; waits for one that fits. May be dropped while
    /// it waits.
    pub async fn after(&self, mut since: Cursor, instance: Option<&str>) -> HistoryReply {
        loop {
            let grown = self.0.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if let Some(reply) = self.look(|state| state.after(since, instance)) {
                if !reply.entries.is_empty() {
                    return reply;
                }
                since = reply.until;
            }
            grown.await;
        }
    }

    /// Waits until everything is in the file, but not for longer than `patience`; says whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let is_open = |state: &mut State| state.is_writing || state.pending.as_ref().is_some_and(|it| !it.is_empty());
        let (mut state, _) =
            self.0.written.wait_timeout_while(self.state(), patience, is_open).unwrap_or_else(PoisonError::into_inner);
        !is_open(&mut state)
    }

    /// Looks at the state once it is complete.
    fn look<T>(&self, at: impl FnOnce(&State) -> T) -> Option<T> {
        let state = self.state();
        state.is_loaded.then(|| at(&state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor { n: self.last, findings: self.findings }
    }

    /// Returns what came, or of which something was found, since then.
    fn after(&self, since: Cursor, instance: Option<&str>) -> HistoryReply {
        let count = usize::try_from(self.findings - since.findings.min(self.findings)).unwrap_or(MAX_FOUND);
        let found: Vec<u64> = self.found.iter().rev().take(count).copied().collect();
        let is_fresh = |entry: &&Entry| entry.n > since.n || found.contains(&entry.n);
        HistoryReply::new(self.entries.iter().filter(is_fresh), MAX_ENTRIES, instance, self.cursor())
    }

    /// Queues something for the file; of more than the file keeps the oldest is left out.
    fn queue(&mut self, what: Pending) {
        let Some(pending) = &mut self.pending else { return };
        pending.push_back(what);
        if pending.len() > MAX_ENTRIES {
            pending.pop_front();
        }
    }

    /// Puts what earlier processes left before what happened since.
    fn load(&mut self, past: Vec<Entry>) {
        let shift = past.last().map_or(0, |entry| entry.n);
        if let Some(start) = self.entries.iter_mut().find(|entry| entry.kind == Kind::Start) {
            start.reason += &how_it_ended(&past, start.boot.as_deref());
        }
        self.entries.iter_mut().for_each(|entry| entry.n += shift);
        for pending in self.pending.iter_mut().flatten() {
            match pending {
                Pending::Entry(n) | Pending::Finding(n) => *n += shift,
            }
        }
        self.last += shift;
        self.shifted_by = shift;
        let room = MAX_ENTRIES.saturating_sub(self.entries.len());
        for entry in past.into_iter().rev().take(room) {
            self.entries.push_front(entry);
        }
        self.is_loaded = true;
    }
}

/// Entries of which something was found that are told to clients that follow.
const MAX_FOUND: usize = 64;

/// Says what became of the process before a start, as far as that is no stop in order.
fn how_it_ended(past: &[Entry], boot: Option<&str>) -> String {
    let began = past.iter().rev().find(|entry| entry.kind == Kind::Start).and_then(|entry| entry.boot.as_deref());
    let is_other_boot = began.is_some() && began != boot;
    let last = past.iter().rev().find(|entry| matches!(entry.kind, Kind::Start | Kind::Stop | Kind::Upgrade));
    let is_stopped = last.is_none_or(|entry| entry.kind == Kind::Stop);
    match (is_other_boot, is_stopped) {
        (false, true) => "",
        (true, true) => ", after a reboot",
        (true, false) => ", after a reboot; the host went down without stopping it",
        (false, false) => "; the one before ended without a stop: killed or crashed",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
