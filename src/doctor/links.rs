//! Whether the interfaces are there and can carry what is configured. Pure.

use super::facts::Facts;
use super::finding::Finding;
use crate::engine::params::RouterParams;
use crate::net::netlink::OUR_PROTOCOL;
use crate::wire::field::Family;

const TOPIC: &str = "interface";

/// Looks at each interface, and at what each instance needs of it.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(reason) = &facts.unplaced {
        let why = "the daemon waits for that address, or does not start; the other findings are those of the first node of the file";
        found.push(Finding::problem(TOPIC, reason.clone(), why));
    }
    for name in facts.interfaces() {
        let users: Vec<&str> = facts.routers.iter().filter(|r| r.interface == name).map(|r| r.name.as_str()).collect();
        found.push(of_interface(facts, name, &users));
    }
    found.extend(facts.routers.iter().filter_map(|router| source(facts, router)));
    found.extend(strangers(facts));
    found
}

fn of_interface(facts: &Facts, name: &str, users: &[&str]) -> Finding {
    let why = match users {
        [] => "a virtual address belongs there and cannot be added".to_owned(),
        users => format!("{} stays in FAULT", users.join(", ")),
    };
    match facts.link(name) {
        None => Finding::problem(TOPIC, format!("there is no interface {name}"), why)
            .mend("as root, to see what there is", &["ip -brief link"]),
        Some(link) if !link.is_up => Finding::problem(TOPIC, format!("{name} is down"), why)
            .mend("as root", &[&format!("ip link set {name} up")]),
        Some(link) if !link.is_running => Finding::problem(TOPIC, format!("{name} is up and has no carrier"), why),
        Some(_) => Finding::fine(TOPIC, format!("{name} is up")),
    }
}

/// An instance sends from an address of its interface, of its own family.
fn source(facts: &Facts, router: &RouterParams) -> Option<Finding> {
    let link = facts.link(&router.interface)?;
    let mut own = facts.own(link).map(|(address, _)| address);
    let (name, interface) = (&router.name, &router.interface);
    let missing = match router.source {
        Some(source) if !own.any(|address| address == source) => format!("{source}, from which {name} sends"),
        Some(_) => return None,
        None => match router.family {
            Family::V4 if !own.any(|address| address.is_ipv4()) => "an IPv4 address".to_owned(),
            Family::V6 if !own.any(|address| address.is_ipv6()) => "an IPv6 address".to_owned(),
            Family::V4 | Family::V6 => return None,
        },
    };
    let what = format!("{interface} does not have {missing}");
    Some(Finding::problem(TOPIC, what, format!("{name} has no address to send from and stays in FAULT")))
}

/// A virtual address that is there, that we did not add, and that nobody here is known to have added.
fn strangers(facts: &Facts) -> Vec<Finding> {
    // A daemon that runs sees to it itself, and kernels before 5.18 do not say who added an address.
    if facts.is_running || !facts.others.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (router, vip, _) in facts.vips().filter(|(router, _, _)| !router.is_owner()) {
        let here = facts.links.iter().find_map(|link| {
            let (_, prefix_len, by) = link.addresses.iter().find(|(address, _, _)| *address == vip.address)?;
            (*by != OUR_PROTOCOL).then_some((&link.name, prefix_len))
        });
        if let Some((name, prefix_len)) = here {
            let address = vip.address;
            let what = format!("{address} of {} is on {name}, and vrrpd did not put it there", router.name);
            let why = "a backup that has the address answers for it beside the master; at its start vrrpd removes it from its own \
                       interface if the prefix length is that of the file, and nowhere else";
            let line = format!("ip address del {address}/{prefix_len} dev {name}");
            found.push(Finding::problem(TOPIC, what, why).mend("as root, on a node that is not master", &[&line]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{facts, ip};
    use super::super::finding::Severity;
    use super::*;

    fn problems(facts: &Facts) -> Vec<String> {
        let bad = findings(facts).into_iter().filter(|finding| finding.severity == Severity::Problem);
        bad.map(|finding| finding.what).collect()
    }

    #[test]
    fn an_interface_that_is_up_is_well() {
        assert_eq!(findings(&facts()), [Finding::fine(TOPIC, "eth0 is up")]);
    }

    #[test]
    fn what_keeps_an_instance_in_fault_is_said() {
        let mut facts = facts();
        facts.links[0].is_running = false;
        assert_eq!(problems(&facts), ["eth0 is up and has no carrier"]);
        facts.links[0].is_up = false;
        assert_eq!(problems(&facts), ["eth0 is down"]);
        facts.links[0].name = "eth9".to_owned();
        assert_eq!(problems(&facts), ["there is no interface eth0"]);
    }

    #[test]
    fn an_instance_needs_its_source_or_one_of_its_family() {
        let mut facts = facts();
        facts.routers[0].source = Some(ip("10.0.0.99"));
        assert_eq!(problems(&facts), ["eth0 does not have 10.0.0.99, from which web sends"]);
        (facts.routers[0].source, facts.routers[0].family) = (None, Family::V6);
        assert_eq!(problems(&facts), ["eth0 does not have an IPv6 address"]);
        facts.links[0].addresses.push((ip("fe80::1"), 64, 0));
        assert!(problems(&facts).is_empty());
        facts.unplaced = Some("no node has an address of this host".to_owned());
        assert_eq!(problems(&facts), ["no node has an address of this host"]);
    }

    #[test]
    fn a_virtual_address_that_somebody_else_added_is_a_problem() {
        let mut facts = facts();
        facts.links[0].addresses.push((ip("10.0.0.30"), 32, OUR_PROTOCOL));
        assert!(problems(&facts).is_empty(), "our own");
        facts.links[0].addresses[1].2 = 0;
        assert_eq!(problems(&facts), ["10.0.0.30 of web is on eth0, and vrrpd did not put it there"]);
        facts.is_running = true;
        assert!(problems(&facts).is_empty(), "the daemon knows better");
    }
}
