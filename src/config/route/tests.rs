//! Tests of the words of `ip`.

use super::*;

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn route_is_written_as_it_is_read() {
    for (text, expected) in [
        ("default via 10.0.0.1", "inet default via 10.0.0.1"),
        ("default via fe80::1", "::/0 via fe80::1 dev eth0"),
        ("inet default via inet6 fe80::1 dev eth1", "inet default via fe80::1 dev eth1"),
        ("10.8.1.9/16 gw 10.0.0.1 dev eth1 onlink", "10.8.0.0/16 via 10.0.0.1 dev eth1 onlink"),
        ("src 10.0.0.9 to 10.8.0.0/16 table local", "10.8.0.0/16 dev eth0 src 10.0.0.9 table 255"),
        ("10.0.0.7 via 10.0.0.1 or 10.0.0.2", "10.0.0.7/32 nexthop via 10.0.0.1 nexthop via 10.0.0.2"),
        (
            "default nexthop via 10.0.0.1 dev a weight 3 nexthop via 10.0.0.2 dev b onlink metric 5",
            "inet default metric 5 nexthop via 10.0.0.1 dev a weight 3 nexthop via 10.0.0.2 dev b onlink",
        ),
        ("blackhole 10.7.0.0/24 metric 0x10 scope host", "blackhole 10.7.0.0/24 metric 16 scope 254"),
        (
            "10.6.0.0/16 initcwnd 20 mtu 1500 mtu lock 1400 tos 0x10 no_track",
            "10.6.0.0/16 dev eth0 tos 16 mtu lock 1400 initcwnd 20 no_track",
        ),
    ] {
        let entry = route(&words(text)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert!(entry.unapplied.is_empty(), "{text}");
        let value = entry.value.on("eth0");
        assert_eq!(value.to_string(), expected);
        assert_eq!(route(&words(expected)).unwrap().value, value, "{expected}");
    }
}

#[test]
fn rule_is_written_as_it_is_read() {
    for (text, expected) in [
        ("from 10.1.0.0/16 table 100", "inet from 10.1.0.0/16 table 100"),
        ("to 2001:db8::/32 lookup main order 7", "inet6 to 2001:db8::/32 preference 7 table 254"),
        ("not fwmark 0x1/0xff iif eth1 oif eth2 goto 9", "inet not fwmark 0x1/0xff iif eth1 oif eth2 goto 9"),
        ("ipproto tcp dport 80 sport 1-9 blackhole", "inet ipproto 6 sport 1-9 dport 80-80 blackhole"),
        ("inet6 from any uidrange 0-9 tos 4 no_track", "inet6 tos 4 uidrange 0-9 table 254 no_track"),
        ("suppress_prefixlength 0 table main", "inet suppress_prefixlength 0 table 254"),
    ] {
        let rule = rule(&words(text)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(rule.value.to_string(), expected);
        assert_eq!(super::rule(&words(expected)).unwrap().value, rule.value, "{expected}");
    }
}

#[test]
fn word_that_cannot_be_read_is_named() {
    for (text, at, is_known) in [
        ("10.8.0.0/33 via 10.0.0.1", 0, false),
        ("default via", 2, false),
        ("via 10.0.0.1", 2, false),
        ("default via 10.0.0.1 table nobody-knows", 4, false),
        ("default via 10.0.0.1 table 0", 4, false),
        ("2001:db8::/32 via 10.0.0.1", 3, false),
        ("default via 10.0.0.1 encap mpls 7", 3, true),
        ("10.8.0.0/16 10.9.0.0/16", 1, false),
    ] {
        let error = route(&words(text)).unwrap_err();
        assert_eq!(error, WordError { at, is_known }, "{text}");
    }
    assert!(!route(&words("default")).unwrap().value.is_complete(), "nowhere to go");
    for (text, at, is_known) in
        [("form 10.0.0.0/8", 0, false), ("from 10.0.0.1 to ::1", 3, false), ("l3mdev table 1", 0, true)]
    {
        assert_eq!(rule(&words(text)).unwrap_err(), WordError { at, is_known }, "{text}");
    }
}

#[test]
fn word_without_effect_is_named() {
    let route = route(&words("default via 10.0.0.1 congctl lock cubic protocol bird")).unwrap();
    assert_eq!(route.unapplied.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 6]);
    assert_eq!(route.value.to_string(), "inet default via 10.0.0.1");
}

#[test]
fn table_has_the_name_of_the_file() {
    let text = "#\n# reserved\n255\tlocal\n0x64 uplink # second\n7\n";
    assert_eq!(find_table(text, "uplink"), Some(100));
    assert_eq!(find_table(text, "second"), None);
    assert_eq!(table("4294967295"), Some(u32::MAX));
}

/// Returns what `check` says of an instance with these lines.
fn problems(lines: &str) -> Vec<String> {
    let text = format!(
        "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 1\nmulticast = true\naddresses = [\"10.0.0.30\"]\n{lines}"
    );
    match crate::config::load_from("f", text.as_bytes(), crate::config::Format::Toml) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn entry_of_toml_is_told_with_its_word_and_place() {
    assert_eq!(problems("virtual_routes = [\"default via 10.0.0.1\"]\n[static]\nrules = [\"table 7\"]\n"), [""; 0]);
    let all = problems(
        "virtual_routes = [\"default via 10.0.0.1\",\n \"default vai 10.0.0.1\", \"default via\"]\n\
         virtual_rules = [\"from 10.0.0.0/8 realms 7\"]\n[static]\nroutes = [\"10.0.0.0/8\"]\n\
         addresses = [\"10.0.0.40/24\"]\n",
    );
    let expected = [
        "f:7:2: error: `virtual_routes`",
        "f:7:26: error: `virtual_routes`",
        "f:8:18: error: `virtual_rules`",
        "f:10:11: error: `routes`",
        "f:11:14: error: 10.0.0.40",
    ];
    assert_eq!(all.len(), expected.len(), "{all:#?}");
    for (line, start) in all.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    for (line, word) in [(0, "vai"), (1, "ends there"), (2, "realms")] {
        assert!(all[line].contains(word), "{}", all[line]);
    }
}
