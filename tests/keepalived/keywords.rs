//! Each keyword that is common: text in, parameters out, and one that is wrong.

use std::fmt::Debug;

use vrrpd::engine::params::{RouterParams, Transport, Vip};

use crate::reader::{assert_converts, kinds, load, refused, routers};

/// What is asked of the instance.
type Probe = fn(&RouterParams) -> String;

/// Lines of an instance, a question, its answer, and the kinds of the warnings.
type Row = (&'static str, &'static str, Probe, &'static str, &'static [&'static str]);

/// Reads lines inside an instance that has all it needs; `LINE` stands for them.
const INSTANCE: &str = "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n LINE\n \
                        virtual_ipaddress {\n 10.0.0.1/24\n }\n}\n";
const GLOBAL: &str = "global_defs {\n LINE\n}\nvrrp_instance V {\n interface eth0\n virtual_router_id 51\n \
                      virtual_ipaddress {\n 10.0.0.1/24\n }\n}\n";
const BARE: &str = "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n LINE\n}\n";

fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

const PRIORITY: Probe = |router| router.priority.to_string();
const PREEMPT: Probe = |router| show(router.preempt);
const INTERVAL: Probe = |router| show(router.advertisement_interval.as_duration());
const ANNOUNCE: Probe = |router| format!("{:?} {:?}", router.announce.repeats, router.announce.refresh);
const VERSION: Probe = |router| router.version.number().to_string();
const AUTH: Probe = |router| match &router.auth {
    vrrpd::engine::params::Auth::Hmac(params) => {
        let ids: Vec<String> = params.keys.iter().map(|(id, _)| id.to_string()).collect();
        format!("HMAC {} of {}, {:?}, {:?}", params.active, ids.join(" "), params.mode, params.guard)
    }
    vrrpd::engine::params::Auth::None => "none".to_owned(),
    vrrpd::engine::params::Auth::Password { password: secret, .. } => {
        format!("PASS {:?}", String::from_utf8_lossy(secret.as_bytes()))
    }
    vrrpd::engine::params::Auth::Ah(secret) => format!("AH {:?}", String::from_utf8_lossy(secret.as_bytes())),
};
const PEERS: Probe = |router| match &router.transport {
    Transport::Unicast { peers, .. } => {
        let peers: Vec<_> = peers.iter().map(|peer| format!("{} {:?}", peer.address, peer.min_ttl)).collect();
        peers.join(", ")
    }
    Transport::Multicast { group } => group.to_string(),
};
const SOURCE: Probe = |router| show(router.source);
const VIPS: Probe = |router| router.vips.iter().map(vip).collect::<Vec<_>>().join(", ");
const CHECKSUM: Probe = |router| show(router.checksum);
const LINK: Probe = |router| router.ignores_link.to_string();
const DOWN: Probe = |router| router.master_down_adverts.to_string();

fn vip(vip: &Vip) -> String {
    let mark = if vip.advertise { "" } else { "-" };
    let device = vip.interface.as_ref().map(|interface| format!("%{interface}")).unwrap_or_default();
    format!("{mark}{}/{}{device}", vip.address, vip.prefix_len)
}

/// In an instance.
const ROWS: &[Row] = &[
    ("state", "state BACKUP", PRIORITY, "100", &[]),
    ("state", "state MASTER", PRIORITY, "255", &["contradiction"]),
    ("state", "state MASTER\npriority 90", PRIORITY, "90", &[]),
    ("state", "state ACTIV", PRIORITY, "100", &["value"]),
    ("interface", "interface eth1", |router| router.interface.clone(), "eth1", &[]),
    ("virtual_router_id", "virtual_router_id 7", |router| router.vrid.to_string(), "7", &[]),
    ("virtual_router_id", "virtual_router_id 256", |router| router.vrid.to_string(), "51", &["value"]),
    ("priority", "priority 150", PRIORITY, "150", &[]),
    ("priority", "priority 0", PRIORITY, "100", &["value"]),
    ("priority", "priority 10x", PRIORITY, "10", &["value"]),
    ("priority", "priority x10", PRIORITY, "100", &["value"]),
    ("priority", "priority 10 20", PRIORITY, "10", &["extra-words"]),
    ("advert_int", "advert_int 1", INTERVAL, "1s", &[]),
    ("advert_int", "advert_int 5", INTERVAL, "5s", &["note"]),
    ("advert_int", "advert_int 1.5", INTERVAL, "2s", &["value"]),
    ("advert_int", "advert_int 0.2\nversion 3", INTERVAL, "200ms", &[]),
    ("advert_int", "advert_int 0.255\nversion 3", INTERVAL, "260ms", &["value"]),
    ("advert_int", "advert_int 41\nversion 3", INTERVAL, "40.95s", &["value"]),
    ("advert_int", "advert_int fast", INTERVAL, "1s", &["value"]),
    ("advert_int", "advert_int 1s", INTERVAL, "1s", &["value"]),
    ("nopreempt", "nopreempt", PREEMPT, "Never", &[]),
    ("nopreempt", "nopreempt\npreempt", PREEMPT, "Always", &[]),
    ("nopreempt", "state MASTER\npriority 9\nnopreempt", PREEMPT, "Always", &["contradiction"]),
    ("nopreempt", "priority 255\nnopreempt", PREEMPT, "Always", &["contradiction"]),
    ("preempt_delay", "preempt_delay 300", PREEMPT, "After(300s)", &[]),
    ("preempt_delay", "preempt_delay 0.25", PREEMPT, "After(250ms)", &[]),
    ("preempt_delay", "preempt_delay 0", PREEMPT, "Always", &[]),
    ("preempt_delay", "preempt_delay 1001", PREEMPT, "Always", &["value"]),
    ("preempt_delay", "state MASTER\npriority 9\npreempt_delay 5", PREEMPT, "Always", &["contradiction"]),
    ("preempt_delay", "nopreempt\npreempt_delay 5", PREEMPT, "Never", &["contradiction"]),
    ("version", "version 3", VERSION, "3", &[]),
    ("version", "", VERSION, "2", &[]),
    ("version", "version 4", VERSION, "2", &["value"]),
    (
        "virtual_ipaddress_excluded",
        "virtual_ipaddress_excluded {\n10.0.0.2/24\n2001:db8::1/64\n}",
        VIPS,
        "10.0.0.1/24, -10.0.0.2/24, -2001:db8::1/64",
        &[],
    ),
    ("virtual_ipaddress_excluded", "virtual_ipaddress_excluded {\n10.0.0.1/24\n}", VIPS, "10.0.0.1/24", &["twice"]),
    (
        "unicast_peer",
        "unicast_peer {\n10.9.0.2\n10.9.0.3 min_ttl 254\n}",
        PEERS,
        "10.9.0.2 None, 10.9.0.3 Some(254)",
        &[],
    ),
    (
        "unicast_peer",
        "check_unicast_src\nunicast_peer {\n10.9.0.2\n10.9.0.2\nnobody\nfe80::1\n}",
        PEERS,
        "10.9.0.2 None",
        &["twice", "value", "value"],
    ),
    ("unicast_peer", "unicast_peer {\n}", PEERS, "224.0.0.18", &["contradiction"]),
    ("unicast_peer", "unicast_peer {\n10.9.0.2\n}", PEERS, "10.9.0.2 None", &["note"]),
    ("check_unicast_src", "unicast_peer {\n10.9.0.2\n}\ncheck_unicast_src", PEERS, "10.9.0.2 None", &[]),
    (
        "check_unicast_src",
        "unicast_peer {\n10.9.0.2\n}\ncheck_unicast_srcs",
        PEERS,
        "10.9.0.2 None",
        &["note", "unknown-keyword"],
    ),
    ("unicast_src_ip", "unicast_src_ip 10.9.0.1", SOURCE, "Some(10.9.0.1)", &[]),
    ("unicast_src_ip", "unicast_src_ip 10.9.0", SOURCE, "None", &["value"]),
    (
        "unicast_src_ip",
        "unicast_src_ip 10.9.0.1\ncheck_unicast_src\nunicast_peer {\n10.9.0.1\n10.9.0.2\n}",
        PEERS,
        "10.9.0.2 None",
        &["contradiction"],
    ),
    ("mcast_src_ip", "mcast_src_ip 10.9.0.1", SOURCE, "Some(10.9.0.1)", &[]),
    ("mcast_dst_ip", "mcast_dst_ip 224.0.0.99", PEERS, "224.0.0.99", &[]),
    ("v3_checksum_as_v2", "version 3\nv3_checksum_as_v2", CHECKSUM, "Rfc9568", &[]),
    ("v3_checksum_as_v2", "version 3\nv3_checksum_as_v2 off", CHECKSUM, "Auto", &[]),
    ("v3_checksum_as_v2", "version 3\nv3_checksum_as_v2 maybe", CHECKSUM, "Rfc9568", &["value"]),
    (
        "old_unicast_checksum",
        "version 3\nold_unicast_checksum\ncheck_unicast_src\nunicast_peer {\n10.9.0.2\n}",
        CHECKSUM,
        "OldUnicast",
        &[],
    ),
    ("use_vmac", "use_vmac", PRIORITY, "100", &["not-applied"]),
    ("use_vmac", "use_vmac off", PRIORITY, "100", &[]),
    ("accept", "accept", PRIORITY, "100", &[]),
    ("accept", "no_accept", PRIORITY, "100", &["not-applied"]),
    ("dont_track_primary", "dont_track_primary", LINK, "true", &[]),
    ("dont_track_primary", "dont_track_primry", LINK, "false", &["unknown-keyword"]),
    ("down_timer_adverts", "down_timer_adverts 5", DOWN, "5", &[]),
    ("down_timer_adverts", "down_timer_adverts 0", DOWN, "3", &["value"]),
    ("authentication", "authentication {\nauth_type PASS\nauth_pass secret\n}", AUTH, "PASS \"secret\\0\\0\"", &[]),
    ("authentication", "authentication\n{\nauth_type AH\nauth_pass k4\n}", AUTH, "AH \"k4\\0\\0\\0\\0\\0\\0\"", &[]),
    ("authentication", "version 3\nauthentication {\nauth_type PASS\nauth_pass x\n}", AUTH, "none", &["contradiction"]),
    ("auth_type", "authentication {\nauth_type PASS;\nauth_pass x\n}", AUTH, "none", &["value", "contradiction"]),
    (
        "auth_pass",
        "authentication {\nauth_type PASS\nauth_pass 123456789\n}",
        AUTH,
        "PASS \"12345678\"",
        &["long-password"],
    ),
    ("auth_pass", "authentication {\nauth_type PASS\n}", AUTH, "none", &["contradiction"]),
    ("auth_pass", "authentication {\nauth_type PASS\nauth_pass \"a b#c\"\n}", AUTH, "PASS \"a b#c\\0\\0\\0\"", &[]),
    ("garp_master_delay", "garp_master_delay 2", ANNOUNCE, "[1s, 2s] Some(60s)", &[]),
    ("garp_master_delay", "garp_master_delay 0", ANNOUNCE, "[] Some(60s)", &[]),
    ("garp_master_delay", "garp_master_delay x", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    ("garp_master_repeat", "garp_master_repeat 2", ANNOUNCE, "[50ms, 5s, 5.05s] Some(60s)", &[]),
    (
        "garp_master_repeat",
        "garp_master_repeat 9\ngarp_master_delay 0",
        ANNOUNCE,
        "[50ms, 100ms, 150ms, 200ms] Some(60s)",
        &["not-applied"],
    ),
    ("garp_master_repeat", "garp_master_repeat -1", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    ("garp_master_refresh", "garp_master_refresh 30", ANNOUNCE, "[1s, 5s] Some(30s)", &[]),
    ("garp_master_refresh", "garp_master_refresh 0", ANNOUNCE, "[1s, 5s] None", &[]),
    ("garp_master_refresh", "garp_master_refresh -", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    (
        "strict_mode",
        "strict_mode\nauthentication {\nauth_type PASS\nauth_pass x\n}\npreempt_delay 5",
        AUTH,
        "none",
        &["contradiction", "contradiction", "note"],
    ),
    ("strict_mode", "strict_mode off\npreempt_delay 5", PREEMPT, "After(5s)", &[]),
    ("strict_mode", "strict_mode perhaps", PREEMPT, "Always", &["note", "value"]),
    ("track_interface", "track_interface {\neth1\neth0\n}", PRIORITY, "100", &["note"]),
    ("virtual_routes", "virtual_routes {\n10.8.0.0/16 via 10.0.0.254\n}", PRIORITY, "100", &[]),
    ("virtual_routes", "virtual_routes {\n10.8.0.0/33 via 10.0.0.254\n}", PRIORITY, "100", &["bad-entry"]),
    ("virtual_rules", "virtual_rules {\nfrom 10.8.0.0/16 table 9\n}", PRIORITY, "100", &[]),
    ("virtual_rules", "virtual_rules {\nform 10.8.0.0/16\n}", PRIORITY, "100", &["bad-entry"]),
    ("notify", "notify \"/usr/local/bin/n a\"", PRIORITY, "100", &[]),
    ("notify", "notfy /usr/local/bin/n", PRIORITY, "100", &["unknown-keyword"]),
    ("lvs_sync_daemon_interface", "lvs_sync_daemon_inteface eth0", PRIORITY, "100", &["unknown-keyword"]),
    ("smtp_alert", "smtp_alert", PRIORITY, "100", &["skipped"]),
    ("lower_prio_no_advert", "lower_prio_no_advert", PRIORITY, "100", &["minor"]),
];

/// In `global_defs`.
const GLOBAL_ROWS: &[Row] = &[
    ("vrrp_version", "vrrp_version 3", VERSION, "3", &[]),
    ("vrrp_version", "vrrp_version 1", VERSION, "2", &["value"]),
    ("vrrp_garp_master_delay", "vrrp_garp_master_delay 10", ANNOUNCE, "[1s, 10s] Some(60s)", &[]),
    ("vrrp_garp_master_delay", "vrrp_garp_master_delay ten", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    ("vrrp_garp_master_repeat", "vrrp_garp_master_repeat 1", ANNOUNCE, "[5s] Some(60s)", &[]),
    ("vrrp_garp_master_repeat", "vrrp_garp_master_repeat x", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    ("vrrp_garp_master_refresh", "vrrp_garp_master_refresh 10", ANNOUNCE, "[1s, 5s] Some(10s)", &[]),
    ("vrrp_garp_master_refresh", "vrrp_garp_master_refresh x", ANNOUNCE, "[1s, 5s] Some(60s)", &["value"]),
    ("vrrp_garp_interval", "vrrp_garp_interval 0", PRIORITY, "100", &["minor"]),
    ("vrrp_gna_interval", "vrrp_gna_interval 0", PRIORITY, "100", &["minor"]),
    ("vrrp_skip_check_adv_addr", "vrrp_skip_check_adv_addr", PRIORITY, "100", &[]),
    ("vrrp_skip_check_adv_addr", "vrrp_skip_check_advert_addr", PRIORITY, "100", &["unknown-keyword"]),
    ("vrrp_strict", "vrrp_strict", PRIORITY, "100", &["note"]),
    ("vrrp_strict", "vrrp_strict off", PRIORITY, "100", &[]),
    ("vrrp_strict", "vrrp_strict 1", PRIORITY, "100", &["value", "note"]),
    ("vrrp_mcast_group4", "vrrp_mcast_group4 224.0.0.77", PEERS, "224.0.0.77", &[]),
    ("vrrp_mcast_group4", "vrrp_mcast_group4 10.0.0.77", PEERS, "224.0.0.18", &["value"]),
    ("dynamic_interfaces", "dynamic_interfaces allow_if_changes", PRIORITY, "100", &[]),
    ("dynamic_interfaces", "dynamic_interface", PRIORITY, "100", &["unknown-keyword"]),
    ("reload_check_config", "reload_check_config", PRIORITY, "100", &[]),
    ("enable_script_security", "enable_script_security", PRIORITY, "100", &[]),
    ("script_user", "script_user nobody nogroup", PRIORITY, "100", &[]),
    ("script_user", "script_user a b c", PRIORITY, "100", &["extra-words"]),
    ("router_id", "router_id lb1", PRIORITY, "100", &[]),
    ("router_id", "router_id \"my lb\"", PRIORITY, "100", &["value"]),
    ("vrrp_down_timer_adverts", "vrrp_down_timer_adverts 4", DOWN, "4", &[]),
    (
        "notification_email",
        "notification_email {\na@example.org\n}\nsmtp_server 192.0.2.1",
        PRIORITY,
        "100",
        &["skipped", "skipped"],
    ),
];

/// In an instance without addresses.
const VIP_ROWS: &[Row] = &[
    ("virtual_ipaddress", "virtual_ipaddress {\n10.0.0.2/24\n10.0.0.1/16\n}", VIPS, "10.0.0.2/24, 10.0.0.1/16", &[]),
    ("virtual_ipaddress", "virtual_ipaddress { 10.0.0.1/24 }", VIPS, "10.0.0.1/24", &[]),
    ("virtual_ipaddress", "virtual_ipaddress{10.0.0.1}", VIPS, "10.0.0.1/32", &["bare-address"]),
    (
        "virtual_ipaddress",
        "virtual_ipaddress {\n10.0.0.1/33\nvip\n127.0.0.1/8\n}",
        VIPS,
        "10.0.0.1/32",
        &["value", "value", "value"],
    ),
    (
        "virtual_ipaddress",
        "virtual_ipaddress {\n10.0.0.1/24\n2001:db8::1/64\n}",
        VIPS,
        "10.0.0.1/24",
        &["other-family"],
    ),
    ("virtual_ipaddress", "virtual_ipaddress {\nfe80::1/64\n2001:db8::1/64\n}", VERSION, "3", &[]),
    ("virtual_ipaddress", "virtual_ipaddress {\n}", VIPS, "", &["contradiction"]),
    ("virtual_ipaddress", "", VIPS, "", &["contradiction"]),
    ("dev", "virtual_ipaddress {\n10.0.0.1/24 dev eth1\n}", VIPS, "10.0.0.1/24%eth1", &[]),
    ("dev", "virtual_ipaddress {\n10.0.0.1/24 dev eth1:0\n}", VIPS, "", &["value", "contradiction"]),
    ("dev", "virtual_ipaddress {\n10.0.0.1/24 dev\n}", VIPS, "10.0.0.1/24", &["extra-words"]),
    ("scope", "virtual_ipaddress {\n10.0.0.1/24 scope link\n}", |router| show(router.vips[0].scope), "Link", &[]),
    ("scope", "virtual_ipaddress {\n10.0.0.1/24 scope 77\n}", |router| show(router.vips[0].scope), "Other(77)", &[]),
    (
        "scope",
        "virtual_ipaddress {\n10.0.0.1/24 scope nowhere\n}",
        |router| show(router.vips[0].scope),
        "Global",
        &["value"],
    ),
    (
        "label",
        "virtual_ipaddress {\n10.0.0.1/24 label eth0:1\n}",
        |router| show(&router.vips[0].label),
        "Some(\"eth0:1\")",
        &[],
    ),
    ("label", "virtual_ipaddress {\n10.0.0.1/24 label sixteen-or-more.\n}", VIPS, "", &["value", "contradiction"]),
    (
        "brd",
        "virtual_ipaddress {\n10.0.0.1/24 brd + dev eth0\n}",
        |router| show(router.vips[0].broadcast),
        "Some(10.0.0.255)",
        &[],
    ),
    ("brd", "virtual_ipaddress {\n10.0.0.1/31 brd +\n}", |router| show(router.vips[0].broadcast), "None", &["value"]),
    (
        "peer",
        "virtual_ipaddress {\n10.0.0.1 peer 10.0.0.2/30\n}",
        |router| show((router.vips[0].options.peer, router.vips[0].prefix_len)),
        "(Some(10.0.0.2), 30)",
        &["not-applied"],
    ),
    (
        "preferred_lft",
        "virtual_ipaddress {\nfe80::1/64\n2001:db8::1 preferred_lft forever\n}",
        |router| show(router.vips[1].options.preferred_lifetime),
        "None",
        &["bare-address"],
    ),
    (
        "preferred_lft",
        "virtual_ipaddress {\nfe80::1/128\n}",
        |router| show(router.vips[0].options.preferred_lifetime),
        "Some(0)",
        &[],
    ),
    (
        "flags",
        "virtual_ipaddress {\nfe80::1/64 -nodad home mngtmpaddr noprefixroute autojoin no_track\n}",
        |router| {
            let options = &router.vips[0].options;
            show([
                options.detects_duplicates,
                options.is_home,
                options.manages_temporary,
                options.has_no_route,
                options.joins_group,
                options.is_untracked,
            ])
        },
        "[true, true, true, true, true, true]",
        &["minor"],
    ),
];

#[test]
fn instance_keywords() {
    check(INSTANCE, ROWS);
}

#[test]
fn global_keywords() {
    check(GLOBAL, GLOBAL_ROWS);
}

#[test]
fn address_keywords() {
    check(BARE, VIP_ROWS);
}

#[track_caller]
fn check(template: &str, rows: &[Row]) {
    for (keyword, line, probe, answer, expected) in rows {
        let text = template.replace("LINE", line);
        let loaded = load(&text);
        let routers = routers(&loaded.config);
        assert_eq!(routers.len(), 1, "{keyword}: {line}");
        assert_eq!(probe(&routers[0]), *answer, "{keyword}: {line}");
        let mut found = kinds(&loaded.warnings);
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{keyword}: {line}");
        assert_converts(line, &loaded);
    }
}

/// Each keyword of the tables is there right and wrong; those without a wrong form are switches.
#[test]
fn each_common_keyword_has_its_rows() {
    const COMMON: &str = "router_id script_user enable_script_security vrrp_version vrrp_garp_master_delay \
        vrrp_garp_master_repeat vrrp_garp_master_refresh vrrp_garp_interval vrrp_gna_interval vrrp_skip_check_adv_addr \
        vrrp_strict dynamic_interfaces reload_check_config state interface virtual_router_id priority advert_int nopreempt \
        preempt_delay version virtual_ipaddress virtual_ipaddress_excluded virtual_routes virtual_rules unicast_peer \
        unicast_src_ip check_unicast_src v3_checksum_as_v2 use_vmac accept dont_track_primary track_interface \
        authentication auth_type auth_pass notify garp_master_delay garp_master_repeat garp_master_refresh strict_mode \
        dev scope label";
    let rows = || ROWS.iter().chain(GLOBAL_ROWS).chain(VIP_ROWS);
    for keyword in COMMON.split_whitespace() {
        assert!(rows().any(|row| row.0 == keyword), "{keyword} has no row");
    }
}

#[test]
fn what_keepalived_cannot_run_is_refused() {
    let vip = "virtual_ipaddress {\n10.0.0.1/24\n}\n";
    for (text, why) in [
        ("".to_owned(), "f.conf:1:1: error: no vrrp_instance"),
        ("virtual_server 10.0.0.1 80 {\n}".to_owned(), "f.conf:1:1: error: no vrrp_instance"),
        (
            format!("vrrp_instance V {{\nvirtual_router_id 1\n{vip}}}"),
            "f.conf:1:1: error: the instance has no interface",
        ),
        (
            format!("vrrp_instance V {{\ninterface eth0\n{vip}}}"),
            "f.conf:1:1: error: the instance has no usable virtual_router",
        ),
        (format!("vrrp_instance V {{\ninterface\n{vip}}}"), "f.conf:2:1: error: `interface` needs a word"),
        (format!("vrrp_instance V {{\ninterface eth0/1\n{vip}}}"), "f.conf:2:11: error: no interface can be named"),
        (
            "vrrp_instance V {\ninterface e\nvirtual_router_id 1\nversion 3\n}".to_owned(),
            "f.conf:1:1: error: the instance has no usable virtual_ipaddress",
        ),
        (
            format!(
                "vrrp_instance V {{\ninterface e\nvirtual_router_id 1\nstrict_mode\nunicast_peer {{\n10.0.0.9\n}}\n{vip}}}"
            ),
            "f.conf:5:1: error: strict mode and unicast",
        ),
        (
            format!("vrrp_instance V {{\ninterface e\nvirtual_router_id 1\n{vip}}}\n").repeat(1)
                + &format!("vrrp_instance W {{\ninterface e\nvirtual_router_id 1\n{}}}\n", vip.replace("10.0", "10.1")),
            "f.conf:10:19: error: virtual_router_id 1 on e over IPv4 is already that of instance \"V\", at line 1",
        ),
    ] {
        let lines = refused(&text);
        assert!(lines.lines().any(|line| line.starts_with(why)), "{why}\n{lines}\n---\n{text}");
    }
}

#[test]
fn unicast_instances_with_other_peers_may_share_an_identifier() {
    let instance = |name: &str, vip: &str, peer: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface e\nvirtual_router_id 1\ncheck_unicast_src\nunicast_peer {{\n{peer}\n}}\n\
             virtual_ipaddress {{\n{vip}/24\n}}\n}}\n"
        )
    };
    let loaded = load(&(instance("A", "10.0.0.1", "10.9.0.1") + &instance("B", "10.0.0.2", "10.9.0.2")));
    assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
    assert_converts("two", &loaded);
    refused(&(instance("A", "10.0.0.1", "10.9.0.1") + &instance("B", "10.0.0.2", "10.9.0.1")));
}

#[test]
fn an_address_stays_with_its_first_instance() {
    let instance = |name: &str, id: u8, vips: &str| {
        format!("vrrp_instance {name} {{\ninterface e\nvirtual_router_id {id}\nvirtual_ipaddress {{\n{vips}\n}}\n}}\n")
    };
    let loaded = load(&(instance("A", 1, "10.0.0.1/24") + &instance("B", 2, "10.0.0.2/24\n10.0.0.1/24")));
    assert_eq!(kinds(&loaded.warnings), ["of-another"]);
    assert_eq!(routers(&loaded.config)[1].vips.len(), 1);
    let loaded = load(&(instance("A", 1, "10.0.0.1/24") + &instance("A", 2, "10.0.0.2/24")));
    assert_eq!((kinds(&loaded.warnings), routers(&loaded.config).len()), (vec!["twice"], 1));
}

#[test]
fn order_matters_as_in_keepalived() {
    let instance = "vrrp_instance V {\n interface e\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1/24\n }\n \
                    track_script {\n chk\n }\n}\n";
    let script = "vrrp_script chk {\n script /bin/true\n}\n";
    let loaded = load(&format!("{instance}{script}"));
    let text: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(
        text[0].starts_with("f.conf:8:2: warning: vrrp_script chk is defined only behind this, at line 11"),
        "{text:?}"
    );
    assert!(routers(&loaded.config)[0].tracks.is_empty());
    let globals = "global_defs {\n vrrp_garp_master_delay 9\n vrrp_version 3\n}\n";
    let loaded = load(&format!("{}{globals}", instance.replace("chk", "")));
    let router = &routers(&loaded.config)[0];
    assert_eq!((router.version.number(), router.announce.repeats.len()), (3, 2));
    assert_eq!(router.announce.repeats[1].as_secs(), 5);
    assert_eq!(kinds(&loaded.warnings), ["too-late"]);
}

#[test]
fn routes_and_rules_are_typed() {
    let loaded = load(&INSTANCE.replace(
        "LINE",
        "virtual_routes {\nsrc 10.0.0.1 to 10.8.0.0/16 via 10.0.0.254 dev eth1 table 7 metric 20 scope link\n\
         default gw 10.0.0.253\nblackhole 10.7.0.0/24\n10.6.0.0/16 via inet6 fe80::1 mtu 1400 onlink no_track\n10.5.0.1 oif eth3\n}\n\
         virtual_rules {\nfrom 10.0.0.0/8 to 10.9.0.0/16 table 100 preference 50\niif eth2 lookup main fwmark 0x1\n}\n",
    ));
    let router = &routers(&loaded.config)[0];
    let routes: Vec<String> = router.routes.iter().map(ToString::to_string).collect();
    assert_eq!(
        routes,
        [
            "10.8.0.0/16 via 10.0.0.254 dev eth1 src 10.0.0.1 table 7 metric 20 scope 253",
            "inet default via 10.0.0.253",
            "blackhole 10.7.0.0/24",
            "10.6.0.0/16 via fe80::1 dev eth0 onlink mtu 1400 no_track",
            "10.5.0.1/32 dev eth3",
        ]
    );
    let rules: Vec<String> = router.rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "inet from 10.0.0.0/8 to 10.9.0.0/16 preference 50 table 100",
            "inet fwmark 0x1/0xffffffff iif eth2 table 254",
        ]
    );
    assert_converts("routes and rules", &loaded);
}

#[test]
fn static_entries_belong_to_no_instance() {
    let loaded = load(&format!(
        "static_ipaddress {{\n10.8.0.1/24 dev eth1\n10.8.0.2/24\n10.8.0.1/24 dev eth1\n}}\n\
         static_routes {{\n10.9.0.0/16 via 10.8.0.254\n10.7.0.0/16\n10.6.0.0/16 encap mpls 7 via 10.8.0.254\n}}\n\
         static_rules {{\nfrom 10.9.0.0/16 table 100 realms 7\n}}\n{}",
        INSTANCE.replace("LINE", "")
    ));
    let fixed = &loaded.config.fixed;
    let addresses: Vec<_> =
        fixed.addresses.iter().map(|vip| (vip.address.to_string(), vip.interface.clone())).collect();
    let on = |address: &str, interface: &str| (address.to_owned(), Some(interface.to_owned()));
    assert_eq!(addresses, [on("10.8.0.1", "eth1"), on("10.8.0.2", "eth0")]);
    assert_eq!(fixed.routes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.9.0.0/16 via 10.8.0.254"]);
    assert_eq!(fixed.rules.iter().map(ToString::to_string).collect::<Vec<_>>(), ["inet from 10.9.0.0/16 table 100"]);
    let all = loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for part in ["eth0, carries this address", "\"10.7.0.0/16\" cannot be read", "`encap`", "`realms`"] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    assert_converts("static entries", &loaded);
}
