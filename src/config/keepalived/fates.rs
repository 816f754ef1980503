//! What becomes of each keyword that has no parameter behind it: a table, so that none is dropped silently.
//!
//! One stop before: `global` and `instance`, for what they do not read themselves; one stop after: `remark`.

use super::remark::Remark;
use super::report::Report;
use super::tree::Node;
use super::value;

/// What becomes of a keyword.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It holds here anyway, so leaving it out changes nothing.
    Holds,
    /// It concerns something else than VRRP.
    Skipped(&'static str),
    /// It has no effect; this is what that means.
    Left(&'static str),
    /// It has no effect, and nothing depends on it.
    Minor(&'static str),
}

/// Reports what becomes of a node; a switch that is off changes nothing.
pub(super) fn tell(node: &Node, table: &[(&'static [&'static str], Fate)], report: &mut Report) {
    if node.word(0).is_some_and(|word| value::truth(&word.value) == Some(false)) {
        return;
    }
    let keyword = node.keyword.clone();
    match table.iter().find(|(names, _)| names.contains(&node.keyword.as_str())).map(|(_, fate)| *fate) {
        Some(Fate::Holds) => {}
        Some(Fate::Skipped(reason)) => report.remark(node.spot, Remark::Skipped { keyword, reason }),
        Some(Fate::Left(effect)) => report.remark(node.spot, Remark::NotApplied { keyword, effect }),
        Some(Fate::Minor(effect)) => report.remark(node.spot, Remark::Minor { keyword, effect }),
        None => report.remark(node.spot, Remark::NotApplied { keyword, effect: "this version does not know it" }),
    }
}

const MAIL: Fate =
    Fate::Skipped("there are no e-mails; let a monitoring system read the journal or `vrrpd status --json`");
const LVS: Fate = Fate::Skipped("it concerns LVS and not VRRP; leave that to the program that does it");
const SCHEDULING: Fate = Fate::Minor("scheduling, memory and limits are set in the systemd unit");
const BUFFERS: Fate = Fate::Minor("the daemon sizes its buffers itself and resynchronises when one overflows");
const NAMES: Fate = Fate::Minor("process names and places of files are the daemon's own; look into `vrrpd status`");
const SNMP: Fate = Fate::Left("there is no SNMP and no DBus; `vrrpd status --json` answers instead");
const FIREWALL: Fate = Fate::Minor("no firewall rules are made; nothing here needs any");
const GARP_PACE: Fate =
    Fate::Minor("announcements are paced by the daemon itself, fast enough for thousands of addresses");
const LOWER: Fate = Fate::Minor(
    "after a rival was heard the addresses are announced again at the daemon's own pace, once a second at most",
);
const MACVLAN: Fate = Fate::Left(
    "no virtual MAC: addresses keep the interface's own, and neighbours learn of a move by gratuitous ARP; \
     adverts leave from the interface itself",
);
const DUMPS: Fate = Fate::Left("there are no dump files; `vrrpd status --json` answers instead");

/// Keywords of the top level.
pub(super) const ROOT: &[(&[&str], Fate)] = &[
    (&["virtual_server", "virtual_server_group", "SSL", "net_namespace_ipvs", "namespace_with_ipsets"], LVS),
    (&["track_group"], Fate::Left("static entries are put back, and their loss takes no instance to FAULT")),
    (&["garp_group"], GARP_PACE),
    (&["linkbeat_interfaces", "linkbeat_use_polling"], Fate::Minor("the link state comes from the kernel's notices")),
    (
        &["interface_up_down_delays"],
        Fate::Left("a link that goes down counts at once; after it comes up a node listens for a master-down interval"),
    ),
    (&["net_namespace"], Fate::Left("the daemon runs where it is started; use NetworkNamespacePath= in the unit")),
    (&["instance", "use_pid_dir"], Fate::Left("there are no PID files; several daemons differ by --runtime-dir")),
    (&["child_wait_time"], Fate::Holds),
];

/// Keywords of `global_defs`.
pub(super) const GLOBAL: &[(&[&str], Fate)] = &[
    (
        &[
            "notification_email",
            "notification_email_from",
            "smtp_server",
            "smtp_connect_timeout",
            "smtp_helo_name",
            "smtp_alert",
            "smtp_alert_vrrp",
            "no_email_faults",
            "smtp_alert_checker",
            "no_checker_emails",
        ],
        MAIL,
    ),
    (
        &[
            "checker_log_all_failures",
            "rs_init_notifies",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
            "nftables_ipvs",
            "nftables_ipvs_priority",
            "nftables_ipvs_start_fwmark",
            "lvs_netlink_cmd_rcv_bufs",
            "lvs_netlink_cmd_rcv_bufs_force",
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
            "enable_snmp_checker",
            "snmp_vs_stats_update_interval",
            "snmp_rs_stats_update_interval",
            "lvs_sync_daemon",
            "lvs_timeouts",
            "lvs_flush",
            "lvs_flush_on_stop",
            "lvs_flush_onstop",
            "lvs_process_name",
            "checker_priority",
            "checker_no_swap",
            "checker_rt_priority",
            "checker_cpu_affinity",
            "checker_rlimit_rttime",
            "checker_rlimit_rtime",
            "checker_process_name",
        ],
        LVS,
    ),
    (&["set_supplementary_groups", "use_symlink_paths"], Fate::Holds),
    (&["vrrp_garp_master_refresh_repeat", "vrrp_min_garp"], Fate::Minor("each address is announced once a refresh")),
    (&["vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat"], LOWER),
    (&["vrrp_garp_interval", "vrrp_gna_interval"], GARP_PACE),
    (
        &["vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"],
        Fate::Minor("every address is announced on the interface it is on"),
    ),
    (
        &["vrrp_lower_prio_no_advert"],
        Fate::Minor("a master answers a lower priority advert at once, at most twice an interval"),
    ),
    (&["vrrp_higher_prio_send_advert"], Fate::Holds),
    (&["vrrp_owner_ignore_adverts"], Fate::Minor("an owner judges what it hears, as RFC 9568 says since erratum 8298")),
    (&["vrrp_check_unicast_src", "vrrp_skip_check_adv_addr", "dynamic_interfaces", "reload_check_config"], Fate::Holds),
    (&["log_unknown_vrids"], Fate::Minor("adverts for other virtual routers are counted and not logged")),
    (
        &["vrrp_startup_delay", "vrrp_delay_after_boot"],
        Fate::Left(
            "the daemon takes part as soon as it runs, and listens for a master-down interval before it takes over; \
             delay the unit if that is too early",
        ),
    ),
    (
        &["vrrp_iptables", "vrrp_ipsets", "nftables", "nftables_priority", "nftables_counters", "nftables_ifindex"],
        FIREWALL,
    ),
    (&["disable_local_igmp"], Fate::Left("the sysctl is left as it is")),
    (
        &[
            "vrrp_priority",
            "vrrp_no_swap",
            "vrrp_rt_priority",
            "vrrp_cpu_affinity",
            "vrrp_rlimit_rttime",
            "vrrp_rlimit_rtime",
            "max_auto_priority",
            "min_auto_priority_delay",
            "bfd_priority",
            "bfd_no_swap",
            "bfd_rt_priority",
            "bfd_cpu_affinity",
            "bfd_rlimit_rttime",
            "bfd_rlimit_rtime",
            "umask",
        ],
        SCHEDULING,
    ),
    (
        &[
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "process_monitor_rcv_bufs",
            "process_monitor_rcv_bufs_force",
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
        ],
        BUFFERS,
    ),
    (&["vmac_prefix", "vmac_addr_prefix"], MACVLAN),
    (&["process_names", "process_name", "vrrp_process_name", "bfd_process_name", "config_save_dir"], NAMES),
    (&["tmp_config_directory", "data_use_instance", "iproute_usr_dir", "iproute_etc_dir"], NAMES),
    (&["random_seed", "include_check"], Fate::Holds),
    (
        &["reload_time_file", "reload_repeat", "reload_file"],
        Fate::Left("there is no reload by the clock; a systemd timer with `systemctl reload` does it"),
    ),
    (&["state_dump_file", "stats_dump_file", "json_dump_file", "json_version"], DUMPS),
    (
        &[
            "snmp_socket",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "enable_traps",
            "enable_dbus",
            "dbus_service_name",
            "dbus_no_interface_name",
        ],
        SNMP,
    ),
];

/// Keywords of an instance.
pub(super) const INSTANCE: &[(&[&str], Fate)] = &[
    (&["smtp_alert"], MAIL),
    (&["lvs_sync_daemon_interface"], LVS),
    (
        &["accept", "skip_check_adv_addr", "check_unicast_src", "higher_prio_send_advert", "track_src_ip", "debug"],
        Fate::Holds,
    ),
    (
        &["no_accept"],
        Fate::Left("the master answers on its addresses; drop the packets with a firewall rule of your own"),
    ),
    (
        &["promote_secondaries"],
        Fate::Left("set the sysctl net.ipv4.conf.IF.promote_secondaries; lost addresses are put back in any case"),
    ),
    (&["use_vmac", "use_vmac_addr", "vmac_xmit_base", "use_ipvlan"], MACVLAN),
    (&["vrf"], Fate::Left("name the interface itself with `interface`")),
    (&["garp_master_refresh_repeat"], Fate::Minor("each address is announced once a refresh")),
    (&["garp_lower_prio_delay", "garp_lower_prio_repeat"], LOWER),
    (&["garp_extra_if", "vmac_garp_intvl"], Fate::Minor("every address is announced on the interface it is on")),
    (
        &["lower_prio_no_advert"],
        Fate::Minor("a master answers a lower priority advert at once, at most twice an interval"),
    ),
    (&["owner_ignore_adverts"], Fate::Minor("an owner judges what it hears, as RFC 9568 says since erratum 8298")),
    (
        &["timer_expired_backup", "thread_timer_expired"],
        Fate::Minor("after a pause the daemon reads what it missed first, and a master that finds a rival steps back"),
    ),
    (&["kernel_rx_buf_size"], BUFFERS),
    (&["linkbeat_use_polling"], Fate::Minor("the link state comes from the kernel's notices")),
];
