//! Which routers of a run prove their adverts, how, and how far the clocks of the hosts are apart.

use vrrpd::engine::params::AuthMode;
use vrrpd::wire::field::Version;

use crate::simulator::S;
use crate::simulator::rng::Rng;
use crate::simulator::secret::{HmacSpec, Secret};
use crate::simulator::spec::RouterSpec;

/// Gives two in five routers keys, and some of version 2 a password; returns how far each clock is ahead.
///
/// Clocks differ by as much as the shortest window allows, or by hours where nobody looks at the time.
pub fn dress(rng: &mut Rng, routers: &mut [RouterSpec], hosts: usize) -> Vec<i64> {
    for router in routers.iter_mut() {
        router.secret = match rng.between(0, 99) {
            0..=39 => Secret::Hmac(hmac(rng, hosts)),
            40..=49 if router.version == Version::V2 => Secret::Password,
            _ => Secret::None,
        };
        router.is_both = !router.is_multicast && rng.chance(200);
    }
    let window = routers.iter().filter_map(|router| router.secret.window()).min();
    let spread = match window {
        Some(window) => window / 2 - window / 20,
        None => 3 * 3600 * S,
    };
    (0..hosts).map(|_| rng.between(0, 2 * spread) as i64 - spread as i64).collect()
}

pub fn hmac(rng: &mut Rng, hosts: usize) -> HmacSpec {
    use AuthMode::{Enforce, Permissive, ReceiveOnly};
    let modes = match rng.between(0, 9) {
        0..=5 => vec![Enforce],
        6..=7 => (0..hosts).map(|_| rng.pick(&[Permissive, ReceiveOnly])).collect(),
        _ => (0..hosts).map(|_| rng.pick(&[Permissive, Enforce])).collect(),
    };
    HmacSpec {
        window: rng.pick(&[Some(1), Some(2), Some(5), Some(5), Some(30), Some(300), None, None]),
        modes,
        active: (0..hosts).map(|_| rng.between(1, 2) as u8).collect(),
    }
}
