//! HMAC trailers written byte by byte, and routers that ask for them.
//!
//! Shares no code with `wire`, so that one mistake cannot hide the other; the published vectors hold both to the truth.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vrrpd::engine::params::{Auth, AuthMode, HmacParams, ReplayGuard, RouterParams};
use vrrpd::wire::auth::Key;
use vrrpd::wire::field::KeyId;

use crate::bench::{Bench, Packet, interface, ip, octets, unicast};

/// The key of the published vectors; its identifier is 1.
pub const KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = at as u8;
        at += 1;
    }
    key
};

/// The window of the routers here.
pub const WINDOW: u64 = 5;

/// As time goes, within [`WINDOW`].
pub const TIME: ReplayGuard = ReplayGuard::Time { window: Duration::from_secs(WINDOW) };

pub const MODES: [AuthMode; 3] = [AuthMode::ReceiveOnly, AuthMode::Permissive, AuthMode::Enforce];

/// The router with [`KEY`] as its only key.
pub fn hmac(params: RouterParams, mode: AuthMode, guard: ReplayGuard) -> RouterParams {
    keyed(params, &[(1, &KEY)], 1, mode, guard)
}

/// The router with these keys.
pub fn keyed(
    params: RouterParams,
    keys: &[(u8, &[u8])],
    active: u8,
    mode: AuthMode,
    guard: ReplayGuard,
) -> RouterParams {
    let id = |number| KeyId::new(number).unwrap();
    let keys = keys.iter().map(|(number, bytes)| (id(*number), Arc::new(Key::new(bytes).unwrap()))).collect();
    RouterParams { auth: Auth::Hmac(HmacParams { keys, active: id(active), mode, guard }), ..params }
}

/// The router that is enforced by time, as unicast.
pub fn enforced(params: RouterParams) -> RouterParams {
    hmac(unicast(params), AuthMode::Enforce, TIME)
}

/// The router as its unicast peer has it.
pub fn mirror(params: &RouterParams) -> RouterParams {
    let mut other = params.clone();
    let source = params.source.expect("unicast routers here have one");
    let peer = params.peers()[0].address;
    if let vrrpd::engine::params::Transport::Unicast { peers, .. } = &mut other.transport {
        peers[0].address = source;
    }
    other.source = Some(peer);
    other
}

/// Gives the interface the addresses that the routers here use, and begins.
pub fn begin(mut bench: Bench) -> Bench {
    let addresses = ["192.0.2.11", "192.0.2.12", "2001:db8:1::11", "2001:db8:1::12", "fe80::11", "fe80::12"];
    let vectors = ["198.51.100.20", "fe80::20"];
    let addresses = addresses.into_iter().chain(vectors).map(ip).collect();
    bench.interface(vrrpd::engine::input::Interface { addresses, ..interface() });
    bench.start();
    bench
}

/// A Backup whose interface has every address that the routers here use.
pub fn backup(params: RouterParams) -> Bench {
    begin(Bench::new(params))
}

/// A Master whose interface has every address that the routers here use; its first advert was sent at this moment.
pub fn master(params: RouterParams) -> Bench {
    let vips = params.vips.len() as u16;
    let mut bench = backup(params);
    let patience = bench.timeout().unwrap();
    bench.wait(patience);
    bench.tick();
    bench.confirm(0..vips);
    bench
}

/// The 64 bits of a moment.
pub fn stamp(utc: Duration) -> u64 {
    let fraction = u128::from(utc.subsec_nanos()) * 65_536 / 1_000_000_000;
    (utc.as_secs() & 0xffff_ffff) << 32 | (fraction as u64) << 16
}

/// The packet with a trailer of [`KEY`] and of this stamp.
pub fn signed(packet: &Packet, stamp: u64) -> Packet {
    signed_by(packet, 1, &KEY, stamp)
}

/// The packet with a trailer of any key.
pub fn signed_by(packet: &Packet, id: u8, key: &[u8], stamp: u64) -> Packet {
    let mut plain = Packet { trailer: Vec::new(), ..packet.clone() }.message();
    plain[6..8].fill(0);
    let family = if packet.source.is_ipv4() { 4 } else { 6 };
    let mut origin = vec![family, packet.version, packet.vrid, 0];
    origin.extend(octets(packet.source));
    origin.resize(20, 0);
    let mut trailer = vec![1, id, 0, 0];
    trailer.extend(stamp.to_be_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    [&origin[..], &plain, &trailer, &[0; 16]].iter().for_each(|part| mac.update(part));
    trailer.extend(&mac.finalize().into_bytes()[..16]);
    Packet { trailer, ..packet.clone() }
}

/// The stamp in a signed message.
pub fn stamp_of(message: &[u8]) -> u64 {
    let trailer = &message[message.len() - 28..];
    u64::from_be_bytes(trailer[4..12].try_into().unwrap())
}

/// Another address of the link.
pub fn host(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}
