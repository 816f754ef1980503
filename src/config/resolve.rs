//! Gives every key its default and its range, and turns what is written into what the engine takes.
//!
//! All defaults and ranges are in this file. One stop before: `schema`; one stop after: [`Config`], which knows all
//! nodes of every instance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::auth;
use super::checks::{self, Check};
use super::cross;
use super::duration;
use super::error::{ConflictError, Doubt, OptionError, ValueError, excerpt};
use super::fixed;
use super::groups;
use super::hooks;
use super::metrics;
use super::ownership::{self, Held};
use super::placement::{Config, DaemonSettings, Instance};
use super::problem::Report;
use super::schema::{self, Items};
use super::seats::{self, Seats};
use super::secret::Secrets;
use super::source::{Place, Written};
use super::suggest;
use super::table::Key;
use super::tracks;
use super::vips::{self, Vips};
use super::weights;
use crate::engine::params::{AnnounceSchedule, Auth, ChecksumPolicy, Hooks, Preempt, RouterParams, Track};
use crate::engine::route::{Route, Rule};
use crate::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// Where socket, state and lock are, unless the file or the command line says otherwise.
pub const DEFAULT_RUNTIME_DIR: &str = "/run/vrrpd";

/// Checks the whole file; `None` when an error was reported.
pub(super) fn resolve(file: &schema::File<'_>, secrets: &Secrets, report: &mut Report<'_>) -> Option<Config> {
    let daemon = daemon(&file.daemon, report);
    if file.instances.is_empty() && !report.has_errors() {
        report.error(Place(0), ConflictError::NoInstance);
    }
    let checks = checks::resolve(&file.checks, report);
    let hooks = hooks::of_node(&file.daemon.hooks, report);
    let held = ownership::of_node(&file.daemon, report);
    let draft = |written| Draft::new(written, &checks, secrets, held, report);
    let mut drafts: Vec<_> = file.instances.iter().map(draft).collect();
    let groups = groups::resolve(&file.groups, &checks, &mut drafts, report);
    let fixed = fixed::fixed(&file.fixed, report);
    cross::check(&drafts, file.daemon.node.here(), report);
    metrics::check(&file.daemon.metrics, &drafts, report);
    if report.has_errors() {
        return None;
    }
    tracks::check_use(&checks, &drafts, &groups.tracks, report);
    weights::check(&drafts, &checks, report);
    // Without an error every draft is complete.
    let instances: Vec<_> = drafts.into_iter().filter_map(Draft::finish).collect();
    (instances.len() == file.instances.len()).then_some(Config {
        daemon: daemon?,
        instances,
        checks: checks.into_iter().filter_map(|check| check.params).map(Arc::new).collect(),
        groups: groups.list?.into_iter().map(Arc::new).collect(),
        hooks: Arc::new(hooks?),
        fixed: fixed?,
    })
}

fn daemon(written: &schema::Daemon<'_>, report: &mut Report<'_>) -> Option<DaemonSettings> {
    let node = written.node.and_then(|node| name("node", node, report));
    let runtime_dir = written.runtime_dir.and_then(|dir| {
        let is_fit = dir.value.starts_with('/') && dir.value.len() <= RUNTIME_DIR_MAX && !dir.value.contains('\0');
        is_fit
            .then(|| PathBuf::from(dir.value))
            .or_else(|| unfit("runtime_dir", dir, "a path that begins with a slash and has at most 96 bytes", report))
    });
    let control_group = written.control_group.and_then(|group| {
        let is_fit = is_plain(group.value, 32) && !group.value.contains(':');
        is_fit
            .then(|| group.value.to_owned())
            .or_else(|| unfit("control_group", group, "the name of a group, 1 to 32 characters without blanks", report))
    });
    let runtime_dir = runtime_dir.or(PathBuf::from(DEFAULT_RUNTIME_DIR));
    let metrics = metrics::endpoint(&written.metrics, runtime_dir.as_deref(), report);
    Some(DaemonSettings {
        node: node.optional()?,
        runtime_dir: runtime_dir?,
        control_group: control_group.optional()?,
        metrics: metrics?,
    })
}

/// One instance as far as it is right; what is `None` was reported.
pub(super) struct Draft {
    /// The name as written, even when it is wrong.
    pub written: Written<String>,
    pub name: Option<String>,
    pub interface: Option<String>,
    pub vrid: Option<Written<Vrid>>,
    pub version: Option<Version>,
    pub family: Option<Family>,
    pub seats: Seats,
    pub vips: Vips,
    /// What counts for it, with that of its group after `groups`.
    pub tracks: Vec<Written<Track>>,
    /// How addresses are held.
    pub held: Option<Held>,
    hooks: Option<Hooks>,
    routes: Option<Vec<Route>>,
    rules: Option<Vec<Rule>>,
    pub interval: Option<AdverInterval>,
    preempt: Option<Preempt>,
    checksum: Option<ChecksumPolicy>,
    strict: Option<bool>,
    announce: Option<AnnounceSchedule>,
    auth: Option<Auth>,
    pub master_down_adverts: Option<u8>,
    ignores_link: Option<bool>,
}

impl Draft {
    fn new(
        written: &schema::Instance<'_>,
        checks: &[Check<'_>],
        secrets: &Secrets,
        node: Option<Held>,
        report: &mut Report<'_>,
    ) -> Self {
        let strict = written.strict.clone().or(false);
        let seats = seats::resolve(written, strict, report);
        let family = seats.family.or_else(|| vips::leading_family(written)).filter(|_| seats.has_one_family);
        // Version 2 has one family and needs no address to tell.
        let is_v2 = written.version.here().is_some_and(|version| version.value == 2);
        let family = family.or((is_v2 && seats.has_one_family).then_some(Family::V4));
        let version = version(written, family, report);
        let interval = match version {
            Some(version) => interval(&written.advert_interval, version, report),
            None => None,
        };
        let vips = vips::resolve(&written.addresses, family, version, report);
        let draft = Self {
            written: Written { value: written.name.value.to_owned(), place: written.name.place },
            tracks: tracks::resolve(&written.checks, checks, report),
            held: ownership::of_instance(written, node, report),
            hooks: hooks::hooks(&written.hooks, report),
            name: name("instance", &written.name, report),
            interface: written.interface.and_then(|written| interface("interface", written, report)).into_here(),
            vrid: vrid(&written.vrid, report),
            version,
            family,
            interval,
            preempt: preempt(&written.preempt, report),
            checksum: checksum(&written.checksum, report),
            strict,
            announce: announce(written, report),
            auth: auth::auth(&written.auth, version, interval, secrets, report),
            master_down_adverts: master_down_adverts(&written.master_down_adverts, report),
            ignores_link: written.ignore_link.clone().or(false),
            routes: fixed::routes(&written.routes, report),
            rules: fixed::rules(&written.rules, report),
            seats,
            vips,
        };
        draft.check_together(written, report);
        draft
    }

    /// Reports what contradicts itself inside the instance.
    fn check_together(&self, written: &schema::Instance<'_>, report: &mut Report<'_>) {
        if let (Some(preempt), Some(Preempt::Never | Preempt::After(_))) = (written.preempt.here(), self.preempt)
            && self.seats.members.iter().any(|member| member.priority.is_some_and(|priority| priority.is_owner()))
        {
            report.error(preempt.place, OptionError::OwnerMustPreempt);
        }
        if let (Some(checksum), Some(policy)) = (written.checksum.here(), self.checksum) {
            match policy {
                ChecksumPolicy::Auto => {}
                ChecksumPolicy::Pseudo | ChecksumPolicy::Rfc9568 | ChecksumPolicy::OldUnicast
                    if self.version == Some(Version::V2) || self.family == Some(Family::V6) =>
                {
                    report.error(checksum.place, OptionError::ChecksumWithoutChoice);
                }
                ChecksumPolicy::OldUnicast if self.seats.reaches_group() => {
                    report.error(checksum.place, OptionError::OldUnicastOfMulticast);
                }
                ChecksumPolicy::Pseudo | ChecksumPolicy::Rfc9568 | ChecksumPolicy::OldUnicast => {}
            }
        }
        ownership::check(self, report);
        self.seats.check_group(self.family, report);
        if let (Some(version), Some(interval)) = (self.version, self.interval) {
            self.seats.check_skews(version, interval.as_duration(), report);
        }
        for vip in &self.vips.list {
            for (address, priority) in self.seats.addresses_with_priority() {
                if address == vip.value.address && !priority.is_owner() {
                    report.warn(vip.place, Doubt::VipIsNodeAddress { address, priority });
                }
            }
        }
    }

    fn finish(self) -> Option<Instance> {
        let first = self.seats.members.first()?;
        let family = self.family?;
        let interface = self.interface?;
        let routes = self.routes?.into_iter().map(|route| route.on(&interface)).collect();
        let params = RouterParams {
            name: self.name?,
            interface,
            vrid: self.vrid?.value,
            version: self.version?,
            family,
            priority: first.priority?,
            advertisement_interval: self.interval?,
            preempt: self.preempt?,
            transport: self.seats.transport(0, family),
            source: first.address,
            vips: self.vips.list.into_iter().map(|vip| vip.value).collect(),
            routes,
            rules: self.rules?,
            checksum: self.checksum?,
            strict: self.strict?,
            auth: self.auth?,
            announce: self.announce?,
            master_down_adverts: self.master_down_adverts?,
            ignores_link: self.ignores_link?,
            tracks: self.tracks.into_iter().map(|track| track.value).collect(),
            hooks: self.hooks?,
            ownership: self.held?.ownership,
        };
        Some(Instance { params, nodes: self.seats.into_nodes() })
    }
}

fn version(written: &schema::Instance<'_>, family: Option<Family>, report: &mut Report<'_>) -> Option<Version> {
    let version = written.version.and_then(|number| match (number.value, family) {
        (2, Some(Family::V6)) => {
            report.error(number.place, OptionError::Ipv6NeedsV3);
            None
        }
        (2, _) => Some(Version::V2),
        (3, _) => Some(Version::V3),
        _ => unfit("version", number, "2 or 3", report),
    });
    version.or(Version::V3)
}

fn master_down_adverts(written: &Key<i64>, report: &mut Report<'_>) -> Option<u8> {
    let adverts =
        written.and_then(|number| byte("master_down_adverts", number, 1..=100, "a number from 1 to 100", report));
    adverts.or(MASTER_DOWN_ADVERTS)
}

fn vrid(written: &Key<i64>, report: &mut Report<'_>) -> Option<Written<Vrid>> {
    let vrid = written.and_then(|number| {
        let vrid = byte("virtual_router_id", number, 1..=255, "a number from 1 to 255", report)?;
        Vrid::new(vrid)
    });
    vrid.here().copied()
}

/// Reads a priority; absent means 100. RFC 9568 section 5.2.4.
pub(super) fn priority(written: &Key<i64>, report: &mut Report<'_>) -> Option<Priority> {
    let priority = written.and_then(|number| {
        let expected = "a number from 1 to 254, or 255 for the owner of the addresses";
        Priority::new(byte("priority", number, 1..=255, expected, report)?)
    });
    priority.or(Priority::DEFAULT)
}

/// Returns the group of the protocol. RFC 9568 sections 5.1.1.2 and 5.1.2.2.
pub(super) const fn group_of(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    }
}

/// Reads a lowest or highest TTL; absent means any.
pub(super) fn ttl(key: &'static str, written: &Key<i64>, report: &mut Report<'_>) -> Option<Option<u8>> {
    written.and_then(|number| byte(key, number, 1..=255, "a number from 1 to 255", report)).optional()
}

fn interval(written: &Key<&str>, version: Version, report: &mut Report<'_>) -> Option<AdverInterval> {
    let interval = written.and_then(|text| {
        let length = length("advert_interval", text, report)?;
        AdverInterval::new(version, length).or_else(|| {
            let expected = match version {
                Version::V2 => "whole seconds from \"1s\" to \"255s\" in version 2",
                Version::V3 => "\"10ms\" to \"40.95s\" in steps of 10 ms",
            };
            unfit("advert_interval", text, expected, report)
        })
    });
    interval.or(AdverInterval::DEFAULT)
}

fn preempt(written: &Key<&str>, report: &mut Report<'_>) -> Option<Preempt> {
    let preempt = written.and_then(|text| match text.value {
        "always" => Some(Preempt::Always),
        "never" => Some(Preempt::Never),
        other => match other.strip_prefix("after ") {
            Some(delay) => {
                let delay = Written { value: delay.trim_start(), place: text.place };
                let length = length("preempt", &delay, report)?;
                if PREEMPT_DELAY.contains(&length) {
                    Some(Preempt::After(length))
                } else {
                    unfit("preempt", text, "a delay from \"after 10ms\" to \"after 24h\", or \"always\"", report)
                }
            }
            None => unknown_word("preempt", text, &["always", "never", "after 30s"], report),
        },
    });
    preempt.or(Preempt::Always)
}

fn checksum(written: &Key<&str>, report: &mut Report<'_>) -> Option<ChecksumPolicy> {
    let checksum = written.and_then(|text| match text.value {
        "auto" => Some(ChecksumPolicy::Auto),
        "pseudo" => Some(ChecksumPolicy::Pseudo),
        "rfc9568" => Some(ChecksumPolicy::Rfc9568),
        "old-unicast" => Some(ChecksumPolicy::OldUnicast),
        _ => unknown_word("checksum", text, &["auto", "pseudo", "rfc9568", "old-unicast"], report),
    });
    checksum.or(ChecksumPolicy::Auto)
}

fn announce(written: &schema::Instance<'_>, report: &mut Report<'_>) -> Option<AnnounceSchedule> {
    let default = AnnounceSchedule::default();
    let repeats = match &written.announce_repeats {
        Key::Absent => Some(default.repeats),
        Key::Wrong => None,
        Key::Here(list) => repeats(list, report),
    };
    let refresh = written.announce_refresh.and_then(|text| {
        if text.value == "off" {
            return Some(None);
        }
        let length = length("announce_refresh", text, report)?;
        if REFRESH.contains(&length) {
            Some(Some(length))
        } else {
            unfit("announce_refresh", text, "\"1s\" to \"24h\", or \"off\"", report)
        }
    });
    Some(AnnounceSchedule { repeats: repeats?, refresh: refresh.or(default.refresh)? })
}

fn repeats(written: &Written<Items<Written<&str>>>, report: &mut Report<'_>) -> Option<Vec<Duration>> {
    let Items { items, is_complete } = &written.value;
    if items.len() > REPEATS_MAX {
        let found = format!("a list of {}", items.len());
        let expected = "at most 16 lengths of time";
        report.error(written.place, ValueError::Unfit { key: "announce_repeats", found, expected });
        return None;
    }
    let mut lengths = Vec::with_capacity(items.len());
    for text in items {
        let Some(length) = length("announce_repeats", text, report) else { continue };
        if !REPEAT.contains(&length) {
            unfit::<(), _>("announce_repeats", text, "lengths of time from \"10ms\" to \"1h\"", report);
        } else if lengths.last().is_some_and(|last| *last >= length) {
            report.error(text.place, OptionError::NotAscending);
        } else {
            lengths.push(length);
        }
    }
    (*is_complete && lengths.len() == items.len()).then_some(lengths)
}

/// Reads the name of an instance or a node.
pub(super) fn name(key: &'static str, written: &Written<&str>, report: &mut Report<'_>) -> Option<String> {
    if is_plain(written.value, NAME_MAX) && !written.value.contains('/') {
        return Some(written.value.to_owned());
    }
    unfit(key, written, "a name of 1 to 64 characters without blanks and slashes", report)
}

/// Reads the name of an interface by the kernel's rules: 1 to 15 bytes, no blank, slash or colon.
pub(super) fn interface(key: &'static str, written: &Written<&str>, report: &mut Report<'_>) -> Option<String> {
    let name = written.value;
    if is_plain(name, INTERFACE_MAX) && !name.contains(['/', ':']) && name != "." && name != ".." {
        return Some(name.to_owned());
    }
    unfit(key, written, "the name of an interface, 1 to 15 bytes without blanks, '/' and ':'", report)
}

/// Reads a number that fits a byte.
pub(super) fn byte(
    key: &'static str,
    written: &Written<i64>,
    range: RangeInclusive<u8>,
    expected: &'static str,
    report: &mut Report<'_>,
) -> Option<u8> {
    let fits = u8::try_from(written.value).ok().filter(|number| range.contains(number));
    if fits.is_none() {
        report.error(written.place, ValueError::Unfit { key, found: written.value.to_string(), expected });
    }
    fits
}

/// Says whether a text has 1 to `longest` bytes, all of them printable and none blank.
pub(super) fn is_plain(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Reports a text out of range; returns `None` for the caller to return.
pub(super) fn unfit<T, W: std::fmt::Debug>(
    key: &'static str,
    written: &Written<W>,
    expected: &'static str,
    report: &mut Report<'_>,
) -> Option<T> {
    let found = excerpt(&format!("{:?}", written.value));
    report.error(written.place, ValueError::Unfit { key, found, expected });
    None
}

/// Reports a word that is none of `words`; returns `None` for the caller to return.
pub(super) fn unknown_word<T>(
    key: &'static str,
    written: &Written<&str>,
    words: &'static [&'static str],
    report: &mut Report<'_>,
) -> Option<T> {
    let meant = suggest::closest(written.value, words.iter().copied());
    report.error(written.place, ValueError::UnknownWord { key, found: excerpt(written.value), words, meant });
    None
}

pub(super) fn length(key: &'static str, written: &Written<&str>, report: &mut Report<'_>) -> Option<Duration> {
    match duration::parse(written.value) {
        Ok(length) => Some(length),
        Err(error) => {
            report.error(written.place, ValueError::Duration { key, found: excerpt(written.value), error });
            None
        }
    }
}

/// A Unix socket's path has at most 107 bytes, and `/vrrpd.sock` follows.
const RUNTIME_DIR_MAX: usize = 96;
const NAME_MAX: usize = 64;
const INTERFACE_MAX: usize = 15;
/// The kernel's labels have 15 bytes and an end.
pub(super) const LABEL_MAX: usize = 15;
/// The count field has one byte; a full list of either family fits one IP packet.
pub(super) const ADVERTISED_MAX: usize = 255;
/// RFC 9568 section 6.1; RFC 3768 section 6.1.
const MASTER_DOWN_ADVERTS: u8 = 3;
const PREEMPT_DELAY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
const REPEATS_MAX: usize = 16;
const REPEAT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
