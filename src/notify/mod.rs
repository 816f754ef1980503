//! Hooks: tells programs and pipes what happened, for each instance and group in order and one at a time.
//!
//! The newest state wins: while a program runs, what happens meanwhile replaces each other, and only the last is told.
//! What is told is the state, not the change: a failed program is called again while its state lasts. Pipes get a line
//! for every change. One stop before: `daemon::service`; one stop after: `child`.

mod call;
mod fifo;
mod report;
mod shared;
mod status;
mod subject;
mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

pub use report::{HookNews, HookReport, Owner};
pub use status::{CallStatus, HookStatus};
pub use subject::{Cause, MAX_ADDRESSES, Occasion, Subject, SubjectParams, ToldState};

use crate::child::{self, Call, How};
use crate::engine::input::RouterKey;
use crate::engine::params::{DaemonHook, FifoParams, HookEvent, NodeHooks};
use crate::engine::time::Now;
use crate::wire::field::Priority;
use fifo::Pipe;
use shared::Shared;
use worker::Worker;

/// Tells programs and pipes what happened. Inside a `LocalSet` only; nothing here blocks.
///
/// Life: `new`, `startup`, `subscribe`, then `tell`, `repeat` and `rank` as things happen, `stop`, `shutdown`.
/// Dropping it kills every program of its own.
pub struct Notifier {
    shared: Rc<Shared>,
    workers: RefCell<BTreeMap<Subject, Rc<Worker>>>,
    pipes: RefCell<Vec<(Rc<Pipe>, AbortHandle)>>,
    /// Workers of instances, removed ones included.
    instances: RefCell<JoinSet<()>>,
    /// Workers of groups.
    groups: RefCell<JoinSet<()>>,
    /// Keepers of pipes.
    keepers: RefCell<JoinSet<()>>,
}

/// How long the reader of a pipe may take to notice its end when the daemon stops.
const READER_GRACE: Duration = Duration::from_millis(500);

impl Notifier {
    /// Makes one that knows no subjects and has opened nothing. `clock`: for reports and status, never for deadlines.
    pub fn new(
        node: &str,
        hooks: Arc<NodeHooks>,
        clock: impl Fn() -> Now + 'static,
        report: impl Fn(HookReport) + 'static,
    ) -> Self {
        Self {
            shared: Rc::new(Shared::new(node, hooks, clock, report)),
            workers: RefCell::default(),
            pipes: RefCell::default(),
            instances: RefCell::default(),
            groups: RefCell::default(),
            keepers: RefCell::default(),
        }
    }

    /// Calls the startup program and waits for it, then opens the pipes and starts their readers.
    ///
    /// What fails is reported and stops nothing. What is told before it reaches no pipe.
    pub async fn startup(&self) {
        if let Some(hook) = &self.hooks().startup {
            self.call(hook).await;
        }
        self.resume().await;
    }

    /// Opens the pipes alone: the process ran another program before, and the startup program has done its part.
    pub async fn resume(&self) {
        self.open(&self.hooks().fifos).await;
    }

    /// Replaces the subjects: all there are from here on, at start and at reload.
    ///
    /// One that is still there goes on with what it has been told; its hooks may be others. One that is not is told
    /// DELETED if it has a hook for that, else FAULT, and forgotten.
    pub fn subscribe(&self, subjects: Vec<SubjectParams>) {
        if self.shared.is_stopping() {
            return;
        }
        let mut old = self.workers.take();
        for params in subjects {
            let subject = params.subject.clone();
            let worker = match old.remove(&subject) {
                Some(worker) => {
                    worker.replace(params);
                    worker
                }
                None => Worker::new(Rc::clone(&self.shared), params),
            };
            self.start(&worker);
            self.workers.borrow_mut().insert(subject, worker);
        }
        for worker in old.values() {
            self.remove(worker);
        }
        // Those that have ended are forgotten.
        for set in [&self.instances, &self.groups] {
            while set.borrow_mut().try_join_next().is_some() {}
        }
    }

    /// Replaces pipes and what holds for all programs. What both have stays open.
    pub async fn reconfigure(&self, hooks: Arc<NodeHooks>) {
        let fifos = hooks.fifos.clone();
        self.shared.hooks.replace(hooks);
        let (kept, gone) = self.pipes.take().into_iter().partition(|(pipe, _)| fifos.contains(pipe.params()));
        self.pipes.replace(kept);
        let gone: Vec<(Rc<Pipe>, AbortHandle)> = gone;
        for (pipe, keeper) in gone {
            keeper.abort();
            pipe.close().await;
        }
        while self.keepers.borrow_mut().try_join_next().is_some() {}
        let is_new = |fifo: &&FifoParams| !self.pipes.borrow().iter().any(|(pipe, _)| pipe.params() == *fifo);
        let new: Vec<FifoParams> = fifos.iter().filter(is_new).cloned().collect();
        self.open(&new).await;
    }

    /// Tells a change of state: the pipes at once, the programs in turn. Unknown subjects are ignored.
    pub fn tell(&self, subject: &Subject, occasion: Occasion) {
        let Some(worker) = self.worker(subject) else { return };
        let state = ToldState::of(occasion.state);
        worker.tell(occasion);
        if let Some(state) = state {
            self.write(&worker, &state.to_string());
        }
    }

    /// Calls the programs of the present state again.
    ///
    /// [`Cause::Rivalry`] counts for a MASTER alone: of an instance the pipes get `MASTER_RX_LOWER_PRI`, and the programs
    /// for that are called before those for MASTER.
    pub fn repeat(&self, subject: &Subject, cause: Cause) {
        let Some(worker) = self.worker(subject) else { return };
        let is_told = worker.repeat(cause);
        match (subject, cause) {
            (Subject::Instance(_), Cause::Rivalry) if is_told => self.write(&worker, "MASTER_RX_LOWER_PRI"),
            (Subject::Instance(_) | Subject::Group(_), _) => {}
        }
    }

    /// Notes a new effective priority: the pipes get a line if they are to, later calls the number. A group has none.
    pub fn rank(&self, subject: &Subject, priority: Priority) {
        let (Subject::Instance(_), Some(worker)) = (subject, self.worker(subject)) else { return };
        let word = match worker.rank(priority) {
            Some(ToldState::Master) => "MASTER_PRIORITY",
            Some(ToldState::Backup | ToldState::Fault) => "BACKUP_PRIORITY",
            Some(ToldState::Stop | ToldState::Deleted) | None => return,
        };
        if self.hooks().tells_priority {
            self.write(&worker, word);
        }
    }

    /// Writes the state that each instance, then each group was told last into the pipes, if they are to get that after a
    /// reload. Programs are told nothing: for them nothing has changed.
    ///
    /// `priority`: of an instance, as the engine has it; the event that tells it may still be on its way.
    pub fn restate(&self, priority: impl Fn(RouterKey) -> Option<Priority>) {
        if !self.hooks().tells_states_on_reload {
            return;
        }
        for (subject, worker) in self.workers.borrow().iter() {
            if let Subject::Instance(router) = subject
                && let Some(priority) = priority(*router)
            {
                worker.rank(priority);
            }
            if let Some(state) = worker.known() {
                self.write(worker, &state.to_string());
            }
        }
    }

    /// Says how the hooks of a subject are doing; `None`: it has none, or is not known.
    pub fn status(&self, subject: &Subject) -> Option<HookStatus> {
        let worker = self.worker(subject)?;
        (!worker.params().hooks.calls.is_empty()).then(|| worker.status())
    }

    /// Tells STOP to every instance, then to every group, waits for the programs for at most `patience`, kills what is
    /// left, and removes the pipes. Nothing is told after it.
    ///
    /// Programs that run for another state have a third of that time; groups wait for the instances for half of it.
    /// Returns at once when there is nothing to wait for.
    pub async fn stop(&self, patience: Duration) {
        if self.shared.is_stopping() {
            return;
        }
        self.shared.hurry(patience / 3);
        let workers = self.workers.take();
        let (instances, groups): (Vec<_>, Vec<_>) =
            workers.into_iter().partition(|(subject, _)| matches!(subject, Subject::Instance(_)));
        for (_, worker) in &instances {
            worker.end(Some(ToldState::Stop), STOPPING);
        }
        for (_, worker) in instances.iter().chain(&groups) {
            self.write(worker, "STOP");
        }
        let (mut running, mut groups_running) = (self.instances.take(), self.groups.take());
        let told = async {
            let _ = timeout(patience / 2, async { while running.join_next().await.is_some() {} }).await;
            for (_, worker) in &groups {
                worker.end(Some(ToldState::Stop), STOPPING);
            }
            while groups_running.join_next().await.is_some() {}
            while running.join_next().await.is_some() {}
        };
        if timeout(patience, told).await.is_err() {
            for (_, worker) in instances.iter().chain(&groups) {
                worker.abandon();
            }
        }
        running.shutdown().await;
        groups_running.shutdown().await;
        self.close_pipes().await;
    }

    /// Waits until no program of a subject runs, at most `patience`, then closes the pipes: for a process that is about to become
    /// another program, which tells what holds once more.
    ///
    /// What still runs goes on, without anybody who reads what it says.
    pub async fn rest(&self, patience: Duration) {
        let rested = async {
            while self.workers.borrow().values().any(|worker| worker.is_calling()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(patience, rested).await;
        self.close_pipes().await;
    }

    /// Calls the shutdown program and waits for it. What fails is reported.
    pub async fn shutdown(&self) {
        if let Some(hook) = &self.hooks().shutdown {
            self.call(hook).await;
        }
    }

    /// Opens pipes and waits for the first attempt at each.
    async fn open(&self, fifos: &[FifoParams]) {
        let mut attempts = Vec::new();
        for fifo in fifos {
            let pipe = Pipe::new(Rc::clone(&self.shared), fifo.clone());
            let (tried, is_tried) = oneshot::channel();
            let keeper = self.keepers.borrow_mut().spawn_local(Rc::clone(&pipe).keep(tried));
            self.pipes.borrow_mut().push((pipe, keeper));
            attempts.push(is_tried);
        }
        for attempt in attempts {
            // An error means that its keeper was aborted.
            let _ = attempt.await;
        }
    }

    async fn close_pipes(&self) {
        let mut keepers = self.keepers.take();
        for (pipe, keeper) in self.pipes.take() {
            if !pipe.has_reader() {
                keeper.abort();
            }
            pipe.close().await;
        }
        let _ = timeout(READER_GRACE, async { while keepers.join_next().await.is_some() {} }).await;
        keepers.shutdown().await;
    }

    /// Calls a program of the daemon and waits for it.
    async fn call(&self, hook: &DaemonHook) {
        let ended = child::run(Call {
            command: &hook.command,
            scripts: &self.shared.scripts(),
            appended: &[],
            environment: &[("VRRPD_NODE".to_owned(), self.shared.node.clone())],
            timeout: hook.timeout,
        })
        .await;
        if ended.how != How::Exited(0) {
            let program = hook.command.words.first().map_or("", String::as_str);
            self.shared.report(Owner::Daemon, program, HookNews::Failed { state: None, ended, retry: None });
        }
    }

    /// Tells a subject that a reload removed.
    fn remove(&self, worker: &Rc<Worker>) {
        let has_hook = worker.params().hooks.calls.iter().any(|hook| hook.event == HookEvent::Deleted);
        let state = if has_hook { ToldState::Deleted } else { ToldState::Fault };
        // It is in FAULT already, or was never told anything.
        let is_known = worker.known().is_some_and(|known| known != state);
        if is_known {
            self.write(worker, &state.to_string());
        }
        worker.end(is_known.then_some(state), "removed by a reload");
    }

    fn start(&self, worker: &Rc<Worker>) {
        if !worker.needs_task() {
            return;
        }
        let set = match worker.params().subject {
            Subject::Instance(_) => &self.instances,
            Subject::Group(_) => &self.groups,
        };
        set.borrow_mut().spawn_local(Rc::clone(worker).run());
    }

    /// Writes a line to every pipe. The name is quoted but not escaped, as Keepalived's readers expect.
    fn write(&self, worker: &Worker, word: &str) {
        let params = worker.params();
        let line = format!("{} \"{}\" {word} {}\n", params.kind(), params.name, worker.priority());
        for (pipe, _) in self.pipes.borrow().iter() {
            pipe.write(&line);
        }
    }

    fn worker(&self, subject: &Subject) -> Option<Rc<Worker>> {
        self.workers.borrow().get(subject).cloned()
    }

    fn hooks(&self) -> Arc<NodeHooks> {
        Arc::clone(&self.shared.hooks.borrow())
    }
}

/// The reason of STOP.
const STOPPING: &str = "stopping";
