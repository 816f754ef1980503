//! Whether the packet filter lets adverts in and out. Pure; one stop before: `doctor::nft`.

use std::net::{IpAddr, Ipv4Addr};

use super::facts::{Facts, Filter};
use super::finding::Finding;
use super::nft::{Fate, Packet, fate};
use crate::engine::params::{Auth, RouterParams, Transport};
use crate::wire::field::Family;

const TOPIC: &str = "firewall";

/// Looks at both ways of each instance's adverts.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    for router in &facts.routers {
        let before = found.len();
        if let Some(ruleset) = &facts.filter.nft {
            for (is_outgoing, hooks) in [(false, ["prerouting", "input"]), (true, ["output", "postrouting"])] {
                let fates = packets(router, is_outgoing).map(|packet| fate(ruleset, &hooks, &packet));
                found.extend(worst(fates).and_then(|fate| told(router, is_outgoing, &fate, &facts.filter)));
            }
        }
        found.extend(legacy(router, &facts.filter));
        if found.len() == before && (facts.filter.nft.is_some() || !facts.filter.legacy.is_empty()) {
            found.push(Finding::fine(TOPIC, format!("adverts of {} pass the packet filter", router.name)));
        }
    }
    found
}

/// Returns one packet for each peer, or for the group.
fn packets(router: &RouterParams, is_outgoing: bool) -> impl Iterator<Item = Packet> + '_ {
    let protocol = if matches!(router.auth, Auth::Ah(_)) { 51 } else { 112 };
    let packet = move |source, destination| Packet {
        interface: router.interface.clone(),
        is_outgoing,
        source,
        destination,
        protocol,
    };
    let group = match &router.transport {
        Transport::Unicast { also, .. } => *also,
        Transport::Multicast { group } => Some(*group),
    };
    let unknown = if router.family == Family::V4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { UNSPECIFIED_V6 };
    let peers = router.peers().iter().map(move |peer| match is_outgoing {
        true => packet(router.source, peer.address),
        false => packet(Some(peer.address), router.source.unwrap_or(unknown)),
    });
    peers.chain(group.map(|group| packet(router.source.filter(|_| is_outgoing), group)))
}

const UNSPECIFIED_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

fn worst(fates: impl Iterator<Item = Fate>) -> Option<Fate> {
    fates.max_by_key(|fate| match fate {
        Fate::Passes => 0,
        Fate::MayDrop(_) => 1,
        Fate::Drops(_) => 2,
    })
}

fn told(router: &RouterParams, is_outgoing: bool, fate: &Fate, filter: &Filter) -> Option<Finding> {
    let name = &router.name;
    let way = if is_outgoing { "sends" } else { "is sent" };
    let why = match is_outgoing {
        true => "the others hear nothing of this node and take its addresses while it holds them",
        false => "this node hears no master and takes the addresses while another holds them",
    };
    let finding = match fate {
        Fate::Passes => return None,
        Fate::Drops(by) => Finding::problem(TOPIC, format!("{by} drops the adverts that {name} {way}"), why),
        Fate::MayDrop(by) => {
            let what = format!("{by} may drop the adverts that {name} {way}: a rule cannot be judged from outside");
            Finding::advice(TOPIC, what, format!("if it does, {why}; `vrrpd sniff` and `vrrpd status` tell"))
        }
    };
    Some(mended(finding, router, is_outgoing, filter, fate))
}

/// Says how adverts are let through by whatever writes the rules.
fn mended(finding: Finding, router: &RouterParams, is_outgoing: bool, filter: &Filter, fate: &Fate) -> Finding {
    let (number, word) = if matches!(router.auth, Auth::Ah(_)) { (51, "ah") } else { (112, "vrrp") };
    if filter.has_firewalld {
        let lines = [format!("firewall-cmd --permanent --add-protocol={word}"), "firewall-cmd --reload".to_owned()];
        return finding.mend("as root", &lines.each_ref().map(String::as_str));
    }
    let chain = if is_outgoing { "output" } else { "input" };
    if filter.has_ufw {
        let (file, chain, flag) = match router.family {
            Family::V4 => {
                ("/etc/ufw/before.rules", format!("ufw-before-{chain}"), if is_outgoing { "-o" } else { "-i" })
            }
            Family::V6 => {
                ("/etc/ufw/before6.rules", format!("ufw6-before-{chain}"), if is_outgoing { "-o" } else { "-i" })
            }
        };
        let line = format!("-A {chain} {flag} {} -p {number} -j ACCEPT", router.interface);
        return finding.mend(format!("{file}, behind `# End required lines`; then `ufw reload`"), &[&line]);
    }
    let (Fate::Drops(by) | Fate::MayDrop(by)) = fate else { return finding };
    // "the policy of FAMILY TABLE CHAIN" or "a rule of FAMILY TABLE CHAIN".
    let place = by.split_once(" of ").map_or("inet filter input", |(_, place)| place);
    let key = if is_outgoing { "oifname" } else { "iifname" };
    let rule = format!("{key} \"{}\" meta l4proto {number} accept", router.interface);
    let line = format!("nft 'insert rule {place} {rule}'");
    finding.mend("as root, and the rule in /etc/nftables.conf", &[&line])
}

/// Looks at rules of the older iptables, which nft does not show: only for what plainly drops all.
fn legacy(router: &RouterParams, filter: &Filter) -> Option<Finding> {
    let (_, text) = filter.legacy.iter().find(|(family, _)| *family == router.family)?;
    let number = if matches!(router.auth, Auth::Ah(_)) { ["-p 51 ", "-p ah "] } else { ["-p 112 ", "-p vrrp "] };
    let is_accepted = text.lines().any(|line| {
        line.starts_with("-A ") && line.ends_with("-j ACCEPT") && number.iter().any(|protocol| line.contains(protocol))
    });
    let drops = |line: &str| {
        line.starts_with(":INPUT DROP")
            || matches!(line.trim(), "-A INPUT -j DROP")
            || line.starts_with("-A INPUT -j REJECT")
    };
    if is_accepted || !text.lines().any(drops) {
        return None;
    }
    let program = if router.family == Family::V4 { "iptables" } else { "ip6tables" };
    let what = format!("{program} drops what no rule accepts, and none names the protocol of {}", router.name);
    let finding =
        Finding::advice(TOPIC, what, "this node may hear no master and take the addresses while another holds them");
    let fate = Fate::MayDrop(String::new());
    if filter.has_firewalld || filter.has_ufw {
        return Some(mended(finding, router, false, filter, &fate));
    }
    let line = format!("{program} -I INPUT -i {} {}-j ACCEPT", router.interface, number[0]);
    Some(finding.mend("as root, and kept for the next boot", &[&line]))
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::facts;
    use super::super::finding::Severity;
    use super::*;

    const DROPPING: &str = r#"{"nftables":[{"chain":{"family":"inet","table":"filter","name":"input","handle":1,"type":"filter","hook":"input","prio":0,"policy":"drop"}}]}"#;

    fn with(text: &str) -> Facts {
        let mut facts = facts();
        facts.filter.nft = Some(serde_json::from_str(text).unwrap());
        facts
    }

    #[test]
    fn a_policy_that_drops_is_a_problem_and_the_rule_is_written_out() {
        let found = findings(&with(DROPPING));
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(finding.severity, Severity::Problem);
        assert_eq!(finding.what, "the policy of inet filter input drops the adverts that web is sent");
        let lines = &finding.mend.as_ref().unwrap().lines;
        assert_eq!(lines, &["nft 'insert rule inet filter input iifname \"eth0\" meta l4proto 112 accept'"]);
    }

    #[test]
    fn an_empty_ruleset_is_well_and_an_unread_one_says_nothing() {
        let found = findings(&with(r#"{"nftables":[]}"#));
        assert_eq!(found, [Finding::fine(TOPIC, "adverts of web pass the packet filter")]);
        assert!(findings(&facts()).is_empty());
    }

    #[test]
    fn the_lines_are_those_of_whoever_writes_the_rules() {
        let mut facts = with(DROPPING);
        facts.filter.has_firewalld = true;
        let lines = |facts: &Facts| findings(facts)[0].mend.clone().unwrap();
        assert_eq!(lines(&facts).lines, ["firewall-cmd --permanent --add-protocol=vrrp", "firewall-cmd --reload"]);
        (facts.filter.has_firewalld, facts.filter.has_ufw) = (false, true);
        assert_eq!(lines(&facts).lines, ["-A ufw-before-input -i eth0 -p 112 -j ACCEPT"]);
        // At the end of the chain it would come after the rules that drop.
        assert!(lines(&facts).place.starts_with("/etc/ufw/before.rules, behind `# End required lines`;"));
    }

    #[test]
    fn rules_of_the_older_iptables_may_drop() {
        let save =
            "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";
        let mut facts = facts();
        facts.filter.legacy = vec![(Family::V4, save.to_owned())];
        let found = findings(&facts);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Advice));
        assert_eq!(found[0].mend.as_ref().unwrap().lines, ["iptables -I INPUT -i eth0 -p 112 -j ACCEPT"]);
        let good = save.replace("COMMIT", "-A INPUT -p vrrp -j ACCEPT\nCOMMIT");
        facts.filter.legacy = vec![(Family::V4, good)];
        assert_eq!(findings(&facts)[0].severity, Severity::Fine);
    }
}
