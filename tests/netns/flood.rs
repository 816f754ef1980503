//! Packets that must change nothing: a third host sends forged, broken and recorded adverts in the nodes' names, twice a
//! second (which silences Keepalived), a thousand times a second, and as fast as the machine can.
//!
//! One pair of nodes has a virtual router for each way to authenticate and for each profile of `malformed.json`; all
//! kinds of packets come at once, so that whichever moves something is found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::{Frame, INTRUDER};
use vrrpd::demo::lab::INTERFACE;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::site::Site;
use vrrpd::demo::watch::{Log, Sight};
use vrrpd::wire::field::Version;

use crate::accounts::{Account, accounts};
use crate::authentication::Pair;
use crate::driver::Kind;
use crate::forgery::{Advert, Forged};
use crate::in_turn;
use crate::intruder::{Intruder, Rate};
use crate::routers::{KEYS, Router, Secret};
use crate::status::status;
use crate::stories::{quick, steps};
use crate::story::Act::{Start, Stop};
use crate::story::{Miss, Step};
use crate::tap::{Mac, Tap, mac_of};

/// How late an advert may be beside a thousand packets a second: what a busy machine with two cores may take.
const LATE: Duration = Duration::from_millis(250);
/// What the resident memory may grow by, in KiB.
const GROWTH: u64 = 4096;
/// What all floods together may write into the log of a node: what the daemon's budget allows at once, and some more.
const LINES: usize = 12;
/// Adverts that are sent again from the beginning of the recording, and from its end.
const RECORDED: usize = 8;

#[test]
fn floods_of_forged_adverts_change_nothing() {
    in_turn(|| change_nothing().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn adverts_that_nothing_protects_can_be_forged() {
    in_turn(|| can_be_forged().unwrap_or_else(|error| panic!("{error}")));
}

#[test]
fn keepalived_under_bad_checksums_is_measured() {
    in_turn(|| keepalived_under_bad_checksums().unwrap_or_else(|error| panic!("{error}")));
}

fn change_nothing() -> Result<(), LabError> {
    let mut pair = Pair::like(&place(), [Kind::Vrrpd, Kind::Vrrpd], routers())?;
    let mut tap = Tap::of_adverts(pair.cluster.lab())?;
    // Both are heard as Master, and node a says goodbye once: a recording of that would be the worst to believe.
    for step in steps! {
        Start(B) => [B], Anything;
        Start(A) => [A], Anything;
        Stop(A) => [B], Anything;
        Start(A) => [A], Anything;
    } {
        pair.play(vec![step])?;
        tap.mark();
    }
    // Sequence numbers are beyond those of the recordings in `malformed.json`.
    pair.cluster.watch.pause(Duration::from_secs(2))?;
    let heard = tap.listen(Duration::ZERO).to_vec();
    let packets = packets(&pair, &heard)?;
    let frames: Vec<Vec<u8>> = packets.iter().map(|forged| forged.frame.clone()).collect();
    let intruder = Intruder::new(pair.cluster.lab())?;
    let first = Look::at(&pair)?;
    for (rate, length) in [(Rate::Twice, 8), (Rate::Thousand, 3), (Rate::Most, 3)] {
        let (since, before) = (now(), Look::at(&pair)?);
        let sent = intruder.flood(&frames, rate, Duration::from_secs(length));
        let until = now();
        // What is still under way arrives.
        pair.cluster.watch.pause(Duration::from_millis(200))?;
        pair.cluster.check_alive()?;
        let after = Look::at(&pair)?;
        let told = compare(&pair, rate, (since, until), (&before, &after));
        eprintln!("flood {rate:?}: {sent} frames of {} kinds in {length} s; {}", frames.len(), told?);
        if rate == Rate::Twice {
            each_is_counted(&packets, &before, &after)?;
        }
    }
    let last = Look::at(&pair)?;
    for side in [0, 1] {
        let lines = last.lines[side] - first.lines[side];
        let growth = last.rss[side].saturating_sub(first.rss[side]);
        eprintln!("flood: node {}: {lines} lines, {growth} KiB more memory", [A, B][side]);
        check(lines <= LINES, || format!("{lines} lines"))?;
        check(growth < GROWTH, || format!("memory grew by {growth} KiB"))?;
    }
    Ok(())
}

/// What the nodes say of themselves.
struct Look {
    accounts: [BTreeMap<String, Account>; 2],
    /// State and number of transitions, by instance.
    states: [BTreeMap<String, (String, u64)>; 2],
    lines: [usize; 2],
    /// Resident memory in KiB.
    rss: [u64; 2],
}

impl Look {
    fn at(pair: &Pair) -> Result<Self, LabError> {
        let mut look = Self { accounts: Default::default(), states: Default::default(), lines: [0; 2], rss: [0; 2] };
        for (side, node) in [A, B].into_iter().enumerate() {
            look.accounts[side] = accounts(&pair.cluster, node)?;
            look.lines[side] = pair.cluster.lines(node).len();
            for router in &pair.routers {
                let status = status(&pair.cluster, node, router.name)?;
                let count = |key: &str| status.instance["counters"][key].as_u64().unwrap_or(0);
                let moves = count("became_master") + count("released_master");
                look.states[side].insert(router.name.to_owned(), (status.state, moves));
                look.rss[side] = resident(status.pid);
            }
        }
        Ok(look)
    }
}

/// Everything is as it was, but for counters.
fn compare(
    pair: &Pair,
    rate: Rate,
    (since, until): (Duration, Duration),
    (before, after): (&Look, &Look),
) -> Result<String, LabError> {
    check(before.states == after.states, || format!("states {:?}, before {:?}", after.states, before.states))?;
    let mut worst = Duration::ZERO;
    for router in &pair.routers {
        let (gap, adverts, moves) = pair.cluster.watch.look(|log| {
            let moves = [A, B].map(|node| log.acquisitions(router.address(), node, since).len());
            let sent = times(log, router.vrid, since);
            (longest(&sent, since, until), sent.len() as u64, moves)
        });
        let limit = match rate {
            Rate::Twice | Rate::Thousand => router.interval + LATE,
            Rate::Most => router.plan(&pair.cluster.plan).master_down(B),
        };
        let name = router.name;
        check(gap < limit, || format!("{name}: no advert for {gap:?}, at most {limit:?}"))?;
        check(moves == [0, 0], || format!("{name}: nodes a and b took the address {moves:?} times"))?;
        worst = worst.max(gap.saturating_sub(router.interval));
        let believed = |side: usize| after.accounts[side][name].received - before.accounts[side][name].received;
        check(believed(0) == 0, || format!("{name}: the Master believed {} adverts", believed(0)))?;
        check(believed(1) <= adverts + 1, || format!("{name}: {adverts} adverts, {} believed", believed(1)))?;
    }
    let outage = pair.cluster.probe.outage(since, until);
    // Beyond that the link itself is full, which is another matter.
    check(outage.lost == 0 || rate == Rate::Most, || format!("the client lost {outage:?}"))?;
    let refused = [0, 1].map(|side| {
        let sum = |look: &Look| look.accounts[side].values().map(Account::refusals).sum::<u64>();
        sum(after) - sum(before)
    });
    let lines = [0, 1].map(|side| after.lines[side] - before.lines[side]);
    Ok(format!(
        "refused {refused:?}, lines {lines:?}, an advert at most {worst:?} late, client lost {} of {} (silence {:?})",
        outage.lost, outage.sent, outage.gap
    ))
}

/// Each packet was refused for its reason, and is shown so.
fn each_is_counted(packets: &[Forged], before: &Look, after: &Look) -> Result<(), LabError> {
    let count = |look: &Look, name: &str, reason: &str| {
        let sides = look.accounts.iter().filter_map(|side| side.get(name)?.refused.get(reason));
        sides.sum::<u64>()
    };
    let kinds = packets.iter().filter(|forged| !forged.reason.is_empty());
    let kinds: BTreeSet<(&str, &str)> = kinds.map(|forged| (forged.router, forged.reason)).collect();
    let is_missing = |&&(router, reason): &&(&str, &str)| {
        // The reason of a packet that names no router is counted with any of them.
        let routers: Vec<&str> = match router.is_empty() {
            true => after.accounts[0].keys().map(String::as_str).collect(),
            false => vec![router],
        };
        !routers.iter().any(|router| count(after, router, reason) > count(before, router, reason))
    };
    let missing: Vec<_> = kinds.iter().filter(is_missing).collect();
    eprintln!("flood: {} kinds of refusal: {kinds:?}", kinds.len());
    check(missing.is_empty(), || format!("not counted: {missing:?}; {:?}", after.accounts))
}

/// Nothing keeps these from whoever is on the segment: a peer's address, and where there is one the password.
fn can_be_forged() -> Result<(), LabError> {
    let routers = routers().into_iter().filter(|router| ["v2", "v2uni", "pass-uni", "ah-uni"].contains(&router.name));
    let mut pair = Pair::like(&place(), [Kind::Vrrpd, Kind::Vrrpd], routers.collect())?;
    let mut tap = Tap::of_adverts(pair.cluster.lab())?;
    pair.play(steps! { Start(B) => [B], Anything; })?;
    tap.mark();
    pair.play(steps! { Start(A) => [A], Anything; })?;
    let heard = tap.listen(Duration::ZERO).to_vec();
    let intruder = Intruder::new(pair.cluster.lab())?;
    let mut forged = Vec::new();
    for router in &pair.routers {
        let advert = last(router, &heard, B).ok_or_else(|| wrong(format!("no advert of {}", router.name)))?;
        forged.push(advert.with_priority(255).frame());
    }
    // Again and again: the switch may not forward yet what comes from a port that was plugged in a moment ago.
    intruder.flood(&forged, Rate::Twice, Duration::from_secs(2));
    pair.cluster.watch.pause(Duration::from_millis(300))?;
    let states = pair.routers.iter().map(|router| Ok((router.name, status(&pair.cluster, A, router.name)?.state)));
    let states = states.collect::<Result<BTreeMap<_, _>, LabError>>()?;
    eprintln!("forged priority 255 from node b's address: {states:?}");
    for (name, state) in [("v2", "BACKUP"), ("v2uni", "BACKUP"), ("pass-uni", "BACKUP"), ("ah-uni", "MASTER")] {
        check(states[name] == state, || format!("{name}: {}, expected {state}", states[name]))?;
    }
    Ok(())
}

/// Nothing is asked of it: what it does is printed.
fn keepalived_under_bad_checksums() -> Result<(), LabError> {
    let routers = routers().into_iter().filter(|router| router.name == "v2").collect();
    let mut pair = Pair::like(&place(), [Kind::Keepalived, Kind::Keepalived], routers)?;
    let mut tap = Tap::of_adverts(pair.cluster.lab())?;
    pair.play(steps! { Start(B) => [B], Anything; })?;
    pair.play(steps! { Start(A) => [A], Anything; })?;
    let heard = tap.listen(Duration::ZERO).to_vec();
    let intruder = Intruder::new(pair.cluster.lab())?;
    for router in &pair.routers {
        let advert = last(router, &heard, B).ok_or_else(|| wrong(format!("no advert of {}", router.name)))?;
        let frames: Vec<_> = advert.forgeries().into_iter().filter(|forged| forged.reason == "checksum").collect();
        let since = now();
        intruder.flood(&[frames[0].frame.clone()], Rate::Twice, Duration::from_secs(5));
        let (sent, moves) = pair.cluster.watch.look(|log| {
            let moves = [A, B].map(|node| log.acquisitions(router.address(), node, since).len());
            (times(log, router.vrid, since).len(), moves)
        });
        eprintln!(
            "Keepalived under bad checksums, {}: {sent} adverts of node a in 5 s, took the address {moves:?}",
            router.name
        );
    }
    Ok(())
}

/// Addresses as in `malformed.json`: node a listens as 192.0.2.11, node b is 192.0.2.12.
fn place() -> Plan {
    let site = Site {
        interface: INTERFACE,
        first_node: Ipv4Addr::new(192, 0, 2, 11),
        client: Ipv4Addr::new(192, 0, 2, 254),
        prefix_len: 24,
    };
    Plan { site, priorities: vec![100, 50], ..quick() }
}

/// The profiles of `malformed.json`, and more.
fn routers() -> Vec<Router> {
    use Version::{V2, V3};
    let plain = Router::plain;
    let pseudo = "checksum = \"pseudo\"\n";
    let key = format!("keys = {{ 7 = \"{}\" }}", KEYS[0]);
    vec![
        plain("v2", 51, V2, true, "192.0.2.100"),
        plain("v2pass", 52, V2, true, "192.0.2.101").with_password("s3cr3t77"),
        plain("v2ah", 54, V2, true, "192.0.2.103").with_ah("ahkey12"),
        plain("v2uni", 56, V2, false, "192.0.2.105"),
        plain("pass-uni", 57, V2, false, "192.0.2.106").with_password("s3cr3t77"),
        plain("ah-uni", 58, V2, false, "192.0.2.107").with_ah("ahkey12"),
        plain("v3", 61, V3, true, "192.0.2.110").with_lines(pseudo),
        plain("v3uni", 62, V3, false, "192.0.2.111").with_lines(pseudo),
        plain("v3ip6", 65, V3, true, "fe80::65 2001:db8:1::100"),
        plain("hmac-v2", 71, V2, false, "192.0.2.121").with_hmac(&key),
        plain("hmac-v3", 72, V3, false, "192.0.2.122").with_hmac(&key),
        plain("hmac-v3-group", 73, V3, true, "192.0.2.123").with_hmac(&key),
        plain("hmac-v3ip6", 74, V3, false, "fe80::74 2001:db8:1::74").with_hmac(&key),
        plain("hmac-v3ip6-group", 75, V3, true, "fe80::75 2001:db8:1::75").with_hmac(&key),
    ]
}

/// All that is sent: forged adverts of both nodes, their recorded ones, and `malformed.json`.
fn packets(pair: &Pair, heard: &[(Node, Vec<u8>)]) -> Result<Vec<Forged>, LabError> {
    let mut all = malformed(mac_of(pair.cluster.lab(), A)?);
    for router in &pair.routers {
        for node in [A, B] {
            let advert = last(router, heard, node);
            all.extend(advert.ok_or_else(|| wrong(format!("no advert of {}", router.name)))?.forgeries());
        }
        let recorded: Vec<Advert> = heard.iter().filter_map(|(_, frame)| Advert::read(router, frame)).collect();
        let (first, rest) = recorded.split_at(recorded.len().min(RECORDED));
        let latest = &rest[rest.len().saturating_sub(RECORDED)..];
        let mut add = |reason, adverts: &[Advert]| {
            all.extend(adverts.iter().map(|advert| Forged { router: router.name, reason, frame: advert.verbatim() }));
        };
        match router.secret {
            // Nothing tells a recorded advert from a fresh one.
            Secret::None | Secret::Password => {}
            Secret::Ah => [first, latest].into_iter().for_each(|adverts| add("replay", adverts)),
            Secret::Hmac => [("stale", first), ("replay", latest)].into_iter().for_each(|(why, these)| add(why, these)),
        }
        // Whoever left said so, and that was recorded, too.
        let farewells = recorded.iter().filter(|advert| advert.priority() == 0 && router.secret.keeps_out_recordings());
        all.extend(farewells.map(|advert| Forged { router: router.name, reason: "", frame: advert.verbatim() }));
    }
    Ok(all)
}

/// Returns the last advert of a node that is no farewell.
fn last(router: &Router, heard: &[(Node, Vec<u8>)], node: Node) -> Option<Advert> {
    let of_node = heard.iter().rev().filter(|(sender, _)| *sender == node);
    of_node.filter_map(|(_, frame)| Advert::read(router, frame)).find(|advert| advert.priority() > 0)
}

/// The packets of `malformed.json` that no receiver may believe, in Ethernet frames.
fn malformed(node_a: Mac) -> Vec<Forged> {
    let file: Value = serde_json::from_str(include_str!("../wire/malformed.json")).expect("the file is JSON");
    let text = |case: &Value, key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let cases = file["cases"].as_array().expect("a list of cases").iter();
    let all = cases.filter(|case| case["verdict"] == "drop").filter_map(|case| {
        let hex = text(case, "hex");
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
        // Longer ones do not fit into a frame.
        if bytes.len() > 1500 {
            return None;
        }
        let is_v6 = text(case, "profile") == "v3ip6";
        let kind: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let to = match bytes.get(16) {
            // To the other node that one is a good advert.
            _ if case["reason"] == "own packet" => node_a,
            _ if is_v6 => [0x33, 0x33, 0, 0, 0, 0x12],
            Some(224) => [0x01, 0, 0x5e, 0, 0, 0x12],
            Some(_) | None => node_a,
        };
        let frame = [&to[..], &INTRUDER, &kind, &bytes].concat();
        Some(Forged { router: "", reason: counter(&text(case, "reason")), frame })
    });
    // The kernel itself drops some of them: headers that are none, fragments, other protocols, one's own address.
    all.collect()
}

/// Returns which counter must show a reason of the file; none where the kernel may keep the packet to itself.
fn counter(reason: &str) -> &'static str {
    const REASONS: [(&str, &str); 14] = [
        ("not VRRP", "not_vrrp"),
        ("ttl", "ttl"),
        ("hop limit", "ttl"),
        ("version", "version"),
        ("type", "type"),
        ("checksum", "checksum"),
        ("count zero", "count_zero"),
        ("interval", "interval"),
        ("auth type", "auth_type"),
        ("auth", "auth"),
        ("replay", "replay"),
        ("destination", "destination"),
        ("source not link-local", "source_not_link_local"),
        ("source not a peer", "not_a_peer"),
    ];
    REASONS.iter().find(|(word, _)| *word == reason).map_or("", |(_, reason)| *reason)
}

/// Returns when node a sent adverts of a router.
fn times(log: &Log, router: u8, since: Duration) -> Vec<Duration> {
    let seen = log.sightings().iter().filter(|seen| seen.at >= since && seen.node == A);
    let is_advert = |what: &Sight| matches!(what, Sight::Sent(Frame::Advert { vrid, .. }) if *vrid == router);
    let mut times: Vec<_> = seen.filter(|seen| is_advert(&seen.what)).map(|seen| seen.at).collect();
    // One for each peer is one advert.
    times.dedup_by(|one, other| one.abs_diff(*other) < Duration::from_millis(1));
    times
}

/// Returns the longest time without an advert.
fn longest(times: &[Duration], since: Duration, until: Duration) -> Duration {
    let ends = times.iter().copied().filter(|at| *at < until).chain([until]);
    let begins = [since].into_iter().chain(times.iter().copied());
    begins.zip(ends).map(|(begin, end)| end.saturating_sub(begin)).max().unwrap_or_default()
}

/// Returns the resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn check(is_right: bool, problem: impl FnOnce() -> String) -> Result<(), LabError> {
    if is_right { Ok(()) } else { Err(wrong(problem())) }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "flood".to_owned(), problem }
}
