//! `checks`, hooks and groups: whole files in, parameters or problems out.

use std::time::Duration;

use super::tests::{SEAT, WEB, complains, load_text, only_router};
use super::*;
use crate::engine::params::{
    Command, DaemonHook, Effect, Fallback, FifoParams, Hook, HookEvent, Hooks, Scripts, Track, UserParams,
};

const UNITS: &str = "[check.a]\nunit = \"a\"\n[check.b]\nunit = \"b\"\n";

fn command(words: &[&str], user: Option<&str>) -> Command {
    let user = user.map(|name| UserParams { name: name.to_owned(), group: None });
    Command { words: words.iter().map(|word| (*word).to_owned()).collect(), user }
}

/// Two instances, each with a node list of these priorities for `x`, `y` and so on, and with these lines.
fn pair(first: (&[u8], &str), second: (&[u8], &str)) -> String {
    let instance = |name: &str, number: u8, (priorities, lines): (&[u8], &str)| {
        let nodes: String = ["x", "y", "z"]
            .iter()
            .zip(priorities.iter().zip(1..))
            .map(|(node, (priority, at))| {
                format!(
                    "[[instance.{name}.node]]\nname = \"{node}\"\naddress = \"10.0.{number}.{at}\"\npriority = {priority}\n"
                )
            })
            .collect();
        format!(
            "[instance.{name}]\ninterface = \"e\"\nvirtual_router_id = {number}\naddresses = [\"10.0.9.{number}\"]\n\
             {lines}\n{nodes}"
        )
    };
    instance("one", 1, first) + &instance("two", 2, second)
}

#[test]
fn a_check_decides_or_weighs() {
    let tracks = |checks: &str| only_router(&format!("{WEB}{SEAT}checks = {checks}\n{UNITS}")).tracks;
    let track = |check: &str, effect, is_urgent| Track { check: check.to_owned(), effect, is_urgent };
    assert_eq!(
        tracks("[\"b\", \"a\"]"),
        [
            track("b", Effect::Fault { is_reversed: false }, false),
            track("a", Effect::Fault { is_reversed: false }, false),
        ]
    );
    assert_eq!(
        tracks("[{ name = \"a\", reverse = true, urgent = true }, { name = \"b\", weight = -254, reverse = true }]"),
        [
            track("a", Effect::Fault { is_reversed: true }, true),
            track("b", Effect::Weight { weight: -254, is_reversed: true }, false),
        ]
    );
    let other = tracks("[{ name = \"a\", weight = 254 }, { name = \"b\", urgent = false }]");
    assert_eq!(other[0], track("a", Effect::Weight { weight: 254, is_reversed: false }, false));
}

#[test]
fn every_mistake_in_a_list_of_checks_is_told() {
    let names: String = (0..20).map(|n| format!("[check.c{n:02}]\nunit = \"x\"\n")).collect();
    complains(
        &format!("{WEB}{SEAT}checks = [\"disk-space\"]\n{}", names),
        &[
            "7:11: error: there is no check \"disk-space\"; expected one of c00, c01, c02, c03, c04, c05, c06, c07, c08, c09",
        ],
    );
    complains(
        &format!("{WEB}{SEAT}checks = [\"x\"]\n"),
        &["7:11: error: there is no check \"x\"; write a table [check.NAME]"],
    );
    for (checks, problem) in [
        ("[\"apach\"]", "7:11: error: there is no check \"apach\"; did you mean \"apache\"?"),
        ("[\"apache\", { name = \"apache\" }]", "7:30: error: check \"apache\" is already in the list, at line 7"),
        ("[{ name = \"apache\", weight = 0 }]", "7:39: error: a weight of 0 moves nothing; leave `weight` out"),
        ("[{ name = \"apache\", weight = 255 }]", "7:39: error: `weight` is 255; expected a number from -254 to 254"),
        ("[{ name = \"apache\", weight = -99999 }]", "7:39: error: `weight` is -99999"),
        ("[{ weight = 1 }]", "7:11: error: an entry of `checks` needs `name`"),
        (
            "[{ name = \"apache\", waight = 1 }]",
            "7:30: error: unknown key `waight` in an entry of `checks`; did you mean",
        ),
        ("[{ name = \"apache\", reverse = 1 }]", "7:40: error: `reverse` takes true or false"),
        ("\"apache\"", "7:10: error: `checks` takes a list"),
        ("[1]", "7:11: error: `checks` takes names"),
    ] {
        complains(&format!("{WEB}{SEAT}checks = {checks}\n[check.apache]\nunit = \"a\"\n"), &[problem]);
    }
    // The check is wrong; that it is named is right.
    complains(&format!("{WEB}{SEAT}checks = [\"a\"]\n[check.a]\nunit = 1\n"), &["9:8: error: `unit`"]);
}

#[test]
fn what_is_watched_without_effect_is_told() {
    complains(&format!("{WEB}{SEAT}{UNITS}checks = [\"x\"]\n"), &["11:1: error: unknown key `checks` in [check.b]"]);
    complains(
        &format!("{WEB}{SEAT}checks = [\"a\"]\n{UNITS}"),
        &["10:8: warning: no instance and no group names check \"b\""],
    );
    let urgent = "checks = [{ name = \"a\", weight = -1, urgent = true }, \"b\"]\n";
    complains(&format!("{WEB}{SEAT}{urgent}{UNITS}"), &["7:47: warning: `urgent` beside `weight`"]);
    let number = "[check.a]\nfile = \"/x\"\nsense = \"number\"\n[check.b]\nunit = \"b\"\n";
    complains(&format!("{WEB}{SEAT}{urgent}{number}"), &[]);
    for kind in ["ping = \"10.0.0.30\"", "tcp = \"10.0.0.30:80\"", "http = \"http://10.0.0.30/\""] {
        complains(
            &format!("{WEB}{SEAT}checks = [\"a\"]\n[check.a]\n{kind}\n"),
            &["8:8: warning: check \"a\" asks 10.0.0.30, which moves with \"web\""],
        );
    }
    let owner = SEAT.replace("10.0.0.30", "10.0.0.20");
    let weight = "checks = [{ name = \"a\", weight = -1 }, \"b\"]\n";
    complains(
        &format!("{WEB}{owner}priority = 255\n{weight}{UNITS}"),
        &["8:20: warning: weight of check \"a\" has no effect for \"web\" on 10.0.0.20, whose priority 255"],
    );
}

#[test]
fn weights_that_can_never_move_the_address_are_told_with_the_numbers() {
    let a = |weight: &str| format!("checks = [{{ name = \"a\", weight = {weight} }}]");
    let both =
        |a: &str, b: &str| format!("checks = [{{ name = \"a\", weight = {a} }}, {{ name = \"b\", weight = {b} }}]");
    for (priorities, checks, weak) in [
        (&[200, 100][..], a("-99"), "a"),
        (&[200, 100], a("-100"), "a"),
        (&[200, 100], a("-101"), ""),
        (&[200, 100], a("101, reverse = true"), ""),
        (&[200, 100], a("100, reverse = true"), "a"),
        // Each alone is too little; both together are not.
        (&[200, 100], both("-60", "-60"), ""),
        (&[200, 100], both("-50", "-50"), "ab"),
        // 99 decides what 2 fails at.
        (&[200, 100], both("-99", "-2"), ""),
        (&[200, 100], both("-150", "-2"), "b"),
        // The first one fails on the better node, and there is a gap of 30 to decide.
        (&[200, 100], both("-130", "-31"), ""),
        (&[200, 100], both("-130", "-30"), "b"),
        // The sum is cut at 254: what is added to that is lost.
        (&[254, 240], a("20"), "a"),
        (&[254, 200], a("60"), "a"),
        (&[100, 90], a("20"), ""),
        // Of three nodes two are close.
        (&[200, 100, 95], a("-6"), ""),
        (&[200, 100, 95], a("-5"), "a"),
        // An owner is never outweighed; the other two are.
        (&[255, 100, 95], a("-6"), ""),
        (&[255, 200, 20], a("-179"), "a"),
        // Taken away from 254 it is not lost.
        (&[254, 240], a("20, reverse = true"), ""),
    ] {
        let text = pair((priorities, &checks), (&[200, 100], "checks = [\"a\", \"b\"]")) + UNITS;
        let found = load_text(&text).unwrap_or_else(|problems| panic!("{problems}")).warnings;
        let told: Vec<_> = found.iter().map(ToString::to_string).filter(|text| text.contains("never move")).collect();
        let names: String = told.iter().filter_map(|text| text.split("of check \"").nth(1)?.chars().next()).collect();
        assert_eq!(names, weak, "{priorities:?} {checks}: {told:#?}");
    }
    complains(
        &(pair((&[200, 100], &a("-99")), (&[200, 100], "checks = [\"b\"]")) + UNITS),
        &[
            "5:20: warning: weight -99 of check \"a\" can never move the address of \"one\": of two nodes \"x\" (200) and \"y\" \
         (100) are closest, 100 apart; write more than 100, or leave `weight` out so that a failure means FAULT",
        ],
    );
    complains(
        &(pair((&[254, 240], &a("20")), (&[200, 100], "checks = [\"b\"]")) + UNITS),
        &[
            "5:20: warning: weight 20 of check \"a\" can never move the address of \"one\": of two nodes \"x\" (254) and \"y\" \
         (240) are closest, 14 apart, and the sum is cut to 1 to 254; write other priorities",
        ],
    );
    // What a number adds is not known, and one seat proves nothing.
    let number = "[check.a]\nfile = \"/x\"\nsense = \"number\"\n[check.b]\nunit = \"b\"\n";
    complains(&(pair((&[200, 100], &a("-1")), (&[200, 100], "checks = [\"b\"]")) + number), &[]);
    complains(&format!("{WEB}{SEAT}checks = [\"b\", {{ name = \"a\", weight = -1 }}]\n{UNITS}"), &[]);
}

#[test]
fn many_weights_and_nodes_end_soon() {
    let tracks: String = (0..400).map(|n| format!("{{ name = \"c{n}\", weight = -1 }},")).collect();
    let checks: String = (0..400).map(|n| format!("[check.c{n}]\nunit = \"c{n}\"\n")).collect();
    complains(&(pair((&[200, 100], &format!("checks = [{tracks}]")), (&[200, 100], "")) + &checks), &[]);
}

#[test]
fn what_a_group_names_counts_for_each_member() {
    let group = "[group.all]\ninstances = [\"two\", \"one\"]\nchecks = [\"b\"]\nnotify = \"/x\"\n";
    let text = pair((&[200, 100], "checks = [\"a\"]"), (&[200, 100], "")) + UNITS + group;
    complains(&text, &[]);
    let config = load_text(&text).unwrap().config;
    let params = config.for_this_host(&LocalHost { addresses: &["10.0.1.1".parse().unwrap()], host_name: "" }).unwrap();
    let tracked: Vec<Vec<_>> =
        params.routers.iter().map(|router| router.tracks.iter().map(|track| track.check.as_str()).collect()).collect();
    assert_eq!(tracked, [vec!["a", "b"], vec!["b"]]);
    assert_eq!((params.groups.len(), params.groups[0].name.as_str()), (1, "all"));
    assert_eq!(params.groups[0].members, ["two", "one"]);
    assert_eq!(params.groups[0].hooks.calls, [Hook { event: HookEvent::Any, command: command(&["/x"], None) }]);
}

#[test]
fn every_mistake_in_a_group_is_told() {
    let head = pair((&[200, 100], "checks = [\"a\"]"), (&[200, 100], "")) + "[check.a]\nunit = \"a\"\n";
    let line = head.lines().count() + 2;
    for (group, problem) in [
        ("instances = []", "13: error: a group without instances"),
        ("checks = []", "1: error: [group.g] needs `instances`"),
        ("instances = [\"one\", \"tow\"]", "21: error: there is no instance \"tow\"; did you mean \"two\"?"),
        ("instances = [\"one\", \"web\"]", "21: error: there is no instance \"web\"; expected one of one, two"),
        ("instances = [\"one\", \"one\"]", "21: error: instance \"one\" is already in the list, at line"),
        ("instances = [\"one\"]", "13: warning: a group with one instance moves nothing together"),
        ("instances = [1, \"one\"]", "14: error: `instances` takes names of instances"),
        (
            "group = [\"one\"]\ninstances = [\"one\", \"two\"]",
            "1: error: unknown key `group` in [group.g]; that is keepalived",
        ),
        (
            "notify_master_rx_lower_pri = \"/x\"\ninstances = [\"one\", \"two\"]",
            "1: error: unknown key `notify_master_rx_lower_pri`",
        ),
    ] {
        let at = if problem.starts_with("1: error: [group") { line - 1 } else { line };
        complains(&format!("{head}[group.g]\n{group}\n"), &[&format!("{at}:{problem}")]);
    }
    let both = "[group.g]\ninstances = [\"one\", \"two\"]\nchecks = [\"a\"]\n";
    let problem = format!(
        "{}:11: error: check \"a\" counts for each member, and instance \"one\" names it itself, at line 5",
        line + 1
    );
    complains(&format!("{head}{both}"), &[&problem]);
    let second = "[group.g]\ninstances = [\"one\", \"two\"]\n[group.h]\ninstances = [\"two\", \"one\"]\n";
    let problem = |column: u8, name: &str| {
        format!("{}:{column}: error: instance {name:?} is in group \"g\" already, at line {line}", line + 2)
    };
    complains(&format!("{head}{second}"), &[&problem(14, "two"), &problem(21, "one")]);
}

#[test]
fn members_that_want_other_nodes_are_told() {
    for (first, second, problem) in [
        (&[200, 100][..], &[150, 50][..], None),
        (
            &[200, 100],
            &[100, 200],
            Some("instance \"one\" wants \"x\" rather than \"y\", and \"two\" the other way round"),
        ),
        (&[200, 150, 100], &[200, 100, 150], Some("instance \"one\" wants \"y\" rather than \"z\"")),
        (&[200, 100, 50], &[200, 100], Some("instance \"one\" has \"z\" in its node list and \"two\" has not")),
        (&[200, 100], &[200, 100, 50], Some("instance \"two\" has \"z\" in its node list and \"one\" has not")),
    ] {
        let text = pair((first, ""), (second, "")) + "[group.g]\ninstances = [\"one\", \"two\"]\n";
        let expected = problem.map(|problem| format!("{}:21: warning: {problem}", text.lines().count()));
        complains(&text, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn hooks_arrive_in_the_order_of_their_calls() {
    assert_eq!(only_router(&format!("{WEB}{SEAT}")).hooks, Hooks::default());
    let hooks = only_router(&format!(
        "{WEB}{SEAT}notify = [\"/n\", \"a b\"]\nnotify_stop = \"/s\"\nnotify_deleted = \"/d\"\nnotify_fault = \"/f\"\n\
         notify_master_rx_lower_pri = \"/r\"\nnotify_backup = {{ exec = \"/b\", user = \"u\" }}\n\
         notify_master = {{ exec = [\"/m\", \"x\"] }}\nnotify_timeout = \"5s\"\nnotify_refresh = \"5m\"\n"
    ))
    .hooks;
    let calls: Vec<_> = hooks.calls.into_iter().map(|hook| (hook.event, hook.command)).collect();
    assert_eq!(
        calls,
        [
            (HookEvent::Master, command(&["/m", "x"], None)),
            (HookEvent::Backup, command(&["/b"], Some("u"))),
            (HookEvent::Fault, command(&["/f"], None)),
            (HookEvent::Stop, command(&["/s"], None)),
            (HookEvent::Deleted, command(&["/d"], None)),
            (HookEvent::MasterHearsLower, command(&["/r"], None)),
            (HookEvent::Any, command(&["/n", "a b"], None)),
        ]
    );
    assert_eq!((hooks.timeout, hooks.refresh), (Duration::from_secs(5), Some(Duration::from_secs(300))));
    for (line, problem) in [
        ("notify = \"/x y\"", "7:10: error: `notify` is one program without arguments"),
        ("notify = { exec = \"x\" }", "7:19: error: `notify` runs \"x\""),
        ("notify = { user = \"x\" }", "7:10: error: the table of `notify` needs `exec`"),
        (
            "notify = { exec = \"/x\", username = \"x\" }",
            "7:25: error: unknown key `username` in the table of `notify`",
        ),
        ("notify = { exec = \"/x\", user = \"a b\" }", "7:32: error: `user` is \"a b\""),
        ("notify = 1", "7:10: error: `notify` takes the path of a program"),
        ("notify_timeout = \"1ms\"", "7:18: error: `notify_timeout` is \"1ms\"; expected \"10ms\" to \"1h\""),
        (
            "notify_refresh = \"25h\"",
            "7:18: error: `notify_refresh` is \"25h\"; expected \"1s\" to \"24h\", or \"off\"",
        ),
    ] {
        complains(&format!("{WEB}{SEAT}{line}\n"), &[problem]);
    }
    complains(&format!("{WEB}{SEAT}notify_refresh = \"off\"\n"), &[]);
}

#[test]
fn pipes_and_scripts_of_the_daemon_arrive() {
    let load = |daemon: &str| load_text(&format!("[daemon]\n{daemon}\n{WEB}{SEAT}")).map(|loaded| loaded.config);
    let scripts = |user, fallback, refuses_unsafe| Scripts { user, fallback, refuses_unsafe };
    let plain = load("").unwrap().hooks;
    assert_eq!(plain.scripts, scripts(None, Fallback::Unprivileged, true));
    assert_eq!((&plain.startup, &plain.shutdown, plain.fifos.len(), plain.tells_priority), (&None, &None, 0, false));
    let config = load(
        "script_user = \"u:7\"\nscript_fallback = \"keepalived\"\nscript_security = false\nnotify_priority_changes = true\n\
         notify_states_on_reload = true\n\
         startup_script = [\"/up\", \"1\"]\nstartup_script_timeout = \"2s\"\nshutdown_script = \"/down\"\n\
         notify_fifo = [\"/a\", { path = \"/b\", user = \"v\", reader = [\"/r\", \"x\"] }]",
    )
    .unwrap();
    let params = config.for_this_host(&LocalHost { addresses: &[], host_name: "" }).unwrap();
    let hooks = &params.hooks;
    let user = UserParams { name: "u".to_owned(), group: Some("7".to_owned()) };
    assert_eq!(hooks.scripts, scripts(Some(user), Fallback::Keepalived, false));
    let script =
        |words: &[&str], seconds| DaemonHook { command: command(words, None), timeout: Duration::from_secs(seconds) };
    assert_eq!(hooks.startup, Some(script(&["/up", "1"], 2)));
    assert_eq!(hooks.shutdown, Some(script(&["/down"], 10)));
    let owner = UserParams { name: "v".to_owned(), group: None };
    assert_eq!(
        hooks.fifos,
        [
            FifoParams { path: "/a".into(), user: None, reader: None },
            FifoParams { path: "/b".into(), user: Some(owner), reader: Some(command(&["/r", "x"], None)) },
        ]
    );
    assert!(hooks.tells_priority && hooks.tells_states_on_reload && !plain.tells_states_on_reload);
    for (line, problem) in [
        ("script_user = \"\"", "2:15: error: `script_user` is \"\"; expected a user"),
        ("script_fallback = \"root\"", "2:19: error: `script_fallback` is \"root\"; expected \"unprivileged\" or"),
        ("startup_script = \"up\"", "2:18: error: `startup_script` runs \"up\""),
        ("startup_script_timeout = \"2s\"", "2:26: error: `startup_script_timeout` without `startup_script`"),
        ("shutdown_script_timeout = \"2s\"", "2:27: error: `shutdown_script_timeout` without `shutdown_script`"),
        ("shutdown_script = \"/x\"\nshutdown_script_timeout = \"2h\"", "3:27: error: `shutdown_script_timeout` is"),
        ("notify_fifo = \"events\"", "2:15: error: `notify_fifo` is \"events\"; expected a path"),
        ("notify_fifo = [\"/a\", \"/a\"]", "2:22: error: the pipe is already in the list, at line 2"),
        ("notify_fifo = { reader = \"/a\" }", "2:15: error: the table of `notify_fifo` needs `path`"),
        ("notify_fifo = 1", "2:15: error: `notify_fifo` takes the path of a named pipe"),
        ("notify_fifo = { path = \"/a\", reader = \"r\" }", "2:39: error: `reader` runs \"r\""),
        ("notify_priority_changes = 1", "2:27: error: `notify_priority_changes` takes true or false"),
    ] {
        complains(&format!("[daemon]\n{line}\n{WEB}{SEAT}"), &[problem]);
    }
}
