//! What is wrong with wanted routes and rules, for a person.

use nix::errno::Errno;

use super::{Item, Phase, Routes};
use crate::engine::input::RouterKey;

impl Routes {
    /// Returns what is wrong with the routes and rules of a router.
    pub fn troubles_of(&self, key: RouterKey) -> Vec<String> {
        let words = |item: &Item| match (item.phase, item.refused) {
            (Phase::Blocked, _) => Some(format!("{} is missing: its interface is missing or down", item.want)),
            (_, Some(errno)) => Some(format!("cannot add {}: {}", item.want, Errno::from_raw(errno).desc())),
            (Phase::Pending | Phase::Unsure | Phase::Refused | Phase::Held, None) => None,
        };
        self.owners.get(&key).into_iter().flat_map(|owner| &owner.items).filter_map(words).collect()
    }
}
