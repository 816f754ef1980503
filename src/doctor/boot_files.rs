//! Virtual addresses that something else gives to an interface at boot: netplan, ifupdown, systemd-networkd, NetworkManager.
//!
//! Pure. The languages differ, an address is an address in all of them: what stands behind a key for routes, name servers
//! or gateways is none.

use std::net::IpAddr;

use super::facts::{Facts, TextFile};
use super::finding::Finding;

const TOPIC: &str = "boot files";

/// Looks for each virtual address in the files; an owner has its addresses at all times, so its are left out.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (router, vip, interface) in facts.vips().filter(|(router, _, _)| !router.is_owner()) {
        for file in &facts.address_files {
            let Some(line) = line_of(file, vip.address) else { continue };
            if is_written_by_netplan(file, facts, vip.address) {
                continue;
            }
            let (address, name) = (vip.address, &router.name);
            let what = format!("{}:{line} gives {address} of {name} to an interface at boot", file.path);
            let why =
                format!("both nodes would have {address} at once: it belongs to the master alone, on {interface}");
            let place = format!("{}, line {line}: take {address} out, then as root", file.path);
            found.push(Finding::problem(TOPIC, what, why).mend(place, &[again(&file.path)]));
        }
    }
    if found.is_empty() && !facts.address_files.is_empty() {
        found.push(Finding::fine(TOPIC, "no file gives a virtual address to an interface at boot"));
    }
    found
}

/// Says whether netplan wrote this file at boot from one of its own that names the address as well: that one is to be changed.
fn is_written_by_netplan(file: &TextFile, facts: &Facts, address: IpAddr) -> bool {
    let is_written = file.path.starts_with("/run/") && file.path.contains("netplan-");
    let mut sources = facts.address_files.iter().filter(|file| file.path.contains("/netplan/"));
    is_written && sources.any(|source| line_of(source, address).is_some())
}

/// Returns what makes a changed file count.
fn again(path: &str) -> &'static str {
    if path.contains("/netplan/") {
        "netplan apply"
    } else if path.contains("NetworkManager") || path.contains("/sysconfig/") {
        "nmcli connection reload"
    } else if path.contains("/systemd/network/") {
        "networkctl reload"
    } else {
        "systemctl restart networking"
    }
}

/// Returns the line, from 1, that names an address as one of an interface.
fn line_of(file: &TextFile, address: IpAddr) -> Option<usize> {
    let is_other = |line: &str| {
        let key = line.trim_start_matches(['-', ' ']).split(['=', ':', ' ']).next().unwrap_or_default().to_lowercase();
        OTHERS.iter().any(|other| key.contains(other)) || line.contains(" route ")
    };
    // A list in YAML that belongs to such a key goes on below it.
    let mut other_list = None;
    for (number, line) in (1..).zip(file.text.lines()) {
        let code = line.split('#').next().unwrap_or_default();
        let (word, indent) = (code.trim(), code.len() - code.trim_start().len());
        if word.is_empty() || word.starts_with(';') {
            continue;
        }
        if other_list.is_some_and(|of| indent < of || (indent == of && !word.starts_with('-'))) {
            other_list = None;
        }
        if is_other(code) {
            if word.ends_with(':') && other_list.is_none() {
                other_list = Some(indent);
            }
        } else if other_list.is_none_or(|of| indent < of) && names(code, address) {
            return Some(number);
        }
    }
    None
}

/// Says whether a line has an address as a word of its own, with a prefix length or without.
fn names(line: &str, address: IpAddr) -> bool {
    let is_inside = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let words = line.split(|c: char| !is_inside(c)).filter(|word| word.len() > 1);
    // `address1:` and such end in a colon.
    words.map(|word| word.trim_end_matches('.')).any(|word| word.parse() == Ok(address))
}

/// Keys whose addresses are not those of an interface.
const OTHERS: [&str; 12] = [
    "gateway",
    "via",
    "nameserver",
    "dns",
    "route",
    "ntp",
    "destination",
    "network-address",
    "neigh",
    "broadcast",
    "peer",
    "domain",
];

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{facts, file, ip};
    use super::super::finding::Severity;
    use super::*;
    use crate::wire::field::Priority;

    const NETPLAN: &str = "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses:\n        - 10.0.0.20/24\n        - 10.0.0.30/24\n      routes:\n      - to: default\n        via: 10.0.0.1\n      nameservers:\n        addresses:\n          - 10.0.0.40\n";
    const IFUPDOWN: &str = "auto eth0\niface eth0 inet static\n    address 10.0.0.20/24\n    gateway 10.0.0.40\n    up ip addr add 10.0.0.30/32 dev $IFACE\n";
    const NETWORK: &str = "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.30/24\nGateway=10.0.0.40\nDNS=10.0.0.40\n";
    const KEYFILE: &str =
        "[connection]\nid=eth0\n[ipv4]\naddress1=10.0.0.20/24,10.0.0.40\naddress2=10.0.0.30/32\nmethod=manual\n";
    const IFCFG: &str = "DEVICE=eth0\nIPADDR=10.0.0.20\nIPADDR1=10.0.0.30\nGATEWAY=10.0.0.40\n";

    fn line(text: &str, address: &str) -> Option<usize> {
        line_of(&file("x", text), ip(address))
    }

    #[test]
    fn an_address_is_found_in_every_language() {
        let found = [NETPLAN, IFUPDOWN, NETWORK, KEYFILE, IFCFG].map(|text| line(text, "10.0.0.30"));
        assert_eq!(found, [Some(7), Some(5), Some(4), Some(5), Some(3)]);
        let v6 = "network: {ethernets: {eth0: {addresses: [2001:db8::30/64]}}}";
        assert_eq!((line(v6, "2001:db8::30"), line(v6, "2001:db8::3")), (Some(1), None));
        assert_eq!(line("Address=2001:DB8:0::30/64", "2001:db8::30"), Some(1));
    }

    #[test]
    fn gateways_name_servers_and_comments_are_no_addresses_of_an_interface() {
        for text in [NETPLAN, IFUPDOWN, NETWORK, IFCFG] {
            assert_eq!(line(text, "10.0.0.40"), None, "{text}");
        }
        assert_eq!(line("# address 10.0.0.30\n;Address=10.0.0.30\n", "10.0.0.30"), None);
        assert_eq!(line("address 10.0.0.130\n", "10.0.0.30"), None);
    }

    #[test]
    fn an_owner_has_its_addresses_by_right() {
        let mut facts = facts();
        facts.address_files = vec![file("/etc/netplan/50-cloud-init.yaml", NETPLAN)];
        let found = findings(&facts);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Problem));
        assert!(found[0].what.starts_with("/etc/netplan/50-cloud-init.yaml:7 gives 10.0.0.30 of web"), "{found:?}");
        // What netplan makes of it at boot is no second mistake, but an address that only stands there is one.
        facts.address_files.push(file("/run/systemd/network/10-netplan-eth0.network", NETWORK));
        assert_eq!(findings(&facts).len(), 1);
        facts.address_files.remove(0);
        assert_eq!(findings(&facts).len(), 1);
        facts.routers[0].priority = Priority::new(255).unwrap();
        assert_eq!(findings(&facts)[0].severity, Severity::Fine);
    }
}
