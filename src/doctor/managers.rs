//! What configures the interfaces beside us: systemd-networkd and NetworkManager. Pure.

use super::facts::{Facts, Networkd, TextFile};
use super::finding::Finding;

const TOPIC: &str = "manager";

/// Looks at each interface that carries adverts or virtual addresses.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(networkd) = &facts.networkd {
        for name in facts.interfaces() {
            if let Some(files) = networkd.links.get(name) {
                found.push(of_networkd(name, files));
            }
        }
        found.extend(foreign(facts, networkd));
    }
    if let Some(managed) = &facts.network_manager {
        let ours = facts.interfaces();
        found.extend(managed.iter().filter(|name| ours.contains(&name.as_str())).map(|name| of_network_manager(name)));
    }
    found
}

/// systemd-networkd removes addresses that it did not add when it is started again or told to configure the interface anew.
fn of_networkd(name: &str, files: &[TextFile]) -> Finding {
    let kept = files.iter().filter_map(|file| last_value(&file.text, "Network", "KeepConfiguration")).next_back();
    match kept {
        Some("static" | "yes" | "true" | "on" | "1") => {
            Finding::fine(TOPIC, format!("systemd-networkd leaves the addresses of {name} alone"))
        }
        _ => {
            let what = format!("systemd-networkd manages {name} and removes addresses there that it did not add");
            let why = "each restart of it, as by an upgrade of systemd, takes the virtual addresses away from the master; vrrpd puts \
                       them back within milliseconds, and nobody does while it is being restarted itself";
            let file = files.first().map_or("NAME.network", |file| file.path.rsplit('/').next().unwrap_or_default());
            let place = format!("/etc/systemd/network/{file}.d/vrrpd.conf; then `networkctl reload`");
            Finding::problem(TOPIC, what, why).mend(place, &["[Network]", "KeepConfiguration=static"])
        }
    }
}

/// It removes routes and rules that others added, whatever interface they are on.
fn foreign(facts: &Facts, networkd: &Networkd) -> Vec<Finding> {
    let has_routes = facts.routers.iter().any(|router| !router.routes.is_empty());
    let has_rules = facts.routers.iter().any(|router| !router.rules.is_empty());
    let keys = [(has_routes, "ManageForeignRoutes", "routes"), (has_rules, "ManageForeignRoutingPolicyRules", "rules")];
    let wanted = keys.into_iter().filter(|(is_wanted, _, _)| *is_wanted);
    wanted
        .map(|(_, key, word)| {
            let value = networkd.main.iter().filter_map(|file| last_value(&file.text, "Network", key)).next_back();
            match value {
                Some("no" | "false" | "off" | "0") => {
                    Finding::fine(TOPIC, format!("systemd-networkd leaves the {word} of others alone"))
                }
                _ => {
                    let what = format!("systemd-networkd removes {word} that it did not add");
                    let why = format!("the {word} of an instance go when it is restarted, while the addresses stay");
                    let place = "/etc/systemd/networkd.conf.d/vrrpd.conf; then `systemctl restart systemd-networkd`";
                    Finding::problem(TOPIC, what, why).mend(place, &["[Network]", &format!("{key}=no")])
                }
            }
        })
        .collect()
}

fn of_network_manager(name: &str) -> Finding {
    let what = format!("NetworkManager manages {name}");
    let why = "it leaves addresses of others alone until its connection is activated again, by hand or when the link comes back; \
               then they go, and vrrpd puts them back within milliseconds";
    let place = "/etc/NetworkManager/conf.d/90-vrrpd.conf, if something else gives the interface its own address; then `nmcli \
                 general reload`";
    let line = format!("unmanaged-devices+=interface-name:{name}");
    Finding::advice(TOPIC, what, why).mend(place, &["[keyfile]", &line])
}

/// Returns the last value of a key in a section of a file as systemd writes them; keys and sections are told apart by case.
fn last_value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    let mut value = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name == section;
        } else if inside
            && let Some((name, found)) = line.split_once('=')
            && name.trim() == key
        {
            value = Some(found.trim());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::super::facts::tests::{facts, file};
    use super::super::finding::Severity;
    use super::*;
    use crate::engine::params::Vip;
    use crate::engine::route::{Prefix, Route};

    const STOCK: &str =
        "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\nLinkLocalAddressing=ipv6\n\n[DHCP]\nRouteMetric=100\n";

    fn with(files: &[(&str, &str)]) -> Facts {
        let mut facts = facts();
        let files = files.iter().map(|(path, text)| file(path, text)).collect();
        facts.networkd = Some(Networkd { links: BTreeMap::from([("eth0".to_owned(), files)]), main: Vec::new() });
        facts
    }

    #[test]
    fn networkd_as_netplan_writes_it_removes_our_addresses() {
        let found = findings(&with(&[("/run/systemd/network/10-netplan-eth0.network", STOCK)]));
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(finding.severity, Severity::Problem);
        let mend = finding.mend.as_ref().unwrap();
        assert!(mend.place.starts_with("/etc/systemd/network/10-netplan-eth0.network.d/vrrpd.conf"), "{mend:?}");
        assert_eq!(mend.lines, ["[Network]", "KeepConfiguration=static"]);
    }

    #[test]
    fn what_is_kept_is_well_and_a_later_file_counts() {
        let keep = |value: &str| format!("[Network]\nKeepConfiguration={value}\n");
        for (value, severity) in [
            ("static", Severity::Fine),
            ("yes", Severity::Fine),
            ("dhcp", Severity::Problem),
            ("dhcp-on-stop", Severity::Problem),
            ("no", Severity::Problem),
        ] {
            let facts = with(&[("/etc/systemd/network/a.network", STOCK), ("a.network.d/b.conf", &keep(value))]);
            assert_eq!(findings(&facts)[0].severity, severity, "{value}");
        }
        let late = with(&[("a.network", &keep("static")), ("b.conf", &keep("no"))]);
        assert_eq!(findings(&late)[0].severity, Severity::Problem);
        let elsewhere = with(&[("a.network", "[DHCPv4]\nKeepConfiguration=static\n")]);
        assert_eq!(findings(&elsewhere)[0].severity, Severity::Problem, "another section");
        let mut other = with(&[("a.network", STOCK)]);
        other.routers[0].interface = "eth1".to_owned();
        assert!(findings(&other).is_empty(), "eth1 is not managed");
    }

    #[test]
    fn foreign_routes_matter_where_an_instance_has_some() {
        let mut facts = with(&[("a.network", "[Network]\nKeepConfiguration=yes\n")]);
        let is_told = |facts: &Facts| findings(facts).iter().any(|f| f.severity == Severity::Problem);
        assert!(!is_told(&facts));
        let address: IpAddr = "10.1.0.0".parse().unwrap();
        facts.routers[0].routes.push(Route::new(Prefix::new(address, 16).unwrap()));
        assert!(is_told(&facts));
        facts.networkd.as_mut().unwrap().main = vec![file("networkd.conf", "[Network]\n#ManageForeignRoutes=yes\n")];
        assert!(is_told(&facts), "a comment");
        facts.networkd.as_mut().unwrap().main.push(file("x.conf", "[Network]\nManageForeignRoutes = no\n"));
        assert!(!is_told(&facts));
    }

    #[test]
    fn network_manager_is_told_of_for_the_interfaces_that_count() {
        let mut facts = facts();
        facts.network_manager = Some(vec!["eth0".to_owned(), "wlan0".to_owned()]);
        let found = findings(&facts);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Advice));
        let lines = found[0].mend.as_ref().unwrap().lines.clone();
        assert_eq!(lines, ["[keyfile]", "unmanaged-devices+=interface-name:eth0"]);
        // A virtual address on another interface counts, too.
        let vip = facts.routers[0].vips[0].clone();
        facts.routers[0].vips.push(Vip { interface: Some("wlan0".to_owned()), ..vip });
        assert_eq!(findings(&facts).len(), 2);
    }
}
