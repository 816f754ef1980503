//! Options that few files have.

use super::tests::{SEAT, WEB, complains, ip, load_text, only_router};
use crate::engine::params::{OnConflict, Ownership, Transport, VipOptions};

#[test]
fn options_that_few_need_arrive() {
    let router = only_router(&format!(
        "{WEB}source = \"fe80::2\"\nmulticast = true\nmaster_down_adverts = 5\nignore_link = true\n\
         addresses = [\"fe80::1/64\", {{ address = \"2001:db8::1\", peer = \"2001:db8::2\", preferred_lifetime = \"1h\", \
         dad = true, home = true, mngtmpaddr = true, noprefixroute = true, autojoin = true, no_track = true }}]\n"
    ));
    assert_eq!((router.master_down_adverts, router.ignores_link), (5, true));
    let options = VipOptions {
        peer: Some(ip("2001:db8::2")),
        preferred_lifetime: Some(3600),
        detects_duplicates: true,
        is_home: true,
        manages_temporary: true,
        has_no_route: true,
        joins_group: true,
        is_untracked: true,
    };
    assert_eq!(router.vips[1].options, options);
    for (option, problem) in [
        ("dad = true", "6:48: error: `dad` beside an IPv4 address"),
        ("peer = \"::2\"", "error: `peer` is \"::2\"; expected an address of the same family"),
        ("preferred_lifetime = \"5ms\"", "whole seconds"),
    ] {
        let text =
            format!("{WEB}{}", SEAT.replace("[\"10.0.0.30\"]", &format!("[{{ address = \"10.0.0.30\", {option} }}]")));
        let problems = load_text(&text).expect_err(option).to_string();
        assert!(problems.contains(problem.trim_start_matches("6:48: ")), "{problems}");
    }
    complains(&format!("{WEB}{SEAT}master_down_adverts = 0\n"), &["7:23: error: `master_down_adverts` is 0; expected"]);
    complains(&format!("{WEB}version = 2\nmulticast = true\naddresses = []\n"), &["6:13: warning: no addresses"]);
}

#[test]
fn ttls_have_two_ends() {
    let ttls = |text: &str| -> Vec<_> {
        only_router(&format!("{WEB}{text}")).peers().iter().map(|peer| (peer.min_ttl, peer.max_ttl)).collect()
    };
    assert_eq!(ttls(&format!("max_ttl = 64\n{SEAT}")), [(None, Some(64))]);
    assert_eq!(ttls(&format!("min_ttl = 64\nmax_ttl = 64\n{SEAT}")), [(Some(64), Some(64))]);
    let own = "{ address = \"10.0.0.21\", min_ttl = 63, max_ttl = 65 }, \"10.0.0.22\"";
    let seat = SEAT.replace("\"10.0.0.21\"", own);
    assert_eq!(ttls(&format!("max_ttl = 254\n{seat}")), [(Some(63), Some(65)), (None, Some(254))]);
    assert_eq!(ttls(&format!("strict = true\nmax_ttl = 255\n{SEAT}")), [(Some(255), Some(255))]);
    let peer = |options: &str| SEAT.replace("\"10.0.0.21\"", &format!("{{ address = \"10.0.0.21\", {options} }}"));
    let none =
        |min: u8, max: u8| format!("error: no TTL is from {min} to {max}; `min_ttl` must not be above `max_ttl`");
    for (text, problem) in [
        (format!("max_ttl = 0\n{SEAT}"), "4:11: error: `max_ttl` is 0; expected a number from 1 to 255".to_owned()),
        (format!("max_ttl = 256\n{SEAT}"), "4:11: error: `max_ttl` is 256; expected".to_owned()),
        (format!("max_ttl = \"64\"\n{SEAT}"), "4:11: error: `max_ttl` takes a number from 1 to 255".to_owned()),
        (format!("min_ttl = 64\nmax_ttl = 63\n{SEAT}"), format!("5:11: {}", none(64, 63))),
        (format!("min_ttl = 64\n{}", peer("max_ttl = 63")), format!("6:45: {}", none(64, 63))),
        (format!("max_ttl = 63\n{}", peer("min_ttl = 64")), format!("6:45: {}", none(64, 63))),
        (peer("max_ttl = 0"), "5:45: error: `max_ttl` is 0; expected".to_owned()),
        (
            format!("strict = true\nmax_ttl = 254\n{SEAT}"),
            "5:11: error: `strict = true` requires a TTL of 255; write `max_ttl".to_owned(),
        ),
        (
            format!("strict = true\n{}", peer("min_ttl = 254")),
            "6:45: error: `strict = true` requires a TTL of 255; write `min_ttl".to_owned(),
        ),
        (
            "multicast = true\nmax_ttl = 255\naddresses = [\"10.0.0.30\"]\n".to_owned(),
            "5:11: error: `max_ttl` is for unicast peers; by multicast 255 is always required".to_owned(),
        ),
    ] {
        complains(&format!("{WEB}{text}"), &[&problem]);
    }
}

#[test]
fn a_list_gives_each_seat_the_range_and_the_group() {
    let node = |name: &str, address: &str, priority: u8| {
        format!("[[instance.web.node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n")
    };
    let text = format!(
        "[daemon]\nnode = \"b\"\n{WEB}addresses = [\"10.0.0.30\"]\nmin_ttl = 3\nmax_ttl = 9\nalso_multicast = true\n{}{}",
        node("a", "10.0.0.1", 9),
        node("b", "10.0.0.2", 8)
    );
    let router = only_router(&text);
    assert_eq!((router.source, router.peers()[0].address), (Some(ip("10.0.0.2")), ip("10.0.0.1")));
    assert_eq!((router.peers()[0].min_ttl, router.peers()[0].max_ttl), (Some(3), Some(9)));
    assert!(matches!(router.transport, Transport::Unicast { also: Some(group), .. } if group == ip("224.0.0.18")));
}

#[test]
fn unicast_may_go_to_a_group_too() {
    let also = |text: &str| match only_router(&format!("{WEB}{text}")).transport {
        Transport::Unicast { also, peers } => (also, peers.len()),
        Transport::Multicast { .. } => panic!("multicast"),
    };
    assert_eq!(also(SEAT), (None, 1));
    assert_eq!(also(&format!("also_multicast = false\n{SEAT}")), (None, 1));
    assert_eq!(also(&format!("also_multicast = true\n{SEAT}")), (Some(ip("224.0.0.18")), 1));
    assert_eq!(also(&format!("also_multicast = \"239.1.1.1\"\n{SEAT}")), (Some(ip("239.1.1.1")), 1));
    let v6 = "source = \"fe80::2\"\npeers = [\"fe80::3\"]\naddresses = [\"fe80::1\"]\n";
    assert_eq!(also(&format!("also_multicast = true\n{v6}")), (Some(ip("ff02::12")), 1));
    for (text, problems) in [
        (format!("also_multicast = 1\n{SEAT}"), vec!["4:18: error: `also_multicast` takes true or a group"]),
        (
            format!("also_multicast = \"10.0.0.9\"\n{SEAT}"),
            vec!["4:18: error: `also_multicast` is \"10.0.0.9\": expected"],
        ),
        (
            format!("also_multicast = \"ff02::12\"\n{SEAT}"),
            vec!["4:18: error: adverts of this instance travel over IPv4; expected an IPv4 group"],
        ),
        (
            "multicast = true\nalso_multicast = true\naddresses = [\"10.0.0.30\"]\n".to_owned(),
            vec!["5:18: error: `also_multicast` is for unicast, while nodes move there from multicast"],
        ),
        (
            "also_multicast = true\naddresses = [\"10.0.0.30\"]\n".to_owned(),
            vec!["1:11: error: nobody to send adverts to"],
        ),
        (
            format!("also_multicast = true\n{}", v6.replace("fe80::3", "2001:db8::3")),
            vec!["6:10: error: 2001:db8::3 is not link-local, and IPv6 multicast adverts come from"],
        ),
        (
            format!("also_multicast = true\nchecksum = \"old-unicast\"\n{SEAT}"),
            vec!["5:12: error: \"old-unicast\" is a form of unicast adverts"],
        ),
    ] {
        complains(&format!("{WEB}{text}"), &problems);
    }
}

/// A packet to the group has its identifier and nothing else to tell who it is for.
#[test]
fn one_router_of_an_identifier_speaks_to_the_group() {
    let other = |text: &str| {
        format!("[instance.api]\ninterface = \"eth0\"\nvirtual_router_id = 51\n{text}addresses = [\"10.0.0.31\"]\n")
    };
    let web = format!("{WEB}also_multicast = true\n{SEAT}");
    let same = "10:21: error: virtual_router_id 51 on eth0 over IPv4 is already that of instance \"web\", at line 3";
    for (text, problems) in [
        (other("multicast = true\n"), vec![same]),
        (other("multicast = \"239.1.1.1\"\n"), vec![same]),
        (other("also_multicast = true\npeers = [\"10.0.0.9\"]\n"), vec![same]),
        (other("peers = [\"10.0.0.21\"]\n"), vec![same]),
        (other("peers = [\"10.0.0.9\"]\n"), vec![]),
        (other("multicast = true\n").replace("eth0", "eth1"), vec![]),
        (other("multicast = true\n").replace("= 51", "= 52"), vec![]),
    ] {
        complains(&format!("{web}{text}"), &problems);
    }
    let multicast = other("multicast = true\n").replace("[instance.api]", "[instance.one]");
    complains(
        &format!("{multicast}{web}"),
        &["8:21: error: virtual_router_id 51 on eth0 over IPv4 is already that of instance \"one\", at line 3"],
    );
}

#[test]
fn lease_of_the_node_holds_for_each_instance_that_says_nothing_else() {
    let seconds = |daemon: &str, instance: &str| {
        let text = format!("[daemon]\n{daemon}\n{WEB}{SEAT}advert_interval = \"10s\"\n{instance}\n");
        only_router(&text).ownership.lease.map(|lease| lease.as_secs())
    };
    assert_eq!(seconds("", ""), None);
    assert_eq!(seconds("vip_lease = \"3s\"", ""), Some(3));
    assert_eq!(seconds("vip_lease = \"3s\"", "vip_lease = \"5s\""), Some(5));
    assert_eq!(seconds("vip_lease = \"3s\"", "vip_lease = \"off\""), None);
    assert_eq!(seconds("", "vip_lease = \"2s\""), Some(2));
    for bad in ["1s", "2.5s", "2h", "never"] {
        let problems = load_text(&format!("{WEB}{SEAT}vip_lease = \"{bad}\"\n")).expect_err(bad).0;
        assert_eq!(problems.len(), 1, "{bad}");
    }
}

#[test]
fn lease_that_ends_after_a_takeover_is_a_warning() {
    let lease = |text: &str| format!("{WEB}{SEAT}vip_lease = \"{text}\"\n");
    complains(&lease("3s"), &["7:13: warning: a daemon that hangs loses the addresses of web up to 4.0 s later"]);
    complains(&lease("2s"), &[]);
    complains(&format!("{}advert_interval = \"500ms\"\n", lease("2s")), &["7:13: warning: a daemon that hangs"]);
    complains(&lease("off"), &[]);
}

#[test]
fn foreign_owner_is_warned_of_or_yielded_to() {
    let of = |text: &str| only_router(&format!("{WEB}{SEAT}{text}\n")).ownership;
    assert_eq!(of(""), Ownership::default());
    assert_eq!(of("on_conflict = \"yield\"").on_conflict, OnConflict::Yield);
    let problem = load_text(&format!("{WEB}{SEAT}on_conflict = \"yeild\"\n")).expect_err("yeild").0[0].to_string();
    assert!(problem.contains("yield"), "{problem}");
}
