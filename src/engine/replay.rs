//! Memory of sequence numbers seen and sent.

/// Sequence numbers of one virtual router with an Authentication Header.
///
/// One counter for all senders, as Keepalived has it: whoever becomes Master goes on from the highest number heard.
#[derive(Debug, Default)]
pub(super) struct Replay {
    highest: u32,
    ip_id: u16,
}

impl Replay {
    /// Says whether a number is greater than every one accepted or sent so far.
    pub fn is_fresh(&self, sequence: u32) -> bool {
        sequence > self.highest
    }

    /// Moves the mark; only after every other check has passed.
    pub fn accept(&mut self, sequence: u32) {
        self.highest = self.highest.max(sequence);
    }

    /// Returns the sequence number and the IP id of the next advert; the id is never 0.
    pub fn next(&mut self) -> (u32, u16) {
        self.highest = self.highest.saturating_add(1);
        self.ip_id = self.ip_id.checked_add(1).unwrap_or(1);
        (self.highest, self.ip_id)
    }
}
