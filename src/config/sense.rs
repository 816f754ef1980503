//! What contradicts itself, the protocol, or what an operator can want, in words to act on.
//!
//! Single values are right when these are found. One stop before: `resolve`, `seats`, `cross`; one stop after: `problem`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::error::excerpt;
use super::health::HealthDoubt;
use super::keepalived::Remark;
use crate::wire::field::{Family, KeyId, Priority, Vrid};

/// Who takes part, and can they reach each other? Each of these makes the instance useless.
#[derive(Debug, PartialEq, Eq)]
pub enum SeatsError {
    /// A node list and one node's own key.
    NodesAndOwnKey {
        /// `source`, `peers` or `priority`.
        key: &'static str,
    },
    /// Nobody to send to.
    NoDestination,
    /// A list of peers and multicast.
    PeersAndMulticast,
    /// Unicast with a node list of one.
    LonelyNode,
    /// Two families among the node addresses.
    MixedFamilies {
        /// The odd one.
        address: IpAddr,
        /// What the others are.
        family: Family,
    },
    /// A node that is its own peer.
    PeerIsSource,
    /// An address or name that is there twice.
    Twice {
        /// As shown.
        what: String,
        /// Line of the first.
        first_line: usize,
    },
    /// Two nodes with priority 255.
    TwoOwners {
        /// Line of the first.
        first_line: usize,
    },
    /// `min_ttl` or `max_ttl` without unicast.
    TtlOfMulticast {
        /// Which.
        key: &'static str,
    },
    /// `min_ttl` or `max_ttl` below what `strict` asks for.
    TtlBelowStrict {
        /// Which.
        key: &'static str,
    },
    /// No TTL is left.
    MinTtlAboveMax {
        /// The lowest.
        min: u8,
        /// The highest.
        max: u8,
    },
    /// `also_multicast` and `multicast`.
    AlsoMulticastOnly,
    /// IPv6 multicast from a routable address.
    MulticastSourceNotLinkLocal {
        /// The address.
        address: IpAddr,
    },
    /// A group of another family.
    GroupOfOtherFamily {
        /// Family of the adverts.
        family: Family,
    },
}

impl fmt::Display for SeatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodesAndOwnKey { key } => {
                write!(f, "`{key}` beside a node list; each node of the list has its own, so take `{key}` out")
            }
            Self::NoDestination => f.write_str(
                "nobody to send adverts to; list the nodes as [[instance.NAME.node]] tables, \
                 or set `peers`, or say `multicast = true`",
            ),
            Self::PeersAndMulticast => {
                f.write_str("`peers` and `multicast` exclude each other; take one of them out")
            }
            Self::LonelyNode => f.write_str(
                "a node list with one node has nobody to send adverts to; list the other nodes, or say `multicast = true`",
            ),
            Self::MixedFamilies { address, family } => {
                write!(f, "{address} is not {family}, but the other nodes are; adverts travel in one family")
            }
            Self::PeerIsSource => {
                f.write_str("a peer with this node's own `source`; `peers` lists the other nodes only")
            }
            Self::Twice { what, first_line } => {
                write!(f, "{what} is already in the list, at line {first_line}; take one of them out")
            }
            Self::TwoOwners { first_line } => write!(
                f,
                "priority 255 is that of the one owner, and the node at line {first_line} has it \
                 (RFC 9568 section 8.3.2); write a priority up to 254"
            ),
            Self::TtlOfMulticast { key } => {
                write!(f, "`{key}` is for unicast peers; by multicast 255 is always required, so take it out")
            }
            Self::TtlBelowStrict { key } => {
                write!(f, "`strict = true` requires a TTL of 255; write `{key} = 255` or leave it out")
            }
            Self::MinTtlAboveMax { min, max } => {
                write!(f, "no TTL is from {min} to {max}; `min_ttl` must not be above `max_ttl`")
            }
            Self::AlsoMulticastOnly => f.write_str(
                "`also_multicast` is for unicast, while nodes move there from multicast; take it or `multicast` out",
            ),
            Self::MulticastSourceNotLinkLocal { address } => write!(
                f,
                "{address} is not link-local, and IPv6 multicast adverts come from a link-local address \
                 (RFC 9568 section 5.1.2.1); write the node's fe80:: address"
            ),
            Self::GroupOfOtherFamily { family } => {
                write!(f, "adverts of this instance travel over {family}; expected an {family} group, or `true`")
            }
        }
    }
}

/// Can these addresses move, and be advertised? Each of these makes the instance useless.
#[derive(Debug, PartialEq, Eq)]
pub enum VipError {
    /// An address of no instance and no interface.
    NoInterface {
        /// The address.
        address: IpAddr,
    },
    /// An address that is there twice.
    Twice {
        /// The address.
        address: IpAddr,
        /// Line of the first.
        first_line: usize,
    },
    /// Version 3 with an empty list on the wire.
    NothingAdvertised {
        /// Family of the adverts.
        family: Family,
    },
    /// More addresses than the count field can say.
    TooManyAdvertised {
        /// How many.
        count: usize,
    },
    /// More addresses than the daemon can number.
    TooManyAddresses {
        /// How many.
        count: usize,
    },
    /// `advertise = true` for the other family.
    OtherFamilyAdvertised {
        /// The address.
        address: IpAddr,
        /// Family of the adverts.
        family: Family,
    },
    /// An option that only IPv4 addresses have.
    Ipv4Only {
        /// The key.
        key: &'static str,
    },
    /// An option that only IPv6 addresses have.
    Ipv6Only {
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for VipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface { address } => write!(
                f,
                "{address} belongs to no instance, so it needs an interface: \
                 {{ address = \"{address}\", interface = \"eth0\" }}"
            ),
            Self::Twice { address, first_line } => {
                write!(f, "{address} is already in the list, at line {first_line}; take one of them out")
            }
            Self::NothingAdvertised { family } => write!(
                f,
                "no {family} address is advertised, and receivers drop a version 3 advert without addresses \
                 (RFC 9568 section 5.2.5); adverts travel over {family}, so at least one address must be {family} \
                 without `advertise = false`"
            ),
            Self::TooManyAdvertised { count } => write!(
                f,
                "{count} advertised addresses; an advert carries at most 255 \
                 (RFC 9568 section 5.2.5), so set `advertise = false` for the rest"
            ),
            Self::TooManyAddresses { count } => {
                write!(f, "{count} addresses; an instance moves at most 65535, so split it")
            }
            Self::OtherFamilyAdvertised { address, family } => write!(
                f,
                "{address} cannot be advertised: adverts of this instance carry {family} \
                 (RFC 9568 section 5.2.9); leave `advertise` out and it moves along unadvertised"
            ),
            Self::Ipv4Only { key } => {
                write!(f, "`{key}` beside an IPv6 address; only IPv4 addresses have it, so take it out")
            }
            Self::Ipv6Only { key } => {
                write!(f, "`{key}` beside an IPv4 address; only IPv6 addresses have it, so take it out")
            }
        }
    }
}

/// Do the tables of the file agree with each other? Each of these makes it useless.
#[derive(Debug, PartialEq, Eq)]
pub enum ConflictError {
    /// No instance at all.
    NoInstance,
    /// A VIP of another instance.
    VipOfAnother {
        /// The VIP.
        address: IpAddr,
        /// The other instance.
        instance: String,
        /// Its line.
        line: usize,
    },
    /// Two virtual routers that nobody could tell apart.
    SameRouter {
        /// The interface of both.
        interface: String,
        /// The family of both.
        family: Family,
        /// The identifier of both.
        vrid: Vrid,
        /// The other instance.
        instance: String,
        /// Its line.
        line: usize,
    },
    /// `[daemon] node` is in no node list.
    NodeNotListed {
        /// The name.
        name: String,
        /// The listed names.
        listed: Vec<String>,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// One address under two names.
    TwoNames {
        /// The address.
        address: IpAddr,
        /// The name elsewhere.
        other: String,
        /// Line of that.
        line: usize,
    },
}

impl fmt::Display for ConflictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInstance => f.write_str("no instance; expected at least one [instance.NAME] table"),
            Self::VipOfAnother { address, instance, line } => write!(
                f,
                "{address} already belongs to instance {instance:?}, at line {line}; \
                 two elections cannot move one address"
            ),
            Self::SameRouter { interface, family, vrid, instance, line } => write!(
                f,
                "virtual_router_id {vrid} on {interface} over {family} is already that of instance {instance:?}, \
                 at line {line}; give this one another number"
            ),
            Self::NodeNotListed { name, listed, meant } => {
                write!(f, "no node list has the name {name:?}; ")?;
                match meant {
                    Some(meant) => write!(f, "did you mean {meant:?}?"),
                    None => write!(f, "they have {}", listed.join(", ")),
                }
            }
            Self::TwoNames { address, other, line } => {
                write!(f, "{address} has the name {other:?} at line {line}; one node has one name")
            }
        }
    }
}

/// Do the options of an instance fit each other and the protocol? Each of these makes it useless.
#[derive(Debug, PartialEq, Eq)]
pub enum OptionError {
    /// IPv6 and version 2.
    Ipv6NeedsV3,
    /// An owner that would not preempt.
    OwnerMustPreempt,
    /// A checksum form where there is no choice.
    ChecksumWithoutChoice,
    /// The old unicast form with multicast.
    OldUnicastOfMulticast,
    /// Lengths of time that do not ascend.
    NotAscending,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv6NeedsV3 => {
                f.write_str("version 2 has no IPv6 (RFC 3768); write `version = 3` or leave `version` out")
            }
            Self::OwnerMustPreempt => f.write_str(
                "a node with priority 255 owns the addresses and always preempts (RFC 9568 section 6.1); \
                 write `preempt = \"always\"` or a priority up to 254",
            ),
            Self::ChecksumWithoutChoice => {
                f.write_str("only version 3 over IPv4 has more than one checksum form; take `checksum` out")
            }
            Self::OldUnicastOfMulticast => {
                f.write_str("\"old-unicast\" is a form of unicast adverts; write \"auto\" or \"pseudo\"")
            }
            Self::NotAscending => {
                f.write_str("`announce_repeats` counts from becoming master, so each must be later than the one before")
            }
        }
    }
}

/// What can be used and should be looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Two nodes of one priority.
    EqualPriorities {
        /// The other node as shown.
        first: String,
        /// Its line.
        first_line: usize,
        /// The priority of both.
        priority: Priority,
        /// The address that wins.
        winner: IpAddr,
    },
    /// Two nodes of a list of three or more whose skews are too close.
    CloseSkews {
        /// The better node as shown.
        better: String,
        /// Its line.
        better_line: usize,
        /// How much later the worse one takes over.
        apart: Duration,
        /// By how much the priorities should differ at this interval.
        needed: u8,
    },
    /// A node address that moves although its node does not own it.
    VipIsNodeAddress {
        /// The address.
        address: IpAddr,
        /// The node's priority.
        priority: Priority,
    },
    /// Metrics are asked for at an address that is here only sometimes.
    MetricsOnVip {
        /// The address.
        address: IpAddr,
        /// Its instance.
        instance: String,
    },
    /// IPv6: the first advertised address is not link-local.
    FirstNotLinkLocal {
        /// The address.
        address: IpAddr,
    },
    /// An address that stands for a network or for all of it.
    NoHostAddress {
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix_len: u8,
        /// `network` or `broadcast`.
        kind: &'static str,
    },
    /// A secret longer than 8 bytes.
    LongSecret,
    /// A key in a configuration that everybody can read.
    ExposedKey {
        /// Mode of the file.
        mode: u32,
    },
    /// Two keys that are one.
    EqualKeys {
        /// The number of the other.
        other: KeyId,
    },
    /// Version 2 without addresses.
    NothingMoves,
    /// A lease that ends when a peer has the addresses already.
    LongLease {
        /// The instance.
        instance: String,
        /// Its lease.
        lease: Duration,
        /// The shortest time after which a peer may take over.
        takeover: Duration,
    },
    /// What is watched moves nothing, or not what was meant.
    Health(HealthDoubt),
    /// What of a keepalived.conf is dropped or understood differently.
    Keepalived(Remark),
    /// There are more warnings than are shown.
    TooMany {
        /// How many are not.
        hidden: usize,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongLease { instance, lease, takeover } => write!(
                f,
                "a daemon that hangs loses the addresses of {} up to {:.1} s later (the kernel may be a second late), but a \
                 peer may have them after {:.1} s: both have them in between; shorten `vip_lease` or lengthen \
                 `advert_interval`",
                excerpt(instance),
                (*lease + Duration::from_secs(1)).as_secs_f64(),
                takeover.as_secs_f64()
            ),
            Self::EqualPriorities { first, first_line, priority, winner } => write!(
                f,
                "priority {priority} is also that of {first}, at line {first_line}; of two masters the one with the \
                 higher address, {winner}, stays; give each node its own priority"
            ),
            Self::CloseSkews { better, better_line, apart, needed } => write!(
                f,
                "as backup this node waits {:.1} ms longer than {better}, at line {better_line}, too little to hear it \
                 first when a master fails (RFC 9568 section 8.3.2); at this interval let their priorities differ by \
                 {needed} or more",
                apart.as_secs_f64() * 1e3
            ),
            Self::VipIsNodeAddress { address, priority } => write!(
                f,
                "{address} is also a node's own address, and that node has priority {priority}; \
                 the owner of an address has priority 255 (RFC 9568 section 5.2.4), or it loses its own address as backup"
            ),
            Self::MetricsOnVip { address, instance } => write!(
                f,
                "{address} is an address of instance {instance:?}, and only its master has it; each node is asked at its own"
            ),
            Self::FirstNotLinkLocal { address } => write!(
                f,
                "the first advertised IPv6 address, {address}, is not link-local (RFC 9568 section 5.2.9); \
                 strict receivers drop such adverts, so put a fe80:: address first"
            ),
            Self::NoHostAddress { address, prefix_len, kind } => {
                write!(f, "{address} is the {kind} address of its /{prefix_len}; check address and prefix length")
            }
            Self::LongSecret => {
                f.write_str("only the first 8 bytes of the secret count (RFC 2338); cut it on every node")
            }
            Self::ExposedKey { mode } => write!(
                f,
                "everybody on this host can read this key, for the mode of the configuration is {mode:04o}; \
                 put the key into a file of its own, or take the mode away from others"
            ),
            Self::EqualKeys { other } => {
                write!(f, "this key is also key {other}; who knows one knows both, so make another with `vrrpd keygen`")
            }
            Self::NothingMoves => f.write_str("no addresses; the election is held and nothing moves by it"),
            Self::Health(doubt) => doubt.fmt(f),
            Self::Keepalived(remark) => remark.fmt(f),
            Self::TooMany { hidden } => write!(f, "{hidden} more warnings follow"),
        }
    }
}
