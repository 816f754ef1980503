//! Splits that heal: afterwards the better node has the address alone, and the client is with it.
//!
//! Each round cuts one node off, each in turn, so that the client is with the loser in one half of them; and heals right
//! after an advert of one node, each in turn: the other one's is next, so each hears of its rival first in one half.

use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::probe::GRACE;
use vrrpd::demo::watch::{Log, Sight};
use vrrpd::wire::field::{Family, Version};

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::holding::longest_doubled;
use crate::neighbours::{Belief, belief};
use crate::repeat::{PACES, heals, pair};

/// What a machine with two busy cores may add to two intervals.
const MACHINE: Duration = Duration::from_millis(30);
/// After this a kernel asks anew for a neighbour that does not answer any more.
const PATIENCE: Duration = Duration::from_secs(15);

macro_rules! measure {
    ($($name:ident = $promise:ident($kinds:expr, $plan:expr);)+) => {
        $(#[test]
        fn $name() {
            beside_others(|| {
                let healed = heal_often($kinds, $plan).unwrap_or_else(|error| panic!("{error}"));
                $promise(stringify!($name), &healed);
            });
        })+
    };
}

measure! {
    ours_at_1_s = kept([Vrrpd, Vrrpd], pair(PACES[0]));
    ours_at_100_ms = kept([Vrrpd, Vrrpd], pair(PACES[1]));
    ours_at_10_ms = kept([Vrrpd, Vrrpd], pair(PACES[2]));
    ours_by_version_2 = kept([Vrrpd, Vrrpd], Plan { version: Version::V2, ..pair(PACES[0]) });
    ours_by_multicast_at_1_s = kept([Vrrpd, Vrrpd], multicast(PACES[0]));
    ours_by_multicast_at_100_ms = kept([Vrrpd, Vrrpd], multicast(PACES[1]));
    ours_by_multicast_at_10_ms = kept([Vrrpd, Vrrpd], multicast(PACES[2]));
    ours_by_multicast_ipv6 = kept([Vrrpd, Vrrpd], ipv6(multicast(PACES[1])));
    ours_and_keepalived = kept_unless_the_loser_left_in_silence([Vrrpd, Keepalived], pair(PACES[1]));
    ours_and_keepalived_by_multicast =
        kept_unless_the_loser_left_in_silence([Vrrpd, Keepalived], multicast(PACES[1]));
    keepalived_and_ours = kept([Keepalived, Vrrpd], pair(PACES[1]));
    keepalived_and_ours_by_multicast = kept([Keepalived, Vrrpd], multicast(PACES[1]));
    keepalived_alone_is_measured = measured([Keepalived, Keepalived], pair(PACES[1]));
}

/// What came of one heal.
struct Healed {
    /// Who was cut off.
    cut_off: Node,
    /// Who heard an advert of the other one first.
    heard_first: Option<Node>,
    /// How long the client went without an answer.
    silence: Duration,
    /// How long that may be.
    limit: Duration,
    /// How long both held the address after the heal.
    doubled: Duration,
}

/// The client was never without an answer for more than two intervals, in none of the forms.
fn kept(name: &str, healed: &[Healed]) {
    measured(name, healed);
    for (number, heal) in healed.iter().enumerate() {
        let Healed { silence, limit, cut_off, heard_first, .. } = heal;
        assert!(
            silence <= limit,
            "{name}, heal {}: {silence:?} without an answer, at most {limit:?} ({cut_off} was cut off, {heard_first:?} heard first)",
            number + 1
        );
    }
    for first in [A, B] {
        let count = healed.iter().filter(|heal| heal.heard_first == Some(first)).count();
        assert!(count > 0, "{name}: in no heal did {first} hear of the other one first");
    }
}

/// The same, but for the one form in which Keepalived lets nobody know: the client is with it, it hears of the better node
/// first, and steps down without a word. The winner cannot know that there was anybody. What that costs is printed.
fn kept_unless_the_loser_left_in_silence(name: &str, healed: &[Healed]) {
    measured(name, healed);
    let is_known = |heal: &&Healed| heal.cut_off != A || heal.heard_first != Some(B);
    for Healed { silence, limit, cut_off, heard_first, .. } in healed.iter().filter(is_known) {
        let how = format!("{cut_off} was cut off, {heard_first:?} heard first");
        assert!(silence <= limit, "{name}: {silence:?} without an answer, at most {limit:?} ({how})");
    }
}

/// What there was, in one line.
fn measured(name: &str, healed: &[Healed]) {
    let first = |node| healed.iter().filter(|heal| heal.heard_first == Some(node)).count();
    let worst = healed.iter().map(|heal| heal.silence).max().unwrap_or_default();
    let doubled = healed.iter().map(|heal| heal.doubled).max().unwrap_or_default();
    let cut_off = healed.iter().filter(|heal| heal.silence > heal.limit).count();
    eprintln!(
        "{name}: {} heals, {} heard first by a, {} by b; client cut off {cut_off} times, longest silence {worst:.1?}, both \
         held the address for {doubled:.1?} at most",
        healed.len(),
        first(A),
        first(B)
    );
}

fn heal_often(kinds: [Kind; 2], plan: Plan) -> Result<Vec<Healed>, LabError> {
    let rounds = heals(plan.interval);
    let mut cluster = Cluster::new(&plan, &kinds)?;
    cluster.start(A)?;
    cluster.start(B)?;
    settle(&cluster, &[A])?;
    (0..rounds)
        .map(|round| {
            let cut_off = if round % 2 == 0 { A } else { B };
            let speaker = if (round / 2) % 2 == 0 { A } else { B };
            heal_once(&mut cluster, cut_off, speaker)
        })
        .collect()
}

/// Cuts a node off until both are Master, heals right after an advert of `speaker`, and waits until the client is settled.
fn heal_once(cluster: &mut Cluster, cut_off: Node, speaker: Node) -> Result<Healed, LabError> {
    let interval = cluster.plan.interval;
    cluster.isolate(cut_off)?;
    settle(cluster, &[A, B])?;
    let asked = now();
    let advert = cluster.watch.wait("an advert to heal after", interval * 4, |log| log.adverts(speaker, asked).pop());
    match advert {
        // A node that has not found its peer for a while asks for its hardware address, and sends nothing else.
        Ok(_) | Err(LabError::TooLate { .. }) => {}
        Err(error) => return Err(error),
    }
    let since = now();
    cluster.heal(cut_off)?;
    settle(cluster, &[A])?;
    cluster.watch.wait("node a to answer the client after a heal", PATIENCE, |_| {
        (cluster.probe.answered_by(Duration::from_millis(50)) == Some(A)).then_some(())
    })?;
    let believed = belief(cluster.lab(), cluster.address())?;
    if believed != Belief::With(A) {
        let problem = format!("the client believes {believed:?} after a heal; node a has the address");
        return Err(LabError::Daemon { name: "client".to_owned(), problem });
    }
    cluster.watch.pause(GRACE)?;
    cluster.check_alive()?;
    let outage = cluster.probe.outage(since, now());
    let (late, heard_first, doubled) = cluster.watch.look(|log| {
        let spacing = log.spacing(A, since.saturating_sub(interval * 2)).map(|spacing| spacing.longest);
        let late = spacing.unwrap_or_default().saturating_sub(interval);
        (late, heard_first(log, since), longest_doubled(log, cluster.address(), since, now()))
    });
    let limit = interval * 2 + outage.own_pause + late + MACHINE;
    Ok(Healed { cut_off, heard_first, silence: outage.gap, limit, doubled })
}

/// Returns to whom the first advert was delivered from `since` on.
fn heard_first(log: &Log, since: Duration) -> Option<Node> {
    let mut heard = log.sightings().iter().filter(|seen| seen.at >= since && matches!(seen.what, Sight::Heard(_)));
    heard.next().map(|seen| seen.node)
}

/// Waits until exactly these nodes hold the address.
fn settle(cluster: &Cluster, holders: &[Node]) -> Result<(), LabError> {
    let awaited = format!("{holders:?} to hold the address");
    cluster.watch.wait(&awaited, PATIENCE, |log| (cluster.holders(log) == holders).then_some(()))?;
    cluster.watch.pause(cluster.plan.interval * 2)
}

fn multicast(interval: Duration) -> Plan {
    Plan { is_multicast: true, ..pair(interval) }
}

fn ipv6(plan: Plan) -> Plan {
    Plan { family: Family::V6, addresses: vec![VIP_LINK_LOCAL, VIP_V6], ..plan }
}
