//! Counts processes by name or command line, for all checks at once.
//!
//! Those that begin: told by the kernel's connector, or looked for again and again. Those that end: by their pidfd.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};

use super::connector::{Connector, Event, Lost};
use super::proc::{is_running, matches, scan};
use super::{Count, Life};
use crate::engine::input::CheckKey;
use crate::engine::params::ProcessTarget;
use crate::track::schedule::ticks;

/// What is counted, and for whom.
pub(in crate::track) struct Census {
    targets: Vec<(CheckKey, ProcessTarget)>,
    counts: Vec<watch::Sender<Count>>,
    /// Warned about once.
    is_told: RefCell<bool>,
}

impl Census {
    /// Counts nothing before it runs.
    pub fn new(targets: impl Iterator<Item = (CheckKey, ProcessTarget)>) -> Self {
        let targets: Vec<(CheckKey, ProcessTarget)> = targets.collect();
        let counts = targets.iter().map(|_| watch::Sender::new(None)).collect();
        Self { targets, counts, is_told: RefCell::new(false) }
    }

    /// Returns the count for a check.
    pub fn count(&self, check: CheckKey) -> Option<watch::Receiver<Count>> {
        let place = self.targets.iter().position(|(key, _)| *key == check)?;
        self.counts.get(place).map(watch::Sender::subscribe)
    }

    /// Counts; does not return. `rescan`: how often processes are looked for where the kernel does not tell of them.
    pub async fn run(&self, rescan: Duration) {
        if self.targets.is_empty() {
            return;
        }
        // Listening begins before the first look, so that nothing falls in between.
        let connector = self.connect().await;
        let mut members = Members::new(&self.targets);
        let mut ticks = ticks(if connector.is_some() { RESYNC } else { rescan });
        let mut look: Option<oneshot::Receiver<Vec<Vec<i32>>>> = None;
        loop {
            tokio::select! {
                biased;
                pid = members.next_end() => members.remove(pid),
                news = next(connector.as_ref()) => match news {
                    Ok(events) => events.into_iter().for_each(|event| members.take(event)),
                    Err(Lost) => ticks.reset_immediately(),
                },
                found = finish(&mut look) => {
                    look = None;
                    // Else the thread came to nothing, and the next tick tries again.
                    if let Some(found) = found {
                        members.merge(found);
                        members.is_known = true;
                    }
                }
                _ = ticks.tick(), if look.is_none() => look = Some(members.look()),
            }
            self.publish(&members);
        }
    }

    async fn connect(&self) -> Option<Connector> {
        let connector = Connector::open().await;
        if let Err(error) = &connector
            && !self.is_told.replace(true)
        {
            tracing::warn!("processes that begin are noticed at the interval only: process connector: {error}");
        }
        connector.ok()
    }

    fn publish(&self, members: &Members<'_>) {
        if !members.is_known {
            return;
        }
        for (count, pids) in self.counts.iter().zip(&members.pids) {
            let number = Some(u32::try_from(pids.len()).unwrap_or(u32::MAX));
            count.send_if_modified(|count| std::mem::replace(count, number) != number);
        }
    }
}

/// The processes that are counted.
struct Members<'a> {
    targets: &'a [(CheckKey, ProcessTarget)],
    /// For each target.
    pids: Vec<BTreeSet<i32>>,
    /// Those whose end is waited for.
    watched: BTreeSet<i32>,
    ends: FuturesUnordered<Pin<Box<dyn Future<Output = i32>>>>,
    /// All have been looked at once.
    is_known: bool,
}

impl<'a> Members<'a> {
    fn new(targets: &'a [(CheckKey, ProcessTarget)]) -> Self {
        Self {
            targets,
            pids: vec![BTreeSet::new(); targets.len()],
            watched: BTreeSet::new(),
            ends: FuturesUnordered::new(),
            is_known: false,
        }
    }

    /// Returns the next process that ends.
    async fn next_end(&mut self) -> i32 {
        match self.ends.next().await {
            Some(pid) => pid,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            // A child is what its parent is, until it says otherwise.
            Event::Fork { parent, pid } => {
                if self.pids.iter().any(|pids| pids.contains(&parent)) {
                    self.look_at(pid);
                }
            }
            Event::Changed(pid) => self.look_at(pid),
            // The pidfd knows better: other threads may go on.
            Event::Exit(pid) if self.watched.contains(&pid) => {}
            Event::Exit(pid) => self.remove(pid),
        }
    }

    fn look_at(&mut self, pid: i32) {
        for (place, (_, target)) in self.targets.iter().enumerate() {
            if matches(target, pid) {
                self.add(place, pid);
            } else if let Some(pids) = self.pids.get_mut(place) {
                pids.remove(&pid);
            }
        }
    }

    fn add(&mut self, place: usize, pid: i32) {
        if !self.watched.contains(&pid) && self.watched.len() < WATCHED_MAX {
            match Life::of(pid) {
                Ok(life) => {
                    self.watched.insert(pid);
                    self.ends.push(Box::pin(async move {
                        life.end().await;
                        pid
                    }));
                }
                Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return,
                // Its end is noticed by the connector or the next look.
                Err(_none_to_be_had) => {}
            }
        }
        if let Some(pids) = self.pids.get_mut(place) {
            pids.insert(pid);
        }
    }

    fn remove(&mut self, pid: i32) {
        self.watched.remove(&pid);
        self.pids.iter_mut().for_each(|pids| {
            pids.remove(&pid);
        });
    }

    /// Looks at all processes, in a thread of its own: reading a command line may wait for a process that hangs in the kernel.
    fn look(&self) -> oneshot::Receiver<Vec<Vec<i32>>> {
        let targets: Vec<ProcessTarget> = self.targets.iter().map(|(_, target)| target.clone()).collect();
        let (sender, found) = oneshot::channel();
        let look = move || {
            // Nobody waits any more when this fails.
            let _ = sender.send(scan(&targets));
        };
        // Without a thread the sender is dropped, and the next tick tries again.
        let _: io::Result<_> = std::thread::Builder::new().name("processes".to_owned()).spawn(look);
        found
    }

    /// Takes over what a look at all processes found; what it did not find is looked at again, because it may be older.
    fn merge(&mut self, found: Vec<Vec<i32>>) {
        let missing: BTreeSet<i32> = self
            .pids
            .iter()
            .zip(&found)
            .flat_map(|(pids, found)| pids.iter().filter(|pid| !found.contains(pid)))
            .copied()
            .collect();
        for (place, found) in found.into_iter().enumerate() {
            found.into_iter().filter(|pid| is_running(*pid)).for_each(|pid| self.add(place, pid));
        }
        missing.into_iter().for_each(|pid| self.look_at(pid));
    }
}

async fn next(connector: Option<&Connector>) -> Result<Vec<Event>, Lost> {
    match connector {
        Some(connector) => connector.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for a look that was begun; `None`: it came to nothing.
async fn finish(look: &mut Option<oneshot::Receiver<Vec<Vec<i32>>>>) -> Option<Vec<Vec<i32>>> {
    match look {
        Some(receiver) => receiver.await.ok(),
        None => std::future::pending().await,
    }
}

/// How often all processes are looked at although the kernel tells of each.
const RESYNC: Duration = Duration::from_secs(30);

/// Descriptors for the ends of processes; beyond these the connector or the next look notices.
const WATCHED_MAX: usize = 256;
