//! What a router remembers of the other nodes: last heard, priority, checksum form, differences.
//!
//! Written only after every receive check has passed, but for the counts of what was refused. One stop before:
//! `engine::receive`.

use std::net::IpAddr;
use std::time::Duration;

use super::mute::Mute;
use super::output::{ClockOffset, Mismatch, Tally};
use super::params::{Auth, HmacParams, ReplayGuard, RouterParams};
use super::replay::Accepted;
use super::snapshot::PeerSnapshot;
use super::time::Instant;
use crate::wire::checksum::ChecksumForm;
use crate::wire::field::Priority;

/// The other nodes of one router: configured peers in order, or senders heard by multicast.
#[derive(Debug)]
pub(super) struct Peers {
    /// Never more than the configured ones, or [`HEARD_MAX`].
    peers: Vec<Peer>,
    is_fixed: bool,
    /// For how long a sender heard by multicast is not forgotten.
    memory: Duration,
    /// What was accepted of nodes that a reload took out of the configuration: it may bring them back.
    former: Vec<(IpAddr, Accepted)>,
}

/// One other node.
#[derive(Debug)]
pub(super) struct Peer {
    pub address: IpAddr,
    pub last_heard_at: Option<Instant>,
    pub priority: Option<u8>,
    /// The priority that the node list gives it.
    configured: Option<u8>,
    /// The checksum form of its last version 3 IPv4 advert.
    pub form: Option<ChecksumForm>,
    form_told_at: Option<Instant>,
    /// `None`: nothing of it.
    rest: Option<Box<Rest>>,
}

/// What is known only of a node that signs, differs, or has packets refused: few do.
#[derive(Debug, Default)]
struct Rest {
    differences: Vec<Difference>,
    /// Refused packets that bear its address.
    discarded: Tally,
    /// What was told of those.
    mute: Mute,
    /// The trailers that were accepted from it.
    accepted: Accepted,
    clock: Option<ClockOffset>,
    skew_told_at: Option<Instant>,
}

/// One way in which its adverts differ from our configuration.
#[derive(Debug)]
struct Difference {
    what: Mismatch,
    is_present: bool,
    told_at: Instant,
}

impl Peers {
    /// Makes the table of a router that has heard nobody.
    pub fn new(params: &RouterParams) -> Self {
        let peers: Vec<Peer> = params
            .peers()
            .iter()
            .map(|peer| {
                let configured = peer.priority.map(Priority::get);
                Peer { configured, priority: configured, ..Peer::new(peer.address) }
            })
            .collect();
        Self { is_fixed: !peers.is_empty(), peers, memory: memory(&params.auth), former: Vec::new() }
    }

    /// Goes on with other parameters: what is known of who is still a peer, or may be heard, stays.
    pub fn update(&mut self, params: &RouterParams) {
        let mut before = std::mem::take(&mut self.peers);
        let new = Self::new(params);
        (self.is_fixed, self.memory) = (new.is_fixed, new.memory);
        for peer in new.peers {
            let known = before.iter().position(|known| known.address == peer.address).map(|at| before.remove(at));
            self.peers.push(match known {
                Some(known) => {
                    let priority = if known.last_heard_at.is_some() { known.priority } else { peer.priority };
                    Peer { configured: peer.configured, priority, ..known }
                }
                None => peer.with_marks(&self.former),
            });
        }
        let is_heard = |peer: &Peer| peer.last_heard_at.is_some();
        if self.is_fixed {
            self.remember(&before);
        } else {
            self.peers.extend(before.into_iter().filter(is_heard).take(HEARD_MAX));
            self.peers.iter_mut().for_each(|peer| peer.configured = None);
        }
    }

    /// Takes over the marks of a router in whose place this one came.
    pub fn inherit(&mut self, former: Vec<(IpAddr, Accepted)>) {
        self.former = former;
        for peer in &mut self.peers {
            peer.restore(&self.former);
        }
    }

    /// Returns the marks of all that are known, former ones first.
    pub fn former(&self) -> Vec<(IpAddr, Accepted)> {
        let mut peers = Self { peers: Vec::new(), former: self.former.clone(), ..*self };
        peers.remember(&self.peers);
        peers.former
    }

    fn remember(&mut self, peers: &[Peer]) {
        for peer in peers {
            self.former.retain(|(address, _)| *address != peer.address);
            if let Some(accepted) = peer.accepted().filter(|accepted| !accepted.is_empty()) {
                self.former.push((peer.address, accepted.clone()));
            }
        }
        let surplus = self.former.len().saturating_sub(FORMER_MAX);
        self.former.drain(..surplus);
    }

    /// Says whether no other node is known.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Returns the entry of a sender, if there is one.
    pub fn find(&self, address: IpAddr) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.address == address)
    }

    /// Returns the entry of a sender, if there is one; for counting what was refused.
    pub fn find_mut(&mut self, address: IpAddr) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.address == address)
    }

    /// Says whether there is an entry for a sender, or room for one.
    pub fn admits(&self, now: Instant, address: IpAddr) -> bool {
        self.find(address).is_some() || self.has_room(now)
    }

    /// Returns the entry of a sender whose packet passed every check.
    ///
    /// By multicast an unknown sender takes the place of the one silent for longest when the table is full, unless that
    /// one was heard a short while ago: senders without end would be told of without end, and a sender that is
    /// forgotten while what it signed is fresh could be replayed.
    pub fn entry(&mut self, now: Instant, address: IpAddr) -> Option<&mut Peer> {
        if let Some(index) = self.peers.iter().position(|peer| peer.address == address) {
            return self.peers.get_mut(index);
        }
        if !self.has_room(now) {
            return None;
        }
        if self.peers.len() >= HEARD_MAX
            && let Some(silent) = self.silent_for_longest()
        {
            self.peers.remove(silent);
        }
        self.peers.push(Peer::new(address).with_marks(&self.former));
        self.peers.last_mut()
    }

    fn has_room(&self, now: Instant) -> bool {
        let silent = || self.silent_for_longest().and_then(|index| self.peers.get(index));
        let is_forgotten = |peer: &Peer| peer.last_heard_at.is_none_or(|at| now.since(at) >= self.memory);
        !self.is_fixed && (self.peers.len() < HEARD_MAX || silent().is_some_and(is_forgotten))
    }

    fn silent_for_longest(&self) -> Option<usize> {
        (0..self.peers.len()).min_by_key(|&index| self.peers[index].last_heard_at)
    }

    /// Returns the checksum form to send to a destination: its own last one, for a group that of the sender heard last.
    pub fn form_for(&self, destination: IpAddr) -> Option<ChecksumForm> {
        let own = self.find(destination);
        let peer = own.or_else(|| {
            let heard = self.peers.iter().filter(|_| destination.is_multicast());
            heard.max_by_key(|peer| peer.last_heard_at)
        });
        peer.and_then(|peer| peer.form)
    }

    /// Says whether some other node may have a higher priority than `priority`.
    ///
    /// A Backup is silent: what it said longer ago than `silence` is no knowledge, but may be true again. Its configured
    /// priority is, but for its weights, of which `gain` is the most that they add on this node; without one, and by
    /// multicast, anybody may be there.
    pub fn may_outrank(&self, now: Instant, priority: Priority, gain: i32, silence: Duration) -> bool {
        let ours = i32::from(priority.get());
        let may = |peer: &Peer| {
            let heard = peer.priority.filter(|&heard| heard > 0 && peer.last_heard_at.is_some()).map(i32::from);
            let is_recent = peer.last_heard_at.is_some_and(|at| now.since(at) < silence);
            match (heard, peer.configured) {
                (Some(heard), _) if is_recent => heard > ours,
                (_, None) => true,
                (heard, Some(configured)) => {
                    heard.is_some_and(|heard| heard > ours) || i32::from(configured) + gain > ours
                }
            }
        };
        !self.is_fixed || self.peers.iter().any(may)
    }

    /// Returns plain values for status.
    pub fn snapshot(&self) -> Vec<PeerSnapshot> {
        let value = |peer: &Peer| {
            let rest = peer.rest.as_deref();
            let differences = rest.map(|rest| rest.differences.iter().filter(|it| it.is_present).map(|it| it.what));
            PeerSnapshot {
                address: peer.address,
                last_heard_at: peer.last_heard_at,
                priority: peer.priority,
                differences: differences.map(Iterator::collect).unwrap_or_default(),
                discarded: rest.map(|rest| rest.discarded.clone()).unwrap_or_default(),
                clock: rest.and_then(|rest| rest.clock),
            }
        };
        self.peers.iter().map(value).collect()
    }
}

impl Peer {
    fn new(address: IpAddr) -> Self {
        Self {
            address,
            last_heard_at: None,
            priority: None,
            configured: None,
            form: None,
            form_told_at: None,
            rest: None,
        }
    }

    fn with_marks(mut self, former: &[(IpAddr, Accepted)]) -> Self {
        self.restore(former);
        self
    }

    /// Takes over what was accepted of it before, or that nothing was.
    fn restore(&mut self, former: &[(IpAddr, Accepted)]) {
        let known = former.iter().find(|(known, _)| *known == self.address).map(|(_, accepted)| accepted);
        match (known, &mut self.rest) {
            (Some(accepted), _) => self.accepted_mut().clone_from(accepted),
            (None, Some(rest)) => rest.accepted = Accepted::default(),
            (None, None) => {}
        }
    }

    /// Returns what was accepted of it; `None`: nothing.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.rest.as_deref().map(|rest| &rest.accepted)
    }

    /// Returns what was accepted of it, for adding to it.
    pub fn accepted_mut(&mut self) -> &mut Accepted {
        &mut self.rest.get_or_insert_default().accepted
    }

    /// Returns the counts of its refused packets, and what was told of those.
    pub fn refusals(&mut self) -> (&mut Tally, &mut Mute) {
        let rest = self.rest.get_or_insert_default();
        (&mut rest.discarded, &mut rest.mute)
    }

    /// Notes how far its clock is from ours; says whether to tell of it, at most once within [`TELL_AGAIN`].
    pub fn note_clock(&mut self, now: Instant, skew: ClockOffset, guard: ReplayGuard) -> bool {
        let rest = self.rest.get_or_insert_default();
        rest.clock = Some(skew);
        let is_far = match guard {
            ReplayGuard::Time { window } => skew.length > window / 2,
            ReplayGuard::Monotonic => false,
        };
        let is_told = is_far && rest.skew_told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN);
        if is_told {
            rest.skew_told_at = Some(now);
        }
        is_told
    }

    /// Notes the checksum form of its advert; says whether to tell of a change, at most once within [`TELL_AGAIN`].
    pub fn note_form(&mut self, now: Instant, form: ChecksumForm) -> bool {
        let is_told =
            self.form.replace(form) != Some(form) && self.form_told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN);
        if is_told {
            self.form_told_at = Some(now);
        }
        is_told
    }

    /// Notes in what its advert differs; calls `tell` for each difference that was not told within [`TELL_AGAIN`].
    pub fn compare(&mut self, now: Instant, found: &[Mismatch], mut tell: impl FnMut(Mismatch)) {
        if found.is_empty() && self.rest.is_none() {
            return;
        }
        let differences = &mut self.rest.get_or_insert_default().differences;
        for known in &mut *differences {
            known.is_present = found.iter().any(|what| is_same_kind(*what, known.what));
        }
        for &what in found {
            match differences.iter_mut().find(|known| is_same_kind(known.what, what)) {
                Some(known) if known.what == what || now.since(known.told_at) < TELL_AGAIN => known.what = what,
                Some(known) => {
                    *known = Difference { what, is_present: true, told_at: now };
                    tell(what);
                }
                None => {
                    differences.push(Difference { what, is_present: true, told_at: now });
                    tell(what);
                }
            }
        }
    }
}

/// For as long as a stamp may be fresh: it may be one window ahead when it comes.
fn memory(auth: &Auth) -> Duration {
    match auth {
        Auth::Hmac(HmacParams { guard: ReplayGuard::Time { window }, .. }) => TELL_AGAIN.max(*window * 2 + ROUNDING),
        Auth::Hmac(HmacParams { guard: ReplayGuard::Monotonic, .. })
        | Auth::None
        | Auth::Password { .. }
        | Auth::Ah(_) => TELL_AGAIN,
    }
}

fn is_same_kind(a: Mismatch, b: Mismatch) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// Senders remembered by multicast; a segment with more nodes for one VRID is a mistake.
const HEARD_MAX: usize = 16;

/// Nodes whose marks outlive their place in the configuration.
const FORMER_MAX: usize = 64;

/// Windows count whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// What changes is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stranger_by_multicast_replaces_the_one_silent_for_longest() {
        let mut peers = Peers { peers: Vec::new(), is_fixed: false, memory: TELL_AGAIN, former: Vec::new() };
        let address = |number: u8| IpAddr::from([192, 0, 2, number]);
        let at = |number: u8| Instant::from_nanos(u64::from(number) * 3_900_000_000);
        for number in 0..=HEARD_MAX as u8 {
            let peer = peers.entry(at(number), address(number)).unwrap();
            peer.last_heard_at = Some(at(number));
        }
        assert!(peers.entry(at(HEARD_MAX as u8), address(99)).is_none(), "the next one was heard a minute ago or less");
        assert_eq!(peers.peers.len(), HEARD_MAX);
        assert!(peers.peers.iter().all(|peer| peer.address != address(0)));
    }

    #[test]
    fn difference_is_told_once_and_again_when_it_changes_later() {
        let mut peer = Peer::new(IpAddr::from([192, 0, 2, 1]));
        let mut told = Vec::new();
        let count = |theirs| Mismatch::AddressCount { theirs, ours: 1 };
        for (seconds, theirs) in [(0, 2), (1, 2), (2, 3), (90, 3), (200, 4)] {
            peer.compare(Instant::from_nanos(seconds * 1_000_000_000), &[count(theirs)], |what| told.push(what));
        }
        assert_eq!(told, [count(2), count(4)]);
        peer.compare(Instant::from_nanos(0), &[], |_| unreachable!());
        assert!(peer.rest.unwrap().differences.iter().all(|known| !known.is_present));
    }
}
