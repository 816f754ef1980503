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
use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::in_turn;
use crate::routers::{Router, file};
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
    pub fn play(&mut self, steps: &[Step]) -> Result<(), LabError> {
        steps.iter().try_for_each(|step| {
            play(&mut self.cluster, &self.name, std::slice::from_ref(step));
            if let Die(node) = step.act {
                let addresses = self.routers.iter().flat_map(|router| &router.addresses);
                addresses.copied().try_for_each(|address| self.cluster.lab().forget_address(node, address))?;
            }
            self.settle(&step.holders)
        })
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
        let frames = tap.listen(self.longest_master_down() * 2 + Duration::from_secs(1)).to_vec();
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

/// What happens to a pair in a year, and restarts that nobody announced.
fn year(kinds: [Kind; 2]) -> Result<(), LabError> {
    let mut pair = Pair::new(kinds, secrets_of_version_2())?;
    pair.play(&steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    pair.is_calm(A)?;
    pair.play(&steps! {
        Stop(A) => [B], Handover;
        Start(A) => [A], Handover;
    })?;
    pair.is_calm(A)?;
    pair.play(&steps! { Die(A) => [B], Death; })?;
    pair.play(&steps! { Start(A) => [A], Handover; })?;
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
    pair.play(&steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    })?;
    pair.restart(A, Duration::from_millis(100))?;
    let told = pair.is_calm(A).map_or_else(|error| format!("not calm: {error}"), |()| String::new());
    eprintln!("{} {told}", pair.name);
    Ok(())
}

#[test]
fn keepalived_alone_with_secrets_of_version_2_restarts() {
    in_turn(|| keepalived_restart().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn ours_and_keepalived_share_secrets_of_version_2() {
    in_turn(|| year([Kind::Vrrpd, Kind::Keepalived]).unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn keepalived_and_ours_share_secrets_of_version_2() {
    in_turn(|| year([Kind::Keepalived, Kind::Vrrpd]).unwrap_or_else(|error| panic!("{error}")));
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "authentication".to_owned(), problem }
}
