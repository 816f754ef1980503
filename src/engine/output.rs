//! Everything a node can want or tell.
//!
//! Made by the engine; one stop after: `daemon::effects` (sends, wishes) and `daemon::journal` (events).

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::input::RouterKey;
pub use super::refusal::{ClockOffset, ClockTrouble, Discard, Evidence, Refusal, Tally};
use crate::wire::checksum::ChecksumForm;
use crate::wire::field::Priority;

/// One wish or one fact, to be taken in the order of [`super::node::Node::poll_output`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advert.
    Send(Transmit),
    /// Put the router's VIPs on their interfaces and say so with `Input::Vips`.
    AcquireVips {
        /// Whose.
        router: RouterKey,
    },
    /// Take the router's VIPs away.
    ReleaseVips {
        /// Whose.
        router: RouterKey,
    },
    /// Tell the neighbours where these VIPs are; indices into `RouterParams::vips`.
    Announce {
        /// Whose.
        router: RouterKey,
        /// Which.
        vips: Range<u16>,
    },
    /// Something to write down.
    Event(Event),
    /// Every router has handed over; only after `Input::Shutdown`, once.
    Finished,
}

/// One advert to one destination. Its bytes are `Node::payload(&transmit)` until `Node::flushed()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Whose.
    pub router: RouterKey,
    /// Index of the interface it leaves by.
    pub interface: u32,
    /// Source address.
    pub source: IpAddr,
    /// A peer or the group.
    pub destination: IpAddr,
    /// Whether the payload begins with an Authentication Header (IP protocol 51) and the IP id must be `ip_id`.
    pub ah: Option<AhHeader>,
    /// Place in the node's outgoing buffer.
    pub(crate) range: Range<u32>,
}

impl Transmit {
    /// Addresses bytes that are not in a node's outgoing buffer: for whoever sends an advert without a node.
    pub const fn detached(router: RouterKey, interface: u32, source: IpAddr, destination: IpAddr) -> Self {
        Self { router, interface, source, destination, ah: None, range: 0..0 }
    }
}

/// What the IP header of an authenticated packet must hold, since the digest covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AhHeader {
    /// Identification, never 0.
    pub ip_id: u16,
}

/// A fact about one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose; `None` when a packet fits none, and of checks and groups.
    pub router: Option<RouterKey>,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The router changed its state; exactly one for each change.
    Transition(Transition),
    /// Packets were refused. Rate limited for each reason and peer, and over all of a router and of a node
    /// (`engine::mute`).
    Discarded {
        /// Why, and what the last of them said.
        refusal: Refusal,
        /// Who sent it, by its IP header, which anybody can write.
        peer: Option<IpAddr>,
        /// How many with that reason and of that peer since the last such event.
        count: u64,
    },
    /// An accepted, signed advert is off by more than half the window; at most one a minute for each peer.
    ClockSkew {
        /// Who.
        peer: IpAddr,
        /// How far its clock is from ours.
        skew: ClockOffset,
        /// Beyond this its adverts are refused.
        window: Duration,
    },
    /// What is wrong with the clock of this node; with `router: None`, only where some router signs or verifies by time.
    Clock(ClockTrouble),
    /// An accepted advert differs from our own configuration; once per peer and difference.
    Mismatch {
        /// Who sent it.
        peer: IpAddr,
        /// In what.
        what: Mismatch,
    },
    /// Another Master was heard while Master, and judged worse; at most one a minute.
    Rival {
        /// Who.
        peer: IpAddr,
        /// Its priority.
        priority: Priority,
        /// Ours.
        ours: Priority,
    },
    /// A peer uses this checksum form; when first heard to and when it changes, at most one a minute.
    Checksum {
        /// Who.
        peer: IpAddr,
        /// Which.
        form: ChecksumForm,
    },
    /// A Backup with `preempt = "after"` began to wait.
    PreemptDelay {
        /// For how long.
        length: Duration,
        /// The worse Master.
        peer: IpAddr,
    },
    /// The node did not run for this long while Master and found no rival afterwards.
    Paused {
        /// Time past its deadline.
        length: Duration,
    },
    /// The effective priority changed.
    Priority {
        /// Before.
        from: Priority,
        /// After.
        to: Priority,
    },
    /// A router that handed over withdraws its addresses.
    HandedOver {
        /// The Master that was heard; `None`: nobody within the bound.
        peer: Option<IpAddr>,
    },
    /// A router that stays away on request has heard no Master for longer than any Backup waits; once for each silence, at
    /// most one a minute.
    Vacant {
        /// How long nobody was heard.
        silence: Duration,
    },
    /// The verdict of a check changed; with `router: None`, before everything that follows from it.
    Check {
        /// Its name.
        check: Arc<str>,
        /// Before.
        from: Verdict,
        /// After.
        to: Verdict,
        /// The words of the run that decided.
        words: Arc<str>,
    },
    /// A group changed its state; with `router: None`, after the transitions of its members.
    Group(GroupTransition),
}

/// What a check says about what it watches, after rise and fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Unknown,
    /// It is well.
    Passing,
    /// It is not.
    Failing,
    /// A number.
    Number(i32),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Passing => f.write_str("passing"),
            Self::Failing => f.write_str("failing"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A change of a group's state with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTransition {
    /// Its name.
    pub group: Arc<str>,
    /// State left.
    pub from: StateName,
    /// State entered.
    pub to: StateName,
    /// Why: the reason of the member that began it.
    pub reason: Reason,
}

/// A change of state with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// State left.
    pub from: StateName,
    /// State entered.
    pub to: StateName,
    /// Why.
    pub reason: Reason,
    /// Effective priority.
    pub priority: Priority,
    /// The other node it has to do with.
    pub peer: Option<IpAddr>,
}

/// A state as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateName {
    /// Not taking part: before start, after stop.
    Init,
    /// Listening.
    Backup,
    /// Holding the addresses.
    Master,
    /// Cannot take part.
    Fault,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        })
    }
}

/// Why a router changed its state. `Display` is what an operator reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The daemon began.
    Started,
    /// The daemon began and goes on as the Master that its process before was.
    Adopted {
        /// Time since the last advert.
        silence: Duration,
    },
    /// The daemon began and owns the addresses.
    Owner,
    /// No advert for a master-down interval; `silence`: since the last one or since it began to listen.
    MasterDown {
        /// How long nothing was heard.
        silence: Duration,
        /// How many adverts should have come in that time, by the interval of that Master.
        missed: u32,
    },
    /// The Master resigned and nobody was faster.
    Resigned,
    /// The Master is worse than this node.
    Preempted {
        /// Its priority.
        priority: Priority,
    },
    /// A Master with a higher priority was heard.
    HigherPriority {
        /// Its priority.
        priority: Priority,
    },
    /// A Master with the same priority and a higher address was heard.
    HigherAddress,
    /// This node did not run for longer than a master-down interval, and meanwhile another became Master.
    Paused {
        /// Time past its deadline.
        length: Duration,
    },
    /// The effective priority fell, and the peer that is better took the addresses that were offered.
    Outranked {
        /// Its priority.
        priority: Priority,
    },
    /// The daemon stops.
    Stopping,
    /// A reload removed it or put another in its place.
    Deconfigured,
    /// No interface has the configured name.
    InterfaceMissing,
    /// The interface is down or has no carrier.
    LinkDown,
    /// The interface lacks the source address.
    NoAddress,
    /// What kept it from taking part is over.
    Recovered,
    /// A check without weight fails.
    CheckFailed {
        /// Its name.
        check: Arc<str>,
        /// What it said last.
        words: Arc<str>,
    },
    /// A check without weight has not passed yet.
    AwaitingCheck {
        /// Its name.
        check: Arc<str>,
    },
    /// Another member of its group cannot take part.
    GroupFault {
        /// That member's name.
        member: Arc<str>,
    },
    /// Another program removes an address again and again.
    Removed {
        /// Which.
        address: IpAddr,
        /// How often within a minute.
        count: u32,
    },
    /// A host that is no peer has an address too.
    AddressTaken {
        /// Which.
        address: IpAddr,
        /// That host.
        mac: Mac,
    },
    /// Its group moves, and this router with it.
    GroupMoved {
        /// The member that began it.
        member: Arc<str>,
    },
    /// It stays away on request.
    Drained {
        /// What was said why; may be empty.
        words: Arc<str>,
    },
    /// It stayed away on request and takes part again.
    Resumed,
}

impl Reason {
    /// Returns its name for programs; never changes.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Adopted { .. } => "adopted",
            Self::Owner => "owner",
            Self::MasterDown { .. } => "master_down",
            Self::Resigned => "resigned",
            Self::Preempted { .. } => "preempted",
            Self::HigherPriority { .. } => "higher_priority",
            Self::HigherAddress => "higher_address",
            Self::Paused { .. } => "paused",
            Self::Outranked { .. } => "outranked",
            Self::Stopping => "stopping",
            Self::Deconfigured => "deconfigured",
            Self::InterfaceMissing => "interface_missing",
            Self::LinkDown => "link_down",
            Self::NoAddress => "no_address",
            Self::Recovered => "recovered",
            Self::CheckFailed { .. } => "check_failed",
            Self::AwaitingCheck { .. } => "awaiting_check",
            Self::GroupFault { .. } => "group_fault",
            Self::Removed { .. } => "removed",
            Self::AddressTaken { .. } => "address_taken",
            Self::GroupMoved { .. } => "group_moved",
            Self::Drained { .. } => "drained",
            Self::Resumed => "resumed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Adopted { silence } => {
                write!(f, "adopted: was master with an advertisement {:.3} s ago", silence.as_secs_f64())
            }
            Self::Owner => f.write_str("address owner"),
            Self::MasterDown { silence, .. } => write!(f, "no advertisement for {:.3} s", silence.as_secs_f64()),
            Self::Resigned => f.write_str("master resigned"),
            Self::Preempted { priority } => write!(f, "master has lower priority {priority}"),
            Self::HigherPriority { priority } => write!(f, "master with higher priority {priority}"),
            Self::HigherAddress => f.write_str("master with same priority and higher address"),
            Self::Paused { length } => {
                write!(f, "did not run for {:.3} s and another master took over", length.as_secs_f64())
            }
            Self::Outranked { priority } => write!(f, "priority fell below {priority} of a peer"),
            Self::Stopping => f.write_str("stopping"),
            Self::Deconfigured => f.write_str("removed by a reload"),
            Self::InterfaceMissing => f.write_str("interface does not exist"),
            Self::LinkDown => f.write_str("link down"),
            Self::NoAddress => f.write_str("interface has no source address"),
            Self::Recovered => f.write_str("recovered"),
            Self::CheckFailed { check, words } if words.is_empty() => write!(f, "check {check} failed"),
            Self::CheckFailed { check, words } => write!(f, "check {check} failed: {words}"),
            Self::AwaitingCheck { check } => write!(f, "waiting for the first result of check {check}"),
            Self::GroupFault { member } => write!(f, "{member} of the same group is in FAULT"),
            Self::Removed { address, count } => {
                write!(f, "{address} was removed by another program {count} times in a minute")
            }
            Self::AddressTaken { address, mac } => write!(f, "{address} is also at {mac}, which is no peer"),
            Self::GroupMoved { member } => write!(f, "follows {member} of the same group"),
            Self::Drained { words } if words.is_empty() => f.write_str("drained"),
            Self::Drained { words } => write!(f, "drained: {words}"),
            Self::Resumed => f.write_str("resumed"),
        }
    }
}

/// A hardware address; `Display` as `ip` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// In what an accepted advert differs from the own configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Number of addresses.
    AddressCount {
        /// Listed by the peer.
        theirs: u8,
        /// Listed by us.
        ours: u8,
    },
    /// The lists are of one length but not equal; the first address of ours that the peer does not list in its place.
    AddressList {
        /// That address.
        missing: IpAddr,
    },
    /// Version 3: interval.
    Interval {
        /// The peer's.
        theirs: Duration,
        /// Ours.
        ours: Duration,
    },
    /// IPv6: the first address is not link-local.
    FirstNotLinkLocal,
    /// Both nodes say that they own the addresses.
    TwoOwners,
    /// The peer has our priority.
    SamePriority,
}
