//! `[check.NAME]`: whole files in, parameters or problems out.

use std::time::Duration;

use super::tests::{SEAT, WEB, complains, load_text};
use super::*;
use crate::engine::params::{
    ArgumentMatch, CheckKind, CheckParams, Command, Endpoint, FileSense, HttpParams, Initial, ProcessParams,
    ProcessTarget, UserParams,
};

/// A file whose instance is told by the check `c`.
fn with(keys: &str) -> String {
    format!("{WEB}{SEAT}checks = [\"c\"]\n[check.c]\n{keys}\n")
}

fn check(keys: &str) -> CheckParams {
    let loaded = load_text(&with(keys)).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    CheckParams::clone(&loaded.config.checks[0])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_short_check_gets_every_default() {
    let expected = CheckParams {
        name: "c".to_owned(),
        kind: CheckKind::Tcp(Endpoint::Inet("127.0.0.1:80".parse().unwrap())),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        initial: Initial::Unknown,
    };
    assert_eq!(check("tcp = \"127.0.0.1:80\""), expected);
    for (keys, interval, timeout) in [
        ("interval = \"100ms\"", 100, 100),
        ("interval = \"1m\"", 60_000, 5_000),
        ("interval = \"1m\"\ntimeout = \"30s\"", 60_000, 30_000),
        ("interval = \"1s\"\ntimeout = \"2s\"", 1_000, 2_000),
    ] {
        let found = check(&format!("ping = \"10.0.0.1\"\n{keys}"));
        assert_eq!((found.interval.as_millis(), found.timeout.as_millis()), (interval, timeout), "{keys}");
    }
}

#[test]
fn requests_and_connections_arrive() {
    let inet = |text: &str| Endpoint::Inet(text.parse().unwrap());
    let http = |endpoint, host: &str, path: &str, status, body: Option<&str>| {
        let (host, path, body) = (host.to_owned(), path.to_owned(), body.map(str::to_owned));
        CheckKind::Http(HttpParams { endpoint, host, path, status, body })
    };
    for (keys, kind) in [
        (
            "http = \"http://127.0.0.1:8080\"",
            http(inet("127.0.0.1:8080"), "127.0.0.1:8080", "/", vec![200..=299], None),
        ),
        (
            "http = \"http://[::1]/a?b\"\nhost = \"www\"\nstatus = [200, \"300-399\", \"404\"]\nbody = \"ok\"",
            http(inet("[::1]:80"), "www", "/a?b", vec![200..=200, 300..=399, 404..=404], Some("ok")),
        ),
        (
            "http = \"http://www.example.org/x\"\nsocket = \"/run/x.sock\"\nstatus = 204",
            http(Endpoint::Unix("/run/x.sock".into()), "www.example.org", "/x", vec![204..=204], None),
        ),
        ("tcp = \"unix:/run/x.sock\"", CheckKind::Tcp(Endpoint::Unix("/run/x.sock".into()))),
        ("tcp = \"[::1]:80\"", CheckKind::Tcp(inet("[::1]:80"))),
        ("ping = \"2001:db8::1\"", CheckKind::Ping("2001:db8::1".parse().unwrap())),
    ] {
        assert_eq!(check(keys).kind, kind, "{keys}");
    }
}

#[test]
fn programs_and_processes_arrive() {
    let process = |target, quorum, quorum_max| {
        let zero = Duration::ZERO;
        CheckKind::Process(ProcessParams { target, quorum, quorum_max, gain_delay: zero, loss_delay: zero })
    };
    let named = |name: &str| ProcessTarget::Name(name.to_owned());
    let command = |list: &[&str], matching| ProcessTarget::CommandLine { words: words(list), matching };
    let user = UserParams { name: "haproxy".to_owned(), group: Some("adm".to_owned()) };
    for (keys, kind) in [
        ("exec = \"/usr/bin/true\"", CheckKind::Exec(Command { words: words(&["/usr/bin/true"]), user: None })),
        (
            "exec = [\"/opt/my program\", \"-c\", \"a b\"]\nuser = \"haproxy:adm\"",
            CheckKind::Exec(Command { words: words(&["/opt/my program", "-c", "a b"]), user: Some(user) }),
        ),
        ("process = \"haproxy\"", process(named("haproxy"), 1, None)),
        ("process = \"fifteen-bytes-x\"\nmax = 0", process(named("fifteen-bytes-x"), 1, Some(0))),
        (
            "process = { pid_file = \"/run/x.pid\" }\nmin = 1",
            process(ProcessTarget::PidFile("/run/x.pid".into()), 1, None),
        ),
        (
            "process = { command = [\"x\", \"-f\"], match = \"partial\" }\nmin = 2\nmax = 3",
            process(command(&["x", "-f"], ArgumentMatch::Partial), 2, Some(3)),
        ),
        ("process = { command = [\"x\"] }", process(command(&["x"], ArgumentMatch::Exact), 1, None)),
        (
            "process = { command = [\"x\"], match = \"initial\" }",
            process(command(&["x"], ArgumentMatch::Initial), 1, None),
        ),
    ] {
        assert_eq!(check(keys).kind, kind, "{keys}");
    }
    let delayed = check("process = \"x\"\ngain_delay = \"1s\"\nloss_delay = \"200ms\"\ninitial = \"failing\"");
    let CheckKind::Process(process) = delayed.kind else { panic!("{delayed:?}") };
    assert_eq!((process.gain_delay.as_millis(), process.loss_delay.as_millis()), (1000, 200));
    assert_eq!((delayed.initial, delayed.rise, delayed.fall), (Initial::Failing, 1, 1));
}

#[test]
fn what_the_system_tells_arrives() {
    let file = |sense| CheckKind::File { path: "/run/x".into(), sense };
    for (keys, kind) in [
        ("unit = \"haproxy\"", CheckKind::Unit("haproxy.service".to_owned())),
        ("unit = \"a@1.2\"", CheckKind::Unit("a@1.2.service".to_owned())),
        ("unit = \"x.socket\"", CheckKind::Unit("x.socket".to_owned())),
        ("file = \"/run/x\"", file(FileSense::Exists)),
        ("file = \"/run/x\"\nsense = \"exists\"", file(FileSense::Exists)),
        ("file = \"/run/x\"\nsense = \"number\"", file(FileSense::Number)),
        ("file = \"/run/x\"\nsense = \"absent\"", file(FileSense::Absent)),
        ("interface = \"eth1\"", CheckKind::Interface("eth1".to_owned())),
    ] {
        assert_eq!(check(keys).kind, kind, "{keys}");
    }
    let counted = check("ping = \"10.0.0.1\"\nrise = 2\nfall = 3\ninitial = \"passing\"");
    assert_eq!((counted.initial, counted.rise, counted.fall), (Initial::Passing, 2, 3));
}

#[test]
fn every_mistake_in_a_check_is_told_once() {
    for (keys, problem) in MISTAKES {
        complains(&with(keys), &[problem]);
    }
    complains(
        &with("").replace("check.c]", "check.\"a b\"]\nunit = \"x\"\n[check.c]\nunit = \"y\""),
        &["8:8: error: `check` is \"a b\"; expected a name"],
    );
    complains("check = 1\ngroup = 2\n", &["1:9: error: `check` takes tables", "2:9: error: `group` takes tables"]);
}

#[test]
fn nothing_of_a_broken_check_is_left_untold() {
    complains(
        &with("rise = 0\ninterval = \"x\"\ninitial = 3"),
        &[
            "8:8: error: the check looks at nothing",
            "9:8: error: `rise`",
            "10:12: error: `interval`",
            "11:11: error: `initial`",
        ],
    );
    complains(
        &with("http = \"ftp://x\"\nstatus = 1\nsocket = \"y\"\nbody = 1\ntimeout = 1"),
        &[
            "9:8: error: `http`",
            "10:10: error: `status`",
            "11:10: error: `socket`",
            "12:8: error: `body`",
            "13:11: error: `timeout`",
        ],
    );
}

#[test]
fn a_long_line_for_a_shell_is_cut() {
    let found = load_text(&with(&format!("exec = \"/bin/x {}\"", "y".repeat(100_000)))).unwrap_err().to_string();
    assert!(found.len() < 600 && found.contains("yyy...\"]"), "{found}");
}

#[test]
fn one_check_serves_all_who_name_it_and_no_node_runs_what_it_does_not_need() {
    let instance = |name: &str, number: u8, nodes: [&str; 2], checks: &str| {
        let node = |node: &str, at: u8| {
            format!("[[instance.{name}.node]]\nname = \"{node}\"\naddress = \"10.0.{number}.{at}\"\npriority = {at}\n")
        };
        format!(
            "[instance.{name}]\ninterface = \"e\"\nvirtual_router_id = {number}\naddresses = [\"10.0.9.{number}\"]\n\
             checks = {checks}\n{}{}",
            node(nodes[0], 1),
            node(nodes[1], 2)
        )
    };
    let text = format!(
        "{}{}[check.z]\nunit = \"z\"\n[check.a]\nunit = \"a\"\n[check.m]\nunit = \"m\"\n\
         [group.g]\ninstances = [\"one\", \"two\"]\n",
        instance("one", 1, ["x", "y"], "[\"a\", \"z\"]"),
        instance("two", 2, ["y", "w"], "[\"m\", \"a\"]"),
    );
    let config = load_text(&text).unwrap().config;
    for (node, checks, members) in [
        ("10.0.1.1", vec!["z", "a"], vec!["one"]),
        ("10.0.1.2", vec!["z", "a", "m"], vec!["one", "two"]),
        ("10.0.2.2", vec!["a", "m"], vec!["two"]),
    ] {
        let params = config.for_this_host(&LocalHost { addresses: &[node.parse().unwrap()], host_name: "" }).unwrap();
        let names: Vec<_> = params.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!((names, &params.groups[0].members), (checks, &words(&members)), "{node}");
    }
}

/// Lines of a check, and what is told of them.
const MISTAKES: &[(&str, &str)] = &[
    ("", "8:8: error: the check looks at nothing"),
    (
        "unit = \"x\"\nping = \"10.0.0.1\"",
        "10:8: error: the check looks at something else already, by `unit` at line 9",
    ),
    (
        "ping = \"10.0.0.1\"\nstatus = 200",
        "10:1: error: `status` belongs to `http`, and this check is of the kind `ping`",
    ),
    ("tcp = \"10.0.0.1:1\"\nuser = \"x\"", "10:1: error: `user` belongs to `exec`"),
    ("file = \"/x\"\ninterval = \"1s\"", "10:1: error: `interval` beside `file`, which does not look again"),
    ("unit = \"x\"\ntimeout = \"1s\"", "10:1: error: `timeout` beside `unit`"),
    ("interface = \"eth1\"\nrise = 1", "10:1: error: `rise` beside `interface`"),
    (
        "process = \"x\"\nfall = 2",
        "10:1: error: `fall` beside `process`, which does not look again and again: it is told of each change at once; take it out, or write `gain_delay` or `loss_delay`",
    ),
    ("ping = \"10.0.0.1\"\ninterval = \"0s\"", "10:12: error: `interval` is \"0s\"; expected \"1ms\" to \"24h\""),
    ("ping = \"10.0.0.1\"\ntimeout = \"25h\"", "10:11: error: `timeout`"),
    ("ping = \"10.0.0.1\"\nrise = 0", "10:8: error: `rise` is 0; expected a number, at least 1"),
    ("ping = \"10.0.0.1\"\nfall = 4294967296", "10:8: error: `fall`"),
    (
        "ping = \"10.0.0.1\"\ninitial = \"pasing\"",
        "10:11: error: `initial` is \"pasing\"; expected \"unknown\", \"passing\" or \"failing\"; did you mean \"passing\"?",
    ),
    ("ping = \"fe80::1\"", "9:8: error: `ping` is \"fe80::1\": a link-local address is another host"),
    ("ping = \"fe80::1%eth0\"", "9:8: error: `ping` is \"fe80::1%eth0\": a link-local address"),
    ("ping = \"www.example.org\"", "9:8: error: `ping` is \"www.example.org\": a check that asks DNS fails"),
    ("ping = \"10.0.0.300\"", "9:8: error: `ping` is \"10.0.0.300\": expected an address"),
    ("http = \"https://127.0.0.1/\"", "9:8: error: `http` is \"https://127.0.0.1/\": https is not spoken here"),
    ("http = \"http://localhost/\"", "9:8: error: `http` is \"http://localhost/\": a check that asks DNS"),
    ("http = \"http://127.0.0.1\"\nsocket = \"x\"", "10:10: error: `socket` is \"x\"; expected a path"),
    ("http = \"http://127.0.0.1\"\nhost = \"a b\"", "10:8: error: `host`"),
    ("http = \"http://127.0.0.1\"\nbody = \"\"", "10:8: error: `body` is \"\"; expected a text"),
    ("http = \"http://127.0.0.1\"\nstatus = []", "10:10: error: `status` is an empty list"),
    ("http = \"http://127.0.0.1\"\nstatus = 600", "10:10: error: `status` is 600"),
    ("http = \"http://127.0.0.1\"\nstatus = \"299-200\"", "10:10: error: `status`"),
    ("http = \"http://127.0.0.1\"\nstatus = [\"+20\"]", "10:11: error: `status`"),
    ("http = \"http://127.0.0.1\"\nstatus = 2.5", "10:10: error: `status` takes a number such as 200"),
    ("tcp = \"127.0.0.1\"", "9:7: error: `tcp` is \"127.0.0.1\": the port is missing"),
    ("tcp = \"unix:x.sock\"", "9:7: error: `tcp` is \"x.sock\"; expected a path"),
    (
        "exec = \"/usr/bin/killall -0 haproxy\"",
        "9:8: error: `exec` is one program without arguments when it is a string, and there is no shell; write [\"/usr/bin/killall\", \"-0\", \"haproxy\"], or for a shell [\"/bin/sh\", \"-c\", \"/usr/bin/killall -0 haproxy\"]",
    ),
    (
        "exec = \"/bin/a|/bin/b\"",
        "9:8: error: `exec` is one program without arguments when it is a string, and there is no shell; write [\"/path/of/program\", \"argument\"], or for a shell [\"/bin/sh\", \"-c\", \"/bin/a|/bin/b\"]",
    ),
    ("exec = \"true\"", "9:8: error: `exec` runs \"true\", which is no whole path"),
    ("exec = [\"./true\", \"x\"]", "9:9: error: `exec` runs \"./true\""),
    ("exec = []", "9:8: error: `exec` is an empty list"),
    ("exec = [\"/bin/x\", \"a\\u0000\"]", "9:19: error: `exec`"),
    ("exec = [\"/bin/x\", 1]", "9:19: error: `exec` takes strings, one for each word, not a number"),
    ("exec = { exec = \"/bin/x\" }", "9:8: error: `exec` takes the path of a program"),
    ("exec = \"/bin/x\"\nuser = \"a:\"", "10:8: error: `user` is \"a:\"; expected a user"),
    ("exec = \"/bin/x\"\nuser = \"a:b:c\"", "10:8: error: `user`"),
    (
        "process = \"sixteen-bytes-xx\"",
        "9:11: error: the kernel keeps 15 bytes of a process's name; write process = \"sixteen-bytes-x\"",
    ),
    ("process = \"/usr/sbin/haproxy\"", "9:11: error: `process` is \"/usr/sbin/haproxy\"; expected the name"),
    ("process = {}", "9:11: error: expected one of `pid_file` and `command`"),
    ("process = { pid_file = \"/x\", command = [\"x\"] }", "9:11: error: expected one of"),
    ("process = { pid_file = \"/x\", match = \"exact\" }", "9:38: error: `match` says how a `command`"),
    ("process = { pid_file = \"x.pid\" }", "9:24: error: `pid_file` is \"x.pid\"; expected a path"),
    ("process = { command = [] }", "9:23: error: `command` is without a program"),
    ("process = { command = [\"x\"], match = \"exakt\" }", "9:38: error: `match` is \"exakt\""),
    ("process = { pid_file = \"/x\" }\nmin = 2", "10:7: error: a pid file names one process"),
    ("process = \"x\"\nmin = 3\nmax = 2", "10:7: error: `min` is above `max`, which is 2"),
    ("process = \"x\"\nmin = 0", "10:7: error: `min` is 0"),
    ("process = \"x\"\nmax = -1", "10:7: error: `max` is -1; expected a number; 0 when none may run"),
    ("process = \"x\"\nloss_delay = \"2h\"", "10:14: error: `loss_delay`"),
    (
        "unit = \"haproxy.servcie\"",
        "9:8: error: \"haproxy.servcie\" does not end in a type of units; did you mean \"service\"?",
    ),
    ("unit = \"openvpn@.service\"", "9:8: error: \"openvpn@.service\" is a template"),
    ("unit = \"a b\"", "9:8: error: `unit` is \"a b\"; expected the name of a systemd unit"),
    ("unit = \".service\"", "9:8: error: `unit`"),
    ("file = \"run/x\"", "9:8: error: `file` is \"run/x\"; expected a path"),
    ("file = \"/run/\"", "9:8: error: `file` is \"/run/\"; expected a path"),
    ("file = \"/proc/loadavg\"", "9:8: error: the kernel tells no changes of files in /proc"),
    (
        "file = \"/x\"\nsense = \"missing\"",
        "10:9: error: `sense` is \"missing\"; expected \"exists\", \"absent\" or \"number\"",
    ),
    ("interface = \"a-very-long-interface\"", "9:13: error: `interface`"),
    (
        "script = \"/bin/x\"\nping = \"10.0.0.1\"",
        "9:1: error: unknown key `script` in [check.c]; that is keepalived.conf, here it is `exec`",
    ),
    ("ping = 1", "9:8: error: `ping` takes an address such as"),
];
