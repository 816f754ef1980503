//! Tests of the lines of refused packets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use super::lines::record;
use crate::control::samples::params;
use crate::daemon::record::{Kind, Level};
use crate::engine::output::{ClockOffset, Discard, EventKind, Evidence, Refusal};
use crate::engine::params::{
    Auth, AuthMode, ChecksumPolicy, HmacParams, PeerParams, ReplayGuard, RouterParams, Transport,
};
use crate::wire::auth::{Key, Password};
use crate::wire::field::{KeyId, Version};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 21));
const WINDOW: Duration = Duration::from_secs(5);

fn hmac(guard: ReplayGuard) -> Auth {
    let id = |number| KeyId::new(number).unwrap();
    let key = |byte| Arc::new(Key::new(&[byte; 32]).unwrap());
    let keys = vec![(id(1), key(1)), (id(2), key(2))];
    Auth::Hmac(HmacParams { keys, active: id(1), mode: AuthMode::Enforce, guard })
}

fn password() -> Auth {
    Auth::Password { password: Password::new(b"s3cr3t77"), mode: AuthMode::Enforce }
}

fn with(auth: Auth) -> RouterParams {
    let version = match auth {
        Auth::None | Auth::Hmac(_) => Version::V3,
        Auth::Password { .. } | Auth::Ah(_) => Version::V2,
    };
    RouterParams { auth, version, ..params("web") }
}

/// Returns level and phrase, without the prefix of the instance.
fn said(params: &RouterParams, reason: Discard, evidence: Evidence) -> (Level, String) {
    let kind = EventKind::Discarded { refusal: Refusal { reason, evidence }, peer: Some(PEER), count: 3 };
    let record = record(&Health::default(), Some(params), &kind);
    assert_eq!(record.kind, Some(Kind::Discarded));
    let fields = format!(" reason={} count=3 peer=10.0.0.21", reason.name());
    assert!(record.text().ends_with(&fields), "{}", record.text());
    (record.level, record.message.strip_prefix("VRRP_Instance(web) ").unwrap().to_owned())
}

#[track_caller]
fn warns(params: &RouterParams, reason: Discard, evidence: Evidence, expected: &str) {
    assert_eq!(said(params, reason, evidence), (Level::Warn, expected.to_owned()));
}

fn skew(ms: u64, is_ahead: bool) -> Evidence {
    Evidence::Skew(ClockOffset { length: Duration::from_millis(ms), is_ahead })
}

#[test]
fn a_refused_trailer_names_its_cause_and_what_mends_it() {
    let time = with(hmac(ReplayGuard::Time { window: WINDOW }));
    let steady = with(hmac(ReplayGuard::Monotonic));
    let cases = [
        (
            &time,
            Discard::Hmac,
            Evidence::Key(1),
            "invalid authentication HMAC from 10.0.0.21: key 1 differs between the \
          nodes, or forged",
        ),
        (
            &time,
            Discard::Stale,
            skew(7_200, false),
            "stale authentication trailer from 10.0.0.21, clock skew 7 sec \
          exceeds window 5 sec: check the clocks (behind by 7.2 s), or replayed",
        ),
        (
            &time,
            Discard::Stale,
            skew(3_600_000, true),
            "stale authentication trailer from 10.0.0.21, clock skew -3600 \
          sec exceeds window 5 sec: check the clocks (ahead by 3600.0 s), or replayed",
        ),
        (
            &time,
            Discard::UnknownKey,
            Evidence::Key(7),
            "unknown authentication key id 7 from 10.0.0.21: known here are \
          1, 2; give every node a key before one signs with it",
        ),
        (
            &time,
            Discard::AuthMissing,
            Evidence::None,
            "missing authentication trailer from 10.0.0.21: that node has no \
          keys or mode receive-only, and mode enforce here asks for it; or forged",
        ),
        (
            &time,
            Discard::AuthMalformed,
            Evidence::None,
            "malformed authentication trailer from 10.0.0.21: \
             something in its reserved bytes, damaged, or forged",
        ),
        (
            &time,
            Discard::AuthMalformed,
            Evidence::Number { found: 9 },
            "malformed authentication trailer from 10.0.0.21: kind 9, this version knows kind 1; or forged",
        ),
        (
            &time,
            Discard::Replay,
            Evidence::None,
            "replayed authentication trailer from 10.0.0.21: recorded and sent \
          again, or two hosts have that address, or its clock was set back",
        ),
        (
            &steady,
            Discard::Replay,
            Evidence::None,
            "replayed authentication trailer from 10.0.0.21: recorded and sent \
          again, or two hosts have that address, or its clock was set back before it was started again",
        ),
        (
            &time,
            Discard::AuthType,
            Evidence::Number { found: 1 },
            "Invalid auth type from 10.0.0.21: 1, expected 0: a \
          password there, HMAC here; or forged",
        ),
    ];
    for (params, reason, evidence, expected) in cases {
        warns(params, reason, evidence, expected);
    }
}

#[test]
fn a_trailer_that_nobody_expects_is_told_from_other_lengths() {
    let sizes = |found| Evidence::Length { found, expected: 16 };
    let (none, signed) = (with(Auth::None), with(hmac(ReplayGuard::Monotonic)));
    let start = "vrrp packet from 10.0.0.21 too long, length 44 and expect 16: ";
    let trailer = format!("{start}has an authentication trailer, none is configured here");
    warns(&none, Discard::Length, sizes(44), &trailer);
    warns(&with(password()), Discard::Length, sizes(44), &trailer);
    let other = format!("{start}damaged, forged, or with something behind it that this version does not know");
    warns(&signed, Discard::Length, sizes(44), &other);
    warns(&none, Discard::Length, sizes(45), &other.replace("44", "45"));
    warns(
        &none,
        Discard::Length,
        sizes(12),
        "vrrp packet from 10.0.0.21 too short, length 12 and expect 16: damaged or forged",
    );
    let short = said(&none, Discard::Incomplete, sizes(12));
    assert_eq!(short, (Level::Debug, "vrrp packet from 10.0.0.21 too short, length 12 and expect 16".to_owned()));
}

#[test]
fn password_and_digest_are_told_apart() {
    let (password, ah) = (with(password()), with(Auth::Ah(Password::new(b"s3cr3t77"))));
    warns(
        &password,
        Discard::Auth,
        Evidence::None,
        "received an invalid passwd from 10.0.0.21! The password differs between the nodes, or forged",
    );
    warns(
        &ah,
        Discard::Auth,
        Evidence::None,
        "no valid AH digest from 10.0.0.21: that node authenticates otherwise, the password differs between the nodes, \
         the addresses are translated on the way, or forged",
    );
    let kind = |found| Evidence::Number { found };
    for (params, found, expected) in [
        (&password, 0, "0, expected 1: no authentication there, a password here; or forged"),
        (&password, 9, "9, expected 1: an unknown kind there, a password here; or forged"),
        (&with(Auth::None), 1, "1, expected 0: a password there, no authentication here; or forged"),
        (&ah, 1, "1, expected 2: a password there, AH here; or forged"),
    ] {
        warns(params, Discard::AuthType, kind(found), &format!("Invalid auth type from 10.0.0.21: {expected}"));
    }
    let unexpected = "Received AH header but auth type not AH from 10.0.0.21: AH there, a password here; or forged";
    warns(&password, Discard::AuthType, kind(2), unexpected);
    let replayed = "received a replayed packet from 10.0.0.21: recorded and sent again, or two hosts have that address";
    warns(&ah, Discard::Replay, Evidence::None, replayed);
}

#[test]
fn a_hop_limit_is_told_with_what_was_asked_for() {
    let ttl = |found| Evidence::Number { found };
    let peer = |min_ttl, max_ttl| PeerParams { address: PEER, priority: None, min_ttl, max_ttl };
    let unicast = |min_ttl, max_ttl| RouterParams {
        transport: Transport::Unicast { peers: vec![peer(min_ttl, max_ttl)], also: None },
        ..params("web")
    };
    let why = ": more routers on the way than its `min_ttl` and `max_ttl` allow, or forged";
    let near = unicast(Some(254), None);
    warns(&near, Discard::Ttl, ttl(64), &format!("TTL/HL 64 from 10.0.0.21 not in range [254, 255]{why}"));
    let far = unicast(None, Some(253));
    warns(&far, Discard::Ttl, ttl(255), &format!("TTL/HL 255 from 10.0.0.21 not in range [0, 253]{why}"));
    let link =
        "invalid TTL/HL from 10.0.0.21. Received 254 and expect 255: from beyond this link, where no node of it is";
    // By the group, where a peer needs 255 whatever its own range allows.
    warns(&near, Discard::Ttl, ttl(254), link);
    let multicast = RouterParams { transport: Transport::Multicast { group: [224, 0, 0, 18].into() }, ..params("web") };
    warns(&multicast, Discard::Ttl, ttl(254), link);
    warns(&RouterParams { strict: true, ..unicast(Some(10), None) }, Discard::Ttl, ttl(254), link);
}

#[test]
fn what_differs_is_told_with_both_values() {
    let v2 = with(Auth::Password { password: Password::new(b"x"), mode: AuthMode::Enforce });
    warns(
        &v2,
        Discard::Version,
        Evidence::Number { found: 3 },
        "wrong VRRP version from 10.0.0.21. Received 3 and expect 2: give both nodes the same `version`",
    );
    warns(
        &v2,
        Discard::Interval,
        Evidence::Interval { found: Duration::from_secs(3) },
        "advertisement interval mismatch with 10.0.0.21 mine=1 sec rcv'd=3 sec: both nodes may become MASTER, give them \
         the same one",
    );
    let zero = Evidence::Interval { found: Duration::ZERO };
    warns(&v2, Discard::Interval, zero, "advertisement interval 0 from 10.0.0.21: damaged or forged");
    let sum = "Invalid VRRPv3 checksum from 10.0.0.21: damaged";
    warns(&params("web"), Discard::Checksum, Evidence::None, &format!("{sum} or forged"));
    let picky = RouterParams { checksum: ChecksumPolicy::Rfc9568, ..params("web") };
    let form = format!("{sum}, forged, or of another form than `checksum` asks for");
    warns(&picky, Discard::Checksum, Evidence::None, &form);
}

/// What no node would send, however it is configured, is not worth a person's time.
#[test]
fn noise_is_told_below_the_level_of_the_journal() {
    let noise =
        Discard::ALL.into_iter().filter(|&reason| said(&params("web"), reason, Evidence::None).0 == Level::Debug);
    assert_eq!(
        noise.collect::<Vec<_>>(),
        [
            Discard::Incomplete,
            Discard::BadIpHeader,
            Discard::Fragment,
            Discard::Protocol,
            Discard::NotVrrp,
            Discard::Type,
            Discard::Vrid,
            Discard::UnknownVrid
        ]
    );
}

#[test]
fn no_line_shows_a_secret() {
    let secret = "s3cr3t77";
    let ah = Auth::Ah(Password::new(secret.as_bytes()));
    for auth in [password(), ah, hmac(ReplayGuard::Monotonic)] {
        let params = with(auth);
        for reason in Discard::ALL {
            let (_, text) = said(&params, reason, Evidence::Key(1));
            assert!(!text.contains(secret), "{text}");
        }
        assert!(!format!("{params:?}").contains(secret) && format!("{params:?}").contains("(..)"), "{params:?}");
    }
}
