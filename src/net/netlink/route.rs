//! Routes and rules to messages, and what an earlier run left of them.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};
use netlink_packet_route::rule::{
    RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::OUR_PROTOCOL;
use crate::engine::route::{Hop, Metric, Prefix, Route, RouteKind, Rule, RuleAction};
use crate::wire::field::Family;

/// A route or a rule as the kernel is told of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// A route, and for each of its hops the index of the interface; 0: the kernel finds it.
    Route(Box<Route>, Vec<u32>),
    /// A rule.
    Rule(Box<Rule>),
}

impl Entry {
    /// Says whether it is a rule.
    pub fn is_rule(&self) -> bool {
        matches!(self, Self::Rule(_))
    }

    /// Says whether asking for it again when it is there does no harm.
    pub fn can_repeat(&self) -> bool {
        match self {
            Self::Route(..) => true,
            Self::Rule(rule) => rule.preference.is_some(),
        }
    }

    /// Returns the message that adds it, with its flags.
    ///
    /// A route goes in front of others to the same network, which stay. The kernel refuses with `EEXIST` what it holds
    /// already, except a rule without a preference, which it adds once more at another place: see [`Entry::can_repeat`].
    pub(super) fn addition(&self) -> (RouteNetlinkMessage, u16) {
        match self {
            Self::Route(route, interfaces) => {
                (RouteNetlinkMessage::NewRoute(route_message(route, interfaces)), NLM_F_CREATE)
            }
            Self::Rule(rule) => (RouteNetlinkMessage::NewRule(rule_message(rule)), NLM_F_CREATE | NLM_F_EXCL),
        }
    }

    /// Returns the message that deletes it, and nothing that is not ours.
    pub(super) fn deletion(&self) -> RouteNetlinkMessage {
        match self {
            Self::Route(route, interfaces) => {
                let mut message = route_message(route, interfaces);
                // Any scope.
                message.header.scope = RouteScope::NoWhere;
                RouteNetlinkMessage::DelRoute(message)
            }
            Self::Rule(rule) => RouteNetlinkMessage::DelRule(rule_message(rule)),
        }
    }
}

/// A route or a rule with our mark that the kernel tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leftover(Found);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    Route(RouteMessage),
    Rule(RuleMessage),
}

impl Leftover {
    /// Takes what a dump lists, if it is ours.
    pub(super) fn of(message: RouteNetlinkMessage) -> Option<Self> {
        match message {
            RouteNetlinkMessage::NewRoute(route) => is_ours(&route).then_some(Self(Found::Route(route))),
            RouteNetlinkMessage::NewRule(rule) => is_our_rule(&rule).then_some(Self(Found::Rule(rule))),
            _ => None,
        }
    }

    /// Returns what the kernel tells of a rule that it was given.
    #[cfg(test)]
    pub(in crate::net) fn as_told(rule: &Rule) -> Self {
        let mut message = rule_message(rule);
        if rule.preference.is_none() {
            message.attributes.push(RuleAttribute::Priority(32_765));
        }
        Self(Found::Rule(message))
    }

    /// Says whether it is a rule.
    pub fn is_rule(&self) -> bool {
        matches!(self.0, Found::Rule(_))
    }

    /// Says whether it is what an entry asks for; a doubtful one is not.
    pub fn is(&self, entry: &Entry) -> bool {
        match (&self.0, entry) {
            (Found::Route(found), Entry::Route(route, interfaces)) => {
                let wanted = route_message(route, interfaces);
                let key = |message: &RouteMessage| {
                    let header = &message.header;
                    (header.address_family, header.destination_prefix_length, header.tos, header.kind)
                };
                key(found) == key(&wanted) && wanted.attributes.iter().all(|a| found.attributes.contains(a))
            }
            (Found::Rule(found), Entry::Rule(rule)) => {
                let wanted = rule_message(rule);
                let key = |message: &RuleMessage| {
                    let header = &message.header;
                    let is_inverted = header.flags.contains(RuleFlags::Invert);
                    (header.family, header.dst_len, header.src_len, header.tos, header.action, is_inverted)
                };
                let is_wanted = |attribute: &RuleAttribute| wanted.attributes.contains(attribute);
                key(found) == key(&wanted)
                    && wanted.attributes.iter().all(|attribute| found.attributes.contains(attribute))
                    && found.attributes.iter().filter(|attribute| is_selector(attribute)).all(is_wanted)
            }
            (Found::Route(_), Entry::Rule(_)) | (Found::Rule(_), Entry::Route(..)) => false,
        }
    }

    /// Returns the message that deletes it.
    pub(super) fn deletion(&self) -> RouteNetlinkMessage {
        match &self.0 {
            Found::Route(found) => {
                let mut message = found.clone();
                message.header.flags = RouteFlags::empty();
                // The kernel tells how long it will be there, and does not want to hear it.
                message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
                RouteNetlinkMessage::DelRoute(message)
            }
            Found::Rule(found) => RouteNetlinkMessage::DelRule(found.clone()),
        }
    }
}

/// Says whether a route carries our mark.
pub(super) fn is_ours(message: &RouteMessage) -> bool {
    message.header.protocol == RouteProtocol::Other(OUR_PROTOCOL)
}

/// Says whether a rule carries our mark.
fn is_our_rule(message: &RuleMessage) -> bool {
    message.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::Other(OUR_PROTOCOL)))
}

/// Reads network and table of a route; `None` for what is neither of IPv4 nor of IPv6.
pub(super) fn destination(message: &RouteMessage) -> Option<(Prefix, u32)> {
    let family = match message.header.address_family {
        AddressFamily::Inet => Family::V4,
        AddressFamily::Inet6 => Family::V6,
        _ => return None,
    };
    let mut table = u32::from(message.header.table);
    let mut to = Prefix::any(family);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => {
                let address = match address {
                    netlink_packet_route::route::RouteAddress::Inet(v4) => IpAddr::V4(*v4),
                    netlink_packet_route::route::RouteAddress::Inet6(v6) => IpAddr::V6(*v6),
                    _ => return None,
                };
                to = Prefix::new(address, message.header.destination_prefix_length)?;
            }
            _ => {}
        }
    }
    Some((to, table))
}

/// Says whether an attribute says which packets fit a rule.
fn is_selector(attribute: &RuleAttribute) -> bool {
    matches!(
        attribute,
        RuleAttribute::Source(_)
            | RuleAttribute::Destination(_)
            | RuleAttribute::Iifname(_)
            | RuleAttribute::Oifname(_)
            | RuleAttribute::FwMark(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_)
            | RuleAttribute::UidRange(_)
    )
}

fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

fn route_message(route: &Route, interfaces: &[u32]) -> RouteMessage {
    let family = route.to.family();
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family_of(family);
    header.destination_prefix_length = route.to.prefix_len();
    header.tos = route.tos;
    header.table = u8::try_from(route.table).unwrap_or_default();
    header.protocol = RouteProtocol::Other(OUR_PROTOCOL);
    header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    };
    let is_direct = route.kind == RouteKind::Unicast && route.hops.iter().all(|hop| hop.via.is_none());
    let default = if is_direct && family == Family::V4 { 253 } else { 0 };
    header.scope = RouteScope::from(route.scope.unwrap_or(default));
    let attributes = &mut message.attributes;
    if !route.to.is_any() {
        attributes.push(RouteAttribute::Destination(route.to.address().into()));
    }
    attributes.push(RouteAttribute::Table(route.table));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    let with_index = |(hop, index): (&Hop, &u32)| next_hop(hop, *index, family);
    match (route.hops.as_slice(), interfaces) {
        ([hop], [index]) => {
            let RouteNextHop { attributes: via, flags, .. } = next_hop(hop, *index, family);
            attributes.extend(via);
            attributes.extend((*index != 0).then_some(RouteAttribute::Oif(*index)));
            header.flags = RouteFlags::from_bits_retain(u32::from(flags.bits()));
        }
        ([], _) => {}
        (hops, _) => attributes.push(RouteAttribute::MultiPath(hops.iter().zip(interfaces).map(with_index).collect())),
    }
    let metrics: Vec<RouteMetric> =
        route.metrics.iter().flat_map(|(metric, value)| metric_of(*metric, *value)).collect();
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    message
}

fn next_hop(hop: &Hop, index: u32, family: Family) -> RouteNextHop {
    let mut next = RouteNextHop::default();
    next.interface_index = index;
    next.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    if hop.is_onlink {
        next.flags = RouteNextHopFlags::Onlink;
    }
    next.attributes.extend(hop.via.map(|via| match via {
        IpAddr::V6(v6) if family == Family::V4 => RouteAttribute::Via(RouteVia::Inet6(v6)),
        IpAddr::V4(_) | IpAddr::V6(_) => RouteAttribute::Gateway(via.into()),
    }));
    next
}

fn metric_of(metric: Metric, value: u32) -> Vec<RouteMetric> {
    /// The bit of the MTU among those that are locked.
    const MTU_LOCK: u32 = 1 << 2;
    vec![match metric {
        Metric::Mtu => RouteMetric::Mtu(value),
        Metric::LockedMtu => return vec![RouteMetric::Lock(MTU_LOCK), RouteMetric::Mtu(value)],
        Metric::Advmss => RouteMetric::Advmss(value),
        Metric::HopLimit => RouteMetric::Hoplimit(value),
        Metric::InitCwnd => RouteMetric::InitCwnd(value),
        Metric::InitRwnd => RouteMetric::InitRwnd(value),
        Metric::Window => RouteMetric::Window(value),
        Metric::Cwnd => RouteMetric::Cwnd(value),
        Metric::SsThresh => RouteMetric::SsThresh(value),
        Metric::Reordering => RouteMetric::Reordering(value),
        Metric::QuickAck => RouteMetric::QuickAck(value),
    }]
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family_of(rule.family);
    message.header.tos = rule.tos;
    if rule.is_inverted {
        message.header.flags = RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    if let Some(from) = rule.from {
        message.header.src_len = from.prefix_len();
        attributes.push(RuleAttribute::Source(from.address()));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = to.prefix_len();
        attributes.push(RuleAttribute::Destination(to.address()));
    }
    let ports = |(start, end): (u16, u16)| RulePortRange { start, end };
    attributes.extend(rule.preference.map(RuleAttribute::Priority));
    if let Some((mark, mask)) = rule.mark {
        attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask)]);
    }
    attributes.extend(rule.incoming.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.outgoing.clone().map(RuleAttribute::Oifname));
    attributes.extend(rule.protocol.map(|number| RuleAttribute::IpProtocol(i32::from(number).into())));
    attributes.extend(rule.source_ports.map(|range| RuleAttribute::SourcePortRange(ports(range))));
    attributes.extend(rule.destination_ports.map(|range| RuleAttribute::DestinationPortRange(ports(range))));
    attributes.extend(rule.users.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
    attributes.extend(rule.suppressed_len.map(RuleAttribute::SuppressPrefixLen));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(OUR_PROTOCOL)));
    message.header.action = match rule.action {
        RuleAction::Table(table) => {
            message.header.table = u8::try_from(table).unwrap_or_default();
            attributes.push(RuleAttribute::Table(table));
            Action::ToTable
        }
        RuleAction::Goto(target) => {
            attributes.push(RuleAttribute::Goto(target));
            Action::Goto
        }
        RuleAction::Nop => Action::Nop,
        RuleAction::Blackhole => Action::Blackhole,
        RuleAction::Unreachable => Action::Unreachable,
        RuleAction::Prohibit => Action::Prohibit,
    };
    message
}
