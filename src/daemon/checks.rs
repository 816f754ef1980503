//! Runs the checks and passes what they see on to the protocol thread.
//!
//! What `track` does not run is here: a check of an interface is what the network service says about it anyway. A reload
//! stops and starts those alone that are different.
//! One stop before: `track` and `net::service`. One stop after: `daemon::event_loop`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::channel::{ProtocolHandle, ToProtocol};
use crate::engine::input::{CheckKey, CheckResult, Input, Interface};
use crate::engine::params::{CheckKind, CheckParams, Scripts};
use crate::track::{self, Stoppable, stoppable};

/// The checks of a node. Inside a `LocalSet` only; dropping it ends them, and their programs with them.
pub(super) struct Checks {
    protocol: ProtocolHandle,
    ports: Ports,
    running: RefCell<BTreeMap<CheckKey, Running>>,
    /// One task for all that began together; it ends when all of them have.
    tasks: RefCell<JoinSet<()>>,
}

/// A check that runs for as long as this is there.
struct Running {
    _until: oneshot::Sender<()>,
    /// Who runs its program, if it is one.
    scripts: Option<Scripts>,
}

/// What interfaces are like, as far as was told.
#[derive(Default)]
struct Ports(RefCell<BTreeMap<String, watch::Sender<Option<Interface>>>>);

impl Ports {
    fn look(&self, interface: &Interface) {
        self.with(&interface.name, |port| port.send_replace(Some(interface.clone())));
    }

    fn follow(&self, name: &str) -> watch::Receiver<Option<Interface>> {
        self.with(name, watch::Sender::subscribe)
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&watch::Sender<Option<Interface>>) -> T) -> T {
        let mut ports = self.0.borrow_mut();
        act(ports.entry(name.to_owned()).or_insert_with(|| watch::Sender::new(None)))
    }
}

impl Checks {
    /// Runs none yet; what they see goes to `protocol`.
    pub fn new(protocol: ProtocolHandle) -> Self {
        Self { protocol, ports: Ports::default(), running: RefCell::default(), tasks: RefCell::default() }
    }

    /// Takes note of what an interface is like.
    pub fn look(&self, interface: &Interface) {
        self.ports.look(interface);
    }

    /// Runs these from here on: what runs already goes on, whatever else runs is stopped. A number stands for the same
    /// check for ever; a program is another one when somebody else is to run it.
    pub fn replace(&self, checks: &[(CheckKey, Arc<CheckParams>)], scripts: &Scripts) {
        let mut before = self.running.take();
        let mut running = BTreeMap::new();
        let mut new = Vec::new();
        for (key, params) in checks {
            let scripts = matches!(params.kind, CheckKind::Exec(_)).then(|| scripts.clone());
            match before.remove(key) {
                Some(known) if known.scripts == scripts => {
                    running.insert(*key, known);
                }
                Some(_) | None => {
                    let (until, check) = stoppable(*key, Arc::clone(params));
                    running.insert(*key, Running { _until: until, scripts });
                    new.push((*key, Arc::clone(params), check));
                }
            }
        }
        self.running.replace(running);
        drop(before);
        if !new.is_empty() {
            self.start(new, Arc::new(scripts.clone()));
        }
    }

    /// Returns when a task of the checks has failed, which it has no reason to.
    pub async fn failed(&self) {
        loop {
            let ended = poll_fn(|context| self.tasks.borrow_mut().poll_join_next(context)).await;
            match ended {
                Some(Ok(())) => {}
                Some(Err(_panicked)) => return,
                // Nothing runs; whoever starts something asks again.
                None => pending().await,
            }
        }
    }

    /// Ends all of them.
    pub fn stop(&self) {
        self.running.take();
        self.tasks.borrow_mut().abort_all();
    }

    fn start(&self, new: Vec<(CheckKey, Arc<CheckParams>, Stoppable)>, scripts: Arc<Scripts>) {
        let (of_interfaces, run_by_track): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|(_, params, _)| matches!(params.kind, CheckKind::Interface(_)));
        let mut tasks = self.tasks.borrow_mut();
        if !run_by_track.is_empty() {
            let report = reporter(self.protocol.clone());
            let checks = run_by_track.into_iter().map(|(_, _, check)| check).collect();
            tasks.spawn_local(track::run_until(checks, scripts, move |seen| {
                report(seen.check, seen.result, seen.words)
            }));
        }
        for (key, params, check) in of_interfaces {
            let CheckKind::Interface(name) = &params.kind else { continue };
            let port = self.ports.follow(name);
            let report = reporter(self.protocol.clone());
            tasks.spawn_local(async move {
                tokio::select! {
                    biased;
                    () = check.stopped() => {}
                    () = follow(key, params, port, report) => {}
                }
            });
        }
    }
}

fn reporter(protocol: ProtocolHandle) -> impl Fn(CheckKey, CheckResult, Arc<str>) {
    move |check, result, words| protocol.send(ToProtocol::Input(Input::Check { check, result, words }))
}

/// Reports what an interface is like: at each change, and again each interval until rise and fall are satisfied.
async fn follow(
    key: CheckKey,
    check: Arc<CheckParams>,
    mut port: watch::Receiver<Option<Interface>>,
    report: impl Fn(CheckKey, CheckResult, Arc<str>),
) {
    loop {
        let seen = port.borrow_and_update().as_ref().map(judge);
        let mut repeats = check.rise.max(check.fall).saturating_sub(1);
        if let Some((result, words)) = seen {
            report(key, result, words.into());
        }
        loop {
            tokio::select! {
                biased;
                changed = port.changed() => match changed {
                    Ok(()) => break,
                    // Nobody is left who would tell of anything.
                    Err(_) => return,
                },
                () = sleep(check.interval), if seen.is_some() && repeats > 0 => {
                    repeats -= 1;
                    if let Some((result, words)) = seen {
                        report(key, result, words.into());
                    }
                }
            }
        }
    }
}

/// Says what a check of an interface finds.
fn judge(interface: &Interface) -> (CheckResult, &'static str) {
    match (interface.index, interface.is_up) {
        (None, _) => (CheckResult::Failed, "interface does not exist"),
        (Some(_), false) => (CheckResult::Failed, "link down"),
        (Some(_), true) => (CheckResult::Passed, "link up"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;
    use crate::engine::params::Initial;

    fn check(rise: u32, fall: u32) -> Arc<CheckParams> {
        Arc::new(CheckParams {
            name: "uplink".to_owned(),
            kind: CheckKind::Interface("eth1".to_owned()),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            initial: Initial::Unknown,
        })
    }

    fn interface(index: Option<u32>, is_up: bool) -> Interface {
        Interface { name: "eth1".to_owned(), index, is_up, addresses: Vec::new(), elsewhere: Vec::new() }
    }

    #[test]
    fn an_interface_passes_while_it_is_up_and_running() {
        assert_eq!(judge(&interface(Some(2), true)), (CheckResult::Passed, "link up"));
        assert_eq!(judge(&interface(Some(2), false)), (CheckResult::Failed, "link down"));
        assert_eq!(judge(&interface(None, false)), (CheckResult::Failed, "interface does not exist"));
    }

    #[test]
    fn each_change_is_reported_as_often_as_rise_and_fall_need() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let ports = Ports::default();
            let (key, check, port) = (CheckKey(0), check(2, 3), ports.follow("eth1"));
            let seen = RefCell::new(Vec::new());
            let following = follow(key, check, port, |key, result, _| seen.borrow_mut().push((key, result)));
            tokio::pin!(following);
            let passed = (CheckKey(0), CheckResult::Passed);
            let failed = (CheckKey(0), CheckResult::Failed);
            let mut wait = async |length| {
                tokio::select! {
                    () = &mut following => panic!("it ended"),
                    () = sleep(length) => {}
                }
            };
            wait(Duration::from_secs(10)).await;
            assert_eq!(seen.take(), [], "nothing is known of the interface");
            ports.look(&interface(Some(2), true));
            ports.look(&Interface { name: "eth2".to_owned(), ..interface(None, false) });
            wait(Duration::from_secs(10)).await;
            assert_eq!(seen.take(), [passed, passed, passed]);
            ports.look(&interface(Some(2), false));
            wait(Duration::from_millis(1500)).await;
            ports.look(&interface(Some(2), true));
            wait(Duration::from_millis(500)).await;
            assert_eq!(seen.take(), [failed, failed, passed], "a change begins anew");
        });
    }
}
