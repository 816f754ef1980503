//! Routes and rules that move with the addresses, as typed values.
//!
//! Written by `config`, which resolves names of tables and scopes to numbers; applied by `net::routes`. The engine only
//! hands them on. Their text is what `ip route` and `ip rule` would be told, and `config` reads it again.

use std::fmt;
use std::net::IpAddr;

use crate::wire::field::Family;

/// A network: an address without host bits, and how many bits it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// Makes a network; bits of the address behind it are cleared. `None` when `len` is longer than the address.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, len })
    }

    /// Returns the network that holds every address of a family.
    pub fn any(family: Family) -> Self {
        let address = match family {
            Family::V4 => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        Self { address, len: 0 }
    }

    /// Returns the first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of bits, 0 to 32 or 128.
    pub fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Says whether it holds every address of its family.
    pub fn is_any(&self) -> bool {
        self.len == 0
    }

    /// Returns the family.
    pub fn family(&self) -> Family {
        Family::of(&self.address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// What a packet that fits a route meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RouteKind {
    /// It is forwarded.
    #[default]
    Unicast,
    /// It is dropped silently.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
    /// The next table is asked.
    Throw,
}

/// One way that a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Through which router; of IPv6 also in a route of IPv4.
    pub via: Option<IpAddr>,
    /// Through which interface; `None`: the one that reaches `via`.
    pub interface: Option<String>,
    /// `via` is reachable whatever the routes say.
    pub is_onlink: bool,
    /// Its share among several, 1 to 256.
    pub weight: u16,
}

/// What connections over a route begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Largest packet, in bytes.
    Mtu,
    /// As `Mtu`, and never lowered by what routers say.
    LockedMtu,
    /// Largest TCP segment told, in bytes.
    Advmss,
    /// Hop limit of what is sent.
    HopLimit,
    /// First congestion window, in segments.
    InitCwnd,
    /// First receive window told, in segments.
    InitRwnd,
    /// Largest receive window told, in bytes.
    Window,
    /// Largest congestion window, in segments.
    Cwnd,
    /// First slow start threshold, in segments.
    SsThresh,
    /// Reordering that is tolerated, in segments.
    Reordering,
    /// Acknowledge at once, 0 or 1.
    QuickAck,
}

impl Metric {
    /// All of them, as `ip route` calls them.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Mtu, "mtu"),
        (Self::LockedMtu, "mtu lock"),
        (Self::Advmss, "advmss"),
        (Self::HopLimit, "hoplimit"),
        (Self::InitCwnd, "initcwnd"),
        (Self::InitRwnd, "initrwnd"),
        (Self::Window, "window"),
        (Self::Cwnd, "cwnd"),
        (Self::SsThresh, "ssthresh"),
        (Self::Reordering, "reordering"),
        (Self::QuickAck, "quickack"),
    ];
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// What a packet meets.
    pub kind: RouteKind,
    /// Where to; its family is that of the route.
    pub to: Prefix,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Several share the packets; empty unless `kind` is unicast.
    pub hops: Vec<Hop>,
    /// Number of its table, from 1.
    pub table: u32,
    /// The lower, the better; `None`: the kernel's default.
    pub metric: Option<u32>,
    /// Route scope by number; `None`: link without a router, else global.
    pub scope: Option<u8>,
    /// Type of service.
    pub tos: u8,
    /// Each once, ascending.
    pub metrics: Vec<(Metric, u32)>,
    /// Removal by somebody else is left alone.
    pub is_untracked: bool,
}

/// Number of the table `main`.
pub const MAIN_TABLE: u32 = 254;

impl Route {
    /// Makes a plain route.
    pub fn new(to: Prefix) -> Self {
        Self {
            kind: RouteKind::Unicast,
            to,
            source: None,
            hops: Vec::new(),
            table: MAIN_TABLE,
            metric: None,
            scope: None,
            tos: 0,
            metrics: Vec::new(),
            is_untracked: false,
        }
    }

    /// Returns it with an interface where it needs one and names none.
    #[must_use]
    pub fn on(mut self, interface: &str) -> Self {
        if self.kind == RouteKind::Unicast && self.hops.is_empty() {
            let interface = Some(interface.to_owned());
            self.hops.push(Hop { via: None, interface, is_onlink: false, weight: 1 });
        }
        for hop in &mut self.hops {
            let is_local = matches!(hop.via, Some(IpAddr::V6(via)) if via.is_unicast_link_local());
            if hop.interface.is_none() && (hop.via.is_none() || is_local || hop.is_onlink) {
                hop.interface = Some(interface.to_owned());
            }
        }
        self
    }

    /// Says whether the kernel knows where it goes without a guess.
    pub fn is_complete(&self) -> bool {
        let goes = |hop: &Hop| hop.via.is_some() || hop.interface.is_some();
        match self.kind {
            RouteKind::Unicast => !self.hops.is_empty() && self.hops.iter().all(goes),
            RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw => true,
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " dev {interface}")?;
        }
        if self.weight != 1 {
            write!(f, " weight {}", self.weight)?;
        }
        f.write_str(if self.is_onlink { " onlink" } else { "" })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RouteKind::Unicast => "",
            RouteKind::Blackhole => "blackhole ",
            RouteKind::Unreachable => "unreachable ",
            RouteKind::Prohibit => "prohibit ",
            RouteKind::Throw => "throw ",
        })?;
        if self.to == Prefix::any(Family::V4) {
            f.write_str("inet default")?;
        } else {
            self.to.fmt(f)?;
        }
        if let [hop] = self.hops.as_slice() {
            hop.fmt(f)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        if let Some(scope) = self.scope {
            write!(f, " scope {scope}")?;
        }
        if self.tos != 0 {
            write!(f, " tos {}", self.tos)?;
        }
        for (metric, value) in &self.metrics {
            let name = Metric::ALL.iter().find(|(known, _)| known == metric).map_or("", |(_, name)| name);
            write!(f, " {name} {value}")?;
        }
        if self.is_untracked {
            f.write_str(" no_track")?;
        }
        if self.hops.len() > 1 {
            for hop in &self.hops {
                write!(f, " nexthop{hop}")?;
            }
        }
        Ok(())
    }
}

/// What a packet that fits a rule meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// A routing table by number.
    Table(u32),
    /// The rule with this preference.
    Goto(u32),
    /// The next rule.
    Nop,
    /// It is dropped silently.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
}

/// A rule that chooses a routing table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Whose packets.
    pub family: Family,
    /// It holds for the packets that do not fit.
    pub is_inverted: bool,
    /// Source network; `None`: any.
    pub from: Option<Prefix>,
    /// Destination network; `None`: any.
    pub to: Option<Prefix>,
    /// Type of service; 0: any.
    pub tos: u8,
    /// Firewall mark and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// Interface that the packet comes in on.
    pub incoming: Option<String>,
    /// Interface that the packet's socket is bound to.
    pub outgoing: Option<String>,
    /// Number of the protocol in IP.
    pub protocol: Option<u8>,
    /// First and last source port.
    pub source_ports: Option<(u16, u16)>,
    /// First and last destination port.
    pub destination_ports: Option<(u16, u16)>,
    /// First and last user.
    pub users: Option<(u32, u32)>,
    /// Routes with a prefix of at most this length do not count.
    pub suppressed_len: Option<u32>,
    /// Its place among the rules; `None`: in front of all but the first.
    pub preference: Option<u32>,
    /// What a packet meets.
    pub action: RuleAction,
    /// Removal by somebody else is left alone.
    pub is_untracked: bool,
}

impl Rule {
    /// Makes a rule that holds for all packets of a family.
    pub fn new(family: Family, action: RuleAction) -> Self {
        Self {
            family,
            is_inverted: false,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            incoming: None,
            outgoing: None,
            protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            suppressed_len: None,
            preference: None,
            action,
            is_untracked: false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        })?;
        f.write_str(if self.is_inverted { " not" } else { "" })?;
        let mut option = |name: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {name} {value}"),
            None => Ok(()),
        };
        option("from", self.from.map(|from| from.to_string()))?;
        option("to", self.to.map(|to| to.to_string()))?;
        option("tos", (self.tos != 0).then(|| self.tos.to_string()))?;
        option("fwmark", self.mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")))?;
        option("iif", self.incoming.clone())?;
        option("oif", self.outgoing.clone())?;
        option("ipproto", self.protocol.map(|protocol| protocol.to_string()))?;
        option("sport", self.source_ports.map(|(first, last)| format!("{first}-{last}")))?;
        option("dport", self.destination_ports.map(|(first, last)| format!("{first}-{last}")))?;
        option("uidrange", self.users.map(|(first, last)| format!("{first}-{last}")))?;
        option("suppress_prefixlength", self.suppressed_len.map(|len| len.to_string()))?;
        option("preference", self.preference.map(|preference| preference.to_string()))?;
        match self.action {
            RuleAction::Table(table) => write!(f, " table {table}")?,
            RuleAction::Goto(target) => write!(f, " goto {target}")?,
            RuleAction::Nop => f.write_str(" nop")?,
            RuleAction::Blackhole => f.write_str(" blackhole")?,
            RuleAction::Unreachable => f.write_str(" unreachable")?,
            RuleAction::Prohibit => f.write_str(" prohibit")?,
        }
        f.write_str(if self.is_untracked { " no_track" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_has_no_host_bits() {
        let prefix = |address: &str, len| Prefix::new(address.parse().unwrap(), len).map(|prefix| prefix.to_string());
        assert_eq!(prefix("10.1.2.3", 24).as_deref(), Some("10.1.2.0/24"));
        assert_eq!(prefix("10.1.2.3", 0).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(prefix("10.1.2.3", 32).as_deref(), Some("10.1.2.3/32"));
        assert_eq!(prefix("10.1.2.3", 33), None);
        assert_eq!(prefix("2001:db8::1", 64).as_deref(), Some("2001:db8::/64"));
        assert_eq!(prefix("2001:db8::1", 0).as_deref(), Some("::/0"));
        assert_eq!(prefix("2001:db8::1", 129), None);
    }

    #[test]
    fn interface_is_filled_in_only_where_the_kernel_could_not_find_it() {
        let to = Prefix::any(Family::V6);
        let hop = |via: &str| Hop { via: Some(via.parse().unwrap()), interface: None, is_onlink: false, weight: 1 };
        let on = |hops: Vec<Hop>| Route { hops, ..Route::new(to) }.on("eth0").to_string();
        assert_eq!(on(vec![]), "::/0 dev eth0");
        assert_eq!(on(vec![hop("fe80::1")]), "::/0 via fe80::1 dev eth0");
        assert_eq!(on(vec![hop("2001:db8::1")]), "::/0 via 2001:db8::1");
        assert!(!Route::new(to).is_complete());
    }
}
