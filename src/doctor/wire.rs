//! Listens to the link for a moment: whose adverts pass, and who answers for the addresses. Sends nothing but questions.
//!
//! The group of the adverts is joined meanwhile, or the hardware would keep them back. One stop after: `net::socket::Tap`,
//! `net::prober`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use super::facts::{Claim, Facts, Heard, LinkFacts};
use crate::daemon::{SniffedAdvert, decode_advert};
use crate::net::announce::Announcer;
use crate::net::links::is_within;
use crate::net::prober::Prober;
use crate::net::socket::Tap;
use crate::wire::inquiry::{arp_probe, neighbor_solicit};

/// Listens so long and fills in what was heard; inside a tokio runtime.
pub async fn listen(facts: &mut Facts, seconds: u32, unseen: &mut Vec<String>) {
    let tap = Tap::open().map_err(|error| error.to_string());
    let asker =
        Announcer::open().and_then(|announcer| Ok((announcer, Prober::open()?))).map_err(|error| error.to_string());
    let (tap, (mut announcer, prober)) = match (tap, asker) {
        (Ok(tap), Ok(asker)) => (tap, asker),
        (Err(why), _) | (_, Err(why)) => {
            unseen.push(format!("the adverts on the link: {why}"));
            return;
        }
    };
    let _memberships = join(facts);
    let mut ticks = tokio::time::interval(TICK);
    for tick in 0..seconds.saturating_mul(PER_SECOND) {
        ticks.tick().await;
        hear(facts, &tap);
        for ((index, address), macs) in prober.read() {
            let Some(interface) = facts.links.iter().find(|link| link.index == index).map(|link| link.name.clone())
            else {
                continue;
            };
            for mac in macs {
                let claim = Claim { interface: interface.clone(), address, mac };
                if !facts.claims.contains(&claim) && facts.claims.len() < MOST {
                    facts.claims.push(claim);
                }
            }
        }
        if tick % ASK_EACH == 0 {
            for (index, frame) in questions(facts) {
                announcer.send_frame(index, &frame);
            }
        }
    }
}

/// Joins the groups of the instances; dropping the sockets leaves them.
fn join(facts: &Facts) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for router in &facts.routers {
        let Some(link) = facts.link(&router.interface) else { continue };
        let join = |group: IpAddr| -> io::Result<Socket> {
            let socket = Socket::new(if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }, Type::DGRAM, None)?;
            match group {
                IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(link.index))?,
                IpAddr::V6(group) => socket.join_multicast_v6(&group, link.index)?,
            }
            Ok(socket)
        };
        // Without it only what is sent to this host is heard.
        sockets.extend(group_of(router).and_then(|group| join(group).ok()));
    }
    sockets
}

fn group_of(router: &crate::engine::params::RouterParams) -> Option<IpAddr> {
    use crate::engine::params::Transport;
    match &router.transport {
        Transport::Unicast { also, .. } => *also,
        Transport::Multicast { group } => Some(*group),
    }
}

/// Reads what has passed.
fn hear(facts: &mut Facts, tap: &Tap) {
    let mut buffer = vec![0; BUFFER];
    for _ in 0..PACKETS {
        let Ok(Some((seen, packet))) = tap.receive(&mut buffer) else { return };
        let Some(link) = facts.links.iter().find(|link| link.index == seen.interface) else { continue };
        let Some(SniffedAdvert { source, version, virtual_router_id: vrid, addresses, .. }) = decode_advert(packet)
        else {
            continue;
        };
        let (interface, is_outgoing) = (link.name.clone(), seen.is_outgoing);
        let heard = Heard { interface, is_outgoing, source, vrid, version, addresses };
        if !facts.heard.contains(&heard) && facts.heard.len() < MOST {
            facts.heard.push(heard);
        }
    }
}

/// Returns the questions for who has not answered: virtual addresses that are not on this host, peers, and who sends adverts.
fn questions(facts: &Facts) -> Vec<(u32, Vec<u8>)> {
    let answered: BTreeSet<IpAddr> = facts.claims.iter().map(|claim| claim.address).collect();
    let here: BTreeSet<IpAddr> =
        facts.links.iter().flat_map(|link| &link.addresses).map(|(address, _, _)| *address).collect();
    let mut wanted: BTreeMap<IpAddr, &str> = facts.vips().map(|(_, vip, interface)| (vip.address, interface)).collect();
    for router in &facts.routers {
        wanted.extend(router.peers().iter().map(|peer| (peer.address, router.interface.as_str())));
    }
    wanted.extend(facts.heard.iter().map(|heard| (heard.source, heard.interface.as_str())));
    let open = wanted.into_iter().filter(|(address, _)| !answered.contains(address) && !here.contains(address));
    let frames = open.filter_map(|(address, interface)| {
        let link = facts.link(interface).filter(|link| link.is_up && link.is_running)?;
        Some((link.index, question(facts, link, address)?))
    });
    frames.take(MOST).collect()
}

/// Returns the frame that asks for an address; `None`: it cannot be asked for there.
fn question(facts: &Facts, link: &LinkFacts, address: IpAddr) -> Option<Vec<u8>> {
    match address {
        // A probe names no sender, so any address may be asked for, on the link or not.
        IpAddr::V4(address) => Some(arp_probe(link.mac?, address).to_vec()),
        IpAddr::V6(address) => {
            let v6 = |own: (IpAddr, u8)| match own.0 {
                IpAddr::V6(own_address) => Some((own_address, own.1)),
                IpAddr::V4(_) => None,
            };
            let own: Vec<(Ipv6Addr, u8)> = facts.own(link).filter_map(v6).collect();
            let is_near = |(own, len): &&(Ipv6Addr, u8)| {
                own.is_unicast_link_local() || is_within((*own).into(), address.into(), *len)
            };
            let (source, _) = own.iter().find(is_near)?;
            Some(neighbor_solicit(link.mac?, *source, address).to_vec())
        }
    }
}

const TICK: Duration = Duration::from_millis(50);
const PER_SECOND: u32 = 20;
/// So many ticks lie between two questions.
const ASK_EACH: u32 = 10;
/// Senders and answers that are kept, and questions at once.
const MOST: usize = 512;
/// Packets read in one tick.
const PACKETS: usize = 1000;
/// More than the longest packet of a link with large frames.
const BUFFER: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{MAC, facts, ip, vip};
    use super::*;

    #[test]
    fn who_has_not_answered_and_is_not_here_is_asked_for() {
        let mut facts = facts();
        let frames = questions(&facts);
        let probe = |address: [u8; 4]| (2, arp_probe(MAC, address.into()).to_vec());
        assert_eq!(frames, [probe([10, 0, 0, 21]), probe([10, 0, 0, 30])]);
        facts.claims.push(Claim { interface: "eth0".to_owned(), address: ip("10.0.0.21"), mac: [2; 6] });
        facts.links[0].addresses.push((ip("10.0.0.30"), 32, 112));
        assert!(questions(&facts).is_empty());
        facts.routers[0].vips.push(vip("2001:db8::30", 128));
        assert!(questions(&facts).is_empty(), "no IPv6 address to ask from");
        facts.links[0].addresses.push((ip("fe80::20"), 64, 0));
        assert_eq!(questions(&facts).len(), 1);
        facts.links[0].is_running = false;
        assert!(questions(&facts).is_empty());
    }
}
