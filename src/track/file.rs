//! Files: told of changes by the kernel (inotify), and looked at each interval besides.
//!
//! Watched is the directory of a file, not the file: so a file that is replaced or does not exist yet is watched as well.
//! Changes on other hosts of a network file system are seen at the interval alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Outcome;
use super::number;
use super::ready::Ready;
use super::schedule::ticks;
use super::tcp::refusal;
use crate::engine::input::CheckResult;
use crate::engine::params::FileSense;

/// Reports on one file; does not return.
///
/// Equal results are reported once an interval, so that rise and fall count intervals and not writes.
pub(super) async fn watch(path: &Path, sense: FileSense, interval: Duration, files: &Files, tell: impl Fn(Outcome)) {
    let mut subscription = files.subscribe(path);
    let mut ticks = ticks(interval);
    let mut last: Option<CheckResult> = None;
    loop {
        let is_due = tokio::select! {
            biased;
            () = subscription.changed() => false,
            _ = ticks.tick() => true,
        };
        subscription.renew();
        let mut outcome = look(path, sense, last);
        if is_due && last.is_some_and(|last| last != outcome.result) {
            // Nobody said that it was written to: perhaps it is being written to.
            sleep(SETTLE).await;
            outcome = look(path, sense, last);
        }
        if is_due || last != Some(outcome.result) {
            last = Some(outcome.result);
            tell(outcome);
        }
    }
}

fn look(path: &Path, sense: FileSense, last: Option<CheckResult>) -> Outcome {
    let wanted = match sense {
        FileSense::Exists => true,
        FileSense::Absent => false,
        FileSense::Number => return number_outcome(path, last),
    };
    match path.try_exists() {
        Ok(exists) => {
            let result = if exists == wanted { CheckResult::Passed } else { CheckResult::Failed };
            Outcome { result, words: if exists { "exists" } else { "does not exist" }.to_owned() }
        }
        Err(error) => Outcome::failed(format!("cannot be looked at: {}", refusal(&error))),
    }
}

fn number_outcome(path: &Path, last: Option<CheckResult>) -> Outcome {
    let number = |number, words| Outcome { result: CheckResult::Number(number), words };
    match read_start(path) {
        Ok(text) => match number::parse(&text) {
            // The number says it all.
            Some(value) => number(value, String::new()),
            None => {
                let known = match last {
                    Some(CheckResult::Number(last)) => last,
                    Some(CheckResult::Passed | CheckResult::Failed) | None => 0,
                };
                number(known, "the file holds one that is out of range".to_owned())
            }
        },
        Err(error) => number(0, refusal(&error)),
    }
}

/// Returns the first bytes of a regular file. Anything else could keep the reader waiting.
pub(super) fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(START_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// The one inotify instance of all checks.
pub(super) struct Files {
    /// `None`: the kernel has none left; files are looked at each interval.
    kernel: Option<Kernel>,
    watchers: RefCell<BTreeMap<WatchDescriptor, Vec<Watcher>>>,
}

struct Kernel {
    inotify: Inotify,
    ready: Ready,
}

/// Somebody who wants to know of one name in a directory.
struct Watcher {
    name: OsString,
    bell: Rc<Notify>,
}

impl Files {
    /// Opens inotify, or says that it cannot be.
    pub fn open() -> Self {
        let open = || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            let ready = Ready::new(inotify.as_fd().try_clone_to_owned()?)?;
            Ok(Kernel { inotify, ready })
        };
        let kernel = open().inspect_err(|error: &io::Error| {
            tracing::warn!("changes of files are seen at the interval only: inotify: {error}");
        });
        Self { kernel: kernel.ok(), watchers: RefCell::default() }
    }

    /// Passes on what the kernel says; does not return.
    pub async fn run(&self) {
        if let Some(kernel) = &self.kernel {
            while kernel.ready.wait().await.is_ok() {
                // Fails when there is nothing more.
                if let Ok(events) = kernel.ready.read(|| Ok(kernel.inotify.read_events()?)) {
                    events.iter().for_each(|event| self.pass_on(event));
                }
            }
        }
        std::future::pending().await
    }

    /// Begins to watch a path.
    pub fn subscribe<'a>(&'a self, path: &'a Path) -> Subscription<'a> {
        let mut subscription = Subscription { files: self, path, bell: Rc::default(), held: Vec::new() };
        subscription.renew();
        subscription
    }

    fn pass_on(&self, event: &InotifyEvent) {
        let mut watchers = self.watchers.borrow_mut();
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            watchers.values().flatten().for_each(|watcher| watcher.bell.notify_one());
            return;
        }
        let concerned = watchers.get(&event.wd).into_iter().flatten();
        for watcher in concerned.filter(|watcher| event.name.as_ref().is_none_or(|name| *name == watcher.name)) {
            watcher.bell.notify_one();
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            watchers.remove(&event.wd);
        }
    }

    /// Watches one name in a directory for a bell.
    fn add(&self, directory: &Path, name: &OsStr, bell: &Rc<Notify>) -> Option<WatchDescriptor> {
        let watch = self.kernel.as_ref()?.inotify.add_watch(directory, mask()).ok()?;
        let mut watchers = self.watchers.borrow_mut();
        let watchers = watchers.entry(watch).or_default();
        if !watchers.iter().any(|watcher| Rc::ptr_eq(&watcher.bell, bell) && watcher.name == name) {
            watchers.push(Watcher { name: name.to_owned(), bell: Rc::clone(bell) });
        }
        Some(watch)
    }

    fn remove(&self, watch: WatchDescriptor, bell: &Rc<Notify>) {
        let mut watchers = self.watchers.borrow_mut();
        let Some(of_watch) = watchers.get_mut(&watch) else { return };
        of_watch.retain(|watcher| !Rc::ptr_eq(&watcher.bell, bell));
        if of_watch.is_empty() {
            watchers.remove(&watch);
            if let Some(kernel) = &self.kernel {
                // Fails if the directory is gone, and the watch with it.
                let _ = kernel.inotify.rm_watch(watch);
            }
        }
    }
}

/// A path whose changes somebody is told of.
pub(super) struct Subscription<'a> {
    files: &'a Files,
    path: &'a Path,
    bell: Rc<Notify>,
    held: Vec<WatchDescriptor>,
}

impl Subscription<'_> {
    /// Waits until something may have changed.
    pub async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Watches the directories as they are at this moment; to be called before each look.
    pub fn renew(&mut self) {
        let mut held = Vec::new();
        for _ in 0..ATTEMPTS {
            let places = places(self.path);
            held.extend(places.iter().filter_map(|(directory, name)| self.files.add(directory, name, &self.bell)));
            // A directory made in between would be one that nobody watches.
            if self::places(self.path) == places {
                break;
            }
        }
        for watch in std::mem::take(&mut self.held).into_iter().filter(|watch| !held.contains(watch)) {
            self.files.remove(watch, &self.bell);
        }
        self.held = held;
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        for watch in std::mem::take(&mut self.held) {
            self.files.remove(watch, &self.bell);
        }
    }
}

/// Returns the directories to watch and the name in each: the nearest one that exists, and where symbolic links lead.
fn places(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut places = Vec::new();
    let mut here = path;
    while let (Some(directory), Some(name)) = (here.parent(), here.file_name()) {
        if directory.is_dir() {
            places.push((directory.to_owned(), name.to_owned()));
            break;
        }
        here = directory;
    }
    if let Ok(target) = path.canonicalize()
        && target != path
        && let (Some(directory), Some(name)) = (target.parent(), target.file_name())
    {
        places.push((directory.to_owned(), name.to_owned()));
    }
    places
}

/// A file may be half written when it is only modified; its end is awaited.
fn mask() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

/// How long a change that the kernel did not tell of must be there.
const SETTLE: Duration = Duration::from_millis(10);
/// How much of a file is read for its number.
const START_MAX: u64 = 4096;
/// How often directories that come and go are looked for again.
const ATTEMPTS: usize = 4;
