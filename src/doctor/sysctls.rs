//! Settings of the kernel below `net`, as far as the configuration makes them matter. Pure.

use std::net::IpAddr;

use super::facts::{Facts, LinkFacts, TextFile};
use super::finding::Finding;
use crate::net::links::is_within;
use crate::wire::field::Family;

const TOPIC: &str = "sysctl";

/// Looks at each setting that matters here.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = nonlocal_bind(facts);
    for name in facts.interfaces() {
        let Some(link) = facts.link(name) else { continue };
        found.extend(disabled_v6(facts, name));
        found.extend(promotion(facts, link));
        found.extend(shared_subnet(facts, link));
        found.extend(duplicates(facts, name));
    }
    if found.is_empty() && !facts.sysctls.is_empty() {
        found.push(Finding::fine(TOPIC, "the settings of the kernel fit this configuration"));
    }
    found
}

fn set(finding: Finding, settings: &[String]) -> Finding {
    let lines: Vec<&str> = settings.iter().map(String::as_str).collect();
    finding.mend("/etc/sysctl.d/60-vrrpd.conf; then `sysctl --system`", &lines)
}

/// A balancer that names a virtual address in its file does not start where that address is not, which is on the Backup.
fn nonlocal_bind(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for (family, word, key) in [(Family::V4, "ipv4", "ip_nonlocal_bind"), (Family::V6, "ipv6", "ip_nonlocal_bind")] {
        if facts.sysctl(&format!("{word}/{key}")) != Some(0) {
            continue;
        }
        let bound = facts.vips().filter(|(_, vip, _)| Family::of(&vip.address) == family).find_map(|(_, vip, _)| {
            let mut files = facts.balancer_files.iter();
            files.find_map(|file| Some((vip.address, file, binding(file, vip.address)?)))
        });
        if let Some((address, file, line)) = bound {
            let what = format!("{}:{line} binds {address}, and net.{word}.{key} is 0", file.path);
            let why =
                "that service cannot start on the backup, where the address is not, and is missing after a takeover";
            found.push(set(Finding::problem(TOPIC, what, why), &[format!("net.{word}.{key} = 1")]));
        }
    }
    found
}

/// Returns the line of a file of HAProxy or nginx that binds an address, and does not say that it may be another's.
fn binding(file: &TextFile, address: IpAddr) -> Option<usize> {
    let binds = |line: &str| {
        let code = line.split('#').next().unwrap_or_default().trim();
        let Some((word, rest)) = code.split_once(char::is_whitespace) else { return false };
        if !matches!(word, "bind" | "listen") || rest.split_whitespace().any(|option| option == "transparent") {
            return false;
        }
        let target = rest.split_whitespace().next().unwrap_or_default().trim_end_matches(';');
        target.split(',').any(|target| host_of(target) == Some(address))
    };
    (1..).zip(file.text.lines()).find(|(_, line)| binds(line)).map(|(number, _)| number)
}

/// Returns the address of `ADDRESS:PORT`, with brackets or a family in front, or alone.
fn host_of(target: &str) -> Option<IpAddr> {
    let target = target.trim_start_matches("ipv4@").trim_start_matches("ipv6@");
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    host.trim_matches(['[', ']']).parse().ok().or_else(|| target.trim_matches(['[', ']']).parse().ok())
}

fn disabled_v6(facts: &Facts, name: &str) -> Option<Finding> {
    let speaks = facts.routers.iter().any(|router| router.interface == name && router.family == Family::V6);
    let holds = facts.vips().any(|(_, vip, interface)| interface == name && vip.address.is_ipv6());
    let is_disabled = facts.sysctl(&format!("ipv6/conf/{name}/disable_ipv6")) == Some(1);
    if !(is_disabled && (speaks || holds)) {
        return None;
    }
    let why = "the kernel refuses every IPv6 address there, so the instance goes to FAULT";
    let finding = Finding::problem(TOPIC, format!("IPv6 is switched off on {name}"), why);
    Some(set(finding, &[format!("net.ipv6.conf.{name}.disable_ipv6 = 0")]))
}

/// An IPv4 address goes with the first address of its network, unless the kernel promotes it.
fn promotion(facts: &Facts, link: &LinkFacts) -> Option<Finding> {
    if facts.of_interface("ipv4", &link.name, "promote_secondaries") != Some(0) {
        return None;
    }
    let own: Vec<(IpAddr, u8)> = facts.own(link).collect();
    let (_, vip, _) = facts.vips().find(|(_, vip, interface)| {
        let is_of = |(own, prefix_len): &(IpAddr, u8)| {
            *prefix_len == vip.prefix_len && is_within(*own, vip.address, *prefix_len)
        };
        *interface == link.name && vip.address.is_ipv4() && own.iter().any(is_of)
    })?;
    let what = format!(
        "{}/{} on {} is of the same network as the interface's own address, and \
                        promote_secondaries is 0",
        vip.address, vip.prefix_len, link.name
    );
    let why = "when that own address is taken away, as at the end of a DHCP lease, the kernel removes the virtual one with it; a prefix \
               length of 32 avoids it, too";
    Some(set(Finding::advice(TOPIC, what, why), &[format!("net.ipv4.conf.{}.promote_secondaries = 1", link.name)]))
}

/// Two interfaces in one network answer for each other's addresses, and replies leave by either.
fn shared_subnet(facts: &Facts, link: &LinkFacts) -> Vec<Finding> {
    let name = &link.name;
    let own: Vec<(IpAddr, u8)> = facts.own(link).filter(|(address, _)| address.is_ipv4()).collect();
    let is_shared = |other: &&LinkFacts| {
        let mut theirs = facts.own(other);
        other.name != *name
            && other.is_up
            && theirs.any(|(address, len)| own.iter().any(|(own, own_len)| is_within(*own, address, len.min(*own_len))))
    };
    let Some(other) = facts.links.iter().find(is_shared) else { return Vec::new() };
    let mut found = Vec::new();
    let value = |key| facts.of_interface("ipv4", name, key);
    if value("arp_ignore").unwrap_or(0) == 0 || value("arp_announce").unwrap_or(0) < 2 {
        let what =
            format!("{name} and {} are in one network, and each answers ARP for the addresses of both", other.name);
        let why = "clients may learn the virtual address at the wrong interface, and after a takeover at that of the wrong node";
        let settings = ["arp_ignore = 1", "arp_announce = 2"].map(|setting| format!("net.ipv4.conf.all.{setting}"));
        found.push(set(Finding::advice(TOPIC, what, why), &settings));
    }
    if value("rp_filter") == Some(1) {
        let what = format!("{name} and {} are in one network, and rp_filter of {name} is 1 (strict)", other.name);
        let why = "the kernel drops what arrives at the one whose sender it would reach by the other: adverts as well as clients";
        found.push(set(Finding::problem(TOPIC, what, why), &[format!("net.ipv4.conf.{name}.rp_filter = 2")]));
    }
    found
}

/// With `accept_dad` 2 a duplicate switches IPv6 off on the whole interface.
fn duplicates(facts: &Facts, name: &str) -> Option<Finding> {
    let looks = facts.vips().any(|(_, vip, interface)| interface == name && vip.options.detects_duplicates);
    if !looks || facts.of_interface("ipv6", name, "accept_dad") != Some(2) {
        return None;
    }
    let what =
        format!("accept_dad of {name} is 2, and a virtual address there is looked for on the link before it is used");
    let why = "when two masters meet, the kernel may switch IPv6 off on the interface and not only refuse the address";
    Some(set(Finding::advice(TOPIC, what, why), &[format!("net.ipv6.conf.{name}.accept_dad = 1")]))
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{facts, file, ip, link, vip};
    use super::super::finding::Severity;
    use super::*;

    const HAPROXY: &str = "frontend web\n    # bind 10.0.0.31:80\n    bind 10.0.0.30:80,10.0.0.30:443 name x\n    bind *:8080\n    bind [2001:db8::30]:80\n";

    fn with(settings: &[(&str, &str)]) -> Facts {
        let mut facts = facts();
        facts.sysctls = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        facts
    }

    #[test]
    fn a_balancer_that_binds_the_address_needs_nonlocal_bind() {
        let mut facts = with(&[("ipv4/ip_nonlocal_bind", "0"), ("ipv6/ip_nonlocal_bind", "0")]);
        assert_eq!(findings(&facts)[0].severity, Severity::Fine, "no balancer, no matter");
        facts.balancer_files = vec![file("/etc/haproxy/haproxy.cfg", HAPROXY)];
        let found = findings(&facts);
        assert_eq!(found[0].what, "/etc/haproxy/haproxy.cfg:3 binds 10.0.0.30, and net.ipv4.ip_nonlocal_bind is 0");
        assert_eq!(found[0].mend.as_ref().unwrap().lines, ["net.ipv4.ip_nonlocal_bind = 1"]);
        facts.routers[0].vips = vec![vip("2001:db8::30", 128)];
        assert!(findings(&facts)[0].what.contains("haproxy.cfg:5 binds 2001:db8::30, and net.ipv6."), "{found:?}");
        facts.routers[0].vips = vec![vip("10.0.0.31", 32)];
        assert_eq!(findings(&facts)[0].severity, Severity::Fine, "a comment, and an address of nobody");
    }

    #[test]
    fn a_binding_is_read_as_haproxy_and_nginx_write_it() {
        let line = |text: &str| binding(&file("x", text), ip("10.0.0.30"));
        for text in ["bind 10.0.0.30:80", "\tlisten 10.0.0.30:443 ssl;", "bind ipv4@10.0.0.30:80", "listen 10.0.0.30;"]
        {
            assert_eq!(line(text), Some(1), "{text}");
        }
        for text in
            ["bind :80", "bind 10.0.0.30:80 transparent", "server a 10.0.0.30:80", "bind 10.0.0.3:80", "listen web"]
        {
            assert_eq!(line(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_of_the_own_network_may_go_with_the_own_address() {
        let mut facts =
            with(&[("ipv4/conf/all/promote_secondaries", "0"), ("ipv4/conf/eth0/promote_secondaries", "0")]);
        assert_eq!(findings(&facts)[0].severity, Severity::Fine, "10.0.0.30/32 has a network of its own");
        facts.routers[0].vips = vec![vip("10.0.0.30", 24)];
        assert_eq!(findings(&facts)[0].severity, Severity::Advice);
        facts.sysctls.insert("ipv4/conf/all/promote_secondaries".to_owned(), "1".to_owned());
        assert_eq!(findings(&facts)[0].severity, Severity::Fine);
    }

    #[test]
    fn two_interfaces_in_one_network_need_arp_and_a_loose_filter() {
        let mut facts = with(&[("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/eth0/rp_filter", "1")]);
        assert_eq!(findings(&facts)[0].severity, Severity::Fine, "one interface");
        facts.links.push(link("eth1", 3, &[("10.0.0.120", 24)]));
        let found = findings(&facts);
        let severities: Vec<Severity> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Advice, Severity::Problem]);
        for (key, value) in [("all/arp_ignore", "1"), ("all/arp_announce", "2"), ("all/rp_filter", "2")] {
            facts.sysctls.insert(format!("ipv4/conf/{key}"), value.to_owned());
        }
        assert_eq!(findings(&facts)[0].severity, Severity::Fine, "the greater one counts");
        facts.links[1] = link("eth1", 3, &[("10.0.1.120", 24)]);
        facts.sysctls.clear();
        assert!(findings(&facts).is_empty(), "nothing was read, nothing is said");
    }

    #[test]
    fn ipv6_that_is_switched_off_is_a_problem_where_it_is_wanted() {
        let mut facts = with(&[("ipv6/conf/eth0/disable_ipv6", "1"), ("ipv6/conf/all/accept_dad", "2")]);
        assert_eq!(findings(&facts)[0].severity, Severity::Fine);
        facts.routers[0].vips = vec![vip("2001:db8::30", 128)];
        assert_eq!(findings(&facts).len(), 1);
        assert_eq!(findings(&facts)[0].what, "IPv6 is switched off on eth0");
        facts.routers[0].vips[0].options.detects_duplicates = true;
        assert_eq!(findings(&facts)[1].severity, Severity::Advice);
    }
}
