//! The node that holds the address must be one that can serve: pairs of nodes with real balancers, of which the
//! master's fails.
//!
//! | what befalls HAProxy | `process` | `tcp` | `http` | `exec` (curl) |
//! |---|---|---|---|---|
//! | killed | sees it | sees it | sees it | sees it |
//! | hung (SIGSTOP) | no: it is there | no: the kernel takes connections for it, until the queue is full | sees it | sees it |
//! | answers 503 | no | no | sees it | sees it |
//!
//! Each is told by FAULT and by weight. What must come of what is seen: the other node serves within
//! check interval x fall (+ timeout, where the check must wait for it) + skew + 50 ms, and as long as the address moves
//! no echo request to it goes unanswered. What is not seen moves nothing. Keepalived alone comes first, for what it costs there.

use std::time::Duration;

use serde_json::json;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::Frame;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::probe::Outage;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::Sight;

use crate::balancer::{Balancer, Failure, Server};
use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::in_turn;
use crate::status::{Status, status};
use crate::watching::{By, Check, Pair, WEIGHT, file, plan};
use crate::web::Web;

/// What the bound allows besides what is computed.
const STRICT_SLACK: Duration = Duration::from_millis(50);
/// A client that sends nothing for so long stood still with the machine.
const STALL: Duration = Duration::from_millis(20);
/// What a machine with two busy cores may add: the figure is printed beside the bound, the assertion forgives this much.
const CI_SLACK: Duration = Duration::from_millis(500);
/// How long a Master goes on answering after its successor's first advert; the engine's `handover`.
const OVERLAP: Duration = Duration::from_millis(10);
/// In which anything else comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pair with balancers and a client.
struct World {
    // Dropped in this order.
    web: Web,
    balancers: Vec<Balancer>,
    _server: Server,
    cluster: Cluster,
    _scratch: Scratch,
    pair: Pair,
    check: Check,
    by: By,
}

impl World {
    /// Builds it; node a holds the address and serves.
    fn new(pair: Pair, check: Check, by: By) -> Result<Self, LabError> {
        let scratch = Scratch::new()?;
        let mut files = Vec::new();
        for node in [A, B] {
            let folder = scratch.path().join(node.to_string());
            std::fs::create_dir(&folder).map_err(LabError::kernel("make a folder"))?;
            files.push(file(pair, check, by, node, &folder));
        }
        let mut cluster = Cluster::with_files(&plan(pair, A), &pair.kinds, &files)?;
        let server = Server::start(cluster.lab())?;
        let balancers = [A, B].map(|node| {
            Balancer::start(cluster.lab(), node, cluster.address(), &scratch.path().join(node.to_string()))
        });
        let balancers = balancers.into_iter().collect::<Result<_, _>>()?;
        let web = Web::new(cluster.lab(), cluster.address())?;
        cluster.start(A)?;
        cluster
            .watch
            .wait("node a to hold the address", PATIENCE, |log| (cluster.holders(log) == [A]).then_some(()))?;
        cluster.start(B)?;
        let world = Self { web, balancers, _server: server, cluster, _scratch: scratch, pair, check, by };
        // Until node b listens and has its first verdict.
        world.cluster.watch.pause(pair.kinds[1].start_slack() + world.cluster.plan.interval * 3)?;
        Ok(world)
    }

    fn ours(&self, node: Node) -> bool {
        self.cluster.kind(node).is_ours()
    }

    /// The master's balancer fails, the other node serves; it is well again, and the address comes back.
    fn fails_and_returns(&mut self, failure: Failure) -> Result<(), LabError> {
        let failed_at = self.balancers[0].fail(failure)?;
        self.leaves(failure, failed_at)?;
        let repaired_at = now();
        self.balancers[0].repair(self.cluster.lab(), failure)?;
        self.returns(repaired_at)
    }

    fn leaves(&mut self, failure: Failure, failed_at: Duration) -> Result<(), LabError> {
        let bound = self.bound(failure);
        let (address, cluster) = (self.cluster.address(), &self.cluster);
        let served = cluster.watch.wait("node b to serve", bound + PATIENCE, |log| {
            let served = self.web.service(failed_at, B).first_served?;
            (cluster.holders(log) == [B]).then_some(served)
        })?;
        // Node a may have something to say still, and the client's last requests come to their end.
        cluster.watch.pause(Duration::from_millis(300))?;
        self.cluster.check_alive()?;
        let cluster = &self.cluster;
        let (advert, taken) = cluster.watch.look(|log| {
            let adverts = log.adverts(B, failed_at);
            let advert = adverts.into_iter().find(|(_, priority)| *priority > 0).map(|(at, _)| at);
            (advert.unwrap_or_default(), log.acquisitions(address, B, failed_at))
        });
        let back = cluster.watch.look(|log| log.acquisitions(address, A, failed_at).len());
        same("how often nodes b and a came to hold the address", (taken.len(), back), (1, 0))?;
        let echo = cluster.probe.outage(failed_at, now());
        let service = self.web.service(failed_at, B);
        let ms = |at: Duration| at.as_secs_f64() * 1e3;
        let since = |at: Duration| (at.as_secs_f64() - failed_at.as_secs_f64()) * 1e3;
        let (first, last) = service.failing.unwrap_or((failed_at, failed_at));
        eprintln!(
            "serving | {} | {:?} | {:?} | {failure:?} | bound {:.0} | advert {:.0} | address {:.0} | served {:.0} | \
             echo lost {}, silence {:.0}, own pause {:.0} | http failed {} from {:.0} to {:.0} |",
            self.pair,
            self.check,
            self.by,
            ms(bound),
            since(advert),
            since(taken[0]),
            since(served),
            echo.lost,
            ms(echo.gap),
            ms(echo.own_pause),
            service.failed,
            since(first),
            since(last),
        );
        if served - failed_at > bound + CI_SLACK {
            return Err(wrong(format!("served after {:?}, bound {bound:?}", served - failed_at)));
        }
        if self.ours(A) {
            self.lost_nothing(&echo, B, failed_at)?;
            self.says_why(failure)?;
        }
        Ok(())
    }

    /// After a repair the better node takes the address back.
    fn returns(&mut self, repaired_at: Duration) -> Result<(), LabError> {
        let (address, cluster) = (self.cluster.address(), &self.cluster);
        cluster
            .watch
            .wait("node a to hold the address again", PATIENCE, |log| (cluster.holders(log) == [A]).then_some(()))?;
        let back = now() - repaired_at;
        cluster.watch.wait("node a to serve again", PATIENCE, |_| {
            self.web.is_served_by(A, Duration::from_millis(200)).then_some(())
        })?;
        cluster.watch.pause(Duration::from_millis(300))?;
        let moves = cluster.watch.look(|log| [A, B].map(|node| log.acquisitions(address, node, repaired_at).len()));
        same("how often nodes a and b came to hold the address after the repair", moves, [1, 0])?;
        let echo = cluster.probe.outage(repaired_at, now());
        let service = self.web.service(repaired_at, A);
        eprintln!(
            "serving | {} | {:?} | {:?} | back after {:.0} ms | echo lost {} | http failed {} |",
            self.pair,
            self.check,
            self.by,
            back.as_secs_f64() * 1e3,
            echo.lost,
            service.failed
        );
        // What Keepalived costs that gives the address up is not ours to prove.
        if self.ours(B) {
            self.lost_nothing(&echo, A, repaired_at)?;
        }
        if self.ours(A) {
            let mine = self.status(A)?;
            same(&format!("{mine:?}"), (mine.state.as_str(), mine.effective_priority), ("MASTER", 200))?;
        }
        self.cluster.check_alive()
    }

    /// What the check cannot see moves nothing.
    fn fails_unseen(&mut self, failure: Failure) -> Result<(), LabError> {
        let failed_at = self.balancers[0].fail(failure)?;
        self.cluster.watch.pause(self.bound(failure) + CI_SLACK)?;
        let address = self.cluster.address();
        let moves = self.cluster.watch.look(|log| [A, B].map(|node| log.acquisitions(address, node, failed_at).len()));
        same(&format!("moves after {failure:?}, which {:?} does not see", self.check), moves, [0, 0])?;
        eprintln!("serving | {} | {:?} | {:?} | {failure:?} | not seen |", self.pair, self.check, self.by);
        self.balancers[0].repair(self.cluster.lab(), failure)?;
        self.cluster.watch.wait("node a to serve again", PATIENCE, |_| {
            self.web.is_served_by(A, Duration::from_millis(200)).then_some(())
        })
    }

    /// No echo request went unanswered from `since` on; `taker` is who got the address.
    ///
    /// The leaver must go on until [`OVERLAP`] after the taker's first advert, or for as long as it waits for one. What a machine that
    /// stops the taker meanwhile makes it lose after that is nobody's fault; on an idle machine that is nothing.
    fn lost_nothing(&self, echo: &Outage, taker: Node, since: Duration) -> Result<(), LabError> {
        let (address, leaver) = (self.cluster.address(), if taker == A { B } else { A });
        let patience = self.cluster.plan.interval + Duration::from_millis(100);
        let (until, released, announced) = self.cluster.watch.look(|log| {
            let first = |node, is_it: fn(u8) -> bool| {
                log.adverts(node, since).into_iter().find(|(_, priority)| is_it(*priority)).map(|(at, _)| at)
            };
            let stamp = |node, what| {
                let mut seen = log.sightings().iter().filter(|seen| seen.at >= since && seen.node == node);
                seen.find(|seen| seen.what == what).map(|seen| seen.at)
            };
            let heard = first(taker, |priority| priority > 0).map(|at| at + OVERLAP);
            let tired = first(leaver, |priority| priority == 0).map(|at| at + patience);
            let announced = stamp(taker, Sight::Sent(Frame::Announcement { address }));
            (heard.into_iter().chain(tired).min(), stamp(leaver, Sight::Released(address)), announced)
        });
        let (Some(until), Some(released), Some(announced)) = (until, released, announced) else {
            return Err(wrong(format!("no advert, release or announcement: {until:?}, {released:?}, {announced:?}")));
        };
        if released < until {
            return Err(wrong(format!("node {leaver} gave the address up {:?} too early", until - released)));
        }
        let excused = announced.saturating_sub(released).as_micros().div_ceil(1000) as usize;
        // A client that stood still itself for as long has nothing to say.
        let stood_still = echo.own_pause;
        let is_own_pause = stood_still >= STALL && echo.gap <= stood_still + Duration::from_millis(5);
        if echo.lost > excused && !is_own_pause {
            return Err(wrong(format!("echo requests lost, {excused} of them excused: {echo:?}")));
        }
        Ok(())
    }

    /// From the failure to the other node's first answer: what is promised, and for Keepalived what its rules come to.
    fn bound(&self, failure: Failure) -> Duration {
        let plan = plan(self.pair, B);
        let detection = self.check.detection(self.cluster.kind(A), failure);
        let election = match self.by {
            By::Weight if !self.ours(A) => plan.master_down(B) + plan.interval,
            By::Fault | By::Weight => plan.skew(B),
        };
        detection + election + STRICT_SLACK
    }

    /// Both nodes say why the address is where it is, with the summands of the effective priority.
    fn says_why(&self, failure: Failure) -> Result<(), LabError> {
        let (mine, theirs) = (self.status(A)?, self.ours(B).then(|| self.status(B)).transpose()?);
        let priority = plan(self.pair, B).priority(B);
        let (state, reason, effective, contribution) = match self.by {
            By::Fault => ("FAULT", "check haproxy failed: ".to_owned(), 200, 0),
            By::Weight => ("BACKUP", format!("priority fell below {priority} of a peer"), 200 + WEIGHT, WEIGHT),
        };
        let told = format!("{mine:?}");
        same(&told, (mine.state.as_str(), mine.effective_priority), (state, i64::from(effective)))?;
        same(&told, mine.reason.starts_with(&reason), true)?;
        let check = &mine.instance["checks"][0];
        let found = ["name", "status", "contribution", "fault"].map(|key| check[key].clone());
        let is_fault = self.by == By::Fault;
        same(&told, found, [json!("haproxy"), json!("failing"), json!(contribution), json!(is_fault)])?;
        let words = self.check.words(failure);
        same(&format!("{words:?} in {check}"), check["words"].as_str().is_some_and(|text| text.contains(words)), true)?;
        if let Some(theirs) = theirs {
            let told = format!("{theirs:?}");
            let found = (theirs.state.as_str(), theirs.reason.as_str(), theirs.effective_priority);
            same(&told, found, ("MASTER", "master resigned", i64::from(priority)))?;
            let check = &theirs.instance["checks"][0];
            same(&told, ["status", "contribution"].map(|key| check[key].clone()), [json!("passing"), json!(0)])?;
        }
        self.sum_is_shown(failure)
    }

    /// The page for people has the sum in words.
    fn sum_is_shown(&self, failure: Failure) -> Result<(), LabError> {
        let (page, code) = self.cluster.status(A, &[])?;
        let words = match self.by {
            By::Fault => "check haproxy failed: ".to_owned(),
            By::Weight => format!("200 - {} (haproxy failing: ", WEIGHT.unsigned_abs()),
        };
        same(&format!("{words:?} of {failure:?} on the page\n{page}"), page.contains(&words), true)?;
        same("exit status of vrrpd status", code, i32::from(self.by == By::Fault))
    }

    fn status(&self, node: Node) -> Result<Status, LabError> {
        status(&self.cluster, node, "web")
    }
}

/// Watches over balancers in each way that they can fail.
pub fn serve(pair: Pair, check: Check, by: By, rounds: usize) {
    let told = (|| {
        let mut world = World::new(pair, check, by)?;
        for round in 0..rounds {
            for failure in [Failure::Killed, Failure::Hung, Failure::Refusing] {
                // Not always in the same phase of the check.
                world.cluster.watch.pause(Duration::from_millis(37 * (round as u64 % 7)))?;
                let since = now();
                let done = match check.sees(failure) {
                    true => world.fails_and_returns(failure),
                    false => world.fails_unseen(failure),
                };
                if let Err(error) = done {
                    let account = world.cluster.account(since);
                    return Err(LabError::Daemon {
                        name: format!("{failure:?}"),
                        problem: format!("{error}\n{account}"),
                    });
                }
            }
        }
        Ok::<_, LabError>(())
    })();
    told.unwrap_or_else(|error| panic!("{pair}, {check:?} by {by:?}: {error}"));
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), LabError> {
    if found == expected { Ok(()) } else { Err(wrong(format!("{what}: {found:?}, expected {expected:?}"))) }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "serving".to_owned(), problem }
}

/// A pair at ten adverts a second.
const fn pair(a: Kind, b: Kind) -> Pair {
    Pair { kinds: [a, b], backup_preempts: true, is_v2: false }
}

/// The same, but node b takes the address from nobody who lives.
const fn patient(a: Kind, b: Kind) -> Pair {
    Pair { backup_preempts: false, ..pair(a, b) }
}

/// Makes one test per pair and check.
macro_rules! serve {
    ($($pairing:ident = $pair:expr, { $($test:ident = $check:ident $by:ident;)+ })+) => {
        $(mod $pairing {
            use super::*;
            $(#[test]
            fn $test() {
                in_turn(|| serve($pair, Check::$check, By::$by, 1));
            })+
        })+
    };
}

serve! {
    keepalived_alone = pair(Kind::Keepalived, Kind::Keepalived), {
        exec_by_fault = Exec Fault;
        exec_by_weight = Exec Weight;
    }
    ours_and_keepalived = pair(Kind::Vrrpd, Kind::Keepalived), {
        http_by_fault = Http Fault;
        http_by_weight = Http Weight;
    }
    ours_by_conf_and_keepalived = pair(Kind::VrrpdConf, Kind::Keepalived), { exec_by_weight = Exec Weight; }
    ours_alone = pair(Kind::Vrrpd, Kind::Vrrpd), {
        process_by_fault = Process Fault;
        process_by_weight = Process Weight;
        tcp_by_fault = Tcp Fault;
        tcp_by_weight = Tcp Weight;
        http_by_fault = Http Fault;
        http_by_weight = Http Weight;
        exec_by_fault = Exec Fault;
        exec_by_weight = Exec Weight;
    }
    ours_and_keepalived_that_never_preempts = patient(Kind::Vrrpd, Kind::Keepalived), { http_by_weight = Http Weight; }
    ours_and_ours_that_never_preempts = patient(Kind::Vrrpd, Kind::Vrrpd), { http_by_weight = Http Weight; }
    ours_in_version_2 = Pair { is_v2: true, ..pair(Kind::Vrrpd, Kind::Vrrpd) }, { http_by_weight = Http Weight; }
}

/// Everything with everything, each ten times or as often as `VRRPD_ROUNDS` says.
#[test]
#[ignore = "takes half an hour; its figures are for a quiet machine"]
fn whole_matrix() {
    let rounds = std::env::var("VRRPD_ROUNDS").map_or(10, |text| text.parse().expect("a number of rounds"));
    let make: [fn(Kind, Kind) -> Pair; 2] = [pair, patient];
    for backup in [Kind::Keepalived, Kind::Vrrpd] {
        for pair in make.map(|make| make(Kind::Vrrpd, backup)) {
            for check in Check::ALL {
                for by in [By::Fault, By::Weight] {
                    in_turn(|| serve(pair, check, by, rounds));
                }
            }
        }
    }
}
