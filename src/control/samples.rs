//! States that the tests of this room show, encode and read.

use std::sync::Arc;
use std::time::Duration;

use super::status::{self, Identity, Status, TransitionStatus};
use crate::engine::input::RouterKey;
use crate::engine::output::{Discard, Reason, StateName, Transition};
use crate::engine::params::{
    AnnounceSchedule, Auth, ChecksumPolicy, Hooks, PeerParams, Preempt, RouterParams, Scope, Transport, Vip, VipOptions,
};
use crate::engine::snapshot::{Counters, MasterSnapshot, PeerSnapshot, RouterSnapshot};
use crate::engine::time::{Instant, Now};
use crate::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// 2026-11-22T08:28:03.417Z, four days after boot.
pub const NOW: Now =
    Now { mono: Instant::from_nanos(4 * 86_400 * 1_000_000_000), utc: Duration::from_millis(1_795_336_083_417) };

/// Returns a router named `name`: Master for 2 h 13 min with two VIPs and one peer.
pub fn router(name: &str) -> RouterSnapshot {
    let mut counters = Counters {
        advertisements_sent: 7980,
        advertisements_received: 3,
        became_master: 1,
        priority_zero_received: 1,
        ..Counters::default()
    };
    if let Some(place) = Discard::ALL.iter().position(|reason| *reason == Discard::Checksum) {
        counters.discarded[place] = 4;
    }
    RouterSnapshot {
        key: RouterKey(0),
        params: Arc::new(params(name)),
        state: StateName::Master,
        since: ago(Duration::from_secs(2 * 3600 + 13 * 60)),
        reason: Reason::MasterDown { silence: Duration::from_millis(3605) },
        effective_priority: priority(101),
        master_down: Duration::from_millis(3605),
        wants_vips: true,
        master: Some(MasterSnapshot { address: [10, 0, 0, 20].into(), priority: priority(101) }),
        peers: vec![PeerSnapshot {
            address: [10, 0, 0, 21].into(),
            last_heard_at: Some(ago(Duration::from_secs(7984))),
            priority: Some(100),
            differences: Vec::new(),
        }],
        tracks: Vec::new(),
        counters,
    }
}

/// Returns a router named `name` that is Backup of 10.0.0.21.
pub fn backup(name: &str) -> RouterSnapshot {
    RouterSnapshot {
        state: StateName::Backup,
        since: ago(Duration::from_secs(3 * 86_400 + 4 * 3600)),
        reason: Reason::HigherPriority { priority: priority(150) },
        wants_vips: false,
        master: Some(MasterSnapshot { address: [10, 0, 0, 21].into(), priority: priority(150) }),
        peers: vec![PeerSnapshot {
            address: [10, 0, 0, 21].into(),
            last_heard_at: Some(ago(Duration::from_millis(412))),
            priority: Some(150),
            differences: Vec::new(),
        }],
        ..router(name)
    }
}

/// Returns a router named `name` in FAULT.
pub fn fault(name: &str) -> RouterSnapshot {
    RouterSnapshot {
        state: StateName::Fault,
        since: ago(Duration::from_secs(48)),
        reason: Reason::LinkDown,
        wants_vips: false,
        master: None,
        peers: vec![PeerSnapshot {
            address: [10, 0, 0, 21].into(),
            last_heard_at: None,
            priority: None,
            differences: Vec::new(),
        }],
        ..router(name)
    }
}

/// Returns the status of one Master and one router in FAULT.
pub fn pair() -> Status {
    status(&[(router("web"), vec![true, true]), (fault("mail"), vec![false, false])])
}

/// Returns the status of a node with these routers and the presence of their VIPs.
pub fn status(routers: &[(RouterSnapshot, Vec<bool>)]) -> Status {
    let identity = Identity {
        node: "lb1".to_owned(),
        pid: 4711,
        started_at: ago(Duration::from_secs(3 * 86_400 + 4 * 3600 + 60)),
        config_path: "/etc/vrrpd/vrrpd.toml".into(),
        config_loaded_at: ago(Duration::from_secs(86_400)),
    };
    let transition = Transition {
        from: StateName::Backup,
        to: StateName::Master,
        reason: Reason::MasterDown { silence: Duration::from_millis(3605) },
        priority: priority(101),
        peer: Some([10, 0, 0, 21].into()),
    };
    let past = TransitionStatus::new(NOW.utc - Duration::from_secs(7980), "web", &transition);
    status::status(&identity, NOW, routers.iter().map(|(router, present)| (router, present.as_slice())), vec![past])
}

/// Returns the configuration of a router named `name`.
pub fn params(name: &str) -> RouterParams {
    let vip = |last, interface: Option<&str>| Vip {
        address: [10, 0, 0, last].into(),
        prefix_len: 32,
        interface: interface.map(str::to_owned),
        advertise: true,
        label: None,
        broadcast: None,
        scope: Scope::Global,
        options: VipOptions::default(),
    };
    let peer = PeerParams { address: [10, 0, 0, 21].into(), priority: Some(priority(100)), min_ttl: None };
    RouterParams {
        name: name.to_owned(),
        interface: "ens5".to_owned(),
        vrid: Vrid::new(101).unwrap(),
        version: Version::V3,
        family: Family::V4,
        priority: priority(101),
        advertisement_interval: AdverInterval::DEFAULT,
        preempt: Preempt::Always,
        transport: Transport::Unicast { peers: vec![peer] },
        source: None,
        vips: vec![vip(30, None), vip(31, Some("ens6"))],
        routes: Vec::new(),
        rules: Vec::new(),
        checksum: ChecksumPolicy::Auto,
        strict: false,
        auth: Auth::None,
        announce: AnnounceSchedule::default(),
        master_down_adverts: 3,
        ignores_link: false,
        tracks: Vec::new(),
        hooks: Hooks::default(),
    }
}

fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

fn ago(length: Duration) -> Instant {
    Instant::from_nanos(NOW.mono.as_nanos() - u64::try_from(length.as_nanos()).unwrap())
}
