//! What is called and told: text in, hooks out.

use std::time::Duration;

use vrrpd::engine::params::{Command, Fallback, Hook, Hooks, NodeHooks, UserParams};

use crate::reader::{assert_converts, kinds, load, node};

fn file(global: &str, lines: &str, group: &str) -> String {
    format!(
        "global_defs {{\n{global}\n}}\nvrrp_instance V {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n \
         10.0.0.1/24\n }}\n{lines}\n}}\nvrrp_instance W {{\n interface eth0\n virtual_router_id 2\n virtual_ipaddress {{\n \
         10.0.0.2/24\n }}\n}}\nvrrp_sync_group G {{\ngroup {{\nV\nW\n}}\n{group}\n}}\n"
    )
}

fn show(calls: &[Hook]) -> String {
    let call = |hook: &Hook| format!("{:?} {}", hook.event, command(&hook.command));
    calls.iter().map(call).collect::<Vec<_>>().join("; ")
}

fn command(command: &Command) -> String {
    let user = command.user.as_ref().map(user).unwrap_or_default();
    format!("{}{user}", command.words.join("|"))
}

fn user(user: &UserParams) -> String {
    format!(" as {}:{}", user.name, user.group.as_deref().unwrap_or("-"))
}

#[test]
fn hooks_of_instances_and_groups() {
    for (lines, answer, expected) in [
        ("notify_master /bin/m", "Master /bin/m", &[][..]),
        ("notify_backup \"/bin/b 'x y' z\"", "Backup /bin/b|x y|z", &[]),
        ("notify_fault /bin/f root", "Fault /bin/f as root:-", &[]),
        ("notify_stop /bin/s web www", "Stop /bin/s as web:www", &[]),
        ("notify n", "Any n", &[]),
        ("notify /bin/n\nnotify_stop /bin/s\nnotify_master /bin/m", "Master /bin/m; Stop /bin/s; Any /bin/n", &[]),
        ("notify_master /bin/m\nnotify_master /bin/n", "Master /bin/m", &["again"]),
        ("notify_master \"/bin/m >/tmp/x\"", "Master /bin/m|>/tmp/x", &["shell-syntax"]),
        ("notify_master \"\"", "", &["value"]),
        ("notify_master bin/m", "Master /bin/m", &["value"]),
        ("notify_mastr /bin/m", "", &["unknown-keyword"]),
    ] {
        let loaded = load(&file("", lines, ""));
        let params = node(&loaded.config);
        assert_eq!(
            (show(&params.routers[0].hooks.calls).as_str(), kinds(&loaded.warnings)),
            (answer, expected.to_vec()),
            "{lines}"
        );
        assert_converts(lines, &loaded);
        let loaded = load(&file("", "", lines));
        assert_eq!(show(&node(&loaded.config).groups[0].hooks.calls), answer, "{lines}");
        assert_converts(lines, &loaded);
    }
    for (lines, answer) in [
        ("notify_master_rx_lower_pri \"/bin/l x\"", "MasterHearsLower /bin/l|x"),
        ("notify_deleted /bin/d", "Deleted /bin/d"),
        ("notify_deleted", ""),
    ] {
        let loaded = load(&file("", lines, ""));
        assert_eq!((show(&node(&loaded.config).routers[0].hooks.calls).as_str(), loaded.warnings.len()), (answer, 0));
        assert_converts(lines, &loaded);
    }
}

#[test]
fn a_hook_has_a_minute() {
    let loaded = load(&file("", "notify /bin/n", "notify_fault /bin/f"));
    let node = node(&loaded.config);
    for hooks in [&node.routers[0].hooks, &node.groups[0].hooks] {
        assert_eq!((hooks.timeout, hooks.refresh), (Duration::from_secs(60), None));
    }
    assert_eq!(node.routers[1].hooks, Hooks::default());
}

/// Shows what the daemon as a whole runs and tells.
fn daemon(hooks: &NodeHooks) -> String {
    let mut lines = Vec::new();
    let scripts = &hooks.scripts;
    lines.extend(scripts.user.as_ref().map(user));
    if scripts.fallback == Fallback::Keepalived {
        lines.push("fallback".to_owned());
    }
    if scripts.refuses_unsafe {
        lines.push("secure".to_owned());
    }
    for (name, hook) in [("start", &hooks.startup), ("end", &hooks.shutdown)] {
        lines.extend(hook.as_ref().map(|hook| format!("{name} {} {:?}", command(&hook.command), hook.timeout)));
    }
    for fifo in &hooks.fifos {
        let owner = fifo.user.as_ref().map(user).unwrap_or_default();
        let reader = fifo.reader.as_ref().map(|reader| format!(" < {}", command(reader))).unwrap_or_default();
        lines.push(format!("{}{owner}{reader}", fifo.path.display()));
    }
    if hooks.tells_priority {
        lines.push("priority".to_owned());
    }
    if hooks.tells_states_on_reload {
        lines.push("states".to_owned());
    }
    lines.join("; ")
}

#[test]
fn programs_and_pipes_of_the_daemon() {
    for (global, answer, expected) in [
        ("", "fallback", &[][..]),
        ("script_user web", " as web:-; fallback", &[]),
        ("script_user web :www\nenable_script_security", " as web:www; fallback; secure", &[]),
        ("enable_script_security 1", "fallback; secure", &["extra-words"]),
        ("startup_script \"/bin/s a\" root", "fallback; start /bin/s|a as root:- 10s", &[]),
        ("startup_script /bin/s\nstartup_script_timeout 3", "fallback; start /bin/s 3s", &[]),
        ("shutdown_script /bin/e\nshutdown_script_timeout 1001", "fallback; end /bin/e 10s", &["value"]),
        ("startup_script /bin/a\nstartup_script /bin/b", "fallback; start /bin/a 10s", &["again"]),
        ("notify_fifo /run/f", "fallback; /run/f", &[]),
        (
            "notify_fifo /run/f web www\nnotify_fifo_script \"/bin/r x\" nobody",
            "fallback; /run/f as web:www < /bin/r|x as nobody:-",
            &[],
        ),
        (
            "notify_fifo /run/a\nvrrp_notify_fifo /run/b\nvrrp_notify_fifo_script /bin/r",
            "fallback; /run/a; /run/b < /bin/r",
            &[],
        ),
        ("notify_fifo /run/a\nvrrp_notify_fifo /run/a", "fallback; /run/a", &[]),
        ("notify_fifo /run/a\nnotify_fifo /run/b", "fallback; /run/a", &["again"]),
        ("notify_fifo run/a", "fallback", &["value"]),
        ("notify_fifo_script /bin/r", "fallback", &["contradiction"]),
        ("vrrp_notify_priority_changes", "fallback; priority", &[]),
        ("vrrp_notify_priority_changes off", "fallback", &[]),
        ("fifo_write_vrrp_states_on_reload", "fallback; states", &[]),
        ("lvs_notify_fifo /run/l", "fallback", &["skipped"]),
    ] {
        let loaded = load(&file(global, "notify /bin/n", ""));
        let hooks = daemon(&node(&loaded.config).hooks);
        assert_eq!((hooks.as_str(), kinds(&loaded.warnings)), (answer, expected.to_vec()), "{global}");
        assert_converts(global, &loaded);
    }
}

#[test]
fn instances_ask_for_lines_about_priorities_for_all() {
    for (global, lines, group, answer, notes) in [
        ("", "notify_priority_changes", "", true, 1),
        ("", "", "notify_priority_changes", true, 1),
        ("", "notify_priority_changes off", "", false, 0),
        ("vrrp_notify_priority_changes", "notify_priority_changes off", "", true, 1),
        ("", "notify_priority_changes off", "notify_priority_changes on", true, 1),
    ] {
        let loaded = load(&file(global, lines, group));
        let count = kinds(&loaded.warnings).iter().filter(|kind| **kind == "note").count();
        assert_eq!((node(&loaded.config).hooks.tells_priority, count), (answer, notes), "{global} {lines} {group}");
        assert_converts(lines, &loaded);
    }
}

/// Who runs programs matters only where some are run.
#[test]
fn a_file_without_programs_says_nothing_about_who_runs_them() {
    let loaded = load(&file("script_user web", "", ""));
    assert_eq!(daemon(&node(&loaded.config).hooks), "secure");
    assert!(!assert_converts("plain", &loaded).contains("[daemon]"));
    for (global, lines) in [
        ("startup_script /bin/s", ""),
        ("shutdown_script /bin/s", ""),
        ("notify_fifo /run/f\nnotify_fifo_script /bin/r", ""),
        ("", "notify_master /bin/m"),
    ] {
        let loaded = load(&file(&format!("script_user web\n{global}"), lines, ""));
        let hooks = daemon(&node(&loaded.config).hooks);
        assert!(hooks.starts_with(" as web:-; fallback"), "{global} {lines}: {hooks}");
    }
}
