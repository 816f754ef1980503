//! The page is as documented, well formed, and all that packaging/monitoring names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::control::samples;
use crate::control::status::RivalStatus;

/// Returns a file of the repository.
fn paper(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_pages_of_two_nodes_are_as_in_the_golden_text() {
    for (status, golden) in
        [(samples::pair(), "tests/cli/status.prom"), (samples::sick(), "tests/cli/status-sick.prom")]
    {
        assert_eq!(text(&status), paper(golden), "{golden}");
    }
    let down = "# HELP keepalived_up Whether the daemon runs.\n# TYPE keepalived_up gauge\nkeepalived_up 0\n";
    assert_eq!(text_of_no_daemon(), down);
}

#[test]
fn rivals_and_duplicate_addresses_are_told() {
    let mut status = samples::pair();
    let web = &mut status.instances[0];
    web.rival = Some(RivalStatus {
        address: "10.0.0.21".parse().unwrap(),
        priority: 100,
        since: "2026-11-22T08:28:01.000Z".to_owned(),
    });
    web.addresses[1].duplicate = true;
    let page = text(&status);
    let number = |series: &str| page.lines().find(|line| line.starts_with(series)).unwrap().rsplit(' ').next().unwrap();
    assert_eq!(number("vrrpd_instance_rival{iname=\"web\""), "1");
    let address = |address: &str| {
        number(&format!("vrrpd_address_duplicate{{iname=\"web\",intf=\"ens5\",vrid=\"101\",address=\"{address}\""))
    };
    assert_eq!((address("10.0.0.30/32"), address("10.0.0.31/32")), ("0", "1"));
}

/// Not one sample stands without its family, no family stands twice, no series either.
#[test]
fn each_family_has_one_head_and_each_series_one_sample() {
    let mut seen = BTreeSet::new();
    for page in [text(&samples::pair()), text(&samples::sick())] {
        let (mut heads, mut series, mut family) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for line in page.lines() {
            if let Some(head) = line.strip_prefix("# HELP ") {
                family = head.split(' ').next().unwrap().to_owned();
                assert!(heads.insert(family.clone()), "{family} has two heads");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert!(kind.starts_with(&format!("{family} ")), "{line} in {family}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert_eq!(name.split('{').next(), Some(family.as_str()), "{line}");
                assert!(series.insert(name.to_owned()), "{line} twice");
            }
        }
        assert!(page.ends_with('\n'));
        seen.extend(heads);
    }
    let all: BTreeSet<String> = families().map(|family| family.name.to_owned()).collect();
    assert_eq!(seen, all, "no sample shows some family");
}

#[test]
fn names_say_kind_and_unit() {
    for family in families() {
        let name = family.name;
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(name.starts_with("vrrpd_") || name.starts_with("keepalived_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(!["_ms", "_milliseconds", "_bytes"].iter().any(|unit| name.contains(unit)), "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']), "{name}: {}", family.help);
    }
}

#[test]
fn labels_are_escaped_and_lengths_are_exact() {
    let mut status = samples::pair();
    let web = &mut status.instances[0];
    web.name = "a\\b\"c\nd".to_owned();
    web.in_state_ms = 1_000_000_000_000_001;
    web.peers[0].clock_offset_ms = Some(-7);
    let page = text(&status);
    let labels = r#"iname="a\\b\"c\nd",intf="ens5",vrid="101""#;
    for line in [
        format!("vrrpd_instance_in_state_seconds{{{labels}}} 1000000000000.001\n"),
        format!("vrrpd_peer_clock_offset_seconds{{{labels},peer=\"10.0.0.21\"}} -0.007\n"),
        "keepalived_vrrp_state{iname=\"a\\\\b\\\"c\\nd\",intf=\"ens6\",vrid=\"101\",ip_address=\"10.0.0.31\"} 2\n"
            .to_owned(),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
}

/// The rows of the paper, held to the code both ways.
#[test]
fn each_family_is_documented() {
    let row = |family: &Family| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", family.name, family.kind.name(), labels.join(", "), family.help)
    };
    let expected: Vec<String> = families().map(row).collect();
    let paper = paper("docs/metrics.md");
    let is_row = |line: &&str| line.starts_with("| `vrrpd_") || line.starts_with("| `keepalived_");
    let found: Vec<&str> = paper.lines().filter(is_row).collect();
    assert_eq!(found, expected, "\n{}", expected.join("\n"));
}

/// Returns the words of a text that are names of metrics of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("vrrpd_") || word.starts_with("keepalived_")).map(str::to_owned).collect()
}

/// Returns the label names that a query asks for, beside those that Prometheus adds.
fn labels_asked(query: &str) -> BTreeSet<String> {
    let inside = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let matched = inside.flat_map(|labels| labels.split(',')).filter_map(|label| label.split(['=', '!']).next());
    let grouped = ["by (", "on (", "without (", "group_left ("].into_iter();
    let grouped = grouped.flat_map(|word| query.split(word).skip(1)).filter_map(|rest| rest.split(')').next());
    let all = matched.chain(grouped.flat_map(|labels| labels.split(','))).map(|label| label.trim().to_owned());
    all.filter(|label| !["", "instance", "job"].contains(&label.as_str())).collect()
}

#[test]
fn rules_and_dashboard_name_only_what_is_there() {
    let known: BTreeMap<&str, &Family> = families().map(|family| (family.name, family)).collect();
    let rules = paper("packaging/monitoring/vrrpd-rules.yml");
    let dashboard: serde_json::Value =
        serde_json::from_str(&paper("packaging/monitoring/vrrpd-dashboard.json")).unwrap();
    let mut queries: Vec<String> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("expr: ")).map(str::to_owned).collect();
    let alerts = rules.matches("- alert: ").count();
    assert_eq!(queries.len(), alerts, "each alert has its expression in one line");
    assert!(alerts >= 9, "{alerts} alerts");
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let from_panels: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    assert!(from_panels.len() >= 10, "{} queries", from_panels.len());
    queries.extend(from_panels);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        queries.extend(variable["query"].as_str().filter(|query| query.contains('(')).map(str::to_owned));
    }
    for query in &queries {
        let metrics = named(query);
        assert!(!metrics.is_empty() || query.contains("up{"), "{query} asks for nothing of ours");
        for name in &metrics {
            assert!(known.contains_key(name.as_str()), "no metric {name}: {query}");
        }
        for label in labels_asked(query) {
            let has = |name: &String| known[name.as_str()].labels.contains(&label.as_str());
            assert!(metrics.iter().any(has), "none of {metrics:?} has a label {label}: {query}");
        }
    }
    // Each alert is tried by the rules' own tests.
    let tried = paper("packaging/monitoring/vrrpd-rules-test.yml");
    for alert in rules.split("- alert: ").skip(1).filter_map(|rest| rest.lines().next()) {
        assert!(tried.contains(&format!("alertname: {alert}\n")), "nothing tries {alert}");
    }
    for name in named(&tried) {
        assert!(known.contains_key(name.as_str()), "vrrpd-rules-test.yml: no metric {name}");
    }
}
