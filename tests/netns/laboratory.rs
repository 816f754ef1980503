//! The laboratory without any daemon: what it is built from does what the stories rely on.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{INTERFACE, Lab, VIP_V4, VIP_V6};
use vrrpd::demo::netlink::{Netlink, index_of};
use vrrpd::demo::probe::{GRACE, Probe};
use vrrpd::demo::watch::Watch;
use vrrpd::wire::field::Family;

/// Moves both addresses by hand and cuts links; the prober and the watcher must tell the same story.
pub fn sees_what_is_done_to_it() {
    [VIP_V4, VIP_V6].into_iter().for_each(|vip| look_at(vip).unwrap_or_else(|error| panic!("{vip}: {error}")));
}

fn look_at(vip: IpAddr) -> Result<(), LabError> {
    let lab = Lab::new(2)?;
    let watch = Watch::new(&lab, Arc::new(AtomicBool::new(false)))?;
    let probe = Probe::new(lab.client(), vip)?;
    let answered_by = |node: Option<Node>| {
        let awaited = format!("{node:?} to answer");
        // A client that has lost its neighbour asks again after a second or three.
        watch.wait(&awaited, Duration::from_secs(5), |_| {
            (probe.answered_by(Duration::from_millis(50)) == node).then_some(())
        })
    };
    let held_by = |nodes: &[Node]| {
        let awaited = format!("{nodes:?} to hold {vip}");
        watch.wait(&awaited, Duration::from_secs(1), |log| (log.holders(vip) == nodes).then_some(()))
    };
    held_by(&[])?;
    answered_by(None)?;

    give(&lab, A, vip)?;
    held_by(&[A])?;
    answered_by(Some(A))?;

    let since = now();
    watch.pause(Duration::from_millis(200))?;
    let outage = probe.outage(since, now());
    assert_eq!((outage.lost, outage.answered_by), (0, vec![Some(A)]), "{vip}: nothing was done");
    assert!(outage.sent > 20, "{vip}: {} requests in 200 ms", outage.sent);

    for cut in [Lab::isolate, Lab::carrier_down] {
        let since = now();
        cut(&lab, A)?;
        answered_by(None)?;
        held_by(&[A])?;
        lab.heal(A)?;
        answered_by(Some(A))?;
        // The client leaves out what may be under way: without this pause the end of the cut, too.
        watch.pause(GRACE)?;
        let outage = probe.outage(since, now());
        let is_seen = outage.lost > 0 && outage.gap > Duration::from_millis(40);
        assert!(is_seen, "{vip}: a cut link went unseen: {outage:?}");
    }

    give(&lab, B, vip)?;
    held_by(&[A, B])?;
    lab.forget_address(A, vip)?;
    held_by(&[B])?;
    // Nobody told the client: it goes on asking node a. What an announcement is for.
    answered_by(None)
}

fn give(lab: &Lab, node: Node, vip: IpAddr) -> Result<(), LabError> {
    let prefix_len = Family::of(&vip).max_prefix_len();
    let given = lab.namespace(node)?.enter(move || Netlink::open()?.add_address(index_of(INTERFACE)?, vip, prefix_len));
    given.map_err(LabError::kernel(format!("give {vip} to node {node}")))
}
