//! Finds the routers that a packet may be for, by what it says of itself: interface, family and VRID.
//!
//! Asked once for each packet, so it costs one multiplication and one memory access. Who sends packets chooses what is looked for and not
//! what is in the table, so a hash that anybody can compute does no harm. One stop before: `engine::node`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::wire::field::Family;

/// Slots by interface index, family and VRID.
#[derive(Debug, Default)]
pub(super) struct Wires {
    first: FxHashMap<u64, u32>,
    /// All slots of those that several routers share, in their order; only unicast routers do.
    shared: BTreeMap<u64, Vec<u32>>,
}

impl Wires {
    /// Returns the slots in the order in which they are asked; empty when there is none.
    pub fn find(&self, interface: u32, family: Family, vrid: u8) -> &[u32] {
        let wire = number(interface, family, vrid);
        match self.first.get(&wire) {
            Some(first) if self.shared.is_empty() => std::slice::from_ref(first),
            Some(first) => self.shared.get(&wire).map_or(std::slice::from_ref(first), Vec::as_slice),
            None => &[],
        }
    }

    /// Adds a slot; `is_last` says which are asked last.
    pub fn add(&mut self, interface: u32, family: Family, vrid: u8, slot: u32, is_last: impl Fn(u32) -> bool) {
        let mut slots = self.find(interface, family, vrid).to_vec();
        slots.push(slot);
        slots.sort_by_key(|slot| is_last(*slot));
        self.put(number(interface, family, vrid), slots);
    }

    /// Takes a slot out; one that is not there is ignored.
    pub fn remove(&mut self, interface: u32, family: Family, vrid: u8, slot: u32) {
        let mut slots = self.find(interface, family, vrid).to_vec();
        slots.retain(|&other| other != slot);
        self.put(number(interface, family, vrid), slots);
    }

    fn put(&mut self, wire: u64, slots: Vec<u32>) {
        match slots.first() {
            Some(&first) => self.first.insert(wire, first),
            None => self.first.remove(&wire),
        };
        if slots.len() > 1 {
            self.shared.insert(wire, slots);
        } else {
            self.shared.remove(&wire);
        }
    }
}

/// Makes one number of what a packet says.
fn number(interface: u32, family: Family, vrid: u8) -> u64 {
    u64::from(interface) << 9 | u64::from(family == Family::V6) << 8 | u64::from(vrid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_router_is_found_and_no_other() {
        let mut wires = Wires::default();
        let all = || {
            (0..16u32).flat_map(|interface| {
                let families = [Family::V4, Family::V6].into_iter();
                families.flat_map(move |family| (1..=255u8).map(move |vrid| (interface, family, vrid)))
            })
        };
        for ((interface, family, vrid), slot) in all().zip(0..) {
            wires.add(interface, family, vrid, slot, |_| false);
        }
        for ((interface, family, vrid), slot) in all().zip(0..) {
            assert_eq!(wires.find(interface, family, vrid), [slot]);
        }
        assert!(wires.find(16, Family::V4, 1).is_empty());
        assert!(wires.find(0, Family::V4, 0).is_empty());
    }

    #[test]
    fn shared_number_is_asked_in_order_and_who_is_last_comes_last() {
        let mut wires = Wires::default();
        for slot in [7, 3, 5] {
            wires.add(2, Family::V4, 9, slot, |slot| slot == 7);
        }
        assert_eq!(wires.find(2, Family::V4, 9), [3, 5, 7]);
        wires.remove(2, Family::V4, 9, 3);
        wires.remove(2, Family::V4, 9, 3);
        assert_eq!(wires.find(2, Family::V4, 9), [5, 7]);
        wires.remove(2, Family::V4, 9, 5);
        assert_eq!(wires.find(2, Family::V4, 9), [7]);
        wires.remove(2, Family::V4, 9, 7);
        assert!(wires.find(2, Family::V4, 9).is_empty());
        assert!(wires.shared.is_empty() && wires.first.is_empty());
    }
}
