//! What the routers of a node share: a queue of outputs, the bytes of their adverts, and the clock that stamps them.

use std::collections::VecDeque;
use std::ops::Range;

use super::clock::Clock;
use super::input::RouterKey;
use super::output::{Event, EventKind, Output};

/// Outputs not yet taken and adverts not yet sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub queue: VecDeque<Output>,
    /// Adverts, one after another; emptied when the caller says that it has sent them.
    pub bytes: Vec<u8>,
    /// Where an advert is made before it is copied for each destination; kept for its capacity.
    pub draft: Vec<u8>,
    /// What signed adverts are stamped by.
    pub clock: Clock,
}

impl Outbox {
    /// Takes out the next output. What was queued in a burst (thousands take over at once) takes no room for long.
    pub fn pop(&mut self) -> Option<Output> {
        let output = self.queue.pop_front();
        if output.is_none() && self.queue.capacity() > QUEUE_KEPT {
            self.queue = VecDeque::new();
        }
        output
    }

    pub fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub fn event(&mut self, router: RouterKey, kind: EventKind) {
        self.queue.push_back(Output::Event(Event { router: Some(router), kind }));
    }

    /// Tells of something that is about no router.
    pub fn node_event(&mut self, kind: EventKind) {
        self.queue.push_back(Output::Event(Event { router: None, kind }));
    }

    /// Lets `write` append an advert and returns its place.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<u32> {
        let start = self.bytes.len() as u32;
        write(&mut self.bytes);
        start..self.bytes.len() as u32
    }
}

/// Room for outputs that is kept from turn to turn: what thousands of routers want in an ordinary one.
const QUEUE_KEPT: usize = 2048;
