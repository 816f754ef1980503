//! Who changes the state because of a reload, as far as it can be known before: by the present states and the two
//! configurations.

use crate::engine::change::{Fate, Plan};
use crate::engine::input::RouterKey;
use crate::engine::output::StateName;
use crate::engine::params::{NodeParams, Preempt, RouterParams};
use crate::engine::snapshot::RouterSnapshot;

/// Returns a sentence for each instance that changes the state, or may.
pub(super) fn state_changes(routers: &[RouterSnapshot], plan: &Plan, after: &NodeParams) -> Vec<String> {
    let find = |key: &RouterKey| routers.iter().find(|router| router.key == *key);
    let mut found = Vec::new();
    for (fate, wanted) in plan.fates.iter().zip(&after.routers) {
        match fate {
            Fate::Kept(_) => {}
            Fate::Updated(key) => found.extend(find(key).and_then(|router| of_update(router, wanted))),
            Fate::Replaced(key) => found.extend(find(key).map(|router| of_replacement(router, wanted))),
            Fate::Added => found.push(format!("{} begins as BACKUP", wanted.name)),
        }
    }
    for router in plan.removed.iter().filter_map(find) {
        found.push(match router.state {
            StateName::Master => format!("{} is MASTER: it hands over and ends", router.params.name),
            StateName::Backup | StateName::Fault | StateName::Init => {
                format!("{} is {}: it ends", router.params.name, router.state)
            }
        });
    }
    found
}

fn of_replacement(router: &RouterSnapshot, wanted: &RouterParams) -> String {
    match router.state {
        StateName::Master => format!("{} is MASTER: it hands over and begins anew as BACKUP", wanted.name),
        StateName::Backup | StateName::Fault | StateName::Init => format!("{} begins anew as BACKUP", wanted.name),
    }
}

fn of_update(router: &RouterSnapshot, wanted: &RouterParams) -> Option<String> {
    // What the checks add stays, as far as they are the same.
    let gained = i32::from(router.effective_priority.get()) - i32::from(router.params.priority.get());
    let ours = if wanted.is_owner() { 255 } else { (i32::from(wanted.priority.get()) + gained).clamp(1, 254) };
    let name = &wanted.name;
    match router.state {
        StateName::Master if ours < i32::from(router.effective_priority.get()) => {
            let mut better = wanted.peers().iter().filter_map(|peer| {
                let configured = peer.priority.map(|priority| i32::from(priority.get()))?;
                (configured > ours).then_some((configured, peer.address))
            });
            match better.next() {
                Some((theirs, peer)) => {
                    Some(format!("{name} hands over: its priority falls to {ours}, and {peer} has {theirs}"))
                }
                None if wanted.peers().iter().all(|peer| peer.priority.is_some()) && !wanted.peers().is_empty() => None,
                None => Some(format!("{name} hands over if a peer has more than {ours}")),
            }
        }
        StateName::Backup => {
            let master = router.master?;
            let theirs = i32::from(master.priority.get());
            let was_better =
                i32::from(router.effective_priority.get()) > theirs && router.params.preempt != Preempt::Never;
            let is_better = ours > theirs && (wanted.preempt != Preempt::Never || wanted.is_owner());
            let Preempt::After(delay) = wanted.preempt else {
                return (is_better && !was_better)
                    .then(|| format!("{name} takes over from {}: {ours} against {theirs}", master.address));
            };
            (is_better && !was_better)
                .then(|| format!("{name} takes over from {} after {delay:?}: {ours} against {theirs}", master.address))
        }
        StateName::Master | StateName::Fault | StateName::Init => None,
    }
}
