//! Raw frames: all that the nodes put on the wire, and a client that asks by hand.
//!
//! The kernel of an ordinary client asks when it likes and remembers; this one asks when told to, and whom it is told to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto, setsockopt, sockopt};
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use socket2::{Domain, Protocol, Socket, Type};
use vrrpd::demo::clock::now;
use vrrpd::demo::echo;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{INTERFACE, Lab, Node};
use vrrpd::demo::namespace::Namespace;
use vrrpd::wire::field::Family;

/// A hardware address.
pub type Mac = [u8; 6];

/// A tap on the switch: what every node sent, in order.
pub struct Tap {
    socket: Socket,
    ports: Vec<(usize, Node)>,
    frames: Vec<(Node, Vec<u8>)>,
}

impl Tap {
    /// Opens a tap on the ports of all nodes.
    pub fn new(lab: &Lab) -> Result<Self, LabError> {
        let socket = lab.switch().enter(|| packet_socket(true)).map_err(LabError::kernel("tap the switch"))?;
        let ports = lab.nodes().map(|node| Ok((lab.port(node)? as usize, node))).collect::<Result<_, LabError>>()?;
        Ok(Self { socket, ports, frames: Vec::new() })
    }

    /// Opens a tap that takes adverts and announcements alone, so that it may be left alone for a while.
    pub fn of_adverts(lab: &Lab) -> Result<Self, LabError> {
        let tap = Self::new(lab)?;
        tap.socket.attach_filter(&vrrpd::demo::frame::filter()).map_err(LabError::kernel("filter a tap"))?;
        Ok(tap)
    }

    /// Listens for a while; returns everything so far.
    pub fn listen(&mut self, length: Duration) -> &[(Node, Vec<u8>)] {
        self.wait(0, length, |_, _| None::<()>);
        &self.frames
    }

    /// Returns how many frames were seen, for [`Tap::wait`].
    pub fn mark(&mut self) -> usize {
        self.listen(Duration::ZERO).len()
    }

    /// Returns the first thing that `find` finds in frames from `mark` on; `None` when it was not seen within `patience`.
    pub fn wait<T>(&mut self, mark: usize, patience: Duration, find: impl Fn(Node, &[u8]) -> Option<T>) -> Option<T> {
        let end = now() + patience;
        let mut at = mark;
        loop {
            let is_over = now() >= end;
            self.read();
            while let Some((node, frame)) = self.frames.get(at) {
                if let Some(found) = find(*node, frame) {
                    return Some(found);
                }
                at += 1;
            }
            if is_over {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Reads what came since the last time, without waiting.
    fn read(&mut self) {
        /// Frames that leave by a port, on their way to its node.
        const OUTGOING: u8 = 4;
        let mut buffer = [0; 2048];
        while let Ok((len, Some(from))) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            let port = self.ports.iter().find(|(index, _)| *index == from.ifindex());
            if let (Some((_, node)), true) = (port, from.pkttype() != OUTGOING) {
                self.frames.push((*node, buffer[..len].to_vec()));
            }
        }
    }
}

/// A client that writes its frames itself.
pub struct Asker {
    socket: Socket,
    link: LinkAddr,
}

impl Asker {
    /// Opens the client of a laboratory.
    pub fn new(lab: &Lab) -> Result<Self, LabError> {
        let opened = lab.client().enter(|| packet_socket(false)).map_err(LabError::kernel("open the client's link"))?;
        Ok(Self { socket: opened, link: link_of(lab.client())? })
    }

    /// Asks everybody who has `address`, by ARP or neighbour solicitation.
    pub fn who_has(&self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
                arp.extend(self.mac());
                arp.extend(CLIENT_V4.octets());
                arp.extend([0; 6]);
                arp.extend(address.octets());
                self.send([0xff; 6], [0x08, 0x06], &arp);
            }
            IpAddr::V6(address) => {
                let group = solicited_node(address);
                let mut icmp = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
                icmp.extend(address.octets());
                icmp.extend([1, 1]);
                icmp.extend(self.mac());
                let [.., a, b, c, d] = group.octets();
                self.send([0x33, 0x33, a, b, c, d], [0x86, 0xdd], &ipv6(group, icmp));
            }
        }
    }

    /// Sends an echo request for `address` to the host with this hardware address.
    pub fn ping(&self, address: IpAddr, to: Mac) {
        let request = echo::request(Family::of(&address), 1);
        match address {
            IpAddr::V4(address) => self.send(to, [0x08, 0x00], &ipv4(address, &request)),
            IpAddr::V6(address) => self.send(to, [0x86, 0xdd], &ipv6(address, request.to_vec())),
        }
    }

    fn mac(&self) -> Mac {
        self.link.addr().expect("an Ethernet link")
    }

    fn send(&self, to: Mac, kind: [u8; 2], payload: &[u8]) {
        let frame = [&to[..], &self.mac(), &kind, payload].concat();
        sendto(self.socket.as_raw_fd(), &frame, &self.link, MsgFlags::empty()).expect("the client's link is up");
    }
}

/// Returns the hardware address of a node.
pub fn mac_of(lab: &Lab, node: Node) -> Result<Mac, LabError> {
    Ok(link_of(lab.namespace(node)?)?.addr().expect("an Ethernet link"))
}

/// Returns the group in which the holder of an address is asked for it. RFC 4291 section 2.7.1.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// Returns whose hardware address a frame gives in answer to [`Asker::who_has`], for `address`, and the router flag.
pub fn answer_for(address: IpAddr, frame: &[u8]) -> Option<(Mac, bool)> {
    match address {
        IpAddr::V4(address) => {
            let is_reply = frame.get(12..14)? == [0x08, 0x06] && frame.get(20..22)? == [0, 2];
            let is_for_client = frame.get(28..32)? == address.octets() && frame.get(38..42)? == CLIENT_V4.octets();
            (is_reply && is_for_client).then_some((frame.get(22..28)?.try_into().ok()?, false))
        }
        IpAddr::V6(_) => {
            neighbour_news(address, frame).filter(|news| news.is_solicited).map(|news| (news.mac, news.is_router))
        }
    }
}

/// A neighbour advertisement.
pub struct NeighbourNews {
    /// The target's hardware address.
    pub mac: Mac,
    /// It answers a solicitation.
    pub is_solicited: bool,
    /// The router flag.
    pub is_router: bool,
    /// The override flag.
    pub is_override: bool,
}

/// Reads a neighbour advertisement for `address`.
pub fn neighbour_news(address: IpAddr, frame: &[u8]) -> Option<NeighbourNews> {
    let IpAddr::V6(address) = address else { return None };
    let flags = frame.get(58)?;
    let is_it = icmpv6_type(frame)? == NEIGHBOUR_ADVERTISEMENT && frame.get(62..78)? == address.octets();
    // The option with the target's link-layer address comes first, and is the only one.
    (is_it && frame.get(78..80)? == [2, 1]).then_some(NeighbourNews {
        mac: frame.get(80..86)?.try_into().ok()?,
        is_router: flags & 0x80 != 0,
        is_solicited: flags & 0x40 != 0,
        is_override: flags & 0x20 != 0,
    })
}

/// Says whether a frame looks for others that have `address` (duplicate address detection).
pub fn is_duplicate_detection(address: Ipv6Addr, frame: &[u8]) -> bool {
    let is_solicitation = icmpv6_type(frame) == Some(NEIGHBOUR_SOLICITATION);
    is_solicitation && frame.get(22..38) == Some(&[0; 16]) && frame.get(62..78) == Some(&address.octets())
}

/// Says whether a frame answers [`Asker::ping`] on behalf of `address`.
pub fn is_ping_reply(address: IpAddr, frame: &[u8]) -> bool {
    let (source, message) = match address {
        IpAddr::V4(_) => (frame.get(26..30), frame.get(34..)),
        IpAddr::V6(_) => (frame.get(22..38), frame.get(54..)),
    };
    let is_from = match address {
        IpAddr::V4(address) => frame.get(12..14) == Some(&[0x08, 0x00]) && source == Some(&address.octets()),
        IpAddr::V6(address) => frame.get(12..14) == Some(&[0x86, 0xdd]) && source == Some(&address.octets()),
    };
    is_from && message.and_then(|message| echo::parse_reply(Family::of(&address), message)) == Some(1)
}

/// Says whether a frame is an IP packet to `address`.
pub fn is_to(address: IpAddr, frame: &[u8]) -> bool {
    match address {
        IpAddr::V4(address) => frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(30..34) == Some(&address.octets()),
        IpAddr::V6(address) => frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(38..54) == Some(&address.octets()),
    }
}

fn icmpv6_type(frame: &[u8]) -> Option<u8> {
    let is_icmpv6 = frame.get(12..14)? == [0x86, 0xdd] && frame.get(20)? == &58;
    frame.get(54).copied().filter(|_| is_icmpv6)
}

/// Opens a socket for whole frames; it never blocks.
pub fn packet_socket(hears_all: bool) -> io::Result<Socket> {
    const ALL_PROTOCOLS: u16 = 0x0003;
    let protocol = hears_all.then(|| Protocol::from(i32::from(ALL_PROTOCOLS.to_be())));
    let socket = Socket::new(Domain::PACKET, Type::RAW, protocol)?;
    socket.set_nonblocking(true)?;
    // A larger buffer needs a privilege over the first namespace; the default holds some hundred frames.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
    Ok(socket)
}

/// Returns the link of a host, for [`sendto`].
pub fn link_of(namespace: &Namespace) -> Result<LinkAddr, LabError> {
    let found = namespace.enter(|| {
        let mut all = nix::ifaddrs::getifaddrs()?.filter(|entry| entry.interface_name == INTERFACE);
        all.find_map(|entry| entry.address?.as_link_addr().copied()).ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    found.map_err(LabError::kernel("read a hardware address"))
}

fn ipv4(to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(20 + payload.len()).expect("a small packet");
    let mut packet = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, 1, 0, 0];
    packet.extend(CLIENT_V4.octets());
    packet.extend(to.octets());
    let sum = pnet_packet::util::checksum(&packet, 5);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Makes an ICMPv6 packet; the hop limit is that of neighbour discovery.
fn ipv6(to: Ipv6Addr, mut icmp: Vec<u8>) -> Vec<u8> {
    let sum = icmpv6::checksum(&Icmpv6Packet::new(&icmp).expect("an ICMPv6 message"), &CLIENT_V6, &to);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let len = u8::try_from(icmp.len()).expect("a small packet");
    let mut packet = vec![0x60, 0, 0, 0, 0, len, 58, 255];
    packet.extend(CLIENT_V6.octets());
    packet.extend(to.octets());
    packet.extend(icmp);
    packet
}

const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0xfe);
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
