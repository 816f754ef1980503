//! A process is killed and another begins in its place: what the one leaves behind, and what the other makes of it.
//!
//! Stands for the state file, which may miss the last adverts of a tenth of a second, and for the sweep of leftovers.

use vrrpd::engine::adopt::{Hold, Imprint};
use vrrpd::engine::election::master_down_interval;
use vrrpd::engine::input::{Input, RouterKey};
use vrrpd::engine::time::Instant;

use super::MS;
use super::host::Host;

/// What a host knows of its process after that was killed.
#[derive(Debug, Default)]
pub struct Estate {
    /// By router: when the last two adverts left.
    sent: Vec<[u64; 2]>,
    /// By router; empty when nothing was left.
    imprints: Vec<Imprint>,
}

impl Estate {
    /// Takes note of an advert.
    pub fn note(&mut self, router: usize, at: u64) {
        if self.sent.len() <= router {
            self.sent.resize(router + 1, [0; 2]);
        }
        let [before, last] = &mut self.sent[router];
        if *last != at {
            (*before, *last) = (*last, at);
        }
    }

    /// When the last advert left that is written down for sure.
    fn written(&self, router: usize) -> u64 {
        let [before, last] = self.sent.get(router).copied().unwrap_or_default();
        if before > 0 && last - before <= 100 * MS { before } else { last }
    }
}

impl Host {
    /// The process is killed; the kernel keeps its addresses.
    pub fn kill(&mut self) {
        let Some(node) = &self.node else { return };
        let imprint =
            |router: usize| node.imprint(RouterKey(router as u32), Instant::from_nanos(self.estate.written(router)));
        let imprints = (0..self.workers.len()).filter_map(imprint).collect();
        self.end(false);
        self.estate = Estate { sent: Vec::new(), imprints };
    }

    /// A process that has just begun reads what the one before left, and removes what it does not go on with.
    pub fn inherit(&mut self, at: u64) {
        let imprints = std::mem::take(&mut self.estate.imprints);
        let now = self.clock.now(at);
        let drains = self.drains();
        self.note_drains(at);
        let Some(node) = &mut self.node else { return };
        node.handle(now, Input::Drain(drains));
        for (router, imprint) in (0..).zip(&imprints) {
            node.handle(now, Input::Adopt { router: RouterKey(router), imprint: *imprint });
        }
        for snapshot in node.snapshot() {
            let router = snapshot.key.0 as usize;
            if !snapshot.wants_vips {
                self.workers[router].held = 0;
                continue;
            }
            let imprint = &imprints[router];
            assert_eq!(imprint.hold, Hold::Master, "an heir of nothing");
            let params = &snapshot.params;
            let (version, adverts) = (params.version, params.master_down_adverts);
            let patience = master_down_interval(version, imprint.effective, imprint.interval, adverts);
            self.watches[router].inherit((imprint.advert_at + patience).as_nanos());
            self.workers[router].wanted = true;
            self.estate.note(router, imprint.advert_at.as_nanos());
        }
    }
}
