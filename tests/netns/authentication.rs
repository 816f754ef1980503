//! Adverts that prove who sent them: our daemon beside Keepalived with password and Authentication Header, and beside
//! itself with all there is. Each pair runs several virtual routers at once, all of them told in one story.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::{Plan, VRID};
use vrrpd::demo::watch::{Sight, Sighting};
use vrrpd::wire::field::Version;

use crate::accounts::{Account, accounts};
use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::routers::{KEYS, Router, Secret, file};
use crate::stories::{quick, steps};
use crate::story::Act::{Die, Start, Stop};
use crate::story::{Miss, Step, play};
use crate::tap::Tap;

/// A pair of nodes with several virtual routers.
pub struct Pair {
    /// The nodes.
    pub cluster: Cluster,
    /// What they are told.
    pub routers: Vec<Router>,
    name: String,
}

impl Pair {
    /// Builds it; no daemon runs yet. The first router must have the laboratory's VRID: the client asks for its address.
    pub fn new(kinds: [Kind; 2], routers: Vec<Router>) -> Result<Self, LabError> {
        Self::like(&quick(), kinds, routers)
    }

    /// The same in another place or with other priorities.
    pub fn like(plan: &Plan, kinds: [Kind; 2], routers: Vec<Router>) -> Result<Self, LabError> {
        assert_eq!(routers[0].vrid, VRID);
        let plan = routers[0].plan(plan);
        let files = [A, B].map(|node| file(&routers, kinds[node.index()], &plan, node));
        let cluster = Cluster::with_files(&plan, &kinds, &files)?;
        let name = format!("authentication {kinds:?}");
        Ok(Self { cluster, routers, name })
    }

    /// Takes steps; after each of them all routers are where the first one is.
    pub fn play(&mut self, steps: Vec<Step>) -> Result<(), LabError> {
        steps.iter().try_for_each(|step| {
            let since = now();
            let before = self.holders();
            play(&mut self.cluster, &self.name, std::slice::from_ref(step));
            if let Die(node) = step.act {
                let addresses = self.routers.iter().flat_map(|router| &router.addresses);
                addresses.copied().try_for_each(|address| self.cluster.lab().forget_address(node, address))?;
            }
            self.settle(&step.holders)?;
            self.check_moves(step, &before, since)
        })
    }

    fn holders(&self) -> Vec<Vec<Node>> {
        self.cluster.watch.look(|log| self.routers.iter().map(|router| log.holders(router.address())).collect())
    }

    /// Each node that came to hold an address did so once, nobody else did at all.
    fn check_moves(&self, step: &Step, before: &[Vec<Node>], since: Duration) -> Result<(), LabError> {
        for (router, before) in self.routers.iter().zip(before) {
            for node in [A, B] {
                let wanted = usize::from(step.holders.contains(&node) && !before.contains(&node));
                let times = self.cluster.watch.look(|log| log.acquisitions(router.address(), node, since).len());
                if times != wanted {
                    let account = self.cluster.account(since);
                    let told = format!("{} {:?}: node {node} took the address {times} times", router.name, step.act);
                    return Err(wrong(format!("{told}, expected {wanted}\n{account}")));
                }
            }
        }
        Ok(())
    }

    /// Gives a node other files, from its next start on.
    fn configure(&mut self, node: Node, routers: &[Router]) {
        let text = file(routers, self.cluster.kind(node), &self.cluster.plan, node);
        self.cluster.configure(node, text);
    }

    /// Waits until these nodes hold the addresses of all routers.
    pub fn settle(&self, holders: &[Node]) -> Result<(), LabError> {
        let patience = self.longest_master_down() + Duration::from_secs(1);
        let awaited = format!("{holders:?} to hold the address of every router");
        let settled = self.cluster.watch.wait(&awaited, patience, |log| {
            self.routers.iter().all(|router| log.holders(router.address()) == holders).then_some(())
        });
        settled.map_err(|error| wrong(format!("{error}\n{}", self.cluster.account(now().saturating_sub(patience)))))
    }

    fn longest_master_down(&self) -> Duration {
        let times = self.routers.iter().map(|router| router.plan(&self.cluster.plan).master_down(B));
        times.max().unwrap_or_default()
    }

    /// Checks that, while nothing happens, one node holds each address, the other one hears it, and nobody refuses anything.
    pub fn is_calm(&self, master: Node) -> Result<(), LabError> {
        let backup = if master == A { B } else { A };
        let look = || Ok::<_, LabError>([accounts(&self.cluster, master)?, accounts(&self.cluster, backup)?]);
        let before = look()?;
        self.cluster.watch.pause(Duration::from_millis(2_200))?;
        let after = look()?;
        for router in &self.routers {
            let of = |page: &BTreeMap<String, Account>| page.get(router.name).cloned().unwrap_or_default();
            let holders = self.cluster.watch.look(|log| log.holders(router.address()));
            let heard = of(&after[1]).received - of(&before[1]).received;
            let refused = [0, 1].map(|side| of(&after[side]).refusals() - of(&before[side]).refusals());
            if holders != [master] || heard < 2 || refused != [0, 0] {
                return Err(wrong(format!(
                    "{}: {holders:?} hold the address, the backup believed {heard} adverts, refused {refused:?}: {:?}\n{}",
                    router.name,
                    [of(&after[0]), of(&after[1])],
                    self.cluster.account(now().saturating_sub(Duration::from_secs(10))),
                )));
            }
        }
        eprintln!("{}: calm with node {master}: {}", self.name, told(&after));
        Ok(())
    }

    /// Kills a daemon and starts it again after `pause`, its addresses left where they are. Returns what was seen until
    /// each router had its Master again.
    pub fn restart(&mut self, node: Node, pause: Duration) -> Result<String, LabError> {
        let mut tap = Tap::new(self.cluster.lab())?;
        let since = now();
        self.cluster.restart(node, pause)?;
        let frames = tap.listen(self.longest_master_down() + Duration::from_secs(2)).to_vec();
        self.cluster.check_alive()?;
        let mut text = String::new();
        for router in &self.routers {
            let moves = self.cluster.watch.look(|log| {
                let is_move = |seen: &&Sighting| {
                    let address = router.address();
                    seen.at >= since && [Sight::Acquired(address), Sight::Released(address)].contains(&seen.what)
                };
                let told = |seen: &Sighting| {
                    let what = if matches!(seen.what, Sight::Acquired(_)) { "takes" } else { "leaves" };
                    format!("{} {what} after {:.0} ms", seen.node, (seen.at - since).as_secs_f64() * 1e3)
                };
                log.sightings().iter().filter(is_move).map(told).collect::<Vec<_>>().join(", ")
            });
            let numbers: Vec<String> = frames
                .iter()
                .filter_map(|(node, frame)| Some(format!("{node}{}", sequence(frame, router.vrid)?)))
                .collect();
            let _ = write!(text, "\n    {}: {moves}; sequence numbers {}", router.name, numbers.join(" "));
        }
        let outage = self.cluster.probe.outage(since, now());
        let _ = write!(text, "\n    client lost {} of {}, silence {:?}", outage.lost, outage.sent, outage.gap);
        eprintln!("{}: node {node} killed and started again after {pause:?}:{text}", self.name);
        Ok(text)
    }
}

/// Returns the sequence number of an Authentication Header around an advert of a router.
fn sequence(frame: &[u8], vrid: u8) -> Option<u32> {
    let is_ah = frame.get(12..14)? == [0x08, 0] && frame.get(23)? == &51 && frame.get(59)? == &vrid;
    let number = frame.get(42..46)?.try_into().ok()?;
    is_ah.then(|| u32::from_be_bytes(number))
}

fn told(pages: &[BTreeMap<String, Account>]) -> String {
    let one = |(name, account): (&String, &Account)| {
        format!("{name} believed {} refused {:?}", account.received, account.refused)
    };
    let sides = pages.iter().map(|page| page.iter().map(one).collect::<Vec<_>>().join("; "));
    sides.collect::<Vec<_>>().join(" | ")
}

/// Password and Authentication Header as Keepalived has them.
fn secrets_of_version_2() -> Vec<Router> {
    let plain = |name, vrid: u8, is_multicast| {
        let address = Ipv4Addr::new(10, 77, 1, vrid - 50).to_string();
        Router::plain(name, vrid, Version::V2, is_multicast, &address)
    };
    const PASS: &str = "authentication {\n auth_type PASS\n auth_pass s3cr3t77\n }";
    const AH: &str = "authentication {\n auth_type AH\n auth_pass s3cr3t77\n }";
    vec![
        Router { keepalived_auth: PASS, ..plain("pass", 51, false).with_password("s3cr3t77") },
        Router { keepalived_auth: AH, ..plain("ah", 52, false).with_ah("s3cr3t77") },
        Router { keepalived_auth: AH, ..plain("ah-group", 53, true).with_ah("s3cr3t77") },
    ]
}

/// The HMAC trailer in both versions and families, to peers and to the group.
fn trailers() -> Vec<Router> {
    let router = |name, vrid: u8, version, is_multicast, address: &str| {
        Router::plain(name, vrid, version, is_multicast, address)
            .with_hmac(&format!("keys = {{ 7 = \"{}\" }}", KEYS[0]))
    };
    vec![
        router("v3", 51, Version::V3, false, "10.77.1.1"),
        router("v3-group", 52, Version::V3, true, "10.77.1.2"),
        router("v2", 53, Version::V2, false, "10.77.1.3"),
        router("v2-group", 54, Version::V2, true, "10.77.1.4"),
        router("v3-ipv6", 55, Version::V3, false, "fe80::1:5 fd00:77::1:5"),
        router("v3-ipv6-group", 56, Version::V3, true, "fe80::1:6 fd00:77::1:6"),
    ]
}

/// The steps of what may be changed while it runs: plain to HMAC, a key to another, the group to peers, plain to password.
/// A step is taken by one node after the other, and those that are a step apart believe each other.
fn stages() -> [Vec<Router>; 4] {
    let plain = || Router::plain("to-hmac", 51, Version::V3, false, "10.77.1.1");
    let keyed = || Router::plain("rotation", 52, Version::V3, true, "10.77.1.2");
    let moving = |is_multicast| Router::plain("to-unicast", 53, Version::V3, is_multicast, "10.77.1.3");
    let v2 = || Router::plain("to-password", 54, Version::V2, false, "10.77.1.4");
    let [one, two] = KEYS;
    let hmac = |mode: &str| plain().with_hmac(&format!("keys = {{ 1 = \"{one}\" }}, mode = \"{mode}\""));
    let both = |active| keyed().with_hmac(&format!("keys = {{ 1 = \"{one}\", 2 = \"{two}\" }}, active = {active}"));
    let password =
        |mode: &str| v2().with_auth(Secret::Password, &format!("password = \"s3cr3t77\"\nmode = \"{mode}\""));
    let first = keyed().with_hmac(&format!("keys = {{ 1 = \"{one}\" }}"));
    let last = keyed().with_hmac(&format!("keys = {{ 2 = \"{two}\" }}"));
    [
        vec![plain(), first, moving(true), v2()],
        vec![
            hmac("receive-only"),
            both(1),
            moving(false).with_lines("also_multicast = true\n"),
            password("receive-only"),
        ],
        vec![hmac("permissive"), both(2), moving(false), password("permissive")],
        vec![hmac("enforce"), last, moving(false), password("enforce")],
    ]
}

/// Every change is made by restarting one node after the other; nobody refuses anything, and no address moves but for the
/// restarts.
fn roll_out() -> Result<(), LabError> {
    let stages = stages();
    let mut pair = Pair::new([Kind::Vrrpd, Kind::Vrrpd], stages[0].clone())?;
    pair.play(steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    for stage in &stages[1..] {
        pair.configure(B, stage);
        pair.play(steps! {
            Stop(B) => [A], Nothing;
            Start(B) => [A], Nothing;
        })?;
        pair.configure(A, stage);
        // Node b takes over with the new file while node a has the one before.
        pair.play(steps! {
            Stop(A) => [B], Handover;
            Start(A) => [A], Handover;
        })?;
        for node in [A, B] {
            for (name, mut account) in accounts(&pair.cluster, node)? {
                // A node that listens to its peers alone is told twice by one that speaks to the group, too.
                let copies = account.refused.remove("destination").filter(|_| name != "to-unicast");
                assert!(copies.is_none() && account.refused.is_empty(), "{name} on node {node}: {account:?}");
            }
        }
    }
    pair.is_calm(A)
}

/// What happens to a pair in a year, and restarts that nobody announced.
fn year(kinds: [Kind; 2], routers: Vec<Router>) -> Result<(), LabError> {
    let mut pair = Pair::new(kinds, routers)?;
    pair.play(steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    pair.is_calm(A)?;
    pair.play(steps! {
        Stop(A) => [B], Handover;
        Start(A) => [A], Handover;
    })?;
    pair.is_calm(A)?;
    pair.play(steps! { Die(A) => [B], Death; })?;
    pair.play(steps! { Start(A) => [A], Handover; })?;
    for node in [A, B] {
        // Within the master-down interval of the other one.
        pair.restart(node, Duration::from_millis(100))?;
        pair.settle(&[A])?;
        pair.is_calm(A)?;
    }
    let pages = [accounts(&pair.cluster, A)?, accounts(&pair.cluster, B)?];
    for router in &pair.routers {
        let heard = pages.each_ref().map(|page| page.get(router.name).map_or(0, |account| account.received));
        assert!(heard[1] > 0, "{}: adverts believed {heard:?}", router.name);
    }
    Ok(())
}

/// What Keepalived's own restart does, for comparison: nothing is asked of it.
fn keepalived_restart() -> Result<(), LabError> {
    let mut pair = Pair::new([Kind::Keepalived, Kind::Keepalived], secrets_of_version_2())?;
    pair.play(steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    pair.restart(A, Duration::from_millis(100))?;
    let told = pair.is_calm(A).map_or_else(|error| format!("not calm: {error}"), |()| String::new());
    eprintln!("{} {told}", pair.name);
    Ok(())
}

#[test]
fn ours_share_an_hmac_key() {
    beside_others(|| year([Kind::Vrrpd, Kind::Vrrpd], trailers()).unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn roll_out_by_modes_refuses_nothing_and_has_one_master() {
    beside_others(|| roll_out().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn keepalived_alone_with_secrets_of_version_2_restarts() {
    beside_others(|| keepalived_restart().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn ours_and_keepalived_share_secrets_of_version_2() {
    beside_others(|| {
        year([Kind::Vrrpd, Kind::Keepalived], secrets_of_version_2()).unwrap_or_else(|error| panic!("{error}"))
    });
}

#[test]
fn keepalived_and_ours_share_secrets_of_version_2() {
    beside_others(|| {
        year([Kind::Keepalived, Kind::Vrrpd], secrets_of_version_2()).unwrap_or_else(|error| panic!("{error}"))
    });
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "authentication".to_owned(), problem }
}
