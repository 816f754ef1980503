//! The network between the hosts.

use std::net::IpAddr;
use std::rc::Rc;

use vrrpd::wire::ah::AuthHeader;

use super::rng::Rng;
use super::spec::INTERFACES;

/// One packet on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Which link it is on.
    pub link: usize,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The VRRP message, with all that follows it; with an Authentication Header, that first.
    pub message: Rc<[u8]>,
    /// Identification of the IP header, where an Authentication Header follows it.
    pub ah: Option<u16>,
}

impl Packet {
    /// Returns the priority field.
    pub fn priority(&self) -> u8 {
        self.field(2)
    }

    /// Returns the place of the router: VRIDs count from 1.
    pub fn router(&self) -> usize {
        usize::from(self.field(1)).wrapping_sub(1)
    }

    fn field(&self, at: usize) -> u8 {
        let begin = self.ah.map_or(0, |_| AuthHeader::LEN);
        self.message.get(begin + at).copied().unwrap_or_default()
    }
}

/// How long things take, in nanoseconds, shortest and longest.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A packet on its way.
    pub delay: (u64, u64),
    /// From a packet in the socket or a message in the channel to the turn of the loop.
    pub wake: (u64, u64),
    /// From a deadline to the turn of the loop.
    pub late: (u64, u64),
    /// From a wish for VIPs, or from one batch of them to the next, to what the kernel does.
    pub worker: (u64, u64),
}

impl Timing {
    /// Everything takes no time but a packet (200 us) and the VIP worker (300 us).
    pub const EXACT: Self = Self { delay: (200_000, 200_000), wake: (0, 0), late: (0, 0), worker: (300_000, 300_000) };
}

/// What the network does to packets.
#[derive(Debug)]
pub struct Segment {
    pub loss_per_mille: u64,
    pub duplicates_per_mille: u64,
    /// Each host's first resignation of a handover is lost to everybody.
    pub drops_first_resignation: bool,
    /// No packet overtakes an earlier one from the same host to the same host.
    pub is_ordered: bool,
    /// `blocked[link][from][to]`
    blocked: Vec<Vec<Vec<bool>>>,
    /// `latest[link][from][to]`: when the latest packet arrives.
    latest: Vec<Vec<Vec<u64>>>,
}

impl Segment {
    pub fn new(hosts: usize) -> Self {
        Self {
            loss_per_mille: 0,
            duplicates_per_mille: 0,
            drops_first_resignation: false,
            is_ordered: false,
            blocked: vec![vec![vec![false; hosts]; hosts]; INTERFACES.len()],
            latest: vec![vec![vec![0; hosts]; hosts]; INTERFACES.len()],
        }
    }

    pub fn block(&mut self, link: usize, from: usize, to: usize, is_blocked: bool) {
        self.blocked[link][from][to] = is_blocked;
    }

    pub fn is_open(&self, link: usize, from: usize, to: usize) -> bool {
        !self.blocked[link][from][to]
    }

    /// Ends loss, duplication, reordering and partitions.
    pub fn heal(&mut self) {
        self.is_ordered = true;
        self.loss_per_mille = 0;
        self.duplicates_per_mille = 0;
        self.blocked.iter_mut().flatten().for_each(|row| row.fill(false));
    }

    /// Returns when a packet arrives, and whether it overtakes another, given when it would by its delay alone.
    pub fn arrival(&mut self, link: usize, from: usize, to: usize, at: u64) -> (u64, bool) {
        let latest = &mut self.latest[link][from][to];
        let overtakes = at < *latest;
        *latest = at.max(*latest);
        if self.is_ordered { (*latest, false) } else { (at, overtakes) }
    }

    /// Decides how often a packet arrives: 0, 1 or 2 times.
    pub fn copies(&self, rng: &mut Rng, link: usize, from: usize, to: usize) -> usize {
        if self.blocked[link][from][to] || rng.chance(self.loss_per_mille) {
            0
        } else {
            1 + usize::from(rng.chance(self.duplicates_per_mille))
        }
    }
}
