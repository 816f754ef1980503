//! What the lines of an instance mean together: defaults by version, `state MASTER`, strict mode, what cannot be run.
//!
//! One stop before: `instance`; one stop after: [`RouterParams`], the same that TOML gives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::document::Secret;
use super::global::{Garp, Global, MOST_COPIES};
use super::hmac::Hmac;
use super::instance::Draft;
use super::refusal::Refusal;
use super::remark::Remark;
use super::report::{At, Report, Spot};
use super::script;
use super::value::is_interface;
use super::vip::Entry;
use crate::config::address::is_link_local;
use crate::config::resolve::{ADVERTISED_MAX, group_of};
use crate::config::secret::Secrets;
use crate::engine::params::{
    AnnounceSchedule, Auth, AuthMode, ChecksumPolicy, HmacParams, Ownership, PeerParams, Preempt, RouterParams,
    Transport, Vip,
};
use crate::wire::auth::Password;
use crate::wire::field::{AdverInterval, Family, KeyId, Priority, Version};

/// Returns the parameters of an instance, and its keys as TOML has them; `None` when it is refused or never takes part.
pub(super) fn finish(
    draft: &Draft,
    global: &Global,
    secrets: &Secrets,
    report: &mut Report,
) -> Option<(RouterParams, Vec<(KeyId, Secret)>)> {
    let family = draft.family.unwrap_or(Family::V4);
    let version = version(draft, global, family, report);
    let is_strict = draft.is_strict.unwrap_or(global.is_strict);
    let priority = priority(draft, is_strict, report);
    let vips = vips(draft, family, report);
    if vips.iter().all(|vip| !vip.advertise) {
        no_vips(draft, version, is_strict, report);
    }
    let transport = transport(draft, global, family, is_strict, report);
    let interface = interface(draft, global, report);
    if draft.vrid.is_none() {
        report.refuse(draft.spot, Refusal::NoRouterId);
    }
    if is_strict && !priority.is_owner() && !vips.is_empty() {
        let text = "strict mode makes Keepalived drop packets to the addresses, pings too; here the master answers";
        report.remark(draft.spot, Remark::Note { text });
    }
    let source = source(draft, family, &transport, report);
    let interval = interval(draft, version, report);
    let (auth, keys) = match &draft.hmac {
        Some(hmac) => {
            let (params, keys) = self::hmac(hmac, draft, interval, is_strict, secrets, report)?;
            (Auth::Hmac(params), keys)
        }
        None => (auth(draft, version, is_strict, report), Vec::new()),
    };
    let interface = interface?;
    let routes = draft.routes.iter().map(|route| route.clone().on(&interface)).collect();
    let params = RouterParams {
        name: draft.name.clone(),
        interface,
        vrid: draft.vrid.as_ref()?.value,
        version,
        family,
        priority,
        advertisement_interval: interval,
        preempt: preempt(draft, priority, is_strict, report),
        checksum: checksum(draft, version, family, transport.as_ref()),
        transport: transport?,
        source,
        vips,
        routes,
        rules: draft.rules.clone(),
        strict: false,
        auth,
        announce: announce(&draft.garp),
        master_down_adverts: draft.down_adverts.unwrap_or(3),
        ignores_link: draft.ignores_link,
        tracks: Vec::new(),
        hooks: script::hooks(draft.calls.clone()),
        ownership: Ownership::default(),
    };
    Some((params, keys))
}

fn version(draft: &Draft, global: &Global, family: Family, report: &mut Report) -> Version {
    match (family, &draft.version) {
        (Family::V6, Some(At { value: Version::V2, spot })) => {
            let text = "version 2 has no IPv6; version 3 is taken, as by Keepalived";
            report.remark(*spot, Remark::Contradiction { text });
            Version::V3
        }
        (Family::V6, _) => Version::V3,
        (Family::V4, Some(version)) => version.value,
        (Family::V4, None) => global.version.unwrap_or(Version::V2),
    }
}

/// 255 by omission: `state MASTER` without a priority makes an owner.
fn priority(draft: &Draft, is_strict: bool, report: &mut Report) -> Priority {
    let priority = match (&draft.priority, draft.wants_master) {
        (Some(priority), _) => priority.value,
        (None, Some(spot)) => {
            let text = "`state MASTER` without `priority` makes this node the owner, priority 255, as in Keepalived: it \
                        always preempts and no check moves it; write a priority";
            report.remark(spot, Remark::Contradiction { text });
            Priority::OWNER
        }
        (None, None) => Priority::DEFAULT,
    };
    if let (true, false, Some(spot)) = (is_strict, priority.is_owner(), draft.wants_master) {
        let text = "strict mode wants `state MASTER` with priority 255 alone; the node begins as BACKUP";
        report.remark(spot, Remark::Contradiction { text });
    }
    priority
}

fn interval(draft: &Draft, version: Version, report: &mut Report) -> AdverInterval {
    let Some(At { value, spot }) = &draft.interval else { return AdverInterval::DEFAULT };
    let step = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => Duration::from_millis(10),
    };
    let most = match version {
        Version::V2 => Duration::from_secs(255),
        Version::V3 => Duration::from_millis(40_950),
    };
    // Half up, as Keepalived rounds.
    let steps = (value.as_nanos() + step.as_nanos() / 2) / step.as_nanos();
    let rounded = step * u32::try_from(steps).unwrap_or(u32::MAX);
    let interval = AdverInterval::new(version, rounded.clamp(step, most)).unwrap_or(AdverInterval::DEFAULT);
    if interval.as_duration() != *value {
        let (found, instead) = (value.as_secs_f64().to_string(), interval.as_duration().as_secs_f64());
        let expected = match version {
            Version::V2 => "whole seconds from 1 to 255 in version 2",
            Version::V3 => "0.01 to 40.95 in steps of 0.01 in version 3",
        };
        let instead = format!("{instead} is taken, as by Keepalived; write the same on every node");
        let remark = Remark::Value { keyword: "advert_int".to_owned(), found, expected: expected.to_owned(), instead };
        report.remark(*spot, remark);
    } else if version == Version::V2 && interval != AdverInterval::DEFAULT {
        let text = "version 2 receivers drop adverts of another advert_int, which makes two masters; \
                    write the same on every node";
        report.remark(*spot, Remark::Note { text });
    }
    interval
}

fn preempt(draft: &Draft, priority: Priority, is_strict: bool, report: &mut Report) -> Preempt {
    let mut clear = |spot: Spot, text: &'static str| report.remark(spot, Remark::Contradiction { text });
    let delay = draft.preempt_delay.as_ref();
    if let Some(spot) = draft.never_preempts {
        if draft.wants_master.is_some() {
            clear(
                spot,
                "`nopreempt` has no effect beside `state MASTER`, as in Keepalived; write `state BACKUP` on every node",
            );
        } else if priority.is_owner() {
            clear(spot, "`nopreempt` has no effect with priority 255, as in Keepalived; write a priority up to 254");
        } else {
            if let Some(delay) = delay {
                clear(delay.spot, "`preempt_delay` has no effect beside `nopreempt`; take one of them out");
            }
            return Preempt::Never;
        }
    }
    let Some(delay) = delay else { return Preempt::Always };
    if draft.wants_master.is_some() {
        clear(
            delay.spot,
            "`preempt_delay` has no effect beside `state MASTER`, as in Keepalived; write `state BACKUP`",
        );
    } else if priority.is_owner() || is_strict {
        clear(delay.spot, "`preempt_delay` has no effect in strict mode or with priority 255, as in Keepalived");
    } else {
        return Preempt::After(delay.value.max(Duration::from_millis(10)));
    }
    Preempt::Always
}

fn vips(draft: &Draft, family: Family, report: &mut Report) -> Vec<Vip> {
    let mut seen: BTreeMap<(IpAddr, Option<&str>), Spot> = BTreeMap::new();
    let most = match family {
        Family::V4 => ADVERTISED_MAX,
        // What fits 1500 bytes.
        Family::V6 => 90,
    };
    let (mut vips, mut advertised, mut bare): (Vec<Vip>, usize, Vec<&At<Entry>>) = (Vec::new(), 0, Vec::new());
    let listed = draft.vips.iter().map(|entry| (entry, true));
    for (entry, is_listed) in listed.chain(draft.excluded.iter().map(|entry| (entry, false))) {
        let vip = &entry.value.vip;
        let link = vip.interface.as_deref().filter(|_| is_link_local(&vip.address));
        if let Some(first) = seen.get(&(vip.address, link)) {
            report.remark(entry.spot, Remark::Twice { what: vip.address.to_string(), line: first.line });
            continue;
        }
        seen.insert((vip.address, link), entry.spot);
        if entry.value.is_bare && vip.options.peer.is_none() {
            bare.push(entry);
        }
        let advertise = is_listed && advertised < most;
        advertised += usize::from(is_listed);
        vips.push(Vip { advertise, ..vip.clone() });
    }
    if let Some(first) = bare.first() {
        let address = first.value.vip.address;
        report.remark(first.spot, Remark::BareAddress { address, others: bare.len() - 1 });
    }
    if advertised > most {
        report.remark(draft.spot, Remark::NotAdvertised { count: advertised - most });
    }
    vips
}

fn no_vips(draft: &Draft, version: Version, is_strict: bool, report: &mut Report) {
    if version == Version::V3 || is_strict {
        report.refuse(draft.spot, Refusal::NoAddresses);
    } else {
        let text = "the instance has no virtual_ipaddress; the election is held and nothing moves by it";
        report.remark(draft.spot, Remark::Contradiction { text });
    }
}

fn transport(
    draft: &Draft,
    global: &Global,
    family: Family,
    is_strict: bool,
    report: &mut Report,
) -> Option<Transport> {
    let default = global.groups[usize::from(family == Family::V6)].unwrap_or(group_of(family));
    let own = draft.group.as_ref().map(|group| group.value).filter(|group| Family::of(group) == family);
    let multicast = Transport::Multicast { group: own.unwrap_or(default) };
    let Some(list) = &draft.peers else { return Some(multicast) };
    if is_strict {
        report.refuse(list.spot, Refusal::StrictUnicast);
    }
    let mut peers: Vec<PeerParams> = Vec::new();
    let mut seen: BTreeMap<IpAddr, Spot> = BTreeMap::new();
    for At { value: peer, spot } in &list.value {
        if draft.source.as_ref().is_some_and(|source| source.value == peer.address) {
            let text = "this peer is the node itself (unicast_src_ip) and is left out; list the other nodes only";
            report.remark(*spot, Remark::Contradiction { text });
        } else if let Some(first) = seen.insert(peer.address, *spot) {
            report.remark(*spot, Remark::Twice { what: format!("peer {}", peer.address), line: first.line });
        } else {
            peers.push(PeerParams {
                address: peer.address,
                priority: None,
                min_ttl: peer.min_ttl,
                max_ttl: peer.max_ttl,
            });
        }
    }
    if let (Some(group), false) = (&draft.group, peers.is_empty()) {
        let text = "`mcast_dst_ip` has no effect with unicast, as in Keepalived";
        report.remark(group.spot, Remark::Contradiction { text });
    }
    if !peers.is_empty() {
        if !draft.checks_source && !global.checks_source {
            let text = "only the listed peers are believed, unlike in Keepalived without check_unicast_src; \
                        list every node that takes part";
            report.remark(list.spot, Remark::Note { text });
        }
        return Some(Transport::Unicast { peers, also: None });
    }
    if draft.needs_peers {
        let text =
            "unicast without peers, and unicast_fault_no_peer says that this is a fault: the instance is left out";
        report.remark(list.spot, Remark::Contradiction { text });
        return None;
    }
    let text = "unicast without peers is multicast, as in Keepalived; list the peers or take unicast_peer out";
    report.remark(list.spot, Remark::Contradiction { text });
    Some(multicast)
}

fn interface(draft: &Draft, global: &Global, report: &mut Report) -> Option<String> {
    if let Some(interface) = &draft.interface {
        return Some(interface.value.clone());
    }
    let has_source = draft.source.as_ref().is_some_and(|source| !is_link_local(&source.value));
    let default = global.interface.as_deref().unwrap_or("eth0");
    let has_no_peers = draft.peers.as_ref().is_none_or(|peers| peers.value.is_empty());
    if has_no_peers || !has_source || !is_interface(default) {
        report.refuse(draft.spot, Refusal::NoInterface);
        return None;
    }
    let text = "no interface: default_interface, else eth0, carries adverts and addresses; write `interface`";
    report.remark(draft.spot, Remark::Contradiction { text });
    Some(default.to_owned())
}

fn source(draft: &Draft, family: Family, transport: &Option<Transport>, report: &mut Report) -> Option<IpAddr> {
    let source = draft.source.as_ref()?;
    let is_multicast = matches!(transport, Some(Transport::Multicast { .. }));
    if is_multicast && family == Family::V6 && !is_link_local(&source.value) {
        let text = "IPv6 multicast adverts come from a link-local address; the interface's own is taken";
        report.remark(source.spot, Remark::Contradiction { text });
        return None;
    }
    Some(source.value)
}

fn checksum(draft: &Draft, version: Version, family: Family, transport: Option<&Transport>) -> ChecksumPolicy {
    let policy = draft.checksum.unwrap_or(ChecksumPolicy::Auto);
    let has_choice = version == Version::V3 && family == Family::V4;
    let is_unicast = matches!(transport, Some(Transport::Unicast { .. }));
    match policy {
        _ if !has_choice => ChecksumPolicy::Auto,
        ChecksumPolicy::OldUnicast if !is_unicast => ChecksumPolicy::Auto,
        ChecksumPolicy::Auto | ChecksumPolicy::Pseudo | ChecksumPolicy::Rfc9568 | ChecksumPolicy::OldUnicast => policy,
    }
}

/// Returns what `auth_hmac` says; `authentication` beside it has no effect.
fn hmac(
    hmac: &Hmac,
    draft: &Draft,
    interval: AdverInterval,
    is_strict: bool,
    secrets: &Secrets,
    report: &mut Report,
) -> Option<(HmacParams, Vec<(KeyId, Secret)>)> {
    let kind = draft.auth_type.as_ref().map(|kind| kind.spot);
    if let Some(spot) = kind.or(draft.password.as_ref().map(|password| password.spot)) {
        let text = "`authentication` beside `auth_hmac` is ignored, as by Keepalived; take it out";
        report.remark(spot, Remark::Contradiction { text });
    }
    hmac.finish(interval, is_strict, secrets, report)
}

fn auth(draft: &Draft, version: Version, is_strict: bool, report: &mut Report) -> Auth {
    let mut ignore = |spot: Spot, text: &'static str| {
        report.remark(spot, Remark::Contradiction { text });
        Auth::None
    };
    let kind = match (&draft.auth_type, &draft.password) {
        (None, None) => return Auth::None,
        (Some(kind), _) if version == Version::V3 => {
            return ignore(kind.spot, "version 3 has no authentication; it is ignored, as by Keepalived; take it out");
        }
        (Some(kind), _) if is_strict => {
            return ignore(
                kind.spot,
                "strict mode has no authentication; it is ignored, as by Keepalived; take it out",
            );
        }
        (Some(kind), None) => {
            return ignore(kind.spot, "`auth_type` without `auth_pass` is ignored, as by Keepalived");
        }
        (None, Some(password)) => {
            return ignore(password.spot, "`auth_pass` without a usable `auth_type` is ignored, as by Keepalived");
        }
        (Some(kind), Some(_)) => kind,
    };
    let secret = draft.password.as_ref().map_or(&[][..], |password| password.value.0.as_bytes());
    match kind.value.as_str() {
        "AH" => Auth::Ah(Password::new(secret)),
        _ => Auth::Password { password: Password::new(secret), mode: AuthMode::Enforce },
    }
}

/// Returns when addresses are announced again.
///
/// Copies of one burst are sent 50 ms apart, so that one lost moment does not lose all of them. What the file does not
/// say follows this daemon's own defaults, which announce again later on.
fn announce(garp: &Garp) -> AnnounceSchedule {
    let default = AnnounceSchedule::default();
    let refresh = match garp.refresh {
        None => default.refresh,
        Some(length) if length.is_zero() => None,
        Some(length) => Some(length.max(Duration::from_secs(1))),
    };
    if garp.delay.is_none() && garp.repeat.is_none() {
        return AnnounceSchedule { refresh, ..default };
    }
    let delay = garp.delay.unwrap_or(Duration::from_secs(5)).min(Duration::from_secs(3590));
    let copies = garp.repeat.unwrap_or(1).clamp(1, MOST_COPIES);
    let gap = |copy: u32| Duration::from_millis(50) * copy;
    let mut repeats: Vec<Duration> = (1..copies).map(gap).collect();
    if !delay.is_zero() {
        let first_end = repeats.last().copied().unwrap_or_default();
        if garp.repeat.is_none() && delay > Duration::from_secs(1) {
            repeats.push(Duration::from_secs(1));
        }
        let start = delay.max(first_end + gap(1));
        repeats.extend((0..copies).map(|copy| start + gap(copy)));
    }
    AnnounceSchedule { repeats, refresh }
}
