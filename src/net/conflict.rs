//! Whether another host has our addresses: when to ask, and what an answer means. No I/O.
//!
//! It is asked for the first time when whoever handed over must have let go, so it delays nothing and misjudges no
//! successor; once more some seconds later, and now and then. An answer counts when it comes twice. A peer is told from
//! a stranger by asking for its own address, too: what a peer has beside us is for the election to mend.
//! One stop before: `net::service` with wishes and answers. One stop after: `net::notice`, `net::trouble`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::links::Links;
use super::notice::Notice;
use super::prober::Answers;
use crate::engine::input::{RouterKey, Trouble};
use crate::engine::output;
use crate::engine::params::{OnConflict, RouterParams};
use crate::engine::time::Instant;
use crate::wire::announce::Mac;

/// From the end of a handover to the first question.
const SETTLE: Duration = Duration::from_millis(500);
/// A handover takes no longer than an interval and this; see `engine::handover`.
const HANDOVER: Duration = Duration::from_secs(5);
/// From the first round to the second.
const SECOND: Duration = Duration::from_secs(5);
/// Between later rounds.
const LATER: Duration = Duration::from_secs(60);
/// Between rounds while another host has an address.
const IN_CONFLICT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// Pace of the questions.
const PACE: Duration = Duration::from_millis(1);
/// Questions at once.
const AT_ONCE: usize = 16;
/// Lines about one router in one round.
const LINES: usize = 4;

/// The addresses that this node claims, and who else has them.
#[derive(Debug, Default)]
pub struct Conflicts {
    claims: BTreeMap<RouterKey, Claim>,
    /// When the next round of each claim begins.
    rounds: BTreeSet<(Instant, RouterKey)>,
    /// Claims of which something was asked and is to be judged.
    asked: BTreeSet<RouterKey>,
    queue: VecDeque<Question>,
    /// When the next questions may go.
    send_at: Instant,
    /// Answers are awaited until then.
    heard_until: Option<Instant>,
    notices: Vec<Notice>,
    troubles: Vec<(RouterKey, Trouble)>,
}

/// Whether somebody has this address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Where.
    pub interface: u32,
    /// Which.
    pub address: IpAddr,
}

/// One router that holds its addresses, or left them to a stranger.
#[derive(Debug)]
struct Claim {
    params: Arc<RouterParams>,
    round_at: Instant,
    rounds: u32,
    /// It was left to the stranger.
    is_left: bool,
    /// What was asked and is to be judged.
    asked: BTreeSet<(u32, IpAddr)>,
    foes: BTreeMap<(u32, IpAddr), Foe>,
    /// Where its peers are, and can be told from strangers.
    home: Option<u32>,
    peers: BTreeMap<Mac, IpAddr>,
}

/// Who else has an address.
#[derive(Clone, Copy, Debug)]
struct Foe {
    mac: Mac,
    is_confirmed: bool,
    is_told: bool,
}

impl Conflicts {
    /// A router holds its addresses from here on.
    pub fn claim(&mut self, now: Instant, key: RouterKey, params: &Arc<RouterParams>) {
        if let Some(claim) = self.claims.get_mut(&key)
            && !claim.is_left
        {
            claim.params = Arc::clone(params);
            return;
        }
        let interval = params.advertisement_interval.as_duration();
        let claim = Claim {
            params: Arc::clone(params),
            round_at: now + interval.min(HANDOVER) + SETTLE,
            rounds: 0,
            is_left: false,
            asked: BTreeSet::new(),
            foes: BTreeMap::new(),
            home: None,
            peers: BTreeMap::new(),
        };
        self.forget(key);
        self.rounds.insert((claim.round_at, key));
        self.claims.insert(key, claim);
    }

    /// A router gave its addresses up; those that it left to a stranger are watched on.
    pub fn release(&mut self, key: RouterKey) {
        let Some(claim) = self.claims.get_mut(&key) else { return };
        claim.is_left = true;
        let is_yielding = claim.params.ownership.on_conflict == OnConflict::Yield;
        claim.foes.retain(|_, foe| foe.is_confirmed && is_yielding && !claim.peers.contains_key(&foe.mac));
        if claim.foes.is_empty() {
            self.forget(key);
        }
    }

    /// Returns when something is to be done; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        let sending = (!self.queue.is_empty()).then_some(self.send_at);
        let rounds = self.rounds.first().map(|(at, _)| *at);
        // A round does not begin before the last one was judged.
        sending.or(self.heard_until).or(rounds)
    }

    /// Begins the rounds that are due, and returns the next few questions.
    pub fn next_questions(&mut self, now: Instant, links: &Links) -> Vec<Question> {
        if self.queue.is_empty() && self.heard_until.is_none() {
            while let Some((at, key)) = self.rounds.pop_first() {
                if at > now {
                    self.rounds.insert((at, key));
                    break;
                }
                let Some(claim) = self.claims.get_mut(&key) else { continue };
                claim.begin(now, links, &mut self.queue);
                self.asked.insert(key);
                self.rounds.insert((claim.round_at, key));
            }
        }
        if self.queue.is_empty() || now < self.send_at {
            return Vec::new();
        }
        self.send_at = now + PACE;
        self.heard_until = Some(now + PATIENCE);
        self.queue.drain(..AT_ONCE.min(self.queue.len())).collect()
    }

    /// Says whether answers are awaited.
    pub fn is_listening(&self) -> bool {
        self.heard_until.is_some()
    }

    /// Says whether whoever would answer has answered.
    pub fn is_heard(&self, now: Instant) -> bool {
        self.queue.is_empty() && self.heard_until.is_some_and(|until| until <= now)
    }

    /// Takes in the answers to all that was asked. `is_own`: whether a hardware address is this host's.
    pub fn judge(&mut self, answers: &Answers, is_own: impl Fn(&Mac) -> bool) {
        self.heard_until = None;
        for key in std::mem::take(&mut self.asked) {
            let Some(claim) = self.claims.get_mut(&key) else { continue };
            let over = claim.judge(answers, &is_own);
            claim.tell(key, over, &mut self.notices);
            if let Some((address, mac)) = claim.stranger().filter(|_| claim.yields()) {
                self.troubles.push((key, Trouble::Taken { address, mac }));
            }
            if claim.ask_again(&mut self.queue) {
                self.asked.insert(key);
            }
            if claim.is_left && claim.foes.is_empty() {
                self.forget(key);
            }
        }
    }

    fn forget(&mut self, key: RouterKey) {
        if let Some(claim) = self.claims.remove(&key) {
            self.rounds.remove(&(claim.round_at, key));
        }
    }

    /// Returns who else has addresses of a router, for a person.
    pub fn troubles_of(&self, key: RouterKey) -> Vec<String> {
        let Some(claim) = self.claims.get(&key) else { return Vec::new() };
        let told = claim.foes.iter().filter(|(_, foe)| foe.is_told);
        told.map(|((_, address), foe)| match claim.peers.get(&foe.mac) {
            Some(peer) => format!("{address} is also at {}, which is peer {peer}", output::Mac(foe.mac)),
            None => format!("{address} is also at {}, which is no peer", output::Mac(foe.mac)),
        })
        .collect()
    }

    /// Says which of a router's addresses another host has, in the order of the configuration.
    pub fn duplicates_of(&self, key: RouterKey) -> Vec<bool> {
        let Some(claim) = self.claims.get(&key) else { return Vec::new() };
        let is_told = |address| claim.foes.iter().any(|((_, foe), known)| *foe == address && known.is_told);
        claim.params.vips.iter().map(|vip| is_told(vip.address)).collect()
    }

    /// Takes the notices since the last call, in order.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Takes the signs of trouble since the last call, in order.
    pub fn take_troubles(&mut self) -> Vec<(RouterKey, Trouble)> {
        std::mem::take(&mut self.troubles)
    }
}

impl Claim {
    /// Asks for all addresses, and for the peers where one of them may be who answers.
    fn begin(&mut self, now: Instant, links: &Links, queue: &mut VecDeque<Question>) {
        self.rounds += 1;
        self.home = links.named(&self.params.interface).map(|link| link.index);
        let pause = match self.rounds {
            _ if !self.foes.is_empty() => IN_CONFLICT,
            1 => SECOND,
            _ => LATER,
        };
        self.round_at = now + pause;
        self.asked = match self.is_left {
            true => self.foes.keys().copied().collect(),
            false => self.places(links),
        };
        queue.extend(
            self.asked.iter().map(|(interface, address)| Question { interface: *interface, address: *address }),
        );
        if !self.foes.is_empty() {
            self.ask_for_peers(queue);
        }
    }

    fn places(&self, links: &Links) -> BTreeSet<(u32, IpAddr)> {
        let place = |vip: &crate::engine::params::Vip| {
            let link = links.named(vip.interface.as_deref().unwrap_or(&self.params.interface))?;
            Some((link.index, vip.address))
        };
        self.params.vips.iter().filter_map(place).collect()
    }

    fn ask_for_peers(&self, queue: &mut VecDeque<Question>) {
        if let Some(interface) = self.home {
            queue.extend(self.params.peers().iter().map(|peer| Question { interface, address: peer.address }));
        }
    }

    /// Compares answers with what was known; returns the addresses that nobody else has any more.
    fn judge(&mut self, answers: &Answers, is_own: impl Fn(&Mac) -> bool) -> Vec<IpAddr> {
        for peer in self.params.peers() {
            let macs = answers.iter().filter(|((_, address), _)| *address == peer.address).flat_map(|(_, macs)| macs);
            self.peers.extend(macs.map(|mac| (*mac, peer.address)));
        }
        let mut over = Vec::new();
        for place in std::mem::take(&mut self.asked) {
            let macs = answers.get(&place).map(Vec::as_slice).unwrap_or_default();
            let others: Vec<Mac> = macs.iter().copied().filter(|mac| !is_own(mac) && !self.is_virtual(mac)).collect();
            match (self.foes.get_mut(&place), others.first()) {
                (Some(foe), Some(_)) if others.contains(&foe.mac) => foe.is_confirmed = true,
                // Who is not the stranger that it was left to is the node that it was left to.
                (Some(_) | None, Some(_)) if self.is_left => {
                    self.foes.remove(&place);
                }
                (Some(_) | None, Some(mac)) => {
                    self.foes.insert(place, Foe { mac: *mac, is_confirmed: false, is_told: false });
                }
                (Some(foe), None) => {
                    if foe.is_told {
                        over.push(place.1);
                    }
                    self.foes.remove(&place);
                }
                (None, None) => {}
            }
        }
        over
    }

    /// Asks once more for what was answered for once, and for the peers; says whether there is such.
    fn ask_again(&mut self, queue: &mut VecDeque<Question>) -> bool {
        let unsure = self.foes.iter().filter(|(_, foe)| !foe.is_confirmed).map(|(place, _)| *place);
        self.asked = unsure.collect();
        if !self.asked.is_empty() {
            let question = |(interface, address): &(u32, IpAddr)| Question { interface: *interface, address: *address };
            queue.extend(self.asked.iter().map(question));
            self.ask_for_peers(queue);
        }
        !self.asked.is_empty()
    }

    /// Writes down who has addresses since this round, one line for each host; and who has them no longer.
    fn tell(&mut self, router: RouterKey, over: Vec<IpAddr>, notices: &mut Vec<Notice>) {
        let mut fresh: BTreeMap<Mac, Vec<IpAddr>> = BTreeMap::new();
        for ((_, address), foe) in self.foes.iter_mut().filter(|(_, foe)| foe.is_confirmed && !foe.is_told) {
            foe.is_told = true;
            fresh.entry(foe.mac).or_default().push(*address);
        }
        for (mac, addresses) in fresh.into_iter().take(LINES) {
            let Some(address) = addresses.first().copied() else { continue };
            let (others, peer) = (addresses.len() - 1, self.peers.get(&mac).copied());
            notices.push(Notice::Conflict { router, address, others, mac, peer });
        }
        if let Some(address) = over.first().copied() {
            notices.push(Notice::ConflictOver { router, address, others: over.len() - 1 });
        }
    }

    /// Returns the first address that a host has which is no peer; only where peers would be known.
    fn stranger(&self) -> Option<(IpAddr, Mac)> {
        let is_stranger = |foe: &Foe| foe.is_confirmed && !self.peers.contains_key(&foe.mac);
        let is_at_home = |interface: u32| self.home == Some(interface);
        self.foes
            .iter()
            .find(|((interface, _), foe)| is_at_home(*interface) && is_stranger(foe))
            .map(|((_, address), foe)| (*address, foe.mac))
    }

    fn yields(&self) -> bool {
        self.params.ownership.on_conflict == OnConflict::Yield
    }

    /// Says whether a hardware address is the virtual one of this router, which a peer may use. RFC 9568 section 7.3.
    fn is_virtual(&self, mac: &Mac) -> bool {
        matches!(mac, [0, 0, 0x5e, 0, 1 | 2, vrid] if *vrid == self.params.vrid.get())
    }
}

#[cfg(test)]
mod tests;
