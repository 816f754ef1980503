//! The worker of one subject: its programs one after the other, newest state first and last.
//!
//! One stop before: [`super::Notifier`]; one stop after: `child`.

use std::cell::{Cell, RefCell};
use std::future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::call::{self, Attempt, Told};
use super::report::{HookNews, Owner};
use super::shared::{Shared, back_off};
use super::status::{CallStatus, HookStatus};
use super::subject::{Cause, Occasion, SubjectParams, ToldState};
use crate::child::{self, Call, Ended, How};
use crate::engine::output::StateName;
use crate::engine::params::{Hook, HookEvent};
use crate::engine::time::Now;
use crate::wire::field::Priority;

/// Calls the programs of one subject.
pub(super) struct Worker {
    shared: Rc<Shared>,
    params: RefCell<Rc<SubjectParams>>,
    state: RefCell<State>,
    wake: Notify,
    /// Its task runs, or has run to its end.
    has_task: Cell<bool>,
}

#[derive(Default)]
struct State {
    sequence: u64,
    /// What holds; nothing before the first occasion and in INIT.
    present: Option<Rc<Told>>,
    /// What was last told; INIT before the first occasion.
    known: Option<ToldState>,
    told_at: Option<Now>,
    /// Effective priority; 0 of a group.
    priority: u8,
    /// What is to be done next.
    wanted: Option<Order>,
    /// Nothing comes after what is wanted.
    is_last: bool,
    /// The hooks were replaced.
    is_changed: bool,
    /// Failed rounds in a row for what holds.
    failures: u32,
    superseded: u64,
    /// The call that runs, or the last one.
    last: Option<CallStatus>,
    /// The last call that failed for what holds.
    failed: Option<CallStatus>,
}

/// To call the programs for an occasion.
struct Order {
    told: Rc<Told>,
    cause: Cause,
    /// Those for a rival first.
    hears_lower: bool,
}

/// When something is done without anything new.
#[derive(Default)]
struct Timers {
    /// For which occasion.
    sequence: u64,
    retry: Option<Pin<Box<Sleep>>>,
    /// What is called then.
    failed: Vec<Hook>,
    refresh: Option<Pin<Box<Sleep>>>,
}

impl Worker {
    pub fn new(shared: Rc<Shared>, params: SubjectParams) -> Rc<Self> {
        Rc::new(Self {
            shared,
            params: RefCell::new(Rc::new(params)),
            state: RefCell::default(),
            wake: Notify::new(),
            has_task: Cell::new(false),
        })
    }

    pub fn params(&self) -> Rc<SubjectParams> {
        Rc::clone(&self.params.borrow())
    }

    /// Replaces the hooks; what was told stays told.
    pub fn replace(&self, params: SubjectParams) {
        self.params.replace(Rc::new(params));
        self.state.borrow_mut().is_changed = true;
        self.wake.notify_one();
    }

    /// Says whether its task must be started; once.
    pub fn needs_task(&self) -> bool {
        !self.params.borrow().hooks.calls.is_empty() && !self.has_task.replace(true)
    }

    /// Notes what happened and replaces what was wanted.
    pub fn tell(&self, occasion: Occasion) {
        let state = ToldState::of(occasion.state);
        let mut own = self.state.borrow_mut();
        own.priority = occasion.priority.map_or(0, Priority::get);
        own.told_at = Some(occasion.at);
        let cause = if occasion.previous == StateName::Init { Cause::Start } else { Cause::Transition };
        drop(own);
        self.enter(state, occasion.previous, occasion.reason.to_string(), occasion.master, cause);
    }

    /// Tells the last thing; `None`: nothing, but ends what was going on.
    pub fn end(&self, state: Option<ToldState>, reason: &str) {
        let mut own = self.state.borrow_mut();
        own.is_last = true;
        own.told_at = Some(self.shared.now());
        let previous = own.known.map_or(StateName::Init, name_of);
        drop(own);
        self.enter(state, previous, reason.to_owned(), None, Cause::Transition);
    }

    /// Says whether a program runs.
    pub fn is_calling(&self) -> bool {
        self.state.borrow().last.as_ref().is_some_and(|call| call.ended.is_none())
    }

    /// Reports what still runs and will be killed.
    pub fn abandon(&self) {
        let own = self.state.borrow();
        let Some(last) = own.last.as_ref().filter(|call| call.ended.is_none()) else { return };
        let (program, state) = (Arc::clone(&last.program), last.state);
        drop(own);
        self.shared.report(Owner::of(&self.params()), &program, HookNews::Killed { state });
    }

    fn enter(
        &self,
        state: Option<ToldState>,
        previous: StateName,
        reason: String,
        master: Option<IpAddr>,
        cause: Cause,
    ) {
        let mut own = self.state.borrow_mut();
        let replaced = own.wanted.take();
        own.failures = 0;
        own.failed = None;
        own.present = None;
        if let Some(state) = state {
            own.sequence += 1;
            own.known = Some(state);
            let told = Rc::new(Told { state, previous, reason, master, sequence: own.sequence });
            if !call::hooks_for(&self.params.borrow().hooks.calls, state).is_empty() {
                own.wanted = Some(Order { told: Rc::clone(&told), cause, hears_lower: false });
            }
            own.present = Some(told);
        }
        drop(own);
        if let Some(order) = replaced {
            self.skip(&order.told, order.cause);
        }
        self.wake.notify_one();
    }

    /// Wants the programs of the present state to be called again; says whether there is a state to tell.
    pub fn repeat(&self, cause: Cause) -> bool {
        let mut own = self.state.borrow_mut();
        let Some(told) = own.present.clone().filter(|told| !told.state.is_end()) else { return false };
        if cause == Cause::Rivalry && told.state != ToldState::Master {
            return false;
        }
        let hears_lower = cause == Cause::Rivalry;
        match &mut own.wanted {
            // An occasion that still waits is told with its own cause.
            Some(order) => order.hears_lower |= hears_lower,
            None => {
                let order = Order { told, cause, hears_lower };
                if !self.hooks_of(&order).is_empty() {
                    own.wanted = Some(order);
                    self.wake.notify_one();
                }
            }
        }
        true
    }

    /// Notes the effective priority; returns what was last told.
    pub fn rank(&self, priority: Priority) -> Option<ToldState> {
        let mut own = self.state.borrow_mut();
        own.priority = priority.get();
        own.present.as_ref().map(|told| told.state)
    }

    pub fn known(&self) -> Option<ToldState> {
        self.state.borrow().known
    }

    pub fn priority(&self) -> u8 {
        self.state.borrow().priority
    }

    pub fn status(&self) -> HookStatus {
        let own = self.state.borrow();
        let runs = own.last.as_ref().filter(|call| call.ended.is_none());
        HookStatus {
            state: own.known,
            sequence: own.sequence,
            told_at: own.told_at,
            last: runs.or(own.failed.as_ref()).or(own.last.as_ref()).cloned(),
            failures: own.failures,
            superseded: own.superseded,
        }
    }

    /// Calls programs until the last thing was told.
    pub async fn run(self: Rc<Self>) {
        let mut timers = Timers::default();
        while let Some((order, hooks)) = self.next(&mut timers).await {
            self.serve(&order, hooks, &mut timers).await;
        }
    }

    /// Waits for something to do; `None`: nothing comes any more.
    async fn next(&self, timers: &mut Timers) -> Option<(Order, Vec<Hook>)> {
        loop {
            let (wanted, present, is_last, is_changed) = {
                let mut own = self.state.borrow_mut();
                (own.wanted.take(), own.present.clone(), own.is_last, std::mem::take(&mut own.is_changed))
            };
            if let Some(order) = wanted {
                let hooks = self.hooks_of(&order);
                return Some((order, hooks));
            }
            if is_last {
                return None;
            }
            let Some(told) = present else {
                *timers = Timers::default();
                self.wake.notified().await;
                continue;
            };
            if timers.sequence != told.sequence {
                *timers = Timers { sequence: told.sequence, ..Timers::default() };
            }
            if is_changed {
                let params = self.params();
                timers.refresh = params.hooks.refresh.map(|refresh| Box::pin(sleep(refresh)));
                if timers.failed.iter().any(|hook| !params.hooks.calls.contains(hook)) {
                    // What failed was repaired, perhaps: whoever takes its place is told what holds.
                    let order = Order { told, cause: Cause::Retry, hears_lower: false };
                    let hooks = self.hooks_of(&order);
                    return Some((order, hooks));
                }
            }
            select! {
                () = self.wake.notified() => {}
                () = due(&mut timers.retry) => {
                    let order = Order { told, cause: Cause::Retry, hears_lower: false };
                    return Some((order, std::mem::take(&mut timers.failed)));
                }
                () = due(&mut timers.refresh) => {
                    let order = Order { told, cause: Cause::Refresh, hears_lower: false };
                    let hooks = self.hooks_of(&order);
                    return Some((order, hooks));
                }
            }
        }
    }

    fn hooks_of(&self, order: &Order) -> Vec<Hook> {
        let params = self.params();
        let mut hooks = call::hooks_for(&params.hooks.calls, order.told.state);
        if order.hears_lower {
            let hears_lower = |hook: &&Hook| hook.event == HookEvent::MasterHearsLower;
            hooks.splice(0..0, params.hooks.calls.iter().filter(hears_lower).cloned());
        }
        hooks
    }

    /// Calls programs one after the other until all were called or something newer happened.
    async fn serve(&self, order: &Order, hooks: Vec<Hook>, timers: &mut Timers) {
        let number = self.state.borrow().failures.saturating_add(1);
        let mut failed = Vec::new();
        let called = hooks.last().and_then(|hook| hook.command.words.first().cloned());
        for hook in hooks {
            // Never closed.
            let Ok(_permit) = self.shared.permits.acquire().await else { return };
            if !self.is_present(&order.told) {
                self.skip(&order.told, order.cause);
                return;
            }
            if !self.call(&hook, order, number).await && hook.event != HookEvent::MasterHearsLower {
                failed.push(hook);
            }
        }
        if !self.is_present(&order.told) {
            return;
        }
        let failures = self.count(order, &failed, called);
        timers.sequence = order.told.sequence;
        timers.retry = if failures == 0 { None } else { Some(Box::pin(sleep(back_off(failures)))) };
        timers.failed = failed;
        if order.cause != Cause::Retry {
            timers.refresh = self.params.borrow().hooks.refresh.map(|refresh| Box::pin(sleep(refresh)));
        }
    }

    /// Notes how a round went; returns how many failed in a row. `called`: the last program of the round.
    fn count(&self, order: &Order, failed: &[Hook], called: Option<String>) -> u32 {
        let mut own = self.state.borrow_mut();
        if !failed.is_empty() {
            own.failures = own.failures.saturating_add(1);
            return own.failures;
        }
        let failures = std::mem::take(&mut own.failures);
        own.failed = None;
        drop(own);
        if let (1.., Some(program)) = (failures, called) {
            let what = HookNews::Recovered { state: order.told.state, failures };
            self.shared.report(Owner::of(&self.params()), &program, what);
        }
        0
    }

    /// Calls one program and waits for its end; says whether it succeeded.
    async fn call(&self, hook: &Hook, order: &Order, number: u32) -> bool {
        let params = self.params();
        let Order { told, cause, .. } = order;
        let (began_at, priority) = (self.shared.now(), self.state.borrow().priority);
        let program = hook.command.words.first().map_or("", String::as_str);
        self.state.borrow_mut().last = Some(CallStatus {
            event: hook.event,
            program: program.into(),
            state: told.state,
            cause: *cause,
            sequence: told.sequence,
            attempt: number,
            began_at,
            ended: None,
        });
        let attempt = Attempt { cause: *cause, number, priority };
        let scripts = self.shared.scripts();
        let appended = call::arguments(hook.event, &params, told.state, priority);
        let environment = call::environment(&self.shared.node, &params, told, attempt);
        let running = child::run(Call {
            command: &hook.command,
            scripts: &scripts,
            appended: &appended,
            environment: &environment,
            timeout: params.hooks.timeout,
        });
        let ended = if told.state.is_end() {
            Some(running.await)
        } else {
            select! {
                biased;
                ended = running => Some(ended),
                () = self.shared.out_of_grace() => None,
            }
        };
        self.ended(&params, told, ended)
    }

    /// Notes how a call ended; `None`: the daemon could not wait for it. Says whether it succeeded.
    fn ended(&self, params: &SubjectParams, told: &Told, ended: Option<Ended>) -> bool {
        let now = self.shared.now();
        let mut own = self.state.borrow_mut();
        let is_present = own.present.as_ref().is_some_and(|present| present.sequence == told.sequence);
        let may_retry = is_present && !own.is_last;
        let failures = own.failures.saturating_add(1);
        // Made by `call` before it waited.
        let Some(last) = own.last.as_mut() else { return false };
        let may_retry = may_retry && last.event != HookEvent::MasterHearsLower;
        let program = Arc::clone(&last.program);
        let is_killed = ended.is_none();
        let ended = ended.unwrap_or(Ended { how: How::TimedOut, last_line: String::new() });
        last.ended = Some((now, ended.clone()));
        let is_success = ended.how == How::Exited(0);
        if !is_success && is_present {
            own.failed = own.last.clone();
        }
        drop(own);
        if is_killed {
            self.shared.report(Owner::of(params), &program, HookNews::Killed { state: told.state });
        } else if !is_success {
            let retry = may_retry.then(|| back_off(failures));
            self.shared.report(Owner::of(params), &program, HookNews::Failed { state: Some(told.state), ended, retry });
        }
        is_success
    }

    fn is_present(&self, told: &Told) -> bool {
        self.state.borrow().present.as_ref().is_some_and(|present| present.sequence == told.sequence)
    }

    /// Counts an occasion that not all programs were told; one that is only repeated was told before.
    fn skip(&self, told: &Told, cause: Cause) {
        match cause {
            Cause::Start | Cause::Transition => {}
            Cause::Rivalry | Cause::Refresh | Cause::Retry => return,
        }
        let mut own = self.state.borrow_mut();
        own.superseded = own.superseded.saturating_add(1);
        drop(own);
        let params = self.params();
        let hooks = call::hooks_for(&params.hooks.calls, told.state);
        let program = hooks.first().and_then(|hook| hook.command.words.first()).map_or("", String::as_str);
        let what = HookNews::Superseded { state: told.state, sequence: told.sequence };
        self.shared.report(Owner::of(&params), program, what);
    }
}

/// Returns when a timer is due; never when there is none.
async fn due(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(sleep) => sleep.as_mut().await,
        None => future::pending().await,
    }
    *timer = None;
}

/// Returns the state as it was before the end.
const fn name_of(state: ToldState) -> StateName {
    match state {
        ToldState::Master => StateName::Master,
        ToldState::Backup => StateName::Backup,
        ToldState::Fault => StateName::Fault,
        ToldState::Stop | ToldState::Deleted => StateName::Init,
    }
}
