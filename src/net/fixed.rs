//! Static entries: to the machinery of VIPs and routes, those of a router that is always Master.

use std::sync::Arc;

use crate::engine::input::RouterKey;
use crate::engine::params::{Fixed, RouterParams, Transport};
use crate::wire::field::{Family, Vrid};

/// The key of static entries; no router has it, since numbers are given from 0.
pub const FIXED: RouterKey = RouterKey(u32::MAX);

/// Returns a router that has the static entries; nobody runs it.
pub fn as_router(fixed: &Fixed) -> Arc<RouterParams> {
    let to_nobody = Transport::Unicast { peers: Vec::new(), also: None };
    // Each entry names its own interface.
    Arc::new(RouterParams {
        vips: fixed.addresses.clone(),
        routes: fixed.routes.clone(),
        rules: fixed.rules.clone(),
        ..RouterParams::plain("static entries", "", ANY_VRID, Family::V4, to_nobody)
    })
}

/// It is on no wire.
const ANY_VRID: Vrid = Vrid::new(1).unwrap();
