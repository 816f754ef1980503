//! The files of an ordinary pair of load balancers, as they are, for Keepalived and for ours.
//!
//! The two files in `article/` are what an operator of Keepalived has: a unicast pair, version 2, a password. Nothing in
//! them is changed for either daemon, but where a test says so. First it is shown what the pair does by each pairing of
//! the daemons, then what happens when one daemon takes the other's place on a running pair.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::site::Site;
use vrrpd::wire::field::{Family, Version};

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, VrrpdConf};
use crate::stories::steps;
use crate::story::Act::{Die, Start, Stop, Swap};
use crate::story::{Miss, Step, play};

/// The file of each node.
const FILES: [&str; 2] = [include_str!("article/loadbalancer1.conf"), include_str!("article/loadbalancer2.conf")];
/// The address that moves.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 30);
/// In which a line of a log is there, once what it tells of is seen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the tests of one pairing.
macro_rules! pairing {
    ($($pairing:ident = $kinds:expr;)+) => {
        $(mod $pairing {
            use super::*;
            #[test]
            fn life_of_a_pair() {
                beside_others(|| super::life_of_a_pair($kinds));
            }
            #[test]
            fn wrong_password_makes_two_masters_and_both_say_so() {
                beside_others(|| super::wrong_password_makes_two_masters_and_both_say_so($kinds));
            }
        })+
    };
}

pairing! {
    keepalived_alone = [Keepalived, Keepalived];
    keepalived_and_ours = [Keepalived, VrrpdConf];
    ours_and_keepalived = [VrrpdConf, Keepalived];
    ours_alone = [VrrpdConf, VrrpdConf];
}

/// Start, death of the host, return, stop, return: who has the address, how `ip` shows it, what the logs say.
fn life_of_a_pair(kinds: [Kind; 2]) {
    let told = (|| {
        let name = format!("article {kinds:?}");
        let mut cluster = Cluster::with_files(&plan(true), &kinds, &FILES.map(str::to_owned))?;
        let started = steps! {
            Start(A) => [A], Anything;
            Start(B) => [A], Nothing;
        };
        play(&mut cluster, &name, &started);
        shows_address(&cluster, &[A])?;
        let died = steps! { Die(A) => [B], Death; };
        play(&mut cluster, &name, &died);
        shows_address(&cluster, &[B])?;
        said(&cluster, B, &entering_master(kinds[1], "loadbalancer2"))?;
        let returned = steps! { Start(A) => [A], Handover; };
        play(&mut cluster, &name, &returned);
        said(&cluster, A, &entering_master(kinds[0], "loadbalancer1"))?;
        let stopped = steps! {
            Stop(A) => [B], Handover;
            Start(A) => [A], Handover;
        };
        play(&mut cluster, &name, &stopped);
        shows_address(&cluster, &[A])?;
        for node in [A, B] {
            let lines = cluster.lines(node);
            let refusal = lines.iter().find(|line| line.contains(WRONG_PASSWORD));
            assert_eq!(refusal, None, "{name}: node {node} refused a password that is right");
        }
        Ok::<_, LabError>(())
    })();
    told.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
}

/// Another password on the second node: neither believes the other. Nobody can prevent that, but it must not be silent.
fn wrong_password_makes_two_masters_and_both_say_so(kinds: [Kind; 2]) {
    let told = (|| {
        let files = [FILES[0].to_owned(), changed(FILES[1], "passwordgoeshere", "somethingelse")];
        let mut cluster = Cluster::with_files(&plan(true), &kinds, &files)?;
        let steps = steps! {
            Start(A) => [A], Anything;
            Start(B) => [A, B], Anything;
        };
        play(&mut cluster, &format!("wrong password {kinds:?}"), &steps);
        shows_address(&cluster, &[A, B])?;
        for node in [A, B] {
            said(&cluster, node, WRONG_PASSWORD)?;
        }
        Ok::<_, LabError>(())
    })();
    told.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
}

/// A pair of Keepalived becomes a pair of ours, node by node, and one of Keepalived again: the address moves when the
/// master is stopped and when it comes back, and at no other time.
#[test]
fn swapped_node_by_node_and_back_only_stopping_the_master_moves_the_address() {
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Swap(B, VrrpdConf) => [A], Nothing;
        Stop(A) => [B], Handover;
        Swap(A, VrrpdConf) => [A], Handover;
        Swap(B, Keepalived) => [A], Nothing;
        Stop(A) => [B], Handover;
        Swap(A, Keepalived) => [A], Handover;
    };
    beside_others(|| swap_story("swap", true, FILES.map(str::to_owned), &steps, [3, 2]));
}

/// The same with `nopreempt` on both nodes: who comes back stays backup, so the address moves when the master is stopped
/// only.
#[test]
fn swapped_with_nopreempt_the_address_stays_where_it_is() {
    let patient = |file| {
        let file = if file == FILES[0] { changed(file, "state MASTER", "state BACKUP") } else { file.to_owned() };
        changed(&file, "state BACKUP", "state BACKUP\n    nopreempt")
    };
    let steps = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Swap(B, VrrpdConf) => [A], Nothing;
        Stop(A) => [B], Handover;
        Swap(A, VrrpdConf) => [B], Nothing;
        Swap(A, Keepalived) => [B], Nothing;
        Stop(B) => [A], Handover;
        Swap(B, Keepalived) => [A], Nothing;
    };
    beside_others(|| swap_story("swap with nopreempt", false, FILES.map(patient), &steps, [2, 1]));
}

/// Plays a swap on a pair of Keepalived; `moves` says how often each node came to hold the address, all in all.
fn swap_story(name: &str, preempt: bool, files: [String; 2], steps: &[Step], moves: [usize; 2]) {
    let told = (|| {
        let mut cluster = Cluster::with_files(&plan(preempt), &[Keepalived, Keepalived], &files)?;
        play(&mut cluster, name, steps);
        let counted = cluster
            .watch
            .look(|log| [A, B].map(|node| log.acquisitions(cluster.address(), node, Duration::ZERO).len()));
        assert_eq!(counted, moves, "{name}: how often nodes a and b came to hold the address");
        Ok::<_, LabError>(())
    })();
    told.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// What the files say, for whoever measures.
fn plan(preempt: bool) -> Plan {
    Plan {
        site: Site {
            interface: "ens5",
            first_node: Ipv4Addr::new(10, 0, 0, 20),
            client: Ipv4Addr::new(10, 0, 0, 99),
            prefix_len: 24,
        },
        vrid: 101,
        version: Version::V2,
        family: Family::V4,
        is_multicast: false,
        interval: Duration::from_secs(1),
        priorities: vec![101, 100],
        preempt,
        addresses: vec![IpAddr::V4(VIP)],
    }
}

/// Returns a file with one thing changed, which must be there once.
fn changed(file: &str, from: &str, to: &str) -> String {
    assert_eq!(file.matches(from).count(), 1, "{from:?} in {file}");
    file.replace(from, to)
}

/// Checks by the words of `ip` that these nodes have the address on their interface, and no other node has.
fn shows_address(cluster: &Cluster, holders: &[Node]) -> Result<(), LabError> {
    for node in [A, B] {
        let text = cluster.output(node, &["ip", "-4", "addr", "show", "dev", "ens5"])?;
        let is_shown = text.lines().any(|line| line.trim_start().starts_with("inet 10.0.0.30/32 scope global "));
        assert_eq!(is_shown, holders.contains(&node), "node {node}, {holders:?} hold the address:\n{text}");
        assert_eq!(text.contains("10.0.0.30"), is_shown, "node {node}: in another form\n{text}");
    }
    Ok(())
}

/// Checks that a node's daemon has written these words.
pub fn said(cluster: &Cluster, node: Node, words: &str) -> Result<(), LabError> {
    let awaited = format!("{words:?} in the log of node {node}");
    let has_words = || cluster.lines(node).iter().any(|line| line.contains(words));
    cluster.watch.wait(&awaited, PATIENCE, |_| has_words().then_some(()))
}

/// Returns what an alert on a failover looks for.
fn entering_master(kind: Kind, instance: &str) -> String {
    let prefix = if kind.is_ours() { "VRRP_Instance" } else { "" };
    format!("{prefix}({instance}) Entering MASTER STATE")
}

/// How either daemon begins to say that it got another password than its own.
const WRONG_PASSWORD: &str = "received an invalid passwd";
