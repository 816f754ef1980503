//! The earliest deadline among many routers, at no cost for what is not due.
//!
//! A heap of (deadline, router) that is put right lazily: a deadline that moves later costs nothing until its old entry
//! reaches the top; one that moves earlier gets a second entry. A Backup that hears a thousand adverts therefore
//! touches the heap once per master-down interval. One stop before: `engine::node`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::time::Instant;

/// The deadlines of all routers of a node, by slot.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// By slot: the earliest entry in the heap that stands for it.
    queued: Vec<Option<Instant>>,
}

impl Deadlines {
    /// Says that the deadline of a router is `at`; `None`: it waits for nothing.
    pub fn set(&mut self, slot: u32, at: Option<Instant>) {
        let index = slot as usize;
        if self.queued.len() <= index {
            self.queued.resize(index + 1, None);
        }
        let Some(at) = at else { return };
        if self.queued[index].is_none_or(|queued| at < queued) {
            self.queued[index] = Some(at);
            self.heap.push(Reverse((at, slot)));
        }
    }

    /// Returns the earliest deadline, put right by `current`, the true deadline of a slot.
    pub fn earliest(&mut self, current: impl Fn(u32) -> Option<Instant>) -> Option<Instant> {
        while let Some(&Reverse((at, slot))) = self.heap.peek() {
            if self.queued[slot as usize] == Some(at) {
                let truth = current(slot);
                if truth == Some(at) {
                    return Some(at);
                }
                self.queued[slot as usize] = None;
                self.heap.pop();
                self.set(slot, truth);
            } else {
                self.heap.pop();
            }
        }
        None
    }

    /// Returns whose deadline is the earliest.
    pub fn earliest_slot(&mut self, current: impl Fn(u32) -> Option<Instant>) -> Option<u32> {
        self.earliest(current)?;
        self.heap.peek().map(|Reverse((_, slot))| *slot)
    }

    /// Takes out the router with the earliest deadline at or before `until`.
    ///
    /// The caller serves it and calls [`Self::set`] with its next deadline.
    pub fn pop_due(&mut self, until: Instant, current: impl Fn(u32) -> Option<Instant>) -> Option<u32> {
        if self.earliest(current)? > until {
            return None;
        }
        let Reverse((_, slot)) = self.heap.pop()?;
        self.queued[slot as usize] = None;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn deadline_follows_moves_in_both_directions() {
        let mut deadlines = Deadlines::default();
        let mut truth = [Some(at(30)), Some(at(20)), None];
        for (slot, time) in truth.iter().enumerate() {
            deadlines.set(slot as u32, *time);
        }
        assert_eq!(deadlines.earliest(|slot| truth[slot as usize]), Some(at(20)));
        truth[1] = Some(at(40));
        deadlines.set(1, truth[1]);
        assert_eq!(deadlines.earliest(|slot| truth[slot as usize]), Some(at(30)), "moved later");
        truth[2] = Some(at(5));
        deadlines.set(2, truth[2]);
        assert_eq!(deadlines.earliest(|slot| truth[slot as usize]), Some(at(5)), "moved earlier");
        assert_eq!(deadlines.pop_due(at(4), |slot| truth[slot as usize]), None);
        assert_eq!(deadlines.pop_due(at(5), |slot| truth[slot as usize]), Some(2));
        truth[2] = None;
        truth[0] = None;
        assert_eq!(deadlines.earliest(|slot| truth[slot as usize]), Some(at(40)), "a cancelled one is dropped");
    }

    #[test]
    fn heap_does_not_grow_with_deadlines_that_only_move_later() {
        let mut deadlines = Deadlines::default();
        for time in 1..1000 {
            deadlines.set(0, Some(at(time)));
            deadlines.earliest(|_| Some(at(time)));
        }
        assert_eq!(deadlines.heap.len(), 1);
    }
}
