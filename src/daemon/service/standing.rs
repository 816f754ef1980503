//! How many instances are in which state, and when the service manager is told of it: at once, but of a takeover of
//! thousands not of each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Service;
use crate::daemon::systemd;
use crate::engine::input::RouterKey;
use crate::engine::output::StateName;
use crate::engine::time::Instant;

/// The states of all instances, counted.
#[derive(Debug, Default)]
pub(super) struct States {
    of: BTreeMap<RouterKey, StateName>,
    masters: usize,
    backups: usize,
    faults: usize,
}

/// What the service manager was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    text: String,
    at: Option<Instant>,
    /// There is something else to be told.
    is_stale: bool,
}

impl States {
    /// Returns the state of an instance; `None`: it never had one.
    pub fn of(&self, router: RouterKey) -> Option<StateName> {
        self.of.get(&router).copied()
    }

    /// An instance is in a state from here on.
    pub fn set(&mut self, router: RouterKey, state: StateName) {
        if let Some(before) = self.of.insert(router, state) {
            self.count(before, |count| count - 1);
        }
        self.count(state, |count| count + 1);
    }

    /// An instance is there no more.
    pub fn remove(&mut self, router: RouterKey) {
        if let Some(before) = self.of.remove(&router) {
            self.count(before, |count| count - 1);
        }
    }

    /// Forgets all but those.
    pub fn retain(&mut self, is_kept: impl Fn(RouterKey) -> bool) {
        let gone: Vec<RouterKey> = self.of.keys().copied().filter(|router| !is_kept(*router)).collect();
        gone.into_iter().for_each(|router| self.remove(router));
    }

    fn count(&mut self, state: StateName, change: impl Fn(usize) -> usize) {
        let count = match state {
            StateName::Master => &mut self.masters,
            StateName::Backup => &mut self.backups,
            StateName::Fault => &mut self.faults,
            StateName::Init => return,
        };
        *count = change(*count);
    }
}

impl FromIterator<(RouterKey, StateName)> for States {
    fn from_iter<T: IntoIterator<Item = (RouterKey, StateName)>>(states: T) -> Self {
        let mut all = Self::default();
        states.into_iter().for_each(|(router, state)| all.set(router, state));
        all
    }
}

impl Service {
    /// Tells the service manager how many instances are in which state, if that is different from the last time and that was
    /// not a moment ago; [`Service::summary_at`] says when to come again.
    pub(super) fn summarize(&self, now: Instant) {
        let states = self.states.borrow();
        let summary = systemd::summary(states.masters, states.backups, states.faults);
        let mut told = self.told.borrow_mut();
        let is_soon = told.at.is_some_and(|at| now.since(at) < PAUSE);
        told.is_stale = told.text != summary;
        if told.is_stale && !is_soon {
            systemd::status(&summary);
            *told = Told { text: summary, at: Some(now), is_stale: false };
        }
    }

    /// Returns when the service manager is to be told; `None`: it knows.
    pub(super) fn summary_at(&self) -> Option<Instant> {
        let told = self.told.borrow();
        told.at.filter(|_| told.is_stale).map(|at| at + PAUSE)
    }

    /// Returns the last summary; empty when there was none.
    pub(super) fn last_summary(&self) -> String {
        self.told.borrow().text.clone()
    }
}

/// Between two summaries.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_what_comes_and_goes() {
        let counts = |states: &States| (states.masters, states.backups, states.faults);
        let mut states: States = (0..3).map(|key| (RouterKey(key), StateName::Backup)).collect();
        assert_eq!(counts(&states), (0, 3, 0));
        states.set(RouterKey(0), StateName::Master);
        states.set(RouterKey(1), StateName::Fault);
        states.set(RouterKey(3), StateName::Init);
        assert_eq!((counts(&states), states.of(RouterKey(1))), ((1, 1, 1), Some(StateName::Fault)));
        states.remove(RouterKey(1));
        states.remove(RouterKey(1));
        states.retain(|router| router == RouterKey(0));
        assert_eq!((counts(&states), states.of(RouterKey(2))), ((1, 0, 0), None));
    }
}
