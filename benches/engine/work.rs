//! The work of a node that does nothing but send adverts, and of one that does nothing but hear them: two real engines,
//! joined by hand, without sockets and without a clock.
//!
//! What is measured with it is the same in `cargo bench` and in `tests/guard`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::input::{Datagram, Input, Interface};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{Output, StateName, Transmit};
use vrrpd::engine::params::{
    AnnounceSchedule, Auth, AuthMode, HmacParams, NodeParams, PeerParams, ReplayGuard, RouterParams, Transport, Vip,
};
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::auth::{Key, Password};
use vrrpd::wire::field::{Family, KeyId, Priority, Version, Vrid};

/// What the adverts are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 3 over IPv4 to one peer.
    Unicast,
    /// Version 3 over IPv4 to the group.
    Multicast,
    /// Version 3 over IPv6 to one peer.
    V6,
    /// Version 2 with a password.
    Password,
    /// Version 2 in the Authentication Header.
    Ah,
    /// Version 3 with an HMAC trailer.
    Hmac,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Unicast, Self::Multicast, Self::V6, Self::Password, Self::Ah, Self::Hmac];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Multicast => "multicast",
            Self::V6 => "v6",
            Self::Password => "password",
            Self::Ah => "ah",
            Self::Hmac => "hmac",
        }
    }
}

/// A Master of many routers and the Backup of all of them.
pub struct Pair {
    master: Node,
    backup: Node,
    now: Now,
    transmits: Vec<Transmit>,
    /// What the Backup's sockets would deliver; kept for its capacity.
    packets: Vec<Packet>,
    sent: usize,
}

/// A packet as it would arrive.
#[derive(Default)]
struct Packet {
    interface: u32,
    /// Over IPv6.
    addresses: Option<(Ipv6Addr, Ipv6Addr)>,
    bytes: Vec<u8>,
}

impl Pair {
    /// Makes both nodes with so many routers, 255 on each interface, and lets the one be Master and the other Backup of
    /// all of them, in a rhythm that has settled.
    pub fn new(kind: Kind, routers: usize) -> Self {
        let utc = Duration::from_secs(1_800_000_000);
        let mut pair = Self {
            master: node(kind, routers, 1),
            backup: node(kind, routers, 2),
            now: Now { mono: Instant::from_nanos(100_000_000_000), utc },
            transmits: Vec::with_capacity(routers),
            packets: (0..routers).map(|_| Packet { bytes: Vec::with_capacity(128), ..Packet::default() }).collect(),
            sent: 0,
        };
        for number in 0..interfaces(routers) {
            pair.master.handle(pair.now, Input::Interface(interface(number, 1)));
            pair.backup.handle(pair.now, Input::Interface(interface(number, 2)));
        }
        pair.master.handle(pair.now, Input::Startup);
        pair.backup.handle(pair.now, Input::Startup);
        for _ in 0..5 {
            pair.send();
            pair.receive();
        }
        let is_settled = |node: &Node, state| node.snapshot().iter().all(|router| router.state == state);
        assert!(is_settled(&pair.master, StateName::Master) && is_settled(&pair.backup, StateName::Backup));
        pair
    }

    /// One turn of the Master at its next deadline; returns how many adverts it sent. Allocates nothing of its own.
    pub fn send(&mut self) -> usize {
        let Some(at) = self.master.poll_timeout() else { return 0 };
        let passed = at.since(self.now.mono);
        self.now = Now { mono: at, utc: self.now.utc + passed };
        self.master.handle(self.now, Input::Timeout);
        self.transmits.clear();
        while let Some(output) = self.master.poll_output() {
            match output {
                Output::Send(transmit) => self.transmits.push(transmit),
                Output::AcquireVips { .. }
                | Output::ReleaseVips { .. }
                | Output::Announce { .. }
                | Output::Event(_)
                | Output::Finished => {}
            }
        }
        for (packet, transmit) in self.packets.iter_mut().zip(&self.transmits) {
            packet.fill(transmit, self.master.payload(transmit));
        }
        self.sent = self.transmits.len().min(self.packets.len());
        self.master.flushed();
        self.sent
    }

    /// One turn of the Backup, which hears what was sent; returns how much that was. Allocates nothing of its own.
    pub fn receive(&mut self) -> usize {
        for packet in self.packets.iter().take(self.sent) {
            self.backup.handle(self.now, Input::Datagram(packet.datagram()));
        }
        self.backup.handle(self.now, Input::Timeout);
        while self.backup.poll_output().is_some() {}
        self.backup.flushed();
        std::hint::black_box(self.backup.poll_timeout());
        self.sent
    }

    /// Adverts that the Backup has accepted since it began: what shows that the work was done.
    pub fn accepted(&self) -> u64 {
        self.backup.snapshot().iter().map(|router| router.counters.advertisements_received).sum()
    }
}

impl Packet {
    fn fill(&mut self, transmit: &Transmit, payload: &[u8]) {
        self.interface = transmit.interface;
        self.bytes.clear();
        match (transmit.source, transmit.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [high, low] = (20 + payload.len() as u16).to_be_bytes();
                let [id_high, id_low] = transmit.ah.map_or(0, |ah| ah.ip_id).to_be_bytes();
                let protocol = if transmit.ah.is_some() { 51 } else { 112 };
                self.bytes.extend_from_slice(&[0x45, 0xc0, high, low, id_high, id_low, 0, 0, 255, protocol, 0, 0]);
                self.bytes.extend_from_slice(&source.octets());
                self.bytes.extend_from_slice(&destination.octets());
                self.addresses = None;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.addresses = Some((source, destination)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
        self.bytes.extend_from_slice(payload);
    }

    fn datagram(&self) -> Datagram<'_> {
        let (interface, packet) = (self.interface, &self.bytes[..]);
        match self.addresses {
            None => Datagram::V4 { interface, packet },
            Some((source, destination)) => {
                Datagram::V6 { interface, source, destination, hop_limit: 255, payload: packet }
            }
        }
    }
}

fn node(kind: Kind, routers: usize, host: u8) -> Node {
    let routers = (0..routers).map(|number| Arc::new(router(kind, number, host))).collect();
    Node::new(&NodeParams { routers, ..NodeParams::default() })
}

fn router(kind: Kind, number: usize, host: u8) -> RouterParams {
    let (interface, vrid) = (number / 255, (number % 255 + 1) as u8);
    let family = if kind == Kind::V6 { Family::V6 } else { Family::V4 };
    let peer = PeerParams { address: address(kind, interface, 3 - host), priority: None, min_ttl: None, max_ttl: None };
    let transport = match kind {
        Kind::Multicast => Transport::Multicast { group: IpAddr::from([224, 0, 0, 18]) },
        Kind::Unicast | Kind::V6 | Kind::Password | Kind::Ah | Kind::Hmac => {
            Transport::Unicast { peers: vec![peer], also: None }
        }
    };
    let vrid = Vrid::new(vrid).expect("1 to 255");
    let name = format!("r{number}");
    let plain = RouterParams::plain(&name, &format!("l{interface}"), vrid, family, transport);
    let version = match kind {
        Kind::Password | Kind::Ah => Version::V2,
        Kind::Unicast | Kind::Multicast | Kind::V6 | Kind::Hmac => Version::V3,
    };
    RouterParams {
        version,
        priority: Priority::new(if host == 1 { 200 } else { 100 }).expect("1 to 255"),
        vips: vec![vip(kind, interface, vrid.get())],
        auth: auth(kind),
        // What is announced again is no advert.
        announce: AnnounceSchedule { repeats: Vec::new(), refresh: None },
        ..plain
    }
}

fn auth(kind: Kind) -> Auth {
    match kind {
        Kind::Unicast | Kind::Multicast | Kind::V6 => Auth::None,
        Kind::Password => Auth::Password { password: Password::new(b"secret"), mode: AuthMode::Enforce },
        Kind::Ah => Auth::Ah(Password::new(b"secret")),
        Kind::Hmac => {
            let id = KeyId::new(1).expect("not 0");
            let key = Arc::new(Key::new(&[7; 32]).expect("a long key"));
            let guard = ReplayGuard::Time { window: Duration::from_secs(30) };
            Auth::Hmac(HmacParams { keys: vec![(id, key)], active: id, mode: AuthMode::Enforce, guard })
        }
    }
}

fn vip(kind: Kind, interface: usize, vrid: u8) -> Vip {
    let address = match kind {
        Kind::V6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 1 + interface as u16, u16::from(vrid)]),
        Kind::Unicast | Kind::Multicast | Kind::Password | Kind::Ah | Kind::Hmac => {
            IpAddr::from([10, 1, interface as u8, vrid])
        }
    };
    Vip {
        address,
        prefix_len: Family::of(&address).max_prefix_len(),
        interface: None,
        advertise: true,
        label: None,
        broadcast: None,
        scope: Default::default(),
        options: Default::default(),
    }
}

fn interface(number: usize, host: u8) -> Interface {
    let addresses = vec![address(Kind::Unicast, number, host), address(Kind::V6, number, host)];
    let index = Some(number as u32 + 2);
    Interface { name: format!("l{number}"), index, is_up: true, addresses, elsewhere: Vec::new() }
}

fn address(kind: Kind, interface: usize, host: u8) -> IpAddr {
    match kind {
        Kind::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, interface as u16, u16::from(host))),
        Kind::Unicast | Kind::Multicast | Kind::Password | Kind::Ah | Kind::Hmac => {
            IpAddr::V4(Ipv4Addr::new(10, 0, interface as u8, host))
        }
    }
}

const fn interfaces(routers: usize) -> usize {
    routers.div_ceil(255)
}
