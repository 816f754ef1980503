//! What the checks of a host ought to do to a router, worked out on its own: the engine's arithmetic is what is tested.

use vrrpd::engine::input::CheckResult;
use vrrpd::engine::params::Effect;

use crate::simulator::spec::{Cluster, TrackSpec};

/// What one track does: how much it adds, and whether it keeps the router out.
fn toll(track: &TrackSpec, result: CheckResult) -> (i32, bool) {
    match (track.effect, result) {
        (Effect::Fault { is_reversed: false }, CheckResult::Passed) => (0, false),
        (Effect::Fault { is_reversed: false }, _) => (0, result != CheckResult::Number(0)),
        (Effect::Fault { is_reversed: true }, _) => (0, !matches!(result, CheckResult::Failed)),
        (Effect::Weight { weight, .. }, CheckResult::Passed) => (i32::from(weight).max(0), false),
        (Effect::Weight { weight, .. }, CheckResult::Failed) => (i32::from(weight).min(0), false),
        (Effect::Weight { weight, .. }, CheckResult::Number(number)) => {
            let product = (number * i32::from(weight)).clamp(-254, 253);
            (product, product == -254)
        }
    }
}

/// Returns the effective priority of a router on a host whose checks find this; `None`: it may not take part.
pub fn priority(cluster: &Cluster, router: usize, host: usize, results: &[Option<CheckResult>]) -> Option<u8> {
    let is_faulty = |member: usize| {
        let router = &cluster.routers[member];
        let is_owner = router.priority(host) == 255;
        router.tracks.iter().any(|track| match (results[track.check], track.effect) {
            (None, Effect::Fault { .. }) => true,
            (None, Effect::Weight { .. }) => false,
            (Some(_), Effect::Weight { .. }) if is_owner => false,
            (Some(result), _) => toll(track, result).1,
        })
    };
    if cluster.unit(router).into_iter().any(is_faulty) {
        return None;
    }
    let spec = &cluster.routers[router];
    if spec.priority(host) == 255 {
        return Some(255);
    }
    let sum: i32 =
        spec.tracks.iter().filter_map(|track| results[track.check].map(|result| toll(track, result).0)).sum();
    Some((i32::from(spec.priority(host)) + sum).clamp(1, 254) as u8)
}
