//! Configurations from arbitrary bytes, for the trial of `property`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::input::Interface;
use vrrpd::engine::params::{
    Auth, AuthMode, CheckKind, CheckParams, Effect, HmacParams, Initial, PeerParams, Preempt, ReplayGuard,
    RouterParams, Scope, Track, Transport, Vip, VipOptions,
};
use vrrpd::wire::auth::{Key, Password};
use vrrpd::wire::field::{AdverInterval, Family, KeyId, Priority, Version, Vrid};

/// The bytes not yet used; zeros when there are none left.
pub struct Bytes<'a> {
    pub rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn number(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }

    pub fn slice(&mut self, len: usize) -> &'a [u8] {
        let (slice, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        slice
    }
}

pub fn interface(shape: u8) -> Interface {
    let own = [IpAddr::V4(address_v4(0)), IpAddr::V6(address_v6(0)), IpAddr::V4(address_v4(9))];
    Interface {
        name: NAMES[usize::from(shape & 1)].into(),
        index: (shape & 0x1c != 0).then_some(2 + u32::from(shape >> 7)),
        is_up: shape & 0x60 != 0,
        addresses: own.into_iter().skip(usize::from(shape & 0x0e == 0x0e)).collect(),
        elsewhere: Vec::new(),
    }
}

/// One that needs up to two results in a row.
pub fn check_params(index: u8, bytes: &mut Bytes<'_>) -> CheckParams {
    let shape = bytes.byte();
    CheckParams {
        name: format!("c{index}"),
        kind: CheckKind::Unit("haproxy.service".into()),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1 + u32::from(shape & 1),
        fall: 1 + u32::from(shape >> 1 & 1),
        initial: [Initial::Unknown, Initial::Passing, Initial::Passing, Initial::Failing][usize::from(shape >> 2 & 3)],
    }
}

/// Two of four tracks: two without weight (one of them urgent), one weight, one check that does not exist.
fn tracks(bytes: &mut Bytes<'_>) -> Vec<Track> {
    let shape = bytes.byte();
    let is_reversed = shape & 0x80 != 0;
    let weight = i16::from(bytes.byte()) - 128;
    let weight = if weight == 0 { 1 } else { weight };
    [
        ("c0", Effect::Fault { is_reversed: false }, false),
        ("c1", Effect::Fault { is_reversed }, true),
        ("c2", Effect::Weight { weight, is_reversed }, false),
        ("missing", Effect::Weight { weight, is_reversed }, false),
    ]
    .into_iter()
    .enumerate()
    .filter(|(place, _)| shape >> place & 0x11 == 0x11)
    .map(|(_, (check, effect, is_urgent))| Track { check: check.into(), effect, is_urgent })
    .collect()
}

pub fn router(index: usize, bytes: &mut Bytes<'_>) -> RouterParams {
    let shape = bytes.byte();
    let family = if shape & 3 == 3 { Family::V6 } else { Family::V4 };
    let version = if shape & 3 == 2 { Version::V2 } else { Version::V3 };
    let cs = [1, 10, 100, 4000][usize::from(shape >> 2 & 3)];
    let interval = if version == Version::V2 {
        AdverInterval::DEFAULT
    } else {
        AdverInterval::from_centiseconds(cs).unwrap_or(AdverInterval::DEFAULT)
    };
    let password = Password::new(b"seventh");
    let peer = |number: u8| PeerParams {
        address: match family {
            Family::V4 => IpAddr::V4(address_v4(number)),
            Family::V6 => IpAddr::V6(address_v6(u16::from(number))),
        },
        priority: Priority::new(100 * (number - 1)),
        min_ttl: None,
        max_ttl: None,
    };
    let group = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    };
    let mode = bytes.byte();
    let vrid = Vrid::new(VRIDS[usize::from(shape >> 4 & 1) | usize::from(mode >> 1 & 6)]).expect("not 0");
    let transport = if shape & 0x20 == 0 {
        Transport::Unicast { peers: vec![peer(1), peer(2)], also: (mode & 8 != 0).then_some(group) }
    } else {
        Transport::Multicast { group }
    };
    RouterParams {
        version,
        priority: Priority::new(bytes.byte()).unwrap_or(Priority::DEFAULT),
        advertisement_interval: interval,
        preempt: [Preempt::Always, Preempt::Never, Preempt::After(Duration::from_millis(500))][usize::from(mode % 3)],
        vips: (0..3).map(|number| vip(family, number)).collect(),
        strict: shape & 0xc0 == 0xc0,
        auth: match (version, mode >> 6) {
            (Version::V2, 1) => Auth::Password { password, mode: MODES[usize::from(mode >> 4 & 3)] },
            (Version::V2, 2) => Auth::Ah(password),
            (_, 3) => Auth::Hmac(hmac(mode)),
            _ => Auth::None,
        },
        tracks: tracks(bytes),
        ..RouterParams::plain(&format!("r{index}"), NAMES[0], vrid, family, transport)
    }
}

/// Both keys, of which one signs.
fn hmac(mode: u8) -> HmacParams {
    let id = |number: u8| KeyId::new(number).expect("not 0");
    HmacParams {
        keys: [1, 2].map(|number| (id(number), Arc::new(key(number)))).to_vec(),
        active: id(1 + (mode & 1)),
        mode: MODES[usize::from(mode >> 4 & 3)],
        guard: match mode >> 1 & 3 {
            0 => ReplayGuard::Monotonic,
            number => ReplayGuard::Time { window: Duration::from_secs([1, 5, 300][usize::from(number) - 1]) },
        },
    }
}

/// Returns the key of an identifier; the node knows 1 and 2.
pub fn key(id: u8) -> Key {
    Key::new(&[id; 40]).expect("40 bytes are a key")
}

fn vip(family: Family, number: u8) -> Vip {
    let address = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, number)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, u16::from(number))),
    };
    let prefix_len = family.max_prefix_len();
    let (interface, label, broadcast) = (None, None, None);
    Vip {
        address,
        prefix_len,
        interface,
        advertise: true,
        label,
        broadcast,
        scope: Scope::Global,
        options: VipOptions::default(),
    }
}

pub fn address_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 10 + number)
}

pub fn address_v6(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10 + number)
}

const NAMES: [&str; 2] = ["eth0", "eth1"];

/// Checks of one trial.
pub const CHECKS: u8 = 3;

const MODES: [AuthMode; 4] = [AuthMode::ReceiveOnly, AuthMode::Permissive, AuthMode::Enforce, AuthMode::Enforce];

/// Some are those of the captures that the corpus begins with.
const VRIDS: [u8; 8] = [1, 2, 92, 94, 54, 55, 61, 65];
