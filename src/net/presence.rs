//! Whether other hosts of a link are there: each is asked by ARP or neighbour solicitation, for a second at most.
//!
//! Asked with frames of its own and not through the kernel's table, which remembers a host for a while after it has gone.
//! The ARP probe bears no sender, so that nobody's cache changes. One stop before: `daemon::service`, before a node gives
//! its addresses away. One stop after: the wire.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use tokio::time::sleep;

use super::announce::Announcer;
use super::prober::Prober;
use crate::wire::announce::Mac;
use crate::wire::inquiry::{arp_probe, neighbor_solicit};

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers.
    Answers,
    /// It does not.
    Silent,
    /// It is behind a router, or its interface cannot ask.
    Unknown,
}

/// Asks for hosts on the links of interfaces, by name; returns what is known of each, in their order.
///
/// Takes as long as the last of them needs to answer, a second at most. Inside a tokio runtime only.
/// **Errors:** the sockets cannot be opened, or the interfaces not be read.
pub async fn ask(hosts: &[(String, IpAddr)]) -> io::Result<Vec<Presence>> {
    let links = Links::read()?;
    let questions: Vec<Option<Question>> = hosts.iter().map(|(name, host)| links.question(name, *host)).collect();
    let mut presence: Vec<Presence> = questions
        .iter()
        .map(|question| if question.is_some() { Presence::Silent } else { Presence::Unknown })
        .collect();
    let (prober, mut sender) = (Prober::open()?, Announcer::open()?);
    for round in 0..ROUNDS {
        if !presence.contains(&Presence::Silent) {
            break;
        }
        if round % ASK_EACH == 0 {
            for (question, _) in unanswered(&questions, &presence) {
                sender.send_frame(question.interface, &question.frame);
            }
        }
        sleep(PAUSE).await;
        let answers = prober.read();
        let answered: Vec<usize> = unanswered(&questions, &presence)
            .filter(|(question, _)| answers.contains_key(&(question.interface, question.host)))
            .map(|(_, place)| place)
            .collect();
        for place in answered {
            if let Some(presence) = presence.get_mut(place) {
                *presence = Presence::Answers;
            }
        }
    }
    Ok(presence)
}

/// Who is asked, where, and with what.
struct Question {
    interface: u32,
    host: IpAddr,
    frame: Vec<u8>,
}

fn unanswered<'a>(
    questions: &'a [Option<Question>],
    presence: &'a [Presence],
) -> impl Iterator<Item = (&'a Question, usize)> {
    let asked = (0..).zip(questions).zip(presence);
    asked
        .filter(|(_, presence)| **presence == Presence::Silent)
        .filter_map(|((place, question), _)| Some((question.as_ref()?, place)))
}

/// The interfaces of this host.
struct Links {
    /// By name: index and hardware address.
    by_name: BTreeMap<String, (u32, Mac)>,
    /// Name, address and mask.
    addresses: Vec<(String, IpAddr, IpAddr)>,
}

impl Links {
    fn read() -> io::Result<Self> {
        let (mut by_name, mut addresses) = (BTreeMap::new(), Vec::new());
        for entry in getifaddrs()? {
            let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
            if let Some(link) = link {
                if let (Ok(index), Some(mac)) = (u32::try_from(link.ifindex()), link.addr())
                    && mac != [0; 6]
                {
                    by_name.insert(entry.interface_name, (index, mac));
                }
            } else if let (Some(address), Some(mask)) = (ip(&entry, false), ip(&entry, true)) {
                addresses.push((entry.interface_name, address, mask));
            }
        }
        Ok(Self { by_name, addresses })
    }

    /// Returns what to ask for a host on the link of an interface; `None`: it is not on it.
    fn question(&self, name: &str, host: IpAddr) -> Option<Question> {
        let (interface, mac) = *self.by_name.get(name)?;
        let own = || self.addresses.iter().filter(|(other, _, _)| other == name);
        if !own().any(|(_, address, mask)| is_neighbour(*address, *mask, host)) {
            return None;
        }
        let frame = match host {
            IpAddr::V4(host) => arp_probe(mac, host).to_vec(),
            IpAddr::V6(host) => {
                neighbor_solicit(mac, own().filter_map(|(_, address, _)| v6(*address)).min_by_key(order)?, host)
                    .to_vec()
            }
        };
        Some(Question { interface, host, frame })
    }
}

/// Link-local sources first.
fn order(address: &Ipv6Addr) -> bool {
    !address.is_unicast_link_local()
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// Returns the address of an interface, or its mask.
fn ip(entry: &InterfaceAddress, is_mask: bool) -> Option<IpAddr> {
    let storage = if is_mask { entry.netmask } else { entry.address }?;
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// Says whether a host is in the network of an address.
fn is_neighbour(address: IpAddr, mask: IpAddr, host: IpAddr) -> bool {
    match (address, mask, host) {
        (IpAddr::V4(address), IpAddr::V4(mask), IpAddr::V4(host)) => {
            address.to_bits() & mask.to_bits() == host.to_bits() & mask.to_bits()
        }
        (IpAddr::V6(address), IpAddr::V6(mask), IpAddr::V6(host)) => {
            address.to_bits() & mask.to_bits() == host.to_bits() & mask.to_bits()
        }
        _ => false,
    }
}

/// How often answers are looked for, and the pause before each look: a second in all.
const ROUNDS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);
/// So many looks lie between two questions.
const ASK_EACH: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        let ip = |text: &str| text.parse().unwrap();
        Links {
            by_name: BTreeMap::from([("eth0".to_owned(), (7, [2, 0, 0, 0, 0, 1]))]),
            addresses: vec![
                ("eth0".into(), ip("10.0.0.20"), ip("255.255.255.0")),
                ("eth0".into(), ip("2001:db8::20"), ip("ffff:ffff:ffff:ffff::")),
                ("eth0".into(), ip("fe80::20"), ip("ffff:ffff:ffff:ffff::")),
                ("eth1".into(), ip("10.0.1.20"), ip("255.255.255.0")),
            ],
        }
    }

    fn asks(name: &str, host: &str) -> Option<Vec<u8>> {
        links().question(name, host.parse().unwrap()).map(|question| question.frame)
    }

    #[test]
    fn only_hosts_of_the_link_are_asked() {
        assert_eq!(asks("eth0", "10.0.0.21").unwrap().len(), 42);
        assert!(asks("eth0", "2001:db8::21").is_some() && asks("eth0", "fe80::21").is_some());
        for (name, host) in
            [("eth0", "10.0.1.21"), ("eth1", "10.0.1.21"), ("eth2", "10.0.0.21"), ("eth0", "2001:db9::1")]
        {
            assert!(asks(name, host).is_none(), "{name} {host}: behind a router, or without a hardware address");
        }
    }

    #[test]
    fn a_solicitation_comes_from_the_link_local_address() {
        let frame = asks("eth0", "2001:db8::21").unwrap();
        assert_eq!(frame[22..38], "fe80::20".parse::<Ipv6Addr>().unwrap().octets());
    }
}
