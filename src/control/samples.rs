//! States that the tests of this room show, encode and read.

use std::sync::Arc;
use std::time::Duration;

use super::drain::DrainStatus;
use super::status::{self, HookCallStatus, HookStatus, Identity, Seen, Status, TransitionStatus};
use crate::engine::input::RouterKey;
use crate::engine::output::{ClockOffset, Discard, Reason, StateName, Tally, Transition, Verdict};
use crate::engine::params::{
    Auth, AuthMode, Effect, GroupParams, HmacParams, Hooks, PeerParams, ReplayGuard, RouterParams, Scope, Track,
    Transport, Vip, VipOptions,
};
use crate::engine::snapshot::{
    CheckSnapshot, Counters, GroupSnapshot, MasterSnapshot, PeerSnapshot, RouterSnapshot, TrackSnapshot,
};
use crate::engine::time::{Instant, Now};
use crate::wire::auth::Key;
use crate::wire::field::{Family, KeyId, Priority, Vrid};

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
    (0..4).for_each(|_| counters.discarded.add(Discard::Checksum));
    RouterSnapshot {
        key: RouterKey(0),
        params: Arc::new(params(name)),
        state: StateName::Master,
        since: ago(Duration::from_secs(2 * 3600 + 13 * 60)),
        reason: Reason::MasterDown { silence: Duration::from_millis(3605), missed: 3 },
        effective_priority: priority(101),
        master_down: Duration::from_millis(3605),
        wants_vips: true,
        master: Some(MasterSnapshot { address: [10, 0, 0, 20].into(), priority: priority(101) }),
        rival: None,
        peers: vec![PeerSnapshot {
            address: [10, 0, 0, 21].into(),
            last_heard_at: Some(ago(Duration::from_secs(7984))),
            priority: Some(100),
            differences: Vec::new(),
            discarded: Tally::default(),
            clock: None,
        }],
        tracks: Vec::new(),
        counters,
        drained: None,
    }
}

/// Returns a router named `name` as [`router`] does, that signs its adverts and refused some of its peer's, whose clock is
/// a little behind.
pub fn signed(name: &str) -> RouterSnapshot {
    let mut router = router(name);
    let id = |number| KeyId::new(number).unwrap();
    let keys = [1, 2].map(|number| (id(number), Arc::new(Key::new(&[number; 32]).unwrap()))).to_vec();
    let guard = ReplayGuard::Time { window: Duration::from_secs(5) };
    let auth = Auth::Hmac(HmacParams { keys, active: id(1), mode: AuthMode::Enforce, guard });
    router.params = Arc::new(RouterParams { auth, ..params(name) });
    for (reason, count) in [(Discard::Hmac, 12), (Discard::Stale, 3)] {
        for _ in 0..count {
            router.counters.discarded.add(reason);
            router.peers[0].discarded.add(reason);
        }
    }
    router.peers[0].clock = Some(ClockOffset { length: Duration::from_millis(1200), is_ahead: false });
    router
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
            discarded: Tally::default(),
            clock: None,
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
            discarded: Tally::default(),
            clock: None,
        }],
        ..router(name)
    }
}

/// Returns the status of one Master and one router in FAULT.
pub fn pair() -> Status {
    status_with(&[(signed("web"), vec![true, true]), (fault("mail"), vec![false, false])], 2)
}

/// Returns the status of a Master that a check makes worse, and of a router that another keeps in FAULT: they are in a
/// group, and hooks were called.
pub fn sick() -> Status {
    let mut web = router("web");
    let tracks = vec![
        track("apache", Effect::Weight { weight: -20, is_reversed: false }),
        track("load", Effect::Weight { weight: 1, is_reversed: false }),
        track("uplink", Effect::Fault { is_reversed: false }),
    ];
    web.params = Arc::new(RouterParams { tracks, ..params("web") });
    web.tracks = [-20, 3, 0].map(|contribution| TrackSnapshot { contribution, is_fault: false }).to_vec();
    web.effective_priority = priority(84);
    let mut mail = fault("mail");
    mail.drained = Some("new disk".into());
    let (check, words): (Arc<str>, Arc<str>) = ("postfix".into(), "exit status 1 (queue is full)".into());
    let tracks = vec![track("postfix", Effect::Fault { is_reversed: false })];
    mail.params = Arc::new(RouterParams { tracks, ..params("mail") });
    mail.tracks = vec![TrackSnapshot { contribution: 0, is_fault: true }];
    mail.reason = Reason::CheckFailed { check: Arc::clone(&check), words: Arc::clone(&words) };
    let seconds = |count| Some(ago(Duration::from_secs(count)));
    let checks = [
        CheckSnapshot { name: "apache".into(), verdict: Verdict::Failing, since: seconds(5), words: "HTTP 503".into() },
        CheckSnapshot { name: "load".into(), verdict: Verdict::Number(3), since: seconds(48), words: "3".into() },
        CheckSnapshot {
            name: "uplink".into(),
            verdict: Verdict::Passing,
            since: seconds(7980),
            words: "link up".into(),
        },
        CheckSnapshot { name: check, verdict: Verdict::Failing, since: seconds(48), words },
    ];
    let call = HookCallStatus {
        program: "/usr/local/sbin/vip-moved".to_owned(),
        state: "MASTER".to_owned(),
        cause: "retry".to_owned(),
        attempt: 3,
        began_at: "2026-11-22T08:28:01.000Z".to_owned(),
        ended_at: Some("2026-11-22T08:28:01.250Z".to_owned()),
        result: Some("exit status 3".to_owned()),
        succeeded: Some(false),
        last_line: "no route".to_owned(),
    };
    let hooks = HookStatus { sequence: 4, failed_attempts: 3, superseded: 1, last: Some(call) };
    let group = GroupSnapshot { name: "front".into(), state: StateName::Fault, since: ago(Duration::from_secs(48)) };
    let members = vec!["web".to_owned(), "mail".to_owned()];
    let group_params = GroupParams { name: "front".to_owned(), members, hooks: Hooks::default() };
    let seen = [
        Seen { router: &web, present: &[true, true], troubles: &[], hooks: Some(hooks) },
        Seen { router: &mail, present: &[false, false], troubles: &[], hooks: None },
    ];
    let groups = [(&group, Some(&group_params), None)];
    let mut status = status::status(&identity(), NOW, seen, &checks, groups, Vec::new(), |_| 0);
    let drain = DrainStatus {
        since: "2026-11-22T08:00:00.000Z".to_owned(),
        until: Some("2026-11-22T10:00:00.000Z".to_owned()),
        reason: "new disk".to_owned(),
    };
    status.instances[1].drain = Some(drain);
    status
}

/// Returns the status of a node with these routers and the presence of their VIPs.
pub fn status(routers: &[(RouterSnapshot, Vec<bool>)]) -> Status {
    status_with(routers, 0)
}

/// Returns the same with packets of unknown VRIDs.
fn status_with(routers: &[(RouterSnapshot, Vec<bool>)], strays: u64) -> Status {
    let transition = Transition {
        from: StateName::Backup,
        to: StateName::Master,
        reason: Reason::MasterDown { silence: Duration::from_millis(3605), missed: 3 },
        priority: priority(101),
        peer: Some([10, 0, 0, 21].into()),
    };
    let past = TransitionStatus::new(NOW.utc - Duration::from_secs(7980), "web", &transition);
    let seen = routers.iter().map(|(router, present)| Seen { router, present, troubles: &[], hooks: None });
    let stray = |reason| if reason == Discard::UnknownVrid { strays } else { 0 };
    status::status(&identity(), NOW, seen, &[], [], vec![past], stray)
}

fn identity() -> Identity {
    Identity {
        node: "lb1".to_owned(),
        pid: 4711,
        started_at: ago(Duration::from_secs(3 * 86_400 + 4 * 3600 + 60)),
        config_path: "/etc/vrrpd/vrrpd.toml".into(),
        config_loaded_at: ago(Duration::from_secs(86_400)),
    }
}

fn track(check: &str, effect: Effect) -> Track {
    Track { check: check.to_owned(), effect, is_urgent: false }
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
    let peer =
        PeerParams { address: [10, 0, 0, 21].into(), priority: Some(priority(100)), min_ttl: None, max_ttl: None };
    let transport = Transport::Unicast { peers: vec![peer], also: None };
    RouterParams {
        priority: priority(101),
        vips: vec![vip(30, None), vip(31, Some("ens6"))],
        ..RouterParams::plain(name, "ens5", Vrid::new(101).unwrap(), Family::V4, transport)
    }
}

fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

fn ago(length: Duration) -> Instant {
    Instant::from_nanos(NOW.mono.as_nanos() - u64::try_from(length.as_nanos()).unwrap())
}
