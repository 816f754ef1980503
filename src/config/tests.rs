//! Whole files in, parameters or problems out.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::engine::params::{AnnounceSchedule, ChecksumPolicy, Endpoint, Preempt, RouterParams, Scope, Transport};
use crate::wire::field::{Family, Version};

/// Lines that every instance of these tests begins with.
pub(super) const WEB: &str = "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\n";
/// This host's seat, without a list.
pub(super) const SEAT: &str = "source = \"10.0.0.20\"\npeers = [\"10.0.0.21\"]\naddresses = [\"10.0.0.30\"]\n";
const LIST: &str = "\
[[instance.web.node]]\nname = \"lb1\"\naddress = \"10.0.0.20\"\npriority = 200\n\
[[instance.web.node]]\nname = \"lb2\"\naddress = \"10.0.0.21\"\npriority = 100\n\
[[instance.web.node]]\nname = \"lb3\"\naddress = \"10.0.0.22\"\npriority = 50\n";

#[test]
fn a_short_file_gets_every_default() {
    let router = only_router(&format!("{WEB}{SEAT}"));
    assert_eq!((router.name.as_str(), router.interface.as_str(), router.vrid.get()), ("web", "eth0", 51));
    assert_eq!((router.version, router.family, router.priority.get()), (Version::V3, Family::V4, 100));
    assert_eq!(router.advertisement_interval.as_duration(), Duration::from_secs(1));
    assert_eq!((router.preempt, router.checksum, router.strict), (Preempt::Always, ChecksumPolicy::Auto, false));
    assert_eq!((router.source, router.master_down_adverts), (Some(ip("10.0.0.20")), 3));
    assert_eq!(router.announce, AnnounceSchedule::default());
    assert_eq!(router.peers().len(), 1);
    assert_eq!((router.peers()[0].priority, router.peers()[0].min_ttl), (None, None));
    let vip = &router.vips[0];
    assert_eq!((vip.address, vip.prefix_len, vip.advertise, vip.scope), (ip("10.0.0.30"), 32, true, Scope::Global));
    assert_eq!((&vip.interface, &vip.label, vip.broadcast), (&None, &None, None));

    let daemon = load_text(&format!("{WEB}{SEAT}")).unwrap().config.daemon;
    assert_eq!((daemon.node, daemon.control_group), (None, None));
    assert_eq!(daemon.runtime_dir, PathBuf::from("/run/vrrpd"));
}

#[test]
fn every_key_arrives() {
    let router = only_router(&format!(
        "{WEB}source = \"10.0.0.20\"\npriority = 7\nversion = 3\nadvert_interval = \"250ms\"\nstrict = false\n\
         preempt = \"after 1.5s\"\nchecksum = \"old-unicast\"\nmin_ttl = 250\nmulticast = false\n\
         announce_repeats = [\"10ms\", \"1h\"]\nannounce_refresh = \"off\"\n\
         peers = [\"10.0.0.21\", {{ address = \"10.0.0.22\", min_ttl = 255, priority = 9 }}]\n\
         addresses = [{{ address = \"10.0.0.30/24\", interface = \"eth1\", advertise = true, label = \"eth1:vip\", \
         broadcast = \"10.0.0.255\", scope = 253 }}, \"2001:db8::30\"]\n"
    ));
    assert_eq!((router.priority.get(), router.advertisement_interval.centiseconds()), (7, 25));
    assert_eq!(router.preempt, Preempt::After(Duration::from_millis(1500)));
    assert_eq!(router.checksum, ChecksumPolicy::OldUnicast);
    assert_eq!(router.announce.repeats, [Duration::from_millis(10), Duration::from_secs(3600)]);
    assert_eq!(router.announce.refresh, None);
    let peers: Vec<_> = router.peers().iter().map(|p| (p.address, p.min_ttl, p.priority.map(|p| p.get()))).collect();
    assert_eq!(peers, [(ip("10.0.0.21"), Some(250), None), (ip("10.0.0.22"), Some(255), Some(9))]);
    let vip = &router.vips[0];
    assert_eq!((vip.prefix_len, vip.interface.as_deref(), vip.label.as_deref()), (24, Some("eth1"), Some("eth1:vip")));
    assert_eq!((vip.broadcast.map(IpAddr::V4), vip.scope), (Some(ip("10.0.0.255")), Scope::Link));
    assert!(!router.vips[1].advertise, "the other family rides along");
    assert_eq!(router.advertised().collect::<Vec<_>>(), [ip("10.0.0.30")]);
}

#[test]
fn version_2_counts_whole_seconds() {
    let router = only_router(&format!("{WEB}{SEAT}version = 2\nadvert_interval = \"2s\"\n"));
    assert_eq!((router.version, router.advertisement_interval.seconds()), (Version::V2, 2));
    complains(
        &format!("{WEB}{SEAT}version = 2\nadvert_interval = \"1500ms\"\n"),
        &["8:19: error: `advert_interval` is"],
    );
}

#[test]
fn strict_asks_unicast_peers_for_ttl_255() {
    assert_eq!(only_router(&format!("{WEB}{SEAT}strict = true\n")).peers()[0].min_ttl, Some(255));
    complains(&format!("{WEB}{SEAT}strict = true\nmin_ttl = 254\n"), &["8:11: error: `strict = true` requires"]);
}

#[test]
fn each_node_of_a_list_sees_the_others_as_peers() {
    let config = load_text(&format!("{WEB}addresses = [\"10.0.0.30\"]\nmin_ttl = 254\n{LIST}")).unwrap().config;
    for (own, priority, peers) in [
        ("10.0.0.20", 200, [("10.0.0.21", 100), ("10.0.0.22", 50)]),
        ("10.0.0.21", 100, [("10.0.0.20", 200), ("10.0.0.22", 50)]),
        ("10.0.0.22", 50, [("10.0.0.20", 200), ("10.0.0.21", 100)]),
    ] {
        let addresses = [ip("127.0.0.1"), ip(own)];
        let params = config.for_this_host(&LocalHost { addresses: &addresses, host_name: "other" }).unwrap();
        let router = &params.routers[0];
        assert_eq!((router.source, router.priority.get()), (Some(ip(own)), priority));
        let found: Vec<_> = router.peers().iter().map(|p| (p.address, p.priority.map_or(0, |p| p.get()))).collect();
        assert_eq!(found, peers.map(|(address, priority)| (ip(address), priority)));
        assert!(router.peers().iter().all(|peer| peer.min_ttl == Some(254)));
    }
}

#[test]
fn a_host_finds_itself_by_node_name_then_address_then_host_name() {
    let list = format!("{WEB}addresses = [\"10.0.0.30\"]\n{LIST}");
    for (daemon, addresses, host_name, name) in [
        ("[daemon]\nnode = \"lb3\"\n", vec!["10.0.0.20"], "lb2", "lb3"),
        ("", vec!["10.0.0.20"], "lb2", "lb1"),
        ("", vec!["10.9.9.9"], "lb2", "lb2"),
        ("", vec![], "LB2.example.org", "lb2"),
    ] {
        let config = load_text(&format!("{daemon}{list}")).unwrap().config;
        let addresses: Vec<IpAddr> = addresses.into_iter().map(ip).collect();
        let host = LocalHost { addresses: &addresses, host_name };
        assert_eq!(config.node_name(&host), name);
        let priority = config.for_this_host(&host).unwrap().routers[0].priority.get();
        assert_eq!(
            priority,
            match name {
                "lb1" => 200,
                "lb2" => 100,
                _ => 50,
            }
        );
    }
}

#[test]
fn a_host_without_a_seat_waits_and_one_with_two_does_not() {
    let config = load_text(&format!("{WEB}addresses = [\"10.0.0.30\"]\n{LIST}")).unwrap().config;
    let nowhere = config.for_this_host(&LocalHost { addresses: &[ip("10.0.0.99")], host_name: "x" }).unwrap_err();
    assert!(nowhere.may_appear());
    assert!(nowhere.to_string().contains("\"web\"") && nowhere.to_string().contains("10.0.0.21"), "{nowhere}");
    let both = [ip("10.0.0.20"), ip("10.0.0.22")];
    let twice = config.for_this_host(&LocalHost { addresses: &both, host_name: "x" }).unwrap_err();
    assert!(!twice.may_appear());
    assert!(twice.to_string().contains("10.0.0.20, 10.0.0.22"), "{twice}");
}

#[test]
fn a_master_that_holds_the_owners_address_still_finds_itself() {
    let text = format!("{WEB}addresses = [\"10.0.0.20\"]\n{}", LIST.replace("200", "255"));
    let config = load_text(&text).unwrap().config;
    let addresses = [ip("10.0.0.20"), ip("10.0.0.21")];
    let params = config.for_this_host(&LocalHost { addresses: &addresses, host_name: "x" }).unwrap();
    assert_eq!(params.routers[0].source, Some(ip("10.0.0.21")));
}

#[test]
fn a_name_found_once_holds_everywhere_and_lists_of_others_are_left_out() {
    let second = LIST.replace("web", "api").replace("10.0.0.", "10.1.0.");
    let third = "[instance.db]\ninterface = \"eth2\"\nvirtual_router_id = 9\naddresses = [\"10.2.0.30\"]\n\
                 [[instance.db.node]]\nname = \"lb2\"\naddress = \"10.2.0.21\"\n\
                 [[instance.db.node]]\nname = \"lb3\"\naddress = \"10.2.0.22\"\npriority = 9\n";
    let text = format!(
        "{WEB}addresses = [\"10.0.0.30\"]\n{LIST}\
         [instance.api]\ninterface = \"eth1\"\nvirtual_router_id = 52\naddresses = [\"10.1.0.30\"]\n{second}{third}"
    );
    let config = load_text(&text).unwrap().config;
    // 10.1.0.20 on eth1 is not there yet, and need not be.
    let host = LocalHost { addresses: &[ip("10.0.0.20")], host_name: "x" };
    let params = config.for_this_host(&host).unwrap();
    let sources: Vec<_> = params.routers.iter().map(|router| (router.name.as_str(), router.source)).collect();
    assert_eq!(sources, [("web", Some(ip("10.0.0.20"))), ("api", Some(ip("10.1.0.20")))]);
    assert_eq!(config.left_out(&host), ["db"]);
}

#[test]
fn multicast_must_be_said_and_goes_to_the_group_of_the_family() {
    let group = |text: &str| match only_router(text).transport {
        Transport::Multicast { group } => group.to_string(),
        Transport::Unicast { .. } => panic!("unicast"),
    };
    assert_eq!(group(&format!("{WEB}addresses = [\"10.0.0.30\", \"fe80::1\"]\nmulticast = true\n")), "224.0.0.18");
    assert_eq!(group(&format!("{WEB}addresses = [\"fe80::1\", \"10.0.0.30\"]\nmulticast = true\n")), "ff02::12");
    assert_eq!(group(&format!("{WEB}addresses = [\"10.0.0.30\"]\nmulticast = \"239.1.1.1\"\n")), "239.1.1.1");
    let only_second = "addresses = [{ address = \"fe80::1\", advertise = false }, \"10.0.0.30\"]\nmulticast = true\n";
    assert_eq!(group(&format!("{WEB}{only_second}")), "224.0.0.18");

    let listed = format!("{WEB}addresses = [\"10.0.0.30\"]\nmulticast = true\n{LIST}");
    let host = LocalHost { addresses: &[ip("10.0.0.21")], host_name: "x" };
    let params = load_text(&listed).unwrap().config.for_this_host(&host).unwrap();
    assert_eq!((params.routers[0].source, params.routers[0].priority.get()), (Some(ip("10.0.0.21")), 100));
    assert!(matches!(params.routers[0].transport, Transport::Multicast { .. }));
}

#[test]
fn instances_keep_the_order_of_the_file() {
    let text = ["z", "a", "m"].iter().zip(1..).fold(String::new(), |text, (name, number)| {
        text + &format!(
            "[instance.{name}]\ninterface = \"e\"\nvirtual_router_id = {number}\nmulticast = true\n\
             addresses = [\"10.0.0.{number}\"]\n"
        )
    });
    let config = load_text(&text).unwrap().config;
    let params = config.for_this_host(&LocalHost { addresses: &[], host_name: "" }).unwrap();
    assert_eq!(params.routers.iter().map(|router| router.name.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
}

#[test]
fn every_range_ends_where_it_should() {
    for (key, good, bad) in [
        ("advert_interval", vec!["\"10ms\"", "\"40.95s\""], vec!["\"0s\"", "\"15ms\"", "\"40.96s\"", "\"1\"", "1"]),
        (
            "preempt",
            vec!["\"always\"", "\"after 10ms\"", "\"after 24h\""],
            vec!["\"after 9ms\"", "\"after 25h\"", "\"after\"", "true"],
        ),
        (
            "announce_repeats",
            vec!["[]", "[\"10ms\", \"1h\"]"],
            vec!["[\"9ms\"]", "[\"2h\"]", "[\"5s\", \"5s\"]", "[\"5s\", \"1s\"]", "\"1s\""],
        ),
        ("announce_refresh", vec!["\"1s\"", "\"24h\"", "\"off\""], vec!["\"0.9s\"", "\"25h\"", "\"never\"", "false"]),
        ("min_ttl", vec!["1", "255"], vec!["0", "256", "-1", "99999999999999999999"]),
        ("priority", vec!["1", "0xff"], vec!["0", "256", "1.5"]),
        ("version", vec!["2", "3"], vec!["1", "4", "\"3\""]),
        ("checksum", vec!["\"auto\"", "\"pseudo\"", "\"rfc9568\"", "\"old-unicast\""], vec!["\"\"", "\"Auto\""]),
    ] {
        for value in good {
            complains(&format!("{WEB}{SEAT}{key} = {value}\n"), &[]);
        }
        for value in bad {
            let found = load_text(&format!("{WEB}{SEAT}{key} = {value}\n")).expect_err(value).0;
            assert!(found.len() == 1 && found[0].line == 7 && found[0].text().contains(key), "{found:?}");
        }
    }
    let address =
        |entry: &str| format!("{WEB}peers = [\"10.0.0.21\"]\naddresses = [{{ address = \"10.0.0.30\", {entry} }}]\n");
    for (good, bad) in [
        ("interface = \"fifteen-bytes-x\"", "interface = \"sixteen-bytes-xx\""),
        ("interface = \"a.b\"", "interface = \"a:b\""),
        ("label = \"fifteen-bytes-x\"", "label = \"sixteen-bytes-xx\""),
        ("scope = 254", "scope = 255"),
        ("scope = \"site\"", "scope = \"nowhere\""),
        ("broadcast = \"10.0.0.255\"", "broadcast = \"fe80::1\""),
        ("advertise = true", "advertise = \"yes\""),
    ] {
        complains(&address(good), &[]);
        assert_eq!(load_text(&address(bad)).expect_err(bad).0.len(), 1, "{bad}");
    }
    for (good, bad) in [
        ("node = \"lb1\"", "node = \"\""),
        ("runtime_dir = \"/tmp/x\"", "runtime_dir = \"x\""),
        ("control_group = \"adm\"", "control_group = \"a b\""),
    ] {
        complains(&format!("[daemon]\n{good}\n{WEB}{SEAT}"), &[]);
        assert_eq!(load_text(&format!("[daemon]\n{bad}\n{WEB}{SEAT}")).expect_err(bad).0[0].line, 2, "{bad}");
    }
}

#[test]
fn metrics_are_asked_for_at_a_port_or_a_socket() {
    let loaded = |text: &str| load_text(&format!("[daemon]\n{text}\n{WEB}{SEAT}"));
    for (text, endpoint) in [
        ("", None),
        ("metrics = \"[::1]:9165\"", Some(Endpoint::Inet("[::1]:9165".parse().unwrap()))),
        ("metrics = \"unix:/run/vrrpd/metrics.sock\"", Some(Endpoint::Unix("/run/vrrpd/metrics.sock".into()))),
    ] {
        assert_eq!(loaded(text).unwrap().config.daemon.metrics, endpoint, "{text}");
        complains(&format!("[daemon]\n{text}\n{WEB}{SEAT}"), &[]);
    }
    let text = |metrics: &str| loaded(&format!("metrics = {metrics}")).expect_err(metrics).0[0].to_string();
    for (metrics, problem) in [
        ("9165", "`metrics` takes an address and a port such as \"127.0.0.1:9165\", not a number"),
        ("\"localhost:9165\"", "expected an address, not a name"),
        ("\"127.0.0.1\"", "expected a port from 1 to 65535 after the address"),
        ("\"unix:metrics.sock\"", "a path that begins with a slash, does not end with one and has at most 107 bytes"),
        ("\"unix:/run/vrrpd/vrrpd.sock\"", "the daemon has that file itself"),
    ] {
        let found = text(metrics);
        assert!(found.contains(":2:11: error: ") && found.contains(problem), "{found}");
    }
}

#[test]
fn metrics_at_an_address_that_moves_are_doubted() {
    let vip = load_text(&format!("{WEB}{SEAT}")).unwrap().config.instances[0].params.vips[0].address;
    let text = format!("[daemon]\nmetrics = \"{vip}:9165\"\n{WEB}{SEAT}");
    complains(&text, &[&format!("2:11: warning: {vip} is an address of instance \"web\", and only its master has it")]);
}

#[test]
fn contradictions_of_one_instance_are_found() {
    for (rest, problems) in [
        ("addresses = [\"10.0.0.30\"]\n", vec!["1:11: error: nobody to send adverts to"]),
        ("addresses = [\"10.0.0.30\"]\nmulticast = false\n", vec!["1:11: error: nobody to send adverts to"]),
        ("addresses = [\"10.0.0.30\"]\npeers = []\n", vec!["5:9: error: nobody to send adverts to"]),
        ("addresses = []\nmulticast = true\n", vec!["4:13: error: `addresses` is an empty list"]),
        ("addresses = [\"fe80::1\"]\nmulticast = true\nversion = 2\n", vec!["6:11: error: version 2 has no IPv6"]),
        ("addresses = [\"fe80::1\"]\nmulticast = \"224.0.0.18\"\n", vec!["4:13: error: no IPv4 address is advertised"]),
        (
            "addresses = [\"10.0.0.30\"]\nmulticast = \"ff02::12\"\nsource = \"10.0.0.20\"\n",
            vec!["5:13: error: adverts of this instance travel over IPv4"],
        ),
        (
            "addresses = [\"fe80::1\"]\nmulticast = true\nsource = \"2001:db8::1\"\n",
            vec!["6:10: error: 2001:db8::1 is not link-local"],
        ),
        (
            "addresses = [\"10.0.0.30\"]\nmulticast = true\nmin_ttl = 255\n",
            vec!["6:11: error: `min_ttl` is for unicast"],
        ),
        (
            "addresses = [\"10.0.0.30\"]\nmulticast = true\nchecksum = \"old-unicast\"\n",
            vec!["6:12: error: \"old-unicast\" is a form of unicast"],
        ),
        (
            "addresses = [\"10.0.0.30\"]\nmulticast = true\nversion = 2\nchecksum = \"pseudo\"\n",
            vec!["7:12: error: only version 3 over IPv4"],
        ),
        (
            "addresses = [\"10.0.0.30\"]\npeers = [\"10.0.0.21\", \"10.0.0.21\"]\n",
            vec!["5:23: error: 10.0.0.21 is already in the list, at line 5"],
        ),
        (
            "addresses = [{ address = \"10.0.0.30\", advertise = false }]\nmulticast = true\n",
            vec!["4:13: error: no IPv4 address is advertised"],
        ),
        (
            "addresses = [{ address = \"fe80::1\", label = \"a\", scope = \"link\" }, \"10.0.0.30\"]\nmulticast = true\n",
            vec!["4:45: error: `label` beside an IPv6 address", "4:58: error: `scope` beside an IPv6 address"],
        ),
        (
            "priority = 255\npreempt = \"after 1s\"\naddresses = [\"10.0.0.20\"]\nsource = \"10.0.0.20\"\npeers = [\"10.0.0.21\"]\n",
            vec!["5:11: error: a node with priority 255"],
        ),
        (
            "addresses = [\"10.0.0.20/24\"]\nsource = \"10.0.0.20\"\npeers = [\"10.0.0.21\"]\n",
            vec!["4:14: warning: 10.0.0.20 is also a node's own address"],
        ),
        (
            "addresses = [\"2001:db8::30\"]\npeers = [\"2001:db8::21\"]\n",
            vec!["4:14: warning: the first advertised IPv6 address"],
        ),
    ] {
        complains(&format!("{WEB}{rest}"), &problems);
    }
}

#[test]
fn contradictions_of_a_node_list_are_found() {
    let head = format!("{WEB}addresses = [\"10.0.0.30\"]\n");
    let node = |name: &str, address: &str, priority: u8| {
        format!("[[instance.web.node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n")
    };
    for (nodes, problems) in [
        (vec![node("a", "10.0.0.1", 9)], vec!["5:1: error: a node list with one node"]),
        (
            vec![node("a", "10.0.0.1", 9), node("a", "10.0.0.1", 8)],
            vec!["10:8: error: the name \"a\" is already", "11:11: error: 10.0.0.1 is already in the list, at line 7"],
        ),
        (
            vec![node("a", "10.0.0.1", 255), node("b", "10.0.0.2", 255)],
            vec!["12:12: error: priority 255 is that of the one owner, and the node at line 8"],
        ),
        (
            vec![node("a", "10.0.0.1", 9), node("b", "10.0.0.2", 9)],
            vec![
                "12:12: warning: priority 9 is also that of \"a\", at line 8; of two masters the one with the higher \
                 address, 10.0.0.2",
            ],
        ),
        (vec![node("a", "10.0.0.1", 9), node("b", "fe80::2", 8)], vec!["11:11: error: fe80::2 is not IPv4"]),
    ] {
        complains(&format!("{head}{}", nodes.concat()), &problems);
    }
}

#[test]
fn contradictions_between_instances_are_found() {
    let api = "[instance.api]\ninterface = \"eth0\"\nmulticast = true\n";
    for (rest, problems) in [
        (format!("{api}virtual_router_id = 51\naddresses = [\"10.0.0.31\"]\n"), vec![]),
        (
            format!("{api}virtual_router_id = 51\naddresses = [\"10.0.0.31\"]\n")
                .replace("multicast = true", "peers = [\"10.0.0.9\", \"10.0.0.21\"]"),
            vec!["10:21: error: virtual_router_id 51 on eth0 over IPv4 is already that of instance \"web\", at line 3"],
        ),
        (
            format!("{api}virtual_router_id = 52\naddresses = [\"10.0.0.30/24\"]\n"),
            vec!["11:14: error: 10.0.0.30 already belongs to instance \"web\", at line 6"],
        ),
        (format!("{api}virtual_router_id = 51\naddresses = [\"fe80::1\"]\n"), vec![]),
    ] {
        complains(&format!("{WEB}{SEAT}{rest}"), &problems);
    }
    // A link-local address is another one on another link.
    let gateways = ["eth0", "eth1"].map(|link| {
        format!("[instance.{link}]\ninterface = \"{link}\"\nvirtual_router_id = 1\nmulticast = true\naddresses = [\"fe80::1\"]\n")
    });
    complains(&gateways.concat(), &[]);
    complains(
        &gateways
            .concat()
            .replace("interface = \"eth1\"\nvirtual_router_id = 1", "interface = \"eth0\"\nvirtual_router_id = 2"),
        &["10:14: error: fe80::1 already belongs to instance \"eth0\", at line 5"],
    );
}

#[test]
fn names_of_nodes_agree() {
    let list = format!("{WEB}addresses = [\"10.0.0.30\"]\n{LIST}");
    complains(
        &format!("[daemon]\nnode = \"lb4\"\n{list}"),
        &["2:8: error: no node list has the name \"lb4\"; did you mean"],
    );
    let other = LIST.replace("web", "api").replace("lb1", "lbl");
    complains(
        &format!(
            "{list}[instance.api]\ninterface = \"eth0\"\nvirtual_router_id = 9\naddresses = [\"10.0.0.31\"]\n{other}"
        ),
        &["22:8: error: 10.0.0.20 has the name \"lb1\" at line 6; one node has one name"],
    );
}

#[test]
fn more_than_255_advertised_addresses_are_an_error_and_255_are_not() {
    let text = |count: usize| {
        let addresses: Vec<_> = (1..=count).map(|n| format!("\"10.0.{}.{}\"", n / 200, n % 200 + 1)).collect();
        format!("{WEB}multicast = true\naddresses = [{}]\n", addresses.join(","))
    };
    complains(&text(255), &[]);
    complains(&text(256), &["5:13: error: 256 advertised addresses; an advert carries at most 255"]);
}

#[test]
fn a_wrong_value_raises_no_second_complaint() {
    // The priorities would be equal by default, and the list empty, were the reported values taken as absent.
    for (text, problem) in [
        (
            format!("{WEB}addresses = [\"10.0.0.30\"]\n{}", LIST.replace("priority = 100", "priority = 0")),
            "12:12: error",
        ),
        (format!("{WEB}addresses = [\"x\"]\nmulticast = true\n"), "4:14: error"),
        (format!("{WEB}addresses = [\"10.0.0.30\"]\npeers = \"10.0.0.1\"\n"), "5:9: error"),
        (format!("{WEB}addresses = [\"10.0.0.30\"]\npeers = [\"10.0.0\"]\n"), "5:10: error"),
        (format!("{WEB}addresses = [\"10.0.0.30\"]\nmulticast = \"x\"\n"), "5:13: error"),
        (format!("{WEB}addresses = [\"10.0.0.30\"]\nmulticast = 1\n"), "5:13: error"),
        (format!("{WEB}addresses = [\"10.0.0.30\"]\nnode = 1\n"), "5:8: error"),
        ("instance = 1\n".to_owned(), "1:12: error"),
    ] {
        complains(&text, &[problem]);
    }
}

/// Asserts that a file has these problems, each given from its line on, and no other.
pub(super) fn complains(text: &str, expected: &[&str]) {
    let found = match load_text(text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let fits = |(found, expected): (&String, &&str)| found.starts_with(&format!("t.toml:{expected}"));
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(fits), "{found:#?}\nfor\n{text}");
}

pub(super) fn load_text(text: &str) -> Result<Loaded, Problems> {
    load_from("t.toml", text.as_bytes(), Format::Toml)
}

pub(super) fn only_router(text: &str) -> RouterParams {
    let loaded = load_text(text).unwrap_or_else(|problems| panic!("{problems}"));
    let params = loaded.config.for_this_host(&LocalHost { addresses: &[], host_name: "x" }).unwrap();
    assert_eq!(params.routers.len(), 1);
    RouterParams::clone(&params.routers[0])
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Files that a slip of the hand makes of good and bad ones: every one gets an answer, and every place is in the file.
#[test]
fn a_damaged_file_never_panics() {
    const GOOD: &str = include_str!("../../conf/group.toml");
    const BAD: &str = include_str!("../../tests/cli/many-errors.toml");
    const SCRAPS: [&str; 13] =
        ["\"", "[", "]]", "{", "=", "\n", "0", "255", "-1", "é", "true", "instance.web.node", "check.upstream"];
    let damage = (0..2usize, 0..4000usize, 0..60usize, 0..SCRAPS.len());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2000));
    let run = runner.run(&damage, |(file, at, cut, scrap)| {
        let text = if file == 0 { GOOD } else { BAD };
        let from = at % text.len();
        let until = (from + cut).min(text.len());
        // Both files are ASCII, so every offset is a boundary.
        let damaged = format!("{}{}{}", &text[..from], SCRAPS[scrap], &text[until..]);
        if let Err(problems) = load_text(&damaged) {
            prop_assert!(problems.0.iter().any(|problem| problem.severity() == Severity::Error));
            let places: Vec<_> = problems.0.iter().map(|problem| (problem.line, problem.column)).collect();
            prop_assert!(places.is_sorted(), "{:?}", places);
            prop_assert!(places.iter().all(|(line, _)| *line <= damaged.lines().count() + 1));
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}
