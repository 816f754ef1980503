//! Wanted routes and rules: what to add and delete next. No I/O.
//!
//! Level-triggered without a view of its own: the kernel refuses with `EEXIST` what it holds, so asking again for
//! everything that may be gone is the check and the cure. Only rules without a preference are compared with a dump.
//! Routes come after the addresses and before the rules, and go
//! after the rules and before the addresses; `net::service` asks in that order.
//! One stop before: [`super::service`] with wishes. One stop after: [`super::netlink::Requests`].

mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use nix::errno::Errno;

use super::links::{Change, Links};
use super::netlink::{Entry, Leftover, Refusal, Request, Touch};
use super::notice::Notice;
use crate::engine::input::RouterKey;
use crate::engine::params::RouterParams;
use crate::engine::route::{Prefix, Route, Rule};

/// Requests in one batch at most.
const BATCH: usize = 16;
/// Longest back-off between two attempts, in ticks.
const MAX_WAIT: u64 = 64;

/// One request with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What is to be added; `None` for a deletion.
    addition: Option<Addition>,
    /// What to ask for.
    pub request: Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addition {
    owner: RouterKey,
    /// Which of its entries.
    at: usize,
    /// It was there, and perhaps is.
    is_check: bool,
}

/// The wanted routes and rules and the work they need.
#[derive(Debug, Default)]
pub struct Routes {
    owners: BTreeMap<RouterKey, Owner>,
    /// Owners with something to add.
    ready: BTreeSet<RouterKey>,
    /// What the kernel was given, and how many owners want it.
    given: HashMap<Entry, u32>,
    /// Where wanted routes lead, and how many do.
    destinations: HashMap<(Prefix, u32), u32>,
    doomed_rules: VecDeque<Request>,
    doomed_routes: VecDeque<Request>,
    /// Refused work by the tick when it is tried again.
    retries: BTreeMap<u64, Vec<Retry>>,
    tick: u64,
    notices: Vec<Notice>,
    /// Rules without a preference are to be compared with a dump.
    is_stale: bool,
}

#[derive(Debug)]
enum Retry {
    Owner(RouterKey),
    Delete(Request),
}

/// Somebody who wants entries; routes first.
#[derive(Debug)]
struct Owner {
    items: Vec<Item>,
    refusals: u32,
    put_back: u32,
}

#[derive(Debug)]
struct Item {
    want: Want,
    phase: Phase,
    /// What the kernel was given.
    given: Option<Entry>,
    /// The last refusal that was told of.
    refused: Option<i32>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Want {
    Route(Route),
    Rule(Rule),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// To be added.
    Pending,
    /// Added, and perhaps gone.
    Unsure,
    /// An interface is missing or down.
    Blocked,
    /// Refused; tried again.
    Refused,
    /// The kernel holds it.
    Held,
}

impl Routes {
    /// Wants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants the routes and rules of a router from here on, in place of what it wanted before.
    pub fn acquire(&mut self, key: RouterKey, params: &Arc<RouterParams>) {
        let mut before = self.unlink(key);
        if params.routes.is_empty() && params.rules.is_empty() {
            return self.doom(before);
        }
        let routes = params.routes.iter().map(|route| Want::Route(route.clone()));
        let wants = routes.chain(params.rules.iter().map(|rule| Want::Rule(rule.clone())));
        let items: Vec<Item> = wants
            .map(|want| {
                if let Some(destination) = want.destination() {
                    *self.destinations.entry(destination).or_default() += 1;
                }
                match before.iter().position(|item| item.want == want) {
                    Some(at) => before.remove(at),
                    None => Item { want, phase: Phase::Pending, given: None, refused: None },
                }
            })
            .collect();
        for given in items.iter().filter_map(|item| item.given.clone()) {
            *self.given.entry(given).or_default() += 1;
        }
        self.owners.insert(key, Owner { items, refusals: 0, put_back: 0 });
        self.ready.insert(key);
        self.doom(before);
    }

    /// Withdraws the wish for a router's routes and rules; those that nobody else wants are deleted.
    pub fn release(&mut self, key: RouterKey) {
        let before = self.unlink(key);
        self.doom(before);
    }

    /// Says whether there is anything that somebody else could take away and that is to be put back.
    pub fn follows(&self) -> bool {
        self.owners.values().any(|owner| owner.items.iter().any(|item| !item.want.is_untracked()))
    }

    /// Says whether there is a request to be made.
    pub fn has_work(&self) -> bool {
        self.is_withdrawing() || !self.ready.is_empty()
    }

    /// Says whether there is a request to be made that must come before the deletion of addresses.
    pub fn is_withdrawing(&self) -> bool {
        !self.doomed_rules.is_empty() || !self.doomed_routes.is_empty()
    }

    /// Says whether anything is still to be deleted.
    pub fn is_deleting(&self) -> bool {
        let is_deletion = |retry: &Retry| matches!(retry, Retry::Delete(_));
        self.is_withdrawing() || self.retries.values().flatten().any(is_deletion)
    }

    /// Says whether refused work waits for [`Routes::tick`].
    pub fn is_waiting(&self) -> bool {
        !self.retries.is_empty()
    }

    /// Fills `batch` with the next deletions: rules, then routes.
    pub fn next_deletions(&mut self, batch: &mut Vec<Job>) {
        batch.clear();
        while batch.len() < BATCH {
            let Some(request) = self.doomed_rules.pop_front().or_else(|| self.doomed_routes.pop_front()) else {
                return;
            };
            let is_wanted = matches!(&request, Request::DeleteEntry(entry) if self.given.contains_key(entry));
            if !is_wanted {
                batch.push(Job { addition: None, request });
            }
        }
    }

    /// Fills `batch` with the next additions: of each owner its routes, then its rules.
    pub fn next_additions(&mut self, links: &Links, batch: &mut Vec<Job>) {
        batch.clear();
        while let Some(key) = self.ready.first().copied() {
            let Some(owner) = self.owners.get_mut(&key) else {
                self.ready.remove(&key);
                continue;
            };
            for (at, item) in owner.items.iter_mut().enumerate() {
                if !matches!(item.phase, Phase::Pending | Phase::Unsure) {
                    continue;
                }
                if batch.len() >= BATCH {
                    return;
                }
                match item.want.entry(links) {
                    // It was given with other interfaces, which went with it.
                    Some(entry) => {
                        if item.given.as_ref() != Some(&entry) {
                            let other = item.given.replace(entry.clone());
                            *self.given.entry(entry.clone()).or_default() += 1;
                            if let Some(other) = forget(&mut self.given, other) {
                                self.doomed_routes.push_back(Request::DeleteEntry(other));
                            }
                        }
                        let is_check = item.phase == Phase::Unsure;
                        // Unless the answer says otherwise.
                        item.phase = Phase::Held;
                        let addition = Some(Addition { owner: key, at, is_check });
                        batch.push(Job { addition, request: Request::AddEntry(entry) });
                    }
                    None => item.phase = Phase::Blocked,
                }
            }
            self.ready.remove(&key);
        }
    }

    /// Takes over what became of a request.
    pub fn done(&mut self, job: Job, result: Result<(), Refusal>) {
        let Some(Addition { owner: key, at, is_check }) = job.addition else {
            if let Err(refusal) = result {
                let entry = describe(&job.request);
                self.notices.push(Notice::EntryStuck { entry, refusal });
                self.retries.entry(self.tick + 8).or_default().push(Retry::Delete(job.request));
            }
            return;
        };
        let Some(owner) = self.owners.get_mut(&key) else { return };
        let Some(item) = owner.items.get_mut(at) else { return };
        let entry = || item.want.to_string();
        match result {
            Err(refusal) if refusal.errno != Errno::EEXIST as i32 => {
                if item.refused != Some(refusal.errno) {
                    item.refused = Some(refusal.errno);
                    self.notices.push(Notice::EntryRefused { router: key, entry: entry(), refusal });
                }
                item.phase = Phase::Refused;
                // All that are refused together are tried again together.
                let is_first = owner.items.iter().filter(|item| item.phase == Phase::Refused).count() == 1;
                if is_first {
                    owner.refusals += 1;
                    let wait = 1u64.checked_shl(owner.refusals - 1).unwrap_or(MAX_WAIT).min(MAX_WAIT);
                    self.retries.entry(self.tick + wait).or_default().push(Retry::Owner(key));
                }
            }
            outcome => {
                if is_check && outcome.is_ok() {
                    owner.put_back += 1;
                    self.notices.push(Notice::EntryPutBack { router: key, entry: entry(), count: owner.put_back });
                }
                if item.refused.take().is_some() {
                    owner.refusals = 0;
                    self.notices.push(Notice::EntryAccepted { router: key, entry: entry() });
                }
                item.phase = Phase::Held;
            }
        }
    }

    /// Takes over what changed at interfaces and addresses: routes may have gone with them, or be possible again.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Link(_) | Change::AddressGone(_) => self.check(|want| matches!(want, Want::Route(_))),
            Change::Lost => {}
            Change::Address(_) => self.reconsider(|item| item.phase == Phase::Refused),
        }
    }

    /// Takes over what somebody did to routes and rules.
    pub fn touched(&mut self, touch: Touch) {
        match touch {
            Touch::Route(to, table) if self.destinations.contains_key(&(to, table)) => {
                self.check(|want| want.destination() == Some((to, table)));
            }
            Touch::Route(..) => {}
            Touch::Rule(found) => {
                // It may have been another one at another place.
                self.is_stale |= self.given.keys().any(|entry| !entry.can_repeat() && found.is(entry));
                self.check(|want| match want {
                    Want::Rule(rule) => want.can_repeat() && found.is(&Entry::Rule(Box::new(rule.clone()))),
                    Want::Route(_) => false,
                });
            }
            Touch::Lost => {
                self.is_stale |= self.given.keys().any(|entry| !entry.can_repeat());
                self.check(Want::can_repeat);
            }
        }
    }

    /// Removes what an earlier run left and nobody wants; before anything is added.
    pub fn sweep(&mut self, leftovers: Vec<Leftover>, links: &Links) {
        let items = self.owners.values().flat_map(|owner| &owner.items);
        let wanted: Vec<Entry> = items.filter_map(|item| item.want.entry(links)).collect();
        let mut count = 0;
        for leftover in leftovers {
            // One that would be added once more had better go first.
            if wanted.iter().any(|entry| entry.can_repeat() && leftover.is(entry)) {
                continue;
            }
            count += 1;
            let doomed = if leftover.is_rule() { &mut self.doomed_rules } else { &mut self.doomed_routes };
            doomed.push_back(Request::Forget(Box::new(leftover)));
        }
        if count > 0 {
            self.notices.push(Notice::LeftoverEntries { count });
        }
    }

    /// Says whether notifications were lost that [`Routes::compare`] must make up for.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Compares the rules that cannot be asked for again with a dump.
    pub fn compare(&mut self, held: &[Leftover]) {
        self.is_stale = false;
        let is_of_another = |found: &Leftover| self.given.keys().any(|entry| entry.can_repeat() && found.is(entry));
        let held: Vec<&Leftover> = held.iter().filter(|found| found.is_rule() && !is_of_another(found)).collect();
        let is_held = |entry: &Entry| held.iter().any(|found| found.is(entry));
        self.reconsider(|item| {
            let is_asked = item.phase == Phase::Held && !item.want.is_untracked() && !item.want.can_repeat();
            is_asked && !item.given.as_ref().is_some_and(is_held)
        });
    }

    /// Lets time pass: refused work whose back-off is over is tried again.
    pub fn tick(&mut self) {
        self.tick += 1;
        let later = self.retries.split_off(&(self.tick + 1));
        for retry in std::mem::replace(&mut self.retries, later).into_values().flatten() {
            match retry {
                Retry::Delete(request) => self.doomed(request),
                Retry::Owner(key) => {
                    let Some(owner) = self.owners.get_mut(&key) else { continue };
                    for item in owner.items.iter_mut().filter(|item| item.phase == Phase::Refused) {
                        item.phase = Phase::Pending;
                        self.ready.insert(key);
                    }
                }
            }
        }
    }

    /// Takes the notices since the last call, in order.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Asks again for what may be gone, and for what was not possible.
    fn check(&mut self, may_be_gone: impl Fn(&Want) -> bool) {
        self.reconsider(|item| match item.phase {
            Phase::Held => !item.want.is_untracked() && may_be_gone(&item.want),
            Phase::Blocked | Phase::Refused => true,
            Phase::Pending | Phase::Unsure => false,
        });
    }

    fn reconsider(&mut self, is_due: impl Fn(&Item) -> bool) {
        for (key, owner) in &mut self.owners {
            for item in &mut owner.items {
                if is_due(item) {
                    item.phase = if item.phase == Phase::Held { Phase::Unsure } else { Phase::Pending };
                    self.ready.insert(*key);
                }
            }
        }
    }

    /// Takes an owner out of all tables and returns what it had.
    fn unlink(&mut self, key: RouterKey) -> Vec<Item> {
        self.ready.remove(&key);
        let Some(owner) = self.owners.remove(&key) else { return Vec::new() };
        for item in &owner.items {
            if let Some(destination) = item.want.destination()
                && let Some(count) = self.destinations.get_mut(&destination)
            {
                *count -= 1;
                if *count == 0 {
                    self.destinations.remove(&destination);
                }
            }
            forget(&mut self.given, item.given.clone());
        }
        owner.items
    }

    /// Has what nobody wants deleted, the last first.
    fn doom(&mut self, items: Vec<Item>) {
        for entry in items.into_iter().rev().filter_map(|item| item.given) {
            if !self.given.contains_key(&entry) {
                self.doomed(Request::DeleteEntry(entry));
            }
        }
    }

    fn doomed(&mut self, request: Request) {
        let is_rule = match &request {
            Request::DeleteEntry(entry) => entry.is_rule(),
            Request::Forget(leftover) => leftover.is_rule(),
            Request::Add(_) | Request::Delete(_) | Request::DeletePeer(..) | Request::AddEntry(_) => return,
        };
        if is_rule { self.doomed_rules.push_back(request) } else { self.doomed_routes.push_back(request) }
    }
}

impl Want {
    /// Says whether asking for it again when it is there does no harm.
    fn can_repeat(&self) -> bool {
        match self {
            Self::Route(_) => true,
            Self::Rule(rule) => rule.preference.is_some(),
        }
    }

    fn is_untracked(&self) -> bool {
        match self {
            Self::Route(route) => route.is_untracked,
            Self::Rule(rule) => rule.is_untracked,
        }
    }

    /// Returns network and table of a route.
    fn destination(&self) -> Option<(Prefix, u32)> {
        match self {
            Self::Route(route) => Some((route.to, route.table)),
            Self::Rule(_) => None,
        }
    }

    /// Returns what the kernel is to be told; `None` while an interface is missing or down.
    fn entry(&self, links: &Links) -> Option<Entry> {
        let route = match self {
            Self::Route(route) => route,
            Self::Rule(rule) => return Some(Entry::Rule(Box::new(rule.clone()))),
        };
        let index = |name: &Option<String>| match name {
            Some(name) => links.named(name).filter(|link| link.is_up).map(|link| link.index),
            None => Some(0),
        };
        let indices = route.hops.iter().map(|hop| index(&hop.interface)).collect::<Option<Vec<u32>>>()?;
        Some(Entry::Route(Box::new(route.clone()), indices))
    }
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Route(route) => write!(f, "route {route}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// Withdraws one wish for an entry; returns it when nobody else wants it.
fn forget(given: &mut HashMap<Entry, u32>, entry: Option<Entry>) -> Option<Entry> {
    let entry = entry?;
    let count = given.get_mut(&entry)?;
    *count -= 1;
    if *count > 0 {
        return None;
    }
    given.remove(&entry);
    Some(entry)
}

fn describe(request: &Request) -> String {
    match request {
        Request::DeleteEntry(Entry::Route(route, _)) => format!("route {route}"),
        Request::DeleteEntry(Entry::Rule(rule)) => format!("rule {rule}"),
        Request::Forget(_) => "what an earlier run left".to_owned(),
        Request::Add(_) | Request::Delete(_) | Request::DeletePeer(..) | Request::AddEntry(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
