//! Who else on the link, or on this host, has what is ours: addresses, virtual routers. Pure.

use std::net::IpAddr;

use super::facts::{Claim, Facts, Heard};
use super::finding::Finding;
use crate::daemon::beside::{Other, Overlap, Program, Shared};
use crate::engine::params::RouterParams;
use crate::wire::announce::Mac;
use crate::wire::field::Family;

const TOPIC: &str = "neighbours";

/// Looks at programs of this host, then at the link.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.others.iter().map(of_program).collect();
    let before = found.len();
    for router in &facts.routers {
        found.extend(facts.heard.iter().filter_map(|heard| of_advert(facts, router, heard)));
        found.extend(strangers(facts, router));
    }
    if found.len() == before && !facts.heard.is_empty() {
        found.push(Finding::fine(TOPIC, "the adverts on the link are those of this cluster"));
    }
    found
}

fn of_program(other: &Other) -> Finding {
    let Other { pid, program, config, overlap } = other;
    let who = format!("{program} (process {pid}, {})", config.display());
    let stop = match program {
        Program::Keepalived => "systemctl disable --now keepalived".to_owned(),
        Program::Vrrpd => format!("kill {pid}"),
    };
    match overlap {
        Overlap::Shared(shared) if shared.is_empty() => {
            Finding::fine(TOPIC, format!("{who} runs beside, with other virtual routers"))
        }
        Overlap::Shared(shared) => {
            let names: Vec<String> = shared.iter().map(Shared::to_string).collect();
            let what = format!("{who} runs the same here: {}", names.join(", "));
            let why = "two programs on one host would add and remove the same address; docs/migrate-from-keepalived.md has the way over";
            Finding::problem(TOPIC, what, why).mend("as root", &[&stop])
        }
        Overlap::Unread(reason) => {
            let what = format!("{who} runs here, and its file cannot be used: {reason}");
            Finding::advice(TOPIC, what, "if it runs the same virtual routers, two programs fight over the addresses")
                .mend("as root, if it does", &[&stop])
        }
    }
}

/// An advert for a virtual router of ours, from who is none of its nodes or means something else.
fn of_advert(facts: &Facts, router: &RouterParams, heard: &Heard) -> Option<Finding> {
    let is_its = heard.vrid == router.vrid.get()
        && heard.interface == router.interface
        && Family::of(&heard.source) == router.family;
    if !is_its {
        return None;
    }
    if heard.is_outgoing {
        return of_unknown_program(facts, router, heard);
    }
    let Heard { interface, source, vrid, .. } = heard;
    let peers = router.peers();
    let is_peer = peers.iter().any(|peer| peer.address == *source);
    if !peers.is_empty() && !is_peer {
        let what = format!(
            "{source} sends adverts for virtual_router_id {vrid} on {interface} and is no peer of {}",
            router.name
        );
        let why = "two clusters with one number on one link: their adverts are refused here, and clients may see the same virtual \
                   hardware address twice; choose another number, or list that node";
        return Some(
            Finding::problem(TOPIC, what, why)
                .mend("the instance's table, in the file of every node of one of the two", &[&free(facts, router)]),
        );
    }
    if heard.version != router.version.number() {
        let (theirs, ours) = (heard.version, router.version.number());
        let what = format!("{source} sends version {theirs} for {}, which speaks version {ours}", router.name);
        let why = "neither believes the other, so both become master";
        return Some(
            Finding::problem(TOPIC, what, why).mend("the instance's table", &[&format!("version = {theirs}")]),
        );
    }
    let ours: Vec<IpAddr> = router.advertised().collect();
    let is_other = !heard.addresses.is_empty() && !ours.iter().any(|address| heard.addresses.contains(address));
    if is_other {
        let theirs: Vec<String> = heard.addresses.iter().map(ToString::to_string).collect();
        let what = format!(
            "{source} sends adverts for virtual_router_id {vrid} on {interface} with other addresses: {}",
            theirs.join(", ")
        );
        let why = "another cluster seems to use the same number on this link; the better one silences the other";
        return Some(
            Finding::problem(TOPIC, what, why)
                .mend("the instance's table, in the file of every node of one of the two", &[&free(facts, router)]),
        );
    }
    None
}

/// An advert that leaves this host, and no daemon is known to send it.
fn of_unknown_program(facts: &Facts, router: &RouterParams, heard: &Heard) -> Option<Finding> {
    if facts.is_running || !facts.others.is_empty() {
        return None;
    }
    let Heard { source, vrid, interface, .. } = heard;
    let what = format!(
        "a program on this host sends adverts for virtual_router_id {vrid} of {} on {interface}, from {source}",
        router.name
    );
    let why = "two programs on one host would add and remove the same address; it may be one that is not seen from here, such as FRR or one \
               in a container that shares this network";
    let list = ["ps -eo pid,args | grep -E 'keepalived|vrrp'"];
    Some(Finding::problem(TOPIC, what, why).mend("as root, to see which it is", &list))
}

/// Returns a line with a number that is neither configured nor heard.
fn free(facts: &Facts, router: &RouterParams) -> String {
    let is_taken = |vrid: u8| {
        facts.heard.iter().any(|heard| heard.vrid == vrid) || facts.routers.iter().any(|other| other.vrid.get() == vrid)
    };
    let own = router.vrid.get();
    let vrid = (own..=255).chain(1..own).find(|vrid| !is_taken(*vrid)).unwrap_or(own);
    format!("virtual_router_id = {vrid}")
}

/// Addresses of a router that another host has who is no node of it.
fn strangers(facts: &Facts, router: &RouterParams) -> Vec<Finding> {
    let is_node = |address: &IpAddr| {
        let heard = |heard: &Heard| heard.vrid == router.vrid.get() && heard.source == *address;
        router.peers().iter().any(|peer| peer.address == *address) || facts.heard.iter().any(heard)
    };
    let nodes: Vec<Mac> = facts.claims.iter().filter(|claim| is_node(&claim.address)).map(|claim| claim.mac).collect();
    let is_ours = |mac: &Mac| facts.links.iter().any(|link| link.mac == Some(*mac));
    let is_stranger = |claim: &&Claim| {
        let is_vip = router.vips.iter().any(|vip| vip.address == claim.address);
        is_vip && !nodes.contains(&claim.mac) && !is_ours(&claim.mac) && !is_virtual(&claim.mac, router.vrid.get())
    };
    let told = |claim: &Claim| {
        let Claim { interface, address, mac } = claim;
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let what = format!("{address} of {} is at {mac} on {interface}, which is no node of it", router.name);
        let why = "clients reach whichever of the two answered last; free the address there, or take another";
        Finding::problem(TOPIC, what, why)
            .mend("on any host of that link, to see which it is", &[&format!("ip neighbour show {address}")])
    };
    facts.claims.iter().filter(is_stranger).map(told).collect()
}

/// Says whether a hardware address is that of a virtual router. RFC 9568 section 7.3.
fn is_virtual(mac: &Mac, vrid: u8) -> bool {
    matches!(mac, [0, 0, 0x5e, 0, 1 | 2, id] if *id == vrid)
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{MAC, facts, ip};
    use super::super::finding::Severity;
    use super::*;
    use crate::engine::params::Transport;

    fn heard(source: &str, addresses: &[&str]) -> Heard {
        let addresses = addresses.iter().map(|address| ip(address)).collect();
        let interface = "eth0".to_owned();
        Heard { interface, is_outgoing: false, source: ip(source), vrid: 51, version: 3, addresses }
    }

    fn problems(facts: &Facts) -> Vec<String> {
        let bad = findings(facts).into_iter().filter(|finding| finding.severity == Severity::Problem);
        bad.map(|finding| finding.what).collect()
    }

    #[test]
    fn a_peer_is_well_and_a_stranger_with_our_number_is_not() {
        let mut facts = facts();
        facts.heard = vec![heard("10.0.0.21", &["10.0.0.30"])];
        assert_eq!(findings(&facts), [Finding::fine(TOPIC, "the adverts on the link are those of this cluster")]);
        facts.heard.push(heard("10.0.0.77", &["10.0.0.99"]));
        let found = findings(&facts);
        assert_eq!(found[0].what, "10.0.0.77 sends adverts for virtual_router_id 51 on eth0 and is no peer of web");
        assert_eq!(found[0].mend.as_ref().unwrap().lines, ["virtual_router_id = 52"]);
        facts.heard[1].is_outgoing = true;
        assert!(
            problems(&facts)[0].starts_with("a program on this host sends adverts for virtual_router_id 51 of web")
        );
        facts.is_running = true;
        assert!(problems(&facts).is_empty(), "it is our own daemon");
    }

    #[test]
    fn with_multicast_other_addresses_tell_another_cluster() {
        let mut facts = facts();
        facts.routers[0].transport = Transport::Multicast { group: ip("224.0.0.18") };
        facts.heard = vec![heard("10.0.0.77", &["10.0.0.99"])];
        assert!(problems(&facts)[0].contains("with other addresses: 10.0.0.99"), "{:?}", problems(&facts));
        facts.heard = vec![heard("10.0.0.77", &["10.0.0.99", "10.0.0.30"])];
        assert!(problems(&facts).is_empty());
        facts.heard[0].version = 2;
        assert_eq!(problems(&facts), ["10.0.0.77 sends version 2 for web, which speaks version 3"]);
        facts.heard[0].vrid = 52;
        assert!(problems(&facts).is_empty());
    }

    #[test]
    fn an_address_at_a_stranger_is_told_from_one_at_a_node() {
        let claim = |address: &str, mac: Mac| Claim { interface: "eth0".to_owned(), address: ip(address), mac };
        let (peer, stranger) = ([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 0x77]);
        let mut facts = facts();
        facts.claims = vec![claim("10.0.0.21", peer), claim("10.0.0.30", peer)];
        assert!(problems(&facts).is_empty(), "the master is a peer");
        for mac in [MAC, [0, 0, 0x5e, 0, 1, 51]] {
            facts.claims[1].mac = mac;
            assert!(problems(&facts).is_empty());
        }
        for mac in [stranger, [0, 0, 0x5e, 0, 1, 52]] {
            facts.claims[1].mac = mac;
            assert_eq!(problems(&facts).len(), 1, "{mac:?}");
        }
        assert!(problems(&facts)[0].starts_with("10.0.0.30 of web is at 00:00:5e:00:01:34 on eth0"));
    }

    #[test]
    fn a_keepalived_with_the_same_router_is_a_problem() {
        let shared = Shared { instance: "web".to_owned(), what: "eth0, virtual_router_id 51".to_owned() };
        let other = |overlap| Other { pid: 7, program: Program::Keepalived, config: "/etc/k.conf".into(), overlap };
        let mut facts = facts();
        for (overlap, severity) in [
            (Overlap::Shared(vec![shared]), Severity::Problem),
            (Overlap::Shared(Vec::new()), Severity::Fine),
            (Overlap::Unread("no".to_owned()), Severity::Advice),
        ] {
            facts.others = vec![other(overlap)];
            assert_eq!(findings(&facts)[0].severity, severity);
        }
    }
}
