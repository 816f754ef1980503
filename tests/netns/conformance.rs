//! What the RFCs ask of a node as a whole, kernel included: the rows of `docs/rfc9568-ledger.md` that no value in a test
//! can show.
//!
//! Built from the laboratory, a daemon of ours on one or two nodes, and the raw frames of [`crate::tap`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{Lab, VIP_LINK_LOCAL, VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::{Sight, Watch};
use vrrpd::wire::field::{Family, Version};

use crate::driver::{Daemon, Kind};
use crate::in_turn;
use crate::stories::quick;
use crate::tap::{
    Asker, Mac, Tap, answer_for, is_duplicate_detection, is_ping_reply, is_to, mac_of, neighbour_news, solicited_node,
};

/// In which an answer comes, if one comes.
const ANSWER: Duration = Duration::from_millis(100);
/// In which anything else comes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// TTL and hop limit 255, precedence "internetwork control", protocol 112, the group or the peer, and the hardware
/// address of the interface: from the first advert to the resignation.
#[test]
fn adverts_leave_with_the_headers_of_the_rfc_and_the_real_mac() {
    for (family, is_multicast) in [(Family::V4, true), (Family::V4, false), (Family::V6, true), (Family::V6, false)] {
        told(&owner(family, is_multicast), |scene| {
            let (own, peer) = (mac_of(&scene.lab, A)?, mac_of(&scene.lab, B)?);
            scene.start(A)?;
            scene.hold(&[A])?;
            scene.tap.listen(scene.plan.interval * 3);
            scene.stop(A)?;
            let adverts: Vec<_> = scene.tap.listen(ANSWER).iter().filter_map(advert).collect();
            let expected = Advert {
                sender: A,
                source_mac: own,
                destination_mac: match (family, is_multicast) {
                    (Family::V4, true) => [0x01, 0, 0x5e, 0, 0, 18],
                    (Family::V6, true) => [0x33, 0x33, 0, 0, 0, 18],
                    (Family::V4 | Family::V6, false) => peer,
                },
                precedence: 0xc0,
                ttl: 255,
                source: scene.plan.source(A),
                destination: match (family, is_multicast) {
                    (Family::V4, true) => "224.0.0.18".parse().unwrap(),
                    (Family::V6, true) => "ff02::12".parse().unwrap(),
                    (Family::V4 | Family::V6, false) => B.address(family),
                },
            };
            assert!(adverts.iter().all(|(found, _)| *found == expected), "{adverts:#?}\nexpected {expected:#?}");
            let priorities: Vec<_> = adverts.iter().map(|(_, priority)| *priority).collect();
            assert!(priorities.starts_with(&[255, 255, 255]) && priorities.ends_with(&[0, 0]), "{priorities:?}");
            Ok(())
        });
    }
}

/// A Master answers for its addresses, takes packets to them and is asked for them; a Backup is as if it had never
/// heard of them, and so is a Master that was stopped.
#[test]
fn master_answers_for_its_addresses_and_a_backup_does_not() {
    for family in [Family::V4, Family::V6] {
        let plan = Plan { family, addresses: addresses(family), ..quick() };
        told(&plan, |scene| {
            assert_eq!(scene.answering()?, [], "nobody runs");
            scene.start(A)?;
            scene.start(B)?;
            scene.hold(&[A])?;
            assert_eq!(scene.answering()?, [A]);
            scene.stop(A)?;
            scene.hold(&[B])?;
            assert_eq!(scene.answering()?, [B]);
            scene.stop(B)?;
            scene.hold(&[])?;
            assert_eq!(scene.answering()?, [], "nobody runs any more");
            Ok(())
        });
    }
}

/// An owner answers as any Master does, in version 2 too, where accept mode does not exist.
#[test]
fn owner_answers_for_its_addresses_in_version_2() {
    let plan = Plan { version: Version::V2, interval: Duration::from_secs(1), ..owner(Family::V4, false) };
    told(&plan, |scene| {
        scene.start(A)?;
        scene.hold(&[A])?;
        assert_eq!(scene.answering()?, [A]);
        scene.stop(A)
    });
}

/// Gratuitous ARP for each address, sent with the interface's own hardware address.
#[test]
fn gratuitous_arp_carries_the_real_mac() {
    told(&owner(Family::V4, false), |scene| {
        let mac = mac_of(&scene.lab, A)?;
        scene.start(A)?;
        scene.hold(&[A])?;
        for operation in [1, 2] {
            let mut expected = [&[0xff; 6][..], &mac, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation], &mac].concat();
            expected.extend([10, 77, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 10, 77, 1, 1]);
            let found = scene.tap.wait(0, PATIENCE, |_, frame| frame.starts_with(&expected).then_some(()));
            assert!(found.is_some(), "no gratuitous ARP of operation {operation}");
        }
        Ok(())
    });
}

/// The router flag of what we announce and of what the kernel answers is the same, whatever the interface's setting;
/// a Master of which packets to the address are asked keeps them to itself even where it forwards.
#[test]
fn router_flag_follows_forwarding_in_announcements_and_answers() {
    told(&owner(Family::V6, false), |scene| {
        let mac = mac_of(&scene.lab, A)?;
        scene.lab.namespace(A)?.set("ipv6/conf/eth0/forwarding", 0)?;
        scene.start(A)?;
        scene.hold(&[A])?;
        for (mark, forwards) in [(0, false), (scene.tap.mark(), true)] {
            scene.lab.namespace(A)?.set("ipv6/conf/eth0/forwarding", u8::from(forwards))?;
            // The first time at once, then at the first repetition, a second later.
            let announced = scene.tap.wait(mark, PATIENCE, |_, frame| {
                neighbour_news(VIP_V6, frame).filter(|news| !news.is_solicited && news.is_router == forwards)
            });
            let announced = announced.unwrap_or_else(|| panic!("no announcement with router flag {forwards}"));
            assert_eq!((announced.mac, announced.is_override), (mac, true));
            assert_eq!(scene.answers(VIP_V6), [(A, mac, forwards)]);
        }
        let mark = scene.tap.mark();
        scene.asker.ping(VIP_V6, mac);
        assert!(scene.tap.wait(mark, PATIENCE, |_, frame| is_ping_reply(VIP_V6, frame).then_some(())).is_some());
        assert!(!scene.tap.listen(ANSWER).iter().any(|(_, frame)| is_to(VIP_V6, frame)), "sent on to somebody else");
        Ok(())
    });
}

/// Addresses are usable at once: no duplicate address detection, which would take a second and could find the node
/// that is just leaving.
#[test]
fn addresses_come_without_duplicate_detection() {
    told(&owner(Family::V6, false), |scene| {
        // The laboratory switches detection off; a host of our users has it on.
        scene.lab.namespace(A)?.set("ipv6/conf/eth0/accept_dad", 1)?;
        scene.start(A)?;
        scene.hold(&[A])?;
        let (mac, flags) = (mac_of(&scene.lab, A)?, scene.flags(A, VIP_V6)?);
        assert_eq!(scene.answers(VIP_V6), [(A, mac, false)]);
        assert_eq!(flags & (NODAD | TENTATIVE), NODAD, "flags {flags:#x}");
        // The kernel begins its search within a second.
        for address in &scene.plan.addresses {
            let IpAddr::V6(address) = *address else { panic!("IPv6") };
            let is_sought = |(_, frame): &(Node, Vec<u8>)| is_duplicate_detection(address, frame);
            assert!(!scene.tap.listen(Duration::from_millis(700)).iter().any(is_sought), "{address}");
        }
        Ok(())
    });
}

/// What a killed daemon left behind is gone before its successor on this host says a word.
#[test]
fn leftover_address_goes_before_the_first_advert() {
    told(&quick(), |scene| {
        scene.start(A)?;
        scene.hold(&[A])?;
        scene.kill(A);
        scene.watch.pause(ANSWER)?;
        scene.hold(&[A])?;
        let since = now();
        scene.start(A)?;
        let first = |sight: fn(&Sight) -> bool| {
            move |log: &vrrpd::demo::watch::Log| {
                let mut seen = log.sightings().iter().filter(|seen| seen.node == A && seen.at >= since);
                seen.find(|seen| sight(&seen.what)).map(|seen| seen.at)
            }
        };
        let advert = scene.watch.wait("the first advert", PATIENCE, first(|what| matches!(what, Sight::Sent(_))))?;
        let gone = scene.watch.look(first(|what| *what == Sight::Released(VIP_V4)));
        let gone = gone.expect("the leftover address goes");
        assert!(gone < advert, "gone {:?} after the start, advert after {:?}", gone - since, advert - since);
        scene.hold(&[A])
    });
}

/// A laboratory of two nodes, its frames and a client. Fields are dropped in this order.
struct Scene {
    daemons: BTreeMap<Node, Daemon>,
    tap: Tap,
    asker: Asker,
    watch: Watch,
    lab: Lab,
    plan: Plan,
    scratch: Scratch,
    starts: u32,
}

impl Scene {
    fn new(plan: &Plan) -> Result<Self, LabError> {
        let lab = Lab::new(2)?;
        for node in [A, B] {
            // Whatever the machine has: a forwarding Backup would send on to the Master what is asked of it.
            lab.namespace(node)?.set("ipv4/ip_forward", 0)?;
        }
        let watch = Watch::new(&lab, Arc::new(AtomicBool::new(false)))?;
        let (tap, asker, scratch) = (Tap::new(&lab)?, Asker::new(&lab)?, Scratch::new()?);
        Ok(Self { daemons: BTreeMap::new(), tap, asker, watch, lab, plan: plan.clone(), scratch, starts: 0 })
    }

    fn start(&mut self, node: Node) -> Result<(), LabError> {
        self.starts += 1;
        let folder = self.scratch.path().join(format!("{node}{}", self.starts));
        std::fs::create_dir(&folder).map_err(LabError::kernel(format!("make {}", folder.display())))?;
        self.daemons.insert(node, Daemon::start(Kind::Vrrpd, &self.lab, &self.plan, node, &folder)?);
        Ok(())
    }

    fn stop(&mut self, node: Node) -> Result<(), LabError> {
        self.daemons.remove(&node).map_or(Ok(()), Daemon::stop)
    }

    /// Kills a daemon; its host and addresses stay.
    fn kill(&mut self, node: Node) {
        self.daemons.remove(&node);
    }

    /// Waits until exactly these nodes hold every address.
    fn hold(&self, nodes: &[Node]) -> Result<(), LabError> {
        let all_hold = |log: &vrrpd::demo::watch::Log| {
            self.plan.addresses.iter().all(|address| log.holders(*address) == nodes).then_some(())
        };
        self.watch.wait(&format!("{nodes:?} to hold the addresses"), PATIENCE, all_hold)
    }

    /// Asks who has `address`; returns who answers, with which hardware address and router flag.
    fn answers(&mut self, address: IpAddr) -> Vec<(Node, Mac, bool)> {
        let mark = self.tap.mark();
        self.asker.who_has(address);
        let answers = self.tap.listen(ANSWER)[mark..].iter();
        answers.filter_map(|(node, frame)| answer_for(address, frame).map(|(mac, flag)| (*node, mac, flag))).collect()
    }

    /// Returns the nodes that act as holders of the addresses: they answer who has them, and with their own hardware
    /// address; they accept what is sent to them; they are in the groups in which they would be asked.
    fn answering(&mut self) -> Result<Vec<Node>, LabError> {
        let mut all = Vec::new();
        for address in self.plan.addresses.clone() {
            let answers = self.answers(address);
            let nodes: Vec<_> = answers.iter().map(|(node, _, _)| *node).collect();
            for (node, mac, is_router) in answers {
                assert_eq!((mac, is_router), (mac_of(&self.lab, node)?, false), "{address}");
            }
            for node in [A, B] {
                let is_holder = nodes.contains(&node);
                assert_eq!(self.accepts(node, address)?, is_holder, "node {node}, packets to {address}");
                if let IpAddr::V6(address) = address {
                    assert_eq!(self.is_asked(node, address)?, is_holder, "node {node}, group of {address}");
                }
            }
            all.push(nodes);
        }
        all.dedup();
        assert_eq!(all.len(), 1, "the addresses are in different places: {all:?}");
        Ok(all.remove(0))
    }

    /// Says whether a node accepts packets to `address`.
    fn accepts(&mut self, node: Node, address: IpAddr) -> Result<bool, LabError> {
        let mark = self.tap.mark();
        self.asker.ping(address, mac_of(&self.lab, node)?);
        let is_reply = |from: Node, frame: &[u8]| (from == node && is_ping_reply(address, frame)).then_some(());
        Ok(self.tap.wait(mark, ANSWER, is_reply).is_some())
    }

    /// Says whether a node is in the solicited-node group of an address.
    fn is_asked(&self, node: Node, address: Ipv6Addr) -> Result<bool, LabError> {
        let group = hex(solicited_node(address));
        Ok(self.table(node, "igmp6")?.lines().any(|line| line.contains(&group)))
    }

    /// Returns the kernel's flags of an IPv6 address.
    fn flags(&self, node: Node, address: IpAddr) -> Result<u32, LabError> {
        let IpAddr::V6(address) = address else { panic!("{address} is not IPv6") };
        let table = self.table(node, "if_inet6")?;
        let line = table.lines().find(|line| line.starts_with(&hex(address)));
        let flags = line.and_then(|line| line.split_whitespace().nth(4)).unwrap_or_else(|| panic!("{table}"));
        Ok(u32::from_str_radix(flags, 16).expect("a number"))
    }

    fn table(&self, node: Node, name: &'static str) -> Result<String, LabError> {
        let read = move || std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        self.lab.namespace(node)?.enter(read).map_err(LabError::kernel(format!("read {name} of node {node}")))
    }
}

/// What the headers of an advert say.
#[derive(Debug, PartialEq, Eq)]
struct Advert {
    sender: Node,
    destination_mac: Mac,
    source_mac: Mac,
    precedence: u8,
    ttl: u8,
    source: IpAddr,
    destination: IpAddr,
}

/// Reads an advert and its priority; `None` for what is not protocol 112 inside IP without options.
fn advert((sender, frame): &(Node, Vec<u8>)) -> Option<(Advert, u8)> {
    const VRRP: u8 = 112;
    let v4 = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    let v6 = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?));
    let (precedence, ttl, source, destination, message) = match (frame.get(12..15)?, frame.get(23)?, frame.get(20)?) {
        ([0x08, 0x00, 0x45], &VRRP, _) => (*frame.get(15)?, *frame.get(22)?, v4(26)?, v4(30)?, frame.get(34..)?),
        ([0x86, 0xdd, first], _, &VRRP) => {
            (first << 4 | frame.get(15)? >> 4, *frame.get(21)?, v6(22)?, v6(38)?, frame.get(54..)?)
        }
        _ => return None,
    };
    let destination_mac = frame.get(..6)?.try_into().ok()?;
    let source_mac = frame.get(6..12)?.try_into().ok()?;
    let advert = Advert { sender: *sender, destination_mac, source_mac, precedence, ttl, source, destination };
    Some((advert, *message.get(2)?))
}

/// Plays one scene; when it goes wrong, the last words of the daemons come with the reason.
#[track_caller]
fn told(plan: &Plan, play: impl Fn(&mut Scene) -> Result<(), LabError>) {
    in_turn(|| {
        let mut scene = Scene::new(plan).unwrap_or_else(|error| panic!("{error}"));
        if let Err(error) = play(&mut scene) {
            let words: String = scene.daemons.values().map(Daemon::last_lines).collect();
            panic!("{plan:?}: {error}\n{words}");
        }
    });
}

/// Node a owns the addresses: it is Master as soon as it runs.
fn owner(family: Family, is_multicast: bool) -> Plan {
    Plan { family, is_multicast, priorities: vec![255, 100], addresses: addresses(family), ..quick() }
}

fn addresses(family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => vec![VIP_V4],
        Family::V6 => vec![VIP_LINK_LOCAL, VIP_V6],
    }
}

fn hex(address: Ipv6Addr) -> String {
    address.octets().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Added without duplicate address detection.
const NODAD: u32 = 0x02;
/// Detection is under way, the address is not usable.
const TENTATIVE: u32 = 0x40;
