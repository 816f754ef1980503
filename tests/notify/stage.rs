//! A folder, scripts in it, and a notifier with what it reported.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{getegid, geteuid};
use tempfile::TempDir;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};
use vrrpd::engine::input::RouterKey;
use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::{Command, Hook, HookEvent, Hooks, NodeHooks, Scripts, UserParams};
use vrrpd::engine::time::{Instant, Now};
use vrrpd::notify::{HookNews, HookReport, Notifier, Occasion, Subject, SubjectParams};
use vrrpd::wire::field::{Priority, Vrid};

/// Where a test plays.
pub struct Stage {
    dir: TempDir,
    reports: Rc<RefCell<Vec<HookReport>>>,
}

/// Runs a test as the service thread would.
pub fn play<F: Future<Output = ()>>(test: impl FnOnce(Stage) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = Stage { dir: TempDir::new().unwrap(), reports: Rc::default() };
    let local = LocalSet::new();
    local.block_on(&runtime, async { timeout(PATIENCE * 3, test(stage)).await.expect("the test hangs") });
}

/// How long something may take that takes no time on a quiet machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

impl Stage {
    /// Returns a place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a script and returns how it is called. `@` stands for the folder; `log WORDS` adds a line to the log.
    ///
    /// It is an argument of the shell and not executable: a file that was open for writing while another test forked
    /// cannot be executed until that child has.
    pub fn script(&self, name: &str, body: &str) -> Command {
        let path = self.path(name);
        let dir = self.dir.path().display().to_string();
        let log = format!("log() {{ echo \"$*\" >>{dir}/log; }}\n");
        fs::write(&path, log + &body.replace('@', &dir)).unwrap();
        Command { words: vec!["/bin/sh".to_owned(), path.display().to_string()], user: None }
    }

    /// Makes a notifier whose clock moves on by more than the limit of reports with each look.
    pub fn notifier(&self, hooks: NodeHooks) -> Notifier {
        let clock = Cell::new(0);
        let tick = move || {
            clock.set(clock.get() + 100_000_000_000);
            Now { mono: Instant::from_nanos(clock.get()), utc: Duration::from_nanos(clock.get()) }
        };
        let reports = Rc::clone(&self.reports);
        let hooks = NodeHooks { scripts: ourselves(), ..hooks };
        Notifier::new("lb1", Arc::new(hooks), tick, move |report| reports.borrow_mut().push(report))
    }

    /// Makes a notifier that knows the instance `web` with these hooks.
    pub fn with(&self, hooks: Hooks) -> Notifier {
        let notifier = self.notifier(NodeHooks::default());
        notifier.subscribe(vec![instance(1, "web", hooks)]);
        notifier
    }

    /// Returns the lines that scripts wrote, those that are whole.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    /// Waits until scripts wrote that many lines; returns them.
    pub async fn lines(&self, count: usize) -> Vec<String> {
        until("lines in the log", || self.log().len() >= count).await;
        self.log()
    }

    /// Returns the news reported, oldest first.
    pub fn news(&self) -> Vec<HookNews> {
        self.reports.borrow().iter().map(|report| report.what.clone()).collect()
    }

    /// Returns the lines reported, oldest first.
    pub fn reported(&self) -> Vec<String> {
        self.reports.borrow().iter().map(ToString::to_string).collect()
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "no {what} within {PATIENCE:?}");
}

/// Programs run as whoever runs the test.
pub fn ourselves() -> Scripts {
    let user = UserParams { name: geteuid().to_string(), group: Some(getegid().to_string()) };
    Scripts { user: Some(user), ..Scripts::default() }
}

/// Describes an instance.
pub fn instance(key: u32, name: &str, hooks: Hooks) -> SubjectParams {
    SubjectParams {
        subject: Subject::Instance(RouterKey(key)),
        name: name.into(),
        hooks,
        interface: "eth0".to_owned(),
        vrid: Vrid::new(51),
        addresses: "10.0.0.30/24 2001:db8::30/64".to_owned(),
    }
}

/// Describes a group.
pub fn group(name: &str, hooks: Hooks) -> SubjectParams {
    SubjectParams { subject: group_named(name), vrid: None, ..instance(0, name, hooks) }
}

pub fn group_named(name: &str) -> Subject {
    Subject::Group(name.into())
}

/// The instance that [`Stage::with`] makes.
pub const WEB: Subject = Subject::Instance(RouterKey(1));

pub fn hooks<const N: usize>(calls: [(HookEvent, &Command); N]) -> Hooks {
    let calls = calls.map(|(event, command)| Hook { event, command: command.clone() });
    Hooks { calls: calls.into(), ..Hooks::default() }
}

/// Describes a change of state.
pub fn entered(state: StateName, previous: StateName) -> Occasion {
    Occasion {
        state,
        previous,
        priority: Priority::new(101),
        reason: Reason::Resigned,
        master: Some("10.0.0.20".parse().unwrap()),
        at: Now { mono: Instant::default(), utc: Duration::ZERO },
    }
}

pub fn to_master() -> Occasion {
    entered(StateName::Master, StateName::Backup)
}

pub fn to_backup() -> Occasion {
    entered(StateName::Backup, StateName::Master)
}
