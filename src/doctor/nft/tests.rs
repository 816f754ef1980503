//! Rulesets as `nft -j list ruleset` of version 1.0.6 writes them.

use super::*;

fn ruleset(policy: &str, rules: &[&str]) -> Value {
    let mut objects = vec![
        r#"{"set":{"family":"inet","name":"trusted","table":"filter","type":"ipv4_addr","handle":3,"flags":["interval"],"elem":[{"prefix":{"addr":"10.0.0.0","len":24}},"10.9.0.1"]}}"#.to_owned(),
        format!(r#"{{"chain":{{"family":"inet","table":"filter","name":"input","handle":1,"type":"filter","hook":"input","prio":0,"policy":"{policy}"}}}}"#),
        r#"{"chain":{"family":"inet","table":"filter","name":"extra","handle":2}}"#.to_owned(),
    ];
    for rule in rules {
        let (chain, expr) = rule.strip_prefix("extra ").map_or(("input", *rule), |expr| ("extra", expr));
        objects.push(format!(
            r#"{{"rule":{{"family":"inet","table":"filter","chain":"{chain}","handle":5,"expr":[{expr}]}}}}"#
        ));
    }
    serde_json::from_str(&format!(r#"{{"nftables":[{}]}}"#, objects.join(","))).unwrap()
}

fn packet(destination: &str) -> Packet {
    let source = Some(if destination.contains(':') { "fe80::21" } else { "10.0.0.21" }.parse().unwrap());
    let destination = destination.parse().unwrap();
    Packet { interface: "eth0".to_owned(), is_outgoing: false, source, destination, protocol: 112 }
}

fn fate_of(policy: &str, rules: &[&str], destination: &str) -> Fate {
    fate(&ruleset(policy, rules), &["input"], &packet(destination))
}

const ACCEPT: &str = r#"{"accept":null}"#;
const STATES: &str = r#"{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[["invalid",{"drop":null}],["established",{"accept":null}],["related",{"accept":null}]]}}}"#;
const ESTABLISHED: &str =
    r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}"#;
const LO: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"lo"}},{"accept":null}"#;
const SSH: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":{"set":["tcp","udp"]}}},{"match":{"op":"==","left":{"payload":{"protocol":"th","field":"dport"}},"right":22}},{"accept":null}"#;
const JUMP: &str = r#"{"jump":{"target":"extra"}}"#;
const VRRP: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":"vrrp"}},{"counter":{"packets":0,"bytes":0}},{"accept":null}"#;
const L4_VRRP: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":112}},{"accept":null}"#;
const TRUSTED: &str =
    r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@trusted"}},{"accept":null}"#;
const MARK: &str = r#"{"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":7}},{"accept":null}"#;
const NOT_TCP_DROP: &str = r#"{"match":{"op":"!=","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":{"set":["tcp","udp"]}}},{"drop":null}"#;

fn policy() -> Fate {
    Fate::Drops("the policy of inet filter input".to_owned())
}

#[test]
fn an_ordinary_ruleset_for_a_server_drops_adverts() {
    for destination in ["10.0.0.20", "224.0.0.18", "ff02::12"] {
        assert_eq!(fate_of("drop", &[STATES, ESTABLISHED, LO, SSH], destination), policy(), "{destination}");
        assert_eq!(fate_of("accept", &[STATES, ESTABLISHED, LO, SSH], destination), Fate::Passes, "{destination}");
    }
}

#[test]
fn a_rule_for_the_protocol_lets_them_through_in_any_chain() {
    assert_eq!(fate_of("drop", &[STATES, VRRP], "224.0.0.18"), Fate::Passes);
    assert_eq!(fate_of("drop", &[STATES, JUMP, &format!("extra {VRRP}")], "10.0.0.20"), Fate::Passes);
    assert_eq!(fate_of("drop", &[L4_VRRP], "ff02::12"), Fate::Passes);
    // That one is about IPv4.
    assert_eq!(fate_of("drop", &[VRRP], "ff02::12"), policy());
    assert_eq!(fate_of("drop", &[&format!("extra {VRRP}")], "10.0.0.20"), policy(), "nobody goes there");
}

#[test]
fn sets_and_prefixes_are_looked_into() {
    assert_eq!(fate_of("drop", &[TRUSTED], "10.0.0.20"), Fate::Passes);
    let elsewhere = TRUSTED.replace("@trusted", "192.0.2.1");
    assert_eq!(fate_of("drop", &[&elsewhere], "10.0.0.20"), policy());
    let unknown = TRUSTED.replace("@trusted", "@other");
    assert_eq!(fate_of("drop", &[&unknown], "10.0.0.20"), Fate::MayDrop("the policy of inet filter input".to_owned()));
    let group = r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":{"prefix":{"addr":"224.0.0.0","len":24}}}},{"accept":null}"#;
    assert_eq!(fate_of("drop", &[group], "224.0.0.18"), Fate::Passes);
    assert_eq!(fate_of("drop", &[group], "10.0.0.20"), policy());
}

#[test]
fn what_cannot_be_decided_is_perhaps() {
    assert_eq!(fate_of("drop", &[MARK], "10.0.0.20"), Fate::MayDrop("the policy of inet filter input".to_owned()));
    let xt = r#"{"xt":{"type":"match","name":"comment"}},{"drop":null}"#;
    assert_eq!(fate_of("accept", &[xt], "10.0.0.20"), Fate::MayDrop("a rule of inet filter input".to_owned()));
    let reject = r#"{"reject":{"type":"icmpx","expr":"port-unreachable"}}"#;
    assert_eq!(fate_of("accept", &[reject], "10.0.0.20"), Fate::Drops("a rule of inet filter input".to_owned()));
}

#[test]
fn a_rule_of_another_family_never_applies() {
    assert_eq!(fate_of("accept", &[NOT_TCP_DROP], "10.0.0.20"), Fate::Drops("a rule of inet filter input".to_owned()));
    assert_eq!(fate_of("accept", &[NOT_TCP_DROP], "ff02::12"), Fate::Passes);
}

#[test]
fn only_the_hooks_that_are_asked_for_count_and_loops_end() {
    let rules = ruleset("drop", &[]);
    assert_eq!(fate(&rules, &["output"], &packet("10.0.0.20")), Fate::Passes);
    let around = format!("extra {JUMP}");
    assert_eq!(fate_of("drop", &[JUMP, &around], "10.0.0.20"), policy());
    assert_eq!(fate(&Value::Null, &["input"], &packet("10.0.0.20")), Fate::Passes);
    assert_eq!(fate_of("drop", &[ACCEPT], "10.0.0.20"), Fate::Passes);
}
