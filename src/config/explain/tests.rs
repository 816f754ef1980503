//! Each kind of difference between two nodes' files, and what is no difference.

use super::seats::Cluster;
use crate::config::{Format, load_from};

/// One node's file; `edit` replaces text in it.
fn file(own: &str, peer: &str, priority: u8, edit: (&str, &str)) -> String {
    let text = format!(
        "[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nversion = 2\nadvert_interval = \"1s\"\n\
         addresses = [\"192.0.2.30\", \"192.0.2.31\"]\nsource = \"{own}\"\npeers = [\"{peer}\"]\npriority = {priority}\n\
         auth = {{ password = \"secret\" }}\n"
    );
    assert!(text.contains(edit.0), "{edit:?}");
    let text = text.replace(edit.0, edit.1);
    // A password is for version 2.
    if text.contains("version = 3") { text.replace("auth = { password = \"secret\" }\n", "") } else { text }
}

/// What a changed file of the second node makes of the pair.
fn found(edit: (&str, &str)) -> Vec<(String, bool)> {
    let one = file("192.0.2.11", "192.0.2.12", 200, ("", ""));
    let other = file("192.0.2.12", "192.0.2.11", 100, edit);
    let [one, other] =
        [one, other].map(|text| load_from("x.toml", text.as_bytes(), Format::Toml).unwrap_or_else(|e| panic!("{e}")));
    let cluster = Cluster::of(&[("a.toml", &one), ("b.toml", &other)]);
    cluster.differences().into_iter().map(|difference| (difference.text, difference.is_dangerous)).collect()
}

#[test]
fn a_pair_that_agrees_has_no_difference() {
    assert_eq!(found(("", "")), []);
    assert_eq!(found(("priority = 100", "priority = 150")), [], "each node has its own");
    assert_eq!(found(("eth0", "ens5")), [], "interfaces have other names on other hosts");
}

#[test]
fn each_difference_says_what_comes_of_it() {
    for (edit, begins, is_dangerous) in [
        (("_id = 51", "_id = 52"), "virtual_router_id: 51 in a.toml, 52 in b.toml: they do not hear", true),
        (("version = 2", "version = 3"), "version: 2 in a.toml, 3 in b.toml: each refuses", true),
        (("\"1s\"", "\"2s\""), "advert_interval: 1s in a.toml, 2s in b.toml: version 2 refuses", true),
        ((", \"192.0.2.31\"", ""), "addresses: 192.0.2.31 in a.toml but not in b.toml", true),
        (
            ("\"192.0.2.31\"]", "\"192.0.2.31\", \"192.0.2.32\"]"),
            "addresses: 192.0.2.32 in b.toml but not in a.toml",
            true,
        ),
        (("\"192.0.2.30\", \"192.0.2.31\"", "\"192.0.2.31\", \"192.0.2.30\""), "addresses: the lists", false),
        (("\"secret\"", "\"Secret\""), "auth: the passwords differ", true),
        (("password", "ah"), "auth: only one of them", true),
        (("peers = [\"192.0.2.11\"]", "peers = [\"192.0.2.13\"]"), "peers: b.toml does not list 192.0.2.11", true),
        (("peers = [\"192.0.2.11\"]", "multicast = true"), "unicast in one file, multicast in the other", true),
        (
            ("priority = 100", "priority = 100\npreempt = \"never\""),
            "preempt: always in a.toml, never in b.toml",
            false,
        ),
    ] {
        let found = found(edit);
        let is_told = found.iter().any(|(text, dangerous)| text.starts_with(begins) && *dangerous == is_dangerous);
        assert!(is_told, "{edit:?}: {found:#?}");
    }
}

#[test]
fn a_mode_that_believes_both_is_no_difference() {
    let modes = ("password = \"secret\"", "password = \"secret\", mode = \"permissive\"");
    assert_eq!(found(modes), []);
    let silent = found(("password = \"secret\"", "password = \"secret\", mode = \"receive-only\""));
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].0.contains("no password is sent, and one is asked for") && silent[0].1, "{silent:?}");
}

#[test]
fn one_identifier_for_two_services_in_one_group_is_told() {
    let text = |name: &str, vip: &str, group: &str| {
        format!(
            "[instance.{name}]\ninterface = \"eth0\"\nvirtual_router_id = 7\nmulticast = true\n{group}\naddresses = [\"{vip}\"]\n"
        )
    };
    let load = |text: String| load_from("x.toml", text.as_bytes(), Format::Toml).unwrap_or_else(|e| panic!("{e}"));
    // Of one group they would be taken for one virtual router under two names, and their addresses differ.
    let (one, other) = (load(text("web", "192.0.2.30", "")), load(text("api", "192.0.2.40", "")));
    let cluster = Cluster::of(&[("a.toml", &one), ("b.toml", &other)]);
    let told = cluster.differences();
    assert_eq!(cluster.routers.len(), 1, "adverts of one are adverts of the other");
    assert!(
        told.iter().any(|difference| difference.is_dangerous && difference.text.contains("192.0.2.40")),
        "{told:?}"
    );
}
