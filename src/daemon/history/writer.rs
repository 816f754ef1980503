//! The thread that brings the history into its file.
//!
//! First it reads what earlier processes left; a file that is not whole it replaces. What cannot be written comes with the
//! next entry. One stop before: `daemon::history`. One stop after: `daemon::history::file`.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;

use super::file::{self, Line};
use super::{Pending, Shared, State};
use crate::control::history::{Entry, MAX_ENTRIES};
use crate::daemon::state_dir::StateDir;

/// Reads, and then writes for as long as the process lives.
pub(super) fn write_for_ever(shared: &Shared, state_dir: &StateDir) {
    let mut writer = Writer { state_dir, lines: 0, is_torn: false, is_told: false };
    let past = writer.read();
    shared.state().load(past);
    shared.grown.notify_waiters();
    loop {
        let is_idle = |state: &mut State| state.pending.as_ref().is_none_or(|pending| pending.is_empty());
        let waiting = shared.queued.wait_while(shared.state(), is_idle);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        let (bytes, count) = state.take();
        drop(state);
        let result = writer.write(shared, &bytes, count);
        writer.tell(result);
        shared.state().is_writing = false;
        shared.written.notify_all();
    }
}

impl State {
    /// Takes all that is known for a file of its own; what came since the last lines were taken is in it.
    fn take_all(&mut self) -> Vec<Entry> {
        self.pending.iter_mut().for_each(VecDeque::clear);
        self.entries.iter().cloned().collect()
    }

    /// Takes what is to be written: lines, and how many.
    fn take(&mut self) -> (Vec<u8>, usize) {
        let pending = self.pending.as_mut().map(std::mem::take).unwrap_or_default();
        let entry = |n: u64| {
            let index = self.entries.binary_search_by_key(&n, |entry| entry.n).ok()?;
            self.entries.get(index)
        };
        let line = |pending: &Pending| match *pending {
            Pending::Entry(n) => Some(Line::Entry(Box::new(entry(n)?.clone()))),
            Pending::Finding(of) => Some(Line::Finding { of, finding: entry(of)?.finding.clone()? }),
        };
        let lines = pending.iter().filter_map(line).map(|line| file::to_line(&line));
        lines.fold((Vec::new(), 0), |(mut bytes, count), line| {
            bytes.extend_from_slice(&line);
            (bytes, count + 1)
        })
    }
}

struct Writer<'a> {
    state_dir: &'a StateDir,
    /// Lines in the file.
    lines: usize,
    /// The file is not as it should be: it is to be replaced.
    is_torn: bool,
    /// An error was told.
    is_told: bool,
}

impl Writer<'_> {
    fn read(&mut self) -> Vec<Entry> {
        match file::read(self.state_dir) {
            Ok(content) => {
                (self.lines, self.is_torn) = (content.lines, content.is_torn);
                content.entries
            }
            Err(error) => {
                self.is_torn = true;
                self.tell(Err(error));
                Vec::new()
            }
        }
    }

    /// Appends lines, or replaces the file where it has grown too long or is not whole.
    fn write(&mut self, shared: &Shared, bytes: &[u8], count: usize) -> io::Result<()> {
        if self.is_torn || self.lines + count > MAX_LINES {
            let entries = shared.state().take_all();
            self.is_torn = true;
            file::rewrite(self.state_dir, &entries)?;
            (self.lines, self.is_torn) = (entries.len(), false);
            return Ok(());
        }
        self.is_torn = true;
        file::append(self.state_dir, bytes)?;
        (self.lines, self.is_torn) = (self.lines + count, false);
        Ok(())
    }

    /// Says once that the history cannot be kept, until it can.
    fn tell(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) if self.is_told => {
                self.is_told = false;
                tracing::info!("the history is written again");
            }
            Err(error) if !self.is_told => {
                self.is_told = true;
                let path = self.state_dir.file(file::NAME);
                tracing::warn!("cannot keep the history in {}: {error}; it is in memory alone", path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Lines in the file before it is made short again.
const MAX_LINES: usize = 2 * MAX_ENTRIES;
