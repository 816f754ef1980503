//! Raw sockets: what is sent arrives, as it should look.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrpd::engine::input::{Datagram, RouterKey};
use vrrpd::engine::output::{AhHeader, Transmit};
use vrrpd::net::socket::{Groups, Receiver, Sender, Wanted};

use crate::world::{Pair, frames, privileged};

const ALL: Wanted = Wanted { v4: true, v6: true, ah: true };

/// A packet as received, with what matters of its header.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Seen {
    interface: u32,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    tos: Option<u8>,
    protocol: Option<u8>,
    id: Option<u16>,
    payload: Vec<u8>,
}

fn seen(datagram: Datagram<'_>) -> Seen {
    match datagram {
        Datagram::V4 { interface, packet } => {
            let octets = |at: usize| -> IpAddr { <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap().into() };
            Seen {
                interface,
                source: octets(12),
                destination: octets(16),
                ttl: packet[8],
                tos: Some(packet[1]),
                protocol: Some(packet[9]),
                id: Some(u16::from_be_bytes([packet[4], packet[5]])),
                payload: packet[20..].to_vec(),
            }
        }
        Datagram::V6 { interface, source, destination, hop_limit, payload } => Seen {
            interface,
            source: source.into(),
            destination: destination.into(),
            ttl: hop_limit,
            tos: None,
            protocol: None,
            id: None,
            payload: payload.to_vec(),
        },
    }
}

/// Receives until `count` packets came, or 2 s passed.
fn receive(receiver: &mut Receiver, count: usize) -> Vec<Seen> {
    let end = Instant::now() + Duration::from_secs(2);
    let mut packets = Vec::new();
    while packets.len() < count && Instant::now() < end {
        let mut fds: Vec<PollFd<'_>> = receiver.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::from(50u8)).unwrap();
        let drained = receiver.receive(Duration::MAX, |datagram, _| packets.push(seen(datagram)));
        assert_eq!((drained.errors, drained.unknown, drained.truncated), (0, 0, 0));
    }
    packets
}

fn transmit(interface: u32, source: &str, destination: &str) -> Transmit {
    Transmit::detached(RouterKey(0), interface, source.parse().unwrap(), destination.parse().unwrap())
}

fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

#[test]
fn unicast_and_groups_arrive_with_ttl_255_and_precedence() {
    privileged("sockets::unicast_and_groups_arrive_with_ttl_255_and_precedence", || {
        let pair = Pair::new();
        let wire = pair.b.listen();
        let (ready, is_ready) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (pair, ready) = (&pair, ready);
            let receiver = scope.spawn(move || {
                pair.b.enter(|| {
                    let mut receiver = Receiver::open(ALL).unwrap();
                    let mut groups = Groups::new();
                    groups.join(index("vb"), "224.0.0.18".parse().unwrap()).unwrap();
                    groups.join(index("vb"), "ff02::12".parse().unwrap()).unwrap();
                    ready.send(()).unwrap();
                    (index("vb"), receive(&mut receiver, 5))
                })
            });
            is_ready.recv().unwrap();
            pair.a.enter(|| {
                let own = Receiver::open(ALL);
                let mut own_groups = Groups::new();
                own_groups.join(index("va"), "224.0.0.18".parse().unwrap()).unwrap();
                let va = index("va");
                let mut sender = Sender::open(ALL).unwrap();
                let mut ah = transmit(va, "10.9.0.1", "10.9.0.2");
                ah.ah = Some(AhHeader { ip_id: 4711 });
                let batch = [
                    (&transmit(va, "2001:db8:9::1", "2001:db8:9::2"), &b"unicast6"[..]),
                    (&transmit(va, "10.9.0.1", "10.9.0.2"), &b"unicast4"[..]),
                    (&ah, &b"authenticated"[..]),
                    (&transmit(va, "10.9.0.1", "224.0.0.18"), &b"group4"[..]),
                    (&transmit(va, "2001:db8:9::1", "ff02::12"), &b"group6"[..]),
                ];
                assert_eq!(sender.send(&batch), []);
                let mut echoes = 0;
                own.unwrap().receive(Duration::MAX, |_, _| echoes += 1);
                assert_eq!(echoes, 0, "our own multicast came back");
            });
            let (vb, mut packets) = receiver.join().unwrap();
            packets.sort_by(|a, b| a.payload.cmp(&b.payload));
            let texts: Vec<&[u8]> = packets.iter().map(|packet| packet.payload.as_slice()).collect();
            assert_eq!(texts, [&b"authenticated"[..], b"group4", b"group6", b"unicast4", b"unicast6"]);
            for packet in &packets {
                assert_eq!((packet.interface, packet.ttl), (vb, 255), "{packet:?}");
                let is_v4 = packet.source.is_ipv4();
                assert_eq!(
                    packet.source,
                    (if is_v4 { "10.9.0.1" } else { "2001:db8:9::1" }).parse::<IpAddr>().unwrap()
                );
                assert_eq!(packet.tos, is_v4.then_some(0xc0));
            }
            assert_eq!((packets[0].protocol, packets[0].id), (Some(51), Some(4711)));
            assert_eq!(packets[3].protocol, Some(112));
        });
        let mut class6 = None;
        frames(&wire, Duration::from_millis(500), |frame| {
            if frame.len() > 20 && frame[12..14] == [0x86, 0xdd] && frame[20] == 112 {
                class6 = Some(frame[14] << 4 | frame[15] >> 4);
            }
            class6.is_some()
        });
        assert_eq!(class6, Some(0xc0), "IPv6 traffic class");
    });
}

#[test]
fn group_is_heard_only_while_joined_and_more_than_twenty_interfaces_can_join() {
    privileged("sockets::group_is_heard_only_while_joined_and_more_than_twenty_interfaces_can_join", || {
        let pair = Pair::new();
        let group: IpAddr = "224.0.0.18".parse().unwrap();
        pair.b.enter(|| {
            let mut receiver = Receiver::open(ALL).unwrap();
            let mut groups = Groups::new();
            let vb = index("vb");
            let send = |text: &'static [u8], destination: &str| {
                pair.a.enter(|| {
                    let mut sender = Sender::open(ALL).unwrap();
                    assert_eq!(sender.send(&[(&transmit(index("va"), "10.9.0.1", destination), text)]), []);
                });
            };
            send(b"before", "224.0.0.18");
            groups.join(vb, group).unwrap();
            groups.join(vb, group).unwrap();
            send(b"joined", "224.0.0.18");
            assert_eq!(receive(&mut receiver, 1)[0].payload, b"joined");
            groups.leave(vb, group);
            send(b"after", "224.0.0.18");
            // One cable keeps the order, so whatever came before the last packet is in front of it.
            send(b"unicast", "10.9.0.2");
            assert_eq!(receive(&mut receiver, 1)[0].payload, b"unicast");
            for host in 1..=45u8 {
                groups.join(vb, [224, 0, 1, host].into()).unwrap();
            }
            groups.leave(9999, group);
        });
    });
}

#[test]
fn large_batches_go_out_whole_and_a_bad_message_fails_alone() {
    privileged("sockets::large_batches_go_out_whole_and_a_bad_message_fails_alone", || {
        let pair = Pair::new();
        pair.b.enter(|| {
            let mut receiver = Receiver::open(ALL).unwrap();
            let long = vec![7u8; 4088];
            pair.a.enter(|| {
                let va = index("va");
                let mut sender = Sender::open(ALL).unwrap();
                let good = transmit(va, "10.9.0.1", "10.9.0.2");
                let foreign = transmit(va, "192.0.2.77", "10.9.0.2");
                let mixed = transmit(va, "10.9.0.1", "2001:db8:9::2");
                let mut batch: Vec<(&Transmit, &[u8])> = (0..200).map(|_| (&good, &b"advert.."[..])).collect();
                batch[100] = (&foreign, b"advert..");
                batch[150] = (&mixed, b"advert..");
                batch[199] = (&good, &long);
                let failed: Vec<usize> = sender.send(&batch).iter().map(|failure| failure.index).collect();
                assert_eq!(failed.len(), 2, "{failed:?}");
                assert!(failed.contains(&100) && failed.contains(&150));
            });
            let packets = receive(&mut receiver, 198);
            assert_eq!(packets.len(), 198);
            assert_eq!(packets.last().unwrap().payload.len(), 4088, "fragments are put together");
        });
    });
}
