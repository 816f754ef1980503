//! Reloads of running daemons: a hundred in a row with each kind of change, live rotation of keys, and files that are wrong.

use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::{Plan, VRID};
use vrrpd::wire::field::Version;

use crate::accounts::accounts;
use crate::authentication::Pair;
use crate::driver::Kind::Vrrpd;
use crate::in_turn;
use crate::routers::{KEYS, Router, file};
use crate::stories::{quick, steps};
use crate::story::Act::Start;
use crate::story::{Miss, Step};

/// How often the daemon is told to reload.
const RELOADS: usize = 100;

#[test]
fn hundred_reloads_in_a_row_lose_no_packet_and_move_nothing() {
    in_turn(|| hundred_reloads().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn keys_are_rotated_on_a_living_pair() {
    in_turn(|| rotation().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn wrong_file_leaves_everything_as_it_was_and_says_so() {
    in_turn(|| wrong_file().unwrap_or_else(|error| panic!("{error}")));
}

fn web() -> Router {
    Router::plain("web", VRID, Version::V3, false, "10.77.1.1")
}

fn started(routers: Vec<Router>) -> Result<Pair, LabError> {
    let mut pair = Pair::new([Vrrpd, Vrrpd], routers)?;
    pair.play(steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    Ok(pair)
}

/// Gives a running node another file and has it read.
fn reload(pair: &Pair, node: Node, text: &str, outcome: &str) -> Result<(), LabError> {
    let path = pair.cluster.folder(node)?.join("vrrpd.toml");
    std::fs::write(&path, text).map_err(LabError::kernel(format!("write {}", path.display())))?;
    let told = |pair: &Pair| pair.cluster.lines(node).iter().filter(|line| line.contains(outcome)).count();
    let before = told(pair);
    pair.cluster.signal(node, Signal::SIGHUP);
    let awaited = format!("{outcome:?} of node {node}");
    let seen = pair.cluster.watch.wait(&awaited, Duration::from_secs(5), |_| (told(pair) > before).then_some(()));
    seen.map_err(|error| wrong(format!("{error}\n{text}\n{}", pair.cluster.account(now()))))
}

fn entered(pair: &Pair, node: Node) -> usize {
    let is_of_web = |line: &&String| line.contains("VRRP_Instance(web) Entering");
    pair.cluster.lines(node).iter().filter(is_of_web).count()
}

/// The file of one of the kinds of change.
fn changed(pair: &Pair, number: usize, node: Node) -> String {
    let (mut routers, mut plan) = (vec![web()], pair.cluster.plan.clone());
    let mut more = String::new();
    let web = &mut routers[0];
    match number % 12 {
        0 => {}
        1 => plan.priorities = vec![220, 120],
        2 => web.addresses.insert(0, [10, 77, 1, 2].into()),
        3 => web.interval = Duration::from_millis(150),
        4 => web.lines = "strict = true\n".to_owned(),
        5 => plan.preempt = false,
        6 => routers.push(Router::plain("more", VRID + 1, Version::V3, false, "10.77.1.3")),
        7 => {
            web.lines = "checks = [\"link\"]\n".to_owned();
            more = "[check.link]\ninterface = \"eth0\"\n".to_owned();
        }
        8 => {
            web.lines = "checks = [{ name = \"link\", weight = 5 }]\n".to_owned();
            more = "[check.link]\nexec = \"/bin/true\"\ninterval = \"300ms\"\n".to_owned();
        }
        9 => web.lines = "notify = \"/bin/true\"\n".to_owned(),
        10 => web.auth = String::new(),
        _ => more = "[group.all]\ninstances = [\"web\"]\n".to_owned(),
    }
    file(&routers, Vrrpd, &plan, node) + &more
}

fn hundred_reloads() -> Result<(), LabError> {
    let pair = started(vec![web()])?;
    // Whom the client asks has answered it for a while.
    pair.cluster.watch.pause(Duration::from_millis(500))?;
    let (since, before) = (now(), [A, B].map(|node| entered(&pair, node)));
    for number in 0..RELOADS {
        for node in [A, B] {
            reload(&pair, node, &changed(&pair, number, node), "Reload complete")?;
        }
        pair.cluster.watch.pause(Duration::from_millis(25))?;
    }
    pair.cluster.watch.pause(Duration::from_millis(500))?;
    let outage = pair.cluster.probe.outage(since, now());
    let after = [A, B].map(|node| entered(&pair, node));
    let holders = pair.cluster.watch.look(|log| log.holders(pair.cluster.address()));
    eprintln!(
        "{RELOADS} reloads of each node: client lost {} of {}, silence {:?}",
        outage.lost, outage.sent, outage.gap
    );
    let is_well = outage.lost == 0 && outage.answered_by == [Some(A)] && after == before && holders == [A];
    is_well.then_some(()).ok_or_else(|| {
        wrong(format!("{outage:?}, transitions {before:?} {after:?}, {holders:?}\n{}", pair.cluster.account(since)))
    })
}

fn signed(keys: &[u8], active: u8) -> Router {
    let keys: Vec<String> = keys.iter().map(|id| format!("{id} = \"{}\"", KEYS[usize::from(*id) - 1])).collect();
    web().with_hmac(&format!("keys = {{ {} }}, active = {active}", keys.join(", ")))
}

fn rotation() -> Result<(), LabError> {
    let pair = started(vec![signed(&[1], 1)])?;
    pair.cluster.watch.pause(Duration::from_millis(500))?;
    let (since, before) = (now(), [A, B].map(|node| entered(&pair, node)));
    for (keys, active) in [(&[1, 2][..], 1), (&[1, 2][..], 2), (&[2][..], 2)] {
        for node in [B, A] {
            let text = file(&[signed(keys, active)], Vrrpd, &pair.cluster.plan, node);
            reload(&pair, node, &text, "Reload complete")?;
            pair.cluster.watch.pause(Duration::from_millis(450))?;
        }
    }
    pair.is_calm(A)?;
    let outage = pair.cluster.probe.outage(since, now());
    for node in [A, B] {
        for (name, account) in accounts(&pair.cluster, node)? {
            if account.refusals() > 0 {
                return Err(wrong(format!("node {node} refused adverts of {name}: {:?}", account.refused)));
            }
        }
    }
    let after = [A, B].map(|node| entered(&pair, node));
    let is_well = outage.lost == 0 && after == before;
    is_well.then_some(()).ok_or_else(|| wrong(format!("{outage:?}\n{}", pair.cluster.account(since))))
}

fn wrong_file() -> Result<(), LabError> {
    let pair = started(vec![web()])?;
    pair.cluster.watch.pause(Duration::from_millis(300))?;
    let (since, before) = (now(), entered(&pair, A));
    let good = file(&[web()], Vrrpd, &pair.cluster.plan, A);
    let broken = ["", "nonsense", &good.replace("priority", "prioritaet"), &good.replace("10.77.0.2", "10.77.0.1")];
    for text in broken {
        reload(&pair, A, text, "Reload failed")?;
    }
    pair.cluster.watch.pause(Duration::from_millis(500))?;
    let (outage, lines) = (pair.cluster.probe.outage(since, now()), pair.cluster.lines(A));
    let says_what = lines.iter().any(|line| line.contains("prioritaet") && line.contains("ERROR"));
    let is_well = outage.lost == 0 && entered(&pair, A) == before && says_what;
    is_well.then_some(()).ok_or_else(|| wrong(format!("{outage:?} {lines:#?}")))?;
    // And it is still ready for a file that is right.
    let plan = Plan { priorities: vec![210, 100], ..quick() };
    reload(&pair, A, &file(&[web()], Vrrpd, &plan, A), "Reload complete")
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "reload".to_owned(), problem }
}
