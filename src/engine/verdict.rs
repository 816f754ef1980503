//! What a node would say to a packet, for who looks at the wire and takes no part.
//!
//! The same checks as those of a daemon, on a node of its own that sends nothing and never starts. What such a node has not
//! seen, such as the adverts that were accepted before it began to look, it cannot judge by. One stop after:
//! `daemon::sniff`.

use super::input::{Datagram, RouterKey};
use super::node::Node;
use super::output::Refusal;
use super::time::Now;

/// What a node would do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This router would hear it.
    Accepted(RouterKey),
    /// It would be refused.
    Refused {
        /// By whom; `None`: it fits no router.
        router: Option<RouterKey>,
        /// Why.
        refusal: Refusal,
    },
}

impl Node {
    /// Judges a packet; remembers of it what proves that it is not used twice, and lets no router act on it.
    ///
    /// For a node that was told of its interfaces and was not started. Never panics.
    pub fn judge_packet(&mut self, now: Now, datagram: Datagram<'_>) -> Verdict {
        let mono = self.look(now);
        let (packet, slot) = match self.find(datagram) {
            Ok(found) => found,
            Err((refusal, _)) => return Verdict::Refused { router: None, refusal },
        };
        let router = RouterKey(slot);
        let mut verdict = Verdict::Accepted(router);
        self.touch(slot, |known, out| {
            if let Err(refusal) = known.receive(mono, &packet, out) {
                verdict = Verdict::Refused { router: Some(router), refusal };
            }
        });
        while self.poll_output().is_some() {}
        verdict
    }
}
