//! Static entries: to the machinery of VIPs and routes, those of a router that is always Master.

use std::sync::Arc;

use crate::engine::input::RouterKey;
use crate::engine::params::{
    AnnounceSchedule, Auth, ChecksumPolicy, Fixed, Hooks, PeerParams, Preempt, RouterParams, Transport,
};
use crate::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// The key of static entries; no router has it, since numbers are given from 0.
pub const FIXED: RouterKey = RouterKey(u32::MAX);

/// Returns a router that has the static entries; nobody runs it.
pub fn as_router(fixed: &Fixed) -> Arc<RouterParams> {
    Arc::new(RouterParams {
        name: "static entries".to_owned(),
        // Each entry names its own.
        interface: String::new(),
        vrid: ANY_VRID,
        version: Version::V3,
        family: Family::V4,
        priority: Priority::DEFAULT,
        advertisement_interval: AdverInterval::DEFAULT,
        preempt: Preempt::Always,
        transport: Transport::Unicast { peers: Vec::<PeerParams>::new() },
        source: None,
        vips: fixed.addresses.clone(),
        routes: fixed.routes.clone(),
        rules: fixed.rules.clone(),
        checksum: ChecksumPolicy::Auto,
        strict: false,
        auth: Auth::None,
        announce: AnnounceSchedule::default(),
        master_down_adverts: 3,
        ignores_link: false,
        tracks: Vec::new(),
        hooks: Hooks::default(),
    })
}

/// It is on no wire.
const ANY_VRID: Vrid = Vrid::new(1).unwrap();
