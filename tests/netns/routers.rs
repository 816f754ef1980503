//! Several virtual routers on one pair of nodes, each with its own way to prove who it is: one story tells of all of them.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use vrrpd::demo::lab::Node;
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::{Family, Version};

use crate::driver::Kind;

/// How the adverts of a router prove who sent them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secret {
    /// Not at all.
    None,
    /// The password of version 2, which everybody can read.
    Password,
    /// The Authentication Header.
    Ah,
    /// The HMAC trailer.
    Hmac,
}

impl Secret {
    /// Says whether a recorded advert can be told from a fresh one.
    pub fn keeps_out_recordings(self) -> bool {
        match self {
            Self::None | Self::Password => false,
            Self::Ah | Self::Hmac => true,
        }
    }
}

/// The keys of the HMAC trailer.
pub const KEYS: [&str; 2] =
    ["hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "the second key has 32 characters"];

/// One virtual router.
#[derive(Clone, Debug)]
pub struct Router {
    /// What its instance is called.
    pub name: &'static str,
    /// Its identifier.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Adverts go to the group.
    pub is_multicast: bool,
    /// Between adverts.
    pub interval: Duration,
    /// Its addresses; the first one says the family.
    pub addresses: Vec<IpAddr>,
    /// More lines of the instance, in TOML.
    pub lines: String,
    /// How it proves who it is.
    pub secret: Secret,
    /// `[instance.NAME.auth]`, in TOML; none when empty.
    pub auth: String,
    /// The block in the language of Keepalived; none when empty.
    pub keepalived_auth: &'static str,
}

impl Router {
    /// A router of this version without authentication, with an address of its own.
    pub fn plain(name: &'static str, vrid: u8, version: Version, is_multicast: bool, address: &str) -> Self {
        let interval = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => Duration::from_millis(200),
        };
        let addresses = address.split(' ').map(|address| address.parse().expect("an address")).collect();
        let (lines, auth) = (String::new(), String::new());
        let (secret, keepalived_auth) = (Secret::None, "");
        Self { name, vrid, version, is_multicast, interval, addresses, lines, secret, auth, keepalived_auth }
    }

    /// The same with this `[instance.NAME.auth]`.
    pub fn with_auth(self, secret: Secret, auth: &str) -> Self {
        Self { secret, auth: auth.to_owned(), ..self }
    }

    /// The same with the password of version 2.
    pub fn with_password(self, text: &str) -> Self {
        self.with_auth(Secret::Password, &format!("password = \"{text}\""))
    }

    /// The same with the Authentication Header.
    pub fn with_ah(self, text: &str) -> Self {
        self.with_auth(Secret::Ah, &format!("ah = \"{text}\""))
    }

    /// The same with this table for the HMAC trailer.
    pub fn with_hmac(self, table: &str) -> Self {
        self.with_auth(Secret::Hmac, &format!("hmac = {{ {table} }}"))
    }

    /// The same with these lines added to the instance.
    pub fn with_lines(self, lines: &str) -> Self {
        Self { lines: lines.to_owned(), ..self }
    }

    /// The address that is looked at.
    pub fn address(&self) -> IpAddr {
        *self.addresses.last().expect("a router has an address")
    }

    /// The family of its adverts.
    pub fn family(&self) -> Family {
        Family::of(&self.address())
    }

    /// The plan that a story needs of it.
    pub fn plan(&self, like: &Plan) -> Plan {
        Plan {
            vrid: self.vrid,
            version: self.version,
            family: self.family(),
            is_multicast: self.is_multicast,
            interval: self.interval,
            addresses: self.addresses.clone(),
            ..like.clone()
        }
    }

    fn toml(&self, like: &Plan, node: Node) -> String {
        let plan = self.plan(like).toml(node);
        // The head of the file is that of the first one.
        let instance = plan.split_once("[instance.web]").map_or("", |(_, rest)| rest);
        let mut text = format!("[instance.{}]{instance}{}", self.name, self.lines);
        if !self.auth.is_empty() {
            let _ = writeln!(text, "[instance.{}.auth]\n{}", self.name, self.auth);
        }
        text
    }

    fn keepalived(&self, like: &Plan, node: Node) -> String {
        let plan = self.plan(like);
        let mut text = format!(
            "vrrp_instance {} {{\n state BACKUP\n interface {}\n virtual_router_id {}\n version {}\n priority {}\n advert_int {}\n",
            self.name,
            plan.site.interface,
            self.vrid,
            self.version.number(),
            plan.priority(node),
            self.interval.as_secs_f64(),
        );
        if !self.is_multicast {
            let peers: Vec<String> = plan.peers(node).map(|peer| peer.to_string()).collect();
            let _ =
                writeln!(text, " unicast_src_ip {}\n unicast_peer {{\n {}\n }}", plan.source(node), peers.join("\n "));
        }
        let _ = writeln!(text, " {}\n virtual_ipaddress {{", self.keepalived_auth);
        for address in &self.addresses {
            let _ = writeln!(text, "  {address}/{} dev {}", self.family().max_prefix_len(), plan.site.interface);
        }
        text + " }\n}\n"
    }
}

/// Writes a node's file.
pub fn file(routers: &[Router], kind: Kind, like: &Plan, node: Node) -> String {
    match kind {
        Kind::Vrrpd => {
            let instances = routers.iter().map(|router| router.toml(like, node));
            format!("[daemon]\nnode = \"{node}\"\n\n{}", instances.collect::<String>())
        }
        Kind::Keepalived | Kind::VrrpdConf | Kind::Frr => {
            let instances = routers.iter().map(|router| router.keepalived(like, node));
            format!("global_defs {{\n router_id {node}\n script_user root\n}}\n{}", instances.collect::<String>())
        }
    }
}
