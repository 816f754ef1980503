//! What is watched: text in, checks and tracks out.

use std::fmt::Write as _;

use vrrpd::config::Loaded;
use vrrpd::engine::params::{CheckKind, CheckParams, Effect, NodeParams};

use crate::reader::{assert_converts, kinds, load, node, refused};

/// A definition and a track block, what comes out, and the kinds of the warnings.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Shows one check on a line.
fn show(check: &CheckParams) -> String {
    let CheckParams { name, kind, interval, timeout, rise, fall, initial } = check;
    match kind {
        CheckKind::Exec(command) => {
            let mut line = format!("{name}: {}", command.words.join("|"));
            if let Some(user) = &command.user {
                let _ = write!(line, " as {}:{}", user.name, user.group.as_deref().unwrap_or("-"));
            }
            let _ = write!(line, " {interval:?} {timeout:?} {rise} {fall} {initial:?}");
            line
        }
        other => format!("{name}: {other:?}"),
    }
}

fn effects(node: &NodeParams, router: usize) -> String {
    let effect = |effect: Effect| match effect {
        Effect::Fault { is_reversed } => if is_reversed { "0r" } else { "0" }.to_owned(),
        Effect::Weight { weight, is_reversed } => format!("{weight:+}{}", if is_reversed { "r" } else { "" }),
    };
    let tracks = &node.routers[router].tracks;
    tracks.iter().map(|track| format!("{} {}", track.check, effect(track.effect))).collect::<Vec<_>>().join(", ")
}

fn texts(loaded: &Loaded) -> String {
    loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a definition and a track block of an instance.
fn one(definition: &str, track: &str) -> Loaded {
    load(&format!("{definition}\n{}", instance("V", 1, track)))
}

fn instance(name: &str, id: u8, lines: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n virtual_ipaddress {{\n 10.0.0.{id}/24\n }}\n\
         {lines}\n}}\n"
    )
}

#[track_caller]
fn check(rows: &[Row], definition: impl Fn(&str) -> String, block: &str) {
    for (line, track, answer, expected) in rows {
        let loaded = one(&definition(line), &format!("{block} {{\n{track}\n}}"));
        let node = node(&loaded.config);
        let checks: Vec<_> = node.checks.iter().map(|check| show(check)).collect();
        assert_eq!(format!("{} => {}", checks.join("; "), effects(&node, 0)), *answer, "{line}");
        assert_eq!(kinds(&loaded.warnings), *expected, "{line}\n{}", texts(&loaded));
        assert_converts(line, &loaded);
    }
}

const SCRIPTS: &[Row] = &[
    ("", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &[]),
    ("interval 5", "chk", "chk: /bin/true 5s 5s 1 1 Unknown => chk 0", &[]),
    ("interval 0", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &[]),
    ("interval 0.25\ntimeout 3", "chk", "chk: /bin/true 250ms 3s 1 1 Unknown => chk 0", &[]),
    ("interval 5\ntimeout 0", "chk", "chk: /bin/true 5s 5s 1 1 Unknown => chk 0", &[]),
    ("interval 100000", "chk", "chk: /bin/true 86400s 86400s 1 1 Unknown => chk 0", &["minor"]),
    ("interval soon", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["value"]),
    ("interval .2", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["value"]),
    ("timeout never", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["value"]),
    ("rise 2\nfall 3", "chk", "chk: /bin/true 1s 1s 2 3 Unknown => chk 0", &[]),
    ("rise 0\nfall 0", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["value", "value"]),
    ("rise 1 2", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["extra-words"]),
    ("init_fail", "chk", "chk: /bin/true 1s 1s 1 1 Failing => chk 0", &["note"]),
    ("user web www", "chk", "chk: /bin/true as web:www 1s 1s 1 1 Unknown => chk 0", &[]),
    ("user web :www", "chk", "chk: /bin/true as web:www 1s 1s 1 1 Unknown => chk 0", &[]),
    ("user a b c", "chk", "chk: /bin/true as a:b 1s 1s 1 1 Unknown => chk 0", &["extra-words"]),
    ("user \"a b\"", "chk", "chk: /bin/true as a_b:- 1s 1s 1 1 Unknown => chk 0", &[]),
    ("script \"/usr/bin/x -a 'b c'\" web", "chk", "chk: /usr/bin/x|-a|b c as web:- 1s 1s 1 1 Unknown => chk 0", &[]),
    ("script \"killall -0 haproxy\"", "chk", "chk: killall|-0|haproxy 1s 1s 1 1 Unknown => chk 0", &[]),
    ("script bin/x", "chk", "chk: /bin/x 1s 1s 1 1 Unknown => chk 0", &["value"]),
    ("script \"</run/x\"\nfall 2", "chk", "chk: /usr/bin/test|-r|/run/x 1s 1s 1 2 Unknown => chk 0", &[]),
    ("script \"a | b\"", "chk", "chk: a|||b 1s 1s 1 1 Unknown => chk 0", &["shell-syntax"]),
    ("weight -20", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk -20", &[]),
    ("weight 20 reverse", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk +20r", &[]),
    ("weight 0 reverse", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0r", &[]),
    ("weight -20", "chk weight 7", "chk: /bin/true 1s 1s 1 1 Unknown => chk +7", &[]),
    ("weight -20", "chk weight 0", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &[]),
    ("weight 300", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk +253", &["value"]),
    ("", "chk weight -254", "chk: /bin/true 1s 1s 1 1 Unknown => chk -253", &["value"]),
    ("weight 2 backwards", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk +2", &["value"]),
    ("intervall 2", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["unknown-keyword"]),
    ("", "chk\nchk weight 5", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["twice"]),
    ("", "missing", " => ", &["unused", "undefined"]),
    ("script \"''\"\n", "chk", "chk: /bin/true 1s 1s 1 1 Unknown => chk 0", &["value"]),
];

#[test]
fn scripts() {
    check(SCRIPTS, |line| format!("vrrp_script chk {{\n script /bin/true\n {line}\n}}"), "track_script");
}

const FILES: &[Row] = &[
    ("", "f", "f: File { path: \"/run/f\", sense: Number } => f +1", &[]),
    ("weight -3", "f", "f: File { path: \"/run/f\", sense: Number } => f -3", &[]),
    ("weight 0", "f", "f: File { path: \"/run/f\", sense: Number } => f 0", &[]),
    ("weight 2 reverse", "f", "f: File { path: \"/run/f\", sense: Number } => f +2r", &[]),
    ("weight 300", "f", "f: File { path: \"/run/f\", sense: Number } => f +254", &["value"]),
    ("", "f weight -254", "f: File { path: \"/run/f\", sense: Number } => f -254", &[]),
    ("init_file 7 overwrite", "f", "f: File { path: \"/run/f\", sense: Number } => f +1", &["not-applied"]),
    ("file run/f", "f", "f: File { path: \"/run/f\", sense: Number } => f +1", &["value"]),
    ("file /proc/loadavg", "f", "f: File { path: \"/run/f\", sense: Number } => f +1", &["value"]),
];

#[test]
fn files() {
    for keyword in ["track_file", "vrrp_track_file"] {
        check(FILES, |line| format!("{keyword} f {{\n file \"/run/f\"\n {line}\n}}"), "track_file");
    }
    let loaded = one("track_file f {\n weight 2\n}", "track_file {\n f\n}");
    assert_eq!((kinds(&loaded.warnings), node(&loaded.config).checks.len()), (vec!["undefined"], 0));
}

#[test]
fn processes() {
    for (line, target, rest, expected) in [
        ("process haproxy", "Name(\"haproxy\")", "1 None 0ns 0ns", &[][..]),
        ("process a-name-longer-than-it", "Name(\"a-name-longer-t\")", "1 None 0ns 0ns", &["value"]),
        ("process /usr/bin/x", "[\"/usr/bin/x\"] Initial", "1 None 0ns 0ns", &["contradiction"]),
        ("process x\nfull_command", "[\"x\"] Initial", "1 None 0ns 0ns", &[]),
        ("process x\nparam_match initial", "[\"x\"] Exact", "1 None 0ns 0ns", &[]),
        ("process x a \"b c\"", "[\"x\", \"a\", \"b c\"] Exact", "1 None 0ns 0ns", &[]),
        ("process x a\nparam_match initial", "[\"x\", \"a\"] Partial", "1 None 0ns 0ns", &[]),
        ("process x a\nparam_match partial", "[\"x\", \"a\"] Initial", "1 None 0ns 0ns", &[]),
        ("process x a\nparam_match most", "[\"x\", \"a\"] Exact", "1 None 0ns 0ns", &["value"]),
        ("process x\nquorum 2\nquorum_max 4", "Name(\"x\")", "2 Some(4) 0ns 0ns", &[]),
        ("process x\nquorum 2\nquorum_max 0", "Name(\"x\")", "1 Some(0) 0ns 0ns", &[]),
        ("process x\nquorum 4\nquorum_max 2", "Name(\"x\")", "4 None 0ns 0ns", &["value"]),
        ("process x\nquorum 0", "Name(\"x\")", "1 None 0ns 0ns", &["value"]),
        ("process x\ndelay 0.5", "Name(\"x\")", "1 None 500ms 500ms", &[]),
        ("process x\nfork_delay 2\nterminate_delay 3", "Name(\"x\")", "1 None 2s 3s", &[]),
        ("process x\ndelay 4000", "Name(\"x\")", "1 None 0ns 0ns", &["value"]),
    ] {
        let loaded = one(&format!("vrrp_track_process p {{\n{line}\n}}"), "track_process {\n p weight 5\n}");
        let node = node(&loaded.config);
        let CheckKind::Process(process) = &node.checks[0].kind else { panic!("{line}: {:?}", node.checks) };
        let shown = match &process.target {
            vrrpd::engine::params::ProcessTarget::CommandLine { words, matching } => format!("{words:?} {matching:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, target, "{line}");
        let (gain, loss) = (process.gain_delay, process.loss_delay);
        assert_eq!(format!("{} {:?} {gain:?} {loss:?}", process.quorum, process.quorum_max), rest, "{line}");
        assert_eq!((effects(&node, 0).as_str(), kinds(&loaded.warnings)), ("p +5", expected.to_vec()), "{line}");
        assert_converts(line, &loaded);
    }
}

#[test]
fn interfaces_are_checks() {
    for (lines, checks, tracks, expected) in [
        ("track_interface {\neth1\neth2 weight -30\n}", "eth1 eth2", "eth1 0, eth2 -30", &[][..]),
        ("track_interface {\neth1 weight 5 reverse\n}", "eth1", "eth1 +5r", &[]),
        ("track_interface {\neth0 weight -30\n}", "", "", &["note"]),
        ("track_interface {\neth1/2\n}", "", "", &["value"]),
        ("track_interface {\neth1\neth1\n}", "eth1", "eth1 0", &["twice"]),
        // The interface of an address is watched, whatever weight it has, as measured with 2.2.7.
        ("virtual_ipaddress {\n10.9.0.9/24 dev eth1\n}", "eth1", "eth1 0", &[]),
        ("virtual_ipaddress {\n10.9.0.9/24 dev eth0\n}", "", "", &[]),
        ("virtual_ipaddress_excluded {\n10.9.0.9/24 dev eth1\n}", "eth1", "eth1 0", &[]),
        ("virtual_ipaddress {\n10.9.0.9/24 dev eth1 no_track\n}", "", "", &["minor"]),
        (
            "virtual_ipaddress {\n10.9.0.9/24 dev eth1\n}\ntrack_interface {\neth1 weight -30\n}",
            "eth1",
            "eth1 0",
            &["contradiction"],
        ),
        (
            "virtual_ipaddress {\n10.9.0.9/24 dev eth1 no_track\n}\ntrack_interface {\neth1 weight -30\n}",
            "eth1",
            "eth1 -30",
            &["minor"],
        ),
    ] {
        let loaded = one("", lines);
        let node = node(&loaded.config);
        let names: Vec<_> = node.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!((names.join(" ").as_str(), effects(&node, 0).as_str()), (checks, tracks), "{lines}");
        assert_eq!(kinds(&loaded.warnings), expected, "{lines}\n{}", texts(&loaded));
        assert_converts(lines, &loaded);
    }
}

#[test]
fn names_of_checks_stay_and_do_not_clash() {
    let loaded = load(&format!(
        "vrrp_script x {{\n script /bin/a\n}}\ntrack_file x {{\n file /run/x\n}}\nvrrp_script \"a b\" {{\n script /bin/b\n}}\n{}",
        instance("V", 1, "track_script {\nx\n\"a b\"\n}\ntrack_file {\nx\n}\ntrack_interface {\nx\n}")
    ));
    let node = node(&loaded.config);
    assert_eq!(effects(&node, 0), "x 0, a_b 0, x_2 +1, x_3 0");
    let checks: Vec<_> = node.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(checks, ["x", "x_2", "a_b", "x_3"]);
    assert_eq!(kinds(&loaded.warnings), ["renamed", "renamed"]);
    assert_converts("names", &loaded);
}

#[test]
fn an_owner_has_no_weights() {
    let definitions = "vrrp_script w {\n script /bin/w\n weight 5\n}\nvrrp_script s {\n script /bin/s\n}\n\
                       track_file f {\n file /run/f\n}";
    let tracks = "priority 255\ntrack_script {\nw\ns\n}\ntrack_file {\nf\n}\ntrack_interface {\neth1 weight 3\neth2\n}";
    let loaded = one(definitions, tracks);
    assert_eq!(effects(&node(&loaded.config), 0), "s 0, eth2 0");
    assert_eq!(kinds(&loaded.warnings), ["contradiction"; 3]);
    assert_converts("owner", &loaded);
}

/// What Keepalived 2.2.7 does, measured: weights of scripts and files go, those of interfaces and a file's 1 become 0, those
/// of processes stay.
#[test]
fn weights_of_members_of_a_group() {
    let definitions = "vrrp_script w {\n script /bin/w\n weight 5\n}\nvrrp_script s {\n script /bin/s\n}\n\
        track_file f1 {\n file /run/1\n}\ntrack_file f3 {\n file /run/3\n weight 3\n}\n\
        vrrp_track_process p {\n process p\n weight 7\n}\n";
    let tracks =
        "track_script {\nw\ns\n}\ntrack_file {\nf1\nf3\n}\ntrack_process {\np\n}\ntrack_interface {\neth1 weight 4\n}";
    let body = format!("{definitions}{}{}", instance("A", 1, tracks), instance("B", 2, ""));
    let group = |lines: &str| load(&format!("{body}vrrp_sync_group G {{\ngroup {{\nA\nB\n}}\n{lines}\n}}\n"));

    let loaded = group("");
    assert_eq!(effects(&node(&loaded.config), 0), "s 0, f1 0, p +7, eth1 0");
    assert_eq!(kinds(&loaded.warnings), ["contradiction"; 4], "{}", texts(&loaded));
    assert_converts("group", &loaded);
    for keyword in ["sync_group_tracking_weight", "global_tracking"] {
        let loaded = group(keyword);
        assert_eq!(effects(&node(&loaded.config), 0), "w +5, s 0, f1 +1, f3 +3, p +7, eth1 +4");
        assert_eq!(loaded.warnings.len(), 0, "{}", texts(&loaded));
        assert_converts(keyword, &loaded);
    }
    // The group's weight wins where the instance's is not 0.
    let lines = "sync_group_tracking_weight\ntrack_script {\nw weight 9\ns weight 4\n}\ntrack_interface {\neth0 weight 6\neth2 \
                 weight 3\n}";
    let loaded = group(lines);
    let node = node(&loaded.config);
    assert_eq!(effects(&node, 0), "w +9, s 0, f1 +1, f3 +3, p +7, eth1 +4, eth2 +3");
    assert_eq!(effects(&node, 1), "w +9, s +4, eth2 +3");
    assert_converts("both", &loaded);
}

#[test]
fn groups_and_their_members() {
    let body = instance("A", 1, "") + &instance("B", 2, "") + &instance("C", 3, "");
    let loaded = load(&format!(
        "{body}vrrp_sync_group G {{\ngroup {{\nA\nB\nnobody\n}}\n}}\nvrrp_sync_group H {{\ngroup {{\nA\nC\n}}\n}}\n\
         vrrp_sync_group I {{\ngroup {{\n}}\n}}\nvrrp_sync_group G {{\ngroup {{\nC\n}}\n}}\n"
    ));
    let groups: Vec<_> =
        loaded.config.groups.iter().map(|group| (group.name.as_str(), group.members.join(" "))).collect();
    assert_eq!(groups, [("G", "A B".to_owned()), ("H", "C".to_owned())]);
    let text = texts(&loaded);
    for part in [
        "instance nobody of this group",
        "instance A in a group",
        "group of one",
        "any member of",
        "vrrp_sync_group G is",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_converts("groups", &loaded);
    // The name of a member is that of the parameters; who is left out is no member.
    let loaded = load(&format!(
        "{}{}vrrp_sync_group \"my group\" {{\ngroup {{\n\"a b\"\nX\n}}\n}}\n",
        instance("\"a b\"", 1, ""),
        instance("X", 2, "unicast_fault_no_peer\nunicast_peer {\n}")
    ));
    assert_eq!(loaded.config.groups[0].name, "my_group");
    assert_eq!(loaded.config.groups[0].members, ["a_b"]);
    assert_converts("renamed", &loaded);
}

#[test]
fn a_tracked_bfd_session_is_refused_and_an_unused_one_is_not() {
    let bfd = "bfd_instance up {\n neighbor_ip 10.0.0.9\n min_rx 50\n}";
    let lines = refused(&format!("{bfd}\n{}", instance("V", 1, "track_bfd {\nup\n}")));
    assert!(lines.contains("f.conf:12:1: error: BFD is not spoken, so bfd_instance up"), "{lines}");
    let group = "vrrp_sync_group G {\ngroup {\nV\n}\ntrack_bfd {\nup weight 3\n}\n}\n";
    assert!(refused(&format!("{bfd}\n{}{group}", instance("V", 1, ""))).contains("error: BFD"));
    let loaded = one(bfd, "");
    assert_eq!(kinds(&loaded.warnings), ["unused"]);
    assert_converts("unused", &loaded);
}

#[test]
fn one_script_serves_every_instance_that_names_it() {
    let body = "vrrp_script chk {\n script /bin/true\n weight -5\n}\nvrrp_script idle {\n script /bin/false\n}\n"
        .to_owned()
        + &instance("A", 1, "track_script {\nchk\n}")
        + &instance("B", 2, "track_script {\nchk weight -7\n}");
    let loaded = load(&body);
    let node = node(&loaded.config);
    assert_eq!((effects(&node, 0), effects(&node, 1)), ("chk -5".to_owned(), "chk -7".to_owned()));
    assert_eq!(node.checks.len(), 1);
    assert_eq!(kinds(&loaded.warnings), ["unused"]);
    assert_converts("shared", &loaded);
}
