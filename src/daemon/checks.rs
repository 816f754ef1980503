//! Runs the checks and passes what they see on to the protocol thread.
//!
//! What `track` does not run is here: a check of an interface is what the network service says about it anyway.
//! One stop before: `track` and `net::service`. One stop after: `daemon::event_loop`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use super::channel::{ProtocolHandle, ToProtocol};
use crate::engine::input::{CheckKey, CheckResult, Input, Interface};
use crate::engine::params::{CheckKind, CheckParams, NodeParams, Scripts};
use crate::track;

/// The checks of a node.
pub(super) struct Checks {
    run_by_track: Vec<(CheckKey, Arc<CheckParams>)>,
    of_interfaces: Vec<(CheckKey, Arc<CheckParams>, watch::Receiver<Option<Interface>>)>,
    scripts: Arc<Scripts>,
}

/// What interfaces with a check are like.
pub(super) struct Ports(BTreeMap<String, watch::Sender<Option<Interface>>>);

impl Ports {
    /// Takes note of what an interface is like.
    pub fn look(&self, interface: &Interface) {
        if let Some(port) = self.0.get(&interface.name) {
            port.send_replace(Some(interface.clone()));
        }
    }
}

impl Checks {
    /// Makes the checks of a node; interfaces are told of through the ports.
    pub fn new(params: &NodeParams) -> (Self, Ports) {
        let mut ports: BTreeMap<String, watch::Sender<Option<Interface>>> = BTreeMap::new();
        let (mut run_by_track, mut of_interfaces) = (Vec::new(), Vec::new());
        for (slot, check) in (0..).zip(&params.checks) {
            let (key, check) = (CheckKey(slot), Arc::clone(check));
            match &check.kind {
                CheckKind::Interface(name) => {
                    let port = ports.entry(name.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe();
                    of_interfaces.push((key, check, port));
                }
                CheckKind::Exec(_)
                | CheckKind::Http(_)
                | CheckKind::Tcp(_)
                | CheckKind::Process(_)
                | CheckKind::Unit(_)
                | CheckKind::File { .. }
                | CheckKind::Ping(_) => run_by_track.push((key, check)),
            }
        }
        (Self { run_by_track, of_interfaces, scripts: Arc::new(params.hooks.scripts.clone()) }, Ports(ports))
    }

    /// Runs them until dropped; inside a `LocalSet` only.
    pub async fn run(self, protocol: ProtocolHandle) {
        let report = |check, result, words| protocol.send(ToProtocol::Input(Input::Check { check, result, words }));
        let others = async {
            if self.run_by_track.is_empty() {
                return std::future::pending().await;
            }
            track::run(self.run_by_track, self.scripts, |seen| report(seen.check, seen.result, seen.words)).await;
        };
        let followed = self.of_interfaces.into_iter().map(|(key, check, port)| follow(key, check, port, &report));
        let interfaces = async {
            join_all(followed).await;
            // Their ports are gone, and with them whoever would tell of anything.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = others => {}
            () = interfaces => {}
        }
    }
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
            let params = NodeParams { checks: vec![check(2, 3)], ..NodeParams::default() };
            let (checks, ports) = Checks::new(&params);
            let (key, check, port) = checks.of_interfaces.into_iter().next().unwrap();
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
