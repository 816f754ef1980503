//! What the kernel refused, tried again after a while.

use std::sync::Arc;

use nix::errno::Errno;

use super::state::{Phase, Retry, interface_of, wait};
use super::{VipId, Vips};
use crate::engine::input::RouterKey;
use crate::net::netlink::Refusal;
use crate::net::notice::Notice;

impl Vips {
    /// Lets time pass: refused work whose back-off is over is tried again.
    pub fn tick(&mut self) {
        self.tick += 1;
        while let Some((due, retry)) = self.waiting.first().copied() {
            if due > self.tick {
                return;
            }
            self.waiting.pop_first();
            match retry {
                Retry::Delete(place) => self.deletes.push_back(place),
                Retry::Add(key) => self.retry(key),
            }
        }
    }

    /// The kernel refused to add a VIP.
    pub(super) fn refuse(&mut self, vip: VipId, refusal: Refusal) {
        let Some(router) = self.routers.get_mut(&vip.0) else { return };
        let params = Arc::clone(&router.params);
        let Some(state) = router.vips.get_mut(usize::from(vip.1)) else { return };
        state.phase = Phase::Refused;
        // An interface that is being deleted refuses before it is known to be gone.
        let is_passing = refusal.errno == Errno::ENODEV as i32 && router.refusals == 0;
        if state.refused != Some(refusal.errno)
            && !is_passing
            && let Some(found) = params.vips.get(usize::from(vip.1))
        {
            state.refused = Some(refusal.errno);
            let interface = interface_of(found, &params).to_owned();
            self.notices.push(Notice::Refused { router: vip.0, address: found.address, interface, refusal });
        }
        if !router.is_waiting {
            router.is_waiting = true;
            router.refusals += 1;
            self.waiting.insert((self.tick + wait(router.refusals), Retry::Add(vip.0)));
        }
    }

    /// Tries a router's refused VIPs again.
    fn retry(&mut self, key: RouterKey) {
        let Some(router) = self.routers.get_mut(&key) else { return };
        if !std::mem::take(&mut router.is_waiting) {
            return;
        }
        let refused: Vec<u16> = (0..)
            .zip(&router.vips)
            .filter(|(_, state)| state.phase == Phase::Refused)
            .map(|(index, _)| index)
            .collect();
        let changed = (0..).zip(&router.vips).filter(|(_, state)| state.phase == Phase::Held && state.is_due);
        router.pending.extend(changed.map(|(index, _)| index));
        self.make_ready(key);
        for index in refused {
            self.make_pending((key, index), Phase::Pending);
        }
    }
}
