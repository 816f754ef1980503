//! Every keyword of keepalived.conf that concerns VRRP, where it may stand, and what stands behind it.
//!
//! Knows names alone; what they mean is in `map`. One stop before and after: `tree`.

/// A keyword of one block.
#[derive(Debug)]
pub(super) struct Keyword {
    /// As written; upper and lower case differ.
    pub name: &'static str,
    /// How many words must follow; Keepalived ends when one is missing.
    pub least: usize,
    /// What stands in braces behind it.
    pub body: Body,
}

/// What stands in braces behind a keyword.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// Keywords.
    Block(&'static [Keyword]),
    /// One entry a line.
    List,
    /// What does not concern VRRP.
    Foreign,
}

const fn flag(name: &'static str) -> Keyword {
    Keyword { name, least: 0, body: Body::None }
}

const fn word(name: &'static str) -> Keyword {
    Keyword { name, least: 1, body: Body::None }
}

const fn list(name: &'static str) -> Keyword {
    Keyword { name, least: 0, body: Body::List }
}

const fn block(name: &'static str, body: &'static [Keyword]) -> Keyword {
    Keyword { name, least: 0, body: Body::Block(body) }
}

const fn named(name: &'static str, body: &'static [Keyword]) -> Keyword {
    Keyword { name, least: 1, body: Body::Block(body) }
}

const fn foreign(name: &'static str) -> Keyword {
    Keyword { name, least: 0, body: Body::Foreign }
}

/// Outside any block.
pub(super) const ROOT: &[Keyword] = &[
    block("global_defs", GLOBAL),
    named("vrrp_instance", INSTANCE),
    named("vrrp_script", SCRIPT),
    named("vrrp_sync_group", GROUP),
    named("track_file", FILE),
    named("vrrp_track_file", FILE),
    named("vrrp_track_process", PROCESS),
    named("bfd_instance", BFD),
    list("static_ipaddress"),
    list("static_routes"),
    list("static_rules"),
    named("track_group", TRACK_GROUP),
    block("garp_group", GARP_GROUP),
    list("linkbeat_interfaces"),
    flag("linkbeat_use_polling"),
    list("interface_up_down_delays"),
    word("net_namespace"),
    word("net_namespace_ipvs"),
    flag("namespace_with_ipsets"),
    word("instance"),
    flag("use_pid_dir"),
    word("child_wait_time"),
    foreign("virtual_server"),
    foreign("virtual_server_group"),
    foreign("SSL"),
];

const GLOBAL: &[Keyword] = &[
    word("router_id"),
    list("notification_email"),
    word("notification_email_from"),
    word("smtp_server"),
    word("smtp_connect_timeout"),
    word("smtp_helo_name"),
    flag("smtp_alert"),
    flag("smtp_alert_vrrp"),
    flag("no_email_faults"),
    flag("smtp_alert_checker"),
    flag("checker_log_all_failures"),
    flag("no_checker_emails"),
    flag("rs_init_notifies"),
    word("script_user"),
    flag("enable_script_security"),
    flag("set_supplementary_groups"),
    flag("use_symlink_paths"),
    word("startup_script"),
    word("shutdown_script"),
    word("startup_script_timeout"),
    word("shutdown_script_timeout"),
    word("notify_fifo"),
    word("vrrp_notify_fifo"),
    word("lvs_notify_fifo"),
    word("notify_fifo_script"),
    word("vrrp_notify_fifo_script"),
    word("lvs_notify_fifo_script"),
    flag("fifo_write_vrrp_states_on_reload"),
    flag("vrrp_notify_priority_changes"),
    word("vrrp_version"),
    word("vrrp_mcast_group4"),
    word("vrrp_mcast_group6"),
    word("default_interface"),
    word("vrrp_garp_master_delay"),
    word("vrrp_garp_master_repeat"),
    word("vrrp_garp_master_refresh"),
    word("vrrp_garp_master_refresh_repeat"),
    word("vrrp_garp_lower_prio_delay"),
    word("vrrp_garp_lower_prio_repeat"),
    word("vrrp_garp_interval"),
    word("vrrp_gna_interval"),
    flag("vrrp_min_garp"),
    word("vrrp_garp_extra_if"),
    word("vrrp_vmac_garp_intvl"),
    word("vrrp_down_timer_adverts"),
    flag("vrrp_lower_prio_no_advert"),
    flag("vrrp_higher_prio_send_advert"),
    flag("vrrp_owner_ignore_adverts"),
    flag("v3_checksum_as_v2"),
    flag("vrrp_check_unicast_src"),
    flag("vrrp_skip_check_adv_addr"),
    flag("vrrp_strict"),
    flag("log_unknown_vrids"),
    word("vrrp_startup_delay"),
    word("vrrp_delay_after_boot"),
    flag("dynamic_interfaces"),
    flag("vrrp_iptables"),
    flag("vrrp_ipsets"),
    flag("nftables"),
    word("nftables_priority"),
    flag("nftables_counters"),
    flag("nftables_ifindex"),
    flag("nftables_ipvs"),
    word("nftables_ipvs_priority"),
    word("nftables_ipvs_start_fwmark"),
    flag("disable_local_igmp"),
    word("vrrp_priority"),
    flag("vrrp_no_swap"),
    word("vrrp_rt_priority"),
    word("vrrp_cpu_affinity"),
    word("vrrp_rlimit_rttime"),
    word("vrrp_rlimit_rtime"),
    flag("max_auto_priority"),
    word("min_auto_priority_delay"),
    word("checker_priority"),
    flag("checker_no_swap"),
    word("checker_rt_priority"),
    word("checker_cpu_affinity"),
    word("checker_rlimit_rttime"),
    word("checker_rlimit_rtime"),
    word("bfd_priority"),
    flag("bfd_no_swap"),
    word("bfd_rt_priority"),
    word("bfd_cpu_affinity"),
    word("bfd_rlimit_rttime"),
    word("bfd_rlimit_rtime"),
    word("vrrp_netlink_cmd_rcv_bufs"),
    flag("vrrp_netlink_cmd_rcv_bufs_force"),
    word("vrrp_netlink_monitor_rcv_bufs"),
    flag("vrrp_netlink_monitor_rcv_bufs_force"),
    word("process_monitor_rcv_bufs"),
    flag("process_monitor_rcv_bufs_force"),
    word("lvs_netlink_cmd_rcv_bufs"),
    flag("lvs_netlink_cmd_rcv_bufs_force"),
    word("lvs_netlink_monitor_rcv_bufs"),
    flag("lvs_netlink_monitor_rcv_bufs_force"),
    word("vrrp_rx_bufs_policy"),
    word("vrrp_rx_bufs_multiplier"),
    word("umask"),
    word("vmac_prefix"),
    word("vmac_addr_prefix"),
    flag("process_names"),
    word("process_name"),
    word("vrrp_process_name"),
    word("checker_process_name"),
    word("bfd_process_name"),
    word("random_seed"),
    flag("include_check"),
    flag("reload_check_config"),
    word("reload_time_file"),
    flag("reload_repeat"),
    flag("reload_file"),
    word("config_save_dir"),
    word("tmp_config_directory"),
    flag("data_use_instance"),
    word("state_dump_file"),
    word("stats_dump_file"),
    word("json_dump_file"),
    word("json_version"),
    word("iproute_usr_dir"),
    word("iproute_etc_dir"),
    word("snmp_socket"),
    flag("enable_snmp_vrrp"),
    flag("enable_snmp_keepalived"),
    flag("enable_snmp_rfc"),
    flag("enable_snmp_rfcv2"),
    flag("enable_snmp_rfcv3"),
    flag("enable_traps"),
    flag("enable_snmp_checker"),
    word("snmp_vs_stats_update_interval"),
    word("snmp_rs_stats_update_interval"),
    flag("enable_dbus"),
    word("dbus_service_name"),
    flag("dbus_no_interface_name"),
    word("lvs_sync_daemon"),
    word("lvs_timeouts"),
    flag("lvs_flush"),
    flag("lvs_flush_on_stop"),
    flag("lvs_flush_onstop"),
    word("lvs_process_name"),
];

const INSTANCE: &[Keyword] = &[
    word("state"),
    word("interface"),
    word("virtual_router_id"),
    word("priority"),
    word("advert_int"),
    flag("nopreempt"),
    flag("preempt"),
    word("preempt_delay"),
    word("version"),
    flag("native_ipv6"),
    list("virtual_ipaddress"),
    list("virtual_ipaddress_excluded"),
    flag("no_virtual_ipaddress"),
    list("virtual_routes"),
    list("virtual_rules"),
    flag("promote_secondaries"),
    list("unicast_peer"),
    word("unicast_src_ip"),
    word("mcast_src_ip"),
    word("mcast_dst_ip"),
    flag("track_src_ip"),
    word("unicast_ttl"),
    flag("check_unicast_src"),
    flag("unicast_fault_no_peer"),
    flag("old_unicast_checksum"),
    flag("v3_checksum_as_v2"),
    flag("use_vmac"),
    flag("use_vmac_addr"),
    flag("vmac_xmit_base"),
    flag("use_ipvlan"),
    word("vrf"),
    flag("accept"),
    flag("no_accept"),
    flag("dont_track_primary"),
    list("track_interface"),
    list("track_script"),
    list("track_file"),
    list("track_process"),
    list("track_bfd"),
    block("authentication", AUTH),
    block("auth_hmac", HMAC),
    word("notify_master"),
    word("notify_backup"),
    word("notify_fault"),
    word("notify_stop"),
    word("notify"),
    flag("notify_deleted"),
    word("notify_master_rx_lower_pri"),
    flag("notify_priority_changes"),
    flag("smtp_alert"),
    word("garp_master_delay"),
    word("garp_master_repeat"),
    word("garp_master_refresh"),
    word("garp_master_refresh_repeat"),
    word("garp_lower_prio_delay"),
    word("garp_lower_prio_repeat"),
    word("garp_extra_if"),
    word("vmac_garp_intvl"),
    flag("lower_prio_no_advert"),
    flag("higher_prio_send_advert"),
    flag("owner_ignore_adverts"),
    word("down_timer_adverts"),
    flag("timer_expired_backup"),
    flag("thread_timer_expired"),
    flag("skip_check_adv_addr"),
    flag("strict_mode"),
    word("kernel_rx_buf_size"),
    flag("linkbeat_use_polling"),
    word("lvs_sync_daemon_interface"),
    flag("debug"),
];

const AUTH: &[Keyword] = &[word("auth_type"), word("auth_pass")];

const HMAC: &[Keyword] = &[word("key"), word("active_key"), word("time_window"), flag("anti_replay"), word("mode")];

const SCRIPT: &[Keyword] = &[
    word("script"),
    word("interval"),
    word("timeout"),
    word("weight"),
    word("rise"),
    word("fall"),
    word("user"),
    flag("init_fail"),
];

const FILE: &[Keyword] = &[word("file"), word("weight"), flag("init_file")];

const PROCESS: &[Keyword] = &[
    word("process"),
    word("param_match"),
    word("weight"),
    word("quorum"),
    word("quorum_max"),
    word("delay"),
    word("fork_delay"),
    word("terminate_delay"),
    flag("full_command"),
];

const BFD: &[Keyword] = &[
    word("neighbor_ip"),
    word("neighbour_ip"),
    word("source_ip"),
    word("min_rx"),
    word("min_tx"),
    word("idle_tx"),
    word("multiplier"),
    flag("passive"),
    flag("multihop"),
    word("ttl"),
    word("hoplimit"),
    word("max_hops"),
    word("weight"),
    flag("vrrp"),
    flag("checker"),
];

const GROUP: &[Keyword] = &[
    list("group"),
    list("track_interface"),
    list("track_script"),
    list("track_file"),
    list("track_process"),
    list("track_bfd"),
    word("notify_master"),
    word("notify_backup"),
    word("notify_fault"),
    word("notify_stop"),
    word("notify"),
    flag("smtp_alert"),
    flag("notify_priority_changes"),
    flag("sync_group_tracking_weight"),
    flag("global_tracking"),
];

const TRACK_GROUP: &[Keyword] = &[list("group")];

const GARP_GROUP: &[Keyword] = &[word("garp_interval"), word("gna_interval"), word("interface"), list("interfaces")];

/// Says whether a word is a keyword of some block.
pub(super) fn is_known(word: &str) -> bool {
    find(ROOT, word).is_some()
}

/// Says whether a word is a keyword whose block has one entry a line.
pub(super) fn is_list(word: &str) -> bool {
    find(ROOT, word).is_some_and(|keyword| matches!(keyword.body, Body::List))
}

fn find(table: &'static [Keyword], word: &str) -> Option<&'static Keyword> {
    let inner = |keyword: &'static Keyword| match keyword.body {
        Body::Block(inner) => find(inner, word),
        Body::None | Body::List | Body::Foreign => None,
    };
    table.iter().find(|keyword| keyword.name == word).or_else(|| table.iter().find_map(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Format, load_from};

    const INSTANCE_HEAD: &str =
        "vrrp_instance V {\n interface e\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1/24\n }\n";

    /// Every keyword is either read or has its own sentence; none falls through.
    #[test]
    fn each_keyword_has_a_fate() {
        for (table, head, tail) in [
            (ROOT, String::new(), format!("{INSTANCE_HEAD}}}\n")),
            (GLOBAL, "global_defs {\n".to_owned(), format!("}}\n{INSTANCE_HEAD}}}\n")),
            (INSTANCE, INSTANCE_HEAD.to_owned(), "}\n".to_owned()),
            (GROUP, "vrrp_sync_group G {\n".to_owned(), format!("}}\n{INSTANCE_HEAD}}}\n")),
        ] {
            for keyword in table {
                let body = match keyword.body {
                    Body::None => "",
                    Body::Block(_) | Body::List | Body::Foreign => " {\n}",
                };
                let text = format!("{head}{} {}{body}\n{tail}", keyword.name, "1 ".repeat(keyword.least));
                let found = match load_from("f", text.as_bytes(), Format::Keepalived) {
                    Ok(loaded) => loaded.warnings,
                    Err(problems) => problems.0,
                };
                for problem in found {
                    let text = problem.to_string();
                    assert!(!text.contains("does not know it") && !text.contains("unknown keyword"), "{text}");
                }
            }
        }
    }
}
