//! Every packet of `tests/wire/malformed.json` against a node set up as its profile says, as Backup and as Master.
//!
//! A refused packet must change nothing but a counter: not what status shows, not the next deadline, and not what the node
//! does in the seconds after it, which is compared with a twin that never heard the packet. The profiles of the file
//! name the checksum mode "with pseudo-header", which is [`ChecksumPolicy::Pseudo`]; the verdicts that turn with another
//! mode stand in a table of their own. Where the file and the design disagree, the design decides: [`DESIGN_DECIDES`].

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use vrrpd::engine::output::{Discard, EventKind, Mismatch, StateName};
use vrrpd::engine::params::{Auth, AuthMode, ChecksumPolicy, RouterParams, Transport};
use vrrpd::wire::auth::Password;
use vrrpd::wire::field::Vrid;

use crate::bench::*;

/// Cases whose verdict with `strict = true` differs from what the file says of it.
///
/// An owner of version 3 judges what it hears in strict mode too (RFC 9568 section 7.1, erratum 8298); the file drops.
/// Strict asks for TTL 255 by unicast too; the file knows `min_ttl` alone.
const DESIGN_DECIDES: [(&str, Result<(), Discard>); 2] =
    [("v3owner-hears-advert", Ok(())), ("v2uni-ttl-64", Err(Discard::Ttl))];

/// The file's words for a reason, and ours.
const REASONS: [(&str, Discard); 22] = [
    ("incomplete packet", Discard::Incomplete),
    ("bad IP header", Discard::BadIpHeader),
    ("length mismatch", Discard::Length),
    ("fragment", Discard::Fragment),
    ("protocol", Discard::Protocol),
    ("not VRRP", Discard::NotVrrp),
    ("ttl", Discard::Ttl),
    ("hop limit", Discard::Ttl),
    ("version", Discard::Version),
    ("type", Discard::Type),
    ("vrid", Discard::Vrid),
    ("vrid not configured", Discard::UnknownVrid),
    ("checksum", Discard::Checksum),
    ("count zero", Discard::CountZero),
    ("interval", Discard::Interval),
    ("auth type", Discard::AuthType),
    ("auth", Discard::Auth),
    ("replay", Discard::Replay),
    ("destination", Discard::Destination),
    ("source not link-local", Discard::SourceNotLinkLocal),
    ("source not a peer", Discard::NotAPeer),
    ("own packet", Discard::OwnAddress),
];

/// A packet of the file.
#[derive(Clone)]
struct Case {
    id: String,
    profile: String,
    is_accepted: bool,
    reason: String,
    is_dropped_when_strict: bool,
    bytes: Vec<u8>,
}

impl Case {
    fn verdict(&self, is_strict: bool) -> Result<(), Discard> {
        let decided = DESIGN_DECIDES.iter().find(|(id, _)| is_strict && *id == self.id);
        if let Some((_, verdict)) = decided {
            return *verdict;
        }
        if self.is_accepted {
            return if is_strict && self.is_dropped_when_strict { Err(Discard::AddressList) } else { Ok(()) };
        }
        let known = REASONS.iter().find(|(word, _)| *word == self.reason);
        Err(known.unwrap_or_else(|| panic!("reason {:?} has no counter", self.reason)).1)
    }

    fn states(&self) -> &'static [StateName] {
        if self.profile == "v3owner" { &[StateName::Master] } else { &[StateName::Backup, StateName::Master] }
    }
}

#[test]
fn every_case_has_its_verdict_and_a_refused_one_changes_nothing() {
    assert_eq!(CASES.len(), 114);
    for case in CASES.iter() {
        for is_strict in [false, true] {
            for &state in case.states() {
                let params = RouterParams { strict: is_strict, ..profile(&case.profile) };
                let label = format!("{} as {state}, strict {is_strict}", case.id);
                judge(&label, case, params, state, case.verdict(is_strict));
            }
        }
    }
}

#[test]
fn verdicts_turn_with_the_setting_that_the_file_names() {
    let with = |name: &str, change: &dyn Fn(&mut RouterParams)| {
        let mut params = profile(name);
        change(&mut params);
        params
    };
    let sum = |name: &str, checksum| with(name, &|params| params.checksum = checksum);
    let min_ttl = with("v2uni", &|params| {
        if let Transport::Unicast { peers, .. } = &mut params.transport {
            peers[0].min_ttl = Some(255);
        }
    });
    let strict = |name: &str| with(name, &|params| params.strict = true);
    for (id, params, verdict) in [
        ("ok-v3-plain-csum", sum("v3", ChecksumPolicy::Rfc9568), Ok(())),
        ("ok-v3-plain-csum", sum("v3", ChecksumPolicy::Auto), Ok(())),
        ("ok-v3-plain-csum", sum("v3", ChecksumPolicy::OldUnicast), Err(Discard::Checksum)),
        ("ok-v3-pseudo", sum("v3", ChecksumPolicy::Auto), Ok(())),
        ("ok-v3-pseudo", sum("v3", ChecksumPolicy::Rfc9568), Err(Discard::Checksum)),
        ("v3uni-csum-mcast-pseudo", sum("v3uni", ChecksumPolicy::OldUnicast), Ok(())),
        ("v3uni-csum-mcast-pseudo", sum("v3uni", ChecksumPolicy::Auto), Ok(())),
        ("v3uni-csum-mcast-pseudo", sum("v3uni", ChecksumPolicy::Rfc9568), Err(Discard::Checksum)),
        ("v2uni-ttl-64", min_ttl, Err(Discard::Ttl)),
        ("v2uni-ttl-64", strict("v2uni"), Err(Discard::Ttl)),
        ("v3-csum-zero", sum("v3", ChecksumPolicy::Auto), Err(Discard::Checksum)),
        ("v3-csum-swapped-bytes", sum("v3", ChecksumPolicy::Auto), Err(Discard::Checksum)),
        ("v2-csum-with-pseudo", sum("v2", ChecksumPolicy::Auto), Err(Discard::Checksum)),
        ("v3ip6-csum-no-pseudo", sum("v3ip6", ChecksumPolicy::Rfc9568), Err(Discard::Checksum)),
        ("v3ip6-csum-no-pseudo", sum("v3ip6", ChecksumPolicy::Auto), Err(Discard::Checksum)),
    ] {
        let case = Case { reason: "valid".into(), ..case(id) };
        for state in [StateName::Backup, StateName::Master] {
            let label = format!("{id} as {state} with {:?}", params.checksum);
            judge(&label, &case, params.clone(), state, verdict);
        }
    }
}

#[test]
fn source_that_is_not_link_local_is_good_in_unicast() {
    let case = case("v3ip6-src-global");
    let source: [u8; 16] = case.bytes[8..24].try_into().expect("16 bytes");
    let mut params = unicast(profile("v3ip6"));
    let Transport::Unicast { peers, .. } = &mut params.transport else { panic!("unicast") };
    peers[0].address = Ipv6Addr::from(source).into();
    let packet = Packet { ttl: 64, ..Packet::like(&params, 150) };
    Bench::backup(params).accepts(&packet);
}

#[test]
fn accepted_packet_cut_anywhere_is_refused_and_changes_nothing() {
    let mut tried = 0;
    for case in CASES.iter().filter(|case| case.is_accepted) {
        let skipped = if case.profile == "v3ip6" { 40 } else { 0 };
        for &state in case.states() {
            let untouched = Twin::of(&mut subject(profile(&case.profile), state), &case.profile);
            for len in skipped..case.bytes.len() {
                for bytes in cuts(case, len) {
                    let label = format!("{} as {state} cut to {len}", case.id);
                    let mut bench = subject(profile(&case.profile), state);
                    let seen = hear(&mut bench, &case.profile, &bytes);
                    assert_eq!(bench.refusals().iter().map(|(_, count)| count).sum::<u64>(), 1, "{label}");
                    assert!(without_discards(seen).is_empty(), "{label}");
                    assert_eq!(Twin::of(&mut bench, &case.profile), untouched, "{label}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 2_000, "{tried}");
}

#[test]
fn accepted_packet_with_any_bit_flipped_is_refused_or_says_the_same() {
    let (mut refused, mut same) = (0, 0);
    for case in CASES.iter().filter(|case| case.is_accepted) {
        for &state in case.states() {
            let untouched = Twin::of(&mut subject(profile(&case.profile), state), &case.profile);
            let mut good = subject(profile(&case.profile), state);
            let expected = (hear(&mut good, &case.profile, &case.bytes), good.fingerprint());
            for bit in 0..case.bytes.len() * 8 {
                let label = format!("{} as {state}, bit {} of byte {}", case.id, bit % 8, bit / 8);
                let mut bytes = case.bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let mut bench = subject(profile(&case.profile), state);
                let before = bench.accepted();
                let seen = hear(&mut bench, &case.profile, &bytes);
                match (coverage(case, bit), bench.accepted() - before) {
                    (Coverage::Checked, 0) => {
                        assert!(without_discards(seen).is_empty(), "{label}");
                        assert_eq!(Twin::of(&mut bench, &case.profile), untouched, "{label}");
                        refused += 1;
                    }
                    (Coverage::Nobody, 1) => {
                        assert_eq!((seen, bench.fingerprint()), expected, "{label}");
                        same += 1;
                    }
                    (Coverage::Sender, 1) => same += 1,
                    (coverage, accepted) => panic!("{label}: {coverage:?}, accepted {accepted}"),
                }
            }
        }
    }
    assert!(refused > 5_000 && same > 500, "{refused} {same}");
}

/// Hears the case and checks everything that must follow from the verdict.
fn judge(label: &str, case: &Case, params: RouterParams, state: StateName, verdict: Result<(), Discard>) {
    let mut bench = subject(params.clone(), state);
    let (accepted, before) = (bench.accepted(), bench.fingerprint());
    let seen = hear(&mut bench, &case.profile, &case.bytes);
    match verdict {
        Ok(()) => {
            assert!(bench.refusals().is_empty(), "{label}: {:?}", bench.refusals());
            assert_eq!(bench.accepted(), accepted + 1, "{label}");
            consequences(label, case, &mut bench, &seen, state);
        }
        Err(reason) => {
            assert_eq!(bench.refusals(), [(reason, 1)], "{label}");
            assert_eq!(bench.fingerprint(), before, "{label}");
            assert!(without_discards(seen).is_empty(), "{label}");
            let mut untouched = subject(params, state);
            assert_eq!(Twin::of(&mut bench, &case.profile), Twin::of(&mut untouched, &case.profile), "{label}");
        }
    }
}

/// Checks what the file says of an accepted packet.
fn consequences(label: &str, case: &Case, bench: &mut Bench, seen: &[Seen], state: StateName) {
    let is_told = |wanted: &dyn Fn(&Mismatch) -> bool| {
        events(seen).into_iter().any(|event| matches!(event, EventKind::Mismatch { what, .. } if wanted(what)))
    };
    let is_list = |what: &Mismatch| {
        matches!(what, Mismatch::AddressCount { .. } | Mismatch::AddressList { .. } | Mismatch::FirstNotLinkLocal)
    };
    match case.reason.as_str() {
        "valid, backup sets down timer to skew time" if state == StateName::Backup => {
            assert_eq!(bench.timeout(), Some(us(609_375)), "{label}");
        }
        "valid, backup sets down timer to skew time" => assert_eq!(sent_priorities(seen), [100], "{label}: it answers"),
        "valid, interval mismatch logged" => {
            assert!(is_told(&|what| matches!(what, Mismatch::Interval { .. })), "{label}");
        }
        "valid, mismatch logged" | "valid, mismatch logged; dropped only when strict = true" => {
            assert!(is_told(&is_list), "{label}");
        }
        "valid, owner conflict logged; dropped only when strict = true" => {
            assert!(events(seen).into_iter().any(|event| matches!(event, EventKind::Rival { .. })), "{label}");
            assert_eq!(sent_priorities(seen), [255], "{label}: and judged");
        }
        "valid" => assert!(!is_told(&|_| true), "{label}"),
        other => panic!("{label}: no meaning for {other:?}"),
    }
}

/// What a node is and what it does in the next seconds.
#[derive(Debug, PartialEq, Eq)]
struct Twin {
    is: String,
    does: Vec<(std::time::Duration, Seen)>,
    becomes: String,
}

impl Twin {
    fn of(bench: &mut Bench, profile: &str) -> Self {
        let is = bench.fingerprint();
        let mut does = bench.run(ms(700));
        let good = CASES.iter().find(|case| case.profile == profile && case.reason == "valid");
        let heard = good.map(|good| hear(bench, profile, &good.bytes)).unwrap_or_default();
        does.extend(without_discards(heard).into_iter().map(|seen| (ms(700), seen)));
        does.extend(bench.run(ms(4_500)));
        Self { is, does, becomes: bench.fingerprint() }
    }
}

/// Who looks at a bit of a packet.
#[derive(Debug)]
enum Coverage {
    /// Some check.
    Checked,
    /// Nobody: it belongs to the kernel, to routers on the path or to nothing.
    Nobody,
    /// It is part of the sender's address, which nothing confirms by multicast without a pseudo-header.
    Sender,
}

fn coverage(case: &Case, bit: usize) -> Coverage {
    let (byte, mask) = (bit / 8, 1 << (bit % 8));
    let name = case.profile.as_str();
    let (is_ah, is_unicast, is_v2) = (name == "v2ah", name == "v2uni", name.starts_with("v2"));
    match byte {
        0..=6 if name == "v3ip6" => Coverage::Nobody,
        _ if name == "v3ip6" => Coverage::Checked,
        1 | 10 | 11 => Coverage::Nobody,
        4 | 5 if !is_ah => Coverage::Nobody,
        6 if mask & 0xc0 != 0 => Coverage::Nobody,
        8 if is_unicast => Coverage::Nobody,
        12..16 if is_v2 && !is_ah && !is_unicast => Coverage::Sender,
        // The kernel delivers only what is addressed to this host; that it is no group is checked.
        16 if is_unicast && mask != 0x20 => Coverage::Nobody,
        17..20 if is_unicast => Coverage::Nobody,
        20..24 if case.id == "ip4-options" => Coverage::Nobody,
        40.. if case.id == "v2-eth-padding" => Coverage::Nobody,
        _ => Coverage::Checked,
    }
}

/// The packet cut to `len` bytes: as it is, and over IPv4 with a total length that says so.
fn cuts(case: &Case, len: usize) -> Vec<Vec<u8>> {
    let cut = case.bytes[..len].to_vec();
    if case.profile == "v3ip6" {
        return vec![cut];
    }
    let total = usize::from(u16::from_be_bytes([case.bytes[2], case.bytes[3]]));
    let mut all = Vec::new();
    if (20..total).contains(&len) {
        let mut said = cut.clone();
        said[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        all.push(said);
    }
    if len < total {
        all.push(cut);
    }
    all
}

/// A node set up as a profile says, in one of two states. By authentication: the last sequence number is 10.
fn subject(params: RouterParams, state: StateName) -> Bench {
    let key = b"ahkey12";
    let is_ah = matches!(params.auth, Auth::Ah(_));
    match (state, is_ah) {
        (StateName::Backup, false) => Bench::backup(params),
        (StateName::Backup, true) => {
            let packet = Packet { byte_4: 2, ..Packet::like(&params, 150) };
            let mut bench = Bench::backup(params);
            bench.hear_v4(INDEX, &authenticated(&packet, key, 10));
            assert_eq!(bench.accepted(), 1);
            bench
        }
        (_, false) => Bench::master(params),
        (_, true) => {
            // One counter serves what is heard and what is sent.
            let mut bench = Bench::master(params);
            assert_eq!(adverts(&untimed(bench.run(ms(9_000)))).len(), 9);
            bench
        }
    }
}

fn profile(name: &str) -> RouterParams {
    let own = |params: RouterParams, vrid, address| RouterParams {
        vrid: Vrid::new(vrid).expect("a VRID"),
        vips: vec![vip(address)],
        checksum: ChecksumPolicy::Pseudo,
        ..params
    };
    match name {
        "v2" => own(v2(), 51, "192.0.2.100"),
        "v2pass" => RouterParams {
            auth: Auth::Password { password: Password::new(b"s3cr3t77"), mode: AuthMode::Enforce },
            ..own(v2(), 52, "192.0.2.101")
        },
        "v2ah" => RouterParams { auth: Auth::Ah(Password::new(b"ahkey12")), ..own(v2(), 54, "192.0.2.103") },
        "v2uni" => unicast(own(v2(), 56, "192.0.2.105")),
        "v3" => own(v3(), 61, "192.0.2.110"),
        "v3uni" => unicast(own(v3(), 62, "192.0.2.111")),
        "v3ip6" => RouterParams { checksum: ChecksumPolicy::Pseudo, ..v6() },
        "v3owner" => RouterParams { priority: prio(255), ..own(v3(), 61, "192.0.2.110") },
        other => panic!("profile {other}"),
    }
}

/// Lets the node hear bytes that begin with an IP header, as its sockets would deliver them.
fn hear(bench: &mut Bench, profile: &str, bytes: &[u8]) -> Vec<Seen> {
    if profile != "v3ip6" {
        return bench.hear_v4(INDEX, bytes);
    }
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).expect("16 bytes"));
    bench.hear_v6(INDEX, address(8), address(24), bytes[7], &bytes[40..])
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../wire/malformed.json")).expect("the file is JSON");
    let text = |case: &serde_json::Value, key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let case = |case: &serde_json::Value| Case {
        id: text(case, "id"),
        profile: text(case, "profile"),
        is_accepted: text(case, "verdict") == "accept",
        reason: text(case, "reason"),
        is_dropped_when_strict: text(case, "strict") == "drop",
        bytes: unhex(&text(case, "hex")),
    };
    file["cases"].as_array().expect("a list of cases").iter().map(case).collect()
});

fn case(id: &str) -> Case {
    CASES.iter().find(|case| case.id == id).expect(id).clone()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
