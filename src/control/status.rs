//! The status of a daemon as values, from engine snapshots.
//!
//! Names are an interface: adding keys is allowed, renaming is not (`docs/status-json.md`). One stop before:
//! `engine::snapshot`. One stop after: `control::message` (the reply), `control::render` (the text).

mod health;
mod trust;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use health::{CheckStatus, GroupStatus, HookCallStatus, HookStatus};
use health::{check_status, group};
use serde::{Deserialize, Serialize};
pub use trust::AuthStatus;
use trust::{all_reasons, auth_status, found_reasons, offset_ms};

use super::drain::DrainStatus;
use super::message::SCHEMA;
use super::rfc3339;
use super::upgrade::UpgradeStatus;
use crate::engine::output::{Discard, Mismatch, StateName, Transition};
use crate::engine::params::{GroupParams, RouterParams, Vip};
use crate::engine::snapshot::{CheckSnapshot, Counters, GroupSnapshot, PeerSnapshot, RouterSnapshot};
use crate::engine::time::{Instant, Now};

/// The whole state of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the daemon.
    pub version: String,
    /// Name of the node.
    pub node: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Time since it began, in milliseconds.
    pub uptime_ms: u64,
    /// Where its configuration is from.
    pub config: ConfigStatus,
    /// One per virtual router, in the order of the configuration.
    pub instances: Vec<InstanceStatus>,
    /// One per group, in the order of the configuration.
    pub groups: Vec<GroupStatus>,
    /// The last transitions, oldest first.
    pub transitions: Vec<TransitionStatus>,
    /// Refused packets that no instance is for: a key for each [`Discard::name`].
    #[serde(default)]
    pub discarded: BTreeMap<String, u64>,
    /// What became of the last live upgrade; none: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
}

/// Where a configuration is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// The file.
    pub path: PathBuf,
    /// When it was read, RFC 3339.
    pub loaded_at: String,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// When it entered that state, RFC 3339.
    pub since: String,
    /// How long ago that was, in milliseconds; a step of the wall clock does not change it.
    pub in_state_ms: u64,
    /// Why it did, for a person.
    pub reason: String,
    /// The interface that carries its adverts.
    pub interface: String,
    /// 1 to 255.
    pub virtual_router_id: u8,
    /// 2 or 3.
    pub version: u8,
    /// Configured priority.
    pub priority: u8,
    /// Priority after weights.
    pub effective_priority: u8,
    /// Configured interval between adverts, in milliseconds.
    pub advert_interval_ms: u64,
    /// How long it would wait for an advert, in milliseconds.
    pub master_down_ms: u64,
    /// How its adverts prove whose they are; none: the daemon does not say.
    #[serde(default)]
    pub authentication: Option<AuthStatus>,
    /// Whether it stays away on request.
    pub drained: bool,
    /// Since when, until when, and why; none: it does not, or the daemon does not say.
    #[serde(default)]
    pub drain: Option<DrainStatus>,
    /// The Master it knows, itself included.
    pub master: Option<MasterStatus>,
    /// Another Master beside this node's, as it hears it; none: no other, or forgotten.
    #[serde(default)]
    pub rival: Option<RivalStatus>,
    /// One per VIP, in the order of the configuration.
    pub addresses: Vec<AddressStatus>,
    /// What is wrong with its addresses, routes and rules, for a person; not written when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// The other nodes.
    pub peers: Vec<PeerStatus>,
    /// One per check.
    pub checks: Vec<CheckStatus>,
    /// What became of its hooks; none: it has no hooks.
    #[serde(default)]
    pub hooks: Option<HookStatus>,
    /// Since start.
    pub counters: CountersStatus,
}

impl InstanceStatus {
    /// Notes which of its addresses another host has as well; as many as it has addresses, a missing one counts as no.
    pub fn mark_duplicates(&mut self, duplicate: &[bool]) {
        for (address, duplicate) in self.addresses.iter_mut().zip(duplicate) {
            address.duplicate = *duplicate;
        }
    }

    /// Says whether another node does what this one does: another Master is heard, or another host has an address.
    pub fn has_rival(&self) -> bool {
        self.rival.is_some() || self.addresses.iter().any(|address| address.duplicate)
    }
}

/// A state as the status names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Cannot take part.
    Fault,
    /// Not taking part.
    Init,
    /// Holding the addresses.
    Master,
    /// Listening.
    Backup,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Init => Self::Init,
            StateName::Backup => Self::Backup,
            StateName::Master => Self::Master,
            StateName::Fault => Self::Fault,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        })
    }
}

/// A Master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterStatus {
    /// Source address of its adverts.
    pub address: IpAddr,
    /// Priority in its adverts.
    pub priority: u8,
}

/// Another Master while this node is Master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RivalStatus {
    /// Source address of its adverts.
    pub address: IpAddr,
    /// Priority in its adverts.
    pub priority: u8,
    /// Since when it is heard, RFC 3339.
    pub since: String,
}

/// A VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// Address and prefix length, such as `10.0.0.30/32`.
    pub address: String,
    /// Where it belongs.
    pub interface: String,
    /// Whether the kernel has it there.
    pub present: bool,
    /// Whether another host answers for it, too.
    #[serde(default)]
    pub duplicate: bool,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its address.
    pub address: IpAddr,
    /// Time since its last accepted advert, in milliseconds; none: never heard.
    pub last_heard_ms: Option<u64>,
    /// The priority in that advert, else the configured one.
    pub priority: Option<u8>,
    /// In what that advert differs from the configuration of this node, for a person.
    pub differences: Vec<String>,
    /// Refused packets with its address, by reason: only reasons that happened.
    #[serde(default)]
    pub discarded: BTreeMap<String, u64>,
    /// How far its clock was ahead of ours in its last signed and accepted advert, in milliseconds; negative: behind.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
}

/// Counters since start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersStatus {
    /// Adverts sent; one for all peers counts once.
    pub advertisements_sent: u64,
    /// Adverts accepted.
    pub advertisements_received: u64,
    /// Times it became Master.
    pub became_master: u64,
    /// Times it ceased to be Master.
    pub released_master: u64,
    /// Resignations sent.
    pub priority_zero_sent: u64,
    /// Resignations accepted.
    pub priority_zero_received: u64,
    /// Refused packets: a key for each [`Discard::name`].
    pub discarded: BTreeMap<String, u64>,
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// When, RFC 3339.
    pub at: String,
    /// Whose.
    pub instance: String,
    /// State left.
    pub from: State,
    /// State entered.
    pub to: State,
    /// Why, for a person.
    pub reason: String,
}

impl TransitionStatus {
    /// Makes an entry; `utc`: the wall clock as time since 1970-01-01.
    pub fn new(utc: Duration, instance: &str, transition: &Transition) -> Self {
        Self {
            at: rfc3339::format(utc),
            instance: instance.to_owned(),
            from: transition.from.into(),
            to: transition.to.into(),
            reason: transition.reason.to_string(),
        }
    }
}

/// What is the same for all routers of a daemon.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the node.
    pub node: String,
    /// Process id.
    pub pid: u32,
    /// When the daemon began.
    pub started_at: Instant,
    /// The configuration file.
    pub config_path: PathBuf,
    /// When it was read.
    pub config_loaded_at: Instant,
}

/// One virtual router as the whole daemon sees it.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// As the engine sees it.
    pub router: &'a RouterSnapshot,
    /// The presence of its VIPs in the kernel, as many as `RouterParams::vips`; a missing one counts as absent.
    pub present: &'a [bool],
    /// What is wrong with what it holds, for a person.
    pub troubles: &'a [String],
    /// What became of its hooks; none: it has no hooks.
    pub hooks: Option<HookStatus>,
}

/// One group as the whole daemon sees it: as the engine sees it, its configuration, and what became of its hooks.
pub type SeenGroup<'a> = (&'a GroupSnapshot, Option<&'a GroupParams>, Option<HookStatus>);

/// Builds the status reply.
///
/// `stray`: how many packets that no instance is for were refused for a reason. `now` ties the boot-time clock to the wall clock: every point in time is shown as the wall clock of `now` minus its age, so
/// that two of them keep their distance when the wall clock was set in between.
pub fn status<'a>(
    identity: &Identity,
    now: Now,
    routers: impl IntoIterator<Item = Seen<'a>>,
    checks: &[CheckSnapshot],
    groups: impl IntoIterator<Item = SeenGroup<'a>>,
    transitions: Vec<TransitionStatus>,
    stray: impl Fn(Discard) -> u64,
) -> Status {
    let checks: BTreeMap<&str, &CheckSnapshot> = checks.iter().map(|check| (&*check.name, check)).collect();
    Status {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: identity.node.clone(),
        pid: identity.pid,
        uptime_ms: milliseconds(now.mono.since(identity.started_at)),
        config: ConfigStatus {
            path: identity.config_path.clone(),
            loaded_at: wall_clock(now, identity.config_loaded_at),
        },
        instances: routers.into_iter().map(|seen| instance(now, seen, &checks)).collect(),
        groups: groups.into_iter().map(|seen| group(now, seen)).collect(),
        transitions,
        discarded: all_reasons(stray),
        upgrade: None,
    }
}

fn instance(now: Now, seen: Seen<'_>, checks: &BTreeMap<&str, &CheckSnapshot>) -> InstanceStatus {
    let Seen { router, present, troubles, hooks } = seen;
    let params = &router.params;
    let tracks = params.tracks.iter().zip(&router.tracks);
    InstanceStatus {
        name: params.name.clone(),
        state: router.state.into(),
        since: wall_clock(now, router.since),
        in_state_ms: milliseconds(now.mono.since(router.since)),
        reason: router.reason.to_string(),
        interface: params.interface.clone(),
        virtual_router_id: params.vrid.get(),
        version: params.version.number(),
        priority: params.priority.get(),
        effective_priority: router.effective_priority.get(),
        advert_interval_ms: milliseconds(params.advertisement_interval.as_duration()),
        master_down_ms: milliseconds(router.master_down),
        authentication: Some(auth_status(&params.auth)),
        drained: router.drained.is_some(),
        drain: None,
        master: router
            .master_at(now.mono)
            .map(|master| MasterStatus { address: master.address, priority: master.priority.get() }),
        rival: router.rival_at(now.mono).map(|rival| RivalStatus {
            address: rival.address,
            priority: rival.priority.get(),
            since: wall_clock(now, rival.since),
        }),
        addresses: addresses(params, present),
        troubles: troubles.to_vec(),
        peers: router.peers.iter().map(|peer| peer_status(now, peer)).collect(),
        checks: tracks
            .map(|(track, done)| check_status(now, track, done, checks.get(&*track.check).copied()))
            .collect(),
        hooks,
        counters: counters(&router.counters),
    }
}

fn addresses(params: &RouterParams, present: &[bool]) -> Vec<AddressStatus> {
    let present = present.iter().copied().chain(std::iter::repeat(false));
    let address = |(vip, present): (&Vip, bool)| AddressStatus {
        address: format!("{}/{}", vip.address, vip.prefix_len),
        interface: vip.interface.as_ref().unwrap_or(&params.interface).clone(),
        present,
        duplicate: false,
    };
    params.vips.iter().zip(present).map(address).collect()
}

fn peer_status(now: Now, peer: &PeerSnapshot) -> PeerStatus {
    PeerStatus {
        address: peer.address,
        last_heard_ms: peer.last_heard_at.map(|at| milliseconds(now.mono.since(at))),
        priority: peer.priority,
        differences: peer.differences.iter().map(difference).collect(),
        discarded: found_reasons(&peer.discarded),
        clock_offset_ms: peer.clock.map(offset_ms),
    }
}

fn difference(mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::AddressCount { theirs, ours } => format!("lists {theirs} addresses, expected {ours}"),
        Mismatch::AddressList { missing } => format!("does not list {missing}"),
        Mismatch::Interval { theirs, ours } => {
            format!("interval {} ms, expected {} ms", theirs.as_millis(), ours.as_millis())
        }
        Mismatch::FirstNotLinkLocal => "first address is not link-local".to_owned(),
        Mismatch::TwoOwners => "says that it owns the addresses too".to_owned(),
        Mismatch::SamePriority => "has the same priority".to_owned(),
    }
}

fn counters(counters: &Counters) -> CountersStatus {
    CountersStatus {
        advertisements_sent: counters.advertisements_sent,
        advertisements_received: counters.advertisements_received,
        became_master: counters.became_master,
        released_master: counters.released_master,
        priority_zero_sent: counters.priority_zero_sent,
        priority_zero_received: counters.priority_zero_received,
        discarded: all_reasons(|reason| counters.discarded.count(reason)),
    }
}

fn wall_clock(now: Now, at: Instant) -> String {
    rfc3339::format(now.utc.saturating_sub(now.mono.since(at)))
}

fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;

    #[test]
    fn keys_of_a_later_version_do_not_disturb() {
        let mut value = serde_json::to_value(samples::pair()).unwrap();
        value["mood"] = "calm".into();
        value["instances"][0]["colour"] = "green".into();
        assert_eq!(serde_json::from_value::<Status>(value).unwrap(), samples::pair());
    }

    #[test]
    fn keys_that_an_earlier_version_lacks_are_not_missed() {
        let mut value = serde_json::to_value(samples::pair()).unwrap();
        value.as_object_mut().unwrap().remove("discarded");
        for key in ["hooks", "authentication"] {
            value["instances"][0].as_object_mut().unwrap().remove(key);
        }
        for key in ["discarded", "clock_offset_ms"] {
            value["instances"][0]["peers"][0].as_object_mut().unwrap().remove(key);
        }
        value["instances"][0]["checks"] = serde_json::json!([{ "name": "a", "status": "passing", "weight": null }]);
        value["groups"] = serde_json::json!([{ "name": "front", "state": "MASTER" }]);
        let status: Status = serde_json::from_value(value).unwrap();
        assert_eq!((status.instances[0].checks[0].contribution, status.groups[0].instances.len()), (0, 0));
    }

    #[test]
    fn a_node_in_fault_knows_who_sends_adverts() {
        let master = |heard: Duration, priority| {
            let mut router = samples::fault("web");
            let peer = PeerSnapshot {
                address: "10.0.0.21".parse().unwrap(),
                last_heard_at: Some(samples::NOW.mono - heard),
                priority: Some(priority),
                differences: Vec::new(),
                discarded: crate::engine::output::Tally::default(),
                clock: None,
            };
            router.peers = vec![peer];
            let status = samples::status(&[(router, vec![false, false])]);
            status.instances[0].master.as_ref().map(|master| (master.address.to_string(), master.priority))
        };
        assert_eq!(master(Duration::from_secs(1), 100), Some(("10.0.0.21".to_owned(), 100)));
        assert_eq!(master(Duration::from_secs(1), 0), None, "it resigned");
        assert_eq!(master(Duration::from_secs(5), 100), None, "it is silent");
    }

    #[test]
    fn a_vip_whose_presence_is_unknown_counts_as_absent() {
        let status = samples::status(&[(samples::router("web"), vec![true])]);
        let present: Vec<bool> = status.instances[0].addresses.iter().map(|address| address.present).collect();
        assert_eq!(present, [true, false]);
    }
}
