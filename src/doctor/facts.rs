//! What is known of a host when its findings are made: plain values, read by `doctor::look` and `doctor::wire`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::daemon::audit;
use crate::daemon::beside::Other;
use crate::engine::params::{RouterParams, Vip};
use crate::net::netlink::OUR_PROTOCOL;
use crate::wire::announce::Mac;
use crate::wire::field::Family;

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the configuration has for this host.
    pub routers: Vec<RouterParams>,
    /// Why it has nothing for this host; then the routers are those of the first node.
    pub unplaced: Option<String>,
    /// Interfaces.
    pub links: Vec<LinkFacts>,
    /// Below `/proc/sys/net/`, with slashes, without the end of the line.
    pub sysctls: BTreeMap<String, String>,
    /// What systemd-networkd does, if it runs.
    pub networkd: Option<Networkd>,
    /// Interfaces that NetworkManager manages; `None`: it does not run.
    pub network_manager: Option<Vec<String>>,
    /// Files that give addresses to interfaces at boot.
    pub address_files: Vec<TextFile>,
    /// Files of local balancers.
    pub balancer_files: Vec<TextFile>,
    /// The packet filter.
    pub filter: Filter,
    /// What keeps the clock.
    pub clock: Clock,
    /// What is wrong with programs.
    pub programs: Vec<audit::Finding>,
    /// Who else speaks VRRP on this host; not the daemon of this configuration.
    pub others: Vec<Other>,
    /// The daemon of this configuration runs.
    pub is_running: bool,
    /// Adverts on the links.
    pub heard: Vec<Heard>,
    /// Who has an address of ours, or of a peer.
    pub claims: Vec<Claim>,
    /// What the firmware says of the machine.
    pub machine: Machine,
}

/// A file and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// Where.
    pub path: String,
    /// What.
    pub text: String,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Administratively up.
    pub is_up: bool,
    /// It has carrier.
    pub is_running: bool,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Its addresses: which, prefix length, who added it.
    pub addresses: Vec<(IpAddr, u8, u8)>,
}

/// What systemd-networkd does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networkd {
    /// By interface: the `.network` file it goes by, and its drop-ins.
    pub links: BTreeMap<String, Vec<TextFile>>,
    /// `networkd.conf` and its drop-ins, in the order in which they count.
    pub main: Vec<TextFile>,
}

/// The packet filter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The answer of `nft -j list ruleset`.
    pub nft: Option<Value>,
    /// The answers of `iptables-legacy-save` and its sister for IPv6, where such rules are in the kernel.
    pub legacy: Vec<(Family, String)>,
    /// firewalld runs.
    pub has_firewalld: bool,
    /// ufw is switched on.
    pub has_ufw: bool,
}

/// What keeps the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// It has been set by the time of a server.
    Synchronised,
    /// A program keeps it that does not say how well; its name.
    Kept(&'static str),
    /// A program keeps it and has not heard of a server.
    Waiting,
    /// Nothing is known to keep it.
    #[default]
    Unkept,
}

/// Adverts of one sender for one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub interface: String,
    /// This host sent it.
    pub is_outgoing: bool,
    /// Who.
    pub source: IpAddr,
    /// For which.
    pub vrid: u8,
    /// As the header says.
    pub version: u8,
    /// What it lists.
    pub addresses: Vec<IpAddr>,
}

/// Somebody on a link has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where.
    pub interface: String,
    /// Which.
    pub address: IpAddr,
    /// Who.
    pub mac: Mac,
}

/// What the firmware says of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `sys_vendor`.
    pub vendor: String,
    /// `product_name`.
    pub product: String,
    /// `chassis_asset_tag`.
    pub asset: String,
}

impl Facts {
    /// Returns the interface of a name.
    pub fn link(&self, name: &str) -> Option<&LinkFacts> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Returns a setting below `/proc/sys/net/`; `None`: not there, or not a number.
    pub fn sysctl(&self, key: &str) -> Option<i64> {
        self.sysctls.get(key)?.parse().ok()
    }

    /// Returns a setting of an interface as the kernel takes it that heeds the greater of it and that for all.
    pub fn of_interface(&self, family: &str, interface: &str, key: &str) -> Option<i64> {
        let of = |name: &str| self.sysctl(&format!("{family}/conf/{name}/{key}"));
        of("all").max(of(interface))
    }

    /// Returns each virtual address with its router and the interface it goes to.
    pub fn vips(&self) -> impl Iterator<Item = (&RouterParams, &Vip, &str)> {
        let of = |router| move |vip| (router, vip, interface_of(router, vip));
        self.routers.iter().flat_map(move |router| router.vips.iter().map(of(router)))
    }

    /// Returns the interfaces that carry adverts or virtual addresses, each once, in the order of the file.
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let all = self.routers.iter().map(|router| router.interface.as_str());
        for name in all.chain(self.vips().map(|(_, _, name)| name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns an interface's own addresses: not those of any instance.
    pub fn own<'a>(&'a self, link: &'a LinkFacts) -> impl Iterator<Item = (IpAddr, u8)> + 'a {
        let is_vip = |address| self.vips().any(|(_, vip, _)| vip.address == address);
        let own = link.addresses.iter().filter(move |(address, _, by)| *by != OUR_PROTOCOL && !is_vip(*address));
        own.map(|(address, prefix_len, _)| (*address, *prefix_len))
    }
}

fn interface_of<'a>(router: &'a RouterParams, vip: &'a Vip) -> &'a str {
    vip.interface.as_deref().unwrap_or(&router.interface)
}

/// Facts for tests: one router on `eth0`, which is up.
#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::engine::params::{PeerParams, Scope, Transport, VipOptions};
    use crate::wire::field::Vrid;

    pub const MAC: Mac = [2, 0, 0, 0, 0, 1];

    /// Web on `eth0`: 10.0.0.30/32, from 10.0.0.20 to 10.0.0.21.
    pub fn facts() -> Facts {
        let peer = PeerParams { address: ip("10.0.0.21"), priority: None, min_ttl: None, max_ttl: None };
        let transport = Transport::Unicast { peers: vec![peer], also: None };
        let mut router = RouterParams::plain("web", "eth0", Vrid::new(51).unwrap(), Family::V4, transport);
        router.source = Some(ip("10.0.0.20"));
        router.vips.push(vip("10.0.0.30", 32));
        Facts { routers: vec![router], links: vec![link("eth0", 2, &[("10.0.0.20", 24)])], ..Facts::default() }
    }

    pub fn vip(address: &str, prefix_len: u8) -> Vip {
        let (scope, options) = (Scope::Global, VipOptions::default());
        let address = ip(address);
        Vip { address, prefix_len, interface: None, advertise: true, label: None, broadcast: None, scope, options }
    }

    pub fn link(name: &str, index: u32, addresses: &[(&str, u8)]) -> LinkFacts {
        let addresses = addresses.iter().map(|(address, prefix_len)| (ip(address), *prefix_len, 0)).collect();
        LinkFacts { name: name.to_owned(), index, is_up: true, is_running: true, mac: Some(MAC), addresses }
    }

    pub fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn own_addresses_are_those_of_no_instance() {
        let mut facts = facts();
        facts.links[0].addresses.extend([(ip("10.0.0.30"), 32, 0), (ip("10.0.0.99"), 32, OUR_PROTOCOL)]);
        assert_eq!(facts.own(&facts.links[0]).collect::<Vec<_>>(), [(ip("10.0.0.20"), 24)]);
        assert_eq!(facts.interfaces(), ["eth0"]);
    }
}
