//! The chaos run: two or three nodes, and whatever can go wrong, in an order that one number decides.
//!
//! A round has nodes of its own and some episodes. In an episode one to four troubles begin and end ([`script`]), then nothing
//! happens for the longest master-down interval and a margin: the quiet point, at which exactly one node has the address, by
//! the kernel, by the client's neighbour cache, by who answers the client, and by what the daemons say. Between quiet points
//! [`judge`] looks at who held the address when.
//!
//! `VRRPD_SEED` is the number of the first round, `VRRPD_CHAOS_SECONDS` how long new rounds begin: a minute, if it is not said.

mod judge;
mod script;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A};
use vrrpd::demo::namespace::Namespace;
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::Family;

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::{Kind, config};
use crate::neighbours::{Belief, belief};
use crate::one_way::{hear_all, lose_adverts};
use crate::status::status;
use judge::{Deed, Judge};
use script::{Dice, Edge, Happening, Setting, Trouble, episode};

/// Whether a killed daemon's addresses are taken away by `vrrpd release`, as the unit does.
pub const RELEASES: bool = true;
/// How long a round goes on beginning episodes.
const ROUND: Duration = Duration::from_secs(15);
/// Added to the master-down interval before a quiet point.
const MARGIN: Duration = Duration::from_millis(1200);
/// After this a client's kernel has noticed by itself that a stranger has left with the address.
const FORGOTTEN: Duration = Duration::from_secs(20);
/// At shorter intervals than this a busy machine is a failure like others.
const STALLS: Duration = Duration::from_millis(100);
/// What an interface is called while it has another name.
const OTHER_NAME: &str = "other0";

#[test]
fn any_sequence_ends_with_one_owner() {
    beside_others(|| {
        let seconds = number("VRRPD_CHAOS_SECONDS");
        let end = now() + Duration::from_secs(seconds.unwrap_or(60));
        // The long form is for finding, the short one for proving the same every time.
        let first = number("VRRPD_SEED").unwrap_or(if seconds.is_some() { now().as_secs() } else { 1 });
        let mut seed = first;
        while seed == first || now() < end {
            round(seed);
            seed += 1;
        }
        eprintln!("chaos: {} rounds, VRRPD_SEED={first} to {}", seed - first, seed - 1);
    });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text} is no number")))
}

/// Plays a round; panics with all that is needed to look at it where something is wrong.
fn round(seed: u64) {
    let mut dice = Dice::new(seed);
    let setting = Setting::new(&mut dice);
    eprintln!("chaos: VRRPD_SEED={seed}: {setting}");
    let fail = |what: &str| panic!("chaos: VRRPD_SEED={seed}: {setting}\n{what}");
    let mut scene =
        Scene::new(setting.plan.clone(), setting.kinds.clone()).unwrap_or_else(|error| fail(&error.to_string()));
    let until = now() + ROUND;
    let mut number = 0;
    while number == 0 || now() < until {
        number += 1;
        let happenings = episode(&mut dice, &setting);
        let since = now();
        let told = scene.play(&happenings, setting.master_down() + MARGIN);
        if let Err(error) = told {
            fail(&format!("episode {number}: {error}\n{}", scene.account(since)));
        }
    }
    eprintln!("chaos: VRRPD_SEED={seed}: {number} episodes, {} troubles, {}", scene.troubles, scene.judge);
}

/// The nodes of a round and what is wrong with them.
struct Scene {
    cluster: Cluster,
    judge: Judge,
    stranger: Option<Namespace>,
    /// The nodes whose file has one address more.
    longer: BTreeSet<Node>,
    troubles: usize,
}

impl Scene {
    fn new(plan: Plan, kinds: Vec<Kind>) -> Result<Self, LabError> {
        let mut cluster = Cluster::new(&plan, &kinds)?;
        for node in plan.nodes() {
            cluster.set_healthy(node, true)?;
            if cluster.kind(node).is_ours() {
                let text = file(&cluster, node, false);
                cluster.configure(node, text);
            }
            cluster.start(node)?;
        }
        let mut scene =
            Self { cluster, judge: Judge::new(&plan, &kinds), stranger: None, longer: BTreeSet::new(), troubles: 0 };
        scene.be_quiet(&[], plan.master_down(A) + plan.interval * 2 + MARGIN)?;
        Ok(scene)
    }

    /// Plays an episode up to its quiet point.
    fn play(&mut self, happenings: &[Happening], quiet: Duration) -> Result<(), LabError> {
        let since = now();
        self.judge.begin(since);
        for happening in happenings {
            self.cluster.watch.pause((since + happening.at).saturating_sub(now()))?;
            let begun = now();
            self.act(*happening)?;
            self.judge.note(Deed { from: begun, to: now(), happening: *happening });
        }
        self.troubles += happenings.len() / 2;
        self.be_quiet(happenings, quiet)?;
        let verdict = self.cluster.watch.look(|log| self.judge.judge(log, self.cluster.address(), now()));
        verdict.map_err(wrong)
    }

    fn act(&mut self, happening: Happening) -> Result<(), LabError> {
        let (cluster, is_begin) = (&mut self.cluster, happening.edge == Edge::Begin);
        match happening.trouble {
            Trouble::Crash(node) if is_begin => {
                no_panic(cluster, node)?;
                cluster.kill(node)?;
                if RELEASES {
                    cluster.release(node)?;
                }
            }
            Trouble::Stop(node) if is_begin => {
                no_panic(cluster, node)?;
                cluster.stop(node)?;
            }
            Trouble::Crash(node) | Trouble::Stop(node) => cluster.relaunch(node)?,
            Trouble::Freeze(node) => cluster.signal(node, if is_begin { Signal::SIGSTOP } else { Signal::SIGCONT }),
            Trouble::Unplug(node) if is_begin => cluster.unplug(node)?,
            Trouble::Split(node) if is_begin => cluster.isolate(node)?,
            Trouble::Unplug(node) | Trouble::Split(node) => cluster.heal(node)?,
            Trouble::OneWay(speaker, deaf) if is_begin => lose_adverts(cluster, speaker, deaf)?,
            Trouble::OneWay(_, deaf) => hear_all(cluster, deaf)?,
            Trouble::Down(node) => cluster.lab().set_card(node, !is_begin)?,
            Trouble::Missing(node) if is_begin => cluster.lab().pull_card(node)?,
            Trouble::Missing(node) => cluster.lab().insert_card(node)?,
            Trouble::Renamed(node) => {
                let name = cluster.lab().interface();
                let (from, to) = if is_begin { (name, OTHER_NAME) } else { (OTHER_NAME, name) };
                cluster.lab().rename_card(node, from, to)?;
            }
            Trouble::Sick(node) => cluster.set_healthy(node, !is_begin)?,
            Trouble::Deleted(node) if is_begin => delete_address(cluster, node),
            Trouble::Reload(node) if is_begin => self.reload(node)?,
            Trouble::Deleted(_) | Trouble::Reload(_) => {}
            Trouble::Stranger => {
                let address = cluster.address();
                let prefix_len = Family::of(&address).max_prefix_len();
                let plug = || cluster.lab().plug("stranger", &[(address, prefix_len)]);
                self.stranger = is_begin.then(plug).transpose()?;
            }
        }
        Ok(())
    }

    /// Changes a node's file, one address more or less, and tells its daemon, if it runs.
    fn reload(&mut self, node: Node) -> Result<(), LabError> {
        // Keepalived refuses adverts with another number of addresses: next to it the file stays.
        if self.cluster.plan.nodes().all(|node| self.cluster.kind(node).is_ours()) {
            let is_longer = self.longer.insert(node) || !self.longer.remove(&node);
            let text = file(&self.cluster, node, is_longer);
            if let Ok(folder) = self.cluster.folder(node) {
                let path = folder.join("vrrpd.toml");
                std::fs::write(&path, &text).map_err(LabError::kernel(format!("write {}", path.display())))?;
            }
            self.cluster.configure(node, text);
        }
        self.cluster.signal(node, Signal::SIGHUP);
        Ok(())
    }

    /// Lets nothing happen for a while; then everything must be as it should.
    fn be_quiet(&mut self, happenings: &[Happening], length: Duration) -> Result<(), LabError> {
        let has_keepalived = self.cluster.plan.nodes().any(|node| !self.cluster.kind(node).is_ours());
        let start = if has_keepalived { Kind::Keepalived.start_slack() } else { Duration::ZERO };
        self.cluster.watch.pause(length + start)?;
        self.cluster.check_alive()?;
        self.cluster.plan.nodes().try_for_each(|node| no_panic(&self.cluster, node))?;
        let had_stranger = happenings.iter().any(|happening| happening.trouble == Trouble::Stranger);
        let patience = match had_stranger {
            true => FORGOTTEN,
            // A machine that stalls for three intervals moves the address itself, at any time.
            false if self.cluster.plan.interval < STALLS => FORGOTTEN / 10,
            false => Duration::ZERO,
        };
        let asked = now();
        loop {
            match self.look() {
                Err(_) if now() < asked + patience => self.cluster.watch.pause(MARGIN / 10)?,
                looked => return looked,
            }
        }
    }

    /// Fails where somebody says otherwise than that one node has the address, and the best one where that preempts.
    fn look(&self) -> Result<(), LabError> {
        let cluster = &self.cluster;
        let holders = cluster.watch.look(|log| log.holders(cluster.address()));
        let [owner] = holders[..] else {
            return Err(wrong(format!("at the quiet point {holders:?} hold the address")));
        };
        if cluster.plan.preempt && owner != A {
            return Err(wrong(format!("at the quiet point node {owner} holds the address, and not the best one")));
        }
        let believed = belief(cluster.lab(), cluster.address())?;
        let answered_by = cluster.probe.answered_by(Duration::from_millis(200));
        if believed != Belief::With(owner) || answered_by != Some(owner) {
            let client = format!("{answered_by:?} answers the client, which believes {believed:?}");
            return Err(wrong(format!("at the quiet point node {owner} holds the address, but {client}")));
        }
        for node in cluster.plan.nodes().filter(|node| cluster.kind(*node).is_ours()) {
            let wanted = if node == owner { "MASTER" } else { "BACKUP" };
            let state = status(cluster, node, "web")?.state;
            if state != wanted {
                return Err(wrong(format!("node {node} says {state}; node {owner} holds the address")));
            }
        }
        Ok(())
    }

    fn account(&self, since: Duration) -> String {
        let seen = self.cluster.watch.look(|log| self.judge.account(log, self.cluster.address(), since));
        let last_words = self.cluster.plan.nodes().map(|node| {
            let lines = self.cluster.lines(node);
            let last = lines.iter().rev().take(30).rev().map(|line| format!("    {line}\n"));
            format!("  last words on node {node} ({:?}):\n{}", self.cluster.kind(node), last.collect::<String>())
        });
        format!("{seen}{}", last_words.collect::<String>())
    }
}

/// Returns a node's file: as planned, and a check; with one address more, or not.
fn file(cluster: &Cluster, node: Node, is_longer: bool) -> String {
    let mut plan = cluster.plan.clone();
    if is_longer {
        plan.addresses.push(match plan.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 77, 1, 9)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, 9)),
        });
    }
    let path = cluster.path("healthy", node);
    let check = format!("checks = [\"alive\"]\n\n[check.alive]\nfile = \"{}\"\n", path.display());
    config(cluster.kind(node), &plan, node) + &check
}

/// Somebody deletes the address; nothing happens where it is not, or where there is no interface.
fn delete_address(cluster: &Cluster, node: Node) {
    let _ = cluster.lab().forget_address(node, cluster.address());
}

fn no_panic(cluster: &Cluster, node: Node) -> Result<(), LabError> {
    match cluster.lines(node).iter().find(|line| line.contains("panicked")) {
        Some(line) => Err(wrong(format!("node {node}: {line}"))),
        None => Ok(()),
    }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "chaos".to_owned(), problem }
}
