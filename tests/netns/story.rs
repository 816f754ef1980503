//! How a story is told: steps, and after each of them who holds the address and what the client missed.

use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node;
use vrrpd::demo::plan::Plan;
use vrrpd::demo::probe::EVERY;

use crate::cluster::Cluster;
use crate::driver::Kind;

/// A story: nodes, and what happens to them.
pub struct Story {
    /// What it shows.
    pub name: &'static str,
    /// What the nodes are told.
    pub plan: Plan,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that happens, and what must come of it.
pub struct Step {
    /// What is done.
    pub act: Act,
    /// Who holds the address at the quiet point after it.
    pub holders: Vec<Node>,
    /// What the client may miss.
    pub miss: Miss,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A daemon is started; its host comes back if it was dead.
    Start(Node),
    /// A daemon is asked to stop.
    Stop(Node),
    /// Another program takes the place of a daemon: the one is stopped, if it runs, and the other started at once.
    Swap(Node, Kind),
    /// A host dies.
    Die(Node),
    /// A node is cut off from the others and from the client; its link stays up.
    Isolate(Node),
    /// A node's cable is pulled: it sees its carrier go.
    Unplug(Node),
    /// It is connected again.
    Heal(Node),
    /// What a node's check looks at breaks.
    Break(Node),
    /// It works again.
    Repair(Node),
}

/// What the client may miss during a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// Anything: nobody held the address before, or two did.
    Anything,
    /// Nothing: the address does not move.
    Nothing,
    /// The address moves from one living node to another. Nothing when the leaving one is ours; what Keepalived and FRR
    /// cost is the taker's skew after a stop and a moment otherwise.
    Handover,
    /// The time after which a silent master counts as dead, and not less.
    Death,
}

/// What a loaded machine may add to any limit. Generous: these stories are about order, `measure.rs` is about time.
const SLACK: Duration = Duration::from_millis(500);
/// By how much a takeover may seem early: FRR counts in centiseconds. An address is stamped when its notification is
/// read, an advert by the kernel, so what is on time never looks early.
const EARLY: Duration = Duration::from_millis(5);

/// Tells a story with these daemons; panics where it goes another way than it should.
pub fn tell(story: &Story, kinds: &[Kind]) {
    let told = (|| {
        let mut cluster = Cluster::new(&story.plan, kinds)?;
        play(&mut cluster, &format!("{} {kinds:?}", story.name), &story.steps);
        Ok::<(), LabError>(())
    })();
    if let Err(error) = told {
        panic!("{} {kinds:?}: {error}", story.name);
    }
}

/// Takes these steps with a cluster; panics where it goes another way than it should. `name` is for whoever reads that.
pub fn play(cluster: &mut Cluster, name: &str, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let since = now();
        let measured = take(cluster, step, since).unwrap_or_else(|error| {
            let account = cluster.account(since);
            panic!("{name}, step {} {:?}: {error}\n{account}", number + 1, step.act)
        });
        eprintln!("{name} {:?}: {measured}", step.act);
    }
}

/// Takes one step; returns what was measured.
fn take(cluster: &mut Cluster, step: &Step, since: Duration) -> Result<String, LabError> {
    let before = cluster.watch.look(|log| cluster.holders(log));
    act(cluster, step.act)?;
    let limit = limit(cluster, step);
    let awaited = format!("{:?} to hold the address (before: {before:?})", step.holders);
    let arrived = cluster.watch.wait(&awaited, limit, |log| (cluster.holders(log) == step.holders).then_some(()));
    // A daemon that is gone is a better reason than a holder that never came.
    cluster.check_alive()?;
    arrived?;
    let reached = now() - since;
    let quiet = if before == step.holders { idle(cluster, step) } else { (cluster.plan.interval * 5 / 4).max(SLACK) };
    cluster.watch.pause(quiet)?;
    cluster.check_alive()?;
    let after = cluster.watch.look(|log| cluster.holders(log));
    if after != step.holders {
        return Err(wrong(format!("{after:?} hold the address after it was with {:?}", step.holders)));
    }
    check_moves(cluster, step, &before, since)?;
    check_client(cluster, step, &before)?;
    let outage = cluster.probe.outage(since, now());
    let taker = step.holders.iter().find(|node| !before.contains(node)).or(step.holders.first()).copied();
    check_outage(cluster, step, (before.first().copied(), taker), since, &outage)?;
    let ms = |length: Duration| length.as_secs_f64() * 1e3;
    Ok(format!(
        "{after:?} after {:.0} ms; client missed {} of {}, longest silence {:.1} ms, own pause {:.1} ms",
        ms(reached),
        outage.lost,
        outage.sent,
        ms(outage.gap),
        ms(outage.own_pause)
    ))
}

fn act(cluster: &mut Cluster, act: Act) -> Result<(), LabError> {
    match act {
        Act::Start(node) => cluster.start(node),
        Act::Stop(node) => cluster.stop(node),
        Act::Swap(node, kind) => cluster.swap(node, kind),
        Act::Die(node) => cluster.die(node),
        Act::Isolate(node) => cluster.isolate(node),
        Act::Unplug(node) => cluster.unplug(node),
        Act::Heal(node) => cluster.heal(node),
        Act::Break(node) => cluster.set_healthy(node, false),
        Act::Repair(node) => cluster.set_healthy(node, true),
    }
}

/// Returns how long the step may take: the longest master-down interval of those involved and the slack.
fn limit(cluster: &Cluster, step: &Step) -> Duration {
    let start = match step.act {
        Act::Start(node) | Act::Swap(node, _) => cluster.kind(node).start_slack(),
        Act::Stop(_)
        | Act::Die(_)
        | Act::Isolate(_)
        | Act::Unplug(_)
        | Act::Heal(_)
        | Act::Break(_)
        | Act::Repair(_) => Duration::ZERO,
    };
    longest_master_down(cluster) + start + SLACK
}

/// Returns how long nothing must happen when nothing should: long enough for a node that wrongly wants the address.
fn idle(cluster: &Cluster, step: &Step) -> Duration {
    let start = match step.act {
        Act::Start(node) | Act::Swap(node, _) => cluster.kind(node).start_slack() / 2,
        Act::Stop(_)
        | Act::Die(_)
        | Act::Isolate(_)
        | Act::Unplug(_)
        | Act::Heal(_)
        | Act::Break(_)
        | Act::Repair(_) => Duration::ZERO,
    };
    longest_master_down(cluster) + start.max(SLACK)
}

fn longest_master_down(cluster: &Cluster) -> Duration {
    cluster.plan.nodes().map(|node| cluster.plan.master_down(node)).max().unwrap_or_default()
}

/// Each node that came to hold the address did so once, nobody else did at all.
fn check_moves(cluster: &Cluster, step: &Step, before: &[Node], since: Duration) -> Result<(), LabError> {
    for node in cluster.plan.nodes().filter(|node| cluster.kind(*node).moves_addresses()) {
        let is_newcomer = step.holders.contains(&node) && !before.contains(&node);
        let times = cluster.watch.look(|log| log.acquisitions(cluster.address(), node, since)).len();
        if times != usize::from(is_newcomer) {
            let wanted = usize::from(is_newcomer);
            return Err(wrong(format!("node {node} took the address {times} times, expected {wanted}")));
        }
    }
    Ok(())
}

/// The client gets its answers from the one who holds the address, or from one of those.
fn check_client(cluster: &Cluster, step: &Step, before: &[Node]) -> Result<(), LabError> {
    let is_keepalived_after_rivalry =
        before.len() > 1 && step.holders.iter().any(|node| !cluster.kind(*node).is_ours());
    // After a split Keepalived leaves some clients with the loser; that is a reason for this project, not its test.
    if step.holders.is_empty() || is_keepalived_after_rivalry {
        return Ok(());
    }
    let answered_by = cluster.probe.answered_by(Duration::from_millis(200));
    match answered_by {
        Some(node) if step.holders.contains(&node) => Ok(()),
        _ => Err(wrong(format!("{:?} hold the address, but {answered_by:?} answers the client", step.holders))),
    }
}

fn check_outage(
    cluster: &Cluster,
    step: &Step,
    (leaver, taker): (Option<Node>, Option<Node>),
    since: Duration,
    outage: &vrrpd::demo::probe::Outage,
) -> Result<(), LabError> {
    let noise = outage.own_pause;
    let too_long = |limit: Duration| {
        let text =
            format!("client: {} lost, silence {:?}, limit {limit:?} (own pause {noise:?})", outage.lost, outage.gap);
        if outage.gap > limit + noise { Err(wrong(text)) } else { Ok(()) }
    };
    let nothing_lost = || {
        let permitted = lost_to_haste(cluster, taker, since);
        let text = format!(
            "client: {} lost, silence {:?} (own pause {noise:?}), at most {permitted} expected",
            outage.lost, outage.gap
        );
        if outage.lost <= permitted { Ok(()) } else { Err(wrong(text)) }
    };
    match (step.miss, step.act) {
        (Miss::Anything, _) => Ok(()),
        (Miss::Nothing, _) => nothing_lost(),
        (Miss::Handover, Act::Stop(node)) if cluster.kind(node).is_ours() => nothing_lost(),
        (Miss::Handover, Act::Stop(_)) => {
            too_long(taker.map(|node| cluster.plan.skew(node)).unwrap_or_default() + SLACK)
        }
        (Miss::Handover, _) => match leaver {
            Some(leaver) if cluster.kind(leaver).is_ours() => nothing_lost(),
            Some(_) | None => too_long(SLACK),
        },
        (Miss::Death, Act::Die(dead) | Act::Isolate(dead) | Act::Unplug(dead)) => {
            check_not_early(cluster, taker, dead, since)?;
            too_long(taker.map(|node| cluster.plan.master_down(node)).unwrap_or_default() + SLACK)
        }
        (Miss::Death, Act::Start(_) | Act::Stop(_) | Act::Swap(..) | Act::Heal(_) | Act::Break(_) | Act::Repair(_)) => {
            Err(wrong("a death without a dead node".into()))
        }
    }
}

/// Returns how many requests a taker may lose that is not ours: Keepalived announces an address before it has it, by what
/// the kernel needs to add it. 0 for ours.
pub fn lost_to_haste(cluster: &Cluster, taker: Option<Node>, since: Duration) -> usize {
    let Some(taker) = taker.filter(|node| !cluster.kind(*node).is_ours()) else { return 0 };
    let blind = cluster.watch.look(|log| log.announced_too_early(cluster.address(), taker, since));
    if blind.is_zero() { 0 } else { blind.as_nanos().div_ceil(EVERY.as_nanos()) as usize + 1 }
}

/// A takeover before the deadline means wrong timers, even if nobody is hurt.
fn check_not_early(cluster: &Cluster, taker: Option<Node>, dead: Node, since: Duration) -> Result<(), LabError> {
    let Some(taker) = taker.filter(|node| cluster.kind(*node).moves_addresses()) else {
        return Ok(());
    };
    let (last_heard, taken) = cluster.watch.look(|log| {
        let taken = log.acquisitions(cluster.address(), taker, since).first().copied();
        (log.last_heard(taker, cluster.plan.vrid, cluster.plan.source(dead), taken.unwrap_or(since)), taken)
    });
    match (last_heard, taken) {
        (Some(last_heard), Some(taken)) if taken + EARLY < last_heard + cluster.plan.master_down(taker) => {
            Err(wrong(format!("node {taker} took over {:?} after the last advert: too early", taken - last_heard)))
        }
        (Some(_), Some(_)) => Ok(()),
        (None, _) => Err(wrong(format!("node {taker} heard no advert of node {dead} before that went"))),
        (_, None) => Err(wrong(format!("node {taker} did not take the address"))),
    }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "story".to_owned(), problem }
}
