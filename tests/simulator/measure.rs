//! What is measured of each router while the world goes on.

use vrrpd::engine::output::StateName;

use super::host::{Host, Power};
use super::world::World;

/// What was measured of one router since the last reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measure {
    pub promotions: u64,
    pub none_since: Option<u64>,
    /// The longest time in which no living host wanted the addresses.
    pub longest_gap: u64,
    pub several_since: Option<u64>,
    /// The longest time in which several hosts that run and hear each other were Master.
    pub longest_rivalry: u64,
}

impl World {
    /// Brings the measures of each router up to the present.
    pub fn measure(&mut self) {
        for router in 0..self.specs().len() {
            let is_wanted = self
                .hosts
                .iter()
                .any(|host| host.power != Power::Off && host.watches.get(router).is_some_and(|watch| watch.wants_vips));
            let has_rivals = self.has_rivals(router);
            let now = self.now;
            let measure = &mut self.measures[router];
            let gap = span(&mut measure.none_since, !is_wanted, now);
            measure.longest_gap = measure.longest_gap.max(gap);
            let rivalry = span(&mut measure.several_since, has_rivals, now);
            measure.longest_rivalry = measure.longest_rivalry.max(rivalry);
        }
    }

    fn has_rivals(&self, router: usize) -> bool {
        let is_master = |host: &&Host| host.watches.get(router).is_some_and(|watch| watch.state == StateName::Master);
        let mut masters = self.hosts.iter().filter(is_master);
        let Some(first) = masters.next() else { return false };
        let mut others = masters.peekable();
        // Pairs beyond the first Master's are met as soon as one of three has given up.
        others.peek().is_some() && others.any(|other| self.are_connected(self.specs()[router].link, first.id, other.id))
    }
}

/// Returns how long something has lasted, given whether it does.
fn span(since: &mut Option<u64>, lasts: bool, now: u64) -> u64 {
    if !lasts {
        return since.take().map_or(0, |since| now - since);
    }
    now - *since.get_or_insert(now)
}
